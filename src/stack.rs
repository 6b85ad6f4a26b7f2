//! The tower layers, top to bottom in the order a request meets them.
//!
//! Over hyper's `Service`, whose `call` takes `&self`: a request that is answered from memory passes all of them without an
//! allocation, a clone or a timer.

use std::{convert::Infallible, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use tower::ServiceBuilder;

use crate::{
    body::Body,
    registry::Registry,
    server::{
        Limits, Stats,
        limits::{CatchPanicLayer, Held, InFlightLayer, Place, TimeToHeadersLayer},
    },
};

/// What a client connection is served with.
pub fn stack(
    registry: Arc<Registry>,
    limits: &Limits,
    stats: Arc<Stats>,
) -> impl Service<Request<Incoming>, Response = Response<Held<Body, Place>>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    ServiceBuilder::new()
        // Outermost, and before the panic's: shed now rather than late, and a request that panics still gives its place back.
        .layer(InFlightLayer::new(limits.requests, stats, busy))
        // Around the timer, so that whatever panics below is an answer the client can read.
        .layer(CatchPanicLayer::new(broken))
        // Innermost: containerd gives up at 30 s without headers, and then says nothing of the image.
        .layer(TimeToHeadersLayer::new(limits.response_timeout, slow))
        .service(service_fn(move |request| {
            let registry = Arc::clone(&registry);
            async move { Ok(registry.respond(request).await) }
        }))
}

/// As many requests as allowed are in flight. 503 and not 429, which makes containerd hammer.
fn busy() -> Response<Body> {
    error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "pullgate is answering as many requests as it may; try again", 1)
}

/// A defect of ours: fail closed, and say that it is ours.
fn broken() -> Response<Body> {
    error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "pullgate failed on this request; its log says where", 0)
}

/// No answer within the time clients wait.
fn slow() -> Response<Body> {
    error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "no answer within the time limit; try again", 5)
}

/// An error of the distribution specification's form. `retry_after` in seconds; 0 for none.
fn error(status: StatusCode, code: &str, message: &str, retry_after: u32) -> Response<Body> {
    // `code` and `message` are ours and need no escaping.
    let body = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}");
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if retry_after > 0 {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}
