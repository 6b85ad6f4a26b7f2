//! What policies are asked, in a form that goes to a thread of its own.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::Platforms;
use crate::{
    gate::explain::Told,
    oci::{Digest, ImageName},
    policy::{Account, Case, Held, PlatformFacts, Policy, Selection, Unmet},
    verify::Verified,
};

/// Policies and what they are asked about.
#[derive(Debug)]
pub(super) struct Matter {
    pub(super) selection: Arc<Selection>,
    pub(super) image: ImageName,
    pub(super) subject: Digest,
    pub(super) facts: Arc<[Verified]>,
    pub(super) platforms: Platforms,
    pub(super) now: Timestamp,
}

/// What some policies say: those that hold, and on what; those that do not.
pub(super) type Said = (Vec<(Arc<Policy>, Held)>, Vec<Unmet>);

impl Matter {
    /// Whether there is no document that a policy could read.
    pub(super) fn is_bare(&self) -> bool {
        self.facts.is_empty() && !matches!(self.platforms, Platforms::One { .. })
    }

    /// What the enforcing policies say, and what the audit policies say. Reads documents.
    pub(super) fn judged(&self) -> (Said, Said) {
        self.put(|case| {
            let judge = |policies: &[Arc<Policy>]| {
                let (mut held, mut unmet) = (Vec::new(), Vec::new());
                for policy in policies {
                    match policy.judge(case) {
                        Ok(on) => held.push((Arc::clone(policy), on)),
                        Err(why) => unmet.push(why),
                    }
                }
                (held, unmet)
            };
            (judge(&self.selection.enforce), judge(&self.selection.audit))
        })
    }

    /// Why each of them says so, by its name. Reads documents.
    pub(super) fn accounts(&self) -> BTreeMap<String, Account<Told>> {
        let Selection { enforce, audit, .. } = &*self.selection;
        let account = |case: &Case<'_>, policy: &Arc<Policy>| (policy.name.clone(), policy.account(case).map(&Told::from));
        self.put(|case| enforce.iter().chain(audit).map(|policy| account(case, policy)).collect())
    }

    fn put<T>(&self, ask: impl FnOnce(&Case<'_>) -> T) -> T {
        let Self { selection, image, subject, facts, platforms, now } = self;
        let case = Case { image, subject, facts, platforms: None, denied: selection.deny.packages(), now: *now };
        match platforms {
            Platforms::Unseen => ask(&case),
            Platforms::All(platforms) => ask(&Case { platforms: Some(platforms), ..case }),
            Platforms::One { index, proven, name } => {
                let one = [PlatformFacts { digest: *subject, platform: name.to_string(), facts: facts.to_vec() }];
                ask(&Case { subject: index, facts: proven, platforms: Some(&one), ..case })
            }
        }
    }
}
