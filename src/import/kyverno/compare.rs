//! One comparison of Kyverno's, a static JMESPath with a literal, in CEL.

use std::sync::LazyLock;

use ::regex::Regex;

use super::super::{
    source::{Item, Scalar, Unreadable},
    wildcard,
};

static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\A[A-Za-z_][A-Za-z0-9_]*(?:\.(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")|\[[0-9]+\])*\z"#).ok());
static REGEX_MATCH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let regex = r"(?s)\Aregex_match\(\s*'(?<regex>[^']*)'\s*,\s*(?:'\{\{\s*(?<path>[^{}']+?)\s*\}\}'|(?<bare>[^{}']+?))\s*\)\z";
    Regex::new(regex).ok()
});
static TIME_SINCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let since = r"(?s)\Atime_since\(\s*''\s*,\s*(?:'\{\{\s*(?<path>[^{}']+?)\s*\}\}'|(?<bare>[^{}']+?))\s*,\s*''\s*\)\z";
    Regex::new(since).ok()
});
static TIME_DIFF: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let until_now = r"(?s)\Atime_diff\(\s*'\{\{\s*(?<path>[^{}']+?)\s*\}\}'\s*,\s*'\{\{\s*time_now_utc\(\)\s*\}\}'\s*\)\z";
    Regex::new(until_now).ok()
});
/// Text that Kyverno takes for a quantity, and more: a sign or a unit alone is one too.
const QUANTITY_TEXT: &str = "^[+-]?[0-9]*\\.?[0-9]*([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$";
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

/// What a policy's conditions are about.
pub(super) struct Scope<'a> {
    /// The documents lose cosign's wrapper before a condition sees them.
    pub(super) sbom: bool,
    /// Names that are something else than a part of the statement.
    pub(super) taken: &'a [String],
}

/// A comparison in CEL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Ways to say it; the first is taken that fits the documents of the type.
    pub(super) ways: Vec<String>,
    /// What must have a value: without it there is no answer there, whatever else is true.
    pub(super) needs: String,
    /// Which values refuse here, and not always there.
    pub(super) narrower: Option<&'static str>,
}

/// Kyverno's own names. It puts the statement among them, so that a path may begin with either.
const RESERVED: [&str; 8] =
    ["request", "serviceAccountName", "serviceAccountNamespace", "image", "images", "element", "target", "globalReference"];

impl Scope<'_> {
    /// The path that `inner` reads, where it is one that begins with a name of something else.
    pub(super) fn foreign<'i>(&self, inner: &'i str) -> Option<&'i str> {
        let root = argument(&REGEX_MATCH, inner)
            .or(since(inner))
            .unwrap_or(inner)
            .split(['.', '[', ' ', '|'])
            .next()
            .unwrap_or_default();
        let taken = RESERVED.contains(&root) || root.starts_with("elementIndex") || self.taken.iter().any(|name| name == root);
        taken.then_some(root)
    }

    /// A static path in CEL.
    pub(super) fn path(&self, text: &str) -> Option<String> {
        let within = text.strip_prefix("Data.").or(text.strip_prefix("data.")).filter(|_| self.sbom);
        path(within.unwrap_or(text))
    }
}

/// The path that a call reads, if `inner` is one of this form.
fn argument<'i>(form: &LazyLock<Option<Regex>>, inner: &'i str) -> Option<&'i str> {
    let found = form.as_ref()?.captures(inner)?;
    found.name("path").or(found.name("bare")).map(|path| path.as_str())
}

/// The path to the time of which `inner` asks how long ago it was.
pub(super) fn since(inner: &str) -> Option<&str> {
    argument(&TIME_SINCE, inner).or_else(|| argument(&TIME_DIFF, inner))
}

/// The comparison in CEL, if it means the same, or refuses more and says which values.
///
/// Of Kyverno's versions some answer otherwise: until 1.18 text that reads like a quantity is not unequal to text that
/// does not, until 1.10 a boolean is in no list, until 1.8 `AllNotIn` is true where not all are in. What is admitted here
/// is admitted by all of them.
pub(super) fn compared(inner: &str, operator: &str, literal: &Literal, scope: &Scope<'_>) -> Option<Said> {
    const TEXT: Option<&str> = Some("is no text");
    const NUMBER: Option<&str> = Some("is a number or a duration as text");
    let said = |way: String, needs: &str, narrower| Some(Said { ways: vec![way], needs: needs.to_owned(), narrower });
    if let Some(captures) = REGEX_MATCH.as_ref().and_then(|regex| regex.captures(inner)) {
        let path = scope.path(argument(&REGEX_MATCH, inner)?)?;
        let Literal::Bool(wanted) = literal else { return None };
        let wanted = match operator {
            "Equals" | "Equal" => *wanted,
            "NotEquals" | "NotEqual" => !wanted,
            _ => return None,
        };
        let matches = format!("{path}.matches({})", quoted(&captures["regex"]));
        // What is no text may be an error there, which is no answer either.
        return said(if wanted { matches.clone() } else { format!("!{matches}") }, &matches, TEXT);
    }
    let path = scope.path(inner)?;
    let quantity = format!("{path}.matches({})", quoted(QUANTITY_TEXT));
    let (way, narrower) = match (operator, literal) {
        ("Equals" | "Equal", Literal::Bool(flag)) => (format!("{path} == {flag}"), None),
        // Nothing is unequal to null there.
        ("NotEquals" | "NotEqual", Literal::Bool(flag)) => (format!("{path} != null && {path} != {flag}"), None),
        ("Equals" | "Equal", Literal::Number(number)) => (format!("{path} == {number}"), NUMBER),
        // Not `!=`: "5s" is 5 there.
        ("NotEquals" | "NotEqual", Literal::Number(number)) => {
            (format!("{path} < {number} || {path} > {number}"), Some("is no number"))
        }
        ("GreaterThan", Literal::Number(number)) => (format!("{path} > {number}"), NUMBER),
        ("GreaterThanOrEquals", Literal::Number(number)) => (format!("{path} >= {number}"), NUMBER),
        ("LessThan", Literal::Number(number)) => (format!("{path} < {number}"), NUMBER),
        ("LessThanOrEquals", Literal::Number(number)) => (format!("{path} <= {number}"), NUMBER),
        ("Equals" | "Equal", Literal::Text(text)) if is_plain(text) => (format!("{path} == {}", quoted(text)), None),
        ("NotEquals" | "NotEqual", Literal::Text(text)) if text.is_empty() => (format!("{path} != null && {path} != \"\""), None),
        ("NotEquals" | "NotEqual", Literal::Text(text)) if is_plain(text) => {
            (format!("!{quantity} && {path} != {}", quoted(text)), Some("is no text, is empty or reads like a quantity"))
        }
        ("Equals" | "Equal", Literal::Text(text)) if is_wild(text) => {
            let matches = format!("{path}.matches({})", quoted(&anchored(text)));
            // There, a quantity is compared as one, and equals no wildcard.
            let may_be_quantity = text.chars().all(|c| "*?+-.0123456789numkKMGTPEei".contains(c));
            (if may_be_quantity { format!("{matches} && !{quantity}") } else { matches }, None)
        }
        ("NotEquals" | "NotEqual", Literal::Text(text)) if is_wild(text) => {
            (format!("!{quantity} && !{path}.matches({})", quoted(&anchored(text))), TEXT)
        }
        (_, Literal::List(list)) => return listed(&path, operator, list),
        _ => return None,
    };
    said(way, &path, narrower)
}

/// Whether a value is among `list`: a value that is a list is compared there element by element.
///
/// A wildcard in the value counts there too, so that `*` is in every list: here it is in none, and not out of any.
fn listed(path: &str, operator: &str, list: &[String]) -> Option<Said> {
    let list = all_quoted(list);
    let among = format!("{path} in [{list}]");
    let apart = |value: &str| format!("{value}.matches(\"^[^*?]*$\") && !({value} in [{list}])");
    let (one, many) = match operator {
        // A map is no list, and `exists` would go through its keys.
        "AnyIn" => (among, format!("{path} + [] == {path} && {path}.exists(x, x in [{list}])")),
        "AllIn" | "In" => (among, format!("{path}.filter(x, x in [{list}]) == {path}")),
        "AnyNotIn" | "NotIn" => {
            let texts = format!("{path}.filter(x, x.matches(\"^[^*?]*$\")) == {path}");
            (apart(path), format!("{texts} && {path}.exists(x, !(x in [{list}]))"))
        }
        "AllNotIn" => (apart(path), format!("{path} != [] && {path}.filter(x, {}) == {path}", apart("x"))),
        _ => return None,
    };
    let narrower = Some("has `*` or `?` in it, or is neither text nor a list of it,");
    Some(Said { ways: vec![format!("({one}) || ({many})"), many, one], needs: path.to_owned(), narrower })
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
        let quantity = r#"predicate.a.matches("^[+-]?[0-9]*\\.?[0-9]*([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$")"#;
        for (key, operator, literal, cel) in [
            (
                "buildDefinition.buildType",
                "Equals",
                text("https://a/b"),
                Some(r#"predicate.buildDefinition.buildType == "https://a/b""#),
            ),
            ("a.\"b-c\"[0].d", "Equals", text("it\"s"), Some(r#"predicate.a["b-c"][0].d == "it\"s""#)),
            ("builder.id", "Equals", text("https://a/*"), Some(r#"predicate.builder.id.matches("^https://a/(?s:.*)$")"#)),
            ("a", "Equals", text("?*"), Some(&format!(r#"predicate.a.matches("^(?s:.)(?s:.*)$") && !{quantity}"#))),
            ("a", "NotEquals", text("evil"), Some(&format!(r#"!{quantity} && predicate.a != "evil""#))),
            ("a", "NotEquals", text("e*l"), Some(&format!(r#"!{quantity} && !predicate.a.matches("^e(?s:.*)l$")"#))),
            ("a", "NotEquals", text(""), Some(r#"predicate.a != null && predicate.a != """#)),
            ("a", "Equals", Literal::Bool(true), Some("predicate.a == true")),
            ("a", "NotEquals", Literal::Bool(true), Some("predicate.a != null && predicate.a != true")),
            ("a", "GreaterThan", Literal::Number("3".into()), Some("predicate.a > 3")),
            ("a", "NotEquals", Literal::Number("3".into()), Some("predicate.a < 3 || predicate.a > 3")),
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
            ("a[?b=='c'].d || 'none'", "AllNotIn", Literal::List(vec!["x".into()]), None),
            ("a | length(@)", "Equals", Literal::Number("0".into()), None),
            ("a", "DurationGreaterThan", text("x"), None),
        ] {
            let said = compared(key, operator, &literal, &Scope { sbom: false, taken: &[] });
            assert_eq!(said.as_ref().map(|said| said.ways[0].as_str()), cel, "{key} {operator}");
        }
        let scope = Scope { sbom: true, taken: &[] };
        let wrapped = compared("Data.bomFormat", "Equals", &text("CycloneDX"), &scope).unwrap();
        assert_eq!(wrapped.ways, [r#"predicate.bomFormat == "CycloneDX""#]);
    }
}
