//! A `trusted_root.json`, read strictly: whatever is wrong with it is said with the field's name, before anything relies on it.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use sigstore_trust_root::{TimeRange, TrustedRoot, trusted_root::CertChain};
use x509_cert::{Certificate, der::Decode as _};

use super::{MAX_TRUST_ROOTS, TrustRootError};
use crate::{
    oci::{Digest, json},
    verify::{Relaxed, clean},
};

/// A trusted root: Sigstore's own is 20 KiB.
pub(in crate::verify) const MAX_TRUSTED_ROOT: usize = 1 << 20;
/// Logs or authorities of one kind.
const MAX_ENTRIES: usize = 64;
/// Certificates of one authority.
const MAX_CHAIN: usize = 10;
/// Media types understood, both spellings of the specification.
const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
const LOGS: [&str; 2] = ["tlogs", "ctlogs"];
const AUTHORITIES: [&str; 2] = ["certificateAuthorities", "timestampAuthorities"];

/// A trusted root, checked, with each authority's window narrowed to its certificates' own.
#[derive(Debug)]
pub(in crate::verify) struct Document {
    pub(in crate::verify) root: TrustedRoot,
    /// SHA-256 of its canonical form.
    pub(in crate::verify) digest: Digest,
}

/// Reads a `trusted_root.json`, of which `relaxed` is given up.
///
/// # Errors
/// [`TrustRootError`] naming the field (threats R10).
pub(in crate::verify) fn parse(bytes: &[u8], relaxed: Relaxed) -> Result<Document, TrustRootError> {
    if bytes.len() > MAX_TRUSTED_ROOT {
        return Err(TrustRootError::TooLarge { bytes: bytes.len() as u64 });
    }
    let malformed = |error: serde_json::Error| TrustRootError::Malformed(clean(&error.to_string()));
    let strict = json::parse(bytes).map_err(|error| several(bytes).unwrap_or_else(|| malformed(error)))?;
    check(&strict)?;
    let root: TrustedRoot = serde_json::from_value(strict).map_err(malformed)?;
    from_root(root, relaxed)
}

/// That there are several roots, one a line, as `gh attestation trusted-root` writes them. Not all are taken for one: an identity is
/// met under the root that its policy names, and GitHub's own has no log.
fn several(bytes: &[u8]) -> Option<TrustRootError> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let roots: Vec<_> = lines.map(|(at, line)| json::parse(line).map(|root| (at + 1, root))).collect::<Result<_, _>>().ok()?;
    let whose = |(line, root): &(usize, Value)| {
        let authority = root.pointer("/certificateAuthorities/0/uri").and_then(Value::as_str).unwrap_or("no authority");
        format!("line {line} is of {}", clean(authority))
    };
    let told = roots.iter().take(MAX_TRUST_ROOTS).map(whose).collect::<Vec<_>>().join(", ");
    let several = || {
        TrustRootError::Malformed(format!(
            "several, one a line: {told}; write the line that is meant into a file of its own, or each, and name them in the \
             `trust_roots` of a configuration"
        ))
    };
    (roots.len() > 1).then(several)
}

/// Checks and narrows a trusted root that was read elsewhere (by TUF).
///
/// # Errors
/// As [`parse`].
pub(in crate::verify) fn from_root(mut root: TrustedRoot, relaxed: Relaxed) -> Result<Document, TrustRootError> {
    distinct("tlogs", root.tlogs.iter().map(|log| log.log_id.key_id.as_bytes()))?;
    distinct("ctlogs", root.ctlogs.iter().map(|log| log.log_id.key_id.as_bytes()))?;
    present(&root, relaxed)?;
    for (at, log) in root.tlogs.iter().enumerate() {
        ordered(&format!("tlogs[{at}].publicKey.validFor"), log.public_key.valid_for)?;
    }
    for (at, log) in root.ctlogs.iter().enumerate() {
        ordered(&format!("ctlogs[{at}].publicKey.validFor"), log.public_key.valid_for)?;
    }
    for (at, authority) in root.certificate_authorities.iter_mut().enumerate() {
        let field = format!("certificateAuthorities[{at}]");
        authority.valid_for = Some(narrow(&field, &authority.cert_chain, authority.valid_for)?);
    }
    for (at, authority) in root.timestamp_authorities.iter_mut().enumerate() {
        let field = format!("timestampAuthorities[{at}]");
        authority.valid_for = Some(narrow(&field, &authority.cert_chain, authority.valid_for)?);
    }
    // The struct's own serialisation: field order is fixed, and spacing or unknown keys of the source make no new epoch.
    let canonical = serde_json::to_vec(&root).map_err(|error| TrustRootError::Malformed(clean(&error.to_string())))?;
    Ok(Document { root, digest: Digest::sha256(&canonical) })
}

/// That the root has what verification asks for, and lacks what is given up. Better said at start than as a refusal of
/// every image.
fn present(root: &TrustedRoot, relaxed: Relaxed) -> Result<(), TrustRootError> {
    // GitHub's own root, for private repositories, has neither of the first two.
    for (kind, missing, key, given_up) in [
        ("tlogs", root.tlogs.is_empty(), "dangerous_no_log", relaxed.no_log),
        ("ctlogs", root.ctlogs.is_empty(), "dangerous_no_sct", relaxed.no_sct),
    ] {
        match (missing, given_up) {
            (true, false) => {
                let reason = format!("there is none, so nothing could ever be admitted; to do without, say `{key}: true`");
                return Err(invalid(kind, &reason));
            }
            (false, true) => {
                let reason = format!("there is one, so `{key}` would give up for nothing what it proves; leave the key out");
                return Err(invalid(kind, &reason));
            }
            (true, true) | (false, false) => {}
        }
    }
    if root.certificate_authorities.is_empty() {
        return Err(invalid("certificateAuthorities", "there is none, so nothing could ever be admitted"));
    }
    if relaxed.no_log && root.timestamp_authorities.is_empty() {
        return Err(invalid("timestampAuthorities", "there is none, and without a log nothing else says when"));
    }
    Ok(())
}

fn invalid(field: &str, reason: &str) -> TrustRootError {
    TrustRootError::Invalid { field: field.to_owned(), reason: clean(reason) }
}

/// What a typed reading would report without saying where, or not at all.
fn check(root: &Value) -> Result<(), TrustRootError> {
    match root.get("mediaType").and_then(Value::as_str) {
        Some(known) if MEDIA_TYPES.contains(&known) => {}
        Some(other) => return Err(invalid("mediaType", &format!("`{other}` is not a trusted root this version reads"))),
        None => return Err(invalid("mediaType", "it is missing")),
    }
    for kind in LOGS.into_iter().chain(AUTHORITIES) {
        let entries = match root.get(kind) {
            None => continue,
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(invalid(kind, "it is not a list")),
        };
        if entries.len() > MAX_ENTRIES {
            return Err(invalid(kind, &format!("{} entries, at most {MAX_ENTRIES}", entries.len())));
        }
        for (at, entry) in entries.iter().enumerate() {
            let field = format!("{kind}[{at}]");
            if LOGS.contains(&kind) {
                let key = entry.get("publicKey").ok_or_else(|| invalid(&format!("{field}.publicKey"), "it is missing"))?;
                started(&format!("{field}.publicKey.validFor"), key.get("validFor"))?;
            } else {
                started(&format!("{field}.validFor"), entry.get("validFor"))?;
                let chain = entry.pointer("/certChain/certificates").and_then(Value::as_array).map_or(0, Vec::len);
                if !(1..=MAX_CHAIN).contains(&chain) {
                    let reason = format!("{chain} certificates, want 1 to {MAX_CHAIN}");
                    return Err(invalid(&format!("{field}.certChain.certificates"), &reason));
                }
            }
        }
    }
    Ok(())
}

/// A window must say when it starts: a missing start must not mean "always" (conformance: trust-root interval semantics).
fn started(field: &str, window: Option<&Value>) -> Result<(), TrustRootError> {
    match window {
        None | Some(Value::Null) => Ok(()),
        Some(window) if window.get("start").is_some_and(Value::is_string) => Ok(()),
        Some(_) => Err(invalid(&format!("{field}.start"), "it is missing")),
    }
}

fn ordered(field: &str, window: Option<TimeRange>) -> Result<(), TrustRootError> {
    match window {
        Some(TimeRange { start, end: Some(end) }) if end < start => {
            Err(invalid(field, &format!("it ends at {end}, before it starts at {start}")))
        }
        _ => Ok(()),
    }
}

fn distinct<'a>(kind: &str, ids: impl Iterator<Item = &'a [u8]>) -> Result<(), TrustRootError> {
    let mut seen = HashSet::new();
    for (at, id) in ids.enumerate() {
        if !seen.insert(id) {
            return Err(invalid(&format!("{kind}[{at}].logId"), &format!("{} is listed twice", hex::encode(id))));
        }
    }
    Ok(())
}

/// The window in which all of `chain` is valid: `validFor`, and every certificate's own dates.
///
/// webpki's trust anchors carry no dates, so the crate knows `validFor` only; an open one would let an expired
/// authority go on (CVE-2026-24122). Path validation in the hybrid model wants the whole chain valid at the signing time.
fn narrow(field: &str, chain: &CertChain, valid_for: Option<TimeRange>) -> Result<TimeRange, TrustRootError> {
    ordered(&format!("{field}.validFor"), valid_for)?;
    let mut window: Option<TimeRange> = valid_for;
    for (at, certificate) in chain.certificates.iter().enumerate() {
        let field = format!("{field}.certChain.certificates[{at}]");
        let certificate =
            Certificate::from_der(certificate.raw_bytes.as_bytes()).map_err(|error| invalid(&field, &error.to_string()))?;
        let dates = certificate.tbs_certificate.validity;
        let moment = |time: x509_cert::time::Time| {
            Timestamp::try_from(time.to_system_time()).map_err(|error| invalid(&field, &error.to_string()))
        };
        let (start, end) = (moment(dates.not_before)?, moment(dates.not_after)?);
        window = Some(match window {
            None => TimeRange::new(start, Some(end)),
            Some(so_far) => TimeRange::new(so_far.start.max(start), Some(so_far.end.map_or(end, |earlier| earlier.min(end)))),
        });
    }
    let window = window.ok_or_else(|| invalid(&format!("{field}.certChain.certificates"), "the chain is empty"))?;
    ordered(&format!("{field}.validFor, narrowed to the certificates' own dates"), Some(window))?;
    Ok(window)
}
