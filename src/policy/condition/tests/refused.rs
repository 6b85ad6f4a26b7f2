//! Expressions that are refused when the policy is loaded. The `cel` crate compiles nearly every one of them.

use super::{CUSTOM, parse};
use crate::policy::spdx;

const SLSA: &str = "https://slsa.dev/provenance/v1";
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

fn refusal(text: &str, predicate_type: &str) -> String {
    parse(text, predicate_type).map(|expression| panic!("{expression:?} is accepted")).unwrap_err()
}

#[test]
fn each_kind_of_wrong_expression_is_refused_with_its_place_and_what_to_write() {
    for (text, message) in [
        // Names.
        ("package.name == 'x'", "`package.name == 'x'`, column 1: reserved identifier: package"),
        ("predicat.name == 'x'", "column 1: unknown name `predicat`; did you mean `predicate`?"),
        ("attestation.name == 'x'", "unknown name `attestation`; a condition sees predicate, statement, signer and image"),
        ("predicate.all(p, q.name == 'x')", "column 18: unknown name `q`"),
        ("signer.isuer == 'x'", "column 7: unknown field `isuer`; did you mean `issuer`?"),
        ("signer.claims.runner_enviroment == 'x'", "unknown field `runner_enviroment`; did you mean `runner_environment`?"),
        ("signer.claims['runner_enviroment'] == 'x'", "did you mean `runner_environment`?"),
        ("image.tag == 'v1'", "unknown field `tag`; a condition cannot see the tag: its answer is remembered by digest"),
        ("now < signer.times[0]", "unknown name `now`; a condition cannot see the clock"),
        (
            "now() < signer.times[0]",
            "unknown function `now`; a condition cannot see the clock: its answer is remembered; write max_age",
        ),
        ("statement.predicate.x == 1", "write predicate alone"),
        ("statement.subject[0].name == 'x'", "its subject is image.digest"),
        // Functions and their arguments.
        ("predicate.name.contians('x')", "column 24: unknown function `contians`; did you mean `contains`?"),
        ("predicate.name.split('/')[0] == 'x'", "unknown function `split`; there are bool, contains, "),
        ("predicate.created.getFullYear() > 2020", "unknown function `getFullYear`"),
        ("predicate.name.startsWith()", "wrong arguments of `startsWith`; write text.startsWith('…')"),
        ("predicate.name.startsWith('a', 'b')", "wrong arguments of `startsWith`"),
        ("startsWith(predicate.name, 'a')", "wrong arguments of `startsWith`"),
        ("predicate.x.int() == 1", "wrong arguments of `int`; write int(number or text)"),
        ("size(predicate, predicate) == 1", "wrong arguments of `size`"),
        ("predicate.packages.exists(p)", "wrong arguments of `exists`; write list.exists(x, condition)"),
        ("predicate.packages.all(p.name, true)", "argument must be a simple name"),
        ("has(predicate)", "invalid argument to has() macro"),
        ("has(predicate['x'])", "invalid argument to has() macro"),
        ("size(predicate.x, ) == 1", "column 19: "),
        // Patterns.
        ("predicate.name.matches('(')", "column 24: the pattern `(` unclosed group"),
        ("predicate.name.matches('(a{100}){100}')", "is compiled to more than 65536 bytes"),
        ("predicate.name.matches(predicate.pattern)", "the pattern of matches() must be written out"),
        ("predicate.name.matches('^' + image.repository)", "the pattern of matches() must be written out"),
        ("predicate.name.matches()", "wrong number of arguments"),
        // Types.
        ("predicate.packages.size()", "yields an int, and a condition is true or false"),
        ("signer.issuer", "yields a string, and a condition is true or false"),
        ("predicate.packages.filter(p, p.x == 1)", "yields a list"),
        ("predicate.packages.map(p, p.x == 1)", "yields a list"),
        ("signer.issuer == 1", "compares a string with an int, which are never equal"),
        ("signer.issuer > 1", "cannot compare a string > an int"),
        ("predicate.name == 'x' && 'y'", "a part of && is a string, not true or false"),
        ("predicate.name || predicate.size() > 1 || 5", "a part of || is an int"),
        ("!signer.issuer", "what stands behind `!` is a string"),
        ("predicate.x ? 1 : 2", "yields an int"),
        ("signer.issuer ? true : false", "what stands before `?` is a string"),
        ("signer.issuer + 1 == 'x1'", "cannot compute a string + an int; convert one, as in string(…)"),
        ("1 + 1.5 > predicate.x", "cannot compute an int + a double; convert one, as in double(…)"),
        ("-signer.issuer == 'x'", "cannot negate a string"),
        ("predicate.name.contains(1)", "contains() does not take an int; write text.contains('…')"),
        ("size(1) == predicate.x", "size() does not take an int"),
        ("signer.times.exists(t, t == '2026-01-01')", "compares a timestamp with a string, which are never equal"),
        ("'x' in signer.issuer", "looks for a string in a string; for a part of a string write text.contains(…)"),
        ("signer.issuer in [1, 2]", "looks for a string in a list whose elements are an int"),
        ("1 in signer.claims", "looks for an int in a map whose keys are strings"),
        ("signer.issuer.exists(x, x == 'a')", "exists() goes through a list or a map, found a string"),
        ("signer.times.all(t, t)", "the condition of all() is a timestamp, not true or false"),
        ("signer.times.issuer == 'x'", "`issuer` of a list, which has no fields; write list.exists(x, x.…) or list[0].…"),
        ("signer.issuer.x == 'x'", "`x` of a string, which has no fields"),
        ("signer.issuer[0] == 'x'", "cannot take element an int of a string"),
        ("{1: 2} == predicate", "the keys of a map are strings"),
        ("{'low': 1, 'high': 2, \"low\": 3}[predicate.x] > 1", "the map has the key 'low' twice"),
        ("[predicate][0].matches('x') == signer.times", "which are never equal"),
        ("signer.times['first'] > signer.times[0]", "cannot take element a string of a list"),
        ("signer.times[0.0] > signer.times[0]", "cannot take element a double of a list"),
        ("predicate.list[1.5] == 'x'", "cannot take element a double of any value"),
        ("predicate.list[true] == 'x'", "cannot take element a boolean of any value"),
        ("{'low': 1}[1] == predicate.n", "cannot take element an int of a map"),
        ("signer[0] == 'x'", "cannot take element an int of a map"),
        ("1.5 % 1.0 == predicate.x", "cannot compute a double % a double"),
        ("predicate.x % 1.5 == 0.0", "cannot compute any value % a double"),
        ("1 + signer.issuer == '1x'", "cannot compute an int + a string; convert one, as in string(…)"),
        ("predicate.x - 'a' == 'b'", "cannot compute any value - a string"),
        ("predicate.x - [1] == [2]", "cannot compute any value - a list"),
        ("predicate.x + true == 2", "cannot compute any value + a boolean"),
        ("predicate.age * duration('1h') > duration('2h')", "cannot compute any value * a duration"),
        ("[1] < [2] && predicate.x", "cannot compare a list < a list"),
        ("null < predicate.x", "cannot compare null < any value"),
        ("{'a': 1} >= {'a': 1} && predicate.x", "cannot compare a map >= a map"),
        ("[1] == ['a'] && predicate.x", "compares a list with a list, which are never equal"),
        ("{'a': 1} == {'a': 'b'} && predicate.x", "compares a map with a map, which are never equal"),
        ("signer == [1]", "compares a map with a list, which are never equal"),
        ("duration('1h') < 1 && predicate.x", "cannot compare a duration < an int"),
        ("bool(1) && predicate.x", "bool() does not take an int; write bool(text)"),
        ("double(true) == predicate.x", "double() does not take a boolean; write double(number or text)"),
        ("uint(signer.times[0]) == predicate.x", "uint() does not take a timestamp; write uint(number or text)"),
        ("int(null) == predicate.x", "int() does not take null; write int(number or text)"),
        ("duration(1) == predicate.x", "duration() does not take an int; write duration('24h')"),
        ("timestamp(1u) == predicate.x", "timestamp() does not take a uint; write timestamp('2026-01-31T00:00:00Z')"),
        ("string([1.5]) == predicate.x", "string() does not take a list; write string(value)"),
        ("signer.times.upperAscii() == 'X'", "upperAscii() does not take a list; write text.upperAscii()"),
        // Times.
        ("signer.times[0] > timestamp('2026')", "`2026` is no timestamp; write timestamp('2026-01-31T00:00:00Z')"),
        ("signer.times[0] - signer.times[0] < duration('1 day')", "`1 day` is no duration; write duration('24h')"),
        // Syntax.
        ("predicate.name = 'x'", "column 16: cannot read '= '; write == to compare"),
        ("predicate.a == 1 and predicate.b == 2", "column 18: mismatched input 'and'; CEL writes &&, || and ! for and, or, not"),
        ("predicate.a == 1 & predicate.b == 2", "write && and ||"),
        ("predicate.a ==", "mismatched input"),
        ("predicate.a == 1 &&\n  predicate.b = 2", "line 2 column 15: cannot read '= '; write == to compare"),
        ("predicate.a == 1 &&\npredicat.b == 2", "line 2 column 1: unknown name `predicat`"),
        ("predicate.a | predicate.b", "write && and ||"),
        ("predicate.a or predicate.b", "CEL writes &&, || and ! for and, or, not"),
        ("predicate.a not in predicate.b", "CEL writes &&, || and ! for and, or, not"),
        ("predicate.name == 'x", "cannot read ''x'"),
        ("predicate.`a` == 1", "unsupported syntax"),
        ("predicate.?a == 1", "unsupported syntax"),
        ("Foo{a: 1} == predicate", "has no messages; write a map"),
        ("predicate.x == b'a'", "documents hold no bytes; write a string"),
        ("", "mismatched input"),
        ("predicate.a == 1 &&\n\n  signer.isuer == 'x'", "line 3 column 9: unknown field `isuer`"),
        // What says the same of every image.
        ("true", "reads neither predicate, statement, signer nor image"),
        ("1 == 1 || 'a'.startsWith('a')", "it says the same of every image"),
        // Comprehensions.
        ("predicate.a.all(a, a.b.all(b, b.c.all(c, c == 1)))", "nests comprehensions more than 2 deep: the work multiplies"),
        ("predicate.a.all(a, a.b.all(a, a == 1))", "`a` is the name of something else here; choose another"),
        ("predicate.a.all(signer, signer.issuer == 'x')", "`signer` is the name of something else here"),
    ] {
        let error = refusal(text, CUSTOM);
        assert!(error.contains(message), "{text}\n  wanted: {message}\n  found:  {error}");
    }
}

#[test]
fn types_that_fit_are_accepted_whatever_is_left_to_the_document() {
    for text in [
        "signer.issuer + '/' + signer.subject == predicate.id",
        "'runner_environment' in signer.claims && predicate.x in {'a': 1}",
        "signer.times[1u] > signer.times[predicate.n]",
        "{'low': 1, 'high': 2}[predicate.severity] > 1 && {'low': 1}['low'] == predicate.n",
        "predicate.list[0] == predicate.list[1u] && predicate.map['a'] == predicate.map[predicate.key]",
        "predicate.at + duration('1h') > predicate.at - duration('1h')",
        "predicate.x + predicate.y == 3 && predicate.x % predicate.y == 1",
        "signer.times + [timestamp(predicate.at)] == predicate.times",
        "predicate.list.size() == 2.0 && signer.issuer in [1, 'a'] && signer == {'issuer': predicate.x}",
        "(predicate.a == 1) < true && 1 < 1.5 && [predicate.x] == [1] && {'a': [1]} == {'a': [predicate.x]}",
        "bool('true') && double('1.5') < double(2) && int('1') < int(2u) && uint('1') < uint(2) && predicate.x",
        "string(1) == string('1') && string(true) == string(signer.times[0]) && string(2u) == string(duration('1h')) && predicate.x",
        "int(signer.times[0]) > 0 && timestamp(signer.times[0]) == timestamp('2026-01-01T00:00:00Z')",
        "size('a') == size([1]) && size({'a': 1}) < size(signer.claims) && duration(duration('1h')) == duration('1h')",
        "predicate.a.exists(a, predicate.b.exists(b, a == b)) && predicate.a.exists(a, a == 1)",
    ] {
        parse(text, CUSTOM).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert!(refusal("predicate.name name == 'x'", CUSTOM).ends_with("mismatched input 'name'"));
    // Nothing helps a sum of a time and a number.
    assert!(refusal("signer.times[0] + 1 == predicate.at", CUSTOM).ends_with("cannot compute a timestamp + an int"));
}

#[test]
fn length_number_of_parts_and_depth_are_bounded() {
    let long = format!("predicate.name == '{}'", "x".repeat(super::expr::MAX_LENGTH));
    assert!(refusal(&long, CUSTOM).contains("more than the 4096 of an expression; split it"));
    let many = format!("predicate.x in [{}1]", "1,".repeat(600));
    assert!(refusal(&many, CUSTOM).contains("has more than 500 parts; split it"));
    for deep in [
        format!("predicate{} == 1", ".a".repeat(200)),
        format!("predicate.x == 0{}", "+1".repeat(200)),
        format!("{}predicate.x{}", "(".repeat(100), ")".repeat(100)),
        format!("{}predicate.x{}", "!(".repeat(45), ")".repeat(45)),
        format!("predicate.x == {}1{}", "[".repeat(45), "]".repeat(45)),
        "(".repeat(4000),
        "[".repeat(4096),
        "{".repeat(4096),
        "f(".repeat(2000),
        format!("predicate{}", "[0]".repeat(1300)),
        format!("predicate{}", "?1:1".repeat(1000)),
    ] {
        let error = refusal(&deep, CUSTOM);
        assert!(error.contains("deep") || error.contains("parts") || error.contains("mismatched"), "{deep}: {error}");
    }
    // Up to each bound, and one more.
    let of_bytes = |bytes: usize| format!("predicate.name == '{}'", "x".repeat(bytes - "predicate.name == ''".len()));
    let of_parts = |parts: usize| format!("predicate.x in [{}1]", "1,".repeat(parts - 5));
    let methods = |depth: usize| format!("predicate{}", ".lowerAscii()".repeat(depth - 1)) + " == 'x'";
    let fields = |depth: usize| format!("predicate{} == 1", ".a".repeat(depth - 1));
    let joined = |depth: usize| format!("predicate.b && {}", fields(depth - 1));
    let elements = |depth: usize| format!("predicate{} == 1", "[0]".repeat(depth - 1));
    let lists = |depth: usize| format!("predicate == {}1{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let maps = |depth: usize| format!("predicate == {}1{}", "{'a': ".repeat(depth - 1), "}".repeat(depth - 1));
    let wrong = [
        (of_bytes(4096), of_bytes(4097), "has 4097 bytes, more than the 4096"),
        (of_parts(500), of_parts(501), "has more than 500 parts"),
        (methods(40), methods(41), "nests more than 40 deep"),
        (fields(40), fields(41), "nests more than 40 deep"),
        (joined(40), joined(41), "nests more than 40 deep"),
        (elements(40), elements(41), "nests more than 40 deep"),
        (lists(40), lists(41), "nests more than 40 deep"),
        (maps(40), maps(41), "nests more than 40 deep"),
    ];
    for (most, more, message) in wrong {
        parse(&most, CUSTOM).unwrap_or_else(|error| panic!("{most}: {error}"));
        let error = refusal(&more, CUSTOM);
        assert!(error.contains(message), "{more}: {error}");
    }
    let wide = format!("predicate.x == 0{}", " || predicate.x == 1".repeat(100));
    parse(&wide, CUSTOM).unwrap();
}

#[test]
fn types_that_no_document_has_are_found_in_a_dry_run() {
    for (predicate_type, text, message) in [
        (spdx::TYPE, "predicate.packages > 3", "finds [{\"SPDXID\": "),
        (spdx::TYPE, "predicate.packages.name == 'openssl'", "where a map is wanted"),
        (
            spdx::TYPE,
            "predicate.packages.exists(p, p.name == 'x') || predicate.name.all(c, c == 'x')",
            "where a list or a map is wanted",
        ),
        (spdx::TYPE, "predicate.name == 'x' && predicate.name > 3", "\"acme/app\" (a string) > 3 (an int)"),
        (spdx::TYPE, "predicate.packages.all(p, p.externalRefs.startsWith('pkg:'))", "predicate.packages[0].externalRefs"),
        (spdx::TYPE, "predicate['@graph'].exists(e, e.name)", "where true or false is wanted"),
        (spdx::TYPE, "predicate.name", "yields a string of an example of https://spdx.dev/Document, not true or false"),
        (spdx::TYPE_2_3, "predicate.creationInfo.creators.contains('Tool: syft')", "where a string is wanted"),
        ("https://cyclonedx.org/bom", "predicate.components[0].licenses.id == 'MIT'", "where a map is wanted"),
        ("https://cyclonedx.org/bom/v1.6", "predicate.version.startsWith('1')", "1 (an int) where a string is wanted"),
        ("https://slsa.dev/provenance/v0.2", "predicate.materials.uri == 'x'", "where a map is wanted"),
        (SLSA, "predicate.runDetails.builder.startsWith('https://github.com/')", "where a string is wanted"),
        // What is never equal would be true of every document, or of none.
        (spdx::TYPE, "predicate.spdxVersion != 2.2", "\"SPDX-2.3\" (a string) != 2.2 (a double)"),
        (
            spdx::TYPE,
            "predicate.packages.all(p, p.licenseDeclared != ['AGPL-3.0-only'])",
            "(a string) != [\"AGPL-3.0-only\"] (a list)",
        ),
        (
            spdx::TYPE,
            "!predicate.packages.exists(p, p.externalRefs == 'pkg:npm/evil')",
            "(a list) == \"pkg:npm/evil\" (a string)",
        ),
        (spdx::TYPE, "!('log4j-core' in predicate.packages)", "\"log4j-core\" (a string) in "),
        (spdx::TYPE, "predicate.packages[0] != predicate.packages", "(a map) != "),
        // As is what stands beside a part that decides.
        (
            spdx::TYPE,
            "(predicate.name != 'x' || predicate.nothing == 1) == (predicate.name > 3)",
            "\"acme/app\" (a string) > 3 (an int)",
        ),
        // Both branches are tried, whichever the example takes.
        (spdx::TYPE, "predicate.name == 'x' ? predicate.name > 3 : true", "\"acme/app\" (a string) > 3 (an int)"),
        (spdx::TYPE, "predicate.name != 'x' ? true : predicate.name > 3", "\"acme/app\" (a string) > 3 (an int)"),
        (spdx::TYPE, "predicate.name == 'x' ? predicate.nothing.at.all : predicate.name", "yields a string"),
        (SLSA, "predicate.runDetails.builder.id == 'x' ? predicate.runDetails.builder.id : true", "yields a boolean"),
        (
            VULN,
            "predicate.scanner.result.matches.filter(m, m.vulnerability.severity > 7).size() == 0",
            "\"Critical\" (a string) > 7 (an int)",
        ),
        (VULN, "predicate.scanner.result.Results.all(r, r.Vulnerabilities.Severity != 'CRITICAL')", "where a map is wanted"),
        ("https://openvex.dev/ns/v0.2.0", "predicate.statements.status == 'fixed'", "where a map is wanted"),
    ] {
        if text.starts_with("predicate.runDetails.builder.id == 'x' ?") {
            // The branch that is not taken is a string: of some document the whole would be one.
            parse(text, predicate_type).unwrap();
            continue;
        }
        let error = refusal(text, predicate_type);
        assert!(error.contains(message), "{text}\n  wanted: {message}\n  found:  {error}");
        assert!(parse(text, CUSTOM).is_ok(), "only the document shows it: {text}");
    }
    // What documents may lack is no error, and no example decides what is true.
    for text in [
        "predicate.packages.all(p, p.name != null)",
        "predicate.packages.all(p, !(p.name in ['a', 'b']))",
        "!('Tool: x' in predicate.creationInfo.creators)",
        "predicate.packages.all(p, !(p.name in []))",
        "predicate.packages.all(p, !(p.name in [1, 'x', null]))",
        "predicate.packages.all(p, !(p.name in [null]))",
        "predicate.packages.size() != 1.5 && predicate.packages.size() in [1.0, 2u]",
        "predicate.packages.all(p, p.nothing == 1)",
        "predicate.packages.size() > 1000",
        "predicate.nothing.at.all",
    ] {
        parse(text, spdx::TYPE).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
