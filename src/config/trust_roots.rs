//! `trust_root`, and `trust_roots` with names: whom to believe, and what is given up about whom.

use std::{collections::BTreeMap, sync::Arc};

use super::{Weakness, files::Files};
use crate::{
    policy::PolicySet,
    verify::{
        DEFAULT_TRUST_ROOT, Relaxed,
        trust_root::{MAX_TRUST_ROOTS, RootConfig, TrustRootSource},
    },
    yaml::{Cursor, Fields, Problem, Value, closest},
};

/// The keys of a root that is written as a mapping.
pub(super) const KEYS: &[&str] = &["path", "dangerous_no_log", "dangerous_no_sct"];

/// Either key, or neither: Sigstore's own root, called `default`.
pub(super) fn read(fields: &Fields<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<BTreeMap<Arc<str>, RootConfig>> {
    let default = |root| Some(BTreeMap::from([(Arc::from(DEFAULT_TRUST_ROOT), root)]));
    match (fields.get("trust_root"), fields.get("trust_roots")) {
        (None, None) => default(strict(TrustRootSource::Sigstore)),
        (Some(one), None) => default(strict(source(&one, files)?)),
        (None, Some(several)) => named(&several, files, weaknesses),
        (Some(_), Some(several)) => {
            several.wrong(format!("beside `trust_root`, which is the root called `{DEFAULT_TRUST_ROOT}`; write it here too"));
            None
        }
    }
}

fn named(cursor: &Cursor<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<BTreeMap<Arc<str>, RootConfig>> {
    let entries = cursor.entries()?;
    let mut roots = BTreeMap::new();
    let mut good = true;
    let mut own = None;
    if !entries.iter().any(|(name, ..)| *name == DEFAULT_TRUST_ROOT) {
        // What a policy means that names none. Not guessed: Sigstore's own would be asked for over the network.
        let message = format!("wants a root called `{DEFAULT_TRUST_ROOT}`, as in {{{DEFAULT_TRUST_ROOT}: sigstore}}");
        match entries.iter().find_map(|(name, ..)| closest(name, [DEFAULT_TRUST_ROOT])) {
            Some(_) => cursor.wrong(format!("{message}; is one misspelt?")),
            None => cursor.wrong(message),
        }
        good = false;
    }
    if entries.len() > MAX_TRUST_ROOTS {
        cursor.wrong(format!("{} roots, at most {MAX_TRUST_ROOTS}: every piece of evidence is tried under each", entries.len()));
        good = false;
    }
    for (name, _, value) in entries {
        if !plain(name) {
            value.wrong("a name is 1 to 63 lower-case letters, digits, `-` or `_`");
            good = false;
        }
        let Some(root) = root(name, &value, files, weaknesses) else {
            good = false;
            continue;
        };
        if root.source == TrustRootSource::Sigstore
            && let Some(first) = own.replace(name)
        {
            value.wrong(format!("`sigstore` is the root `{first}` already; a root has one name"));
            good = false;
        }
        roots.insert(Arc::from(name), root);
    }
    good.then_some(roots)
}

/// One root: `sigstore`, a path, or a mapping with a path and what is given up.
fn root(name: &str, cursor: &Cursor<'_>, files: &Files, weaknesses: &mut Vec<Weakness>) -> Option<RootConfig> {
    if !matches!(cursor.value(), Value::Map(_)) {
        return source(cursor, files).map(strict);
    }
    let fields = cursor.fields(KEYS, &["url", "refresh", "tuf"])?;
    let path = fields.need("path", "write the path of a trusted_root.json").and_then(|cursor| files.file(&cursor));
    let flag = |key| fields.get(key).map_or(Some(false), |cursor| cursor.boolean());
    let (no_log, no_sct) = (flag("dangerous_no_log"), flag("dangerous_no_sct"));
    let relaxed = Relaxed { no_log: no_log?, no_sct: no_sct? };
    for (given_up, kind, what) in [
        (relaxed.no_log, "dangerous_no_log", "no log: signatures count on a timestamp alone"),
        (relaxed.no_sct, "dangerous_no_sct", "no Certificate Transparency: certificates issued in secret count"),
    ] {
        if given_up {
            weaknesses.push(Weakness { kind, sentence: format!("trust root {name} has {what} ({kind})") });
        }
    }
    Some(RootConfig { source: TrustRootSource::File(path?), relaxed })
}

fn source(cursor: &Cursor<'_>, files: &Files) -> Option<TrustRootSource> {
    let text = cursor.text("`sigstore`, or the path of a trusted_root.json")?;
    if text == "sigstore" {
        return Some(TrustRootSource::Sigstore);
    }
    if text.eq_ignore_ascii_case("sigstore") {
        cursor.wrong("write `sigstore`, in lower case");
        return None;
    }
    files.file(cursor).map(TrustRootSource::File)
}

fn strict(source: TrustRootSource) -> RootConfig {
    RootConfig { source, relaxed: Relaxed::default() }
}

/// What policies say of roots that are not configured: such an identity could never be met, and nobody would know why.
pub(super) fn unknown(policies: &PolicySet, roots: &BTreeMap<Arc<str>, RootConfig>) -> Vec<Problem> {
    let unknown = policies.trust_roots_named().iter().filter(|used| !roots.contains_key(used.name.as_str()));
    let names = || roots.keys().map(AsRef::as_ref);
    unknown
        .map(|used| {
            used.problem(match closest(&used.name, names()) {
                Some(meant) => format!("no trust root is called `{}`; did you mean `{meant}`?", used.name),
                None => {
                    format!("no trust root is called `{}`; configured: {}", used.name, names().collect::<Vec<_>>().join(", "))
                }
            })
        })
        .collect()
}

/// What is allowed and probably not meant: a root that nobody asks, and one without a log asked for a log's proof.
pub(super) fn notices(policies: &PolicySet, roots: &BTreeMap<Arc<str>, RootConfig>) -> Vec<String> {
    let mut notices = Vec::new();
    for (name, root) in roots {
        let asking = || policies.policies().iter().filter(|policy| policy.asks_root(name));
        if **name != *DEFAULT_TRUST_ROOT && asking().next().is_none() {
            notices.push(format!("no policy asks trust root {name}: what it proves counts nowhere"));
        }
        for policy in asking().filter(|policy| root.relaxed.no_log && policy.wants_proof()) {
            notices.push(format!("policy {} wants log: proof, and trust root {name} has no log: it proves none", policy.name));
        }
    }
    notices
}

/// Names stand in sentences, policies and sort orders.
fn plain(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
