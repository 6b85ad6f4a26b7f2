//! Kyverno's conditions on a statement: JMESPath and an operator → CEL, where the meaning is the same; the rest refuses.
//!
//! There, a statement without the value a condition reads is an error, and refuses; so it is in CEL.

use std::sync::LazyLock;

use ::regex::Regex;

use super::{
    super::{
        Effect, Import, Lint,
        draft::Attestation,
        settle::{NEVER, fits},
        source::{Item, Map, Spot, Unreadable},
    },
    compare::{Literal, Said, Scope, compared, literal, since},
};
use crate::{policy::predicate::PredicateType, yaml::shown};

/// A duration as Go writes one: without days, which it does not know.
static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A(?:[0-9]+(?:h|m|s|ms|us|ns))+\z").ok());

/// cosign's wrapper as a segment of a path.
static WRAPPER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?:\A|[^A-Za-z0-9_])[Dd]ata\.").ok());

/// What became of a comparison, with what it was.
enum Compared {
    /// The oldest that a scan may be.
    Age(String),
    Said(Said),
    /// It has no form. What it reads, if nothing else can keep it from an answer.
    Unsaid(Option<String>),
}

impl Import {
    /// Adds one block: all of `all`, and any of `any`.
    pub(super) fn condition(&mut self, item: &Item<'_>, taken: &[String], into: &mut Attestation) -> Result<(), Unreadable> {
        let block = item.map()?;
        for one in block.list("all")? {
            self.all_of(&one.map()?, taken, into)?;
        }
        if let Some(any) = block.get("any") {
            match any.list()?.as_slice() {
                [] => {
                    self.findings.lost(any.spot(), Effect::Refuses, None, "an empty `any` is met by nothing, there and here");
                    into.require.push((NEVER.into(), any.spot().path.clone()));
                }
                [one] => self.all_of(&one.map()?, taken, into)?,
                several => self.any_of(any.spot(), several, taken, into)?,
            }
        }
        // A comparison as preconditions once had it, which statements' conditions never had: pruned before Kyverno sees it.
        if ["key", "operator", "value", "message"].map(|key| block.get(key).is_some()).contains(&true) {
            let message = "a comparison stands outside of `all` and `any`: Kyverno's definition has no such field, so that it is dropped there and asks for nothing; nor does it here. Write it under `all`";
            self.findings.note(block.spot(), None, message);
        }
        self.findings.unread(&block);
        Ok(())
    }

    /// Adds a comparison that must hold.
    fn all_of(&mut self, map: &Map<'_>, taken: &[String], into: &mut Attestation) -> Result<(), Unreadable> {
        let (compared, from) = self.comparison(map, into, taken, Effect::Refuses)?;
        match compared {
            Compared::Age(age) => into.scan_max_age = Some(youngest(into.scan_max_age.take(), age)),
            Compared::Said(said) => {
                let expression = self.said(map.spot(), said, into);
                into.require.push((expression, from));
            }
            Compared::Unsaid(_) => into.require.push((NEVER.into(), from)),
        }
        Ok(())
    }

    /// Adds comparisons of which one must hold. There, all that they read must be there whichever holds; in CEL, one that
    /// holds makes up for another that has no value. So that is a condition of its own.
    fn any_of(&mut self, at: &Spot, list: &[Item<'_>], taken: &[String], into: &mut Attestation) -> Result<(), Unreadable> {
        let (mut alternatives, mut all, mut needs, mut blind) = (Vec::new(), Vec::new(), Vec::new(), false);
        for one in list {
            let map = one.map()?;
            let (compared, from) = self.comparison(&map, into, taken, Effect::Stricter)?;
            let need = match compared {
                Compared::Age(_) => {
                    let message = "a scan's age is a rule of its own here, and no alternative to another: it was left out";
                    self.findings.lost(map.spot(), Effect::Stricter, None, message);
                    Some(format!("timestamp({SCANNED})"))
                }
                Compared::Said(said) => {
                    let need = said.needs.clone();
                    alternatives.push(format!("({})", self.said(map.spot(), said, into)));
                    Some(need)
                }
                Compared::Unsaid(need) => need,
            };
            blind |= need.is_none();
            needs.extend(need.filter(|need| !needs.contains(need)));
            all.push(from);
        }
        let from = all.join("; or ");
        if blind {
            let message = "one that has no form here refuses there if what it reads has no value, whatever the others are";
            self.findings.lost(at, Effect::Refuses, None, message);
        }
        if blind || alternatives.is_empty() {
            into.require.push((NEVER.to_owned(), from));
            return Ok(());
        }
        if needs.len() > 1 {
            let expression = format!("[{}].size() == {}", needs.join(", "), needs.len());
            into.require.push((expression, format!("{}: all that is read must be there, whichever holds", at.path)));
        }
        into.require.push((alternatives.join(" || "), from));
        Ok(())
    }

    /// The way of saying it that fits the type's documents.
    fn said(&mut self, at: &Spot, said: Said, into: &Attestation) -> String {
        if let Some(narrower) = said.narrower {
            self.findings.changed(
                at,
                Effect::Stricter,
                None,
                format!("a value that {narrower} refuses here, and need not there"),
            );
        }
        let fits = said.ways.iter().position(|way| fits(&into.predicate_type, way)).unwrap_or_default();
        said.ways.into_iter().nth(fits).unwrap_or_else(|| NEVER.to_owned())
    }

    /// One comparison, and what it was. `effect`: what it is to lose it.
    fn comparison(
        &mut self,
        map: &Map<'_>,
        into: &Attestation,
        taken: &[String],
        effect: Effect,
    ) -> Result<(Compared, String), Unreadable> {
        let key = map.get("key").map(|item| item.text()).transpose()?.unwrap_or_default();
        let operator = map.text("operator")?.unwrap_or_default();
        let value = map.get("value");
        map.get("message");
        self.findings.unread(map);
        let shown_value = match &value {
            Some(item) if item.is_list() => "[…]".to_owned(),
            Some(item) => item.text().map_or_else(|_| "{…}".to_owned(), shown),
            None => String::new(),
        };
        let from = format!("{}: {} {operator} {shown_value}", map.spot().path, shown(key));
        if WRAPPER.as_ref().is_some_and(|wrapper| wrapper.is_match(key)) {
            self.wrapped(map.spot(), is_sbom(&into.predicate_type));
        }
        let scope = Scope { sbom: is_sbom(&into.predicate_type), taken };
        let literal = value.as_ref().map(literal).transpose()?.flatten();
        let inner = key.trim().strip_prefix("{{").and_then(|key| key.strip_suffix("}}")).map(str::trim);
        let mut why = "has no exact form here: write it in CEL".to_owned();
        let mut needs = None;
        if let Some(inner) = inner {
            if let Some(root) = scope.foreign(inner) {
                why = format!("is about `{}`, which is no part of the statement: a gate does not see it", shown(root));
            } else if let Some(literal) = &literal {
                match self.scan_age(map, inner, operator, literal, into) {
                    Some(Ok(age)) => return Ok((Compared::Age(age), from)),
                    Some(Err(no_age)) => why = no_age,
                    None => {
                        if let Some(said) = compared(inner, operator, literal, &scope) {
                            return Ok((Compared::Said(said), from));
                        }
                        needs = scope.path(inner);
                    }
                }
            }
        }
        let message = format!("the condition `{} {operator} {shown_value}` {why}", shown(key));
        self.findings.lost(map.spot(), effect, None, message);
        Ok((Compared::Unsaid(needs), from))
    }

    /// Notes a path through cosign's wrapper.
    pub(in crate::import) fn wrapped(&mut self, at: &Spot, sbom: bool) {
        if sbom {
            let message =
                "the path goes through cosign's `Data` wrapper, which is taken off here: a document without it is read too";
            self.findings.changed(at, Effect::Wider, Lint::I14, message);
        } else {
            let message =
                "the path goes through cosign's `Data` wrapper; `Data` and `data` both occur, and only one is meant here";
            self.findings.note(at, Lint::I14, message);
        }
    }

    /// `time_since('', '{{metadata.scanFinishedOn}}', '') LessThanOrEquals 168h` of a vulnerability attestation, or the same by
    /// `time_diff('{{metadata.scanFinishedOn}}', '{{ time_now_utc() }}')`. The inner error: why there is no such age.
    fn scan_age(
        &mut self,
        map: &Map<'_>,
        inner: &str,
        operator: &str,
        literal: &Literal,
        into: &Attestation,
    ) -> Option<Result<String, String>> {
        let path = since(inner)?;
        let Literal::Text(age) = literal else { return None };
        let is_scan = format!("predicate.{path}") == SCANNED
            && into.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1"
            && matches!(operator, "LessThan" | "LessThanOrEquals");
        if !is_scan {
            return None;
        }
        if DURATION.as_ref().is_none_or(|go| !go.is_match(age)) || humantime::parse_duration(age).is_err() {
            return Some(Err(format!("compares with `{}`, which Go reads as no duration: there it never holds", shown(age))));
        }
        let message = "written as `scan_max_age`, which also wants the document to be a scan";
        self.findings.changed(map.spot(), Effect::Stricter, None, message);
        Some(Ok(age.clone()))
    }
}

/// Where a scan has its time, in CEL.
const SCANNED: &str = "predicate.metadata.scanFinishedOn";

/// Of two bounds the one that both are met by.
fn youngest(one: Option<String>, other: String) -> String {
    let length = |age: &String| humantime::parse_duration(age).unwrap_or_default();
    one.filter(|one| length(one) <= length(&other)).unwrap_or(other)
}

/// Whether documents of this type lose cosign's wrapper before a condition sees them.
pub(in crate::import) fn is_sbom(predicate_type: &str) -> bool {
    predicate_type.parse::<PredicateType>().is_ok_and(|kind| kind.is_sbom())
}
