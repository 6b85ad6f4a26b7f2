//! An index's platforms on the scales: each is weighed alone, then all of them together.

use std::sync::Arc;

use super::{Explanation, Platforms, Scales};
use crate::{
    oci::Digest,
    policy::{Held, PlatformFacts, Policy, Reason, Unmet},
};

impl Scales {
    /// Whether looking at an index's platforms could change the answer: nothing else is wanting.
    pub(in crate::gate) fn wants_platforms(&self) -> bool {
        let mut wanting = self.unmet.iter().chain(&self.audit).filter(|unmet| unmet.wants_platforms);
        wanting.next().is_some() && self.unmet.iter().all(|unmet| unmet.wants_platforms)
    }

    /// Asks the policies again, about these platforms.
    pub(in crate::gate) async fn settle(&mut self, platforms: Vec<PlatformFacts>) {
        self.platforms = Platforms::All(platforms.into());
        self.judge().await;
    }

    /// Scales for one platform of this index: what is added is about it, and the policies are asked about both.
    pub(in crate::gate) fn of_platform(&self, platform: Digest, name: String) -> Self {
        let (gate, selection) = (Arc::clone(&self.gate), Arc::clone(&self.selection));
        Self {
            platforms: Platforms::One { index: self.subject, proven: Arc::clone(&self.facts), name: name.into() },
            // Nothing is settled before the policies were asked about this one.
            unmet: self.unmet.clone(),
            audit: self.audit.clone(),
            explanation: Explanation { whole: self.explanation.whole, ..Explanation::default() },
            ..Self::empty(gate, selection, self.image.clone(), platform)
        }
    }

    /// Says of a platform that is an index itself why its policies do not hold.
    pub(in crate::gate) fn refuse_nested(&mut self, digest: &Digest) {
        // There is nothing more to be seen of it.
        self.looked = true;
        for unmet in self.unmet.iter_mut().chain(&mut self.audit).filter(|unmet| unmet.reason == Reason::AttestationMissing) {
            unmet.summary = format!("wants an attestation on each platform; {} is an index in the index", digest.short());
            unmet.details.push(format!(
                "{digest} is an index itself, and what it lists is not looked at: list each platform in the index that is signed"
            ));
        }
    }

    /// Takes over what the policies say of all platforms together: one holds if it holds with each, for as long as it does
    /// with each; of one that does not, the first platform's reason is told.
    pub(in crate::gate) fn take_platforms(&mut self, platforms: Vec<Self>) {
        let (mut held, mut unmet): (Vec<_>, Vec<_>) = platforms.iter().map(|scales| (&scales.held, &scales.unmet)).unzip();
        (self.held, self.unmet) = together(&held, &unmet);
        (held, unmet) = platforms.iter().map(|scales| (&scales.watched, &scales.audit)).unzip();
        (self.watched, self.audit) = together(&held, &unmet);
        self.explanation.accounts.clear();
        self.partial_below = platforms.iter().any(|scales| !scales.is_whole());
        for scales in platforms {
            self.explanation.absorb(scales.explanation);
        }
        self.mind_limits();
    }
}

/// What policies say of all platforms together.
fn together(held: &[&Vec<(Arc<Policy>, Held)>], unmet: &[&Vec<Unmet>]) -> (Vec<(Arc<Policy>, Held)>, Vec<Unmet>) {
    let mut all = Vec::new();
    for (policy, on) in held.first().into_iter().copied().flatten() {
        let each = held.iter().map(|held| held.iter().find(|(other, _)| Arc::ptr_eq(other, policy)).map(|(_, on)| on));
        if let Some(each) = each.collect::<Option<Vec<_>>>() {
            let valid_until = each.iter().filter_map(|on| on.valid_until).min();
            // All of them were there when the last was.
            let signed_at = each.iter().filter_map(|on| on.signed_at).max();
            let relied = each.iter().all(|on| on.relied);
            all.push((Arc::clone(policy), Held { valid_until, signed_at, relied, ..on.clone() }));
        }
    }
    let mut not: Vec<Unmet> = Vec::new();
    for unmet in unmet.iter().copied().flatten() {
        if not.iter().all(|known| known.policy != unmet.policy) {
            not.push(unmet.clone());
        }
    }
    (all, not)
}
