use std::path::Path;

use super::*;
use crate::yaml::{self, Sink};

/// What `parse` makes of one YAML value, or its problems.
pub(super) fn parsed<T>(yaml: &str, parse: impl FnOnce(&Cursor<'_>) -> Option<T>) -> Result<T, Vec<String>> {
    let sink = Sink::new(Path::new("p.yaml"));
    let documents = yaml::documents(yaml, &sink).unwrap_or_default();
    let found = documents.first().and_then(|node| parse(&Cursor::new(node, &sink)));
    let problems: Vec<String> = sink.into_problems().iter().map(ToString::to_string).collect();
    match found {
        Some(found) if problems.is_empty() => Ok(found),
        Some(_) | None => Err(problems),
    }
}

fn checks(predicate_type: &str, yaml: &str) -> Result<Checks, Vec<String>> {
    let predicate_type = predicate_type.parse().unwrap();
    parsed(yaml, |cursor| Checks::parse(&cursor.fields(KEYS, &[])?, &predicate_type))
}

const SPDX: &str = include_str!("../documents/testdata/syft-spdx-2.3.json");
const SPDX_3: &str = include_str!("../documents/testdata/spdx-3.0.1.json");
const FILES: &str = include_str!("../documents/testdata/bom-spdx-2.2-files.json");
const CYCLONEDX: &str = include_str!("../documents/testdata/syft-cyclonedx-1.6.json");
const GRYPE: &str = include_str!("../documents/testdata/grype-vuln.json");
const TRIVY: &str = include_str!("../documents/testdata/trivy-vuln.json");
const GITHUB: &str = include_str!("../documents/testdata/github-slsa-1.json");
const GENERATOR: &str = include_str!("../documents/testdata/slsa-github-generator-0.2.json");
const OPENVEX: &str = include_str!("../documents/testdata/openvex-0.2.json");

const SPDX_TYPE: &str = "https://spdx.dev/Document";
const CYCLONEDX_TYPE: &str = "https://cyclonedx.org/bom";
const VULN_TYPE: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

fn judge(predicate_type: &str, yaml: &str, document: &str) -> Result<Checked, Unfit> {
    let statement = Statement { predicate_type: predicate_type.into(), predicate: Predicate::from(document.to_owned()) };
    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    checks(predicate_type, yaml).unwrap().judge(
        &predicate_type.parse().unwrap(),
        &statement,
        now,
        &crate::policy::deny::DeniedPackages::default(),
    )
}

fn failure(predicate_type: &str, yaml: &str, document: &str) -> (Reason, String) {
    match judge(predicate_type, yaml, document) {
        Err(Unfit::Failed(failure)) => (failure.reason, failure.summary),
        other => panic!("{yaml}: {other:?}"),
    }
}

#[test]
fn a4_every_type_is_read_and_what_only_claims_it_is_malformed() {
    let types = [
        (SPDX_TYPE, SPDX),
        (SPDX_TYPE, SPDX_3),
        ("https://spdx.dev/Document/v2.3", SPDX),
        ("https://spdx.dev/Document/v3.0.1", SPDX_3),
        (CYCLONEDX_TYPE, CYCLONEDX),
        ("https://cyclonedx.org/bom/v1.6", CYCLONEDX),
        (VULN_TYPE, GRYPE),
        (VULN_TYPE, TRIVY),
        ("https://slsa.dev/provenance/v1", GITHUB),
        ("https://slsa.dev/provenance/v0.2", GENERATOR),
        ("https://openvex.dev/ns", OPENVEX),
        ("https://openvex.dev/ns/v0.2.0", OPENVEX),
    ];
    for (predicate_type, document) in types {
        assert_eq!(judge(predicate_type, "{}", document), Ok(Checked::default()), "{predicate_type}");
        for other in ["{}", "null", "[]", "\"\""].into_iter().chain(types.iter().map(|(_, other)| *other)) {
            let format = |document: &str| {
                types.iter().filter(|(kind, text)| *text == document && predicate_type.starts_with(kind)).count()
            };
            if format(other) == 0 {
                assert!(matches!(judge(predicate_type, "{}", other), Err(Unfit::Malformed(_))), "{predicate_type}: {other}");
            }
        }
    }
    for (predicate_type, document) in [
        ("https://spdx.dev/Document/v2.2", SPDX),
        ("https://spdx.dev/Document/v3", SPDX),
        ("https://spdx.dev/Document/v2.3", SPDX_3),
        ("https://cyclonedx.org/bom/v1.5", CYCLONEDX),
        ("https://openvex.dev/ns/v0.2.0", &OPENVEX.replace("/v0.2.0", "")),
    ] {
        let error = judge(predicate_type, "{}", document).unwrap_err();
        assert!(matches!(error, Unfit::Malformed(DocumentError::Version { .. })), "{predicate_type}: {error:?}");
    }
    assert!(judge("https://openvex.dev/ns", "{}", &OPENVEX.replace("/v0.2.0", "")).is_ok());
    assert!(judge("https://acme.test/custom", "{}", "{}").is_ok());
    assert_eq!(judge("https://acme.test/custom", "{}", "null"), Err(Unfit::Malformed(DocumentError::Missing("predicate"))));
}

#[test]
fn a8_a_document_without_packages_needs_allow_empty() {
    let cyclonedx = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}"#;
    let frame = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"operating-system","name":"alpine"}]}"#;
    let image = SPDX
        .replace("\"primaryPackagePurpose\"", "\"x\"")
        .replace("\"downloadLocation\"", "\"primaryPackagePurpose\": \"CONTAINER\", \"d\"");
    assert_eq!(failure(CYCLONEDX_TYPE, "{}", frame).0, Reason::SbomEmpty);
    assert_eq!(failure(SPDX_TYPE, "{}", &image).0, Reason::SbomEmpty, "the image itself is no package of it");
    for (predicate_type, document, sentence) in [
        (SPDX_TYPE, FILES, "wants packages; found none and 1 files in its SPDX-2.2 document (`allow_empty` is not set)"),
        (CYCLONEDX_TYPE, cyclonedx, "wants packages; found none in its CycloneDX 1.6 document (`allow_empty` is not set)"),
    ] {
        assert_eq!(failure(predicate_type, "{}", document), (Reason::SbomEmpty, sentence.to_owned()));
        assert_eq!(failure(predicate_type, "{allow_empty: false}", document).0, Reason::SbomEmpty);
        assert!(judge(predicate_type, "{allow_empty: true}", document).is_ok());
    }
}

#[test]
fn denied_packages_are_found_in_every_format() {
    for (predicate_type, document) in [(SPDX_TYPE, SPDX), (SPDX_TYPE, SPDX_3), (CYCLONEDX_TYPE, CYCLONEDX)] {
        for entry in [
            "{name: log4j-core, versions: \"<2.17.1\"}",
            "{purl: \"pkg:maven/org.apache.logging.log4j/log4j-core\", versions: \">=2.0, <2.17.1\"}",
            "\"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1\"",
        ] {
            let (reason, sentence) = failure(predicate_type, &format!("{{packages: {{deny: [pkg:npm/x, {entry}]}}}}"), document);
            assert_eq!(reason, Reason::PackageDenied);
            assert!(sentence.ends_with("found log4j-core 2.14.1"), "{sentence}");
        }
        for entry in [
            "{name: log4j-core, versions: \"<2.14.1\"}",
            "\"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0\"",
            "{name: log4j}",
        ] {
            assert!(judge(predicate_type, &format!("{{packages: {{deny: [{entry}]}}}}"), document).is_ok(), "{entry}");
        }
    }
}

#[test]
fn d4_what_the_deny_list_says_goes_first_wherever_in_the_document_it_stands() {
    let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
        {"type":"library","name":"a"},{"type":"library","name":"b"},{"type":"library","name":"c"}]}"#;
    let statement = Statement { predicate_type: CYCLONEDX_TYPE.into(), predicate: Predicate::from(text.to_owned()) };
    for (checks_deny, list, told) in [
        ("a", &["b"][..], "b is denied by the deny-list: INC-1; found b"),
        ("c", &["b"], "b is denied by the deny-list: INC-1; found b"),
        ("a", &["c", "b"], "b is denied by the deny-list: INC-1; found b"),
        ("b", &["d"], "wants no package b; found b of no stated version"),
        ("b", &[], "wants no package b; found b of no stated version"),
    ] {
        let yaml: String = list.iter().map(|name| format!("- {{package: {{name: {name}}}, reason: INC-1}}\n")).collect();
        let mut problems = Vec::new();
        let denials = crate::policy::deny::parse_denials(Path::new("deny.yaml"), &yaml, &mut problems);
        assert!(problems.is_empty() || list.is_empty(), "{problems:?}");
        let denied = crate::policy::deny::DenyList::new(denials);
        let checks = checks(CYCLONEDX_TYPE, &format!("{{packages: {{deny: [{{name: {checks_deny}}}]}}}}")).unwrap();
        let outcome = checks.judge(&CYCLONEDX_TYPE.parse().unwrap(), &statement, Timestamp::UNIX_EPOCH, denied.packages());
        match outcome {
            Err(Unfit::Failed(failure)) => assert_eq!(failure.summary, told, "{checks_deny} {list:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn licences_and_suppliers_are_checked_in_every_format() {
    for (predicate_type, document, allow) in [
        (SPDX_TYPE, SPDX, "[GPL-2.0-only, NOASSERTION, \"LicenseRef-https---www.apache.org-licenses-LICENSE-2.0.txt\"]"),
        (SPDX_TYPE, SPDX_3, "[GPL-2.0-only, Apache-2.0]"),
        (CYCLONEDX_TYPE, CYCLONEDX, "[GPL-2.0-only, MIT, {text: \"Apache License, Version 2.0\"}]"),
    ] {
        let (reason, sentence) = failure(predicate_type, "{licenses: {deny: [GPL-2.0-or-later]}}", document);
        assert_eq!(reason, Reason::LicenseDenied);
        assert!(sentence.contains("no licence GPL-2.0-or-later; found GPL-2.0-only in busybox 1.36.1-r29"), "{sentence}");
        assert!(judge(predicate_type, &format!("{{licenses: {{allow: {allow}}}}}"), document).is_ok(), "{allow}");
        assert!(judge(predicate_type, "{licenses: {deny: [AGPL-3.0-only]}}", document).is_ok());
        assert_eq!(failure(predicate_type, "{licenses: {allow: [GPL-2.0-only]}}", document).0, Reason::LicenseDenied);
        assert_eq!(failure(predicate_type, "{suppliers: {required: true}}", document).0, Reason::SupplierDenied);
        assert!(judge(predicate_type, "{suppliers: {deny: [Evil]}}", document).is_ok());
    }
    assert_eq!(failure(SPDX_TYPE, "{suppliers: {deny: [acme]}}", SPDX_3).0, Reason::SupplierDenied);
    assert!(judge(SPDX_TYPE, "{suppliers: {allow: [Acme], required: false}}", SPDX_3).is_ok());
}

#[test]
fn vulnerabilities_and_the_scan_s_age_are_checked_in_both_shapes() {
    for (document, id) in [(GRYPE, "GHSA-jfh8-c2jp-5v3q"), (TRIVY, "CVE-2021-44228")] {
        let (reason, sentence) = failure(VULN_TYPE, "{vulnerabilities: {max_severity: medium}}", document);
        assert_eq!(reason, Reason::VulnerabilityFound);
        assert!(sentence.starts_with(&format!("wants no vulnerability above medium; found {id} (critical) in ")), "{sentence}");
        assert!(judge(VULN_TYPE, "{vulnerabilities: {max_severity: medium, ignore: [CVE-2021-44228]}}", document).is_ok());
        let low = "{vulnerabilities: {max_severity: low, ignore: [CVE-2021-44228]}}";
        assert!(failure(VULN_TYPE, low, document).1.contains("CVE-2023-42366 (medium, no fix) in busybox 1.36.1-r29"));
        assert!(judge(VULN_TYPE, &low.replace("low", "none, ignore_unfixed: true"), document).is_ok());
        let until = judge(VULN_TYPE, "{vulnerabilities: {scan_max_age: 7d}}", document).unwrap().valid_until;
        assert_eq!(until, Some("2026-11-29T00:00:10Z".parse().unwrap()));
        assert_eq!(failure(VULN_TYPE, "{vulnerabilities: {scan_max_age: 1d}}", document).0, Reason::ScanTooOld);
    }
    for other in [r#"{"scanner":{"result":{"runs":[]}},"metadata":{}}"#, r#"{"scanner":{"result":{"results":[]}},"metadata":{}}"#]
    {
        assert_eq!(failure(VULN_TYPE, "{vulnerabilities: {max_severity: critical}}", other).0, Reason::ScanUnreadable);
        assert!(judge(VULN_TYPE, "{}", other).is_ok());
    }
}

#[test]
fn builder_and_source_of_provenance_are_checked() {
    for (predicate_type, document) in
        [("https://slsa.dev/provenance/v1", GITHUB), ("https://slsa.dev/provenance/v0.2", GENERATOR)]
    {
        assert!(judge(predicate_type, "{provenance: {source: https://github.com/acme/app}}", document).is_ok());
        let (reason, sentence) =
            failure(predicate_type, "{provenance: {source_pattern: \"https://github.com/mallory/*\"}}", document);
        assert_eq!(reason, Reason::ProvenanceMismatch);
        assert_eq!(sentence, "wants source https://github.com/mallory/*; found https://github.com/acme/app");
        let builder = "{provenance: {builder_pattern: \"https://github.com/slsa-framework/slsa-github-generator/**\"}}";
        assert_eq!(judge(predicate_type, builder, document).is_ok(), document == GENERATOR);
    }
}

#[test]
fn every_mistake_in_the_keys_is_told_with_its_place() {
    let problems = |predicate_type: &str, yaml: &str| checks(predicate_type, yaml).map(|_| ()).unwrap_err();
    let vuln = "{packages: {deny: [pkg:npm/x]}, allow_empty: true, vulnerabilities: {max_severity: hgh}}";
    assert_eq!(
        problems(VULN_TYPE, vuln),
        [
            "p.yaml:1:12: packages: `packages` is a check of SPDX and CycloneDX documents; `https://cosign.sigstore.dev/attestation/vuln/v1` is none",
            "p.yaml:1:46: allow_empty: `allow_empty` is a check of SPDX and CycloneDX documents; `https://cosign.sigstore.dev/attestation/vuln/v1` is none",
            "p.yaml:1:84: vulnerabilities.max_severity: wants none or negligible or low or medium or high or critical, found `hgh`; did you mean `high`?",
        ]
    );
    assert!(
        problems("https://slsa.dev/provenance/v1", "{vulnerabilities: {max_severity: low}}")[0]
            .contains("is a check of cosign's")
    );
    assert!(problems("https://acme.test/x", "{provenance: {builder: x}}")[0].contains("is a check of SLSA provenance"));
    for (yaml, message) in [
        ("{packages: {}}", "packages.deny: missing; write which"),
        ("{packages: {deny: []}}", "an empty list denies nothing"),
        ("{packages: {deny: [event-stream]}}", "write pkg:TYPE/event-stream, or {name: event-stream}"),
        ("{packages: {deny: [\"pkg:npm\"]}}", "is no package URL"),
        ("{packages: {deny: [\"pkg:npm/evil*\"]}}", "`*` is no pattern here"),
        ("{packages: {deny: [\"pkg:maven/org.evil.*/x\"]}}", "`*` is no pattern here"),
        ("{packages: {deny: [\"pkg:npm/x?arch=*\"]}}", "`*` is no pattern here"),
        ("{packages: {deny: [\"pkg:npm/log4j-{core,api}\"]}}", "`{` is no pattern here"),
        ("{packages: {deny: [\"pkg:npm/lo?g\"]}}", "`?` is no pattern here"),
        ("{packages: {deny: [{name: \"log4j-cor?\"}]}}", "`?` is no pattern here"),
        ("{packages: {deny: [{name: \"log4j-{core,api}\"}]}}", "`{` is no pattern here"),
        (
            "{packages: {deny: [{name: \"@acme/evil@3.3.6\"}]}}",
            "write {name: \"@acme/evil\", versions: \"3.3.6\"}, or a package URL where it is of the name",
        ),
        (
            "{packages: {deny: [\"pkg:deb/xz-utils\"]}}",
            "lacks the namespace that its type has; write pkg:deb/NAMESPACE/xz-utils, or {name: \"xz-utils\"} for any",
        ),
        ("{packages: {deny: [\"pkg:apk/xz@5.6.1-r0\"]}}", "write pkg:apk/NAMESPACE/xz, or {name: \"xz\"} for any"),
        ("{packages: {deny: [{purl: \"pkg:maven/log4j-core\", versions: <2}]}}", "write pkg:maven/NAMESPACE/log4j-core"),
        (
            "{packages: {deny: [\"pkg:npm/%40a/bar@<2.0\"]}}",
            "packages.deny[0]: `<2.0` is no one version; write {purl: \"pkg:npm/%40a/bar\", versions: \"<2.0\"}, or pkg:npm/%40a/bar for all of them",
        ),
        (
            "{packages: {deny: [{purl: \"pkg:npm/bar@1.*\"}]}}",
            "deny[0].purl: `1.*` is no one version; write {purl: \"pkg:npm/bar\", versions: \"<VERSION\"}",
        ),
        ("{packages: {deny: [\"pkg:npm/bar@latest\"]}}", "`latest` is no one version"),
        ("{packages: {deny: [{name: bar, versions: \">=3.0, <2.0\"}]}}", "no version is `>=3.0, <2.0`"),
        ("{packages: {deny: [\"pkg:npm/x#sub\"]}}", "names a part of a package"),
        ("{packages: {deny: [{name: x, purl: \"pkg:npm/x\"}]}}", "wants exactly one of name, purl"),
        ("{packages: {deny: [{name: \"pkg:npm/x\"}]}}", "write `purl: pkg:npm/x`"),
        ("{packages: {deny: [{name: x, version: \"1\"}]}}", "unknown key; did you mean `versions`?"),
        ("{packages: {deny: [{name: x, versions: ^1}]}}", "wants versions such as <2.17.1"),
        ("{packages: {deny: [{name: x, versions: []}]}}", "an empty list matches nothing"),
        ("{packages: {deny: [{purl: \"pkg:npm/x@1\", versions: <2}]}}", "write one of them"),
        ("{packages: {allow: [x], deny: [pkg:npm/x]}}", "unknown key; known here: deny"),
        ("{licenses: {}}", "asks for nothing; write `allow` or `deny`"),
        ("{licenses: {deny: []}}", "an empty list matches nothing"),
        ("{licenses: {deny: AGPL-3.0-only}}", "wants a list"),
        ("{licenses: {deny: [AGPL-3.0-onyl]}}", "is no licence of SPDX's list; did you mean `AGPL-3.0-only`?"),
        ("{licenses: {deny: [gplv3]}}", "did you mean `GPL-3.0"),
        ("{licenses: {deny: [Commons Clause]}}", "for a name outside it write {text: Commons Clause}"),
        ("{licenses: {deny: [{text: MIT License}]}}", "is no name outside SPDX's list; write MIT"),
        ("{licenses: {deny: [{text: AGPL-3.0-only}]}}", "is no name outside SPDX's list; write AGPL-3.0-only"),
        ("{licenses: {allow: [{text: mit}]}}", "write mit"),
        ("{licenses: {deny: [{text: GPL-2.0 WITH Classpath-exception-2.0}]}}", "write GPL-2.0 WITH Classpath-exception-2.0"),
        ("{licenses: {deny: [{text: MIT OR LicenseRef-x}]}}", "wants one licence an entry"),
        ("{licenses: {deny: [{text: noassertion}]}}", "write NOASSERTION"),
        ("{licenses: {deny: [{text: None}]}}", "write NONE"),
        ("{licenses: {deny: [(NOASSERTION)]}}", "write NOASSERTION, or NONE, alone"),
        ("{licenses: {deny: [GPL-2.0-only WITH Foo]}}", "`Foo` is no exception of SPDX's list; write one of it, or AdditionRef-"),
        (
            "{licenses: {deny: [GPL-2.0-only WITH Classpath-exception]}}",
            "`Classpath-exception` is no exception of SPDX's list; did you mean `Classpath-exception-2.0`?",
        ),
        (
            "{licenses: {deny: [GPL-2.0-onyl WITH Foo]}}",
            "`GPL-2.0-onyl` is no licence of SPDX's list; did you mean `GPL-2.0-only`?",
        ),
        ("{licenses: {deny: [\"GPL-*\"]}}", "is compared as a whole; `*` is no pattern here, write each licence"),
        ("{licenses: {deny: [{text: Commons*}]}}", "`*` is no pattern here"),
        (
            "{licenses: {allow: [LicenseRef-x WITH AdditionRef-y]}}",
            "has `WITH` behind a licence outside SPDX's list; write LicenseRef-x",
        ),
        ("{licenses: {allow: [MIT OR Zlib]}}", "wants one licence an entry"),
        ("{suppliers: {}}", "asks for nothing"),
        ("{suppliers: {required: false}}", "asks for nothing"),
        ("{suppliers: {allow: []}}", "an empty list matches nothing"),
        ("{suppliers: {deny: [Acme, \"Evil *\"]}}", "suppliers.deny: are compared with the whole name; `*` is no pattern here"),
        ("{suppliers: {allow: \"Evil*\"}}", "`*` is no pattern here"),
        ("{suppliers: {deny: \"Evil{1,2}\"}}", "`{` is no pattern here"),
        ("{suppliers: {required: \"true\"}}", "wants true or false"),
        ("{allow_empty: 1}", "wants true or false"),
    ] {
        let found = problems(SPDX_TYPE, yaml);
        assert!(found.len() == 1 && found[0].contains(message), "{yaml}: {found:?}");
    }
    for (yaml, message) in [
        ("{vulnerabilities: {}}", "asks for nothing; write `max_severity` or `scan_max_age`"),
        ("{vulnerabilities: {ignore: [CVE-1]}}", "without `max_severity` nothing is refused that `ignore`"),
        ("{vulnerabilities: {scan_max_age: 7d, ignore_unfixed: true}}", "that `ignore_unfixed` could accept"),
        ("{vulnerabilities: {max_severity: low, ignore: [CVE-*]}}", "they are compared exactly"),
        ("{vulnerabilities: {scan_max_age: 7}}", "has no unit"),
        ("{vulnerabilities: {max_severity: low, scan_max_age: 0}}", "wants a time from"),
        ("{vulnerabilities: {scan_max_age: 3661d}}", "wants a time from"),
    ] {
        let found = problems(VULN_TYPE, yaml);
        assert!(found.len() == 1 && found[0].contains(message), "{yaml}: {found:?}");
    }
    assert!(checks(VULN_TYPE, "{vulnerabilities: {scan_max_age: 3660d}}").is_ok(), "ten years");
    for (yaml, message) in [
        ("{provenance: {}}", "asks for nothing; write `builder`, `source` or `build_type`"),
        ("{provenance: {builder: []}}", "an empty list matches nothing"),
        ("{provenance: {builder: \"https://github.com/*\"}}", "for a pattern write `builder_pattern`"),
        ("{provenance: {builder: a, builder_pattern: b}}", "wants exactly one of builder, builder_pattern"),
        ("{provenance: {source_pattern: \"a[b]\"}}", "not supported in patterns"),
        ("{provenance: {source: \"git+https://github.com/acme/app.git\"}}", "write https://github.com/acme/app"),
    ] {
        let found = problems("https://slsa.dev/provenance/v1", yaml);
        assert!(found.len() == 1 && found[0].contains(message), "{yaml}: {found:?}");
    }
}

#[test]
fn c9_any_check_changes_the_fingerprint() {
    let policy = |checks: &str| {
        let text = format!(
            "name: a\nimages: [ghcr.io/a/b]\nsignatures: [{{keyless: {{issuer: i, subject: s}}}}]\nattestations:\n  - {{predicate_type: \"{}\", match: any{checks}}}\n",
            if checks.contains("vulner") {
                VULN_TYPE
            } else if checks.contains("proven") {
                "https://slsa.dev/provenance/v1"
            } else {
                SPDX_TYPE
            }
        );
        let set = crate::policy::PolicySet::from_text(Path::new("p"), &text, crate::policy::Unmatched::Deny).unwrap();
        set.select(&crate::oci::ImageName::new("ghcr.io".parse().unwrap(), "a/b".parse().unwrap())).id
    };
    let mut ids = std::collections::HashSet::new();
    for checks in [
        "",
        ", allow_empty: true",
        ", packages: {deny: [{name: x}]}",
        ", packages: {deny: [{name: y}]}",
        ", packages: {deny: [{name: x, versions: <1}]}",
        ", packages: {deny: [{name: x, versions: [<1, =2]}]}",
        ", packages: {deny: [pkg:npm/x]}",
        ", licenses: {deny: [MIT]}",
        ", licenses: {deny: [Zlib]}",
        ", licenses: {deny: [{text: x}]}",
        ", licenses: {deny: [{text: LicenseRef-x}]}",
        ", licenses: {allow: [MIT]}",
        ", licenses: {allow: [MIT, {text: x}]}",
        ", licenses: {allow: [MIT], deny: [Zlib]}",
        ", suppliers: {deny: [x]}",
        ", suppliers: {allow: [x]}",
        ", suppliers: {allow: [x], required: false}",
        ", suppliers: {required: true}",
        ", vulnerabilities: {max_severity: low}",
        ", vulnerabilities: {max_severity: none}",
        ", vulnerabilities: {max_severity: low, ignore: [CVE-1]}",
        ", vulnerabilities: {max_severity: low, ignore_unfixed: true}",
        ", vulnerabilities: {max_severity: low, scan_max_age: 1d}",
        ", vulnerabilities: {scan_max_age: 1d}",
        ", provenance: {builder: x}",
        ", provenance: {builder_pattern: x}",
        ", provenance: {source: x}",
        ", provenance: {build_type: x}",
        ", provenance: {builder: [x, y]}",
    ] {
        assert!(ids.insert(policy(checks)), "{checks}");
    }
}
