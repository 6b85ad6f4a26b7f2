//! What was not seen, where it might make a no of a policy that holds; and limits that kept it from being seen.
//!
//! Whoever can push can attach a hundred pieces of junk, and grind their digests so that they are listed before the scan that
//! refuses. The search ends at its limit, and what is left would admit. That is a no and not a don't know: who asks again
//! finds the same junk.
//!
//! The same of an attestation that is logged in a form that cannot be verified. It says of which type it is and when it was logged,
//! and whatever it is proven to be one day, it will be that: so one of another type, or too old to count (but under an exception,
//! which waives that), or older than the newest where that speaks, hides nothing; nor does one about a manifest that the entry does
//! not look at.

use std::{sync::Arc, time::Duration};

use super::{Platforms, Scales, unread::Unproven};
use crate::{
    gate::{judge::RETRY, verdict::UndecidedReason},
    policy::{About, Held, Policy, Reason, Selection, Unmet},
    verify::Verifier,
};

/// What a person can do about it.
const WEIGHED: &str = "raise the limit that is named, or delete what is attached to the image and is no evidence of yours; \
                       with `match: any` nothing that is not seen can refuse";
const EXCEPTED: &str = "raise the limit that is named, or delete what is attached to the image and is no evidence of yours; \
                        or deny digests in place of packages";
const UNPROVEN: &str = "attest it again with a current cosign, and delete the one that cannot be verified; with `match: any` nothing \
                        that is not seen can refuse";
const EXCEPTED_UNPROVEN: &str = "attest it again with a current cosign, and delete the one that cannot be verified; or deny digests \
                                 in place of packages";

impl Scales {
    /// Whether a policy that holds might not, had all been seen.
    pub(super) fn is_in_doubt(&self, policy: &Policy, held: &Held) -> bool {
        let minds = |about| minds_unseen(&self.selection, about, policy, held);
        !self.is_whole() && minds(self.about()) || self.partial_below && minds(About::Platform)
    }

    /// What the evidence added here is about.
    const fn about(&self) -> About {
        match self.platforms {
            Platforms::One { .. } => About::Platform,
            Platforms::All(_) | Platforms::Unseen => About::Image,
        }
    }

    /// Why what is unmet, or holds only on all there is, might be otherwise: something was there and could not be judged.
    pub(in crate::gate) fn doubt(&self, verifier: &dyn Verifier) -> Option<(UndecidedReason, Duration)> {
        if self.overloaded {
            return Some((UndecidedReason::Overloaded, RETRY));
        }
        if let Some(why) = &self.unreadable {
            return Some((UndecidedReason::EvidenceUnavailable(why.clone()), RETRY));
        }
        if let Some(why) = self.unready(verifier) {
            return Some((UndecidedReason::NoTrustRoot(why), RETRY));
        }
        self.clock()
    }

    /// The same of the clock alone: something was signed in the near future.
    fn clock(&self) -> Option<(UndecidedReason, Duration)> {
        let ahead = self.ahead?;
        let why = format!("signed {ahead} s in the future: the clock here may be slow");
        Some((UndecidedReason::Clock(why), Duration::from_secs(ahead.clamp(1, 60))))
    }

    /// Audit policies that hold on what was seen, and might not on what was not.
    pub(in crate::gate) fn watched_in_doubt(&self) -> Vec<String> {
        let minds = self.watched.iter().filter(|(policy, held)| self.is_in_doubt(policy, held));
        minds.map(|(policy, _)| policy.name.clone()).collect()
    }

    /// Policies that hold by an exception, and ask for evidence all the same because the deny-list names packages.
    pub(in crate::gate) fn excepted_but_for_packages(&self) -> impl Iterator<Item = &Policy> {
        let excepted = self.held.iter().chain(&self.watched).filter(|(_, held)| held.exception.is_some());
        let minds = |policy: &Policy, held: &Held| minds_unseen(&self.selection, self.about(), policy, held);
        excepted.filter(move |(policy, held)| minds(policy, held)).map(|(policy, _)| &**policy)
    }

    /// Makes a no of what holds on statements of which some were not seen for a limit, or cannot be verified.
    pub(super) fn mind_limits(&mut self) {
        let (about, now) = (self.about(), (self.gate.clock)());
        let unseen = |policy: &Policy, held: &Held| {
            if !minds_unseen(&self.selection, about, policy, held) {
                return None;
            }
            if let Some(limit) = &self.limit {
                return Some(hidden(policy, held, limit));
            }
            let counts = |one: &&Unproven| policy.might_count(held, about, &one.predicate_type, one.logged_at, now);
            self.unread.unproven.iter().find(counts).map(|one| unproven(policy, held, &one.entry))
        };
        for (held, unmet) in [(&mut self.held, &mut self.unmet), (&mut self.watched, &mut self.audit)] {
            for (policy, on) in std::mem::take(held) {
                match unseen(&policy, &on) {
                    Some(why) => unmet.push(why),
                    None => held.push((policy, on)),
                }
            }
        }
    }
}

/// Whether evidence that was not seen might make a no of a policy that holds: it weighs statements together, or holds by an
/// exception while the deny-list names packages, and the SBOM that lists one may be what was not seen, unless it would rely on
/// others that do not. A policy that looks at no platform does not mind what was not seen of one.
fn minds_unseen(selection: &Arc<Selection>, about: About, policy: &Policy, held: &Held) -> bool {
    let excepted = held.exception.is_some();
    if excepted && (selection.deny.packages().is_empty() || held.relied) {
        return false;
    }
    match (about, excepted) {
        (About::Image, false) => policy.weighs_all_evidence(),
        (About::Image, true) => policy.asks_for_sbom(),
        (About::Platform, false) => policy.weighs_all_of_platforms(),
        (About::Platform, true) => policy.asks_platforms(),
    }
}

fn hidden(policy: &Policy, held: &Held, limit: &str) -> Unmet {
    let what_to_do = if held.exception.is_some() { EXCEPTED } else { WEIGHED };
    let summary = format!("{}, and not all were seen: {limit}", weighs(held));
    unmet(policy, Reason::EvidenceLimit, summary, what_to_do)
}

fn unproven(policy: &Policy, held: &Held, entry: &str) -> Unmet {
    let what_to_do = if held.exception.is_some() { EXCEPTED_UNPROVEN } else { UNPROVEN };
    let summary = format!("{}, and one cannot be verified: {entry}", weighs(held));
    unmet(policy, Reason::UnsupportedLogEntry, summary, what_to_do)
}

const fn weighs(held: &Held) -> &'static str {
    if held.exception.is_some() {
        "is held by its exception against every SBOM, as the deny-list names packages"
    } else {
        "weighs every statement there is"
    }
}

fn unmet(policy: &Policy, reason: Reason, summary: String, what_to_do: &str) -> Unmet {
    let details = vec![summary.clone(), what_to_do.to_owned()];
    Unmet { policy: policy.name.clone(), summary, reason, details, wants_platforms: false }
}
