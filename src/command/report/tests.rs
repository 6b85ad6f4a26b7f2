//! Each form, with names and messages an attacker would choose.

use super::*;

const NASTY: &str = "a|b\n::error::x <img src=x onerror=y> [c](http://evil) `d` {0} \u{202e}e\u{1b}[31m &amp; ]]> \\ \u{fffe}";

fn judged(outcome: Outcome, text: &str) -> Judged {
    Judged {
        image: format!("ghcr.io/acme/app:{text}"),
        reference: Some(format!("ghcr.io/acme/app@sha256:{}", "0".repeat(64))),
        name: "ghcr.io:5000/acme/app".into(),
        digest: Some(format!("sha256:{}", "0".repeat(64))),
        platform: None,
        index: None,
        outcome,
        code: if outcome == Outcome::Admitted { "policy".into() } else { "signature_missing".into() },
        message: text.into(),
        unmet: vec![Unmet {
            policy: "acme".into(),
            reason: "signature_missing",
            summary: text.into(),
            details: vec![text.into()],
        }],
        notes: vec![text.into()],
        warnings: vec![text.into()],
        attempts: 1,
        took_ms: 1_500,
    }
}

fn report() -> Report {
    Report::new(vec![judged(Outcome::Admitted, "v1"), judged(Outcome::Undecided, NASTY), judged(Outcome::Refused, NASTY)])
}

fn schema(file: &str) -> jsonschema::Validator {
    let text = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut schema: serde_json::Value = serde_json::from_slice(&text).unwrap();
    // OASIS's own has a pattern with an unbalanced bracket, twice, for a key that is not written here.
    for of in ["run", "toolComponent"] {
        if let Some(language) = schema.pointer_mut(&format!("/definitions/{of}/properties/language")) {
            assert_eq!(language["pattern"], "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$");
            language.as_object_mut().unwrap().remove("pattern");
        }
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(schema: &jsonschema::Validator, text: &str) -> serde_json::Value {
    let value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    value
}

#[test]
fn any_refusal_counts_before_any_that_could_not_be_told() {
    use Outcome::{Admitted, Refused, Undecided};
    for (outcomes, exit) in [
        (&[][..], Exit::Done),
        (&[Admitted, Admitted], Exit::Done),
        (&[Admitted, Undecided], Exit::Undecided),
        (&[Undecided, Refused, Admitted], Exit::Refused),
        (&[Refused, Undecided], Exit::Refused),
    ] {
        let images = outcomes.iter().map(|outcome| judged(*outcome, "v1")).collect();
        assert_eq!(Report::new(images).exit(), exit, "{outcomes:?}");
    }
    assert_eq!([Exit::Done, Exit::Refused, Exit::Undecided, Exit::Usage].map(Exit::code), [0, 1, 2, 64]);
}

#[test]
fn json_is_as_its_schema_says_and_the_schema_refuses_other_things() {
    let validator = schema("deploy/schemas/verify-report.schema.json");
    let value = assert_valid(&validator, &report().render(Output::Json).unwrap());
    assert_eq!(value["images"][2]["message"], NASTY);
    for (key, wrong) in [("outcome", serde_json::json!("maybe")), ("images", serde_json::json!([{}])), ("more", 1.into())] {
        let mut value = value.clone();
        value[key] = wrong;
        assert!(!validator.is_valid(&value), "{key}");
    }
}

#[test]
fn sarif_is_as_its_schema_says_and_has_a_result_for_each_image_not_admitted() {
    let value = assert_valid(&schema("tests/fixtures/schemas/sarif-2.1.0.json"), &report().render(Output::Sarif).unwrap());
    let results = value["runs"][0]["results"].as_array().unwrap();
    let levels: Vec<_> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["warning", "error"]);
    let rules = value["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules[results[0]["ruleIndex"].as_u64().unwrap() as usize]["id"], "signature_missing");
    let physical = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"]["uri"], "ghcr.io%3A5000/acme/app");
    // Neither a placeholder nor a link.
    let text = results[0]["message"]["text"].as_str().unwrap();
    assert!(text.contains("{{0}}") && text.contains("\\[c\\](http"), "{text}");
}

#[test]
fn junit_is_read_back_with_a_failure_and_an_error() {
    let text = report().render(Output::Junit).unwrap();
    let read = quick_junit::Report::deserialize_from_str(&text).unwrap();
    let suite = &read.test_suites[0];
    assert_eq!((suite.tests, suite.failures, suite.errors), (3, 1, 1), "{text}");
    assert_eq!(suite.test_cases[0].name.as_str(), "ghcr.io/acme/app:v1");
    assert!(matches!(suite.test_cases[0].status, quick_junit::TestCaseStatus::Success { .. }));
    // Characters XML cannot carry are escaped, markup is text, and no line is of others alone.
    assert!(!text.contains(['\u{1b}', '\u{fffe}']) && !text.contains("<img") && text.contains("&lt;img"), "{text}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
}

#[test]
fn j3_text_is_one_line_each_and_moves_no_terminal() {
    let text = lines(&judged(Outcome::Refused, NASTY));
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    // Nothing of others begins a line, where CI systems read commands.
    assert!(text.lines().all(|line| line.starts_with("refused ") || line.starts_with("          ")), "{text}");
    assert_eq!(report().render(Output::Text).unwrap(), format!("ghcr.io/acme/app@sha256:{}\n", "0".repeat(64)));
}

#[test]
fn j1_a_summary_keeps_what_others_wrote_within_its_cell() {
    let text = markdown(&report());
    assert!(text.starts_with("### pullgate: 1 admitted, 1 refused, 1 undecided\n"), "{text}");
    for row in text.lines().filter(|line| line.starts_with("| ")).skip(1) {
        assert_eq!(row.matches('|').count(), 5, "{row}");
        // Outside of code there is nothing of theirs.
        let outside: String = row.split('`').step_by(2).collect();
        let outside = outside.replace("&#96;", "").replace("&#124;", "");
        let marks = ["✅ admitted", "❌ refused", "❔ undecided"];
        assert!(marks.iter().any(|mark| outside.split_whitespace().eq(format!("| {mark} | | | |").split_whitespace())), "{row}");
    }
    assert!(!text.contains('\u{202e}'), "{text}");
}
