//! The adapter: the one place that calls sigstore-verify.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use sigstore_types::{Artifact, ArtifactDigest, Bundle, HashAlgorithm, TransparencyLogEntry};
use sigstore_verify::{
    Error, Policy, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, VerificationResult,
    bundle::Error as ShapeError, crypto::Error as CryptoError,
};

use super::{
    DEFAULT_TRUST_ROOT, Epoch, LogEvidence, Relaxed, TrustRootError, Verified, Verifier, VerifyError,
    bundle::{self, Message, Prepared},
    certificate, clean, legacy,
    logged::{Logs, weakest},
    roots, statement,
    trust_root::document,
};
use crate::{
    evidence::{Content, Document},
    oci::{Algorithm, Digest},
};

/// How far in the future a signing time may be and still be taken for our clock's fault (decision D6).
const CLOCK_TOLERANCE_SECONDS: i64 = 5 * 60;
/// No clock that is right says less: the year in which this verifier was written. A node that boots in 1970 refuses
/// nothing and admits nothing until its clock is set (threats R8).
pub(crate) const CLOCK_FLOOR_SECONDS: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z

/// Verifies keyless evidence under one trust root, immutable.
pub struct Sigstore {
    name: Arc<str>,
    relaxed: Relaxed,
    verifier: sigstore_verify::Verifier,
    policy: VerificationPolicy,
    logs: Logs,
    document: Digest,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for Sigstore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, relaxed, document, .. } = self;
        let mut shown = f.debug_struct("Sigstore");
        shown.field("name", name).field("relaxed", relaxed).field("document", document).finish_non_exhaustive()
    }
}

impl Sigstore {
    /// A verifier under the trust root in `json`, the text of a `trusted_root.json`, named [`DEFAULT_TRUST_ROOT`].
    ///
    /// # Errors
    /// [`TrustRootError`] names the field that is wrong.
    pub fn from_trusted_root(json: &[u8]) -> Result<Self, TrustRootError> {
        Self::new(DEFAULT_TRUST_ROOT.into(), Relaxed::default(), document::parse(json, Relaxed::default())?)
    }

    pub(super) fn new(name: Arc<str>, relaxed: Relaxed, document: document::Document) -> Result<Self, TrustRootError> {
        let document::Document { root, digest } = document;
        let verifier = sigstore_verify::Verifier::new(&root)
            .map_err(|error| TrustRootError::Invalid { field: "trusted root".into(), reason: clean(&error.to_string()) })?;
        let logs = Logs::of(&root)?;
        let now = Box::new(Timestamp::now);
        Ok(Self { name, relaxed, verifier, policy: relaxed.policy(), logs, document: digest, now })
    }

    /// The same under another wall clock.
    pub(super) fn with_clock(self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { now: Box::new(now), ..self }
    }

    /// What the configuration calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn relaxed(&self) -> Relaxed {
        self.relaxed
    }

    /// SHA-256 of its canonical document.
    pub(super) const fn document(&self) -> &Digest {
        &self.document
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Whether the bundle has what this root asks for before any cryptography: a log entry where it has a log, and none
    /// where it has none, because nothing could check it.
    pub(super) fn fits(&self, bundle: &Bundle) -> Result<(), VerifyError> {
        match (self.relaxed.no_log, bundle.verification_material.tlog_entries.is_empty()) {
            (false, true) => Err(VerifyError::Log("no log entry".into())),
            (true, false) => Err(VerifyError::Log("it has a log entry, and this trust root has no log to check it by".into())),
            (false, false) | (true, true) => Ok(()),
        }
    }

    /// Calls the crate. What was signed decides what it is given, and who must have, by which `policy`.
    fn call(
        &self,
        prepared: &Prepared,
        subject: &Digest,
        policy: &dyn Policy,
        now: Timestamp,
    ) -> Result<VerificationResult, VerifyError> {
        let Prepared { bundle: signed, message, .. } = prepared;
        let by_digest = |digest: &Digest| {
            let algorithm = match digest.algorithm() {
                Algorithm::Sha256 => HashAlgorithm::Sha2256,
                Algorithm::Sha512 => HashAlgorithm::Sha2512,
            };
            let digest = ArtifactDigest::new(algorithm, digest.as_bytes())?;
            self.verifier.verify(digest, signed, policy)
        };
        let by_bytes = |bytes: &[u8]| self.verifier.verify(Artifact::from_blob(bytes), signed, policy);
        let outcome = match message {
            Message::Envelope | Message::Subject => by_digest(subject),
            Message::Payload(payload) => by_bytes(payload),
            Message::Lean(hash, payload) => match by_digest(hash) {
                // A key that hashes otherwise than by SHA-256, or signs the message itself, needs all of it.
                Err(Error::UnsupportedArtifact(_)) => {
                    let _alone = bundle::alone();
                    let payload = bundle::hold(payload, "an attestation by a key that does not sign a SHA-256 hash")?;
                    by_bytes(&sigstore_types::pae(statement::PAYLOAD_TYPE, &payload))
                }
                other => other,
            },
        };
        outcome.map_err(|error| refused(&error, message, &signed.verification_material.tlog_entries, now))
    }
}

/// Key and CA windows compare with our clock, so an unset one would make good evidence look bad.
fn set(now: Timestamp) -> Result<(), VerifyError> {
    if now.as_second() < CLOCK_FLOOR_SECONDS {
        return Err(VerifyError::Clock { ahead_seconds: now.as_second().abs_diff(CLOCK_FLOOR_SECONDS) });
    }
    Ok(())
}

/// Steps 1 to 3 for a bundle that is signed `by` what is said.
pub(super) fn prepare_bundle(
    by: bundle::By,
    document: &Document,
    subject: &Digest,
    now: Timestamp,
) -> Result<Prepared, VerifyError> {
    set(now)?;
    bundle::read_by(by, document, subject)
}

/// Steps 1 to 3 of [`Sigstore::prove`]: no trust root has a say in them.
pub(super) fn prepare(subject: &Digest, content: &Content, now: Timestamp) -> Result<Prepared, VerifyError> {
    // 1.
    set(now)?;

    // 2, 3. Before any cryptography: cheap, and they only ever refuse (CVE-2023-46737, CVE-2024-29902).
    match content {
        Content::Bundle(document) => bundle::read(document, subject),
        Content::CosignAttestation { envelope, certificate, rekor_bundle, timestamp } => {
            let annotations =
                legacy::Annotations { certificate, rekor_bundle: rekor_bundle.as_deref(), timestamp: timestamp.as_deref() };
            legacy::attestation(envelope, annotations, subject)
        }
        Content::CosignSignature { payload, signature, certificate, rekor_bundle, timestamp } => {
            let annotations =
                legacy::Annotations { certificate, rekor_bundle: rekor_bundle.as_deref(), timestamp: timestamp.as_deref() };
            legacy::signature(payload, signature, annotations, subject)
        }
    }
}

impl Sigstore {
    /// What `content` proves about `subject` under this trust root:
    ///
    /// 1. Our clock is not plainly unset.
    /// 2. Bounds and shape: bytes, nesting, duplicate keys, counts; a managed key is not supported.
    /// 3. What was signed says that it is about `subject`: a statement's subjects, a simple signing payload's digest.
    /// 4. There is a log entry if the root has a log.
    /// 5. The crate, whose own steps follow the client specification: verified times (RFC 3161, SET); chain to the trust
    ///    root at every one of them; SCT; inclusion proof and checkpoint; promise; time of logging; signature; the log
    ///    entry against certificate, signature and digest.
    /// 6. That it did so: chain, SCT and log are asserted, but for what is [`Relaxed`]; times are not empty.
    /// 7. No verified time is in the future.
    /// 8. Who signed: exactly one name, an issuer, the CI claims.
    /// 9. How the log vouches: the weakest of the entries; and where they are, of what is signed.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn prove(&self, subject: &Digest, content: &Content) -> Result<Verified, VerifyError> {
        let now = self.now();
        self.prove_prepared(&prepare(subject, content, now)?, subject, now)
    }

    /// Steps 4 to 9. Every kind of evidence takes this one path (CVE-2026-22703, CVE-2026-39395: one path had a check the
    /// other lacked).
    pub(super) fn prove_prepared(&self, prepared: &Prepared, subject: &Digest, now: Timestamp) -> Result<Verified, VerifyError> {
        // 4, 5.
        let result = self.checked(prepared, subject, &self.policy, now)?;

        // 6. The policy asks for all that is not given up. Fail closed if that ever stops being so (TOB-SIGSTORE-2).
        if !result.certificate_verified() || !(result.sct_verified() || self.relaxed.no_sct) {
            return Err(VerifyError::Certificate("its chain or its SCT was not verified".into()));
        }
        let times = self.times(&result, now)?;
        if times.is_empty() {
            return Err(VerifyError::Timestamp("no verified time".into()));
        }

        // 8. Claims of the certificate, believed because its chain was verified.
        let signer = match (prepared.bundle.signing_certificate(), result.certificate()) {
            (Some(leaf), Some(info)) => certificate::signer(leaf, info, &self.name)?,
            _ => return Err(VerifyError::Certificate("there is none".into())),
        };

        // 9. Proofs and promises that are present were verified in 5, and each entry has one or both (see 2).
        let log = weakest(&prepared.bundle);
        let entries = self.logs.entries(&prepared.bundle)?;
        Ok(Verified { signer, content: prepared.claim.clone(), times, log, entries, source: None })
    }

    /// Steps 4 to 7 and 9 for a bundle signed with a managed key, which has no certificate and need not say when.
    pub(super) fn prove_signed(
        &self,
        prepared: &Prepared,
        subject: &Digest,
        key: &PublicKeyVerificationPolicy,
        now: Timestamp,
    ) -> Result<(Vec<Timestamp>, LogEvidence), VerifyError> {
        let result = self.checked(prepared, subject, key, now)?;
        Ok((self.times(&result, now)?, weakest(&prepared.bundle)))
    }

    /// Steps 4 and 5.
    fn checked(
        &self,
        prepared: &Prepared,
        subject: &Digest,
        policy: &dyn Policy,
        now: Timestamp,
    ) -> Result<VerificationResult, VerifyError> {
        self.fits(&prepared.bundle)?;
        self.call(prepared, subject, policy, now)
    }

    /// That the log was asked (of 6), and the verified times, of which none is in the future (7).
    fn times(&self, result: &VerificationResult, now: Timestamp) -> Result<Vec<Timestamp>, VerifyError> {
        if !(result.tlog_verified() || self.relaxed.no_log) {
            return Err(VerifyError::Log("it was not verified".into()));
        }
        let times = result.verified_timestamps().to_vec();
        // The crate refuses a future time of a log, not one of a timestamp authority.
        if let Some(latest) = times.iter().max() {
            in_the_past(*latest, now)?;
        }
        Ok(times)
    }
}

impl Verifier for Sigstore {
    fn verify(&self, subject: &Digest, content: &Content) -> Result<Vec<Verified>, VerifyError> {
        self.prove(subject, content).map(|fact| vec![fact])
    }

    fn epoch(&self) -> Epoch {
        roots::epoch_of(std::iter::once(self))
    }
}

fn in_the_past(time: Timestamp, now: Timestamp) -> Result<(), VerifyError> {
    // Log times are whole seconds rounded down, so nothing but a clock's difference makes one later than now.
    match time.as_second() - now.as_second() {
        ..=0 => Ok(()),
        ahead @ 1..CLOCK_TOLERANCE_SECONDS => Err(VerifyError::Clock { ahead_seconds: ahead.unsigned_abs() }),
        ahead => Err(VerifyError::Timestamp(format!("{time} is {ahead} s in the future"))),
    }
}

/// The crate's reason as ours. Its texts quote what it was given, so they are cleaned.
fn refused(error: &Error, message: &Message, entries: &[TransparencyLogEntry], now: Timestamp) -> VerifyError {
    let text = clean(&error.to_string());
    match error {
        Error::TransparencyLog(TransparencyLogError::IntegratedTime(_)) => {
            // Authenticated by then: the crate checks the SET before the time. Were it our clock, it will pass.
            let latest =
                entries.iter().filter(|entry| entry.inclusion_promise.is_some()).filter_map(|entry| entry.integrated_time).max();
            match latest.map(|time| in_the_past(time, now)) {
                Some(Err(clock @ VerifyError::Clock { .. })) => clock,
                _ => VerifyError::Log(text),
            }
        }
        Error::TransparencyLog(_) => VerifyError::Log(text),
        Error::Certificate(_) | Error::IdentityMismatch { .. } | Error::IssuerMismatch { .. } => VerifyError::Certificate(text),
        Error::Timestamp(_) => VerifyError::Timestamp(text),
        Error::SignatureInvalid(_) => VerifyError::Signature(text),
        // Ours compared the subject already; what is left is the log entry's digest against what was signed.
        Error::ArtifactMismatch(_) => match message {
            Message::Subject => VerifyError::OtherSubject { found: "another manifest".into() },
            Message::Envelope | Message::Lean(..) | Message::Payload(_) => VerifyError::Log(text),
        },
        Error::UnsupportedArtifact(_) | Error::UnsupportedBundle(_) | Error::Crypto(CryptoError::UnsupportedAlgorithm(_)) => {
            VerifyError::Unsupported(text)
        }
        Error::Bundle(
            ShapeError::MissingInclusionPromise(_)
            | ShapeError::MissingInclusionProof(_)
            | ShapeError::MissingCheckpoint
            | ShapeError::LogIndexOutOfRange { .. }
            | ShapeError::CheckpointRootMismatch,
        ) => VerifyError::Log(text),
        // The trust root has no key for it; a bad trust root was refused at load.
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => VerifyError::Certificate(text),
        // The crate's enum is open: what it adds later is, until read, a reason to believe nothing.
        _ => VerifyError::Malformed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r9_a_time_up_to_five_minutes_ahead_is_our_clock_and_further_ahead_is_not() {
        let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
        let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        assert!(in_the_past(at(0), now).is_ok() && in_the_past(at(-1), now).is_ok());
        assert!(matches!(in_the_past(at(1), now), Err(VerifyError::Clock { ahead_seconds: 1 })));
        assert!(matches!(in_the_past(at(299), now), Err(VerifyError::Clock { ahead_seconds: 299 })));
        assert!(matches!(in_the_past(at(300), now), Err(VerifyError::Timestamp(_))));
    }
}
