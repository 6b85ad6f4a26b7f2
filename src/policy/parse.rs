//! The policy file: one policy a YAML document, several documents a file.
//!
//! Everything that is not understood is an error, with its place and what to write: a requirement that is silently
//! dropped is a hole (Kyverno's CVE-2025-29778). Keys of later releases are told apart from misspelt ones.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::{
    AttestationRule, Checks, Condition, Mode, Policy, SignatureRule, checks, condition,
    identity::{Identity, Matcher},
    image::ImagePattern,
    pattern::{AnchoredRegex, Glob},
    predicate::PredicateType,
};
use crate::{
    verify::{CLAIMS, LogEvidence},
    yaml::{self, Cursor, Fields, Node, Place, Problem, Sink, Value, closest, shown},
};

const POLICY: &[&str] = &[
    "name",
    "images",
    "mode",
    "log",
    "signatures",
    "attestations",
    "cooldown",
    "tag_guard",
    "dangerous_no_signature",
    "dangerous_no_attestation",
];
const ATTESTATION: &[&str] = &["predicate_type", "keyless"];
const POLICY_LATER: &[&str] = &["any_of", "count", "exceptions", "exclude", "max_signature_age", "require", "trust_root"];
const RULE_LATER: &[&str] =
    &["any_of", "all_of", "count", "key", "certificate", "require", "max_age", "threshold", "github", "gitlab"];
const KEYLESS: &[&str] = &["issuer", "issuer_pattern", "issuer_regex", "subject", "subject_pattern", "subject_regex", "claims"];
const KEYLESS_LATER: &[&str] = &["any_of", "exclude", "trust_root", "san_kind"];

const MIN_COOLDOWN: Duration = Duration::from_secs(60);
const MAX_COOLDOWN: Duration = Duration::from_secs(90 * 24 * 3600);

/// A policy and where its name stands.
#[derive(Debug)]
pub struct Parsed {
    /// The policy.
    pub policy: Policy,
    /// Where its name stands, for a problem about it.
    pub name_at: Place,
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
    let fields = cursor.fields(POLICY, POLICY_LATER)?;
    let name_at = fields.get("name").map_or(cursor.place(), |cursor| cursor.place());
    let name = fields.need("name", "every policy has a name, which refusals show").and_then(|cursor| name(&cursor));
    let images = fields.need("images", "write which images, as in [\"ghcr.io/acme/**\"]").and_then(|cursor| images(&cursor));
    let mode = match fields.get("mode") {
        Some(cursor) => cursor.word(&[("enforce", Mode::Enforce), ("audit", Mode::Audit)]),
        None => Some(Mode::Enforce),
    };
    let log = match fields.get("log") {
        Some(cursor) => cursor.word(&[("promise", LogEvidence::Promise), ("proof", LogEvidence::Proof)]),
        None => Some(LogEvidence::Promise),
    };
    let cooldown = match fields.get("cooldown") {
        Some(cursor) => cursor.duration(MIN_COOLDOWN..=MAX_COOLDOWN).map(Some),
        None => Some(None),
    };
    let tag_guard = match fields.get("tag_guard") {
        Some(cursor) => cursor.boolean(),
        None => Some(false),
    };
    let signatures = requirements(&fields, "signatures", "dangerous_no_signature", Some, signature);
    let spdx = || Some(vec![AttestationRule::of(PredicateType::Spdx)]);
    let attestations = requirements(&fields, "attestations", "dangerous_no_attestation", |_| spdx(), attestation);
    if let (Some(signatures), Some(attestations)) = (&signatures, &attestations)
        && signatures.is_empty()
    {
        for (i, rule) in attestations.iter().enumerate() {
            if rule.signer.is_none() {
                let place = fields.get("attestations").map_or(cursor.place(), |cursor| cursor.place());
                let key = if fields.get("attestations").is_some() {
                    format!("attestations[{i}].keyless")
                } else {
                    "attestations".into()
                };
                cursor.sink().report(place, &key, "missing; without `signatures` there is no signer to take over");
            }
        }
    }
    let policy = Policy {
        name: name?,
        images: images?,
        mode: mode?,
        log: log?,
        signatures: signatures?,
        attestations: attestations?,
        cooldown: cooldown?,
        tag_guard: tag_guard?,
    };
    Some(Parsed { policy, name_at })
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
    let Some(cursor) = fields.get(key) else {
        if waived? {
            return Some(Vec::new());
        }
        let rules = absent(Vec::new())?;
        if rules.is_empty() {
            fields.at().sink().report(fields.at().place(), key, format!("missing; write who must sign, or `{dangerous}: true`"));
            return None;
        }
        return Some(rules);
    };
    let items = cursor.list()?;
    if items.is_empty() && waived == Some(false) {
        cursor.wrong(format!("an empty list asks for nothing; write who must sign, or also `{dangerous}: true`"));
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
    let items = cursor.list()?;
    if items.is_empty() {
        cursor.wrong("an empty list names no image; write which, as in [\"ghcr.io/acme/**\"]");
        return None;
    }
    let patterns: Vec<_> = items.iter().map(|item| item.parse("an image pattern", ImagePattern::new)).collect();
    patterns.into_iter().collect()
}

fn signature(cursor: &Cursor<'_>) -> Option<SignatureRule> {
    let fields = cursor.fields(&["keyless"], RULE_LATER)?;
    let keyless = fields.need("keyless", "write {keyless: {issuer: …, subject: …}}")?;
    Some(SignatureRule { signer: identity(&keyless)? })
}

fn attestation(cursor: &Cursor<'_>) -> Option<AttestationRule> {
    let known = [ATTESTATION, checks::KEYS, condition::KEYS].concat();
    let fields = cursor.fields(&known, RULE_LATER)?;
    let signer = match fields.get("keyless") {
        Some(keyless) => identity(&keyless).map(Some),
        None => Some(None),
    };
    let predicate_type =
        fields.need("predicate_type", "write which, as in https://spdx.dev/Document")?.parse("a predicate type", str::parse)?;
    let (checks, condition) = (Checks::parse(&fields, &predicate_type), Condition::parse(&fields, &predicate_type));
    Some(AttestationRule { predicate_type, signer: signer?, checks: checks?, condition: condition? })
}

pub(super) fn identity(cursor: &Cursor<'_>) -> Option<Identity> {
    let fields = cursor.fields(KEYLESS, KEYLESS_LATER)?;
    let issuer = matcher(&fields, &["issuer", "issuer_pattern", "issuer_regex"]);
    let subject = matcher(&fields, &["subject", "subject_pattern", "subject_regex"]);
    let claims = match fields.get("claims") {
        Some(cursor) => claims(&cursor),
        None => Some(BTreeMap::new()),
    };
    Some(Identity { issuer: issuer?, subject: subject?, claims: claims? })
}

fn matcher(fields: &Fields<'_>, keys: &[&'static str]) -> Option<Matcher> {
    let (key, cursor) = fields.exactly_one(keys)?;
    if key.ends_with("_pattern") {
        cursor.parse("a pattern", Glob::new).map(Matcher::Pattern)
    } else if key.ends_with("_regex") {
        cursor.parse("a regular expression", AnchoredRegex::new).map(Matcher::Regex)
    } else {
        let text = cursor.text("the exact text")?;
        if text.contains('*') {
            // Neither an issuer nor a subject has a `*`: taken literally, the policy would admit nothing.
            cursor.wrong(format!("is compared exactly; for a pattern write `{key}_pattern`"));
            return None;
        }
        Some(Matcher::Exact(text.to_owned()))
    }
}

fn claims(cursor: &Cursor<'_>) -> Option<BTreeMap<&'static str, Vec<String>>> {
    let mut claims = BTreeMap::new();
    let mut good = true;
    let entries = cursor.entries()?;
    if entries.is_empty() {
        cursor.wrong("an empty mapping asks for nothing; leave `claims` out");
        return None;
    }
    for (written, place, value) in entries {
        let Some(name) = CLAIMS.iter().find(|name| **name == written) else {
            let message = match closest(written, CLAIMS) {
                Some(meant) => format!("unknown claim; did you mean `{meant}`?"),
                None => format!("unknown claim; known: {}", CLAIMS.join(", ")),
            };
            cursor.sink().report(place, &format!("{}.{}", cursor.path(), shown(written)), message);
            good = false;
            continue;
        };
        let values: Vec<_> = value.one_or_list().iter().map(|value| value.text("the exact value").map(str::to_owned)).collect();
        if values.is_empty() {
            value.wrong("an empty list matches nothing; write the values allowed");
        }
        match values.into_iter().collect::<Option<Vec<_>>>().filter(|values| !values.is_empty()) {
            Some(values) => _ = claims.insert(*name, values),
            None => good = false,
        }
    }
    good.then_some(claims)
}
