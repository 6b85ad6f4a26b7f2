//! What every piece of recorded evidence proves, and that nothing else does.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
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

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

#[test]
fn every_recorded_piece_proves_what_its_case_says() {
    let mut facts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in recorded() {
        let outcome = VERIFIER.verify(&piece.subject, &piece.content);
        let text = match &outcome {
            Ok(verified) => {
                assert_eq!((&*verified.signer.issuer, verified.signer.san_kind), (ISSUER, SanKind::Uri));
                for time in &verified.times {
                    assert!(time.to_string().starts_with("2026-11-22T16:"), "{time}");
                }
                assert!(!verified.times.is_empty());
                fact(verified)
            }
            Err(error) => error.to_string(),
        };
        facts.entry(piece.repository).or_default().push(text);
    }
    for list in facts.values_mut() {
        list.sort();
    }
    println!("{facts:#?}");
}
