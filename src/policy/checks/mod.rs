//! The built-in checks of an attestation's content: what a policy asks of a document without writing an expression.
//!
//! First a statement's predicate is read as what its type says ([`documents`]); then what a policy asks of
//! it is checked while it streams past ([`Predicate::open`](crate::verify::Predicate::open)), so a document of any size the
//! verifier accepts is judged in bounded memory. One statement must pass all checks of its entry.
//!
//! | key | documents | asks |
//! |---|---|---|
//! | (always) | all | the document is of the format that the type says, and of the version that the policy's does |
//! | `allow_empty` | SPDX, CycloneDX | without it, at least one package (A8) |
//! | `packages` | SPDX, CycloneDX | no package that is denied, by package URL or name, with versions |
//! | `licenses` | SPDX, CycloneDX | no licence that is denied, none but those allowed |
//! | `suppliers` | SPDX, CycloneDX | likewise |
//! | `vulnerabilities` | cosign's vuln | no vulnerability above a severity, a scan of some age |
//! | `provenance` | SLSA 0.2 and 1 | builder, source repository, build type |

mod licenses;
mod packages;
mod provenance;
mod suppliers;
mod version;
mod vulnerabilities;

use jiff::Timestamp;

pub(crate) use self::packages::{Denied, Index};
use self::{
    licenses::{Judged, Licenses},
    packages::Packages,
    provenance::ProvenanceCheck,
    suppliers::Suppliers,
    vulnerabilities::Vulnerabilities,
};
use super::{
    Reason,
    deny::DeniedPackages,
    documents::{
        self, DocumentError, cyclonedx,
        sbom::{Package, Sbom},
        spdx, vex,
    },
    fingerprint::Form,
    predicate::PredicateType,
    sentence::short,
};
use crate::{
    verify::{Predicate, Statement},
    yaml::{Cursor, Fields},
};

/// The keys of an attestation entry that are checks.
pub(super) const KEYS: &[&str] = &["allow_empty", "licenses", "packages", "provenance", "suppliers", "vulnerabilities"];

/// The checks of one attestation entry; all must pass, by one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    allow_empty: bool,
    licenses: Option<Licenses>,
    packages: Option<Packages>,
    provenance: Option<ProvenanceCheck>,
    suppliers: Option<Suppliers>,
    vulnerabilities: Option<Vulnerabilities>,
}

/// A statement passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Until when, where a check is about age: the scan may be so old. `None`: for good.
    pub(crate) valid_until: Option<Timestamp>,
}

/// A statement does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckFailure {
    /// The code.
    pub(crate) reason: Reason,
    /// What was wanted and what was found: a clause such as `wants no package pkg:npm/x; found 1.2`. Whoever shows it makes
    /// it printable and short.
    pub(crate) summary: String,
}

/// Why a statement is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It passes no check of its entry.
    Failed(CheckFailure),
    /// It is no document of its type.
    Malformed(DocumentError),
}

impl From<CheckFailure> for Unfit {
    fn from(failure: CheckFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<DocumentError> for Unfit {
    fn from(error: DocumentError) -> Self {
        Self::Malformed(error)
    }
}

impl Checks {
    /// Reads the [`KEYS`] among an entry's `fields`. Without any: no checks. `None` after noting what is wrong, such as a
    /// check that documents of `predicate_type` cannot meet.
    pub(super) fn parse(fields: &Fields<'_>, predicate_type: &PredicateType) -> Option<Self> {
        let is_sbom = predicate_type.is_sbom();
        let is_provenance = matches!(predicate_type, PredicateType::Provenance(_));
        let mut fits = true;
        for (keys, fit, what) in [
            (&["allow_empty", "licenses", "packages", "suppliers"][..], is_sbom, "SPDX and CycloneDX documents"),
            (&["provenance"], is_provenance, "SLSA provenance"),
            (&["vulnerabilities"], *predicate_type == PredicateType::Vuln, "cosign's vulnerability attestations"),
        ] {
            for (key, cursor) in if fit { Vec::new() } else { fields.given(keys) } {
                cursor.wrong(format!("`{key}` is a check of {what}; `{predicate_type}` is none"));
                fits = false;
            }
        }
        let allow_empty = fields.get("allow_empty").map_or(Some(false), |cursor| cursor.boolean());
        let licenses = optional(fields.get("licenses"), Licenses::parse);
        let packages = optional(fields.get("packages"), Packages::parse);
        let provenance = optional(fields.get("provenance"), ProvenanceCheck::parse);
        let suppliers = optional(fields.get("suppliers"), Suppliers::parse);
        let vulnerabilities = optional(fields.get("vulnerabilities"), Vulnerabilities::parse);
        let checks = Self {
            allow_empty: allow_empty?,
            licenses: licenses?,
            packages: packages?,
            provenance: provenance?,
            suppliers: suppliers?,
            vulnerabilities: vulnerabilities?,
        };
        fits.then_some(checks)
    }

    /// Whether `statement`, found to be of `predicate_type`, is a document of that type and passes at `now`. CPU work that
    /// may read a whole document. `denied`: packages that no SBOM may list, whatever the entry asks.
    ///
    /// # Errors
    /// It is no such document; or the first check that fails.
    pub(crate) fn judge(
        &self,
        predicate_type: &PredicateType,
        statement: &Statement,
        now: Timestamp,
        denied: &DeniedPackages,
    ) -> Result<Checked, Unfit> {
        let predicate = &statement.predicate;
        match predicate_type {
            PredicateType::Exact(_) => documents::anything(predicate)?,
            PredicateType::OpenVex => vex::read(predicate)?,
            PredicateType::OpenVexVersion => vex::read_0_2(predicate)?,
            PredicateType::Provenance(version) => {
                let said = documents::provenance::read(predicate, *version)?;
                self.provenance.as_ref().map_or(Ok(()), |check| check.judge(&said))?;
            }
            PredicateType::Vuln => return self.scanned(predicate, now),
            PredicateType::CycloneDx
            | PredicateType::CycloneDxVersion(_)
            | PredicateType::Spdx
            | PredicateType::SpdxVersion(_) => self.listed(predicate_type, predicate, denied)?,
        }
        Ok(Checked::default())
    }

    /// Whether a statement passes for a time only.
    pub(super) fn bounds_age(&self) -> bool {
        self.vulnerabilities.as_ref().is_some_and(Vulnerabilities::bounds_age)
    }

    /// Whether a statement passes for what it says of who built it, or from what.
    pub(super) fn asks_who_built(&self) -> bool {
        self.provenance.as_ref().is_some_and(ProvenanceCheck::asks_who_built)
    }

    fn scanned(&self, predicate: &Predicate, now: Timestamp) -> Result<Checked, Unfit> {
        let Some(check) = &self.vulnerabilities else {
            return Ok(documents::vuln::read(predicate, &mut |_| {}).map(|_| Checked::default())?);
        };
        let mut found = check.begin();
        let scan = documents::vuln::read(predicate, &mut |finding| found.see(finding))?;
        Ok(found.judge(&scan, now)?)
    }

    fn listed(&self, predicate_type: &PredicateType, predicate: &Predicate, denied: &DeniedPackages) -> Result<(), Unfit> {
        let mut first: Option<CheckFailure> = None;
        let mut judged = Judged::default();
        let mut each = |package: &Package| {
            // What the deny-list says goes first, wherever in the document it stands.
            if !denied.is_empty() && first.as_ref().is_none_or(|failure| failure.reason != Reason::Denied) {
                first = packages::denied(denied, package).or(first.take());
            }
            if first.is_none() {
                first = self.package(package, &mut judged).err();
            }
        };
        let deep = self.licenses.is_some() || self.suppliers.is_some();
        let depth = if deep { spdx::Depth::Deep } else { spdx::Depth::Shallow };
        let read = sbom(predicate_type, predicate, depth, &mut each);
        if let Some(failure) = first.take_if(|failure| failure.reason == Reason::Denied) {
            // Before all else here too: what frames a document is none of its packages, and may be the one that is denied; and what is
            // wrong with the document makes none go away.
            return Err(failure.into());
        }
        let sbom = read?;
        if sbom.packages == 0 && !self.allow_empty {
            let files = if sbom.files == 0 { String::new() } else { format!(" and {} files", sbom.files) };
            let version = sbom.version;
            let summary = format!("wants packages; found none{files} in its {version} document (`allow_empty` is not set)");
            return Err(CheckFailure { reason: Reason::SbomEmpty, summary }.into());
        }
        first.map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn package(&self, package: &Package, judged: &mut Judged) -> Result<(), CheckFailure> {
        self.packages.as_ref().map_or(Ok(()), |check| check.judge(package))?;
        self.licenses.as_ref().map_or(Ok(()), |check| check.judge(package, judged))?;
        self.suppliers.as_ref().map_or(Ok(()), |check| check.judge(package))
    }

    /// Adds all that can change an answer to a policy's fingerprint.
    pub(super) fn form(&self, form: &mut Form) {
        let Self { allow_empty, licenses, packages, provenance, suppliers, vulnerabilities } = self;
        form.flag(*allow_empty);
        form.list(licenses.as_slice(), |form, check| check.form(form));
        form.list(packages.as_slice(), |form, check| check.form(form));
        form.list(provenance.as_slice(), |form, check| check.form(form));
        form.list(suppliers.as_slice(), |form, check| check.form(form));
        form.list(vulnerabilities.as_slice(), |form, check| check.form(form));
    }
}

/// Reads an SBOM of `predicate_type`, whose version it must have; `each` sees every package.
fn sbom(
    predicate_type: &PredicateType,
    predicate: &Predicate,
    depth: spdx::Depth,
    each: &mut dyn FnMut(&Package),
) -> Result<Sbom, DocumentError> {
    match predicate_type {
        PredicateType::CycloneDx => cyclonedx::read(predicate, each),
        PredicateType::CycloneDxVersion(wanted) => {
            let sbom = cyclonedx::read(predicate, each)?;
            let found = sbom.version.trim_start_matches("CycloneDX ");
            if found == *wanted { Ok(sbom) } else { Err(DocumentError::version("specVersion", found, "its type says another")) }
        }
        PredicateType::SpdxVersion(wanted) => {
            let (found, sbom) = spdx::read(predicate, depth, each)?;
            let key = if found == spdx::Version::V3_0 { "specVersion" } else { "spdxVersion" };
            if found == *wanted { Ok(sbom) } else { Err(DocumentError::version(key, found.as_str(), "its type says another")) }
        }
        PredicateType::Spdx => spdx::read(predicate, depth, each).map(|(_, sbom)| sbom),
        PredicateType::Exact(_)
        | PredicateType::OpenVex
        | PredicateType::OpenVexVersion
        | PredicateType::Provenance(_)
        | PredicateType::Vuln => Err(DocumentError::Malformed("is of a type that lists no packages".into())),
    }
}

/// `Some(None)` where nothing is written.
fn optional<T>(cursor: Option<Cursor<'_>>, parse: impl FnOnce(&Cursor<'_>) -> Option<T>) -> Option<Option<T>> {
    match cursor {
        Some(cursor) => parse(&cursor).map(Some),
        None => Some(None),
    }
}

/// Exact texts, one or a list, at least one.
fn texts(cursor: &Cursor<'_>, what: &str) -> Option<Vec<String>> {
    let items = cursor.one_or_list();
    if items.is_empty() {
        cursor.wrong("an empty list matches nothing; leave it out, or write the values");
        return None;
    }
    let texts: Vec<_> = items.iter().map(|item| item.text(what).map(str::to_owned)).collect();
    texts.into_iter().collect()
}

/// What of a text is meant as a pattern, where there are none: it would match nothing.
fn pattern(text: &str) -> Option<char> {
    text.chars().find(|c| matches!(c, '*' | '?' | '{'))
}

/// A package for a sentence.
fn named(package: &Package) -> String {
    let group = package.group.as_deref().map(|group| format!("{group}/")).unwrap_or_default();
    let name = if package.name.is_empty() {
        package.purls.first().map_or("a package without name", String::as_str)
    } else {
        &package.name
    };
    let version = package.version.as_deref().map(|version| format!(" {}", short(version, 24))).unwrap_or_default();
    format!("{}{version}", short(&format!("{group}{name}"), 60))
}

#[cfg(test)]
mod tests;
