//! Trust roots: what they are called, and the files that are made of them.

use std::collections::BTreeSet;

use super::*;

#[test]
fn trust_roots_are_built_where_all_of_them_is_there() {
    let imported = example("sigstore/trust-root");
    let [(file, root)] = imported.trust_roots.as_slice() else { panic!("{:?}", imported.trust_roots) };
    assert_eq!(file, "acme-sigstore.json");
    let (root, recorded) = (serde_json::from_str::<serde_json::Value>(root).unwrap(), {
        let path = fixtures().join("../acme/trusted_root.json");
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap()
    });
    assert_eq!(root["certificateAuthorities"][0]["certChain"], recorded["certificateAuthorities"][0]["certChain"]);
    for (logs, i) in [("tlogs", 0), ("ctlogs", 0)] {
        for field in ["logId", "hashAlgorithm", "baseUrl"] {
            assert_eq!(root[logs][0][field], recorded[logs][i][field], "{logs} {field}");
        }
        assert_eq!(root[logs][0]["publicKey"]["keyDetails"], recorded[logs][i]["publicKey"]["keyDetails"]);
    }
    assert_eq!(root["timestampAuthorities"][0]["certChain"], recorded["timestampAuthorities"][0]["certChain"]);
    // Without a place for it, it is lost, and the policy names a trust root that is not configured.
    let text = std::fs::read_to_string(fixtures().join("sigstore/trust-root.yaml")).unwrap();
    let without = import(Path::new("p.yaml"), &text, &Options::default()).unwrap();
    assert!(
        !without.report.exact && without.report.text().contains("acme-sigstore.json were not written"),
        "{}",
        without.report.text()
    );
    assert!(without.policies.contains("trust_root: acme-sigstore"));
    // One that is fetched, absent, or of two parts is never the default one.
    for policy in example("sigstore/trust-elsewhere").policies.split("---\n") {
        assert!(policy.contains("trust_root: ") || policy.contains("# nobody: "), "{policy}");
    }
}

/// The trust roots a policy file names, in its order.
fn named(policies: &str) -> Vec<&str> {
    policies.lines().filter_map(|line| line.trim_start().strip_prefix("trust_root: ")).collect()
}

#[test]
fn each_trust_root_has_a_name_of_its_own_and_none_is_the_default() {
    let imported = example("sigstore/trust-names");
    let names = named(&imported.policies);
    // Of three TrustRoots and two CAs; the last policy's authorities are alternatives that differ in their CA alone.
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5, "{names:?}");
    assert!(!names.contains(&"default") && names.iter().any(|name| name.starts_with("imported-default-")), "{names:?}");
    let files: BTreeSet<_> = imported.trust_roots.iter().map(|(file, _)| file.clone()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let twice = std::fs::read_to_string(fixtures().join("sigstore/trust-root.yaml")).unwrap();
    let error = import(Path::new("p.yaml"), &format!("{twice}---\n{twice}"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("TrustRoot `acme-sigstore` stands twice"), "{error}");
}

#[test]
fn entries_of_one_document_share_a_trust_root_only_where_it_is_the_same() {
    let policy = |name: &str, keyless: [&str; 2]| {
        let entry = |own: &str| format!("{{keyless: {{issuer: 'https://i.test', subject: 's', {own}}}}}");
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: {name}}}\nspec:\n  validationFailureAction: Enforce\n  \
             rules:\n  - name: r\n    verifyImages:\n    - imageReferences: ['ghcr.io/acme/*']\n      attestors: [{{count: 2, entries: [{}, {}]}}]\n",
            entry(keyless[0]),
            entry(keyless[1])
        )
    };
    let same = text(&policy("acme", ["roots: AAA", "roots: AAA"])).policies;
    assert_eq!(named(&same), ["acme"]);
    for other in [
        ["roots: AAA", "roots: BBB"],
        ["rekor: {pubkey: AAA}", "ctlog: {pubkey: AAA}"],
        ["roots: AAA", "roots: AAA, rekor: {pubkey: B}"],
    ] {
        let made = text(&policy("acme", other)).policies;
        let names = named(&made);
        assert!(names.len() == 2 && names[0] != names[1], "{other:?}: {made}");
    }
    let made = text(&policy("default", ["roots: AAA", "roots: AAA"])).policies;
    assert!(named(&made)[0].starts_with("imported-default-"), "{made}");
}

#[test]
fn a_trusted_root_in_an_image_validating_policy_is_the_file() {
    let policy = |roots: [&str; 2]| {
        let attestor = |name: &str, root: &str| {
            format!(
                "  - {{name: {name}, cosign: {{keyless: {{identities: [{{issuer: 'https://i.test', subject: 's'}}]}}, trustedRoot: {{value: '{root}'}}}}}}\n"
            )
        };
        format!(
            "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {{name: acme}}\nspec:\n  \
             matchImageReferences: [{{glob: 'ghcr.io/acme/*'}}]\n  attestors:\n{}{}  validations:\n  - expression: \
             \"images.containers.map(image, verifyImageSignatures(image, [attestors.a, attestors.b])).all(e, e == 2)\"\n",
            attestor("a", roots[0]),
            attestor("b", roots[1])
        )
    };
    let root = |uri: &str| format!(r#"{{"certificateAuthorities": [{{"uri": "{uri}"}}]}}"#);
    let options = Options { files: true, ..Options::default() };
    let imported = import(Path::new("p.yaml"), &policy([&root("a"), &root("b")]), &options).unwrap();
    let names = named(&imported.policies);
    assert!(names.len() == 2 && names[0] != names[1], "{}", imported.policies);
    let files: Vec<_> = names.iter().zip(["a", "b"]).map(|(name, uri)| (format!("{name}.json"), root(uri))).collect();
    assert_eq!(imported.trust_roots, files);
    // What is no such file is the operator's to give.
    let imported = import(Path::new("p.yaml"), &policy([r#"{"a": 1}"#, r#"{"b": 2}"#]), &options).unwrap();
    assert_eq!((imported.trust_roots.len(), named(&imported.policies).len()), (0, 2));
    assert!(imported.report.findings.iter().any(|one| one.effect == Some(Effect::Refuses)), "{}", imported.report.text());
}

#[test]
fn scopes_with_the_same_keys_share_a_trust_root() {
    let openshift = std::fs::read_to_string(fixtures().join("containers/openshift.yaml")).unwrap();
    let data = |key: &str| {
        let line = openshift.lines().find_map(|line| line.trim_start().strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    };
    let requirement = format!(
        r#"[{{"type": "sigstoreSigned", "fulcio": {{"caData": "{}", "oidcIssuer": "https://i.test", "subjectEmail": "a@b.test"}}, "rekorPublicKeyData": "{}"}}]"#,
        data("fulcioCAData"),
        data("rekorKeyData")
    );
    let scopes: Vec<_> = (0..9).map(|i| format!("\n\"ghcr.io/acme{i}\": {requirement}")).collect();
    let source = format!(r#"{{"default": [{{"type": "reject"}}], "transports": {{"docker": {{{}}}}}}}"#, scopes.join(","));
    let options = Options { files: true, ..Options::default() };
    let imported = import(Path::new("policy.json"), &source, &options).unwrap();
    assert_eq!((imported.report.policies.len(), imported.trust_roots.len()), (9, 1));
}
