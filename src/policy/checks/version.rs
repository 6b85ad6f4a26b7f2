//! Ranges of versions: `<2.17.1`, `>=2.0, <2.12.2`, `1.2.3`. One that no version can be in is an error: a denial that denies
//! nothing looks like one that does.
//!
//! A bound that says less than a version speaks of all that say more: without epoch or revision it is upstream's version,
//! `5.6.1` is Debian's `5.6.1-1` too, and Fedora's `0:5.6.1-2`, Bitnami's `5.6.1-1`, Homebrew's `5.6.1_1`, Bazel's
//! `5.6.1.bcr.1`; and Debian's `5.6.1+dfsg-1`, of which files were left out. `5.2.15-2` is Debian's rebuild of it,
//! `5.2.15-2+b7`, too; of Python's `1.0+cu118` it is `1.0`, of a gem for one platform, `1.13.6-x86_64-linux`, the gem.

mod order;

use self::order::least;
pub(super) use self::order::{Scheme, comparable, compare};

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

impl Range {
    /// Reads comparisons with a comma between; a version alone means itself.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let all = text.split(',').map(|part| one(part.trim())).collect::<Result<_, _>>()?;
        let range = Self { written: text.to_owned(), all };
        if range.is_empty() {
            let shown = crate::yaml::shown(text);
            return Err(format!("no version is `{shown}`: a comma means and; for one or the other write a list"));
        }
        Ok(range)
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Exactly this version, as a package URL has it; `None` of what is no version.
    pub(super) fn only(version: &str) -> Option<Self> {
        let all = vec![(Comparison::Equal, version.to_owned())];
        is_version(version).then(|| Self { written: version.to_owned(), all })
    }

    /// Whether one of its lower bounds is above one of its upper bounds, in every order there is.
    fn is_empty(&self) -> bool {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let lower = || self.all.iter().filter(|(comparison, _)| matches!(comparison, Equal | Greater | GreaterOrEqual));
        let upper = || self.all.iter().filter(|(comparison, _)| matches!(comparison, Equal | Less | LessOrEqual));
        lower().any(|(above, low)| {
            upper().any(|(below, high)| {
                let strict = *above == Greater || *below == Less;
                Scheme::ALL.iter().all(|scheme| {
                    let ordering = compare(as_exact_as(high, low, *scheme), high, *scheme);
                    ordering.is_gt() || strict && ordering.is_eq()
                })
            })
        })
    }

    /// Whether a version is in it; `None` where it is neither before nor behind one of the bounds, another than which it always is;
    /// or longer than any.
    pub(super) fn contains(&self, version: &str, scheme: Scheme) -> Option<bool> {
        if version.len() > MAX_VERSION {
            return None;
        }
        let ordered = |(comparison, bound): &(_, String)| *comparison == Comparison::Equal || comparable(version, bound, scheme);
        self.all.iter().all(ordered).then(|| {
            self.all.iter().all(|(comparison, bound)| {
                let version = as_exact_as(bound, version, scheme);
                let least = if *comparison == Comparison::GreaterOrEqual { least(bound, scheme) } else { None };
                let ordering =
                    least.map_or_else(|| compare(version, bound, scheme), |(least, order)| compare(version, &least, order));
                match comparison {
                    Comparison::Equal => ordering.is_eq(),
                    Comparison::Greater => ordering.is_gt(),
                    Comparison::GreaterOrEqual => ordering.is_ge(),
                    Comparison::Less => ordering.is_lt(),
                    Comparison::LessOrEqual => ordering.is_le(),
                }
            })
        })
    }
}

/// How long a version may be that is compared with another. Others write them, and each is compared with every bound.
const MAX_VERSION: usize = 256;

/// A version without what `bound` does not say.
fn as_exact_as<'v>(bound: &str, version: &'v str, scheme: Scheme) -> &'v str {
    let before = |mark: char| if bound.contains(mark) { version } else { version.split_once(mark).map_or(version, |(v, _)| v) };
    match scheme {
        Scheme::Alpm | Scheme::Apk | Scheme::Debian | Scheme::Rpm => {
            let epoch = if bound.contains(':') { None } else { version.split_once(':') };
            let version = epoch.map_or(version, |(_, rest)| rest);
            let version =
                if scheme == Scheme::Debian && rebuilt(bound).is_none() { rebuilt(version).unwrap_or(version) } else { version };
            if bound.contains('-') {
                return version;
            }
            let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
            if scheme == Scheme::Debian && repacked(bound).is_none() { repacked(version).unwrap_or(version) } else { version }
        }
        Scheme::Bazel | Scheme::Bitnami | Scheme::Brew | Scheme::Vcpkg if scheme.revised(bound).1.is_empty() => {
            scheme.revised(version).0
        }
        Scheme::Gem => before('-'),
        Scheme::Python => before('+'),
        Scheme::Bazel
        | Scheme::Bitnami
        | Scheme::Brew
        | Scheme::Composer
        | Scheme::Cran
        | Scheme::Maven
        | Scheme::Semantic
        | Scheme::Vcpkg => version,
    }
}

/// Upstream's version of what Debian packed anew, without what it may not spread (`5.6.1+dfsg1`, zlib's `1.2.13.dfsg`) or with
/// other sources beside (`6.1.13+~cs7.0.5`). `5.6.1+really5.4.5` is none: that is 5.4.5.
fn repacked(version: &str) -> Option<&str> {
    let mut upstream = version.split_once("+~").map_or(version, |(upstream, _)| upstream);
    // From behind, each mark once: others write versions, and a version may be long.
    loop {
        let numbered = upstream.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let marked = numbered.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let is_packer_s = numbered.get(marked.len()..).is_some_and(|word| matches!(word, "dfsg" | "ds" | "repack"));
        match marked.strip_suffix(['+', '~', '.', '-']).filter(|_| is_packer_s) {
            Some(rest) => upstream = rest,
            None => return (upstream.len() < version.len()).then_some(upstream),
        }
    }
}

/// What was built anew, unchanged, as Debian's `5.2.15-2+b7` is from `5.2.15-2`.
fn rebuilt(version: &str) -> Option<&str> {
    let (source, number) = version.rsplit_once("+b")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(source)
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
    if is_version(version) {
        Ok((comparison, version.to_owned()))
    } else {
        Err(format!("wants versions such as <2.17.1, or >=2.0, <2.12.2; found `{}`", crate::yaml::shown(text)))
    }
}

/// Whether it is one version: `^1.2`, `1.x`, `!=1` and `latest` mean something elsewhere; here they would match nothing, or
/// everything.
fn is_version(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '~' | ':' | '^' | '!');
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
        && text.chars().any(|c| c.is_ascii_digit())
        && !text.split('.').any(|part| part.eq_ignore_ascii_case("x"))
}

#[cfg(test)]
mod tests;
