//! Cooldown: an image that meets its policies is served only when it has been known for a while, so that a release made
//! with stolen keys can be noticed before it runs.
//!
//! The while begins at the later of two times. When the last signature that was needed was there
//! ([`Held::signed_at`](crate::policy::Held)): nobody but a log or a timestamp authority can say that it was earlier.
//! And when the digest was first seen here, a fact of the store: what was signed long ago and shown to nobody is new.
//! Attestations do not count: a scan is attested anew each day, and an image must cool down all the same. Only where a policy
//! asks for no signature do they say when it was there, for else nothing would.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{Judgement, undecided};
use crate::{
    gate::{
        verdict::{NoVerdict, UndecidedReason},
        weigh::Scales,
    },
    policy::{Held, Policy, Reason, Unmet},
};

/// What cooldowns leave of an admission.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    /// Enforcing policies whose time has not come.
    pub(super) unmet: Vec<Unmet>,
    /// Audit policies whose time has not come.
    pub(super) audit: Vec<Unmet>,
    /// Audit policies of which nobody can say whether it has.
    pub(super) unsure: Vec<Unmet>,
    /// How long until the first of them may hold.
    pub(super) wait: Option<Duration>,
}

impl Judgement {
    /// Keeps when the digest was first seen here, where a policy with a cooldown names the image: before any answer, a refusal
    /// too, so that who attests late has not lost the time. An image that no such policy names leaves nothing behind.
    pub(super) async fn sight(&mut self, scales: &Scales) {
        let mut policies = self.selection.enforce.iter().chain(&self.selection.audit);
        if self.seen.is_some() || policies.all(|policy| policy.cooldown().is_none()) {
            return;
        }
        let seen = self.gate.facts.first_seen(&scales.name(), (self.gate.clock)()).await;
        if let Err(error) = &seen {
            tracing::warn!(image = %scales.name(), %error, "when it was first seen here is not kept");
        }
        self.seen = Some(seen);
    }

    /// Which policies that hold otherwise are still waiting. The first sighting is kept before this answers.
    /// Where `doubt` says why not everything was seen, none is waited for that might have been signed long ago.
    pub(super) async fn cooling(&mut self, scales: &Scales, doubt: Option<&UndecidedReason>) -> Result<Cooling, NoVerdict> {
        let mut cooling = Cooling::default();
        self.sight(scales).await;
        // What an exception admits has somebody's word that it is needed now.
        let waits = |(policy, held): &&(Arc<Policy>, Held)| policy.cooldown().is_some() && held.exception.is_none();
        if !scales.held.iter().chain(&scales.watched).any(|pair| waits(&pair)) {
            return Ok(cooling);
        }
        let now = (self.gate.clock)();
        let seen = match &self.seen {
            Some(Ok(seen)) => *seen,
            // A policy waits only where one has a cooldown, and then it was asked.
            None => return Ok(cooling),
            Some(Err(error)) => {
                let why = format!("when it was first seen here cannot be kept: {error}");
                if scales.held.iter().any(|pair| waits(&pair)) {
                    return Err(undecided(UndecidedReason::EvidenceUnavailable(why), None));
                }
                // Only audit policies ask: they do not change the answer.
                cooling.unsure.extend(scales.watched.iter().filter(waits).map(|(policy, _)| unmet(policy, why.clone())));
                return Ok(cooling);
            }
        };
        let ask = |pair: &(Arc<Policy>, Held)| waits(&pair).then(|| still_waiting(&pair.0, &pair.1, seen, now)).flatten();
        // Whatever else there is, it was not seen here earlier.
        let is_sure = |policy: &Policy| doubt.is_none() || still_waiting(policy, &Held::default(), seen, now).is_some();
        let waits_surely = |pair: &(Arc<Policy>, Held)| waits(&pair) && is_sure(&pair.0);
        let enforce: Vec<_> = scales.held.iter().filter_map(ask).collect();
        if let Some(reason) = doubt.filter(|_| !enforce.is_empty() && !scales.held.iter().any(waits_surely)) {
            return Err(undecided(reason.clone(), None));
        }
        let (audit, unsure): (Vec<_>, Vec<_>) =
            scales.watched.iter().filter_map(|pair| Some((&pair.0, ask(pair)?))).partition(|(policy, _)| is_sure(policy));
        let audit: Vec<_> = audit.into_iter().map(|(_, waiting)| waiting).collect();
        let why = doubt.map(UndecidedReason::to_string).unwrap_or_default();
        cooling.unsure = unsure.into_iter().map(|(policy, _)| unmet(policy, why.clone())).collect();
        cooling.wait = enforce.iter().chain(&audit).map(|(_, wait)| *wait).min();
        cooling.unmet = enforce.into_iter().map(|(unmet, _)| unmet).collect();
        cooling.audit = audit.into_iter().map(|(unmet, _)| unmet).collect();
        Ok(cooling)
    }
}

/// What `policy` is still waiting for, and how long.
fn still_waiting(policy: &Policy, held: &Held, seen: Timestamp, now: Timestamp) -> Option<(Unmet, Duration)> {
    let cooldown = policy.cooldown()?;
    let known = held.signed_at.map_or(seen, |signed| signed.max(seen));
    // Beyond the last time there is, it is never admitted. Told in whole seconds, rounded up: who comes then is served.
    let from = known.checked_add(cooldown).unwrap_or(Timestamp::MAX);
    let up = i64::from(from.subsec_nanosecond() > 0);
    let told = Timestamp::from_second(from.as_second() + up).unwrap_or(Timestamp::MAX);
    let wait = Duration::try_from(told.duration_since(now)).ok().filter(|wait| !wait.is_zero())?;
    let made = if policy.cools_from_attestations() { "attested" } else { "signed" };
    let signed = held.signed_at.map_or_else(|| format!("not {made}"), |signed| format!("{made} {}", second(signed)));
    let length = SignedDuration::try_from(cooldown).map_or_else(|_| format!("{cooldown:?}"), |length| format!("{length:#}"));
    let summary = if seen == Timestamp::MAX {
        // What a gate's store says of what it has not seen to who only reads it: no time at which to ask again.
        format!("wants it known for {length}, from when that gate is first asked for it, which it was not yet ({signed})")
    } else {
        let seen = if seen == Timestamp::MIN {
            // What `NoFacts` says of everything.
            "no store asked for its first sighting: verify --first-seen-from".to_owned()
        } else {
            format!("first seen here {}", second(seen))
        };
        format!("wants it known for {length}: admitted from {told} ({signed}, {seen})")
    };
    Some((unmet(policy, summary), wait))
}

fn unmet(policy: &Policy, summary: String) -> Unmet {
    let details = vec![summary.clone()];
    Unmet { policy: policy.name.clone(), summary, reason: Reason::Cooldown, details, wants_platforms: false }
}

/// Without its fraction.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
