//! The registry whole, over a scripted upstream: what clients get.
//!
//! No policy names anything in this file, and `unmatched` decides: with `dangerous_allow` everything is admitted, with `deny`
//! nothing. What evidence proves is other rooms' to test; what becomes of a verdict is this one's.

mod recorded;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::{Value, json};

use super::{
    Config, Registry, Routes,
    testing::{Scripted, unreachable},
};
use crate::{
    body::Body,
    evidence,
    gate::{self, Gate},
    oci::{Algorithm, Digest, media_type},
    policy::{PolicySet, Unmatched},
    store::{self, Documents, Store},
    upstream::{self, FetchedManifest, Resolved, Upstream, UpstreamError},
    verify::TrustState,
};

const TTL: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

/// A registry over `U` with a store and a gate of its own.
pub(super) struct World<U = Scripted> {
    upstream: Arc<U>,
    pub(super) registry: Arc<Registry>,
    routes: Arc<ArcSwap<Routes>>,
    policies: Arc<ArcSwap<PolicySet>>,
    _directory: tempfile::TempDir,
}

impl World {
    fn new(unmatched: Unmatched) -> Self {
        let upstream = Scripted::new("ghcr.io");
        let policies = PolicySet::new(Vec::new(), unmatched).unwrap();
        Self::over(Arc::clone(&upstream) as Arc<dyn Upstream>, upstream, policies, TrustState::NotReady("in this test".into()))
    }

    pub(super) fn allowing() -> Self {
        Self::new(Unmatched::DangerousAllow)
    }

    pub(super) fn publish_an_image(&self) -> Digest {
        self.upstream.publish(Some("v1"), &image(&self.upstream, &[]))
    }
}

impl<U> World<U> {
    fn over(dynamic: Arc<dyn Upstream>, upstream: Arc<U>, policies: PolicySet, trust: TrustState) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(store::Config { path: directory.path().to_owned(), max_size: 1 << 30 }).unwrap();
        let routes = Arc::new(ArcSwap::from_pointee(Routes { upstreams: vec![dynamic], default: None }));
        let policies = Arc::new(ArcSwap::from_pointee(policies));
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let config = gate::Config {
            verdict_ttl: Duration::from_secs(3_600),
            refusal_ttl: Duration::from_secs(10),
            max_stale: Some(DAY),
            deadline: Duration::from_secs(25),
            verdicts: 1_000,
            manifest_bytes: 1 << 20,
            limits: evidence::Limits::default(),
            verify_threads: 1,
        };
        let documents = Arc::clone(&store) as Arc<dyn Documents>;
        let facts = Arc::clone(&store) as Arc<dyn store::Facts>;
        let gate = Gate::new(config, documents, facts, Arc::clone(&policies), trust);
        let config = Config { tag_ttl: TTL, max_stale: Some(DAY) };
        let registry = Registry::new(config, gate, store, Arc::clone(&routes), Arc::clone(&policies));
        Self { upstream, registry, routes, policies, _directory: directory }
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Answer {
        Answer::of(self.registry.respond(request).await).await
    }

    async fn ask(&self, method: Method, target: &str) -> Answer {
        self.send(Request::builder().method(method).uri(target).body(Empty::new()).unwrap()).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(Method::GET, target).await
    }

    /// GET, after HEAD was found to say the same without a body.
    async fn both(&self, target: &str) -> Answer {
        let head = self.ask(Method::HEAD, target).await;
        let get = self.ask(Method::GET, target).await;
        assert_eq!((head.status, &head.headers, &head.phrase), (get.status, &get.headers, &get.phrase), "{target}");
        assert!(head.body.is_empty(), "{target}");
        assert_eq!(get.header("content-length"), get.body.len().to_string(), "{target}");
        get
    }

    async fn range(&self, target: &str, range: &str) -> Answer {
        self.send(Request::get(target).header("range", range).body(Empty::new()).unwrap()).await
    }
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    phrase: Option<String>,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let phrase = parts.extensions.get::<hyper::ext::ReasonPhrase>();
        Self {
            status: parts.status.as_u16(),
            phrase: phrase.map(|phrase| String::from_utf8(phrase.as_bytes().to_vec()).unwrap()),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and error code.
    fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/json");
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap().to_owned())
    }
}

fn config(upstream: &Scripted) -> Value {
    let mut config = upstream.blob("{}");
    config["mediaType"] = media_type::OCI_CONFIG.into();
    config
}

fn image(upstream: &Scripted, layers: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config(upstream), "layers": layers}).to_string()
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn an_admitted_manifest_is_the_exact_bytes_with_every_header() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    for reference in ["v1", &digest.to_string()] {
        // Cold, then warm: the same answer.
        for _ in 0..2 {
            let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, text);
            assert_eq!(answer.header("content-type"), media_type::OCI_MANIFEST);
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
            assert_eq!(answer.header("content-length"), text.len().to_string());
            assert!(answer.header("warning").starts_with("299 - \""), "what no policy names is served with a warning");
            assert_eq!(answer.headers.get("oci-namespace"), None);
        }
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}?ns=GHCR.io%3A443")).await;
        assert_eq!((answer.status, answer.header("oci-namespace")), (200, "ghcr.io"));
    }
}

#[tokio::test]
async fn the_base_answers_whatever_may_be_pulled() {
    let world = World::new(Unmatched::Deny);
    for target in ["/v2/", "/v2"] {
        let answer = world.both(target).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn a_refused_manifest_is_403_on_get_and_head_with_its_sentence() {
    let world = World::new(Unmatched::Deny);
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    for reference in ["v1", &digest.to_string()] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        let json = answer.json();
        let error = &json["errors"][0];
        let message = error["message"].as_str().unwrap();
        assert_eq!(answer.phrase.as_deref(), Some(message));
        assert!(message.contains(&format!("ghcr.io/acme/app@{digest}")) && message.contains("no policy names"), "{message}");
        assert_eq!(error["detail"]["digest"], digest.to_string());
        assert_eq!(error["detail"]["reason"], "no_policy");
        assert!(!answer.body.windows(8).any(|window| window == b"\"layers\""), "nothing of the manifest");
    }
}

#[tokio::test]
async fn what_is_absent_is_404_before_any_refusal() {
    let world = World::new(Unmatched::Deny);
    let digest = Digest::sha256(b"nothing");
    for reference in ["v1", &digest.to_string(), &format!("sha256-{}.sig", digest.to_hex())] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(404, "MANIFEST_UNKNOWN"), "{reference}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_503_with_a_time_to_come_back() {
    let world = World::allowing();
    let digest = Digest::sha256(b"x");
    let throttled = UpstreamError::Throttled { host: "ghcr.io".into(), retry_after: Some(Duration::from_secs(7)) };
    for failure in [unreachable("ghcr.io"), throttled] {
        world.upstream.fail(Some(failure));
        for target in [
            "/v2/acme/app/manifests/v1".to_owned(),
            format!("/v2/acme/app/manifests/{digest}"),
            "/v2/acme/app/tags/list".to_owned(),
            format!("/v2/acme/app/referrers/{digest}"),
        ] {
            let answer = world.both(&target).await;
            assert_eq!(answer.error(), error(503, "UNAVAILABLE"), "{target}");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
            assert!(answer.phrase.is_some());
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_403_saying_so_on_the_manifest() {
    let world = World::allowing();
    world.upstream.fail(Some(UpstreamError::Denied { host: "ghcr.io".into(), status: 401 }));
    for reference in ["v1".to_owned(), Digest::sha256(b"x").to_string()] {
        let answer = world.both(&format!("/v2/acme/app/manifests/{reference}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"));
        assert!(answer.phrase.unwrap().contains("refused our credentials (401)"));
    }
}

#[tokio::test]
async fn a_forbidden_connection_is_502_naming_the_key() {
    let world = World::allowing();
    world.upstream.fail(Some(UpstreamError::Forbidden("add `auth_hosts: [auth.test]` to upstream ghcr.io".into())));
    let answer = world.both("/v2/acme/app/manifests/v1").await;
    assert_eq!(answer.status, 502);
    assert!(answer.phrase.unwrap().contains("auth_hosts"));
}

#[tokio::test(start_paused = true)]
async fn x4_upstream_that_alternates_digests_serves_only_hashed_bytes() {
    let world = World::allowing();
    let (one, two) = (image(&world.upstream, &[]), image(&world.upstream, &[world.upstream.blob("other")]));
    let first = world.upstream.publish(Some("v1"), &one);
    let head = world.ask(Method::HEAD, "/v2/acme/app/manifests/v1").await;
    assert_eq!(head.header("docker-content-digest"), first.to_string());
    let second = world.upstream.publish(Some("v1"), &two);
    // GET answers from the record of HEAD.
    let get = world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!((get.header("docker-content-digest"), &get.body[..]), (first.to_string().as_str(), one.as_bytes()));
    tokio::time::advance(TTL).await;
    let get = world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!((get.header("docker-content-digest"), &get.body[..]), (second.to_string().as_str(), two.as_bytes()));
    assert_eq!(Digest::sha256(&get.body), second);
}

#[tokio::test]
async fn x5_bytes_that_are_not_what_was_asked_for_are_502() {
    let world = World::allowing();
    let wanted = Digest::sha256(b"wanted");
    let bytes = Bytes::from(image(&world.upstream, &[]));
    let lie = FetchedManifest { digest: wanted, bytes, content_type: None };
    world.upstream.manifests.insert(wanted.to_string(), lie);
    world.upstream.resolved.insert("v1".into(), Ok(Resolved { digest: wanted, manifest: None }));
    for reference in ["v1", &wanted.to_string()] {
        assert_eq!(world.both(&format!("/v2/acme/app/manifests/{reference}")).await.error(), error(502, "MANIFEST_INVALID"));
    }
}

#[tokio::test]
async fn x6_a_content_type_that_contradicts_the_body_is_502() {
    let world = World::allowing();
    let digest = world.upstream.publish(Some("v1"), &image(&world.upstream, &[]));
    world.upstream.manifests.get_mut(&digest.to_string()).unwrap().content_type = Some("text/html".into());
    assert_eq!(world.both("/v2/acme/app/manifests/v1").await.error(), error(502, "MANIFEST_INVALID"));
}

#[tokio::test]
async fn x8_schema_1_and_documents_with_two_meanings_are_403_though_all_is_allowed() {
    let world = World::allowing();
    let schema_one = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let mut both: Value = serde_json::from_str(&image(&world.upstream, &[])).unwrap();
    both["manifests"] = json!([]);
    for text in [schema_one, both.to_string(), "{\"schemaVersion\":2,\"schemaVersion\":2}".to_owned()] {
        let digest = world.upstream.publish(None, &text);
        let answer = world.both(&format!("/v2/acme/app/manifests/{digest}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"), "{text}");
    }
}

#[tokio::test]
async fn x10_what_a_client_claims_changes_nothing() {
    let world = World::new(Unmatched::Deny);
    let digest = world.upstream.publish(None, &image(&world.upstream, &[]));
    let request = Request::get(format!("/v2/acme/app/manifests/{digest}?verified=true"))
        .header("x-verified", "true")
        .header("accept", "text/html")
        .header("authorization", "Basic YTpi")
        .body(Empty::new())
        .unwrap();
    assert_eq!(world.send(request).await.error(), error(403, "DENIED"));
    assert_eq!(world.both(&format!("/v2/acme/app/manifests/{digest}?ns=quay.io")).await.error(), error(404, "NAME_UNKNOWN"));
    let twice = world.both(&format!("/v2/acme/app/manifests/{digest}?ns=ghcr.io&ns=ghcr.io")).await;
    assert_eq!(twice.error(), error(400, "UNSUPPORTED"));
}

#[tokio::test]
async fn x12_what_a_pull_never_sends_ends_the_connection() {
    let world = World::allowing();
    let request = Request::get("/v2/").body(Full::new(Bytes::from_static(b"x"))).unwrap();
    let answer = Answer::of(world.registry.respond(request).await).await;
    assert_eq!((answer.error(), answer.header("connection")), (error(400, "UNSUPPORTED"), "close"));
    let upgrade = Request::get("/v2/").header("upgrade", "h2c").header("connection", "upgrade").body(Empty::new()).unwrap();
    let chunked = Request::get("/v2/").header("transfer-encoding", "chunked").body(Empty::new()).unwrap();
    let proxied = Request::get("http://ghcr.io/v2/").version(Version::HTTP_11).body(Empty::new()).unwrap();
    for request in [upgrade, chunked, proxied] {
        let answer = world.send(request).await;
        assert_eq!((answer.error(), answer.header("connection")), (error(400, "UNSUPPORTED"), "close"));
    }
    // HTTP/2 always names the authority.
    let request = Request::get("https://gate.test/v2/").version(Version::HTTP_2).body(Empty::new()).unwrap();
    assert_eq!(world.send(request).await.status, 200);
}

#[tokio::test]
async fn u12_a_request_of_our_own_is_told_that_it_came_back() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // What this process sends to upstreams, as one of them sees it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let seen = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4_096];
        let length = socket.read(&mut head).await.unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    let location = upstream::Location::Registry(upstream::RegistryConfig {
        url: format!("http://{authority}").parse().unwrap(),
        docker_config: None,
        ca: None,
        plain_http: true,
        auth_hosts: Vec::new(),
        allow_hosts: Vec::new(),
    });
    let itself = upstream::connect(&upstream::Config { host: authority.parse().unwrap(), location }).unwrap();
    let gone = itself.resolve(&"acme/app".parse().unwrap(), &"v1".parse().unwrap()).await;
    assert!(matches!(gone, Err(UpstreamError::NotFound)), "{gone:?}");
    let head = seen.await.unwrap();
    let via = head.lines().find_map(|line| line.strip_prefix("via: ")).unwrap();

    let world = World::allowing();
    let came_back = Request::get("/v2/acme/app/manifests/v1").header("via", via).body(Empty::new()).unwrap();
    assert_eq!(world.send(came_back).await.error(), error(508, "UNSUPPORTED"));
    assert_eq!(world.upstream.asked(), 0);
    // Another gate before us is no loop.
    let other = Request::get("/v2/").header("via", "1.1 pullgate-00000000000000000000000000000000").body(Empty::new()).unwrap();
    assert_eq!(world.send(other).await.status, 200);
}

#[tokio::test]
async fn h2_writing_is_405_and_names_what_is_allowed() {
    let world = World::allowing();
    let request = Request::put("/v2/acme/app/manifests/v1").body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    let answer = Answer::of(world.registry.respond(request).await).await;
    assert_eq!((answer.error(), answer.header("allow")), (error(405, "UNSUPPORTED"), "GET, HEAD"));
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn blobs_are_served_once_their_manifest_is_admitted() {
    let world = World::allowing();
    let layer = world.upstream.blob("hello, layer");
    let digest = layer["digest"].as_str().unwrap().to_owned();
    let manifest = world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    let target = format!("/v2/acme/app/blobs/{digest}");
    let before = world.both(&target).await;
    assert_eq!(before.error(), error(404, "BLOB_UNKNOWN"));
    assert!(before.json()["errors"][0]["message"].as_str().unwrap().contains("pull the manifest first"));
    // HEAD is enough: a client that has the manifests asks for no more (X17).
    world.ask(Method::HEAD, &format!("/v2/acme/app/manifests/{manifest}")).await;
    for _ in 0..2 {
        let answer = world.both(&target).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"hello, layer"[..]));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
    // Fetched once, whoever asks.
    let asked = world.upstream.asked();
    world.get(&target).await;
    assert_eq!(world.upstream.asked(), asked);
}

#[tokio::test]
async fn h6_ranges_of_a_blob_cold_and_warm() {
    let world = World::allowing();
    let layer = world.upstream.blob("0123456789");
    let target = format!("/v2/acme/app/blobs/{}", layer["digest"].as_str().unwrap());
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=0-1,4-5", 200, "", "0123456789"),
        ("bytes=x", 200, "", "0123456789"),
    ] {
        let answer = world.range(&target, range).await;
        assert_eq!((answer.status, answer.header("content-range"), &answer.body[..]), (status, content_range, body.as_bytes()));
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    let answer = world.range(&target, "bytes=10-").await;
    assert_eq!((answer.error(), answer.header("content-range")), (error(416, "SIZE_INVALID"), "bytes */10"));
}

#[tokio::test]
async fn x13_blobs_of_refused_images_and_of_other_repositories_are_unknown() {
    let world = World::allowing();
    let layer = world.upstream.blob("secret");
    let digest = layer["digest"].as_str().unwrap().to_owned();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!(world.both(&format!("/v2/acme/other/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
    // The same image, now refused: what was listed by a permit is not listed any more.
    world.policies.store(Arc::new(PolicySet::new(Vec::new(), Unmatched::Deny).unwrap()));
    assert_eq!(world.both(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn x13_a_manifest_asked_for_as_a_blob_is_octets_if_admitted_and_unknown_if_not() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = world.upstream.publish(Some("v1"), &text);
    world.get("/v2/acme/app/manifests/v1").await;
    let answer = world.both(&format!("/v2/acme/app/blobs/{digest}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/octet-stream"));
    assert_eq!(answer.body, text);
    let answer = world.range(&format!("/v2/acme/app/blobs/{digest}"), "bytes=1-3").await;
    assert_eq!((answer.status, &answer.body[..]), (206, &text.as_bytes()[1..4]));

    let world = World::new(Unmatched::Deny);
    let digest = world.upstream.publish(Some("v1"), &text);
    // As containerd does after a refusal.
    world.get("/v2/acme/app/manifests/v1").await;
    assert_eq!(world.both(&format!("/v2/acme/app/blobs/{digest}")).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn a_blob_of_another_size_than_the_manifest_says_is_502() {
    let world = World::allowing();
    let mut layer = world.upstream.blob("0123456789");
    layer["size"] = json!(11);
    let target = format!("/v2/acme/app/blobs/{}", layer["digest"].as_str().unwrap());
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    for _ in 0..2 {
        assert_eq!(world.get(&target).await.error(), error(502, "SIZE_INVALID"));
    }
    let stored: Digest = target.rsplit('/').next().unwrap().parse().unwrap();
    assert!(world.registry.store.blob(&stored).await.is_none(), "u10: none of it was taken");
}

#[tokio::test]
async fn u10_no_more_of_a_blob_is_taken_than_its_manifest_says_even_if_no_size_is_announced() {
    let world = World::allowing();
    let mut layer = world.upstream.blob("0123456789");
    layer["size"] = json!(4);
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.upstream.blobs.insert(digest, (None, Bytes::from_static(b"0123456789")));
    world.get("/v2/acme/app/manifests/v1").await;
    let request = Request::get(format!("/v2/acme/app/blobs/{digest}")).body(Empty::<Bytes>::new()).unwrap();
    let response = world.registry.respond(request).await;
    assert!(response.into_body().collect().await.is_err(), "broken, never ended cleanly");
    assert!(world.registry.store.blob(&digest).await.is_none());
}

#[tokio::test]
async fn a_blob_the_upstream_has_not_or_does_not_give_is_404_or_503() {
    let world = World::allowing();
    let layer = world.upstream.blob("0123456789");
    let target = format!("/v2/acme/app/blobs/{}", layer["digest"].as_str().unwrap());
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    world.upstream.fail(Some(unreachable("ghcr.io")));
    assert_eq!(world.get(&target).await.error(), error(503, "UNAVAILABLE"));
    world.upstream.fail(None);
    world.upstream.blobs.clear();
    assert_eq!(world.get(&target).await.error(), error(404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn x5_a_blob_of_other_bytes_breaks_off_and_is_not_kept() {
    let world = World::allowing();
    let layer = world.upstream.blob("0123456789");
    let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[layer]));
    world.get("/v2/acme/app/manifests/v1").await;
    world.upstream.blobs.insert(digest, (Some(10), Bytes::from_static(b"01234X6789")));
    let request = || Request::get(format!("/v2/acme/app/blobs/{digest}")).body(Empty::<Bytes>::new()).unwrap();
    let response = world.registry.respond(request()).await;
    assert!(response.into_body().collect().await.is_err(), "broken, never ended cleanly");
    world.upstream.blob("0123456789");
    assert_eq!(Answer::of(world.registry.respond(request()).await).await.body, "0123456789");
}

#[tokio::test]
async fn sha512_is_spoken_throughout() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    let digest = Digest::of(Algorithm::Sha512, text.as_bytes());
    let fetched = FetchedManifest { digest, bytes: text.clone().into(), content_type: None };
    world.upstream.manifests.insert(digest.to_string(), fetched);
    let answer = world.both(&format!("/v2/acme/app/manifests/{digest}")).await;
    assert_eq!((answer.status, answer.header("docker-content-digest")), (200, digest.to_string().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_stale_tag_serves_what_is_admitted_with_a_warning_and_else_is_503() {
    let world = World::allowing();
    let text = image(&world.upstream, &[]);
    world.upstream.publish(Some("v1"), &text);
    world.get("/v2/acme/app/manifests/v1").await;
    tokio::time::advance(TTL).await;
    world.upstream.fail(Some(unreachable("ghcr.io")));
    let answer = world.both("/v2/acme/app/manifests/v1").await;
    assert_eq!((answer.status, &answer.body[..]), (200, text.as_bytes()));
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(warnings.iter().any(|warning| warning.starts_with("110 - \"")), "{warnings:?}");
    // A no to what it meant once is no answer to what it means now.
    world.policies.store(Arc::new(PolicySet::new(Vec::new(), Unmatched::Deny).unwrap()));
    assert_eq!(world.both("/v2/acme/app/manifests/v1").await.error(), error(503, "UNAVAILABLE"));
}

#[tokio::test]
async fn x15_a_runnable_image_under_an_attachment_tag_is_refused_and_borrows_nothing_from_its_digest() {
    let world = World::allowing();
    let layer = world.upstream.blob("run me");
    let text = image(&world.upstream, &[layer]);
    let digest = world.upstream.publish(None, &text);
    assert_eq!(world.get(&format!("/v2/acme/app/manifests/{digest}")).await.status, 200);
    let policy = r#"
name: acme
images: ["ghcr.io/acme/**"]
signatures: [{keyless: {issuer: "https://issuer.test", subject: "https://acme.test/release"}}]
"#;
    let policies = PolicySet::from_text("acme.yaml".as_ref(), policy, Unmatched::Deny).unwrap();
    world.policies.store(Arc::new(policies));
    let stem = format!("sha256-{}", Digest::sha256(b"subject").to_hex());
    for tag in [stem.clone(), format!("{stem}.sig"), format!("{stem}.att"), format!("{stem}.sbom")] {
        world.upstream.publish(Some(&tag), &text);
        let answer = world.both(&format!("/v2/acme/app/manifests/{tag}")).await;
        assert_eq!(answer.error(), error(403, "DENIED"), "{tag}");
        assert_eq!(answer.json()["errors"][0]["detail"]["reason"], "not_evidence");
    }
}

#[tokio::test]
async fn tags_are_listed_in_pages_that_lead_to_us() {
    let world = World::allowing();
    world.upstream.tags.store(Arc::new(["a", "b", "c", "not a tag", "d"].map(str::to_owned).to_vec()));
    let answer = world.both("/v2/ghcr.io/acme/app/tags/list?n=2&ns=ghcr.io").await;
    assert_eq!(answer.json(), json!({"name": "ghcr.io/acme/app", "tags": ["a", "b"]}));
    assert_eq!(answer.header("link"), "</v2/ghcr.io/acme/app/tags/list?n=2&last=b&ns=ghcr.io>; rel=\"next\"");
    assert_eq!(answer.header("oci-namespace"), "ghcr.io");
    let answer = world.both("/v2/ghcr.io/acme/app/tags/list?n=9&last=b&ns=ghcr.io").await;
    assert_eq!((answer.json()["tags"].clone(), answer.header("link")), (json!(["c", "d"]), ""));
    let answer = world.both("/v2/acme/app/tags/list?n=0").await;
    assert_eq!((answer.status, answer.json()["tags"].clone(), answer.header("link")), (200, json!([]), ""));
    assert_eq!(world.both("/v2/acme/app/tags/list?n=x").await.status, 400);
    world.upstream.tags.store(Arc::default());
    assert_eq!(world.both("/v2/acme/app/tags/list").await.error(), error(404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn referrers_are_always_an_index_filtered_here() {
    let world = World::allowing();
    let digest = Digest::sha256(b"subject");
    let answer = world.both(&format!("/v2/acme/app/referrers/{digest}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, media_type::OCI_INDEX));
    assert_eq!(answer.json(), json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []}));
    assert_eq!(answer.headers.get("oci-filters-applied"), None);
    let entry = |of: &str| json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": of});
    let page = json!({"manifests": [entry("a/x"), entry("a/y")]}).to_string();
    world.upstream.referrers.store(Arc::new(vec![Ok(page.into())]));
    let answer = world.both(&format!("/v2/acme/app/referrers/{digest}?artifactType=a%2Fy")).await;
    assert_eq!(answer.json()["manifests"], json!([entry("a/y")]));
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    assert_eq!(world.both("/v2/acme/app/referrers/sha256:bad").await.error(), error(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn repositories_no_policy_names_are_not_asked_about() {
    let world = World::new(Unmatched::Deny);
    let digest = Digest::sha256(b"x");
    for target in ["/v2/acme/app/tags/list".to_owned(), format!("/v2/acme/app/referrers/{digest}")] {
        assert_eq!(world.both(&target).await.error(), error(403, "DENIED"), "{target}");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn upstreams_may_be_swapped_while_serving() {
    let world = World::allowing();
    world.upstream.publish(Some("v1"), &image(&world.upstream, &[]));
    assert_eq!(world.get("/v2/acme/app/manifests/v1").await.status, 200);
    world.routes.store(Arc::new(Routes { upstreams: Vec::new(), default: None }));
    assert_eq!(world.get("/v2/acme/app/manifests/v1").await.error(), error(404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn an_answer_can_be_made_on_any_thread_and_a_warm_one_needs_little_room() {
    fn is_send(_: &impl Send) {}
    let world = World::allowing();
    let request = Request::get("/v2/").body(Empty::<Bytes>::new()).unwrap();
    let answer = world.registry.respond(request);
    is_send(&answer);
    assert!(size_of_val(&answer) < 2_048, "{}", size_of_val(&answer));
}
