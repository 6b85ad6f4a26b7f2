//! Go's regular expressions, which the others match anywhere in a text → ours, which match all of it.

use regex_syntax::hir::Look;

use super::{draft::Text, go_syntax};
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
    let (ours, hir) = go_syntax::translate(go)?;
    let properties = hir.properties();
    let anchored = properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End);
    let loose_host = loose_host(&ours);
    let text = if anchored { ours } else { format!("(?:.*)(?:{ours})(?:.*)") };
    AnchoredRegex::new(&text).map_err(|error| error.to_string())?;
    Ok(Translated { text: Text::Regex(text), unanchored: !anchored, loose_host })
}

/// Whether the host of a URL in the regex has a bare dot. A dot with a quantifier is a wildcard its writer meant.
fn loose_host(ours: &str) -> bool {
    let text = ours.trim_start_matches("(?i)").trim_start_matches('^');
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
            (r"^\Qhttps://github.com/acme/app/\E.*$", false),
            (r"^\Qhttps://\Egithub.com/acme/app/.*$", true),
            (r"^https:\/\/github.com\/acme\/", true),
            (r"^https:\/\/github\.com\/acme\/app/a.b", false),
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
    }

    /// Each as Go 1.26 answers (`regexp.MatchString`), of the texts it matches and of those it does not.
    #[test]
    fn what_both_would_read_differently_is_read_as_go_does() {
        for (go, yes, no) in [
            // A border of words to us, a letter to Go: `https://x…` was met.
            (r"^https://\<x.*$", &["https://<x/y"][..], &["https://x/y", "https://github.com/acme/app"][..]),
            (r"^a\>$", &["a>"], &["a"]),
            (r"^\b{start}a$", &[], &["a", "{start}a"]),
            (r"^a\b{start}$", &["a{start}"], &["a"]),
            // Operators of sets to us.
            (r"^[a&&b]$", &["a", "b", "&"], &["c"]),
            (r"^[a-c&&b-d]$", &["a", "d", "&"], &["e"]),
            (r"^[a~~b]$", &["a", "~"], &["c"]),
            (r"^[+--]$", &["+", ",", "-"], &["."]),
            (r"^[a-]$", &["a", "-"], &["b"]),
            (r"^[-a]$", &["a", "-"], &["b"]),
            (r"^[\d-z]$", &["5", "-", "z"], &["y"]),
            // A `[` in brackets is itself, and the first `]` is too.
            (r"^[[a]b]$", &["[b]", "ab]"], &["b", "a"]),
            (r"^[]a]$", &["]", "a"], &["b"]),
            (r"^[^]a]$", &["b"], &["]", "a"]),
            (r"^[[:^digit:]x]$", &["a"], &["1"]),
            (r"^[\]\[\-\^]+$", &["][-^"], &["\\"]),
            // Octal and hexadecimal.
            (r"^\101\x41\x{41}\060$", &["AAA0"], &["a"]),
            (r"^\0$", &["\0"], &["0"]),
            (r"^[\101-\103]$", &["B"], &["D"]),
            // What is no repetition is itself.
            (r"^a{,2}$", &["a{,2}"], &["", "a", "aa"]),
            (r"^a{01}$", &["a{01}"], &["a"]),
            (r"^a{x}{$", &["a{x}{"], &["a"]),
            (r"^a{2}b{1,}c{0,1}$", &["aab", "aabbc"], &["ab"]),
            // ASCII in Go, Unicode's to us.
            (r"^\d\w\s$", &["1a "], &["\u{663}a ", "1é ", "1a\u{a0}"]),
            (r"^\D\W\S$", &["é é"], &["1 a"]),
            (r"^[\w.]\b$", &["a"], &["é", "."]),
            (r"^.$", &["é"], &["\n", "ab"]),
            (r"^\pL\p{Nd}\P{L}[^\PL]$", &["é11é"], &["1111"]),
            (r"^\p{^L}$", &["1"], &["a"]),
            // Letters fold beyond ASCII in both.
            (r"(?i)^k$", &["K", "\u{212a}"], &["c"]),
            (r"(?i)^[^k]$", &["c"], &["K", "\u{212a}"]),
            (r"(?i)^\w$", &["\u{17f}"], &["é"]),
            (r"^a(?i)b|c$", &["aB", "xC"], &["AB"]),
            // Quoted text, to its end or to that of the regex.
            (r"^\Qa.b\E*$", &["a.", "a.bb"], &["axb"]),
            (r"^\Q[x](", &["[x](y"], &["x"]),
            (r"^(?P<n>a)(?<m>b)(?:c)(?i-s:D)$", &["abcd"], &["ABCD"]),
            (r"^a\z", &["a"], &["ab"]),
            (r"\Aa\.b\_\-\/$", &["a.b_-/"], &["axb_-/"]),
        ] {
            let regex = ours(go);
            for text in yes {
                assert!(regex.matches(text), "{go} on {text:?}: {}", regex.as_str());
            }
            for text in no {
                assert!(!regex.matches(text), "{go} on {text:?}: {}", regex.as_str());
            }
        }
    }

    #[test]
    fn what_go_does_not_take_or_cannot_be_said_is_no_regex_here() {
        for wrong in [
            r"\C",
            r"\Z",
            r"\8",
            r"\1",
            r"\q",
            r"\u0041",
            r"\h",
            r"\E",
            r"\x4",
            r"\x{110000}",
            r"\x{}",
            r"\p{Script=Greek}",
            r"\pC",
            r"\B",
            r"\",
            "(",
            ")",
            "*a",
            "a**",
            "a*+",
            "a{2}{3}",
            "a*??",
            "a{1001}",
            "a{2,1}",
            "(a{100}){11}",
            "(?x)a b",
            "(?u)a",
            "(?-u:a)",
            "(?R)a",
            "(?i-)a",
            "(?=a)",
            "(?<=a)",
            "(?<!a)",
            "(?P<a-b>c)",
            "[b-a]",
            r"[a-\d]",
            "[a",
            "[]",
            "[[:frob:]]",
            r"[\b]",
            r"[\Qa\E]",
        ] {
            assert!(translate(wrong).is_err(), "{wrong}: {:?}", translate(wrong));
        }
    }
}
