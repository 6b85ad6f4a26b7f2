//! What a requirement that is not met says to a person: what was wanted, and the nearest thing to it that was found.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    count::of_count,
    words::{logged, named, told, types, when},
};
use crate::{
    policy::{
        Attestor, Reason,
        checks::CheckFailure,
        documents::DocumentError,
        identity::{Identity, Mismatch},
        matching::Need,
        sentence::{any_of, short},
    },
    verify::{DEFAULT_TRUST_ROOT, Proven, Verified},
    yaml::as_written,
};

/// Bytes of a subject or type in a summary.
pub(super) const NAME: usize = 75;
/// Bytes of several subjects in a summary, and of each.
const NAMES: usize = 95;
pub(super) const NAME_OF_SEVERAL: usize = 28;
/// Bytes of a name before it is cut beside others.
pub(super) const WHOLE: usize = 512;
/// Lines of details about one requirement.
const LINES: usize = 16;

/// A requirement that is not met.
pub(super) struct Gap {
    pub(super) reason: Reason,
    pub(super) summary: String,
    /// Further lines for who asks for all of it.
    pub(super) details: Vec<String>,
    /// Facts about platforms could meet it, and nobody has looked for them.
    pub(super) wants_platforms: bool,
}

/// Why a fact does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss<'f> {
    /// Not one of those who signed the image.
    NotTheSigner,
    Signer(Mismatch<'f>),
    Log,
    Old {
        max_age: Duration,
        made: Option<Timestamp>,
    },
    Malformed(DocumentError),
    Failed(CheckFailure),
}

/// A fact that does not do, and the identity it came nearest to.
pub(super) struct Near<'i, 'f> {
    pub(super) fact: &'f Verified,
    pub(super) identity: Option<&'i Identity>,
    pub(super) miss: Miss<'f>,
}

/// What is wanted.
pub(super) enum What<'w> {
    /// An attestation of this type.
    Attestation(&'w str),
    Signature,
}

impl Gap {
    pub(super) const fn new(reason: Reason, summary: String) -> Self {
        Self { reason, summary, details: Vec::new(), wants_platforms: false }
    }
}

impl Near<'_, '_> {
    pub(super) const fn nearness(&self) -> u8 {
        match &self.miss {
            Miss::NotTheSigner | Miss::Signer(Mismatch::Subject) => 0,
            Miss::Signer(Mismatch::SubjectInPart) => 1,
            Miss::Signer(Mismatch::Issuer) => 2,
            Miss::Signer(Mismatch::IssuerInPart) => 3,
            Miss::Signer(Mismatch::TrustRoot) => 4,
            Miss::Signer(Mismatch::Claim { .. }) => 5,
            Miss::Log => 6,
            Miss::Old { .. } => 7,
            Miss::Malformed(_) => 8,
            Miss::Failed(_) if self.is_denied() => 10,
            Miss::Failed(_) => 9,
        }
    }

    /// Whether the deny-list names what it lists: whatever else is wrong, an incident is told first.
    pub(super) const fn is_denied(&self) -> bool {
        matches!(self.miss, Miss::Failed(CheckFailure { reason: Reason::Denied, .. }))
    }
}

/// Of an attestor that is not met; `need` is what it needs, and `misses` says why each fact does not do for one of some
/// identities.
pub(super) fn of_attestor<'a, 'f>(
    what: &What<'_>,
    attestor: &'a Attestor,
    need: &Need,
    misses: &dyn Fn(&[&'a Identity]) -> Vec<Near<'a, 'f>>,
    facts: &[Verified],
) -> Gap {
    let misses_of = |attestor: &'a Attestor| misses(&attestor.identities());
    match (attestor, need) {
        (Attestor::AnyOf(entries), Need::Any(needs)) => {
            let misses_of = misses_of(attestor);
            let gap = of_one(what, &named(attestor, NAME), &misses_of, facts);
            // All that is there does, for a part of an alternative: what that one still lacks is told, and the others after it.
            match entries.iter().zip(needs).find(|(_, need)| !need.offers().is_empty()) {
                Some((entry, need)) if misses_of.is_empty() => {
                    let begun = of_attestor(what, entry, need, misses, facts);
                    Gap { details: [begun.details, vec![gap.summary]].concat(), ..begun }
                }
                Some(_) | None => gap,
            }
        }
        // The newest of all alternatives does, and no alternative is met.
        (_, Need::Beside(newest, need)) if !newest.is_empty() => of_attestor(what, attestor, need, misses, facts),
        (Attestor::AllOf(entries), Need::All(needs)) => {
            let missing = entries.iter().zip(needs).find(|(_, need)| !need.met(&|_| true));
            let (entry, need) = missing.unwrap_or((attestor, need));
            if std::ptr::eq(entry, attestor) {
                of_one(what, &named(attestor, NAME), &misses_of(attestor), facts)
            } else {
                of_attestor(what, entry, need, misses, facts)
            }
        }
        (Attestor::Count { count, of }, Need::Count { of: needs, .. }) => of_count(what, *count, of, needs, misses, facts),
        _ => of_one(what, &named(attestor, NAME), &misses_of(attestor), facts),
    }
}

/// Of something that one signer, called `who`, could meet.
pub(super) fn of_one(what: &What<'_>, who: &str, misses: &[Near<'_, '_>], facts: &[Verified]) -> Gap {
    let Some(near) = nearest(misses) else {
        let (found, wants) = match what {
            What::Attestation(kind) => (types(facts), format!("wants an attestation of type {}", short(kind, NAME))),
            What::Signature => (no_signature(facts).to_owned(), format!("wants a signature by {}", short(who, NAMES))),
        };
        return Gap::new(what.missing(), format!("{wants}; found {found}"));
    };
    // Where one identity of several was nearly met, the sentence is about that one.
    let who = match near.identity.filter(|_| near.nearness() > 0) {
        Some(identity) => short(&identity.subject.to_string(), NAME),
        None => short(who, NAMES),
    };
    let wants = what.wants(&who);
    let (reason, summary) = match &near.miss {
        Miss::NotTheSigner | Miss::Signer(Mismatch::Subject) => {
            (what.mismatch(), format!("{wants}; found {}", signers_of(misses)))
        }
        Miss::Signer(mismatch) => signer(what, &who, near, mismatch),
        Miss::Log => (
            Reason::LogProofMissing,
            match what {
                What::Attestation(kind) => {
                    format!("wants a log's inclusion proof of the attestation {}; found {}", short(kind, NAME), logged(near.fact))
                }
                What::Signature => {
                    format!("wants a log's inclusion proof of the signature by {who}; found {}", logged(near.fact))
                }
            },
        ),
        Miss::Old { max_age, made } => {
            let (wanted, made) = (as_written(*max_age), when(*made));
            let reason = match what {
                What::Attestation(_) => Reason::AttestationTooOld,
                What::Signature => Reason::SignatureTooOld,
            };
            (reason, format!("{wants}, at most {wanted} old; found one made {made}"))
        }
        Miss::Malformed(error) => {
            (Reason::AttestationMalformed, format!("{}; its predicate {}", what.wants_some(), short(&error.to_string(), 110)))
        }
        Miss::Failed(CheckFailure { reason, summary }) => (*reason, format!("{}: {summary}", what.label())),
    };
    Gap { details: lines(misses), ..Gap::new(reason, summary) }
}

/// The right subject, but something else about the signer is wrong.
fn signer(what: &What<'_>, who: &str, near: &Near<'_, '_>, mismatch: &Mismatch<'_>) -> (Reason, String) {
    let found = &near.fact.signer;
    let issuer = near.identity.map(|identity| short(&identity.issuer.to_string(), 50)).unwrap_or_default();
    let of_attestation = |code| if matches!(what, What::Signature) { code } else { Reason::AttestationIdentityMismatch };
    match mismatch {
        Mismatch::Subject | Mismatch::SubjectInPart => (
            what.mismatch(),
            format!(
                "{}; found {}, which the regex matches in part only: it must match all of it",
                what.wants(&short(who, 45)),
                short(&found.subject, 50)
            ),
        ),
        Mismatch::Issuer => (
            of_attestation(Reason::IssuerMismatch),
            match what {
                What::Attestation(_) => format!("{}; found one of issuer {}", what.wants(who), short(&found.issuer, 50)),
                What::Signature => {
                    format!("{} of issuer {issuer}; found issuer {}", what.wants(&short(who, 60)), short(&found.issuer, 50))
                }
            },
        ),
        Mismatch::IssuerInPart => (
            of_attestation(Reason::IssuerMismatch),
            format!(
                "{}wants issuer {}; found {}, which the regex matches in part only: it must match all of it",
                what.prefix(),
                short(&issuer, 40),
                short(&found.issuer, 50)
            ),
        ),
        Mismatch::TrustRoot => {
            let wanted = near.identity.map_or(DEFAULT_TRUST_ROOT, |identity| &*identity.trust_root);
            (
                of_attestation(Reason::TrustRootMismatch),
                format!(
                    "{} under trust root {wanted}; found one under {}",
                    what.wants(&short(who, 60)),
                    short(&found.trust_root, 40)
                ),
            )
        }
        Mismatch::Claim { name, found } => {
            let clause = claim(near, name, *found);
            // An attester's claim is told as a signer's is: whoever reads the code looks for the claim, not for another signer.
            let code = if found.is_some() { Reason::ClaimMismatch } else { Reason::ClaimMissing };
            match what {
                What::Attestation(_) => (code, format!("{}{clause}", what.prefix())),
                What::Signature => (code, format!("{clause} (signer {who})")),
            }
        }
    }
}

/// Which claim is wanted, and what there is.
fn claim(near: &Near<'_, '_>, name: &str, found: Option<&str>) -> String {
    let wanted = near.identity.and_then(|identity| identity.claims.get(name));
    let wanted: Vec<String> = wanted.into_iter().flatten().map(ToString::to_string).collect();
    let found =
        found.map_or_else(|| "the certificate has no such claim".to_owned(), |found| format!("found {}", short(found, 50)));
    format!("wants claim {name} {}; {found}", short(&any_of(&wanted, 50), 60))
}

/// What about a signer is almost right; `None` where the subject is not even in part.
fn almost(near: &Near<'_, '_>, mismatch: &Mismatch<'_>) -> Option<String> {
    let identity = near.identity?;
    Some(match mismatch {
        Mismatch::Subject => return None,
        Mismatch::SubjectInPart => format!("subject {} matches it in part only", short(&identity.subject.to_string(), NAME)),
        Mismatch::Issuer => format!("wants issuer {}", short(&identity.issuer.to_string(), NAME)),
        Mismatch::IssuerInPart => format!("issuer {} matches it in part only", short(&identity.issuer.to_string(), NAME)),
        Mismatch::TrustRoot => format!("wants trust root {}", identity.trust_root),
        Mismatch::Claim { name, found } => claim(near, name, *found),
    })
}

impl What<'_> {
    fn wants(&self, who: &str) -> String {
        match self {
            Self::Attestation(kind) => format!("wants an attestation of type {} by {}", short(kind, 40), short(who, 60)),
            Self::Signature => format!("wants a signature by {who}"),
        }
    }

    fn wants_some(&self) -> String {
        match self {
            Self::Attestation(kind) => format!("wants an attestation of type {}", short(kind, 40)),
            Self::Signature => "wants a signature".to_owned(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Attestation(kind) => format!("attestation {}", short(kind, 40)),
            Self::Signature => "signature".to_owned(),
        }
    }

    /// Before a clause that is not yet about this.
    fn prefix(&self) -> String {
        match self {
            Self::Attestation(_) => format!("{}: ", self.label()),
            Self::Signature => String::new(),
        }
    }

    pub(super) const fn missing(&self) -> Reason {
        match self {
            Self::Attestation(_) => Reason::AttestationMissing,
            Self::Signature => Reason::SignatureMissing,
        }
    }

    pub(super) const fn mismatch(&self) -> Reason {
        match self {
            Self::Attestation(_) => Reason::AttestationIdentityMismatch,
            Self::Signature => Reason::IdentityMismatch,
        }
    }
}

/// The first of the nearest, for a stable sentence.
pub(super) fn nearest<'m, 'i, 'f>(misses: &'m [Near<'i, 'f>]) -> Option<&'m Near<'i, 'f>> {
    misses.iter().rev().max_by_key(|near| near.nearness())
}

/// `one by X`, `2 by others, X among them`.
pub(super) fn signers_of(misses: &[Near<'_, '_>]) -> String {
    let subjects: BTreeSet<&str> = misses.iter().map(|near| near.fact.signer.subject.as_str()).collect();
    let first = nearest(misses).map(|near| short(&near.fact.signer.subject, NAME - 10)).unwrap_or_default();
    match subjects.len() {
        0 | 1 => format!("one by {first}"),
        more => format!("one by {first} and by {} more", more - 1),
    }
}

const fn no_signature(facts: &[Verified]) -> &'static str {
    match facts.first() {
        // `cosign attest` without `cosign sign`: worth a word, because cosign 3's own verify accepts it.
        Some(Verified { content: Proven::Attestation(_), .. }) => "only attestations, which are no signature",
        Some(Verified { content: Proven::File, .. }) => "a signature of its bytes as a file, which is none of an image",
        Some(Verified { content: Proven::Signature, .. }) | None => "none",
    }
}

/// A line for each fact that does not do although its signer is, or almost is, one of those allowed: whoever reads on wants
/// all of them.
pub(super) fn lines(misses: &[Near<'_, '_>]) -> Vec<String> {
    let line = |near: &Near<'_, '_>| {
        let why = match &near.miss {
            Miss::NotTheSigner => return None,
            Miss::Signer(mismatch) => almost(near, mismatch)?,
            Miss::Log => format!("the log gives {}", logged(near.fact)),
            Miss::Old { max_age, .. } => format!("older than {}", as_written(*max_age)),
            Miss::Malformed(error) => format!("its predicate {error}"),
            Miss::Failed(failure) => failure.summary.clone(),
        };
        Some(format!("{}: {why}", told(near.fact)))
    };
    misses.iter().filter_map(line).take(LINES).collect()
}
