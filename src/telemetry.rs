//! What is told: every metric's name, unit and labels in one place, and the log's set-up.
//!
//! Labels come from closed sets (variants), never from what a user or an upstream wrote (CVE-2026-49835).

/// Requests answered: `endpoint`, `status`.
pub const REQUESTS: &str = "pullgate_requests_total";
/// Judgements made (not recalled): `outcome` (permit, refusal, undecided, absent, faulty), `reason`.
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
