//! What went wrong, as the specification says it: the one mapping from refusals, missing verdicts and upstream errors to
//! status, code, JSON and reason phrase.
//!
//! A sentence must reach the person who reads a pod's events. containerd before 2.3.3 shows nothing of a 403 to HEAD
//! but the status line, so the sentence is also the HTTP/1.1 reason phrase. It is short, printable ASCII, and contains
//! nothing an attacker can shape beyond that (J2, J5, J12).

use std::{borrow::Cow, fmt, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    body::Body,
    gate::{NoVerdict, Refusal, RefusalReason},
    oci::{Digest, ImageName, ManifestError},
    policy::Unmet,
    store::{FetchError, FillError},
    upstream::{Lost, UpstreamError},
};

/// Bytes of a message and of a reason phrase. kubelet events are cut at 1,024, and the same text appears twice in them.
pub(super) const MAX_SENTENCE: usize = 300;
/// Bytes of any one string in `detail`.
const MAX_DETAIL: usize = 256;
/// Entries of any one list in `detail`.
const MAX_ENTRIES: usize = 32;
/// What a client that could not be answered is told to wait when nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The specification's error codes, as far as a pull needs them. `UNAVAILABLE` is Docker's: the specification has none
/// for 5xx, and containerd and go-containerregistry know it. `UNKNOWN` is never used: ggcr retries it.
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

/// The upstream announces a blob of another size than the admitted manifest says.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upstream announced {found} bytes, the manifest says {listed}")]
pub(super) struct Disagrees {
    /// What the manifest says.
    pub(super) listed: u64,
    /// What was announced.
    pub(super) found: u64,
}

/// What was being asked of the upstream when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking<'a> {
    /// A blob.
    Blob(&'a Digest),
    /// What refers to a digest.
    Referrers(&'a Digest),
    /// What a tag means.
    Tag(&'a crate::oci::Tag),
    /// The tags there are.
    Tags,
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

    /// 400: a body, an upgrade or a proxy's form of target where a pull has none.
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

    // What the gate said.

    /// 403, naming the image, the policy, what was wanted and what was found: the sentence the decision's event has too.
    pub(super) fn refusal(refusal: &Refusal) -> Self {
        let Refusal { image, digest, reason, explanation: _ } = refusal;
        let mut detail = about(image, digest, refusal.code());
        let (status, code) = match reason {
            RefusalReason::Content(error) => {
                detail["content"] = content_code(error).into();
                match error {
                    // The transport's fault, not the content's: the bytes may be good.
                    ManifestError::TypeMismatch { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::ManifestInvalid),
                    ManifestError::Ambiguous(_)
                    | ManifestError::Malformed(_)
                    | ManifestError::SchemaOne
                    | ManifestError::TooLarge(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied),
                }
            }
            RefusalReason::TagMoved(moved) => {
                detail["tag"] = moved.tag.to_string().into();
                detail["was"] = moved.was.to_string().into();
                detail["policies"] =
                    json!([{"policy": moved.policy, "reason": moved.code(), "summary": plain(&moved.to_string(), MAX_DETAIL)}]);
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
            RefusalReason::Denied(_) | RefusalReason::NoPolicy | RefusalReason::NotEvidence => {
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
            RefusalReason::Unmet { unmet, notes } => {
                detail["policies"] = unmet.iter().take(MAX_ENTRIES).map(policy).collect();
                detail["notes"] = texts(notes);
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
        };
        Self::new(status, code, &refusal.sentence()).detail(detail)
    }

    /// What a missing verdict on `digest` becomes: 404, 403, 502 or 503.
    pub(super) fn no_verdict(image: &ImageName, digest: &Digest, none: &NoVerdict) -> Self {
        let (status, code, says) = match none {
            NoVerdict::Absent(_) => return Self::manifest_unknown(&format_args!("{image}@{digest}")),
            NoVerdict::CredentialsRefused(error) => {
                (StatusCode::FORBIDDEN, ErrorCode::Denied, format!("cannot be had: {}", public(error)))
            }
            NoVerdict::Faulty(faulty) => {
                (StatusCode::BAD_GATEWAY, ErrorCode::ManifestInvalid, format!("is not served: {faulty}"))
            }
            NoVerdict::Undecided(undecided) => {
                // What the operating system said of a connection may name an internal address; the gate's event has it (J7).
                let said = undecided.to_string();
                let said = without_source(&said).unwrap_or(said);
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, format!("is not served yet: {said}"))
            }
        };
        let sentence = Sentence { image, digest, says: &says }.fit();
        let mut error = Self::new(status, code, &sentence).detail(about(image, digest, none.code()));
        if let NoVerdict::Undecided(undecided) = none {
            error.0.retry_after = Some(undecided.retry_after);
        }
        error
    }

    // What an upstream said, where the gate was not asked.

    /// What an upstream's error becomes. Its own words about addresses and certificates go to the log only (J7).
    pub(super) fn upstream(asking: Asking<'_>, image: &ImageName, error: &UpstreamError) -> Self {
        let (what, absent) = match asking {
            Asking::Blob(digest) => (format!("blob {} of {image}", digest.short()), ErrorCode::BlobUnknown),
            Asking::Referrers(digest) => (format!("the referrers of {image}@{}", digest.short()), ErrorCode::ManifestUnknown),
            Asking::Tag(tag) => (format!("{image}:{tag}"), ErrorCode::ManifestUnknown),
            Asking::Tags => (format!("the tags of {image}"), ErrorCode::NameUnknown),
        };
        if !matches!(error, UpstreamError::NotFound) {
            tracing::warn!(%image, %what, %error, "the upstream did not give what was asked");
        }
        let said = |status, code| Self::new(status, code, &format_args!("{what} cannot be had: {}", public(error)));
        match error {
            // Evidence that may not be read is evidence not found out about: never "there is none", never a denial.
            UpstreamError::Denied { .. } => match asking {
                Asking::Referrers(_) => Self::unavailable(&format_args!("{what} cannot be had: {}", public(error))),
                Asking::Blob(_) | Asking::Tag(_) | Asking::Tags => said(StatusCode::FORBIDDEN, ErrorCode::Denied),
            },
            UpstreamError::Forbidden(_) => said(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable),
            UpstreamError::Lied { .. } => said(StatusCode::BAD_GATEWAY, ErrorCode::DigestInvalid),
            UpstreamError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, absent, &format_args!("{what} is not known to the registry"))
            }
            UpstreamError::Throttled { retry_after, .. } => {
                let mut error = said(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable);
                error.0.retry_after = Some(retry_after.unwrap_or(RETRY_AFTER));
                error
            }
            UpstreamError::TooLarge { .. } => match asking {
                Asking::Tag(_) => said(StatusCode::FORBIDDEN, ErrorCode::Denied),
                Asking::Blob(_) | Asking::Referrers(_) | Asking::Tags => said(StatusCode::BAD_GATEWAY, ErrorCode::SizeInvalid),
            },
            UpstreamError::Failing { .. } | UpstreamError::Unreachable { .. } => {
                Self::unavailable(&format_args!("{what} cannot be had: {}", public(error)))
            }
        }
    }

    /// What a blob that could not be fetched becomes. The store hands our own error back as it was given to it.
    pub(super) fn fetch(image: &ImageName, digest: &Digest, error: &FetchError) -> Self {
        if let Some(error) = error.downcast_ref::<UpstreamError>() {
            return Self::upstream(Asking::Blob(digest), image, error);
        }
        if let Some(Disagrees { listed, found }) = error.downcast_ref::<Disagrees>() {
            return Self::size_disagrees(digest, *listed, *found);
        }
        let said = |status, code| {
            tracing::warn!(%image, %digest, %error, "the upstream did not give what was asked");
            Self::new(status, code, &format_args!("blob {} of {image} cannot be had: {error}", digest.short()))
        };
        match error.downcast_ref::<FillError>() {
            Some(FillError::Longer { .. } | FillError::Shorter { .. }) => {
                return said(StatusCode::BAD_GATEWAY, ErrorCode::SizeInvalid);
            }
            Some(FillError::Mismatch(_)) => return said(StatusCode::BAD_GATEWAY, ErrorCode::DigestInvalid),
            Some(FillError::Stalled(_)) => {
                let mut error = said(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable);
                error.0.retry_after = Some(RETRY_AFTER);
                return error;
            }
            Some(FillError::Changed | FillError::Disk(_) | FillError::Lost | FillError::Unread | FillError::Upstream(_))
            | None => {}
        }
        tracing::error!(%image, %digest, %error, "the store could not take the blob in");
        Self::unavailable(&format_args!("blob {} of {image} cannot be stored at the moment", digest.short()))
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

/// A complete `Warning` value without what the operating system said of a connection (J7): audit mode tells there why it
/// could not tell.
pub(super) fn public_warning(warning: &str) -> Cow<'_, str> {
    without_source(warning).map_or(warning.into(), |public| format!("{public}\"").into())
}

/// What is said before the source of the first [`UpstreamError::Unreachable`] that is told of, if one is.
fn without_source(said: &str) -> Option<String> {
    let before = |lost: Lost| said.split_once(&format!(" {lost}: ")).map(|(before, _)| format!("{before} {lost}"));
    Lost::ALL.into_iter().filter_map(before).min_by_key(String::len)
}

/// `image@digest` and what is said of it, within [`MAX_SENTENCE`]: the whole digest if it fits, else its beginning, and
/// what is said is cut last.
struct Sentence<'a> {
    image: &'a ImageName,
    digest: &'a Digest,
    says: &'a str,
}

impl Sentence<'_> {
    fn fit(&self) -> String {
        let Self { image, digest, says } = self;
        let whole = format!("{image}@{digest} {says}");
        if whole.len() <= MAX_SENTENCE {
            return whole;
        }
        let image = plain(&image.to_string(), 120);
        plain(&format!("{image}@{} {says}", digest.short()), MAX_SENTENCE)
    }
}

/// What every judged digest's `detail` says. Codes are those of the metrics and events.
fn about(image: &ImageName, digest: &Digest, reason: &'static str) -> Value {
    json!({
        "image": image.to_string(),
        "digest": digest.to_string(),
        "reason": reason,
    })
}

fn policy(unmet: &Unmet) -> Value {
    json!({
        "name": plain(&unmet.policy, MAX_DETAIL),
        "reason": unmet.reason.as_str(),
        "summary": plain(&unmet.summary, MAX_DETAIL),
        "details": texts(&unmet.details),
    })
}

fn texts(texts: &[String]) -> Value {
    let mut list: Vec<Value> = texts.iter().take(MAX_ENTRIES).map(|text| plain(text, MAX_DETAIL).into()).collect();
    if texts.len() > MAX_ENTRIES {
        list.push(format!("and {} more", texts.len() - MAX_ENTRIES).into());
    }
    list.into()
}

const fn content_code(error: &ManifestError) -> &'static str {
    match error {
        ManifestError::Ambiguous(_) => "manifest_ambiguous",
        ManifestError::Malformed(_) => "manifest_malformed",
        ManifestError::SchemaOne => "manifest_schema_one",
        ManifestError::TooLarge(_) => "manifest_too_large",
        ManifestError::TypeMismatch { .. } => "manifest_type_mismatch",
    }
}

/// What a client may know of an upstream's error: no address, no certificate, no operating system's words (J7).
fn public(error: &UpstreamError) -> String {
    match error {
        UpstreamError::Unreachable { host, lost, .. } => format!("upstream {host} {lost}"),
        UpstreamError::Denied { .. }
        | UpstreamError::Failing { .. }
        | UpstreamError::Forbidden(_)
        | UpstreamError::Lied { .. }
        | UpstreamError::NotFound
        | UpstreamError::Throttled { .. }
        | UpstreamError::TooLarge { .. } => error.to_string(),
    }
}

/// Printable ASCII of at most `limit` bytes: any other character becomes `?`, a cut shows as `...`.
///
/// What is in certificates and manifests is an attacker's: control characters and bidirectional marks must not reach
/// terminals, events or header lines (J2).
pub(super) fn plain(text: &str, limit: usize) -> String {
    let mut plain: String =
        text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).take(limit + 1).collect();
    if plain.len() > limit {
        plain.truncate(limit.saturating_sub(3));
        plain.push_str("...");
    }
    plain
}

#[cfg(test)]
mod tests;
