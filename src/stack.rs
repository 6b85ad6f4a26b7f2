//! The tower layers, top to bottom in the order a request meets them.
//!
//! Over hyper's `Service`, whose `call` takes `&self`: a request that is answered from memory passes all of them without an
//! allocation, a clone or a timer.

use std::{convert::Infallible, sync::Arc};

use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::service::{Service, service_fn};
use tower::ServiceBuilder;

use crate::{
    body::Body,
    registry::Registry,
    server::{
        Limits, Stats,
        limits::{CatchPanicLayer, Held, InFlightLayer, Place, TimeToHeadersLayer},
    },
};

/// What a client connection is served with. Whatever kind of body a request has: none is read.
pub fn stack<B>(
    registry: Arc<Registry>,
    limits: &Limits,
    stats: Arc<Stats>,
) -> impl Service<Request<B>, Response = Response<Held<Body, Place>>, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    B: http_body::Body + Send + 'static,
{
    let answer = service_fn(move |request: Request<B>| registry.respond(request).map(Ok));
    bounded(answer, limits, stats)
}

/// `service` within the bounds of one request.
fn bounded<S, R>(
    service: S,
    limits: &Limits,
    stats: Arc<Stats>,
) -> impl Service<R, Response = Response<Held<Body, Place>>, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    S: Service<R, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    ServiceBuilder::new()
        // Outermost: shed now rather than late. Around the panic's, so that a request that panics gives its place back.
        .layer(InFlightLayer::new(limits.requests, stats, busy))
        // Around the timer, so that whatever panics below is an answer the client can read.
        .layer(CatchPanicLayer::new(broken))
        // Innermost: containerd gives up at 30 s without headers, and then says nothing of the image.
        .layer(TimeToHeadersLayer::new(limits.response_timeout, slow))
        .service(service)
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

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::server::admin::Admin;

    fn limits() -> Limits {
        Limits { requests: 1, response_timeout: Duration::from_secs(25), ..Admin::limits() }
    }

    async fn ask<S>(service: &S, path: &'static str) -> Response<Held<Body, Place>>
    where
        S: Service<Request<String>, Response = Response<Held<Body, Place>>, Error = Infallible>,
    {
        service.call(Request::new(path.to_owned())).await.unwrap_or_else(|never| match never {})
    }

    async fn answer(request: Request<String>) -> Result<Response<Body>, Infallible> {
        match request.body().as_str() {
            "slow" => pending().await,
            "panic" => panic!("on purpose"),
            _ => Ok(Response::new(Body::full("hello"))),
        }
    }

    async fn code(response: Response<Held<Body, Place>>) -> (u16, Option<String>, String) {
        let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let error: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        (status, retry, error["errors"][0]["code"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn above_the_limit_503_and_never_429_until_the_last_byte_has_left() {
        let stats = Arc::new(Stats::default());
        let service = bounded(service_fn(answer), &limits(), Arc::clone(&stats));
        let first = ask(&service, "hello").await;
        assert_eq!(first.status(), 200);
        let shed = ask(&service, "hello").await;
        assert_eq!(code(shed).await, (503, Some("1".to_owned()), "UNAVAILABLE".to_owned()));
        let mut body = first.into_body();
        let piece = body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(stats.in_flight(), 1, "the body is done, its last piece has not left");
        drop(piece);
        assert_eq!(stats.in_flight(), 0);
        assert_eq!(ask(&service, "hello").await.status(), 200);
    }

    #[tokio::test]
    async fn a_panic_is_a_500_in_the_form_of_the_specification_and_gives_its_place_back() {
        let stats = Arc::new(Stats::default());
        let service = bounded(service_fn(answer), &limits(), Arc::clone(&stats));
        for _ in 0..3 {
            assert_eq!(code(ask(&service, "panic").await).await, (500, None, "UNKNOWN".to_owned()));
        }
        assert_eq!(stats.in_flight(), 0);
        // A panic before there is a future at all.
        let early = service_fn(|request: Request<String>| {
            assert!(*request.body() != "early", "on purpose");
            answer(request)
        });
        let service = bounded(early, &limits(), stats);
        assert_eq!(code(ask(&service, "early").await).await, (500, None, "UNKNOWN".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_headers_in_time_is_a_503_before_containerd_gives_up() {
        let service = bounded(service_fn(answer), &limits(), Arc::default());
        let start = tokio::time::Instant::now();
        assert_eq!(code(ask(&service, "slow").await).await, (503, Some("5".to_owned()), "UNAVAILABLE".to_owned()));
        assert!((25..30).contains(&start.elapsed().as_secs()));
    }
}
