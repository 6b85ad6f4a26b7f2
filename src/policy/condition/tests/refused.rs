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
        ("[predicate][0].matches('x') == signer.times", "which are never equal"),
        // Times.
        ("signer.times[0] > timestamp('2026')", "`2026` is no timestamp; write timestamp('2026-01-31T00:00:00Z')"),
        ("signer.times[0] - signer.times[0] < duration('1 day')", "`1 day` is no duration; write duration('24h')"),
        // Syntax.
        ("predicate.name = 'x'", "column 16: cannot read '= '; write == to compare"),
        ("predicate.a == 1 and predicate.b == 2", "column 18: mismatched input 'and'; CEL writes &&, || and ! for and, or, not"),
        ("predicate.a == 1 & predicate.b == 2", "write && and ||"),
        ("predicate.a ==", "mismatched input"),
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
            "predicate.packages.exists(p, p == 1) || predicate.name.all(c, c == 'x')",
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
    for text in ["predicate.packages.all(p, p.nothing == 1)", "predicate.packages.size() > 1000", "predicate.nothing.at.all"] {
        parse(text, spdx::TYPE).unwrap();
    }
}
