//! The room's promises, over whole policy files and proven facts.

mod accounts;
mod attestors;
mod counts;
mod denied;
mod excepted;
mod files;
mod platforms;
mod properties;
mod shipped;
mod statements;
mod twice;
mod unseen;

use std::{path::Path, sync::Arc};

use super::{deny::DeniedPackages, *};
use crate::{
    oci::Digest,
    verify::{Predicate, Proven, SanKind, Signer, Statement, Verified},
};

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

fn signer(subject: &str) -> Signer {
    Signer {
        trust_root: "default".into(),
        issuer: ISSUER.into(),
        san_kind: SanKind::Uri,
        subject: subject.into(),
        claims: Default::default(),
    }
}

fn fact(signer: Signer, content: Proven) -> Verified {
    let times = vec![jiff::Timestamp::UNIX_EPOCH];
    Verified { signer, content, times, log: LogEvidence::Promise, entries: Vec::new(), source: None }
}

fn signature(subject: &str) -> Verified {
    fact(signer(subject), Proven::Signature)
}

fn attestation(subject: &str, predicate_type: &str, predicate: &str) -> Verified {
    let statement = Statement { predicate_type: predicate_type.into(), predicate: Predicate::from(predicate.to_owned()) };
    fact(signer(subject), Proven::Attestation(statement))
}

fn spdx_by(subject: &str) -> Verified {
    attestation(subject, spdx::TYPE, SPDX)
}

fn ask(policy: &Policy, facts: &[Verified]) -> Result<Held, Unmet> {
    ask_with(policy, facts, None, jiff::Timestamp::UNIX_EPOCH)
}

/// Asks about the image `ghcr.io/acme/app` with the digest of `image`; whatever it answers is fit to be shown.
fn ask_with(
    policy: &Policy,
    facts: &[Verified],
    platforms: Option<&[PlatformFacts]>,
    now: jiff::Timestamp,
) -> Result<Held, Unmet> {
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let subject = Digest::sha256(b"image");
    let outcome =
        policy.judge(&Case { image: &image, subject: &subject, facts, platforms, denied: &DeniedPackages::default(), now });
    if let Err(unmet) = &outcome {
        assert!(unmet.summary.len() <= 200 && unmet.summary.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", unmet.summary);
        assert!(unmet.details.iter().all(|line| line.len() <= 512 && line.bytes().all(|b| (0x20..0x7f).contains(&b))));
    }
    outcome
}

fn judge(text: &str, facts: &[Verified]) -> Result<Held, Unmet> {
    ask(&set(text).policies[0], facts)
}

fn judge_at(text: &str, facts: &[Verified], now: &str) -> Result<Held, Unmet> {
    ask_with(&set(text).policies[0], facts, None, time(now))
}

fn time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

/// The same fact, proven to have been there at these times.
fn made(mut fact: Verified, times: &[&str]) -> Verified {
    fact.times = times.iter().map(|text| time(text)).collect();
    fact
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
    let mut sbom = spdx_by(MAIN);
    sbom.signer.claims = claimed(&[hosted, owner]).signer.claims;
    assert!(judge(CLAIMS, &[claimed(&[hosted, owner]), sbom]).is_ok());
    let halves = [claimed(&[hosted]), claimed(&[owner]), claimed(&[("runner_environment", "self-hosted"), owner]), spdx_by(MAIN)];
    let (reason, sentence) = refusal(CLAIMS, &halves);
    assert_eq!(reason, Reason::ClaimMissing);
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
fn custom_predicate_types_are_compared_exactly_and_must_not_be_empty() {
    let text = format!("{STRICT}attestations: [{{predicate_type: https://acme.test/review}}]\n");
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://acme.test/review", "{}")]).is_ok());
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://acme.test/review", " null ")]).is_err());
    assert!(judge(&text, &[signature(MAIN), attestation(MAIN, "https://acme.test/review/v1.5", "{}")]).is_err());
}

#[test]
fn a5_versioned_types_count_and_the_document_decides() {
    let text = format!("{STRICT}attestations: [{{predicate_type: https://cyclonedx.org/bom}}]\n");
    let bom = r#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"zlib"}]}"#;
    for found in ["https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.5"] {
        assert!(judge(&text, &[signature(MAIN), attestation(MAIN, found, bom)]).is_ok());
        assert_eq!(refusal(&text, &[signature(MAIN), attestation(MAIN, found, "{}")]).0, Reason::AttestationMalformed);
    }
    assert_eq!(
        refusal(&text, &[signature(MAIN), attestation(MAIN, "https://cyclonedx.org/bom/v9", bom)]).0,
        Reason::AttestationMissing
    );
}

#[test]
fn one_statement_passes_all_checks_of_its_entry() {
    let text = format!(
        "{STRICT}attestations:\n  - predicate_type: https://spdx.dev/Document\n    packages: {{deny: [{{name: evil}}]}}\n    licenses: {{deny: [AGPL-3.0-only]}}\n"
    );
    let with = |package: &str| spdx_with(MAIN, package);
    let (evil, agpl) = (r#"{"name":"evil","versionInfo":"1"}"#, r#"{"name":"gs","licenseDeclared":"AGPL-3.0-only"}"#);
    assert!(judge(&text, &[signature(MAIN), spdx_by(MAIN)]).is_ok());
    assert!(judge(&text, &[signature(MAIN), with(evil), spdx_by(MAIN)]).is_ok(), "any one statement suffices");
    assert_eq!(
        refusal(&text, &[signature(MAIN), with(evil)]),
        (Reason::PackageDenied, "attestation https://spdx.dev/Document: wants no package evil; found evil 1".to_owned())
    );
    assert_eq!(refusal(&text, &[signature(MAIN), with(agpl)]).0, Reason::LicenseDenied);
    assert!(judge(&text, &[signature(MAIN), with(evil), with(agpl)]).is_err(), "two halves are no whole (I5)");
}

fn spdx_with(subject: &str, package: &str) -> Verified {
    attestation(subject, spdx::TYPE, &SPDX.replace("\"packages\":[", &format!("\"packages\":[{package},")))
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

/// The statements cosign really wrote, as bundles and as `.att` layers.
fn recorded_statements() -> Vec<(String, String)> {
    use base64::Engine as _;
    let mut statements = Vec::new();
    for entry in std::fs::read_dir("tests/fixtures/acme/registry/blobs/sha256").unwrap() {
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&std::fs::read(entry.unwrap().path()).unwrap()) else {
            continue;
        };
        let envelope = document.get("dsseEnvelope").unwrap_or(&document);
        let Some(payload) = envelope["payload"].as_str() else { continue };
        let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
        let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        statements.push((statement["predicateType"].as_str().unwrap().to_owned(), statement["predicate"].to_string()));
    }
    statements
}

#[test]
fn a4_recorded_documents_of_real_tools_are_read_and_the_hollow_one_is_not() {
    let (mut read, mut refused) = (0, Vec::new());
    for (predicate_type, predicate) in recorded_statements() {
        match judge(STRICT, &[signature(MAIN), attestation(MAIN, &predicate_type, &predicate)]) {
            Ok(_) => read += 1,
            Err(unmet) => refused.push((unmet.reason, predicate_type)),
        }
    }
    refused.retain(|(_, predicate_type)| predicate_type != "https://sigstore.dev/cosign/sign/v1");
    refused.sort_by(|a, b| a.1.cmp(&b.1));
    assert!(read >= 10, "{read}");
    assert_eq!(
        refused,
        [
            (Reason::AttestationMissing, "https://cosign.sigstore.dev/attestation/vuln/v1".to_owned()),
            (Reason::AttestationMissing, "https://cyclonedx.org/bom".to_owned()),
            (Reason::AttestationMalformed, spdx::TYPE.to_owned()),
        ]
    );
}

#[test]
fn a_signature_of_the_manifest_as_a_file_is_no_signature_of_the_image() {
    let as_file = fact(signer(MAIN), Proven::File);
    let (reason, summary) = refusal(STRICT, &[as_file.clone(), spdx_by(MAIN)]);
    assert_eq!(reason, Reason::SignatureMissing);
    assert!(summary.contains("as a file"), "{summary}");
    assert!(judge(STRICT, &[as_file, signature(MAIN), spdx_by(MAIN)]).is_ok());
}

/// As the shipped example has it, and as tools write a licence that they know by name only.
#[test]
fn a_denied_licence_that_spdx_2_calls_by_reference_is_found() {
    let text = format!(
        "{STRICT}attestations:\n  - predicate_type: https://spdx.dev/Document\n    licenses: {{deny: [{{text: Commons Clause}}]}}\n"
    );
    let package = r#"{"name":"redis","licenseDeclared":"BSD-3-Clause AND LicenseRef-1"}"#;
    let extracted =
        r#""hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-1","extractedText":"Commons Clause"}],"packages":["#;
    let with = |extracted: &str| SPDX.replace("\"packages\":[", &format!("{extracted}{package},"));
    let judged = |extracted: &str| judge(&text, &[signature(MAIN), attestation(MAIN, spdx::TYPE, &with(extracted))]);
    assert_eq!(judged(extracted).unwrap_err().reason, Reason::LicenseDenied);
    assert!(judged(&extracted.replace("Commons Clause", "Other")).is_ok());
}
