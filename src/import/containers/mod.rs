//! `policy.json` of containers/image, and OpenShift's image policies, which become one.

mod attachments;
mod openshift;
mod scopes;
mod trust;

use std::collections::BTreeMap;

use self::scopes::{REJECT, Reach};
pub(super) use self::{attachments::Attachments, scopes::Scopes};
use super::{
    Effect, Import, Lint,
    draft::{Attestor, Keyless, Text},
    source::{Item, Map, Spot, Unreadable},
    write::NOBODY,
};
use crate::yaml::shown;

impl Import {
    pub(super) fn policy_json(&mut self, document: &Map<'_>) -> Result<(), Unreadable> {
        let Some(default) = document.get("default") else { return Err(Unreadable::at(document.spot(), "has no `default`")) };
        let mut docker_default = None;
        for (transport, item) in document.map("transports")?.map(|map| map.entries()).unwrap_or_default() {
            for (_, requirements) in item.map()?.entries() {
                required(&requirements)?;
            }
            if !matches!(transport, "docker" | "atomic") {
                let message = format!("the transport `{}` is no registry: not a gate's", shown(transport));
                self.findings.note(item.spot(), None, message);
                continue;
            }
            if transport == "atomic" {
                self.findings.lost(item.spot(), Effect::Other, None, "the transport `atomic` was not carried over");
                continue;
            }
            for (scope, requirements) in item.map()?.entries() {
                if scope.is_empty() {
                    docker_default = Some(requirements);
                    continue;
                }
                let asked = self.requirements(&requirements, scope)?;
                self.scope(scope, Reach::Everywhere, requirements.spot(), asked);
            }
        }
        let everything = docker_default.unwrap_or(default.clone());
        let asked = self.requirements(&everything, "")?;
        if everything.spot() != default.spot() {
            self.findings.note(default.spot(), None, "`transports.docker[\"\"]` stands before `default` for registries");
        }
        match asked.as_slice() {
            [Attestor::Never(_)] if is_rejection(&everything) => {
                self.findings.setting("unmatched: deny", "`default` rejects images no scope names; so does pullgate");
            }
            [] => {
                let message = "`default` accepts images no scope names; pullgate refuses them unless told otherwise";
                self.findings.setting("unmatched: dangerous_allow", message);
            }
            _ => self.scope("", Reach::Everywhere, everything.spot(), asked),
        }
        self.findings.unread(document);
        Ok(())
    }

    /// The requirements of a scope, each as an attestor; none where anything is accepted.
    fn requirements(&mut self, item: &Item<'_>, scope: &str) -> Result<Vec<Attestor>, Unreadable> {
        let mut asked = Vec::new();
        for requirement in required(item)? {
            let map = requirement.map()?;
            match map.text("type")? {
                Some("insecureAcceptAnything") => {
                    self.findings.note(map.spot(), Lint::I20, "`insecureAcceptAnything`: nothing is asked");
                }
                Some("reject") => asked.push(Attestor::Never(REJECT.into())),
                Some("sigstoreSigned") => asked.push(self.requires_sigstore(&map, scope)?),
                Some("signedBy") => {
                    for key in ["keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"] {
                        map.get(key);
                    }
                    asked.push(self.nobody(map.spot(), "`signedBy`: GPG signatures are not verified by pullgate".into()));
                }
                other => {
                    let other = other.unwrap_or_default();
                    return Err(Unreadable::at(map.spot(), format!("`type: {}` is unknown", shown(other))));
                }
            }
            self.findings.unread(&map);
        }
        Ok(asked)
    }

    fn requires_sigstore(&mut self, map: &Map<'_>, scope: &str) -> Result<Attestor, Unreadable> {
        if !self.attachments.looks_in(scope) {
            let message = "unless registries.d says `use-sigstore-attachments: true` for this scope, no signature is found there and every pull is refused; pullgate looks for them by itself";
            self.findings.note(map.spot(), Lint::I19, message);
        }
        let identity = match map.map("signedIdentity")? {
            Some(identity) => {
                let kind = identity.text("type")?.unwrap_or_default().to_owned();
                ["dockerReference", "dockerRepository", "prefix", "signedPrefix"].iter().for_each(|key| _ = identity.get(key));
                self.findings.unread(&identity);
                kind
            }
            None => "matchRepoDigestOrExact".into(),
        };
        self.signed_identity(map.spot(), &identity);
        for key in ["keyPath", "keyPaths", "keyData", "keyDatas"] {
            if map.get(key).is_some() {
                self.log_keys(map);
                return Ok(self.nobody(map.spot(), format!("`{key}`: pullgate verifies keyless signatures only")));
            }
        }
        if let Some(pki) = map.get("pki") {
            self.log_keys(map);
            return Ok(self.nobody(pki.spot(), "`pki`: certificates of another PKI are not verified by pullgate".into()));
        }
        let Some(fulcio) = map.map("fulcio")? else {
            return Err(Unreadable::at(map.spot(), "has none of `keyPath`, `keyData`, `fulcio`, `pki`"));
        };
        let (Some(issuer), Some(email)) = (fulcio.text("oidcIssuer")?, fulcio.text("subjectEmail")?) else {
            return Err(Unreadable::at(fulcio.spot(), "wants `oidcIssuer` and `subjectEmail`"));
        };
        let trust_root = self.fulcio_root(&fulcio, map)?;
        self.findings.unread(&fulcio);
        Ok(self.mailed(fulcio.spot(), issuer, email, trust_root))
    }

    /// Who signs with an e-mail address, which is all that the source compares of a certificate. Our subject is any name of
    /// a certificate, so that one which is no address would be met here by the URL of a workflow, and there by nobody.
    fn mailed(&mut self, at: &Spot, issuer: &str, email: &str, trust_root: String) -> Attestor {
        let subject = if email.contains('@') && !email.contains([':', '*']) {
            Text::Exact(email.into())
        } else {
            self.findings.note(
                at,
                None,
                format!("`{}` is no e-mail address, so no certificate has it there; nor here", shown(email)),
            );
            Text::Regex(NOBODY.into())
        };
        self.either_form(at, "policy.json", false);
        let issuer = Text::Exact(issuer.into());
        Attestor::Keyless(Keyless { issuer, subject, claims: BTreeMap::new(), trust_root: Some(trust_root) })
    }

    fn log_keys(&self, map: &Map<'_>) {
        for key in ["rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"] {
            map.get(key);
        }
    }

    /// What a signature says its image is called: not compared here.
    fn signed_identity(&mut self, at: &Spot, kind: &str) {
        if kind.eq_ignore_ascii_case("matchRepository") {
            self.findings.note(
                at,
                Lint::I18,
                "`matchRepository`: a signed image of this repository is good under another tag too",
            );
        }
        let message = format!(
            "`{}` compares the name a signature carries; here the digest is compared, whatever the image is called",
            shown(kind)
        );
        self.findings.changed(at, Effect::Wider, None, message);
    }
}

/// The requirements of any scope, of which there must be one: containers/image takes no policy where a list is empty, so
/// that one emptied by mistake does not accept everything.
fn required<'n>(item: &Item<'n>) -> Result<Vec<Item<'n>>, Unreadable> {
    let list = item.list()?;
    if list.is_empty() {
        return Err(Unreadable::at(
            item.spot(),
            "holds no requirement; write `reject` or `insecureAcceptAnything` for what is meant",
        ));
    }
    Ok(list)
}

fn is_rejection(item: &Item<'_>) -> bool {
    let kind = |item: &Item<'_>| item.map().ok().and_then(|map| map.text("type").ok().flatten().map(str::to_owned));
    item.list().is_ok_and(|list| list.len() == 1 && kind(&list[0]).as_deref() == Some("reject"))
}
