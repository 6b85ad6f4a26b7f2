//! Go's regular expressions, which the others match anywhere in a text → ours, which match all of it.

use regex_syntax::hir::Look;

use super::draft::Text;
use crate::policy::pattern::AnchoredRegex;

/// One of theirs in our format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) text: Text,
    /// It was not anchored at both ends (I01).
    pub(super) unanchored: bool,
    /// Its host part has a dot that stands for any character (I02).
    pub(super) loose_host: bool,
}

/// `go` as a regex that matches the whole text if and only if `go` matches somewhere in it.
///
/// # Errors
/// What of it cannot be said in ours.
pub(super) fn translate(go: &str) -> Result<Translated, String> {
    let ours = syntax(go)?;
    let hir = regex_syntax::parse(&ours).map_err(|_| "is no regular expression that can be read here".to_owned())?;
    let properties = hir.properties();
    let anchored = properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End);
    let text = if anchored { ours } else { format!("(?:.*)(?:{ours})(?:.*)") };
    AnchoredRegex::new(&text).map_err(|error| error.to_string())?;
    Ok(Translated { text: Text::Regex(text), unanchored: !anchored, loose_host: loose_host(go) })
}

/// Go's syntax in that of the `regex` crate: there `\d`, `\s`, `\w` and `\b` are ASCII, and a class holds no classes.
fn syntax(go: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = go.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().ok_or("ends in `\\`")?;
                match (escaped, in_class) {
                    ('d', true) => out.push_str("0-9"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('s', true) => out.push_str(r"\t\n\f\r "),
                    ('d', false) => out.push_str("[0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('s', false) => out.push_str(r"[\t\n\f\r ]"),
                    ('D', _) => out.push_str("[^0-9]"),
                    ('W', _) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', _) => out.push_str(r"[^\t\n\f\r ]"),
                    ('b', false) => out.push_str(r"(?-u:\b)"),
                    ('B' | 'C' | 'Q' | 'E', _) => return Err(format!("has `\\{escaped}`, which cannot be said here")),
                    _ => out.extend(['\\', escaped]),
                }
            }
            '[' if in_class && chars.peek() == Some(&':') => {
                // `[:alpha:]`, to its own end.
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                // A `]` right behind the opening is itself.
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str(r"\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && chars.peek() == Some(&'-') => return Err("has `--` in a class, which cannot be said here".into()),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Whether the host of a URL in the regex has a bare dot. A dot with a quantifier is a wildcard its writer meant.
fn loose_host(go: &str) -> bool {
    let text = go.trim_start_matches("(?i)").trim_start_matches('^');
    let Some((_, rest)) = text.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    let bytes = host.as_bytes();
    (0..bytes.len()).any(|i| {
        bytes[i] == b'.' && (i == 0 || bytes[i - 1] != b'\\') && !matches!(bytes.get(i + 1), Some(b'*' | b'+' | b'?' | b'{'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(go: &str) -> AnchoredRegex {
        let Text::Regex(text) = translate(go).unwrap().text else { panic!() };
        AnchoredRegex::new(&text).unwrap()
    }

    #[test]
    fn i01_an_unanchored_regex_still_matches_anywhere() {
        let found = translate("https://github.com/acme").unwrap();
        assert_eq!(found.text, Text::Regex("(?:.*)(?:https://github.com/acme)(?:.*)".into()));
        assert!(found.unanchored && found.loose_host);
        assert!(ours("https://github.com/acme").matches("https://github.com/acme-evil/app"));
        for (go, unanchored) in [
            (r"^https://github\.com/acme/.*$", false),
            (r"^a$|^b$", false),
            (r"^a|b$", true),
            (r"^https://github\.com/acme/", true),
            (r"acme$", true),
            ("(?i)^a$", false),
            ("(?m)^a$", true),
        ] {
            assert_eq!(translate(go).unwrap().unanchored, unanchored, "{go}");
        }
        assert!(ours("^a|b$").matches("ax") && ours("^a|b$").matches("xb") && !ours("^a|b$").matches("xax"));
        assert!(ours("(?i)acme").matches("xACMEx"));
    }

    #[test]
    fn i02_a_bare_dot_in_the_host_is_seen() {
        for (go, loose) in [
            (r"^https://github.com/acme/", true),
            (r"^https://github\.com/acme/.*", false),
            (r"https://token\.actions\.githubusercontent.+", false),
            (r"https://.*\.acme\.test/", false),
            (r".*@acme.test", false),
        ] {
            assert_eq!(translate(go).unwrap().loose_host, loose, "{go}");
        }
    }

    #[test]
    fn classes_mean_what_they_mean_in_go() {
        // U+0663 is a digit to Unicode, and none to Go.
        assert!(ours(r"^\d+$").matches("12") && !ours(r"^\d+$").matches("\u{663}"));
        assert!(ours(r"^[\d.]+$").matches("1.2") && !ours(r"^[\d.]+$").matches("\u{663}"));
        assert!(ours(r"^[^\w]$").matches("é") && ours(r"^\W$").matches("é") && ours(r"^[\W]$").matches("é"));
        assert!(ours(r"^\w\b$").matches("a"));
        assert!(ours("^[a&&b]+$").matches("a&b") && ours("^[[a]+$").matches("[a") && ours("^[]a]+$").matches("]a"));
        assert!(ours("^[[:alpha:]]+$").matches("ab") && !ours("^[[:alpha:]]+$").matches("a1"));
        assert!(ours("^[[:alpha:]-]+$").matches("a-b"));
        for wrong in [r"\Qa.b\E", r"\C", r"\B", "[a--b]", "(", r"\"] {
            assert!(translate(wrong).is_err(), "{wrong}");
        }
    }
}
