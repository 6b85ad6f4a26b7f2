//! What went wrong, as the specification says it: the one mapping from refusals, missing verdicts and upstream errors to
//! status, code, JSON and reason phrase.
//!
//! A sentence must reach the person who reads a pod's events. containerd before 2.3.3 shows nothing of a 403 to HEAD
//! but the status line, so the sentence is also the HTTP/1.1 reason phrase. It is short, printable ASCII, and contains
//! nothing an attacker can shape beyond that (J2, J5, J12).

use std::{fmt, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    body::Body,
    gate::{NoVerdict, Refusal, RefusalReason},
    oci::{Digest, ImageName, ManifestError},
    policy::Unmet,
    store::FetchError,
    upstream::UpstreamError,
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
            RefusalReason::NoPolicy | RefusalReason::NotEvidence => (StatusCode::FORBIDDEN, ErrorCode::Denied),
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
                let said = said
                    .split_once(UNREACHABLE)
                    .map_or(said.clone(), |(before, _)| format!("{before}{}", UNREACHABLE.trim_end_matches(": ")));
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
            UpstreamError::Unreachable { .. } => Self::unavailable(&format_args!("{what} cannot be had: {}", public(error))),
        }
    }

    /// What a blob that could not be fetched becomes. The store hands our own error back as it was given to it.
    pub(super) fn fetch(image: &ImageName, digest: &Digest, error: &FetchError) -> Self {
        if let Some(error) = error.downcast_ref::<UpstreamError>() {
            return Self::upstream(Asking::Blob(digest), image, error);
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
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
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

/// Behind this stands an [`UpstreamError::Unreachable`]'s source, in its `Display`.
const UNREACHABLE: &str = " cannot be reached: ";

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
        "explain": format!("pullgate explain {image}@{digest}"),
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
        UpstreamError::Unreachable { host, .. } => format!("upstream {host} cannot be reached"),
        UpstreamError::Denied { .. }
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
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        gate::{Absent, Faulty, Undecided, UndecidedReason},
        oci::Tag,
        policy::Reason,
        registry::testing::unreachable,
    };

    fn image() -> ImageName {
        ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap())
    }

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn digest() -> Digest {
        format!("sha256:{HASH}").parse().unwrap()
    }

    fn unmet(policy: &str, summary: &str) -> Unmet {
        Unmet {
            policy: policy.into(),
            summary: summary.into(),
            reason: Reason::IdentityMismatch,
            details: vec!["seen: x".into()],
        }
    }

    fn refused(reason: RefusalReason) -> Error {
        Error::refusal(&Refusal { image: image(), digest: digest(), reason, explanation: Arc::default() })
    }

    struct Answer {
        status: u16,
        phrase: Option<String>,
        retry_after: Option<String>,
        body: Value,
    }

    async fn answer(error: Error) -> Answer {
        let response = error.into_response(false);
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>();
        let phrase = phrase.map(|phrase| String::from_utf8(phrase.as_bytes().to_vec()).unwrap());
        let (status, retry_after) = (response.status().as_u16(), header(header::RETRY_AFTER));
        assert_eq!(header(header::CONTENT_TYPE).as_deref(), Some("application/json"));
        let length = header(header::CONTENT_LENGTH).unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, bytes.len().to_string());
        Answer { status, phrase, retry_after, body: serde_json::from_slice(&bytes).unwrap() }
    }

    #[tokio::test]
    async fn a_refusal_names_image_policy_wanted_and_found() {
        let says = "wants a signature by https://github.com/acme/app/.github/workflows/release.yml; found none";
        let answer = answer(refused(RefusalReason::Unmet {
            unmet: vec![unmet("acme-release", says)],
            notes: vec!["a bundle was set aside: malformed".into()],
        }))
        .await;
        let message = format!("ghcr.io/acme/app@sha256:{HASH}: policy acme-release {says}");
        assert_eq!(answer.status, 403);
        assert_eq!(answer.phrase.as_deref(), Some(message.as_str()));
        assert_eq!(answer.retry_after, None);
        let golden = json!({"errors": [{
            "code": "DENIED",
            "message": message,
            "detail": {
                "image": "ghcr.io/acme/app",
                "digest": format!("sha256:{HASH}"),
                "reason": "identity_mismatch",
                "policies": [{"name": "acme-release", "reason": "identity_mismatch", "summary": says, "details": ["seen: x"]}],
                "notes": ["a bundle was set aside: malformed"],
                "explain": format!("pullgate explain ghcr.io/acme/app@sha256:{HASH}"),
            },
        }]});
        assert_eq!(answer.body, golden);
    }

    #[tokio::test]
    async fn each_refusal_has_its_line_of_the_table() {
        let content = |error| refused(RefusalReason::Content(error));
        for (error, status, code, reason, says) in [
            (refused(RefusalReason::NoPolicy), 403, "DENIED", "no_policy", "no policy names this image"),
            (refused(RefusalReason::NotEvidence), 403, "DENIED", "not_evidence", "signatures and attestations only"),
            (content(ManifestError::SchemaOne), 403, "DENIED", "content", "schema 1"),
            (content(ManifestError::Ambiguous("both".into())), 403, "DENIED", "content", "both"),
            (content(ManifestError::TooLarge("5 bytes".into())), 403, "DENIED", "content", "5 bytes"),
            (content(ManifestError::Malformed("odd".into())), 403, "DENIED", "content", "odd"),
            (
                content(ManifestError::TypeMismatch { header: "text/html".into(), body: "an index".into() }),
                502,
                "MANIFEST_INVALID",
                "content",
                "text/html",
            ),
        ] {
            let answer = answer(error).await;
            let error = &answer.body["errors"][0];
            assert_eq!((answer.status, error["code"].as_str().unwrap()), (status, code));
            assert_eq!(error["detail"]["reason"], reason);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(says) && message.starts_with(&format!("ghcr.io/acme/app@sha256:{HASH}: ")), "{message}");
            assert_eq!(answer.phrase.as_deref(), Some(message));
        }
    }

    #[tokio::test]
    async fn each_missing_verdict_has_its_line_of_the_table() {
        let undecided = |reason| NoVerdict::Undecided(Undecided { reason, retry_after: Duration::from_millis(2_500) });
        let denied = UpstreamError::Denied { host: "ghcr.io".into(), status: 401 };
        for (none, status, code, retry_after, reason, says) in [
            (NoVerdict::Absent(Absent), 404, "MANIFEST_UNKNOWN", None, None, "not known to the registry"),
            (
                NoVerdict::CredentialsRefused(denied),
                403,
                "DENIED",
                None,
                Some("credentials_refused"),
                "upstream ghcr.io refused our credentials (401)",
            ),
            (NoVerdict::Faulty(Faulty("other bytes".into())), 502, "MANIFEST_INVALID", None, Some("faulty"), "other bytes"),
            (
                undecided(UndecidedReason::EvidenceUnavailable("the .sig tag cannot be read".into())),
                503,
                "UNAVAILABLE",
                Some("3"),
                Some("evidence_unavailable"),
                "the .sig tag cannot be read",
            ),
            (undecided(UndecidedReason::Clock("5 s".into())), 503, "UNAVAILABLE", Some("3"), Some("clock"), "5 s"),
            (
                undecided(UndecidedReason::NoTrustRoot("not fetched".into())),
                503,
                "UNAVAILABLE",
                Some("3"),
                Some("no_trust_root"),
                "not fetched",
            ),
            (undecided(UndecidedReason::Overloaded), 503, "UNAVAILABLE", Some("3"), Some("overloaded"), "too much work"),
            (undecided(UndecidedReason::TimedOut), 503, "UNAVAILABLE", Some("3"), Some("timed_out"), "longer"),
        ] {
            let answer = answer(Error::no_verdict(&image(), &digest(), &none)).await;
            let error = &answer.body["errors"][0];
            assert_eq!((answer.status, error["code"].as_str().unwrap()), (status, code));
            assert_eq!(answer.retry_after.as_deref(), retry_after, "{none:?}");
            assert_eq!(error["detail"]["reason"].as_str(), reason);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(says) && message.contains(&format!("ghcr.io/acme/app@sha256:{HASH}")), "{message}");
            // `404 Not Found` is what clients match; the others must speak for themselves.
            assert_eq!(answer.phrase.as_deref(), (status != 404).then_some(message));
        }
    }

    #[tokio::test]
    async fn each_upstream_error_is_a_no_a_fault_or_a_wait_and_never_429() {
        let host = || "ghcr.io".to_owned();
        let (digest, tag) = (digest(), "v1".parse::<Tag>().unwrap());
        let all = [Asking::Blob(&digest), Asking::Referrers(&digest), Asking::Tag(&tag), Asking::Tags];
        let cases: [(UpstreamError, [u16; 4]); 8] = [
            (UpstreamError::Denied { host: host(), status: 403 }, [403, 503, 403, 403]),
            (UpstreamError::Forbidden("add `auth_hosts: [x]`".into()), [502; 4]),
            (UpstreamError::Lied { host: host(), what: "odd".into() }, [502; 4]),
            (UpstreamError::NotFound, [404; 4]),
            (UpstreamError::Throttled { host: host(), retry_after: Some(Duration::from_secs(7)) }, [503; 4]),
            (UpstreamError::Throttled { host: host(), retry_after: None }, [503; 4]),
            (UpstreamError::TooLarge { what: "manifest", limit: 4 }, [502, 502, 403, 502]),
            (unreachable("ghcr.io"), [503; 4]),
        ];
        for (error, statuses) in cases {
            for (asking, status) in all.into_iter().zip(statuses) {
                let answer = answer(Error::upstream(asking, &image(), &error)).await;
                assert_eq!(answer.status, status, "{error:?} {asking:?}");
                assert_eq!(answer.retry_after.is_some(), status == 503, "{error:?} {asking:?}");
                // J7: addresses are for the log.
                assert!(!answer.body.to_string().contains("10.9.8.7"), "{}", answer.body);
                if matches!(error, UpstreamError::Forbidden(_)) {
                    assert!(answer.phrase.unwrap().contains("auth_hosts"), "names the key");
                }
            }
        }
    }

    #[tokio::test]
    async fn j7_an_undecided_answer_says_who_cannot_be_reached_and_not_at_which_address() {
        let why = format!("the .sig tag: {}", unreachable("ghcr.io"));
        let undecided = Undecided { reason: UndecidedReason::EvidenceUnavailable(why), retry_after: RETRY_AFTER };
        let answer = answer(Error::no_verdict(&image(), &digest(), &NoVerdict::Undecided(undecided))).await;
        assert!(answer.phrase.unwrap().ends_with("the .sig tag: upstream ghcr.io cannot be reached"));
        assert!(!answer.body.to_string().contains("10.9.8.7"), "{}", answer.body);
    }

    #[tokio::test]
    async fn what_the_store_says_is_not_for_clients() {
        let store: FetchError = Arc::new(std::io::Error::other("/var/lib/pullgate: no space left"));
        let answer = answer(Error::fetch(&image(), &digest(), &store)).await;
        assert_eq!(answer.status, 503);
        assert!(!answer.body.to_string().contains("/var/lib"));
        let gone: FetchError = Arc::new(UpstreamError::NotFound);
        assert_eq!(Error::fetch(&image(), &digest(), &gone).code(), ErrorCode::BlobUnknown);
    }

    #[tokio::test]
    async fn several_policies_are_all_in_the_detail() {
        let answer =
            answer(refused(RefusalReason::Unmet { unmet: vec![unmet("first", "x"), unmet("second", "y")], notes: vec![] }));
        let answer = answer.await;
        assert!(answer.phrase.unwrap().contains("policy first x"));
        let policies = &answer.body["errors"][0]["detail"]["policies"];
        assert_eq!((policies[0]["name"].as_str(), policies[1]["name"].as_str()), (Some("first"), Some("second")));
    }

    #[tokio::test]
    async fn head_has_the_status_the_phrase_and_the_length_but_no_body() {
        let get = refused(RefusalReason::NoPolicy).into_response(false);
        let head = refused(RefusalReason::NoPolicy).into_response(true);
        assert_eq!(get.headers(), head.headers());
        assert!(head.extensions().get::<hyper::ext::ReasonPhrase>().is_some());
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[tokio::test]
    async fn j12_on_the_wire_the_status_line_says_why() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        for method in ["GET", "HEAD"] {
            let (mut client, server) = tokio::io::duplex(64 * 1024);
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let head = request.method() == http::Method::HEAD;
                Ok::<_, std::convert::Infallible>(refused(RefusalReason::NoPolicy).into_response(head))
            });
            let server =
                hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(server), service);
            let request = format!("{method} /v2/acme/app/manifests/v1 HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
            let exchange = async {
                client.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                answer
            };
            let (served, answer) = tokio::join!(server, exchange);
            served.unwrap();
            let line = format!("HTTP/1.1 403 ghcr.io/acme/app@sha256:{HASH}: no policy names this image");
            assert!(answer.starts_with(&line), "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\ncontent-length: "), "{head}");
            assert_eq!(body.is_empty(), method == "HEAD");
        }
    }

    #[test]
    fn h2_and_h6_errors_carry_their_headers() {
        let response = Error::method_not_allowed().into_response(false);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        let response = Error::range_not_satisfiable(42).into_response(false);
        assert_eq!(response.headers()["content-range"], "bytes */42");
        let response = Error::bad_request("x").into_response(false);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(Error::unavailable(&"busy").into_response(false).headers()["retry-after"], "5");
    }

    proptest! {
        #[test]
        fn j2_j12_whatever_is_in_a_reason_the_sentence_is_short_and_printable(
            summary in "\\PC{0,400}|.{0,400}|[\u{0}-\u{1f}\u{202e}\u{2066}]{0,50}",
            policy in ".{0,300}",
            repository in "[a-z]{1,200}",
        ) {
            let image = ImageName::new("ghcr.io".parse().unwrap(), repository.parse().unwrap());
            let digest = Digest::of(crate::oci::Algorithm::Sha512, b"x");
            let reason = RefusalReason::Unmet { unmet: vec![unmet(&policy, &summary); 3], notes: vec![summary.clone(); 100] };
            let response = Error::refusal(&Refusal { image, digest, reason, explanation: Arc::default() }).into_response(true);
            let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>().unwrap().as_bytes();
            prop_assert!(phrase.len() <= MAX_SENTENCE);
            prop_assert!(phrase.iter().all(|b| (b' '..=b'~').contains(b)));
            // The parts that matter survive: what, and that it is a policy.
            let phrase = std::str::from_utf8(phrase).unwrap();
            prop_assert!(phrase.contains("@sha512:") && phrase.contains(": policy "));
            let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
            prop_assert!(length < 32 * 1_024, "{}", length);
        }
    }
}
