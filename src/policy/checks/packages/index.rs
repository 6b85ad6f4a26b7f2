//! Which entries of a list of denied packages may be about a package, by their names. A feed has some hundred thousand entries and
//! an SBOM some thousand packages: to compare each with each takes many seconds, for every judgement anew, and an image that is
//! not judged in time is never served.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState},
};

use super::{Denied, Listed, What, by_maven, decoded};

/// The names that the entries of a list ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// Keyed at random: no document is made of names that fall together with those of entries.
    keys: RandomState,
    /// Hashes of the names in small letters, each with the place of its entry, in order. Two names of one hash are compared for
    /// nothing, none is missed. Not the names: a large list is in memory once.
    names: Vec<(u64, usize)>,
}

impl Index {
    /// Of these entries, in the order of the list.
    pub(crate) fn of<D: Borrow<Denied>>(entries: &[D]) -> Self {
        let mut index = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            let mut add = |name: &[u8]| index.names.push((hash(&index.keys, name), place));
            match &entry.borrow().what {
                What::Name { written, full, python } => [written, full, python].into_iter().for_each(|name| add(name.as_bytes())),
                What::Purl { written, purl } => {
                    add(purl.name.as_bytes());
                    add(&decoded(written));
                }
            }
        }
        index.names.sort_unstable();
        index.names.dedup();
        index.names.shrink_to_fit();
        index
    }

    /// The first of the entries that denies this package.
    pub(super) fn first<'e, D: Borrow<Denied>>(&self, entries: &'e [D], listed: &Listed<'_>) -> Option<&'e D> {
        self.places(listed).into_iter().filter_map(|place| entries.get(place)).find(|entry| (*entry).borrow().denies(listed))
    }

    /// Where the entries stand that may deny this package, in their order: all that share a name with it of those that
    /// [`Denied::denies`] compares.
    fn places(&self, listed: &Listed<'_>) -> Vec<usize> {
        let mut places: Vec<usize> = self.names_of(listed).into_iter().flat_map(|hash| self.with(hash)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Hashes of the names that this package has. Each once: a document may give one in hundreds of package URLs, and a feed may
    /// have thousands of entries of one name.
    fn names_of(&self, listed: &Listed<'_>) -> BTreeSet<u64> {
        let Listed { package, python, purls } = listed;
        let mut names = BTreeSet::new();
        let mut look = |name: &str| {
            names.insert(hash(&self.keys, name.as_bytes()));
        };
        let name = package.name.trim();
        look(name);
        if let Some((group, artifact)) = by_maven(name) {
            look(artifact);
            look(&format!("{group}/{artifact}"));
        }
        if let Some(group) = &package.group {
            look(&format!("{}/{name}", group.trim()));
        }
        python.iter().for_each(|name| look(name));
        for purl in purls.iter().flatten() {
            look(purl.short_name());
            look(&purl.name);
        }
        for text in purls.iter().filter_map(|purl| purl.as_ref().err()) {
            self.begun(text, &mut names);
        }
        names
    }

    /// Adds hashes of what a package URL that breaks its type's rules may begin with, where entries ask for that. Its bytes are
    /// read once: a document may hold a long one.
    fn begun(&self, text: &[u8], names: &mut BTreeSet<u64>) {
        // Whether what stands here, or behind slashes, is none of the name.
        let ends = text.iter().rev().scan(true, |ends, byte| {
            *ends = matches!(byte, b'@' | b'?' | b'#') || *byte == b'/' && *ends;
            Some(*ends)
        });
        let mut ends: Vec<bool> = ends.collect();
        ends.reverse();
        ends.push(true);
        let mut hasher = self.keys.build_hasher();
        for (byte, ends_behind) in text.iter().zip(ends.into_iter().skip(1)) {
            add(&mut hasher, *byte);
            if ends_behind {
                names.extend(Some(hasher.finish()).filter(|hash| self.with(*hash).next().is_some()));
            }
        }
    }

    /// The places of entries that ask for a name of this hash.
    fn with(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.names.partition_point(|(other, _)| *other < hash);
        let same = self.names.iter().skip(first).take_while(move |(other, _)| *other == hash);
        same.map(|(_, place)| *place)
    }
}

fn hash(keys: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = keys.build_hasher();
    name.iter().for_each(|byte| add(&mut hasher, *byte));
    hasher.finish()
}

/// Byte by byte, so that each beginning of a text has the hash that it has alone.
fn add(hasher: &mut DefaultHasher, byte: u8) {
    hasher.write_u8(byte.to_ascii_lowercase());
}

#[cfg(test)]
mod tests;
