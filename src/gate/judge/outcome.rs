//! What comes of a judgement: permits, refusals, audits, and the one event that tells of it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Answer, DeniedAbove, Got, Judgement, RETRY, STALE_LIFE, Unvouched,
    audit::Audited,
    cooldown::Cooling,
    platforms::{is_index, platforms_of},
    undecided,
};
use crate::{
    evidence::{Kept, Shape, Unread, shape_of, shape_of_attestations},
    gate::{
        explain,
        memory::Basis,
        sentence::warning,
        tags::Guard,
        verdict::{Absent, Grounds, NoVerdict, Permit, Refusal, RefusalReason, Terms, UndecidedReason, Verdict},
        weigh::Scales,
    },
    oci::{Manifest, ManifestError, ManifestKind, Reference},
    policy::{ExceptionFor, ExceptionUse, Held, Policy, Reason, Unmet},
    telemetry,
    upstream::UpstreamError,
    verify::Epoch,
};

/// What a permit says beside why it is given.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) warnings: Vec<String>,
    pub(super) guard: Option<Arc<Guard>>,
    /// What the exceptions are for that it rests on.
    pub(super) exceptions: Vec<ExceptionFor>,
}

impl Judgement {
    /// Requirements are unmet. Undecided if something could have changed that, else refused; and whichever it is,
    /// audited if only audit policies ask.
    pub(super) async fn no_or_audited(
        &mut self,
        got: &Got,
        scales: &mut Scales,
        unvouched: Unvouched,
        cannot_tell: Option<(UndecidedReason, Duration)>,
    ) -> Answer {
        self.note(scales).await;
        let Unvouched { refused, undecided: parent, .. } = unvouched;
        let cannot_tell = cannot_tell.or_else(|| parent.map(|undecided| (undecided.reason, undecided.retry_after)));
        if self.selection.enforce.is_empty()
            && let Some(denied) = self.denied_with_index(scales)
        {
            // Evidence that cannot be seen now may be what serves it.
            return cannot_tell.map_or(denied, |(reason, wait)| Err(undecided(reason, Some(wait))));
        }
        if self.selection.enforce.is_empty() && scales.unmet.is_empty() {
            let doubt = cannot_tell.as_ref().map(|(reason, _)| reason);
            let Cooling { audit, unsure, .. } = self.cooling(scales, doubt).await?;
            let (audited, guard) = (Audited::of(scales, doubt, &audit, &unsure), self.guard(scales, doubt));
            scales.audit.extend(audit.into_iter().chain(unsure));
            self.note(scales).await;
            return self.admit_audited(got, audited, guard).await;
        }
        if let Some((reason, wait)) = cannot_tell {
            return Err(undecided(despite_exception(scales, reason), Some(wait)));
        }
        if scales.unmet.iter().any(|unmet| unmet.reason == Reason::Denied) {
            metrics::counter!(telemetry::DENIED, "by" => "package").increment(1);
        }
        let mut notes = scales.explanation.notes();
        for index in &refused {
            notes.push(format!("index {index} lists it, and is refused itself"));
        }
        if refused.is_empty() && got.manifest.kind() == ManifestKind::Image {
            notes.push(
                "if this is one platform of a multi-platform image, pull the index first: it vouches for its children".into(),
            );
        }
        let reason = RefusalReason::Unmet { unmet: std::mem::take(&mut scales.unmet), notes };
        self.refuse(reason, std::mem::take(&mut scales.explanation), got).await
    }

    /// The answer to what denied indexes list, and no admitted one (D4), where nobody's evidence is what would serve it, nor an
    /// exception for this very digest: audit policies that it does not meet, those that ask for nothing, and exceptions for all of
    /// its repository.
    fn denied_with_index(&self, scales: &Scales) -> Option<Answer> {
        let held = if self.selection.enforce.is_empty() { &scales.watched } else { &scales.held };
        let vouches = |(policy, held): &(Arc<Policy>, Held)| match &held.exception {
            Some(used) => used.what == ExceptionFor::Digest,
            None => policy.asks_for_evidence(),
        };
        if held.iter().any(vouches) { None } else { self.denied_like_index() }
    }

    /// The answer to what denied indexes list, and no admitted one: that nobody can tell, where one cannot be judged that lists it.
    pub(super) fn denied_like_index(&self) -> Option<Answer> {
        Some(match self.denied_above.as_ref()? {
            DeniedAbove::Denied(reason) => {
                Ok(Verdict::Refuse(self.gate.denied(&self.subject.image, self.subject.digest, reason)))
            }
            DeniedAbove::Unsure(undecided) => Err(NoVerdict::Undecided(undecided.clone())),
        })
    }

    /// Keeps the explanation, where somebody asked for it.
    async fn note(&mut self, scales: &mut Scales) {
        if let Some(story) = &mut self.story {
            scales.account().await;
            *story = scales.explained();
        }
    }

    /// Every enforcing policy holds; audit policies may still have something to say, and the time may not have come.
    pub(super) async fn admit_on_policy(
        &mut self,
        got: &Got,
        scales: &mut Scales,
        mut life: Duration,
        mut warnings: Vec<String>,
        doubt: Option<UndecidedReason>,
    ) -> Answer {
        self.signers = scales.signers();
        self.note(scales).await;
        if let Some(denied) = self.denied_with_index(scales) {
            return denied;
        }
        let Cooling { unmet, audit, unsure, wait } = self.cooling(scales, doubt.as_ref()).await?;
        let audited = Audited::of(scales, doubt.as_ref(), &audit, &unsure);
        scales.unmet.extend(unmet);
        scales.audit.extend(audit.into_iter().chain(unsure));
        self.note(scales).await;
        if !scales.unmet.is_empty() {
            self.refusal_life = self.refusal_life.min(wait.unwrap_or(self.refusal_life));
            let reason = RefusalReason::Unmet { unmet: std::mem::take(&mut scales.unmet), notes: scales.explanation.notes() };
            return self.refuse(reason, std::mem::take(&mut scales.explanation), got).await;
        }
        let guard = self.guard(scales, doubt.as_ref());
        if self.selection.enforce.is_empty() && !audited.is_empty() {
            return self.admit_audited(got, audited, guard).await;
        }
        // The permit lives no longer than what it rests on, nor than what is said of it.
        life = life.min(wait.unwrap_or(life));
        if let Some(until) = scales.valid_until() {
            life = life.min(Duration::try_from(until.duration_since((self.gate.clock)())).unwrap_or_default());
        }
        let exceptions = self.tell_exceptions(scales, &mut warnings);
        // So that what was not seen is asked for again soon; for the guard of tags as soon as in place of what is stale.
        if audited.tell(self, &mut warnings) {
            life = life.min(self.gate.config.refusal_ttl);
        } else if doubt.is_some() && guard.is_some() {
            life = life.min(STALE_LIFE);
        }
        self.admit(got, Grounds::Policy, self.basis.epoch, life, Said { warnings, guard, exceptions }).await
    }

    /// What the permit says to the guard of tags, where `doubt` says why not everything could be seen now. What a limit hides is
    /// not seen tomorrow either: who can push can hide anything behind one, and is judged by what was seen.
    fn guard(&self, scales: &Scales, doubt: Option<&UndecidedReason>) -> Option<Arc<Guard>> {
        Guard::of(&self.selection, &scales.held, &scales.watched, doubt.cloned(), self.age)
    }

    /// Tells of each exception that stands in for evidence, an event and a warning; and what each is for.
    fn tell_exceptions(&self, scales: &Scales, warnings: &mut Vec<String>) -> Vec<ExceptionFor> {
        let used = scales.held.iter().chain(&scales.watched).filter_map(|(_, held)| held.exception.as_ref());
        let tell = |used: &ExceptionUse| {
            let ExceptionUse { policy, what, reason, expires } = used;
            tracing::warn!(
                policy,
                what = what.as_str(),
                reason,
                %expires,
                image = %self.subject.image,
                digest = %self.subject.digest,
                "admitted by an exception"
            );
            warnings.push(warning(299, &format!("exception: policy {policy} asks for no evidence until {expires}: {reason}")));
            *what
        };
        used.map(tell).collect()
    }

    /// An admitted index of this repository lists the subject. Where it does not vouch for what that is, the subject is judged
    /// alone: what an index calls it takes nothing from what is proven about it, or whoever makes one could have it refused.
    pub(super) async fn judge_child(&mut self, parent: &Permit, kept: Option<Kept>) -> Answer {
        let why = match self.admit_child(parent).await? {
            Ok(verdict) => return Ok(verdict),
            Err(why) => why,
        };
        let verdict = self.judge_alone(kept, Unvouched::default()).await?;
        // Alone it mostly lacks what its index has, and what the index calls it is why that does not count.
        let lacks = |unmet: &Unmet| !matches!(unmet.reason, Reason::Cooldown | Reason::Denied);
        match &verdict {
            Verdict::Refuse(refusal) => match &refusal.reason {
                RefusalReason::Unmet { unmet, .. } if unmet.iter().all(lacks) => self.refuse_content(why),
                _ => Ok(verdict),
            },
            Verdict::Admit(_) => Ok(verdict),
        }
    }

    /// Admits it through `parent`. The inner error: it is not listed there as what it is.
    async fn admit_child(&mut self, parent: &Permit) -> Result<Result<Verdict, ManifestError>, NoVerdict> {
        let said = parent.manifest().manifests.iter().find(|child| child.digest == self.subject.digest);
        let got = match self.or_fetched(self.read_stored(said.map(|child| child.media_type.as_str())).await).await? {
            Ok(got) => got,
            Err(error) => return self.refuse_content(error).map(Ok),
        };
        if self.selection.enforce.iter().any(|policy| policy.asks_platforms())
            && let Some(why) = self.not_as_listed(parent.manifest(), &got.manifest).await?
        {
            return Ok(Err(ManifestError::Malformed(why)));
        }
        // The child lives no longer than what vouches for it (D8).
        let life = parent.until().saturating_duration_since(Instant::now()).min(self.gate.config.verdict_ttl);
        let grounds = Grounds::Parent(*parent.manifest().digest());
        let said = Said {
            warnings: parent.warnings().to_vec(),
            guard: parent.guard().cloned(),
            exceptions: parent.exceptions().to_vec(),
        };
        self.admit(&got, grounds, parent.epoch(), life, said).await.map(Ok)
    }

    /// Why the subject is not what the index that vouches for it had it taken for, where each platform of that was asked for
    /// something: what is passed over there for what it is called would need nothing at all.
    async fn not_as_listed(&self, index: &Manifest, child: &Manifest) -> Result<Option<String>, NoVerdict> {
        let digest = self.subject.digest;
        let mut listed_as = index.manifests.iter().filter(|said| said.digest == digest).map(|said| said.media_type.as_str());
        // Listed as an image it was taken for one platform; what it lists itself was asked for nothing. It may be listed twice.
        let as_image = listed_as.find(|name| !is_index(name));
        if let Some(name) = as_image
            && child.kind() == ManifestKind::Index
        {
            return Ok(Some(format!("the index that lists it says it is {name}, and it is an index itself")));
        }
        if platforms_of(index).iter().any(|platform| platform.digest == digest) {
            return Ok(None);
        }
        let said = "the index that lists it says it is an attestation manifest, which runs nowhere";
        match shape_of_attestations(&self.reader, child, &self.gate.config.limits).await {
            Ok(Shape::Evidence) => Ok(None),
            Ok(Shape::Other(why)) => Ok(Some(format!("{said}, and it is none: {why}"))),
            Err(Unread::Failed { why, retry_after }) => {
                Err(undecided(UndecidedReason::EvidenceUnavailable(why), Some(retry_after.unwrap_or(RETRY))))
            }
            Err(unread @ (Unread::Absent | Unread::Limit(_) | Unread::Unusable(_))) => {
                Ok(Some(format!("{said}, and that cannot be seen: {unread}")))
            }
        }
    }

    /// Admits the manifest if it is evidence itself (D9). What could not be read to know it is no answer yet: the manifest
    /// may be admitted on other grounds.
    pub(super) async fn as_evidence(&mut self, got: &Got) -> Result<Option<Verdict>, NoVerdict> {
        match shape_of(&self.reader, &got.manifest, &self.gate.config.limits).await {
            Ok(Shape::Evidence) => {
                self.admit(got, Grounds::Evidence, None, self.gate.config.verdict_ttl, Said::default()).await.map(Some)
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
    pub(super) async fn admit(
        &self,
        got: &Got,
        grounds: Grounds,
        epoch: Option<Epoch>,
        life: Duration,
        Said { warnings, guard, exceptions }: Said,
    ) -> Answer {
        // Asked for by another algorithm, it may be denied all the same.
        if let Some(reason) = self.selection.deny.content(&self.subject.digest, got.manifest.bytes()) {
            return Ok(Verdict::Refuse(self.gate.denied(&self.subject.image, self.subject.digest, reason)));
        }
        if got.fresh
            && let Err(error) = self.gate.documents.write(&self.subject.digest, got.manifest.bytes()).await
        {
            tracing::warn!(digest = %self.subject.digest, %error, "the manifest is not kept");
        }
        if grounds != Grounds::Policy {
            self.keep_manifest(got).await;
        }
        let until = Instant::now() + life;
        let (image, basis) = (self.subject.image.clone(), Basis { policy: self.selection.id, epoch });
        let terms = self.gate.memory.shared(Terms { image, grounds, basis, warnings, guard, exceptions });
        let permit = Permit::grant(terms, Arc::clone(&got.manifest), until);
        self.gate.lineage.record(&permit).await;
        Ok(Verdict::Admit(permit))
    }

    /// Keeps that this repository has the manifest, where nothing is kept about it.
    pub(super) async fn keep_manifest(&self, got: &Got) {
        if self.kept.is_none() {
            let media_type = got.manifest.media_type().into();
            // Nobody looked for evidence: that there is none is not known.
            let kept = Kept { listed_at: (self.gate.clock)(), media_type, candidates: Vec::new(), whole: false };
            kept.save_listing(self.gate.documents.as_ref(), &self.key()).await;
        }
    }

    pub(super) fn refuse_content(&self, error: ManifestError) -> Answer {
        let reason = RefusalReason::Content(error);
        Ok(Verdict::Refuse(Arc::new(self.refusal(reason, Default::default()))))
    }

    /// Refuses, unless the manifest is only kept here and the upstream no longer has it: absent comes before refused.
    pub(super) async fn refuse(&self, reason: RefusalReason, explanation: explain::Explanation, got: &Got) -> Answer {
        if !got.fresh {
            let reference = Reference::Digest(self.subject.digest);
            let asked = self.subject.upstream.manifest(&self.subject.image.repository, &reference);
            if matches!(asked.await, Err(UpstreamError::NotFound)) {
                return Err(NoVerdict::Absent(Absent));
            }
        }
        Ok(Verdict::Refuse(Arc::new(self.refusal(reason, explanation))))
    }

    pub(super) fn refusal(&self, reason: RefusalReason, explanation: explain::Explanation) -> Refusal {
        Refusal { image: self.subject.image.clone(), digest: self.subject.digest, reason, explanation: Arc::new(explanation) }
    }

    /// Tells the judgement: one event, one count.
    pub(super) fn tell(&self, answer: &Answer) {
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
            duration_ms = explain::millis(took),
            "judged"
        );
    }
}

/// Says why evidence is asked for at all, where nothing but an exception is in question: who wrote it expects that none is.
fn despite_exception(scales: &Scales, reason: UndecidedReason) -> UndecidedReason {
    let unlooked = |unmet: &&Unmet| unmet.reason == Reason::Denied && unmet.wants_platforms;
    let excepted = scales.excepted_but_for_packages().next().map(|policy| &policy.name);
    let excepted = excepted.or_else(|| scales.unmet.iter().find(unlooked).map(|unmet| &unmet.policy));
    let Some(name) = excepted.filter(|_| scales.unmet.iter().all(|unmet| unlooked(&unmet))) else { return reason };
    reason.because(|why| {
        format!(
            "the deny-list names packages, so the exception of policy {name} wants its SBOM looked for; deny digests instead, or \
             ask again: {why}"
        )
    })
}
