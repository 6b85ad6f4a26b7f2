//! Limits that kept evidence from being seen, where a policy weighs all of it.
//!
//! Whoever can push can attach a hundred pieces of junk, and grind their digests so that they are listed before the scan that
//! refuses. The search ends at its limit, and what is left would admit. That is a no and not a don't know: who asks again
//! finds the same junk.

use super::Scales;
use crate::policy::{Reason, Unmet};

/// What a person can do about it.
const WHAT_TO_DO: &str = "raise the limit that is named, or delete what is attached to the image and is no evidence of yours; \
                          with `match: any` nothing that is not seen can refuse";

impl Scales {
    /// Makes a no of what holds on statements of which some were not seen for a limit.
    pub(super) fn mind_limits(&mut self) {
        let Some(limit) = &self.limit else { return };
        for (held, unmet) in [(&mut self.held, &mut self.unmet), (&mut self.watched, &mut self.audit)] {
            held.retain(|(policy, held)| {
                let minds = policy.weighs_all_evidence() && held.exception.is_none();
                if minds {
                    let summary = format!("weighs every statement there is, and not all were seen: {limit}");
                    unmet.push(Unmet {
                        policy: policy.name.clone(),
                        details: vec![summary.clone(), WHAT_TO_DO.to_owned()],
                        summary,
                        reason: Reason::EvidenceLimit,
                        wants_platforms: false,
                    });
                }
                !minds
            });
        }
    }
}
