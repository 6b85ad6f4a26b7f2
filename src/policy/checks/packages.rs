//! Denied packages: by package URL or by name, all versions or some.
//!
//! A package URL matches package URLs: type, namespace and name in any capitals, `%2F` being `/`, Python's names by PEP 503, its
//! version and qualifiers where the entry has them; rpm's and Debian's `epoch` is of the version. A name matches the package's
//! name, `group/name`, which Maven writes `group:name`, and the names in its package URLs, in any capitals; those of Python by
//! PEP 503 too, and those of no stated ecosystem. Which source a distribution made a package of (syft's `upstream`) is not read:
//! trivy does not say it, and `gcc` would be denied for the libgcc that is everywhere.
//!
//! A package that does not say its version, or a qualifier that an entry has, is denied whatever the entry says of it: a document
//! could else hide one by leaving it out. So is one whose version is neither before nor behind the entry's (`jdk-21.0.1` and
//! 17.0), unless it says another that is; of two that are, either is enough. For the same reason one that does not say its
//! ecosystem, or one that is not known, is denied where any way to read its version is: `5.6.1-1` is before 5.6.1 in npm, and
//! 5.6.1 in Debian.

mod index;
mod purl;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    fmt,
};

pub(crate) use self::index::Index;
use self::purl::{Purl, python_name};
use super::{
    CheckFailure, Form, Package, Reason, named, pattern, short,
    version::{Range, Scheme},
};
use crate::{
    policy::deny::{DeniedPackage, DeniedPackages},
    yaml::{Cursor, Value, shown},
};

/// `packages`.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    deny: Vec<Denied>,
    index: Index,
}

/// A package nobody wants.
#[derive(Debug, Clone)]
pub(crate) struct Denied {
    what: What,
    /// Any of them; none: every version.
    versions: Vec<Range>,
}

#[derive(Debug, Clone)]
enum What {
    Name {
        written: String,
        /// With `/` behind a group.
        full: String,
        /// As Python's index has it.
        python: String,
    },
    Purl {
        written: String,
        purl: Purl,
    },
}

/// Group and artifact of `org.acme:app`, as Maven writes them and trivy names its packages. `Moose::Util` has neither.
fn by_maven(name: &str) -> Option<(&str, &str)> {
    name.split_once(':').filter(|(group, artifact)| !group.is_empty() && !artifact.is_empty() && !artifact.contains(':'))
}

/// A package of a document, its package URLs read.
#[derive(Debug)]
pub(crate) struct Listed<'p> {
    package: &'p Package,
    /// Its name as Python's index has it, where no package URL says that it is of another ecosystem.
    python: Option<String>,
    /// As its type spells them; decoded where they break its rules. White space around them, or a part of theirs, is none of it.
    purls: Vec<Result<Purl, Vec<u8>>>,
}

impl<'p> Listed<'p> {
    pub(crate) fn of(package: &'p Package) -> Self {
        let read = |text: &'p String| Purl::parse(text.trim()).map(|(purl, _)| purl).map_err(|_| decoded(text.trim()));
        let purls: Vec<_> = package.purls.iter().map(read).collect();
        let other = purls.iter().flatten().any(|purl| !matches!(&*purl.kind, "generic" | "pypi"));
        Self { package, python: (!other).then(|| python_name(package.name.trim())), purls }
    }

    fn parsed(&self) -> impl Iterator<Item = &Purl> {
        self.purls.iter().filter_map(|purl| purl.as_ref().ok())
    }

    /// Whether no package URL says that it is of another ecosystem.
    fn may_be_maven(&self) -> bool {
        self.parsed().all(|purl| matches!(&*purl.kind, "generic" | "maven"))
    }

    fn says_a_version(&self) -> bool {
        self.package.version.is_some() || self.parsed().any(|purl| purl.version.is_some())
    }
}

impl Denied {
    /// Reads a package URL, `{purl: …, versions: …}` or `{name: …, versions: …}`.
    pub(crate) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        if !matches!(cursor.value(), Value::Map(_)) {
            return Self::purl(cursor);
        }
        let fields = cursor.fields(&["name", "purl", "versions"], &[])?;
        let versions = match fields.get("versions") {
            Some(cursor) => versions(&cursor),
            None => Some(Vec::new()),
        };
        let (key, what) = fields.exactly_one(&["name", "purl"])?;
        if key == "name" {
            return Some(Self { what: name(&what)?, versions: versions? });
        }
        let of_purl = Self::purl(&what)?;
        match versions? {
            versions if versions.is_empty() => Some(of_purl),
            _ if !of_purl.versions.is_empty() => {
                cursor.wrong("has a version in its package URL and `versions` beside it; write one of them");
                None
            }
            versions => Some(Self { versions, ..of_purl }),
        }
    }

    /// All versions, or the one that the package URL has. What is no version would match none.
    fn purl(cursor: &Cursor<'_>) -> Option<Self> {
        let written = cursor.text("a package URL such as pkg:npm/event-stream")?;
        if !written.starts_with("pkg:") {
            let shown = shown(written);
            cursor
                .wrong(format!("is no package URL; write pkg:TYPE/{shown}, or {{name: {shown}}} for the name in any ecosystem"));
            return None;
        }
        let (purl, is_part) = Purl::parse(written).map_err(|error| cursor.wrong(format!("is no package URL: {error}"))).ok()?;
        if is_part {
            cursor.wrong("names a part of a package (`#…`); write the package alone");
            return None;
        }
        let only = purl.version.as_deref().map(|version| Range::only(version).ok_or(version)).transpose();
        let only = only.map_err(|version| {
            let all = written.rsplit_once('@').map_or(written, |(all, _)| all);
            let range = if Range::parse(version).is_ok() { version } else { "<VERSION" };
            let some = format!("{{purl: \"{all}\", versions: \"{range}\"}}");
            cursor.wrong(format!("`{}` is no one version; write {some}, or {all} for all of them", shown(version)));
        });
        let versions = only.ok()?.into_iter().collect();
        // `?` sets qualifiers off, which are `key=value`.
        let mark = match written.split_once('?') {
            Some((alone, qualifiers)) if qualifiers.contains('=') => pattern(alone).or_else(|| pattern(qualifiers)),
            Some(_) | None => pattern(written),
        };
        if let Some(mark) = mark {
            cursor.wrong(format!("is compared exactly; `{mark}` is no pattern here"));
            return None;
        }
        if needs_namespace(&purl) {
            let name = shown(&purl.name);
            let namespace = format!("pkg:{}/NAMESPACE/{name}", purl.kind);
            cursor.wrong(format!("lacks the namespace that its type has; write {namespace}, or {{name: \"{name}\"}} for any"));
            return None;
        }
        Some(Self { what: What::Purl { written: written.to_owned(), purl }, versions })
    }

    /// Whether it denies this package.
    pub(crate) fn denies(&self, listed: &Listed<'_>) -> bool {
        let Listed { package, python: by_index, purls } = listed;
        match &self.what {
            What::Name { written, full, python } => {
                let same = |found: &str| found.eq_ignore_ascii_case(full) || found.eq_ignore_ascii_case(written);
                let name = package.name.trim();
                let is_it = match by_maven(name) {
                    Some((group, artifact)) => same(&format!("{group}/{artifact}")) || listed.may_be_maven() && same(artifact),
                    None => same(name),
                };
                let grouped = package.group.as_ref().is_some_and(|group| same(&format!("{}/{name}", group.trim())));
                let in_purl = listed.parsed().any(|purl| {
                    same(purl.short_name())
                        || same(&purl.name)
                        || purl.kind == "pypi" && purl.short_name().eq_ignore_ascii_case(python)
                });
                let in_index = by_index.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(python));
                (is_it || grouped || in_purl || in_index) && self.has_version(package, listed.parsed())
            }
            What::Purl { purl: wanted, written } => {
                let named = listed.parsed().any(|found| wanted.names(found) && self.has_version(package, std::iter::once(found)));
                // A package URL that breaks its type's rules is compared as text.
                named || purls.iter().any(|purl| matches!(purl, Err(text) if begins(text, &decoded(written))))
            }
        }
    }

    /// Whether it is about the version that the package or one of these package URLs of it says.
    fn has_version<'p>(&self, package: &'p Package, purls: impl Iterator<Item = &'p Purl>) -> bool {
        if self.versions.is_empty() {
            return true;
        }
        let (schemes, said) = said_versions(package, purls);
        let is_about = |range: &Range, scheme: Scheme| {
            let mut answers = said.iter().filter_map(|version| range.contains(version, scheme)).peekable();
            answers.peek().is_none() || answers.any(|is_in| is_in)
        };
        self.versions.iter().any(|range| schemes.iter().any(|scheme| is_about(range, *scheme)))
    }

    /// Adds all that can change an answer.
    pub(in crate::policy) fn form(&self, form: &mut Form) {
        match &self.what {
            What::Name { written, full: _, python: _ } => {
                form.text("name");
                form.text(written);
            }
            What::Purl { written, purl: _ } => {
                form.text("purl");
                form.text(written);
            }
        }
        form.list(&self.versions, |form, range| form.text(range.written()));
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Name { written, .. } | What::Purl { written, .. } => f.write_str(written)?,
        }
        let own = matches!(&self.what, What::Purl { purl, .. } if purl.version.is_some());
        for (i, range) in self.versions.iter().enumerate().filter(|_| !own) {
            write!(f, "{}{}", if i == 0 { " " } else { " or " }, range.written())?;
        }
        Ok(())
    }
}

/// The versions that the package and these package URLs of it say, and how those may be written. Each once: a document may say
/// one in hundreds of package URLs, and all are compared with every range of every entry that is about the package.
fn said_versions<'p>(package: &'p Package, purls: impl Iterator<Item = &'p Purl>) -> (BTreeSet<Scheme>, BTreeSet<Cow<'p, str>>) {
    let (mut kinds, mut said) = (BTreeSet::new(), BTreeSet::new());
    for purl in purls {
        kinds.extend(Scheme::of(&purl.kind));
        said.extend(purl.whole_version());
    }
    // `UNKNOWN` and `(devel)` are no versions.
    said.extend(package.version.as_deref().map(Cow::from));
    said.retain(|version| version.contains(|c: char| c.is_ascii_digit()));
    // One that is another without its epoch says no more than that other.
    let of_epochs = said.iter().filter_map(|version| version.split_once(':')).map(|(_, rest)| rest.to_owned());
    let of_epochs: HashSet<String> = of_epochs.collect();
    said.retain(|version| !of_epochs.contains(version.as_ref()));
    (if kinds.is_empty() { BTreeSet::from(Scheme::ALL) } else { kinds }, said)
}

/// Whether `text` is the package URL `wanted`, perhaps with version, qualifiers or a subpath behind.
fn begins(text: &[u8], wanted: &[u8]) -> bool {
    let Some((head, rest)) = text.split_at_checked(wanted.len()) else { return false };
    let behind = rest.iter().find(|byte| **byte != b'/');
    head.eq_ignore_ascii_case(wanted) && matches!(behind, None | Some(b'@' | b'?' | b'#'))
}

/// Without its percent-encoding; what is none stays.
fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Whether it lacks what the specification's definition of its type requires: it would match none but those of generators that do
/// not know it (a jar of no group), though all were meant. Go's standard library has none, though Go's is required.
fn needs_namespace(purl: &Purl) -> bool {
    let required = ["alpm", "apk", "bitbucket", "deb", "github", "maven", "qpkg", "rpm"];
    required.contains(&&*purl.kind) && !purl.name.contains('/')
}

impl Packages {
    pub(super) fn parse(cursor: &Cursor<'_>) -> Option<Self> {
        let fields = cursor.fields(&["deny"], &[])?;
        let deny = fields.need("deny", "write which, as in [\"pkg:npm/event-stream\"]")?;
        let items = deny.list()?;
        if items.is_empty() {
            deny.wrong("an empty list denies nothing; leave `packages` out");
            return None;
        }
        let entries: Vec<_> = items.iter().map(Denied::parse).collect();
        let deny: Vec<Denied> = entries.into_iter().collect::<Option<_>>()?;
        Some(Self { index: Index::of(&deny), deny })
    }

    pub(super) fn judge(&self, package: &Package) -> Result<(), CheckFailure> {
        let listed = Listed::of(package);
        match self.index.first(&self.deny, &listed) {
            Some(entry) => {
                let unsaid = if listed.says_a_version() { "" } else { " of no stated version" };
                let summary = format!("wants no package {}; found {}{unsaid}", short(&entry.to_string(), 60), named(package));
                Err(CheckFailure { reason: Reason::PackageDenied, summary })
            }
            None => Ok(()),
        }
    }

    pub(super) fn form(&self, form: &mut Form) {
        form.list(&self.deny, |form, entry| entry.form(form));
    }
}

/// Why the deny-list denies a package, if it does.
pub(super) fn denied(list: &DeniedPackages, package: &Package) -> Option<CheckFailure> {
    let DeniedPackage { what, reason } = list.index.first(&list.all, &Listed::of(package))?;
    let what = short(&what.to_string(), 60);
    let summary = format!("{what} is denied by the deny-list: {}; found {}", short(reason, 60), named(package));
    Some(CheckFailure { reason: Reason::Denied, summary })
}

fn name(cursor: &Cursor<'_>) -> Option<What> {
    let text = cursor.text("a package's name")?;
    if text.starts_with("pkg:") {
        cursor.wrong(format!("is a package URL; write `purl: {}`", shown(text)));
        return None;
    }
    if let Some(mark) = pattern(text) {
        cursor.wrong(format!("is compared exactly; `{mark}` is no pattern here"));
        return None;
    }
    // Before a name, or a part of it, it is an npm scope's.
    let versioned = |(name, version): &(&str, &str)| !name.is_empty() && !name.ends_with('/') && Range::only(version).is_some();
    if let Some((name, version)) = text.rsplit_once('@').filter(versioned) {
        let (name, version) = (shown(name), shown(version));
        cursor.wrong(format!(
            "has `@{version}` behind its name; write {{name: \"{name}\", versions: \"{version}\"}}, or a package URL where it is of the name"
        ));
        return None;
    }
    let full = by_maven(text).map_or_else(|| text.to_owned(), |(group, artifact)| format!("{group}/{artifact}"));
    Some(What::Name { written: text.to_owned(), full, python: python_name(text) })
}

fn versions(cursor: &Cursor<'_>) -> Option<Vec<Range>> {
    let items = cursor.one_or_list();
    if items.is_empty() {
        cursor.wrong("an empty list matches nothing; leave `versions` out for all of them");
        return None;
    }
    let ranges: Vec<_> = items.iter().map(|item| item.parse("versions such as <2.17.1", Range::parse)).collect();
    ranges.into_iter().collect()
}

#[cfg(test)]
mod tests;
