//! Package URLs, as their types spell them.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr as _};

use packageurl::PackageUrl;

/// A package URL's parts, as its type spells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purl {
    pub(super) kind: String,
    /// Namespace and name, with `/` between. Where the one ends is told by nothing that all write alike: `%2F` for the last `/`
    /// is in the name, and would hide the package from who writes it with a namespace.
    pub(super) name: String,
    pub(super) version: Option<String>,
    qualifiers: BTreeMap<String, String>,
}

impl Purl {
    pub(super) fn parse(text: &str) -> Result<(Self, bool), packageurl::Error> {
        let purl = PackageUrl::from_str(text)?;
        let own = |text: &str| text.trim().to_owned();
        let parts = purl.namespace().into_iter().chain([purl.name()]).flat_map(|part| part.split('/').map(str::trim));
        let mut parts: Vec<Cow<'_, str>> = parts.filter(|part| !part.is_empty()).map(Cow::from).collect();
        if purl.ty() == "pypi"
            && let Some(last) = parts.last_mut()
        {
            *last = python_name(last).into();
        }
        let parsed = Self {
            kind: own(purl.ty()),
            name: parts.join("/"),
            version: purl.version().map(own),
            qualifiers: purl.qualifiers().iter().map(|(key, value)| (own(key), own(value))).collect(),
        };
        Ok((parsed, purl.subpath().is_some()))
    }

    /// Its name without the namespace.
    pub(super) fn short_name(&self) -> &str {
        self.name.rsplit_once('/').map_or(&*self.name, |(_, name)| name)
    }

    /// Whether `found` may be the package that this one, of a policy, names; its version is another matter. A qualifier that it
    /// leaves out may be any. Most types compare names in any capitals, and in the others no two differ in that alone.
    pub(super) fn names(&self, found: &Self) -> bool {
        self.kind == found.kind
            && self.name.eq_ignore_ascii_case(&found.name)
            && self.qualifiers.iter().all(|(key, value)| found.qualifiers.get(key).is_none_or(|found| found == value))
    }

    /// Its version, with the epoch that distributions' package URLs have apart from it.
    pub(super) fn whole_version(&self) -> Option<Cow<'_, str>> {
        let version = self.version.as_deref()?;
        Some(match self.qualifiers.get("epoch") {
            Some(epoch) if !version.contains(':') => format!("{epoch}:{version}").into(),
            Some(_) | None => version.into(),
        })
    }
}

/// A name of Python's index, as PEP 503 compares them.
pub(super) fn python_name(name: &str) -> String {
    let words: Vec<&str> = name.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    words.join("-")
}
