//! One judgement: collect, verify, judge. Run once per subject however many ask, in a task of its own.
//!
//! Here is the order of its steps; [`manifest`] reads what is judged, [`parents`] asks who vouches for it, [`cooldown`] how long
//! it has been known, [`platforms`] what is proven about each platform, [`outcome`] makes what comes of it.

mod audit;
mod cooldown;
mod manifest;
mod outcome;
mod parents;
mod platforms;
mod unasked;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::parents::{MAX_DEPTH, Trail};
pub use self::platforms::{is_index, platforms_of};
use self::{
    manifest::Got,
    parents::{DeniedAbove, Parentage, Unvouched},
    platforms::{Platforms, cannot_tell},
};
use super::{
    Explanation, Gate, Question,
    memory::{Asked, Basis},
    room::Room,
    sentence::warning,
    verdict::{Grounds, NoVerdict, RefusalReason, Subject, Undecided, UndecidedReason, Verdict},
    weigh::Scales,
};
use crate::{
    evidence::{Evidence, Kept, Reader, search},
    oci::{Algorithm, Digest},
    policy::Selection,
    store::StoreError,
    telemetry,
    verify::{CLOCK_FLOOR_SECONDS, TrustState, Verifier},
};

/// How long a permit on stale evidence is remembered before the upstream is tried again.
const STALE_LIFE: Duration = Duration::from_secs(60);
/// When to ask again, where nobody said.
pub(super) const RETRY: Duration = Duration::from_secs(5);
/// The longest wait passed on to a client.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// What a judgement answers.
pub(super) type Answer = Result<Verdict, NoVerdict>;

/// A judgement under way. Policies and trust root are taken once: no judgement sees half of a reload (R5).
pub(super) struct Judgement {
    gate: Arc<Gate>,
    subject: Subject,
    selection: Arc<Selection>,
    trust: Arc<TrustState>,
    basis: Basis,
    /// What there is for images of its upstream.
    room: Arc<Room>,
    reader: Reader,
    /// What is kept about the subject in this repository. Only then is the manifest read from the store: the store knows
    /// digests, and that another repository has one says nothing about this one.
    kept: Option<Kept>,
    trail: Trail,
    began: Instant,
    /// For the event: places looked at, and who signed.
    looks: usize,
    signers: Vec<String>,
    /// How long ago the upstream was asked for the evidence that the answer rests on.
    age: Duration,
    /// What is remembered, and what was listed not long ago, is not enough: evidence is listed anew.
    anew: bool,
    /// Whether it is denied with an index that lists it, where no admitted one does.
    denied_above: Option<DeniedAbove>,
    /// How long a refusal holds at most: until the time from which it would be none.
    refusal_life: Duration,
    /// When the digest was first seen here, where a cooldown asks.
    seen: Option<Result<Timestamp, StoreError>>,
    /// Somebody asked why: nothing is recalled, everything is looked at, and what was found is kept here.
    story: Option<Explanation>,
}

impl Judgement {
    pub(super) fn new(gate: Arc<Gate>, subject: Subject, trail: Trail) -> Self {
        let selection = gate.select(&subject.image);
        let trust = gate.trust.load_full();
        let basis = Basis { policy: selection.id, epoch: epoch_of(&trust) };
        let (began, room) = (Instant::now(), gate.rooms.of(&subject.image.host));
        let reader = Reader {
            upstream: Some(Arc::clone(&subject.upstream)),
            documents: Arc::clone(&gate.documents),
            repository: subject.image.repository.clone(),
            // Once it has its place.
            until: began,
            budget: room.budget.clone(),
            shapes: room.shapes.clone(),
        };
        let refusal_life = gate.config.refusal_ttl;
        let (kept, looks, signers, seen, story) = (None, 0, Vec::new(), None, None);
        let (age, anew, denied_above) = (Duration::ZERO, false, None);
        Self {
            gate,
            subject,
            selection,
            trust,
            basis,
            room,
            reader,
            kept,
            trail,
            began,
            looks,
            signers,
            age,
            anew,
            denied_above,
            refusal_life,
            seen,
            story,
        }
    }

    /// Lists the evidence anew, whatever is remembered.
    pub(super) const fn anew(mut self) -> Self {
        self.anew = true;
        self
    }

    /// Judges, remembers what may be remembered, and tells it once.
    pub(super) fn run(mut self) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let question = if self.anew { Question::Anew } else { Question::Manifest(self.trail.depth()) };
            if !self.anew {
                // Answered between the question and the start of this task.
                if let Some(verdict) = self.gate.remembered(&self.subject, &self.basis) {
                    return Ok(verdict);
                }
                if let Some(permit) = self.furnished().await {
                    return Ok(Verdict::Admit(permit));
                }
            }
            let mut answer = self.within_deadline(question).await;
            if let Ok(Verdict::Refuse(refusal)) = &answer {
                let until = Instant::now() + self.refusal_life;
                self.gate.memory.remember_refusal(self.basis, refusal, until).await;
                // An index that was admitted meanwhile vouches for it all the same (D8). It forgets the refusals of its children
                // once it is remembered, so looking for it after this one is remembered misses none.
                let is_for_want = matches!(refusal.reason, RefusalReason::Unmet { .. }) || self.denied_above.is_some();
                if is_for_want && self.has_parent().await {
                    let Subject { image, digest, .. } = &self.subject;
                    self.gate.memory.forget_refusal(Asked { image, digest }).await;
                    answer = self.within_deadline(question).await;
                }
            }
            if let Ok(Verdict::Admit(permit)) = &answer {
                self.gate.memory.remember_permit(permit).await;
                // A client that asked for a child before its index need not wait for that refusal to end.
                for child in permit.manifest().manifests.iter().filter(|_| *permit.grounds() != Grounds::Evidence) {
                    self.gate.memory.forget_refusal(Asked { image: permit.image(), digest: &child.digest }).await;
                }
            }
            self.tell(&answer);
            answer
        })
    }

    /// Judges whatever is remembered, remembers nothing of it, and tells everything.
    pub(super) async fn explain(mut self) -> (Answer, Explanation) {
        self.story = Some(Explanation::default());
        let answer = self.within_deadline(Question::Manifest(0)).await;
        self.tell(&answer);
        (answer, self.story.unwrap_or_default())
    }

    /// Attachment tags serve evidence and nothing else (X15): the same, without any other grounds.
    pub(super) fn run_attachment(mut self) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let answer = self.within_deadline(Question::Attachment).await;
            if let Ok(Verdict::Admit(permit)) = &answer {
                self.gate.memory.remember_permit(permit).await;
            }
            self.tell(&answer);
            answer
        })
    }

    /// Judges within the deadline. Only so many clients' questions are worked on at once (H5); those they lead to have a
    /// place already.
    async fn within_deadline(&mut self, question: Question) -> Answer {
        let gate = Arc::clone(&self.gate);
        // Before policies and exceptions, and before anything is asked of the upstream. The list is part of the policies'
        // fingerprint, so no verdict made without it is recalled.
        if let Some(reason) = self.selection.deny.digest(&self.subject.digest) {
            return Ok(Verdict::Refuse(gate.denied(&self.subject.image, self.subject.digest, reason)));
        }
        let deadline = self.began + gate.config.deadline;
        let room = Arc::clone(&self.room);
        let _place = match question {
            Question::Attachment | Question::Anew | Question::Manifest(0) => {
                match timeout_at(deadline, gate.rooms.place(&room)).await {
                    Ok(place) => Some(place),
                    Err(_) => return Err(undecided(UndecidedReason::Overloaded, None)),
                }
            }
            Question::Manifest(_) => None,
        };
        // The last quarter is for what is kept here, should the upstream be silent. Who had to wait has that much less: what then
        // cannot be had in time is no silence.
        let now = Instant::now();
        self.reader.until = now + deadline.saturating_duration_since(now) * 3 / 4;
        let judged = timeout_at(deadline, async {
            self.kept = Kept::load(gate.documents.as_ref(), &self.key()).await;
            match question {
                Question::Attachment => self.judge_attachment().await,
                Question::Anew | Question::Manifest(_) => self.judge().await,
            }
        });
        judged.await.unwrap_or_else(|_| Err(undecided(UndecidedReason::TimedOut, None)))
    }

    async fn judge_attachment(&mut self) -> Answer {
        let got = match self.or_fetched(self.stored().await).await? {
            Ok(got) => got,
            Err(error) => return self.refuse_content(error),
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
        let now = (self.gate.clock)();
        if now.as_second() < CLOCK_FLOOR_SECONDS {
            return self.judge_without_clock(now).await;
        }
        let kept = self.kept.clone();
        // An index that vouches spares the search for a child's own evidence, which seldom exists.
        let parentage = self.parentage().await;
        match parentage {
            Parentage::Admitted(parent) => {
                // Perhaps since it was looked for before.
                self.denied_above = None;
                self.judge_child(&parent, kept).await
            }
            Parentage::Unvouched(none) => {
                self.denied_above = self.denied_above(&none).await;
                self.judge_alone(kept, none).await
            }
        }
    }

    /// Judges it by what is proven about it, where no index vouches for it.
    async fn judge_alone(&mut self, kept: Option<Kept>, unvouched: Unvouched) -> Answer {
        // Evidence is about the manifest's SHA-256 digest. Asked for by another algorithm, it is known once the bytes are
        // here, and evidence may have been attached by either; else the search starts at once, beside the manifest.
        let mut stored = self.stored().await;
        let mut names = vec![self.subject.digest];
        if self.subject.digest.algorithm() != Algorithm::Sha256 {
            let got = match self.or_fetched(stored).await? {
                Ok(got) => got,
                Err(error) => return self.refuse_content(error),
            };
            names.insert(0, Digest::sha256(got.manifest.bytes()));
            stored = Some(got);
        }
        let about = names.first().copied().unwrap_or(self.subject.digest);
        let whole = self.story.is_some();
        let weigh = || {
            let (gate, selection) = (Arc::clone(&self.gate), Arc::clone(&self.selection));
            let scales = Scales::new(gate, selection, self.subject.image.clone(), about);
            async move { scales.await.whole(whole) }
        };
        let mut scales = weigh().await;
        let verifier = self.verifier();

        // What was listed not long ago holds without asking, after a restart say; but only to admit.
        if let (Some(got), Some(kept), Some(verifier)) = (&stored, &kept, &verifier)
            && let Some(age) = kept.age((self.gate.clock)()).filter(|age| *age < self.gate.config.verdict_ttl)
            && !whole
            && !self.anew
        {
            let evidence = kept.collect(&self.reader, &self.gate.config.limits).await;
            let mut scales = weigh().await;
            scales.add(verifier, &evidence).await;
            let missing = evidence.missing.first().cloned();
            drop(evidence);
            let Platforms { life, warnings, doubt, .. } = self.look_at_platforms(got, &mut scales, verifier).await;
            let doubt = missing.map(UndecidedReason::EvidenceUnavailable).or(doubt);
            let doubt = doubt.or_else(|| scales.doubt(verifier.as_ref()).map(|(reason, _)| reason));
            // What was not seen then may be there now, and who asks how old it is, and who signed it, would go on without it.
            if scales.suffice() && !(doubt.is_some() && scales.minds_age()) {
                let life = life.min(self.gate.config.verdict_ttl - age);
                self.age = age;
                return self.admit_on_policy(got, &mut scales, life, warnings, doubt).await;
            }
        }

        // Without a trust root nothing can be proved, so nothing is searched; nor where the policies hold whatever is proved, by an
        // exception say.
        let searching = (verifier.is_some() && !scales.settled()).then(|| {
            let (reader, limits) = (self.reader.clone(), self.gate.config.limits.clone());
            AbortOnDropHandle::new(tokio::spawn(async move { search(&reader, &names, &limits).await }))
        });
        let got = match self.or_fetched(stored).await? {
            Ok(got) => got,
            Err(error) => return self.refuse_content(error),
        };
        // A signed index whose children cannot be read now is still a signed index; so this only counts if nothing else
        // admits it.
        let shapeless = match self.as_evidence(&got).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(NoVerdict::Undecided(Undecided { reason, retry_after })) => Some((reason, retry_after)),
            Err(other) => return Err(other),
        };
        // Whatever is answered now: an image that is attested tomorrow has been known since today.
        self.sight(&scales).await;
        let (Some(verifier), Some(searching)) = (verifier, searching) else {
            let why = match self.trust.as_ref() {
                TrustState::NotReady(why) => why.clone(),
                TrustState::Ready { .. } => String::new(),
            };
            let reason = UndecidedReason::NoTrustRoot(why);
            if scales.suffice() {
                self.keep_manifest(&got).await;
                // Without a trust root nobody can say what audit policies would; the answer is not theirs.
                let doubt = (!scales.audit.is_empty()).then_some(reason);
                return self.admit_on_policy(&got, &mut scales, self.gate.config.verdict_ttl, Vec::new(), doubt).await;
            }
            return self.no_or_audited(&got, &mut scales, unvouched, Some((reason, RETRY))).await;
        };
        let mut evidence = match searching.await {
            Ok(evidence) => evidence,
            Err(error) => Evidence { missing: vec![format!("the search failed unexpectedly: {error}")], ..Evidence::default() },
        };
        self.looks = evidence.trace.len();
        let listed_at = (self.gate.clock)();
        scales.add(&verifier, &evidence).await;
        self.signers = scales.signers();
        let listing = Kept::of(&evidence, listed_at, got.manifest.media_type());
        let wants_platforms = scales.wants_platforms();
        if scales.suffice() || wants_platforms {
            listing.save(self.gate.documents.as_ref(), &self.key(), &evidence).await;
        }
        if wants_platforms {
            // Weighed and kept; let go before more is read.
            (evidence.pieces, evidence.fetched, evidence.share) = (Vec::new(), Vec::new(), None);
        }
        let mut platforms = self.look_at_platforms(&got, &mut scales, &verifier).await;
        if scales.suffice() {
            let doubt = cannot_tell(&evidence, &scales, verifier.as_ref()).map(|(reason, _)| reason).or(platforms.doubt);
            return self.admit_on_policy(&got, &mut scales, platforms.life, platforms.warnings, doubt).await;
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
            drop(before);
            platforms = self.look_at_platforms(&got, &mut scales, &verifier).await;
            if scales.suffice() {
                metrics::counter!(telemetry::STALE, "what" => "evidence").increment(1);
                let text = format!("the upstream cannot be asked; admitted on evidence listed {} s ago", age.as_secs());
                let doubt = evidence.missing.first().cloned().map(UndecidedReason::EvidenceUnavailable);
                let Platforms { life, mut warnings, .. } = platforms;
                warnings.insert(0, warning(110, &text));
                let life = self.stale_life(age).min(life);
                return self.admit_on_policy(&got, &mut scales, life, warnings, doubt).await;
            }
        }
        let shapes = shapeless.or(platforms.cannot_tell).filter(|_| evidence.missing.is_empty());
        let cannot_tell = shapes.or_else(|| cannot_tell(&evidence, &scales, verifier.as_ref()));
        self.no_or_audited(&got, &mut scales, unvouched, cannot_tell).await
    }

    /// Kept evidence that may stand in for an upstream that cannot be asked.
    fn within_max_stale<'k>(&self, kept: Option<&'k Kept>) -> Option<(Duration, &'k Kept)> {
        let kept = kept?;
        let age = kept.age((self.gate.clock)())?;
        self.gate.config.max_stale.is_none_or(|most| age < most).then_some((age, kept))
    }

    /// How long a permit on evidence of this age lives: not beyond the age at which it is too old.
    fn stale_life(&self, age: Duration) -> Duration {
        let left = self.gate.config.max_stale.map_or(STALE_LIFE, |most| most.saturating_sub(age));
        STALE_LIFE.min(left).min(self.gate.config.verdict_ttl)
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
