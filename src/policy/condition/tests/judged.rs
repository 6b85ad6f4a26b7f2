//! What conditions say about statements, and how they say it.

use serde_json::json;

use super::{CUSTOM, about, judge, parse, summary};
use crate::policy::{Reason, spdx};

#[test]
fn every_operator_and_function_means_what_cel_means() {
    let predicate = json!({
        "name": "openssl", "version": 3, "ratio": 1.5, "big": u64::MAX, "flag": true, "none": null, "empty": [], "text": "é💥",
        "tags": ["a", "b"], "nested": {"list": [1, 2, 3], "map": {"x": 1}}, "when": "2026-03-01T12:00:00Z", "age": "36h",
        "packages": [{"name": "a", "n": 1}, {"name": "b", "n": 2}, {"n": 3}],
    });
    for text in [
        "predicate.name == 'openssl' && predicate.name != 'zlib' && predicate['name'] == \"openssl\"",
        "predicate.version == 3 && predicate.version == 3.0 && predicate.version == 3u && predicate.version != 4",
        "predicate.version < 4 && predicate.version <= 3.0 && predicate.ratio > 1 && predicate.ratio >= 1.5",
        "predicate.big > 1 && predicate.big == 18446744073709551615u && predicate.name < 'p'",
        "predicate.version + 1 == 4 && predicate.version * 2 - 1 == 5 && predicate.version / 2 == 1 && predicate.version % 2 == 1",
        "-predicate.version == -3 && predicate.ratio * 2.0 == 3.0 && predicate.name + '!' == 'openssl!'",
        "predicate.flag && !(!predicate.flag) && (predicate.flag ? true : false)",
        "predicate.none == null && predicate.name != null && predicate.tags == ['a', 'b'] && predicate.nested.map == {'x': 1}",
        "predicate.tags + ['c'] == ['a', 'b', 'c'] && [1, 2.0, 3u] == predicate.nested.list",
        "'a' in predicate.tags && !('c' in predicate.tags) && 'map' in predicate.nested && predicate.name in ['openssl', 'zlib']",
        "has(predicate.name) && !has(predicate.nothing) && has(predicate.nested.map.x) && has(predicate.none)",
        "predicate.tags[0] == 'a' && predicate.nested.list[2] == 3 && predicate.nested['map']['x'] == 1",
        "size(predicate.tags) == 2 && predicate.name.size() == 7 && predicate.text.size() == 2 && predicate.nested.size() == 2",
        "predicate.name.contains('ens') && predicate.name.startsWith('open') && predicate.name.endsWith('ssl')",
        "predicate.name.upperAscii() == 'OPENSSL' && 'A'.lowerAscii() == predicate.tags[0]",
        "predicate.name.matches('^open') && matches(predicate.name, 's{2}l$') && !predicate.name.matches('^ssl$')",
        "predicate.packages.exists(p, p.name == 'b') && predicate.packages.all(p, p.n > 0) && predicate.packages.exists_one(p, p.n == 3)",
        "predicate.packages.filter(p, p.n > 1).size() == 2 && predicate.packages.map(p, p.n) == [1, 2, 3]",
        "predicate.packages.map(p, has(p.name), p.name) == ['a', 'b'] && predicate.nested.all(k, k.size() > 2)",
        "predicate.packages.all(p, predicate.nested.list.exists(n, n == p.n))",
        "string(predicate.version) == '3' && int('12') == 12 && int(predicate.ratio) == 1 && double(predicate.version) == 3.0",
        "uint(predicate.version) == 3u && bool('true') && string(predicate.flag) == 'true'",
        "timestamp(predicate.when) > signer.times[0] && timestamp(predicate.when) - signer.times[0] == duration('12h')",
        "duration(predicate.age) > duration('1h30m') && signer.times[0] + duration('24h') == signer.times[1]",
        "string(timestamp(predicate.when)) == '2026-03-01T12:00:00Z' && int(timestamp(predicate.when)) == 1772366400",
        "predicate.empty.all(e, false) && !predicate.empty.exists(e, true)",
        "signer.issuer == 'https://token.actions.githubusercontent.com' && signer.subject.endsWith('@refs/heads/main')",
        "signer.claims.runner_environment == 'github-hosted' && !has(signer.claims.build_trigger) && size(signer.times) == 2",
        "image.registry == 'ghcr.io' && image.repository == 'acme/app' && image.digest.startsWith('sha256:')",
        "statement.predicateType == 'https://acme.test/custom/v1'",
        // What absorbs decides, whatever has no value.
        "predicate.nothing == 1 || true == predicate.flag",
        "!(predicate.nothing == 1 && predicate.flag == false)",
        "predicate.packages.exists(p, p.name == 'b')",
        "!predicate.packages.all(p, p.name == 'b')",
    ] {
        about(text, &predicate).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
    }
}

#[test]
fn a_false_condition_names_the_part_that_decided_and_its_values() {
    let predicate = json!({
        "builder": {"id": "https://mallory.test/\u{202e}\n", "version": 2},
        "packages": [{"name": "openssl", "licenses": ["MIT"]}, {"name": "evil-x", "licenses": []}],
        "scanner": {"matches": [{"id": "CVE-1", "severity": "Low"}, {"id": "CVE-2", "severity": "Critical"}]},
    });
    for (text, wanted) in [
        (
            "predicate.builder.version == 2 && predicate.builder.id == 'https://acme.test'",
            "wants predicate.builder.id == 'https://acme.test'; found predicate.builder.id is \"https://mallory.test/\\u{202e}\\n\"",
        ),
        (
            "predicate.packages.all(p, !p.name.startsWith('evil'))",
            "wants !predicate.packages[1].name.startsWith('evil'); found predicate.packages[1].name is \"evil-x\"",
        ),
        (
            "!predicate.packages.exists(p, p.name.startsWith('evil'))",
            "wants !predicate.packages.exists(p, p.name.startsWith('evil')); found predicate.packages[1].name is \"evil-x\"",
        ),
        (
            "predicate.packages.exists(p, p.name == 'zlib')",
            "wants predicate.packages.exists(p, p.name == 'zlib'); found none of the 2 in predicate.packages",
        ),
        (
            "predicate.packages.filter(p, p.name == 'zlib').exists(p, p.licenses.size() > 0)",
            "found nothing in predicate.packages.filter(",
        ),
        (
            "predicate.scanner.matches.filter(m, m.severity == 'Critical').size() == 0",
            "is 1, the first {\"id\": \"CVE-2\", \"severity\": \"Critical\"}",
        ),
        (
            "predicate.packages.all(p, p.licenses.exists(l, l == 'MIT'))",
            "wants predicate.packages[1].licenses.exists(l, l == 'MIT'); found nothing in predicate.packages[1].licenses",
        ),
        (
            "predicate.builder.version > 3 || predicate.builder.id == 'x'",
            "found predicate.builder.version is 2 and predicate.builder.id is",
        ),
        (
            "has(predicate.builder.digest)",
            "wants has(predicate.builder.digest); found no `digest` in predicate.builder, which has id, version",
        ),
        ("predicate.packages.exists_one(p, p.name != 'x')", "found none or several of the 2 in predicate.packages"),
        ("predicate.builder.id in ['a', 'b']", "wants predicate.builder.id in ['a', 'b']; found predicate.builder.id is"),
        ("image.registry == 'docker.io'", "found image.registry is \"ghcr.io\""),
        ("predicate.builder.version == 2 ? predicate.builder.id == 'x' : true", "wants predicate.builder.id == 'x'"),
        ("signer.times[0] > timestamp('2026-06-01T00:00:00Z')", "found signer.times[0] is 2026-03-01T00:00:00Z"),
        ("predicate == {'a': 1}", "found predicate is {\"builder\": {\"id\": "),
    ] {
        let (reason, summary) = summary(text, &predicate);
        assert_eq!(reason, Reason::ConditionFalse, "{text}");
        assert!(summary.contains(wanted), "{text}\n  wanted: {wanted}\n  found:  {summary}");
    }
}

#[test]
fn what_has_no_value_refuses_and_says_where() {
    let predicate = json!({"builder": {"type": "x", "version": "2"}, "packages": [{"name": "a"}, {"id": 1}], "n": 0});
    for (text, wanted) in [
        (
            "predicate.builder.id == 'x'",
            "wants predicate.builder.id; found no `id` in predicate.builder, which has type, version",
        ),
        ("predicate.nothing.at.all == 1", "found no `nothing` in predicate, which has builder, n, packages"),
        ("predicate.packages.all(p, p.name == 'a')", "found no `name` in predicate.packages[1], which has id"),
        (
            "predicate.builder['id'] == 'x'",
            "wants predicate.builder['id']; found no predicate.builder['id'], which has type, version",
        ),
        ("signer.claims.build_trigger == 'push'", "found no `build_trigger` in signer.claims, which has runner_environment"),
        ("predicate.packages[5].name == 'x'", "found a list of 2 where predicate.packages[5] looks further"),
        ("predicate.packages[-1].name == 'x'", "found a list of 2"),
        ("predicate.builder.version > 1", "found \"2\" (a string) > 1 (an int)"),
        ("predicate.packages.startsWith('x')", "(a list) where a string is wanted"),
        ("predicate.builder.version", "found \"2\" (a string) where true or false is wanted"),
        ("1 / predicate.n == 1", "found a division by zero in 1 / predicate.n"),
        ("9223372036854775807 + (predicate.n + 1) > 0", "found a number too large"),
        ("int(predicate.builder.type) == 1", "found \"x\", which is no int"),
        ("timestamp(predicate.builder.type) > signer.times[0]", "found \"x\", which is no timestamp"),
        ("predicate.n.exists(x, x == 1)", "found 0 (an int) where a list or a map is wanted"),
    ] {
        let (reason, summary) = summary(text, &predicate);
        assert_eq!(reason, Reason::ConditionError, "{text}: {summary}");
        assert!(summary.contains(wanted), "{text}\n  wanted: {wanted}\n  found:  {summary}");
    }
    for predicate in ["null", "[]", "\"x\"", "1"] {
        let failure = judge(&["predicate.builder.id == 'x'"], CUSTOM, predicate).unwrap_err();
        assert_eq!(failure.reason, Reason::ConditionError, "{predicate}: {failure:?}");
    }
}

#[test]
fn every_expression_of_an_entry_must_hold() {
    let predicate = json!({"a": 1, "b": 2}).to_string();
    judge(&["predicate.a == 1", "predicate.b == 2"], CUSTOM, predicate.clone()).unwrap();
    let failure = judge(&["predicate.a == 1", "predicate.b == 3"], CUSTOM, predicate).unwrap_err();
    assert_eq!(failure.summary, "wants predicate.b == 3; found predicate.b is 2");
}

#[test]
fn cosigns_wrappings_of_an_sbom_change_nothing() {
    let documents = [
        (
            spdx::TYPE,
            json!({"spdxVersion": "SPDX-2.3", "packages": [{"name": "openssl"}]}),
            "predicate.packages[0].name == 'openssl'",
        ),
        (
            "https://cyclonedx.org/bom",
            json!({"bomFormat": "CycloneDX", "components": [{"name": "x"}]}),
            "predicate.components[0].name == 'x'",
        ),
    ];
    for (predicate_type, document, text) in documents {
        let string = json!(document.to_string());
        for wrapped in [document.clone(), string.clone(), json!({"Data": document, "Timestamp": ""}), json!({"Data": string})] {
            judge(&[text], predicate_type, wrapped.to_string()).unwrap();
        }
        // Of any other type, `Data` is a key as any.
        about("predicate.Data.x == 1", &json!({"Data": {"x": 1}})).unwrap();
    }
    let failure = judge(&["predicate.packages.size() > 0"], spdx::TYPE, "\"SPDXVersion: SPDX-2.3\"").unwrap_err();
    assert_eq!(failure.reason, Reason::ConditionError);
    assert!(failure.summary.contains("found a predicate that cannot be read"), "{}", failure.summary);
}

#[test]
fn j2_sentences_are_short_and_printable_whatever_stands_in_the_document() {
    let long = "\u{202e}é\u{1b}[31m\"\\".repeat(2_000);
    let mut keys = serde_json::Map::new();
    for i in 0..20 {
        keys.insert(format!("{i}{long}"), json!([long]));
    }
    let predicate = json!({"name": long, "keys": keys, "list": [[[long]]]});
    for text in [
        "predicate.name == 'x'",
        "predicate.keys == 1 || predicate.list == predicate.keys",
        "predicate.keys.x == 1",
        "predicate.list.exists(l, l == 'x')",
        "predicate.name > 1",
        "int(predicate.name) == 1",
    ] {
        let (_, summary) = summary(text, &predicate);
        assert!(summary.len() < 500 && summary.bytes().all(|b| (0x20..0x7f).contains(&b)), "{summary}");
    }
}

#[test]
fn what_is_shown_of_an_expression_reads_as_the_same_expression() {
    for text in [
        "predicate.a + 1 - (2 - 3) * -4 / 5 % 6 == 7 - (8 + 9)",
        "(predicate.a || predicate.b) && !(predicate.c && predicate.d) || !predicate.e",
        "(predicate.a ? predicate.b : predicate.c) ? predicate.d : predicate.e ? true : false",
        "predicate.a.b['c d'].filter(x, x.y > 1.5).map(x, x.z != null, [x, {'k': 1u}]).exists(x, 'q' in x)",
        "has(predicate.a.b) && predicate.a.matches('^a\\\\.b\\'$') && predicate.a.size() == size(predicate.b)",
        "(predicate.a == predicate.b) == (predicate.c != predicate.d) && -(predicate.a) < 1",
        "signer.times[0] - timestamp('2026-01-01T00:00:00Z') < duration('1h30m') && string(predicate.n) == 'é\\n'",
    ] {
        let once = super::shown::expression(&parse(text, CUSTOM).unwrap().node, &[]);
        let twice = super::shown::expression(&parse(&once, CUSTOM).unwrap().node, &[]);
        assert_eq!(once, twice, "{text}");
    }
}
