//! The order of two versions, as each ecosystem has it.
//!
//! Debian's and rpm's are their tools' own (deb-version(7), rpm-version(7)). Semantic Versioning's holds where both are such
//! versions, or short of `.0`, in the ecosystems that say so and those that write nearly such. What is left is compared
//! leniently: an epoch (`1:`) first; then runs of digits as numbers and runs of letters as words, whatever separates them. A
//! missing number is 0, and `1.0.0-rc1` is `1.0-rc1`; but for distributions, where 1 is before 1.0. Which words mean "before"
//! differs: `1.0-rc1` is before 1.0 in most, a gem's `1.0.a` is, Maven's `1.0.Final` is 1.0, its `1.0-jre` behind it, and so
//! are its and Python's `1.0-1`, and Composer's `1.0-p1`. Any other word is more than nothing, and less than a number; but where a
//! version begins with one, `jdk-21.0.1` would be before 2.0, so that it is not compared with a version that begins with a number.

use std::{borrow::Cow, cmp::Ordering, iter};

/// How versions are written, by the type of a package URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy::checks) enum Scheme {
    Alpm,
    /// Alpine's, and Gentoo's, which writes the same suffixes.
    Apk,
    /// Semantic, with the registry's revision behind: `1.2.13.bcr.1`.
    Bazel,
    /// Semantic, with a packager's revision behind: Bitnami's `7.0.11-1`, LuaRocks' `3.7.0-0`.
    Bitnami,
    /// Homebrew's: a packager's revision is `5.6.1_1`, and upstream's `7.1.1-15` is behind 7.1.1.
    Brew,
    /// PHP's: `2.4.6-p3` is a patch of 2.4.6, of which `2.4.6-beta10` is behind `2.4.6-beta9`.
    Composer,
    /// R's: `1.2.3-4` is behind 1.2.3, as `1.2.3.4` is.
    Cran,
    Debian,
    Gem,
    Maven,
    Python,
    Rpm,
    /// npm's, Cargo's, Go's, and those that are most like them.
    Semantic,
    /// Semantic, with a packager's revision behind: `1.2.3#1`.
    Vcpkg,
}

impl Scheme {
    /// Whoever does not know of what kind a package is asks in every way.
    pub(in crate::policy::checks) const ALL: [Self; 14] = [
        Self::Alpm,
        Self::Apk,
        Self::Bazel,
        Self::Bitnami,
        Self::Brew,
        Self::Composer,
        Self::Cran,
        Self::Debian,
        Self::Gem,
        Self::Maven,
        Self::Python,
        Self::Rpm,
        Self::Semantic,
        Self::Vcpkg,
    ];

    /// Of the type of a package URL: none for the one that says nothing of it, all for one that is not known. Read as semantic, a
    /// packager's revision would be a pre-release, and `5.6.1-1` neither 5.6.1 nor behind it.
    pub(in crate::policy::checks) fn of(kind: &str) -> &'static [Self] {
        match kind {
            "alpm" => &[Self::Alpm],
            "apk" | "ebuild" => &[Self::Apk],
            "bazel" => &[Self::Bazel],
            "bitnami" | "luarocks" => &[Self::Bitnami],
            "brew" => &[Self::Brew],
            "composer" => &[Self::Composer],
            "cran" => &[Self::Cran],
            "deb" | "opkg" => &[Self::Debian],
            "gem" => &[Self::Gem],
            "generic" => &[],
            "maven" => &[Self::Maven],
            "pypi" => &[Self::Python],
            "qpkg" | "rpm" => &[Self::Rpm],
            "vcpkg" => &[Self::Vcpkg],
            "bitbucket" | "bower" | "cargo" | "chrome-extension" | "cocoapods" | "conan" | "conda" | "cpan" | "docker"
            | "elm" | "github" | "gitlab" | "golang" | "hackage" | "helm" | "hex" | "huggingface" | "julia" | "mlflow"
            | "npm" | "nuget" | "oci" | "otp" | "pub" | "swift" | "terraform" | "vscode-extension" => &[Self::Semantic],
            _ => &Self::ALL,
        }
    }

    /// What sets a packager's revision, a number, off from upstream's version, which may have such a mark itself.
    const fn revision_mark(self) -> Option<&'static str> {
        match self {
            Self::Bazel => Some(".bcr."),
            Self::Bitnami => Some("-"),
            Self::Brew => Some("_"),
            Self::Vcpkg => Some("#"),
            _ => None,
        }
    }

    /// Upstream's version and a packager's revision, which is empty where there is none.
    pub(super) fn revised(self, version: &str) -> (&str, &str) {
        let split = self.revision_mark().and_then(|mark| version.rsplit_once(mark));
        let is_revision = |number: &str| number.bytes().all(|b| b.is_ascii_digit());
        // `2024-02` is a date, and all upstream's.
        let is_dash = self.revision_mark() == Some("-");
        let is_month =
            |upstream: &str, number: &str| is_dash && (upstream.len(), number.len()) == (4, 2) && is_revision(upstream);
        split.filter(|(upstream, number)| is_revision(number) && !is_month(upstream, number)).unwrap_or((version, ""))
    }

    /// Whether upstream's version is one of Semantic Versioning. Homebrew's `5.0.0-rc.1` is, and its `7.1.1-15` is not.
    fn is_semantic(self, version: &str) -> bool {
        let behind = version.split_once('-').map_or("", |(_, behind)| behind);
        match self {
            Self::Bazel | Self::Bitnami | Self::Semantic | Self::Vcpkg => true,
            Self::Brew => !behind.starts_with(|c: char| c.is_ascii_digit()),
            Self::Alpm
            | Self::Apk
            | Self::Composer
            | Self::Cran
            | Self::Debian
            | Self::Gem
            | Self::Maven
            | Self::Python
            | Self::Rpm => false,
        }
    }

    /// What sets an epoch off.
    const fn epoch_mark(self) -> char {
        if matches!(self, Self::Python) { '!' } else { ':' }
    }

    /// What a word in small letters is in a version. `glued` follows a digit, and `numbered` is followed by one.
    fn word(self, word: String, glued: bool, numbered: bool) -> Option<Part<'static>> {
        const BEFORE: [&str; 12] =
            ["alpha", "beta", "canary", "cr", "dev", "ea", "milestone", "nightly", "pre", "preview", "rc", "snapshot"];
        let is = |known: &[&str]| known.contains(&&*word);
        let before = |word: &str| Some(Part::Before(word.to_owned()));
        match self {
            // `1.0rc` is before 1.0, `1.0.a` behind it.
            Self::Alpm if glued => Some(Part::Before(word)),
            Self::Apk if is(&["alpha", "beta", "pre", "rc"]) => Some(Part::Before(word)),
            Self::Gem => Some(Part::Before(word)),
            Self::Maven => match &*word {
                "final" | "ga" | "release" => None,
                "a" if numbered => before("alpha"),
                "b" if numbered => before("beta"),
                "m" if numbered => before("milestone"),
                "cr" => before("rc"),
                // A service pack: the first behind the release.
                "sp" => Some(Part::Word(String::new())),
                "alpha" | "beta" | "milestone" | "rc" | "snapshot" => Some(Part::Before(word)),
                _ => Some(Part::Word(word)),
            },
            // Composer's spellings of what PHP's version_compare orders.
            Self::Composer => match &*word {
                "stable" => None,
                "dev" => before(""),
                "a" => before("alpha"),
                "b" => before("beta"),
                "p" | "pl" => Some(Part::Word("patch".to_owned())),
                _ if is(&BEFORE) => Some(Part::Before(word)),
                _ => Some(Part::Word(word)),
            },
            // PEP 440's spellings, and its order: dev, a, b, rc.
            Self::Python => match &*word {
                "dev" => before(""),
                "alpha" => before("a"),
                "beta" => before("b"),
                "c" | "pre" | "preview" => before("rc"),
                "r" | "rev" => Some(Part::Word("post".to_owned())),
                "a" | "b" | "rc" => Some(Part::Before(word)),
                _ => Some(Part::Word(word)),
            },
            // `1.0a1` is before 1.0, `1.0.2a` is behind 1.0.2.
            Self::Bazel | Self::Bitnami | Self::Brew | Self::Cran | Self::Semantic | Self::Vcpkg
                if is(&BEFORE) || numbered && is(&["a", "b", "c", "m"]) =>
            {
                Some(Part::Before(word))
            }
            _ => Some(Part::Word(word)),
        }
    }
}

/// The order of two versions.
pub(in crate::policy::checks) fn compare(a: &str, b: &str, scheme: Scheme) -> Ordering {
    let ((a, revision_a), (b, revision_b)) = (scheme.revised(bare(a)), scheme.revised(bare(b)));
    upstream(a, b, scheme).then_with(|| Number::of(revision_a).cmp(&Number::of(revision_b)))
}

fn upstream(a: &str, b: &str, scheme: Scheme) -> Ordering {
    if scheme.is_semantic(a)
        && scheme.is_semantic(b)
        && let (Ok(a), Ok(b)) = (semver::Version::parse(&padded(a)), semver::Version::parse(&padded(b)))
    {
        return a.cmp_precedence(&b);
    }
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a, scheme), epoch(b, scheme));
    epoch_a.cmp(&epoch_b).then_with(|| match scheme {
        Scheme::Debian => with_revision(a, b, debian),
        Scheme::Rpm => with_revision(a, b, rpm),
        _ => lenient(&parts(a, scheme), &parts(b, scheme)),
    })
}

/// With the `.0` that a bound such as `5.0` lacks of a semantic version: else 5.0.0-next would be before 5.0.0 and not before it.
fn padded(version: &str) -> Cow<'_, str> {
    let (core, rest) = run(version, |c| c.is_ascii_digit() || c == '.');
    match core.split('.').count() {
        1 if rest.is_empty() => format!("{core}.0.0").into(),
        2 if rest.is_empty() => format!("{core}.0").into(),
        _ => version.into(),
    }
}

/// The least version that a bound such as `5` may mean: from its first prerelease on. OSV's `0` is before all there is, and each
/// `v0.0.0-2021…` of Go is one before 0.0.0. With the order in which it is the least.
pub(super) fn least(bound: &str, scheme: Scheme) -> Option<(String, Scheme)> {
    let bound = bare(bound);
    let Cow::Owned(whole) = padded(bound) else { return None };
    match scheme {
        Scheme::Composer => Some((whole + "-dev", scheme)),
        _ if scheme.is_semantic(bound) => Some((whole + "-0", Scheme::Semantic)),
        _ => None,
    }
}

/// Without the `v` that many write before a version, and the `go` that Go writes before its own.
fn bare(version: &str) -> &str {
    let rest = version.strip_prefix(['v', 'V']).or_else(|| version.strip_prefix("go")).unwrap_or(version);
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest } else { version }
}

/// Whether two versions can be compared: not where one begins with a word (`jdk-21.0.1`, a commit's hash) and the other with a
/// number, of ecosystems that say nothing of words before numbers.
pub(in crate::policy::checks) fn comparable(a: &str, b: &str, scheme: Scheme) -> bool {
    let [a, b] = [a, b].map(|version| bare(version).starts_with(|c: char| c.is_ascii_digit()));
    a == b
        || matches!(
            scheme,
            Scheme::Alpm | Scheme::Apk | Scheme::Debian | Scheme::Gem | Scheme::Maven | Scheme::Python | Scheme::Rpm
        )
}

fn epoch(version: &str, scheme: Scheme) -> (Number<'_>, &str) {
    match version.split_once(scheme.epoch_mark()) {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => (Number::of(epoch), rest),
        Some(_) | None => (Number::of(""), version),
    }
}

/// The upstream's versions first, then the revisions, none being less than any.
fn with_revision(a: &str, b: &str, compare: impl Fn(&str, &str) -> Ordering) -> Ordering {
    let split = |version| str::rsplit_once(version, '-').unwrap_or((version, ""));
    let ((a, revision_a), (b, revision_b)) = (split(a), split(b));
    compare(a, b).then_with(|| compare(revision_a, revision_b))
}

/// As dpkg compares: what is no digits by the letters' order, `~` before the end, the end before letters, letters before all
/// else; then digits as a number; and so on.
fn debian(mut a: &str, mut b: &str) -> Ordering {
    let weight = |c: char| match c {
        '~' => (0, c),
        c if c.is_ascii_alphabetic() => (2, c),
        c => (3, c),
    };
    let weighed = |text: &str| text.chars().map(weight).chain(iter::once((1, '\0'))).collect::<Vec<_>>();
    while !a.is_empty() || !b.is_empty() {
        let ((text_a, rest_a), (text_b, rest_b)) = (run(a, |c| !c.is_ascii_digit()), run(b, |c| !c.is_ascii_digit()));
        let ((digits_a, rest_a), (digits_b, rest_b)) = (digits(rest_a), digits(rest_b));
        let ordering = weighed(text_a).cmp(&weighed(text_b)).then_with(|| Number::of(digits_a).cmp(&Number::of(digits_b)));
        if ordering.is_ne() {
            return ordering;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// As rpm compares: runs of digits as numbers and runs of letters as text, whatever separates them; `~` is before the end,
/// `^` behind it and before all else; whichever is left over is more.
fn rpm(mut a: &str, mut b: &str) -> Ordering {
    let counts = |c: char| c.is_ascii_alphanumeric() || matches!(c, '~' | '^');
    loop {
        (a, b) = (a.trim_start_matches(|c| !counts(c)), b.trim_start_matches(|c| !counts(c)));
        let weight = |text: &str| match text.chars().next() {
            Some('~') => 0,
            None => 1,
            Some('^') => 2,
            Some(c) if c.is_ascii_alphabetic() => 3,
            Some(_) => 4,
        };
        let (kind_a, kind_b) = (weight(a), weight(b));
        if kind_a != kind_b || kind_a == 1 {
            return kind_a.cmp(&kind_b);
        }
        let (ordering, rest_a, rest_b) = match kind_a {
            3 => {
                let ((text_a, rest_a), (text_b, rest_b)) = (letters(a), letters(b));
                (text_a.cmp(text_b), rest_a, rest_b)
            }
            4 => {
                let ((digits_a, rest_a), (digits_b, rest_b)) = (digits(a), digits(b));
                (Number::of(digits_a).cmp(&Number::of(digits_b)), rest_a, rest_b)
            }
            _ => (Ordering::Equal, a.split_at(1).1, b.split_at(1).1),
        };
        if ordering.is_ne() {
            return ordering;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// How much of the beginning is of this kind, and what is behind it.
fn run(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !of(c)).unwrap_or(text.len()))
}

fn digits(text: &str) -> (&str, &str) {
    run(text, |c| c.is_ascii_digit())
}

fn letters(text: &str) -> (&str, &str) {
    run(text, |c| c.is_ascii_alphabetic())
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
    /// What sets off a number that is behind the version, as Maven's `1.0-1` is behind 1.0 and before 1.1.
    Dash,
    Number(Number<'v>),
}

const ZERO: Part<'static> = Part::Number(Number(0, ""));

fn parts(version: &str, scheme: Scheme) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    let (mut glued, mut local) = (false, false);
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    while let Some(first) = rest.chars().next() {
        if (scheme, first) == (Scheme::Composer, '+') {
            // Of the same version, whoever built it, as in Semantic Versioning.
            break;
        }
        let (part, behind) = if first.is_ascii_digit() {
            let (number, behind) = digits(rest);
            (Some(Part::Number(Number::of(number))), behind)
        } else if first.is_alphabetic() {
            let (word, behind) = run(rest, char::is_alphabetic);
            let word = word.to_lowercase();
            (if local { Some(Part::Word(word)) } else { scheme.word(word, glued, starts_with_digit(behind)) }, behind)
        } else {
            let behind = rest.split_at(first.len_utf8()).1;
            let follows = starts_with_digit(behind) && matches!(parts.last(), Some(Part::Number(_)));
            let part = match (scheme, first) {
                (_, '~') => Some(Part::Tilde),
                // PEP 440's local version: of the same release, and behind it.
                (Scheme::Python, '+') => Some(Part::Word(String::new())),
                (Scheme::Python, '-') if follows && !local => Some(Part::Word("post".to_owned())),
                (Scheme::Maven, '-') if follows => Some(Part::Dash),
                _ => None,
            };
            (part, behind)
        };
        if let Some(part) = part {
            if !local && !matches!(part, Part::Number(_)) {
                trim(&mut parts, scheme);
            }
            parts.push(part);
        }
        local |= scheme == Scheme::Python && first == '+';
        glued = first.is_ascii_digit();
        rest = behind;
    }
    if !local {
        trim(&mut parts, scheme);
    }
    parts
}

/// Without the zeros that a version may leave out before what stands there: `1.0.0-rc1` is `1.0-rc1`. Distributions' are not so.
fn trim(parts: &mut Vec<Part<'_>>, scheme: Scheme) {
    if !matches!(scheme, Scheme::Alpm | Scheme::Apk | Scheme::Debian | Scheme::Rpm) {
        while parts.pop_if(|last| matches!(last, Part::Dash) || *last == ZERO).is_some() {}
    }
}

fn lenient(a: &[Part<'_>], b: &[Part<'_>]) -> Ordering {
    for at in 0..a.len().max(b.len()) {
        let ordering = match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => a.cmp(b),
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
mod tests;
