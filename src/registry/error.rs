//! What went wrong, as the specification says it: the one mapping from refusals, missing verdicts and upstream errors to
//! status, code, JSON and reason phrase.
//!
//! A sentence must reach the person who reads a pod's events. containerd before 2.3.3 shows nothing of a 403 to HEAD
//! but the status line, so the sentence is also the HTTP/1.1 reason phrase. It is short, printable ASCII, and contains
//! nothing an attacker can shape beyond that (J2, J5, J12).

mod judged;
mod sentence;
mod upstream;

use std::{fmt, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use sentence::{MAX_SENTENCE, Sentence, plain};
pub(super) use upstream::{Asking, Disagrees, public_warning};

use crate::{
    body::Body,
    gate::RefusalReason,
    oci::{Digest, ImageName},
};

/// What a client that could not be answered is told to wait when nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The specification's error codes, as far as a pull needs them. `UNAVAILABLE` is Docker's: the specification has none
/// for 5xx, and containerd and go-containerregistry know it. `UNKNOWN`, which ggcr retries, is the stack's alone, for a defect of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    BlobUnknown,
    Denied,
    DigestInvalid,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unavailable,
    Unsupported,
}

impl ErrorCode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// An answer that is not what was asked for. Boxed: the way of a 200 stays narrow.
#[derive(Debug)]
pub(super) struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    detail: Option<Value>,
    retry_after: Option<Duration>,
    /// 416: how large the blob is.
    size: Option<u64>,
    /// The connection is not to be used again: what follows may not be a request (X12).
    close: bool,
}

impl Error {
    fn new(status: StatusCode, code: ErrorCode, message: &dyn fmt::Display) -> Self {
        let message = plain(&message.to_string(), MAX_SENTENCE);
        Self(Box::new(Parts { status, code, message, detail: None, retry_after: None, size: None, close: false }))
    }

    fn detail(mut self, detail: Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    #[cfg(test)]
    pub(super) const fn status(&self) -> StatusCode {
        self.0.status
    }

    #[cfg(test)]
    pub(super) const fn code(&self) -> ErrorCode {
        self.0.code
    }

    // The request itself.

    /// 400: a body or a proxy's form of target where a pull has none.
    pub(super) fn bad_request(why: &'static str) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, &why);
        error.0.close = true;
        error
    }

    pub(super) fn bad_query(key: &'static str, why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, &format_args!("query parameter `{key}` {why}"))
    }

    /// 508: the request is one of this gate's own, so an upstream of it is itself (U12).
    pub(super) fn came_back() -> Self {
        let message = "the request came back to the gate that sent it: one of its upstreams is this gate itself";
        Self::new(StatusCode::LOOP_DETECTED, ErrorCode::Unsupported, &message)
    }

    pub(super) fn digest_invalid(error: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, error)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, &"this registry is for pulling: GET and HEAD only")
    }

    pub(super) fn name_invalid(name: &str) -> Self {
        let what = format_args!("`{}` is not a repository name", plain(name, 160));
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, &what)
    }

    pub(super) fn no_such_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, &"there is no such endpoint")
    }

    pub(super) fn path_not_plain() -> Self {
        let message = "the path is not in its plain form: no percent-encoding, no empty or dotted segments";
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, &message)
    }

    // Routing.

    pub(super) fn host_contradicted(ns: &str, prefix: &str) -> Self {
        let what = format_args!("`ns={}` and the path, which says {}, name two registries", plain(ns, 100), plain(prefix, 100));
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, &what)
    }

    pub(super) fn host_unknown(host: &str) -> Self {
        let what = format_args!("registry `{}` is none this gate serves", plain(host, 160));
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, &what)
    }

    pub(super) fn no_default() -> Self {
        let message = "the request names no registry (neither `ns` nor a path prefix) and there is no default upstream";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, &message)
    }

    // What was asked for.

    pub(super) fn blob_unlisted(image: &ImageName, digest: &Digest) -> Self {
        let message =
            Sentence { image, digest, says: "is listed by no admitted manifest of this repository: pull the manifest first" };
        Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, &message.fit())
    }

    pub(super) fn manifest_unknown(what: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, &format_args!("{what} is not known to the registry"))
    }

    /// 403 where no policy names the repository: the upstream is not asked.
    pub(super) fn no_policy(image: &ImageName) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, &format_args!("{image}: {}", RefusalReason::NoPolicy))
            .detail(json!({"image": image.to_string(), "reason": "no_policy"}))
    }

    pub(super) fn range_not_satisfiable(size: u64) -> Self {
        let what = format_args!("the range begins behind the blob's {size} bytes");
        let mut error = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, &what);
        error.0.size = Some(size);
        error
    }

    /// 502: the admitted manifest says one size, the registry another.
    pub(super) fn size_disagrees(digest: &Digest, listed: u64, found: u64) -> Self {
        let what = format_args!("blob {} has {found} bytes, the manifest says {listed}", digest.short());
        Self::new(StatusCode::BAD_GATEWAY, ErrorCode::SizeInvalid, &what)
    }

    /// 502: a permit for other bytes than those asked for. Cannot happen; if it does, nothing is served.
    pub(super) fn permit_for_another(asked: &Digest) -> Self {
        let what = format_args!("the manifest at hand is not {}", asked.short());
        Self::new(StatusCode::BAD_GATEWAY, ErrorCode::DigestInvalid, &what)
    }

    /// 503: our own limits, or time.
    pub(super) fn unavailable(why: &dyn fmt::Display) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, why);
        error.0.retry_after = Some(RETRY_AFTER);
        error
    }

    /// The answer. On HEAD its body is left out, and its length is not (RFC 9110, 8.6).
    pub(super) fn into_response(self, head: bool) -> Response<Body> {
        let Parts { status, code, message, detail, retry_after, size, close } = *self.0;
        let mut error = json!({"code": code.as_str(), "message": message});
        if let Some(detail) = detail {
            error["detail"] = detail;
        }
        let body = json!({"errors": [error]}).to_string();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        // Also on 404 and 400 the sentence says more than `Not Found`; but some clients match those words.
        if matches!(
            status,
            StatusCode::FORBIDDEN | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::LOOP_DETECTED
        ) && let Ok(phrase) = hyper::ext::ReasonPhrase::try_from(message.as_bytes())
        {
            response.extensions_mut().insert(phrase);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, super::response::length_value(body.len() as u64));
        headers.insert(super::response::API_VERSION, super::response::API_VERSION_VALUE);
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1_000).clamp(1, 3_600) as u64));
        }
        if let Some(size) = size
            && let Ok(range) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            headers.insert(header::CONTENT_RANGE, range);
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if !head {
            *response.body_mut() = Body::full(body);
        }
        response
    }
}

#[cfg(test)]
mod tests;
