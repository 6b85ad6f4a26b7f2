//! What an exception does not waive: the deny-list comes before it. Where that names packages, the SBOMs that the policy would
//! rely on are read all the same; what asks for none, or finds none, is admitted by the exception.
//!
//! An exception waives how old evidence may be, how it must be logged and what else it must say: none of that makes a package
//! go away which an allowed signer has found in these very bytes.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Gap, Roll, who};
use crate::{
    policy::{
        AttestationRule, Attestor, Case, MAX_PLATFORMS, Match, Policy, Reason, SbomOn,
        checks::{CheckFailure, Unfit},
        identity::Identity,
        sentence::short,
    },
    verify::{Proven, SanKind, Verified},
};

/// Those who signed the image as `signatures` names them.
type Signers<'f> = BTreeSet<(&'f str, &'f str, SanKind, &'f str)>;

/// What the SBOMs about one manifest say of the packages that are denied.
enum Listed {
    /// One that will do lists none.
    Clean,
    /// One lists such a package.
    Denied(CheckFailure),
    /// There is none.
    Nothing,
}

impl Policy {
    /// Whether it asks for a document that lists packages.
    #[must_use]
    pub fn asks_for_sbom(&self) -> bool {
        self.attestations.iter().any(|rule| rule.predicate_type.is_sbom())
    }

    /// Why the deny-list refuses what an exception would admit, if it does.
    pub(super) fn denied_all_the_same(&self, case: &Case<'_>) -> Option<Gap> {
        if case.denied.is_empty() || !self.asks_for_sbom() {
            return None;
        }
        let identities: Vec<&Identity> = self.signatures.iter().flat_map(Attestor::identities).collect();
        let signatures = case.facts.iter().filter(|fact| matches!(fact.content, Proven::Signature));
        let signers = signatures.filter(|fact| who(&identities, fact).is_ok()).map(|fact| Roll::name(&fact.signer)).collect();
        let sboms = self.attestations.iter().filter(|rule| rule.predicate_type.is_sbom());
        sboms.filter_map(|rule| denied_by(rule, &signers, case)).next()
    }
}

/// The same of one entry, on the manifests it asks about.
fn denied_by(rule: &AttestationRule, signers: &Signers<'_>, case: &Case<'_>) -> Option<Gap> {
    let refuse = |failure: CheckFailure| Some(Gap::new(Reason::Denied, failure.summary));
    let on_subject = listed(rule, signers, case.facts, case);
    let platforms = match (rule.sbom_on, case.platforms, &on_subject) {
        (SbomOn::Subject, ..) | (_, Some([]), _) => {
            return if let Listed::Denied(failure) = on_subject { refuse(failure) } else { None };
        }
        (SbomOn::Either, _, Listed::Clean) => return None,
        // As without the exception: where every statement or the newest speaks, no platform stands in for what it says.
        (SbomOn::Either, _, Listed::Denied(failure)) if rule.matching != Match::Any => return refuse(failure.clone()),
        (SbomOn::EachPlatform | SbomOn::Either, None, _) => {
            let summary = "wants no package of the deny-list on any platform; nobody has looked at them".to_owned();
            return Some(Gap { wants_platforms: true, ..Gap::new(Reason::Denied, summary) });
        }
        (SbomOn::EachPlatform | SbomOn::Either, Some(platforms), _) => platforms,
    };
    let mut clean = platforms.len() <= MAX_PLATFORMS;
    for platform in platforms {
        match listed(rule, signers, &platform.facts, case) {
            Listed::Clean => {}
            Listed::Denied(CheckFailure { reason, summary }) => {
                let summary = format!("platform {}: {summary}", short(&platform.platform, 30));
                return refuse(CheckFailure { reason, summary });
            }
            Listed::Nothing => clean = false,
        }
    }
    match on_subject {
        // As without the exception: what each platform has stands in for what the index has.
        Listed::Denied(failure) if rule.sbom_on == SbomOn::Either && !clean => refuse(failure),
        Listed::Clean | Listed::Denied(_) | Listed::Nothing => None,
    }
}

/// What those of `facts` say that are of the entry's type, by whom it allows.
fn listed(rule: &AttestationRule, signers: &Signers<'_>, facts: &[Verified], case: &Case<'_>) -> Listed {
    let identities = rule.signer.as_ref().map(Attestor::identities);
    let allowed = |fact: &Verified| match &identities {
        Some(identities) => who(identities, fact).is_ok(),
        None => signers.contains(&Roll::name(&fact.signer)),
    };
    let mut said: Vec<(Timestamp, Option<CheckFailure>)> = Vec::new();
    for fact in facts.iter().filter(|fact| allowed(fact)) {
        let Proven::Attestation(statement) = &fact.content else { continue };
        if !rule.predicate_type.covers(&statement.predicate_type) {
            continue;
        }
        let failure = match rule.checks.judge(&rule.predicate_type, statement, case.now, case.denied) {
            Ok(_) => None,
            Err(Unfit::Failed(failure)) if failure.reason == Reason::Denied => Some(failure),
            // The policy would not rely on it.
            Err(Unfit::Failed(_) | Unfit::Malformed(_)) => continue,
        };
        said.push((fact.times.iter().min().copied().unwrap_or(Timestamp::MAX), failure));
    }
    let newest = said.iter().map(|(made, _)| *made).max();
    let clean = said.iter().any(|(_, failure)| failure.is_none());
    let denied = said.into_iter().find_map(|(made, failure)| match rule.matching {
        Match::All => failure,
        Match::Any if clean => None,
        Match::Any => failure,
        Match::Newest => failure.filter(|_| Some(made) == newest),
    });
    match denied {
        Some(failure) => Listed::Denied(failure),
        None if clean => Listed::Clean,
        None => Listed::Nothing,
    }
}
