//! SPDX's list of licences: names, and which versions there are of one.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use spdx::identifiers::{EXCEPTIONS, LICENSES};

use crate::policy::checks::version::{Scheme, compare};

/// A licence of the list: `GPL-2.0-or-later` is the stem `GPL` from version 2.0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct License {
    stem: &'static str,
    version: Option<&'static str>,
    or_later: bool,
}

/// Published versions by stem.
static VERSIONS: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let mut versions: HashMap<&'static str, Vec<&'static str>> = HashMap::new();
    for license in LICENSES {
        let License { stem, version, .. } = License::of(license.name, false);
        if let Some(version) = version {
            let known = versions.entry(stem).or_default();
            if !known.contains(&version) {
                known.push(version);
            }
        }
    }
    versions
});

/// Ids of licences, in small letters, as the list spells them.
static IDS: LazyLock<HashMap<String, &'static str>> =
    LazyLock::new(|| LICENSES.iter().map(|license| (license.name.to_ascii_lowercase(), license.name)).collect());
/// Ids of exceptions, likewise.
static EXCEPTION_IDS: LazyLock<HashMap<String, &'static str>> =
    LazyLock::new(|| EXCEPTIONS.iter().map(|exception| (exception.name.to_ascii_lowercase(), exception.name)).collect());
/// Full names, in small letters, to ids. Names of a word or two letters would be found in anything.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let names = LICENSES.iter().filter(|license| license.full_name.len() > 7);
    names.map(|license| (license.full_name.to_lowercase(), license.name)).collect()
});

impl License {
    /// Of an id of the list.
    pub(super) fn of(id: &'static str, or_later: bool) -> Self {
        let id = id.split_once("-with-").map_or(id, |(license, _)| license);
        let (id, later) = match (id.strip_suffix("-or-later"), id.strip_suffix('+')) {
            (Some(id), _) | (None, Some(id)) => (id, true),
            (None, None) => (id.strip_suffix("-only").unwrap_or(id), false),
        };
        let (stem, version) = match id.rsplit_once('-') {
            Some((stem, version)) if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => (stem, Some(version)),
            Some(_) | None => (id, None),
        };
        Self { stem, version, or_later: or_later || later }
    }

    /// The licences among which it leaves the choice: itself, or every published version from it on.
    pub(super) fn choices(self) -> impl Iterator<Item = Self> {
        let own = Self { or_later: false, ..self };
        let versions = match self.version {
            Some(version) if self.or_later => {
                let known = VERSIONS.get(self.stem).map(Vec::as_slice).unwrap_or_default();
                Some(known.iter().filter(move |known| compare(known, version, Scheme::Semantic).is_gt()))
            }
            Some(_) | None => None,
        };
        let later = versions.into_iter().flatten().map(move |version| Self { version: Some(version), ..own });
        std::iter::once(own).chain(later)
    }

    /// Whether it, as an entry of a policy, covers `choice`.
    pub(super) fn covers(self, choice: Self) -> bool {
        self.stem == choice.stem
            && match (self.version, choice.version) {
                (Some(own), Some(found)) if self.or_later => compare(found, own, Scheme::Semantic).is_ge(),
                (own, found) => own == found,
            }
    }
}

/// The exceptions that deprecated ids have in themselves, by the ids that exceptions have since.
const BUILT_IN: [(&str, &str); 7] = [
    ("GPL-2.0-with-GCC-exception", "GCC-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "Font-exception-2.0"),
    ("GPL-3.0-with-GCC-exception", "GCC-exception-3.1"),
    ("GPL-3.0-with-autoconf-exception", "Autoconf-exception-3.0"),
];

/// The exception that a deprecated id has in itself (`GPL-2.0-with-classpath-exception`).
pub(super) fn built_in_exception(id: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == id).map(|(_, exception)| *exception)
}

/// Every id of an exception.
pub(super) fn exceptions() -> impl Iterator<Item = &'static str> {
    EXCEPTIONS.iter().map(|exception| exception.name)
}

/// Every id.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    LICENSES.iter().map(|license| license.name)
}

/// The id of the licence whose full name this is. Where a deprecated id and its successor share a name, either: they mean
/// the same.
pub(super) fn id_of_name(text: &str) -> Option<&'static str> {
    NAMES.get(&text.to_lowercase()).copied()
}

/// What people call all that `license`, as an entry, covers, in small letters: SPDX's full names and ids, and what is left of
/// them where a version is written as people do.
pub(super) fn spellings(license: License) -> Vec<String> {
    let covered = |id: &'static str| License::of(id, false).choices().any(|choice| license.covers(choice));
    // `GPL-1.0-or-later` leaves the choice, what is short for `GPL-1.0` does not.
    let exactly = |id: &'static str| license.covers(License::of(id, false));
    let full = NAMES.iter().filter(|(_, id)| covered(id)).map(|(name, _)| name.clone());
    let shorter = NAMES.iter().filter(|(_, id)| exactly(id)).flat_map(|(name, _)| shortened(name));
    let short = LICENSES.iter().filter(|known| exactly(known.name)).flat_map(|known| {
        let License { stem, version, .. } = License::of(known.name, false);
        version.map(|version| versioned(&stem.to_lowercase(), version)).unwrap_or_default()
    });
    let mut spellings: Vec<String> = full.chain(shorter).chain(short).collect();
    // `bsd 3 clause new or revised license`, as what is made of a name has it (`LicenseRef-…`).
    let plain: Vec<String> = spellings.iter().map(|name| words_alone(name)).collect();
    spellings.extend(plain);
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// A name without what stands between and around its words and versions.
pub(super) fn words_alone(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '.').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A full name, and how people write it: `gnu general public license v2.0 only` without `only`, without `.0`, and with
/// `version 2`.
fn shortened(name: &str) -> Vec<String> {
    let bare = [" only", " or later"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let mut all = vec![bare.to_owned()];
    if let Some((stem, version)) = bare.rsplit_once(' ') {
        let version = version.strip_prefix('v').unwrap_or(version);
        if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            all.extend(versioned(stem, version));
        }
    }
    all
}

/// `gplv2.0`, `gpl v2`, `gpl version 2` and so on.
fn versioned(stem: &str, version: &str) -> Vec<String> {
    const BETWEEN: [&str; 8] = ["", " ", "-", "v", " v", "-v", " version ", ", version "];
    let versions = version.strip_suffix(".0").into_iter().chain([version]);
    versions.flat_map(|version| BETWEEN.map(|between| format!("{stem}{between}{version}"))).collect()
}

/// Whether `text` has `name` in it, and not as a part of a longer word or version.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let goes_on = after.strip_prefix('.').unwrap_or(after).starts_with(|c: char| c.is_ascii_digit());
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric) && !goes_on
    })
}

/// `text` with the ids in it as the list spells them: SPDX compares them in any capitals. `NONE`, which no expression may hold,
/// is `NOASSERTION`, which this crate's may.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let mut copied = 0;
    for (at, word) in words(text) {
        let (word, end) = match word.strip_suffix('+') {
            Some(bare) if !IDS.contains_key(&word.to_ascii_lowercase()) => (bare, at + bare.len()),
            Some(_) | None => (word, at + word.len()),
        };
        let lower = word.to_ascii_lowercase();
        let of_none = (lower == "none").then_some(&"NOASSERTION");
        if let Some(id) = of_none.or_else(|| IDS.get(&lower)).or_else(|| EXCEPTION_IDS.get(&lower)).filter(|id| **id != word) {
            changed.push_str(&text[copied..at]);
            changed.push_str(id);
            copied = end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    changed.push_str(&text[copied..]);
    Cow::Owned(changed)
}

/// The licences whose ids are words of `lower`, a text in small letters.
pub(super) fn ids_in(lower: &str) -> Vec<License> {
    let licenses = words(lower).filter_map(|(_, word)| {
        let word = word.trim_end_matches(['.', '-']);
        let bare = word.trim_end_matches('+');
        let id = IDS.get(word).or_else(|| IDS.get(bare))?;
        Some(License::of(id, word != bare))
    });
    licenses.collect()
}

/// Runs of characters that ids are made of, with their places.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let of_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let mut at = 0;
    text.split_inclusive(move |c: char| !of_id(c)).filter_map(move |piece| {
        let (place, word) = (at, piece.trim_end_matches(|c: char| !of_id(c)));
        at += piece.len();
        (!word.is_empty()).then_some((place, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deprecated_id_with_an_exception_in_it_has_one_of_the_list() {
        let with: Vec<_> = ids().filter(|id| id.contains("-with-")).collect();
        assert_eq!(with.len(), BUILT_IN.len());
        for id in with {
            let exception = built_in_exception(id).unwrap_or_default();
            assert!(EXCEPTIONS.iter().any(|known| known.name == exception), "{id}: {exception}");
        }
    }
}
