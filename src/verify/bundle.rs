//! A piece of evidence within bounds → what is to be verified: one Sigstore bundle, what it claims, over which message.
//!
//! Everything here happens before any cryptography and only refuses; nothing is believed yet. Bounds come first because
//! the crate has none of its own for bytes, entries, timestamps or subjects (0.15.1, read).

#[expect(clippy::disallowed_types, reason = "see `LARGE`")]
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sigstore_types::{
    Bundle, DsseEnvelope, DsseSignature, HashAlgorithm, KeyId, KindVersion, MediaType, MessageSignature, PayloadBytes,
    SignatureBytes, SignatureContent, VerificationMaterial, VerificationMaterialContent,
};

use super::{
    Proven, VerifyError, clean,
    payload::{self, Payload},
    statement, strict,
};
use crate::{
    evidence::Document,
    oci::{
        Algorithm, Digest,
        scan::{Found, Free, Path, Rules},
    },
};

/// A bundle with an attestation, as JSON. Nothing larger is looked at.
pub(super) const MAX_ATTESTATION: u64 = 96 << 20;
/// A bundle with a signature.
pub(super) const MAX_SIGNATURE: u64 = 16 << 20;
/// `verificationMaterial` of one bundle, as JSON: entries, proofs, timestamps and certificates of some KiB each. The crate
/// buffers all of it, several times, whatever the payload weighs.
const MAX_MATERIAL: u64 = 4 << 20;
/// `messageSignature`, or an envelope's `signatures`: one signature of some hundred bytes.
const MAX_SIGNATURES: u64 = 1 << 20;
/// A media type, or a payload's.
const MAX_TYPE: u64 = 4 << 10;
/// Log entries of one bundle, as sigstore-go caps them.
const MAX_ENTRIES: u64 = 32;
/// RFC 3161 timestamps of one bundle, likewise.
const MAX_TIMESTAMPS: u64 = 32;
/// Certificates of one chain. Only the first is used.
const MAX_CHAIN: u64 = 16;
/// From this size on the crate's own reading of a DSSE payload (a JSON tree of all of it, 600 MiB for a 74 MiB bundle)
/// is replaced by [`lean`] where that proves the same, and the payload is decoded as it is read.
pub(super) const LEAN_FROM: u64 = 1 << 20;
/// The largest payload that is held where it is not: with the tree made of it about 140 MiB, of one at a time.
pub(super) const MAX_HELD: u64 = 16 << 20;

/// What is to be verified.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The bundle as the crate takes it.
    pub(super) bundle: Bundle,
    /// What is proven if it verifies.
    pub(super) claim: Proven,
    /// What was signed.
    pub(super) message: Message,
    /// It is large and held, and no other is meanwhile.
    pub(super) _alone: Option<Alone>,
}

/// While it lives, no other verification in this process holds a large payload. What waits for it are threads of the pool,
/// for as long as the one before works; whatever verifier it works for, so that a reload doubles nothing.
pub(super) type Alone = MutexGuard<'static, ()>;

pub(super) fn alone() -> Alone {
    LARGE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_types, reason = "held by threads of the pool only, across no await; it guards no value to be broken")]
static LARGE: Mutex<()> = Mutex::new(());

/// What the bundle's signature is over.
#[derive(Debug)]
pub(super) enum Message {
    /// The DSSE envelope inside the bundle; its statement names the subject.
    Envelope,
    /// A DSSE envelope taken out of the bundle: the hash of its pre-authentication encoding, and its payload.
    Lean(Digest, Payload),
    /// These bytes, which name the subject.
    Payload(Bytes),
    /// The subject's own manifest.
    Subject,
}

/// What of a `verificationMaterial` says why the crate cannot read it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kinds {
    #[serde(default)]
    tlog_entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    kind_version: Kind,
    // Protobuf's JSON has 64 bits as text, and reads them as a number too. What is neither is of no known time, and hides no entry.
    #[serde(default)]
    integrated_time: Value,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    version: String,
}

/// What the crate knows of: Rekor v2's one kind, and v1's.
const KINDS: [(&str, &str); 4] = [("dsse", "0.0.1"), ("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("intoto", "0.0.2")];

/// Why what is logged in this form proves nothing; `logged_at` is when its entry says so.
pub(super) fn unsupported_entry(kind: &str, version: &str, logged_at: Option<Timestamp>) -> VerifyError {
    let entry = format!("Rekor entry of kind `{}` {}", clean(kind), clean(version));
    VerifyError::UnsupportedLogEntry { entry, predicate_type: None, logged_at }
}

/// A DSSE envelope's parts, where they lie in their document.
#[derive(Debug)]
pub(super) struct Envelope {
    payload_type: Option<Found>,
    payload: Option<Found>,
    signatures: Option<Found>,
}

impl Envelope {
    /// Its parts in an envelope that is a document of its own, in the order [`Envelope::from`] takes them.
    pub(super) const PATHS: [Path; 3] = [("payloadType", None), ("payload", None), ("signatures", None)];
}

impl From<[Option<Found>; 3]> for Envelope {
    fn from([payload_type, payload, signatures]: [Option<Found>; 3]) -> Self {
        Self { payload_type, payload, signatures }
    }
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
pub(super) fn read(document: &Document, subject: &Digest) -> Result<Prepared, VerifyError> {
    read_by(By::Certificate, document, subject)
}

/// The same of a bundle signed `by` what is said.
///
/// # Errors
/// As [`read`].
pub(super) fn read_by(by: By, document: &Document, subject: &Digest) -> Result<Prepared, VerifyError> {
    bound("bytes in a bundle", document.len(), MAX_ATTESTATION)?;
    // One DSSE signature, 32 entries, 64 hashes in a proof: a bundle's own arrays are short (threats A11, B9).
    let rules = Rules { depth: 16, items: 256, keys: 64, free: Free::Nothing };
    let of_material = |key| ("verificationMaterial", Some(key));
    let of_envelope = |key| ("dsseEnvelope", Some(key));
    let wanted = [
        ("mediaType", None),
        ("verificationMaterial", None),
        of_material("certificate"),
        of_material("x509CertificateChain"),
        of_material("publicKey"),
        ("messageSignature", None),
        ("dsseEnvelope", None),
        of_envelope("payloadType"),
        of_envelope("payload"),
        of_envelope("signatures"),
    ];
    let found = strict::scan("bundle", document.open(), rules, &wanted)?;
    let Ok([media_type, material_text, certificate, chain, key, message_signature, envelope, payload_type, payload, signatures]) =
        <[Option<Found>; 10]>::try_from(found)
    else {
        return Err(VerifyError::Malformed("bundle: it was not read whole".into()));
    };
    let media_type: String = parse("mediaType", &part(document, "mediaType", media_type, MAX_TYPE)?)?;
    let media_type: MediaType =
        media_type.parse().map_err(|_| VerifyError::Unsupported(format!("bundle of type `{}`", clean(&media_type))))?;
    let material = part(document, "verificationMaterial", material_text, MAX_MATERIAL)?;
    let material = material_by(by, [certificate, chain, key].map(|found| found.is_some()), &material);
    match (envelope, message_signature) {
        (Some(_), None) => envelope_about(media_type, material, document, [payload_type, payload, signatures].into(), subject),
        (None, signature @ Some(_)) => {
            let signature = part(document, "messageSignature", signature, MAX_SIGNATURES)?;
            message(media_type, material?, &signature, document.len(), subject)
        }
        (Some(_), Some(_)) => Err(VerifyError::Malformed("bundle: both a DSSE envelope and a message signature".into())),
        (None, None) => Err(VerifyError::Malformed("bundle: neither a DSSE envelope nor a message signature".into())),
    }
}

/// The text of a part that is small enough to hold.
fn part(document: &Document, what: &str, found: Option<Found>, most: u64) -> Result<Bytes, VerifyError> {
    let found = found.ok_or_else(|| VerifyError::Malformed(format!("missing field `{what}`")))?;
    bound(&format!("bytes of {what}"), found.range.end.saturating_sub(found.range.start), most)?;
    payload::read(document, found.range)
}

fn parse<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T, VerifyError> {
    serde_json::from_slice(json).map_err(|error| VerifyError::Malformed(format!("{what}: {}", clean(&error.to_string()))))
}

/// Certificate, log entries and timestamps, within bounds. `has`: a certificate, a chain, a key.
fn material_by(by: By, has: [bool; 3], json: &[u8]) -> Result<VerificationMaterial, VerifyError> {
    match (has, by) {
        ([false, false, true], By::Certificate) => {
            return Err(VerifyError::Unsupported("signed with a managed key, not with a certificate".into()));
        }
        ([true, false, false] | [false, true, false], By::Key) => {
            return Err(VerifyError::Unsupported("signed with a certificate, not with a managed key".into()));
        }
        ([true, false, false] | [false, true, false], By::Certificate) | ([false, false, true], By::Key) => {}
        // The crate would take whichever comes first.
        _ => return Err(VerifyError::Malformed("verificationMaterial: want one certificate, chain or key".into())),
    }
    let mut material: VerificationMaterial =
        parse("verificationMaterial", json).map_err(|error| unknown_kind(json).unwrap_or(error))?;
    bound("log entries", material.tlog_entries.len() as u64, MAX_ENTRIES)?;
    bound("timestamps", material.timestamp_verification_data.rfc3161_timestamps.len() as u64, MAX_TIMESTAMPS)?;
    if let VerificationMaterialContent::X509CertificateChain { certificates } = &mut material.content {
        bound("certificates", certificates.len() as u64, MAX_CHAIN)?;
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

/// Whether a log entry's kind is why the crate cannot read `json`: its own word for it would be that the bundle is malformed.
fn unknown_kind(json: &[u8]) -> Option<VerifyError> {
    let Kinds { tlog_entries } = serde_json::from_slice(json).ok()?;
    let logged_at = |Entry { integrated_time: time, .. }: &Entry| {
        let seconds = time.as_i64().or_else(|| time.as_str()?.parse().ok())?;
        Timestamp::from_second(seconds).ok()
    };
    let earliest = tlog_entries.iter().filter_map(logged_at).min();
    let mut kinds = tlog_entries.iter().map(|entry| &entry.kind_version);
    let Kind { kind, version } = kinds.find(|of| !KINDS.contains(&(&of.kind, &of.version)))?;
    Some(unsupported_entry(kind, version, earliest))
}

pub(super) fn bound(what: &str, found: u64, most: u64) -> Result<(), VerifyError> {
    if found > most { Err(VerifyError::TooLarge(format!("{found} {what}, at most {most}"))) } else { Ok(()) }
}

/// A DSSE envelope, of a bundle or a `.att` layer: an attestation, or cosign's statement that is a signature.
pub(super) fn envelope_about(
    media_type: MediaType,
    material: Result<VerificationMaterial, VerifyError>,
    document: &Document,
    envelope: Envelope,
    subject: &Digest,
) -> Result<Prepared, VerifyError> {
    // What is logged in a form that cannot be verified is read all the same, to tell what it would attest.
    let material = match material {
        Err(error) if !matches!(error, VerifyError::UnsupportedLogEntry { .. }) => return Err(error),
        other => other,
    };
    let payload_type: String = parse("payloadType", &part(document, "payloadType", envelope.payload_type, MAX_TYPE)?)?;
    let signatures: Vec<Signature> = parse("signatures", &part(document, "signatures", envelope.signatures, MAX_SIGNATURES)?)?;
    let signature = match <[Signature; 1]>::try_from(signatures) {
        Ok([signature]) => DsseSignature::new(signature.sig, KeyId::new(signature.keyid)),
        Err(others) => {
            return Err(VerifyError::Malformed(format!("DSSE envelope: want one signature, found {}", others.len())));
        }
    };
    if payload_type != statement::PAYLOAD_TYPE {
        return Err(VerifyError::Unsupported(format!("DSSE payload of type `{}`", clean(&payload_type))));
    }
    let payload = envelope.payload.ok_or_else(|| VerifyError::Malformed("missing field `payload`".into()))?;
    let large = document.len() >= LEAN_FROM;
    let payload = Payload::at(&payload, document, !large)?;
    let (found, hash) = statement::read(&payload, subject)?;
    let material = material.map_err(|error| match error {
        VerifyError::UnsupportedLogEntry { entry, logged_at, .. } if found.predicate_type != statement::COSIGN_SIGN => {
            let predicate_type = Some(found.predicate_type.clone());
            VerifyError::UnsupportedLogEntry { entry, predicate_type, logged_at }
        }
        other => other,
    })?;
    let claim = if found.predicate_type == statement::COSIGN_SIGN {
        bound("bytes in a signature", document.len(), MAX_SIGNATURE)?;
        Proven::Signature
    } else {
        Proven::Attestation(found)
    };
    if large && material.tlog_entries.iter().all(|entry| entry.kind_version == KindVersion::HashedRekordV002) {
        return Ok(lean(media_type, material, claim, signature.sig, hash, payload));
    }
    let alone = large.then(alone);
    let held = hold(&payload, "an attestation whose log entry is not of Rekor v2")?;
    let envelope = DsseEnvelope::new(payload_type, PayloadBytes::from_bytes(&held), signature);
    let bundle = Bundle::new(media_type, material, SignatureContent::DsseEnvelope(envelope));
    Ok(Prepared { bundle, claim, message: Message::Envelope, _alone: alone })
}

/// All of a payload, for what cannot be verified without.
///
/// # Errors
/// [`VerifyError::TooLarge`] above [`MAX_HELD`].
pub(super) fn hold(payload: &Payload, of: &str) -> Result<Bytes, VerifyError> {
    bound(&format!("bytes in the statement of {of}"), payload.len(), MAX_HELD)?;
    payload.slice(0..payload.len()).map_err(|error| payload::unreadable(&error))
}

/// The same envelope as a message signature over its pre-authentication encoding.
///
/// That is what a DSSE signature is, and what a `hashedrekord` 0.0.2 entry logs of one: key, signature and the hash of
/// the encoding. So the same checks are made of the same bytes, without the crate's tree of the predicate; `statement`
/// has read type and subjects from the bytes that were hashed. `lean_and_full_reading_prove_the_same` holds the two against
/// each other.
fn lean(
    media_type: MediaType,
    material: VerificationMaterial,
    claim: Proven,
    signature: SignatureBytes,
    hash: Digest,
    payload: Payload,
) -> Prepared {
    let content = SignatureContent::MessageSignature(MessageSignature::new(signature));
    let bundle = Bundle::new(media_type, material, content);
    Prepared { bundle, claim, message: Message::Lean(hash, payload), _alone: None }
}

/// A message signature over the subject's manifest: proven of the file, and no image signature (see [`Proven::File`]).
fn message(
    media_type: MediaType,
    material: VerificationMaterial,
    json: &[u8],
    size: u64,
    subject: &Digest,
) -> Result<Prepared, VerifyError> {
    bound("bytes in a signature", size, MAX_SIGNATURE)?;
    let signature: MessageSignature = parse("messageSignature", json)?;
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
    Ok(Prepared { bundle, claim: Proven::File, message: Message::Subject, _alone: None })
}

/// Strict standard base64, as cosign writes its annotations.
pub(super) fn base64(what: &str, text: &str) -> Result<Vec<u8>, VerifyError> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|error| VerifyError::Malformed(format!("{what}: {}", clean(&error.to_string()))))
}
