//! The sentences, statuses and headers of every answer that is not what was asked for.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use proptest::prelude::*;

use super::{upstream::public, *};
use crate::{
    gate::{Absent, Faulty, NoVerdict, Refusal, Undecided, UndecidedReason},
    oci::{ManifestError, Tag},
    policy::{Reason, Unmet},
    registry::testing::unreachable,
    store::FetchError,
    upstream::{Lost, UpstreamError},
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
        wants_platforms: false,
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
    let denied = UpstreamError::Denied { host: "ghcr.io".into(), status: 401, shown: true };
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
    let cases: [(UpstreamError, [u16; 4]); 9] = [
        (UpstreamError::Denied { host: host(), status: 403, shown: false }, [403, 503, 403, 403]),
        (UpstreamError::Failing { host: host(), what: "it answered 500".into() }, [503; 4]),
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

/// It has the command that mends it, which is to be copied: with the image before it, it would be cut.
#[tokio::test]
async fn an_undecided_tag_is_told_in_its_own_sentence() {
    let why = format!("what tag v1 meant before cannot be told; {}", "x".repeat(250));
    let undecided = Undecided {
        reason: UndecidedReason::TagHistory { told: why.clone(), error: "/var/lib".into() },
        retry_after: RETRY_AFTER,
    };
    let answer = answer(Error::no_verdict(&image(), &digest(), &NoVerdict::Undecided(undecided))).await;
    assert_eq!((answer.status, answer.phrase), (503, Some(why)));
    assert_eq!(answer.body["errors"][0]["detail"]["reason"], "tag_history");
    assert!(!answer.body.to_string().contains("/var/lib"), "where the store is is not for clients");
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
    let answer = answer(refused(RefusalReason::Unmet { unmet: vec![unmet("first", "x"), unmet("second", "y")], notes: vec![] }));
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
        let server = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(server), service);
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

#[test]
fn j7_a_warning_names_no_address() {
    let error = unreachable("ghcr.io");
    let warning = crate::gate::sentence::warning(299, &format!("audit: could not tell: {error}"));
    assert!(warning.contains("10.9.8.7"));
    assert_eq!(public_warning(&warning), "299 - \"audit: could not tell: upstream ghcr.io cannot be reached\"");
    assert_eq!(public_warning("299 - \"audit: x\""), "299 - \"audit: x\"");
    // However far it came, and from the first of several on.
    for lost in Lost::ALL {
        let source = std::sync::Arc::new(std::io::Error::other("/home/gate/config.json"));
        let error = UpstreamError::Unreachable { host: "ghcr.io".into(), lost, source };
        let warning = crate::gate::sentence::warning(299, &format!("audit: {error}; {}", unreachable("ghcr.io")));
        assert_eq!(public_warning(&warning), format!("299 - \"audit: upstream ghcr.io {lost}\""));
        assert_eq!(public(&error), format!("upstream ghcr.io {lost}"));
    }
}
