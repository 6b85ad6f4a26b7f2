//! What conditions say about statements, and how they say it.

use serde_json::json;

use super::{CUSTOM, about, finds, judge, parse, summary};
use crate::policy::{Reason, spdx};

#[test]
fn every_operator_and_function_means_what_cel_means() {
    let predicate = json!({
        "name": "openssl", "version": 3, "ratio": 1.5, "big": u64::MAX, "flag": true, "none": null, "empty": [], "text": "é💥",
        "tags": ["a", "b"], "nested": {"list": [1, 2, 3], "map": {"x": 1}}, "when": "2026-03-01T12:00:00Z", "age": "36h",
        "packages": [{"name": "a", "n": 1}, {"name": "b", "n": 2}, {"n": 3}], "zero": 0.0,
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
        // What is no number has no order, and yet no wrong type.
        "!(predicate.zero / predicate.zero < 1.0) && !(1 >= predicate.zero / predicate.zero)",
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
fn numbers_texts_and_times_are_computed_without_mixing_them() {
    let predicate = json!({
        "n": 3, "ratio": 1.5, "negative": -1.9, "min": i64::MIN, "big": u64::MAX, "flag": true, "name": "openssl",
        "list": [1, 2], "empty": [], "bare": {}, "nested": {"a": 1, "b": [2]}, "other": {"b": [2], "a": 1.0}, "when": "2026-03-01T12:00:00Z",
    });
    for text in [
        "predicate.ratio + 2.0 == 3.5 && predicate.ratio - 1.0 == 0.5 && predicate.ratio * 4.0 == 6.0 && predicate.ratio / 2.0 == 0.75",
        "-predicate.ratio == -1.5 && -duration('1h') < duration('0s') && -(-predicate.n) == 3",
        "predicate.big - 1u == 18446744073709551614u && predicate.big / 2u == 9223372036854775807u && predicate.big % 2u == 1u",
        "predicate.flag && duration('1h') + duration('30m') == duration('90m') && duration('1h') - duration('30m') == duration('30m')",
        "signer.times[1] - duration('24h') == signer.times[0] && duration('24h') + signer.times[0] == signer.times[1]",
        "signer.times[1] - signer.times[0] == duration('24h') && signer.times[0] - signer.times[1] == duration('-24h')",
        "signer.times[0] < signer.times[1] && signer.times[0] <= signer.times[0] && !(signer.times[0] <= predicate.n || true) == false",
        "false < predicate.flag && predicate.flag <= true && !(predicate.flag < false)",
        "predicate.n <= 3 && !(predicate.n <= 2) && predicate.n >= 3 && !(predicate.n >= 4) && predicate.n < 3.5 && 3u <= predicate.n",
        "string(predicate.big) == '18446744073709551615' && string(predicate.name) == 'openssl' && string(duration('90s')) == '90s'",
        "string(predicate.ratio) == '1.5' && string(predicate.ratio * 1000000.0) == '1.5e+06' && string(1.4) + string(predicate.n) == '1.43'",
        "timestamp('9999-12-31T23:59:59Z') > timestamp(predicate.when)",
        "bool(predicate.flag) && bool('true') && !bool('false')",
        "double(predicate.ratio) == 1.5 && double(3u) == 3.0 && double('-1.5') == predicate.negative + 0.4 && double('1e3') == 1000.0",
        "int(predicate.negative) == -1 && int(3u) == predicate.n && int('-12') == -12 && int(1.9) == 1 && int(2.0e10) == 20000000000",
        "uint(predicate.ratio) == 1u && uint('7') == 7u && uint(predicate.big) == predicate.big",
        "duration(duration('1h')) == duration('60m') && timestamp(timestamp(predicate.when)) == timestamp(predicate.when)",
        "predicate.nested == predicate.other && predicate.nested != {'a': 1, 'c': [2]} && predicate.nested != {'a': 1}",
        "predicate.list != [1] && predicate.list != [1, 3] && predicate.list != predicate.nested && predicate.empty != predicate.bare && predicate.list == [1.0, 2u]",
        "{'a': predicate.n} == {'a': 3} && {'a': predicate.n} != {'a': 4} && {'a': predicate.n} != {'b': 3}",
        "!(true in predicate.nested) && !(1 in predicate.nested) && 'a' in {'a': 1, 'b': predicate.n}",
        "{'a': 1, 'b': predicate.n}.b == 3 && {'a': 1, 'b': predicate.n}.size() == 2 && {'a': 1, 'b': 2}.exists(k, k == 'b')",
    ] {
        about(text, &predicate).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
    }
    for (text, wanted) in [
        ("predicate.min / -1 == 1", "found a number too large in predicate.min / -1"),
        ("predicate.min % 0 == 1", "found a division by zero in predicate.min % 0"),
        ("-predicate.min == 1", "found a number too large in -predicate.min"),
        ("predicate.big / 0u == 1u", "found a division by zero in predicate.big / 0u"),
        ("predicate.big + 1u == 1u", "found a number too large"),
        ("predicate.n - 4 * predicate.min == 1", "found a number too large"),
        ("-predicate.name == 'x'", "found \"openssl\" (a string) where a number is wanted"),
        ("predicate.ratio % predicate.ratio == 0.0", "found 1.5 (a double) % 1.5 (a double)"),
        ("predicate.name - predicate.name == ''", "found \"openssl\" (a string) - \"openssl\" (a string)"),
        ("predicate.list - predicate.list == []", "found [1, 2] (a list) - [1, 2] (a list)"),
        ("predicate.list + predicate.nested == []", "found [1, 2] (a list) + {\"a\": 1, \"b\": [2]} (a map)"),
        ("predicate.nested + predicate.list == []", "(a map) + [1, 2] (a list)"),
        ("predicate.list + predicate.n == []", "found [1, 2] (a list) + 3 (an int)"),
        (
            "[timestamp(predicate.when), 1][0] + [timestamp(predicate.when), 1][0] == 1",
            "(a timestamp) + 2026-03-01T12:00:00Z (a timestamp)",
        ),
        ("[duration('1h'), predicate.n][0].startsWith('x')", "found 3600s (a duration) where a string is wanted"),
        ("predicate.ratio.endsWith('x')", "found 1.5 (a double) where a string is wanted"),
        ("predicate.flag.contains('x')", "found true (a boolean) where a string is wanted"),
        ("predicate.big.lowerAscii() == 'x'", "found 18446744073709551615 (a uint) where a string is wanted"),
        ("predicate.name.contains(predicate.n)", "found 3 (an int) where a string is wanted"),
        ("size(predicate.n) == 1", "found 3 (an int) where a string, a list or a map is wanted"),
        ("string(predicate.list) == '1.5'", "found [1, 2] (a list) where a string, a boolean, a number or a time is wanted"),
        ("bool(predicate.n)", "found 3 (an int) where a string is wanted"),
        ("bool(predicate.name)", "found \"openssl\", which is no boolean"),
        ("double(predicate.flag) == 1.0", "found true (a boolean) where a number or a string is wanted"),
        ("double('+1') == predicate.ratio", "found \"+1\", which is no number"),
        ("double('inf') > predicate.ratio", "found \"inf\", which is no number"),
        ("double('-inf') < predicate.ratio", "found \"-inf\", which is no number"),
        ("double('nan') > predicate.ratio || predicate.gone", "found \"nan\", which is no number"),
        ("int(predicate.flag) == 1", "found true (a boolean) where a number or a string is wanted"),
        ("int(predicate.big) == 1", "found 18446744073709551615, which is no int"),
        ("int(1e19) == predicate.n", "found 1e19, which is no int"),
        ("int('+1') == predicate.n", "found \"+1\", which is no int"),
        ("uint(predicate.min) == 1u", "found -9223372036854775808, which is no uint"),
        ("uint(predicate.flag) == 1u", "found true (a boolean) where a number or a string is wanted"),
        ("uint(-1.0) == 1u && predicate.flag", "found -1.0, which is no uint"),
        ("duration(predicate.n) == duration('1h')", "found 3 (an int) where a string is wanted"),
        ("timestamp(predicate.n) == signer.times[0]", "found 3 (an int) where a string is wanted"),
        ("predicate.name.matches('x') || predicate.n.matches('x')", "found 3 (an int) where a string is wanted"),
        ("has(predicate.n.x)", "found 3 (an int) where a map is wanted"),
        ("predicate.n.x == 1", "found 3 (an int) where a map is wanted"),
        ("'x' in predicate.n", "found 3 (an int) where a list or a map is wanted"),
        ("predicate.list in predicate.nested", "(a list) where a key is wanted"),
        ("predicate.nested[predicate.n] == 1", "found 3 (an int) where a key is wanted"),
        ("predicate.list[predicate.name] == 1", "found \"openssl\" (a string) where the number of an element is wanted"),
        ("predicate.n[0] == 1", "found 3 (an int) where a list or a map is wanted"),
        ("predicate.list[2] == 1", "found a list of 2 where predicate.list[2] looks further"),
    ] {
        finds(text, &predicate, Reason::ConditionError, wanted);
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
        finds(text, &predicate, Reason::ConditionFalse, wanted);
    }
}

#[test]
fn what_decided_is_told_once_and_in_the_documents_own_terms() {
    let predicate = json!({
        "builder": {"id": "evil", "version": 2, "trusted": false},
        "packages": [{"name": "openssl"}, {"name": "evil-x"}],
    });
    for (text, wanted) in [
        ("predicate.builder.trusted", "wants predicate.builder.trusted; found predicate.builder.trusted is false"),
        (
            "predicate.builder.id == 'x' || predicate.builder.id == 'y'",
            "wants predicate.builder.id == 'x' || predicate.builder.id == 'y'; found predicate.builder.id is \"evil\"",
        ),
        (
            "!(predicate.builder.version == 2 && predicate.builder.id == 'evil')",
            "wants !(predicate.builder.version == 2 && predicate.builder.id == 'evil'); found predicate.builder.version is 2 and predicate.builder.id is \"evil\"",
        ),
        (
            "!(predicate.builder.version == 3 || predicate.builder.id == 'evil')",
            "wants !(predicate.builder.version == 3 || predicate.builder.id == 'evil'); found predicate.builder.id is \"evil\"",
        ),
        (
            "!predicate.packages.exists(p, !(p.name == 'openssl'))",
            "wants !predicate.packages.exists(p, !(p.name == 'openssl')); found predicate.packages[1].name is \"evil-x\"",
        ),
        (
            "!predicate.packages.all(p, p.name != 'x')",
            "wants !predicate.packages.all(p, p.name != 'x'); found predicate.packages is [{\"name\": \"openssl\"}, {\"name\": \"evil-x\"}]",
        ),
        // An element that was told of is not what another part's variable stands for.
        (
            "predicate.packages.all(p, p.name == 'x') || predicate.packages.exists(q, q.name == 'y')",
            "wants predicate.packages.all(p, p.name == 'x') || predicate.packages.exists(q, q.name == 'y'); found predicate.packages[0].name is \"openssl\" and none of the 2 in predicate.packages",
        ),
    ] {
        assert_eq!(summary(text, &predicate), (Reason::ConditionFalse, wanted.to_owned()), "{text}");
    }
}

#[test]
fn what_has_no_value_refuses_and_says_where() {
    let predicate =
        json!({"builder": {"type": "x", "version": "2"}, "packages": [{"name": "a"}, {"id": 1}], "n": 0, "zero": 0.0});
    for (text, wanted) in [
        (
            "predicate.builder.id == 'x'",
            "wants predicate.builder.id; found no `id` in predicate.builder, which has type, version",
        ),
        ("predicate.nothing.at.all == 1", "found no `nothing` in predicate, which has builder, n, packages, zero"),
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
        ("predicate.zero / predicate.zero < predicate.builder.type", "found NaN (a double) < \"x\" (a string)"),
        ("predicate.builder.type > predicate.zero / predicate.zero", "found \"x\" (a string) > NaN (a double)"),
        ("{'x': 1, string(predicate.builder.type): 2}.size() == 1", "found a key twice in string(predicate.builder.type)"),
    ] {
        finds(text, &predicate, Reason::ConditionError, wanted);
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
            if predicate_type.contains("cyclonedx") {
                // As cosign 1 called it, and wrapped it.
                let condition = super::Condition { expressions: vec![parse(text, predicate_type).unwrap()] };
                super::judge_parsed(&condition, &super::statement("https://cyclonedx.org/schema", wrapped.to_string())).unwrap();
            }
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
    // Brackets stand where they are needed, and nowhere else.
    for (text, wanted) in [
        ("predicate.a - (2 - (predicate.b + 3) * -4) == 7 % (8 / predicate.c)", ""),
        ("(predicate.a || predicate.b) && !(predicate.c && predicate.d) || !predicate.e", ""),
        ("(predicate.a ? predicate.b : predicate.c) ? predicate.d : predicate.e ? true : false", ""),
        ("predicate.a || (predicate.b ? predicate.c : predicate.d)", ""),
        ("predicate.a == predicate.b == (predicate.c != predicate.d)", ""),
        ("predicate.a in predicate.b in [true, null, 1u, 1.5, {'k': 1, 'l': 2}]", ""),
        ("predicate.a.filter(x, x.y > 1.5).map(y, y.z, [y, {'k': y}]).exists_one(z, z[0] == [1])", ""),
        ("(predicate.a + predicate.b).size() >= (-predicate.c).d[1 + 1]", ""),
        ("!(predicate.a == 1) && (predicate.a > 1 ? true : false)", ""),
        ("-(-4) < predicate.a && -(-1.5) <= -predicate.b", ""),
        ("-(4) < -(1.5) && -(predicate.a) < -(0)", "-4 < -1.5 && -predicate.a < -0"),
        ("size(predicate.b) == 1 && matches(predicate.a, 'x')", "predicate.b.size() == 1 && predicate.a.matches('x')"),
        (
            "predicate.a < duration('1h30m') && timestamp('2026-01-01T00:00:00Z') < predicate.b",
            "predicate.a < duration('5400s') && timestamp('2026-01-01T00:00:00Z') < predicate.b",
        ),
        ("predicate.a == 'é💥\\'\\\\\\n'", "predicate.a == '\\u00e9\\U0001f4a5\\'\\\\\\u000a'"),
    ] {
        let shown = super::shown::expression(&parse(text, CUSTOM).unwrap().node, &[]);
        assert_eq!(shown, if wanted.is_empty() { text } else { wanted });
    }
}

#[test]
fn a_short_list_is_told_whole_and_a_long_one_by_its_beginning() {
    let numbers: Vec<usize> = (1..=23).collect();
    let whole = format!("found predicate.list is {}", json!(numbers).to_string().replace(',', ", "));
    assert!(summary("predicate.list == []", &json!({"list": numbers})).1.ends_with(&whole));
    let long: Vec<usize> = (1..=100).collect();
    let (_, told) = summary("predicate.list == []", &json!({"list": long}));
    assert!(told.contains("found predicate.list is [1, 2, 3, ") && told.ends_with(", 48, ...]"), "{told}");
}

#[test]
fn a_long_text_is_told_by_its_own_beginning_and_end() {
    let id = format!("https://acme.test/{}@refs/heads/main", "a".repeat(1_000));
    let (_, told) = summary("predicate.id == 'x'", &json!({"id": id}));
    assert!(told.contains("is \"https://acme.test/aaa") && told.ends_with("aaa@refs/heads/main\""), "{told}");
}
