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
    let options = Options { files: Some(PathBuf::new()), ..Options::default() };
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
    let options = Options { files: Some(PathBuf::new()), ..Options::default() };
    let imported = import(Path::new("policy.json"), &source, &options).unwrap();
    assert_eq!((imported.report.policies.len(), imported.trust_roots.len()), (9, 1));
}

/// Every setting about trust roots.
fn settings(imported: &Imported) -> Vec<&str> {
    imported.report.settings.iter().map(|one| one.write.as_str()).filter(|write| write.starts_with("trust_roots")).collect()
}

#[test]
fn what_an_entry_with_keys_of_its_own_ignores_its_root_is_without() {
    for (own, keys, told) in [
        ("roots: AAA, ctlog: {ignoreSCT: true}", ", dangerous_no_sct: true", None),
        ("roots: AAA, rekor: {ignoreTlog: true}, ctlog: {tsaCertChain: BBB}", ", dangerous_no_log: true", None),
        ("roots: AAA, rekor: {ignoreTlog: true}", "", Some("the log is always asked for")),
        ("rekor: {ignoreTlog: true, pubkey: AAA}, ctlog: {tsaCertChain: BBB}", "", Some("the log is always asked for")),
        (
            "roots: AAA, rekor: {ignoreTlog: true}, ctlog: {tsaCertChain: BBB, ignoreSCT: true}",
            ", dangerous_no_log: true, dangerous_no_sct: true",
            None,
        ),
    ] {
        let made = verify(
            &format!("          attestors: [{{entries: [{{keyless: {{issuer: 'https://i.test', subject: s, {own}}}}}]}}]\n"),
            "",
        );
        let [setting] = settings(&made)[..] else { panic!("{:?}", made.report.settings) };
        assert!(setting.ends_with(&format!(".json{keys}}}}}")), "{own}: {setting}");
        assert_eq!(made.report.text().contains("always asked for"), told.is_some(), "{own}: {}", made.report.text());
    }
    // The default root has both.
    for ignored in ["ctlog: {ignoreSCT: true}", "rekor: {ignoreTlog: true}", "ctlog: {ignoreSCT: true, tsaCertChain: ''}"] {
        let made = verify(
            &format!("          attestors: [{{entries: [{{keyless: {{issuer: 'https://i.test', subject: s, {ignored}}}}}]}}]\n"),
            "",
        );
        assert!(settings(&made).is_empty() && made.report.text().contains("always asked for"), "{ignored}");
    }
}

/// `sigstore/trust-root` with its TrustRoot's keys of `lacks` taken out, and its authority's `keyless` and `rest`.
fn authority(lacks: &[&str], keyless: &str, rest: &str) -> Imported {
    let source = std::fs::read_to_string(fixtures().join("sigstore/trust-root.yaml")).unwrap();
    let mut source = source.replace("      ctlog: {trustRootRef: acme-sigstore}\n", rest);
    source = source.replace("        trustRootRef: acme-sigstore\n", &format!("        trustRootRef: acme-sigstore\n{keyless}"));
    for key in lacks {
        let from = source.find(&format!("    {key}:\n")).unwrap();
        let behind = ["\n    c", "\n    t"].iter().filter_map(|next| source[from + 5..].find(next)).min().unwrap();
        source.replace_range(from..from + 5 + behind + 1, "");
    }
    let options = Options { files: Some(PathBuf::new()), ..Options::default() };
    import(Path::new("p.yaml"), &source, &options).unwrap_or_else(|problems| panic!("{problems}\n{source}"))
}

#[test]
fn what_an_authority_ignores_of_its_trust_root_is_left_out_of_it() {
    let log = "      ctlog: {trustRootRef: acme-sigstore}\n";
    let time = "      rfc3161timestamp: {trustRootRef: acme-sigstore}\n";
    let no_sct = "        insecureIgnoreSCT: true\n";
    let plain = authority(&[], "", log);
    assert_eq!(settings(&plain), ["trust_roots: {acme-sigstore: {path: acme-sigstore.json}}"]);
    // A root with a log of certificates: another, without it.
    let made = authority(&[], no_sct, log);
    let [setting] = settings(&made)[..] else { panic!("{:?}", made.report.settings) };
    let name = named(&made.policies)[0];
    assert!(
        name.starts_with("acme-sigstore-no-sct") && setting.contains(name) && setting.ends_with("dangerous_no_sct: true}}"),
        "{setting}"
    );
    let root: serde_json::Value =
        serde_json::from_str(&made.trust_roots.iter().find(|(file, _)| file.contains("no-sct")).unwrap().1).unwrap();
    assert_eq!((root["ctlogs"].clone(), root["tlogs"].as_array().unwrap().len()), (serde_json::json!([]), 1));
    assert!(!made.report.text().contains("always asked"), "{}", made.report.text());
    // As policy-controller's own examples of a timestamp authority have it: no log, and no SCT asked.
    let made = authority(&["tLogs", "ctLogs"], no_sct, time);
    let all = "trust_roots: {acme-sigstore: {path: acme-sigstore.json, dangerous_no_log: true, dangerous_no_sct: true}}";
    assert_eq!((settings(&made), named(&made.policies)), (vec![all], vec!["acme-sigstore"]), "{}", made.report.text());
    assert!(made.report.text().contains("a signature with an entry of a log, which this trust root could not check, is refused"));
    // A log that is there is asked.
    let made = authority(&[], "", time);
    assert!(made.report.text().contains("here the log is always asked for"), "{}", made.report.text());
    assert_eq!(settings(&made), settings(&plain));
    // What it lacks and is asked for, nobody has.
    for (lacks, keyless, rest) in [("tLogs", "", log), ("ctLogs", "", log), ("ctLogs", "", time)] {
        let made = authority(&[lacks], keyless, rest);
        assert!(made.policies.contains(&format!("has no {lacks}, and this authority asks for them")), "{}", made.policies);
    }
}

#[test]
fn an_authority_whose_log_is_not_named_is_told_to_go_by_the_time_of_the_pull() {
    for rest in ["", "      ctlog: {}\n"] {
        let made = authority(&[], "", rest);
        assert!(
            made.report.text().contains("changed (wider): p.yaml:")
                && made.report.text().contains("refused once its certificate has run out"),
            "{rest}{}",
            made.report.text()
        );
        assert_eq!(named(&made.policies), ["acme-sigstore"]);
        // Of bundles the log is asked all the same.
        let bundle = format!("      signatureFormat: bundle\n{}", rest);
        assert!(!authority(&[], "", &bundle).report.text().contains("has run out"), "{rest}");
    }
    let elsewhere = authority(&[], "", "      ctlog: {url: 'https://rekor.sigstore.dev'}\n");
    assert!(
        elsewhere.policies.contains("# nobody: the CA of a TrustRoot with the log of the public-good"),
        "{}",
        elsewhere.policies
    );
}

#[test]
fn what_an_image_validating_policy_ignores_its_root_is_without() {
    let policy = |ctlog: &str, root: &str| {
        let name = "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {name: acme}\nspec:\n";
        let made = format!(
            "{name}  matchImageReferences: [{{glob: 'ghcr.io/acme/*'}}]\n  attestors:\n  - name: a\n    cosign:\n      \
             keyless: {{identities: [{{issuer: 'https://i.test', subject: s}}]}}\n      ctlog: {{{ctlog}}}\n{root}  validations:\n  \
             - expression: 'images.containers.all(i, verifyImageSignatures(i, [attestors.a]) > 0)'\n"
        );
        let options = Options { files: Some(PathBuf::new()), ..Options::default() };
        import(Path::new("p.yaml"), &made, &options).unwrap()
    };
    let url = "url: 'https://rekor.sigstore.dev'";
    let root =
        |more: &str| format!("      trustedRoot: {{value: '{{\"certificateAuthorities\": [], \"ctlogs\": [1]{more}}}'}}\n");
    // Nothing fills the URL in: an error for each image.
    for ctlog in ["", "insecureIgnoreSCT: true", "url: ''"] {
        let made = policy(ctlog, "");
        assert!(made.policies.contains("# nobody: `ctlog` has no `url`"), "{ctlog}\n{}", made.policies);
    }
    let made = policy(&format!("{url}, insecureIgnoreSCT: true"), "");
    assert!(settings(&made).is_empty() && made.report.text().contains("the certificate's SCT is always asked for here"));
    let made = policy(&format!("{url}, insecureIgnoreSCT: true"), &root(""));
    assert_eq!(settings(&made), ["trust_roots: {acme: {path: acme.json, dangerous_no_sct: true}}"]);
    assert!(made.trust_roots[0].1.contains("\"ctlogs\": []"), "{:?}", made.trust_roots);
    let stamped = r#", "timestampAuthorities": [1]"#;
    let made = policy("insecureIgnoreTlog: true", &root(stamped));
    assert_eq!(settings(&made), ["trust_roots: {acme: {path: acme.json, dangerous_no_log: true}}"]);
    for root in [root(""), root(&format!(r#"{stamped}, "tlogs": [1]"#)), String::new()] {
        let made = policy("insecureIgnoreTlog: true", &root);
        assert!(made.report.text().contains("the log is always asked for here"), "{root}{}", made.report.text());
    }
    let made = policy("insecureIgnoreTlog: true, tsaCertChain: AAA", "");
    assert_eq!(settings(&made), ["trust_roots: {acme: {path: acme.json, dangerous_no_log: true}}"]);
    assert!(made.report.text().contains("its trusted_root.json, without a log, under the name `acme`"), "{}", made.report.text());
}

#[test]
fn a_trust_root_is_named_where_its_file_is_put() {
    let source = std::fs::read_to_string(fixtures().join("sigstore/trust-root.yaml")).unwrap();
    for (directory, path) in [
        (None, "acme-sigstore.json"),
        (Some("policies"), "policies/acme-sigstore.json"),
        (Some("/etc/gate"), "'/etc/gate/acme-sigstore.json'"),
        (Some("a, b}"), "'a, b}/acme-sigstore.json'"),
    ] {
        let options = Options { files: directory.map(PathBuf::from), ..Options::default() };
        let made = import(Path::new("p.yaml"), &source, &options).unwrap();
        assert_eq!(settings(&made), [format!("trust_roots: {{acme-sigstore: {{path: {path}}}}}")], "{directory:?}");
    }
}

#[test]
fn a_certificate_authority_without_a_log_is_no_policy_json() {
    let wrong = |fulcio: &str, beside: &str| {
        let signer = r#""oidcIssuer": "https://i.test", "subjectEmail": "a@b.test""#;
        let asked = format!(r#"{{"type": "sigstoreSigned", "fulcio": {{{fulcio}{signer}}}{beside}}}"#);
        import(Path::new("policy.json"), &format!(r#"{{"default": [{asked}]}}"#), &Options::default())
            .map_err(|one| one.to_string())
    };
    let (ca, log) = (r#""caPath": "/ca.pem", "#, r#", "rekorPublicKeyPath": "/log.pub""#);
    assert!(wrong(ca, log).is_ok() && wrong(ca, r#", "rekorPublicKeyPaths": ["/log.pub"]"#).is_ok());
    for none in ["", r#", "rekorPublicKeyPath": """#, r#", "rekorPublicKeyDatas": []"#] {
        let error = wrong(ca, none).unwrap_err();
        assert!(error.contains("`fulcio`, which wants a `rekorPublicKey…`"), "{none}: {error}");
    }
    assert!(wrong("", log).unwrap_err().contains("wants `caPath` or `caData`"));
}

#[test]
fn each_certificate_of_a_policy_json_is_a_root() {
    let openshift = std::fs::read_to_string(fixtures().join("containers/openshift.yaml")).unwrap();
    let line = |key: &str| openshift.lines().find_map(|line| line.trim_start().strip_prefix(key)).unwrap().trim().to_owned();
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let one = STANDARD.decode(line("fulcioCAData:")).unwrap();
    let two = STANDARD.encode([one.as_slice(), b"\n", one.as_slice()].concat());
    let source = format!(
        r#"{{"default": [{{"type": "sigstoreSigned", "fulcio": {{"caData": "{two}", "oidcIssuer": "https://i.test", "subjectEmail": "a@b.test"}}, "rekorPublicKeyData": "{}"}}]}}"#,
        line("rekorKeyData:")
    );
    let options = Options { files: Some(PathBuf::new()), ..Options::default() };
    let imported = import(Path::new("policy.json"), &source, &options).unwrap();
    let root: serde_json::Value = serde_json::from_str(&imported.trust_roots[0].1).unwrap();
    let chains: Vec<_> = root["certificateAuthorities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["certChain"]["certificates"].as_array().unwrap().len())
        .collect();
    let certificates = String::from_utf8(one).unwrap().matches("BEGIN CERTIFICATE").count();
    assert_eq!(chains, vec![1; 2 * certificates]);
}
