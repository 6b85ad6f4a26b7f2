//! Who must sign: one identity, or several combined.
//!
//! A *signer* is a trust root, an issuer, a kind of subject and a subject, all literally. What each form asks:
//!
//! - `keyless`: one signer with this identity.
//! - `any_of`: one of its entries.
//! - `all_of`: every one of its entries. One signer may serve several: an identity with a claim and the same one with
//!   another are two entries that one signer can meet.
//! - `count` + `of`: so many of its entries, by *different* signers. Each entry takes the signers it needs (an `all_of` in
//!   it takes all of its own), and no two entries take the same one. So two signatures of one signer count once, and a
//!   signer whom two entries name serves one of them.
//!
//! The last is a matching of entries to signers, not a tally; found in `matching.rs`.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    fingerprint::Form,
    identity::{Identity, Matcher},
};

/// How deep attestors may nest: an identity in an `all_of` in a `count` is two deep.
pub(super) const MAX_DEPTH: usize = 4;
/// Identities of one attestor, however nested.
pub(super) const MAX_IDENTITIES: usize = 64;
/// Identities below a `count` with entries that need more than one signer: there the search may try combinations.
pub(super) const MAX_SEARCHED: usize = 16;

/// Who must sign.
#[derive(Debug, Clone)]
pub enum Attestor {
    /// This identity.
    Keyless(Box<Identity>),
    /// One of these; at least one is there.
    AnyOf(Vec<Self>),
    /// Each of these; at least one is there.
    AllOf(Vec<Self>),
    /// So many of these, by different signers.
    Count {
        /// How many; between one and all of them.
        count: usize,
        /// Of which.
        of: Vec<Self>,
    },
}

impl Attestor {
    /// Its entries; none of an identity.
    #[must_use]
    pub fn entries(&self) -> &[Self] {
        match self {
            Self::Keyless(_) => &[],
            Self::AnyOf(entries) | Self::AllOf(entries) | Self::Count { of: entries, .. } => entries,
        }
    }

    /// Every identity in it, in the order of the file.
    #[must_use]
    pub fn identities(&self) -> Vec<&Identity> {
        match self {
            Self::Keyless(identity) => vec![identity],
            Self::AnyOf(_) | Self::AllOf(_) | Self::Count { .. } => self.entries().iter().flat_map(Self::identities).collect(),
        }
    }

    /// The places in it that one signer each fills, with the identities that may, in the order of the file.
    pub(super) fn places(&self) -> Vec<Vec<&Identity>> {
        if self.takes_one() { vec![self.identities()] } else { self.entries().iter().flat_map(Self::places).collect() }
    }

    /// How deep its entries nest.
    pub(super) fn depth(&self) -> usize {
        self.entries().iter().map(|entry| entry.depth() + 1).max().unwrap_or_default()
    }

    /// Whether any one of its identities alone is enough.
    pub(super) fn takes_one(&self) -> bool {
        match self {
            Self::Keyless(_) => true,
            Self::AllOf(entries) => entries.len() == 1 && entries.iter().all(Self::takes_one),
            Self::AnyOf(entries) => entries.iter().all(Self::takes_one),
            Self::Count { count, of } => *count == 1 && of.iter().all(Self::takes_one),
        }
    }

    /// The most identities below a `count` whose entries need more than one signer.
    pub(super) fn searched(&self) -> usize {
        match self {
            Self::Count { of, .. } if !of.iter().all(Self::takes_one) => self.identities().len(),
            Self::Keyless(_) | Self::AnyOf(_) | Self::AllOf(_) | Self::Count { .. } => {
                self.entries().iter().map(Self::searched).max().unwrap_or_default()
            }
        }
    }

    /// The signers there can be of it, where every identity in it is exact; a claim makes no other signer.
    pub(super) fn signers(&self) -> Option<BTreeSet<(Arc<str>, String, String)>> {
        let of = |identity: &Identity| match identity.canonical() {
            Identity { issuer: Matcher::Exact(issuer), subject: Matcher::Exact(subject), trust_root, .. } => {
                Some((trust_root, issuer, subject))
            }
            _ => None,
        };
        self.identities().into_iter().map(of).collect()
    }

    /// The same for two that ask the same, in whatever order they are written, and as one of several or alone.
    pub(super) fn canonical(&self) -> Vec<u8> {
        let mut form = Form::default();
        match self {
            Self::Keyless(identity) => form.identity(&identity.canonical()),
            Self::AnyOf(_) | Self::AllOf(_) | Self::Count { .. } if self.entries().len() == 1 => {
                return self.entries().iter().flat_map(Self::canonical).collect();
            }
            Self::AnyOf(_) | Self::AllOf(_) | Self::Count { .. } => {
                form.attestor_kind(self);
                let mut entries: Vec<_> = self.entries().iter().map(Self::canonical).collect();
                entries.sort();
                form.list(&entries, |form, entry| form.bytes(entry));
            }
        }
        form.into_bytes()
    }
}

/// All of it on one line: `2 different signers of [a of issuer i; b of issuer i]`.
impl fmt::Display for Attestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyless(identity) => return identity.fmt(f),
            Self::AnyOf(_) => f.write_str("any of ["),
            Self::AllOf(_) => f.write_str("all of ["),
            Self::Count { count, .. } => write!(f, "{count} different signers of ["),
        }?;
        for (i, entry) in self.entries().iter().enumerate() {
            write!(f, "{}{entry}", if i == 0 { "" } else { "; " })?;
        }
        f.write_str("]")
    }
}
