//! An element of SPDX 3.0, whatever its type: what is read of it, and what of that decides.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{
    super::{
        json::shown,
        sbom::{Package, add_purl, is_asserted, is_image, is_purl},
    },
    DocumentError, Gathered,
    join::{Licenses, Referred},
    package::supplied_by,
};

/// Where the licences and exceptions of SPDX's list are: as the list has it, and as its older form and many documents do.
const LISTED: [&str; 2] = ["https://spdx.org/licenses/", "http://spdx.org/licenses/"];
/// How the IRIs begin that SPDX's terms stand for; the last as its context shortens them.
const TERMS: [&str; 3] = ["https://spdx.org/rdf/", "http://spdx.org/rdf/", "spdx:"];
/// Packages, and what SPDX derives from them.
pub(super) const PACKAGES: [&str; 3] = ["software_Package", "ai_AIPackage", "dataset_DatasetPackage"];
const AGENTS: [&str; 4] = ["Agent", "Organization", "Person", "SoftwareAgent"];
/// Classes that no element has by the specification, but licences of Microsoft's sbom-tool.
const NAMED: [&str; 2] = ["AnyLicenseInfo", "Element"];
pub(super) const KEYS: &[&str] = &[
    "type",
    "@type",
    "spdxId",
    "@id",
    "name",
    "creationInfo",
    "specVersion",
    "software_packageVersion",
    "software_packageUrl",
    "software_primaryPurpose",
    "externalIdentifier",
    "externalIdentifierType",
    "identifier",
    "suppliedBy",
    "relationshipType",
    "from",
    "to",
    "key",
    "value",
    "simplelicensing_customIdToUri",
    "simplelicensing_licenseExpression",
    "simplelicensing_licenseText",
    "expandedlicensing_member",
    "expandedlicensing_subjectAddition",
    "expandedlicensing_subjectExtendableLicense",
    "expandedlicensing_subjectLicense",
];

/// What is read of an element, whatever its type.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    /// Its id by JSON-LD's key, where it has SPDX's too.
    pub(super) node: Option<String>,
    pub(super) name: Option<String>,
    pub(super) creation: bool,
    pub(super) version: Option<String>,
    pub(super) package_version: Option<String>,
    pub(super) purls: Vec<String>,
    pub(super) purpose: Option<String>,
    pub(super) identifier_type: Option<String>,
    pub(super) identifier: Option<String>,
    /// Its external identifiers that stand elsewhere, by hash.
    pub(super) identifiers: Vec<u64>,
    /// One of its external identifiers, or one of the names in its expression, is in a form that is not read.
    pub(super) is_partial: bool,
    /// It has what packages alone have.
    pub(super) of_package: bool,
    /// It has more than a type, an id and what nobody asks for.
    pub(super) is_said: bool,
    pub(super) supplier: Option<String>,
    pub(super) relationship: Option<String>,
    pub(super) from: Option<String>,
    /// By hash.
    pub(super) to: Vec<u64>,
    pub(super) expression: Option<String>,
    /// What the `LicenseRef-…` of an expression are, as hashes: of the reference and of the id.
    pub(super) custom: Vec<(u64, u64)>,
    /// Of an entry that says so.
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    /// A licence's text, where it is so short that it is a name.
    pub(super) words: Option<String>,
    /// Of a set of licences, or what an operator is about.
    pub(super) members: Vec<String>,
    pub(super) addition: Option<String>,
}

impl Element {
    pub(super) fn text(&mut self, key: &'static str, mut text: Option<String>) -> Result<(), DocumentError> {
        self.of_package |= text.is_some() && matches!(key, "software_packageVersion" | "software_packageUrl");
        let slot = match key {
            "type" | "@type" => {
                text = text.map(term);
                &mut self.kind
            }
            "spdxId" => &mut self.id,
            "@id" => &mut self.node,
            "name" => &mut self.name,
            "specVersion" => &mut self.version,
            "software_packageVersion" => &mut self.package_version,
            "software_packageUrl" => return text.map_or(Ok(()), |text| add_purl(&mut self.purls, text)),
            "software_primaryPurpose" => &mut self.purpose,
            "externalIdentifierType" => &mut self.identifier_type,
            "identifier" => &mut self.identifier,
            "relationshipType" => {
                text = text.map(term);
                &mut self.relationship
            }
            _ => &mut self.expression,
        };
        if slot.is_some() && text.is_some() {
            return Err(DocumentError::Malformed(format!("has an element with two types or ids (`{key}`)")));
        }
        if text.is_some() {
            *slot = text;
        }
        Ok(())
    }

    /// Makes one id of the two keys for it. Both has an element that tells how a document was made, of Microsoft's sbom-tool; another
    /// would be two elements.
    pub(super) fn settle(&mut self) -> Result<(), DocumentError> {
        if self.id.is_none() {
            self.id = self.node.take();
        }
        match (&self.node, self.kind.as_deref()) {
            (None, _) | (Some(_), Some("CreationInfo")) => Ok(()),
            (Some(_), _) => Err(DocumentError::Malformed("has an element with two types or ids (`@id`)".into())),
        }
    }

    /// All that decides, as a hash: the same of all elements of which nothing does, such as files, and relationships that are to
    /// no licence, of which CMake writes many under one id.
    pub(super) fn deciding(&self, hasher: &RandomState) -> u64 {
        let kind = self.kind.as_deref().unwrap_or_default();
        let decides = self.is_package()
            || self.is_licensing() == Some(true)
            || AGENTS.contains(&kind)
            || NAMED.contains(&kind)
            || kind.starts_with("simplelicensing_")
            || kind.starts_with("expandedlicensing_")
            || self.identifier.is_some()
            || self.key.is_some()
            || self.value.is_some();
        let package = (&self.name, &self.package_version, &self.purls, &self.identifiers, &self.purpose, &self.supplier);
        let relationship = (&self.relationship, &self.from, &self.to);
        let license = (&self.expression, &self.custom, &self.words, &self.members, &self.addition);
        let identifier = (&self.identifier_type, &self.identifier);
        let entry = (&self.key, &self.value);
        hasher.hash_one(decides.then_some((kind, package, relationship, license, identifier, entry)))
    }

    pub(super) fn is_package(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| PACKAGES.contains(&kind))
    }

    pub(super) fn is_frame(&self) -> bool {
        matches!(self.purpose.as_deref(), Some("container" | "file" | "operatingSystem"))
            || self.purls.iter().any(|purl| is_image(purl))
    }

    /// Whether it is a relationship to licences, if that has been read.
    pub(super) fn is_licensing(&self) -> Option<bool> {
        // Microsoft's sbom-tool writes `HAS_DECLARED_LICENSE`.
        let plain = self.relationship.as_ref().map(|kind| kind.replace('_', ""));
        plain.map(|kind| ["hasDeclaredLicense", "hasConcludedLicense"].iter().any(|known| known.eq_ignore_ascii_case(&kind)))
    }

    /// What it is as an external identifier.
    pub(super) fn purl(&self) -> Option<&str> {
        let is_typed = self.identifier_type.as_ref().is_some_and(|kind| kind.eq_ignore_ascii_case("packageUrl"));
        self.identifier.as_deref().filter(|identifier| is_typed || is_purl(identifier))
    }

    pub(super) fn hand_out(&self, licenses: Licenses, supplier: Option<String>, each: &mut dyn FnMut(&Package)) {
        if self.is_package() {
            let (licenses, foreign) = licenses;
            let (supplier, supplier_name) = supplied_by(supplier);
            each(&Package {
                name: self.name.clone().unwrap_or_default(),
                group: None,
                version: self.package_version.clone(),
                purls: self.purls.clone(),
                licenses,
                foreign,
                supplier,
                supplier_name,
                is_frame: self.is_frame(),
            });
        }
    }

    pub(super) fn gather(&self, gathered: &mut Gathered) -> Result<(), DocumentError> {
        if let (Some(true), Some(from)) = (self.is_licensing(), &self.from) {
            for to in &self.to {
                gathered.license(from, *to)?;
            }
        }
        for member in &self.members {
            known(gathered, member, Referred::License)?;
        }
        if let Some(addition) = &self.addition {
            known(gathered, addition, Referred::Addition)?;
        }
        let (Some(kind), Some(id)) = (self.kind.as_deref(), self.id.as_deref()) else { return Ok(()) };
        if AGENTS.contains(&kind) {
            return gathered.note(id, Referred::Agent, self.name.as_deref().unwrap_or(id));
        }
        match (kind, &self.expression) {
            ("ExternalIdentifier", _) if self.identifier.is_some() => {
                gathered.note(id, Referred::Identifier, self.purl().unwrap_or_default())
            }
            ("simplelicensing_LicenseExpression", Some(expression)) if self.is_partial => {
                gathered.note(id, Referred::Unread, expression)
            }
            ("simplelicensing_LicenseExpression", Some(expression)) => {
                gathered.note(id, Referred::License, expression)?;
                gathered.custom(id, &self.custom)
            }
            ("simplelicensing_SimpleLicensingText" | "simplelicensing_AnyLicenseInfo" | "AnyLicenseInfo", _) => {
                self.named(id, gathered)
            }
            // What Microsoft's sbom-tool has for no licence is an element without a class.
            ("Element", _) if self.name.as_deref().is_some_and(|name| !is_asserted(name)) => {
                gathered.note(id, Referred::License, "NOASSERTION")
            }
            // Known by its id, whatever the document says of it.
            (kind, _) if kind.starts_with("expandedlicensing_") && (listed(id).is_some() || nothing(id).is_some()) => Ok(()),
            ("expandedlicensing_ConjunctiveLicenseSet", _) => gathered.set(id, true, &self.members),
            ("expandedlicensing_DisjunctiveLicenseSet", _) => gathered.set(id, false, &self.members),
            ("expandedlicensing_OrLaterOperator", _) => gathered.operator(id, &self.members, None),
            ("expandedlicensing_WithAdditionOperator", _) => {
                gathered.operator(id, &self.members, Some(self.addition.as_deref().unwrap_or_default()))
            }
            ("expandedlicensing_CustomLicense" | "expandedlicensing_ListedLicense", _) => self.named(id, gathered),
            ("expandedlicensing_ListedLicenseException", _) => {
                gathered.note(id, Referred::Addition, self.name.as_deref().unwrap_or(id))
            }
            // A custom addition may say anything.
            (kind, _) if kind.starts_with("expandedlicensing_") => gathered.note(id, Referred::Unread, id),
            _ => Ok(()),
        }
    }

    /// Notes a licence by its name, which says which one of the list it is, or that it is none; without one by its text, if that is
    /// no longer than a name.
    fn named(&self, id: &str, gathered: &mut Gathered) -> Result<(), DocumentError> {
        let name = self.name.as_deref().filter(|name| is_asserted(name));
        match (name, self.words.as_deref(), &self.name) {
            (Some(name), words, _) => {
                gathered.note(id, Referred::License, name)?;
                // The name once more says nothing beside it.
                let words = words.filter(|words| *words != name.trim());
                words.map_or(Ok(()), |words| gathered.beside(id, words))
            }
            (None, Some(words), _) => gathered.note(id, Referred::License, words),
            (None, None, Some(nothing)) => gathered.note(id, Referred::License, nothing),
            (None, None, None) => gathered.note(id, Referred::Unread, "a licence of a text alone"),
        }
    }
}

/// Refuses a key by which JSON-LD says otherwise what SPDX's context has a term for: a keyword, or the IRI of a term.
pub(super) fn other_spelling(key: &str) -> Result<(), DocumentError> {
    if key.starts_with('@') || TERMS.iter().any(|start| key.starts_with(start)) {
        return Err(DocumentError::Malformed(format!("has an element with `{}`; write it in SPDX's own terms", shown(key))));
    }
    Ok(())
}

/// What SPDX's context calls a class or a relationship that is written as an IRI, as JSON-LD allows. A package by its IRI is
/// one all the same: unknown, it would be one that nobody looks at.
fn term(text: String) -> String {
    let iri = |start: &str| text.strip_prefix(start).and_then(|rest| rest.split_once("/terms/")).map(|(_, path)| path);
    let path = iri("https://spdx.org/rdf/").or_else(|| iri("http://spdx.org/rdf/")).or_else(|| text.strip_prefix("spdx:"));
    match path.and_then(|path| path.split_once('/')) {
        Some(("Core", name)) => name.rsplit('/').next().unwrap_or(name).to_owned(),
        Some((profile, name)) => format!("{}_{name}", profile.to_ascii_lowercase()),
        None => text,
    }
}

/// Notes what is known by its id alone: of SPDX's list, or one of its two licences that are none.
pub(super) fn known(gathered: &mut Gathered, id: &str, make: fn(Arc<str>) -> Referred) -> Result<(), DocumentError> {
    match listed(id).or_else(|| nothing(id)) {
        Some(text) => gathered.note(id, make, text),
        None => Ok(()),
    }
}

/// What of SPDX's list an id is.
fn listed(id: &str) -> Option<&str> {
    LISTED.iter().find_map(|list| id.strip_prefix(list))
}

/// SPDX's two licences that are none, by their ids.
fn nothing(id: &str) -> Option<&'static str> {
    match id {
        "https://spdx.org/rdf/3.0.0/terms/ExpandedLicensing/NoAssertionLicense"
        | "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"
        | "expandedlicensing_NoAssertionLicense" => Some("NOASSERTION"),
        "https://spdx.org/rdf/3.0.0/terms/ExpandedLicensing/NoneLicense"
        | "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoneLicense"
        | "expandedlicensing_NoneLicense" => Some("NONE"),
        _ => None,
    }
}
