//! Wildcards of other systems, and what they are as a regex.

/// A piece of a wildcard pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Any run of characters, `/` among them, also an empty one.
    Across,
    /// Itself.
    Char(char),
    /// One character, `/` too.
    One,
    /// Any run of characters but `/`, also an empty one.
    Within,
}

/// Kyverno's wildcards: `*` and `?`, both crossing `/`.
pub(super) fn kyverno(text: &str) -> Vec<Token> {
    let token = |c| match c {
        '*' => Token::Across,
        '?' => Token::One,
        other => Token::Char(other),
    };
    squeezed(text.chars().map(token))
}

/// policy-controller's globs: `**` crosses `/`, `*` does not.
pub(super) fn policy_controller(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '*' if rest.starts_with("**") => (Token::Across, 2),
            '*' => (Token::Within, 1),
            other => (Token::Char(other), other.len_utf8()),
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    squeezed(tokens.into_iter())
}

/// Runs of stars are one star, the widest of them.
fn squeezed(tokens: impl Iterator<Item = Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for token in tokens {
        match (out.last_mut(), token) {
            (Some(last @ (Token::Across | Token::Within)), Token::Across) => *last = Token::Across,
            (Some(Token::Across | Token::Within), Token::Within) => {}
            _ => out.push(token),
        }
    }
    out
}

/// Alternatives of one glob, at most.
const MAX_ALTERNATIVES: usize = 64;

/// Globs as Kyverno's ImageValidatingPolicy compiles them, without separators: `*`, `**` and `?` cross `/`, `[ab]` and
/// `{a,b}` are active. Braces and classes are multiplied out.
///
/// # Errors
/// What of it has no such form.
pub(super) fn image_validating(text: &str) -> Result<Vec<Vec<Token>>, String> {
    let mut ways = vec![Vec::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (alternatives, behind) = match c {
            '[' => class(&rest[1..])?,
            '{' => {
                let (inner, behind) = rest[1..].split_once('}').ok_or("`{` without `}`")?;
                if inner.contains('{') {
                    return Err("braces within braces".into());
                }
                let alternatives: Result<Vec<_>, _> = inner.split(',').map(image_validating).collect();
                (alternatives?.concat(), behind)
            }
            '\\' => {
                let escaped = rest.chars().nth(1).ok_or("`\\` at the end")?;
                (vec![vec![Token::Char(escaped)]], &rest[1 + escaped.len_utf8()..])
            }
            '*' => (vec![vec![Token::Across]], &rest[1..]),
            '?' => (vec![vec![Token::One]], &rest[1..]),
            ']' | '}' => return Err(format!("`{c}` that closes nothing")),
            other => (vec![vec![Token::Char(other)]], &rest[other.len_utf8()..]),
        };
        ways = ways.iter().flat_map(|way| alternatives.iter().map(|one| [way.as_slice(), one].concat())).collect();
        if ways.len() > MAX_ALTERNATIVES {
            return Err(format!("more than {MAX_ALTERNATIVES} alternatives"));
        }
        rest = behind;
    }
    Ok(ways.into_iter().map(|way| squeezed(way.into_iter())).collect())
}

/// The characters of a class such as `[abc]` or `[a-c]`, after its `[`.
fn class(text: &str) -> Result<(Vec<Vec<Token>>, &str), String> {
    let (inner, behind) = text.split_once(']').ok_or("`[` without `]`")?;
    let members: Vec<char> = inner.chars().collect();
    let all: Vec<char> = match members.as_slice() {
        [] | ['!' | '^', ..] => return Err(format!("the class `[{inner}]`")),
        [from, '-', to] if from <= to => (*from..=*to).collect(),
        list if list.contains(&'-') || list.contains(&'\\') => return Err(format!("the class `[{inner}]`")),
        list => list.to_vec(),
    };
    if all.len() > MAX_ALTERNATIVES {
        return Err(format!("more than {MAX_ALTERNATIVES} alternatives"));
    }
    Ok((all.into_iter().map(|c| vec![Token::Char(c)]).collect(), behind))
}

/// Whether any of it is a wildcard.
pub(super) fn is_wild(tokens: &[Token]) -> bool {
    tokens.iter().any(|token| !matches!(token, Token::Char(_)))
}

/// The regex of the whole text, not anchored: our format does that.
pub(super) fn regex(tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Across => out.push_str("(?s:.*)"),
            Token::Char(c) => out.push_str(&regex_escape(*c)),
            Token::One => out.push_str("(?s:.)"),
            Token::Within => out.push_str("[^/]*"),
        }
    }
    out
}

/// The same as globs of our format, in which no star crosses a `/` but a segment `**`: a crossing star within a segment is
/// either a plain one, or the end of one segment, any number of others, and the beginning of another. `host`: the first
/// segment is a host, which is never `**`. `None`: it would be more than `most`.
pub(super) fn globs(tokens: &[Token], host: bool, most: usize) -> Option<Vec<String>> {
    let mut ways = vec![String::new()];
    let border = |token: Option<&Token>| matches!(token, None | Some(Token::Char('/')));
    let mut in_host = host;
    for (i, token) in tokens.iter().enumerate() {
        let left = i > 0 && !border(tokens.get(i - 1));
        let (end, right) = (i + 1 == tokens.len(), !border(tokens.get(i + 1)));
        let choices: &[&str] = match token {
            Token::Across if right && (left || in_host) => &["*", "*/**/*"],
            Token::Across if left && end => &["*", "*/**"],
            Token::Across if left || in_host => &["*/**"],
            Token::Across if right => &["**/*"],
            Token::Across if end => &["**"],
            Token::Across => &["*/**"],
            Token::One => &["?", "/"],
            Token::Within => &["*"],
            Token::Char(c) => {
                in_host &= *c != '/';
                ways.iter_mut().for_each(|way| way.push(*c));
                continue;
            }
        };
        ways = ways.iter().flat_map(|way| choices.iter().map(move |choice| format!("{way}{choice}"))).collect();
        if ways.len() > most {
            return None;
        }
    }
    Some(ways)
}

fn regex_escape(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::pattern::AnchoredRegex;

    /// Kyverno's matching, as its documentation has it, slow and plain.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_as_a_regex_matches_the_same(pattern in "[ab/.*?]{0,8}", text in "[ab/.]{0,8}") {
            prop_assume!(!pattern.is_empty());
            let regex = AnchoredRegex::new(&regex(&kyverno(&pattern))).unwrap();
            prop_assert_eq!(regex.matches(&text), reference(pattern.as_bytes(), text.as_bytes()), "{}", regex.as_str());
        }
    }

    #[test]
    fn classes_and_braces_are_multiplied_out() {
        let written = |text: &str| -> Vec<String> {
            let ways = image_validating(text).unwrap();
            ways.iter().map(|way| regex(way).replace("(?s:.*)", "*").replace("(?s:.)", "?")).collect()
        };
        assert_eq!(written("a[bc]{d,e*}"), ["abd", "abe*", "acd", "ace*"]);
        assert_eq!(written("[0-2]?**"), ["0?*", "1?*", "2?*"]);
        for wrong in ["[!a]", "[^a]", "[a-c0-9]", "{a,{b}}", "[", "{a", "a]", "a}", "[a-~]{0,1}[a-~]"] {
            assert!(image_validating(wrong).is_err(), "{wrong}");
        }
    }
}
