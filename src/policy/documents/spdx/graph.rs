//! SPDX 3.0: the elements of `@graph`, and those written inside others (CMake and others do that).
//!
//! An element is told by its `type` as SPDX's own `@context` spells it, or by the IRI that this stands for; only that context
//! is accepted, because another one could give every key another meaning. Licences are relationships `hasDeclaredLicense` and
//! `hasConcludedLicense` to licence expressions, to simple licensing texts, to `https://spdx.org/licenses/…`, or to what the
//! expanded licensing profile makes of these: sets, operators, listed and custom licences. Which custom licence a `LicenseRef-…` of
//! an expression is, `customIdToUri` says there.
//!
//! JSON-LD has many spellings of one value: in a list, as `{"@value": …}`, or by a reference; of one key, by its IRI, a keyword
//! or a context of the element's own; and of one element, in several objects of its id. Of what decides, one is read, and the
//! others make a document malformed, as SPDX's schema does: passed over, they would hide a package from whoever denies it.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
};

use super::{
    super::{
        json::shown,
        sbom::{EachPackage, MAX_TEXT_OF_A_NAME, Package, Sbom, add_purl, asserted},
    },
    DocumentError, Json, Kind,
    element::{Element, KEYS, PACKAGES, known, other_spelling},
    join::{Join, Licenses, Referred, bounded},
};

/// The contexts of 3.0; the last as Microsoft's sbom-tool names it.
const CONTEXTS: [&str; 4] = [
    "https://spdx.org/rdf/3.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.1/spdx-context.json",
];
/// Bytes of an id, or of a `LicenseRef-…`, that is told by an entry.
const MAX_ENTRY: usize = 1 << 10;
/// Elements with an id.
const MAX_ELEMENTS: usize = 1 << 19;

/// What is kept of a graph: enough to say that it is a document.
#[derive(Debug, Default)]
pub(super) struct Graph {
    documents: usize,
    complete: Option<&'static str>,
    creation: bool,
    other_version: Option<String>,
    packages: usize,
    files: usize,
    /// Packages wait for another pass, because their identifiers stand elsewhere.
    pub(super) deferred: bool,
    hasher: RandomState,
    /// What decides of each element, by its id: both as keyed hashes, so that an entry costs 16 bytes.
    elements: BTreeMap<u64, u64>,
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
        let read = |json: &mut Json<'_>, key: Option<&'static str>| {
            element.is_said |= key.is_some_and(|key| !matches!(key, "type" | "@type" | "spdxId" | "@id"));
            match key {
                Some("externalIdentifier") => json.one_or_list(|json| {
                    let inside = self.value(json, join, each)?;
                    match (&inside.id, inside.purl()) {
                        (_, Some(purl)) => add_purl(&mut element.purls, purl.to_owned())?,
                        _ if inside.identifier.is_some() => {}
                        (Some(id), None) => element.identifiers.push(join.hash(id)),
                        (None, None) => element.is_partial = true,
                    }
                    bounded(element.identifiers.len(), "identifiers of one element")
                }),
                Some("simplelicensing_customIdToUri") => json.one_or_list(|json| {
                    let entry = json.item(|json| self.value(json, join, each))?;
                    let (Some(key), Some(id)) = (entry.key, entry.value) else {
                        element.is_partial = true;
                        return Ok(());
                    };
                    if let Join::Gather(gathered) = &mut *join {
                        known(gathered, &id, Referred::License)?;
                    }
                    element.custom.push((join.hash(&key.to_ascii_lowercase()), join.hash(&id)));
                    bounded(element.custom.len(), "names in one licence expression")
                }),
                // Of entries there are many, and most of them say something else, in any form.
                Some("key" | "value") if json.kind()? != Kind::Text => self.values(json, join, each),
                Some("key") => json.text_up_to(MAX_ENTRY).map(|text| element.key = text),
                Some("value") => json.text_up_to(MAX_ENTRY).map(|text| element.value = text),
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
                    bounded(element.members.len(), "members of one set of licences")
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
                Some("simplelicensing_licenseText") => {
                    element.words = asserted(json.text_up_to(MAX_TEXT_OF_A_NAME)?);
                    Ok(())
                }
                Some(key) => element.text(key, json.text_or_null()?),
                None => self.values(json, join, each),
            }
        };
        json.every(KEYS, other_spelling, read)?;
        element.settle()?;
        identified(&mut element, join)?;
        self.whole(&element, join)?;
        self.count(&element);
        let waits = element.is_package() && !element.identifiers.is_empty();
        match join {
            Join::Without if waits => self.deferred = true,
            Join::Without => element.hand_out(Licenses::default(), None, each),
            Join::Gather(gathered) => element.gather(gathered)?,
            Join::With(gathered) if !waits && gathered.identifiers_only => {}
            Join::With(gathered) => {
                let licenses = match &element.id {
                    Some(id) if element.is_package() => gathered.licenses(id),
                    Some(_) | None => Licenses::default(),
                };
                let supplier = match &element.supplier {
                    Some(id) if element.is_package() => gathered.agent(id)?,
                    Some(_) | None => None,
                };
                element.hand_out(licenses, supplier, each);
            }
        }
        Ok(element)
    }

    /// Refuses a part of an element: JSON-LD makes one of all objects with one id, and each of them is judged alone here. One that
    /// is written out again, as CMake does, is no part.
    fn whole(&mut self, element: &Element, join: &Join) -> Result<(), DocumentError> {
        if element.of_package && !element.is_package() {
            return Err(DocumentError::Malformed(
                "has a package URL or version in an element that is no package by its type".into(),
            ));
        }
        for id in [&element.id, &element.node].into_iter().flatten() {
            if element.kind.is_none() && element.is_said {
                return Err(DocumentError::Malformed(format!("has an element without a type, `{}`", shown(id))));
            }
            // The last pass sees what the one before it did.
            if element.kind.is_none() || matches!(join, Join::With(_)) {
                return Ok(());
            }
            let (id_hash, content) = (self.hasher.hash_one(id), element.deciding(&self.hasher));
            match self.elements.insert(id_hash, content) {
                Some(other) if other != content => {
                    return Err(DocumentError::Malformed(format!("has two elements of one id, `{}`", shown(id))));
                }
                _ if self.elements.len() > MAX_ELEMENTS => {
                    return Err(DocumentError::Malformed(format!("has more than {MAX_ELEMENTS} elements")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Any value, for the elements inside it.
    fn values(&mut self, json: &mut Json<'_>, join: &mut Join, each: &mut dyn FnMut(&Package)) -> Result<(), DocumentError> {
        match json.kind()? {
            Kind::List => json.list(|json| self.values(json, join, each)),
            Kind::Object => json.item(|json| self.element(json, join, each).map(drop)),
            Kind::Null | Kind::Scalar | Kind::Text => json.skip(),
        }
    }

    /// An element, or one of which only the id is there; neither where it is in another form.
    fn value(&mut self, json: &mut Json<'_>, join: &mut Join, each: &mut dyn FnMut(&Package)) -> Result<Element, DocumentError> {
        let id = match json.kind()? {
            Kind::Object => return self.element(json, join, each),
            Kind::List | Kind::Null | Kind::Scalar | Kind::Text => json.item(Json::text_if_any)?,
        };
        Ok(Element { id, ..Element::default() })
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

/// Gives a package its identifiers that stand elsewhere. Passed over, one that is not there would hide it from whoever denies it.
fn identified(element: &mut Element, join: &Join) -> Result<(), DocumentError> {
    if !element.is_package() {
        return Ok(());
    }
    let mut is_missing = element.is_partial;
    if let Join::With(gathered) = join {
        for id in &element.identifiers {
            match gathered.identifier(*id)? {
                Some("") => {}
                Some(purl) => add_purl(&mut element.purls, purl.to_owned())?,
                None => is_missing = true,
            }
        }
    }
    if is_missing {
        let message = "has a package whose externalIdentifier is none in it; write the identifier inside the package";
        return Err(DocumentError::Malformed(message.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_elements_are_bounded() {
        let mut graph = Graph::default();
        let element = |at: usize| Element { kind: Some("x".into()), id: Some(at.to_string()), ..Element::default() };
        assert!((0..MAX_ELEMENTS).all(|at| graph.whole(&element(at), &Join::Without).is_ok()));
        assert!(graph.whole(&element(0), &Join::Without).is_ok(), "written twice, it is one");
        let beyond = graph.whole(&element(MAX_ELEMENTS), &Join::Without).unwrap_err().to_string();
        assert!(beyond.ends_with("has more than 524288 elements"), "{beyond}");
    }
}
