//! cosign's older `.sig` and `.att` content → a v0.1 bundle in memory.
//!
//! No check is weakened by it: the Rekor v1 entry comes with its signed entry timestamp, which the crate verifies, and
//! whose body it compares with certificate, signature and digest (CVE-2022-23649, CVE-2026-22703). Of the chain
//! annotation nothing is taken: intermediates come from the trust root.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use sigstore_types::{
    Bundle, CanonicalizedBody, DerCertificate, InclusionPromise, KindVersion, LogId, LogIndex, LogKeyId, MediaType,
    MessageSignature, Rfc3161Timestamp, SignatureBytes, SignatureContent, SignedTimestamp, TimestampToken,
    TimestampVerificationData, TransparencyLogEntry, VerificationMaterial, VerificationMaterialContent, X509Certificate,
};

use super::{
    Proven, VerifyError,
    bundle::{self, Envelope, MAX_ATTESTATION, Message, Prepared},
    clean, strict,
};
use crate::{
    evidence::Document,
    oci::{
        Digest, json,
        scan::{Found, Free, Rules},
    },
};

/// One annotation. The largest, a Rekor body, holds an entry of a few KiB.
const MAX_ANNOTATION: usize = 1 << 20;
/// A simple signing payload: a few hundred bytes, and whatever annotations the signer put under `optional`.
const MAX_PAYLOAD: usize = 1 << 20;
/// What cosign writes as `critical.type`.
const SIMPLE_SIGNING_TYPE: &str = "cosign container image signature";

/// The annotations a `.sig` and a `.att` layer share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Annotations<'a> {
    /// `dev.sigstore.cosign/certificate`.
    pub(super) certificate: &'a str,
    /// `dev.sigstore.cosign/bundle`.
    pub(super) rekor_bundle: Option<&'a str>,
    /// `dev.sigstore.cosign/rfc3161timestamp`.
    pub(super) timestamp: Option<&'a str>,
}

/// A `.att` layer: a DSSE envelope.
///
/// # Errors
/// As [`bundle::read`].
pub(super) fn attestation(envelope: &Document, annotations: Annotations<'_>, subject: &Digest) -> Result<Prepared, VerifyError> {
    bundle::bound("bytes in an envelope", envelope.len(), MAX_ATTESTATION)?;
    let rules = Rules { depth: 8, items: 256, keys: 64, free: Free::Nothing };
    let found = strict::scan("DSSE envelope", envelope.open(), rules, &Envelope::PATHS)?;
    let parts = <[Option<Found>; 3]>::try_from(found);
    let parts = parts.map_err(|_| VerifyError::Malformed("DSSE envelope: it was not read whole".into()))?;
    bundle::envelope_about(MediaType::Bundle0_1, annotations.material(), envelope, parts.into(), subject)
}

/// A `.sig` layer: a simple signing payload and its signature.
///
/// # Errors
/// As [`bundle::read`].
pub(super) fn signature(
    payload: &Bytes,
    signature: &str,
    annotations: Annotations<'_>,
    subject: &Digest,
) -> Result<Prepared, VerifyError> {
    simple_signing(payload, subject)?;
    let signature = SignatureBytes::new(bundle::base64("signature annotation", bounded("signature", signature)?)?);
    let content = SignatureContent::MessageSignature(MessageSignature::new(signature));
    let bundle = Bundle::new(MediaType::Bundle0_1, annotations.material()?, content);
    Ok(Prepared { bundle, claim: Proven::Signature, message: Message::Payload(payload.clone()), _alone: None })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SimpleSigning {
    critical: Critical,
    // Free: nothing is read from it.
    #[serde(rename = "optional")]
    _optional: Option<serde_json::Value>,
}

// Critical means that a reader who does not know a field must refuse (threats B16).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "identity")]
    _identity: Option<Identity>,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    // What the signer called the image; digests are compared, names are not.
    #[serde(rename = "docker-reference")]
    _docker_reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// That the payload says it is about `subject`, and nothing critical besides.
fn simple_signing(payload: &[u8], subject: &Digest) -> Result<(), VerifyError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(VerifyError::TooLarge(format!("simple signing payload of {} bytes, at most {MAX_PAYLOAD}", payload.len())));
    }
    let malformed = |error: serde_json::Error| VerifyError::Malformed(format!("simple signing: {}", clean(&error.to_string())));
    let strict = json::parse(payload).map_err(malformed)?;
    let SimpleSigning { critical, .. } = SimpleSigning::deserialize(strict).map_err(malformed)?;
    if critical.kind != SIMPLE_SIGNING_TYPE {
        return Err(VerifyError::Unsupported(format!("simple signing of type `{}`", clean(&critical.kind))));
    }
    match critical.image.digest.parse::<Digest>() {
        Ok(found) if found == *subject => Ok(()),
        _ => Err(VerifyError::OtherSubject { found: clean(&critical.image.digest) }),
    }
}

impl Annotations<'_> {
    fn material(&self) -> Result<VerificationMaterial, VerifyError> {
        let entry = rekor_entry(self.rekor_bundle.ok_or_else(|| {
            VerifyError::Log("no `dev.sigstore.cosign/bundle` annotation, so nothing says that it was logged".into())
        })?)?;
        let leaf = X509Certificate::new(certificate(self.certificate)?);
        let content = VerificationMaterialContent::X509CertificateChain { certificates: vec![leaf] };
        let material = VerificationMaterial::new(content).with_tlog_entries(vec![entry]);
        Ok(match self.timestamp {
            None => material,
            Some(text) => {
                let token = Rfc3161Timestamp::new(timestamp_token(text)?);
                material.with_timestamp_verification_data(TimestampVerificationData::new(vec![token]))
            }
        })
    }
}

fn bounded<'a>(what: &str, text: &'a str) -> Result<&'a str, VerifyError> {
    if text.len() > MAX_ANNOTATION {
        return Err(VerifyError::TooLarge(format!("{what} annotation of {} bytes, at most {MAX_ANNOTATION}", text.len())));
    }
    Ok(text)
}

fn certificate(pem: &str) -> Result<DerCertificate, VerifyError> {
    let malformed = |why: &str| VerifyError::Malformed(format!("certificate annotation: {}", clean(why)));
    let pem = bounded("certificate", pem)?;
    if pem.is_empty() {
        return Err(VerifyError::Unsupported("signed with a managed key, not with a certificate".into()));
    }
    if pem.matches("-----BEGIN").count() != 1 {
        return Err(malformed("want exactly one PEM block"));
    }
    DerCertificate::from_pem(pem).map_err(|error| malformed(&error.to_string()))
}

#[derive(Deserialize)]
struct RekorBundle {
    #[serde(rename = "SignedEntryTimestamp")]
    set: String,
    #[serde(rename = "Payload")]
    payload: RekorPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RekorPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    kind: String,
    api_version: String,
}

/// The Rekor v1 entry and its promise.
fn rekor_entry(annotation: &str) -> Result<TransparencyLogEntry, VerifyError> {
    let malformed = |why: &dyn std::fmt::Display| VerifyError::Malformed(format!("Rekor bundle: {}", clean(&why.to_string())));
    let strict = json::parse(bounded("Rekor bundle", annotation)?.as_bytes()).map_err(|error| malformed(&error))?;
    let RekorBundle { set, payload } = RekorBundle::deserialize(strict).map_err(|error| malformed(&error))?;
    let set = SignedTimestamp::new(bundle::base64("Rekor SET", &set)?);
    let body = bundle::base64("Rekor body", &payload.body)?;
    let log_id = hex::decode(&payload.log_id).map_err(|error| malformed(&error))?;
    let integrated = Timestamp::from_second(payload.integrated_time).map_err(|error| malformed(&error))?;
    let index = LogIndex::new(payload.log_index).map_err(|error| malformed(&error))?;
    let entry = TransparencyLogEntry::new(
        index,
        LogId::new(LogKeyId::new(log_id)),
        kind_version(&body, integrated)?,
        CanonicalizedBody::new(body),
    );
    Ok(entry.with_integrated_time(integrated).with_inclusion_promise(InclusionPromise::new(set)))
}

/// The entry's form, from its own body: the annotation does not repeat it. The crate compares the whole body with the
/// bundle, under the form named here.
fn kind_version(body: &[u8], logged_at: Timestamp) -> Result<KindVersion, VerifyError> {
    let malformed = |error: serde_json::Error| VerifyError::Malformed(format!("Rekor body: {}", clean(&error.to_string())));
    let Body { kind, api_version } = Body::deserialize(json::parse(body).map_err(malformed)?).map_err(malformed)?;
    match (&*kind, &*api_version) {
        ("hashedrekord", "0.0.1") => Ok(KindVersion::HashedRekordV001),
        ("dsse", "0.0.1") => Ok(KindVersion::DsseV001),
        ("intoto", "0.0.2") => Ok(KindVersion::IntotoV002),
        _ => Err(bundle::unsupported_entry(&kind, &api_version, Some(logged_at))),
    }
}

#[derive(Deserialize)]
struct Rfc3161 {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

fn timestamp_token(annotation: &str) -> Result<TimestampToken, VerifyError> {
    let malformed = |error: serde_json::Error| VerifyError::Malformed(format!("timestamp: {}", clean(&error.to_string())));
    let strict = json::parse(bounded("timestamp", annotation)?.as_bytes()).map_err(malformed)?;
    let Rfc3161 { token } = Rfc3161::deserialize(strict).map_err(malformed)?;
    Ok(TimestampToken::new(bundle::base64("timestamp", &token)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(digest: &str, critical: &str, top: &str) -> String {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"r"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{SIMPLE_SIGNING_TYPE}"{critical}}},"optional":{{"any":[1]}}{top}}}"#
        )
    }

    #[test]
    fn b16_simple_signing_is_about_its_digest_and_has_no_unknown_critical_field() {
        let subject = Digest::sha256(b"image");
        let digest = subject.to_string();
        assert!(simple_signing(payload(&digest, "", "").as_bytes(), &subject).is_ok());
        let other = Digest::sha256(b"other").to_string();
        let long = Digest::of(crate::oci::Algorithm::Sha512, b"image").to_string();
        for found in [&other, &long, &digest.to_uppercase(), "", &subject.to_hex()] {
            let error = simple_signing(payload(found, "", "").as_bytes(), &subject).unwrap_err();
            assert!(matches!(error, VerifyError::OtherSubject { .. }), "{found}: {error}");
        }
        for (critical, top) in [
            (r#","expires":"2020""#, ""),
            (r#","Type":"x""#, ""),
            (r#","image":{"docker-manifest-digest":"x"}"#, ""),
            ("", r#","extra":1"#),
            ("", r#","critical":{}"#),
        ] {
            let error = simple_signing(payload(&digest, critical, top).as_bytes(), &subject).unwrap_err();
            assert!(matches!(error, VerifyError::Malformed(_)), "{critical}{top}: {error}");
        }
        let atomic = payload(&digest, "", "").replace(SIMPLE_SIGNING_TYPE, "atomic container signature");
        assert!(matches!(simple_signing(atomic.as_bytes(), &subject), Err(VerifyError::Unsupported(_))));
    }

    #[test]
    fn b10_no_certificate_is_a_managed_key() {
        assert!(matches!(certificate(""), Err(VerifyError::Unsupported(_))));
    }

    #[test]
    fn unknown_entry_kinds_are_not_supported() {
        for body in [r#"{"kind":"intoto","apiVersion":"0.0.1"}"#, r#"{"kind":"hashedrekord","apiVersion":"0.0.2"}"#] {
            assert!(
                matches!(kind_version(body.as_bytes(), Timestamp::UNIX_EPOCH), Err(VerifyError::UnsupportedLogEntry { .. })),
                "{body}"
            );
        }
    }
}
