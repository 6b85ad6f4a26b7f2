//! The attestors and attestations a policy names.

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestor, Keyless},
        kyverno::claims,
        source::{Item, Map, Unreadable},
    },
    Named,
};
use crate::yaml::shown;

impl Import {
    pub(super) fn named(&mut self, spec: &Map<'_>) -> Result<Named, Unreadable> {
        let mut named = Named::default();
        for item in spec.list("attestors")? {
            let map = item.map()?;
            let name = map.text("name")?.unwrap_or_default().to_owned();
            let attestor = if let Some(cosign) = map.map("cosign")? {
                self.cosign(&cosign)?
            } else {
                map.get("notary");
                self.nobody(map.spot(), "Notary signatures are not verified by pullgate".into())
            };
            self.findings.unread(&map);
            named.attestors.insert(name, attestor);
        }
        for item in spec.list("attestations")? {
            let map = item.map()?;
            let name = map.text("name")?.unwrap_or_default().to_owned();
            let kind = if let Some(statement) = map.map("intoto")? {
                let text = statement.text("type")?.unwrap_or_default();
                self.predicate_type(statement.spot(), text, true)
            } else {
                if let Some(referrer) = map.get("referrer") {
                    self.findings.note(referrer.spot(), None, "a plain artifact is no statement that pullgate can verify");
                }
                Err("an attestation that is no in-toto statement".into())
            };
            self.findings.unread(&map);
            named.attestations.insert(name, kind);
        }
        Ok(named)
    }

    fn cosign(&mut self, map: &Map<'_>) -> Result<Attestor, Unreadable> {
        if let Some(source) = map.get("source") {
            let message = "evidence in another repository is not looked for: sign into the image's own";
            self.findings.lost(source.spot(), Effect::Stricter, None, message);
        }
        let mut own: Vec<Item<'_>> = ["trustedRoot", "tuf"].iter().filter_map(|key| map.get(key)).collect();
        if let Some(log) = map.map("ctlog")? {
            if log.flag("insecureIgnoreTlog")? == Some(true) {
                let message = "the log is always asked for here: without it a keyless certificate has no trusted time";
                self.findings.changed(log.spot(), Effect::Stricter, Lint::I16, message);
            }
            if log.flag("insecureIgnoreSCT")? == Some(true) {
                self.findings.changed(log.spot(), Effect::Stricter, None, "the certificate's SCT is always asked for here");
            }
            if let Some(url) = log.text("url")?
                && url.trim_end_matches('/') != "https://rekor.sigstore.dev"
            {
                let message = format!("the log {} must be in the trust root that pullgate.yaml names", shown(url));
                self.findings.changed(log.spot(), Effect::Other, None, message);
            }
            own.extend(["rekorPubKey", "ctLogPubKey", "tsaCertChain"].iter().filter_map(|key| log.get(key)));
            self.findings.unread(&log);
        }
        if let Some(annotations) = map.get("annotations") {
            return Ok(self.nobody(annotations.spot(), "annotations of a signature cannot be required here".into()));
        }
        let Some(keyless) = map.map("keyless")? else {
            ["key", "certificate"].iter().for_each(|key| _ = map.get(key));
            return Ok(self.nobody(map.spot(), "keys and certificates: pullgate verifies keyless signatures only".into()));
        };
        self.findings.unread(map);
        own.extend(keyless.get("roots"));
        let trust_root = if own.is_empty() { None } else { Some(self.own_root(&own)?) };
        let identities = keyless.list("identities")?;
        if identities.len() > 1 {
            let message = "more than one identity fails there when the evidence is a bundle; here any of them is accepted";
            self.findings.changed(keyless.spot(), Effect::Wider, Lint::I15, message);
        }
        let mut all = Vec::new();
        for item in &identities {
            all.push(self.plain_identity(item, trust_root.clone(), ["issuerRegExp", "subjectRegExp"])?);
        }
        let mut attestor = if all.is_empty() { self.nobody(keyless.spot(), "no identities".into()) } else { Attestor::any(all) };
        if let Some(extensions) = keyless.map("additionalExtensions")?.filter(|map| !map.entries().is_empty()) {
            let message = "additionalExtensions are never evaluated there; here they are";
            self.findings.changed(extensions.spot(), Effect::Stricter, Lint::I06, message);
            attestor = self.extended(attestor, &extensions)?;
        }
        self.findings.unread(&keyless);
        Ok(attestor)
    }

    /// The name of the trust root that `own` make. A `trustedRoot` alone is the file itself.
    fn own_root(&mut self, own: &[Item<'_>]) -> Result<String, Unreadable> {
        let name = self.own_root_name(own);
        self.findings
            .setting(format!("trust_roots: {{{name}: {{path: {name}.json}}}}"), "an attestor has a trust root of its own");
        let value = match own {
            [one] if one.place() == "cosign.trustedRoot" => one.map()?.text("value")?,
            _ => None,
        };
        let is_root = |text: &&str| {
            let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
            document.is_some_and(|document| document["certificateAuthorities"].is_array())
        };
        if let (Some(text), Some(first)) = (value.filter(is_root), own.first()) {
            let file = self.root_file(&name, || text.to_owned());
            self.findings.note(first.spot(), None, format!("written as {file}, as it is"));
        } else if let Some(first) = own.first() {
            let message = format!("a trust root of its own: give pullgate.yaml its trusted_root.json under the name `{name}`");
            self.findings.lost(first.spot(), Effect::Refuses, None, message);
        }
        Ok(name)
    }

    fn extended(&mut self, attestor: Attestor, extensions: &Map<'_>) -> Result<Attestor, Unreadable> {
        Ok(match attestor {
            Attestor::Any(list) => {
                let all: Result<Vec<_>, _> = list.into_iter().map(|one| self.extended(one, extensions)).collect();
                Attestor::any(all?)
            }
            Attestor::Keyless(Keyless { mut issuer, subject, trust_root, .. }) => match claims(self, extensions, &mut issuer)? {
                Ok(claims) => Attestor::Keyless(Keyless { issuer, subject, claims, trust_root }),
                Err(why) => Attestor::Never(why),
            },
            other @ (Attestor::All(_) | Attestor::Count(..) | Attestor::Never(_)) => other,
        })
    }
}
