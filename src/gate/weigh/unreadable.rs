//! Facts whose predicates cannot be read again.

use super::{Platforms, Scales};
use crate::verify::{Proven, Verified};

impl Scales {
    /// Why a fact is left out from here on, if one is.
    pub(super) fn leave_out_the_unreadable(&mut self) -> Option<String> {
        let leave_out = |facts: &[Verified]| {
            let why = facts.iter().find_map(damage)?.to_owned();
            Some((facts.iter().filter(|fact| damage(fact).is_none()).cloned().collect::<Vec<_>>(), why))
        };
        if let Some((left, why)) = leave_out(&self.facts) {
            self.facts = left.into();
            return Some(why);
        }
        match &mut self.platforms {
            Platforms::All(platforms) => {
                let (at, (left, why)) =
                    platforms.iter().enumerate().find_map(|(at, platform)| Some((at, leave_out(&platform.facts)?)))?;
                let mut others = platforms.to_vec();
                others[at].facts = left;
                *platforms = others.into();
                Some(why)
            }
            Platforms::One { proven, .. } => {
                let (left, why) = leave_out(proven)?;
                *proven = left.into();
                Some(why)
            }
            Platforms::Unseen => None,
        }
    }

    /// Why a fact cannot be read again, if one cannot.
    pub(super) fn damage(&self) -> Option<&str> {
        let others: Vec<&[Verified]> = match &self.platforms {
            Platforms::All(platforms) => platforms.iter().map(|platform| &*platform.facts).collect(),
            Platforms::One { proven, .. } => vec![proven],
            Platforms::Unseen => Vec::new(),
        };
        self.facts.iter().chain(others.into_iter().flatten()).find_map(damage)
    }
}

/// Why what was proven cannot be read again, if it could not.
fn damage(fact: &Verified) -> Option<&str> {
    match &fact.content {
        Proven::Attestation(statement) => statement.predicate.damage(),
        Proven::File | Proven::Signature => None,
    }
}
