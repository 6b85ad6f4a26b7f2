//! A request that nothing need be fetched or judged for: parsed, routed, recalled, answered. By the service that a connection
//! is served with, its limits and counters on, without sockets and without hyper's reading and writing of heads.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use http::{Request, StatusCode};
use http_body_util::Empty;
use pullgate::{gate::Verdict, oci::Digest};
use pullgate_micro::{
    documents::Forgetful,
    front::Front,
    recorded::{HOST, Layout, POLICY},
    upstream::{Numbered, Recorded},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A policy that many unsigned images hold, so that a million of them are judged in a minute.
const BULK: &str = r#"{name: bulk, images: ["registry.acme.test/many/**"], dangerous_no_signature: true, dangerous_no_attestation: true, attestations: []}"#;
/// How many of those remembered are asked for, in turns: more than a cache holds.
const ASKED: usize = 8_192;

/// The recorded images, judged.
static ACME: LazyLock<Acme> = LazyLock::new(|| {
    let layout = Layout::acme();
    let of = |name: &str| layout.tag(&format!("acme/{name}:v1"));
    let (app, unsigned) = (of("app"), of("unsigned"));
    let manifest: serde_json::Value = serde_json::from_slice(&layout.blobs[&app]).expect("a manifest");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    let front = Front::new(Arc::new(Recorded::new(HOST, "acme/app", layout)), None, POLICY);
    assert!(matches!(front.judge("acme/app", app), Verdict::Admit(_)));
    assert!(matches!(front.judge("acme/unsigned", unsigned), Verdict::Refuse(_)));
    // Once from the upstream, and with a tag's meaning.
    let blob = (front.waiting)(get(&format!("/v2/acme/app/blobs/{layer}")));
    assert_eq!((blob.status(), front.read(blob)), (StatusCode::OK, 10_240));
    assert_eq!((front.waiting)(get("/v2/acme/app/manifests/v1")).status(), StatusCode::OK);
    Acme { front, app, unsigned, layer }
});

struct Acme {
    front: Front,
    app: Digest,
    unsigned: Digest,
    layer: String,
}

fn request(method: &str, target: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(target).header("host", "pullgate").body(Empty::new()).expect("a request")
}

fn get(target: &str) -> Request<Empty<Bytes>> {
    request("GET", target)
}

fn recalled(bencher: Bencher<'_, '_>, method: &str, target: &str, status: StatusCode) {
    let ask = &ACME.front.at_once;
    assert_eq!(ask(request(method, target)).status(), status, "{target}");
    bencher.with_inputs(|| request(method, target)).bench_values(|request| ask(black_box(request)));
}

/// The least a request takes: `/v2/`.
#[divan::bench]
fn api_version(bencher: Bencher<'_, '_>) {
    recalled(bencher, "GET", "/v2/", StatusCode::OK);
}

/// Parsed, and then about an upstream that is none: all there is before the gate is asked, and an error.
#[divan::bench]
fn parse_to_no_upstream(bencher: Bencher<'_, '_>) {
    let target = format!("/v2/acme/app/manifests/{}?ns=unknown.test", ACME.app);
    recalled(bencher, "GET", &target, StatusCode::NOT_FOUND);
}

#[divan::bench]
fn manifest_by_digest(bencher: Bencher<'_, '_>) {
    recalled(bencher, "GET", &format!("/v2/acme/app/manifests/{}", ACME.app), StatusCode::OK);
}

/// As containerd asks.
#[divan::bench]
fn manifest_by_digest_with_ns(bencher: Bencher<'_, '_>) {
    let target = format!("/v2/acme/app/manifests/{}?ns={HOST}", ACME.app);
    recalled(bencher, "GET", &target, StatusCode::OK);
}

#[divan::bench]
fn manifest_by_digest_head(bencher: Bencher<'_, '_>) {
    recalled(bencher, "HEAD", &format!("/v2/acme/app/manifests/{}", ACME.app), StatusCode::OK);
}

#[divan::bench]
fn manifest_by_tag(bencher: Bencher<'_, '_>) {
    recalled(bencher, "GET", "/v2/acme/app/manifests/v1", StatusCode::OK);
}

#[divan::bench]
fn refusal(bencher: Bencher<'_, '_>) {
    recalled(bencher, "GET", &format!("/v2/acme/unsigned/manifests/{}", ACME.unsigned), StatusCode::FORBIDDEN);
}

/// With so many verdicts remembered, asked for in no order.
#[divan::bench(args = [10, 1_000_000])]
fn manifest_among(bencher: Bencher<'_, '_>, remembered: usize) {
    let front = Front::new(Arc::new(Numbered::new(HOST)), Some(Arc::new(Forgetful)), BULK);
    for number in 0..remembered {
        let digest = Digest::sha256(&Numbered::manifest_of(number));
        assert!(matches!(front.judge(&Numbered::repository(number), digest), Verdict::Admit(_)));
    }
    let target = |number: usize| {
        let digest = Digest::sha256(&Numbered::manifest_of(number));
        format!("/v2/{}/manifests/{digest}", Numbered::repository(number))
    };
    // A stride that shares no factor with how many there are visits all of them.
    let asked: Vec<String> = (0..ASKED).map(|at| target(at * 7_919 % remembered)).collect();
    // Which policies name an image is known of ten thousand images, and forgotten of all when there are more: the first round fills what the
    // second finds.
    for target in asked.iter().chain(&asked) {
        assert_eq!((front.waiting)(get(target)).status(), StatusCode::OK);
    }
    let (ask, next) = (&front.at_once, AtomicUsize::new(0));
    let request = || get(&asked[next.fetch_add(1, Ordering::Relaxed) % ASKED]);
    bencher.with_inputs(request).bench_values(|request| ask(black_box(request)));
}

/// Up to the head of the answer: lineage, the store, an opened file.
#[divan::bench]
fn blob_head(bencher: Bencher<'_, '_>) {
    let target = format!("/v2/acme/app/blobs/{}", ACME.layer);
    let ask = &ACME.front.waiting;
    bencher.with_inputs(|| get(&target)).bench_values(|request| ask(black_box(request)));
}
