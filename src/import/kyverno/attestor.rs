//! Kyverno's attestors: sets that nest, and all that is no identity.

use super::super::{
    Effect, Import,
    draft::Attestor,
    images::SIGNS,
    source::{Item, Map, Spot, Unreadable},
};
use crate::policy::image::ImagePattern;

/// What attestors are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Image,
    Statement,
}

impl Import {
    /// A set: `count` of its entries, or all of them.
    pub(super) fn attestor_set(&mut self, item: &Item<'_>, bundle: bool, of: Of) -> Result<Attestor, Unreadable> {
        let map = item.map()?;
        let mut entries = Vec::new();
        for entry in map.list("entries")? {
            entries.push(self.attestor_entry(&entry, bundle, of)?);
        }
        let count = match map.number("count")? {
            None | Some(0) => entries.len(),
            Some(count) => count,
        };
        self.findings.unread(&map);
        Ok(self.quorum(map.spot(), count, entries))
    }

    /// `count` of `list`; too many ways to say it are a refusal.
    pub(in crate::import) fn quorum(&mut self, at: &Spot, count: usize, list: Vec<Attestor>) -> Attestor {
        if list.is_empty() {
            let why = "an empty set of attestors";
            self.findings.lost(at, Effect::Refuses, None, why);
            return Attestor::Never(why.into());
        }
        let total = list.len();
        Attestor::quorum(count, list).unwrap_or_else(|| {
            let why = format!("{count} of {total} attestors that one signer may meet twice: too many combinations to write out");
            self.findings.lost(at, Effect::Refuses, None, why.clone());
            Attestor::Never(why)
        })
    }

    fn attestor_entry(&mut self, item: &Item<'_>, bundle: bool, of: Of) -> Result<Attestor, Unreadable> {
        let map = item.map()?;
        map.get("signatureAlgorithm");
        let mut attestor = if let Some(keyless) = map.map("keyless")? {
            let extensions = keyless.map("additionalExtensions")?;
            let attestor = self.keyless(&keyless, extensions, bundle)?;
            self.findings.unread(&keyless);
            attestor
        } else if let Some(nested) = map.get("attestor") {
            self.nested(&nested, bundle, of)?
        } else {
            let what = ["keys", "certificates"].into_iter().find(|key| map.has(key)).unwrap_or("an unknown attestor");
            if let Some(item) = ["keys", "certificates"].iter().find_map(|key| map.get(key)) {
                self.secrets(&item);
            }
            self.nobody(map.spot(), format!("`{what}`: pullgate verifies keyless signatures only"))
        };
        if let Some(nobody) = self.repository(&map, bundle) {
            attestor = nobody;
        }
        if let Some(annotations) = map.given("annotations") {
            attestor = self.nobody(annotations.spot(), "annotations of a signature cannot be required here".into());
        }
        self.findings.unread(&map);
        Ok(attestor)
    }

    /// Nobody, where evidence is looked for in a repository of its own. Of bundles its `fetchBundles` asks the image's always.
    pub(super) fn repository(&mut self, map: &Map<'_>, bundle: bool) -> Option<Attestor> {
        let item = map.given("repository")?;
        if bundle {
            self.findings.note(item.spot(), None, "`repository` is not evaluated for a SigstoreBundle there, so nor here");
            return None;
        }
        if self.is_their_own(&item) { None } else { Some(self.elsewhere(&item)) }
    }

    /// A set in an entry. Of a statement's attestors its `verifyAttestations` follows none: what is left is an entry without
    /// an identity, which of a bundle is an error, and else is met by any signer. Its writer names somebody.
    fn nested(&mut self, item: &Item<'_>, bundle: bool, of: Of) -> Result<Attestor, Unreadable> {
        let set = self.attestor_set(item, bundle, Of::Image)?;
        if of == Of::Image {
            return Ok(set);
        }
        if bundle {
            let why =
                "a nested `attestor` of an attestation is not looked into there, so that a SigstoreBundle entry has no identity";
            return Ok(self.nobody(item.spot(), why.into()));
        }
        let message =
            "a nested `attestor` of an attestation is not looked into there, so that any signer meets it; here its own are asked";
        self.findings.changed(item.spot(), Effect::Stricter, None, message);
        Ok(set)
    }

    /// Notes each secret that a key is read from.
    fn secrets(&mut self, item: &Item<'_>) {
        let Ok(map) = item.map() else { return };
        if let Some(secret) = map.get("secret") {
            self.findings.note(secret.spot(), None, "a secret of the cluster is not there for a gate");
        }
    }

    /// Whether the repository is the one that all images of the policy are in, so that it is looked into anyhow.
    pub(in crate::import) fn is_their_own(&mut self, item: &Item<'_>) -> bool {
        let Some(text) = item.text().ok().filter(|text| !text.contains(SIGNS)) else { return false };
        let Ok(repository) = ImagePattern::new(text) else { return false };
        let own = !self.named.is_empty() && self.named.iter().all(|image| image == repository.as_str());
        if own {
            self.findings.note(item.spot(), None, "the image's own repository, where evidence is looked for here too");
        }
        own
    }

    /// The attestor whose evidence counts in one other place only, where pullgate does not look. What lies beside the image does
    /// not count there, as where a signature is copied to that place to approve the image: asked for here, it would admit.
    pub(in crate::import) fn elsewhere(&mut self, item: &Item<'_>) -> Attestor {
        let place = item.place();
        let key = place.rsplit('.').next().unwrap_or_default();
        let why = format!(
            "`{key}`: evidence in another place is not looked for, and what cosign puts beside the image does not count there: sign into its own repository, and write here who signs"
        );
        self.nobody(item.spot(), why)
    }

    /// An attestor that cannot be said.
    pub(in crate::import) fn nobody(&mut self, at: &Spot, why: String) -> Attestor {
        self.findings.lost(at, Effect::Stricter, None, why.clone());
        Attestor::Never(why)
    }
}
