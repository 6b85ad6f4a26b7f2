//! Several trust roots, one of them without logs: real evidence, as an instance without logs would have it, by the real
//! verifier. What a policy names it gets, and nothing else.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::super::{testing::*, *};
use crate::{
    policy::Unmatched,
    verify::{
        Relaxed,
        trust_root::{RootConfig, TrustRootConfig, TrustRootSource, watch},
    },
};

const ACME: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme").join(path)).unwrap()
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&fixture(path)).unwrap()
}

fn blob(descriptor: &Value) -> String {
    format!("registry/blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

/// The image `acme/app` with its recorded bundles, each changed first.
fn published(change: impl Fn(&mut Value)) -> (World, crate::oci::Digest) {
    let world = World::new();
    let entries = json_of("registry/index.json")["manifests"].clone();
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let name = |entry: &&Value| wanted(entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap());
        entries.as_array().unwrap().iter().find(name).unwrap().clone()
    };
    let image = world.raw(REPO, fixture(&blob(&named(&|name| name == "acme/app:v1"))), None);
    for referrer in json_of(&blob(&named(&|name| name.starts_with("acme/app:sha256-"))))["manifests"].as_array().unwrap() {
        let mut bundle = json_of(&blob(&json_of(&blob(referrer))["layers"][0]));
        change(&mut bundle);
        world.attach(REPO, image, &bundle);
    }
    (world, image)
}

fn unlogged(bundle: &mut Value) {
    bundle["verificationMaterial"].as_object_mut().unwrap().remove("tlogEntries");
}

/// `default`: the recorded root. `github`: its authorities without its logs, which is given up.
async fn roots() -> Arc<TrustState> {
    let home = tempfile::tempdir().unwrap();
    let mut private = json_of("trusted_root.json");
    std::fs::write(home.path().join("default.json"), private.to_string()).unwrap();
    for kind in ["tlogs", "ctlogs"] {
        private[kind] = json!([]);
    }
    std::fs::write(home.path().join("github.json"), private.to_string()).unwrap();
    let root = |name: &str, relaxed| {
        (name.into(), RootConfig { source: TrustRootSource::File(home.path().join(format!("{name}.json"))), relaxed })
    };
    let lax = Relaxed { no_log: true, no_sct: true };
    let config = TrustRootConfig {
        roots: BTreeMap::from([root("default", Relaxed::default()), root("github", lax)]),
        cache_dir: home.path().to_owned(),
        refresh: Duration::from_secs(3_600),
        retry: Duration::from_secs(60),
        hard_stale: Duration::from_secs(3_600),
    };
    watch(config).await.unwrap().state.load_full()
}

fn asking(root: &str, log: &str) -> String {
    format!(
        "name: release\nimages: [\"reg.test/acme/**\"]\n{log}signatures:\n  - keyless:\n      \
         issuer: https://token.actions.githubusercontent.com\n      subject: {ACME}\n      {root}\n"
    )
}

#[tokio::test]
async fn i14_a_policy_gets_what_the_root_it_names_proves_and_nothing_else() {
    let (github, default) = ("trust_root: github", "");
    let (private, image) = published(unlogged);
    let (public, same) = published(|_| {});
    assert_eq!(image, same);
    for (world, root, log, refused) in [
        (&private, github, "", None),
        (&private, github, "log: promise\n", None),
        (&private, github, "log: proof\n", Some("log_proof_missing")),
        (&private, default, "", Some("trust_root_mismatch")),
        (&public, default, "log: proof\n", None),
        // The same authorities under both, and yet: what is logged counts under the root that has the log.
        (&public, github, "", Some("trust_root_mismatch")),
    ] {
        world.trust.store(roots().await);
        world.set_policies(&asking(root, log), Unmatched::Deny);
        match refused {
            None => assert_eq!(world.permit(image).await.grounds(), &Grounds::Policy, "{root} {log}"),
            Some(code) => assert_eq!(world.refusal(image).await.code(), code, "{root} {log}"),
        }
    }
}

#[tokio::test]
async fn i14_a_statement_under_one_root_is_not_by_the_signer_of_another() {
    // Signed under `default`, attested under `github`, by the same name: the attestation is not the signer's.
    let (world, image) = published(|bundle| {
        let payload = BASE64.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        if serde_json::from_slice::<Value>(&payload).unwrap()["predicateType"] == "https://spdx.dev/Document" {
            unlogged(bundle);
        }
    });
    world.trust.store(roots().await);
    world.set_policies(&asking("", ""), Unmatched::Deny);
    assert_eq!(world.refusal(image).await.code(), "attestation_identity_mismatch");
    let named = format!(
        "{}attestations:\n  - predicate_type: https://spdx.dev/Document\n    keyless:\n      \
         issuer: https://token.actions.githubusercontent.com\n      subject: {ACME}\n      trust_root: github\n",
        asking("", "")
    );
    world.set_policies(&named, Unmatched::Deny);
    world.permit(image).await;
}
