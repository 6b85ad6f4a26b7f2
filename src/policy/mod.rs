//! Which policies hold for an image, and whether the proven facts satisfy them.
//!
//! Every enforcing policy that names an image must hold; order means nothing, and nothing overrides anything (I15).
//! A policy asks for signatures and attestations; each entry is met by one proven fact on its own (I5).

mod checks;
mod condition;
pub mod deny;
mod fingerprint;
pub mod identity;
pub mod image;
mod judge;
mod parse;
pub mod pattern;
pub mod predicate;
mod sentence;
pub mod spdx;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::parse::{Parsed, parse};
use self::{
    checks::Checks, condition::Condition, deny::DenyList, fingerprint::fingerprint, identity::Identity, image::ImagePattern,
    predicate::PredicateType,
};
use jiff::Timestamp;

use crate::{
    oci::{Digest, Host, ImageName},
    verify::{DEFAULT_TRUST_ROOT, LogEvidence, Signer, Verified},
    yaml::{Problem, Problems},
};

/// All policies in force, immutable; a reload makes a new set.
#[derive(Debug, Clone)]
pub struct PolicySet {
    /// Sorted by name, so that the order of files means nothing.
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) deny: Arc<DenyList>,
}

/// What happens to images no policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// Served, with a warning.
    DangerousAllow,
    /// Refused.
    Deny,
}

/// Identifies a set of policies by their content: the SHA-256 of all that can change an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyId(pub Digest);

/// One policy. Built by this room's parser only.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name, unique.
    pub name: String,
    /// The images it names; at least one pattern.
    pub(crate) images: Vec<ImagePattern>,
    /// Whether it decides or watches.
    pub(crate) mode: Mode,
    /// How a log must vouch for each signature and attestation.
    pub(crate) log: LogEvidence,
    /// Each must be met.
    pub(crate) signatures: Vec<SignatureRule>,
    /// Each must be met.
    pub(crate) attestations: Vec<AttestationRule>,
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

/// A signature that must be there.
#[derive(Debug, Clone)]
pub(crate) struct SignatureRule {
    pub(crate) signer: Identity,
}

/// An attestation that must be there.
#[derive(Debug, Clone)]
pub(crate) struct AttestationRule {
    pub(crate) predicate_type: PredicateType,
    /// Who must have signed it; `None`: an issuer and subject that met a signature rule.
    pub(crate) signer: Option<Identity>,
    /// What its content must be.
    pub(crate) checks: Checks,
    /// Expressions its content must satisfy.
    pub(crate) condition: Condition,
}

impl AttestationRule {
    /// An attestation of this type by a signer of the image, and nothing more.
    pub(crate) fn of(predicate_type: PredicateType) -> Self {
        Self { predicate_type, signer: None, checks: Checks::default(), condition: Condition::default() }
    }
}

/// The policies that name an image.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Those that decide: every one must hold.
    pub enforce: Vec<Arc<Policy>>,
    /// Those that only watch.
    pub audit: Vec<Arc<Policy>>,
    /// What holds if both are empty.
    pub unmatched: Unmatched,
    /// What is denied whatever these say, and denied too if there are none.
    pub deny: Arc<DenyList>,
    /// Fingerprint of the above; part of every verdict's key.
    pub id: PolicyId,
}

/// What a policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct Case<'c> {
    /// The image, as policies name it.
    pub image: &'c ImageName,
    /// The SHA-256 digest of its manifest: what evidence is about.
    pub subject: &'c Digest,
    /// What is proven about that digest.
    pub facts: &'c [Verified],
    /// The platforms of an index, each with what is proven about it, where somebody looked. `None`: nobody has.
    pub platforms: Option<&'c [PlatformFacts]>,
    /// The time of judging, by the wall clock.
    pub now: Timestamp,
}

/// A child of an index and what is proven about it.
#[derive(Debug, Clone)]
pub struct PlatformFacts {
    /// The child's digest.
    pub digest: Digest,
    /// `os/architecture[/variant]`, as the index says.
    pub platform: String,
    /// What is proven about it.
    pub facts: Vec<Verified>,
}

/// A policy holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Until when, where something it rests on ends: an exception, a maximum age. `None`: as long as its evidence stands.
    pub valid_until: Option<Timestamp>,
    /// The exception that stood in for evidence, if one did.
    pub exception: Option<ExceptionUse>,
    /// Every signature that counted, with who made it; empty where none was asked for, or an exception stood in.
    pub signed: Vec<Signed>,
    /// When the last signature that was needed was there: the earliest time at which `signatures` was met by what had been
    /// signed until then. So who signs again, or signs beside, makes no image younger. `None` where no signature counted.
    pub signed_at: Option<Timestamp>,
}

/// A signature that counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who signed.
    pub signer: Signer,
    /// The newest of its verified times.
    pub at: Timestamp,
}

impl Signed {
    /// Of a proven signature.
    #[must_use]
    pub fn of(fact: &Verified) -> Self {
        // A fact without a verified time is none that the verifier makes; if there were one, it would be the youngest there is.
        Self { signer: fact.signer.clone(), at: fact.times.iter().max().copied().unwrap_or(Timestamp::MAX) }
    }
}

/// An exception that was used, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionUse {
    /// The policy it belongs to.
    pub policy: String,
    /// Why it was made, as the policy says.
    pub reason: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why a policy does not hold: what was wanted, what was found.
#[derive(Debug, Clone)]
pub struct Unmet {
    /// The policy's name.
    pub policy: String,
    /// One clause, at most about 200 bytes, printable ASCII: `wants a signature by …; found …`.
    pub summary: String,
    /// A code from a closed list, for machines and metrics.
    pub reason: Reason,
    /// The long form: every requirement, every piece considered.
    pub details: Vec<String>,
    /// Whether facts about an index's platforms could change this: nobody has looked ([`Case::platforms`] is `None`).
    pub wants_platforms: bool,
}

/// Why a policy does not hold, as a closed list (metric label, JSON).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An attestation of the type is there, by a signer not allowed.
    AttestationIdentityMismatch,
    /// No attestation of the type wanted.
    AttestationMissing,
    /// An attestation of the type is there, and is no such document.
    AttestationMalformed,
    /// The identity matched, a claim did not.
    ClaimMismatch,
    /// It has not been known for long enough.
    Cooldown,
    /// Signatures are there, none by an allowed identity.
    IdentityMismatch,
    /// Identity right, issuer wrong.
    IssuerMismatch,
    /// The log gives a promise where the policy wants a proof.
    LogProofMissing,
    /// No signature at all.
    SignatureMissing,
}

impl Reason {
    /// For metric labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttestationIdentityMismatch => "attestation_identity_mismatch",
            Self::AttestationMissing => "attestation_missing",
            Self::AttestationMalformed => "attestation_malformed",
            Self::ClaimMismatch => "claim_mismatch",
            Self::Cooldown => "cooldown",
            Self::IdentityMismatch => "identity_mismatch",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::LogProofMissing => "log_proof_missing",
            Self::SignatureMissing => "signature_missing",
        }
    }
}

impl PolicySet {
    /// The set of `parsed`, each with the file it stands in.
    ///
    /// # Errors
    /// Names used twice: a refusal names its policy, and must name one.
    pub fn new(parsed: Vec<(PathBuf, Parsed)>, unmatched: Unmatched) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut seen: HashMap<String, (PathBuf, u64)> = HashMap::new();
        let mut policies = Vec::new();
        for (file, Parsed { policy, name_at }) in parsed {
            match seen.get(&policy.name) {
                Some((first, line)) => problems.push(Problem {
                    file,
                    line: name_at.line,
                    column: name_at.column,
                    key: "name".into(),
                    message: format!("`{}` is the name of another policy, in {}:{line}", policy.name, first.display()),
                }),
                None => {
                    seen.insert(policy.name.clone(), (file, name_at.line));
                    policies.push(Arc::new(policy));
                }
            }
        }
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        if problems.is_empty() { Ok(Self { policies, unmatched, deny: Arc::default() }) } else { Err(Problems(problems)) }
    }

    /// The set of the policies in `text`, a policy file's content; `file` is named in problems.
    ///
    /// # Errors
    /// Every problem.
    pub fn from_text(file: &Path, text: &str, unmatched: Unmatched) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let parsed = parse(file, text, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Self::new(parsed.into_iter().map(|parsed| (file.to_owned(), parsed)).collect(), unmatched)
    }

    /// The policies that name `image`. Some microseconds a policy: callers on a hot path keep it.
    #[must_use]
    pub fn select(&self, image: &ImageName) -> Selection {
        let named = |mode: Mode| -> Vec<Arc<Policy>> {
            self.policies.iter().filter(|policy| policy.mode == mode && policy.names(image)).cloned().collect()
        };
        let (enforce, audit) = (named(Mode::Enforce), named(Mode::Audit));
        let id = fingerprint(enforce.iter().chain(&audit), self.unmatched, &self.deny);
        Selection { enforce, audit, unmatched: self.unmatched, deny: Arc::clone(&self.deny), id }
    }

    /// The same set under a deny-list, in place of the one it had.
    #[must_use]
    pub fn with_deny(self, deny: DenyList) -> Self {
        Self { deny: Arc::new(deny), ..self }
    }

    /// What is denied whatever the policies say.
    #[must_use]
    pub fn deny(&self) -> &DenyList {
        &self.deny
    }

    /// The policies, by name.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// What happens to images no policy names.
    #[must_use]
    pub const fn unmatched(&self) -> Unmatched {
        self.unmatched
    }
}

impl Policy {
    /// Whether it names `image`.
    #[must_use]
    pub fn names(&self, image: &ImageName) -> bool {
        self.images.iter().any(|pattern| pattern.matches(image))
    }

    /// Whether it can name any image of `host`.
    #[must_use]
    pub fn names_host(&self, host: &Host) -> bool {
        self.images.iter().any(|pattern| pattern.names_host(host))
    }

    /// Whether it asks what the trust root called `name` proves.
    #[must_use]
    pub fn asks_root(&self, name: &str) -> bool {
        name == DEFAULT_TRUST_ROOT
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

    /// What about this policy relaxes a rule: a word from a closed list, and a sentence.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<(&'static str, String)> {
        let mut weak = Vec::new();
        let name = &self.name;
        if self.mode == Mode::Audit {
            weak.push(("audit", format!("policy {name} only watches (mode: audit): what it would refuse is served")));
        }
        if self.signatures.is_empty() {
            weak.push(("dangerous_no_signature", format!("policy {name} asks for no signature (dangerous_no_signature)")));
        }
        if self.attestations.is_empty() {
            weak.push(("dangerous_no_attestation", format!("policy {name} asks for no attestation (dangerous_no_attestation)")));
        }
        let attesters = self.attestations.iter().filter_map(|rule| rule.signer.as_ref());
        for identity in self.signatures.iter().map(|rule| &rule.signer).chain(attesters) {
            for (what, matcher) in [("issuer", &identity.issuer), ("subject", &identity.subject)] {
                if matcher.is_anything() {
                    weak.push((
                        "any_identity",
                        format!("policy {name} accepts any {what}: its {what}_{} is {matcher}", matcher.form()),
                    ));
                }
            }
        }
        weak
    }
}

#[cfg(test)]
mod tests;
