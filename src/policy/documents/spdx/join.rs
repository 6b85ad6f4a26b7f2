//! What SPDX keeps away from its packages. SPDX 3: relationships to licences, licence expressions, suppliers' names. SPDX 2:
//! what a `LicenseRef-…` is called.
//!
//! A first pass gathers them, a second hands out packages with what belongs to them. Elements are known by a keyed hash of
//! their id, so an entry costs 16 bytes; texts that say the same are kept once. Both have bounds, a refusal beyond.
//!
//! A set of licences (expanded licensing) is what its members are, whichever element of the graph they are. What a package
//! has is put together when it is handed out, within a depth and a number of parts for the whole document: sets that name
//! each other end there, and a set of a set of a set, each twice, grows no tree of a million licences.

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

/// Relationships to licences, and elements that are a licence or an agent, each.
const MAX_ENTRIES: usize = 1 << 18;
/// Bytes of all different texts.
const MAX_TEXTS: usize = 4 << 20;
/// How deep sets of licences may nest, operators counted.
const MAX_DEPTH: usize = 16;
/// Parts of all packages' licences, put together.
const MAX_PARTS: usize = 1 << 20;

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
    /// An exception of SPDX's list, by its id.
    Addition(Arc<str>),
    /// A person or organisation, by name.
    Agent(Arc<str>),
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
    pub(super) fn hash(&self, id: &str) -> u64 {
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
        self.put(id, make(text))
    }

    fn put(&mut self, id: &str, made: Referred) -> Result<(), DocumentError> {
        let hash = self.hash(id);
        match self.referred.insert(hash, made.clone()) {
            Some(other) if other != made => Err(DocumentError::Malformed(format!(
                "has two elements of one id, `{}`",
                id.escape_default().take(80).collect::<String>()
            ))),
            _ => bounded(self.referred.len(), "licences and agents"),
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

    /// Notes what the licence `reference` of SPDX 2 is called, or what is said of it. A second entry of one reference adds to
    /// the first: what is said of a licence anywhere is said of it.
    pub(super) fn foreign(&mut self, reference: &str, is_name: bool, text: &str) -> Result<(), DocumentError> {
        let text = self.kept(text)?;
        let entry = (self.hash(&reference.to_ascii_lowercase()), is_name, text);
        self.foreign.push(entry);
        bounded(self.foreign.len(), "names of licences")
    }

    /// What is known of the licence `reference` of SPDX 2.
    pub(super) fn described(&self, reference: &str) -> Foreign {
        let hash = self.hash(&reference.to_ascii_lowercase());
        let from = self.foreign.partition_point(|(other, ..)| *other < hash);
        let mut found = Foreign { reference: reference.to_owned(), ..Foreign::default() };
        for (_, is_name, text) in self.foreign.iter().skip(from).take_while(|(other, ..)| *other == hash) {
            let list = if *is_name { &mut found.names } else { &mut found.texts };
            list.push(text.as_ref().to_owned());
        }
        found
    }

    pub(super) fn sorted(mut self) -> Self {
        self.foreign.sort_unstable();
        self.foreign.dedup();
        self.licensed.sort_unstable();
        self.licensed.dedup();
        // As the document has them, so that a sentence about them reads as the document does, every time.
        self.members.sort_by_key(|(set, _)| *set);
        self
    }

    /// What the document says of the licences of the package `id`.
    pub(super) fn licenses(&self, id: &str) -> Vec<Licensing> {
        let of_package = second_of(&self.licensed, self.hash(id));
        let stated = of_package
            .filter(|license| !matches!(self.referred.get(license), Some(Referred::License(text)) if &**text == "NOASSERTION"));
        stated.map(|license| self.put_together(license, MAX_DEPTH)).collect()
    }

    /// The licence that the element `license` is.
    fn put_together(&self, license: u64, depth: usize) -> Licensing {
        self.parts.set(self.parts.get().saturating_add(1));
        if depth == 0 {
            return Licensing::Unread(format!("sets of licences nested more than {MAX_DEPTH} deep"));
        }
        if self.parts.get() > MAX_PARTS {
            return Licensing::Unread(format!("more than {MAX_PARTS} licences in sets"));
        }
        match self.referred.get(&license) {
            Some(Referred::License(text)) => Licensing::Said(text.as_ref().to_owned()),
            Some(Referred::Set { every, .. }) => {
                let members: Vec<Licensing> =
                    second_of(&self.members, license).map(|member| self.put_together(member, depth - 1)).collect();
                match (members.is_empty(), every) {
                    // All of nothing would hold of every licence.
                    (true, _) => Licensing::Unread("a set of no licences".to_owned()),
                    (false, true) => Licensing::All(members),
                    (false, false) => Licensing::Any(members),
                }
            }
            Some(Referred::OrLater(_) | Referred::With(..)) => match self.expression(license) {
                Some(expression) => Licensing::Said(expression),
                None => Licensing::Unread("an operator on what is not of SPDX's list".to_owned()),
            },
            Some(Referred::Addition(text) | Referred::Agent(text) | Referred::Unread(text)) => {
                Licensing::Unread(text.as_ref().to_owned())
            }
            None => Licensing::Unread("an element that is no licence in the document".to_owned()),
        }
    }

    /// One licence, perhaps or later, perhaps with an exception, as an expression; `None` of what is no id, so that what a
    /// document calls a licence cannot become another one by what is written behind it.
    fn expression(&self, license: u64) -> Option<String> {
        match self.referred.get(&license)? {
            Referred::License(id) => is_id(id).then(|| id.as_ref().to_owned()),
            Referred::OrLater(of) => match self.referred.get(of)? {
                Referred::License(id) if is_id(id) => Some(or_later(id)),
                _ => None,
            },
            Referred::With(of, addition) => {
                let Some(Referred::Addition(exception)) = self.referred.get(addition) else { return None };
                if matches!(self.referred.get(of)?, Referred::With(..)) || !is_id(exception) {
                    return None;
                }
                Some(format!("{} WITH {exception}", self.expression(*of)?))
            }
            Referred::Addition(_) | Referred::Agent(_) | Referred::Set { .. } | Referred::Unread(_) => None,
        }
    }

    /// The name of the agent `id`; its id where the document has no name for it. `None` where it is nobody.
    pub(super) fn agent(&self, id: &str) -> Option<String> {
        match self.referred.get(&self.hash(id)) {
            Some(Referred::Agent(name)) => asserted(Some(name.as_ref().to_owned())),
            // The model's two elements that are none.
            Some(_) | None if id.ends_with("NoAssertionElement") || id.ends_with("NoneElement") => None,
            Some(_) | None => Some(id.to_owned()),
        }
    }
}

/// Whether it has the form of an id of SPDX's list.
fn is_id(text: &str) -> bool {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let other = ["LicenseRef-", "DocumentRef-", "AdditionRef-"].iter().any(|prefix| text.starts_with(prefix));
    plain && !other && !matches!(text, "NOASSERTION" | "NONE")
}

/// The expression for a licence or a later one.
fn or_later(id: &str) -> String {
    match id.strip_suffix("-only") {
        Some(family) => format!("{family}-or-later"),
        None if id.ends_with("-or-later") => id.to_owned(),
        None => format!("{id}+"),
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

    #[test]
    fn a11_sets_that_name_each_other_and_sets_of_sets_end() {
        let mut gathered = Gathered::default();
        let id = |at: usize| format!("urn:{at}");
        // Each set has the next twice, which would be two to the twentieth licences.
        for at in 0..20 {
            gathered.set(&id(at), true, &[id(at + 1), format!("urn:again:{}", at + 1)]).unwrap();
            gathered.set(&format!("urn:again:{at}"), false, &[id(at + 1), format!("urn:again:{}", at + 1)]).unwrap();
        }
        gathered.set("urn:loop", true, &["urn:loop".into()]).unwrap();
        for (package, license) in [("a", "urn:0"), ("b", "urn:0"), ("c", "urn:loop"), ("d", "urn:nowhere")] {
            let license = gathered.hash(license);
            gathered.license(package, license).unwrap();
        }
        let gathered = gathered.sorted();
        let mut end = &gathered.licenses("c")[0];
        while let Licensing::All(members) = end {
            end = &members[0];
        }
        assert_eq!(*end, Licensing::Unread("sets of licences nested more than 16 deep".into()));
        for _ in 0..40 {
            gathered.licenses("a");
        }
        // The bound is the document's: what comes behind it is not read, and no work is made of it.
        assert!(gathered.parts.get() > MAX_PARTS && gathered.parts.get() < MAX_PARTS + 8 * 1_000);
        let beyond = [Licensing::Unread(format!("more than {MAX_PARTS} licences in sets"))];
        assert_eq!(gathered.licenses("b")[..], beyond);
        gathered.parts.set(MAX_PARTS - 1);
        assert_ne!(gathered.licenses("d")[..], beyond);
        assert_eq!(gathered.licenses("d")[..], beyond);
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
        assert_eq!(names.sorted().described("licenseref-A").names, ["A"], "written twice, it is one");
        let mut texts = Gathered::default();
        let long = |at: usize| format!("{at:064}").repeat(1 << 10);
        assert!((0..64).all(|at| texts.note(&at.to_string(), Referred::Agent, &long(at)).is_ok()));
        assert!(texts.note("again", Referred::Agent, &long(0)).is_ok(), "the same is kept once");
        assert!(texts.note("64", Referred::Agent, &long(64)).is_err());
    }
}
