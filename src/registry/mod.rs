//! The distribution API spoken to clients: a request becomes an endpoint, an endpoint its handler, an error the
//! specification's.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{Request, Response};

use crate::{body::Body, gate::Gate, oci::Host, policy::PolicySet, store::Store, upstream::Upstream};

/// What the configuration says of the client side.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a tag's meaning is remembered: 30 s.
    pub tag_ttl: Duration,
    /// How old a tag's meaning may be when the upstream cannot be asked: 24 h. `None` is forever.
    pub max_stale: Option<Duration>,
}

/// The upstreams there are, and which one answers for requests that name no host.
#[derive(Debug, Clone)]
pub struct Routes {
    /// All of them, by host.
    pub upstreams: Vec<Arc<dyn Upstream>>,
    /// `default_upstream`, else the only upstream, else none.
    pub default: Option<Host>,
}

/// Answers the distribution API.
#[derive(Debug)]
pub struct Registry {
    _parts: (),
}

impl Registry {
    /// A registry front over these parts. `routes` and `policies` may be swapped at any time.
    #[must_use]
    pub fn new(
        config: Config,
        gate: Arc<Gate>,
        store: Arc<Store>,
        routes: Arc<ArcSwap<Routes>>,
        policies: Arc<ArcSwap<PolicySet>>,
    ) -> Arc<Self> {
        let _ = (config, gate, store, routes, policies);
        unimplemented!()
    }

    /// Answers one request. Never fails: every error is a response of the specification's form.
    pub async fn respond<B>(self: &Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
    {
        let _ = request;
        unimplemented!()
    }
}
