//! Ranges of versions: `<2.17.1`, `>=2.0, <2.12.2`, `1.2.3`.
//!
//! A bound that says less than a version speaks of all that say more: without epoch or revision it is upstream's version,
//! `5.6.1` is Debian's `5.6.1-1` too, and Fedora's `0:5.6.1-2`; `5.2.15-2` is Debian's rebuild of it, `5.2.15-2+b7`, too; of
//! Python's `1.0+cu118` it is `1.0`, of a gem for one platform, `1.13.6-x86_64-linux`, the gem.

mod order;

pub(super) use self::order::{Scheme, compare};

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
            let version = as_exact_as(bound, version, scheme);
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

/// A version without what `bound` does not say.
fn as_exact_as<'v>(bound: &str, version: &'v str, scheme: Scheme) -> &'v str {
    let before = |mark: char| if bound.contains(mark) { version } else { version.split_once(mark).map_or(version, |(v, _)| v) };
    match scheme {
        Scheme::Alpm | Scheme::Apk | Scheme::Debian | Scheme::Rpm => {
            let epoch = if bound.contains(':') { None } else { version.split_once(':') };
            let version = epoch.map_or(version, |(_, rest)| rest);
            let version =
                if scheme == Scheme::Debian && rebuilt(bound).is_none() { rebuilt(version).unwrap_or(version) } else { version };
            if bound.contains('-') { version } else { version.rsplit_once('-').map_or(version, |(upstream, _)| upstream) }
        }
        Scheme::Gem => before('-'),
        Scheme::Python => before('+'),
        Scheme::Maven | Scheme::Semantic => version,
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
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '~' | ':' | '^' | '!');
    if !version.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !version.chars().all(plain)
        || !version.chars().any(|c| c.is_ascii_digit())
        || version.split('.').any(|part| part.eq_ignore_ascii_case("x"))
    {
        // `^1.2`, `1.x` and `!=1` mean something elsewhere; here they would match nothing, or everything.
        return Err(format!("wants versions such as <2.17.1, or >=2.0, <2.12.2; found `{}`", crate::yaml::shown(text)));
    }
    Ok((comparison, version.to_owned()))
}

#[cfg(test)]
mod tests;
