//! Which policies hold for an image, and whether the proven facts satisfy them.
//!
//! Every enforcing policy that names an image must hold; order means nothing, and nothing overrides anything (I15).
//! A policy asks for signatures and attestations; each entry is met by one proven fact on its own (I5).

pub mod attestor;
mod case;
mod checks;
mod condition;
pub mod deny;
pub mod documents;
mod exception;
mod fingerprint;
pub mod identity;
pub mod image;
mod judge;
mod lint;
mod matching;
mod overlap;
mod parse;
pub mod pattern;
pub mod predicate;
mod reason;
pub mod requirement;
mod sentence;
mod set;
mod weakness;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub(crate) use self::parse::AGES;
pub use self::{
    attestor::Attestor,
    case::{About, Case, ExceptionFor, ExceptionUse, Held, PlatformFacts, Signed, Unmet},
    documents::spdx,
    parse::{Parsed, TrustRootUse, parse},
    reason::Reason,
    requirement::Account,
    set::{PolicyId, PolicySet, Selection, Unmatched},
};
use self::{
    checks::Checks, condition::Condition, exception::Exception, identity::Identity, image::ImagePattern, predicate::PredicateType,
};
use crate::{
    oci::{Host, ImageName},
    verify::LogEvidence,
};

/// Platforms of an index that `sbom_on: each_platform` asks about; an index with more does not meet it.
pub const MAX_PLATFORMS: usize = 64;

/// One policy. Built by this room's parser only.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name, unique.
    pub name: String,
    /// The images it names; at least one pattern.
    pub(crate) images: Vec<ImagePattern>,
    /// Images it does not name after all.
    pub(crate) exclude: Vec<ImagePattern>,
    /// Whether it decides or watches.
    pub(crate) mode: Mode,
    /// How a log must vouch for each signature and attestation.
    pub(crate) log: LogEvidence,
    /// Each must be met.
    pub(crate) signatures: Vec<Attestor>,
    /// How old a signature may be that counts: a signature's age is that of the earliest of its verified times.
    pub(crate) max_signature_age: Option<Duration>,
    /// Each must be met.
    pub(crate) attestations: Vec<AttestationRule>,
    /// Images it waives its evidence for, for a time.
    pub(crate) exceptions: Vec<Exception>,
    /// How long an image must have been known before it is served: after the later of its verified time and its first
    /// sighting here.
    pub(crate) cooldown: Option<Duration>,
    /// Whether a tag may not move to an older digest or one by another signer.
    pub(crate) tag_guard: bool,
}

/// Whether a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It only watches: what it would refuse is served with a warning.
    Audit,
    /// It decides.
    Enforce,
}

/// An attestation that must be there.
#[derive(Debug, Clone)]
pub(crate) struct AttestationRule {
    pub(crate) predicate_type: PredicateType,
    /// Who must have signed it; `None`: a signer who met an entry of `signatures`, with the claims that it asks for.
    pub(crate) signer: Option<Attestor>,
    /// Which of several statements must meet it.
    pub(crate) matching: Match,
    /// How old a statement may be that counts, by the earliest of its verified times.
    pub(crate) max_age: Option<Duration>,
    /// Which manifests of an index must carry it.
    pub(crate) sbom_on: SbomOn,
    /// What its content must be.
    pub(crate) checks: Checks,
    /// Expressions its content must satisfy.
    pub(crate) condition: Condition,
}

/// Which of the statements that are of an entry's type, by its identities and young enough, must meet its conditions.
///
/// [`Any`](Self::Any) is the one that nobody can change by adding or by withholding to their advantage: what is added turns
/// no yes into a no, what is withheld no no into a yes. The others say more about documents that outdate each other, and are
/// open to withholding: who can hide a statement from us can hide the one that refuses. So they are bounded by an age,
/// after which what is left of the evidence no longer counts. Who can only add hides nothing: where a limit ends the search,
/// or what might be one of them cannot be verified, the gate takes it that they do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Every one of them; there is at least one.
    All,
    /// One of them.
    Any,
    /// The newest by verified time. Where several signers are wanted, the newest of each entry; of alternatives, the newest of
    /// all of them. Of those that are equally new, every one.
    Newest,
}

/// Which manifests must carry an SBOM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SbomOn {
    /// Every platform of an index; an image that is no index itself.
    EachPlatform,
    /// The subject, else every platform.
    Either,
    /// The subject.
    Subject,
}

impl AttestationRule {
    /// Whether its statements outdate each other, so that what meets it is always new.
    pub(crate) fn outdates(&self) -> bool {
        self.max_age.is_some() || self.matching != Match::Any || self.checks.bounds_age()
    }

    /// An attestation of this type by a signer of the image, and nothing more.
    pub(crate) fn of(predicate_type: PredicateType) -> Self {
        Self {
            predicate_type,
            signer: None,
            matching: Match::Any,
            max_age: None,
            sbom_on: SbomOn::Subject,
            checks: Checks::default(),
            condition: Condition::default(),
        }
    }
}

impl Policy {
    /// Whether it names `image`.
    #[must_use]
    pub fn names(&self, image: &ImageName) -> bool {
        let among = |patterns: &[ImagePattern]| patterns.iter().any(|pattern| pattern.matches(image));
        among(&self.images) && !among(&self.exclude)
    }

    /// Whether it can name any image of `host`.
    #[must_use]
    pub fn names_host(&self, host: &Host) -> bool {
        self.images.iter().any(|pattern| pattern.names_host(host))
    }

    /// Whether several statements are looked at together (`match: all` or `newest`), so that one that was not seen might have
    /// made a no of a yes.
    #[must_use]
    pub fn weighs_all_evidence(&self) -> bool {
        self.attestations.iter().any(|rule| rule.matching != Match::Any)
    }

    /// The same of statements about an index's platforms.
    #[must_use]
    pub fn weighs_all_of_platforms(&self) -> bool {
        self.attestations.iter().any(|rule| rule.matching != Match::Any && rule.sbom_on != SbomOn::Subject)
    }

    /// Whether an attestation that says itself that it is of this type, and was logged then at the latest, might be one of those
    /// that are weighed together where the policy holds on `held`: or, by an exception, be asked for at all.
    #[must_use]
    pub fn might_count(
        &self,
        held: &Held,
        about: About,
        predicate_type: &str,
        logged_at: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let is_young = |rule: &AttestationRule| {
            let age = logged_at.map(|at| now.duration_since(at));
            let max_age = rule.max_age.and_then(|most| SignedDuration::try_from(most).ok());
            age.zip(max_age).is_none_or(|(age, most)| age < most)
        };
        // Under an exception nothing was weighed.
        let asks = |rule: &AttestationRule| about == About::Image || rule.sbom_on != SbomOn::Subject;
        let is_new = |at: usize, rule: &AttestationRule| match held.weighed.get(&(at, about)) {
            _ if held.exception.is_some() => asks(rule),
            Some(from) => rule.matching != Match::Any && logged_at.zip(*from).is_none_or(|(logged_at, from)| logged_at >= from),
            None => false,
        };
        let counts = |(at, rule): (usize, &AttestationRule)| {
            // Its age is waived too.
            rule.predicate_type.covers(predicate_type) && (held.exception.is_some() || is_young(rule)) && is_new(at, rule)
        };
        self.attestations.iter().enumerate().any(counts)
    }

    /// Whether its cooldown is counted from attestations, because it asks for no signature.
    pub(crate) fn cools_from_attestations(&self) -> bool {
        self.signatures.is_empty() && self.cooldown.is_some()
    }

    /// Whether it asks for any evidence at all.
    #[must_use]
    pub const fn asks_for_evidence(&self) -> bool {
        !self.signatures.is_empty() || !self.attestations.is_empty()
    }

    /// Whether it asks for attestations on an index's platforms, be it instead of on the index.
    #[must_use]
    pub fn asks_platforms(&self) -> bool {
        self.attestations.iter().any(|rule| rule.sbom_on != SbomOn::Subject)
    }

    /// Every identity it names, of signatures and attestations.
    #[must_use]
    pub fn identities(&self) -> Vec<&Identity> {
        let attesters = self.attestations.iter().filter_map(|rule| rule.signer.as_ref());
        self.signatures.iter().chain(attesters).flat_map(Attestor::identities).collect()
    }

    /// Whether it asks what the trust root called `name` proves.
    #[must_use]
    pub fn asks_root(&self, name: &str) -> bool {
        self.identities().iter().any(|identity| *identity.trust_root == *name)
    }

    /// Whether it asks for a log's inclusion proof, in so many words.
    #[must_use]
    pub fn wants_proof(&self) -> bool {
        self.log == LogEvidence::Proof
    }

    /// Whether it decides or watches.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How long an image must have been known before it is served, if it must.
    #[must_use]
    pub const fn cooldown(&self) -> Option<Duration> {
        self.cooldown
    }

    /// Whether a tag may not move to an older digest or one by another signer.
    #[must_use]
    pub const fn tag_guard(&self) -> bool {
        self.tag_guard
    }
}

#[cfg(test)]
mod tests;
