//! What conditions may cost: steps, bytes, time.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{CUSTOM, finds, judge, judge_parsed, parse, statement, summary};
use crate::{
    policy::{
        Reason,
        condition::{
            Condition, document,
            document::MAX_DOCUMENT,
            eval::{Evaluator, Inputs},
            meter::{MAX_STEPS, Meter},
            value::Value,
        },
        spdx,
    },
    verify::Statement,
};

/// A list of `count` packages, as producers write them.
fn packages(count: usize) -> Json {
    let package = |i: usize| {
        json!({
            "SPDXID": format!("SPDXRef-Package-{i}"), "name": format!("package-{i}"), "versionInfo": "1.2.3-4", "supplier": "NOASSERTION",
            "downloadLocation": "NOASSERTION", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": format!("pkg:deb/debian/package-{i}@1.2.3-4")}],
        })
    };
    json!({"spdxVersion": "SPDX-2.3", "packages": (0..count).map(package).collect::<Json>()})
}

/// The steps that `text` takes of `statement`.
fn steps(text: &str, statement: &Statement) -> u64 {
    let expression = parse(text, &statement.predicate_type).unwrap();
    let document = document(statement).unwrap();
    let (null, meter) = (Value::Null, Meter::new());
    let inputs = Inputs { predicate: document.root().into(), statement: null.clone(), signer: null.clone(), image: null };
    Evaluator::new(&inputs, &meter).boolean(&expression.node).unwrap();
    meter.taken()
}

#[test]
fn a9_work_that_multiplies_is_stopped_by_counting() {
    let items: Vec<usize> = (0..10_000).collect();
    let predicate = json!({"a": items, "b": items});
    // Ten thousand times ten thousand: half a minute in the crate's interpreter.
    for text in [
        "predicate.a.exists(a, predicate.b.exists(b, a + b == -1))",
        "predicate.a.all(a, predicate.b != predicate.a + [1])",
        // To an element of a list it goes past those before.
        "predicate.a.all(a, predicate.b[9999] == 9999)",
    ] {
        let start = Instant::now();
        let (reason, summary) = summary(text, &predicate);
        assert_eq!(reason, Reason::ConditionBudget, "{text}: {summary}");
        let wants = ["of at most 5000000 steps of work", "that makes at most 16777216 bytes of lists and texts"];
        let told = |wants: &&str| summary.starts_with(&format!("wants a condition {wants}; found more in predicate."));
        assert!(wants.iter().any(told), "{summary}");
        // A debug build on a busy machine; a release build takes a tenth of a second.
        assert!(start.elapsed().as_secs() < 20, "{text}: {:?}", start.elapsed());
    }
}

#[test]
fn a9_every_way_to_read_much_again_and_again_is_counted() {
    let keys: serde_json::Map<String, Json> = (0..10_000).map(|i| (format!("k{i}"), json!(i))).collect();
    let predicate = json!({"a": vec![0; 2_000], "keys": keys, "text": "x".repeat(1 << 20), "list": vec![0; 3_000]});
    for text in [
        "predicate.a.all(a, predicate.text.contains('x'))",
        "predicate.a.all(a, predicate.text == predicate.text)",
        "predicate.a.all(a, predicate.text <= predicate.text)",
        "predicate.a.all(a, predicate.text.size() > 0)",
        "predicate.a.all(a, predicate.text.matches('^x'))",
        "predicate.a.all(a, predicate.keys.k9999 == 9999)",
        "predicate.a.all(a, predicate.list == predicate.list)",
        "predicate.a.all(a, !(1 in predicate.list + predicate.list))",
    ] {
        let (reason, summary) = summary(text, &predicate);
        assert_eq!(reason, Reason::ConditionBudget, "{text}: {summary}");
    }
}

#[test]
fn what_is_read_or_made_once_is_far_from_the_budget() {
    let keys: serde_json::Map<String, Json> = (0..10_000).map(|i| (format!("k{i}"), json!(i))).collect();
    let predicate = json!({"keys": keys, "text": "x".repeat(1 << 20), "list": vec![0; 3_000]}).to_string();
    let statement = statement(CUSTOM, predicate);
    for (text, at_least, at_most) in [
        ("predicate.keys.k9999 == 9999", 2_500, 5_000),
        ("predicate.text == predicate.text", 1 << 15, 1 << 16),
        ("predicate.text <= predicate.text + 'x'", 1 << 15, 1 << 17),
        ("predicate.text + predicate.text != 'x'", 1 << 16, 1 << 17),
        // Each element counts, and what it takes to put them together.
        ("predicate.list + predicate.list != []", 9_000, 20_000),
        ("predicate.list == predicate.list", 3_000, 10_000),
    ] {
        let taken = steps(text, &statement);
        assert!((at_least..at_most).contains(&taken), "{text} takes {taken}");
    }
}

#[test]
fn what_costs_too_much_is_told_with_the_values_it_is_about() {
    let predicate = json!({"a": (0..10_000).collect::<Vec<_>>(), "b": {"limit": -1}, "text": "x".repeat(1 << 20)});
    let text = "predicate.a.exists(a, predicate.a.exists(b, a + b == predicate.b.limit && predicate.text != image.digest))";
    let (reason, summary) = summary(text, &predicate);
    assert_eq!(reason, Reason::ConditionBudget);
    let wants = "wants a condition of at most 5000000 steps of work; found more in predicate.a.exists(a, predicate.a.exists(b, ";
    assert!(summary.starts_with(wants), "{summary}");
    assert!(summary.contains("image.digest)); predicate.a is [0, 1, 2, "), "{summary}");
    assert!(summary.contains(" and predicate.b.limit is -1 and predicate.text is \"xxx"), "{summary}");
    // Of many values the first few.
    let predicate_of_many = json!({"a": (0..10_000).collect::<Vec<_>>(), "b": 1, "c": 2, "d": 3});
    let many = "predicate.a.all(a, predicate.a.all(b, a + b != -predicate.b - predicate.c - predicate.d))";
    let told = super::summary(many, &predicate_of_many).1;
    assert!(told.ends_with("predicate.b is 1 and predicate.c is 2"), "{told}");
    // An element by its number is a value; by another value, the list and that.
    let elements = json!({"a": (0..10_000).collect::<Vec<_>>(), "l": [7, 8], "i": 1});
    let told =
        super::summary("predicate.a.all(a, predicate.a.all(b, a + b != -predicate.l[0] - predicate.l[predicate.i]))", &elements)
            .1;
    assert!(told.ends_with("predicate.l[0] is 7 and predicate.l is [7, 8]"), "{told}");
    // A hundredth of all is for that.
    let (steps, made) = (Meter::to_tell(), Meter::to_tell());
    assert!(steps.steps(50_000).is_ok() && steps.steps(1).is_err());
    assert!(made.make(167_772).is_ok() && made.make(1).is_err());
    // What is not there has no value to tell of.
    finds(
        "predicate.a.exists(a, predicate.a.exists(b, a + b == -1)) || predicate.none == 1",
        &predicate,
        Reason::ConditionBudget,
        "steps of work; found more in predicate.a.exists(a, predicate.a.exists(b, a + b == -1)) || predicate.none == 1; predicate.a is [0, 1",
    );
}

#[test]
fn a_spent_budget_is_not_made_up_for_by_what_absorbs() {
    let items: Vec<usize> = (0..10_000).collect();
    let predicate = json!({"a": items, "flag": true});
    let text = "predicate.a.exists(a, predicate.a.exists(b, a + b == -1)) || predicate.flag";
    assert_eq!(summary(text, &predicate).0, Reason::ConditionBudget);
}

#[test]
fn a9_lists_and_texts_that_grow_are_stopped() {
    let items: Vec<usize> = (0..2_000).collect();
    let predicate = json!({"a": items, "many": vec![0; 20_000], "text": "x".repeat(1 << 20)});
    let list = format!("predicate.many.map(a, [{}a]).size() == 1", "a, ".repeat(39));
    let entries: Vec<String> = (0..20).map(|i| format!("'k{i}': a")).collect();
    let map = format!("predicate.many.map(a, {{{}}}).size() == 1", entries.join(", "));
    for text in [
        &list,
        &map,
        "predicate.a.map(a, predicate.a.map(b, b)).size() == 1",
        "predicate.a.map(a, predicate.text + 'x').size() == 1",
        "predicate.a.map(a, predicate.text.upperAscii()).size() == 1",
        "predicate.a.map(a, predicate.a + predicate.a).size() == 1",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(a, predicate.text + predicate.text).size() == 1",
        "predicate.a.map(a, [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]).map(a, a + a + a + a + a + a + a + a + a + a).size() == 1",
    ] {
        finds(text, &predicate, Reason::ConditionBudget, "that makes at most 16777216 bytes of lists and texts; found more in ");
    }
}

#[test]
fn a9_patterns_cost_by_their_size_and_the_text() {
    // Built to defeat an automaton's cache: 1.4 µs a byte were measured.
    let mut seed = 1_u64;
    let mut letter = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if seed >> 63 == 0 { 'a' } else { 'b' }
    };
    let text: String = (0..1 << 20).map(|_| letter()).collect();
    let (reason, _) = summary("predicate.text.matches('a[ab]{100}c')", &json!({"text": text}));
    assert_eq!(reason, Reason::ConditionBudget);
    judge(&["!predicate.text.matches('^https://github.com/')"], CUSTOM, json!({"text": &text[..1 << 18]}).to_string()).unwrap();
    judge(&["predicate.text.contains('ab') && predicate.text.size() == 1048576"], CUSTOM, json!({"text": text}).to_string())
        .unwrap();
}

#[test]
fn what_people_ask_of_large_sboms_stays_far_below_the_budget() {
    let document = packages(16_000).to_string();
    assert!((5 << 20..MAX_DOCUMENT).contains(&document.len()), "{}", document.len());
    let statement = statement(spdx::TYPE, document);
    for (text, at_most) in [
        ("predicate.packages.all(p, !p.name.startsWith('evil'))", 200_000),
        ("predicate.packages.all(p, !(p.name in ['a', 'b', 'c', 'd', 'e']) && p.versionInfo != '0')", 600_000),
        (
            "!predicate.packages.exists(p, p.externalRefs.exists(r, r.referenceLocator.startsWith('pkg:npm/event-stream@')))",
            600_000,
        ),
        ("predicate.packages.all(p, p.licenseDeclared.matches('^[A-Za-z0-9.-]+$'))", 2_000_000),
        ("predicate.packages.filter(p, p.name.contains('ssl')).size() == 0", 200_000),
        ("predicate.packages[15999].name != 'x'", 5_000),
    ] {
        let taken = steps(text, &statement);
        assert!(taken < at_most && taken < MAX_STEPS / 4, "{text} takes {taken}");
    }
}

#[test]
fn a_predicate_larger_than_conditions_see_is_refused_and_says_what_reads_it() {
    let large = json!({"spdxVersion": "SPDX-2.3", "packages": [{"name": "x".repeat(MAX_DOCUMENT)}]}).to_string();
    let failure = judge(&["predicate.packages.size() == 1"], spdx::TYPE, large.clone()).unwrap_err();
    assert_eq!(failure.reason, Reason::ConditionTooLarge);
    assert!(
        failure.summary.contains("conditions see at most 8388608; the built-in checks read larger ones"),
        "{}",
        failure.summary
    );
    // What asks nothing of the predicate does not read it.
    judge(&["signer.claims.runner_environment == 'github-hosted'"], spdx::TYPE, large).unwrap();
    let many = format!("[{}0]", "0,".repeat(3 << 20));
    let failure = judge(&["predicate.size() == 1"], CUSTOM, many).unwrap_err();
    assert_eq!(failure.reason, Reason::ConditionTooLarge);
    assert!(failure.summary.contains("holds more than 2097152 values and keys"), "{}", failure.summary);
}

#[test]
fn the_largest_predicate_is_seen() {
    let filler = "x".repeat(MAX_DOCUMENT - 100);
    let document = json!({"a": filler, "b": 1}).to_string();
    judge(&["predicate.b == 1 && predicate.a.size() > 8000000"], CUSTOM, document).unwrap();
}

#[test]
fn the_same_statement_gets_the_same_answer_on_every_thread() {
    let predicate = packages(200).to_string();
    let statement = statement(spdx::TYPE, predicate);
    let texts = ["predicate.packages.all(p, p.name != 'package-150')", "predicate.packages.exists(p, p.n == 1)"];
    for text in texts {
        let condition = Condition { expressions: vec![parse(text, spdx::TYPE).unwrap()] };
        let first = judge_parsed(&condition, &statement).unwrap_err();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(judge_parsed(&condition, &statement).unwrap_err(), first));
            }
        });
    }
}

/// What the numbers of the guide were measured with: `cargo test --release --lib condition::tests::bounds::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_conditions() {
    let document = packages(16_000).to_string();
    println!("{} bytes", document.len());
    let statement = statement(spdx::TYPE, document);
    for text in [
        "signer.claims.runner_environment == 'github-hosted'",
        "predicate.spdxVersion == 'SPDX-2.3'",
        "predicate.packages.all(p, !p.name.startsWith('evil'))",
        "!predicate.packages.exists(p, p.externalRefs.exists(r, r.referenceLocator.startsWith('pkg:npm/event-stream@')))",
        "predicate.packages.all(p, p.licenseDeclared.matches('^[A-Za-z0-9.-]+$'))",
        "predicate.packages.all(p, predicate.packages.exists(q, q.name == p.name))",
    ] {
        let condition = Condition { expressions: vec![parse(text, spdx::TYPE).unwrap()] };
        let start = Instant::now();
        let outcome = judge_parsed(&condition, &statement).map_err(|failure| failure.reason);
        println!("{:>9.3?} {outcome:?} {text}", start.elapsed());
    }
}
