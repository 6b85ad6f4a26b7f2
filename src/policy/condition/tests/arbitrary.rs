//! Arbitrary expressions and documents: nothing panics, nothing costs more than it may, and the meaning is CEL's.

use std::time::Instant;

use cel::{Context, Program};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{CUSTOM, judge_parsed, parse, statement};
use crate::policy::{Reason, condition::Condition, spdx};

/// What `text` says of `predicate` here: true, false, or nothing.
fn ours(text: &str, predicate: &Json) -> Option<bool> {
    let condition = Condition { expressions: vec![parse(text, CUSTOM).unwrap_or_else(|error| panic!("{error}"))] };
    match judge_parsed(&condition, &statement(CUSTOM, predicate.to_string())) {
        Ok(()) => Some(true),
        Err(failure) if failure.reason == Reason::ConditionFalse => Some(false),
        Err(_) => None,
    }
}

/// What the `cel` crate's interpreter says.
fn theirs(text: &str, predicate: &Json) -> Option<bool> {
    let mut context = Context::default();
    context.add_variable_from_value("predicate", value(predicate));
    match Program::compile(text).unwrap().execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// Numbers as conditions have them: whole ones are ints, where serde would make the crate's unsigned.
fn value(json: &Json) -> cel::Value {
    match json {
        Json::Number(number) => number.as_i64().map_or_else(|| cel::to_value(json).unwrap(), cel::Value::Int),
        Json::Array(items) => cel::Value::List(items.iter().map(value).collect::<Vec<_>>().into()),
        Json::Object(entries) => {
            let entries: std::collections::HashMap<String, cel::Value> =
                entries.iter().map(|(key, json)| (key.clone(), value(json))).collect();
            entries.into()
        }
        other => cel::to_value(other).unwrap(),
    }
}

fn document() -> Json {
    json!({
        "a": 1, "b": 2, "d": 1.5, "s": "openssl", "t": "ab", "yes": true, "no": false, "none": null,
        "list": [1, 2, 3], "words": ["a", "ab", "openssl"], "empty": [], "mixed": [1, "a", null, {"a": 1}],
        "map": {"a": 1, "s": "x"}, "items": [{"a": 1, "s": "a"}, {"a": 2}, {"s": "ab", "list": [1]}],
    })
}

/// Expressions of every shape over [`document`], nonsense in types among them; but no sum of any list with any map, which
/// has a value in the crate and none in CEL.
fn expression() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "d", "s", "t", "yes", "no", "none", "list", "words", "empty", "mixed", "map", "items", "gone"])
            .prop_map(|name| format!("predicate.{name}")),
        1 => prop::sample::select(vec!["predicate.list + [4]", "predicate.s + predicate.t", "predicate.a + predicate.b", "predicate.list + predicate.words", "predicate.a + predicate.d", "predicate.map.a", "predicate.map['s']", "predicate.items[0].a", "predicate.items[1].s", "predicate.list[9]", "predicate"])
            .prop_map(str::to_owned),
        2 => prop::sample::select(vec!["0", "1", "2", "-1", "1.5", "1u", "'a'", "'ab'", "'openssl'", "true", "false", "null", "[1, 2]", "{'a': 1}", "[]"])
            .prop_map(str::to_owned),
    ];
    atom.prop_recursive(4, 24, 3, |inner| {
        let binary = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">=", "&&", "||", "-", "*", "in"]);
        let method = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
        let each = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        let body = prop::sample::select(vec![
            "x == 1",
            "x.a == 1",
            "has(x.s)",
            "x > 1",
            "x.list.exists(y, y == x.a)",
            "x != 'a'",
            "x.s.startsWith('a')",
        ]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("size({a})")),
            (inner.clone(), method, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}({b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), each, body).prop_map(|(a, name, body)| format!("({a}).{name}(x, {body})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a})[{b}]")),
        ]
    })
}

#[test]
fn the_meaning_is_that_of_the_crates_interpreter() {
    let predicate = document();
    for text in [
        "predicate.a == 1.0",
        "predicate.a == 1u",
        "predicate.d > predicate.a",
        "predicate.s == predicate.a",
        "predicate.none == null",
        "predicate.gone == 1 || predicate.yes",
        "predicate.gone == 1 && predicate.no",
        "predicate.gone == 1 && predicate.yes",
        "predicate.items.all(x, x.a > 0)",
        "predicate.items.exists(x, x.a > 0)",
        "predicate.items.exists(x, x.a == 2)",
        "predicate.items.all(x, x.a == 7)",
        "predicate.items.exists_one(x, has(x.list))",
        "predicate.mixed.exists(x, x == 'a')",
        "predicate.map.all(k, k != 'z')",
        "'a' in predicate.map",
        "predicate.d in predicate.map",
        "2 in predicate.list",
        "'2' in predicate.list",
        "predicate.list.map(x, x * 2) == [2, 4, 6]",
        "predicate.list.map(x, x > 1, x) == [2, 3]",
        "predicate.list.filter(x, x > 1).size() == 2",
        "predicate.s.size() == 7",
        "size(predicate.map) == 2",
        "predicate.list + [4] == [1, 2, 3, 4]",
        "predicate.s < 'p'",
        "predicate.map == {'s': 'x', 'a': 1}",
        "predicate.items[2].list[0] == 1",
        "predicate.d * 2.0 == 3.0",
        "-predicate.a == -1",
        "predicate.a / 0 == 1",
        "predicate.a % 2 == 1",
        "predicate.yes ? predicate.yes : predicate.gone",
        "has(predicate.gone)",
        "predicate.s.matches('^open')",
        "int('7') == 7 && predicate.yes",
        "string(predicate.a) == '1'",
        "double(predicate.a) == 1.0",
        "uint(predicate.b) == 2u",
    ] {
        assert_eq!(ours(text, &predicate), theirs(text, &predicate), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn expressions_mean_here_what_they_mean_in_the_crates_interpreter(text in expression()) {
        let text = format!("[{text}] != [predicate] && ({text}) == true");
        prop_assume!(parse(&text, CUSTOM).is_ok());
        prop_assert_eq!(ours(&text, &document()), theirs(&text, &document()), "{}", text);
    }

    #[test]
    fn a9_no_text_panics_or_takes_long_to_refuse(text in prop_oneof![
        "\\PC{0,80}",
        "[a-z.()\\[\\]{}'\"=&|!<>+*/%?: 0-9,-]{0,200}",
        prop::collection::vec(prop::sample::select(vec![
            "predicate", ".", "a", "(", ")", "[", "]", "{", "}", "'x'", "\"", "'", "==", "&&", "||", "!", "-", "+", "?", ":", ",", "1", "1.5",
            "all", "exists", "map", "filter", "has", "matches", "size", "in", " ", "\n", "true", "null", "r'", "b'", "`", "@", "$", "\\", "é",
        ]), 0..60).prop_map(|parts| parts.concat()),
    ]) {
        let start = Instant::now();
        for predicate_type in [CUSTOM, spdx::TYPE] {
            match parse(&text, predicate_type) {
                Ok(expression) => {
                    let condition = Condition { expressions: vec![expression] };
                    let _ = judge_parsed(&condition, &statement(CUSTOM, document().to_string()));
                }
                Err(error) => prop_assert!(!error.contains("the parser failed"), "{} {}", text, error),
            }
        }
        prop_assert!(start.elapsed().as_secs() < 10, "{}", text);
    }

    #[test]
    fn a9_no_document_panics(text in expression(), json in "[\\[\\]{}\",:a0-9e.+ -]{0,60}") {
        let text = format!("({text}) == predicate");
        prop_assume!(parse(&text, CUSTOM).is_ok());
        let condition = Condition { expressions: vec![parse(&text, CUSTOM).unwrap()] };
        let _ = judge_parsed(&condition, &statement(spdx::TYPE, json));
    }
}
