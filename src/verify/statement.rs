//! The in-toto statement: which digests it is about, of which type, and where its predicate lies.
//!
//! Read as a stream, whatever its size: a 50 MiB predicate is never held here. The specification asks for a parse that two
//! readers cannot understand differently; duplicate keys are refused everywhere, and in the statement's own objects so are
//! keys that differ by case alone (threats A6; cosign is Go and ignores case).

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Predicate, VerifyError, clean,
    payload::{Payload, unreadable},
    strict,
};
use crate::oci::{
    Algorithm, Digest, Hasher,
    scan::{Found, Free, Rules},
};

/// What a statement may weigh, decoded: 64 MiB of a bundle's 96 (base64 and the rest take theirs).
pub(super) const MAX_PAYLOAD: u64 = 64 << 20;
/// Subjects of one statement, as sigstore-go caps them.
const MAX_SUBJECTS: usize = 1_024;
/// Digests of one subject, likewise.
const MAX_DIGESTS: usize = 32;
/// The text of all subjects: as many as there may be, each with a name and a few digests.
const MAX_SUBJECTS_TEXT: u64 = 4 << 20;
/// A type's URI.
const MAX_TYPE: u64 = 4 << 10;
/// How deep a predicate may nest. SPDX stays below ten, CycloneDX components and SLSA byproducts nest further.
const MAX_DEPTH: usize = 64;

/// DSSE's payload type for an in-toto statement, the only one that can be bound to a digest.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The predicate type with which cosign says "this is a signature": never an attestation, and no other type ever a signature.
pub(super) const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// Statement types understood: v0.1 (cosign 2) and v1.
const STATEMENT_TYPES: [&str; 2] = ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"];

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Reads `payload` as a statement about `subject`, and hashes its pre-authentication encoding on the way: what is read is
/// what the signature is over. The encoding begins with the length, which [`Payload::len`] knows before.
///
/// # Errors
/// [`VerifyError::OtherSubject`] when the digest is not among the subjects, by its own algorithm and in lower-case hex:
/// a SHA-256 under `sha512`, or in upper case, is another digest. Else what cannot be read.
pub(super) fn read(payload: &Payload, subject: &Digest) -> Result<(super::Statement, Digest), VerifyError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(VerifyError::TooLarge(format!("statement of {} bytes, at most {MAX_PAYLOAD}", payload.len())));
    }
    let rules = Rules { depth: MAX_DEPTH, items: MAX_SUBJECTS, keys: 256, free: Free::Under("predicate") };
    let mut encoding = Encoding::new(payload);
    let wanted = [("_type", None), ("subject", None), ("predicateType", None), ("predicate", None)];
    let found = strict::scan("statement", &mut encoding, rules, &wanted)?;
    let hash = encoding.finish()?;
    let Ok([kind, subjects_text, predicate_type, predicate]) = <[Option<Found>; 4]>::try_from(found) else {
        return Err(VerifyError::Malformed("statement: it was not read whole".into()));
    };
    let kind: String = part(payload, "_type", kind, MAX_TYPE)?;
    if !STATEMENT_TYPES.contains(&&*kind) {
        return Err(VerifyError::Unsupported(format!("statement of type `{}`", clean(&kind))));
    }
    let found: Vec<Subject> = part(payload, "subject", subjects_text, MAX_SUBJECTS_TEXT)?;
    let predicate_type = part(payload, "predicateType", predicate_type, MAX_TYPE)?;
    if let Some(large) = found.iter().map(|subject| subject.digest.len()).find(|count| *count > MAX_DIGESTS) {
        return Err(VerifyError::TooLarge(format!("statement: a subject has {large} digests, at most {MAX_DIGESTS}")));
    }
    if !about(&found, subject) {
        return Err(VerifyError::OtherSubject { found: subjects(&found) });
    }
    let predicate = match predicate {
        None => Predicate::from("null"),
        Some(found) => Predicate::part(payload.clone(), found.range),
    };
    Ok((super::Statement { predicate_type, predicate }, hash))
}

/// A value of the statement's own that is small enough to hold.
fn part<T: DeserializeOwned>(payload: &Payload, key: &str, found: Option<Found>, most: u64) -> Result<T, VerifyError> {
    let found = found.ok_or_else(|| VerifyError::Malformed(format!("statement: missing field `{key}`")))?;
    let len = found.range.end.saturating_sub(found.range.start);
    if len > most {
        return Err(VerifyError::TooLarge(format!("statement: `{key}` of {len} bytes, at most {most}")));
    }
    let text = payload.slice(found.range).map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&text)
        .map_err(|error| VerifyError::Malformed(format!("statement: `{key}`: {}", clean(&error.to_string()))))
}

/// A payload that is hashed as it is read, as DSSE encodes it.
struct Encoding<'p> {
    payload: Box<dyn Read + Send + 'p>,
    len: u64,
    read: u64,
    hasher: Hasher,
}

impl<'p> Encoding<'p> {
    fn new(payload: &'p Payload) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).as_bytes());
        Self { payload: payload.open(), len: payload.len(), read: 0, hasher }
    }

    /// The hash, if the payload is as long as its text says, to which it was hashed before it was read.
    fn finish(mut self) -> Result<Digest, VerifyError> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| unreadable(&error))?;
        if self.read != self.len {
            return Err(VerifyError::Malformed(format!("DSSE payload: {} bytes, its text says {}", self.read, self.len)));
        }
        Ok(self.hasher.finish())
    }
}

impl Read for Encoding<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.payload.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
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
    use bytes::Bytes;

    use super::*;

    fn read(text: &Bytes, subject: &Digest) -> Result<super::super::Statement, VerifyError> {
        super::read(&Payload::from(text.clone()), subject).map(|(statement, _)| statement)
    }

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
