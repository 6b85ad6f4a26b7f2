//! The attestors and attestations a policy names.

use super::{
    super::{
        Effect, Import, Lint,
        draft::{Attestor, Keyless},
        kyverno::claims,
        roots::{Ignored, NO_TIME, Without},
        source::{Item, Map, Unreadable},
    },
    Named,
};
use crate::yaml::shown;

impl Import {
    /// What has a name in the policy, and is used by one of `expressions`: what is wrong with the rest changes nothing.
    pub(super) fn named(&mut self, spec: &Map<'_>, expressions: &[String]) -> Result<Named, Unreadable> {
        let mut named = Named::default();
        for item in spec.list("attestors")? {
            let map = item.map()?;
            let name = map.text("name")?.unwrap_or_default().to_owned();
            if !self.is_used(&map, "attestors", &name, expressions) {
                continue;
            }
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
            if !self.is_used(&map, "attestations", &name, expressions) {
                continue;
            }
            let kind = if let Some(statement) = map.map("intoto")? {
                let written = statement.text("type")?.unwrap_or_default();
                let uri = self.cosign_type(statement.spot(), written);
                self.predicate_type(statement.spot(), uri, true)
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

    /// Whether an expression has `list.name` in it. A form that finds it in another way is none that is known here, and refuses.
    fn is_used(&mut self, map: &Map<'_>, list: &str, name: &str, expressions: &[String]) -> bool {
        let reference = format!("{list}.{name}");
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let used =
            expressions.iter().any(|text| text.match_indices(&reference).any(|(at, _)| ends(&text[at + reference.len()..])));
        if !used {
            self.findings.note(map.spot(), None, format!("no validation uses `{}`, so it asks for nothing", shown(&reference)));
        }
        used
    }

    fn cosign(&mut self, map: &Map<'_>) -> Result<Attestor, Unreadable> {
        if let Some(source) = map.map("source")? {
            if let Some(nobody) = self.source(&source, "repository", "PullSecrets") {
                return Ok(nobody);
            }
            self.findings.unread(&source);
        }
        let mut own: Vec<Item<'_>> = ["trustedRoot", "tuf"].iter().filter_map(|key| map.get(key)).collect();
        let mut ignored = Ignored::default();
        if let Some(log) = map.map("ctlog")? {
            ignored = Ignored { log: log.says("insecureIgnoreTlog")?, sct: log.says("insecureIgnoreSCT")? };
            match log.text("url")? {
                // Nothing is filled in there: the options cannot be made, and the attestor never counts.
                None if ignored.log.is_none() => {
                    let why = "`ctlog` has no `url`, an error there: nobody meets this attestor";
                    return Ok(self.nobody(log.spot(), why.into()));
                }
                Some(url) if url.trim_end_matches('/') != "https://rekor.sigstore.dev" => {
                    let message = format!("the log {} must be in the trust root that pullgate.yaml names", shown(url));
                    self.findings.changed(log.spot(), Effect::Other, None, message);
                }
                Some(_) | None => {}
            }
            own.extend(["rekorPubKey", "ctLogPubKey", "tsaCertChain"].iter().filter_map(|key| log.given(key)));
            self.findings.unread(&log);
        }
        if let Some(annotations) = map.given("annotations") {
            return Ok(self.nobody(annotations.spot(), "annotations of a signature cannot be required here".into()));
        }
        let Some(keyless) = map.map("keyless")? else {
            ["key", "certificate"].iter().for_each(|key| _ = map.get(key));
            return Ok(self.nobody(map.spot(), "keys and certificates: pullgate verifies keyless signatures only".into()));
        };
        self.findings.unread(map);
        own.extend(keyless.given("roots"));
        let without = Without { log: ignored.log.is_some() && is_stamped(&own)?, sct: ignored.sct.is_some() && !own.is_empty() };
        self.asked_all_the_same(&ignored, without, NO_TIME);
        let trust_root = if own.is_empty() { None } else { Some(self.own_root(&own, without)?) };
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
            let before = attestor.clone();
            attestor = self.extended(attestor, &extensions)?;
            // One that may be anything asks for nothing, here neither.
            if attestor != before {
                let message = "additionalExtensions are never evaluated there; here they are";
                self.findings.changed(extensions.spot(), Effect::Stricter, Lint::I06, message);
            }
        }
        self.findings.unread(&keyless);
        Ok(attestor)
    }

    /// The name of the trust root that `own` make. A `trustedRoot` alone is the file itself, less what is left out.
    fn own_root(&mut self, own: &[Item<'_>], without: Without) -> Result<String, Unreadable> {
        let name = self.own_root_name(own, without);
        self.root_setting(&name, without, "an attestor has a trust root of its own");
        let Some(first) = own.first() else { return Ok(name) };
        let text = match own {
            [one] => trusted_root(one)?,
            _ => None,
        };
        match text {
            Some((text, _)) if !without.sct => {
                let file = self.root_file(&name, || text.to_owned());
                self.findings.note(first.spot(), None, format!("written as {file}, as it is"));
            }
            Some((_, mut root)) => {
                root["ctlogs"] = serde_json::json!([]);
                let file = self.root_file(&name, || serde_json::to_string_pretty(&root).unwrap_or_default());
                self.findings.note(
                    first.spot(),
                    None,
                    format!("written as {file}, without its CT logs, which are not asked there"),
                );
            }
            None => {
                let message = format!(
                    "a trust root of its own: give pullgate.yaml its trusted_root.json{} under the name `{name}`",
                    without.said()
                );
                self.findings.lost(first.spot(), Effect::Refuses, None, message);
            }
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

/// The trust root an attestor has in itself: as it is written, and read.
fn trusted_root<'n>(item: &Item<'n>) -> Result<Option<(&'n str, serde_json::Value)>, Unreadable> {
    if item.place() != "cosign.trustedRoot" {
        return Ok(None);
    }
    let Some(text) = item.map()?.text("value")? else { return Ok(None) };
    let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
    Ok(document.filter(|document| document["certificateAuthorities"].is_array()).map(|document| (text, document)))
}

/// Whether these make a trust root that has a timestamp authority, and no log that could say when.
fn is_stamped(own: &[Item<'_>]) -> Result<bool, Unreadable> {
    let mut stamped = false;
    for item in own {
        match item.place().as_str() {
            "ctlog.rekorPubKey" => return Ok(false),
            "ctlog.tsaCertChain" => stamped = true,
            _ => {
                let Some((_, root)) = trusted_root(item)? else { continue };
                let has = |key: &str| root[key].as_array().is_some_and(|list| !list.is_empty());
                if has("tlogs") {
                    return Ok(false);
                }
                stamped |= has("timestampAuthorities");
            }
        }
    }
    Ok(stamped)
}
