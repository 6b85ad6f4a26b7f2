//! One comparison of Kyverno's, a static JMESPath with a literal, in CEL.

use std::sync::LazyLock;

use ::regex::Regex;

use super::super::{
    source::{Item, Scalar, Unreadable},
    wildcard,
};

static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\A[A-Za-z_][A-Za-z0-9_]*(?:\.(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")|\[[0-9]+\])*\z"#).ok());
static REGEX_MATCH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)\Aregex_match\(\s*'([^']*)'\s*,\s*(?:'\{\{\s*([^{}']+?)\s*\}\}'|([^{}']+?))\s*\)\z").ok());
static QUANTITY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[+-]?[0-9.]+(?:[eE][+-]?[0-9]+|[numkKMGTPE]i?|[µa-z0-9.]+)?\z").ok());

/// A literal on the right side.
pub(super) enum Literal {
    Bool(bool),
    List(Vec<String>),
    Number(String),
    Text(String),
}

pub(super) fn literal(item: &Item<'_>) -> Result<Option<Literal>, Unreadable> {
    if item.is_map() {
        return Ok(None);
    }
    if item.is_list() {
        let mut list = Vec::new();
        for one in item.list()? {
            match one.text() {
                Ok(text) if one.scalar()? == Scalar::Text && is_plain(text) => list.push(text.to_owned()),
                _ => return Ok(None),
            }
        }
        return Ok(Some(Literal::List(list)));
    }
    let text = item.text()?;
    Ok(match item.scalar()? {
        Scalar::Bool(flag) => Some(Literal::Bool(flag)),
        Scalar::Number => number(text),
        Scalar::Text => (!text.contains("{{")).then(|| Literal::Text(text.to_owned())),
    })
}

/// A number that is the same to all who read it: not `0777`, and exact where numbers are doubles, as they are there.
fn number(text: &str) -> Option<Literal> {
    const EXACT: u64 = 1 << 53;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text && value.unsigned_abs() < EXACT).then(|| Literal::Number(text.to_owned()))
}

/// Whether Kyverno compares `text` as text, without reading a wildcard, a time or a quantity from it.
fn is_plain(text: &str) -> bool {
    let quantity = QUANTITY.as_ref().is_none_or(|quantity| quantity.is_match(text));
    !(text.contains("{{") || text.contains(['*', '?']) || quantity || humantime::parse_duration(text).is_ok())
}

/// The comparison in CEL, if it means exactly the same. `sbom`: the path begins within cosign's wrapper.
pub(super) fn compared(inner: &str, operator: &str, literal: &Literal, sbom: bool) -> Option<String> {
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
