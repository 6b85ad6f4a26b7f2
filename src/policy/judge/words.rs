//! What evidence is, and who is wanted, in a few words.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::gap::{NAME_OF_SEVERAL, WHOLE};
use crate::{
    policy::{
        Attestor,
        matching::Need,
        sentence::{any_of, apart, short},
    },
    verify::{DEFAULT_TRUST_ROOT, LogEvidence, Proven, Verified},
};

/// Whoever would do, in a few words.
pub(super) fn named(attestor: &Attestor, max: usize) -> String {
    let each = max.min(NAME_OF_SEVERAL);
    let any = |entries: &[Attestor]| {
        let names: Vec<String> = entries.iter().map(|entry| named(entry, WHOLE)).collect();
        any_of(&apart(&names, each), each)
    };
    match attestor {
        Attestor::Keyless(identity) => short(&identity.subject.to_string(), max),
        Attestor::AnyOf(entries) => any(entries),
        Attestor::AllOf(entries) => format!("all of {}", any(entries).replace(" or ", " and ")),
        Attestor::Count { count, of } => format!("{count} of {}", any(of)),
    }
}

/// The subjects of those who would do for some entry.
pub(super) fn signers_in(needs: &[Need], facts: &[Verified]) -> String {
    let signers: BTreeSet<(usize, &str)> = needs
        .iter()
        .flat_map(Need::offers)
        .filter_map(|offer| Some((offer.signer, facts.get(offer.fact)?.signer.subject.as_str())))
        .collect();
    any_of(&signers.into_iter().map(|(_, subject)| subject.to_owned()).collect::<Vec<_>>(), 50).replace(" or ", " and ")
}

/// The types of attestations there are.
pub(super) fn types(facts: &[Verified]) -> String {
    let types: BTreeSet<&str> = facts
        .iter()
        .filter_map(|fact| match &fact.content {
            Proven::Attestation(statement) => Some(statement.predicate_type.as_str()),
            Proven::File | Proven::Signature => None,
        })
        .collect();
    if types.is_empty() {
        return "none".to_owned();
    }
    any_of(&types.into_iter().map(str::to_owned).collect::<Vec<_>>(), 40).replace(" or ", " and ")
}

/// When something was made.
pub(super) fn when(made: Option<Timestamp>) -> String {
    made.map_or_else(|| "at no known time".to_owned(), |made| format!("{made:.0}"))
}

/// What there is where a proof is wanted.
pub(super) const fn logged(fact: &Verified) -> &'static str {
    match fact.log {
        LogEvidence::Absent => "no log entry",
        LogEvidence::Promise | LogEvidence::Proof => "a promise (SET) only",
    }
}

/// What a fact is, on one line.
pub(super) fn told(fact: &Verified) -> String {
    let what = match &fact.content {
        Proven::Attestation(statement) => format!("attestation {}", short(&statement.predicate_type, 100)),
        Proven::File => "signature of a file".to_owned(),
        Proven::Signature => "signature".to_owned(),
    };
    let log = match fact.log {
        LogEvidence::Absent => "no log",
        LogEvidence::Promise => "log promise",
        LogEvidence::Proof => "log proof",
    };
    let root = if *fact.signer.trust_root == *DEFAULT_TRUST_ROOT {
        String::new()
    } else {
        format!(", trust root {}", short(&fact.signer.trust_root, 63))
    };
    let made = fact.times.iter().min().map(|made| format!(", made {made:.0}")).unwrap_or_default();
    let (subject, issuer) = (short(&fact.signer.subject, 200), short(&fact.signer.issuer, 100));
    format!("{what} by {subject} of issuer {issuer} ({log}{root}{made})")
}
