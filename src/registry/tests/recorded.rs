//! The same over the recorded layout, with real evidence, under the policy it was made for.

use std::path::{Path, PathBuf};

use super::*;
use crate::verify::Sigstore;

const POLICY: &str = r#"
name: acme-release
images: ["registry.acme.test/acme/**"]
signatures:
  - keyless:
      issuer: https://token.actions.githubusercontent.com
      subject: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main
"#;

/// Signed and attested.
const APP: &str = "sha256:5e621c8b2b869b69b32dd04fe158b1c17366ff6dc9a678f89d64767e5562a64e";
/// Not.
const UNSIGNED: &str = "sha256:d8755134e3ac43cd261d0363e7c358ec7235e7084881263078d04c1c8b94f441";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme")
}

fn world(layout: &Path) -> World<()> {
    let config =
        upstream::Config { host: "registry.acme.test".parse().unwrap(), location: upstream::Location::Layout(layout.to_owned()) };
    let verifier = Sigstore::from_trusted_root(&std::fs::read(fixtures().join("trusted_root.json")).unwrap()).unwrap();
    let trust = TrustState::Ready { verifier: Arc::new(verifier), stale: None };
    let policies = PolicySet::from_text("acme.yaml".as_ref(), POLICY, Unmatched::Deny).unwrap();
    World::over(upstream::connect(&config).unwrap(), Arc::new(()), policies, trust)
}

fn recorded() -> World<()> {
    world(&fixtures().join("registry"))
}

#[tokio::test]
async fn the_signed_image_is_pulled_whole_by_tag_and_digest() {
    let world = recorded();
    for reference in ["v1", APP] {
        let answer = world.both(&format!("/v2/registry.acme.test/acme/app/manifests/{reference}")).await;
        assert_eq!((answer.status, answer.header("docker-content-digest")), (200, APP));
        assert_eq!(Digest::sha256(&answer.body).to_string(), APP);
        assert_eq!(answer.headers.get("warning"), None);
    }
    let manifest = world.get(&format!("/v2/acme/app/manifests/{APP}")).await.json();
    let layers = manifest["layers"].as_array().unwrap();
    for blob in layers.iter().chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().unwrap();
        let answer = world.both(&format!("/v2/acme/app/blobs/{digest}?ns=registry.acme.test")).await;
        assert_eq!((answer.status, Digest::sha256(&answer.body).to_string().as_str()), (200, digest));
    }
}

#[tokio::test]
async fn the_unsigned_image_is_refused_by_tag_and_digest_and_so_are_its_blobs() {
    let world = recorded();
    for reference in ["v1", UNSIGNED] {
        let answer = world.both(&format!("/v2/acme/unsigned/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        let phrase = answer.phrase.clone().unwrap();
        assert!(phrase.contains(&format!("registry.acme.test/acme/unsigned@{UNSIGNED}: policy acme-release wants")), "{phrase}");
        let detail = &answer.json()["errors"][0]["detail"];
        assert_eq!(detail["reason"], "signature_missing");
        assert_eq!(detail["policies"][0]["name"], "acme-release");
    }
    let file = fixtures().join("registry/blobs/sha256").join(UNSIGNED.trim_start_matches("sha256:"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for digest in [manifest["config"]["digest"].as_str().unwrap(), manifest["layers"][0]["digest"].as_str().unwrap(), UNSIGNED] {
        let answer = world.both(&format!("/v2/acme/unsigned/blobs/{digest}")).await;
        assert_eq!(answer.error(), error(404, "BLOB_UNKNOWN"), "{digest}");
    }
}

#[tokio::test]
async fn evidence_is_listed_and_pulled_also_of_what_is_refused() {
    let world = recorded();
    // Signed by somebody else, so refused; who doubts it may look.
    let fork = world.both("/v2/acme/fork/manifests/v1").await;
    assert_eq!(fork.error(), error(403, "DENIED"));
    let digest = fork.json()["errors"][0]["detail"]["digest"].as_str().unwrap().to_owned();
    let bundles = "application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson";
    let list = world.both(&format!("/v2/acme/fork/referrers/{digest}?artifactType={bundles}")).await;
    assert_eq!((list.status, list.header("oci-filters-applied")), (200, "artifactType"));
    let list = list.json();
    let entries = list["manifests"].as_array().unwrap();
    assert!(entries.len() >= 2, "{list}");
    for entry in entries {
        let digest = entry["digest"].as_str().unwrap();
        let manifest = world.both(&format!("/v2/acme/fork/manifests/{digest}")).await;
        assert_eq!((manifest.status, manifest.header("docker-content-digest")), (200, digest));
        let layer = manifest.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
        assert_eq!(world.both(&format!("/v2/acme/fork/blobs/{layer}")).await.status, 200);
    }
    // cosign's older tags.
    for suffix in ["sig", "att"] {
        let tag = "sha256-97417e6537c4f01eeb89a6d054be2d639f7c009b5d57b9f4d7b9cde5c051c749";
        assert_eq!(world.both(&format!("/v2/acme/legacy/manifests/{tag}.{suffix}")).await.status, 200, "{suffix}");
    }
}

#[tokio::test]
async fn x15_an_admitted_image_called_like_a_signature_is_refused_under_that_name_alone() {
    let directory = tempfile::tempdir().unwrap();
    let layout = fixtures().join("registry");
    std::fs::copy(layout.join("oci-layout"), directory.path().join("oci-layout")).unwrap();
    std::os::unix::fs::symlink(layout.join("blobs"), directory.path().join("blobs")).unwrap();
    let mut index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let mut entry = entries.iter().find(|entry| entry["digest"] == APP).unwrap().clone();
    let tag = format!("sha256-{}.sig", Digest::sha256(b"subject").to_hex());
    entry["annotations"]["org.opencontainers.image.ref.name"] = format!("acme/app:{tag}").into();
    entries.push(entry);
    std::fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    let world = world(directory.path());
    // Twice: what is remembered of the tag and of the digest must not meet.
    for _ in 0..2 {
        assert_eq!(world.both(&format!("/v2/acme/app/manifests/{APP}")).await.status, 200);
        let answer = world.both(&format!("/v2/acme/app/manifests/{tag}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        assert_eq!(answer.json()["errors"][0]["detail"]["reason"], "not_evidence");
    }
}
