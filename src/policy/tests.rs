//! The room's promises, over whole policy files and proven facts.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::verify::{Proven, SanKind, Signer, Statement, Verified};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const MAIN: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const FORK: &str = "https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main";
const BRANCH: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/evil";
const SPDX: &str = r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"a","documentNamespace":"https://a","creationInfo":{},
    "packages":[{"SPDXID":"SPDXRef-a","name":"a"}]}"#;

const STRICT: &str = r#"
name: acme
images: ["ghcr.io/acme/**"]
signatures:
  - keyless:
      issuer: https://token.actions.githubusercontent.com
      subject: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main
"#;

fn set(text: &str) -> PolicySet {
    PolicySet::from_text(Path::new("p.yaml"), text, Unmatched::Deny).unwrap()
}

fn wrong(text: &str) -> Vec<String> {
    let problems = PolicySet::from_text(Path::new("p.yaml"), text, Unmatched::Deny).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

fn image(text: &str) -> ImageName {
    let (host, repository) = text.split_once('/').unwrap();
    ImageName::new(host.parse().unwrap(), repository.parse().unwrap())
}

fn signer(subject: &str) -> Signer {
    Signer { issuer: ISSUER.into(), san_kind: SanKind::Uri, subject: subject.into(), claims: Default::default() }
}

fn fact(signer: Signer, content: Proven) -> Verified {
    Verified { signer, content, times: vec![jiff::Timestamp::UNIX_EPOCH], log: LogEvidence::Promise }
}

fn signature(subject: &str) -> Verified {
    fact(signer(subject), Proven::Signature)
}

fn attestation(subject: &str, predicate_type: &str, predicate: &str) -> Verified {
    let statement = Statement { predicate_type: predicate_type.into(), predicate: Bytes::copy_from_slice(predicate.as_bytes()) };
    fact(signer(subject), Proven::Attestation(statement))
}

fn spdx_by(subject: &str) -> Verified {
    attestation(subject, spdx::TYPE, SPDX)
}

fn judge(text: &str, facts: &[Verified]) -> Result<(), Unmet> {
    let outcome = set(text).policies[0].judge(&Digest::sha256(b"image"), facts);
    if let Err(unmet) = &outcome {
        assert!(unmet.summary.len() <= 200 && unmet.summary.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", unmet.summary);
        assert!(unmet.details.iter().all(|line| line.len() <= 512 && line.bytes().all(|b| (0x20..0x7f).contains(&b))));
    }
    outcome
}

fn refusal(text: &str, facts: &[Verified]) -> (Reason, String) {
    let unmet = judge(text, facts).unwrap_err();
    (unmet.reason, unmet.summary)
}

#[test]
fn a_signature_and_an_spdx_document_by_the_signer_are_enough() {
    assert!(judge(STRICT, &[signature(MAIN), spdx_by(MAIN)]).is_ok());
    for predicate_type in [spdx::TYPE_2_2, spdx::TYPE_2_3] {
        assert!(judge(STRICT, &[signature(MAIN), attestation(MAIN, predicate_type, SPDX)]).is_ok());
    }
}

#[test]
fn the_sentence_says_what_was_wanted_and_what_was_found() {
    let cyclonedx = || attestation(MAIN, "https://cyclonedx.org/bom", "{}");
    for (facts, reason, sentence) in [
        (vec![], Reason::SignatureMissing, format!("wants a signature by {MAIN}; found none")),
        (
            vec![spdx_by(MAIN)],
            Reason::SignatureMissing,
            format!("wants a signature by {MAIN}; found only attestations, which are no signature"),
        ),
        (
            vec![signature(FORK), spdx_by(FORK)],
            Reason::IdentityMismatch,
            format!("wants a signature by {MAIN}; found one by https://github.com/mallory/app/.githu...lease.yml@refs/heads/main"),
        ),
        (
            vec![signature(FORK), signature(BRANCH)],
            Reason::IdentityMismatch,
            format!("wants a signature by {MAIN}; found one by https://github.com/mallory/app/.githu...lease.yml@refs/heads/main and by 1 more"),
        ),
        (
            vec![signature(MAIN)],
            Reason::AttestationMissing,
            "wants an attestation of type https://spdx.dev/Document; found none".into(),
        ),
        (
            vec![signature(MAIN), cyclonedx()],
            Reason::AttestationMissing,
            "wants an attestation of type https://spdx.dev/Document; found https://cyclonedx.org/bom".into(),
        ),
        (
            vec![signature(MAIN), cyclonedx(), spdx_by(FORK)],
            Reason::AttestationIdentityMismatch,
            "wants an attestation of type https://spdx.dev/Document by https://github.com/acme/app/.githu...ase.yml@refs/heads/main; \
             found one by https://github.com/mallory/app/.githu...lease.yml@refs/heads/main"
                .into(),
        ),
        (
            vec![signature(MAIN), attestation(MAIN, spdx::TYPE, "{\"hollow\":true}"), spdx_by(FORK)],
            Reason::AttestationMalformed,
            "wants an attestation of type https://spdx.dev/Document; its predicate has no spdxVersion".into(),
        ),
    ] {
        assert_eq!(refusal(STRICT, &facts), (reason, sentence));
    }
}

#[test]
fn i4_another_issuer_is_told_apart_from_another_subject() {
    let mut other = signature(MAIN);
    other.signer.issuer = "https://oidc.evil.test".into();
    let (reason, sentence) = refusal(STRICT, &[signature(FORK), other, spdx_by(MAIN)]);
    assert_eq!(reason, Reason::IssuerMismatch);
    assert!(sentence.ends_with("found issuer https://oidc.evil.test"), "{sentence}");
}

const CLAIMS: &str = r#"
name: acme
images: ["ghcr.io/acme/**"]
signatures:
  - keyless:
      issuer: https://token.actions.githubusercontent.com
      subject_pattern: https://github.com/acme/*/.github/workflows/*@refs/heads/main
      claims: {runner_environment: github-hosted, source_repository_owner_uri: [https://github.com/acme, https://github.com/acme2]}
"#;

#[test]
fn i5_two_half_right_bundles_never_make_a_whole() {
    let claimed = |claims: &[(&'static str, &str)]| {
        let mut fact = signature(MAIN);
        fact.signer.claims = claims.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        fact
    };
    let hosted = ("runner_environment", "github-hosted");
    let owner = ("source_repository_owner_uri", "https://github.com/acme2");
    assert!(judge(CLAIMS, &[claimed(&[hosted, owner]), spdx_by(MAIN)]).is_ok());
    let halves = [claimed(&[hosted]), claimed(&[owner]), claimed(&[("runner_environment", "self-hosted"), owner]), spdx_by(MAIN)];
    let (reason, sentence) = refusal(CLAIMS, &halves);
    assert_eq!(reason, Reason::ClaimMismatch);
    assert!(sentence.starts_with("wants claim source_repository_owner_uri https://github.com/acme or "), "{sentence}");
    assert!(sentence.contains("the certificate has no such claim"), "{sentence}");
    let (_, sentence) = refusal(CLAIMS, &[claimed(&[("runner_environment", "self-hosted"), owner])]);
    assert!(sentence.starts_with("wants claim runner_environment github-hosted; found self-hosted"), "{sentence}");
}

#[test]
fn a1_the_default_attester_is_literally_the_signer() {
    let pattern = CLAIMS.split("      claims").next().unwrap();
    let other = "https://github.com/acme/other/.github/workflows/x.yml@refs/heads/main";
    assert!(judge(pattern, &[signature(MAIN), spdx_by(MAIN)]).is_ok());
    // It would meet the pattern, but it did not sign this image.
    assert_eq!(refusal(pattern, &[signature(MAIN), spdx_by(other)]).0, Reason::AttestationIdentityMismatch);
    let mut issuer = spdx_by(MAIN);
    issuer.signer.issuer = "https://other.test".into();
    assert_eq!(refusal(pattern, &[signature(MAIN), issuer]).0, Reason::AttestationIdentityMismatch);
    // It signed this image, but met no rule.
    assert_eq!(refusal(pattern, &[signature(MAIN), signature(FORK), spdx_by(FORK)]).0, Reason::AttestationIdentityMismatch);
    assert!(judge(pattern, &[signature(MAIN), signature(other), spdx_by(other)]).is_ok());
}

#[test]
fn a1_an_attestation_rule_with_its_own_signer_wants_that_one() {
    let text = format!(
        "{STRICT}attestations:\n  - predicate_type: https://spdx.dev/Document\n    keyless: {{issuer: {ISSUER}, subject: {FORK:?}}}\n"
    );
    assert_eq!(refusal(&text, &[signature(MAIN), spdx_by(MAIN)]).0, Reason::AttestationIdentityMismatch);
    assert!(judge(&text, &[signature(MAIN), spdx_by(FORK)]).is_ok());
}

#[test]
fn every_signature_entry_must_hold() {
    let text = format!("{STRICT}  - keyless: {{issuer: {ISSUER}, subject: {FORK:?}}}\n");
    assert!(judge(&text, &[signature(MAIN), spdx_by(MAIN)]).is_err());
    assert!(judge(&text, &[signature(FORK), spdx_by(FORK)]).is_err());
    assert!(judge(&text, &[signature(FORK), signature(MAIN), spdx_by(FORK)]).is_ok());
}

#[test]
fn log_proof_wants_proofs_of_signature_and_attestation() {
    let text = format!("{STRICT}log: proof\n");
    let proven = |mut fact: Verified| {
        fact.log = LogEvidence::Proof;
        fact
    };
    assert!(judge(&text, &[proven(signature(MAIN)), proven(spdx_by(MAIN))]).is_ok());
    assert_eq!(refusal(&text, &[signature(MAIN), proven(spdx_by(MAIN))]).0, Reason::LogProofMissing);
    assert_eq!(refusal(&text, &[proven(signature(MAIN)), spdx_by(MAIN)]).0, Reason::LogProofMissing);
}

#[test]
fn a4_a_versioned_rule_wants_that_version() {
    let text = format!("{STRICT}attestations: [{{predicate_type: {}}}]\n", spdx::TYPE_2_2);
    assert_eq!(refusal(&text, &[signature(MAIN), attestation(MAIN, spdx::TYPE_2_2, SPDX)]).0, Reason::AttestationMalformed);
    assert_eq!(refusal(&text, &[signature(MAIN), spdx_by(MAIN)]).0, Reason::AttestationMissing);
    let older = SPDX.replace("SPDX-2.3", "SPDX-2.2");
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, spdx::TYPE_2_2, &older)]).is_ok());
}

#[test]
fn other_predicate_types_are_compared_exactly_and_must_not_be_empty() {
    let text = format!("{STRICT}attestations: [{{predicate_type: https://cyclonedx.org/bom}}]\n");
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://cyclonedx.org/bom", "{}")]).is_ok());
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://cyclonedx.org/bom", " null ")]).is_err());
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://cyclonedx.org/bom/v1.5", "{}")]).is_err());
}

#[test]
fn j2_what_others_wrote_is_escaped_and_cut() {
    let evil = format!("https://x\r\n\u{1b}[31m\u{202e}{}", "y".repeat(1 << 20));
    let mut by_evil_issuer = signature(MAIN);
    by_evil_issuer.signer.issuer = evil.clone();
    judge(STRICT, &[signature(&evil), spdx_by(&evil)]).unwrap_err();
    judge(STRICT, &[by_evil_issuer]).unwrap_err();
    judge(STRICT, &[signature(MAIN), attestation(MAIN, &evil, "{}")]).unwrap_err();
    let named = SPDX.replace("SPDX-2.3", &evil.escape_default().to_string().replace("\\u{1b}", "").replace("\\u{202e}", ""));
    judge(STRICT, &[signature(MAIN), attestation(MAIN, spdx::TYPE, &named)]).unwrap_err();
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
    let claims = crate::verify::CLAIMS;
    assert!(claims.contains(&"runner_environment"));
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
            "p.yaml:12:5: signatures[1].key: not supported yet",
            "p.yaml:12:5: signatures[1].keyless: missing; write {keyless: {issuer: …, subject: …}}",
            "p.yaml:13:5: signatures[2].keyless: missing; write {keyless: {issuer: …, subject: …}}",
            "p.yaml:15:21: attestations[0].predicate_type: is cosign's short name; write https://spdx.dev/Document",
            "p.yaml:16:5: attestations[0].require: not supported yet",
            "p.yaml:17:5: attestations[1].predicate_type: missing; write which, as in https://spdx.dev/Document",
            "p.yaml:17:30: attestations[1].keyless.subject_regex: not a regular expression: error: unopened group",
            "p.yaml:17:47: attestations[1].keyless.issuer: wants the exact text, found empty text",
            "p.yaml:18:1: exceptions: not supported yet",
            "p.yaml:21:9: images: an empty list names no image; write which, as in [\"ghcr.io/acme/**\"]",
            "p.yaml:22:13: signatures: an empty list asks for nothing; write who must sign, or also `dangerous_no_signature: true`",
            "p.yaml:23:27: dangerous_no_attestation: wants true or false, found `yes`",
            "p.yaml:25:1: attestations: missing; without `signatures` there is no signer to take over",
            "p.yaml:29:1: asks for nothing; to let these images through and see what is missing, write requirements and `mode: audit`",
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

fn any_fact() -> impl Strategy<Value = Verified> {
    let subjects = prop::sample::select(vec![MAIN, FORK, BRANCH]);
    let issuers = prop::sample::select(vec![ISSUER, "https://oidc.evil.test"]);
    let contents = prop::sample::select(vec![
        None,
        Some((spdx::TYPE, SPDX)),
        Some((spdx::TYPE_2_3, SPDX)),
        Some((spdx::TYPE, "{}")),
        Some(("https://cyclonedx.org/bom", "{}")),
    ]);
    let hosted = prop::sample::select(vec![None, Some("github-hosted"), Some("self-hosted")]);
    (subjects, issuers, contents, hosted, any::<bool>()).prop_map(|(subject, issuer, content, hosted, proof)| {
        let mut fact = match content {
            None => signature(subject),
            Some((predicate_type, predicate)) => attestation(subject, predicate_type, predicate),
        };
        fact.signer.issuer = issuer.to_owned();
        fact.signer.claims.extend(hosted.map(|hosted| ("runner_environment", hosted.to_owned())));
        fact.log = if proof { LogEvidence::Proof } else { LogEvidence::Promise };
        fact
    })
}

proptest! {
    #[test]
    fn adding_facts_never_turns_a_yes_into_a_no(
        facts in prop::collection::vec(any_fact(), 0..8),
        more in prop::collection::vec(any_fact(), 1..6),
        at in any::<prop::sample::Index>(),
        proof in any::<bool>(),
    ) {
        let text = if proof { format!("{STRICT}log: proof\n") } else { STRICT.to_owned() };
        let (before, mut all) = (judge(&text, &facts).is_ok(), facts.clone());
        all.splice(at.index(facts.len() + 1).., more.iter().cloned().chain(facts[at.index(facts.len() + 1)..].to_vec()));
        prop_assert!(!before || judge(&text, &all).is_ok());
        // And a yes always rests on one whole signature and one whole document.
        let whole = |fact: &Verified| fact.signer.issuer == ISSUER && fact.signer.subject == MAIN && (!proof || fact.log == LogEvidence::Proof);
        let is_document = |fact: &Verified| matches!(&fact.content, Proven::Attestation(s) if s.predicate_type.starts_with(spdx::TYPE) && s.predicate.len() > 9);
        let wanted = facts.iter().any(|fact| whole(fact) && matches!(fact.content, Proven::Signature))
            && facts.iter().any(|fact| whole(fact) && is_document(fact));
        prop_assert_eq!(before, wanted);
    }
}
