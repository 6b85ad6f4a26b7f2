//! The distribution API spoken to clients: a request becomes an endpoint, an endpoint its handler, an error the
//! specification's.
//!
//! Nothing of a client's request but method, path, `ns` and four parameters is read, and nothing of it travels to an
//! upstream: `Accept` and the like are the gate's own there (X10).

mod blobs;
mod count;
mod discovery;
mod endpoint;
mod error;
mod manifests;
mod range;
mod response;
mod route;
mod tags;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{future::ready, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header, request};

use self::{
    count::{Counts, Kind},
    endpoint::{Asked, Endpoint},
    error::Error,
    route::Route,
    tags::TagMemory,
};
use crate::{
    body::Body,
    flight::Flight,
    gate::Gate,
    oci::{Digest, Host},
    policy::PolicySet,
    store::{Documents, Fetch, FillError, Store},
    upstream::{self, Upstream},
};

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
    gate: Arc<Gate>,
    store: Arc<Store>,
    routes: Arc<ArcSwap<Routes>>,
    policies: Arc<ArcSwap<PolicySet>>,
    tags: Arc<TagMemory>,
    /// Blobs that are being hashed to know what else they are called: stored ones, or one fetch's.
    naming: Flight<(Digest, Option<Fetch>), Result<(), FillError>>,
    counts: Counts,
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
        let documents = Arc::clone(&store) as Arc<dyn Documents>;
        let tags = Arc::new(TagMemory::new(config.tag_ttl, config.max_stale, documents));
        Arc::new(Self { gate, store, routes, policies, tags, naming: Flight::default(), counts: Counts::default() })
    }

    /// Answers one request. Never fails: every error is a response of the specification's form.
    ///
    /// What is remembered is answered by the call itself, and its future is small: each layer around it moves it once more. What
    /// has to wait is boxed, and begins when it is polled.
    ///
    /// Every wait within has its own deadline (the gate's, the upstream's); the one for the whole is the stack's. Dropping
    /// the future cancels no judgement and no fill, only this answer.
    pub fn respond<B>(self: &Arc<Self>, request: Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        // Not read: what is left of it ends the connection with the answer.
        drop(body);
        if let Some(answer) = self.at_once(&parts, has_body) {
            return Either::Left(ready(self.told(answer, &parts)));
        }
        let registry = Arc::clone(self);
        Either::Right(Box::pin(async move {
            let answer = registry.in_time(&parts, has_body).await;
            registry.told(answer, &parts)
        }))
    }

    /// The response, counted.
    ///
    /// One to a request that offers an upgrade is as if it did not (RFC 9110, 7.8): Java's client offers one without TLS. But who
    /// takes the offer for accepted would speak to us for somebody else, so the connection ends (X12).
    fn told(&self, (kind, mut response): (Kind, Response<Body>), parts: &request::Parts) -> Response<Body> {
        self.counts.count(kind, response.status());
        if parts.headers.contains_key(header::UPGRADE) && parts.version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer, if nothing need be waited for.
    fn at_once(&self, parts: &request::Parts, has_body: bool) -> Option<(Kind, Response<Body>)> {
        let head = parts.method == http::Method::HEAD;
        match self.routed(parts, has_body) {
            Err((kind, error)) => Some((kind, error.into_response(head))),
            Ok((kind, _, None)) => Some((kind, response::api_version(head))),
            Ok((kind, Endpoint::Manifest { reference, .. }, Some(route))) => {
                let response = manifests::recalled(self, &route, &reference, head)?;
                Some((kind, named(response, &route)))
            }
            Ok((_, _, Some(_))) => None,
        }
    }

    /// The answer that [`at_once`](Self::at_once) did not have. Reads the request again: what was read borrows from it.
    async fn in_time(&self, parts: &request::Parts, has_body: bool) -> (Kind, Response<Body>) {
        let head = parts.method == http::Method::HEAD;
        match self.routed(parts, has_body) {
            Err((kind, error)) => (kind, error.into_response(head)),
            Ok((kind, _, None)) => (kind, response::api_version(head)),
            Ok((kind, endpoint, Some(route))) => {
                let answer = self.ask(&route, &endpoint, &parts.headers, head).await;
                (kind, named(answer.unwrap_or_else(|error| error.into_response(head)), &route))
            }
        }
    }

    /// What is asked for, and of whom; of nobody, where only this registry is asked about.
    fn routed<'a>(
        &self,
        parts: &'a request::Parts,
        has_body: bool,
    ) -> Result<(Kind, Endpoint<'a>, Option<Route<'a>>), (Kind, Error)> {
        let asked = proper(parts, has_body).and_then(|()| Asked::parse(&parts.method, &parts.uri));
        let Asked { endpoint, ns, .. } = asked.map_err(|error| (Kind::Other, error))?;
        let (kind, name) = match &endpoint {
            Endpoint::ApiVersion => return Ok((Kind::ApiVersion, endpoint, None)),
            Endpoint::Blob { name, .. } => (Kind::Blob, *name),
            Endpoint::Manifest { name, .. } => (Kind::Manifest, *name),
            Endpoint::Referrers { name, .. } => (Kind::Referrers, *name),
            Endpoint::Tags { name, .. } => (Kind::Tags, *name),
        };
        let route = Route::find(&self.routes.load(), name, ns).map_err(|error| (kind, error))?;
        Ok((kind, endpoint, Some(route)))
    }

    async fn ask(
        &self,
        route: &Route<'_>,
        endpoint: &Endpoint<'_>,
        request: &HeaderMap,
        head: bool,
    ) -> Result<Response<Body>, Error> {
        match endpoint {
            Endpoint::ApiVersion => Ok(response::api_version(head)),
            Endpoint::Blob { digest, .. } => blobs::blob(self, route, digest, request, head).await,
            Endpoint::Manifest { reference, .. } => manifests::manifest(self, route, reference, head).await,
            Endpoint::Referrers { subject, artifact_types, .. } => {
                discovery::referrers(self, route, subject, artifact_types, head).await
            }
            Endpoint::Tags { n, last, .. } => discovery::tags(self, route, *n, last.as_ref(), head).await,
        }
    }
}

/// The response with the host that `ns` led to, where it was given.
fn named(mut response: Response<Body>, route: &Route<'_>) -> Response<Body> {
    if route.ns.is_some() {
        response::name_space(response.headers_mut(), &route.image.host);
    }
    response
}

/// Refuses what a pull never is (X12): a body, a proxy's form of target. Whoever sends such a thing may be speaking to someone
/// behind us, so the connection ends.
fn proper(parts: &request::Parts, has_body: bool) -> Result<(), Error> {
    if !matches!(parts.method, http::Method::GET | http::Method::HEAD) {
        // Said with its own code, body or not.
        return Err(Error::method_not_allowed());
    }
    if has_body || parts.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::bad_request("a pull has no body"));
    }
    if upstream::is_loop(&parts.headers) {
        return Err(Error::came_back());
    }
    if parts.uri.authority().is_some() && parts.version < Version::HTTP_2 {
        return Err(Error::bad_request("this is a registry, not a forward proxy: the target must be a path"));
    }
    Ok(())
}
