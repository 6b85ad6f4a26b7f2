//! What is read and what is not: several documents, lists, JSON, other kinds, nothing, hostile names.

use super::*;

fn wrong(text: &str) -> String {
    import(Path::new("p.yaml"), text, &Options::default()).unwrap_err().to_string()
}

#[test]
fn lists_several_documents_and_other_kinds_are_read() {
    let imported = example("kyverno/several");
    assert_eq!(imported.report.policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["one/signed"]);
    let report = imported.report.text();
    assert!(report.contains("Namespace is no policy, and was passed over"), "{report}");
    assert!(report.contains("rule `labels` verifies no images"), "{report}");
    assert!(report.contains("PolicyException/one-off") && report.contains("lost (stricter)"), "{report}");
}

#[test]
fn a_known_kind_of_an_unknown_group_is_a_loss_and_no_policy_alone() {
    let misspelt = "apiVersion: kyverno/v1\nkind: ClusterPolicy\nmetadata: {name: x}\nspec: {}\n";
    assert!(wrong(misspelt).contains("holds no policy this importer knows"));
    let good = std::fs::read_to_string(fixtures().join("sigstore/keyless.yaml")).unwrap();
    let report = text(&format!("{misspelt}---\n{good}")).report;
    assert!(!report.exact && report.text().contains("ClusterPolicy of `kyverno/v1` is not known"), "{}", report.text());
    // Another project's kind of that name is about something else.
    let other = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: x}\nspec: {}\n";
    assert!(text(&format!("{other}---\n{good}")).report.exact);
}

#[test]
fn items_of_a_list_of_one_kind_are_of_that_kind() {
    let item = "metadata: {name: signed}, spec: {validationFailureAction: Enforce, rules: [{name: r, verifyImages: [{imageReferences: ['ghcr.io/acme/*'], attestors: [{entries: [{keyless: {issuer: 'https://i.test', subject: 's'}}]}]}]}]}";
    for list in [
        format!("apiVersion: kyverno.io/v1\nkind: ClusterPolicyList\nitems:\n- {{{item}}}\n"),
        format!("apiVersion: kyverno.io/v1\nkind: ClusterPolicyList\nitems:\n- {{kind: null, apiVersion: ~, {item}}}\n"),
        format!("apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: kyverno.io/v1, kind: ClusterPolicy, {item}}}\n"),
        format!("apiVersion: v1\nkind: PolicyList\nitems:\n- {{apiVersion: kyverno.io/v1, kind: ClusterPolicy, {item}}}\n"),
    ] {
        let report = text(&list).report;
        assert_eq!(
            report.policies.iter().map(|one| one.document.as_str()).collect::<Vec<_>>(),
            ["ClusterPolicy/signed"],
            "{list}"
        );
    }
}

#[test]
fn a_document_without_a_kind_is_a_loss_and_no_policy_alone() {
    let good = std::fs::read_to_string(fixtures().join("sigstore/keyless.yaml")).unwrap();
    for lost in ["Default: [{type: reject}]\ntransports: {docker: {}}\n", "metadata: {name: x}\nspec: {rules: []}\n"] {
        assert!(wrong(lost).contains("holds no policy this importer knows"), "{lost}");
        let report = text(&format!("{good}---\n{lost}")).report;
        assert!(!report.exact && report.text().contains("lost (wider): p.yaml:"), "{}", report.text());
        assert!(report.text().contains("it has no `kind`, and no `default`"), "{}", report.text());
    }
}

#[test]
fn systems_that_differ_about_other_images_are_not_both_followed() {
    let read = |name: &str| std::fs::read_to_string(fixtures().join(name)).unwrap();
    let both = text(&format!("{}---\n{}", read("sigstore/keyless.yaml"), read("kyverno/keyless-exact.yaml")));
    let written: Vec<_> = both.report.settings.iter().map(|one| one.write.as_str()).collect();
    assert_eq!(written, ["unmatched: deny"]);
    assert!(!both.policies.contains("dangerous_allow") && !both.report.exact, "{}", both.policies);
    assert!(both.report.text().contains("changed (stricter): p.yaml: one of these systems admits"), "{}", both.report.text());
}

#[test]
fn a_rule_that_validates_images_is_a_loss_and_leaves_other_images_refused() {
    let signed = std::fs::read_to_string(fixtures().join("kyverno/keyless-exact.yaml")).unwrap();
    let rule = |action: &str, rule: &str| {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: {action}\n  rules: [{{name: about-image, {rule}}}]\n"
        )
    };
    let pattern = "{pattern: {spec: {containers: [{image: 'registry.acme.test/*'}]}}}";
    let cel = "{failureAction: Enforce, cel: {expressions: [{expression: 'images.containers.all(i, true)'}]}}";
    let registry = "context: [{name: r, variable: {jmesPath: images.containers.*.registry}}], validate: {deny: {conditions: []}}";
    let image = "pattern: {spec: {containers: [{image: 'registry.acme.test/*'}]}}";
    let somewhere = |action: &str| format!("failureActionOverrides: [{{action: {action}, namespaces: ['prod-*']}}]");
    for (action, asks, refuses) in [
        // In some namespaces it refuses them.
        ("Audit", format!("validate: {{{}, {image}}}", somewhere("Enforce")), true),
        ("Audit", format!("validate: {{{}, {image}}}", somewhere("Audit")), false),
        (
            "Audit\n  validationFailureActionOverrides: [{action: enforce, namespaces: ['*']}]",
            format!("validate: {pattern}"),
            true,
        ),
        // How images are pulled, and what is told of a refusal, is not which.
        (
            "Enforce",
            "validate: {message: of every image, pattern: {spec: {containers: [{imagePullPolicy: Always}]}}}".to_owned(),
            false,
        ),
        ("Enforce", "validate: {foreach: [{list: spec.containers, deny: {key: '{{ element.image }}'}}]}".to_owned(), true),
        ("Enforce", format!("validate: {pattern}"), true),
        ("Audit", format!("validate: {cel}"), true),
        ("Enforce", registry.to_owned(), true),
        ("Audit", format!("validate: {pattern}"), false),
        ("Enforce", "validate: {pattern: {metadata: {labels: {app: '?*'}}}}".to_owned(), false),
        ("Enforce", "mutate: {patchStrategicMerge: {spec: {containers: [{image: x}]}}}".to_owned(), false),
    ] {
        let (before, behind) = (rule(action, &asks), format!("---\n{}", rule(action, &asks)));
        for made in [text(&format!("{before}---\n{signed}")), text(&format!("{signed}{behind}"))] {
            // That namespaces are overridden is told for itself.
            let lost: Vec<_> = effects(&made).into_iter().filter(|(kind, _)| *kind == Kind::Lost).collect();
            assert_eq!(lost, vec![(Kind::Lost, Effect::Wider); usize::from(refuses)], "{asks}\n{}", made.report.text());
            assert_eq!(made.policies.contains("dangerous_allow"), !refuses, "{asks}\n{}", made.policies);
        }
        // Alone it is no policy of images' evidence, but that namespaces are overridden is a finding.
        assert!(action.contains("Overrides") || wrong(&before).contains("holds no policy this importer knows"), "{asks}");
    }
    for (about, refuses) in
        [("images.containers", true), ("object.metadata.labels", false), ("object.spec.imagePullSecrets", false)]
    {
        let cel = format!("kind: ValidatingPolicy\nmetadata: {{name: v}}\nspec: {{validations: [{{expression: {about}}}]}}\n");
        let made = text(&format!("{signed}---\napiVersion: policies.kyverno.io/v1\n{cel}"));
        assert_eq!(effects(&made), [(Kind::Lost, Effect::Other)], "{about}\n{}", made.report.text());
        assert_eq!(made.policies.contains("dangerous_allow"), !refuses, "{about}\n{}", made.policies);
    }
}

#[test]
fn what_is_written_and_empty_asks_for_nothing() {
    let entry = KEYLESS.replace("{keyless:", "{annotations: {}, repository: '', keyless:");
    let rule = "      match: {any: [{subjects: [], resources: {kinds: [Pod], names: [], selector: {}}}]}\n      exclude: {}\n      preconditions: {}\n      celPreconditions: []\n";
    let made = verify(&format!("          annotations: {{}}\n          repository: ''\n          {entry}\n"), rule);
    assert!(made.report.exact && made.policies.contains("subject: https://s.test"), "{}", made.report.text());
    let spec = "spec:\n  validationFailureActionOverrides: []\n  webhookConfiguration: {matchConditions: []}\n";
    let source = std::fs::read_to_string(fixtures().join("kyverno/keyless-exact.yaml")).unwrap();
    let made = text(&source.replacen("spec:\n", spec, 1));
    assert!(made.report.exact, "{}", made.report.text());

    let rules = "resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]";
    let (spec, empty) = (
        format!("  matchConstraints: {{{rules}, namespaceSelector: {{}}, objectSelector: {{}}, excludeResourceRules: []}}\n"),
        "      annotations: {}\n      source: {}\n",
    );
    assert_eq!(effects(&validating(&spec, empty, ALL_SIGNED)), effects(&validating("", "", ALL_SIGNED)));
    let source = std::fs::read_to_string(fixtures().join("sigstore/keyless.yaml")).unwrap();
    let made = text(&source.replacen("spec:\n", "spec:\n  match: []\n", 1));
    assert!(made.report.exact, "{}", made.report.text());
}

#[test]
fn what_only_settles_other_images_makes_no_policy_and_says_so() {
    let made = text(r#"{"default": [{"type": "reject"}], "transports": {"docker": {}}}"#);
    assert!(made.report.exact && made.report.policies.is_empty());
    assert!(made.report.text().contains("note: p.yaml: it asks nothing of any image"), "{}", made.report.text());
}

#[test]
fn a_version_nobody_knows_is_told() {
    let policy = |version: &str| {
        format!(
            "apiVersion: {version}\nkind: ClusterImagePolicy\nmetadata: {{name: x}}\nspec:\n  images: [{{glob: 'ghcr.io/acme/**'}}]\n  \
             authorities: [{{static: {{action: pass}}}}]\n"
        )
    };
    for (version, known) in [
        ("policy.sigstore.dev/v1alpha1", true),
        ("policy.sigstore.dev/v1beta1", true),
        ("policy.sigstore.dev/v1", false),
        ("policy.sigstore.dev/v99", false),
        ("policy.sigstore.dev/v1beta1/x", false),
        ("policy.sigstore.dev", false),
    ] {
        let report = text(&policy(version)).report;
        let told = report.findings.iter().any(|one| one.message.contains("is no version this importer knows"));
        assert_eq!((report.exact, told), (known, !known), "{version}: {}", report.text());
    }
}

#[test]
fn cue_beside_another_source_of_it_is_not_asked_alone() {
    let cue = r#"'predicateType: "https://x.test/y"'"#;
    for (over, sources, refuses) in [
        (false, format!("data: {cue}"), false),
        (false, format!("data: {cue}, remote: {{url: 'https://e.test', sha256sum: x}}"), true),
        (false, format!("data: {cue}, configMapRef: {{name: a, key: b}}"), true),
        (false, "data: '', remote: {url: 'https://e.test', sha256sum: x}".to_owned(), true),
        (true, "data: 'authorityMatches: a: attestations: x: list.MinItems(1)'".to_owned(), false),
        (
            true,
            "data: 'authorityMatches: a: attestations: x: list.MinItems(1)', configMapRef: {name: a, key: b}".to_owned(),
            true,
        ),
    ] {
        let policy = format!("policy: {{type: cue, {sources}}}");
        let (inner, outer) = if over { (String::new(), policy) } else { (policy, String::new()) };
        let made = text(&format!(
            "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: c}}\nspec:\n  images: [{{glob: 'ghcr.io/acme/**'}}]\n  \
             authorities: [{{name: a, keyless: {{url: 'https://fulcio.sigstore.dev', identities: [{{issuer: 'https://i.test', subject: s}}]}}, \
             attestations: [{{name: x, predicateType: 'https://x.test/y', {inner}}}]}}]\n  {outer}\n"
        ));
        assert_eq!(made.report.text().contains("lost (refuses)"), refuses, "{sources}\n{}", made.report.text());
        let told = made.report.text().contains("takes only one of `data`, `remote` and `configMapRef`");
        assert_eq!(told, refuses && !sources.starts_with("data: ''"), "{}", made.report.text());
    }
}

#[test]
fn a_number_no_machine_counts_to_refuses() {
    let source = std::fs::read_to_string(fixtures().join("validating/count.yaml")).unwrap();
    for number in ["18446744073709551615", "18446744073709551616"] {
        let made = text(&source.replace("all(e, e == 2)", &format!("all(e, e > {number})")));
        assert!(made.policies.contains("# nobody: ") && !made.report.exact, "{}", made.policies);
    }
}

#[test]
fn the_two_kinds_called_cluster_image_policy_are_told_apart() {
    let names = |name: &str| example(name).report.policies.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>();
    assert_eq!(names("sigstore/keyless"), ["keyless"]);
    assert_eq!(
        names("containers/openshift"),
        ["ClusterImagePolicy/registry.acme.test/acme", "ImagePolicy/registry.acme.test/acme/team"]
    );
}

#[test]
fn a_namespace_s_scope_takes_nothing_from_the_cluster_s() {
    // Nested below one of the cluster's, it is ignored there: here both are asked, and what the cluster asks always is.
    let imported = example("containers/openshift");
    assert!(!imported.policies.contains("exclude:"), "{}", imported.policies);
    let report = imported.report.text();
    assert!(report.contains("so that this one is ignored there; here both are asked"), "{report}");
}

#[test]
fn a_scope_about_a_tag_that_asks_more_than_the_one_above_it_is_lost_to_the_wider() {
    for (asks, effect) in [
        (r#"{"type": "reject"}"#, Effect::Wider),
        (r#"{"type": "insecureAcceptAnything"}"#, Effect::Stricter),
        (r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}"#, Effect::Other),
    ] {
        let source = format!(
            r#"{{"default": [{{"type": "insecureAcceptAnything"}}], "transports": {{"docker": {{"ghcr.io/acme/app:v1": [{asks}]}}}}}}"#
        );
        let found = text(&source).report.findings.into_iter().find(|one| one.message.contains("is about a tag")).unwrap();
        assert_eq!((found.kind, found.effect), (Kind::Lost, Some(effect)), "{asks}");
    }
}

#[test]
fn a_domain_with_a_path_or_a_port_is_a_scope_of_nothing() {
    for scope in ["*.acme.test/open", "*.acme.test:5000"] {
        let source = format!(
            r#"{{"default": [{{"type": "reject"}}], "transports": {{"docker": {{"*.acme.test": [{{"type": "reject"}}], "{scope}": [{{"type": "insecureAcceptAnything"}}]}}}}}}"#
        );
        let imported = text(&source);
        assert_eq!(imported.report.policies.len(), 1, "{}", imported.policies);
        assert!(!imported.policies.contains("exclude:"), "{}", imported.policies);
    }
}

#[test]
fn a_subject_that_is_no_mail_address_is_nobody_s() {
    let source = |mail: &str| {
        let fulcio = format!(r#"{{"caPath": "/a", "oidcIssuer": "https://i.test", "subjectEmail": "{mail}"}}"#);
        format!(r#"{{"default": [{{"type": "sigstoreSigned", "fulcio": {fulcio}, "rekorPublicKeyPath": "/r"}}]}}"#)
    };
    assert!(text(&source("a@b.test")).policies.contains("subject: a@b.test"));
    for workflow in ["https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", "acme", "*@b.test"] {
        let imported = text(&source(workflow)).policies;
        assert!(imported.contains(r"subject_regex: '[^\s\S]'"), "{imported}");
    }
}

#[test]
fn what_is_no_policy_or_cannot_be_read_is_said_with_its_place() {
    for (text, why) in [
        ("", "p.yaml: this input holds no policy this importer knows"),
        ("apiVersion: v1\nkind: Pod\n", "p.yaml: this input holds no policy this importer knows"),
        ("[1]", "p.yaml:1:1: wants a mapping, found a list"),
        ("a: [", "p.yaml:1:4: not YAML"),
        ("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\n", "has no `spec`"),
        ("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: x}\n", "p.yaml:3:1: spec.rules: wants a list, found `x`"),
        (
            "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nspec: {mode: maybe}\n",
            "p.yaml:3:1: spec: `mode: maybe` is unknown",
        ),
        (r#"{"default": [{"type": "frobnicate"}]}"#, "`type: frobnicate` is unknown"),
        (r#"{"default": [{"type": "sigstoreSigned"}]}"#, "has none of `keyPath`"),
        (r#"{"default": []}"#, "p.yaml:1:1: default: holds no requirement"),
        (
            r#"{"default": [{"type": "reject"}], "transports": {"docker": {"ghcr.io/acme": []}}}"#,
            "transports.docker.ghcr.io/acme: holds no requirement",
        ),
        (r#"{"default": [{"type": "reject"}], "transports": {"dir": {"": []}}}"#, "transports.dir.: holds no requirement"),
    ] {
        let found = wrong(text);
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn j2_names_of_others_end_no_line_and_make_no_policy() {
    let evil = "x\\nname: evil\\nimages: ['*/**']\\n---\\n";
    let source = format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: \"{evil}\"}}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  \
         - name: \"{evil}\"\n    verifyImages:\n    - imageReferences: ['ghcr.io/a/*']\n      attestors:\n      - entries:\n        \
         - keyless: {{issuer: \"https://i.test\", subject: \"{{{{ {evil} }}}}\"}}\n"
    );
    let imported = text(&source);
    assert_eq!(imported.report.policies.len(), 1, "{}", imported.policies);
    assert!(!imported.policies.contains("\nname: evil"), "{}", imported.policies);
    assert!(imported.report.policies[0].name.len() <= 63);
}

#[test]
fn policies_of_one_name_get_names_of_their_own() {
    let one = |name: &str| {
        format!(
            "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             images: [{{glob: 'ghcr.io/a/**'}}]\n  authorities: [{{static: {{action: pass}}}}]\n"
        )
    };
    let all: Vec<_> = ["a", "a", "a-2", "a", "a-2", &"b".repeat(100)].map(one).into();
    let names: Vec<_> = text(&all.join("---\n")).report.policies.iter().map(|policy| policy.name.clone()).collect();
    assert_eq!(names, ["a".to_owned(), "a-3".into(), "a-2".into(), "a-4".into(), "a-2-2".into(), "b".repeat(58)]);
}

#[test]
fn the_report_for_machines_is_as_its_schema_says() {
    let path = fixtures().join("../../../deploy/schemas/import-report.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in examples() {
        let report: serde_json::Value = serde_json::from_str(&example(&name).report.json()).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&report).map(|error| format!("{name}: {error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let mut report: serde_json::Value = serde_json::from_str(&example("kyverno/keys").report.json()).unwrap();
    assert_eq!((report["exact"].as_bool(), report["source"].as_str()), (Some(false), Some("keys.yaml")));
    report["findings"][0]["lint"] = "I99".into();
    assert!(!validator.is_valid(&report));
}
