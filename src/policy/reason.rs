//! Why a policy does not hold, as codes: the closed list that metrics, JSON and recorded cases speak in.

/// Why a policy does not hold, as a closed list (metric label, JSON).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An attestation of the type is there, by a signer not allowed.
    AttestationIdentityMismatch,
    /// No attestation of the type wanted.
    AttestationMissing,
    /// An attestation of the type by an allowed identity is there, and is older than the policy allows.
    AttestationTooOld,
    /// An attestation of the type is there, and is no such document.
    AttestationMalformed,
    /// The identity matched, a claim did not.
    ClaimMismatch,
    /// The identity matched, and its certificate lacks a claim that is wanted.
    ClaimMissing,
    /// A condition takes more work than one may.
    ConditionBudget,
    /// A condition has no value: a key is missing, or a value is of another type.
    ConditionError,
    /// A condition is false.
    ConditionFalse,
    /// The predicate is larger than conditions see.
    ConditionTooLarge,
    /// It has not been known for long enough.
    Cooldown,
    /// The deny-list names a package that the SBOM lists.
    Denied,
    /// The policy weighs every statement there is (`match: all` or `newest`), and a limit kept some from being seen: the gate says
    /// so, where the policy would hold otherwise.
    EvidenceLimit,
    /// Nothing of the type wanted is there, and something about the image is too large to be read. Who made it, and of what type
    /// it is, nobody knows: the gate says so in place of what is missing.
    EvidenceTooLarge,
    /// Signatures are there, none by an allowed identity.
    IdentityMismatch,
    /// Identity right, issuer wrong.
    IssuerMismatch,
    /// A package has a licence that is denied, or none of those allowed.
    LicenseDenied,
    /// The log gives a promise where the policy wants a proof.
    LogProofMissing,
    /// A package that is denied is there.
    PackageDenied,
    /// Another builder, source repository or build type than wanted.
    ProvenanceMismatch,
    /// An SBOM lists no package.
    SbomEmpty,
    /// A vulnerability scan is too old, or does not say when it ended.
    ScanTooOld,
    /// A vulnerability scan's result is in no form that is read.
    ScanUnreadable,
    /// No signature at all.
    SignatureMissing,
    /// A signature by an allowed identity is there, and is older than the policy allows.
    SignatureTooOld,
    /// Fewer different signers than wanted.
    SignersTooFew,
    /// A package is of a supplier that is denied, or of none of those allowed.
    SupplierDenied,
    /// Identity right, under another trust root.
    TrustRootMismatch,
    /// Nothing of the type wanted is there, and something about the image is logged in a form that cannot be verified, such as
    /// `intoto` 0.0.1. Said as [`EvidenceTooLarge`](Self::EvidenceTooLarge) is. Or a policy weighs statements together, and one
    /// that might be among them is logged so.
    UnsupportedLogEntry,
    /// A vulnerability above the ceiling was found.
    VulnerabilityFound,
}

impl Reason {
    /// All of them: what a file may name.
    pub const ALL: &[Self] = &[
        Self::AttestationIdentityMismatch,
        Self::AttestationMissing,
        Self::AttestationTooOld,
        Self::AttestationMalformed,
        Self::ClaimMismatch,
        Self::ClaimMissing,
        Self::ConditionBudget,
        Self::ConditionError,
        Self::ConditionFalse,
        Self::ConditionTooLarge,
        Self::Cooldown,
        Self::Denied,
        Self::EvidenceLimit,
        Self::EvidenceTooLarge,
        Self::IdentityMismatch,
        Self::IssuerMismatch,
        Self::LicenseDenied,
        Self::LogProofMissing,
        Self::PackageDenied,
        Self::ProvenanceMismatch,
        Self::SbomEmpty,
        Self::ScanTooOld,
        Self::ScanUnreadable,
        Self::SignatureMissing,
        Self::SignatureTooOld,
        Self::SignersTooFew,
        Self::SupplierDenied,
        Self::TrustRootMismatch,
        Self::UnsupportedLogEntry,
        Self::VulnerabilityFound,
    ];

    /// For metric labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttestationIdentityMismatch => "attestation_identity_mismatch",
            Self::AttestationMissing => "attestation_missing",
            Self::AttestationTooOld => "attestation_too_old",
            Self::AttestationMalformed => "attestation_malformed",
            Self::ClaimMismatch => "claim_mismatch",
            Self::ClaimMissing => "claim_missing",
            Self::ConditionBudget => "condition_budget",
            Self::ConditionError => "condition_error",
            Self::ConditionFalse => "condition_false",
            Self::ConditionTooLarge => "condition_too_large",
            Self::Cooldown => "cooldown",
            Self::Denied => "denied",
            Self::EvidenceLimit => "evidence_limit",
            Self::EvidenceTooLarge => "evidence_too_large",
            Self::IdentityMismatch => "identity_mismatch",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::LicenseDenied => "license_denied",
            Self::LogProofMissing => "log_proof_missing",
            Self::PackageDenied => "package_denied",
            Self::ProvenanceMismatch => "provenance_mismatch",
            Self::SbomEmpty => "sbom_empty",
            Self::ScanTooOld => "scan_too_old",
            Self::ScanUnreadable => "scan_unreadable",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureTooOld => "signature_too_old",
            Self::SignersTooFew => "signers_too_few",
            Self::SupplierDenied => "supplier_denied",
            Self::TrustRootMismatch => "trust_root_mismatch",
            Self::UnsupportedLogEntry => "unsupported_log_entry",
            Self::VulnerabilityFound => "vulnerability_found",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_under_its_own_code() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let written = include_str!("reason.rs").lines().filter(|line| line.contains(" => \"") && line.contains("Self::")).count();
        assert_eq!((codes.len(), Reason::ALL.len()), (written, written), "a new reason belongs into `Reason::ALL`");
    }
}
