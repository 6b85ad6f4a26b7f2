//! The policy file: one policy a YAML document, several documents a file.
//!
//! Everything that is not understood is an error, with its place and what to write: a requirement that is silently
//! dropped is a hole (Kyverno's CVE-2025-29778). Keys that belong elsewhere are told apart from misspelt ones.

mod attestation;
mod attestor;
mod exception;

use std::{
    cell::RefCell,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use self::attestor::identity_of_any_root;
use self::{attestation::attestation, attestor::signature, exception::exception};
use super::{AttestationRule, Mode, Policy, image::ImagePattern, predicate::PredicateType};
use crate::{
    verify::LogEvidence,
    yaml::{self, Cursor, Fields, Node, Place, Problem, Sink, Value},
};

const POLICY: &[&str] = &[
    "name",
    "images",
    "exclude",
    "mode",
    "log",
    "signatures",
    "max_signature_age",
    "attestations",
    "exceptions",
    "cooldown",
    "tag_guard",
    "dangerous_no_signature",
    "dangerous_no_attestation",
];
const MISPLACED: &[(&str, &str)] = &[
    ("all_of", "belongs to an entry of `signatures`"),
    ("any_of", "belongs to an entry of `signatures`"),
    ("cases", "is of a file for `policy test`, which is no policy: keep it where no policies are looked for, as in tests/"),
    ("count", "belongs to an entry of `signatures`"),
    ("keyless", "belongs to an entry of `signatures`"),
    ("require", "belongs to an entry of `attestations`"),
    ("trust_root", "belongs to an identity: write it under `keyless`"),
];

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MAX_COOLDOWN: Duration = Duration::from_secs(90 * DAY.as_secs());
/// Ages of evidence.
pub(crate) const AGES: RangeInclusive<Duration> = MINUTE..=Duration::from_secs(3650 * DAY.as_secs());

/// Every key of every mapping that this room reads.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    let of_entries = [attestor::ATTESTOR, attestation::ATTESTATION, super::checks::KEYS, super::condition::KEYS].concat();
    [POLICY, &of_entries, attestor::KEYLESS, exception::EXCEPTION].concat()
}

/// A policy and where things in it stand.
#[derive(Debug)]
pub struct Parsed {
    /// The policy.
    pub policy: Policy,
    /// Where its name stands, for a problem about it.
    pub name_at: Place,
    /// The trust root of each of its identities.
    pub trust_roots: Vec<TrustRootUse>,
}

/// A trust root that an identity asks for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRootUse {
    /// Its name; [`DEFAULT_TRUST_ROOT`](crate::verify::DEFAULT_TRUST_ROOT) where none is written.
    pub name: String,
    /// The policy file.
    pub file: PathBuf,
    /// Where in it: the name, or the identity that has none.
    pub place: Place,
    /// The key path there: `signatures[0].keyless.trust_root`.
    pub key: String,
}

impl TrustRootUse {
    /// A problem with it.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        let Place { line, column } = self.place;
        Problem { file: self.file.clone(), line, column, key: self.key.clone(), message: message.into() }
    }
}

/// What reading one policy gathers beside the policy.
#[derive(Debug, Default)]
struct Gathered {
    trust_roots: RefCell<Vec<TrustRootUse>>,
}

/// Reads the text of `file`. What cannot be understood is added to `problems`, and its policy left out.
pub fn parse(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Parsed> {
    let sink = Sink::new(file);
    let documents = yaml::documents(text, &sink);
    let mut parsed = Vec::new();
    let written = |node: &&Node| !matches!(node.value, Value::Null);
    for node in documents.iter().flatten().filter(written) {
        parsed.extend(policy(&Cursor::new(node, &sink)));
    }
    if documents.is_some_and(|documents| !documents.iter().any(|node| written(&node))) {
        // An empty policy is no policy, and a file of it is a mistake (O8, I9).
        sink.report(Place::default(), "", "holds no policy");
    }
    problems.extend(sink.into_problems());
    parsed
}

fn policy(cursor: &Cursor<'_>) -> Option<Parsed> {
    let gathered = Gathered::default();
    let fields = cursor.fields_telling(POLICY, MISPLACED)?;
    let name_at = fields.get("name").map_or(cursor.place(), |cursor| cursor.place());
    let name = fields.need("name", "every policy has a name, which refusals show").and_then(|cursor| name(&cursor));
    let images = fields.need("images", "write which images, as in [\"ghcr.io/acme/**\"]").and_then(|cursor| images(&cursor));
    let exclude = or_default(&fields, "exclude", images_excluded);
    let mode = match fields.get("mode") {
        Some(cursor) => cursor.word(&[("enforce", Mode::Enforce), ("audit", Mode::Audit)]),
        None => Some(Mode::Enforce),
    };
    let log = match fields.get("log") {
        Some(cursor) => cursor.word(&[("promise", LogEvidence::Promise), ("proof", LogEvidence::Proof)]),
        None => Some(LogEvidence::Promise),
    };
    let signatures = requirements(&fields, "signatures", "dangerous_no_signature", Some, |cursor| signature(cursor, &gathered));
    let max_signature_age = or_default(&fields, "max_signature_age", |cursor| cursor.duration(AGES).map(Some));
    let spdx = || Some(vec![AttestationRule::of(PredicateType::Spdx)]);
    let attestations =
        requirements(&fields, "attestations", "dangerous_no_attestation", |_| spdx(), |cursor| attestation(cursor, &gathered));
    let exceptions = or_default(&fields, "exceptions", |cursor| {
        let items = listed(cursor, "an empty list excepts nothing; leave `exceptions` out")?;
        let exceptions: Vec<_> = items.iter().map(exception).collect();
        let exceptions: Vec<super::exception::Exception> = exceptions.into_iter().collect::<Option<_>>()?;
        twice(&items, &exceptions.iter().map(super::exception::Exception::canonical).collect::<Vec<_>>()).then_some(exceptions)
    });
    let cooldown = or_default(&fields, "cooldown", |cursor| cursor.duration(MINUTE..=MAX_COOLDOWN).map(Some));
    let tag_guard = or_default(&fields, "tag_guard", |cursor| cursor.boolean());
    if let (Some(signatures), Some(attestations)) = (&signatures, &attestations) {
        if signatures.is_empty() {
            report_no_signer_to_take_over(&fields, attestations);
            // Both are about signatures: without one they would hold of everything, and whoever wrote them would not know.
            let guards = fields.get("tag_guard").filter(|_| tag_guard == Some(true));
            let void: Vec<_> = fields.get("max_signature_age").into_iter().chain(guards).collect();
            void.iter().for_each(|cursor| cursor.wrong("contradicts `dangerous_no_signature: true`; keep one of them"));
            if !void.is_empty() {
                return None;
            }
        }
        report_twice(&fields, "signatures", signatures.iter().map(super::Attestor::canonical));
        report_twice(&fields, "attestations", attestations.iter().map(AttestationRule::canonical));
    }
    let policy = Policy {
        name: name?,
        images: images?,
        exclude: exclude?,
        mode: mode?,
        log: log?,
        signatures: signatures?,
        max_signature_age: max_signature_age?,
        attestations: attestations?,
        exceptions: exceptions?,
        cooldown: cooldown?,
        tag_guard: tag_guard?,
    };
    Some(Parsed { policy, name_at, trust_roots: gathered.trust_roots.into_inner() })
}

/// What `read` makes of the value of `key`; the default where it is not written.
fn or_default<T: Default>(fields: &Fields<'_>, key: &'static str, read: impl FnOnce(&Cursor<'_>) -> Option<T>) -> Option<T> {
    fields.get(key).map_or_else(|| Some(T::default()), |cursor| read(&cursor))
}

/// The items of a list that has some.
fn listed<'a>(cursor: &Cursor<'a>, empty: &str) -> Option<Vec<Cursor<'a>>> {
    let items = cursor.list()?;
    if items.is_empty() {
        cursor.wrong(empty);
    }
    Some(items).filter(|items| !items.is_empty())
}

/// Notes attestations without a signer, where no signature is asked for that could give one.
fn report_no_signer_to_take_over(fields: &Fields<'_>, attestations: &[AttestationRule]) {
    let (place, written) = match fields.get("attestations") {
        Some(cursor) => (cursor.place(), true),
        None => (fields.at().place(), false),
    };
    for (i, _) in attestations.iter().enumerate().filter(|(_, rule)| rule.signer.is_none()) {
        let key = if written { format!("attestations[{i}].keyless") } else { "attestations".into() };
        fields.at().sink().report(place, &key, "missing; without `signatures` there is no signer to take over");
    }
}

/// Notes entries of the list under `key` that ask what an earlier one asks: whoever wrote them meant something else, such
/// as two signatures.
fn report_twice(fields: &Fields<'_>, key: &'static str, forms: impl Iterator<Item = Vec<u8>>) {
    let Some(items) = fields.get(key).and_then(|cursor| cursor.list()) else { return };
    twice(&items, &forms.collect::<Vec<_>>());
}

/// Whether no two of `items` have the same form; each that has is noted.
fn twice(items: &[Cursor<'_>], forms: &[Vec<u8>]) -> bool {
    let mut good = true;
    for (i, item) in items.iter().enumerate() {
        if let Some(first) = forms.iter().take(i).position(|form| forms.get(i) == Some(form)) {
            item.wrong(format!("asks the same as entry {first} of this list; leave one out"));
            good = false;
        }
    }
    good
}

/// A list of requirements. Empty only where the dangerous key says so; absent, what `absent` makes of nothing, or the
/// same rule as for an empty one.
fn requirements<T>(
    fields: &Fields<'_>,
    key: &'static str,
    dangerous: &'static str,
    absent: impl FnOnce(Vec<T>) -> Option<Vec<T>>,
    one: impl Fn(&Cursor<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let waived = match fields.get(dangerous) {
        Some(cursor) => cursor.boolean(),
        None => Some(false),
    };
    let who = if key == "attestations" { "what must be attested" } else { "who must sign" };
    let Some(cursor) = fields.get(key) else {
        if waived? {
            return Some(Vec::new());
        }
        let rules = absent(Vec::new())?;
        if rules.is_empty() {
            fields.at().sink().report(fields.at().place(), key, format!("missing; write {who}, or `{dangerous}: true`"));
            return None;
        }
        return Some(rules);
    };
    let items = cursor.list()?;
    if items.is_empty() && waived == Some(false) {
        cursor.wrong(format!("an empty list asks for nothing; write {who}, or also `{dangerous}: true`"));
        return None;
    }
    if !items.is_empty() && waived == Some(true) {
        cursor.wrong(format!("contradicts `{dangerous}: true`; keep one of them"));
    }
    let rules: Vec<_> = items.iter().map(one).collect();
    if waived? && !items.is_empty() { None } else { rules.into_iter().collect() }
}

fn name(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text("a name")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if text.len() > 63 || !text.bytes().all(plain) {
        // It is shown in every refusal, whose sentence is short and printable.
        cursor.wrong("wants at most 63 letters, digits, `.`, `_`, `-` or `/`");
        return None;
    }
    Some(text.to_owned())
}

fn images(cursor: &Cursor<'_>) -> Option<Vec<ImagePattern>> {
    patterns(cursor, "an empty list names no image; write which, as in [\"ghcr.io/acme/**\"]")
}

fn images_excluded(cursor: &Cursor<'_>) -> Option<Vec<ImagePattern>> {
    patterns(cursor, "an empty list excludes nothing; leave `exclude` out")
}

fn patterns(cursor: &Cursor<'_>, empty: &str) -> Option<Vec<ImagePattern>> {
    let items = listed(cursor, empty)?;
    let patterns: Vec<_> = items.iter().map(|item| item.parse("an image pattern", ImagePattern::new)).collect();
    let patterns: Vec<ImagePattern> = patterns.into_iter().collect::<Option<_>>()?;
    twice(&items, &patterns.iter().map(|pattern| pattern.as_str().into()).collect::<Vec<_>>()).then_some(patterns)
}
