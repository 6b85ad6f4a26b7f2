//! Which policies hold for an image, and whether the proven facts satisfy them.

use std::sync::Arc;

use crate::{
    oci::{Digest, ImageName},
    verify::Verified,
};

/// All policies in force, immutable; a reload makes a new set.
#[derive(Debug, Clone)]
pub struct PolicySet {
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) unmatched: Unmatched,
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
    /// Fingerprint of the above; part of every verdict's key.
    pub id: PolicyId,
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
    /// Signatures are there, none by an allowed identity.
    IdentityMismatch,
    /// Identity right, issuer wrong.
    IssuerMismatch,
    /// The log gives a promise where the policy wants a proof.
    LogProofMissing,
    /// No signature at all.
    SignatureMissing,
}

impl PolicySet {
    /// The policies that name `image`.
    #[must_use]
    pub fn select(&self, image: &ImageName) -> Selection {
        let _ = (image, &self.policies, self.unmatched);
        unimplemented!()
    }
}

impl Policy {
    /// Whether `facts`, all proven about `subject`, satisfy this policy. Each fact is judged alone: claims are never
    /// merged across bundles. Adding facts never turns a yes into a no.
    ///
    /// # Errors
    /// What is still wanted.
    pub fn judge(&self, subject: &Digest, facts: &[Verified]) -> Result<(), Unmet> {
        let _ = (subject, facts);
        unimplemented!()
    }
}
