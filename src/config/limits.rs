//! `limits`: bounds of the client side, of judgement, and of the search for evidence.

use std::{num::NonZero, thread, time::Duration};

use crate::{evidence, server, yaml::Cursor};

/// What `limits` says; each field has its default.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) server: server::Limits,
    pub(super) evidence: evidence::Limits,
    pub(super) verify_threads: usize,
    pub(super) verdicts: usize,
    pub(super) manifest_memory: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) const KEYS: &[&str] = &[
    "connections",
    "requests",
    "header_timeout",
    "idle_timeout",
    "write_timeout",
    "response_timeout",
    "head_size",
    "drain",
    "verify_threads",
    "verdicts",
    "manifest_memory",
    "evidence",
];
const LATER: &[&str] = &["bandwidth", "memory", "per_client", "upstream_connections", "upstream_requests"];
pub(super) const EVIDENCE: &[&str] = &["pages", "candidates", "total_size", "signature_size", "attestation_size"];

impl Default for Limits {
    fn default() -> Self {
        Self {
            server: server::Limits {
                connections: 20_000,
                requests: 4096,
                header_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(60),
                write_timeout: Duration::from_secs(60),
                response_timeout: Duration::from_secs(25),
                head_bytes: 64 * 1024,
                drain: Duration::from_secs(30),
            },
            evidence: evidence::Limits::default(),
            verify_threads: thread::available_parallelism().map_or(1, NonZero::get),
            verdicts: 200_000,
            manifest_memory: 64 * MIB,
        }
    }
}

/// Reads `limits`. What is wrong is noted and has its default.
pub(super) fn read(cursor: Option<&Cursor<'_>>) -> Limits {
    let mut limits = Limits::default();
    let Some(fields) = cursor.and_then(|cursor| cursor.fields(KEYS, LATER)) else { return limits };

    let count = |key, range, target: &mut usize| {
        if let Some(number) = fields.get(key).and_then(|cursor: Cursor<'_>| cursor.integer(range)) {
            *target = usize::try_from(number).unwrap_or(usize::MAX);
        }
    };
    let time = |key, range, target: &mut Duration| {
        if let Some(time) = fields.get(key).and_then(|cursor: Cursor<'_>| cursor.duration(range)) {
            *target = time;
        }
    };
    let server = &mut limits.server;
    count("connections", 1..=1_000_000, &mut server.connections);
    count("requests", 1..=1_000_000, &mut server.requests);
    time("header_timeout", SECOND..=HOUR, &mut server.header_timeout);
    time("idle_timeout", SECOND..=HOUR, &mut server.idle_timeout);
    time("write_timeout", SECOND..=HOUR, &mut server.write_timeout);
    time("response_timeout", 2 * SECOND..=HOUR, &mut server.response_timeout);
    time("drain", Duration::ZERO..=HOUR, &mut server.drain);
    if let Some(size) = fields.get("head_size").and_then(|cursor| cursor.size(8 * KIB..=MIB)) {
        server.head_bytes = usize::try_from(size).unwrap_or(usize::MAX);
    }
    count("verify_threads", 1..=1024, &mut limits.verify_threads);
    count("verdicts", 1..=100_000_000, &mut limits.verdicts);
    if let Some(size) = fields.get("manifest_memory").and_then(|cursor| cursor.size(MIB..=64 * GIB)) {
        limits.manifest_memory = size;
    }
    if let Some(cursor) = fields.get("evidence") {
        read_evidence(&cursor, &mut limits.evidence);
    }
    limits
}

fn read_evidence(cursor: &Cursor<'_>, limits: &mut evidence::Limits) {
    let Some(fields) = cursor.fields(EVIDENCE, &[]) else { return };
    for (key, most, target) in [("pages", 100, &mut limits.pages), ("candidates", 10_000, &mut limits.candidates)] {
        if let Some(number) = fields.get(key).and_then(|cursor| cursor.integer(1..=most)) {
            *target = usize::try_from(number).unwrap_or(usize::MAX);
        }
    }
    for (key, target) in [
        ("total_size", &mut limits.total_bytes),
        ("signature_size", &mut limits.signature_bytes),
        ("attestation_size", &mut limits.attestation_bytes),
    ] {
        if let Some(size) = fields.get(key).and_then(|cursor| cursor.size(64 * KIB..=4 * GIB)) {
            *target = size;
        }
    }
}
