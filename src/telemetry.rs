//! What is told: every metric's name, unit and labels in one place, and the log's set-up.
//!
//! Labels come from closed sets (variants), never from what a user or an upstream wrote (CVE-2026-49835).

pub mod log;

use std::{sync::LazyLock, time::Duration};

use metrics::{SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered: `endpoint`, `status`.
pub const REQUESTS: &str = "pullgate_requests_total";
/// Judgements made (not recalled): `outcome` (permit, refusal, undecided, absent, faulty), `reason`. Each refusal of a guarded tag
/// is one, also where its digest's verdict was recalled.
pub const DECISIONS: &str = "pullgate_decisions_total";
/// Verdicts recalled from memory: `outcome`.
pub const RECALLS: &str = "pullgate_recalled_total";
/// Seconds a judgement took.
pub const DECISION_SECONDS: &str = "pullgate_decision_seconds";
/// Seconds one verification took on the pool.
pub const VERIFY_SECONDS: &str = "pullgate_verify_seconds";
/// Panics caught in verification. Anything above zero deserves a look.
pub const VERIFY_PANICS: &str = "pullgate_verify_panics_total";
/// Requests to upstreams: `what` (manifest, referrers, tags, blob, token), `outcome`.
pub const UPSTREAM_REQUESTS: &str = "pullgate_upstream_requests_total";
/// Each time a permit that rests on an exception of a policy is given, recalled ones too, whatever a guard of tags then says:
/// `what` (digest, dangerous_repository).
pub const EXCEPTIONS_USED: &str = "pullgate_exceptions_used_total";
/// Each judgement about which an audit policy would have answered otherwise, and each such request of a tag that one guards:
/// `outcome` (would_refuse, would_undecided).
pub const AUDITED: &str = "pullgate_audit_total";
/// Bytes of blobs sent to clients: `from` (store, upstream).
pub const BLOB_BYTES: &str = "pullgate_blob_bytes_total";
/// Answers given from stale tags or evidence because the upstream could not be asked: `what`.
pub const STALE: &str = "pullgate_stale_answers_total";
/// Bytes in the store.
pub const STORE_BYTES: &str = "pullgate_store_bytes";
/// Files evicted.
pub const STORE_EVICTED: &str = "pullgate_store_evicted_total";
/// Store operations the disk refused: `operation`.
pub const STORE_ERRORS: &str = "pullgate_store_errors_total";
/// Uses of the deny-list in judgements, of which a recalled refusal is none: by digest or package a refusal, by identity or log
/// entry a piece of evidence, as often as it is weighed: `by` (digest, identity, log_entry, package).
pub const DENIED: &str = "pullgate_denied_total";
/// Remembered verdicts.
pub const VERDICTS: &str = "pullgate_verdicts";
/// Open client connections.
pub const CONNECTIONS: &str = "pullgate_connections";
/// Requests whose last byte has not left.
pub const IN_FLIGHT: &str = "pullgate_requests_in_flight";
/// Reloads: `outcome` (applied, refused).
pub const RELOADS: &str = "pullgate_reloads_total";
/// 1 while a weakness is configured: `what` (audit, dangerous_allow, plain_http, …).
pub const WEAKNESS: &str = "pullgate_weakness";
/// Seconds since the trust root was last refreshed; 0 for one from a file.
pub const TRUST_ROOT_AGE: &str = "pullgate_trust_root_age_seconds";
/// Connections ended by us: `why` (crowded, drain, head, idle, refused, stalled, tls).
pub const CONNECTIONS_CLOSED: &str = "pullgate_connections_closed_total";
/// Requests answered by a limit: `why` (busy, panic, slow).
pub const SHED: &str = "pullgate_requests_shed_total";
/// Accepts that failed, as when the process is out of descriptors.
pub const ACCEPT_ERRORS: &str = "pullgate_accept_errors_total";
/// Log events dropped because nobody read the log.
pub const LOG_DROPPED: &str = "pullgate_log_events_dropped_total";
/// 1, labelled with the `version` that runs.
pub const BUILD: &str = "pullgate_build_info";

/// Where the parts' metrics go, once a process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

/// Seconds from a recalled verdict to the deadline of a judgement.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 25.0];

/// How often histograms are folded; between, they hold every sample.
const UPKEEP: Duration = Duration::from_secs(5);

impl Metrics {
    /// The process's metrics; the first call installs the recorder, so make it before any part keeps a handle.
    #[must_use]
    pub fn installed() -> Self {
        static HANDLE: LazyLock<PrometheusHandle> = LazyLock::new(|| {
            let builder = PrometheusBuilder::new();
            // An error here means no bucket or an empty one: `SECONDS` is neither.
            let builder = builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed: /metrics will be empty");
            }
            describe();
            metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            handle
        });
        Self(HANDLE.clone())
    }

    /// All of them, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds histograms now and then, for ever.
    pub async fn keep_up(&self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// The kinds of metric there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: name, kind, unit, what it says.
const ALL: &[(&str, Kind, Unit, &str)] = &[
    (ACCEPT_ERRORS, Kind::Counter, Unit::Count, "Accepts that failed, as when the process is out of descriptors"),
    (
        AUDITED,
        Kind::Counter,
        Unit::Count,
        "Judgements, and requests of guarded tags, about which an audit policy would have answered otherwise, by what it would",
    ),
    (BLOB_BYTES, Kind::Counter, Unit::Bytes, "Bytes of blobs sent to clients, by where they came from"),
    (BUILD, Kind::Gauge, Unit::Count, "1, labelled with the version that runs"),
    (CONNECTIONS, Kind::Gauge, Unit::Count, "Open client connections"),
    (CONNECTIONS_CLOSED, Kind::Counter, Unit::Count, "Connections the gate ended, by why"),
    (
        DECISIONS,
        Kind::Counter,
        Unit::Count,
        "Judgements made (not recalled), and refusals of guarded tags, by outcome and reason",
    ),
    (DECISION_SECONDS, Kind::Histogram, Unit::Seconds, "How long a judgement took"),
    (
        DENIED,
        Kind::Counter,
        Unit::Count,
        "Refusals by the deny-list (not recalled) and pieces of evidence it set aside, each time they are weighed, by what it names",
    ),
    (
        EXCEPTIONS_USED,
        Kind::Counter,
        Unit::Count,
        "Permits given or recalled that rest on an exception of a policy, by what it is for",
    ),
    (IN_FLIGHT, Kind::Gauge, Unit::Count, "Requests whose last byte has not left"),
    (LOG_DROPPED, Kind::Counter, Unit::Count, "Log events dropped because nobody read the log"),
    (RECALLS, Kind::Counter, Unit::Count, "Verdicts recalled from memory, by outcome"),
    (RELOADS, Kind::Counter, Unit::Count, "Reloads of the configuration, by outcome"),
    (REQUESTS, Kind::Counter, Unit::Count, "Requests answered, by endpoint and status"),
    (SHED, Kind::Counter, Unit::Count, "Requests answered by a limit of the gate's own, by why"),
    (STALE, Kind::Counter, Unit::Count, "Answers from stale tags or evidence because the upstream could not be asked"),
    (STORE_BYTES, Kind::Gauge, Unit::Bytes, "Bytes in the store"),
    (STORE_ERRORS, Kind::Counter, Unit::Count, "Store operations the disk refused, by operation"),
    (STORE_EVICTED, Kind::Counter, Unit::Count, "Files evicted from the store"),
    (TRUST_ROOT_AGE, Kind::Gauge, Unit::Seconds, "Time since the trust root was last refreshed; 0 for one from a file"),
    (UPSTREAM_REQUESTS, Kind::Counter, Unit::Count, "Requests to upstreams, by what was asked and outcome"),
    (VERDICTS, Kind::Gauge, Unit::Count, "Verdicts remembered"),
    (VERIFY_PANICS, Kind::Counter, Unit::Count, "Panics caught in verification; anything above zero deserves a look"),
    (VERIFY_SECONDS, Kind::Histogram, Unit::Seconds, "How long one verification took on the pool"),
    (WEAKNESS, Kind::Gauge, Unit::Count, "1 while a weakness is configured, by what"),
];

fn describe() {
    for &(name, kind, unit, what) in ALL {
        let what = SharedString::const_str(what);
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, what),
            Kind::Gauge => metrics::describe_gauge!(name, unit, what),
            Kind::Histogram => metrics::describe_histogram!(name, unit, what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_once() {
        let source = include_str!("telemetry.rs");
        let named = source.lines().filter(|line| line.starts_with("pub const ") && line.contains("\"pullgate_")).count();
        let described: std::collections::BTreeSet<_> = ALL.iter().map(|(name, ..)| name).collect();
        assert_eq!(described.len(), ALL.len(), "a metric is twice in ALL");
        assert_eq!(described.len(), named, "a metric is missing from ALL");
    }

    #[test]
    fn every_metric_stands_in_the_page_about_them_once() {
        let page = include_str!("../deploy/metrics.md");
        let (_, all) = page.split_once("\n## All\n").unwrap();
        let listed: Vec<&str> = all.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
        let mut named: Vec<&str> = ALL.iter().map(|(name, ..)| *name).collect();
        named.sort_unstable();
        assert_eq!(listed, named);
    }

    #[test]
    fn names_follow_their_kind() {
        for (name, kind, _, _) in ALL {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }

    #[test]
    fn histograms_have_buckets_and_series_are_described() {
        let metrics = Metrics::installed();
        metrics::histogram!(VERIFY_SECONDS).record(0.003);
        let text = metrics.render();
        assert!(text.contains("pullgate_verify_seconds_bucket{le=\"0.005\"}"), "{text}");
        assert!(text.contains("# HELP pullgate_build_info 1, labelled"), "{text}");
    }
}
