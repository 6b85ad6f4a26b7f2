//! Patterns: whole-string globs with `/` as a border, and regexes anchored by us.
//!
//! A glob has three wildcards. `*` is any run of characters, also an empty one, that holds no `/`. `?` is one character
//! of ASCII that is no `/`. `**` is a whole segment and stands for any number of segments: at the end at least one
//! (`acme/**` does not match `acme`), at the beginning and in the middle also none. `{a,b}` is either: at least two
//! alternatives, none empty, none with a `/`, a `**` or braces of its own. Everything else is itself. `[…]` means
//! something in other tools, so it is refused rather than taken literally.
//!
//! The matching is globset's, whose regexes run in linear time; what it would read differently (`acme**`, escapes,
//! classes) never reaches it. Tests hold it against a matcher written from this page.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::HirKind;

/// Bytes of one pattern.
pub(super) const MAX_PATTERN: usize = 1024;
/// Bytes of a compiled regex, and of its caches.
const MAX_REGEX_SIZE: usize = 1 << 20;

/// A whole-string glob over a text such as a certificate's subject.
#[derive(Clone)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

/// A regex that must match the whole text.
#[derive(Clone)]
pub struct AnchoredRegex {
    text: String,
    regex: Regex,
    /// As other tools read it, to tell who moves from one what became of it.
    unanchored: Regex,
}

/// Why a text is no pattern, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Braces that are no alternatives.
    #[error("`{{…}}` wants at least two alternatives, none of them empty, without `/`, `**` or more braces, as in {{a,b}}")]
    Alternatives,
    /// A wildcard of other tools.
    #[error("`{0}` is not supported in patterns; `*`, `**`, `?` and `{{a,b}}` are")]
    Class(char),
    /// A host that images of that registry never have.
    #[error("images of Docker Hub are called docker.io/…; write docker.io instead of `{0}`")]
    DockerAlias(String),
    /// `**` inside a segment.
    #[error("`**` must be a whole segment between slashes; write `{0}`")]
    DoubleStar(String),
    /// Nothing there, or `a//b`.
    #[error("has an empty segment")]
    Empty,
    /// A character no host has.
    #[error("`{0}` can be in no host: only letters, digits, `.`, `-`, `:`, and the wildcards `*`, `?`, `{{a,b}}`")]
    Host(char),
    /// No host.
    #[error("begins with no host; write `ghcr.io/{0}` or `*/{0}`")]
    NoHost(String),
    /// A host only.
    #[error("names no repository; write `{0}/**` for all of them")]
    NoRepository(String),
    /// Docker Hub among other hosts, with a repository it would call `library/…`.
    #[error("on Docker Hub `{0}` is library/{0}; write docker.io/{0} as a pattern of its own")]
    Library(String),
    /// Not a regex.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// A character no repository has.
    #[error(
        "`{0}` can be in no repository's name: only lower-case letters, digits, `.`, `_`, `-`, and the wildcards `*`, `**`, `?`, `{{a,b}}`"
    )]
    Repository(char),
    /// A tag or a digest.
    #[error("names a tag or a digest; policies match host/repository only")]
    Tag,
    /// Above the bound.
    #[error("longer than {MAX_PATTERN} bytes")]
    TooLong,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.to_owned(), matcher: compile(text)? })
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Checks the rules of this page, then compiles.
pub(super) fn compile(text: &str) -> Result<GlobMatcher, PatternError> {
    if text.len() > MAX_PATTERN {
        return Err(PatternError::TooLong);
    }
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if let Some(class) = text.chars().find(|c| matches!(c, '[' | ']')) {
        return Err(PatternError::Class(class));
    }
    braces(text)?;
    for segment in text.split('/') {
        if segment.contains("**") && segment != "**" {
            return Err(PatternError::DoubleStar(of_whole_segments(segment)));
        }
    }
    // `**/**` is `**`, and globset's reading of it was seen to differ between its versions.
    let mut segments: Vec<&str> = text.split('/').collect();
    segments.dedup_by(|a, b| *a == "**" && *b == "**");
    GlobBuilder::new(&segments.join("/"))
        .literal_separator(true)
        .backslash_escape(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| PatternError::Regex(error.to_string()))
}

/// What a segment with `**` in it was probably meant to be: `acme*/**`, `**/*.yml`, `a*/**/*b`.
fn of_whole_segments(segment: &str) -> String {
    let mut written = String::new();
    let mut rest = segment;
    while let Some(at) = rest.find("**") {
        let (before, stars) = rest.split_at(at);
        rest = stars.trim_start_matches('*');
        written += before;
        written += match (written.is_empty(), rest.is_empty()) {
            (true, true) => "**",
            (true, false) => "**/*",
            (false, true) => "*/**",
            (false, false) => "*/**/*",
        };
    }
    written + rest
}

/// Checks that braces hold alternatives and nothing else: what globset makes of an empty or a nested one is not what
/// their writer meant.
fn braces(text: &str) -> Result<(), PatternError> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let inner = rest[at..].strip_prefix('{').ok_or(PatternError::Alternatives)?;
        let (alternatives, behind) = inner.split_once('}').ok_or(PatternError::Alternatives)?;
        let good = |one: &str| !one.is_empty() && !one.contains(['{', '/']) && !one.contains("**");
        if !alternatives.contains(',') || !alternatives.split(',').all(good) {
            return Err(PatternError::Alternatives);
        }
        rest = behind;
    }
    Ok(())
}

impl AnchoredRegex {
    /// Reads a regex.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong);
        }
        let build = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(MAX_REGEX_SIZE)
                .dfa_size_limit(MAX_REGEX_SIZE)
                .nest_limit(50)
                .build()
                .map_err(|error| PatternError::Regex(error.to_string().lines().last().unwrap_or_default().to_owned()))
        };
        // Alone first: `a)|(b` is only a regex once our own parentheses are around it, and then it is not anchored.
        let unanchored = build(text)?;
        Ok(Self { text: text.to_owned(), regex: build(&format!(r"\A(?:{text})\z"))?, unanchored })
    }

    /// Whether it matches somewhere in `text` and not the whole: what cosign's flags and Kyverno's `subjectRegExp` accept,
    /// and this does not.
    #[must_use]
    pub fn matches_a_part_only(&self, text: &str) -> bool {
        !self.matches(text) && self.unanchored.is_match(text)
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The one text that it matches, if it is a plain text with nothing but escapes in it.
    pub(super) fn literal(&self) -> Option<String> {
        match regex_syntax::parse(&self.text).ok()?.into_kind() {
            HirKind::Literal(text) => String::from_utf8(text.0.into_vec()).ok(),
            _ => None,
        }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

macro_rules! debug_as_written {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    )*};
}
pub(super) use debug_as_written;
debug_as_written!(AnchoredRegex, Glob);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn i2_subject_globs_match_the_whole_text_and_stop_at_slashes() {
        let glob = Glob::new("https://github.com/acme/*/.github/workflows/*@refs/tags/v*").unwrap();
        assert!(glob.matches("https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"));
        for wrong in [
            "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1/x",
            "xhttps://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1",
            "https://github.com/acme/../mallory/.github/workflows/release.yml@refs/tags/v1",
            "https://github.com/acme-evil/app/.github/workflows/release.yml@refs/tags/v1",
            "https://githubxcom/acme/app/.github/workflows/release.yml@refs/tags/v1",
            "https://github.com/ACME/app/.github/workflows/release.yml@refs/tags/v1",
        ] {
            assert!(!glob.matches(wrong), "{wrong}");
        }
        assert!(!Glob::new("https://github.com/org/").unwrap().matches("https://github.com/org/x"));
        assert!(!Glob::new("https://github.com/org/**").unwrap().matches("https://github.com/org-evil/x"));
        // What globset would take as an escape, a comment or a negation is itself here.
        for literal in ["a\\*", "!a", "#a", "a b", "(a|b)+$^."] {
            let glob = Glob::new(literal).unwrap();
            assert!(glob.matches(&literal.replace('*', "x")), "{literal}");
            assert!(!glob.matches("ax") && !glob.matches("b"), "{literal}");
        }
    }

    #[test]
    fn alternatives_and_single_characters_stay_within_their_segment() {
        let glob = Glob::new("https://{gitlab,github}.com/acme/app-?/*@refs/tags/v{1,2}.*").unwrap();
        assert!(glob.matches("https://gitlab.com/acme/app-1/x@refs/tags/v2.0"));
        for wrong in [
            "https://{gitlab,github}.com/acme/app-1/x@refs/tags/v1.0",
            "https://gitlab,github.com/acme/app-1/x@refs/tags/v1.0",
            "https://github.com/acme/app-/x@refs/tags/v1.0",
            "https://github.com/acme/app-12/x@refs/tags/v1.0",
            "https://github.com/acme/app-//x@refs/tags/v1.0",
            "https://github.com/acme/app-1/x@refs/tags/v3.0",
        ] {
            assert!(!glob.matches(wrong), "{wrong}");
        }
        for wrong in ["{a}", "{a,}", "{,a}", "{}", "{a,{b,c}}", "{a,b", "a,b}", "}a,b{", "{a/b,c}", "{**,b}", "x{a,b}}"] {
            assert_eq!(Glob::new(wrong).unwrap_err(), PatternError::Alternatives, "{wrong}");
        }
        assert!(Glob::new("a,b").unwrap().matches("a,b"));
        assert!(matches!(Glob::new("a[bc]"), Err(PatternError::Class('['))));
    }

    #[test]
    fn i2_regexes_are_anchored_whatever_they_contain() {
        for (text, yes, no) in [
            ("a|b", &["a", "b"][..], &["ab", "xa", "bx", "a\n", ""][..]),
            ("(?m)^a$", &["a"], &["a\nb", "b\na"]),
            ("a|ab", &["a", "ab"], &["abc"]),
            (
                r"https://github\.com/acme/.*",
                &["https://github.com/acme/x"],
                &["xhttps://github.com/acme/x", "https://github.com/acme/x\ny"],
            ),
        ] {
            let regex = AnchoredRegex::new(text).unwrap();
            for text in yes {
                assert!(regex.matches(text), "{regex:?} {text:?}");
            }
            for text in no {
                assert!(!regex.matches(text), "{regex:?} {text:?}");
            }
        }
        for wrong in ["a)|(b", "a)|.*(?:", "(", "[", "", "(?x)a #", r"(?:a{1000}){1000}"] {
            assert!(AnchoredRegex::new(wrong).is_err(), "{wrong}");
        }
    }

    /// What is advised is a pattern.
    #[test]
    fn a_double_star_in_a_segment_is_told_with_what_to_write() {
        for (written, meant) in [
            ("acme**", "acme*/**"),
            ("**.yml", "**/*.yml"),
            ("**@acme.test", "**/*@acme.test"),
            ("a**b", "a*/**/*b"),
            ("**a***b*c**", "**/*a*/**/*b*c*/**"),
            ("a***", "a*/**"),
            ("***", "**"),
            ("****", "**"),
            ("{a,b}**", "{a,b}*/**"),
        ] {
            let whole = format!("https://x/{written}");
            assert_eq!(Glob::new(&whole).unwrap_err(), PatternError::DoubleStar(meant.to_owned()), "{written}");
            assert!(Glob::new(&whole.replace(written, meant)).is_ok(), "{written}");
        }
    }

    #[test]
    fn a_pattern_has_at_most_1024_bytes() {
        let (most, more) = ("a".repeat(1024), "a".repeat(1025));
        assert!(Glob::new(&most).unwrap().matches(&most) && AnchoredRegex::new(&most).unwrap().matches(&most));
        assert_eq!(Glob::new(&more).unwrap_err(), PatternError::TooLong);
        assert_eq!(AnchoredRegex::new(&more).unwrap_err(), PatternError::TooLong);
    }

    /// A matcher written from this page, slow and plain.
    fn reference(pattern: &[&str], text: &[&str], first: bool) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((&"**", [])) => first || !text.is_empty(),
            Some((&"**", rest)) => (0..=text.len()).any(|taken| reference(rest, &text[taken..], false)),
            Some((segment, rest)) => text
                .split_first()
                .is_some_and(|(head, tail)| segment_matches(segment.as_bytes(), head.as_bytes()) && reference(rest, tail, false)),
        }
    }

    fn segment_matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| segment_matches(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && segment_matches(rest, &text[1..]),
            Some((b'{', rest)) => {
                let (inner, rest) = std::str::from_utf8(rest).unwrap().split_once('}').unwrap();
                inner.split(',').any(|one| segment_matches(format!("{one}{rest}").as_bytes(), text))
            }
            Some((byte, rest)) => text.first() == Some(byte) && segment_matches(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn i2_globs_agree_with_a_plain_matcher(
            pattern in prop::collection::vec(
                prop_oneof![
                    Just("**".to_owned()),
                    "[ab*.?]{1,3}(\\{[ab*?]{1,2},[b.?]{1,2}\\}[ab?]?)?".prop_filter("**", |s| !s.contains("**")),
                ],
                1..5,
            ),
            text in prop::collection::vec("[ab.]{1,3}", 1..6),
        ) {
            let (pattern, text) = (pattern.join("/"), text.join("/"));
            let mut segments: Vec<&str> = pattern.split('/').collect();
            segments.dedup_by(|a, b| *a == "**" && *b == "**");
            let wanted = reference(&segments, &text.split('/').collect::<Vec<_>>(), true);
            prop_assert_eq!(Glob::new(&pattern).unwrap().matches(&text), wanted, "{} {}", pattern, text);
        }

        #[test]
        fn i2_garbage_before_or_behind_never_matches(before in "[ -~]{0,8}", behind in "[ -~]{0,8}") {
            prop_assume!(!(before.is_empty() && behind.is_empty()));
            let exact = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
            let text = format!("{before}{exact}{behind}");
            prop_assert!(!Glob::new(exact).unwrap().matches(&text));
            prop_assert!(!AnchoredRegex::new(&regex::escape(exact)).unwrap().matches(&text));
            if behind.is_empty() || behind.contains('/') || !before.is_empty() {
                prop_assert!(!Glob::new("https://github.com/acme/app/.github/workflows/*@refs/heads/main*").unwrap().matches(&text));
            }
        }
    }
}
