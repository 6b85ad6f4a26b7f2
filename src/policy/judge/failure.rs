//! Why one piece of evidence does not count towards a requirement: what of it was wanted otherwise, and what it is.

use std::slice;

use super::{
    gap::{Miss, Near, What, of_one},
    words::{logged, when},
};
use crate::{
    policy::{
        identity::{Identity, Mismatch},
        requirement::{Failure, Part},
        sentence::{any_of, short},
    },
    verify::{Proven, Verified},
    yaml::as_written,
};

/// Bytes of what was wanted and of what was found, and of each of several.
const VALUE: usize = 200;
const VALUE_OF_SEVERAL: usize = 100;

/// How near comes what is not even of the type wanted.
pub(super) const OF_ANOTHER_TYPE: u8 = 0;

/// A piece that does not count, why, and how near it came.
pub(super) struct Failed<'f> {
    pub(super) nearness: u8,
    pub(super) fact: &'f Verified,
    pub(super) failure: Failure,
}

impl<'f> Failed<'f> {
    /// Of the type wanted; `who`: whoever may have signed it.
    pub(super) fn of(what: &What<'_>, who: &str, near: &Near<'_, 'f>) -> Self {
        let (fact, signer) = (near.fact, &near.fact.signer);
        let of_identity = |wanted: &dyn Fn(&Identity) -> String| near.identity.map(wanted);
        let (part, wanted, found) = match &near.miss {
            Miss::NotTheSigner => (Part::Signer, Some(who.to_owned()), Some(signer.subject.clone())),
            // Nothing says which of several was meant.
            Miss::Signer(Mismatch::Subject) => (Part::Subject, Some(who.to_owned()), Some(signer.subject.clone())),
            Miss::Signer(Mismatch::SubjectInPart) => {
                (Part::Subject, of_identity(&|identity| identity.subject.to_string()), Some(signer.subject.clone()))
            }
            Miss::Signer(Mismatch::Issuer | Mismatch::IssuerInPart) => {
                (Part::Issuer, of_identity(&|identity| identity.issuer.to_string()), Some(signer.issuer.clone()))
            }
            Miss::Signer(Mismatch::TrustRoot) => {
                (Part::TrustRoot, of_identity(&|identity| identity.trust_root.to_string()), Some(signer.trust_root.to_string()))
            }
            Miss::Signer(Mismatch::Claim { name, found }) => {
                let any = |identity: &Identity| {
                    let any: Vec<_> = identity.claims.get(name).into_iter().flatten().map(ToString::to_string).collect();
                    any_of(&any, VALUE_OF_SEVERAL)
                };
                (Part::Claim, of_identity(&any), found.map(str::to_owned))
            }
            Miss::Log => (Part::Log, Some("an inclusion proof".to_owned()), Some(logged(fact).to_owned())),
            Miss::Old { max_age, made } => {
                let wanted = format!("at most {} old", as_written(*max_age));
                (Part::Age, Some(wanted), Some(format!("made {}", when(*made))))
            }
            // What is said of these is a clause of its own.
            Miss::Malformed(_) => (Part::Document, None, None),
            Miss::Failed(_) => (Part::Content, None, None),
        };
        let claim = match &near.miss {
            Miss::Signer(Mismatch::Claim { name, .. }) => Some(*name),
            _ => None,
        };
        let why = of_one(what, who, slice::from_ref(near), &[]).summary;
        Self::new(OF_ANOTHER_TYPE + 1 + near.nearness(), fact, Failure { part, claim, wanted, found, why })
    }

    /// Of another type than `wanted`.
    pub(super) fn of_type(fact: &'f Verified, wanted: &str) -> Self {
        let found = match &fact.content {
            Proven::Attestation(statement) => format!("an attestation {}", short(&statement.predicate_type, VALUE_OF_SEVERAL)),
            Proven::File => "a signature of its bytes as a file".to_owned(),
            Proven::Signature => "a signature of the image".to_owned(),
        };
        let why = format!("wants {wanted}; found {found}");
        let failure = Failure { part: Part::Type, claim: None, wanted: Some(wanted.to_owned()), found: Some(found), why };
        Self::new(OF_ANOTHER_TYPE, fact, failure)
    }

    /// Good or not, a newer one speaks.
    pub(super) fn outdated(fact: &'f Verified) -> Self {
        let found = format!("made {}", when(fact.times.iter().min().copied()));
        let why = format!("a newer one speaks in its place (`match: newest`); found one {found}");
        let failure = Failure { part: Part::Newest, claim: None, wanted: None, found: Some(found), why };
        Self::new(u8::MAX, fact, failure)
    }

    fn new(nearness: u8, fact: &'f Verified, failure: Failure) -> Self {
        let Failure { part, claim, wanted, found, why } = failure;
        let brief = |text: String| short(&text, VALUE);
        let failure =
            Failure { part, claim, wanted: wanted.map(brief), found: found.map(brief), why: short(&why, super::DETAIL) };
        Self { nearness, fact, failure }
    }
}
