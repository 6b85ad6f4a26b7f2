//! Names of images as other systems match them → our patterns.
//!
//! The others compare a whole reference, with its tag or its digest; a policy here is about a repository, whatever
//! digest a tag means. So a pattern becomes the patterns of the repositories it can name, and what it says about tags
//! is told apart: naming too much makes a policy stricter, but an exclusion wider.

use super::wildcard::{self, Token};
use crate::policy::{image::ImagePattern, pattern::AnchoredRegex};

/// How the repositories named here differ from the references named there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Not at all.
    Exact,
    /// There, an image whose *tag* reads like the pattern is named too.
    Less,
    /// There, only some references of these repositories are named.
    More,
}

/// Our patterns for one of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) patterns: Vec<String>,
    pub(super) fit: Fit,
}

/// How Docker Hub's images are called when patterns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hub {
    /// As Kyverno has them: `docker.io/nginx`, `library/` only where somebody wrote it.
    Kyverno,
    /// As policy-controller has them: `index.docker.io/library/nginx`.
    PolicyController,
}

/// Patterns made of one, at most.
const MAX_PATTERNS: usize = 64;

/// The repositories that `tokens`, a pattern over whole references, names.
///
/// # Errors
/// Why it names none that can be said.
pub(super) fn named(tokens: &[Token], hub: Hub) -> Result<Named, String> {
    let (name, fit) = repository(tokens)?;
    let mut patterns = Vec::new();
    for text in segments(&name)? {
        for pattern in hosts(&text, hub) {
            match ImagePattern::new(&pattern) {
                Ok(pattern) => add(&mut patterns, pattern.as_str()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    if patterns.is_empty() {
        return Err("it names no repository of a registry".into());
    }
    Ok(Named { patterns, fit })
}

fn add(patterns: &mut Vec<String>, pattern: &str) {
    if !patterns.iter().any(|other| other == pattern) {
        patterns.push(pattern.to_owned());
    }
}

/// Takes the part about tag or digest off.
fn repository(tokens: &[Token]) -> Result<(Vec<Token>, Fit), String> {
    let slash = tokens.iter().rposition(|token| *token == Token::Char('/')).map_or(0, |at| at + 1);
    let separator = tokens[slash..].iter().position(|token| matches!(token, Token::Char(':' | '@')));
    let star = |token: Option<&Token>| matches!(token, Some(Token::Across | Token::Within));
    if let Some(at) = separator {
        let (name, tail) = tokens.split_at(slash + at);
        // `app*:*` takes `app@sha256:…` too: its first star the `@sha256`.
        let whole = star(name.last()) && tail[0] == Token::Char(':') && tail.len() == 2 && star(tail.last());
        if !whole && takes_algorithm(name) {
            return Err("its `:` can stand before a tag or within a digest, which cannot be said here".into());
        }
        return Ok((name.to_vec(), if whole { reach(name) } else { Fit::More }));
    }
    if star(tokens.last()) {
        return Ok((tokens.to_vec(), reach(tokens)));
    }
    // Every reference ends in a tag or a digest, so this can only be met where the last literal is within it.
    let last_star = tokens.iter().rposition(|token| star(Some(token)));
    match last_star {
        Some(at) if !tokens[at..].contains(&Token::Char('/')) => Ok((tokens[..=at].to_vec(), Fit::More)),
        _ => {
            Err("every reference it is compared with ends in a tag or a digest, so it matches none; write `:*` or `*` behind it"
                .into())
        }
    }
}

/// Whether what stands behind a star can also be met by a tag or a digest: neither holds a `/`, so only what comes behind
/// the last one can.
fn reach(tokens: &[Token]) -> Fit {
    let slash = tokens.iter().rposition(|token| *token == Token::Char('/')).map_or(0, |at| at + 1);
    let mut behind_star = false;
    let mut literal = false;
    for token in &tokens[slash..] {
        match token {
            Token::Across | Token::Within if behind_star && literal => return Fit::Less,
            Token::Across | Token::Within => (behind_star, literal) = (true, false),
            // One character may be the `:` before a tag.
            Token::One => return Fit::Less,
            Token::Char(_) => literal = true,
        }
    }
    Fit::Exact
}

/// Whether a star in the last segment of `name`, before a `:`, can take a digest's algorithm, and what follows it the rest.
fn takes_algorithm(name: &[Token]) -> bool {
    let slash = name.iter().rposition(|token| *token == Token::Char('/')).map_or(0, |at| at + 1);
    let stars = (slash..name.len()).filter(|at| matches!(name[*at], Token::Across | Token::Within));
    stars.filter(|at| at + 1 < name.len()).any(|at| {
        let rest = wildcard::regex(&name[at + 1..]);
        let Ok(rest) = AnchoredRegex::new(&rest) else { return true };
        ["@sha256", "@sha512"].iter().any(|algorithm| (0..algorithm.len()).any(|from| rest.matches(&algorithm[from..])))
    })
}

/// The pattern as ours, over host and repository.
fn segments(tokens: &[Token]) -> Result<Vec<String>, String> {
    let mut ways = wildcard::globs(tokens, true, MAX_PATTERNS).ok_or(format!("it would be more than {MAX_PATTERNS} patterns"))?;
    // What has no `/` names a host, and no image; what has an empty segment names nothing.
    ways.retain(|way| way.contains('/') && !way.split('/').any(str::is_empty));
    Ok(ways)
}

/// The pattern with each host it can mean, and Docker Hub's names as ours are.
fn hosts(text: &str, hub: Hub) -> Vec<String> {
    let Some((host, rest)) = text.split_once('/') else { return Vec::new() };
    let mut out = Vec::new();
    if is_host(host) {
        out.push(text.to_owned());
    } else if host.contains(['*', '?']) {
        // A host has a dot or a port, or is `localhost`; where none is written a wildcard has it.
        for (at, wild) in host.match_indices(['*', '?']) {
            let (before, behind) = (&host[..at], &host[at + 1..]);
            if wild == "*" {
                out.push(format!("{before}*.*{behind}/{rest}"));
                if behind.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '?')) {
                    out.push(format!("{before}*:*{behind}/{rest}"));
                }
            } else {
                out.push(format!("{before}.{behind}/{rest}"));
            }
        }
        if matches(host, "localhost") {
            out.push(format!("localhost/{rest}"));
        }
    }
    // There, `docker.io/nginx` has two segments and a wildcard for its host meets it; here it is `library/nginx`.
    let one_segment = !rest.contains('/') && rest != "**";
    if hub == Hub::Kyverno && host != "docker.io" && one_segment && matches(host, "docker.io") {
        out.push(format!("docker.io/{rest}"));
    }
    out
}

fn is_host(text: &str) -> bool {
    text == "*" || text == "localhost" || text.contains(['.', ':'])
}

fn matches(pattern: &str, text: &str) -> bool {
    let tokens = wildcard::kyverno(pattern);
    AnchoredRegex::new(&wildcard::regex(&tokens)).is_ok_and(|regex| regex.matches(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::ImageName;

    fn kyverno(text: &str) -> Result<Named, String> {
        named(&wildcard::kyverno(text), Hub::Kyverno)
    }

    #[test]
    fn a_star_that_crosses_slashes_is_said_in_ours() {
        for (theirs, ours, fit) in [
            ("ghcr.io/acme/*", &["ghcr.io/acme/**"][..], Fit::Exact),
            ("ghcr.io/acme*", &["ghcr.io/acme*", "ghcr.io/acme*/**"], Fit::Exact),
            ("ghcr.io/*", &["ghcr.io/**"], Fit::Exact),
            ("*", &["*/**"], Fit::Exact),
            ("ghcr.io/*/app*", &["ghcr.io/*/**/app*", "ghcr.io/*/**/app*/**"], Fit::Exact),
            ("*/app:*", &["*/**/app"], Fit::More),
            (
                "*.io/app*",
                &["*.io/app*", "docker.io/library/app*", "*.io/app*/**", "*/**/*.io/app*", "*/**/*.io/app*/**"],
                Fit::Exact,
            ),
            ("ghcr.io/team-?/*", &["ghcr.io/team-?/**"], Fit::Exact),
            ("ghcr.io/acme/app:*", &["ghcr.io/acme/app"], Fit::More),
            ("ghcr.io/acme/app*:*", &["ghcr.io/acme/app*", "ghcr.io/acme/app*/**"], Fit::Exact),
            ("ghcr.io/acme/app:v1?", &["ghcr.io/acme/app"], Fit::More),
            ("ghcr.io/acme/app@sha256:*", &["ghcr.io/acme/app"], Fit::More),
            ("ghcr.io/a*b*", &["ghcr.io/a*b*", "ghcr.io/a*b*/**", "ghcr.io/a*/**/*b*", "ghcr.io/a*/**/*b*/**"], Fit::Less),
            ("*.acme.test/*", &["*.acme.test/**", "*/**/*.acme.test/**"], Fit::Exact),
            ("docker.io/*", &["docker.io/**"], Fit::Exact),
            ("docker.io/nginx*", &["docker.io/library/nginx*", "docker.io/nginx*/**"], Fit::Exact),
            ("localhost:5000/app*", &["localhost:5000/app*", "localhost:5000/app*/**"], Fit::Exact),
        ] {
            let named = kyverno(theirs).unwrap();
            assert_eq!(
                (named.patterns.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), named.fit),
                (ours, fit),
                "{theirs}"
            );
        }
        for nothing in ["ghcr.io/acme/app", "acme/app*", "ghcr.io", "ghcr.io/Acme/*"] {
            assert!(kyverno(nothing).is_err(), "{nothing}: {:?}", kyverno(nothing));
        }
        let controller = |text: &str| named(&wildcard::policy_controller(text), Hub::PolicyController).unwrap().patterns;
        assert_eq!(controller("ghcr.io/acme/*"), ["ghcr.io/acme/*"]);
        assert_eq!(controller("ghcr.io/acme/**"), ["ghcr.io/acme/**"]);
        assert_eq!(
            controller("ghcr.io/sigstore/timestamp-server**"),
            ["ghcr.io/sigstore/timestamp-server*", "ghcr.io/sigstore/timestamp-server*/**"]
        );
        assert_eq!(controller("index.docker.io/library/*"), ["docker.io/library/*"]);
        assert!(controller("**demo**").contains(&"*/**/*demo*/**".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// An image is named by ours if and only if some reference of it is named by theirs, where the fit says so.
        #[test]
        fn ours_name_the_images_theirs_name(
            theirs in "(ab?\\.c|\\*|a\\*|\\?b.c)(/[ab*?]{1,3}){0,2}(\\*|/\\*|:\\*|\\*:\\*)?",
            host in prop::sample::select(vec!["a.c", "ab.c", "aab.c", "localhost", "b.c:1"]),
            path in prop::collection::vec("[ab]{1,2}", 1..4),
        ) {
            let tokens = wildcard::kyverno(&theirs);
            let Ok(Named { patterns, fit }) = named(&tokens, Hub::Kyverno) else { return Ok(()) };
            let name = format!("{host}/{}", path.join("/"));
            let regex = AnchoredRegex::new(&wildcard::regex(&tokens)).unwrap();
            let digest = format!("{name}@sha256:{}", "0".repeat(64));
            let (all, any) = {
                let tagged = regex.matches(&format!("{name}:zz"));
                (tagged && regex.matches(&digest), tagged || regex.matches(&digest))
            };
            let image = ImageName::new(host.parse().unwrap(), path.join("/").parse().unwrap());
            let ours = patterns.iter().any(|pattern| ImagePattern::new(pattern).unwrap().matches(&image));
            match fit {
                Fit::Exact => prop_assert!(ours == all && ours == any, "{} {} {:?}", theirs, name, patterns),
                Fit::Less => prop_assert!(!ours || any, "{} {} {:?}", theirs, name, patterns),
                Fit::More => prop_assert!(ours || !any, "{} {} {:?}", theirs, name, patterns),
            }
        }
    }
}
