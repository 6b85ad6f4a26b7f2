//! Names of images as other systems match them → our patterns.
//!
//! The others compare a whole reference, with its tag or its digest; a policy here is about a repository, whatever
//! digest a tag means. So a pattern becomes the patterns of the repositories it can name, and what it says about tags
//! is told apart: naming too much makes a policy stricter, but an exclusion wider.

use super::wildcard::{self, Token};
use crate::policy::{
    image::ImagePattern,
    pattern::{AnchoredRegex, PatternError},
};

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
    /// Whether names that are told apart there are one here, so that ours name more: hosts in capitals or with `:443`, and
    /// what Docker Hub's images are called.
    pub(super) folds: bool,
}

/// Why a pattern has none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// It matches no image there either.
    Nothing(String),
    /// It matches some there, and they cannot be said here.
    Unsaid(String),
}

impl Unnamed {
    /// Of what is no pattern here. A character that no name holds names nothing, unless a tag can hold it.
    fn of(error: &PatternError, fit: Fit) -> Self {
        match error {
            PatternError::Empty | PatternError::Host(_) | PatternError::NoHost(_) => Self::Nothing(error.to_string()),
            PatternError::Repository(_) if fit != Fit::Less => Self::Nothing(error.to_string()),
            _ => Self::Unsaid(error.to_string()),
        }
    }
}

/// How images, and those of Docker Hub above all, are called when patterns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hub {
    /// As somebody wrote them: `nginx` and `docker.io/nginx` are two names, and neither has to have a tag.
    AsWritten,
    /// As Kyverno's `verifyImages` has them: `docker.io/nginx:latest`, `library/` only where somebody wrote it.
    Kyverno,
    /// As policy-controller has them: `index.docker.io/library/nginx`.
    PolicyController,
}

/// Patterns made of one, at most.
const MAX_PATTERNS: usize = 64;
/// What is more than itself in a pattern of ours.
pub(super) const SIGNS: [char; 6] = ['*', '?', '{', '}', '[', ']'];

/// The repositories that `tokens`, a pattern over whole references, names.
///
/// # Errors
/// Why it names none that can be said.
pub(super) fn named(tokens: &[Token], hub: Hub) -> Result<Named, Unnamed> {
    if let Some(Token::Char(c)) = tokens.iter().find(|token| matches!(token, Token::Char(c) if SIGNS.contains(c))) {
        return Err(Unnamed::Nothing(format!("`{c}` stands for itself there, and is in no image's name")));
    }
    let (name, fit) = repository(tokens, hub)?;
    let mut ways: Vec<String> = segments(&name)?.iter().flat_map(|text| hosts(text, hub)).collect();
    if !tokens.contains(&Token::Char('/')) && tokens.get(name.len()) == Some(&Token::Char(':')) {
        // `localhost:5*` is the beginning of a host with its port, too.
        ways.extend(segments(tokens)?.iter().flat_map(|text| hosts(text, hub)));
    }
    if hub == Hub::AsWritten {
        ways.extend(short(&name)?);
    }
    let mut patterns = Vec::new();
    let mut folds = hub == Hub::AsWritten && needs_registry(tokens);
    let mut why = String::from("it names no repository of a registry");
    for way in ways {
        match ImagePattern::new(&way) {
            Ok(pattern) => {
                folds |= is_respelled(&way, &pattern, tokens, hub);
                add(&mut patterns, pattern.as_str());
            }
            Err(error) => match Unnamed::of(&error, fit) {
                Unnamed::Nothing(reason) => why = reason,
                unsaid @ Unnamed::Unsaid(_) => return Err(unsaid),
            },
        }
    }
    if patterns.is_empty() {
        return Err(Unnamed::Nothing(why));
    }
    Ok(Named { patterns, fit, folds })
}

/// Whether `pattern`, made of `way`, is met by other spellings of a name than there.
fn is_respelled(way: &str, pattern: &ImagePattern, tokens: &[Token], hub: Hub) -> bool {
    match hub {
        // What Docker Hub is called there.
        Hub::PolicyController if host(way) == "index.docker.io" => false,
        // A star at the beginning takes whatever is written before a name.
        Hub::AsWritten if tokens.first() != Some(&Token::Across) && is_hub(pattern) => true,
        Hub::AsWritten | Hub::Kyverno | Hub::PolicyController => host(way) != host(pattern.as_str()),
    }
}

/// The host that a pattern begins with.
pub(super) fn host(pattern: &str) -> &str {
    pattern.split('/').next().unwrap_or_default()
}

fn is_hub(pattern: &ImagePattern) -> bool {
    "docker.io".parse().is_ok_and(|host| pattern.names_host(&host))
}

/// Whether a pattern that begins with a star needs some of what the short name of an image of Docker Hub leaves out.
fn needs_registry(tokens: &[Token]) -> bool {
    let Some((Token::Across, rest)) = tokens.split_first() else { return false };
    let literal: String = rest.iter().map_while(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect();
    let left_out = ["docker.io/", "docker.io/library/"];
    let mut ends = left_out.iter().flat_map(|whole| whole.char_indices().map(|(at, _)| &whole[at..]));
    !rest.is_empty() && ends.any(|end| end.starts_with(&literal) || literal.starts_with(end))
}

fn add(patterns: &mut Vec<String>, pattern: &str) {
    if !patterns.iter().any(|other| other == pattern) {
        patterns.push(pattern.to_owned());
    }
}

/// Takes the part about tag or digest off.
fn repository(tokens: &[Token], hub: Hub) -> Result<(Vec<Token>, Fit), Unnamed> {
    let slash = tokens.iter().rposition(|token| *token == Token::Char('/')).map_or(0, |at| at + 1);
    let separator = tokens[slash..].iter().position(|token| matches!(token, Token::Char(':' | '@')));
    let star = |token: Option<&Token>| matches!(token, Some(Token::Across | Token::Within));
    if let Some(at) = separator {
        let (name, tail) = tokens.split_at(slash + at);
        // `app*:*` takes `app@sha256:…` too: its first star the `@sha256`.
        let whole = star(name.last()) && tail[0] == Token::Char(':') && tail.len() == 2 && star(tail.last());
        if !whole && takes_algorithm(name) {
            let why = "its `:` can stand before a tag or within a digest, which cannot be said here";
            return Err(Unnamed::Unsaid(why.into()));
        }
        let fit = match reach(name) {
            // One that is written without a tag is not among them.
            Fit::Exact if hub == Hub::AsWritten => Fit::More,
            fit => fit,
        };
        return Ok((name.to_vec(), if whole { fit } else { Fit::More }));
    }
    if star(tokens.last()) {
        return Ok((tokens.to_vec(), reach(tokens)));
    }
    // Where a reference ends in a tag or a digest, this can only be met where the last literal is within it.
    let last_star = tokens.iter().rposition(|token| star(Some(token))).filter(|at| *at >= slash);
    if tokens[slash..last_star.unwrap_or(tokens.len())].contains(&Token::One) {
        return Err(Unnamed::Unsaid("its `?` can stand before a tag or within one, which cannot be said here".into()));
    }
    match (last_star, hub) {
        (Some(at), _) => Ok((tokens[..=at].to_vec(), Fit::More)),
        (None, Hub::AsWritten) => Ok((tokens.to_vec(), Fit::More)),
        (None, Hub::Kyverno | Hub::PolicyController) => Err(Unnamed::Nothing(
            "every reference it is compared with ends in a tag or a digest, so it matches none; write `:*` or `*` behind it"
                .into(),
        )),
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

/// Whether a wildcard in the last segment of `name`, before a `:`, can take a digest's algorithm or its `@`, and what follows
/// it the rest.
fn takes_algorithm(name: &[Token]) -> bool {
    let slash = name.iter().rposition(|token| *token == Token::Char('/')).map_or(0, |at| at + 1);
    let wild = (slash..name.len()).filter(|at| !matches!(name[*at], Token::Char(_)));
    wild.filter(|at| at + 1 < name.len()).any(|at| {
        let rest = wildcard::regex(&name[at + 1..]);
        let Ok(rest) = AnchoredRegex::new(&rest) else { return true };
        let most = |algorithm: &str| if name[at] == Token::One { 2 } else { algorithm.len() };
        ["@sha256", "@sha512"].iter().any(|algorithm| (1..most(algorithm)).any(|from| rest.matches(&algorithm[from..])))
    })
}

/// The pattern as ours, over host and repository.
fn segments(tokens: &[Token]) -> Result<Vec<String>, Unnamed> {
    let mut ways = globs(tokens, true)?;
    // What has no `/` names a host, and no image; what has an empty segment, or a port behind the first, names nothing.
    ways.retain(|way| {
        way.split_once('/').is_some_and(|(_, path)| !path.contains([':', '@'])) && !way.split('/').any(str::is_empty)
    });
    Ok(ways)
}

fn globs(tokens: &[Token], host: bool) -> Result<Vec<String>, Unnamed> {
    wildcard::globs(tokens, host, MAX_PATTERNS)
        .ok_or_else(|| Unnamed::Unsaid(format!("it would be more than {MAX_PATTERNS} patterns")))
}

/// The images of Docker Hub that the pattern names by their short names, `acme/app` or `nginx`.
fn short(tokens: &[Token]) -> Result<Vec<String>, Unnamed> {
    // What a star takes it also takes of the whole name.
    if tokens.first() == Some(&Token::Across) {
        return Ok(Vec::new());
    }
    let mut ways = globs(tokens, false)?;
    ways.retain(|way| {
        let first = way.split('/').next().unwrap_or_default();
        (!is_host(first) || first == "*") && !way.contains([':', '@']) && !way.split('/').any(str::is_empty)
    });
    Ok(ways.iter().map(|way| format!("docker.io/{way}")).collect())
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
    if hub != Hub::PolicyController && host != "docker.io" && one_segment && matches(host, "docker.io") {
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

    fn kyverno(text: &str) -> Result<Named, Unnamed> {
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
            // Behind the first segment a `:` is no port, and no tag either.
            ("*:5000/app*", &["*:5000/app*", "*:5000/app*/**"], Fit::Exact),
            // A host with its port, and whatever is there.
            ("localhost:5*", &["localhost:5*/**"], Fit::More),
        ] {
            let named = kyverno(theirs).unwrap();
            assert_eq!(
                (named.patterns.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), named.fit),
                (ours, fit),
                "{theirs}"
            );
        }
        for nothing in [
            "ghcr.io/acme/app",
            "acme/app*",
            "ghcr.io",
            "ghcr.io/Acme/*",
            "ghcr.io/{a,b}/*",
            "ghcr.io/a[b]*",
            "a_b.io/*",
            "ghcr.io//*",
        ] {
            assert!(matches!(kyverno(nothing), Err(Unnamed::Nothing(_))), "{nothing}: {:?}", kyverno(nothing));
        }
        let many = "ghcr.io/a*b*c*d*e*f*g*h*";
        for unsaid in ["ghcr.io/*A*", "*.docker.io/x*", "ghcr.io/app??", "ghcr.io/a?*b", "ghcr.io/a*sha256:*x", many] {
            assert!(matches!(kyverno(unsaid), Err(Unnamed::Unsaid(_))), "{unsaid}: {:?}", kyverno(unsaid));
        }
        for (folding, folds) in [
            ("index.docker.io/acme/*", true),
            ("registry-1.docker.io/acme/*", true),
            ("GHCR.IO/acme/*", true),
            ("ghcr.io:443/acme/*", true),
            ("*.IO/acme/*", true),
            ("docker.io/acme/*", false),
            ("ghcr.io:5000/acme/*", false),
            ("*", false),
        ] {
            assert_eq!(kyverno(folding).unwrap().folds, folds, "{folding}");
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

    #[test]
    fn a_name_as_it_is_written_may_leave_out_the_registry_and_the_tag() {
        for (theirs, ours, fit, folds) in [
            ("ghcr.io/acme/app", &["ghcr.io/acme/app"][..], Fit::More, false),
            ("ghcr.io/*/app", &["ghcr.io/*/**/app"], Fit::More, false),
            ("ghcr.io/acme/*", &["ghcr.io/acme/**"], Fit::Exact, false),
            ("ghcr.io/acme/app*:*", &["ghcr.io/acme/app*", "ghcr.io/acme/app*/**"], Fit::More, false),
            ("nginx", &["docker.io/library/nginx"], Fit::More, true),
            ("nginx:1.*", &["nginx:1.*/**", "docker.io/library/nginx"], Fit::More, true),
            ("nginx*", &["nginx*.*/**", "nginx*:*/**", "docker.io/library/nginx*", "docker.io/nginx*/**"], Fit::Exact, true),
            ("acme/*", &["docker.io/acme/**"], Fit::Exact, true),
            ("docker.io/acme/*", &["docker.io/acme/**"], Fit::Exact, true),
            ("index.docker.io/acme/*", &["docker.io/acme/**"], Fit::Exact, true),
            ("*", &["*/**"], Fit::Exact, false),
            ("*.acme.test/*", &["*.acme.test/**", "*/**/*.acme.test/**"], Fit::Exact, false),
            ("*/nginx*", &["*/**/nginx*", "*/**/nginx*/**"], Fit::Exact, true),
            ("GHCR.IO/acme/*", &["ghcr.io/acme/**"], Fit::Exact, true),
        ] {
            let named = named(&wildcard::kyverno(theirs), Hub::AsWritten).unwrap();
            let patterns: Vec<_> = named.patterns.iter().map(String::as_str).collect();
            assert_eq!((patterns.as_slice(), named.fit, named.folds), (ours, fit, folds), "{theirs}");
        }
        for (theirs, nothing) in [("localhost", true), ("ghcr.io", true), ("Acme/*", true), ("nginx?", false), ("in*", false)] {
            let found = named(&wildcard::kyverno(theirs), Hub::AsWritten);
            assert!(matches!(&found, Err(error) if matches!(error, Unnamed::Nothing(_)) == nothing), "{theirs}: {found:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// Whatever somebody may call an image, it is named by ours if that is matched by theirs.
        #[test]
        fn ours_name_the_images_that_theirs_name_as_they_are_written(
            theirs in "(ab?\\.c|docker\\.io|\\*|a\\*|\\?b\\.c|a|library)(/[ab*?]{1,3}){0,2}(\\*|/\\*|:\\*|\\*:\\*|:z\\*)?",
            host in prop::sample::select(vec!["a.c", "ab.c", "localhost", "b.c:1", "docker.io", "a:1"]),
            path in prop::collection::vec("[ab]{1,2}", 1..4),
        ) {
            let tokens = wildcard::kyverno(&theirs);
            let Ok(Named { patterns, fit, folds }) = named(&tokens, Hub::AsWritten) else { return Ok(()) };
            let image = match host {
                "docker.io" if path.len() == 1 => format!("docker.io/library/{}", path[0]),
                _ => format!("{host}/{}", path.join("/")),
            };
            let mut spellings = vec![image.clone()];
            if let Some(short) = image.strip_prefix("docker.io/") {
                spellings.extend([short.to_owned(), format!("index.docker.io/{short}")]);
                let shorter = short.strip_prefix("library/").filter(|name| !name.contains('/'));
                spellings.extend(shorter.iter().flat_map(|name| [(*name).to_owned(), format!("docker.io/{name}")]));
            }
            let regex = AnchoredRegex::new(&wildcard::regex(&tokens)).unwrap();
            let digest = format!("@sha256:{}", "0".repeat(64));
            let written = |ends: &[&str]| -> Vec<bool> {
                spellings.iter().flat_map(|name| ends.iter().map(move |end| format!("{name}{end}"))).map(|name| regex.matches(&name)).collect()
            };
            let all = written(&["", ":zz", &digest]);
            let (host, repository) = image.split_once('/').unwrap();
            let image = ImageName::new(host.parse().unwrap(), repository.parse().unwrap());
            let ours = patterns.iter().any(|pattern| ImagePattern::new(pattern).unwrap().matches(&image));
            let any = all.contains(&true);
            if fit != Fit::Less {
                prop_assert!(ours || !any, "{} {} {:?}", theirs, image, patterns);
            }
            if fit == Fit::Exact && !folds {
                prop_assert!(!ours || !all.contains(&false), "{} {} {:?}", theirs, image, patterns);
            }
        }

        /// An image is named by ours if and only if some reference of it is named by theirs, where the fit says so.
        #[test]
        fn ours_name_the_images_theirs_name(
            theirs in "(ab?\\.c|\\*|a\\*|\\?b.c)(/[ab*?]{1,3}){0,2}(\\*|/\\*|:\\*|\\*:\\*)?",
            host in prop::sample::select(vec!["a.c", "ab.c", "aab.c", "localhost", "b.c:1"]),
            path in prop::collection::vec("[ab]{1,2}", 1..4),
        ) {
            let tokens = wildcard::kyverno(&theirs);
            let Ok(Named { patterns, fit, .. }) = named(&tokens, Hub::Kyverno) else { return Ok(()) };
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
