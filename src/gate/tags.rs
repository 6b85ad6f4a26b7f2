//! The tag guard: a tag may move, but not back to an older digest, and not to one by another signer, unless an operator
//! accepts it. It judges the request for a tag and never the digest, which stays as admitted as it is.
//!
//! A rollback needs no key: whoever can push, or answers for the registry, moves a tag to last year's image, which is
//! signed and full of known holes. So what a tag last meant here is a fact of the store. The first use is trusted.

mod guard;
mod history;

use std::{hash::BuildHasher as _, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::Mutex,
    time::{Instant, error::Elapsed, timeout_at},
};

use self::{
    guard::Says,
    history::{History, Meant, key, last_accepted},
};
pub use self::{
    guard::{Guard, TagSigner},
    history::{Before, accept},
};
use super::{
    Gate, SETTLE,
    judge::undecided,
    sentence::{warning, whole, with_command},
    verdict::{NoVerdict, Permit, Refusal, RefusalReason, Subject, UndecidedReason, Verdict},
};
use crate::{
    oci::{Digest, ImageName, Tag},
    policy::{Mode, PolicyId},
    store::{FactKind, StoreError},
    telemetry,
};

/// Tags whose meaning is known to be accepted, in memory.
const IN_MEMORY: usize = 65_536;
/// Policies that a history remembers beside those that name the image now: whoever renames them with each release has many, and
/// a fact has an end.
const MAX_ASIDE: usize = 4;
/// How long the store is waited for where only audit policies ask: what it keeps, it keeps all the same.
const FOR_AUDIT: Duration = Duration::from_secs(1);
/// What was asked so long ago is not asked again, also where no refusal is remembered, as by `verify`.
const JUST_NOW: Duration = Duration::from_secs(1);

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
    /// It may, with this permit, and with what audit policies have to say: `Warning` headers' values.
    Admit(Permit, Vec<String>),
    /// It may not.
    Refuse(Arc<Refusal>),
}

/// What a tag last meant, the policies that were asked, and of each guarding one whether it spoke: those that did all let it mean
/// that.
type Known = (Digest, PolicyId, Arc<[bool]>);

/// What each policy says that says no, and its mode.
type Moves = Vec<(Mode, TagMoved)>;

/// What the store did not do with a tag's history.
enum Failed {
    Read(StoreError),
    Write(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Read(error)
    }
}

/// What tags last meant, as far as this process has seen it.
#[derive(Debug)]
pub(super) struct Tags {
    known: quick_cache::sync::Cache<(ImageName, Tag), Known>,
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

impl Tags {
    fn turn(&self, key: &str) -> &Mutex<()> {
        &self.turns[usize::try_from(self.hasher.hash_one(key) % self.turns.len() as u64).unwrap_or_default()]
    }
}

impl Gate {
    /// Whether `tag` of an image may be answered with what `permit` is for, without any work: the hot path. `false` where it
    /// is not known.
    #[must_use]
    pub fn recall_tag(&self, tag: &Tag, permit: &Permit) -> bool {
        let Some(guard) = permit.guard() else { return true };
        let known = self.tags.known.get(&(permit.image().clone(), tag.clone()));
        known.is_some_and(|(digest, policy, spoke)| {
            digest == *permit.manifest().digest() && policy == permit.policy() && guard.speaking().eq(spoke.iter().copied())
        })
    }

    /// Whether `tag` may be answered with what `permit` is for, the permit of `subject`, and remembers it if so; with the permit to
    /// answer with, since what is denied while the store or evidence is waited for is not served after all (D4). `until` is when the
    /// answer must be there: the [`deadline`](Self::deadline) of the request, of which the permit may have taken a part.
    ///
    /// # Errors
    /// [`NoVerdict::Undecided`] when what the tag meant before cannot be read or kept in time, or when it may not mean this by what was
    /// seen of its evidence, which is not all; any [`NoVerdict`] where the subject was judged again.
    pub async fn admit_tag(
        self: &Arc<Self>,
        tag: &Tag,
        subject: &Subject,
        mut permit: Permit,
        until: Instant,
    ) -> Result<TagVerdict, NoVerdict> {
        for _ in 0..SETTLE {
            let verdict = self.ask_tag(tag, subject, &permit, until).await?;
            if !matches!(&verdict, TagVerdict::Admit(permit, _) if !self.stands(permit)) {
                return Ok(verdict);
            }
            permit = match in_time(until, self.admit(subject)).await? {
                Verdict::Admit(permit) => permit,
                Verdict::Refuse(refusal) => return Ok(TagVerdict::Refuse(refusal)),
            };
        }
        Err(undecided(UndecidedReason::Overloaded, None))
    }

    async fn ask_tag(
        self: &Arc<Self>,
        tag: &Tag,
        subject: &Subject,
        permit: &Permit,
        until: Instant,
    ) -> Result<TagVerdict, NoVerdict> {
        let Some(guard) = permit.guard().filter(|_| !self.recall_tag(tag, permit)) else {
            return Ok(TagVerdict::Admit(permit.clone(), Vec::new()));
        };
        let wait = if guard.speaks(Mode::Enforce) { until } else { until.min(Instant::now() + FOR_AUDIT) };
        let moved = self.moved(tag, permit, guard, wait).await;
        let says_no = |which: Mode| moved.as_ref().is_ok_and(|moved| moved.iter().any(|(mode, _)| *mode == which));
        // The permit is as old as it may be, and a refusal is not: whoever signs it late has perhaps signed since.
        let is_old = guard.is_older_than(self.config.refusal_ttl.max(JUST_NOW));
        if !is_old || !says_no(Mode::Enforce) {
            if is_old && says_no(Mode::Audit) {
                // Who only audits makes nobody wait: it is for the next who asks.
                let (gate, subject, permit) = (Arc::clone(self), subject.clone(), permit.clone());
                drop(tokio::spawn(async move { gate.renew(&subject, &permit).await.map(drop) }));
            }
            return self.tell_tag(tag, permit, guard, moved);
        }
        match in_time(until, self.renew(subject, permit)).await? {
            Verdict::Refuse(refusal) => Ok(TagVerdict::Refuse(refusal)),
            Verdict::Admit(permit) => match permit.guard() {
                None => Ok(TagVerdict::Admit(permit, Vec::new())),
                Some(guard) => self.tell_tag(tag, &permit, guard, self.moved(tag, &permit, guard, until).await),
            },
        }
    }

    /// The answer, where `moved` is what each policy says that says no.
    fn tell_tag(
        &self,
        tag: &Tag,
        permit: &Permit,
        guard: &Guard,
        moved: Result<Moves, UndecidedReason>,
    ) -> Result<TagVerdict, NoVerdict> {
        let (image, digest) = (permit.image(), *permit.manifest().digest());
        let moved = match moved {
            Ok(moved) => moved,
            Err(reason) if !guard.speaks(Mode::Enforce) => {
                let would = match reason {
                    UndecidedReason::TagHistory { told, .. } => told,
                    _ => format!("could not tell what tag {tag} meant before"),
                };
                let policies = guard.policies.iter().filter(|says| says.speaks()).map(|says| says.policy.as_str());
                tell_audited("would_undecided", &policies.collect::<Vec<_>>().join(", "), image, &digest, &would);
                return Ok(TagVerdict::Admit(permit.clone(), vec![warning(299, &format!("audit: {would}"))]));
            }
            Err(reason) => return Err(tell_undecided(tag, image, &digest, None, reason)),
        };
        let unseen = || {
            let told = |why| format!("whether tag {tag} may mean it, as not all was seen of who signed it: {why}");
            guard.unseen.clone().map(|reason| reason.because(told))
        };
        let (refused, would): (Vec<_>, Vec<_>) = moved.into_iter().partition(|(mode, _)| *mode == Mode::Enforce);
        if let Some((_, moved)) = refused.into_iter().next() {
            if let Some(reason) = unseen() {
                return Err(tell_undecided(tag, image, &digest, Some(&moved), reason));
            }
            // The sentence may have been cut.
            let (was, policy, summary) = (moved.was, moved.policy.clone(), whole(&moved.to_string()));
            let signers = guard.policies.iter().find(|says| says.policy == policy).map(Says::signers).unwrap_or_default();
            let reason = RefusalReason::TagMoved(Box::new(moved));
            let refusal = Refusal { image: image.clone(), digest, reason, explanation: Arc::default() };
            let (reason, detail) = (refusal.code(), refusal.sentence());
            metrics::counter!(telemetry::DECISIONS, "outcome" => "refusal", "reason" => reason).increment(1);
            tracing::info!(
                verdict = "refusal", reason, %image, %tag, %digest, %was, ?signers, policies = ?[policy], summary, detail, "judged"
            );
            return Ok(TagVerdict::Refuse(Arc::new(refusal)));
        }
        let tell = |(_, moved): (Mode, TagMoved)| {
            let (event, verb, would) = match unseen() {
                Some(reason) => ("would_undecided", "could not tell", format!("policy {}: {reason}", moved.policy)),
                None => ("would_refuse", "would refuse", moved.to_string()),
            };
            tell_audited(event, &moved.policy, image, &digest, &format!("tag {tag}: {would}"));
            warning(299, &format!("audit: {verb}: {would}"))
        };
        Ok(TagVerdict::Admit(permit.clone(), would.into_iter().map(tell).collect()))
    }

    /// What [`Gate::move_tag`] says, where it says so in time.
    ///
    /// In a task of its own: who hangs up must not free the tag's turn while its history is still being written.
    async fn moved(
        self: &Arc<Self>,
        tag: &Tag,
        permit: &Permit,
        guard: &Arc<Guard>,
        until: Instant,
    ) -> Result<Moves, UndecidedReason> {
        let (image, digest) = (permit.image(), *permit.manifest().digest());
        let (gate, of, by, asks) = (Arc::clone(self), tag.clone(), permit.clone(), Arc::clone(guard));
        let task = tokio::spawn(async move {
            // Who gave up must not pile up behind a store that hangs.
            let _turn = timeout_at(until, gate.tags.turn(&key(by.image(), &of)).lock()).await?;
            Ok::<_, Elapsed>(gate.move_tag(&of, &by, &asks).await)
        });
        let unread = || format!("the gate's store fails, so it cannot be told what {image}:{tag} meant before");
        let (told, error) = match timeout_at(until, task).await {
            Ok(Ok(Ok(Ok(moved)))) => return Ok(moved),
            Ok(Ok(Ok(Err(Failed::Read(error @ StoreError::Damaged { .. }))))) => {
                let why = format!("what tag {tag} meant before cannot be told: its history is damaged");
                (with_command(&command(image, tag, &digest), |_| why), error.to_string())
            }
            Ok(Ok(Ok(Err(Failed::Read(error))))) => (unread(), error.to_string()),
            Ok(Ok(Ok(Err(Failed::Write(error))))) => {
                (format!("the gate's store fails, so what {image}:{tag} means now cannot be kept"), error.to_string())
            }
            Ok(Err(lost)) => (unread(), lost.to_string()),
            Ok(Ok(Err(_))) | Err(_) => {
                tracing::warn!(%image, %tag, %digest, "what a tag meant before cannot be told: the store takes too long");
                return Err(UndecidedReason::TimedOut);
            }
        };
        tracing::warn!(%image, %tag, %digest, error, told, "a tag's history cannot be read or kept");
        Err(UndecidedReason::TagHistory { told, error })
    }

    /// Lets the tag mean what `permit` is for from now on, unless an enforcing policy says that it may not; and what each policy
    /// says that says so. It is the tag's turn.
    async fn move_tag(&self, tag: &Tag, permit: &Permit, guard: &Guard) -> Result<Moves, Failed> {
        let (facts, image, digest) = (&*self.facts, permit.image(), *permit.manifest().digest());
        let key = key(image, tag);
        let mut spent = None;
        let before = match History::load(facts, &key, guard, digest).await {
            Ok(before) => before,
            Err(error @ StoreError::Damaged { .. }) => {
                spent = last_accepted(facts, &key).await?.filter(|accepted| accepted.is_of(None, digest));
                if spent.is_none() {
                    return Err(error.into());
                }
                None
            }
            Err(error) => return Err(error.into()),
        };
        let known: &[Meant] = before.as_ref().map_or(&[], |before| &before.policies);
        let meant = |policy: &str| known.iter().find(|meant| meant.policy == policy);
        let asked = guard.policies.iter().filter(|says| says.speaks());
        let whole = guard.unseen.is_none();
        let said: Vec<_> = asked.map(|says| (says, says.follow(digest, meant(&says.policy), whole))).collect();
        let mut accepted = Vec::new();
        if let Some(before) = &before {
            spent.clone_from(&before.spent);
            if said.iter().any(|(_, said)| said.is_err()) {
                // Once: else the same rollback would be free for ever. It holds for a policy that says something only later, as long
                // as the tag stays there.
                accepted.extend(last_accepted(facts, &key).await?.filter(|accepted| spent.as_ref() != Some(accepted)));
                accepted.extend(spent.clone().filter(|_| before.digest == digest));
            }
        }
        let (mut policies, mut moved) = (Vec::new(), Vec::new());
        let mut is_settled = true;
        for (says, said) in said {
            match said {
                Ok(Some(meant)) => {
                    is_settled &= !meant.partly;
                    policies.push(meant);
                }
                Ok(None) => {
                    is_settled = false;
                    tracing::info!(policy = says.policy, %image, %tag, %digest, "a tag's first use is not remembered until all is seen");
                }
                Err((was, how)) => match accepted.iter().find(|accepted| accepted.is_of(Some(was), digest)) {
                    Some(accepted) => {
                        spent = Some(accepted.clone());
                        is_settled &= whole;
                        policies.push(says.accept(digest, whole));
                        tracing::info!(policy = says.policy, %image, %tag, %was, %digest, "a tag moved as an operator accepts");
                    }
                    None => moved.push((says.mode, TagMoved { tag: tag.clone(), policy: says.policy.clone(), how, was })),
                },
            }
        }
        if moved.iter().any(|(mode, _)| *mode == Mode::Enforce) {
            return Ok(moved);
        }
        let follow = policies.len();
        // What it meant to who says nothing of this digest, or would refuse it, it means to them still.
        let aside = known.iter().filter(|known| policies.iter().all(|meant: &Meant| meant.policy != known.policy));
        let is_asked = |meant: &Meant| guard.policies.iter().any(|says| says.policy == meant.policy);
        let (asked, away): (Vec<_>, Vec<_>) = aside.cloned().partition(is_asked);
        policies.extend(asked.into_iter().chain(away.into_iter().take(MAX_ASIDE)));
        let is_known = before.as_ref().is_some_and(|before| before.policies == policies);
        let is_old = before.as_ref().is_some_and(|before| before.is_old);
        if follow > 0 && (!is_known || is_old) {
            let history = History::of(digest, policies, spent);
            match facts.set_fact(FactKind::Tag, &key, &serde_json::to_vec(&history).unwrap_or_default()).await {
                // The same in an earlier version's form says it too.
                Err(error) if is_known => tracing::warn!(%image, %tag, %error, "a tag's history is left in its old form"),
                written => written.map_err(Failed::Write)?,
            }
        }
        // While its turn is held, so that it is never older than the history. Where a policy would refuse, or who signed was not all
        // seen, all are asked each time, and what was known before is forgotten.
        let name = (image.clone(), tag.clone());
        if moved.is_empty() && is_settled {
            self.tags.known.insert(name, (digest, permit.policy(), guard.speaking().collect()));
        } else {
            self.tags.known.remove(&name);
        }
        Ok(moved)
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

/// An answer of the gate's, if it is there in time. Who waited no longer leaves the work going on, for whoever asks next.
async fn in_time<T>(until: Instant, answer: impl Future<Output = Result<T, NoVerdict>>) -> Result<T, NoVerdict> {
    timeout_at(until, answer).await.unwrap_or_else(|_| Err(undecided(UndecidedReason::TimedOut, None)))
}

/// How to accept that a tag means a digest.
pub(super) fn command(image: &ImageName, tag: &Tag, digest: &Digest) -> String {
    format!("to accept it: pullgate policy tag accept {image}:{tag}@{digest} --config FILE")
}

/// Tells that it could not be told whether a tag may mean a digest: one event, one count.
fn tell_undecided(tag: &Tag, image: &ImageName, digest: &Digest, moved: Option<&TagMoved>, reason: UndecidedReason) -> NoVerdict {
    let none = undecided(reason, None);
    let (reason, detail) = (none.code(), none.to_string());
    let was = moved.map(|moved| tracing::field::display(moved.was));
    let policies: Vec<_> = moved.iter().map(|moved| &moved.policy).collect();
    metrics::counter!(telemetry::DECISIONS, "outcome" => "undecided", "reason" => reason).increment(1);
    tracing::info!(verdict = "undecided", reason, %image, %tag, %digest, was, ?policies, detail, "judged");
    none
}

/// Tells what an audit policy would have answered: one event, one count.
pub(super) fn tell_audited(event: &'static str, policy: &str, image: &ImageName, digest: &Digest, would: &str) {
    metrics::counter!(telemetry::AUDITED, "outcome" => event).increment(1);
    tracing::info!(audit = event, policy, %image, %digest, would, "audited");
}
