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
                    ".att" => Content::CosignAttestation { envelope: bytes.into(), certificate, rekor_bundle, timestamp },
                    other => panic!("{other}"),
                }));
            }
        } else {
            for descriptor in manifest["manifests"].as_array().unwrap() {
                for layer in document(&descriptor["digest"])["layers"].as_array().unwrap() {
                    pieces.push(piece(Content::Bundle(blob(layer["digest"].as_str().unwrap()).into())));
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
        Proven::File => "file",
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
            let verified = VERIFIER.prove(&piece.subject, &piece.content).unwrap();
            fact(&verified).starts_with(kind).then(|| (piece.subject, serde_json::from_slice(json.held().unwrap()).unwrap()))
        }
        Content::CosignAttestation { .. } | Content::CosignSignature { .. } => None,
    });
    found.unwrap()
}

fn verify(subject: &Digest, bundle: &Value) -> Result<Verified, VerifyError> {
    VERIFIER.prove(subject, &Content::Bundle(serde_json::to_vec(bundle).unwrap().into()))
}

fn same(left: &Verified, right: &Verified) -> bool {
    let content = match (&left.content, &right.content) {
        (Proven::File, Proven::File) | (Proven::Signature, Proven::Signature) => true,
        (Proven::Attestation(left), Proven::Attestation(right)) => {
            left.predicate_type == right.predicate_type && left.predicate.whole(1 << 20) == right.predicate.whole(1 << 20)
        }
        (Proven::Attestation(_) | Proven::File | Proven::Signature, _) => false,
    };
    content && left.signer == right.signer && left.times == right.times && left.log == right.log && left.entries == right.entries
}

#[test]
fn every_recorded_piece_proves_what_its_case_says() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in recorded() {
        let text = match &VERIFIER.prove(&piece.subject, &piece.content) {
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
    let claims = VERIFIER.prove(&piece.subject, &piece.content).unwrap().signer.claims;
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
            let error = VERIFIER.prove(subject, &piece.content).unwrap_err();
            assert!(matches!(error, VerifyError::OtherSubject { .. }), "{}: {error}", piece.repository);
        }
    }
}

#[test]
fn i14_under_another_trust_root_nothing_verifies() {
    use sigstore_trust_root::{SigstoreInstance, TrustedRoot};
    for instance in [SigstoreInstance::PublicGood, SigstoreInstance::Staging] {
        let root = TrustedRoot::from_embedded(instance).unwrap();
        let document = trust_root::document::from_root(root, Relaxed::default()).unwrap();
        let verifier = Sigstore::new(DEFAULT_TRUST_ROOT.into(), Relaxed::default(), document).unwrap();
        assert_ne!(verifier.epoch(), VERIFIER.epoch());
        for piece in recorded() {
            assert!(verifier.prove(&piece.subject, &piece.content).is_err(), "{}", piece.repository);
        }
    }
}

#[test]
fn r8_a_clock_in_1970_is_our_fault_not_the_evidences() {
    let verifier = Sigstore::from_trusted_root(&trusted_root()).unwrap().with_clock(|| Timestamp::from_second(60).unwrap());
    for piece in recorded() {
        assert!(matches!(verifier.prove(&piece.subject, &piece.content), Err(VerifyError::Clock { .. })));
    }
}

#[test]
fn r9_a_timestamp_slightly_ahead_of_our_clock_is_undecided_and_far_ahead_refused() {
    let piece = &pieces("acme/app")[0];
    let signed = VERIFIER.prove(&piece.subject, &piece.content).unwrap().times[0];
    assert_eq!(signed.to_string(), "2026-11-22T16:26:54Z");
    let at = |now: fn() -> Timestamp| {
        let verifier = Sigstore::from_trusted_root(&trusted_root()).unwrap().with_clock(now);
        verifier.prove(&piece.subject, &piece.content)
    };
    assert!(at(|| "2026-11-22T16:26:54Z".parse().unwrap()).is_ok());
    assert!(matches!(at(|| "2026-11-22T16:26:24Z".parse().unwrap()), Err(VerifyError::Clock { ahead_seconds: 30 })));
    assert!(matches!(at(|| "2026-11-22T16:21:54Z".parse().unwrap()), Err(VerifyError::Timestamp(_))));
}

#[test]
fn j2_texts_of_others_are_escaped_and_cut() {
    assert_eq!(clean("a \"b\" 'c'\n\u{1b}[31m\u{202e}é"), "a \"b\" 'c'\\n\\u{1b}[31m\\u{202e}\\u{e9}");
    assert_eq!(clean(&"x".repeat(1 << 20)).len(), 256);
}

mod altered;
mod artifacts;
mod bounds;
mod claims;
mod forge;
mod forged;
mod large;
mod pooled;
mod rooted;
mod spliced;
mod tampered;
