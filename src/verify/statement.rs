//! The in-toto statement: which digests it is about, of which type, and its predicate as raw bytes.
//!
//! Read shallowly: a 50 MiB predicate is never a tree here, only a slice of the payload. The specification asks for a
//! parse that two readers cannot understand differently; duplicate keys are refused everywhere, and in the statement's
//! own objects so are keys that differ by case alone (threats A6; cosign is Go and ignores case).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{VerifyError, clean, strict};
use crate::oci::{Algorithm, Digest};

/// What a statement may weigh, decoded: 64 MiB of a bundle's 96 (base64 and the rest take theirs).
pub(super) const MAX_PAYLOAD: usize = 64 << 20;
/// Subjects of one statement, as sigstore-go caps them.
const MAX_SUBJECTS: usize = 1_024;
/// Digests of one subject, likewise.
const MAX_DIGESTS: usize = 32;
/// How deep a predicate may nest. SPDX stays below ten, CycloneDX components and SLSA byproducts nest further.
const MAX_DEPTH: usize = 64;

/// DSSE's payload type for an in-toto statement, the only one that can be bound to a digest.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The predicate type with which cosign says "this is a signature": never an attestation, and no other type ever a signature.
pub(super) const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// Statement types understood: v0.1 (cosign 2) and v1.
const STATEMENT_TYPES: [&str; 2] = ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"];

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(borrow, default)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Reads `payload` as a statement about `subject`. The predicate is a slice of `payload`, not a copy.
///
/// # Errors
/// [`VerifyError::OtherSubject`] when the digest is not among the subjects, by its own algorithm and in lower-case hex:
/// a SHA-256 under `sha512`, or in upper case, is another digest. Else what cannot be read.
pub(super) fn read(payload: &Bytes, subject: &Digest) -> Result<super::Statement, VerifyError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(VerifyError::TooLarge(format!("statement of {} bytes, at most {MAX_PAYLOAD}", payload.len())));
    }
    let rules = strict::Rules { depth: MAX_DEPTH, items: MAX_SUBJECTS, keys: 256, free: Some("predicate") };
    strict::check("statement", payload, rules)?;
    let wire: Wire<'_> = serde_json::from_slice(payload)
        .map_err(|error| VerifyError::Malformed(format!("statement: {}", clean(&error.to_string()))))?;
    if !STATEMENT_TYPES.contains(&&*wire.kind) {
        return Err(VerifyError::Unsupported(format!("statement of type `{}`", clean(&wire.kind))));
    }
    if let Some(large) = wire.subject.iter().map(|subject| subject.digest.len()).find(|count| *count > MAX_DIGESTS) {
        return Err(VerifyError::TooLarge(format!("statement: a subject has {large} digests, at most {MAX_DIGESTS}")));
    }
    if !about(&wire.subject, subject) {
        return Err(VerifyError::OtherSubject { found: subjects(&wire.subject) });
    }
    let predicate = wire.predicate.map_or(Bytes::from_static(b"null"), |raw| payload.slice_ref(raw.get().as_bytes()));
    Ok(super::Statement { predicate_type: wire.predicate_type, predicate: predicate.into() })
}

fn about(subjects: &[Subject], wanted: &Digest) -> bool {
    let (algorithm, hex) = (wanted.algorithm().as_str(), wanted.to_hex());
    subjects.iter().any(|subject| subject.digest.get(algorithm) == Some(&hex))
}

/// The first subjects, for a sentence.
fn subjects(subjects: &[Subject]) -> String {
    let mut known = subjects
        .iter()
        .flat_map(|subject| &subject.digest)
        .filter(|(algorithm, _)| [Algorithm::Sha256, Algorithm::Sha512].iter().any(|known| known.as_str() == *algorithm));
    match (known.next(), known.count()) {
        (None, _) => "no subject with a sha256 or sha512 digest".into(),
        (Some((algorithm, hash)), 0) => clean(&format!("{algorithm}:{hash}")),
        (Some((algorithm, hash)), more) => format!("{} and {more} more", clean(&format!("{algorithm}:{hash}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Digest {
        Digest::sha256(b"image")
    }

    fn statement(subjects: &str, rest: &str) -> Bytes {
        format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":{subjects},"predicateType":"t"{rest}}}"#).into()
    }

    fn of(digests: &str) -> String {
        format!(r#"[{{"name":"x","digest":{{{digests}}}}}]"#)
    }

    #[test]
    fn predicate_is_the_raw_text_and_null_when_absent() {
        let digest = of(&format!(r#""sha256":"{}""#, subject().to_hex()));
        let read_one = read(&statement(&digest, r#","predicate": {"a" : [1, 2.50]}"#), &subject()).unwrap();
        assert_eq!(
            (&*read_one.predicate_type, read_one.predicate.whole(99).unwrap()),
            ("t", Bytes::from_static(br#"{"a" : [1, 2.50]}"#))
        );
        assert_eq!(read(&statement(&digest, ""), &subject()).unwrap().predicate.whole(99).unwrap(), Bytes::from_static(b"null"));
    }

    #[test]
    fn a2_a_digest_matches_only_under_its_own_algorithm_in_lower_case() {
        let hex = subject().to_hex();
        let long = Digest::of(Algorithm::Sha512, b"image");
        for digests in [
            format!(r#""sha512":"{hex}""#),
            format!(r#""SHA256":"{hex}""#),
            format!(r#""sha256":"{}""#, hex.to_uppercase()),
            format!(r#""sha256":"sha256:{hex}""#),
            format!(r#""sha256":"{}""#, Digest::sha256(b"other").to_hex()),
            format!(r#""sha512":"{}""#, long.to_hex()),
            String::new(),
        ] {
            let error = read(&statement(&of(&digests), ""), &subject()).unwrap_err();
            assert!(matches!(error, VerifyError::OtherSubject { .. }), "{digests}: {error}");
        }
        assert!(read(&statement(&of(&format!(r#""sha512":"{}""#, long.to_hex())), ""), &long).is_ok());
        assert!(read(&statement(&of(&format!(r#""sha256":"{hex}""#)), ""), &long).is_err());
        assert!(read(&statement("[]", ""), &subject()).is_err());
    }

    #[test]
    fn a6_two_subjects_types_or_predicates_are_refused() {
        let digest = of(&format!(r#""sha256":"{}""#, subject().to_hex()));
        for rest in [
            r#","subject":[]"#.to_owned(),
            r#","Subject":[]"#.to_owned(),
            r#","predicateType":"u""#.to_owned(),
            r#","predicatetype":"u""#.to_owned(),
            r#","predicate":{"spdxVersion":1,"spdxVersion":2}"#.to_owned(),
            r#","predicate":{},"predicate":{}"#.to_owned(),
        ] {
            let error = read(&statement(&digest, &rest), &subject()).unwrap_err();
            assert!(matches!(error, VerifyError::Malformed(_)), "{rest}: {error}");
        }
        let twice = of(&format!(r#""sha256":"{0}","Sha256":"{0}""#, subject().to_hex()));
        assert!(matches!(read(&statement(&twice, ""), &subject()), Err(VerifyError::Malformed(_))));
    }

    #[test]
    fn a11_1025_subjects_and_33_digests_are_too_many() {
        let good = format!(r#"{{"digest":{{"sha256":"{}"}}}}"#, subject().to_hex());
        let many = |count: usize| format!("[{}]", vec![good.as_str(); count].join(","));
        assert!(read(&statement(&many(1_024), ""), &subject()).is_ok());
        assert!(matches!(read(&statement(&many(1_025), ""), &subject()), Err(VerifyError::TooLarge(_))));
        let digests = |count: usize| {
            let mut all: Vec<String> = (1..count).map(|at| format!(r#""x{at}":"00""#)).collect();
            all.push(format!(r#""sha256":"{}""#, subject().to_hex()));
            of(&all.join(","))
        };
        assert!(read(&statement(&digests(32), ""), &subject()).is_ok());
        assert!(matches!(read(&statement(&digests(33), ""), &subject()), Err(VerifyError::TooLarge(_))));
        let deep = format!(r#","predicate":{}1{}"#, "[".repeat(100), "]".repeat(100));
        let digest = of(&format!(r#""sha256":"{}""#, subject().to_hex()));
        assert!(matches!(read(&statement(&digest, &deep), &subject()), Err(VerifyError::TooLarge(_))));
    }

    #[test]
    fn other_statement_types_are_not_read() {
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v2","subject":{},"predicateType":"t"}}"#,
            of(&format!(r#""sha256":"{}""#, subject().to_hex()))
        );
        assert!(matches!(read(&text.into(), &subject()), Err(VerifyError::Unsupported(_))));
    }
}
