//! What a policy is asked, and what it answers.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Reason, deny::DeniedPackages};
use crate::{
    oci::{Digest, ImageName},
    verify::{Signer, Verified},
};

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
    /// Packages that no SBOM a policy relies on may list.
    pub denied: &'c DeniedPackages,
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
    /// Whether, by that exception, what is denied of packages was looked for in SBOMs that the policy would rely on without it, so
    /// that no other can refuse.
    pub(crate) relied: bool,
    /// Every signature that counted, with who made it, where the policy guards tags: nobody else asks for it. Empty where none
    /// was asked for, or an exception stood in.
    pub signed: Vec<Signed>,
    /// When the last signature that was needed was there: the earliest time at which `signatures` was met by what had been
    /// signed until then. So who signs again, or signs beside, makes no image younger. Where a cooldown is asked for and no
    /// signature, the same of the attestations. `None` where nothing of it counted.
    pub signed_at: Option<Timestamp>,
    /// Where each attestation entry, by its number, looked for statements; and, where the newest speaks, from when on one more
    /// there would be among those that speak. `None`: whenever it was made.
    pub(crate) weighed: BTreeMap<(usize, About), Option<Timestamp>>,
}

/// What evidence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// What was asked for.
    Image,
    /// One platform of it.
    Platform,
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
    /// What it is for.
    pub what: ExceptionFor,
    /// Why it was made, as the policy says.
    pub reason: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What an exception is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionFor {
    /// One manifest.
    Digest,
    /// All manifests of a repository.
    Repository,
}

impl ExceptionFor {
    /// The key that the exception is written under in its policy; in the log and in metrics the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Repository => "dangerous_repository",
        }
    }
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
