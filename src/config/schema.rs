//! The file as a whole: its keys, and what they become.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{Config, Denials, Reading, Weakness, files::Files, limits, listeners, trust_roots, upstreams};
use crate::{
    gate,
    policy::{
        self, PolicySet, Unmatched,
        deny::{Denial, DenyList},
    },
    registry, server, store, upstream,
    verify::trust_root::RootConfig,
    yaml::{self, Cursor, Fields, Node, Problem, Problems, Sink, Value},
};

pub(super) const KEYS: &[&str] = &[
    "listen",
    "tls",
    "admin",
    "trust_root",
    "trust_roots",
    "store",
    "upstreams",
    "default_upstream",
    "policies",
    "deny",
    "unmatched",
    "tag_ttl",
    "verdict_ttl",
    "refusal_ttl",
    "max_stale",
    "limits",
];
const LATER: &[&str] = &[
    "audit_log",
    "auth",
    "cluster",
    "exceptions",
    "http2",
    "log",
    "mirrors",
    "notify",
    "otlp",
    "pass_credentials",
    "sandbox",
    "tracing",
];

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The default of `store.path`.
const STORE_PATH: &str = "/var/lib/pullgate";
/// The default of `store.max_size`: 50 GiB.
const STORE_SIZE: u64 = 50 << 30;

/// Reads everything, then says what is wrong, or converts.
pub(super) fn read(path: &Path) -> Reading {
    let (files, mut denials) = (Files::beside(path), Denials::default());
    let config = load(path, &files, &mut denials);
    Reading { config, denials, sources: files.into_sources() }
}

/// Reads everything but what only the gate itself opens.
pub(super) fn elsewhere(path: &Path) -> Result<Config, Problems> {
    load(path, &Files::elsewhere(path), &mut Denials::default())
}

fn load(path: &Path, files: &Files, denials: &mut Denials) -> Result<Config, Problems> {
    let text = yaml::read_file(path).map_err(|problem| Problems(vec![problem]))?;
    let sink = Sink::new(path);
    let Some(documents) = yaml::documents(&text, &sink) else { return Err(Problems(sink.into_problems())) };
    let (root, more) = match documents.split_first() {
        Some((root, more)) if !matches!(root.value, Value::Null) => (root, more),
        Some(_) | None => return Err(whole(path, "is empty; it needs at least `upstreams` and `policies`")),
    };
    if let Some(second) = more.first() {
        sink.report(second.place, "", "a second document; this file has one (policy files may have several)");
    }
    // Of a key that is written twice, either may be meant.
    let is_sound = sink.is_empty();
    let (denied, wrong) = denied(path, root, files);
    let is_whole = is_sound && denied.is_some() && wrong.is_empty();
    *denials = Denials { read: denied.unwrap_or_default(), is_whole };
    convert(path, root, sink, files, DenyList::new(denials.read.clone()), wrong)
}

fn whole(path: &Path, message: &str) -> Problems {
    Problems(vec![Problem { file: path.to_owned(), line: 0, column: 0, key: String::new(), message: message.into() }])
}

/// `wrong` is what is wrong with `deny`.
fn convert(path: &Path, root: &Node, sink: Sink, files: &Files, deny: DenyList, wrong: Vec<Problem>) -> Result<Config, Problems> {
    let mut weaknesses = Vec::new();
    let cursor = Cursor::new(root, &sink);
    let Some(fields) = cursor.fields(KEYS, LATER) else { return Err(Problems(sink.into_problems())) };

    let listeners = listeners::read(&fields, files, &mut weaknesses);
    let limits = limits::read(fields.get("limits").as_ref());
    let trust_roots = trust_roots::read(&fields, files, &mut weaknesses);
    let store = store(fields.get("store").as_ref(), files);
    let upstreams = fields
        .need("upstreams", "write where images are, as in [{host: ghcr.io, url: https://ghcr.io}]")
        .map(|cursor| upstreams::read(&cursor, files, &mut weaknesses))
        .unwrap_or_default();
    let default_upstream = fields.get("default_upstream").and_then(|cursor| upstreams::default(&cursor, &upstreams.hosts));
    let tag_ttl = time(&fields, "tag_ttl", Duration::ZERO..=DAY, 30 * SECOND);
    let verdict_ttl = time(&fields, "verdict_ttl", SECOND..=DAY, 3600 * SECOND);
    let refusal_ttl = time(&fields, "refusal_ttl", Duration::ZERO..=DAY, 10 * SECOND);
    let max_stale = max_stale(&fields);
    let unmatched = match fields.get("unmatched") {
        Some(cursor) => {
            let words = [("deny", Unmatched::Deny), ("dangerous_allow", Unmatched::DangerousAllow)];
            cursor.word(&words).unwrap_or(Unmatched::Deny)
        }
        None => Unmatched::Deny,
    };
    let policy_files = fields.get("policies").map(|cursor| listed_files(&cursor, files)).unwrap_or_default();

    let mut problems = sink.into_problems();
    problems.extend(wrong);
    problems.sort_by_key(|problem| if problem.file == path { (problem.line, problem.column) } else { (u64::MAX, 0) });
    let policies = policies(&policy_files, unmatched, &mut problems).map(|policies| policies.with_deny(deny));
    if let (Some(policies), Some(trust_roots)) = (&policies, &trust_roots) {
        problems.extend(trust_roots::unknown(policies, trust_roots));
    }
    let (Some(policies), Some(trust_roots), Some(store), true) = (policies, trust_roots, store, problems.is_empty()) else {
        return Err(Problems(problems));
    };

    if unmatched == Unmatched::DangerousAllow {
        let sentence = "images no policy names are served unverified (unmatched: dangerous_allow)".to_owned();
        weaknesses.push(Weakness { kind: "dangerous_allow", sentence });
    }
    for policy in policies.policies() {
        weaknesses.extend(policy.weaknesses().into_iter().map(|(kind, sentence)| Weakness { kind, sentence }));
    }
    let mut notices = notices(&policies, &upstreams.configs);
    notices.extend(trust_roots::notices(&policies, &trust_roots));
    Ok(Config {
        gate: gate::Config {
            verdict_ttl,
            refusal_ttl,
            max_stale,
            // A second before the server's own deadline, so that the client hears why instead of only when.
            deadline: limits.server.response_timeout.saturating_sub(SECOND),
            verdicts: limits.verdicts,
            manifest_bytes: limits.manifest_memory,
            limits: limits.evidence,
            verify_threads: limits.verify_threads,
        },
        server: server::Config { listen: listeners.listen, tls: listeners.tls, admin: listeners.admin, limits: limits.server },
        registry: registry::Config { tag_ttl, max_stale },
        store,
        upstreams: upstreams.configs,
        default_upstream,
        policies,
        trust_roots,
        weaknesses,
        notices,
    })
}

fn time(fields: &Fields<'_>, key: &'static str, range: std::ops::RangeInclusive<Duration>, default: Duration) -> Duration {
    fields.get(key).and_then(|cursor| cursor.duration(range)).unwrap_or(default)
}

/// `max_stale`: a time, `0`, or `forever` (`None`).
fn max_stale(fields: &Fields<'_>) -> Option<Duration> {
    let Some(cursor) = fields.get("max_stale") else { return Some(DAY) };
    if matches!(cursor.value(), Value::Text { text, .. } if text == "forever") {
        return None;
    }
    Some(cursor.duration(Duration::ZERO..=366 * DAY).unwrap_or(DAY))
}

fn store(cursor: Option<&Cursor<'_>>, files: &Files) -> Option<store::Config> {
    const LATER: &[&str] = &["url", "endpoint", "region", "credentials", "max_age", "memory"];
    let mut config = store::Config { path: PathBuf::from(STORE_PATH), max_size: STORE_SIZE };
    let Some(cursor) = cursor else { return Some(config) };
    let fields = cursor.fields(&["path", "max_size"], LATER)?;
    let path = fields.get("path").map(|cursor| files.path(&cursor));
    let max_size = fields.get("max_size").map(|cursor| cursor.size(1 << 20..=1 << 60));
    if let Some(path) = path {
        config.path = path?;
    }
    if let Some(max_size) = max_size {
        config.max_size = max_size?;
    }
    Some(config)
}

/// Every file a list of paths names, each once, in the order of their paths.
fn listed_files(cursor: &Cursor<'_>, files: &Files) -> Vec<PathBuf> {
    let Some(items) = cursor.list() else { return Vec::new() };
    let mut found: Vec<_> = items.iter().filter_map(|item| files.matching(item)).flatten().collect();
    found.sort();
    found.dedup();
    found
}

fn policies(paths: &[PathBuf], unmatched: Unmatched, problems: &mut Vec<Problem>) -> Option<PolicySet> {
    let before = problems.len();
    let mut parsed = Vec::new();
    for path in paths {
        match yaml::read_file(path) {
            Ok(text) => parsed.extend(policy::parse(path, &text, problems).into_iter().map(|parsed| (path.clone(), parsed))),
            Err(problem) => problems.push(problem),
        }
    }
    match PolicySet::new(parsed, unmatched) {
        Ok(policies) if problems.len() == before => Some(policies),
        Ok(_) => None,
        Err(twice) => {
            problems.extend(twice.0);
            None
        }
    }
}

/// The policies of files that no configuration names, under these trust roots.
pub(super) fn policies_under(files: &[PathBuf], roots: &BTreeMap<Arc<str>, RootConfig>) -> Result<PolicySet, Problems> {
    let mut problems = Vec::new();
    let policies = policies(files, Unmatched::Deny, &mut problems);
    for unknown in policies.iter().flat_map(|policies| trust_roots::unknown(policies, roots)) {
        let message = unknown.message + "; a configuration names others, in its `trust_roots`";
        problems.push(Problem { message, ..unknown });
    }
    policies.filter(|_| problems.is_empty()).ok_or(Problems(problems))
}

/// What is denied, as far as it can be read, and what is wrong with it: a file that cannot be read is a problem, never an empty
/// list. `None` where no key says what: what was denied stays denied until the rest is right too.
fn denied(path: &Path, root: &Node, files: &Files) -> (Option<Vec<Denial>>, Vec<Problem>) {
    let sink = Sink::new(path);
    let paths = {
        let mut entries = Cursor::new(root, &sink).entries().into_iter().flatten();
        let Some((_, _, deny)) = entries.find(|(key, ..)| *key == "deny") else { return (None, Vec::new()) };
        listed_files(&deny, files)
    };
    let (mut denials, mut problems) = (Vec::new(), sink.into_problems());
    for path in paths {
        match policy::deny::read_file(&path) {
            Ok(text) => denials.extend(policy::deny::parse_denials(&path, &text, &mut problems)),
            Err(problem) => problems.push(problem),
        }
    }
    (Some(denials), problems)
}

/// What is allowed and probably not meant (I9, O8).
fn notices(policies: &PolicySet, upstreams: &[upstream::Config]) -> Vec<String> {
    let mut notices = Vec::new();
    let denies = policies.unmatched() == Unmatched::Deny;
    if policies.policies().is_empty() && denies {
        notices.push("there is no policy, and unmatched is deny: every image is refused".to_owned());
        return notices;
    }
    for policy in policies.policies() {
        if !upstreams.iter().any(|upstream| policy.names_host(&upstream.host)) {
            notices.push(format!("policy {} names no image of any upstream here", policy.name));
        }
    }
    for upstream::Config { host, .. } in upstreams {
        if denies && !policies.policies().iter().any(|policy| policy.names_host(host)) {
            notices.push(format!("no policy names images of {host}, and unmatched is deny: all of them are refused"));
        }
    }
    notices
}
