//! What a tag last meant, and which changes an operator accepts: facts of the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::guard::{Guard, MAX_SIGNERS, Says, TagSigner};
use crate::{
    oci::{Digest, ImageName, Tag},
    policy::Mode,
    store::{FactKind, Facts, StoreError},
};

/// What a tag last meant. Earlier versions read it too, and leave out what they do not know: to them `signers` are those of all
/// policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    pub(super) digest: Digest,
    pub(super) newest: Timestamp,
    pub(super) signers: Vec<LastSigned>,
    /// The last change that was accepted and has happened.
    #[serde(default)]
    pub(super) spent: Option<Accepted>,
    /// What it meant to each policy, which may be what it meant long ago: to one that holds by an exception now, or audits and would
    /// refuse. None in a history of a version that kept one for all of them.
    #[serde(default)]
    pub(super) policies: Vec<Meant>,
    /// It is of such a version.
    #[serde(skip)]
    pub(super) is_old: bool,
}

/// What a tag last meant to one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meant {
    pub(super) policy: String,
    pub(super) digest: Digest,
    /// When its newest signature was made.
    pub(super) newest: Timestamp,
    pub(super) signers: Vec<LastSigned>,
    /// The tag moved here while not all could be seen of who signed this, so nobody's right was taken away yet.
    #[serde(default)]
    pub(super) partly: bool,
    /// It moved so because somebody accepts it: once all is seen it is remembered anew. Earlier versions go on with who was seen.
    #[serde(default)]
    pub(super) accepted: bool,
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
    /// The same to single policies: not all of them follow at once.
    #[serde(default)]
    also: Vec<Digest>,
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
    let (before, mut also) = match history(facts, &key).await {
        Ok(None) => (Before::Nothing, Vec::new()),
        Ok(Some(history)) => (Before::Meant(history.digest), history.policies.iter().map(|meant| meant.digest).collect()),
        Err(StoreError::Damaged { .. }) => (Before::Unreadable, Vec::new()),
        Err(error) => return Err(error),
    };
    if also.is_empty() {
        also.extend(old_audit(facts, &key).await?.map(|history| history.digest));
    }
    let from = if let Before::Meant(was) = before { Some(was) } else { None };
    let accepted = Accepted { from, also, to: *digest, at: Some(Timestamp::now()) };
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

impl History {
    /// Of a tag that means `digest` now.
    pub(super) fn of(digest: Digest, policies: Vec<Meant>, spent: Option<Accepted>) -> Self {
        let now = || policies.iter().filter(|meant| meant.digest == digest);
        let newest = now().map(|meant| meant.newest).max().unwrap_or(Timestamp::MIN);
        let signers = now().flat_map(|meant| meant.signers.clone()).take(MAX_SIGNERS).collect();
        Self { digest, newest, signers, spent, policies, is_old: false }
    }

    /// What `tag` meant to each policy of `guard`, if it meant anything. It means `digest` now.
    pub(super) async fn load(facts: &dyn Facts, key: &str, guard: &Guard, digest: Digest) -> Result<Option<Self>, StoreError> {
        let Some(mut history) = history(facts, key).await? else { return Ok(None) };
        history.is_old = history.policies.is_empty();
        if history.is_old {
            // The enforcing come first, so these differ where there are both.
            let mode = |says: Option<&Says>| says.map(|says| says.mode);
            let apart = mode(guard.policies.first()) != mode(guard.policies.last());
            let audit = if apart { old_audit(facts, key).await? } else { None };
            let meant = |says: &Says| {
                let of = if apart && says.mode == Mode::Audit { audit.as_ref() } else { Some(&history) }?;
                // None of its signers is among them, so they are another policy's, and this one uses the tag for the first time. Not
                // where the tag moved: who may move it for that other policy must not move it for this one, whose they may be.
                if of.digest == digest && says.speaks() && !says.knows_any(&of.signers) {
                    return None;
                }
                let (policy, signers) = (says.policy.clone(), of.signers.clone());
                Some(Meant { policy, digest: of.digest, newest: of.newest, signers, partly: false, accepted: false })
            };
            history.policies = guard.policies.iter().filter_map(meant).collect();
        }
        Ok(Some(history))
    }
}

impl Accepted {
    /// Whether it is this change, of what a tag meant to a policy.
    pub(super) fn is_of(&self, from: Option<Digest>, to: Digest) -> bool {
        self.to == to && (self.from == from || from.is_some_and(|from| self.also.contains(&from)))
    }
}

pub(super) fn key(image: &ImageName, tag: &Tag) -> String {
    format!("{image}:{tag}")
}

/// Where earlier versions kept the history of audit policies, beside enforcing ones. They decide nothing, so what cannot be read
/// of it is not there, and they begin anew.
async fn old_audit(facts: &dyn Facts, key: &str) -> Result<Option<History>, StoreError> {
    match history(facts, &format!("{key} audit")).await {
        Err(StoreError::Damaged { .. }) => Ok(None),
        answer => answer,
    }
}

async fn history(facts: &dyn Facts, key: &str) -> Result<Option<History>, StoreError> {
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
