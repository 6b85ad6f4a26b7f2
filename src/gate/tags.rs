//! The tag guard: a tag may move, but not back to an older digest, and not to one by another signer, unless an operator
//! accepts it. It judges the request for a tag and never the digest, which stays as admitted as it is.
//!
//! A rollback needs no key: whoever can push, or answers for the registry, moves a tag to last year's image, which is
//! signed and full of known holes. So what a tag last meant here is a fact of the store. The first use is trusted.

mod guard;
mod history;

use std::{hash::BuildHasher as _, sync::Arc};

use jiff::Timestamp;
use tokio::sync::Mutex;

use self::history::{History, audit_key, history, key, last_accepted};
pub use self::{
    guard::{Guard, TagSigner},
    history::{Before, accept},
};
use super::{
    Gate,
    judge::undecided,
    sentence::warning,
    verdict::{NoVerdict, Permit, Refusal, RefusalReason, UndecidedReason},
};
use crate::{
    oci::{Digest, ImageName, Tag},
    policy::Mode,
    store::{FactKind, StoreError},
    telemetry,
};

/// Tags whose meaning is known to be accepted, in memory.
const IN_MEMORY: usize = 65_536;

/// What is wrong with what a tag means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagMoved {
    /// The tag.
    pub tag: Tag,
    /// The policy that guards it.
    pub policy: String,
    /// How it moved.
    pub how: Move,
    /// The digest it meant before.
    pub was: Digest,
}

/// How a tag moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// To a digest that was signed earlier.
    Back {
        /// When the digest before was last signed.
        was: Timestamp,
        /// When this one was.
        is: Timestamp,
    },
    /// To a digest that nobody signed who signed the one before.
    ToAnotherSigner {
        /// Who signed the digest before.
        was: String,
        /// Who signed this one.
        is: String,
    },
}

/// Whether a tag may be answered with the digest it means now.
#[derive(Debug, Clone)]
pub enum TagVerdict {
    /// It may.
    Fine,
    /// It may not.
    Refuse(Arc<Refusal>),
    /// It may, and only an audit policy has something to say: a `Warning` header's value.
    Warn(String),
}

/// What tags last meant, as far as this process has seen it.
#[derive(Debug)]
pub(super) struct Tags {
    known: quick_cache::sync::Cache<(ImageName, Tag), Digest>,
    /// One at a time for one tag: reading its history and writing it belong together.
    turns: [Mutex<()>; 64],
    hasher: std::collections::hash_map::RandomState,
}

impl Default for Tags {
    fn default() -> Self {
        let known = quick_cache::sync::Cache::new(IN_MEMORY);
        Self { known, turns: [const { Mutex::const_new(()) }; 64], hasher: Default::default() }
    }
}

impl Gate {
    /// Whether `tag` of an image may be answered with what `permit` is for, without any work: the hot path. `false` where it
    /// is not known.
    #[must_use]
    pub fn recall_tag(&self, tag: &Tag, permit: &Permit) -> bool {
        permit.guard().is_none_or(|guard| {
            let known = || self.tags.known.get(&(permit.image().clone(), tag.clone()));
            guard.is_alone() && known().is_some_and(|known| known == *permit.manifest().digest())
        })
    }

    /// Whether `tag` may be answered with what `permit` is for, and remembers it if so.
    ///
    /// # Errors
    /// [`NoVerdict::Undecided`] when what the tag meant before cannot be read or kept.
    pub async fn admit_tag(&self, tag: &Tag, permit: &Permit) -> Result<TagVerdict, NoVerdict> {
        let Some(guard) = permit.guard() else { return Ok(TagVerdict::Fine) };
        if self.recall_tag(tag, permit) {
            return Ok(TagVerdict::Fine);
        }
        let (image, digest) = (permit.image(), *permit.manifest().digest());
        match (&guard.beside, self.ask_guard(image, tag, digest, guard).await?) {
            (Some(beside), TagVerdict::Fine) => self.ask_guard(image, tag, digest, beside).await,
            (_, verdict) => Ok(verdict),
        }
    }

    async fn ask_guard(&self, image: &ImageName, tag: &Tag, digest: Digest, guard: &Guard) -> Result<TagVerdict, NoVerdict> {
        let moved = match self.move_tag(image, tag, digest, guard).await {
            Ok(None) => return Ok(TagVerdict::Fine),
            Ok(Some(moved)) => moved,
            Err(error) if guard.mode == Mode::Audit => {
                let would = format!("could not tell what tag {tag} meant: {error}");
                tell_audited("would_undecided", &guard.policy, image, &digest, &would);
                return Ok(TagVerdict::Warn(warning(299, &format!("audit: {would}"))));
            }
            Err(error) => {
                let why = format!("what tag {tag} meant before cannot be told: {error}; {}", command(image, tag, &digest));
                return Err(undecided(UndecidedReason::EvidenceUnavailable(why), None));
            }
        };
        let reason = RefusalReason::TagMoved(Box::new(moved));
        let refusal = Refusal { image: image.clone(), digest, reason, explanation: Arc::default() };
        if guard.mode == Mode::Audit {
            let would = refusal.reason.to_string();
            tell_audited("would_refuse", &guard.policy, image, &digest, &format!("tag {tag}: {would}"));
            return Ok(TagVerdict::Warn(warning(299, &format!("audit: would refuse: {would}"))));
        }
        let (reason, detail) = (refusal.code(), refusal.sentence());
        metrics::counter!(telemetry::DECISIONS, "outcome" => "refusal", "reason" => reason).increment(1);
        tracing::info!(verdict = "refusal", reason, %image, %tag, %digest, detail, "judged");
        Ok(TagVerdict::Refuse(Arc::new(refusal)))
    }

    /// Lets the tag mean `digest` from now on, unless it may not.
    async fn move_tag(
        &self,
        image: &ImageName,
        tag: &Tag,
        digest: Digest,
        guard: &Guard,
    ) -> Result<Option<TagMoved>, StoreError> {
        let facts = &*self.facts;
        let plain = key(image, tag);
        let key = if guard.apart { audit_key(&plain) } else { plain.clone() };
        let at = usize::try_from(self.tags.hasher.hash_one(&key) % self.tags.turns.len() as u64).unwrap_or_default();
        let _turn = self.tags.turns[at].lock().await;
        let before = history(facts, &key).await;
        let mut signers = guard.last_signed();
        let mut spent = None;
        match &before {
            Ok(Some(before)) if before.digest == digest => {
                self.know(image, tag, digest, guard);
                return Ok(None);
            }
            Ok(Some(before)) => {
                spent.clone_from(&before.spent);
                match guard.compare(before) {
                    // Only those who signed before and sign again: two at once today must not let the second alone tomorrow.
                    Ok(common) => signers = common,
                    Err(how) => {
                        let accepted = last_accepted(facts, &plain).await?;
                        // Once: else the same rollback would be free for ever.
                        let fresh = accepted.filter(|accepted| before.spent.as_ref() != Some(accepted));
                        spent = fresh.filter(|accepted| accepted.is_of(guard, Some(before.digest), digest));
                        if spent.is_none() {
                            let policy = guard.policy.clone();
                            return Ok(Some(TagMoved { tag: tag.clone(), policy, how, was: before.digest }));
                        }
                        tracing::info!(%image, %tag, was = %before.digest, %digest, "a tag moved as an operator accepts");
                    }
                }
            }
            Ok(None) => tracing::debug!(%image, %tag, %digest, "a tag's first use is trusted"),
            Err(error @ StoreError::Damaged { .. }) => {
                spent = last_accepted(facts, &plain).await?.filter(|accepted| accepted.is_of(guard, None, digest));
                if spent.is_none() {
                    return Err(error.clone());
                }
            }
            Err(error) => return Err(error.clone()),
        }
        let json = serde_json::to_vec(&History { digest, newest: guard.newest, signers, spent }).unwrap_or_default();
        facts.set_fact(FactKind::Tag, &key, &json).await?;
        self.know(image, tag, digest, guard);
        Ok(None)
    }

    /// Remembers what a tag means by its history; while its turn is held, so that it is never older than that. Where two guards
    /// must be asked each time, nothing is remembered, nor what was before.
    fn know(&self, image: &ImageName, tag: &Tag, digest: Digest, guard: &Guard) {
        let known = (image.clone(), tag.clone());
        if guard.is_alone() {
            self.tags.known.insert(known, digest);
        } else {
            self.tags.known.remove(&known);
        }
    }
}

impl TagMoved {
    /// A code from a closed list.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.how {
            Move::Back { .. } => "tag_rolled_back",
            Move::ToAnotherSigner { .. } => "tag_signer_changed",
        }
    }
}

/// How to accept that a tag means a digest.
pub(super) fn command(image: &ImageName, tag: &Tag, digest: &Digest) -> String {
    format!("to accept it: pullgate policy tag accept {image}:{tag}@{digest}")
}

/// Tells what an audit policy would have answered: one event, one count.
pub(super) fn tell_audited(event: &'static str, policy: &str, image: &ImageName, digest: &Digest, would: &str) {
    metrics::counter!(telemetry::AUDITED, "outcome" => event).increment(1);
    tracing::info!(audit = event, policy, %image, %digest, would, "audited");
}
