//! What SPDX keeps away from its packages. SPDX 3: relationships to licences, licence expressions, suppliers' names, external
//! identifiers. Both: what a `LicenseRef-…` is called.
//!
//! A first pass gathers them, a second hands out packages with what belongs to them. Elements are known by a keyed hash of
//! their id, so an entry costs 16 bytes; texts that say the same are kept once. Both have bounds, a refusal beyond.
//!
//! A set of licences (expanded licensing) is what its members are, whichever element of the graph they are. What a package
//! has is put together when it is handed out, within a depth and a number of parts for the whole document: sets that name
//! each other end there, and a set of a set of a set, each twice, grows no tree of a million licences.

mod licensing;

pub(super) use self::licensing::beyond;

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{
    super::sbom::{Foreign, Licensing, asserted},
    DocumentError,
};

/// What a package says of its licences, and what the document says beside that.
pub(super) type Licenses = (Vec<Licensing>, Vec<Foreign>);

/// Relationships to licences, names in expressions, and elements that are a licence, an agent or an identifier, each.
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

impl Join {
    /// The hash of an id. Where nobody asks, any will do.
    pub(super) fn hash(&self, id: &str) -> u64 {
        match self {
            Self::Gather(gathered) | Self::With(gathered) => gathered.hash(id),
            Self::Without => 0,
        }
    }
}

/// What an element is that a package may refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Referred {
    /// An exception of SPDX's list, by its id.
    Addition(Arc<str>),
    /// A person or organisation, by name.
    Agent(Arc<str>),
    /// An external identifier: a package URL, or nothing.
    Identifier(Arc<str>),
    /// A licence: an expression, or a name outside SPDX's list.
    License(Arc<str>),
    /// This licence or a later one.
    OrLater(u64),
    /// Licences, every one or any of which applies. Which ones, `members` has; here is the hash of all, so that a second set
    /// of the same id and other members is another.
    Set { every: bool, members: u64 },
    /// A licence in a form that is not read.
    Unread(Arc<str>),
    /// A licence with an addition.
    With(u64, u64),
}

#[derive(Default)]
pub(super) struct Gathered {
    hasher: RandomState,
    /// Packages whose identifiers stand in them are handed out already, and nobody asks for licences.
    pub(super) identifiers_only: bool,
    /// What is said of a licence beside its name in a few words, by its hash.
    beside: HashMap<u64, Arc<str>>,
    /// Expression, `LicenseRef-…` in it and the licence that this is, by hash; sorted after the first pass.
    custom: Vec<(u64, u64, u64)>,
    /// Package to licence, by hash; sorted after the first pass.
    licensed: Vec<(u64, u64)>,
    /// Set to member, by the set's hash after the first pass.
    members: Vec<(u64, u64)>,
    /// Parts put together so far.
    parts: Cell<usize>,
    referred: HashMap<u64, Referred>,
    /// What SPDX 2 calls a licence outside the list, and whether that is its name; sorted after the first pass.
    foreign: Vec<(u64, bool, Arc<str>)>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
}

impl Gathered {
    /// For a reader of packages alone, who has got those whose identifiers stand in them.
    pub(super) fn for_identifiers() -> Self {
        Self { identifiers_only: true, ..Self::default() }
    }

    pub(super) fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn kept(&mut self, text: &str) -> Result<Arc<str>, DocumentError> {
        if let Some(kept) = self.texts.get(text) {
            return Ok(Arc::clone(kept));
        }
        self.bytes += text.len();
        if self.bytes > MAX_TEXTS {
            return Err(DocumentError::Malformed(format!("has more than {MAX_TEXTS} bytes of licences, agents and identifiers")));
        }
        let kept: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&kept));
        Ok(kept)
    }

    /// Notes what the element `id` is. A second element of one id would be another document to another reader.
    pub(super) fn note(&mut self, id: &str, make: fn(Arc<str>) -> Referred, text: &str) -> Result<(), DocumentError> {
        let text = self.kept(text)?;
        self.put(id, make(text))
    }

    fn put(&mut self, id: &str, made: Referred) -> Result<(), DocumentError> {
        let hash = self.hash(id);
        match self.referred.insert(hash, made.clone()) {
            Some(other) if other != made => Err(DocumentError::Malformed(format!(
                "has two elements of one id, `{}`",
                id.escape_default().take(80).collect::<String>()
            ))),
            _ => bounded(self.referred.len(), "licences, agents and identifiers"),
        }
    }

    /// Notes that the element `id` is a set of licences.
    pub(super) fn set(&mut self, id: &str, every: bool, members: &[String]) -> Result<(), DocumentError> {
        let hashes: Vec<u64> = members.iter().map(|member| self.hash(member)).collect();
        let set = self.hash(id);
        let again = self.referred.contains_key(&set);
        self.put(id, Referred::Set { every, members: self.hasher.hash_one(&hashes) })?;
        self.members.extend(hashes.into_iter().filter(|_| !again).map(|member| (set, member)));
        bounded(self.members.len(), "members of sets of licences")
    }

    /// Notes that the element `id` is a licence or a later one, or one with `addition`; `of` is that licence, alone.
    pub(super) fn operator(&mut self, id: &str, of: &[String], addition: Option<&str>) -> Result<(), DocumentError> {
        let made = match (of, addition) {
            ([of], None) => Referred::OrLater(self.hash(of)),
            ([of], Some(addition)) => Referred::With(self.hash(of), self.hash(addition)),
            _ => Referred::Unread(self.kept(id)?),
        };
        self.put(id, made)
    }

    /// Notes that the package `from` has the licence `to`, which is known by its hash.
    pub(super) fn license(&mut self, from: &str, to: u64) -> Result<(), DocumentError> {
        let entry = (self.hash(from), to);
        self.licensed.push(entry);
        bounded(self.licensed.len(), "relationships to licences")
    }

    /// Notes what is said of the licence `id` beside its name.
    pub(super) fn beside(&mut self, id: &str, words: &str) -> Result<(), DocumentError> {
        let words = self.kept(words)?;
        self.beside.insert(self.hash(id), words);
        Ok(())
    }

    /// Notes which licences the `LicenseRef-…` of the expression `id` are, by hash.
    pub(super) fn custom(&mut self, id: &str, custom: &[(u64, u64)]) -> Result<(), DocumentError> {
        let expression = self.hash(id);
        self.custom.extend(custom.iter().map(|(reference, license)| (expression, *reference, *license)));
        bounded(self.custom.len(), "names in licence expressions")
    }

    /// Notes what the licence `reference` of SPDX 2 is called, or what is said of it. A second entry of one reference adds to
    /// the first: what is said of a licence anywhere is said of it.
    pub(super) fn foreign(&mut self, reference: &str, is_name: bool, text: &str) -> Result<(), DocumentError> {
        let text = self.kept(text)?;
        let entry = (self.hash(&reference.to_ascii_lowercase()), is_name, text);
        self.foreign.push(entry);
        bounded(self.foreign.len(), "names of licences")
    }

    /// What is known of these licences of SPDX 2; `None` beyond the bound of what all packages have together. What the licences
    /// are called is one text in the document, and is copied and judged for each package that names them.
    pub(super) fn described<'r>(&self, references: impl IntoIterator<Item = &'r str>) -> Option<Vec<Foreign>> {
        references.into_iter().map(|reference| self.described_one(reference)).collect()
    }

    fn described_one(&self, reference: &str) -> Option<Foreign> {
        let hash = self.hash(&reference.to_ascii_lowercase());
        let from = self.foreign.partition_point(|(other, ..)| *other < hash);
        let mut found = Foreign { reference: reference.to_owned(), ..Foreign::default() };
        for (_, is_name, text) in self.foreign.iter().skip(from).take_while(|(other, ..)| *other == hash) {
            if !self.take(text) {
                return None;
            }
            let list = if *is_name { &mut found.names } else { &mut found.texts };
            list.push(text.as_ref().to_owned());
        }
        Some(found)
    }

    pub(super) fn sorted(mut self) -> Self {
        self.foreign.sort_unstable();
        self.foreign.dedup();
        self.custom.sort_unstable();
        self.custom.dedup();
        self.licensed.sort_unstable();
        self.licensed.dedup();
        // As the document has them, so that a sentence about them reads as the document does, every time.
        self.members.sort_by_key(|(set, _)| *set);
        self
    }

    /// What the external identifier `id` is: a package URL, or nothing that is asked for. `None` where it is not there.
    pub(super) fn identifier(&self, id: u64) -> Result<Option<&str>, DocumentError> {
        match self.referred.get(&id) {
            Some(Referred::Identifier(nothing)) if nothing.is_empty() => Ok(Some("")),
            Some(Referred::Identifier(purl)) => self.charge(purl).map(|()| Some(&**purl)),
            Some(_) | None => Ok(None),
        }
    }

    /// The name of the agent `id`; its id where the document has no name for it. `None` where it is nobody.
    pub(super) fn agent(&self, id: &str) -> Result<Option<String>, DocumentError> {
        Ok(match self.referred.get(&self.hash(id)) {
            Some(Referred::Agent(name)) => {
                self.charge(name)?;
                asserted(Some(name.as_ref().to_owned()))
            }
            // The model's two elements that are none.
            Some(_) | None if id.ends_with("NoAssertionElement") || id.ends_with("NoneElement") => None,
            Some(_) | None => Some(id.to_owned()),
        })
    }
}

/// What `pairs`, sorted by the first of each, have beside `first`.
fn second_of(pairs: &[(u64, u64)], first: u64) -> impl Iterator<Item = u64> {
    let from = pairs.partition_point(|(other, _)| *other < first);
    pairs.get(from..).unwrap_or_default().iter().take_while(move |(other, _)| *other == first).map(|(_, second)| *second)
}

pub(super) fn bounded(count: usize, what: &str) -> Result<(), DocumentError> {
    if count > MAX_ENTRIES { Err(DocumentError::Malformed(format!("has more than {MAX_ENTRIES} {what}"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tens of thousands of packages, each with a handful of licences outside the list, are within the bound.
    #[test]
    fn licences_of_a_large_image_are_all_described() {
        let mut gathered = Gathered::default();
        let references = ["LicenseRef-a", "LicenseRef-b", "LicenseRef-c", "LicenseRef-d", "LicenseRef-e", "LicenseRef-unknown"];
        for reference in &references[..5] {
            gathered.foreign(reference, true, "A licence of Debian, with a few words more").unwrap();
            gathered.foreign(reference, false, "see /usr/share/common-licenses").unwrap();
            gathered.foreign(reference, false, "https://acme.test/license").unwrap();
        }
        let gathered = gathered.sorted();
        assert!((0..50_000).all(|_| gathered.described(references).is_some()));
    }

    /// Packages may refer to any number of CPEs.
    #[test]
    fn an_identifier_that_is_no_package_url_is_charged_to_nobody() {
        let mut gathered = Gathered::default();
        gathered.note("urn:cpe", Referred::Identifier, "").unwrap();
        let id = gathered.hash("urn:cpe");
        assert!((0..=1 << 20).all(|_| gathered.identifier(id).unwrap() == Some("")));
    }

    #[test]
    fn a11_what_is_gathered_is_bounded() {
        let mut relationships = Gathered::default();
        assert!((0..MAX_ENTRIES).all(|_| relationships.license("a", 1).is_ok()));
        assert!(relationships.license("a", 1).is_err());
        let mut sets = Gathered::default();
        let members = vec!["m".to_owned(); MAX_ENTRIES / 2];
        assert!(sets.set("a", true, &members).is_ok() && sets.set("b", true, &members).is_ok());
        assert!(sets.set("c", true, &members).is_err());
        assert!(Gathered::default().set("a", true, &["m".into()]).is_ok());
        let mut twice = Gathered::default();
        twice.set("a", true, &["m".into()]).unwrap();
        assert!(twice.set("a", true, &["m".into()]).is_ok(), "written twice, it is one");
        assert!(twice.set("a", false, &["m".into()]).is_err() && twice.set("a", true, &["n".into()]).is_err());
        let mut elements = Gathered::default();
        assert!((0..MAX_ENTRIES).all(|at| elements.note(&at.to_string(), Referred::License, "MIT").is_ok()));
        assert!(elements.note("a", Referred::License, "MIT").is_err());
        let mut names = Gathered::default();
        assert!((0..MAX_ENTRIES).all(|_| names.foreign("LicenseRef-a", true, "A").is_ok()));
        assert!(names.foreign("LicenseRef-a", true, "A").is_err());
        assert_eq!(names.sorted().described(["licenseref-A"]).unwrap()[0].names, ["A"], "written twice, it is one");
        let mut texts = Gathered::default();
        let long = |at: usize| format!("{at:064}").repeat(1 << 10);
        assert!((0..64).all(|at| texts.note(&at.to_string(), Referred::Agent, &long(at)).is_ok()));
        assert!(texts.note("again", Referred::Agent, &long(0)).is_ok(), "the same is kept once");
        assert!(texts.note("64", Referred::Agent, &long(64)).is_err());
    }
}
