//! The gate: admits a subject, or refuses it, or says that it could not tell.
//!
//! [`Gate::recall`] is the hot path, two lock-free look-ups. [`Gate::admit`] recalls, or judges once however many ask;
//! [`Gate::admit_blob`] asks whether an admitted manifest lists a blob.

pub mod explain;
pub mod sentence;
pub mod tags;
pub mod verdict;

mod blobs;
mod judge;
mod lineage;
mod memory;
mod names;
mod room;
mod weigh;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

pub use explain::Explanation;
pub use judge::{is_index, platforms_of};
pub use memory::register_early;
pub use names::{DeniedByOtherName, Naming};
pub use tags::TagVerdict;
pub use verdict::{
    Absent, Faulty, Grounds, NoVerdict, Permit, Refusal, RefusalReason, Subject, Undecided, UndecidedReason, Verdict,
};

use self::{
    judge::{Answer, Judgement, MAX_DEPTH, Trail, epoch_of, undecided},
    lineage::Lineage,
    memory::{Asked, Basis, Memory, Name, Recalled, Selections},
    room::Rooms,
};
use crate::{
    evidence,
    flight::Flight,
    oci::Tag,
    policy::{PolicyId, PolicySet, Selection},
    store::{Documents, Facts},
    telemetry,
    verify::{Pool, TrustState},
};

/// Verifications that may wait for a thread: a second of work. Beyond it the answer is "come back" (threats H5).
const VERIFY_QUEUE: usize = 1_024;

/// How often a question is asked again because policies changed meanwhile.
const SETTLE: usize = 4;

/// What the configuration says of the gate.
#[derive(Debug, Clone)]
pub struct Config {
    /// After this long evidence is listed again: 1 h.
    pub verdict_ttl: Duration,
    /// How long a refusal is remembered: 10 s (push-then-sign gaps are normal).
    pub refusal_ttl: Duration,
    /// How old evidence may be when the upstream cannot be asked: 24 h. `None` is forever.
    pub max_stale: Option<Duration>,
    /// A judgement's deadline, and a tag's: 24 s, a second before the server's own (containerd gives up at 30).
    pub deadline: Duration,
    /// Verdicts remembered: 200,000.
    pub verdicts: usize,
    /// Bytes that manifests may take in memory: 64 MiB.
    pub manifest_bytes: u64,
    /// Bounds of one search for evidence.
    pub limits: evidence::Limits,
    /// Verifications at once; the CPU count.
    pub verify_threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            verdict_ttl: Duration::from_secs(3_600),
            refusal_ttl: Duration::from_secs(10),
            max_stale: Some(Duration::from_secs(24 * 3_600)),
            deadline: Duration::from_secs(24),
            verdicts: 200_000,
            manifest_bytes: 64 << 20,
            limits: evidence::Limits::default(),
            verify_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// Judges subjects and remembers what it concluded.
pub struct Gate {
    config: Config,
    documents: Arc<dyn Documents>,
    facts: Arc<dyn Facts>,
    policies: Arc<ArcSwap<PolicySet>>,
    trust: Arc<ArcSwap<TrustState>>,
    selections: ArcSwap<Selections>,
    memory: Memory,
    lineage: Lineage,
    names: names::OtherNames,
    flights: Flight<Flying, Answer>,
    pool: Pool,
    rooms: Rooms,
    tags: tags::Tags,
    /// The wall clock, for ages that are kept in the store; ages in memory are monotonic.
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    recalled_permits: metrics::Counter,
    recalled_refusals: metrics::Counter,
}

/// What one flight answers: a name, under one basis. Who asks under another basis is not answered by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flying {
    name: Name,
    basis: Basis,
    question: Question,
}

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    /// Whether it is evidence, whatever else it may be.
    Attachment,
    /// Whether it is admitted on what is listed now, whatever is remembered of it.
    Anew,
    /// Whether it is admitted; asked by a client, or as a possible parent so many levels up.
    Manifest(u8),
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether a blob may be served.
#[derive(Debug, Clone)]
pub enum BlobVerdict {
    /// The deny-list names it.
    Denied(Arc<Refusal>),
    /// An admitted manifest of the repository lists it. `size` is what the manifest says.
    Listed {
        /// The manifest's permit.
        permit: Permit,
        /// Descriptor size in bytes.
        size: u64,
    },
    /// It is itself an admitted manifest: served as octets.
    Manifest(Permit),
    /// No admitted manifest of this repository lists it.
    Unlisted,
}

impl Gate {
    /// A gate that remembers nothing yet. `policies` and `trust` may be swapped at any time: verdicts made under
    /// others are then unreachable, without a flush.
    ///
    /// `facts` is what it remembers beyond any cache: first sightings, and what tags meant.
    ///
    /// Make it after the metrics recorder is installed: it takes its hot counters once.
    #[must_use]
    pub fn new(
        config: Config,
        documents: Arc<dyn Documents>,
        facts: Arc<dyn Facts>,
        policies: Arc<ArcSwap<PolicySet>>,
        trust: Arc<ArcSwap<TrustState>>,
    ) -> Arc<Self> {
        Self::with_clock(config, documents, facts, policies, trust, Timestamp::now)
    }

    /// The same under another wall clock.
    #[must_use]
    pub fn with_clock(
        config: Config,
        documents: Arc<dyn Documents>,
        facts: Arc<dyn Facts>,
        policies: Arc<ArcSwap<PolicySet>>,
        trust: Arc<ArcSwap<TrustState>>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            selections: ArcSwap::from_pointee(Selections::new(policies.load_full())),
            memory: Memory::new(config.verdicts, config.manifest_bytes),
            lineage: Lineage::new(Arc::clone(&documents)),
            names: names::OtherNames::default(),
            flights: Flight::default(),
            pool: Pool::new(config.verify_threads, VERIFY_QUEUE),
            rooms: Rooms::default(),
            tags: tags::Tags::default(),
            clock: Box::new(clock),
            recalled_permits: metrics::counter!(telemetry::RECALLS, "outcome" => "permit"),
            recalled_refusals: metrics::counter!(telemetry::RECALLS, "outcome" => "refusal"),
            config,
            documents,
            facts,
            policies,
            trust,
        })
    }

    /// Recalls or makes the verdict on `subject`.
    ///
    /// However many ask, one judgement is made, in a task of its own with [`Config::deadline`]; who hangs up cancels
    /// nothing. A permit is remembered for [`Config::verdict_ttl`], a refusal for [`Config::refusal_ttl`], and no
    /// verdict not at all.
    ///
    /// # Errors
    /// [`NoVerdict`] when there is none: absent, faulty, or could not tell.
    pub async fn admit(self: &Arc<Self>, subject: &Subject) -> Result<Verdict, NoVerdict> {
        for _ in 0..SETTLE {
            let under = self.select(&subject.image).id;
            let answer = self.admit_at(subject, Trail::default()).await;
            if self.is_settled(&answer, under, subject) {
                if let Ok(Verdict::Admit(permit)) = &answer {
                    count_exceptions(permit);
                }
                return answer;
            }
        }
        Err(undecided(UndecidedReason::Overloaded, None))
    }

    /// Whether an answer, asked for `under` some policies, is one under those in force when it is given: what is denied while
    /// it is judged, for up to [`Config::deadline`], is not served after all (D4).
    fn is_settled(&self, answer: &Answer, under: PolicyId, subject: &Subject) -> bool {
        match answer {
            Ok(Verdict::Admit(permit)) => self.stands(permit),
            // An index that was judged under other policies than its child is no evidence; under the new ones it may be.
            Err(NoVerdict::Undecided(Undecided { reason: UndecidedReason::EvidenceUnavailable(_), .. })) => {
                under == self.select(&subject.image).id
            }
            Ok(Verdict::Refuse(_)) | Err(_) => true,
        }
    }

    /// Whether `permit` is one under the policies, the deny-list and the trust root in force now. For whoever had to wait since
    /// it was given: what was denied meanwhile (D4), or rests on what was withdrawn (R6), is not served after all.
    #[must_use]
    pub fn stands(&self, permit: &Permit) -> bool {
        let now = || epoch_of(&self.trust.load());
        permit.policy() == self.select(permit.image()).id && permit.epoch().is_none_or(|epoch| now() == Some(epoch))
    }

    /// When what is asked now must be answered.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.config.deadline
    }

    /// As [`admit`](Self::admit), for what an attachment tag names (`sha256-<hex>`, `.sig`, `.att`, `.sbom`): it is served as evidence or
    /// not at all, so that a runnable image under such a tag is refused with [`RefusalReason::NotEvidence`] even where
    /// it meets its policy (X15). Where no policy enforces, there is no such rule either.
    ///
    /// # Errors
    /// [`NoVerdict`].
    pub async fn admit_attachment(self: &Arc<Self>, subject: &Subject) -> Result<Verdict, NoVerdict> {
        if self.select(&subject.image).enforce.is_empty() {
            return self.admit(subject).await;
        }
        if let Some(permit) = self.recall(subject).filter(|permit| *permit.grounds() == Grounds::Evidence) {
            return Ok(Verdict::Admit(permit));
        }
        let judgement = || Judgement::new(Arc::clone(self), subject.clone(), Trail::default()).run_attachment();
        for _ in 0..SETTLE {
            let under = self.select(&subject.image).id;
            let answer = self.fly(subject, Question::Attachment, judgement).await;
            if self.is_settled(&answer, under, subject) {
                return answer;
            }
        }
        Err(undecided(UndecidedReason::Overloaded, None))
    }

    /// Judges `subject` anew, whatever is remembered of it, and tells all that was looked at: every place, every piece with
    /// its signer, each policy. Remembers nothing. For a person who asks why, so it is not made once for many.
    pub async fn explain(self: &Arc<Self>, subject: &Subject) -> (Result<Verdict, NoVerdict>, Explanation) {
        Judgement::new(Arc::clone(self), subject.clone(), Trail::default()).explain().await
    }

    /// The permit remembered for `subject`, without any work: the hot path.
    #[must_use]
    pub fn recall(&self, subject: &Subject) -> Option<Permit> {
        self.recall_if(subject, |_| true)
    }

    /// The same for what `tag` means now; none where the guard of tags must be asked.
    #[must_use]
    pub fn recall_by_tag(&self, subject: &Subject, tag: &Tag) -> Option<Permit> {
        self.recall_if(subject, |permit| self.recall_tag(tag, permit))
    }

    fn recall_if(&self, subject: &Subject, is_answer: impl FnOnce(&Permit) -> bool) -> Option<Permit> {
        let permit = self.memory.permit(asked(subject), &self.basis(subject)?, Instant::now())?.whole()?;
        if !is_answer(&permit) {
            return None;
        }
        self.recalled_permits.increment(1);
        count_exceptions(&permit);
        Some(permit)
    }

    /// Recalls or makes the verdict, as a question of its own (depth 0) or as one that another led to.
    fn admit_at<'a>(self: &'a Arc<Self>, subject: &'a Subject, trail: Trail) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if let Some(basis) = self.basis(subject)
                && let Some(verdict) = self.remembered(subject, &basis)
            {
                match &verdict {
                    Verdict::Admit(_) => self.recalled_permits.increment(1),
                    Verdict::Refuse(_) => self.recalled_refusals.increment(1),
                }
                return Ok(verdict);
            }
            let question = Question::Manifest(trail.depth());
            self.fly(subject, question, || Judgement::new(Arc::clone(self), subject.clone(), trail).run()).await
        })
    }

    /// Judges `subject` again on evidence that is listed now, whatever is remembered, and first that of the indexes which vouch for
    /// it, from the one that has its own.
    async fn renew(self: &Arc<Self>, subject: &Subject, permit: &Permit) -> Answer {
        let anew = async |subject: &Subject| {
            let judgement = || Judgement::new(Arc::clone(self), subject.clone(), Trail::default()).anew().run();
            self.fly(subject, Question::Anew, judgement).await
        };
        let under = self.select(&subject.image).id;
        let (mut above, mut permit) = (Vec::new(), Some(permit.clone()));
        while let Some(Grounds::Parent(index)) = permit.as_ref().map(Permit::grounds)
            && above.len() < usize::from(MAX_DEPTH)
        {
            let index = Subject { digest: *index, ..subject.clone() };
            let remembered = self.basis(&index).and_then(|basis| self.memory.permit(asked(&index), &basis, Instant::now()));
            permit = remembered.and_then(Recalled::whole);
            above.push(index);
        }
        for index in above.iter().rev() {
            if let Err(none @ NoVerdict::Undecided(_)) = anew(index).await {
                return Err(none);
            }
        }
        let answer = anew(subject).await;
        if self.is_settled(&answer, under, subject) { answer } else { self.admit(subject).await }
    }

    /// One judgement for all who ask the same.
    async fn fly(
        self: &Arc<Self>,
        subject: &Subject,
        question: Question,
        work: impl FnOnce() -> BoxFuture<'static, Answer>,
    ) -> Answer {
        let basis = Basis { policy: self.select(&subject.image).id, epoch: epoch_of(&self.trust.load()) };
        let name = Name { image: subject.image.clone(), digest: subject.digest };
        match self.flights.run(Flying { name, basis, question }, work).await {
            Ok(answer) => answer,
            Err(lost) => Err(undecided(UndecidedReason::EvidenceUnavailable(lost.to_string()), None)),
        }
    }

    /// What is remembered of `subject` under `basis`.
    fn remembered(&self, subject: &Subject, basis: &Basis) -> Option<Verdict> {
        let now = Instant::now();
        let permit = self.memory.permit(asked(subject), basis, now).and_then(Recalled::whole).map(Verdict::Admit);
        permit.or_else(|| self.memory.refusal(asked(subject), basis, now).map(Verdict::Refuse))
    }

    /// What verdicts on `subject` are made under now; `None` for an image not asked about under these policies yet.
    fn basis(&self, subject: &Subject) -> Option<Basis> {
        let policies = self.policies.load();
        let selections = self.selections.load();
        let policy = if selections.are_of(&policies) { selections.id(&subject.image) } else { None }?;
        Some(Basis { policy, epoch: epoch_of(&self.trust.load()) })
    }

    /// The policies that name `image`, as they are now.
    fn select(&self, image: &crate::oci::ImageName) -> Arc<Selection> {
        let policies = self.policies.load_full();
        let selections = self.selections.load_full();
        if selections.are_of(&policies) {
            return selections.select(image);
        }
        let selections = Arc::new(Selections::new(policies));
        self.selections.store(Arc::clone(&selections));
        selections.select(image)
    }
}

/// Counts each use, a recalled one and a child's too: how much is served by exception is what an operator asks.
fn count_exceptions(permit: &Permit) {
    for what in permit.exceptions() {
        metrics::counter!(telemetry::EXCEPTIONS_USED, "what" => what.as_str()).increment(1);
    }
}

const fn asked(subject: &Subject) -> Asked<'_> {
    Asked { image: &subject.image, digest: &subject.digest }
}
