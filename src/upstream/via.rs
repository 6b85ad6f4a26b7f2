//! Loop protection: what we ask carries a name of ours, so that an upstream that is ourselves is noticed (U12).

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::LazyLock,
};

use http::{HeaderMap, HeaderValue, header::VIA};

/// `pullgate-` and 128 random bits, drawn at the start. Random so that two gates in a row are no loop.
static PSEUDONYM: LazyLock<String> = LazyLock::new(|| {
    let random = || RandomState::new().build_hasher().finish();
    format!("pullgate-{:016x}{:016x}", random(), random())
});

/// The `Via` header of our own requests (RFC 9110, 7.6.3).
pub(super) fn header() -> HeaderValue {
    HeaderValue::from_str(&format!("1.1 {}", *PSEUDONYM)).unwrap_or(HeaderValue::from_static("1.1 pullgate"))
}

/// Whether a request that reached us was sent by this very process: an upstream leads back to us. The door must refuse
/// it (508) rather than ask the upstream again.
#[must_use]
pub fn is_loop(headers: &HeaderMap) -> bool {
    let ours = |member: &str| member.split_ascii_whitespace().any(|word| word == *PSEUDONYM);
    headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u12_our_own_requests_are_recognised_and_those_of_another_gate_are_not() {
        let with = |value: HeaderValue| HeaderMap::from_iter([(VIA, value)]);
        assert!(is_loop(&with(header())));
        let behind_others = format!("1.0 fred, {}, 1.1 cache", header().to_str().unwrap());
        assert!(is_loop(&with(behind_others.parse().unwrap())));
        assert!(!is_loop(&with(HeaderValue::from_static("1.1 pullgate-00000000000000000000000000000000"))));
        assert!(!is_loop(&HeaderMap::new()));
    }
}
