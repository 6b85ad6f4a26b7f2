//! One exchange: a request out, an answer's head back in time, its body up to a bound. No redirects, no retries here.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, USER_AGENT, VIA},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{Client, Error as ClientError},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;
use url::Url;

use super::{
    Lost, UpstreamError,
    circuit::Circuit,
    egress::{self, Authority, Connector, Rules},
    retry::Failure,
    via,
};
use crate::{
    body::{ReadError, read_bounded},
    telemetry::UPSTREAM_REQUESTS,
};

/// From the first byte asked to the last byte of the answer's head, connecting included.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may bring nothing.
pub(super) const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body that is read whole may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an idle connection is used again: less than the 60 s after which common load balancers drop it. It is closed when
/// the pool looks next, which it does as often, so after twice that at most.
const IDLE: Duration = Duration::from_secs(45);
/// Idle connections kept per host.
const MAX_IDLE: usize = 32;
/// The head of an answer, and the pieces of a body, at most.
const MAX_BUFFER: usize = 256 << 10;
/// What is read of an answer nobody wants, so that its connection can be used again.
const MAX_DRAINED: usize = 16 << 10;
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("pullgate/", env!("CARGO_PKG_VERSION")));
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// What a request is for: the `what` of [`UPSTREAM_REQUESTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A blob or its size.
    Blob,
    /// A manifest or a tag's digest.
    Manifest,
    /// A page of referrers.
    Referrers,
    /// A page of tags.
    Tags,
    /// A token.
    Token,
}

impl What {
    /// For the label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Referrers => "referrers",
            Self::Tags => "tags",
            Self::Token => "token",
        }
    }

    /// For sentences.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Blob => "the blob",
            Self::Manifest => "the manifest",
            Self::Referrers => "the list of referrers",
            Self::Tags => "the list of tags",
            Self::Token => "the token endpoint's answer",
        }
    }
}

/// A failure below HTTP, told with all its causes: hyper's own sentence is only "client error (Connect)".
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Transport(String);

impl Transport {
    pub(super) fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut sentence = String::new();
        for cause in causes(error) {
            let text = cause.to_string();
            // Wrappers often repeat what they wrap.
            if !sentence.ends_with(&text) {
                if !sentence.is_empty() {
                    sentence.push_str(": ");
                }
                sentence.push_str(&text);
            }
        }
        Self(sentence)
    }
}

/// `error` and its causes. An `io::Error` made from another error gives that error, which its `source` leaves out.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    })
}

/// A pool of connections and the rules they are made by.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    /// Whom errors name.
    host: Arc<str>,
    /// Whether the host behind `guarded` answers at all.
    circuit: Arc<Circuit>,
    /// Whose silence counts; where the upstream sends us says nothing of itself. `None`: everybody's.
    guarded: Option<Authority>,
}

impl Http {
    /// An empty pool for the upstream `host`. While `guarded`, or any host where that is `None`, answers nobody, it is not
    /// asked by everybody (U11).
    pub(super) fn new(host: &str, rules: &Rules, guarded: Option<Authority>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MAX_BUFFER)
            .build(Connector::new(rules));
        Self { client, host: host.into(), circuit: Arc::default(), guarded }
    }

    /// A request as every request of ours looks. Nothing a client sent is in it (X10, X12).
    pub(super) fn request(
        method: Method,
        url: &Url,
        accept: &'static str,
        authorization: Option<HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        // A `Url` is stricter than a `Uri`; were one refused, the empty path has no host and the connector says so.
        *request.uri_mut() = url.as_str().parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(VIA, via::header());
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        request
    }

    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn send(&self, what: What, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let asked = Authority::of_uri(request.uri());
        let guarded = self.guarded.is_none() || asked == self.guarded;
        if guarded {
            self.circuit.enter().await.map_err(|why| Failure::Spared(self.unreachable(Transport(why))))?;
        }
        let started = Instant::now();
        let sent = tokio::time::timeout(HEAD_TIMEOUT, self.client.request(request)).await;
        let (outcome, result) = match sent {
            Ok(Ok(response)) => (outcome(response.status()), Ok(response)),
            Ok(Err(error)) => self.failure(&error),
            Err(_) => {
                let why = format!("no answer within {} s", HEAD_TIMEOUT.as_secs());
                ("unreachable", Err(Failure::Later(self.unreachable(Transport(why)))))
            }
        };
        metrics::counter!(UPSTREAM_REQUESTS, "what" => what.as_str(), "outcome" => outcome).increment(1);
        if guarded {
            match &result {
                Ok(_) => self.circuit.answered(&self.host).await,
                Err(Failure::Later(error) | Failure::Stale(error)) => {
                    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
                    self.circuit.silent(&self.host, started, &why).await;
                }
                // A rule of ours, a certificate, or what is no HTTP: known at once, and no sign of an outage.
                Err(Failure::Final(_) | Failure::Spared(_)) => {}
            }
        }
        result
    }

    fn failure(&self, error: &ClientError) -> (&'static str, Result<Response<Incoming>, Failure>) {
        if let Some(rule) = egress::forbidden(error) {
            tracing::warn!(host = %self.host, address = %rule.address, %rule, "a connection was not made");
            return ("forbidden", Err(Failure::Final(UpstreamError::Forbidden(rule.to_string()))));
        }
        let unreachable = self.unreachable(Transport::new(error));
        if error.is_connect() {
            // A certificate does not become valid by asking again (U1).
            let refused = causes(error).any(|cause| cause.is::<rustls::Error>());
            return ("unreachable", Err(if refused { Failure::Final(unreachable) } else { Failure::Later(unreachable) }));
        }
        let parse = causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse);
        if parse {
            let what = format!("not HTTP/1.1: {}", Transport::new(error));
            return ("failed", Err(Failure::Final(UpstreamError::Lied { host: self.host.to_string(), what })));
        }
        ("unreachable", Err(Failure::Stale(unreachable)))
    }

    /// The body whole, at most `limit` bytes, within [`BODY_TIMEOUT`]. A body that announces more is not begun (X7).
    pub(super) async fn read(&self, what: What, response: Response<Incoming>, limit: usize) -> Result<Bytes, UpstreamError> {
        let too_large = UpstreamError::TooLarge { what: what.noun(), limit: limit as u64 };
        if response.body().size_hint().lower() > limit as u64 {
            return Err(too_large);
        }
        match tokio::time::timeout(BODY_TIMEOUT, read_bounded(response.into_body(), limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(ReadError::TooLarge(_))) => Err(too_large),
            Ok(Err(ReadError::Broken(error))) => Err(self.lost(Lost::Answer, Transport::new(&*error))),
            Err(_) => {
                let why = format!("{} was not complete within {} s", what.noun(), BODY_TIMEOUT.as_secs());
                Err(self.lost(Lost::Answer, Transport(why)))
            }
        }
    }

    /// The body in pieces. Nothing for [`PROGRESS_TIMEOUT`], or an end before the announced length, is an error.
    pub(super) fn stream(&self, response: Response<Incoming>) -> BoxStream<'static, Result<Bytes, UpstreamError>> {
        let state = (response.into_body(), self.clone(), false);
        let pieces = futures_util::stream::unfold(state, |(mut body, http, over)| async move {
            if over {
                return None;
            }
            loop {
                let broken = match tokio::time::timeout(PROGRESS_TIMEOUT, body.frame()).await {
                    Ok(None) => return None,
                    Ok(Some(Ok(frame))) => match frame.into_data() {
                        Ok(piece) if piece.is_empty() => continue,
                        Ok(piece) => return Some((Ok(piece), (body, http, false))),
                        // Trailers.
                        Err(_) => continue,
                    },
                    Ok(Some(Err(error))) => Transport::new(&error),
                    Err(_) => Transport(format!("the body brought nothing for {} s", PROGRESS_TIMEOUT.as_secs())),
                };
                return Some((Err(http.lost(Lost::Answer, broken)), (body, http, true)));
            }
        });
        pieces.boxed()
    }

    /// Reads the rest of an answer nobody wants, if it is short, so that its connection can be used again.
    pub(super) async fn drain(response: Response<Incoming>) {
        if response.body().size_hint().lower() <= MAX_DRAINED as u64 {
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, read_bounded(response.into_body(), MAX_DRAINED)).await;
        }
    }

    /// An error that names this upstream.
    pub(super) fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
        self.lost(Lost::Connection, source)
    }

    /// The same of an upstream with which it came so far.
    pub(super) fn lost(&self, lost: Lost, source: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
        UpstreamError::Unreachable { host: self.host.to_string(), lost, source: Arc::new(source) }
    }

    /// An answer that is not what was asked for.
    pub(super) fn lied(&self, what: impl Into<String>) -> UpstreamError {
        UpstreamError::Lied { host: self.host.to_string(), what: what.into() }
    }

    /// Whom errors name.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

/// The `outcome` of [`UPSTREAM_REQUESTS`].
fn outcome(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "ok",
        300..=399 => "redirected",
        401 => "challenged",
        403 => "denied",
        404 => "absent",
        429 => "throttled",
        500..=599 => "failed",
        _ => "rejected",
    }
}

/// The encoding an answer came in though `identity` was asked for (A10): such bytes would not hash to their digest, and
/// decoding is how bombs go off.
pub(super) fn foreign_encoding(headers: &HeaderMap) -> Option<String> {
    headers.get_all(CONTENT_ENCODING).iter().find_map(|value| {
        let identity = value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") || value.is_empty();
        (!identity).then(|| String::from_utf8_lossy(value.as_bytes()).escape_default().take(40).collect())
    })
}

/// The announced length in bytes. `None` without one, or with an unreadable one.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
