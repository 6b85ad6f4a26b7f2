//! A piece of evidence within bounds → what is to be verified: one Sigstore bundle, what it claims, over which message.
//!
//! Everything here happens before any cryptography and only refuses; nothing is believed yet. Bounds come first because
//! the crate has none of its own for bytes, entries, timestamps or subjects (0.15.1, read).

use std::borrow::Cow;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sigstore_types::{
    Bundle, DsseEnvelope, DsseSignature, HashAlgorithm, KeyId, KindVersion, MediaType, MessageSignature, PayloadBytes,
    SignatureBytes, SignatureContent, VerificationMaterial, VerificationMaterialContent,
};

use super::{Proven, VerifyError, clean, statement, strict};
use crate::oci::{Algorithm, Digest};

/// A bundle with an attestation, as JSON. Nothing larger is looked at.
pub(super) const MAX_ATTESTATION: usize = 96 << 20;
/// A bundle with a signature.
pub(super) const MAX_SIGNATURE: usize = 16 << 20;
/// `verificationMaterial` of one bundle, as JSON: entries, proofs, timestamps and certificates of some KiB each. The crate
/// buffers all of it, several times, whatever the payload weighs.
const MAX_MATERIAL: usize = 4 << 20;
/// Log entries of one bundle, as sigstore-go caps them.
const MAX_ENTRIES: usize = 32;
/// RFC 3161 timestamps of one bundle, likewise.
const MAX_TIMESTAMPS: usize = 32;
/// Certificates of one chain. Only the first is used.
const MAX_CHAIN: usize = 16;
/// From this size on the crate's own reading of a DSSE payload (a JSON tree of all of it, 600 MiB for a 74 MiB bundle)
/// is replaced by [`lean`] where that proves the same.
pub(super) const LEAN_FROM: usize = 1 << 20;
/// What may be read as a tree where it is not.
pub(super) const MAX_TREE: usize = 32 << 20;

/// What is to be verified.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The bundle as the crate takes it.
    pub(super) bundle: Bundle,
    /// What is proven if it verifies.
    pub(super) claim: Proven,
    /// What was signed.
    pub(super) message: Message,
}

/// What the bundle's signature is over.
#[derive(Debug)]
pub(super) enum Message {
    /// The DSSE envelope inside the bundle; its statement names the subject.
    Envelope,
    /// A DSSE envelope taken out of the bundle: its type and payload.
    Lean(Bytes),
    /// These bytes, which name the subject.
    Payload(Bytes),
    /// The subject's own manifest.
    Subject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    verification_material: &'a RawValue,
    #[serde(borrow, default)]
    dsse_envelope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_signature: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material<'a> {
    #[serde(borrow, default)]
    certificate: Option<&'a RawValue>,
    #[serde(borrow, default)]
    x509_certificate_chain: Option<&'a RawValue>,
    #[serde(borrow, default)]
    public_key: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: SignatureBytes,
    #[serde(default)]
    keyid: String,
}

/// What vouches for who signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A certificate in the bundle.
    Certificate,
    /// A key that whoever asks has from elsewhere.
    Key,
}

/// Reads a Sigstore bundle of any version about `subject`.
///
/// # Errors
/// Too large, malformed, a managed key, or about something else.
pub(super) fn read(json: &[u8], subject: &Digest) -> Result<Prepared, VerifyError> {
    read_by(By::Certificate, json, subject)
}

/// The same of a bundle signed `by` what is said.
///
/// # Errors
/// As [`read`].
pub(super) fn read_by(by: By, json: &[u8], subject: &Digest) -> Result<Prepared, VerifyError> {
    if json.len() > MAX_ATTESTATION {
        return Err(VerifyError::TooLarge(format!("bundle of {} bytes, at most {MAX_ATTESTATION}", json.len())));
    }
    // One DSSE signature, 32 entries, 64 hashes in a proof: a bundle's own arrays are short (threats A11, B9).
    strict::check("bundle", json, strict::Rules { depth: 16, items: 256, keys: 64, free: None })?;
    let wire: Wire<'_> = parse("bundle", json)?;
    let media_type: MediaType =
        wire.media_type.parse().map_err(|_| VerifyError::Unsupported(format!("bundle of type `{}`", clean(&wire.media_type))))?;
    let material = material(by, wire.verification_material)?;
    match (wire.dsse_envelope, wire.message_signature) {
        (Some(envelope), None) => envelope_about(media_type, material, envelope.get().as_bytes(), json.len(), subject),
        (None, Some(signature)) => message(media_type, material, signature.get(), json.len(), subject),
        (Some(_), Some(_)) => Err(VerifyError::Malformed("bundle: both a DSSE envelope and a message signature".into())),
        (None, None) => Err(VerifyError::Malformed("bundle: neither a DSSE envelope nor a message signature".into())),
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T, VerifyError> {
    serde_json::from_slice(json).map_err(|error| VerifyError::Malformed(format!("{what}: {}", clean(&error.to_string()))))
}

/// Certificate, log entries and timestamps, within bounds.
fn material(by: By, raw: &RawValue) -> Result<VerificationMaterial, VerifyError> {
    let json = raw.get().as_bytes();
    bound("bytes of verificationMaterial", json.len(), MAX_MATERIAL)?;
    let shape: Material<'_> = parse("verificationMaterial", json)?;
    match (shape.certificate, shape.x509_certificate_chain, shape.public_key) {
        (None, None, Some(_)) if by == By::Certificate => {
            return Err(VerifyError::Unsupported("signed with a managed key, not with a certificate".into()));
        }
        (Some(_), None, None) | (None, Some(_), None) if by == By::Key => {
            return Err(VerifyError::Unsupported("signed with a certificate, not with a managed key".into()));
        }
        (Some(_), None, None) | (None, Some(_), None) | (None, None, Some(_)) => {}
        // The crate would take whichever comes first.
        _ => return Err(VerifyError::Malformed("verificationMaterial: want one certificate, chain or key".into())),
    }
    let mut material: VerificationMaterial = parse("verificationMaterial", json)?;
    bound("log entries", material.tlog_entries.len(), MAX_ENTRIES)?;
    bound("timestamps", material.timestamp_verification_data.rfc3161_timestamps.len(), MAX_TIMESTAMPS)?;
    if let VerificationMaterialContent::X509CertificateChain { certificates } = &mut material.content {
        bound("certificates", certificates.len(), MAX_CHAIN)?;
        if certificates.is_empty() {
            return Err(VerifyError::Malformed("verificationMaterial: the certificate chain is empty".into()));
        }
        // Intermediates that are not in the trust root prove nothing, those that are need not come along (client spec
        // §4), and none means no maze of cross-signed ones to search (threats B9, B13).
        certificates.truncate(1);
    }
    // Whether there must be one is the trust root's to say. The crate asks for one proof or promise in the bundle; an entry
    // with neither would ride along (threats B8).
    if material.tlog_entries.iter().any(|entry| entry.inclusion_proof.is_none() && entry.inclusion_promise.is_none()) {
        return Err(VerifyError::Log("an entry has neither inclusion proof nor promise".into()));
    }
    Ok(material)
}

fn bound(what: &str, found: usize, most: usize) -> Result<(), VerifyError> {
    if found > most { Err(VerifyError::TooLarge(format!("{found} {what}, at most {most}"))) } else { Ok(()) }
}

/// A DSSE envelope, from a bundle or a `.att` layer: an attestation, or cosign's statement that is a signature.
///
/// `size` is what it was published as.
pub(super) fn envelope_about(
    media_type: MediaType,
    material: VerificationMaterial,
    json: &[u8],
    size: usize,
    subject: &Digest,
) -> Result<Prepared, VerifyError> {
    let Envelope { payload_type, payload, signatures } = parse("DSSE envelope", json)?;
    let signature = match <[Signature; 1]>::try_from(signatures) {
        Ok([signature]) => DsseSignature::new(signature.sig, KeyId::new(signature.keyid)),
        Err(others) => {
            return Err(VerifyError::Malformed(format!("DSSE envelope: want one signature, found {}", others.len())));
        }
    };
    if payload_type != statement::PAYLOAD_TYPE {
        return Err(VerifyError::Unsupported(format!("DSSE payload of type `{}`", clean(&payload_type))));
    }
    let payload = PayloadBytes::from_base64(&payload)
        .map_err(|error| VerifyError::Malformed(format!("DSSE payload: {}", clean(&error.to_string()))))?;
    let payload = Bytes::from(payload.into_bytes());
    let found = statement::read(&payload, subject)?;
    let claim = if found.predicate_type == statement::COSIGN_SIGN {
        bound("bytes in a signature", size, MAX_SIGNATURE)?;
        Proven::Signature
    } else {
        Proven::Attestation(found)
    };
    if size >= LEAN_FROM && material.tlog_entries.iter().all(|entry| entry.kind_version == KindVersion::HashedRekordV002) {
        return Ok(lean(media_type, material, claim, signature.sig, &payload));
    }
    bound("bytes in an attestation whose log entry is not of Rekor v2", size, MAX_TREE)?;
    let envelope = DsseEnvelope::new(payload_type, PayloadBytes::from_bytes(&payload), signature);
    let bundle = Bundle::new(media_type, material, SignatureContent::DsseEnvelope(envelope));
    Ok(Prepared { bundle, claim, message: Message::Envelope })
}

/// The same envelope as a message signature over its pre-authentication encoding.
///
/// That is what a DSSE signature is, and what a `hashedrekord` 0.0.2 entry logs of one: key, signature and the hash of
/// the encoding. So the same checks are made of the same bytes, without the crate's tree of the predicate; `statement`
/// has read type and subjects. `lean_and_full_reading_prove_the_same` holds the two against each other.
fn lean(
    media_type: MediaType,
    material: VerificationMaterial,
    claim: Proven,
    signature: SignatureBytes,
    payload: &Bytes,
) -> Prepared {
    let content = SignatureContent::MessageSignature(MessageSignature::new(signature));
    let bundle = Bundle::new(media_type, material, content);
    Prepared { bundle, claim, message: Message::Lean(payload.clone()) }
}

/// A message signature over the subject's manifest: proven of the file, and no image signature (see [`Proven::File`]).
fn message(
    media_type: MediaType,
    material: VerificationMaterial,
    json: &str,
    size: usize,
    subject: &Digest,
) -> Result<Prepared, VerifyError> {
    bound("bytes in a signature", size, MAX_SIGNATURE)?;
    let signature: MessageSignature = parse("messageSignature", json.as_bytes())?;
    if subject.algorithm() != Algorithm::Sha256 {
        // The log knows this form by SHA-256 only, and one algorithm's digest never stands for another's.
        return Err(VerifyError::Unsupported(format!("a message signature about a {} digest", subject.algorithm().as_str())));
    }
    if let Some(hint) = &signature.message_digest
        && hint.algorithm == HashAlgorithm::Sha2256
        && hint.digest.as_bytes() != subject.as_bytes()
    {
        return Err(VerifyError::OtherSubject { found: format!("sha256:{}", hex::encode(hint.digest.as_bytes())) });
    }
    let bundle = Bundle::new(media_type, material, SignatureContent::MessageSignature(signature));
    Ok(Prepared { bundle, claim: Proven::File, message: Message::Subject })
}

/// Strict standard base64, as cosign writes its annotations.
pub(super) fn base64(what: &str, text: &str) -> Result<Vec<u8>, VerifyError> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|error| VerifyError::Malformed(format!("{what}: {}", clean(&error.to_string()))))
}
