//! What a tag last meant, and which changes an operator accepts: facts of the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::guard::{Guard, TagSigner};
use crate::{
    oci::{Digest, ImageName, Tag},
    store::{FactKind, Facts, StoreError},
};

/// What a tag last meant. Earlier versions read it too, and leave out what they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    pub(super) digest: Digest,
    pub(super) newest: Timestamp,
    pub(super) signers: Vec<LastSigned>,
    /// The last change that was accepted and has happened.
    #[serde(default)]
    pub(super) spent: Option<Accepted>,
}

/// A signer of what a tag last meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastSigned {
    #[serde(flatten)]
    pub(super) signer: TagSigner,
    /// The newest of its signatures; `None` in a history of a version that kept one time for all signers.
    #[serde(default)]
    pub(super) newest: Option<Timestamp>,
}

/// A change that an operator accepts: this one and no other, and once. The history that it makes keeps it as spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    from: Option<Digest>,
    /// The same by the history of an audit policy beside enforcing ones.
    #[serde(default)]
    from_audit: Option<Digest>,
    to: Digest,
    /// When it was accepted, which tells it from the same change accepted anew.
    #[serde(default)]
    at: Option<Timestamp>,
}

/// Accepts that `tag` means `digest` from now on, whatever it meant before; gives what that was. A running gate on the same
/// store obeys at the next request. Spent once it has happened: the same change is refused again after the next.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn accept(facts: &dyn Facts, image: &ImageName, tag: &Tag, digest: &Digest) -> Result<Before, StoreError> {
    let key = key(image, tag);
    let before = Before::of(facts, &key).await?;
    let from_audit = Before::of(facts, &audit_key(&key)).await?.digest();
    let accepted = Accepted { from: before.digest(), from_audit, to: *digest, at: Some(Timestamp::now()) };
    let json = serde_json::to_vec(&accepted).unwrap_or_default();
    facts.set_fact(FactKind::TagAccepted, &key, &json).await?;
    Ok(before)
}

/// What a tag meant before a change of it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing was kept of it: no gate on this store has answered for it.
    Nothing,
    /// This.
    Meant(Digest),
    /// What was kept cannot be read; accepting is how it is mended.
    Unreadable,
}

impl Before {
    async fn of(facts: &dyn Facts, key: &str) -> Result<Self, StoreError> {
        match history(facts, key).await {
            Ok(None) => Ok(Self::Nothing),
            Ok(Some(history)) => Ok(Self::Meant(history.digest)),
            Err(StoreError::Damaged { .. }) => Ok(Self::Unreadable),
            Err(error) => Err(error),
        }
    }

    const fn digest(self) -> Option<Digest> {
        match self {
            Self::Meant(digest) => Some(digest),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

impl Accepted {
    /// Whether it is this change, of the tag as `guard` knows it.
    pub(super) fn is_of(&self, guard: &Guard, from: Option<Digest>, to: Digest) -> bool {
        let accepted = if guard.apart { self.from_audit } else { self.from };
        accepted == from && self.to == to
    }
}

pub(super) fn key(image: &ImageName, tag: &Tag) -> String {
    format!("{image}:{tag}")
}

/// Where the history of audit policies is, beside enforcing ones.
pub(super) fn audit_key(key: &str) -> String {
    format!("{key} audit")
}

pub(super) async fn history(facts: &dyn Facts, key: &str) -> Result<Option<History>, StoreError> {
    let Some(bytes) = facts.fact(FactKind::Tag, key).await? else { return Ok(None) };
    // Whole, and not ours to read: another version's. No history is made up from that.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| StoreError::Damaged { path: format!("tag history of {key}").into() })
}

pub(super) async fn last_accepted(facts: &dyn Facts, key: &str) -> Result<Option<Accepted>, StoreError> {
    let accepted = match facts.fact(FactKind::TagAccepted, key).await {
        Ok(accepted) => accepted,
        // Nobody's word that can be read.
        Err(StoreError::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(accepted.and_then(|json| serde_json::from_slice(&json).ok()))
}
