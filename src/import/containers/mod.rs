//! `policy.json` of containers/image, and OpenShift's image policies, which become one.
//!
//! Only the most specific scope of an image applies, and its requirements must all hold. So each scope is a policy that
//! names what is at and below it, and excludes what other scopes below it name.

mod openshift;
mod trust;

use std::collections::BTreeMap;

use super::{
    Effect, Import, Lint,
    draft::{Attestor, Draft, Keyless, Text},
    source::{Item, Map, Spot, Unreadable},
};
use crate::{policy::image::ImagePattern, yaml::shown};

/// Requirements by scope; the empty scope is every image of the transport.
pub(super) type Scopes = BTreeMap<String, Scope>;

/// Why a scope refuses, where it says so.
const REJECT: &str = "`reject`";

/// What is asked in one scope.
pub(super) struct Scope {
    /// Each must hold; empty where nothing is asked.
    asked: Vec<Attestor>,
    document: String,
    at: Spot,
}

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
                let asked = self.requirements(&requirements)?;
                self.scope(scope, requirements.spot(), asked);
            }
        }
        let everything = docker_default.unwrap_or(default.clone());
        let asked = self.requirements(&everything)?;
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
            _ => self.scope("", everything.spot(), asked),
        }
        self.findings.unread(document);
        Ok(())
    }

    /// The requirements of a scope, each as an attestor; none where anything is accepted.
    fn requirements(&mut self, item: &Item<'_>) -> Result<Vec<Attestor>, Unreadable> {
        let mut asked = Vec::new();
        for requirement in required(item)? {
            let map = requirement.map()?;
            match map.text("type")? {
                Some("insecureAcceptAnything") => {
                    self.findings.note(map.spot(), Lint::I20, "`insecureAcceptAnything`: nothing is asked");
                }
                Some("reject") => asked.push(Attestor::Never(REJECT.into())),
                Some("sigstoreSigned") => asked.push(self.requires_sigstore(&map)?),
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

    fn requires_sigstore(&mut self, map: &Map<'_>) -> Result<Attestor, Unreadable> {
        let attachments = self.options.registries_d.as_deref().is_some_and(|text| {
            let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
            plain.contains("use-sigstore-attachments:true")
        });
        if !attachments {
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
        let keyless = |trust_root| {
            Attestor::Keyless(Keyless {
                issuer: Text::Exact(issuer.into()),
                subject: Text::Exact(email.into()),
                claims: BTreeMap::new(),
                trust_root: Some(trust_root),
            })
        };
        let root = self.fulcio_root(&fulcio, map)?;
        self.findings.unread(&fulcio);
        Ok(keyless(root))
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

    /// Adds what a scope asks; twice the same scope asks both.
    fn scope(&mut self, scope: &str, at: &Spot, asked: Vec<Attestor>) {
        let document = self.findings.document.clone();
        match self.scopes.get_mut(scope) {
            Some(known) => known.asked.extend(asked),
            None => _ = self.scopes.insert(scope.to_owned(), Scope { asked, document, at: at.clone() }),
        }
    }

    /// Makes the policies of all scopes.
    pub(super) fn scoped(&mut self) {
        let scopes = std::mem::take(&mut self.scopes);
        let mut named: Vec<(&str, &Scope, Vec<String>)> = Vec::new();
        for (scope, asked) in &scopes {
            self.findings.document.clone_from(&asked.document);
            match patterns(scope) {
                Ok(patterns) => named.push((scope, asked, patterns)),
                Err(why) => {
                    let message = format!("the scope `{}` {why}; what a less specific scope asks holds for it", shown(scope));
                    self.findings.lost(&asked.at, Effect::Other, None, message);
                }
            }
        }
        for (scope, Scope { asked, document, at }, images) in &named {
            self.findings.document.clone_from(document);
            let below = named.iter().filter(|(other, ..)| is_below(other, scope));
            let mut exclude: Vec<String> = Vec::new();
            below.flat_map(|(.., patterns)| patterns).for_each(|one| {
                if !exclude.contains(one) {
                    exclude.push(one.clone())
                }
            });
            let what = if scope.is_empty() { "default" } else { scope };
            let mut signatures: Vec<Attestor> = Vec::new();
            asked.iter().for_each(|one| {
                if !signatures.contains(one) {
                    signatures.push(one.clone())
                }
            });
            let mut comments = vec![format!("From {document}, {} (line {}): scope `{what}`.", at.path, at.line)];
            if !exclude.is_empty() {
                comments.push("Only the most specific scope applies: what others below it name is excluded.".into());
            }
            let draft = Draft {
                name: format!("{}/{what}", document.split('/').next().unwrap_or_default()),
                comments,
                images: images.clone(),
                exclude,
                rejects: asked.contains(&Attestor::Never(REJECT.into())),
                audit: false,
                signatures,
                attestations: Vec::new(),
            };
            self.make(at, draft);
        }
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

/// Our patterns of a scope.
fn patterns(scope: &str) -> Result<Vec<String>, String> {
    let mut all = if scope.is_empty() {
        vec!["*/**".to_owned()]
    } else if let Some(domain) = scope.strip_prefix("*.") {
        // There, a port is taken off before domains are compared.
        vec![format!("*.{domain}/**"), format!("*.{domain}:*/**")]
    } else {
        let (host, path) = scope.split_once('/').unwrap_or((scope, ""));
        if path.contains([':', '@']) {
            return Err("is about a tag or a digest, and policies here are about repositories".into());
        }
        match (host, path.contains('/'), path) {
            (host, _, "") => vec![format!("{host}/**")],
            // `docker.io/acme` is a namespace; an image of that name is `docker.io/library/acme`.
            ("docker.io", false, path) => vec![format!("docker.io/{path}/**")],
            (host, _, path) => vec![format!("{host}/{path}"), format!("{host}/{path}/**")],
        }
    };
    for pattern in &mut all {
        *pattern = ImagePattern::new(pattern).map_err(|error| format!("cannot be said here: {error}"))?.as_str().to_owned();
    }
    Ok(all)
}

/// Whether `scope` is more specific than `other` and within it.
fn is_below(scope: &str, other: &str) -> bool {
    if scope == other || scope.is_empty() {
        return false;
    }
    let Some(domain) = other.strip_prefix('*') else {
        return other.is_empty() || scope.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
    };
    // Below `*.acme.test` are its hosts, with or without a port, and narrower domains.
    let host = scope.split('/').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    host.strip_prefix('*').unwrap_or(host).ends_with(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_what_is_at_and_below_it() {
        for (scope, ours) in [
            ("ghcr.io", &["ghcr.io/**"][..]),
            ("ghcr.io/acme", &["ghcr.io/acme", "ghcr.io/acme/**"]),
            ("ghcr.io:5000/acme/app", &["ghcr.io:5000/acme/app", "ghcr.io:5000/acme/app/**"]),
            ("docker.io/acme", &["docker.io/acme/**"]),
            ("docker.io/library/nginx", &["docker.io/library/nginx", "docker.io/library/nginx/**"]),
            ("docker.io", &["docker.io/**"]),
            ("*.acme.test", &["*.acme.test/**", "*.acme.test:*/**"]),
            ("", &["*/**"]),
        ] {
            assert_eq!(patterns(scope).unwrap(), ours, "{scope}");
        }
        for not in ["ghcr.io/acme/app:v1", "ghcr.io/acme@sha256:00", "acme"] {
            assert!(patterns(not).is_err(), "{not}");
        }
    }

    #[test]
    fn the_most_specific_scope_is_below_the_others() {
        for (scope, other) in [
            ("ghcr.io/acme/app", "ghcr.io/acme"),
            ("ghcr.io/acme", "ghcr.io"),
            ("ghcr.io", ""),
            ("r.acme.test", "*.acme.test"),
            ("r.acme.test:5000/x", "*.acme.test"),
            ("*.x.acme.test", "*.acme.test"),
            ("*.acme.test", ""),
        ] {
            assert!(is_below(scope, other), "{scope} {other}");
            assert!(!is_below(other, scope), "{other} {scope}");
        }
        assert!(!is_below("ghcr.io/acme-evil", "ghcr.io/acme") && !is_below("acme.test", "*.acme.test") && !is_below("", ""));
        assert!(!is_below("*.acme.test", "*.acme.test"));
    }
}
