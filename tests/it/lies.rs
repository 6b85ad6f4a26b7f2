//! Upstreams that lie, break off, stall, throttle or lead in circles: never a wrong byte, nothing kept, and could-not-tell
//! never told as unsigned.

use bytes::Bytes;
use hyper::Method;
use pullgate::oci::Digest;

use crate::{
    herd::bytes,
    support::{
        client::{get, send},
        gate::{Gate, HOST, Setup},
        layout::{cases, recorded},
        registry::{Fault, Registry},
    },
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn case(repository: &str) -> (String, String) {
    let case = cases().cases.into_iter().find(|case| case.repository == repository).unwrap();
    (format!("/v2/{repository}/manifests/{}", case.digest), case.digest)
}

fn ns(path: &str) -> String {
    format!("{path}?ns={HOST}")
}

#[tokio::test(flavor = "multi_thread")]
async fn x5_bytes_that_are_not_the_digest_are_502_and_never_kept() {
    let registry = Registry::recorded(true).await;
    let gate = Gate::start(&Setup::url(registry.addr)).await;
    let (path, _) = case("acme/app");
    let other = recorded().blobs[&case("acme/unsigned").1.parse().unwrap()].clone();
    for fault in [
        Fault::Bytes(MANIFEST, other),
        Fault::Bytes("text/html", Bytes::from_static(b"<html>please sign in</html>")),
        Fault::Bytes(MANIFEST, Bytes::from_static(b"{")),
        Fault::Redirect(path.clone()),
    ] {
        registry.fault(&path, fault.clone());
        let answer = get(gate.addr, &ns(&path)).await;
        assert_eq!(answer.status, 502, "{fault:?}: {}", answer.text());
    }
    registry.fault(&path, None);
    assert_eq!(get(gate.addr, &ns(&path)).await.status, 200);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_evidence_that_cannot_be_had_is_503_and_never_403() {
    for referrers_api in [true, false] {
        let registry = Registry::recorded(referrers_api).await;
        let gate = Gate::start(&Setup::url(registry.addr)).await;
        let (path, digest) = case("acme/app");
        let listing = if referrers_api {
            format!("/v2/acme/app/referrers/{digest}")
        } else {
            format!("/v2/acme/app/manifests/{}", digest.replace(':', "-"))
        };
        for fault in [Fault::Status(500), Fault::Status(429), Fault::Status(401), Fault::Status(403)] {
            registry.fault(&listing, fault.clone());
            let answer = get(gate.addr, &ns(&path)).await;
            assert_eq!(answer.status, 503, "{fault:?}: {}", answer.text());
            assert!(answer.header("retry-after").is_some(), "{fault:?}");
        }
        registry.fault(&listing, None);
        assert_eq!(get(gate.addr, &ns(&path)).await.status, 200, "nothing was remembered");
        gate.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u11_a_manifest_that_cannot_be_had_is_503_and_an_absent_one_404() {
    let registry = Registry::recorded(true).await;
    let gate = Gate::start(&Setup::url(registry.addr)).await;
    let (path, _) = case("acme/app");
    for (fault, status) in [
        (Fault::Status(500), 503),
        (Fault::Status(429), 503),
        (Fault::Status(403), 403),
        (Fault::Status(404), 404),
        (Fault::Cut(100), 503),
    ] {
        registry.fault(&path, fault.clone());
        let answer = get(gate.addr, &ns(&path)).await;
        assert_eq!(answer.status, status, "{fault:?}: {}", answer.text());
        assert!(!answer.reason.contains("signature"), "{fault:?}: not told as unsigned: {}", answer.reason);
    }
    registry.fault(&path, None);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_a_blob_of_other_bytes_breaks_off_and_is_fetched_anew() {
    let registry = Registry::start(true).await;
    let layer = bytes(77, 900_000);
    let manifest = registry.push("bulk/app", "v1", std::slice::from_ref(&layer));
    let gate = Gate::start(&Setup::url(registry.addr).bulk()).await;
    assert_eq!(get(gate.addr, &ns(&format!("/v2/bulk/app/manifests/{manifest}"))).await.status, 200);
    let path = format!("/v2/bulk/app/blobs/{}", Digest::sha256(&layer));
    let mut forged = layer.to_vec();
    forged[899_999] ^= 1;
    let longer = [&layer[..], b"more"].concat();
    for fault in [
        Fault::Bytes("application/octet-stream", forged.into()),
        Fault::Bytes("application/octet-stream", layer.slice(..899_999)),
        Fault::Bytes("application/octet-stream", longer.into()),
        Fault::Cut(500_000),
        Fault::Redirect(path.clone()),
        Fault::Status(500),
    ] {
        registry.fault(&path, fault.clone());
        let answer = send(gate.addr, Method::GET, &ns(&path), &[]).await;
        // Either an error before the headers, or a body that never ends cleanly.
        let clean = answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.body.is_ok());
        assert!(!clean, "a forged blob ended cleanly");
        if let Ok(answer) = answer {
            assert!(answer.status == 200 || matches!(answer.status, 502 | 503), "{}", answer.status);
        }
    }
    registry.fault(&path, None);
    assert_eq!(get(gate.addr, &ns(&path)).await.bytes(), &layer);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x7_oversized_and_malformed_manifests_are_refused_with_the_reason() {
    let registry = Registry::start(true).await;
    let gate = Gate::start(&Setup::url(registry.addr).bulk()).await;
    let config = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;
    let image = |extra: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[]{extra}}}"#);
    for (manifest, why) in [
        (image(&format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(4 << 20))), "large"),
        (image(r#","Layers":[]"#), "twice"),
        (image(r#","layers":[]"#), "twice"),
        (image(r#","manifests":[]"#), "ambiguous"),
        (image(&format!(r#","x":{}{}"#, "[".repeat(5_000), "]".repeat(5_000))), "deep"),
        (image(&format!(r#","layers2":{}"#, "\u{1}")), "malformed"),
        (r#"{"schemaVersion":1,"fsLayers":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#.to_owned(), "schema 1"),
    ] {
        let digest = registry.push_manifest("bulk/odd", "v1", manifest);
        let answer = get(gate.addr, &ns(&format!("/v2/bulk/odd/manifests/{digest}"))).await;
        assert!(matches!(answer.status, 403 | 502), "{why}: {}", answer.status);
        assert!(answer.text().contains(why), "{why}: {}", answer.text());
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x4_a_tag_that_alternates_serves_only_what_was_judged() {
    let registry = Registry::recorded(true).await;
    let gate = Gate::start(&Setup::url(registry.addr)).await;
    let signed = recorded().blobs[&case("acme/app").1.parse().unwrap()].clone();
    // The tag's HEAD names the signed digest, and the bytes by digest become another image's.
    let (by_digest, digest) = case("acme/app");
    registry.fault(&by_digest, Fault::Bytes(MANIFEST, recorded().blobs[&case("acme/unsigned").1.parse().unwrap()].clone()));
    assert_eq!(get(gate.addr, &ns("/v2/acme/app/manifests/v1")).await.status, 502);
    registry.fault(&by_digest, None);
    let answer = get(gate.addr, &ns("/v2/acme/app/manifests/v1")).await;
    assert_eq!((answer.bytes(), answer.header("docker-content-digest")), (&signed, Some(digest.as_str())));
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn u10_an_upstream_that_never_answers_is_503_before_containerd_gives_up() {
    let registry = Registry::recorded(true).await;
    let gate = Gate::start(&Setup::url(registry.addr)).await;
    let (path, digest) = case("acme/app");
    registry.fault(&format!("/v2/acme/app/referrers/{digest}"), Fault::Stall);
    let asked = std::time::Instant::now();
    let answer = get(gate.addr, &ns(&path)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(asked.elapsed() < std::time::Duration::from_secs(28), "took {:?}", asked.elapsed());
    // And the gate tells so where operators look.
    let metrics = get(gate.admin, "/metrics").await.text();
    assert!(metrics.contains(r#"pullgate_decisions_total{outcome="undecided""#), "{metrics}");
    assert_eq!(get(gate.admin, "/readyz").await.status, 200);
    gate.stop().await;
}
