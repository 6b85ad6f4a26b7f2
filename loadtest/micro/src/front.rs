//! The parts of a running gate, wired as `app` wires them, without sockets.

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Empty;
use hyper::service::Service;
use pullgate::{
    body::Body,
    gate::{self, Gate, Subject, Verdict},
    oci::{Digest, ImageName},
    policy::{PolicySet, Unmatched},
    registry::{self, Registry, Routes},
    server::{
        Stats,
        limits::{Held, Place},
    },
    stack::stack,
    store::{Config as StoreConfig, Documents, NoFacts, Store},
    telemetry::Metrics,
    upstream::Upstream,
    verify::{Sigstore, TrustState},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::recorded;

/// What a response's body is, as the server takes it.
pub type Answer = Response<Held<Body, Place>>;

/// Answers a request by what [`Server`](pullgate::server::Server) gives a connection.
pub type Ask = Box<dyn Fn(Request<Empty<Bytes>>) -> Answer + Send + Sync>;

/// The policies in `text`.
///
/// # Panics
/// They cannot be read.
#[must_use]
pub fn policies(text: &str) -> PolicySet {
    PolicySet::from_text(Path::new("policy.yaml"), text, Unmatched::Deny).expect("a policy")
}

/// The recorded trust root, ready.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn trust() -> TrustState {
    let verifier = Sigstore::from_trusted_root(recorded::TRUSTED_ROOT.as_bytes()).expect("a trust root");
    TrustState::Ready { verifier: Arc::new(verifier), stale: None }
}

/// A gate over `documents`, with room for a million verdicts and their manifests.
#[must_use]
pub fn gate(documents: Arc<dyn Documents>, policies: &Arc<ArcSwap<PolicySet>>) -> Arc<Gate> {
    // First, as in the product: counters are taken when the parts are made.
    let _ = Metrics::installed();
    let hour = Duration::from_secs(3_600);
    // Refusals for as long as a benchmark takes.
    let config = gate::Config { verdicts: 4_000_000, manifest_bytes: u64::MAX, refusal_ttl: hour, ..gate::Config::default() };
    Gate::new(config, documents, Arc::new(NoFacts), Arc::clone(policies), Arc::new(ArcSwap::from_pointee(trust())))
}

/// What a client connection is served with, over one upstream.
pub struct Front {
    /// The judge behind it.
    pub gate: Arc<Gate>,
    /// Whom it asks.
    pub upstream: Arc<dyn Upstream>,
    /// Answers what needs no waiting, without a runtime's part in it.
    pub at_once: Ask,
    /// Answers whatever it takes.
    pub waiting: Ask,
    runtime: Arc<Runtime>,
    _store: TempDir,
}

impl Front {
    /// Over `upstream`, under the policies in `text`, with a store of its own for blobs.
    ///
    /// # Panics
    /// No directory can be made, or the policies cannot be read.
    #[must_use]
    pub fn new(upstream: Arc<dyn Upstream>, documents: Option<Arc<dyn Documents>>, text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(StoreConfig { path: directory.path().to_owned(), max_size: 1 << 30 }).expect("a store");
        let policies = Arc::new(ArcSwap::from_pointee(policies(text)));
        let documents = documents.unwrap_or_else(|| Arc::clone(&store) as Arc<dyn Documents>);
        let gate = gate(documents, &policies);
        let routes = Routes { upstreams: vec![Arc::clone(&upstream)], default: None };
        let config = registry::Config { tag_ttl: Duration::from_secs(3_600), max_stale: None };
        let registry = Registry::new(config, Arc::clone(&gate), store, Arc::new(ArcSwap::from_pointee(routes)), policies);
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
        // The defaults: as many layers, limits and counters as ship.
        let quickstart = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/quickstart.yaml"));
        let limits = pullgate::config::Config::load(quickstart).expect("a configuration").server.limits;
        let service = stack(registry, &limits, Arc::new(Stats::default()));
        let answer = |answer: Result<Answer, Infallible>| answer.unwrap_or_else(|never| match never {});
        let (recalling, asked) = (service.clone(), Arc::clone(&runtime));
        let at_once = move |request| answer(recalling.call(request).now_or_never().expect("an answer at once"));
        let waiting = move |request| answer(asked.block_on(service.call(request)));
        Self { gate, upstream, at_once: Box::new(at_once), waiting: Box::new(waiting), runtime, _store: directory }
    }

    /// Reads what is left of an answer, as a client would.
    ///
    /// # Panics
    /// It breaks off.
    pub fn read(&self, answer: Answer) -> usize {
        let mut body = std::pin::pin!(answer.into_body());
        let mut read = 0;
        while let Some(frame) = self.runtime.block_on(std::future::poll_fn(|context| body.as_mut().poll_frame(context))) {
            read += frame.expect("a piece").into_data().map_or(0, |piece| piece.remaining());
        }
        read
    }

    /// Has the gate judge `digest` of `repository`, and gives the verdict it will recall from now on.
    ///
    /// # Panics
    /// There is none.
    pub fn judge(&self, repository: &str, digest: Digest) -> Verdict {
        let image = ImageName::new(self.upstream.host().clone(), repository.parse().expect("a repository"));
        let subject = Subject { upstream: Arc::clone(&self.upstream), image, digest };
        self.runtime.block_on(self.gate.admit(&subject)).expect("a verdict")
    }
}
