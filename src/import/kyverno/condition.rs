//! Kyverno's conditions on a statement: JMESPath and an operator → CEL, where the meaning is the same; the rest refuses.
//!
//! There, a statement without the value a condition reads is an error, and refuses; so it is in CEL.

use std::sync::LazyLock;

use ::regex::Regex;

use super::{
    super::{
        Effect, Import, Lint,
        draft::Attestation,
        settle::NEVER,
        source::{Item, Map, Spot, Unreadable},
    },
    compare::{Literal, compared, literal},
};
use crate::{policy::predicate::PredicateType, yaml::shown};

static TIME_SINCE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)\Atime_since\(\s*''\s*,\s*(?:'\{\{\s*([^{}']+?)\s*\}\}'|([^{}']+?))\s*,\s*''\s*\)\z").ok());
static TIME_DIFF: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)\Atime_diff\(\s*'\{\{\s*([^{}']+?)\s*\}\}'\s*,\s*'\{\{\s*time_now_utc\(\)\s*\}\}'\s*\)\z").ok()
});
/// cosign's wrapper as a segment of a path.
static WRAPPER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?:\A|[^A-Za-z0-9_])[Dd]ata\.").ok());

impl Import {
    /// Adds one block: all of `all`, and any of `any`.
    pub(super) fn condition(&mut self, item: &Item<'_>, into: &mut Attestation) -> Result<(), Unreadable> {
        let block = item.map()?;
        for one in block.list("all")? {
            let map = one.map()?;
            let compared = self.comparison(&map, into, Effect::Refuses)?;
            into.require.extend(compared);
        }
        let any = block.list("any")?;
        let mut alternatives = Vec::new();
        let mut said = Vec::new();
        let effect = if any.len() == 1 { Effect::Refuses } else { Effect::Stricter };
        for one in &any {
            let map = one.map()?;
            let mut aside = into.clone();
            match self.comparison(&map, &mut aside, effect)? {
                Some((expression, from)) => {
                    if expression != NEVER {
                        alternatives.push(format!("({expression})"));
                    }
                    said.push(from);
                }
                None if any.len() == 1 => {
                    *into = aside;
                    return Ok(());
                }
                None => {
                    let message = "a scan's age is a rule of its own here, and no alternative to another: it was left out";
                    self.findings.lost(map.spot(), effect, None, message);
                }
            }
        }
        if !any.is_empty() {
            let expression = if alternatives.is_empty() { NEVER.to_owned() } else { alternatives.join(" || ") };
            into.require.push((expression, said.join("; or ")));
        }
        self.findings.unread(&block);
        Ok(())
    }

    /// One comparison as CEL and what it was; `None` where it became a key of its own. `effect`: what it is to lose it.
    fn comparison(
        &mut self,
        map: &Map<'_>,
        into: &mut Attestation,
        effect: Effect,
    ) -> Result<Option<(String, String)>, Unreadable> {
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
        let literal = value.as_ref().map(literal).transpose()?.flatten();
        let inner = key.trim().strip_prefix("{{").and_then(|key| key.strip_suffix("}}")).map(str::trim);
        if let (Some(inner), Some(literal)) = (inner, &literal) {
            if let Some(age) = self.scan_age(map, inner, operator, literal, into) {
                into.scan_max_age = Some(age);
                return Ok(None);
            }
            if let Some(expression) = compared(inner, operator, literal, is_sbom(&into.predicate_type)) {
                return Ok(Some((expression, from)));
            }
        }
        let message = format!("the condition `{} {operator} {shown_value}` has no exact form here: write it in CEL", shown(key));
        self.findings.lost(map.spot(), effect, None, message);
        Ok(Some((NEVER.into(), from)))
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
    /// `time_diff('{{metadata.scanFinishedOn}}', '{{ time_now_utc() }}')`.
    fn scan_age(&mut self, map: &Map<'_>, inner: &str, operator: &str, literal: &Literal, into: &Attestation) -> Option<String> {
        let captures = TIME_SINCE.as_ref()?.captures(inner).or_else(|| TIME_DIFF.as_ref()?.captures(inner))?;
        let path = captures.get(1).or(captures.get(2))?.as_str();
        let Literal::Text(age) = literal else { return None };
        let is_scan =
            path == "metadata.scanFinishedOn" && into.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1";
        if !is_scan || !matches!(operator, "LessThan" | "LessThanOrEquals") || humantime::parse_duration(age).is_err() {
            return None;
        }
        let message = "written as `scan_max_age`, which also wants the document to be a scan";
        self.findings.changed(map.spot(), Effect::Stricter, None, message);
        Some(age.clone())
    }
}

/// Whether documents of this type lose cosign's wrapper before a condition sees them.
pub(in crate::import) fn is_sbom(predicate_type: &str) -> bool {
    predicate_type.parse::<PredicateType>().is_ok_and(|kind| kind.is_sbom())
}
