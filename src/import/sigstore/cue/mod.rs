//! The part of CUE that policies are usually written in: structs, literals, bounds, and the length constraints of `list`
//! and `struct`. Everything else (references, comprehensions, disjunctions, interpolation) is told apart, not guessed.

mod read;

use super::super::{
    go_syntax,
    kyverno::{is_sbom, quoted},
};
use crate::yaml::shown;

/// A value or a constraint.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cue {
    /// All of these.
    And(Vec<Self>),
    /// `true`, `false`.
    Bool(bool),
    /// `>= 3`, `=~ "re"`.
    Bound(&'static str, Box<Self>),
    /// `list.MinItems(1)`.
    Call(String, usize),
    /// A list; whether more may follow.
    List(Vec<Self>, bool),
    /// A number, as written.
    Number(String),
    /// Fields, each once.
    Struct(Vec<(String, Self)>),
    /// A string.
    Text(String),
}

impl Cue {
    /// For sentences.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::And(_) => "a conjunction",
            Self::Bool(_) => "true or false",
            Self::Bound(..) => "a bound",
            Self::Call(..) => "this constraint",
            Self::List(..) => "a list",
            Self::Number(_) => "a number",
            Self::Struct(_) => "a struct",
            Self::Text(_) => "a string",
        }
    }
}

/// How deep it may nest.
const MAX_DEPTH: usize = 32;

/// Reads a policy.
///
/// # Errors
/// What of it is not understood here.
pub(super) fn parse(text: &str) -> Result<Cue, String> {
    merged(read::file(text)?)
}

/// What a statement's policy asks of its predicate, in CEL, each with what it was.
///
/// # Errors
/// What of it has no form in CEL.
pub(super) fn conditions(cue: &Cue, predicate_type: &str) -> Result<Vec<(String, String)>, String> {
    let Cue::Struct(fields) = cue else { return Err("it is no struct".into()) };
    let mut out = Vec::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("predicateType", Cue::Text(text)) if text == predicate_type => {}
            ("predicate", Cue::Struct(fields)) if is_sbom(predicate_type) => {
                // cosign's wrapper is taken off before a condition sees the document.
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("Data", value) => walk(value, "predicate", "predicate.Data", &mut out)?,
                        _ => walk(&Cue::Struct(vec![(name.clone(), value.clone())]), "predicate", "predicate", &mut out)?,
                    }
                }
            }
            ("predicate", value) => walk(value, "predicate", "predicate", &mut out)?,
            _ => return Err(format!("`{}` of a statement", shown(name))),
        }
    }
    Ok(out)
}

fn walk(cue: &Cue, path: &str, said: &str, out: &mut Vec<(String, String)>) -> Result<(), String> {
    let mut add = |expression: String| out.push((expression, format!("{said}: CUE")));
    match cue {
        Cue::And(list) => return list.iter().try_for_each(|one| walk(one, path, said, out)),
        Cue::Bool(flag) => add(format!("{path} == {flag}")),
        Cue::Bound(operator @ ("=~" | "!~"), value) => match &**value {
            Cue::Text(go) => {
                let (regex, _) = go_syntax::translate(go).map_err(|why| format!("the regex `{}` {why}", shown(go)))?;
                add(format!("{}{path}.matches({})", if *operator == "!~" { "!" } else { "" }, quoted(&regex)));
            }
            other => return Err(format!("`{operator}` with {}", other.kind())),
        },
        Cue::Bound(operator, value) => match (*operator, &**value) {
            // A bound is also of its operand's kind: of a list, or of nothing, `!=` is no answer there.
            ("!=", Cue::Number(number)) => add(format!("{path} < {number} || {path} > {number}")),
            (operator, Cue::Number(number)) => add(format!("{path} {operator} {number}")),
            ("!=", Cue::Text(text)) => add(format!("{path}.matches(\"(?s)^.*$\") && {path} != {}", quoted(text))),
            (operator, other) => return Err(format!("`{operator}` with {}", other.kind())),
        },
        Cue::Number(number) => add(format!("{path} == {number}")),
        Cue::Struct(fields) => {
            for (name, value) in fields {
                let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !name.starts_with(|c: char| c.is_ascii_digit());
                let path = if word { format!("{path}.{name}") } else { format!("{path}[{}]", quoted(name)) };
                walk(value, &path, &format!("{said}.{name}"), out)?;
            }
        }
        Cue::Text(text) => add(format!("{path} == {}", quoted(text))),
        Cue::Call(..) | Cue::List(..) => return Err(format!("{} in a predicate", cue.kind())),
    }
    Ok(())
}

/// Fields with one name are one field that is all of them.
fn merged(fields: Vec<(String, Cue)>) -> Result<Cue, String> {
    let mut out: Vec<(String, Cue)> = Vec::new();
    for (name, value) in fields {
        match out.iter_mut().find(|(other, _)| *other == name) {
            None => out.push((name, value)),
            Some((_, first)) => {
                *first = match (std::mem::replace(first, Cue::Bool(false)), value) {
                    (Cue::Struct(mut a), Cue::Struct(b)) => {
                        a.extend(b);
                        merged(a)?
                    }
                    (a, b) => Cue::And(vec![a, b]),
                };
            }
        }
    }
    Ok(Cue::Struct(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "https://slsa.dev/provenance/v1";

    fn cel(text: &str) -> Result<Vec<String>, String> {
        Ok(conditions(&parse(text)?, TYPE)?.into_iter().map(|(cel, _)| cel).collect())
    }

    #[test]
    fn plain_comparisons_are_cel() {
        let text = r#"
            // a comment
            predicateType: "https://slsa.dev/provenance/v1"
            predicate: buildDefinition: buildType: "https://a/b"
            predicate: {
                runDetails: builder: {id: =~"^https://github.com/" & !="x", "odd-name": true}
                note: !~"\\<[a&&b]"
                count: >=3 & <10 & !=5
            }
        "#;
        assert_eq!(
            cel(text).unwrap(),
            [
                r#"predicate.buildDefinition.buildType == "https://a/b""#,
                r#"predicate.runDetails.builder.id.matches("^https://github.com/")"#,
                r#"predicate.runDetails.builder.id.matches("(?s)^.*$") && predicate.runDetails.builder.id != "x""#,
                r#"predicate.runDetails.builder["odd-name"] == true"#,
                r#"!predicate.note.matches("<[a\\&\\&b]")"#,
                "predicate.count >= 3",
                "predicate.count < 10",
                "predicate.count < 5 || predicate.count > 5",
            ]
        );
        assert_eq!(cel(r#"predicateType: "https://slsa.dev/provenance/v1""#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_understood_is_told_apart() {
        for text in [
            "import \"time\"\nbefore: 1",
            "predicate: a: b",
            "predicate: a: \"x\" | \"y\"",
            "predicate: a: \"\\(b)\"",
            "predicate: if x {}",
            "predicate: {if x {a: 1}}",
            "predicate: a: [1]",
            "predicate: a: string",
            "predicate: a: <\"2026\"",
            "predicateType: \"other\"",
            "subject: 1",
            "#D: {}",
            "predicate: a: 0x10",
            "predicate: {a: 1",
            "predicate: a: strings.MinRunes(1)",
            "predicate: a: =~\"a{1001}\"",
        ] {
            assert!(cel(text).is_err(), "{text}: {:?}", cel(text));
        }
        assert!(parse(&"a: ".repeat(100_000)).is_err());
        assert!(parse(&"{".repeat(100_000)).is_err());
        assert!(parse(&format!("a: {}", "[".repeat(100_000))).is_err());
        assert!(parse(&format!("a: {}", "<".repeat(100_000))).is_err());
    }
}
