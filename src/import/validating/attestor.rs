//! The attestors and attestations a policy names.

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestor, Keyless},
        kyverno::{claims, trust_root_name},
        source::{Map, Spot, Unreadable},
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
        let mut own = ["tuf", "trustedRoot"].iter().find_map(|key| map.get(key)).map(|item| item.spot().clone());
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
            for key in ["rekorPubKey", "ctLogPubKey", "tsaCertChain"] {
                own = log.get(key).map(|item| item.spot().clone()).or(own);
            }
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
        own = keyless.get("roots").map(|item| item.spot().clone()).or(own);
        let trust_root = own.map(|at| self.own_root(&at));
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

    fn own_root(&mut self, at: &Spot) -> String {
        let name = trust_root_name(&self.findings.document);
        let message = format!("a trust root of its own: give pullgate.yaml its trusted_root.json under the name `{name}`");
        self.findings.lost(at, Effect::Refuses, None, message);
        self.findings
            .setting(format!("trust_roots: {{{name}: {{path: {name}.json}}}}"), "an attestor has a trust root of its own");
        name
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
