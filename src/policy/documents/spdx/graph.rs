//! SPDX 3.0: the elements of `@graph`, and those written inside others (CMake and others do that).
//!
//! An element is told by its `type` as SPDX's own `@context` spells it, or by the IRI that this stands for; only that context
//! is accepted, because another one could give every key another meaning. Licences are relationships `hasDeclaredLicense` and
//! `hasConcludedLicense` to licence expressions, to simple licensing texts, to `https://spdx.org/licenses/…`, or to what the
//! expanded licensing profile makes of these: sets, operators, listed and custom licences.
//!
//! JSON-LD has many spellings of one value: in a list, as `{"@value": …}`, or by a reference. Of what decides, one is read, and
//! the others make a document malformed: passed over, they would hide a package from whoever denies it.

use std::sync::Arc;

use super::{
    super::sbom::{EachPackage, Licensing, Package, Sbom},
    DocumentError, Json, Kind,
    join::{Join, Referred, bounded},
};

/// The contexts of 3.0.
const CONTEXTS: [&str; 3] = [
    "https://spdx.org/rdf/3.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
];
/// Where the licences and exceptions of SPDX's list are: as the list has it, and as its older form and many documents do.
const LISTED: [&str; 2] = ["https://spdx.org/licenses/", "http://spdx.org/licenses/"];

/// What is kept of a graph: enough to say that it is a document.
#[derive(Debug, Default)]
pub(super) struct Graph {
    documents: usize,
    complete: Option<&'static str>,
    creation: bool,
    other_version: Option<String>,
    packages: usize,
    files: usize,
}

/// Whether `@context` is SPDX 3.0's and nothing else.
pub(super) fn context(json: &mut Json<'_>) -> Result<bool, DocumentError> {
    let (mut known, mut other) = (0, false);
    json.one_or_list(|json| {
        match json.text_if_any()?.as_deref() {
            Some(text) if CONTEXTS.contains(&text) => known += 1,
            Some(_) | None => other = true,
        }
        Ok(())
    })?;
    Ok(known == 1 && !other)
}

/// Reads the list of elements.
pub(super) fn read(json: &mut Json<'_>, join: &mut Join, each: EachPackage<'_>) -> Result<Graph, DocumentError> {
    let mut graph = Graph::default();
    json.items(|json| graph.element(json, join, each).map(drop))?;
    Ok(graph)
}

impl Graph {
    pub(super) fn judge(self) -> Result<Sbom, DocumentError> {
        match self.documents {
            1 => {}
            0 => return Err(DocumentError::Missing("SpdxDocument element")),
            _ => return Err(DocumentError::Malformed("has more than one SpdxDocument element".into())),
        }
        if let Some(missing) = self.complete {
            return Err(DocumentError::Missing(missing));
        }
        if let Some(other) = self.other_version {
            return Err(DocumentError::version("specVersion", &other, super::SUPPORTED));
        }
        if !self.creation {
            return Err(DocumentError::Missing("CreationInfo element with specVersion"));
        }
        Ok(Sbom { version: "SPDX-3.0", packages: self.packages, files: self.files })
    }

    /// An element; gives its id.
    fn element(
        &mut self,
        json: &mut Json<'_>,
        join: &mut Join,
        each: &mut dyn FnMut(&Package),
    ) -> Result<Element, DocumentError> {
        let mut element = Element::default();
        json.every(KEYS, |json, key| match key {
            Some("externalIdentifier") => json.one_or_list(|json| {
                match self.value(json, join, each)? {
                    Some(inside) if inside.identifier.is_some() => element.purls.extend(inside.purl()),
                    Some(_) | None => element.is_partial = true,
                }
                Ok(())
            }),
            Some("from") => {
                element.from = self.reference(json, join, each)?;
                Ok(())
            }
            // One relationship may contain all packages there are; of one to licences hashes suffice.
            Some("to") if element.is_licensing() != Some(false) => json.one_or_list(|json| {
                let to = json.item(|json| self.reference(json, join, each))?;
                let (Some(to), Join::Gather(gathered)) = (to, &mut *join) else { return Ok(()) };
                element.to.push(gathered.hash(&to));
                bounded(element.to.len(), "members of one relationship")?;
                known(gathered, &to, Referred::License)
            }),
            Some("to") => self.values(json, join, each),
            Some("expandedlicensing_member") => json.one_or_list(|json| {
                element.members.push(self.reference(json, join, each)?.unwrap_or_default());
                Ok(())
            }),
            Some("expandedlicensing_subjectLicense" | "expandedlicensing_subjectExtendableLicense") => {
                element.members.push(self.reference(json, join, each)?.unwrap_or_default());
                Ok(())
            }
            Some("expandedlicensing_subjectAddition") => {
                element.addition = self.reference(json, join, each)?;
                Ok(())
            }
            Some("suppliedBy") => {
                element.supplier = self.reference(json, join, each)?;
                Ok(())
            }
            Some("creationInfo") => {
                element.creation = true;
                self.values(json, join, each)
            }
            Some(key) if !matches!(json.kind()?, Kind::Text | Kind::Null) => {
                Err(DocumentError::Malformed(format!("has an element whose {key} is not text")))
            }
            Some(key) => element.text(key, json.text_or_null()?),
            None => self.values(json, join, each),
        })?;
        if element.is_partial && element.is_package() {
            let message = "has a package whose externalIdentifier is a reference; write the identifier inside the package";
            return Err(DocumentError::Malformed(message.into()));
        }
        self.count(&element);
        match join {
            Join::Without => element.hand_out(Vec::new(), None, each),
            Join::Gather(gathered) => element.gather(gathered)?,
            Join::With(gathered) => {
                let licenses = match &element.id {
                    Some(id) if element.is_package() => gathered.licenses(id),
                    Some(_) | None => Vec::new(),
                };
                let supplier = element.supplier.as_deref().and_then(|id| gathered.agent(id));
                element.hand_out(licenses, supplier, each);
            }
        }
        Ok(element)
    }

    /// Any value, for the elements inside it.
    fn values(&mut self, json: &mut Json<'_>, join: &mut Join, each: &mut dyn FnMut(&Package)) -> Result<(), DocumentError> {
        match json.kind()? {
            Kind::List => json.list(|json| self.values(json, join, each)),
            Kind::Object => json.item(|json| self.element(json, join, each).map(drop)),
            Kind::Null | Kind::Scalar | Kind::Text => json.skip(),
        }
    }

    /// A value that may be an element.
    fn value(
        &mut self,
        json: &mut Json<'_>,
        join: &mut Join,
        each: &mut dyn FnMut(&Package),
    ) -> Result<Option<Element>, DocumentError> {
        if json.kind()? == Kind::Object { self.element(json, join, each).map(Some) } else { json.skip().map(|()| None) }
    }

    /// The id of the element a value names or is.
    fn reference(
        &mut self,
        json: &mut Json<'_>,
        join: &mut Join,
        each: &mut dyn FnMut(&Package),
    ) -> Result<Option<String>, DocumentError> {
        match json.kind()? {
            Kind::Object => Ok(Some(self.element(json, join, each)?.id.unwrap_or_default())),
            Kind::List | Kind::Null | Kind::Scalar | Kind::Text => json.text_or_null(),
        }
    }

    fn count(&mut self, element: &Element) {
        let named = element.id.is_some() || element.name.is_some();
        match element.kind.as_deref() {
            Some("SpdxDocument") => {
                self.documents += 1;
                self.complete = match (&element.id, element.creation) {
                    (None, _) => Some("spdxId of its SpdxDocument"),
                    (_, false) => Some("creationInfo of its SpdxDocument"),
                    (Some(_), true) => None,
                };
            }
            Some("CreationInfo") => match &element.version {
                Some(version) if version == "3.0" || version.starts_with("3.0.") => self.creation = true,
                Some(other) => self.other_version = Some(other.clone()),
                None => {}
            },
            Some("software_File") => self.files += usize::from(named),
            Some(kind) if PACKAGES.contains(&kind) => self.packages += usize::from(named && !element.is_frame()),
            Some(_) | None => {}
        }
    }
}

/// Packages, and what SPDX derives from them.
const PACKAGES: [&str; 3] = ["software_Package", "ai_AIPackage", "dataset_DatasetPackage"];
const AGENTS: [&str; 4] = ["Agent", "Organization", "Person", "SoftwareAgent"];
const KEYS: &[&str] = &[
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
    "simplelicensing_licenseExpression",
    "expandedlicensing_member",
    "expandedlicensing_subjectAddition",
    "expandedlicensing_subjectExtendableLicense",
    "expandedlicensing_subjectLicense",
];

/// What is read of an element, whatever its type.
#[derive(Debug, Default)]
struct Element {
    kind: Option<String>,
    id: Option<String>,
    name: Option<String>,
    creation: bool,
    version: Option<String>,
    package_version: Option<String>,
    purls: Vec<String>,
    purpose: Option<String>,
    identifier_type: Option<String>,
    identifier: Option<String>,
    /// One of its external identifiers is not in it: a reference to what stands elsewhere, or in a form that is not read.
    is_partial: bool,
    supplier: Option<String>,
    relationship: Option<String>,
    from: Option<String>,
    /// By hash.
    to: Vec<u64>,
    expression: Option<String>,
    /// Of a set of licences, or what an operator is about.
    members: Vec<String>,
    addition: Option<String>,
}

impl Element {
    fn text(&mut self, key: &'static str, mut text: Option<String>) -> Result<(), DocumentError> {
        let slot = match key {
            "type" | "@type" => {
                text = text.map(term);
                &mut self.kind
            }
            "spdxId" | "@id" => &mut self.id,
            "name" => &mut self.name,
            "specVersion" => &mut self.version,
            "software_packageVersion" => &mut self.package_version,
            "software_packageUrl" => {
                self.purls.extend(text);
                return Ok(());
            }
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

    fn is_package(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| PACKAGES.contains(&kind))
    }

    fn is_frame(&self) -> bool {
        matches!(self.purpose.as_deref(), Some("container" | "file" | "operatingSystem"))
    }

    /// Whether it is a relationship to licences, if that has been read.
    fn is_licensing(&self) -> Option<bool> {
        self.relationship.as_deref().map(|kind| matches!(kind, "hasDeclaredLicense" | "hasConcludedLicense"))
    }

    /// What it is as an external identifier.
    fn purl(self) -> Option<String> {
        let is_purl = self.identifier_type.is_some_and(|kind| kind.eq_ignore_ascii_case("packageUrl"));
        self.identifier.filter(|identifier| is_purl || identifier.trim_start().starts_with("pkg:"))
    }

    fn hand_out(&self, licenses: Vec<Licensing>, supplier: Option<String>, each: &mut dyn FnMut(&Package)) {
        if self.is_package() {
            each(&Package {
                name: self.name.clone().unwrap_or_default(),
                group: None,
                version: self.package_version.clone(),
                purls: self.purls.clone(),
                licenses,
                foreign: Vec::new(),
                supplier,
                supplier_name: None,
                is_frame: self.is_frame(),
            });
        }
    }

    fn gather(&self, gathered: &mut super::Gathered) -> Result<(), DocumentError> {
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
            ("simplelicensing_LicenseExpression", Some(expression)) => gathered.note(id, Referred::License, expression),
            ("simplelicensing_SimpleLicensingText", _) => {
                gathered.note(id, Referred::License, self.name.as_deref().unwrap_or(id))
            }
            // Known by its id, whatever the document says of it.
            (kind, _) if kind.starts_with("expandedlicensing_") && (listed(id).is_some() || nothing(id).is_some()) => Ok(()),
            ("expandedlicensing_ConjunctiveLicenseSet", _) => gathered.set(id, true, &self.members),
            ("expandedlicensing_DisjunctiveLicenseSet", _) => gathered.set(id, false, &self.members),
            ("expandedlicensing_OrLaterOperator", _) => gathered.operator(id, &self.members, None),
            ("expandedlicensing_WithAdditionOperator", _) => {
                gathered.operator(id, &self.members, Some(self.addition.as_deref().unwrap_or_default()))
            }
            // By name, as a simple licensing text is: it says which licence of the list it is, or that it is none.
            ("expandedlicensing_CustomLicense" | "expandedlicensing_ListedLicense", _) => {
                gathered.note(id, Referred::License, self.name.as_deref().unwrap_or(id))
            }
            ("expandedlicensing_ListedLicenseException", _) => {
                gathered.note(id, Referred::Addition, self.name.as_deref().unwrap_or(id))
            }
            // A custom addition may say anything.
            (kind, _) if kind.starts_with("expandedlicensing_") => gathered.note(id, Referred::Unread, id),
            _ => Ok(()),
        }
    }
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
fn known(gathered: &mut super::Gathered, id: &str, make: fn(Arc<str>) -> Referred) -> Result<(), DocumentError> {
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
