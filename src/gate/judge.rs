//! One judgement: collect, verify, judge. Run once per subject however many ask, in a task of its own.

use std::{sync::Arc, time::Duration};

use dashmap::DashSet;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Gate, Question,
    memory::{Asked, Basis},
    sentence::{printable, warning},
    verdict::{Absent, Faulty, Grounds, NoVerdict, Permit, Refusal, RefusalReason, Subject, Undecided, UndecidedReason, Verdict},
    weigh::{Scales, clock_wait},
};
use crate::{
    evidence::{Evidence, Kept, Reader, Shape, Unread, search, shape_of},
    oci::{Algorithm, Digest, Manifest, ManifestError, ManifestKind, Reference, manifest::MAX_MANIFEST},
    policy::{Selection, Unmatched, Unmet},
    store::HintKind,
    telemetry,
    upstream::UpstreamError,
    verify::{TrustState, Verifier},
};

/// How deep indexes may nest, counted from the manifest that was asked for (X1).
const MAX_DEPTH: u8 = 3;
/// How many indexes are tried as parents of one manifest.
const MAX_PARENTS: usize = 16;
/// How many manifests one question may lead to, upwards (X1).
const MAX_TRAIL: usize = 64;
/// How long a permit on stale evidence is remembered before the upstream is tried again.
const STALE_LIFE: Duration = Duration::from_secs(60);
/// When to ask again, where nobody said.
const RETRY: Duration = Duration::from_secs(5);
/// The longest wait passed on to a client.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// What a judgement answers.
pub(super) type Answer = Result<Verdict, NoVerdict>;

/// How a question came here: asked by a client (depth 0), or as a possible parent of what was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    depth: u8,
    seen: Arc<DashSet<Digest>>,
}

impl Trail {
    /// The levels are judged in flights of their own, so a judgement only ever waits for a deeper one: an upstream whose
    /// indexes claim each other cannot make two judgements wait for one another.
    pub(super) const fn depth(&self) -> u8 {
        self.depth
    }

    /// One level up, unless it was visited, is too deep, or there were too many.
    fn up(&self, parent: &Digest) -> Option<Self> {
        let goes = self.depth < MAX_DEPTH && self.seen.len() < MAX_TRAIL && self.seen.insert(*parent);
        goes.then(|| Self { depth: self.depth + 1, seen: Arc::clone(&self.seen) })
    }
}

/// A judgement under way. Policies and trust root are taken once: no judgement sees half of a reload (R5).
pub(super) struct Judgement {
    gate: Arc<Gate>,
    subject: Subject,
    selection: Arc<Selection>,
    trust: Arc<TrustState>,
    basis: Basis,
    reader: Reader,
    /// What is kept about the subject in this repository. Only then is the manifest read from the store: the store knows
    /// digests, and that another repository has one says nothing about this one.
    kept: Option<Kept>,
    trail: Trail,
    began: Instant,
    /// For the event: places looked at, and who signed.
    looks: usize,
    signers: Vec<String>,
}

/// A manifest that may be judged, and whether it came from the upstream now.
struct Got {
    manifest: Arc<Manifest>,
    fresh: bool,
}

/// Whether some admitted index lists the subject.
enum Parentage {
    /// This one does.
    Admitted(Permit),
    /// None that is known.
    None {
        /// Indexes that list it, or are said to, and are refused.
        refused: Vec<Digest>,
        /// Why one could not be judged.
        undecided: Option<Undecided>,
    },
}

impl Judgement {
    pub(super) fn new(gate: Arc<Gate>, subject: Subject, trail: Trail) -> Self {
        let selection = gate.select(&subject.image);
        let trust = gate.trust.load_full();
        let basis = Basis { policy: selection.id, epoch: epoch_of(&trust) };
        let began = Instant::now();
        let reader = Reader {
            upstream: Some(Arc::clone(&subject.upstream)),
            documents: Arc::clone(&gate.documents),
            repository: subject.image.repository.clone(),
            // The last quarter is for what is kept here, should the upstream be silent.
            until: began + gate.config.deadline * 3 / 4,
            budget: gate.budget.clone(),
        };
        Self { gate, subject, selection, trust, basis, reader, kept: None, trail, began, looks: 0, signers: Vec::new() }
    }

    /// Judges, remembers what may be remembered, and tells it once.
    pub(super) fn run(mut self) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            // Answered between the question and the start of this task.
            if let Some(verdict) = self.gate.remembered(&self.subject, &self.basis) {
                return Ok(verdict);
            }
            let answer = self.within_deadline(Question::Manifest(self.trail.depth)).await;
            match &answer {
                Ok(Verdict::Admit(permit)) => {
                    let basis = Basis { epoch: permit.epoch(), ..self.basis };
                    self.gate.memory.remember_permit(basis, permit).await;
                    // A client that asked for a child before its index need not wait for that refusal to end.
                    for child in permit.manifest().manifests.iter().filter(|_| *permit.grounds() != Grounds::Evidence) {
                        self.gate.memory.forget_refusal(Asked { image: permit.image(), digest: &child.digest }).await;
                    }
                }
                Ok(Verdict::Refuse(refusal)) => {
                    let until = Instant::now() + self.gate.config.refusal_ttl;
                    self.gate.memory.remember_refusal(self.basis, refusal, until).await;
                }
                Err(_) => {}
            }
            self.tell(&answer);
            answer
        })
    }

    /// Attachment tags serve evidence and nothing else (X15): the same, without any other grounds.
    pub(super) fn run_attachment(mut self) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let answer = self.within_deadline(Question::Attachment).await;
            if let Ok(Verdict::Admit(permit)) = &answer {
                self.gate.memory.remember_permit(Basis { epoch: None, ..self.basis }, permit).await;
            }
            self.tell(&answer);
            answer
        })
    }

    /// Judges within the deadline. Only so many clients' questions are worked on at once (H5); those they lead to have a
    /// place already.
    async fn within_deadline(&mut self, question: Question) -> Answer {
        let gate = Arc::clone(&self.gate);
        let deadline = self.began + gate.config.deadline;
        let _place = match question {
            Question::Attachment | Question::Manifest(0) => match timeout_at(deadline, gate.places.acquire()).await {
                Ok(place) => place.ok(),
                Err(_) => return Err(undecided(UndecidedReason::Overloaded, None)),
            },
            Question::Manifest(_) => None,
        };
        let judged = timeout_at(deadline, async {
            self.kept = Kept::load(gate.documents.as_ref(), &self.key()).await;
            match question {
                Question::Attachment => self.judge_attachment().await,
                Question::Manifest(_) => self.judge().await,
            }
        });
        judged.await.unwrap_or_else(|_| Err(undecided(UndecidedReason::TimedOut, None)))
    }

    async fn judge_attachment(&mut self) -> Answer {
        let got = match self.stored().await {
            Some(got) => got,
            None => match self.fetched().await? {
                Ok(got) => got,
                Err(error) => return self.refuse_content(error),
            },
        };
        if let Some(answer) = self.as_evidence(&got).await? {
            return Ok(answer);
        }
        self.refuse(RefusalReason::NotEvidence, Default::default(), &got).await
    }

    async fn judge(&mut self) -> Answer {
        if self.selection.enforce.is_empty() && self.selection.audit.is_empty() {
            return self.judge_unmatched().await;
        }
        let kept = self.kept.clone();
        // An index that vouches spares the search for a child's own evidence, which seldom exists.
        let parentage = self.parentage().await;
        if let Parentage::Admitted(parent) = &parentage {
            return self.admit_child(parent).await;
        }

        // Evidence is about the manifest's SHA-256 digest. Asked for by another algorithm, it is known once the bytes are
        // here, and evidence may have been attached by either; else the search starts at once, beside the manifest.
        let mut stored = self.stored().await;
        let mut names = vec![self.subject.digest];
        if self.subject.digest.algorithm() != Algorithm::Sha256 {
            let got = match stored {
                Some(got) => got,
                None => match self.fetched().await? {
                    Ok(got) => got,
                    Err(error) => return self.refuse_content(error),
                },
            };
            names.insert(0, Digest::sha256(got.manifest.bytes()));
            stored = Some(got);
        }
        let about = names.first().copied().unwrap_or(self.subject.digest);
        let weigh = || Scales::new(Arc::clone(&self.gate), Arc::clone(&self.selection), about);
        let mut scales = weigh().await;
        let verifier = self.verifier();

        // What was listed not long ago holds without asking, after a restart say; but only to admit.
        if let (Some(got), Some(kept), Some(verifier)) = (&stored, &kept, &verifier)
            && let Some(age) = kept.age((self.gate.clock)()).filter(|age| *age < self.gate.config.verdict_ttl)
        {
            let evidence = kept.collect(&self.reader, &self.gate.config.limits).await;
            let mut scales = weigh().await;
            scales.add(verifier, &evidence).await;
            if scales.suffice() {
                let life = self.gate.config.verdict_ttl - age;
                return self.admit_on_policy(got, &scales, life, Vec::new()).await;
            }
        }

        // Without a trust root nothing can be proved, so nothing is searched.
        let searching = verifier.is_some().then(|| {
            let (reader, limits) = (self.reader.clone(), self.gate.config.limits.clone());
            AbortOnDropHandle::new(tokio::spawn(async move { search(&reader, &names, &limits).await }))
        });
        let got = match stored {
            Some(got) => got,
            None => match self.fetched().await? {
                Ok(got) => got,
                Err(error) => return self.refuse_content(error),
            },
        };
        if let Some(answer) = self.as_evidence(&got).await? {
            return Ok(answer);
        }
        let (Some(verifier), Some(searching)) = (verifier, searching) else {
            let why = match self.trust.as_ref() {
                TrustState::NotReady(why) => why.clone(),
                TrustState::Ready { .. } => String::new(),
            };
            let reason = UndecidedReason::NoTrustRoot(why);
            return self.no_or_audited(&got, &mut scales, Parentage::none(), Some((reason, RETRY))).await;
        };
        let mut evidence = match searching.await {
            Ok(evidence) => evidence,
            Err(error) => Evidence { missing: vec![format!("the search failed unexpectedly: {error}")], ..Evidence::default() },
        };
        self.looks = evidence.trace.len();
        let listed_at = (self.gate.clock)();
        scales.add(&verifier, &evidence).await;
        self.signers = scales.signers();
        let listing = Kept { listed_at, media_type: got.manifest.media_type().into(), candidates: evidence.candidates.clone() };
        if scales.suffice() {
            listing.save(self.gate.documents.as_ref(), &self.key(), &evidence).await;
            return self.admit_on_policy(&got, &scales, self.gate.config.verdict_ttl, Vec::new()).await;
        }
        if evidence.missing.is_empty() {
            // Everything was seen, and it is not enough. What was kept from before no longer counts: withdrawn evidence
            // must not come back when the upstream goes away (D4).
            if kept.is_some() {
                listing.save_listing(self.gate.documents.as_ref(), &self.key()).await;
            }
        } else if let Some((age, kept)) = self.within_max_stale(kept.as_ref()) {
            // Weighed already; let go before more is read.
            (evidence.pieces, evidence.fetched, evidence.share) = (Vec::new(), Vec::new(), None);
            let mut before = kept.collect(&self.reader, &self.gate.config.limits).await;
            before.stale = Some(age);
            scales.add(&verifier, &before).await;
            if scales.suffice() {
                metrics::counter!(telemetry::STALE, "what" => "evidence").increment(1);
                let text = format!("the upstream cannot be asked; admitted on evidence listed {} s ago", age.as_secs());
                return self.admit_on_policy(&got, &scales, STALE_LIFE, vec![warning(110, &text)]).await;
            }
        }
        let cannot_tell = if evidence.missing.is_empty() {
            None
        } else {
            let why = evidence.missing.first().cloned().unwrap_or_default();
            let wait = evidence.retry_after.unwrap_or(RETRY);
            Some((UndecidedReason::EvidenceUnavailable(why), wait))
        };
        self.no_or_audited(&got, &mut scales, parentage, cannot_tell).await
    }

    /// No policy names the image: refused without a look at evidence, or served with a warning. What is absent is absent
    /// before it is refused.
    async fn judge_unmatched(&mut self) -> Answer {
        let got = match self.stored().await {
            Some(got) => got,
            None => match self.fetched().await? {
                Ok(got) => got,
                Err(error) => return self.refuse_content(error),
            },
        };
        match self.selection.unmatched {
            Unmatched::Deny => self.refuse(RefusalReason::NoPolicy, Default::default(), &got).await,
            Unmatched::DangerousAllow => {
                let text = "no policy names this image; served because of `unmatched: dangerous_allow`";
                let warnings = vec![warning(299, text)];
                self.admit(&got, Grounds::Unmatched, None, self.gate.config.verdict_ttl, warnings).await
            }
        }
    }

    /// Requirements are unmet. Undecided if something could have changed that, else refused; and whichever it is,
    /// audited if only audit policies ask.
    async fn no_or_audited(
        &mut self,
        got: &Got,
        scales: &mut Scales,
        parentage: Parentage,
        cannot_tell: Option<(UndecidedReason, Duration)>,
    ) -> Answer {
        let (refused, parent_undecided) = match parentage {
            Parentage::Admitted(_) => (Vec::new(), None),
            Parentage::None { refused, undecided } => (refused, undecided),
        };
        let cannot_tell = cannot_tell
            .or_else(|| scales.overloaded.then_some((UndecidedReason::Overloaded, RETRY)))
            .or_else(|| parent_undecided.map(|undecided| (undecided.reason, undecided.retry_after)))
            .or_else(|| {
                let ahead = scales.ahead?;
                let why = format!("signed {ahead} s in the future: the clock here may be slow");
                Some((UndecidedReason::Clock(why), clock_wait(ahead)))
            });
        if self.selection.enforce.is_empty() {
            return self.admit_audited(got, scales, cannot_tell.map(|(reason, _)| reason)).await;
        }
        if let Some((reason, wait)) = cannot_tell {
            return Err(undecided(reason, Some(wait)));
        }
        let mut notes = scales.explanation.notes();
        for index in refused {
            notes.push(format!("index {index} lists it, and is refused itself"));
        }
        if got.manifest.kind() == ManifestKind::Image {
            notes.push(
                "if this is one platform of a multi-platform image, pull the index first: it vouches for its children".into(),
            );
        }
        let reason = RefusalReason::Unmet { unmet: std::mem::take(&mut scales.unmet), notes };
        self.refuse(reason, std::mem::take(&mut scales.explanation), got).await
    }

    /// Serves what only audit policies ask about, saying what they would have said.
    async fn admit_audited(&mut self, got: &Got, scales: &Scales, cannot_tell: Option<UndecidedReason>) -> Answer {
        let would = match &cannot_tell {
            Some(reason) => reason.to_string(),
            None => scales
                .audit
                .iter()
                .map(|unmet| format!("policy {} {}", unmet.policy, unmet.summary))
                .collect::<Vec<_>>()
                .join("; "),
        };
        let (verb, event) =
            if cannot_tell.is_some() { ("could not tell", "would_undecided") } else { ("would refuse", "would_refuse") };
        let warnings = vec![warning(299, &format!("audit: {verb}: {would}"))];
        tracing::info!(audit = event, image = %self.subject.image, digest = %self.subject.digest, would, "audited");
        // What could not be told is asked again soon; a would-be refusal lives as long as a refusal, so that the warning
        // goes when the signature comes.
        let life = self.gate.config.refusal_ttl;
        self.admit(got, Grounds::Audited { would: printable(&would) }, None, life, warnings).await
    }

    /// Every enforcing policy holds; audit policies may still have something to say.
    async fn admit_on_policy(&mut self, got: &Got, scales: &Scales, life: Duration, mut warnings: Vec<String>) -> Answer {
        self.signers = scales.signers();
        for Unmet { policy, summary, .. } in &scales.audit {
            warnings.push(warning(299, &format!("audit: policy {policy} would refuse: {summary}")));
            tracing::info!(
                audit = "would_refuse",
                policy,
                image = %self.subject.image,
                digest = %self.subject.digest,
                would = summary,
                "audited"
            );
        }
        self.admit(got, Grounds::Policy, self.basis.epoch, life, warnings).await
    }

    /// An admitted index of this repository lists the subject.
    async fn admit_child(&mut self, parent: &Permit) -> Answer {
        let said = parent.manifest().manifests.iter().find(|child| child.digest == self.subject.digest);
        let got = match self.read_stored(said.map(|child| child.media_type.as_str())).await {
            Some(got) => got,
            None => match self.fetched().await? {
                Ok(got) => got,
                Err(error) => return self.refuse_content(error),
            },
        };
        // The child lives no longer than what vouches for it (D8).
        let life = parent.until().saturating_duration_since(Instant::now()).min(self.gate.config.verdict_ttl);
        let grounds = Grounds::Parent(*parent.manifest().digest());
        self.admit(&got, grounds, parent.epoch(), life, parent.warnings().to_vec()).await
    }

    /// Admits the manifest if it is evidence itself (D9).
    async fn as_evidence(&mut self, got: &Got) -> Result<Option<Verdict>, NoVerdict> {
        match shape_of(&self.reader, &got.manifest, &self.gate.config.limits).await {
            Ok(Shape::Evidence(fetched)) => {
                for (digest, bytes) in &fetched {
                    if let Err(error) = self.gate.documents.write(digest, bytes).await {
                        tracing::warn!(%digest, %error, "evidence is not kept");
                    }
                }
                self.admit(got, Grounds::Evidence, None, self.gate.config.verdict_ttl, Vec::new()).await.map(Some)
            }
            Ok(Shape::Other(why)) => {
                tracing::debug!(digest = %self.subject.digest, why, "not evidence");
                Ok(None)
            }
            Err(Unread::Failed { why, retry_after }) => {
                Err(undecided(UndecidedReason::EvidenceUnavailable(why), Some(retry_after.unwrap_or(RETRY))))
            }
            Err(Unread::Absent | Unread::Limit(_) | Unread::Unusable(_)) => Ok(None),
        }
    }

    /// The one place where permits are granted: keeps what the permit rests on and what it lists, then grants it.
    async fn admit(
        &self,
        got: &Got,
        grounds: Grounds,
        epoch: Option<crate::verify::Epoch>,
        life: Duration,
        warnings: Vec<String>,
    ) -> Answer {
        if got.fresh
            && let Err(error) = self.gate.documents.write(&self.subject.digest, got.manifest.bytes()).await
        {
            tracing::warn!(digest = %self.subject.digest, %error, "the manifest is not kept");
        }
        if self.kept.is_none() && grounds != Grounds::Policy {
            let media_type = got.manifest.media_type().into();
            let kept = Kept { listed_at: (self.gate.clock)(), media_type, candidates: Vec::new() };
            kept.save_listing(self.gate.documents.as_ref(), &self.key()).await;
        }
        let until = Instant::now() + life;
        let (image, manifest) = (self.subject.image.clone(), Arc::clone(&got.manifest));
        let permit = Permit::grant(image, manifest, grounds, self.selection.id, epoch, warnings, until);
        self.gate.lineage.record(&permit).await;
        Ok(Verdict::Admit(permit))
    }

    fn refuse_content(&self, error: ManifestError) -> Answer {
        let reason = RefusalReason::Content(error);
        Ok(Verdict::Refuse(Arc::new(self.refusal(reason, Default::default()))))
    }

    /// Refuses, unless the manifest is only kept here and the upstream no longer has it: absent comes before refused.
    async fn refuse(&self, reason: RefusalReason, explanation: super::explain::Explanation, got: &Got) -> Answer {
        if !got.fresh {
            let reference = Reference::Digest(self.subject.digest);
            let asked = self.subject.upstream.manifest(&self.subject.image.repository, &reference);
            if matches!(asked.await, Err(UpstreamError::NotFound)) {
                return Err(NoVerdict::Absent(Absent));
            }
        }
        Ok(Verdict::Refuse(Arc::new(self.refusal(reason, explanation))))
    }

    fn refusal(&self, reason: RefusalReason, explanation: super::explain::Explanation) -> Refusal {
        Refusal { image: self.subject.image.clone(), digest: self.subject.digest, reason, explanation: Arc::new(explanation) }
    }

    /// The manifest, if it is kept for this repository.
    async fn stored(&self) -> Option<Got> {
        let kept = self.kept.as_ref()?;
        self.read_stored(Some(&kept.media_type)).await
    }

    /// The manifest as it is kept. Kept bytes were served once, and hash to their name; `media_type` is what they were
    /// served as, for bytes that do not say it themselves.
    async fn read_stored(&self, media_type: Option<&str>) -> Option<Got> {
        let digest = self.subject.digest;
        let bytes = self.gate.documents.read(&digest, MAX_MANIFEST).await?;
        let manifest =
            Manifest::parse(digest, bytes.clone(), media_type).or_else(|_| Manifest::parse(digest, bytes, None)).ok()?;
        Some(Got { manifest: Arc::new(manifest), fresh: false })
    }

    /// The manifest from the upstream. The inner error is content with the right digest that is not served.
    async fn fetched(&self) -> Result<Result<Got, ManifestError>, NoVerdict> {
        let digest = self.subject.digest;
        let fetched = match self.subject.upstream.manifest(&self.subject.image.repository, &Reference::Digest(digest)).await {
            Ok(fetched) => fetched,
            Err(error) => return no_manifest(error).map(Err),
        };
        // The upstream room has checked this; nothing is believed on its word alone (X5).
        if !digest.matches(&fetched.bytes) {
            return Err(NoVerdict::Faulty(Faulty(format!("the upstream's bytes are not {digest}"))));
        }
        match Manifest::parse(digest, fetched.bytes, fetched.content_type.as_deref()) {
            Ok(manifest) => Ok(Ok(Got { manifest: Arc::new(manifest), fresh: true })),
            Err(error @ ManifestError::TypeMismatch { .. }) => Err(NoVerdict::Faulty(Faulty(error.to_string()))),
            Err(
                error @ (ManifestError::Ambiguous(_)
                | ManifestError::Malformed(_)
                | ManifestError::SchemaOne
                | ManifestError::TooLarge(_)),
            ) => Ok(Err(error)),
        }
    }

    /// Whether an index of this repository that is admitted, or can be, lists the subject. Hints and the layout say which
    /// to try; the index's own bytes decide (X9).
    async fn parentage(&self) -> Parentage {
        let Subject { upstream, image, digest } = &self.subject;
        let mut known = self.gate.lineage.listers(HintKind::Child, image, digest).await;
        for parent in upstream.parents(&image.repository, digest).await {
            if !known.contains(&parent) {
                known.push(parent);
            }
        }
        known.truncate(MAX_PARENTS);
        let now = Instant::now();
        for parent in &known {
            if let Some(permit) = self.gate.memory.permit(Asked { image, digest: parent }, &self.basis, now)
                && vouches(&permit, digest)
            {
                return Parentage::Admitted(permit);
            }
        }
        let (mut refused, mut unsure) = (Vec::new(), None);
        for parent in known {
            let Some(trail) = self.trail.up(&parent) else { continue };
            let parent = Subject { digest: parent, ..self.subject.clone() };
            match self.gate.admit_at(&parent, trail).await {
                Ok(Verdict::Admit(permit)) if vouches(&permit, digest) => return Parentage::Admitted(permit),
                Ok(Verdict::Admit(_)) => {}
                Ok(Verdict::Refuse(_)) => refused.push(parent.digest),
                Err(NoVerdict::Undecided(undecided)) => unsure = Some(undecided),
                // An index that is gone or broken vouches for nothing.
                Err(NoVerdict::Absent(_) | NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_)) => {}
            }
        }
        Parentage::None { refused, undecided: unsure }
    }

    /// Kept evidence that may stand in for an upstream that cannot be asked.
    fn within_max_stale<'k>(&self, kept: Option<&'k Kept>) -> Option<(Duration, &'k Kept)> {
        let kept = kept?;
        let age = kept.age((self.gate.clock)())?;
        self.gate.config.max_stale.is_none_or(|most| age < most).then_some((age, kept))
    }

    fn verifier(&self) -> Option<Arc<dyn Verifier>> {
        match self.trust.as_ref() {
            TrustState::NotReady(_) => None,
            TrustState::Ready { verifier, .. } => Some(Arc::clone(verifier)),
        }
    }

    fn key(&self) -> String {
        format!("{}@{}", self.subject.image, self.subject.digest)
    }

    /// Tells the judgement: one event, one count.
    fn tell(&self, answer: &Answer) {
        let (outcome, reason, detail) = match answer {
            Ok(Verdict::Admit(permit)) => ("permit", permit.grounds().code(), String::new()),
            Ok(Verdict::Refuse(refusal)) => ("refusal", refusal.code(), refusal.sentence()),
            Err(why) => {
                let outcome = match why {
                    NoVerdict::Absent(_) => "absent",
                    NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_) => "faulty",
                    NoVerdict::Undecided(_) => "undecided",
                };
                (outcome, why.code(), why.to_string())
            }
        };
        let took = self.began.elapsed();
        metrics::counter!(telemetry::DECISIONS, "outcome" => outcome, "reason" => reason).increment(1);
        metrics::histogram!(telemetry::DECISION_SECONDS).record(took);
        let policies: Vec<&str> =
            self.selection.enforce.iter().chain(&self.selection.audit).map(|policy| policy.name.as_str()).collect();
        tracing::info!(
            verdict = outcome,
            reason,
            image = %self.subject.image,
            digest = %self.subject.digest,
            signers = ?self.signers,
            ?policies,
            detail,
            looks = self.looks,
            duration_ms = super::explain::millis(took),
            "judged"
        );
    }
}

impl Parentage {
    const fn none() -> Self {
        Self::None { refused: Vec::new(), undecided: None }
    }
}

/// Whether `parent`, which is admitted, vouches for `child`: it is an index that lists it, and was not admitted merely as
/// evidence, which anyone who can push can make.
fn vouches(parent: &Permit, child: &Digest) -> bool {
    parent.manifest().kind() == ManifestKind::Index && *parent.grounds() != Grounds::Evidence && parent.manifest().lists(child)
}

/// What an upstream's failure to give the manifest itself means.
fn no_manifest(error: UpstreamError) -> Result<ManifestError, NoVerdict> {
    let why = error.to_string();
    match error {
        UpstreamError::Denied { .. } => Err(NoVerdict::CredentialsRefused(error)),
        UpstreamError::Forbidden(_) | UpstreamError::Lied { .. } => Err(NoVerdict::Faulty(Faulty(why))),
        UpstreamError::NotFound => Err(NoVerdict::Absent(Absent)),
        UpstreamError::Throttled { retry_after, .. } => Err(undecided(UndecidedReason::EvidenceUnavailable(why), retry_after)),
        UpstreamError::TooLarge { .. } => Ok(ManifestError::TooLarge(why)),
        UpstreamError::Unreachable { .. } => Err(undecided(UndecidedReason::EvidenceUnavailable(why), None)),
    }
}

/// No verdict, and when to ask again: what somebody said, within a second and a minute.
pub(super) fn undecided(reason: UndecidedReason, wait: Option<Duration>) -> NoVerdict {
    let retry_after = wait.unwrap_or(RETRY).clamp(Duration::from_secs(1), MAX_RETRY);
    NoVerdict::Undecided(Undecided { reason, retry_after })
}

/// The trust root in use.
pub(super) fn epoch_of(trust: &TrustState) -> Option<crate::verify::Epoch> {
    match trust {
        TrustState::NotReady(_) => None,
        TrustState::Ready { verifier, .. } => Some(verifier.epoch()),
    }
}
