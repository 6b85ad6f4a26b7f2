//! Entries of `attestations`: which document, by whom, which of several, and what it must say.

use super::{AGES, Gathered, attestor, or_default};
use crate::{
    policy::{
        AttestationRule, Match, SbomOn, checks, checks::Checks, condition, condition::Condition, fingerprint::Form,
        predicate::PredicateType,
    },
    yaml::{Cursor, Fields, Value},
};

pub(super) const ATTESTATION: &[&str] = &["predicate_type", "match", "max_age", "sbom_on"];

pub(super) fn attestation(cursor: &Cursor<'_>, gathered: &Gathered) -> Option<AttestationRule> {
    let known = [ATTESTATION, attestor::ATTESTOR, checks::KEYS, condition::KEYS].concat();
    let fields = cursor.fields_telling(&known, attestor::NO_KEYS)?;
    let signer = attestor::optional(&fields, gathered);
    let max_age = or_default(&fields, "max_age", |cursor| cursor.duration(AGES).map(Some));
    let predicate_type =
        fields.need("predicate_type", "write which, as in https://spdx.dev/Document")?.parse("a predicate type", str::parse)?;
    let matching = matching(&fields, &predicate_type);
    let sbom_on = sbom_on(&fields, &predicate_type);
    let (checks, condition) = (Checks::parse(&fields, &predicate_type), Condition::parse(&fields, &predicate_type));
    Some(AttestationRule {
        predicate_type,
        signer: signer?,
        matching: matching?,
        max_age: max_age?,
        sbom_on: sbom_on?,
        checks: checks?,
        condition: condition?,
    })
}

/// Which of several. Scans outdate each other, so of them the newest speaks unless the entry says otherwise.
fn matching(fields: &Fields<'_>, predicate_type: &PredicateType) -> Option<Match> {
    let written = fields.get("match");
    let matching = match &written {
        Some(cursor) => cursor.word(&[("any", Match::Any), ("all", Match::All), ("newest", Match::Newest)])?,
        None if predicate_type.is_scan() => Match::Newest,
        None => Match::Any,
    };
    let bounded = fields.get("max_age").is_some() || (matching == Match::Newest && scan_age_is_bounded(fields));
    if matching == Match::Any || bounded {
        return Some(matching);
    }
    match written {
        Some(cursor) => {
            cursor.wrong("lets whoever can hide a statement hide the one that refuses, so bound it: write `max_age` too")
        }
        None => fields.at().sink().report(
            fields.at().place(),
            &format!("{}.max_age", fields.at().path()),
            "missing; of scans the newest counts, and must be bounded: write `max_age`, `vulnerabilities: {scan_max_age: …}`, or \
             `match: any`",
        ),
    }
    None
}

/// Whether a check bounds the scan's own age, which does as well as a bound of the statement's.
fn scan_age_is_bounded(fields: &Fields<'_>) -> bool {
    let Value::Map(entries) = fields.at().value() else { return false };
    let scan = |name: &str, value: &Value| {
        name == "vulnerabilities"
            && matches!(value, Value::Map(checks) if checks.iter().any(|(check, ..)| check == "scan_max_age"))
    };
    entries.iter().any(|(name, _, node)| scan(name, &node.value))
}

fn sbom_on(fields: &Fields<'_>, predicate_type: &PredicateType) -> Option<SbomOn> {
    let Some(cursor) = fields.get("sbom_on") else { return Some(SbomOn::Subject) };
    let words = [("subject", SbomOn::Subject), ("each_platform", SbomOn::EachPlatform), ("either", SbomOn::Either)];
    let sbom_on = cursor.word(&words)?;
    if !predicate_type.is_sbom() {
        cursor.wrong("is for SPDX and CycloneDX documents only");
        return None;
    }
    Some(sbom_on)
}

impl AttestationRule {
    /// The same for two entries that ask the same.
    pub(super) fn canonical(&self) -> Vec<u8> {
        let mut form = Form::default();
        let signer = self.signer.as_ref().map(crate::policy::Attestor::canonical);
        form.list(signer.as_slice(), |form, signer| form.bytes(signer));
        form.attestation(&Self { signer: None, ..self.clone() });
        form.into_bytes()
    }
}
