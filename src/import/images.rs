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
mod tests;
