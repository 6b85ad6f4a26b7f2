//! Each lint, where it is raised, and that it is not raised beside.

use std::collections::BTreeSet;

use super::*;

/// Each lint, an example that raises it, and the end of the key path it is raised at.
const RAISED: &[(Lint, &str, &str)] = &[
    (Lint::I01, "kyverno/regexps", "keyless.subjectRegExp"),
    (Lint::I01, "validating/never-evaluated", "identities[1].subjectRegExp"),
    (Lint::I01, "sigstore/two-authorities", "identities[0].issuerRegExp"),
    (Lint::I02, "kyverno/regexps", "keyless.subjectRegExp"),
    (Lint::I03, "kyverno/subject-wildcard", "keyless.subject"),
    (Lint::I04, "kyverno/anybody", "entries[0].keyless"),
    (Lint::I05, "kyverno/bundles", "entries[0].keyless"),
    (Lint::I06, "kyverno/bundles", "keyless.additionalExtensions"),
    (Lint::I06, "validating/never-evaluated", "keyless.additionalExtensions"),
    (Lint::I07, "validating/never-evaluated", "subjectExpression"),
    (Lint::I08, "kyverno/anybody", "attestations[0]"),
    (Lint::I09, "sigstore/sbom-only", "spec"),
    (Lint::I09, "sigstore/over-all", "spec"),
    (Lint::I10, "sigstore/two-authorities", "spec"),
    (Lint::I11, "kyverno/names", "imageReferences[0]"),
    (Lint::I11, "sigstore/cluster-only", "images[3].glob"),
    (Lint::I12, "kyverno/names", "imageReferences[0]"),
    (Lint::I12, "sigstore/cluster-only", "images[0].glob"),
    (Lint::I13, "kyverno/signature-and-sbom", "attestations[0]"),
    (Lint::I13, "validating/other-requests", "attestations[0].intoto"),
    (Lint::I14, "kyverno/provenance", "all[0]"),
    (Lint::I14, "sigstore/sbom-only", "attestations[1].policy"),
    (Lint::I15, "validating/never-evaluated", "cosign.keyless"),
    (Lint::I15, "sigstore/cluster-only", "keyless"),
    (Lint::I16, "kyverno/custom-trust", "keyless.rekor"),
    (Lint::I16, "validating/never-evaluated", "cosign.ctlog"),
    (Lint::I17, "kyverno/bundles", "keyless.ctlog"),
    (Lint::I18, "containers/policy", "[0]"),
    (Lint::I19, "containers/policy", "[0]"),
    (Lint::I20, "sigstore/static", "spec"),
    (Lint::I20, "kyverno/other-requests", "skipImageReferences[0]"),
    (Lint::I21, "kyverno/requests", "match"),
    (Lint::I21, "kyverno/other-requests", "rules[0].match"),
    (Lint::I21, "validating/never-evaluated", "matchConditions[0]"),
    (Lint::I21, "validating/other-requests", "matchConstraints.resourceRules"),
    (Lint::I21, "sigstore/cluster-only", "spec.match"),
    (Lint::I22, "kyverno/requests", "verifyImages[0]"),
    (Lint::I22, "validating/other-requests", "spec"),
];

#[test]
fn every_lint_is_raised_where_it_belongs() {
    for &(lint, name, path) in RAISED {
        let report = example(name).report;
        let raised =
            report.findings.iter().any(|finding| finding.lint == Some(lint) && finding.path.ends_with(path) && finding.line > 0);
        assert!(raised, "{lint:?} in {name} at …{path}:\n{}", report.text());
    }
    let covered: BTreeSet<Lint> = RAISED.iter().map(|(lint, ..)| *lint).collect();
    assert_eq!(covered, Lint::ALL.iter().copied().collect());
}

#[test]
fn a_plain_policy_raises_none_of_the_warnings() {
    for (name, allowed) in [
        ("kyverno/keyless-exact", &[Lint::I22][..]),
        ("kyverno/count-and-nesting", &[Lint::I22]),
        ("validating/count", &[]),
        ("sigstore/keyless", &[]),
    ] {
        let report = example(name).report;
        let raised: BTreeSet<Lint> = report.findings.iter().filter_map(|finding| finding.lint).collect();
        assert_eq!(raised, allowed.iter().copied().collect(), "{name}:\n{}", report.text());
    }
}

#[test]
fn i21_is_raised_for_every_rule_that_is_not_about_each_new_pod() {
    let report = example("kyverno/other-requests").report;
    let raised: Vec<&str> = report.findings.iter().filter(|f| f.lint == Some(Lint::I21)).map(|f| f.path.as_str()).collect();
    assert_eq!(raised, ["spec.rules[0].match", "spec.rules[1].match", "spec.rules[2].match"], "{}", report.text());
    for path in ["match.any[0].resources.frobnicate", "match.any[0].other", "match.another"] {
        let lost = report.findings.iter().find(|f| f.kind == Kind::Lost && f.path == format!("spec.rules[3].{path}"));
        assert!(lost.is_some_and(|finding| finding.line == 27), "{path}: {}", report.text());
    }
    let with = |rule: &str| {
        let source = std::fs::read_to_string(fixtures().join("validating/signature-and-statement.yaml")).unwrap();
        let known = "{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods]}";
        assert!(source.contains(known));
        text(&source.replace(known, rule)).report.findings.iter().any(|finding| finding.lint == Some(Lint::I21))
    };
    for (rule, raised) in [
        ("{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}", false),
        ("{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods], scope: Namespaced}", false),
        ("{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [pods]}", true),
        ("{apiGroups: [''], apiVersions: [v2], operations: [CREATE], resources: [pods]}", true),
        ("{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [pods]}", true),
        ("{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [daemonsets]}", true),
        ("{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods], resourceNames: [one]}", true),
        ("{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Cluster}", true),
    ] {
        assert_eq!(with(rule), raised, "{rule}");
    }
}

#[test]
fn i20_every_accepted_risk_is_listed() {
    for (name, path) in [
        ("sigstore/static", "spec"),
        ("containers/policy", "[0]"),
        ("kyverno/scan-age", "verifyImages[0]"),
        ("kyverno/deprecated", "verifyImages[2]"),
        ("validating/content", "spec"),
        ("kyverno/other-requests", "skipImageReferences[0]"),
        ("sigstore/cluster-only", "spec"),
    ] {
        let report = example(name).report;
        let listed = report.findings.iter().any(|finding| finding.lint == Some(Lint::I20) && finding.path.ends_with(path));
        assert!(listed, "{name}: {}", report.text());
    }
}

#[test]
fn i19_is_not_raised_where_registries_d_looks_for_attachments() {
    let text = std::fs::read_to_string(fixtures().join("containers/policy.json")).unwrap();
    let raised = |registries_d: &[&str]| {
        let registries_d = registries_d.iter().map(|text| (*text).to_owned()).collect();
        let report = import(Path::new("policy.json"), &text, &Options { registries_d, ..Options::default() }).unwrap().report;
        report.findings.iter().filter(|finding| finding.lint == Some(Lint::I19)).count()
    };
    // Once for each of the four requirements: one in `ghcr.io/acme`, one in `*.acme.test`, two in `docker.io/acme`.
    assert_eq!(raised(&[]), 4);
    assert_eq!(raised(&["default-docker: {use-sigstore-attachments: false}"]), 4);
    assert_eq!(raised(&["# use-sigstore-attachments: true\ndefault-docker: {}\n"]), 4);
    assert_eq!(raised(&["docker: {quay.io: {use-sigstore-attachments: true}}"]), 4);
    assert_eq!(raised(&["docker: {docker.io: {use-sigstore-attachments: true}}"]), 2);
    assert_eq!(raised(&["default-docker:\n  use-sigstore-attachments: true\n", "docker: {}\n"]), 0);
}
