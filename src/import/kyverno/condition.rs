//! Kyverno's conditions on a statement: JMESPath and an operator → CEL, where the meaning is the same; the rest refuses.
//!
//! There, a statement without the value a condition reads is an error, and refuses; so it is in CEL.

use std::sync::LazyLock;

use ::regex::Regex;

use super::super::{
    Effect, Import, Lint,
    draft::Attestation,
    settle::NEVER,
    source::{Item, Map, Spot, Unreadable},
    wildcard,
};
use crate::{policy::predicate::PredicateType, yaml::shown};

static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\A[A-Za-z_][A-Za-z0-9_]*(?:\.(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")|\[[0-9]+\])*\z"#).ok());
static REGEX_MATCH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)\Aregex_match\(\s*'([^']*)'\s*,\s*(?:'\{\{\s*([^{}']+?)\s*\}\}'|([^{}']+?))\s*\)\z").ok());
static TIME_SINCE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)\Atime_since\(\s*''\s*,\s*(?:'\{\{\s*([^{}']+?)\s*\}\}'|([^{}']+?))\s*,\s*''\s*\)\z").ok());
static TIME_DIFF: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)\Atime_diff\(\s*'\{\{\s*([^{}']+?)\s*\}\}'\s*,\s*'\{\{\s*time_now_utc\(\)\s*\}\}'\s*\)\z").ok()
});
static QUANTITY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[+-]?[0-9.]+(?:[eE][+-]?[0-9]+|[numkKMGTPE]i?|[µa-z0-9.]+)?\z").ok());

/// cosign's wrapper as a segment of a path.
static WRAPPER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?:\A|[^A-Za-z0-9_])[Dd]ata\.").ok());

/// A literal on the right side.
enum Literal {
    Bool(bool),
    List(Vec<String>),
    Number(String),
    Text(String),
}

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

fn literal(item: &Item<'_>) -> Result<Option<Literal>, Unreadable> {
    if item.is_map() {
        return Ok(None);
    }
    if item.is_list() {
        let texts: Result<Vec<_>, _> = item.list()?.iter().map(|one| one.text().map(str::to_owned)).collect();
        return Ok(texts.ok().filter(|list| list.iter().all(|text| is_plain(text))).map(Literal::List));
    }
    let text = item.text()?;
    Ok(Some(match text {
        "true" | "false" if !item.is_quoted() => Literal::Bool(text == "true"),
        _ if !item.is_quoted() && text.parse::<i64>().is_ok() => Literal::Number(text.to_owned()),
        _ if text.contains("{{") => return Ok(None),
        _ => Literal::Text(text.to_owned()),
    }))
}

/// Whether Kyverno compares `text` as text, without reading a wildcard, a time or a quantity from it.
fn is_plain(text: &str) -> bool {
    let quantity = QUANTITY.as_ref().is_none_or(|quantity| quantity.is_match(text));
    !(text.contains("{{") || text.contains(['*', '?']) || quantity || humantime::parse_duration(text).is_ok())
}

/// Whether documents of this type lose cosign's wrapper before a condition sees them.
pub(in crate::import) fn is_sbom(predicate_type: &str) -> bool {
    predicate_type.parse::<PredicateType>().is_ok_and(|kind| kind.is_sbom())
}

/// The comparison in CEL, if it means exactly the same. `sbom`: the path begins within cosign's wrapper.
fn compared(inner: &str, operator: &str, literal: &Literal, sbom: bool) -> Option<String> {
    let path = |text: &str| {
        let within = text.strip_prefix("Data.").or(text.strip_prefix("data.")).filter(|_| sbom);
        path(within.unwrap_or(text))
    };
    if let Some(captures) = REGEX_MATCH.as_ref().and_then(|regex| regex.captures(inner)) {
        let path = path(captures.get(2).or(captures.get(3))?.as_str())?;
        let Literal::Bool(wanted) = literal else { return None };
        let wanted = match operator {
            "Equals" | "Equal" => *wanted,
            "NotEquals" | "NotEqual" => !wanted,
            _ => return None,
        };
        let matches = format!("{path}.matches({})", quoted(&captures[1]));
        return Some(if wanted { matches } else { format!("!{matches}") });
    }
    let path = path(inner)?;
    Some(match (operator, literal) {
        ("Equals" | "Equal", Literal::Bool(flag)) => format!("{path} == {flag}"),
        ("NotEquals" | "NotEqual", Literal::Bool(flag)) => format!("{path} != {flag}"),
        ("Equals" | "Equal", Literal::Number(number)) => format!("{path} == {number}"),
        ("NotEquals" | "NotEqual", Literal::Number(number)) => format!("{path} != {number}"),
        ("GreaterThan", Literal::Number(number)) => format!("{path} > {number}"),
        ("GreaterThanOrEquals", Literal::Number(number)) => format!("{path} >= {number}"),
        ("LessThan", Literal::Number(number)) => format!("{path} < {number}"),
        ("LessThanOrEquals", Literal::Number(number)) => format!("{path} <= {number}"),
        ("Equals" | "Equal", Literal::Text(text)) if is_plain(text) => format!("{path} == {}", quoted(text)),
        ("NotEquals" | "NotEqual", Literal::Text(text)) if is_plain(text) => format!("{path} != {}", quoted(text)),
        ("Equals" | "Equal", Literal::Text(text)) if is_wild(text) => format!("{path}.matches({})", quoted(&anchored(text))),
        ("NotEquals" | "NotEqual", Literal::Text(text)) if is_wild(text) => {
            format!("!{path}.matches({})", quoted(&anchored(text)))
        }
        ("AnyIn" | "AllIn" | "In", Literal::List(list)) => format!("{path} in [{}]", all_quoted(list)),
        ("AnyNotIn" | "AllNotIn" | "NotIn", Literal::List(list)) => format!("!({path} in [{}])", all_quoted(list)),
        _ => return None,
    })
}

fn is_wild(text: &str) -> bool {
    !text.contains("{{") && text.contains(['*', '?']) && is_plain(&text.replace(['*', '?'], "x"))
}

fn anchored(text: &str) -> String {
    format!("^{}$", wildcard::regex(&wildcard::kyverno(text)))
}

/// A static JMESPath below the predicate, in CEL.
fn path(text: &str) -> Option<String> {
    if !PATH.as_ref()?.is_match(text) {
        return None;
    }
    let mut out = String::from("predicate");
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix(".\"") {
            let (name, behind) = quoted.split_once('"')?;
            out.push_str(&format!("[{}]", self::quoted(name)));
            rest = behind;
        } else if rest.starts_with('[') {
            let (index, behind) = rest.split_once(']')?;
            out.push_str(&format!("{index}]"));
            rest = behind;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            out.push_str(&format!(".{}", &name[..end]));
            rest = &name[end..];
        }
    }
    Some(out)
}

/// A string of CEL.
pub(in crate::import) fn quoted(text: &str) -> String {
    // JSON's escapes are CEL's too.
    serde_json::Value::from(text).to_string()
}

fn all_quoted(list: &[String]) -> String {
    list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_in_cel_is_written_in_it() {
        let text = |text: &str| Literal::Text(text.into());
        for (key, operator, literal, cel) in [
            (
                "buildDefinition.buildType",
                "Equals",
                text("https://a/b"),
                Some(r#"predicate.buildDefinition.buildType == "https://a/b""#),
            ),
            ("a.\"b-c\"[0].d", "NotEquals", text("it\"s"), Some(r#"predicate.a["b-c"][0].d != "it\"s""#)),
            ("builder.id", "Equals", text("https://a/*"), Some(r#"predicate.builder.id.matches("^https://a/(?s:.*)$")"#)),
            ("a", "Equals", Literal::Bool(true), Some("predicate.a == true")),
            ("a", "GreaterThan", Literal::Number("3".into()), Some("predicate.a > 3")),
            ("a", "AnyNotIn", Literal::List(vec!["x".into(), "y".into()]), Some(r#"!(predicate.a in ["x", "y"])"#)),
            (
                "regex_match('^a.b$','{{ builder.id}}')",
                "Equals",
                Literal::Bool(true),
                Some(r#"predicate.builder.id.matches("^a.b$")"#),
            ),
            ("regex_match('^a$', builder.id)", "NotEquals", Literal::Bool(true), Some(r#"!predicate.builder.id.matches("^a$")"#)),
            ("Data.a", "Equals", Literal::Bool(true), Some("predicate.Data.a == true")),
            // A quantity, a time, a projection, a filter, a default: they mean something else in CEL, or nothing.
            ("a", "Equals", text("1.5"), None),
            ("a", "Equals", text("10Mi"), None),
            ("a", "Equals", text("168h"), None),
            ("a[*].b", "Equals", text("x"), None),
            ("a[?b=='c'].d || 'none'", "AllNotIn", Literal::List(vec!["1".into()]), None),
            ("a | length(@)", "Equals", Literal::Number("0".into()), None),
            ("a", "DurationGreaterThan", text("x"), None),
        ] {
            assert_eq!(compared(key, operator, &literal, false).as_deref(), cel, "{key} {operator}");
        }
        let wrapped = compared("Data.bomFormat", "Equals", &text("CycloneDX"), true);
        assert_eq!(wrapped.as_deref(), Some(r#"predicate.bomFormat == "CycloneDX""#));
    }
}
