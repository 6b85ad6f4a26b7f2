//! What SPDX 3 keeps away from its packages: relationships to licences, licence expressions, suppliers' names.
//!
//! A first pass gathers them, a second hands out packages with what belongs to them. Elements are known by a keyed hash of
//! their id, so an entry costs 16 bytes; texts that say the same are kept once. Both have bounds, a refusal beyond.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{super::sbom::Licensing, DocumentError};

/// Relationships to licences, and elements that are a licence or an agent, each.
const MAX_ENTRIES: usize = 1 << 18;
/// Bytes of all different texts.
const MAX_TEXTS: usize = 4 << 20;

/// How packages come to their licences and suppliers.
pub(super) enum Join {
    /// Nobody asks.
    Without,
    /// The first pass.
    Gather(Gathered),
    /// The second.
    With(Gathered),
}

/// What an element is that a package may refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Referred {
    /// A person or organisation, by name.
    Agent(Arc<str>),
    /// A licence: an expression, or a name outside SPDX's list.
    License(Arc<str>),
    /// A licence in a form that is not read.
    Unread(Arc<str>),
}

#[derive(Default)]
pub(super) struct Gathered {
    hasher: RandomState,
    /// Package to licence, by hash; sorted after the first pass.
    licensed: Vec<(u64, u64)>,
    referred: HashMap<u64, Referred>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
}

impl Gathered {
    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn kept(&mut self, text: &str) -> Result<Arc<str>, DocumentError> {
        if let Some(kept) = self.texts.get(text) {
            return Ok(Arc::clone(kept));
        }
        self.bytes += text.len();
        if self.bytes > MAX_TEXTS {
            return Err(DocumentError::Malformed(format!("has more than {MAX_TEXTS} bytes of licences and agents")));
        }
        let kept: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&kept));
        Ok(kept)
    }

    /// Notes what the element `id` is. A second element of one id would be another document to another reader.
    pub(super) fn note(&mut self, id: &str, make: fn(Arc<str>) -> Referred, text: &str) -> Result<(), DocumentError> {
        let text = self.kept(text)?;
        let hash = self.hash(id);
        let made = make(text);
        match self.referred.insert(hash, made.clone()) {
            Some(other) if other != made => Err(DocumentError::Malformed(format!(
                "has two elements of one id, `{}`",
                id.escape_default().take(80).collect::<String>()
            ))),
            _ if self.referred.len() > MAX_ENTRIES => Err(too_many("licences and agents")),
            _ => Ok(()),
        }
    }

    /// Notes that the package `from` has the licence `to`.
    pub(super) fn license(&mut self, from: &str, to: &str) -> Result<(), DocumentError> {
        let entry = (self.hash(from), self.hash(to));
        self.licensed.push(entry);
        if self.licensed.len() > MAX_ENTRIES { Err(too_many("relationships to licences")) } else { Ok(()) }
    }

    pub(super) fn sorted(mut self) -> Self {
        self.licensed.sort_unstable();
        self.licensed.dedup();
        self
    }

    /// What the document says of the licences of the package `id`.
    pub(super) fn licenses(&self, id: &str) -> Vec<Licensing> {
        let hash = self.hash(id);
        let from = self.licensed.partition_point(|(package, _)| *package < hash);
        let of_package = self.licensed.get(from..).unwrap_or_default().iter().take_while(|(package, _)| *package == hash);
        of_package
            .filter_map(|(_, license)| match self.referred.get(license) {
                Some(Referred::License(text)) if &**text == "NOASSERTION" => None,
                Some(Referred::License(text)) => Some(Licensing::Said(text.as_ref().to_owned())),
                Some(Referred::Agent(text) | Referred::Unread(text)) => Some(Licensing::Unread(text.as_ref().to_owned())),
                None => Some(Licensing::Unread("an element that is not in the document".to_owned())),
            })
            .collect()
    }

    /// The name of the agent `id`; its id where the document has no name for it.
    pub(super) fn agent(&self, id: &str) -> String {
        match self.referred.get(&self.hash(id)) {
            Some(Referred::Agent(name)) => name.as_ref().to_owned(),
            Some(Referred::License(_) | Referred::Unread(_)) | None => id.to_owned(),
        }
    }
}

fn too_many(what: &str) -> DocumentError {
    DocumentError::Malformed(format!("has more than {MAX_ENTRIES} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_what_is_gathered_is_bounded() {
        let mut relationships = Gathered::default();
        assert!((0..MAX_ENTRIES).all(|_| relationships.license("a", "b").is_ok()));
        assert!(relationships.license("a", "b").is_err());
        let mut elements = Gathered::default();
        assert!((0..MAX_ENTRIES).all(|at| elements.note(&at.to_string(), Referred::License, "MIT").is_ok()));
        assert!(elements.note("a", Referred::License, "MIT").is_err());
        let mut texts = Gathered::default();
        let long = |at: usize| format!("{at:064}").repeat(1 << 10);
        assert!((0..64).all(|at| texts.note(&at.to_string(), Referred::Agent, &long(at)).is_ok()));
        assert!(texts.note("again", Referred::Agent, &long(0)).is_ok(), "the same is kept once");
        assert!(texts.note("64", Referred::Agent, &long(64)).is_err());
    }
}
