//! The tag guard: a tag may move, but not back to an older digest, and not to one by another signer, unless an operator
//! accepts it. It judges the request for a tag and never the digest, which stays as admitted as it is.
//!
//! A rollback needs no key: whoever can push, or answers for the registry, moves a tag to last year's image, which is
//! signed and full of known holes. So what a tag last meant here is a fact of the store. The first use is trusted.

use std::{hash::BuildHasher as _, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    Gate,
    judge::undecided,
    sentence::warning,
    verdict::{NoVerdict, Permit, Refusal, RefusalReason, UndecidedReason},
};
use crate::{
    oci::{Digest, ImageName, Tag},
    policy::{Held, Mode, Policy, Signed},
    store::{FactKind, Facts, StoreError},
    telemetry,
    verify::{SanKind, Signer},
};

/// Signers remembered of one digest.
const MAX_SIGNERS: usize = 16;
/// Tags whose meaning is known to be accepted, in memory.
const IN_MEMORY: usize = 65_536;

/// What a permit says to the guard of tags: a policy asks for it, and this is how old the digest is and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    policy: String,
    mode: Mode,
    newest: Timestamp,
    /// Each with the newest of its signatures.
    signers: Vec<(TagSigner, Timestamp)>,
    /// What audit policies say beside the enforcing ones.
    beside: Option<Arc<Self>>,
    /// An enforcing policy guards tags too, so what they mean to the audit policies is a history of its own: who signs for these
    /// must not become who may sign for those.
    apart: bool,
}

/// Who signed, by what does not change from release to release. A workflow's own name contains the ref it ran for, and every
/// release has another; the repository's number stays when the repository is renamed, and does not when its name is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSigner {
    /// The name of the trust root.
    pub trust_root: String,
    /// The OIDC issuer.
    pub issuer: String,
    /// The claim `source_repository_identifier`, where the certificate has it.
    pub repository: Option<String>,
    /// The claim `build_signer_uri` without its ref; where there is none, the subject, if it is a URI without its ref.
    pub builder: String,
}

/// What a tag last meant. Earlier versions read it too, and leave out what they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct History {
    digest: Digest,
    newest: Timestamp,
    signers: Vec<LastSigned>,
    /// The last change that was accepted and has happened.
    #[serde(default)]
    spent: Option<Accepted>,
}

/// A signer of what a tag last meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LastSigned {
    #[serde(flatten)]
    signer: TagSigner,
    /// The newest of its signatures; `None` in a history of a version that kept one time for all signers.
    #[serde(default)]
    newest: Option<Timestamp>,
}

/// A change that an operator accepts: this one and no other, and once. The history that it makes keeps it as spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Accepted {
    from: Option<Digest>,
    /// The same by the history of an audit policy beside enforcing ones.
    #[serde(default)]
    from_audit: Option<Digest>,
    to: Digest,
    /// When it was accepted, which tells it from the same change accepted anew.
    #[serde(default)]
    at: Option<Timestamp>,
}

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

impl Guard {
    /// What the policies that guard tags say of a digest on which they hold; `None` where none guards them, or where none of
    /// them knows a signature: what an exception admits says nothing of age or signer.
    pub(super) fn of(held: &[(Arc<Policy>, Held)], watched: &[(Arc<Policy>, Held)]) -> Option<Arc<Self>> {
        let apart = held.iter().any(|(policy, _)| policy.tag_guard());
        let audit = Self::among(watched, Mode::Audit).map(|audit| Arc::new(Self { apart, ..audit }));
        match Self::among(held, Mode::Enforce) {
            Some(enforce) => Some(Arc::new(Self { beside: audit, ..enforce })),
            None => audit,
        }
    }

    fn among(held: &[(Arc<Policy>, Held)], mode: Mode) -> Option<Self> {
        let guards = || held.iter().filter(|(policy, _)| policy.tag_guard());
        let (first, _) = guards().next()?;
        let signed: Vec<&Signed> = guards().flat_map(|(_, held)| &held.signed).collect();
        let newest = signed.iter().map(|signed| signed.at).max()?;
        let mut signers: Vec<(TagSigner, Timestamp)> = Vec::new();
        for Signed { signer, at } in signed {
            let signer = TagSigner::of(signer);
            if let Some((_, newest)) = signers.iter_mut().find(|(known, _)| *known == signer) {
                *newest = (*newest).max(*at);
            } else if signers.len() < MAX_SIGNERS {
                signers.push((signer, *at));
            }
        }
        Some(Self { policy: first.name.clone(), mode, newest, signers, beside: None, apart: false })
    }

    /// Whether there is no other guard, nor another history.
    const fn is_alone(&self) -> bool {
        self.beside.is_none() && !self.apart
    }

    /// Everyone who signed, as a history keeps them.
    fn last_signed(&self) -> Vec<LastSigned> {
        self.signers.iter().map(|(signer, at)| LastSigned { signer: signer.clone(), newest: Some(*at) }).collect()
    }

    /// The signers both have, if a tag may move from there to here. Only their signatures say which is newer: who signs beside
    /// them may not move the tag, and so lends no age to an old signature of one who may.
    fn compare(&self, before: &History) -> Result<Vec<LastSigned>, Move> {
        let last = |signer: &TagSigner| before.signers.iter().find(|last| last.signer == *signer);
        let common: Vec<_> = self.signers.iter().filter_map(|of| Some((of, last(&of.0)?))).collect();
        let is = common.iter().map(|((_, at), _)| *at).max();
        let was = common.iter().map(|(_, last)| last.newest.unwrap_or(before.newest)).max();
        match (was, is) {
            (Some(was), Some(is)) if is < was => Err(Move::Back { was, is }),
            (Some(_), Some(_)) => {
                // Nobody's age goes back for what another let through.
                let kept = |((signer, at), last): (&(TagSigner, Timestamp), &LastSigned)| LastSigned {
                    signer: signer.clone(),
                    newest: last.newest.max(Some(*at)),
                };
                Ok(common.into_iter().map(kept).collect())
            }
            (None, _) | (_, None) => {
                let told = |signer: Option<&TagSigner>| signer.map(|signer| signer.builder.clone()).unwrap_or_default();
                let was = told(before.signers.first().map(|last| &last.signer));
                Err(Move::ToAnotherSigner { was, is: told(self.signers.first().map(|(signer, _)| signer)) })
            }
        }
    }
}

impl Accepted {
    /// Whether it is this change, of the tag as `guard` knows it.
    fn is_of(&self, guard: &Guard, from: Option<Digest>, to: Digest) -> bool {
        let accepted = if guard.apart { self.from_audit } else { self.from };
        accepted == from && self.to == to
    }
}

impl TagSigner {
    fn of(signer: &Signer) -> Self {
        let Signer { trust_root, issuer, san_kind, subject, claims } = signer;
        let builder = match (claims.get("build_signer_uri"), san_kind) {
            (Some(uri), _) => without_ref(uri),
            (None, SanKind::Uri) => without_ref(subject),
            // An address has its `@` elsewhere.
            (None, SanKind::Email | SanKind::Other) => subject,
        };
        Self {
            trust_root: trust_root.to_string(),
            issuer: issuer.clone(),
            repository: claims.get("source_repository_identifier").cloned(),
            builder: builder.to_owned(),
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

/// `https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1` without what follows the workflow.
fn without_ref(uri: &str) -> &str {
    // The first: a ref may contain one too.
    uri.split_once("@refs/").or_else(|| uri.split_once('@')).map_or(uri, |(workflow, _)| workflow)
}

fn key(image: &ImageName, tag: &Tag) -> String {
    format!("{image}:{tag}")
}

/// Where the history of audit policies is, beside enforcing ones.
fn audit_key(key: &str) -> String {
    format!("{key} audit")
}

async fn history(facts: &dyn Facts, key: &str) -> Result<Option<History>, StoreError> {
    let Some(bytes) = facts.fact(FactKind::Tag, key).await? else { return Ok(None) };
    // Whole, and not ours to read: another version's. No history is made up from that.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| StoreError::Damaged { path: format!("tag history of {key}").into() })
}

async fn last_accepted(facts: &dyn Facts, key: &str) -> Result<Option<Accepted>, StoreError> {
    let accepted = match facts.fact(FactKind::TagAccepted, key).await {
        Ok(accepted) => accepted,
        // Nobody's word that can be read.
        Err(StoreError::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(accepted.and_then(|json| serde_json::from_slice(&json).ok()))
}
