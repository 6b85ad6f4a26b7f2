//! A restart with the upstream gone: what was admitted is proved again from the store, what was not is not served.

use std::sync::atomic::Ordering;

use crate::support::{
    client::get,
    gate::{Gate, HOST, Setup},
    layout::{cases, recorded},
    registry::Registry,
};

fn manifest(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}?ns={HOST}")
}

/// The recorded cases with one repository's each tag that means the case's digest.
fn tag_of(repository: &str, digest: &str) -> Option<String> {
    recorded()
        .tags
        .into_iter()
        .find(|((of, tag), meant)| of == repository && meant.to_string() == digest && !tag.starts_with("sha256-"))
        .map(|((_, tag), _)| tag)
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_what_was_admitted_is_proved_again_without_the_upstream() {
    for referrers_api in [true, false] {
        let registry = Registry::recorded(referrers_api).await;
        let setup = Setup::url(registry.addr);
        let gate = Gate::start(&setup).await;
        let blobs = recorded().blobs;
        for case in cases().cases {
            if let Some(tag) = tag_of(&case.repository, &case.digest) {
                get(gate.addr, &manifest(&case.repository, &tag)).await;
            }
            get(gate.addr, &manifest(&case.repository, &case.digest)).await;
            for child in &case.children {
                get(gate.addr, &manifest(&case.repository, child)).await;
            }
            for blob in listed(&blobs, &case.digest) {
                get(gate.addr, &format!("/v2/{}/blobs/{blob}?ns={HOST}", case.repository)).await;
            }
        }
        let folder = gate.stop().await;
        registry.gone.store(true, Ordering::SeqCst);

        let gate = Gate::start_in(&setup, folder).await;
        for case in cases().cases {
            let tag = tag_of(&case.repository, &case.digest);
            for reference in tag.iter().map(String::as_str).chain([case.digest.as_str()]) {
                let answer = get(gate.addr, &manifest(&case.repository, reference)).await;
                if case.admit {
                    assert_eq!(answer.status, 200, "{}@{reference}: {}", case.repository, answer.text());
                    assert_eq!(answer.bytes(), &blobs[&case.digest.parse().unwrap()]);
                } else {
                    assert!(matches!(answer.status, 403 | 503), "{}@{reference}: {}", case.repository, answer.status);
                }
            }
            for child in &case.children {
                let status = get(gate.addr, &manifest(&case.repository, child)).await.status;
                assert_eq!(status == 200, case.admit, "child of {}: {status}", case.repository);
            }
            for blob in listed(&blobs, &case.digest) {
                let answer = get(gate.addr, &format!("/v2/{}/blobs/{blob}?ns={HOST}", case.repository)).await;
                assert_eq!(answer.status == 200, case.admit, "blob of {}: {}", case.repository, answer.status);
            }
        }
        gate.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_a_blob_asked_first_after_the_restart_finds_its_manifest_and_its_proof() {
    let registry = Registry::recorded(true).await;
    let setup = Setup::url(registry.addr);
    let gate = Gate::start(&setup).await;
    let case = cases().cases.into_iter().find(|case| case.repository == "acme/multi").unwrap();
    let blobs = recorded().blobs;
    assert_eq!(get(gate.addr, &manifest("acme/multi", "v1")).await.status, 200);
    let child = &case.children[0];
    assert_eq!(get(gate.addr, &manifest("acme/multi", child)).await.status, 200);
    let layer = listed(&blobs, child).pop().unwrap();
    let path = format!("/v2/acme/multi/blobs/{layer}?ns={HOST}");
    assert_eq!(get(gate.addr, &path).await.status, 200);
    let folder = gate.stop().await;
    registry.gone.store(true, Ordering::SeqCst);

    let gate = Gate::start_in(&setup, folder).await;
    let answer = get(gate.addr, &path).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.bytes(), &blobs[&layer.parse().unwrap()]);
    let folder = gate.stop().await;

    // Under a policy it does not meet, the same store admits nothing: evidence is kept, verdicts are not.
    let other = setup.identity("https://github.com/acme/app/.github/workflows/release.yml@refs/heads/other");
    let gate = Gate::start_in(&other, folder).await;
    assert_ne!(get(gate.addr, &path).await.status, 200);
    assert_ne!(get(gate.addr, &manifest("acme/multi", &case.digest)).await.status, 200);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_store_somebody_else_wrote_admits_nothing() {
    // Everything a gate that trusted mallory kept, given to a gate that does not.
    let registry = Registry::recorded(true).await;
    let setup = Setup::url(registry.addr);
    let mallory = setup.clone().identity("https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main");
    let gate = Gate::start(&mallory).await;
    assert_eq!(get(gate.addr, &manifest("acme/fork", "v1")).await.status, 200);
    let folder = gate.stop().await;
    registry.gone.store(true, Ordering::SeqCst);
    let gate = Gate::start_in(&setup, folder).await;
    assert_ne!(get(gate.addr, &manifest("acme/fork", "v1")).await.status, 200);
    gate.stop().await;
}

/// The blobs a recorded manifest lists.
fn listed(blobs: &std::collections::BTreeMap<pullgate::oci::Digest, bytes::Bytes>, digest: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_slice(&blobs[&digest.parse().unwrap()]).unwrap();
    let layers = document["layers"].as_array().into_iter().flatten();
    layers.chain(document.get("config")).map(|listed| listed["digest"].as_str().unwrap().to_owned()).collect()
}
