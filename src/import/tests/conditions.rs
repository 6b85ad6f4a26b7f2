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
fn flags_are_read_as_kubernetes_reads_them() {
    let entry = |flag: &str| verify(&format!("          mutateDigest: {flag}\n"), "");
    for flag in ["no", "Off", "n", "FALSE"] {
        assert!(entry(flag).report.text().contains("`verifyDigest` without `mutateDigest`"), "{flag}");
    }
    for flag in ["yes", "On", "Y", "True"] {
        assert!(entry(flag).report.text().contains("are not needed"), "{flag}");
    }
}
