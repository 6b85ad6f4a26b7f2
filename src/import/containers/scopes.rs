//! Scopes, of which the most specific one decides alone. So each is a policy that names what is at and below it, and
//! excludes what others below it name.

use std::collections::BTreeMap;

use super::super::{
    Effect, Import,
    draft::{Attestor, Draft},
    images,
    source::Spot,
};
use crate::{policy::image::ImagePattern, yaml::shown};

/// What is asked, by scope and for whom; the empty scope is every image of the transport.
pub(in crate::import) type Scopes = BTreeMap<(String, Reach), Scope>;

/// Why a scope refuses, where it says so.
pub(super) const REJECT: &str = "`reject`";

/// Whose pulls a scope is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::import) enum Reach {
    /// All.
    Everywhere,
    /// Those of a namespace, of which a gate sees nothing; `None`: of one that is not said.
    Namespace(Option<String>),
}

impl Reach {
    /// Whether it is there for every pull that `other` is for: only then does a scope of it stand before one of `other`.
    fn covers(&self, other: &Self) -> bool {
        *self == Self::Everywhere || (self == other && *self != Self::Namespace(None))
    }
}

/// What is asked in one scope.
pub(in crate::import) struct Scope {
    /// Each must hold; empty where nothing is asked.
    asked: Vec<Attestor>,
    document: String,
    at: Spot,
}

/// A scope that has a form here: its name, whose pulls it is for, what it asks, and our patterns of it.
struct Named<'s> {
    scope: &'s str,
    reach: &'s Reach,
    asks: &'s Scope,
    patterns: Vec<String>,
}

impl Import {
    /// Adds what a scope asks; twice the same scope asks both.
    pub(super) fn scope(&mut self, scope: &str, reach: Reach, at: &Spot, asked: Vec<Attestor>) {
        let document = self.findings.document.clone();
        match self.scopes.get_mut(&(scope.to_owned(), reach.clone())) {
            Some(known) => known.asked.extend(asked),
            None => _ = self.scopes.insert((scope.to_owned(), reach), Scope { asked, document, at: at.clone() }),
        }
    }

    /// Makes the policies of all scopes.
    pub(in crate::import) fn scoped(&mut self) {
        let scopes = std::mem::take(&mut self.scopes);
        let mut named: Vec<Named<'_>> = Vec::new();
        for ((scope, reach), asks) in &scopes {
            self.findings.document.clone_from(&asks.document);
            if let Some(why) = inert(scope) {
                let message = format!("the scope `{}` {why}, so it names no image there; nor here", shown(scope));
                self.findings.note(&asks.at, None, message);
                continue;
            }
            match patterns(scope) {
                Ok(patterns) => named.push(Named { scope, reach, asks, patterns }),
                Err(why) => {
                    let message = format!("the scope `{}` {why}; what a less specific scope asks holds for it", shown(scope));
                    let effect = match asks.asked.as_slice() {
                        [] => Effect::Stricter,
                        asked if asked.contains(&Attestor::Never(REJECT.into())) => Effect::Wider,
                        _ => Effect::Other,
                    };
                    self.findings.lost(&asks.at, effect, None, message);
                }
            }
        }
        for one in &named {
            let Named { scope, reach, asks: Scope { asked, document, at }, patterns: images } = one;
            self.findings.document.clone_from(document);
            let mut exclude: Vec<String> = Vec::new();
            for other in named.iter().filter(|other| is_below(other.scope, scope)) {
                if !other.reach.covers(reach) {
                    // It is not there for every pull of this one, so this one is asked too.
                    continue;
                }
                for pattern in &other.patterns {
                    if !exclude.contains(pattern) {
                        exclude.push(pattern.clone());
                    }
                }
            }
            if **reach != Reach::Everywhere {
                self.beside_the_cluster(one, &named);
            }
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

    /// Tells of a namespace's scope where the cluster has one at or above it: there it means nothing.
    fn beside_the_cluster(&mut self, one: &Named<'_>, named: &[Named<'_>]) {
        let above = |other: &&Named<'_>| {
            *other.reach == Reach::Everywhere && (other.scope == one.scope || is_below(one.scope, other.scope))
        };
        if let Some(other) = named.iter().find(above) {
            let message = format!(
                "the cluster's scope `{}` is at or above `{}`, so that this one is ignored there; here both are asked",
                shown(other.scope),
                shown(one.scope)
            );
            self.findings.changed(&one.asks.at, Effect::Stricter, None, message);
        }
    }
}

/// Why no image is in a scope, where none is: scopes are compared with names as text, and only `*.` before a domain is more
/// than itself. Here such a scope would be a pattern, and asking nothing of what it names would be a hole.
fn inert(scope: &str) -> Option<&'static str> {
    let domain = scope.strip_prefix("*.");
    if domain.is_some_and(|domain| domain.contains(['/', ':'])) {
        return Some("is no domain alone");
    }
    let rest = domain.unwrap_or(scope);
    if rest.contains(images::SIGNS) {
        return Some("is no name, and no wildcard either");
    }
    let empty = domain.is_some() || !scope.is_empty();
    (empty && rest.split('/').any(str::is_empty)).then_some("has an empty part")
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
        let ours = ImagePattern::new(pattern).map_err(|error| format!("cannot be said here: {error}"))?;
        let (written, meant) = (images::host(pattern), images::host(ours.as_str()));
        if written != meant {
            return Err(format!("is about names that are written so, and here `{written}` is `{meant}`"));
        }
        *pattern = ours.as_str().to_owned();
    }
    Ok(all)
}

/// Whether `scope` is more specific than `other` and within it.
pub(super) fn is_below(scope: &str, other: &str) -> bool {
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
        for not in [
            "ghcr.io/acme/app:v1",
            "ghcr.io/acme@sha256:00",
            "acme",
            "index.docker.io/acme",
            "registry-1.docker.io",
            "GHCR.IO/acme",
            "ghcr.io:443/acme",
            "*.ACME.test",
        ] {
            assert!(patterns(not).is_err(), "{not}");
        }
    }

    #[test]
    fn a_scope_is_no_pattern_but_for_a_star_before_a_domain() {
        for none in [
            "ghcr.io/acme/*",
            "ghcr.io/acme/ap?",
            "ghcr.io/{acme,apex}",
            "ghcr.io/[a]",
            "*",
            "*/acme",
            "*.*.test",
            "*.acme.test/open",
            "*.acme.test:5000",
            "quay.io/",
            "quay.io//acme",
            "/acme",
            "*.",
        ] {
            assert!(inert(none).is_some(), "{none}");
        }
        for some in ["", "quay.io", "quay.io/acme", "*.acme.test", "quay.io:5000/acme", "localhost"] {
            assert_eq!(inert(some), None, "{some}");
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

    #[test]
    fn a_namespace_s_scope_stands_before_those_of_its_own_namespace_only() {
        let of = |name: &str| Reach::Namespace(Some(name.to_owned()));
        let unsaid = Reach::Namespace(None);
        for (reach, other, covers) in [
            (Reach::Everywhere, Reach::Everywhere, true),
            (Reach::Everywhere, of("a"), true),
            (of("a"), of("a"), true),
            (of("a"), of("b"), false),
            (of("a"), Reach::Everywhere, false),
            (unsaid.clone(), Reach::Everywhere, false),
            (unsaid.clone(), unsaid, false),
        ] {
            assert_eq!(reach.covers(&other), covers, "{reach:?} {other:?}");
        }
    }
}
