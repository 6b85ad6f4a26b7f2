//! Requests answered, by endpoint and status. The handles are looked up once, so that counting is one atomic add.

use std::sync::OnceLock;

use http::StatusCode;
use metrics::Counter;

use crate::telemetry;

/// What was asked for, as a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ApiVersion,
    Blob,
    Manifest,
    Other,
    Referrers,
    Tags,
}

const KINDS: [&str; 6] = ["api_version", "blob", "manifest", "other", "referrers", "tags"];
const STATUSES: [(u16, &str); 11] = [
    (200, "200"),
    (206, "206"),
    (400, "400"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (416, "416"),
    (502, "502"),
    (503, "503"),
    (508, "508"),
    // Whatever a later version answers.
    (0, "other"),
];

/// One counter for each pair, registered when first used.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counters: [[OnceLock<Registered>; STATUSES.len()]; KINDS.len()],
}

struct Registered(Counter);

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counter")
    }
}

impl Counts {
    pub(super) fn count(&self, kind: Kind, status: StatusCode) {
        let at = STATUSES.iter().position(|(code, _)| *code == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        let (endpoint, label) = (KINDS[kind as usize], STATUSES[at].1);
        let counter = self.counters[kind as usize][at]
            .get_or_init(|| Registered(metrics::counter!(telemetry::REQUESTS, "endpoint" => endpoint, "status" => label)));
        counter.0.increment(1);
    }
}
