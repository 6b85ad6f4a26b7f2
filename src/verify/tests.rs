//! What every piece of recorded evidence proves, and that nothing else does.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{evidence::Content, oci::Algorithm};

const RELEASE: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SPDX: &str = "https://spdx.dev/Document";

pub(super) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme")
}

pub(super) fn trusted_root() -> Vec<u8> {
    std::fs::read(fixtures().join("trusted_root.json")).unwrap()
}

static VERIFIER: LazyLock<Sigstore> = LazyLock::new(|| Sigstore::from_trusted_root(&trusted_root()).unwrap());

/// One recorded piece: whose repository carries it, which digest it is attached to, and its bytes.
#[derive(Debug, Clone)]
struct Recorded {
    repository: String,
    subject: Digest,
    content: Content,
}

fn blob(digest: &str) -> Bytes {
    std::fs::read(fixtures().join("registry/blobs").join(digest.replace(':', "/"))).unwrap().into()
}

fn document(digest: &Value) -> Value {
    serde_json::from_slice(&blob(digest.as_str().unwrap())).unwrap()
}

/// Reads the layout: `sha256-<hex>` is a referrers index, `.sig` and `.att` are cosign's older manifests.
fn recorded() -> Vec<Recorded> {
    let index: Value = serde_json::from_slice(&std::fs::read(fixtures().join("registry/index.json")).unwrap()).unwrap();
    let mut pieces = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let Some(rest) = tag.strip_prefix("sha256-") else { continue };
        let subject = format!("sha256:{}", &rest[..64]).parse().unwrap();
        let piece = |content| Recorded { repository: repository.to_owned(), subject, content };
        let manifest = document(&entry["digest"]);
        if let Some(kind) = rest.get(64..).filter(|kind| !kind.is_empty()) {
            for layer in manifest["layers"].as_array().unwrap() {
                let text = |key: &str| layer["annotations"][key].as_str().map(str::to_owned);
                let bytes = blob(layer["digest"].as_str().unwrap());
                let certificate = text("dev.sigstore.cosign/certificate").unwrap();
                let rekor_bundle = text("dev.sigstore.cosign/bundle");
                let timestamp = text("dev.sigstore.cosign/rfc3161timestamp");
                pieces.push(piece(match kind {
                    ".sig" => Content::CosignSignature {
                        payload: bytes,
                        signature: text("dev.cosignproject.cosign/signature").unwrap(),
                        certificate,
                        rekor_bundle,
                        timestamp,
                    },
                    ".att" => Content::CosignAttestation { envelope: bytes, certificate, rekor_bundle, timestamp },
                    other => panic!("{other}"),
                }));
            }
        } else {
            for descriptor in manifest["manifests"].as_array().unwrap() {
                for layer in document(&descriptor["digest"])["layers"].as_array().unwrap() {
                    pieces.push(piece(Content::Bundle(blob(layer["digest"].as_str().unwrap()))));
                }
            }
        }
    }
    pieces
}

/// One fact, short: `signature` or the predicate type, the signer, and how it was logged.
fn fact(verified: &Verified) -> String {
    let what = match &verified.content {
        Proven::Attestation(statement) => &statement.predicate_type,
        Proven::Signature => "signature",
    };
    let who = verified.signer.subject.strip_prefix("https://github.com/").unwrap();
    format!("{what} by {who} ({:?})", verified.log)
}

/// The pieces attached to `repository`'s image, in the order recorded.
fn pieces(repository: &str) -> Vec<Recorded> {
    recorded().into_iter().filter(|piece| piece.repository == repository).collect()
}

/// The recorded bundle of `repository` that is a signature or an attestation of `kind`.
fn bundle(repository: &str, kind: &str) -> (Digest, Value) {
    let found = pieces(repository).into_iter().find_map(|piece| match &piece.content {
        Content::Bundle(json) => {
            let verified = VERIFIER.verify(&piece.subject, &piece.content).unwrap();
            fact(&verified).starts_with(kind).then(|| (piece.subject, serde_json::from_slice(json).unwrap()))
        }
        Content::CosignAttestation { .. } | Content::CosignSignature { .. } => None,
    });
    found.unwrap()
}

fn verify(subject: &Digest, bundle: &Value) -> Result<Verified, VerifyError> {
    VERIFIER.verify(subject, &Content::Bundle(serde_json::to_vec(bundle).unwrap().into()))
}

fn same(left: &Verified, right: &Verified) -> bool {
    let content = match (&left.content, &right.content) {
        (Proven::Signature, Proven::Signature) => true,
        (Proven::Attestation(left), Proven::Attestation(right)) => {
            left.predicate_type == right.predicate_type && left.predicate == right.predicate
        }
        (Proven::Signature, Proven::Attestation(_)) | (Proven::Attestation(_), Proven::Signature) => false,
    };
    content && left.signer == right.signer && left.times == right.times && left.log == right.log
}

#[test]
fn every_recorded_piece_proves_what_its_case_says() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in recorded() {
        let text = match &VERIFIER.verify(&piece.subject, &piece.content) {
            Ok(verified) => {
                assert_eq!((&*verified.signer.issuer, verified.signer.san_kind), (ISSUER, SanKind::Uri));
                assert!(!verified.times.is_empty());
                for time in &verified.times {
                    assert!(time.to_string().starts_with("2026-11-22T16:"), "{time}");
                }
                fact(verified)
            }
            Err(error) => error.to_string(),
        };
        found.entry(piece.repository).or_default().push(text);
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut expect = |repository: &str, what: &[(&str, &str, &str)]| {
        let line = |(what, who, log): &(&str, &str, &str)| {
            let (owner, branch) = who.split_once('@').unwrap_or((who, "main"));
            format!("{what} by {owner}/.github/workflows/release.yml@refs/heads/{branch} ({log})")
        };
        expected.insert(format!("acme/{repository}"), what.iter().map(line).collect());
    };
    for plain in ["app", "docker", "hollow", "moved", "multi"] {
        expect(plain, &[(SPDX, "acme/app", "Proof"), ("signature", "acme/app", "Proof")]);
    }
    expect("branch", &[(SPDX, "acme/app@feature", "Proof"), ("signature", "acme/app@feature", "Proof")]);
    expect("cyclonedx", &[("https://cyclonedx.org/bom", "acme/app", "Proof"), ("signature", "acme/app", "Proof")]);
    expect("fork", &[(SPDX, "mallory/app", "Proof"), ("signature", "mallory/app", "Proof")]);
    expect("legacy", &[(SPDX, "acme/app", "Promise"), ("signature", "acme/app", "Promise")]);
    expect("mixed", &[(SPDX, "acme/app", "Proof"), ("signature", "acme/app", "Promise")]);
    expect("nosbom", &[("signature", "acme/app", "Proof")]);
    expect("prefix", &[(SPDX, "acme/app-evil", "Proof"), ("signature", "acme/app-evil", "Proof")]);
    expect("sbomonly", &[(SPDX, "acme/app", "Proof")]);
    let vulnerabilities = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let signature = ("signature", "acme/app", "Proof");
    expect("scanned", &[(vulnerabilities, "acme/app", "Proof"), (SPDX, "acme/app", "Proof"), signature]);
    expect("splitid", &[(SPDX, "mallory/app", "Proof"), signature]);
    let mallory = ("signature", "mallory/app", "Proof");
    expect("twice", &[(SPDX, "acme/app", "Proof"), (SPDX, "mallory/app", "Proof"), signature, mallory]);
    let app =
        "it is about sha256:5e621c8b2b869b69b32dd04fe158b1c17366ff6dc9a678f89d64767e5562a64e, not about the digest asked for";
    for copied in ["copied", "swapped"] {
        expected.insert(format!("acme/{copied}"), vec![app.to_owned(); 2]);
    }
    for list in found.values_mut() {
        list.sort();
    }
    assert_eq!(found, expected);
}

#[test]
fn claims_are_the_certificates_and_named_as_policies_name_them() {
    assert!(CLAIMS.is_sorted());
    let piece = &pieces("acme/app")[0];
    let claims = VERIFIER.verify(&piece.subject, &piece.content).unwrap().signer.claims;
    let found: Vec<(&str, &str)> = claims.iter().map(|(name, value)| (*name, &**value)).collect();
    let commit = "8f4a000000000000000000000000000000000000";
    assert!(claims.keys().all(|name| CLAIMS.contains(name)));
    for expected in [
        ("build_signer_uri", RELEASE),
        ("build_trigger", "push"),
        ("github_workflow_name", "release"),
        ("github_workflow_ref", "refs/heads/main"),
        ("github_workflow_repository", "acme/app"),
        ("github_workflow_sha", commit),
        ("github_workflow_trigger", "push"),
        ("runner_environment", "github-hosted"),
        ("source_repository_identifier", "1001"),
        ("source_repository_owner_identifier", "77"),
        ("source_repository_owner_uri", "https://github.com/acme"),
        ("source_repository_uri", "https://github.com/acme/app"),
        ("source_repository_visibility_at_signing", "public"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(!claims.contains_key("deployment_environment"), "absent ones are absent");
}

#[test]
fn b4_evidence_of_any_image_is_about_no_other() {
    let other = Digest::sha256(b"another image");
    let long = Digest::of(Algorithm::Sha512, b"another image");
    for piece in recorded() {
        for subject in [&other, &long] {
            let error = VERIFIER.verify(subject, &piece.content).unwrap_err();
            assert!(matches!(error, VerifyError::OtherSubject { .. }), "{}: {error}", piece.repository);
        }
    }
}

#[test]
fn i14_under_another_trust_root_nothing_verifies() {
    use sigstore_trust_root::{SigstoreInstance, TrustedRoot};
    for instance in [SigstoreInstance::PublicGood, SigstoreInstance::Staging] {
        let root = TrustedRoot::from_embedded(instance).unwrap();
        let verifier = Sigstore::new(trust_root::document::from_root(root).unwrap()).unwrap();
        assert_ne!(verifier.epoch(), VERIFIER.epoch());
        for piece in recorded() {
            assert!(verifier.verify(&piece.subject, &piece.content).is_err(), "{}", piece.repository);
        }
    }
}

#[test]
fn b3_a_foreign_entry_proof_certificate_signature_or_timestamp_never_verifies() {
    let (subject, mine) = bundle("acme/app", "signature");
    assert!(verify(&subject, &mine).is_ok());
    // Genuine material of the same log, signed by the same identity, about another image and about the same one.
    for (repository, kind) in [("acme/docker", "signature"), ("acme/app", SPDX), ("acme/fork", "signature")] {
        let (_, theirs) = bundle(repository, kind);
        for path in [
            "/verificationMaterial/tlogEntries",
            "/verificationMaterial/tlogEntries/0/canonicalizedBody",
            "/verificationMaterial/tlogEntries/0/inclusionProof",
            "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint",
            "/verificationMaterial/certificate",
            "/verificationMaterial/timestampVerificationData",
            "/dsseEnvelope/signatures",
            "/dsseEnvelope/payload",
        ] {
            let mut spliced = mine.clone();
            *spliced.pointer_mut(path).unwrap() = theirs.pointer(path).unwrap().clone();
            let outcome = verify(&subject, &spliced);
            // Another genuine checkpoint of the same log may be of the same tree; then nothing was replaced.
            assert!(spliced == mine || outcome.is_err(), "{path} of {repository}: {outcome:?}");
        }
        // Beside the right entry a foreign one is no better (threats B8).
        let mut spliced = mine.clone();
        let entries = spliced.pointer_mut("/verificationMaterial/tlogEntries").unwrap().as_array_mut().unwrap();
        entries.push(theirs.pointer("/verificationMaterial/tlogEntries/0").unwrap().clone());
        assert!(matches!(verify(&subject, &spliced), Err(VerifyError::Log(_))));
    }
}

#[test]
fn b3_a_foreign_set_or_certificate_in_cosigns_older_form_never_verifies() {
    let mut sets = Vec::new();
    let older: Vec<Recorded> = recorded().into_iter().filter(|piece| !matches!(piece.content, Content::Bundle(_))).collect();
    assert_eq!(older.len(), 3, "legacy .sig and .att, mixed .sig");
    for piece in &older {
        match &piece.content {
            Content::CosignAttestation { certificate, rekor_bundle, .. }
            | Content::CosignSignature { certificate, rekor_bundle, .. } => {
                sets.push((certificate.clone(), rekor_bundle.clone().unwrap()));
            }
            Content::Bundle(_) => unreachable!(),
        }
    }
    let swap_set = |into: &str, from: &str| {
        let (mut into, from): (Value, Value) = (serde_json::from_str(into).unwrap(), serde_json::from_str(from).unwrap());
        into["SignedEntryTimestamp"] = from["SignedEntryTimestamp"].clone();
        into.to_string()
    };
    for (at, piece) in older.iter().enumerate() {
        assert!(VERIFIER.verify(&piece.subject, &piece.content).is_ok());
        for (from, (their_certificate, their_bundle)) in sets.iter().enumerate().filter(|(from, _)| *from != at) {
            let spliced = |certificate: Option<&String>, bundle: Option<String>| {
                let mut content = piece.content.clone();
                match &mut content {
                    Content::CosignAttestation { certificate: mine, rekor_bundle, .. }
                    | Content::CosignSignature { certificate: mine, rekor_bundle, .. } => {
                        *mine = certificate.unwrap_or(mine).clone();
                        *rekor_bundle = bundle.or(rekor_bundle.take());
                    }
                    Content::Bundle(_) => unreachable!(),
                }
                VERIFIER.verify(&piece.subject, &content)
            };
            // CVE-2022-23649: the SET of another signature. CVE-2026-22703: another valid entry altogether.
            let set = swap_set(&sets[at].1, their_bundle);
            assert!(matches!(spliced(None, Some(set)), Err(VerifyError::Log(_))), "{at} {from}");
            assert!(spliced(None, Some(their_bundle.clone())).is_err(), "{at} {from}");
            assert!(spliced(Some(their_certificate), None).is_err(), "{at} {from}");
            assert!(spliced(Some(their_certificate), Some(their_bundle.clone())).is_err(), "{at} {from}");
        }
    }
}

#[test]
fn cosigns_older_form_without_a_rekor_entry_is_not_believed() {
    for piece in pieces("acme/legacy") {
        let mut content = piece.content.clone();
        match &mut content {
            Content::CosignAttestation { rekor_bundle, .. } | Content::CosignSignature { rekor_bundle, .. } => {
                *rekor_bundle = None
            }
            Content::Bundle(_) => unreachable!(),
        }
        assert!(matches!(VERIFIER.verify(&piece.subject, &content), Err(VerifyError::Log(_))));
    }
}

#[test]
fn b6_an_entry_with_neither_proof_nor_promise_or_without_a_verified_time_is_refused() {
    let (subject, good) = bundle("acme/app", "signature");
    let entry = good.pointer("/verificationMaterial/tlogEntries/0").unwrap().clone();
    let mut bare = entry.clone();
    bare.as_object_mut().unwrap().remove("inclusionProof");
    let with = |entries: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut("/verificationMaterial/tlogEntries").unwrap() = entries;
        verify(&subject, &bundle)
    };
    assert!(with(json!([entry, entry])).is_ok(), "the same entry twice proves what it proves once");
    assert!(matches!(with(json!([bare])), Err(VerifyError::Log(_))));
    // B8: the crate is content with one proof in the bundle.
    assert!(matches!(with(json!([entry, bare])), Err(VerifyError::Log(_))));
    assert!(matches!(with(json!([bare, entry])), Err(VerifyError::Log(_))));
    assert!(matches!(with(json!([])), Err(VerifyError::Log(_))));
    // CVE-2024-55655, CVE-2026-48816: an unsigned integration time is no time.
    let mut timed = good.clone();
    timed.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap()["integratedTime"] = json!("1795364841");
    timed["verificationMaterial"].as_object_mut().unwrap().remove("timestampVerificationData");
    assert!(matches!(verify(&subject, &timed), Err(VerifyError::Timestamp(_))));
}

#[test]
fn b10_managed_keys_are_not_supported() {
    let (subject, mut bundle) = bundle("acme/app", "signature");
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    let certificate = material.remove("certificate").unwrap();
    material.insert("publicKey".into(), json!({"hint": "abc"}));
    assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Unsupported(_))));
    // With both, whichever a reader takes, the other is ignored: so neither.
    bundle["verificationMaterial"]["certificate"] = certificate;
    assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Malformed(_))));
}

#[test]
fn a11_counts_are_bounded_before_any_cryptography() {
    let (subject, good) = bundle("acme/app", "signature");
    let repeat = |path: &str, count: usize| {
        let mut bundle = good.clone();
        let list = bundle.pointer_mut(path).unwrap().as_array_mut().unwrap();
        let one = list[0].clone();
        *list = vec![one; count];
        verify(&subject, &bundle)
    };
    let entries = "/verificationMaterial/tlogEntries";
    let timestamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    assert!(repeat(entries, 32).is_ok() && repeat(timestamps, 32).is_ok());
    assert!(matches!(repeat(entries, 33), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat(timestamps, 33), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat(timestamps, 1_000), Err(VerifyError::TooLarge(_))));
    assert!(matches!(repeat("/dsseEnvelope/signatures", 2), Err(VerifyError::Malformed(_))));
    assert!(matches!(repeat("/dsseEnvelope/signatures", 0), Err(VerifyError::Malformed(_))));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(VERIFIER.verify(&subject, &Content::Bundle(deep.into())), Err(VerifyError::TooLarge(_))));
}

#[test]
fn a9_sizes_are_bounded_by_what_the_piece_is() {
    let (subject, good) = bundle("acme/app", "signature");
    let padded = |bundle: &Value, bytes: usize| {
        let mut text = serde_json::to_vec(bundle).unwrap();
        text.resize(bytes, b' ');
        VERIFIER.verify(&subject, &Content::Bundle(text.into()))
    };
    let (_, attestation) = bundle("acme/app", SPDX);
    assert!(matches!(padded(&good, (16 << 20) + 1), Err(VerifyError::TooLarge(_))));
    assert!(padded(&attestation, (16 << 20) + 1).is_ok());
    assert!(matches!(padded(&attestation, (96 << 20) + 1), Err(VerifyError::TooLarge(_))));
}

#[test]
fn a6_a_bundle_with_duplicate_or_contradicting_keys_is_malformed() {
    let (subject, good) = bundle("acme/app", "signature");
    let text = good.to_string();
    for (from, to) in [
        ("\"mediaType\":", "\"mediaType\":\"x\",\"mediaType\":"),
        ("\"dsseEnvelope\":", "\"messageSignature\":{\"signature\":\"AAAA\"},\"dsseEnvelope\":"),
        ("\"payloadType\":", "\"PayloadType\":\"x\",\"payloadType\":"),
        ("\"certificate\":", "\"x509CertificateChain\":{\"certificates\":[]},\"certificate\":"),
    ] {
        assert!(text.contains(from), "{from}");
        let outcome = VERIFIER.verify(&subject, &Content::Bundle(text.replacen(from, to, 1).into()));
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{from}: {outcome:?}");
    }
}

#[test]
fn b9_only_the_leaf_of_a_chain_is_used_and_the_chain_is_bounded() {
    // A v0.3 bundle says `certificate`; v0.2 has a chain, which a signer may fill with anything.
    let (subject, mut bundle) = bundle("acme/app", "signature");
    let leaf = bundle["verificationMaterial"].as_object_mut().unwrap().remove("certificate").unwrap();
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let chain = |certificates: Vec<Value>| {
        let mut bundle = bundle.clone();
        bundle["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": certificates });
        verify(&subject, &bundle)
    };
    let root: Value = serde_json::from_slice(&trusted_root()).unwrap();
    let authority = root.pointer("/certificateAuthorities/0/certChain/certificates/0").unwrap();
    assert!(chain(vec![leaf.clone()]).is_ok());
    assert!(chain(vec![leaf.clone(), authority.clone()]).is_ok());
    assert!(chain(vec![authority.clone(), leaf.clone()]).is_err());
    assert!(matches!(chain(vec![leaf.clone(); 17]), Err(VerifyError::TooLarge(_))));
    assert!(matches!(chain(vec![leaf; 1_000]), Err(VerifyError::TooLarge(_))));
    assert!(matches!(chain(vec![]), Err(VerifyError::Malformed(_))));
}

#[test]
fn row_28_the_payload_type_is_signed_and_only_in_toto_is_read() {
    let (subject, mut bundle) = bundle("acme/app", "signature");
    for kind in ["application/vnd.in-toto+jsoń", "application/vnd.in-toto+json ", "text/plain", ""] {
        bundle["dsseEnvelope"]["payloadType"] = json!(kind);
        assert!(matches!(verify(&subject, &bundle), Err(VerifyError::Unsupported(_))), "{kind}");
    }
}

#[test]
fn b17_garbage_of_the_right_type_proves_nothing() {
    let subject = Digest::sha256(b"image");
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "\u{0}",
        "{\"mediaType\":1}",
        "not json",
        "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"}",
    ] {
        let outcome = VERIFIER.verify(&subject, &Content::Bundle(Bytes::copy_from_slice(text.as_bytes())));
        assert!(matches!(outcome, Err(VerifyError::Malformed(_))), "{text}: {outcome:?}");
    }
}

#[test]
fn r8_a_clock_in_1970_is_our_fault_not_the_evidences() {
    let verifier = Sigstore::from_trusted_root(&trusted_root()).unwrap().with_clock(|| Timestamp::from_second(60).unwrap());
    for piece in recorded() {
        assert!(matches!(verifier.verify(&piece.subject, &piece.content), Err(VerifyError::Clock { .. })));
    }
}

#[test]
fn r9_a_timestamp_slightly_ahead_of_our_clock_is_undecided_and_far_ahead_refused() {
    let piece = &pieces("acme/app")[0];
    let signed = VERIFIER.verify(&piece.subject, &piece.content).unwrap().times[0];
    assert_eq!(signed.to_string(), "2026-11-22T16:26:54Z");
    let at = |now: fn() -> Timestamp| {
        let verifier = Sigstore::from_trusted_root(&trusted_root()).unwrap().with_clock(now);
        verifier.verify(&piece.subject, &piece.content)
    };
    assert!(at(|| "2026-11-22T16:26:54Z".parse().unwrap()).is_ok());
    assert!(matches!(at(|| "2026-11-22T16:26:24Z".parse().unwrap()), Err(VerifyError::Clock { ahead_seconds: 30 })));
    assert!(matches!(at(|| "2026-11-22T16:21:54Z".parse().unwrap()), Err(VerifyError::Timestamp(_))));
}

mod forge;
mod forged;
mod pooled;
mod tampered;
