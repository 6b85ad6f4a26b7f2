//! Headers of the answers that are not errors. All are made here, from what was checked: no upstream's header is ever
//! copied out (J5).

use std::io::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    body::Body,
    oci::{Digest, Host},
};

/// Old Docker clients look for it.
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(super) const API_VERSION_VALUE: HeaderValue = HeaderValue::from_static("registry/2.0");
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(super) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
pub(super) const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// How many headers an answer has, so that the map is allocated once; one with many warnings grows. With 10 in place of 6 the map
/// takes 1.2 KiB, which is more than malloc keeps ready for each thread.
const HEADERS: usize = 6;

/// A response without body, with the headers every answer has.
pub(super) fn start(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(API_VERSION, API_VERSION_VALUE);
    *response.headers_mut() = headers;
    response
}

/// A document made here, whole.
pub(super) fn json(body: String, content_type: &'static str, head: bool) -> Response<Body> {
    let mut response = start(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, length_value(body.len() as u64));
    if !head {
        *response.body_mut() = Body::full(body);
    }
    response
}

/// `/v2/`: yes, whatever may be pulled (skopeo and podman ask it first).
pub(super) fn api_version(head: bool) -> Response<Body> {
    json("{}".into(), "application/json", head)
}

/// Says which registry's names were understood, where the client named one.
pub(super) fn name_space(headers: &mut HeaderMap, host: &Host) {
    if let Ok(value) = HeaderValue::from_str(host.as_str()) {
        headers.insert(NAMESPACE, value);
    }
}

/// Adds a complete `Warning` value, if it can be one.
pub(super) fn warn(headers: &mut HeaderMap, warning: &str) {
    if let Ok(value) = HeaderValue::from_str(warning) {
        headers.append(header::WARNING, value);
    }
}

/// `Content-Length`, made where it is: the crate's own way from a number grows a buffer twice.
pub(super) fn length_value(bytes: u64) -> HeaderValue {
    let mut text = [0_u8; 20];
    let mut rest = &mut text[..];
    // 20 digits hold any u64, and digits are visible ASCII: neither step can fail.
    let written = write!(rest, "{bytes}").map(|()| 20 - rest.len());
    written.ok().and_then(|length| HeaderValue::from_bytes(&text[..length]).ok()).unwrap_or_else(|| HeaderValue::from(bytes))
}

/// A digest as a header value, written once.
pub(super) fn digest_value(digest: &Digest) -> HeaderValue {
    let mut text = [0_u8; 7 + 128];
    let (name, hash) = (digest.algorithm().as_str().as_bytes(), digest.as_bytes());
    text[..name.len()].copy_from_slice(name);
    text[name.len()] = b':';
    let length = name.len() + 1 + hash.len() * 2;
    // The slice is exactly twice the hash, and hex is visible ASCII: neither step can fail.
    let written = hex::encode_to_slice(hash, &mut text[name.len() + 1..length]);
    match (written, HeaderValue::from_bytes(&text[..length])) {
        (Ok(()), Ok(value)) => value,
        _ => HeaderValue::from_static("sha256:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_length_is_written_as_it_displays() {
        for length in [0, 9, 10, 678, u64::MAX] {
            assert_eq!(length_value(length), length.to_string().as_str());
        }
    }

    #[test]
    fn a_digest_is_written_as_it_displays() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(digest_value(&digest).to_str().unwrap(), digest.to_string());
        }
    }

    #[test]
    fn j5_a_warning_with_a_line_break_is_no_header() {
        let mut headers = HeaderMap::new();
        warn(&mut headers, "299 - \"x\"\r\nSet-Cookie: a=b");
        assert!(headers.is_empty());
    }
}
