//! The judgement: each requirement against each proven fact, and one clause for the person when it fails.
//!
//! Every check asks whether *some* fact, on its own, is what a rule wants. So nothing that is added to an image, by
//! whomever, can take an admission away, and two half-right bundles never make a whole (I5, Kyverno #14500).

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    AttestationRule, Case, Held, Policy, Reason, SignatureRule, Signed, Unmet,
    checks::{CheckFailure, Checked},
    identity::{Identity, Mismatch},
    sentence::{any_of, short},
    spdx::SpdxError,
};
use crate::verify::{LogEvidence, Proven, Signer, Statement, Verified};

/// Bytes of [`Unmet::summary`].
const SUMMARY: usize = 200;
/// Bytes of a subject or type in a summary.
const NAME: usize = 75;
/// Bytes of one line of [`Unmet::details`], and how many there are.
const DETAIL: usize = 512;
const DETAILS: usize = 120;

/// Why a fact does not meet a rule, the nearest miss last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Miss<'f> {
    /// Not one of those who signed the image.
    NotTheSigner,
    Signer(Mismatch<'f>),
    Log,
    Malformed(SpdxError),
    Failed(CheckFailure),
}

impl Miss<'_> {
    const fn nearness(&self) -> u8 {
        match self {
            Self::NotTheSigner | Self::Signer(Mismatch::Subject) => 0,
            Self::Signer(Mismatch::Issuer) => 1,
            Self::Signer(Mismatch::Claim { .. }) => 2,
            Self::Log => 3,
            Self::Malformed(_) => 4,
            Self::Failed(_) => 5,
        }
    }
}

/// A rule that no fact meets.
struct Gap {
    reason: Reason,
    summary: String,
}

impl Policy {
    /// Whether what is proven satisfies this policy. Each fact is judged alone: claims are never
    /// merged across bundles. Adding facts never turns a yes into a no.
    ///
    /// Reads SPDX documents, so this is CPU work as verification is: call it off the async threads.
    ///
    /// # Errors
    /// What is still wanted.
    pub fn judge(&self, case: &Case<'_>) -> Result<Held, Unmet> {
        let Case { subject, facts, .. } = *case;
        let mut valid_until = None;
        let mut gaps = Vec::new();
        let mut details = Vec::new();

        let signatures: Vec<&Verified> = facts.iter().filter(|fact| matches!(fact.content, Proven::Signature)).collect();
        let mut signers: Vec<&Signer> = Vec::new();
        let (mut signed, mut signed_at) = (Vec::new(), None);
        for (i, rule) in self.signatures.iter().enumerate() {
            let mut misses = Vec::new();
            let mut first = None;
            for fact in &signatures {
                match self.meets(&rule.signer, fact) {
                    Ok(()) => {
                        signers.push(&fact.signer);
                        let counted = Signed::of(fact);
                        first = earliest(first, Some(counted.at));
                        if !signed.contains(&counted) {
                            signed.push(counted);
                        }
                    }
                    Err(miss) => misses.push((*fact, miss)),
                }
            }
            // Each rule is met from its first signature on; all of them from the last of those.
            signed_at = signed_at.max(first);
            if misses.len() == signatures.len() {
                details.push(format!("signatures[{i}]: wants {}", wanted(&rule.signer)));
                gaps.push(signature_gap(rule, &misses, facts));
            }
        }

        for (i, rule) in self.attestations.iter().enumerate() {
            let of_type = facts.iter().filter_map(|fact| match &fact.content {
                Proven::Attestation(statement) if rule.predicate_type.covers(&statement.predicate_type) => {
                    Some((fact, statement))
                }
                Proven::Attestation(_) | Proven::File | Proven::Signature => None,
            });
            let mut misses = Vec::new();
            let mut met = false;
            for (fact, statement) in of_type {
                match self.attests(rule, &signers, case, fact, statement) {
                    Ok(checked) => {
                        valid_until = earliest(valid_until, checked.valid_until);
                        met = true;
                        break;
                    }
                    Err(miss) => misses.push((fact, miss)),
                }
            }
            if !met {
                let by = rule.signer.as_ref().map_or_else(|| "a signer of the image".to_owned(), wanted);
                details.push(format!("attestations[{i}]: wants {} by {by}", rule.predicate_type));
                gaps.push(attestation_gap(rule, &signers, &misses, facts));
            }
        }

        let Some(first) = gaps.first() else { return Ok(Held { valid_until, exception: None, signed, signed_at }) };
        let (reason, summary) = (first.reason, short(&first.summary, SUMMARY));
        details.extend(gaps.iter().map(|gap| gap.summary.clone()));
        details.extend(facts.iter().map(|fact| format!("found about {}: {}", subject.short(), told(fact))));
        if facts.is_empty() {
            details.push(format!("found about {}: no verified signature or attestation", subject.short()));
        }
        details.truncate(DETAILS);
        let details = details.iter().map(|detail| short(detail, DETAIL)).collect();
        Err(Unmet { policy: self.name.clone(), summary, reason, details, wants_platforms: false })
    }

    fn meets<'f>(&self, identity: &Identity, fact: &'f Verified) -> Result<(), Miss<'f>> {
        identity.check(&fact.signer).map_err(Miss::Signer)?;
        if fact.log.meets(self.log) { Ok(()) } else { Err(Miss::Log) }
    }

    fn attests<'f>(
        &self,
        rule: &AttestationRule,
        signers: &[&Signer],
        case: &Case<'_>,
        fact: &'f Verified,
        statement: &Statement,
    ) -> Result<Checked, Miss<'f>> {
        match &rule.signer {
            Some(identity) => self.meets(identity, fact)?,
            // Literally one who signed this digest and met a signature rule. Meeting the pattern again is not enough:
            // a pattern may cover many workflows, and only this one vouched for the image (A1).
            None if !signers.iter().any(|signer| same_name(signer, &fact.signer)) => return Err(Miss::NotTheSigner),
            None if !fact.log.meets(self.log) => return Err(Miss::Log),
            None => {}
        }
        // Last, so that only an allowed signer can make us read a large document.
        rule.predicate_type.check(statement).map_err(Miss::Malformed)?;
        let checked = rule.checks.judge(&rule.predicate_type, statement, case.now).map_err(Miss::Failed)?;
        rule.condition.judge(case, fact, statement).map_err(Miss::Failed)?;
        Ok(checked)
    }
}

/// The earlier of two ends, where there is one.
fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn same_name(a: &Signer, b: &Signer) -> bool {
    a.trust_root == b.trust_root && a.issuer == b.issuer && a.subject == b.subject && a.san_kind == b.san_kind
}

fn nearest<'m, 'f>(misses: &'m [(&'f Verified, Miss<'f>)]) -> Option<&'m (&'f Verified, Miss<'f>)> {
    // The first of the nearest, for a stable sentence.
    misses.iter().rev().max_by_key(|(_, miss)| miss.nearness())
}

fn signature_gap(rule: &SignatureRule, misses: &[(&Verified, Miss<'_>)], facts: &[Verified]) -> Gap {
    let identity = &rule.signer;
    let who = short(&identity.subject.to_string(), NAME);
    let Some((fact, miss)) = nearest(misses) else {
        let found = match facts.first().map(|fact| &fact.content) {
            // `cosign attest` without `cosign sign`: worth a word, because cosign 3's own verify accepts it.
            Some(Proven::Attestation(_)) => "only attestations, which are no signature",
            Some(Proven::File) => "a signature of its bytes as a file, which is none of an image",
            Some(Proven::Signature) | None => "none",
        };
        return Gap { reason: Reason::SignatureMissing, summary: format!("wants a signature by {who}; found {found}") };
    };
    match miss {
        Miss::Signer(Mismatch::Issuer) => Gap {
            reason: Reason::IssuerMismatch,
            summary: format!(
                "wants a signature by {} of issuer {}; found issuer {}",
                short(&who, 60),
                short(&identity.issuer.to_string(), 50),
                short(&fact.signer.issuer, 50)
            ),
        },
        Miss::Signer(Mismatch::Claim { name, found }) => {
            Gap { reason: Reason::ClaimMismatch, summary: format!("{} (signer {who})", claim(identity, name, *found)) }
        }
        Miss::Log => Gap {
            reason: Reason::LogProofMissing,
            summary: format!("wants a log's inclusion proof of the signature by {who}; found {}", logged(fact)),
        },
        // The last three cannot be misses of a signature rule; an identity that does not match is the general case.
        Miss::Signer(Mismatch::Subject) | Miss::NotTheSigner | Miss::Malformed(_) | Miss::Failed(_) => {
            Gap { reason: Reason::IdentityMismatch, summary: format!("wants a signature by {who}; found {}", signers_of(misses)) }
        }
    }
}

fn attestation_gap(rule: &AttestationRule, signers: &[&Signer], misses: &[(&Verified, Miss<'_>)], facts: &[Verified]) -> Gap {
    let kind = short(&rule.predicate_type.to_string(), NAME);
    let who = match (&rule.signer, signers) {
        (Some(identity), _) => short(&identity.subject.to_string(), NAME),
        (None, [signer, ..]) => short(&signer.subject, NAME),
        (None, []) => "the image's signer".to_owned(),
    };
    let Some((fact, miss)) = nearest(misses) else {
        let types: BTreeSet<&str> = facts
            .iter()
            .filter_map(|fact| match &fact.content {
                Proven::Attestation(statement) => Some(statement.predicate_type.as_str()),
                Proven::File | Proven::Signature => None,
            })
            .collect();
        let found = if types.is_empty() {
            "none".to_owned()
        } else {
            any_of(&types.into_iter().map(str::to_owned).collect::<Vec<_>>(), 40).replace(" or ", " and ")
        };
        return Gap {
            reason: Reason::AttestationMissing,
            summary: format!("wants an attestation of type {kind}; found {found}"),
        };
    };
    let identity_mismatch = |summary| Gap { reason: Reason::AttestationIdentityMismatch, summary };
    match miss {
        Miss::Signer(Mismatch::Claim { name, found }) => match &rule.signer {
            Some(identity) => identity_mismatch(format!("attestation {}: {}", short(&kind, 40), claim(identity, name, *found))),
            None => identity_mismatch(format!("wants an attestation of type {kind} by {who}")),
        },
        Miss::Signer(Mismatch::Issuer) => identity_mismatch(format!(
            "wants an attestation of type {} by {}; found one of issuer {}",
            short(&kind, 40),
            short(&who, 60),
            short(&fact.signer.issuer, 50)
        )),
        Miss::Signer(Mismatch::Subject) | Miss::NotTheSigner => identity_mismatch(format!(
            "wants an attestation of type {} by {}; found {}",
            short(&kind, 40),
            short(&who, 60),
            signers_of(misses)
        )),
        Miss::Log => Gap {
            reason: Reason::LogProofMissing,
            summary: format!("wants a log's inclusion proof of the attestation {kind}; found {}", logged(fact)),
        },
        Miss::Malformed(error) => Gap {
            reason: Reason::AttestationMalformed,
            summary: format!(
                "wants an attestation of type {}; its predicate {}",
                short(&kind, 40),
                short(&error.to_string(), 110)
            ),
        },
        Miss::Failed(CheckFailure { reason, summary }) => {
            Gap { reason: *reason, summary: format!("attestation {}: {summary}", short(&kind, 40)) }
        }
    }
}

/// What there is where a proof is wanted.
const fn logged(fact: &Verified) -> &'static str {
    match fact.log {
        LogEvidence::Absent => "no log entry",
        LogEvidence::Promise | LogEvidence::Proof => "a promise (SET) only",
    }
}

fn claim(identity: &Identity, name: &str, found: Option<&str>) -> String {
    let wanted = identity.claims.get(name).map(|values| any_of(values, 50)).unwrap_or_default();
    match found {
        Some(found) => format!("wants claim {name} {}; found {}", short(&wanted, 60), short(found, 50)),
        None => format!("wants claim {name} {}; the certificate has no such claim", short(&wanted, 60)),
    }
}

/// `one by X`, `2 by others, X among them`.
fn signers_of(misses: &[(&Verified, Miss<'_>)]) -> String {
    let subjects: BTreeSet<&str> = misses.iter().map(|(fact, _)| fact.signer.subject.as_str()).collect();
    let first = nearest(misses).map(|(fact, _)| short(&fact.signer.subject, NAME - 10)).unwrap_or_default();
    match subjects.len() {
        0 | 1 => format!("one by {first}"),
        more => format!("one by {first} and by {} more", more - 1),
    }
}

fn wanted(identity: &Identity) -> String {
    let claims: String = identity.claims.iter().map(|(name, values)| format!(", {name} {}", any_of(values, 100))).collect();
    format!("{} of issuer {}{claims}", identity.subject, identity.issuer)
}

fn told(fact: &Verified) -> String {
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
    format!("{what} by {} of issuer {} ({log})", short(&fact.signer.subject, 200), short(&fact.signer.issuer, 100))
}
