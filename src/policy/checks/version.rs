//! Versions and ranges of them, over all the world's ecosystems.
//!
//! Two versions are compared as Semantic Versioning says where both are such versions and the package is none of a Linux
//! distribution (there `-1` is a revision, not a pre-release). Otherwise leniently: an epoch (`1:`) first; then runs of
//! digits as numbers and runs of letters as words, whatever separates them. A missing number is 0. A word that means
//! "before" (`alpha`, `beta`, `rc`, `pre`, `dev`, `snapshot`, `a1`, `b2` …) or anything behind `~` is less than nothing there;
//! another word (`1.0.2k`, `8.9p1`, `2.0-ubuntu3`) is more than nothing, and less than a number.
//!
//! Whoever does not know of what kind a package is asks both ways.
//!
//! A bound without epoch or revision speaks of upstream's versions: `5.6.1` is Debian's `5.6.1-1` too, and Fedora's `0:5.6.1-2`.

use std::cmp::Ordering;

/// Versions a policy names: `<2.17.1`, `>=2.0, <2.12.2`, `1.2.3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    written: String,
    all: Vec<(Comparison, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// How versions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A Linux distribution's packages.
    Distribution,
    /// All others.
    Language,
}

impl Range {
    /// Reads comparisons with a comma between; a version alone means itself.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let all = text.split(',').map(|part| one(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { written: text.to_owned(), all })
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Exactly this version, as a package URL has it.
    pub(super) fn only(version: &str) -> Self {
        Self { written: version.to_owned(), all: vec![(Comparison::Equal, version.to_owned())] }
    }

    pub(super) fn contains(&self, version: &str, scheme: Scheme) -> bool {
        self.all.iter().all(|(comparison, bound)| {
            let version = if scheme == Scheme::Distribution { as_exact_as(bound, version) } else { version };
            let ordering = compare(version, bound, scheme);
            match comparison {
                Comparison::Equal => ordering.is_eq(),
                Comparison::Greater => ordering.is_gt(),
                Comparison::GreaterOrEqual => ordering.is_ge(),
                Comparison::Less => ordering.is_lt(),
                Comparison::LessOrEqual => ordering.is_le(),
            }
        })
    }
}

/// A distribution's version without the epoch and the revision that `bound` does not have.
fn as_exact_as<'v>(bound: &str, version: &'v str) -> &'v str {
    let version = if bound.contains(':') { version } else { version.split_once(':').map_or(version, |(_, rest)| rest) };
    if bound.contains('-') { version } else { version.rsplit_once('-').map_or(version, |(upstream, _)| upstream) }
}

fn one(text: &str) -> Result<(Comparison, String), String> {
    let known = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("=", Comparison::Equal),
    ];
    let (comparison, version) = known
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?.trim_start())))
        .unwrap_or((Comparison::Equal, text));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '~' | ':');
    if version.is_empty()
        || !version.chars().all(plain)
        || !version.chars().any(|c| c.is_ascii_digit())
        || version.split('.').any(|part| part.eq_ignore_ascii_case("x"))
    {
        // `^1.2`, `1.x` and `!=1` mean something elsewhere; here they would match nothing, or everything.
        return Err(format!("wants versions such as <2.17.1, or >=2.0, <2.12.2; found `{}`", crate::yaml::shown(text)));
    }
    Ok((comparison, version.to_owned()))
}

fn bare(version: &str) -> &str {
    let rest = version.strip_prefix(['v', 'V']).unwrap_or(version);
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest } else { version }
}

/// The order of two versions.
pub(super) fn compare(a: &str, b: &str, scheme: Scheme) -> Ordering {
    let (a, b) = (bare(a), bare(b));
    if scheme == Scheme::Language
        && let (Ok(a), Ok(b)) = (semver::Version::parse(a), semver::Version::parse(b))
    {
        return a.cmp_precedence(&b);
    }
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    epoch_a.cmp(&epoch_b).then_with(|| lenient(&parts(a), &parts(b)))
}

fn epoch(version: &str) -> (Number<'_>, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => (Number::of(epoch), rest),
        Some(_) | None => (Number::of(""), version),
    }
}

/// A run of digits of any length, without leading zeros: longer is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number<'v>(usize, &'v str);

impl<'v> Number<'v> {
    fn of(digits: &'v str) -> Self {
        let digits = digits.trim_start_matches('0');
        Self(digits.len(), digits)
    }
}

/// A piece of a version, the least kind first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'v> {
    Tilde,
    Before(String),
    Nothing,
    Word(String),
    Number(Number<'v>),
}

const BEFORE: [&str; 11] = ["alpha", "beta", "canary", "cr", "dev", "ea", "milestone", "nightly", "pre", "preview", "rc"];

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let length = if digit || first.is_alphabetic() {
            rest.find(|c: char| if digit { !c.is_ascii_digit() } else { !c.is_alphabetic() }).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (run, behind) = rest.split_at(length);
        if digit {
            parts.push(Part::Number(Number::of(run)));
        } else if first.is_alphabetic() {
            let word = run.to_lowercase();
            // `1.0a1` is before 1.0, `1.0.2a` is behind 1.0.2.
            let short = matches!(&*word, "a" | "b" | "c" | "m") && behind.starts_with(|c: char| c.is_ascii_digit());
            let before = short || word == "snapshot" || BEFORE.contains(&&*word);
            parts.push(if before { Part::Before(word) } else { Part::Word(word) });
        } else if first == '~' {
            parts.push(Part::Tilde);
        }
        rest = behind;
    }
    parts
}

fn lenient(a: &[Part<'_>], b: &[Part<'_>]) -> Ordering {
    let zero = Part::Number(Number::of(""));
    for at in 0..a.len().max(b.len()) {
        let ordering = match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => a.cmp(b),
            // 2.17.0 is 2.17.
            (Some(only), None) if *only == zero => Ordering::Equal,
            (None, Some(only)) if *only == zero => Ordering::Equal,
            (Some(only), None) => only.cmp(&Part::Nothing),
            (None, Some(only)) => Part::Nothing.cmp(only),
            (None, None) => Ordering::Equal,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_stand_in_order() {
        for (scheme, ascending) in [
            (
                Scheme::Language,
                &["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.2", "1.0.0", "v1.0.1", "1.2", "1.10.0", "2.0.0+build"][..],
            ),
            (Scheme::Language, &["2.14-SNAPSHOT", "2.14", "2.14.1", "2.17.0"]),
            (Scheme::Language, &["1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.1"]),
            (Scheme::Language, &["1.0.2", "1.0.2a", "1.0.2k", "1.0.10"]),
            (Scheme::Distribution, &["1.2.3~rc1-1", "1.2.3", "1.2.3-1", "1.2.3-1ubuntu2", "1.2.3-2", "1.2.4", "1:0.1"]),
            (Scheme::Distribution, &["8.8p1", "8.9p1-3", "9.0p1", "20230101"]),
        ] {
            for (i, a) in ascending.iter().enumerate() {
                for (j, b) in ascending.iter().enumerate() {
                    assert_eq!(compare(a, b, scheme), i.cmp(&j), "{a} {b}");
                }
            }
        }
        for (a, b) in [("2.17", "2.17.0"), ("v1.2.3", "1.2.3"), ("1.2.3+a", "1.2.3+b"), ("0:1.0", "1.0"), ("1.02", "1.2")] {
            assert!(compare(a, b, Scheme::Language).is_eq() && compare(b, a, Scheme::Language).is_eq(), "{a} {b}");
        }
        // Only a number before a colon is an epoch.
        assert!(compare("x:1.0", "1.0", Scheme::Language).is_lt() && compare("1:1.0", "2.0", Scheme::Language).is_gt());
        // A revision of a distribution comes behind its version; as a pre-release it would come before.
        assert!(compare("2.17.1-1", "2.17.1", Scheme::Distribution).is_gt());
    }

    #[test]
    fn ranges_say_which_versions() {
        for (range, yes, no) in [
            ("<2.17.1", &["2.17.0", "2.0-beta9", "1.0"][..], &["2.17.1", "2.18", "2.17.1.redhat-1"][..]),
            (">=2.0, <2.12.2", &["2.0", "2.12.1"], &["1.9", "2.12.2"]),
            ("3.3.6", &["3.3.6", "v3.3.6"], &["3.3.7", "3.3.60"]),
            ("= 3.3.6", &["3.3.6"], &["3.3"]),
            (">1, <=2", &["1.1", "2", "2.0.0"], &["1", "1.0", "2.1"]),
        ] {
            let parsed = Range::parse(range).unwrap();
            for version in yes {
                assert!(parsed.contains(version, Scheme::Language), "{range} {version}");
            }
            for version in no {
                assert!(!parsed.contains(version, Scheme::Language), "{range} {version}");
            }
        }
        for (range, yes, no) in [
            ("5.6.1", &["5.6.1-1", "5.6.1-r0", "1:5.6.1-1.el9", "5.6.1"][..], &["5.6.1.1-1", "5.6.10-1"][..]),
            ("<=2.17.1", &["2.17.1-1", "2.17.1~rc1-1"], &["2.17.2-1"]),
            (">2.17.1", &["2.17.2-1"], &["2.17.1-9"]),
            ("<3.0.11-1~deb12u2", &["3.0.11-1~deb12u1", "3.0.10-9"], &["3.0.11-1~deb12u2", "3.0.11-1"]),
            ("<1:2.0", &["1:1.9-1", "9.9-1"], &["1:2.0-1", "2:0.1-1"]),
        ] {
            let parsed = Range::parse(range).unwrap();
            assert!(yes.iter().all(|version| parsed.contains(version, Scheme::Distribution)), "{range}");
            assert!(!no.iter().any(|version| parsed.contains(version, Scheme::Distribution)), "{range}");
        }
        for wrong in ["", "<", "^1.2", "~>1", "!=1", "1.*", "1.x", "*", "<1,", "latest", "1 || 2", "<2.x y"] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_the_same_from_both_sides(a in "[0-9a-c.~:+-]{0,12}", b in "\\PC{0,12}", c in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}") {
            for (a, b) in [(&a, &b), (&a, &c), (&b, &c)] {
                for scheme in [Scheme::Distribution, Scheme::Language] {
                    prop_assert_eq!(compare(a, b, scheme), compare(b, a, scheme).reverse());
                    prop_assert!(compare(a, a, scheme).is_eq());
                }
            }
        }
    }
}
