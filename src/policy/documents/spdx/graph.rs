//! SPDX 3.0: the elements of `@graph`, and those written inside others (CMake and others do that).
//!
//! An element is told by its `type` as SPDX's own `@context` spells it, or by the IRI that this stands for; only that context
//! is accepted, because another one could give every key another meaning. Licences are relationships `hasDeclaredLicense` and
//! `hasConcludedLicense` to licence expressions, to simple licensing texts, to `https://spdx.org/licenses/…`, or to what the
//! expanded licensing profile makes of these: sets, operators, listed and custom licences.
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
        sbom::{EachPackage, Package, Sbom},
    },
    DocumentError, Json, Kind,
    element::{Element, KEYS, PACKAGES, known, other_spelling},
    join::{Join, Referred, bounded},
};

/// The contexts of 3.0.
const CONTEXTS: [&str; 3] = [
    "https://spdx.org/rdf/3.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.0/spdx-context.jsonld",
    "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
];
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
            }
        };
        json.every(KEYS, other_spelling, read)?;
        if element.is_partial && element.is_package() {
            let message = "has a package whose externalIdentifier is a reference; write the identifier inside the package";
            return Err(DocumentError::Malformed(message.into()));
        }
        self.whole(&element, join)?;
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

    /// Refuses a part of an element: JSON-LD makes one of all objects with one id, and each of them is judged alone here. One that
    /// is written out again, as CMake does, is no part.
    fn whole(&mut self, element: &Element, join: &Join) -> Result<(), DocumentError> {
        if element.of_package && !element.is_package() {
            return Err(DocumentError::Malformed(
                "has a package URL or version in an element that is no package by its type".into(),
            ));
        }
        let Some(id) = &element.id else { return Ok(()) };
        if element.kind.is_none() && element.is_said {
            return Err(DocumentError::Malformed(format!("has an element without a type, `{}`", shown(id))));
        }
        // The second pass sees what the first one did.
        if element.kind.is_none() || matches!(join, Join::With(_)) {
            return Ok(());
        }
        let (id_hash, content) = (self.hasher.hash_one(id), element.deciding(&self.hasher));
        match self.elements.insert(id_hash, content) {
            Some(other) if other != content => {
                Err(DocumentError::Malformed(format!("has two elements of one id, `{}`", shown(id))))
            }
            _ if self.elements.len() > MAX_ELEMENTS => {
                Err(DocumentError::Malformed(format!("has more than {MAX_ELEMENTS} elements")))
            }
            _ => Ok(()),
        }
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
