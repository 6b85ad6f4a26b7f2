//! Pieces become facts, facts meet policies: verification on the CPU pool, a few pieces at a time, until all hold.

mod limits;
mod matter;
mod platforms;
mod unread;
mod unreadable;

use std::{collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use jiff::Timestamp;

use self::{matter::Matter, unread::Unread};
use super::{
    Gate,
    explain::{Explanation, Outcome},
};
use crate::{
    evidence::{Evidence, Piece},
    oci::{Digest, ImageName},
    policy::{Held, PlatformFacts, Policy, Reason, Selection, Unmet},
    telemetry,
    verify::{PoolError, Verified, Verifier, VerifyError},
};

/// Pieces verified before the policies are asked again. Most images have two or three.
const AT_ONCE: usize = 8;

/// What the policies are told of an index's platforms.
#[derive(Debug, Clone)]
enum Platforms {
    /// These are all there are.
    All(Arc<[PlatformFacts]>),
    /// The subject is one of them, of this index.
    One { index: Digest, proven: Arc<[Verified]>, name: Arc<str> },
    /// Nobody has looked.
    Unseen,
}

/// What is proven about a subject so far, and what the policies say of it.
#[derive(Debug)]
pub(super) struct Scales {
    gate: Arc<Gate>,
    selection: Arc<Selection>,
    image: ImageName,
    /// What evidence must be about: the manifest's SHA-256 digest, however it was asked for (A2, X11).
    subject: Digest,
    facts: Arc<[Verified]>,
    platforms: Platforms,
    seen: HashSet<(Digest, Digest)>,
    /// Enforcing policies that do not hold, and before them those of any mode that found what the deny-list names.
    pub(super) unmet: Vec<Unmet>,
    /// Audit policies that do not hold.
    pub(super) audit: Vec<Unmet>,
    /// Enforcing policies that hold, and on what.
    pub(super) held: Vec<(Arc<Policy>, Held)>,
    /// Audit policies that hold.
    pub(super) watched: Vec<(Arc<Policy>, Held)>,
    /// A piece was signed so many seconds in the future.
    pub(super) ahead: Option<u64>,
    /// A piece could not be read to its end, and why: the disk, not the piece.
    pub(super) unreadable: Option<String>,
    /// Verifications were not made, for want of room.
    pub(super) overloaded: bool,
    /// Of the evidence last added something could not be had, or not be proved for want of a trust root.
    partial: bool,
    /// The same of a platform's.
    partial_below: bool,
    /// Evidence was added, be it none.
    looked: bool,
    /// Which limit kept some of it from being seen.
    limit: Option<String>,
    unread: Unread,
    /// A piece is about the subject and of a form that some trust root might prove, whether or not one that is ready did.
    provable: bool,
    pub(super) explanation: Explanation,
}

impl Scales {
    /// Nothing proven yet. Policies that ask for nothing hold already.
    pub(super) async fn new(gate: Arc<Gate>, selection: Arc<Selection>, image: ImageName, subject: Digest) -> Self {
        let mut scales = Self::empty(gate, selection, image, subject);
        scales.judge().await;
        scales
    }

    /// Nothing on them, and no policy asked.
    fn empty(gate: Arc<Gate>, selection: Arc<Selection>, image: ImageName, subject: Digest) -> Self {
        Self {
            gate,
            selection,
            image,
            subject,
            facts: Arc::new([]),
            platforms: Platforms::Unseen,
            seen: HashSet::new(),
            unmet: Vec::new(),
            audit: Vec::new(),
            held: Vec::new(),
            watched: Vec::new(),
            ahead: None,
            unreadable: None,
            overloaded: false,
            partial: false,
            partial_below: false,
            looked: false,
            limit: None,
            unread: Unread::default(),
            provable: false,
            explanation: Explanation::default(),
        }
    }

    /// Looks at every piece, also where fewer would do: somebody asked why.
    pub(super) const fn whole(mut self, whole: bool) -> Self {
        self.explanation.whole = whole;
        self
    }

    /// The explanation so far, with what the policies say now.
    pub(super) fn explained(&self) -> Explanation {
        let mut explanation = self.explanation.clone();
        let Selection { enforce, audit, .. } = &*self.selection;
        let policies = enforce.iter().chain(audit).map(|policy| (policy.name.as_str(), policy.mode()));
        explanation.asked(policies, &self.unmet.iter().chain(&self.audit).collect::<Vec<_>>());
        explanation
    }

    /// Keeps why each policy says what it says, for who asks why. With platforms, each platform's scales keep it and
    /// [`take_platforms`](Self::take_platforms) puts it together.
    pub(super) async fn account(&mut self) {
        if !self.explanation.whole || !self.explanation.accounts.is_empty() {
            return;
        }
        let matter = self.matter();
        match tokio::task::spawn_blocking(move || matter.accounts()).await {
            // What could not be read again was taken for something else: better no account than a wrong one.
            Ok(accounts) => match self.damage() {
                Some(why) => self.explanation.missing.push(format!("what met each requirement: {why}")),
                None => self.explanation.accounts = accounts,
            },
            Err(error) => tracing::error!(%error, "explaining failed unexpectedly; please report it"),
        }
    }

    /// Whether every policy holds, the enforcing and the watching.
    pub(super) fn all_hold(&self) -> bool {
        self.unmet.is_empty() && self.audit.is_empty()
    }

    /// Whether the image may be served as meeting its policies: all that enforce hold, or, where none does, all that
    /// watch, and nothing is denied. Where what could not be had or verified might have made one of them a no, it is not yet a yes.
    pub(super) fn suffice(&self) -> bool {
        let audited = self.selection.enforce.is_empty();
        let (unmet, held) = if audited { (&self.audit, &self.watched) } else { (&self.unmet, &self.held) };
        self.unmet.is_empty() && unmet.is_empty() && !held.iter().any(|(policy, held)| self.is_in_doubt(policy, held))
    }

    /// Whether all that is published about the subject was seen and could be judged.
    pub(super) const fn is_whole(&self) -> bool {
        self.looked && !self.partial && !self.overloaded && self.ahead.is_none() && self.unreadable.is_none()
    }

    /// Whether every policy holds whatever else there is, and nobody asked why: nothing more need be looked at.
    pub(super) fn settled(&self) -> bool {
        self.all_hold() && !self.minds_all() && !self.explanation.whole
    }

    /// Whether a policy asks how old signatures are and who made them, or weighs statements together: then all of them are
    /// looked at, so that the answer does not depend on their order.
    fn minds_all(&self) -> bool {
        let mut policies = self.selection.enforce.iter().chain(&self.selection.audit);
        self.minds_age()
            || policies.any(|policy| policy.weighs_all_evidence())
            || self.excepted_but_for_packages().next().is_some()
    }

    /// Whether a policy that holds asks all the same how old signatures are and who made them.
    pub(super) fn minds_age(&self) -> bool {
        let mut policies = self.selection.enforce.iter().chain(&self.selection.audit);
        policies.any(|policy| policy.cooldown().is_some() || policy.tag_guard())
    }

    /// `host/repository@digest`: what facts about the image are kept under, however it was asked for.
    pub(super) fn name(&self) -> String {
        format!("{}@{}", self.image, self.subject)
    }

    /// When the first of what the policies rest on ends.
    pub(super) fn valid_until(&self) -> Option<Timestamp> {
        self.held.iter().chain(&self.watched).filter_map(|(_, held)| held.valid_until).min()
    }

    /// Adds evidence, until every policy holds. Facts only ever add up, so order means nothing (X2), and a broken or
    /// foreign piece is set aside with its reason and takes nothing away (B11).
    pub(super) async fn add(&mut self, verifier: &Arc<dyn Verifier>, evidence: &Evidence) {
        self.explanation.searched(evidence);
        self.looked = true;
        self.partial = !evidence.missing.is_empty();
        let limited = std::mem::replace(&mut self.limit, evidence.limits_hit.first().cloned()).is_some();
        self.unread.too_large |= evidence.oversized;
        // Compared with earlier evidence only: two signers of one image share a payload, so one `.sig` manifest may list
        // the same layer twice with different signatures.
        let mut pieces: Vec<_> =
            evidence.pieces.iter().filter(|piece| !self.seen.contains(&(piece.manifest, piece.layer))).collect();
        self.seen.extend(pieces.iter().map(|piece| (piece.manifest, piece.layer)));
        let deny = Arc::clone(&self.selection.deny);
        pieces.retain(|piece| {
            let denied = deny.digest(&piece.manifest).or_else(|| deny.digest(&piece.layer));
            if let Some(reason) = denied {
                self.denied(piece, "digest", format!("denied by the deny-list: {reason}"));
            }
            denied.is_none()
        });
        for pieces in pieces.chunks(AT_ONCE) {
            if self.settled() {
                return;
            }
            let proofs =
                pieces.iter().map(|piece| self.gate.pool.verify(Arc::clone(verifier), self.subject, piece.content.clone()));
            let mut facts = self.facts.to_vec();
            for (piece, proof) in pieces.iter().zip(join_all(proofs).await) {
                match proof {
                    Ok(Ok(proven)) => {
                        for mut fact in proven {
                            // Absent, not refused: a denied signer must not be able to block what others vouch for.
                            if let Some(denied) = deny.evidence(&fact) {
                                self.denied(piece, denied.by, denied.why);
                                continue;
                            }
                            self.explanation.considered(piece, Outcome::from(&fact));
                            self.provable = true;
                            fact.source = self.explanation.whole.then(|| Box::new(piece.source()));
                            facts.push(fact);
                        }
                    }
                    Ok(Err(why)) => {
                        self.explanation.considered(piece, Outcome::from(&why));
                        self.unread.see(&why);
                        if matches!(why, VerifyError::TooLarge(_)) {
                            self.limit.get_or_insert_with(|| why.to_string());
                        }
                        match why {
                            VerifyError::Clock { ahead_seconds } => self.ahead = self.ahead.max(Some(ahead_seconds)),
                            VerifyError::Unreadable(why) => self.unreadable = Some(why),
                            VerifyError::OtherSubject { .. } => self.explanation.about_others += 1,
                            VerifyError::Certificate(_)
                            | VerifyError::Log(_)
                            | VerifyError::Signature(_)
                            | VerifyError::Timestamp(_) => self.provable = true,
                            VerifyError::Malformed(_)
                            | VerifyError::TooLarge(_)
                            | VerifyError::Unsupported(_)
                            | VerifyError::UnsupportedLogEntry { .. } => {}
                        }
                    }
                    Err(why) => {
                        // A panic is the piece's own doing, and sets it aside as any other error (B12).
                        self.overloaded |= matches!(why, PoolError::Busy | PoolError::Stopped);
                        self.explanation.considered(piece, Outcome::SetAside { why: why.to_string() });
                    }
                }
            }
            if facts.len() > self.facts.len() {
                self.facts = facts.into();
                self.judge().await;
            }
        }
        self.partial |= self.unready(verifier.as_ref()).is_some();
        if limited {
            // What a limit took away before, what was seen since may give back.
            self.judge().await;
        }
        self.mind_limits();
        self.code_unread();
    }

    /// Why a trust root that `verifier` does not have yet might still prove what is wanted: it is not ready, an enforcing
    /// policy that does not hold names it, and there is something for it to prove.
    pub(super) fn unready(&self, verifier: &dyn Verifier) -> Option<String> {
        let asked = |name: &str| self.selection.enforce.iter().chain(&self.selection.audit).any(|policy| policy.asks_root(name));
        let waiting = verifier.unready().iter().find(|unready| self.provable && asked(&unready.name))?;
        Some(format!("trust root {}: {}", waiting.name, waiting.why))
    }

    /// Sets a piece aside that the deny-list makes absent.
    fn denied(&mut self, piece: &Piece, by: &'static str, why: String) {
        metrics::counter!(telemetry::DENIED, "by" => by).increment(1);
        tracing::info!(by, why, manifest = %piece.manifest, subject = %self.subject, "evidence is denied");
        self.explanation.denied += 1;
        self.explanation.considered(piece, Outcome::SetAside { why });
    }

    /// Who signed what was proven, for the event.
    pub(super) fn signers(&self) -> Vec<String> {
        let mut signers: Vec<String> = self.facts.iter().map(|fact| fact.signer.subject.clone()).collect();
        signers.sort();
        signers.dedup();
        signers.truncate(8);
        signers
    }

    /// Asks the policies again, where nothing that was added made it happen.
    pub(super) async fn rejudge(&mut self) {
        if self.facts.is_empty() {
            self.judge().await;
        }
    }

    /// Asks the policies. A predicate that could not be read to its end while they read it is no evidence, for or against:
    /// they may have taken the disk's fault for the document's. So without it they are asked again.
    async fn judge(&mut self) {
        self.ask().await;
        while let Some(why) = self.leave_out_the_unreadable() {
            self.unreadable = Some(why);
            self.ask().await;
        }
        self.mind_limits();
        self.code_unread();
    }

    fn matter(&self) -> Matter {
        Matter {
            selection: Arc::clone(&self.selection),
            image: self.image.clone(),
            subject: self.subject,
            facts: Arc::clone(&self.facts),
            platforms: self.platforms.clone(),
            now: (self.gate.clock)(),
        }
    }

    /// Reading an SBOM of many megabytes is CPU work too, so it has a thread of its own.
    async fn ask(&mut self) {
        let matter = self.matter();
        let answer =
            if matter.is_bare() { Ok(matter.judged()) } else { tokio::task::spawn_blocking(move || matter.judged()).await };
        match answer {
            Ok(((held, unmet), (watched, audit))) => {
                // What the deny-list names is refused whichever policy found it (D4): one that only watches decides nothing of it.
                let is_denied = |unmet: &Unmet| unmet.reason == Reason::Denied && !unmet.wants_platforms;
                let (denied, audit): (Vec<_>, Vec<_>) = audit.into_iter().partition(is_denied);
                let unmet = denied.into_iter().chain(unmet).collect();
                (self.held, self.unmet, self.watched, self.audit) = (held, unmet, watched, audit);
            }
            // A panic while judging is no yes: what was unmet before stays unmet.
            Err(error) => tracing::error!(%error, "judging failed unexpectedly; please report it"),
        }
    }
}
