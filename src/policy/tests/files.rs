//! Policy files: what they select, what changes their fingerprint, and all that is said about a wrong one.

use super::*;

pub(super) fn wrong(text: &str) -> Vec<String> {
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
exclude: ["ghcr.io/acme/dev-*"]
mode: enforce
log: promise
signatures:
  - keyless: {issuer: i1, subject: s1, claims: {build_trigger: [push, tag]}}
  - keyless: {issuer_pattern: i2, subject_pattern: s2}
  - count: 2
    of:
      - any_of: [{keyless: {issuer: i4, subject: s4}}, {keyless: {issuer: i5, subject: s5}}]
      - keyless: {issuer: i6, subject: s6, claims_pattern: {source_repository_ref: refs/tags/*}, trust_root: other}
max_signature_age: 90d
attestations:
  - predicate_type: https://spdx.dev/Document
    match: newest
    max_age: 30d
    sbom_on: either
  - {predicate_type: "x:y", keyless: {issuer_regex: i3, subject_regex: s3}}
exceptions:
  - {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000", reason: JIRA-1, expires: 2027-01-31}
  - {dangerous_repository: ghcr.io/acme/old, reason: JIRA-2, expires: 2027-01-31T00:00:00Z}
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
        ("exclude: [\"ghcr.io/acme/dev-*\"]\n", ""),
        ("dev-*", "dev-a*"),
        ("count: 2", "count: 1"),
        ("any_of:", "all_of:"),
        (", {keyless: {issuer: i5, subject: s5}}", ""),
        ("s5", "s9"),
        ("claims_pattern: {source_repository_ref: refs/tags/*}", "claims_pattern: {source_repository_ref: refs/*/v1}"),
        ("claims_pattern: {source_repository_ref: refs/tags/*}", "claims_pattern: {source_repository_ref: refs/tags/v1}"),
        ("claims_pattern: {source_repository_ref: refs/tags/*}", "claims: {source_repository_ref: refs/tags/v1}"),
        ("trust_root: other", "trust_root: another"),
        (", trust_root: other", ""),
        ("max_signature_age: 90d", "max_signature_age: 91d"),
        ("max_signature_age: 90d\n", ""),
        ("match: newest", "match: all"),
        ("match: newest", "match: any"),
        ("max_age: 30d", "max_age: 31d"),
        ("sbom_on: either", "sbom_on: subject"),
        ("sbom_on: either", "sbom_on: each_platform"),
        ("sha256:00", "sha256:01"),
        ("JIRA-1", "JIRA-9"),
        ("expires: 2027-01-31}", "expires: 2027-02-01}"),
        ("acme/old", "acme/older"),
        ("2027-01-31T00:00:00Z", "2027-01-31T00:00:01Z"),
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
      claims: {runner_enviroment: x, build_trigger: [], source_repository_ref: [refs/tags/*], github_workflow_name: "CI *"}
  - key: cosign.pub
  - {}
attestations:
  - predicate_type: spdxjson
    max_age: 30d
  - keyless: {subject_regex: "a)|(b", issuer: ""}
exceptions: []
---
name: second
images: []
signatures: []
attestations: []
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
---
name: sixth
images: ["ghcr.io/x"]
signatures: [{keyless: {issuer: a, subject: b}}]
dangerous_no_attestation: yes
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
            "p.yaml:11:81: signatures[0].keyless.claims.source_repository_ref[0]: is compared exactly; for a pattern write \
             `claims_pattern`",
            "p.yaml:12:5: signatures[1].key: policies are keyless only: a key proves neither who signed nor when; \
             `pullgate verify-bundle --key` checks one bundle against a key",
            "p.yaml:13:5: signatures[2].keyless: missing; write {keyless: {issuer: …, subject: …}}, or any_of, all_of, or count \
             and of",
            "p.yaml:15:21: attestations[0].predicate_type: is cosign's short name; write https://spdx.dev/Document",
            "p.yaml:17:5: attestations[1].predicate_type: missing; write which, as in https://spdx.dev/Document",
            "p.yaml:17:30: attestations[1].keyless.subject_regex: not a regular expression: error: unopened group",
            "p.yaml:17:47: attestations[1].keyless.issuer: wants the exact text, found empty text",
            "p.yaml:18:13: exceptions: an empty list excepts nothing; leave `exceptions` out",
            "p.yaml:21:9: images: an empty list names no image; write which, as in [\"ghcr.io/acme/**\"]",
            "p.yaml:22:13: signatures: an empty list asks for nothing; write who must sign, or also `dangerous_no_signature: true`",
            "p.yaml:23:15: attestations: an empty list asks for nothing; write what must be attested, or also \
             `dangerous_no_attestation: true`",
            "p.yaml:25:1: attestations: missing; without `signatures` there is no signer to take over",
            "p.yaml:36:13: signatures: contradicts `dangerous_no_signature: true`; keep one of them",
            "p.yaml:42:27: dangerous_no_attestation: wants true or false, found `yes`",
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
    let excepted =
        format!("{STRICT}exceptions: [{{dangerous_repository: ghcr.io/acme/old, reason: J-1, expires: 2027-01-31}}]\n");
    let at = |now: &str| set(&excepted).policies[0].weaknesses_at(now.parse().unwrap());
    assert!(matches!(&at("2027-01-31T23:59:59Z")[..], [("dangerous_repository", told)] if told.contains("ghcr.io/acme/old")));
    assert!(at("2027-02-01T00:00:00Z").is_empty(), "it has ended");
    assert_eq!(weak(&format!("{STRICT}mode: audit\ndangerous_no_attestation: true\n")), ["audit", "dangerous_no_attestation"]);
    assert_eq!(weak(&format!("{STRICT}attestations: []\ndangerous_no_attestation: true\n")), ["dangerous_no_attestation"]);
    assert_eq!(weak("name: a\nimages: [a.b/c]\nsignatures: [{keyless: {issuer: i, subject_regex: .*}}]\n"), ["any_identity"]);
}

#[test]
fn what_is_excluded_is_not_named_after_all() {
    let set = set(&format!("{STRICT}exclude: [\"ghcr.io/acme/dev-*\", \"*/acme/old/**\"]\n"));
    let named = |text: &str| !set.select(&image(text)).enforce.is_empty();
    assert!(named("ghcr.io/acme/app") && named("ghcr.io/acme/dev-a/b") && named("ghcr.io/acme/old"));
    assert!(!named("ghcr.io/acme/dev-a") && !named("ghcr.io/acme/old/app"));
}

#[test]
fn a_file_of_cases_among_policies_is_told_where_to_go() {
    let text = "policies: [acme.yaml]\ntrust_root: sigstore\nlayout: evidence\ncases: []\n";
    let told = "p.yaml:4:1: cases: is of a file for `policy test`, which is no policy: keep it where no policies are looked for, as in tests/";
    assert!(wrong(text).iter().any(|problem| problem == told), "{:?}", wrong(text));
}

#[test]
fn every_mistake_in_who_signs_is_reported_with_its_place() {
    let text = r#"name: acme
images: ["ghcr.io/acme/**"]
exclude: []
count: 2
signatures:
  - any_of: []
  - count: 3
    of: [&a {keyless: {issuer: i, subject: a}}, {keyless: {issuer: i, subject: b}}]
  - count: 0
    of: [*a]
  - of: [*a]
  - count: 1
  - keyless: {issuer: i, subject: a}
    any_of: [*a]
  - any_of: [*a, {keyless: {issuer: i, subject: b}}, {keyless: {issuer: i, subject: a}}]
  - all_of:
      - any_of: [*a, {keyless: {issuer: i, subject: b}}]
      - any_of: [{keyless: {issuer: i, subject: b}}, *a]
  - any_of: [{any_of: [{any_of: [{any_of: [{any_of: [*a]}]}]}]}]
  - certificate: x
  - keyless: {issuer: i, subject: a, claims: {build_trigger: push}, claims_pattern: {build_trigger: "p*", build_trigge: x}}
  - keyless: {issuer: i, subject: a, claims: {build_trigger: push}, claims_pattern: {build_trigger: "p*"}, trust_root: "a b"}
  - {subject: a}
max_signature_age: 5
"#;
    assert_eq!(
        wrong(text),
        [
            "p.yaml:3:10: exclude: an empty list excludes nothing; leave `exclude` out",
            "p.yaml:4:1: count: belongs to an entry of `signatures`",
            "p.yaml:6:13: signatures[0].any_of: an empty list names nobody; write who, as in [{keyless: …}, …]",
            "p.yaml:7:12: signatures[1].count: asks for 3 of 2 entries",
            "p.yaml:9:12: signatures[2].count: wants a whole number from 1 to 64, found `0`",
            "p.yaml:11:9: signatures[3].of: belongs to `count`: write how many of these must sign",
            "p.yaml:12:5: signatures[4].of: missing; write of whom, as in {count: 2, of: [{keyless: …}, …]}",
            "p.yaml:14:13: signatures[5].any_of: wants exactly one of keyless, any_of",
            "p.yaml:15:54: signatures[6].any_of[2]: asks the same as entry 0 of this list; leave one out",
            "p.yaml:18:9: signatures[7].all_of[1]: asks the same as entry 0 of this list; leave one out",
            "p.yaml:19:5: signatures[8]: nests 5 deep, at most 4",
            "p.yaml:20:5: signatures[9].certificate: policies are keyless only: a key proves neither who signed nor when; \
             `pullgate verify-bundle --key` checks one bundle against a key",
            "p.yaml:21:107: signatures[10].keyless.claims_pattern.build_trigge: unknown claim; did you mean `build_trigger`?",
            "p.yaml:22:85: signatures[11].keyless.claims_pattern: `build_trigger` is under `claims` too; keep one of them",
            "p.yaml:22:120: signatures[11].keyless.trust_root: wants at most 63 letters, digits, `.`, `_`, `-` or `/`",
            "p.yaml:23:5: signatures[12].keyless: missing; write {keyless: {issuer: …, subject: …}}, or any_of, all_of, or count \
             and of",
            "p.yaml:23:6: signatures[12].subject: unknown key; known here: keyless, any_of, all_of, count, of",
            "p.yaml:24:20: max_signature_age: has no unit: write 5s or 5m",
        ]
    );
}

#[test]
fn every_mistake_in_attestations_and_exceptions_is_reported_with_its_place() {
    let text = format!(
        r#"{STRICT}attestations:
  - {{predicate_type: https://spdx.dev/Document, match: newest}}
  - {{predicate_type: https://spdx.dev/Document, match: some, max_age: 1s}}
  - {{predicate_type: https://cosign.sigstore.dev/attestation/vuln/v1}}
  - {{predicate_type: "x:y", sbom_on: subject, key: x}}
exceptions:
  - {{digest: "sha512:00", reason: x, expires: soon}}
  - {{digest: "sha256:{}", dangerous_repository: ghcr.io/a, expires: 2027-01-31}}
  - {{repository: ghcr.io/a, reason: {}, expires: 2027-01-31}}
  - {{dangerous_repository: acme, reason: {}}}
---
name: second
images: ["ghcr.io/x"]
dangerous_no_signature: true
max_signature_age: 1d
tag_guard: true
attestations: [{{predicate_type: "x:y", keyless: {{issuer: i, subject: s}}}}]
---
name: third
images: ["ghcr.io/x"]
signatures: [{{keyless: {{issuer: i, subject: s}}}}, {{keyless: {{subject: s, issuer: i}}}}]
attestations:
  - predicate_type: "x:y"
  - {{predicate_type: "x:y", match: any}}
  - {{predicate_type: "x:y", any_of: [&a {{keyless: {{issuer: i, subject: a}}}}, &b {{keyless: {{issuer: i, subject: b}}}}]}}
  - {{predicate_type: "x:y", any_of: [*b, *a]}}
"#,
        "0".repeat(64),
        "y".repeat(200),
        "y".repeat(201)
    );
    // By line; the columns are the other tests'.
    let told = |line: String| -> String {
        let mut parts = line.splitn(4, ':').skip(1);
        let (line, rest) = (parts.next().unwrap(), parts.nth(1).unwrap());
        format!("{line}:{rest}")
    };
    let pairs: Vec<String> = wrong(&text).into_iter().map(told).collect();
    let starts = [
        "9: attestations[0].match: lets whoever can hide a statement hide the one that refuses, so bound it",
        "10: attestations[1].match: wants any or all or newest, found `some`",
        "10: attestations[1].max_age: wants a time from 1m to ",
        "11: attestations[2].max_age: missing; of scans the newest counts, and must be bounded: write `max_age`, ",
        "12: attestations[3].sbom_on: is for SPDX and CycloneDX documents only",
        "12: attestations[3].key: policies are keyless only",
        "14: exceptions[0].digest: `sha512:00` is not a digest",
        "14: exceptions[0].expires: wants a date such as 2027-01-31, which ends at 24:00 UTC, or a time such as ",
        "15: exceptions[1].reason: missing; write why, as in JIRA-1; each use is logged with it",
        "15: exceptions[1].dangerous_repository: wants exactly one of digest, dangerous_repository",
        "16: exceptions[2]: wants one of digest, dangerous_repository",
        "16: exceptions[2].repository: is called `dangerous_repository`: whoever can push there needs no evidence",
        "17: exceptions[3].expires: missing; every exception ends; write when, as in 2027-01-31",
        "17: exceptions[3].dangerous_repository: begins with no host",
        "17: exceptions[3].reason: has 201 bytes, at most 200",
        "22: max_signature_age: contradicts `dangerous_no_signature: true`; keep one of them",
        "23: tag_guard: contradicts `dangerous_no_signature: true`; keep one of them",
        "28: signatures[1]: asks the same as entry 0 of this list; leave one out",
        "31: attestations[1]: asks the same as entry 0 of this list; leave one out",
        "33: attestations[3]: asks the same as entry 2 of this list; leave one out",
    ];
    assert_eq!(pairs.len(), starts.len(), "{pairs:#?}");
    for (line, start) in pairs.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn names_and_times_are_bounded() {
    set(&STRICT.replace("name: acme", &format!("name: {}", "a".repeat(63))));
    assert!(wrong(&STRICT.replace("name: acme", &format!("name: {}", "a".repeat(64))))[0].contains("wants at most 63 letters"));
    for (key, least, most, [less, more]) in
        [("cooldown", "1m", "90d", ["59s", "91d"]), ("max_signature_age", "1m", "3650d", ["59s", "3651d"])]
    {
        let text = |value: &str| format!("{STRICT}{key}: {value}\n");
        set(&text(least));
        set(&text(most));
        assert!(wrong(&text(less))[0].contains("wants a time from 1m to") && wrong(&text(more)).len() == 1, "{key}");
    }
}

#[test]
fn what_the_gate_asks_of_a_policy_is_what_its_file_says() {
    let said = |text: &str| {
        let policy = &set(text).policies[0];
        (policy.mode(), policy.cooldown(), policy.tag_guard(), policy.wants_proof(), policy.weighs_all_evidence())
    };
    assert_eq!(said(STRICT), (Mode::Enforce, None, false, false, false));
    let all = format!("attestations: [{{predicate_type: {}, match: all, max_age: 1d}}]", spdx::TYPE);
    let text = format!("{STRICT}mode: audit\ncooldown: 1h\ntag_guard: true\nlog: proof\n{all}\n");
    assert_eq!(said(&text), (Mode::Audit, Some(Duration::from_secs(3600)), true, true, true));
    for (lines, weighs) in [
        ("match: all, max_age: 1d", false),
        ("match: all, max_age: 1d, sbom_on: each_platform", true),
        ("match: newest, max_age: 1d, sbom_on: either", true),
        ("sbom_on: each_platform", false),
    ] {
        let text = format!("{STRICT}attestations: [{{predicate_type: {}, {lines}}}]\n", spdx::TYPE);
        assert_eq!(set(&text).policies[0].weighs_all_of_platforms(), weighs, "{lines}");
    }
    let policy = &set(STRICT).policies[0];
    assert!(policy.names_host(&"ghcr.io".parse().unwrap()) && !policy.names_host(&"quay.io".parse().unwrap()));
}

#[test]
fn depth_and_number_of_identities_are_bounded_the_more_where_combinations_are_searched() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let keyless = |at: usize| format!("{{keyless: {{issuer: i, subject: s{at}}}}}");
    let pair = |at: usize| format!("{{all_of: [{}, {}]}}", keyless(2 * at), keyless(2 * at + 1));
    let text = |entry: String| format!("name: acme\nimages: [\"ghcr.io/x\"]\nsignatures: [{entry}]\n");
    let nested = |depth: usize| format!("{}{}{}", "{any_of: [".repeat(depth), keyless(0), "]}".repeat(depth));
    set(&text(nested(4)));
    assert!(wrong(&text(nested(5)))[0].ends_with("nests 5 deep, at most 4"));
    set(&text(format!("{{count: 64, of: [{}]}}", many(64, &keyless))));
    assert!(wrong(&text(format!("{{any_of: [{}]}}", many(65, &keyless))))[0].ends_with("names 65 identities, at most 64"));
    set(&text(format!("{{count: 2, of: [{}]}}", many(8, &pair))));
    let searched = wrong(&text(format!("{{count: 2, of: [{}]}}", many(9, &pair))));
    assert!(searched[0].contains("a `count` of entries that take several signers names 18 identities, at most 16"));
    set(&text(format!("{{all_of: [{}]}}", many(9, &pair))));
}

#[test]
fn every_trust_root_that_is_asked_for_is_told_with_its_place() {
    let text = "name: acme\nimages: [\"ghcr.io/x\"]\nsignatures:\n  - keyless: {issuer: i, subject: s}\n  - any_of:\n      - keyless: \
                {issuer: i, subject: s, trust_root: github}\n";
    let set = set(text);
    let named: Vec<_> = set.trust_roots_named().iter().map(|named| named.problem(named.name.clone()).to_string()).collect();
    assert_eq!(
        named,
        ["p.yaml:4:14: signatures[0].keyless: default", "p.yaml:6:54: signatures[1].any_of[0].keyless.trust_root: github"]
    );
    assert!(set.policies[0].asks_root("github") && set.policies[0].asks_root("default") && !set.policies[0].asks_root("other"));
}
