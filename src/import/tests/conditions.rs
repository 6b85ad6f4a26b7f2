//! What becomes of Kyverno's conditions on a statement.

use super::{super::settle::NEVER, *};

/// A type whose documents nobody here knows.
const CUSTOM: &str = "https://acme.test/review/v1";

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    for (value, cel) in [
        ("true", Some("predicate.a == true")),
        ("True", Some("predicate.a == true")),
        ("yes", Some("predicate.a == true")),
        ("y", Some("predicate.a == true")),
        ("ON", Some("predicate.a == true")),
        ("False", Some("predicate.a == false")),
        ("no", Some("predicate.a == false")),
        ("N", Some("predicate.a == false")),
        ("Off", Some("predicate.a == false")),
        ("'yes'", Some(r#"predicate.a == "yes""#)),
        ("\"False\"", Some(r#"predicate.a == "False""#)),
        ("yEs", Some(r#"predicate.a == "yEs""#)),
        ("12", Some("predicate.a == 12")),
        ("-3", Some("predicate.a == -3")),
        ("2026-01-31", Some(r#"predicate.a == "2026-01-31""#)),
        ("12:30", Some(r#"predicate.a == "12:30""#)),
        // Octal, hexadecimal, binary, with underscores, a fraction, beyond doubles: no number that all read alike.
        ("0777", None),
        ("0x1F", None),
        ("0b11", None),
        ("0o17", None),
        ("1_000", None),
        ("+5", None),
        ("1.5", None),
        ("1E3", None),
        (".INF", None),
        ("9007199254740993", None),
    ] {
        let made = condition(CUSTOM, &format!("{{key: '{{{{ a }}}}', operator: Equals, value: {value}}}"));
        let wanted = cel.unwrap_or(NEVER);
        assert_eq!(required(&made), [wanted], "{value}\n{}", made.policies);
        assert_eq!(made.report.text().contains("lost (refuses)"), cel.is_none(), "{value}: {}", made.report.text());
    }
    // In a list too: `NO` is no country there.
    for (list, said) in [("[DE, AT]", true), ("[DE, NO]", false), ("[DE, 'NO']", true), ("[DE, 1_0]", false)] {
        let made = condition(CUSTOM, &format!("{{key: '{{{{ a }}}}', operator: AnyIn, value: {list}}}"));
        assert_eq!(required(&made) != [NEVER], said, "{list}\n{}", made.policies);
    }
}

#[test]
fn lists_are_compared_element_by_element_as_there() {
    for (operator, ways) in [
        ("AnyIn", [r#"predicate.a in ["x"]"#, r#"predicate.a + [] == predicate.a && predicate.a.exists(x, x in ["x"])"#]),
        ("AllIn", [r#"predicate.a in ["x"]"#, r#"predicate.a.filter(x, x in ["x"]) == predicate.a"#]),
        ("In", [r#"predicate.a in ["x"]"#, r#"predicate.a.filter(x, x in ["x"]) == predicate.a"#]),
        (
            "AnyNotIn",
            [
                r#"predicate.a.matches("^[^*?]*$") && !(predicate.a in ["x"])"#,
                r#"predicate.a.filter(x, x.matches("^[^*?]*$")) == predicate.a && predicate.a.exists(x, !(x in ["x"]))"#,
            ],
        ),
        (
            "AllNotIn",
            [
                r#"predicate.a.matches("^[^*?]*$") && !(predicate.a in ["x"])"#,
                r#"predicate.a != [] && predicate.a.filter(x, x.matches("^[^*?]*$") && !(x in ["x"])) == predicate.a"#,
            ],
        ),
    ] {
        let made = condition(CUSTOM, &format!("{{key: '{{{{ a }}}}', operator: {operator}, value: [x]}}"));
        assert_eq!(required(&made), [format!("({}) || ({})", ways[0], ways[1])], "{operator}\n{}", made.policies);
        assert!(made.report.text().contains("a value that has `*` or `?` in it"), "{operator}\n{}", made.report.text());
    }
    // Where the type says what is there, it is said so.
    let said = |key: &str, operator: &str, value: &str| {
        let kind = "https://spdx.dev/Document/v2.3";
        required(&condition(kind, &format!("{{key: '{{{{ {key} }}}}', operator: {operator}, value: ['{value}']}}"))).remove(0)
    };
    let creators = said("creationInfo.creators", "AllNotIn", "Tool: x");
    assert!(creators.starts_with("predicate.creationInfo.creators != [] && "), "{creators}");
    assert_eq!(said("spdxVersion", "AnyIn", "SPDX-2.3"), r#"predicate.spdxVersion in ["SPDX-2.3"]"#);
}

#[test]
fn one_that_holds_makes_up_for_no_other_that_has_no_value() {
    let any = |list: &str| conditions(CUSTOM, &format!("[{{any: [{list}]}}]"), "");
    let a = "{key: '{{ a }}', operator: Equals, value: true}";
    assert_eq!(
        required(&any(&format!("{a}, {{key: '{{{{ b.c }}}}', operator: Equals, value: x}}"))),
        ["[predicate.a, predicate.b.c].size() == 2", r#"(predicate.a == true) || (predicate.b.c == "x")"#]
    );
    // The call itself must have a value: of what is no text it has none.
    assert_eq!(
        required(&any(&format!("{a}, {{key: \"{{{{ regex_match('^x$', b) }}}}\", operator: Equals, value: true}}")))[0],
        r#"[predicate.a, predicate.b.matches("^x$")].size() == 2"#
    );
    // One that has no form is left out while what it reads is there, unless it could fail in another way.
    assert_eq!(
        required(&any(&format!("{a}, {{key: '{{{{ b }}}}', operator: Equals, value: 10Mi}}"))),
        ["[predicate.a, predicate.b].size() == 2", "(predicate.a == true)"]
    );
    for (unknown, lost) in [
        ("{key: '{{ b | length(@) }}', operator: Equals, value: 1}", 2),
        ("{key: '{{ b }}', operator: Equals, value: '{{ c }}'}", 2),
    ] {
        let made = any(&format!("{a}, {unknown}"));
        assert_eq!(required(&made), [NEVER], "{unknown}");
        let refuses = made.report.findings.iter().filter(|finding| finding.effect == Some(Effect::Refuses)).count();
        assert_eq!(refuses, lost, "{}", made.report.text());
    }
    assert_eq!(required(&any("")), [NEVER]);
}

#[test]
fn what_is_no_part_of_a_statement_refuses_and_is_told() {
    let rule = "      context: [{name: mine, variable: {value: x}}, {name: dotted.name, variable: {value: x}}]\n";
    for root in ["request.namespace", "serviceAccountName", "images.a", "elementIndex0", "target.a", "mine", "mine.a", "dotted.x"]
    {
        for key in [
            root.to_owned(),
            format!("regex_match(''^x$'', {root})"),
            format!("time_since({q}, ''{{{{ {root} }}}}'', {q})", q = "''''"),
        ] {
            let made =
                conditions(CUSTOM, &format!("[{{all: [{{key: '{{{{ {key} }}}}', operator: NotEquals, value: prod}}]}}]"), rule);
            assert_eq!(required(&made), [NEVER], "{key}");
            assert!(made.report.text().contains("which is no part of the statement"), "{key}: {}", made.report.text());
        }
    }
    let other = conditions(CUSTOM, "[{all: [{key: '{{ requested }}', operator: Equals, value: prod}]}]", rule);
    assert_eq!(required(&other), [r#"predicate.requested == "prod""#]);
}

#[test]
fn a_comparison_outside_of_all_and_any_asks_for_nothing_there_nor_here() {
    let flat = "{key: '{{ a }}', operator: Equals, value: x, message: m}";
    let made = conditions(CUSTOM, &format!("[{flat}]"), "");
    assert!(required(&made).is_empty(), "{}", made.policies);
    let report = made.report.text();
    assert!(report.contains("stands outside of `all` and `any`") && !report.contains("not known to this importer"), "{report}");
    // Beside others, which are asked.
    let made = conditions(CUSTOM, &format!("[{flat}, {{all: [{{key: '{{{{ b }}}}', operator: Equals, value: z}}]}}]"), "");
    assert_eq!(required(&made), [r#"predicate.b == "z""#], "{}", made.policies);
}

#[test]
fn the_least_of_several_scan_ages_counts_and_days_are_none() {
    let aged = |ages: &[&str]| {
        let one = |age: &&str| {
            format!(
                "{{key: \"{{{{ time_since('','{{{{metadata.scanFinishedOn}}}}','') }}}}\", operator: LessThan, value: {age}}}"
            )
        };
        let list: Vec<String> = ages.iter().map(one).collect();
        condition("https://cosign.sigstore.dev/attestation/vuln/v1", &list.join(", "))
    };
    for (ages, least) in [(&["24h", "720h"][..], "24h"), (&["720h", "24h"], "24h"), (&["90m", "1h"], "1h"), (&["1h30m"], "1h30m")]
    {
        let made = aged(ages);
        assert!(made.policies.contains(&format!("scan_max_age: {least}\n")), "{ages:?}\n{}", made.policies);
    }
    for age in ["7d", "1week", "1 h", "h"] {
        let made = aged(&["24h", age]);
        assert_eq!(required(&made), [NEVER], "{age}\n{}", made.policies);
        assert!(made.report.text().contains("which Go reads as no duration"), "{age}: {}", made.report.text());
    }
}

#[test]
fn flags_are_read_as_kubernetes_reads_them() {
    let entry = |flag: &str| verify(&format!("          mutateDigest: {flag}\n"), "");
    for flag in ["no", "Off", "n", "FALSE"] {
        assert!(entry(flag).report.text().contains("`verifyDigest` without `mutateDigest`"), "{flag}");
    }
    for flag in ["yes", "On", "Y", "True"] {
        assert!(!entry(flag).report.text().contains("without `mutateDigest`"), "{flag}");
    }
}
