//! Policy files: what they select, what changes their fingerprint, and all that is said about a wrong one.

use super::*;

fn wrong(text: &str) -> Vec<String> {
    let problems = PolicySet::from_text(Path::new("p.yaml"), text, Unmatched::Deny).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

fn image(text: &str) -> ImageName {
    let (host, repository) = text.split_once('/').unwrap();
    ImageName::new(host.parse().unwrap(), repository.parse().unwrap())
}

#[test]
fn i15_every_policy_that_names_an_image_is_selected_whatever_the_order() {
    let broad = "name: broad\nimages: [\"*/**\"]\nmode: audit\nsignatures: [{keyless: {issuer: a, subject: b}}]\n";
    let narrow = STRICT.replace("name: acme", "name: narrow").replace("acme/**", "acme/app");
    let texts = [broad.to_owned(), STRICT.to_owned(), narrow];
    let join = |order: [usize; 3]| set(&order.map(|i| texts[i].clone()).join("---\n"));
    let selection = join([0, 1, 2]).select(&image("ghcr.io/acme/app"));
    let names = |policies: &[Arc<Policy>]| policies.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&selection.enforce), names(&selection.audit)),
        (vec!["acme".into(), "narrow".into()], vec!["broad".into()])
    );
    assert_eq!(join([2, 1, 0]).select(&image("ghcr.io/acme/app")).id, selection.id);
    let other = join([0, 1, 2]).select(&image("quay.io/x"));
    assert!(other.enforce.is_empty() && other.audit.len() == 1 && other.id != selection.id);
    let none = set(STRICT).select(&image("quay.io/x"));
    assert!(none.enforce.is_empty() && none.audit.is_empty() && none.unmatched == Unmatched::Deny);
}

#[test]
fn c9_any_field_of_a_policy_changes_its_fingerprint() {
    let full = r#"
name: acme
images: ["ghcr.io/acme/**", "ghcr.io/acme/app"]
mode: enforce
log: promise
signatures:
  - keyless: {issuer: i1, subject: s1, claims: {build_trigger: [push, tag]}}
  - keyless: {issuer_pattern: i2, subject_pattern: s2}
attestations:
  - predicate_type: https://spdx.dev/Document
  - {predicate_type: "x:y", keyless: {issuer_regex: i3, subject_regex: s3}}
cooldown: 24h
tag_guard: true
"#;
    let id = |text: &str, unmatched| {
        PolicySet::from_text(Path::new("p"), text, unmatched).unwrap().select(&image("ghcr.io/acme/app")).id
    };
    let mut ids = std::collections::HashSet::from([id(full, Unmatched::Deny)]);
    assert!(ids.insert(id(full, Unmatched::DangerousAllow)));
    for (from, to) in [
        ("name: acme", "name: acmf"),
        ("\"ghcr.io/acme/**\", ", ""),
        ("acme/app\"", "*/app\""),
        ("enforce", "audit"),
        ("promise", "proof"),
        ("issuer: i1", "issuer: i9"),
        ("issuer: i1", "issuer_pattern: i1"),
        ("issuer: i1", "issuer_regex: i1"),
        ("subject: s1", "subject: s9"),
        ("subject: s1", "subject_regex: s1"),
        ("[push, tag]", "[push]"),
        ("[push, tag]", "pushtag"),
        ("[push, tag]", "[pusht, ag]"),
        ("build_trigger", "build_config_uri"),
        (", claims: {build_trigger: [push, tag]}", ""),
        ("  - keyless: {issuer_pattern: i2, subject_pattern: s2}\n", ""),
        ("issuer_pattern: i2", "issuer_pattern: i9"),
        ("subject_pattern: s2", "subject_pattern: s9"),
        ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3"),
        ("x:y", "x:z"),
        ("issuer_regex: i3", "issuer_regex: i9"),
        ("subject_regex: s3", "subject_regex: s9"),
        (", keyless: {issuer_regex: i3, subject_regex: s3}", ""),
        ("24h", "25h"),
        ("cooldown: 24h\n", ""),
        ("tag_guard: true", "tag_guard: false"),
    ] {
        assert!(full.contains(from), "{from}");
        assert!(ids.insert(id(&full.replace(from, to), Unmatched::Deny)), "{from} -> {to}");
    }
    assert!(!ids.insert(id(&format!("# a comment\n{full}"), Unmatched::Deny)));
}

#[test]
fn every_mistake_of_a_policy_file_is_reported_at_once_with_its_place() {
    let text = r#"name: "a b"
images: [acme/**, "ghcr.io/acme**"]
mode: enforced
log: no
signature: []
signatures:
  - keyless:
      issuer: https://token.actions.githubusercontent.com
      issuer_regex: .*
      subject: https://github.com/acme/*
      claims: {runner_enviroment: x, build_trigger: []}
  - key: cosign.pub
  - {}
attestations:
  - predicate_type: spdxjson
    require: "true"
  - keyless: {subject_regex: "a)|(b", issuer: ""}
exceptions: []
---
name: second
images: []
signatures: []
dangerous_no_attestation: yes
---
name: third
images: ["ghcr.io/x"]
dangerous_no_signature: true
---
name: fourth
images: ["ghcr.io/x"]
dangerous_no_signature: true
dangerous_no_attestation: true
---
name: fifth
images: ["ghcr.io/x"]
signatures: [{keyless: {issuer: a, subject: b}}]
dangerous_no_signature: true
"#;
    assert_eq!(
        wrong(text),
        [
            "p.yaml:1:7: name: wants at most 63 letters, digits, `.`, `_`, `-` or `/`",
            "p.yaml:2:10: images[0]: begins with no host; write `ghcr.io/acme/**` or `*/acme/**`",
            "p.yaml:2:19: images[1]: `**` must be a whole segment between slashes; write `acme*/**`",
            "p.yaml:3:7: mode: wants enforce or audit, found `enforced`; did you mean `enforce`?",
            "p.yaml:4:6: log: wants promise or proof, found `no`",
            "p.yaml:5:1: signature: unknown key; did you mean `signatures`?",
            "p.yaml:9:21: signatures[0].keyless.issuer_regex: wants exactly one of issuer, issuer_regex",
            "p.yaml:10:16: signatures[0].keyless.subject: is compared exactly; for a pattern write `subject_pattern`",
            "p.yaml:11:16: signatures[0].keyless.claims.runner_enviroment: unknown claim; did you mean `runner_environment`?",
            "p.yaml:11:53: signatures[0].keyless.claims.build_trigger: an empty list matches nothing; write the values allowed",
            "p.yaml:12:5: signatures[1].key: policies are keyless only: a key proves neither who signed nor when; \
             `pullgate verify-bundle --key` checks one bundle against a key",
            "p.yaml:13:5: signatures[2].keyless: missing; write {keyless: {issuer: …, subject: …}}, or any_of, all_of, or count \
             and of",
            "p.yaml:15:21: attestations[0].predicate_type: is cosign's short name; write https://spdx.dev/Document",
            "p.yaml:16:5: attestations[0].require: not supported yet",
            "p.yaml:17:5: attestations[1].predicate_type: missing; write which, as in https://spdx.dev/Document",
            "p.yaml:17:30: attestations[1].keyless.subject_regex: not a regular expression: error: unopened group",
            "p.yaml:17:47: attestations[1].keyless.issuer: wants the exact text, found empty text",
            "p.yaml:18:13: exceptions: an empty list excepts nothing; leave `exceptions` out",
            "p.yaml:21:9: images: an empty list names no image; write which, as in [\"ghcr.io/acme/**\"]",
            "p.yaml:22:13: signatures: an empty list asks for nothing; write who must sign, or also `dangerous_no_signature: true`",
            "p.yaml:23:27: dangerous_no_attestation: wants true or false, found `yes`",
            "p.yaml:25:1: attestations: missing; without `signatures` there is no signer to take over",
            "p.yaml:36:13: signatures: contradicts `dangerous_no_signature: true`; keep one of them",
        ]
    );
}

#[test]
fn i9_o8_an_empty_file_and_a_twice_used_name_are_refused() {
    assert_eq!(wrong(""), ["p.yaml: holds no policy"]);
    assert_eq!(wrong("---\n# nothing\n---\n"), ["p.yaml: holds no policy"]);
    assert_eq!(wrong(&format!("{STRICT}---{STRICT}")), ["p.yaml:9:7: name: `acme` is the name of another policy, in p.yaml:2"]);
    assert_eq!(wrong("[]")[0].split(", ").next().unwrap(), "p.yaml:1:1: wants a mapping with the keys name");
}

#[test]
fn o10_what_relaxes_a_rule_is_said() {
    let weak = |text: &str| {
        let set = set(text);
        set.policies[0].weaknesses().into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert!(weak(STRICT).is_empty());
    assert_eq!(weak(&format!("{STRICT}mode: audit\ndangerous_no_attestation: true\n")), ["audit", "dangerous_no_attestation"]);
    assert_eq!(weak("name: a\nimages: [a.b/c]\nsignatures: [{keyless: {issuer: i, subject_regex: .*}}]\n"), ["any_identity"]);
}
