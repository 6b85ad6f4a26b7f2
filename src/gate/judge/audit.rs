//! What audit policies would have answered. They never change the answer, so whoever reads of them must be able to rely on what
//! they would: "would refuse" where an enforcing policy would be undecided makes an image look bad that was only not seen.

use std::sync::Arc;

use super::{Answer, Got, Judgement, outcome::Said};
use crate::{
    gate::{
        sentence::{printable, warning},
        tags::{Guard, tell_audited},
        verdict::{Grounds, UndecidedReason},
        weigh::Scales,
    },
    policy::{Policy, Unmet},
};

/// What each audit policy would have said, where that is not yes.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// By the policy's name: what it wants, that it would refuse.
    refuse: Vec<(String, String)>,
    /// By the policy's name: why it could not tell.
    undecided: Vec<(String, String)>,
}

impl Audited {
    /// Of what the scales say, while `doubt` says why that might be otherwise; `cooling` would refuse, and `unsure` not tell,
    /// whatever else there is.
    pub(super) fn of(scales: &Scales, doubt: Option<&UndecidedReason>, cooling: &[Unmet], unsure: &[Unmet]) -> Self {
        let told = |unmet: &Unmet| (unmet.policy.clone(), unmet.summary.clone());
        let mut audited = Self { refuse: cooling.iter().map(told).collect(), undecided: unsure.iter().map(told).collect() };
        match doubt {
            Some(reason) => {
                let unmet = scales.audit.iter().map(|unmet| unmet.policy.clone());
                let policies = unmet.chain(scales.watched_in_doubt());
                audited.undecided.extend(policies.map(|policy| (policy, reason.to_string())));
            }
            None => audited.refuse.extend(scales.audit.iter().map(told)),
        }
        audited
    }

    /// Of policies of which none can tell, for this reason.
    pub(super) fn unsure(policies: &[Arc<Policy>], reason: &UndecidedReason) -> Self {
        let undecided = policies.iter().map(|policy| (policy.name.clone(), reason.to_string())).collect();
        Self { refuse: Vec::new(), undecided }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.refuse.is_empty() && self.undecided.is_empty()
    }

    /// Tells of each, an event, a count and a warning; whether one could not tell, which is asked again soon.
    pub(super) fn tell(&self, judgement: &Judgement, warnings: &mut Vec<String>) -> bool {
        let (image, digest) = (&judgement.subject.image, &judgement.subject.digest);
        for (event, verb, said) in
            [("would_refuse", "would refuse", &self.refuse), ("would_undecided", "could not tell", &self.undecided)]
        {
            for (policy, would) in said {
                warnings.push(warning(299, &format!("audit: policy {policy} {verb}: {would}")));
                tell_audited(event, policy, image, digest, would);
            }
        }
        !self.undecided.is_empty()
    }
}

impl Judgement {
    /// Serves what only audit policies ask about, saying what they would have said.
    pub(super) async fn admit_audited(&mut self, got: &Got, audited: Audited, guard: Option<Arc<Guard>>) -> Answer {
        // As for an enforcing set: what one could not tell, all of them could not.
        let (verb, event) =
            if audited.undecided.is_empty() { ("would refuse", "would_refuse") } else { ("could not tell", "would_undecided") };
        let refuse = audited.refuse.iter().map(|(policy, would)| format!("policy {policy} {would}"));
        let would = match audited.undecided.first() {
            Some((_, why)) => why.clone(),
            None => refuse.collect::<Vec<_>>().join("; "),
        };
        let policies: Vec<&str> = audited.refuse.iter().chain(&audited.undecided).map(|(policy, _)| policy.as_str()).collect();
        let warnings = vec![warning(299, &format!("audit: {verb}: {would}"))];
        tell_audited(event, &policies.join(", "), &self.subject.image, &self.subject.digest, &would);
        // What could not be told is asked again soon; a would-be refusal lives as long as a refusal, so that the warning
        // goes when the signature comes.
        let life = self.gate.config.refusal_ttl;
        let said = Said { warnings, guard, exceptions: Vec::new() };
        self.admit(got, Grounds::Audited { would: printable(&would) }, None, life, said).await
    }
}
