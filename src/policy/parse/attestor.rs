//! Who must sign: identities and their combinations.

use std::{collections::BTreeMap, sync::Arc};

use super::{Gathered, TrustRootUse, listed, name, twice};
use crate::{
    policy::{
        Attestor,
        attestor::{MAX_DEPTH, MAX_IDENTITIES, MAX_SEARCHED},
        identity::{Identity, Matcher},
        pattern::{AnchoredRegex, Glob},
    },
    verify::{CLAIMS, DEFAULT_TRUST_ROOT},
    yaml::{Cursor, Fields, closest, shown},
};

/// The keys that say who.
pub(super) const ATTESTOR: &[&str] = &["keyless", "any_of", "all_of", "count", "of"];
const KEYLESS_ONLY: &str = "policies are keyless only: a key proves neither who signed nor when; `pullgate verify-bundle --key` \
                            checks one bundle against a key";
/// Keys of other tools, and why they are not here.
pub(super) const NO_KEYS: &[(&str, &str)] = &[("certificate", KEYLESS_ONLY), ("key", KEYLESS_ONLY)];
pub(super) const KEYLESS: &[&str] = &[
    "issuer",
    "issuer_pattern",
    "issuer_regex",
    "subject",
    "subject_pattern",
    "subject_regex",
    "claims",
    "claims_pattern",
    "trust_root",
];

/// Claims that are names which somebody chose.
const FREE_TEXTS: [&str; 2] = ["deployment_environment", "github_workflow_name"];

/// An entry of `signatures`.
pub(super) fn signature(cursor: &Cursor<'_>, gathered: &Gathered) -> Option<Attestor> {
    bounded(cursor, entry(cursor, gathered)?)
}

/// The attestor among the `fields` of an entry that has other keys too. The inner `None`: it has none.
pub(super) fn optional(fields: &Fields<'_>, gathered: &Gathered) -> Option<Option<Attestor>> {
    if fields.given(ATTESTOR).is_empty() {
        return Some(None);
    }
    bounded(fields.at(), attestor(fields, gathered)?).map(Some)
}

fn bounded(cursor: &Cursor<'_>, attestor: Attestor) -> Option<Attestor> {
    let (depth, identities, searched) = (attestor.depth(), attestor.identities().len(), attestor.searched());
    if depth > MAX_DEPTH {
        cursor.wrong(format!("nests {depth} deep, at most {MAX_DEPTH}"));
    } else if identities > MAX_IDENTITIES {
        cursor.wrong(format!("names {identities} identities, at most {MAX_IDENTITIES}"));
    } else if searched > MAX_SEARCHED {
        cursor
            .wrong(format!("a `count` of entries that take several signers names {searched} identities, at most {MAX_SEARCHED}"));
    } else {
        return Some(attestor);
    }
    None
}

fn entry(cursor: &Cursor<'_>, gathered: &Gathered) -> Option<Attestor> {
    let fields = cursor.fields_telling(ATTESTOR, NO_KEYS)?;
    attestor(&fields, gathered)
}

fn attestor(fields: &Fields<'_>, gathered: &Gathered) -> Option<Attestor> {
    let of = fields.get("of");
    if let Some(of) = of.as_ref().filter(|_| fields.get("count").is_none()) {
        of.wrong("belongs to `count`: write how many of these must sign");
        return None;
    }
    if fields.given(&["keyless", "any_of", "all_of", "count"]).is_empty() {
        // A key in its place is told already.
        if fields.at().entries()?.iter().all(|(key, ..)| NO_KEYS.iter().all(|(no, _)| no != key)) {
            fields.need("keyless", "write {keyless: {issuer: …, subject: …}}, or any_of, all_of, or count and of")?;
        }
        return None;
    }
    let (key, cursor) = fields.exactly_one(&["keyless", "any_of", "all_of", "count"])?;
    match key {
        "keyless" => Some(Attestor::Keyless(Box::new(identity(&cursor, gathered)?))),
        "any_of" => Some(Attestor::AnyOf(entries(&cursor, gathered)?)),
        "all_of" => Some(Attestor::AllOf(entries(&cursor, gathered)?)),
        _ => {
            let of = entries(&fields.need("of", "write of whom, as in {count: 2, of: [{keyless: …}, …]}")?, gathered);
            let count = cursor.integer(1..=MAX_IDENTITIES as u64);
            let (of, count) = (of?, usize::try_from(count?).ok()?);
            if count > of.len() {
                cursor.wrong(format!("asks for {count} of {} entries", of.len()));
                return None;
            }
            let attestor = Attestor::Count { count, of };
            if let Some(signers) = attestor.signers().filter(|signers| signers.len() < count) {
                cursor.wrong(format!("asks for {count} different signers, and its entries name {}", signers.len()));
                return None;
            }
            Some(attestor)
        }
    }
}

fn entries(cursor: &Cursor<'_>, gathered: &Gathered) -> Option<Vec<Attestor>> {
    let items = listed(cursor, "an empty list names nobody; write who, as in [{keyless: …}, …]")?;
    let entries: Vec<_> = items.iter().map(|item| entry(item, gathered)).collect();
    let entries: Vec<Attestor> = entries.into_iter().collect::<Option<_>>()?;
    twice(&items, &entries.iter().map(Attestor::canonical).collect::<Vec<_>>()).then_some(entries)
}

fn identity(cursor: &Cursor<'_>, gathered: &Gathered) -> Option<Identity> {
    let fields = cursor.fields(KEYLESS, &[])?;
    let trust_root = trust_root(cursor, &fields, gathered);
    named(&fields, trust_root)
}

/// An identity that is meant under whatever trust root, as of a deny-list: one that is written would be a mistake.
pub(in crate::policy) fn identity_of_any_root(cursor: &Cursor<'_>) -> Option<Identity> {
    let (trust_root, known) = KEYLESS.split_last()?;
    let fields =
        cursor.fields_telling(known, &[(*trust_root, "is not asked here: the identity is meant under every trust root")])?;
    named(&fields, Some(DEFAULT_TRUST_ROOT.into()))
}

fn named(fields: &Fields<'_>, trust_root: Option<Arc<str>>) -> Option<Identity> {
    let issuer = matcher(fields, &["issuer", "issuer_pattern", "issuer_regex"]);
    let subject = matcher(fields, &["subject", "subject_pattern", "subject_regex"]);
    let exact = claims(fields, "claims", |name, value| exact(value, "claims_pattern", FREE_TEXTS.contains(&name)));
    let patterns = claims(fields, "claims_pattern", |_, value| value.parse("a pattern", Glob::new).map(Matcher::Pattern));
    let claims = claims_of_both(fields, exact, patterns);
    Some(Identity { issuer: issuer?, subject: subject?, claims: claims?, trust_root: trust_root? })
}

/// What is wanted of each claim.
type Claims = BTreeMap<&'static str, Vec<Matcher>>;

/// One mapping of both: a claim is wanted exactly or by pattern.
fn claims_of_both(fields: &Fields<'_>, exact: Option<Claims>, patterns: Option<Claims>) -> Option<Claims> {
    let (mut claims, patterns) = (exact?, patterns?);
    for (name, wanted) in patterns {
        if claims.insert(name, wanted).is_some() {
            fields.get("claims_pattern")?.wrong(format!("`{name}` is under `claims` too; keep one of them"));
            return None;
        }
    }
    Some(claims)
}

fn trust_root(cursor: &Cursor<'_>, fields: &Fields<'_>, gathered: &Gathered) -> Option<Arc<str>> {
    let written = fields.get("trust_root");
    let at = written.as_ref().unwrap_or(cursor);
    let name = match &written {
        Some(cursor) => name(cursor)?,
        None => DEFAULT_TRUST_ROOT.to_owned(),
    };
    gathered.trust_roots.borrow_mut().push(TrustRootUse {
        name: name.clone(),
        file: at.sink().file().to_owned(),
        place: at.place(),
        key: at.path().to_owned(),
    });
    Some(name.into())
}

fn matcher(fields: &Fields<'_>, keys: &[&'static str]) -> Option<Matcher> {
    let (key, cursor) = fields.exactly_one(keys)?;
    if key.ends_with("_pattern") {
        cursor.parse("a pattern", Glob::new).map(Matcher::Pattern)
    } else if key.ends_with("_regex") {
        cursor.parse("a regular expression", AnchoredRegex::new).map(Matcher::Regex)
    } else {
        exact(&cursor, &format!("{key}_pattern"), false)
    }
}

/// What is compared exactly. An issuer, a subject and a claim have no `*`, unless somebody gives a name freely: taken literally,
/// the policy would admit nothing.
fn exact(cursor: &Cursor<'_>, pattern: &str, is_free: bool) -> Option<Matcher> {
    let text = cursor.text("the exact text")?;
    if text.contains('*') && !is_free {
        cursor.wrong(format!("is compared exactly; for a pattern write `{pattern}`"));
        return None;
    }
    Some(Matcher::Exact(text.to_owned()))
}

/// What is wanted of each claim under `key`; nothing where it is not written.
fn claims(fields: &Fields<'_>, key: &'static str, one: impl Fn(&'static str, &Cursor<'_>) -> Option<Matcher>) -> Option<Claims> {
    let mut claims = Claims::new();
    let Some(cursor) = fields.get(key) else { return Some(claims) };
    let mut good = true;
    let entries = cursor.entries()?;
    if entries.is_empty() {
        cursor.wrong(format!("an empty mapping asks for nothing; leave `{key}` out"));
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
        let values: Vec<_> = value.one_or_list().iter().map(|value| one(name, value)).collect();
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
