//! The second listener: alive, ready, metrics. Constant cost, no upstream is asked, nothing is told that is a secret (J9,
//! J11); on loopback unless configured otherwise.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::Service;

use super::Limits;

/// One thing that must be in order before requests can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What: `store`, `trust root`.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
}

/// How a thing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In order.
    Good,
    /// Serving, but somebody should look: what is the matter.
    Warning(String),
    /// Not serving: what is missing.
    Missing(String),
}

/// What the admin listener answers from. Both are called for each request and must not block.
#[derive(Clone)]
pub struct Admin {
    checks: Arc<dyn Fn() -> Vec<Check> + Send + Sync>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// `checks` for `/readyz`, `metrics` in the Prometheus text format for `/metrics`.
    pub fn new(
        checks: impl Fn() -> Vec<Check> + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { checks: Arc::new(checks), metrics: Arc::new(metrics) }
    }

    /// The admin listener's own limits: small, and apart from the clients', so that it answers while they are at theirs (H4).
    #[must_use]
    pub const fn limits() -> Limits {
        Limits {
            connections: 256,
            requests: 256,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(5),
            head_bytes: 16 * 1024,
            drain: Duration::from_secs(1),
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/" => text(StatusCode::OK, "pullgate\n\n/livez\n/readyz\n/metrics\n".to_owned()),
            "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => ready_answer(&(self.checks)(), wants_json(request.headers())),
            "/metrics" => {
                let mut response = text(StatusCode::OK, (self.metrics)());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
        }
    }
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| value.as_bytes().starts_with(b"application/json"))
}

fn ready_answer(checks: &[Check], json: bool) -> Response<Full<Bytes>> {
    let ready = !checks.iter().any(|check| matches!(check.state, State::Missing(_)));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let rows = checks.iter().map(|check| match &check.state {
        State::Good => (check.name, "ok", ""),
        State::Warning(what) => (check.name, "warning", what.as_str()),
        State::Missing(what) => (check.name, "missing", what.as_str()),
    });
    if json {
        let checks: Vec<_> =
            rows.map(|(name, state, message)| serde_json::json!({"name": name, "state": state, "message": message})).collect();
        let mut response = text(status, serde_json::json!({"ready": ready, "checks": checks}).to_string());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response;
    }
    let mut body = if ready { "ready\n" } else { "not ready\n" }.to_owned();
    for (name, state, message) in rows {
        let separator = if message.is_empty() { "" } else { ": " };
        body.push_str(&format!("{name}: {state}{separator}{message}\n"));
    }
    text(status, body)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
