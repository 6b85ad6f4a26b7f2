//! What is said exactly: nothing is lost, nothing changes its meaning, and the words are there.

use super::*;

#[test]
fn what_our_format_says_too_is_carried_over_without_loss() {
    for name in [
        "kyverno/keyless-exact",
        "kyverno/subject-wildcard",
        "kyverno/regexps",
        "kyverno/count-and-nesting",
        "kyverno/count-overlapping",
        "kyverno/github-extensions",
        "sigstore/keyless",
        "sigstore/static",
        "sigstore/trust-root",
        "containers/accept-by-default",
    ] {
        let report = example(name).report;
        assert!(report.exact, "{name}: {}", report.text());
    }
    // But for one thing: there, an attestation in a bundle counts as a signature.
    for name in ["validating/signature-and-statement", "validating/count"] {
        let report = example(name).report;
        let told = |one: &Finding| one.kind == Kind::Note || one.message.contains("by these attestors counts as their signature");
        assert!(!report.exact && report.findings.iter().all(told), "{name}: {}", report.text());
    }
}

#[test]
fn a_rule_enforces_all_of_its_entries_or_none() {
    let modes = |action: &str, entries: &[&str]| {
        let entries: String = entries
            .iter()
            .enumerate()
            .map(|(i, said)| format!("    - {{imageReferences: ['ghcr.io/acme{i}/*'], {KEYLESS}{said}}}\n"))
            .collect();
        let made = text(&format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  {action}\n  rules:\n  - name: r\n    \
             verifyImages:\n{entries}"
        ));
        (made.policies.matches("mode: enforce").count(), made.policies.matches("mode: audit").count())
    };
    let (enforce, audit) = ("validationFailureAction: Enforce", "validationFailureAction: Audit");
    for (action, entries, made) in [
        (audit, &["", ""][..], (0, 2)),
        (enforce, &["", ""], (2, 0)),
        (audit, &[", failureAction: Enforce", "", ", failureAction: Audit"], (3, 0)),
        (audit, &["", ", failureAction: Enforce"], (2, 0)),
        (enforce, &[", failureAction: Audit", ""], (0, 2)),
        (enforce, &["", ", failureAction: Audit"], (0, 2)),
    ] {
        assert_eq!(modes(action, entries), made, "{action} {entries:?}");
    }
}

#[test]
fn what_nothing_verifies_is_refused_unless_it_says_that_it_need_not_be() {
    let nobody = |imported: &Imported| imported.policies.contains("# nobody: ");
    for (rest, refuses) in [
        ("", true),
        ("          required: true\n", true),
        ("          attestors: []\n", true),
        ("          required: false\n", false),
        ("          required: false\n          skipImageReferences: ['registry.acme.test/acme/open/*']\n", false),
        ("          skipImageReferences: ['registry.acme.test/acme/open/*']\n", true),
    ] {
        let made = verify(rest, "");
        assert_eq!((nobody(&made), made.report.exact), (refuses, !refuses), "{rest}\n{}", made.policies);
        assert_eq!(made.policies.contains("exclude:"), rest.contains("skip") && !refuses, "{}", made.policies);
        if refuses {
            assert_eq!(effects(&made), [(Kind::Lost, Effect::Refuses)], "{}", made.report.text());
        }
    }
    for (configured, refuses) in [("", true), ("{required: true}", true), ("{required: false}", false)] {
        let made = text(&format!(
            "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  matchImageReferences: \
             [{{glob: 'ghcr.io/acme/*'}}]\n  validationConfigurations: {configured}\n  validations: [{{expression: 'true'}}]\n"
        ));
        assert_eq!((nobody(&made), made.report.exact), (refuses, !refuses), "{configured}\n{}", made.policies);
    }
}

#[test]
fn rules_behind_the_first_are_more_than_apply_one_asks() {
    let made = |apply: &str, second: &str| {
        text(&format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: Enforce\n{apply}  rules:\n\
             \x20 - {{name: a, verifyImages: [{{imageReferences: ['ghcr.io/a/*'], {KEYLESS}}}]}}\n  - {{name: b, {second}}}\n"
        ))
    };
    let verifies = format!("verifyImages: [{{imageReferences: ['ghcr.io/*'], {KEYLESS}}}]");
    assert_eq!(effects(&made("  applyRules: One\n", &verifies)), [(Kind::Changed, Effect::Stricter)]);
    assert!(made("  applyRules: All\n", &verifies).report.exact && made("", &verifies).report.exact);
    assert!(made("  applyRules: One\n", "validate: {pattern: {}}").report.exact);
}

#[test]
fn scopes_are_exact() {
    for (name, lines) in [
        ("kyverno/keyless-exact", &["  - ghcr.io/acme/**", "  - 'ghcr.io/apex-*'", "  - 'ghcr.io/apex-*/**'"][..]),
        (
            "validating/signature-and-statement",
            &[
                "  - 'ghcr.io/acme/**'",
                "  - 'ghcr.io/apex/app1*'",
                "  - 'ghcr.io/apogee/app2*/**'",
                "  - 'registry.acme.test/**'",
            ],
        ),
        ("sigstore/keyless", &["  - 'ghcr.io/acme/**'", "  - 'registry.acme.test/*/app-*'"]),
        (
            "containers/policy",
            &[
                "  - ghcr.io/acme",
                "  - 'ghcr.io/acme/**'",
                "exclude:\n  - ghcr.io/acme/open\n  - 'ghcr.io/acme/open/**'",
                "  - 'docker.io/acme/**'",
            ],
        ),
    ] {
        let made = example(name).policies.replace("- ghcr.io/acme/**", "- 'ghcr.io/acme/**'");
        for line in lines {
            let line = line.replace("- ghcr.io/acme/**", "- 'ghcr.io/acme/**'");
            assert!(made.contains(&line), "{name}: {line}\n{made}");
        }
    }
}

#[test]
fn identities_are_exact() {
    for (name, lines) in [
        (
            "kyverno/subject-wildcard",
            &[
                r"issuer_regex: 'https://token\.actions\.(?s:.*)'",
                r"subject_regex: 'https://github\.com/acme/(?s:.*)@refs/tags/v(?s:.)\.(?s:.*)'",
            ][..],
        ),
        (
            "kyverno/regexps",
            &[
                r"issuer_regex: '^https://token\.actions\.githubusercontent\.com$'",
                "subject_regex: '(?:.*)(?:https://github.com/acme/)(?:.*)'",
                "subject: release@apex.test",
                r"[0-9A-Za-z_]+/\.github/workflows/[0-9A-Za-z_.-]+@refs/tags/v[0-9]+$'",
            ],
        ),
        (
            "kyverno/github-extensions",
            &[
                "issuer: https://token.actions.githubusercontent.com",
                "github_workflow_trigger: push",
                "claims_pattern:",
                "github_workflow_repository: ['acme/**']",
                "github_workflow_ref: ['refs/tags/v*', 'refs/tags/v*/**']",
            ],
        ),
        (
            "validating/signature-and-statement",
            &[
                "any_of:",
                "issuer: https://token.actions.githubusercontent.com",
                "subject: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
                r"subject_regex: '^https://github\.com/acme/app/\.github/workflows/nightly\.yml@.*$'",
            ],
        ),
        (
            "validating/never-evaluated",
            &[
                "issuer_regex: '^https://token.actions.githubusercontent.com$'",
                "subject_regex: '(?:.*)(?:github.com/acme/)(?:.*)'",
                "github_workflow_trigger: push",
            ],
        ),
        (
            "sigstore/keyless",
            &["any_of:", r"subject_regex: '^https://github\.com/acme/app/\.github/workflows/nightly\.yml@refs/heads/[a-z]+$'"],
        ),
        ("containers/policy", &["issuer: https://accounts.acme.test", "subject: release@acme.test", "subject: qa@acme.test"]),
    ] {
        let made = example(name).policies;
        for line in lines {
            assert!(made.contains(line), "{name}: {line}\n{made}");
        }
    }
}

#[test]
fn an_identity_that_is_none_is_nobody() {
    let keyless = |kind: &str, keyless: &str| {
        verify(&format!("          type: {kind}\n          attestors: [{{entries: [{{keyless: {{{keyless}}}}}]}}]\n"), "")
    };
    let whole = "issuer: https://i.test, subject: https://s.test";
    let nobody = |imported: &Imported| imported.policies.contains("# nobody: ") && !imported.report.exact;
    let i04 = |imported: &Imported| imported.report.findings.iter().any(|finding| finding.lint == Some(Lint::I04));
    // Extensions are no identity of a bundle, and an empty map of them is none.
    for extensions in ["{}", "{githubWorkflowTrigger: push}", "{oidcIssuer: https://i.test}"] {
        let made = keyless("SigstoreBundle", &format!("additionalExtensions: {extensions}"));
        assert!(nobody(&made), "{extensions}\n{}", made.policies);
    }
    let made = keyless("Cosign", "additionalExtensions: {}");
    assert!(i04(&made) && made.policies.contains("subject_regex: '(?s:.*)'"), "{}", made.report.text());
    let made = keyless("Cosign", "additionalExtensions: {githubWorkflowTrigger: push}");
    assert!(!i04(&made) && made.policies.contains("github_workflow_trigger: push"), "{}", made.policies);
    // A star is met by a certificate without the extension: it asks for nothing, where another asks.
    for (star, claims) in [("'*'", ""), ("'**', 1.3.6.1.4.1.57264.1.6: refs/heads/main", "github_workflow_ref: refs/heads/main")]
    {
        let made = keyless("Cosign", &format!("{whole}, additionalExtensions: {{githubWorkflowRef: {star}, oidcIssuer: '*'}}"));
        assert!(made.report.exact && !made.policies.contains("claims_pattern"), "{}", made.report.text());
        assert!(made.policies.contains("claims:") != claims.is_empty() && made.policies.contains(claims), "{}", made.policies);
    }
    let made = keyless("Cosign", &format!("{whole}, additionalExtensions: {{githubWorkflowRef: '?*'}}"));
    assert!(made.policies.contains("claims_pattern"), "{}", made.policies);
    // Of a bundle they are asked here alone, where they ask for something.
    let i06 = |imported: &Imported| imported.report.findings.iter().any(|finding| finding.lint == Some(Lint::I06));
    for (extensions, told) in [
        ("githubWorkflowRef: '*'", false),
        ("oidcIssuer: https://i.test", false),
        ("githubWorkflowRef: '*', githubWorkflowTrigger: push", true),
        ("githubWorkflowRef: '?*'", true),
        ("oidcIssuer: https://other.test", true),
    ] {
        let made = keyless("SigstoreBundle", &format!("{whole}, additionalExtensions: {{{extensions}}}"));
        assert_eq!(i06(&made), told, "{extensions}\n{}", made.report.text());
    }
    let other = std::fs::read_to_string(fixtures().join("validating/never-evaluated.yaml")).unwrap();
    assert!(i06(&text(&other)) && !i06(&text(&other.replace("Trigger: push", "Trigger: '*'"))));
    // By its name and by its OID, an extension is wanted twice.
    for (oid, is_nobody) in [("refs/heads/main", false), ("refs/heads/*", true), ("refs/heads/next", true)] {
        let extensions = format!("{{githubWorkflowRef: refs/heads/main, 1.3.6.1.4.1.57264.1.6: {oid}}}");
        let made = keyless("Cosign", &format!("{whole}, additionalExtensions: {extensions}"));
        assert_eq!(nobody(&made), is_nobody, "{oid}\n{}", made.policies);
    }
}

#[test]
fn an_identity_that_policy_controller_takes_from_nobody_is_nobody() {
    for (identity, is_nobody) in [
        ("issuer: https://i.test, subject: https://s.test", false),
        ("issuer: https://i.test", true),
        ("issuer: https://i.test, subject: ''", true),
        ("subjectRegExp: '^https://s.test$'", true),
    ] {
        let made = text(&format!(
            "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: x}}\nspec:\n  images: [{{glob: \"**\"}}]\n\
             \x20 authorities: [{{keyless: {{url: https://fulcio.sigstore.dev, identities: [{{{identity}}}]}}}}]\n"
        ));
        assert_eq!(made.policies.contains("# nobody: ") && !made.report.exact, is_nobody, "{identity}\n{}", made.policies);
    }
}

#[test]
fn what_stands_in_quotes_stays_as_it_is() {
    let source = std::fs::read_to_string(fixtures().join("validating/content.yaml")).unwrap();
    let spaced = source.replace("'https://actions.github.io/buildtypes/workflow/v1'", "'a ,b  c'");
    let made = text(&spaced).policies;
    assert!(made.contains("predicate.buildDefinition.buildType == ''a ,b  c''"), "{made}");
}

#[test]
fn n_of_m_is_exact() {
    let made = example("kyverno/count-and-nesting").policies;
    assert!(made.contains("  - count: 2\n    of:\n      - keyless:\n"), "{made}");
    assert!(made.contains("  - all_of:\n") && made.contains("      - any_of:\n"), "{made}");
    // Where one signer may be two entries, each pair is written out: a count of ours wants distinct signers.
    let made = example("kyverno/count-overlapping").policies;
    assert_eq!((made.matches("- all_of:").count(), made.matches("count:").count()), (3, 0), "{made}");
}

#[test]
fn statements_are_quantified_as_there() {
    let all = example("kyverno/provenance").policies;
    assert_eq!((all.matches("match: all").count(), all.matches("match: any").count()), (2, 0), "{all}");
    let any = example("sigstore/sbom-only").policies;
    assert_eq!((any.matches("match: all").count(), any.matches("match: any").count()), (0, 2), "{any}");
    assert!(any.contains("dangerous_no_signature: true"), "{any}");
}

#[test]
fn conditions_are_cel_or_never_hold() {
    let made = example("kyverno/provenance").policies;
    for line in [
        r#"- 'predicate.builder.id.matches("^https://github.com/acme/builder@refs/tags/v[0-9]$")'"#,
        r#"- 'predicate.buildType in ["https://acme.test/build/a", "https://acme.test/build/b"]'"#,
        r#"- '(predicate.metadata.reproducible == true) || (predicate.invocation.configSource.uri.matches("^git\\+https://github\\.com/acme/(?s:.*)$"))'"#,
    ] {
        assert!(made.contains(line), "{line}\n{made}");
    }
    let made = example("kyverno/unsayable").policies;
    assert_eq!(made.matches(r#"- 'image.repository == "write this condition"'"#).count(), 1, "{made}");
    let made = example("sigstore/sbom-only").policies;
    for line in [
        r#"- 'predicate.Data.scanner == "acme"'"#,
        "- 'predicate.findings.critical == 0'",
        "- 'predicate.findings.high < 3'",
        r#"- 'predicate.report.uri.matches("^https://scans.acme.test/")'"#,
    ] {
        assert!(made.contains(line), "{line}\n{made}");
    }
    assert!(example("kyverno/scan-age").policies.contains("scan_max_age: 168h"));
}

#[test]
fn alternatives_of_two_kinds_are_all_asked_which_is_stricter() {
    let imported = example("sigstore/mixed");
    let [mixed, either] = imported.policies.split("---\n").collect::<Vec<_>>().try_into().unwrap();
    assert!(mixed.contains("signatures:\n") && mixed.contains("attestations:\n"), "{mixed}");
    let found = imported.report.findings.iter().find(|finding| finding.lint == Some(Lint::I10) && finding.kind == Kind::Changed);
    assert_eq!(found.and_then(|finding| finding.effect), Some(Effect::Stricter));
    assert_eq!((either.matches("predicate_type:").count(), either.matches("any_of:").count()), (1, 1), "{either}");
    // What is required together in so many words is no such thing.
    let [both, claims] =
        example("sigstore/both-required").policies.split("---\n").map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    assert!(
        both.contains("signatures:\n")
            && both.contains("predicate_type: https://slsa.dev/provenance/v1")
            && !both.contains("other.test"),
        "{both}"
    );
    for line in [
        "issuer: https://token.actions.githubusercontent.com",
        "github_workflow_repository: apex/app",
        "github_workflow_ref: refs/heads/main",
    ] {
        assert!(claims.contains(line), "{line}\n{claims}");
    }
}

#[test]
fn a_policy_over_all_authorities_that_cannot_be_meant_refuses() {
    let imported = example("sigstore/over-all");
    let [unknown, twice, nothing, alone, same] = imported.policies.split("---\n").collect::<Vec<_>>().try_into().unwrap();
    for (policy, why) in [
        (unknown, "has no attestation called `vuln`"),
        (twice, "`githubWorkflowRef` of a signature is to be two things at once"),
        (same, "two authorities are called `a`"),
    ] {
        assert!(policy.contains("# nobody: ") && policy.contains(why), "{policy}");
    }
    // There, what did not match is not missed: a greatest number alone asks nothing, and `static: pass` matches.
    assert!(nothing.contains("dangerous_no_signature: true") && nothing.contains("dangerous_no_attestation: true"), "{nothing}");
    assert!(alone.contains("dangerous_no_signature: true") && !alone.contains("dangerous_no_attestation"), "{alone}");
}

#[test]
fn a_deprecated_attestor_is_made_by_what_makes_one_there() {
    let entry = |rest: &str| {
        text(&format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  - name: r\n    \
             verifyImages:\n    - {{image: 'ghcr.io/acme/*', {rest}}}\n"
        ))
    };
    for alone in [
        "subject: 'https://s.test'",
        "roots: AAA",
        "additionalExtensions: {githubWorkflowTrigger: push}",
        "issuer: '', subject: s",
    ] {
        // Nothing verifies, and `required` refuses what nothing verified; without it nothing is asked.
        let made = entry(alone);
        assert!(made.policies.contains("# nobody: nothing is asked") && !made.report.exact, "{alone}\n{}", made.policies);
        assert!(made.report.text().contains("of the entry itself is not evaluated there"), "{alone}\n{}", made.report.text());
        let made = entry(&format!("{alone}, required: false"));
        assert!(made.policies.contains("dangerous_no_signature: true") && made.report.exact, "{alone}\n{}", made.policies);
    }
    let made = entry(
        "issuer: 'https://i.test', subject: 'https://s.test', roots: '', additionalExtensions: {githubWorkflowTrigger: push}",
    );
    assert!(made.policies.contains("subject: https://s.test") && !made.policies.contains("trigger"), "{}", made.policies);
    assert!(
        made.report.exact && made.report.text().contains("`additionalExtensions` of the entry itself"),
        "{}",
        made.report.text()
    );
    let made = entry("issuer: 'https://i.test', subject: s, attestations: [{type: 'https://acme.test/review/v1'}]");
    assert!(made.report.text().contains("is dropped there where it has attestations"), "{}", made.report.text());
}

#[test]
fn a_policy_that_no_admission_asks_only_watches() {
    let source = std::fs::read_to_string(fixtures().join("kyverno/keyless-exact.yaml")).unwrap();
    for (flag, watches) in [("", false), ("  admission: true\n", false), ("  admission: false\n", true)] {
        let made = text(&source.replacen("spec:\n", &format!("spec:\n{flag}"), 1));
        assert_eq!(made.policies.contains("mode: audit"), watches, "{flag}{}", made.policies);
        assert_eq!(made.report.text().contains("no admission asks it there"), watches);
        assert!(made.report.exact);
    }
    for (flag, watches) in [("true", false), ("false", true)] {
        let made = validating(
            &format!("  evaluation: {{admission: {{enabled: {flag}}}, background: {{enabled: true}}}}\n"),
            "",
            ALL_SIGNED,
        );
        assert_eq!(made.policies.contains("mode: audit"), watches, "{flag}{}", made.policies);
    }
}
