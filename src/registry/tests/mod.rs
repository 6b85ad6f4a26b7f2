//! The registry whole, over a scripted upstream: what clients get.
//!
//! No policy names anything in these files but [`recorded`], and `unmatched` decides: with `dangerous_allow` everything is
//! admitted, with `deny` nothing. What evidence proves is other rooms' to test; what becomes of a verdict is this one's.

mod answers;
mod blobs;
mod hostile;
mod lists;
mod recorded;
mod shared;

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
    policy::{
        PolicySet, Unmatched,
        deny::{DenyList, parse_denials},
    },
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
