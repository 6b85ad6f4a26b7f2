//! Who must sign: any, all, so many; nested; by which trust root, with which claims.

use super::*;

pub(super) const ALICE: &str = "https://github.com/acme/app/.github/workflows/alice.yml@refs/heads/main";
pub(super) const BOB: &str = "https://github.com/acme/app/.github/workflows/bob.yml@refs/heads/main";
pub(super) const CAROL: &str = "https://github.com/acme/app/.github/workflows/carol.yml@refs/heads/main";
pub(super) const DAVE: &str = "https://github.com/acme/app/.github/workflows/dave.yml@refs/heads/main";

pub(super) fn keyless(subject: &str) -> String {
    format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}")
}

/// A policy that asks for signatures only.
pub(super) fn signatures(entry: &str) -> String {
    format!("name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{entry}]\ndangerous_no_attestation: true\n")
}

pub(super) fn any_of(entries: &[String]) -> String {
    format!("{{any_of: [{}]}}", entries.join(", "))
}

pub(super) fn all_of(entries: &[String]) -> String {
    format!("{{all_of: [{}]}}", entries.join(", "))
}

pub(super) fn count(count: usize, entries: &[String]) -> String {
    format!("{{count: {count}, of: [{}]}}", entries.join(", "))
}

pub(super) fn by(subjects: &[&str]) -> Vec<Verified> {
    subjects.iter().map(|subject| signature(subject)).collect()
}

fn holds(entry: &str, subjects: &[&str]) -> bool {
    judge(&signatures(entry), &by(subjects)).is_ok()
}

#[test]
fn any_all_and_count_mean_what_they_say() {
    let three = [keyless(ALICE), keyless(BOB), keyless(CAROL)];
    assert!(holds(&any_of(&three), &[CAROL]) && !holds(&any_of(&three), &[DAVE]) && !holds(&any_of(&three), &[]));
    assert!(holds(&all_of(&three), &[CAROL, ALICE, BOB]) && !holds(&all_of(&three), &[ALICE, BOB]));
    assert!(holds(&count(2, &three), &[CAROL, ALICE]) && !holds(&count(2, &three), &[CAROL, DAVE]));
    let nested = count(2, &[keyless(ALICE), all_of(&[keyless(BOB), keyless(CAROL)]), any_of(&[keyless(CAROL), keyless(DAVE)])]);
    assert!(holds(&nested, &[ALICE, BOB, CAROL]) && holds(&nested, &[BOB, CAROL, DAVE]) && holds(&nested, &[ALICE, DAVE]));
    // Carol serves the second entry or the third.
    assert!(!holds(&nested, &[BOB, CAROL]) && !holds(&nested, &[ALICE, BOB]));
}

#[test]
fn several_signatures_of_one_signer_count_once_and_one_signer_serves_one_entry() {
    let two = count(2, &[keyless(ALICE), keyless(BOB)]);
    assert!(!holds(&two, &[ALICE, ALICE, ALICE]));
    // Both patterns name Alice; she is one signer all the same.
    let pattern = |glob: &str| format!("{{keyless: {{issuer: {ISSUER}, subject_pattern: {glob:?}}}}}");
    let patterns = count(2, &[pattern("https://github.com/acme/**"), pattern("https://github.com/*/app/**"), keyless(ALICE)]);
    assert!(!holds(&patterns, &[ALICE, ALICE]));
    assert!(holds(&patterns, &[ALICE, BOB]));
    // The same claims or others, it is the same signer; under another trust root it is another.
    let root = "{keyless: {issuer_pattern: \"https://**\", subject_pattern: \"https://github.com/acme/**\", trust_root: other}}";
    let roots = signatures(&count(2, &[pattern("https://github.com/acme/**"), root.to_owned()]));
    let mut claimed = signature(ALICE);
    claimed.signer.claims.insert("runner_environment", "github-hosted".into());
    assert!(judge(&roots, &[signature(ALICE), claimed.clone()]).is_err());
    claimed.signer.trust_root = "other".into();
    assert!(judge(&roots, &[signature(ALICE), claimed.clone()]).is_ok());
    // As it is with another kind of name.
    let kinds = signatures(&count(2, &[pattern("https://github.com/acme/**"), keyless(ALICE)]));
    claimed = signature(ALICE);
    claimed.signer.san_kind = SanKind::Other;
    assert!(judge(&kinds, &[signature(ALICE), claimed]).is_ok());
}

#[test]
fn what_is_short_is_said() {
    let three = [keyless(ALICE), keyless(BOB), keyless(CAROL)];
    let refused = |entry: &str, subjects: &[&str]| refusal(&signatures(entry), &by(subjects));
    let (reason, sentence) = refused(&count(2, &three), &[ALICE, ALICE, DAVE]);
    assert_eq!(reason, Reason::SignersTooFew);
    let wants = "wants signatures by 2 different signers of ...alice.yml@...ads/main, ...bob.yml@re...ads/main or ";
    assert!(sentence.starts_with(wants), "{sentence}");
    assert!(sentence.contains("; found 1: https://github.com/acme/app/") && sentence.ends_with("main"), "{sentence}");
    let (reason, sentence) = refused(&count(2, &three), &[]);
    assert_eq!(reason, Reason::SignatureMissing);
    assert!(sentence.ends_with("; found none"), "{sentence}");
    let (reason, sentence) = refused(&count(2, &three), &[FORK]);
    assert_eq!(reason, Reason::IdentityMismatch);
    assert!(sentence.starts_with(wants), "{sentence}");
    assert!(sentence.contains("; found one by https://github.com/mallory/a"), "{sentence}");
    let (reason, sentence) = refused(&any_of(&three), &[FORK]);
    assert_eq!(reason, Reason::IdentityMismatch);
    assert!(sentence.contains(" or ") && sentence.contains("; found one by https://github.com/mallory/app/"), "{sentence}");
    // Of an `all_of` the entry that is missing.
    assert_eq!(
        refused(&all_of(&three), &[ALICE, CAROL]),
        (
            Reason::IdentityMismatch,
            format!(
                "wants a signature by {BOB}; found one by https://github.com/acme/app/.github/w...alice.yml@refs/heads/main and by 1 more"
            )
        )
    );
    let unmet = judge(&signatures(&count(2, &three)), &by(&[ALICE])).unwrap_err();
    assert!(unmet.details[0].starts_with("signatures[0]: wants 2 different signers of [https://github.com/acme"), "{unmet:?}");
}

#[test]
fn of_several_identities_the_one_that_came_nearest_is_told() {
    let mut near = signature(BOB);
    near.signer.issuer = "https://oidc.evil.test".into();
    let three = [keyless(ALICE), keyless(BOB), keyless(CAROL)];
    for entry in [any_of(&three), count(2, &three)] {
        let (reason, sentence) = refusal(&signatures(&entry), &[near.clone(), signature(FORK)]);
        assert_eq!(reason, Reason::IssuerMismatch, "{entry}");
        assert!(sentence.contains("bob.yml@refs/heads/main of issuer https://token"), "{sentence}");
    }
    // Of those that came equally near, the first.
    let of = |issuer: &str| format!("{{keyless: {{issuer: {issuer}, subject: {BOB:?}}}}}");
    let (_, sentence) = refusal(&signatures(&any_of(&[of("https://a.test"), of("https://b.test")])), &[near]);
    assert!(sentence.contains("of issuer https://a.test; found"), "{sentence}");
}

#[test]
fn a_wanted_claim_that_is_absent_or_not_of_the_pattern_says_so() {
    let claims = "{keyless: {issuer: https://token.actions.githubusercontent.com, subject_pattern: \"https://github.com/acme/**\", \
                  claims_pattern: {source_repository_ref: [\"refs/heads/release-*\", \"refs/tags/**\"]}}}";
    let on = |reference: Option<&str>| {
        let mut fact = signature(ALICE);
        fact.signer.claims.extend(reference.map(|reference| ("source_repository_ref", reference.to_owned())));
        fact
    };
    let text = signatures(claims);
    assert!(judge(&text, &[on(Some("refs/heads/release-1"))]).is_ok() && judge(&text, &[on(Some("refs/tags/a/b"))]).is_ok());
    let (reason, sentence) = refusal(&text, &[on(Some("refs/heads/main"))]);
    assert_eq!(reason, Reason::ClaimMismatch);
    let wants = "wants claim source_repository_ref refs/heads/release-* or refs/tags/**";
    assert!(sentence.starts_with(&format!("{wants}; found refs/heads/main")), "{sentence}");
    let (reason, sentence) = refusal(&text, &[on(None)]);
    assert_eq!(reason, Reason::ClaimMissing);
    assert!(sentence.starts_with(&format!("{wants}; the certificate has no such claim")), "{sentence}");
    let text = format!("{STRICT}attestations: [{{predicate_type: {}, {}}}]\n", spdx::TYPE, &claims[1..claims.len() - 1]);
    let (reason, sentence) = refusal(&text, &[signature(MAIN), spdx_by(ALICE)]);
    assert_eq!(reason, Reason::ClaimMissing);
    assert!(sentence.starts_with(&format!("attestation https://spdx.dev/Document: {wants}; the certificate has")), "{sentence}");
}

#[test]
fn i2_a_regex_that_other_tools_would_find_in_the_middle_says_that_it_must_match_all() {
    let regex = |issuer: &str, subject: &str| {
        signatures(&format!("{{keyless: {{issuer_regex: {issuer:?}, subject_regex: {subject:?}}}}}"))
    };
    let (reason, sentence) = refusal(&regex("https://token.*", "release\\.yml@refs/heads/main"), &[signature(MAIN)]);
    assert_eq!(reason, Reason::IdentityMismatch);
    assert!(sentence.ends_with(", which the regex matches in part only: it must match all of it"), "{sentence}");
    let (reason, sentence) = refusal(&regex("githubusercontent", ".*/acme/.*"), &[signature(MAIN)]);
    assert_eq!(reason, Reason::IssuerMismatch);
    assert!(sentence.starts_with("wants issuer /githubusercontent/; found https://token"), "{sentence}");
    assert!(sentence.ends_with("in part only: it must match all of it"), "{sentence}");
    let (_, sentence) = refusal(&regex("https://token.*", "nowhere"), &[signature(MAIN)]);
    assert!(!sentence.contains("in part"), "{sentence}");
}

#[test]
fn another_trust_root_is_told_apart_from_another_signer() {
    let mut other = signature(MAIN);
    other.signer.trust_root = "github".into();
    let unmet = judge(STRICT, &[signature(FORK), other.clone()]).unwrap_err();
    assert_eq!(unmet.reason, Reason::TrustRootMismatch);
    assert!(unmet.summary.ends_with("under trust root default; found one under github"), "{}", unmet.summary);
    let roots: Vec<_> = unmet.details.iter().map(|line| line.contains(", trust root github")).collect();
    assert_eq!(roots[roots.len() - 2..], [false, true], "{unmet:?}");
    let named = STRICT.replace("      subject:", "      trust_root: github\n      subject:") + "dangerous_no_attestation: true\n";
    assert!(judge(&named, &[other]).is_ok());
    assert_eq!(refusal(&named, &[signature(MAIN)]).0, Reason::TrustRootMismatch);
    // And the default attester is the signer under its root.
    let mut sbom = spdx_by(MAIN);
    sbom.signer.trust_root = "github".into();
    assert_eq!(refusal(STRICT, &[signature(MAIN), sbom]).0, Reason::AttestationIdentityMismatch);
}

#[test]
fn a_signature_of_any_alternative_that_is_met_makes_an_attester_and_no_other() {
    let policy = |entry: &str| format!("name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{entry}]\n");
    let text = policy(&any_of(&[keyless(ALICE), all_of(&[keyless(BOB), keyless(CAROL)])]));
    assert!(judge(&text, &[signature(ALICE), spdx_by(ALICE)]).is_ok());
    assert!(judge(&text, &[signature(BOB), signature(CAROL), spdx_by(CAROL)]).is_ok());
    assert!(judge(&text, &[signature(ALICE), signature(BOB), signature(CAROL), spdx_by(BOB)]).is_ok());
    // Bob alone met nothing, though Alice did.
    assert_eq!(refusal(&text, &[signature(ALICE), signature(BOB), spdx_by(BOB)]).0, Reason::AttestationIdentityMismatch);
    let text = policy(&count(2, &[keyless(ALICE), keyless(BOB), keyless(CAROL)]));
    assert!(judge(&text, &[signature(ALICE), signature(BOB), spdx_by(BOB)]).is_ok());
    assert!(judge(&text, &[signature(ALICE), signature(BOB), spdx_by(CAROL)]).is_err());
}

/// A reusable workflow is one signer whoever calls it: what another's call of it attests is not the image's.
#[test]
fn i7_an_attester_meets_what_the_signature_had_to_meet_claims_and_all() {
    const SHARED: &str = "https://github.com/shared/ci/.github/workflows/build.yml@refs/tags/v1";
    let called_by = |mut fact: Verified, owner: &str| {
        let owner = (!owner.is_empty()).then(|| format!("https://github.com/{owner}"));
        fact.signer.claims.extend(owner.map(|owner| ("source_repository_owner_uri", owner)));
        fact
    };
    let signed = |owner: &str| called_by(signature(SHARED), owner);
    let sbom = |owner: &str| called_by(spdx_by(SHARED), owner);
    let for_owner = |owner: &str| {
        let claims = format!("claims: {{source_repository_owner_uri: https://github.com/{owner}}}");
        format!("{{keyless: {{issuer: {ISSUER}, subject: {SHARED:?}, {claims}}}}}")
    };
    let policy = |entry: &str| format!("name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{entry}]\n");
    let text = policy(&for_owner("acme"));
    assert!(judge(&text, &[signed("acme"), sbom("acme")]).is_ok());
    assert!(judge(&text, &[signed("acme"), sbom("mallory"), sbom("acme")]).is_ok(), "others take nothing away");
    let (reason, sentence) = refusal(&text, &[signed("acme"), signed("mallory"), sbom("mallory")]);
    assert_eq!(reason, Reason::ClaimMismatch);
    let wants = "attestation https://spdx.dev/Document: wants claim source_repository_owner_uri https://github.com/acme";
    assert_eq!(sentence, format!("{wants}; found https://github.com/mallory"));
    let (reason, sentence) = refusal(&text, &[signed("acme"), sbom("")]);
    assert_eq!((reason, sentence), (Reason::ClaimMissing, format!("{wants}; the certificate has no such claim")));

    // Of alternatives, the one by which the image was signed; where it was signed by both, either.
    let either = policy(&any_of(&[for_owner("acme"), for_owner("other")]));
    assert!(judge(&either, &[signed("acme"), sbom("acme")]).is_ok() && judge(&either, &[signed("acme"), sbom("other")]).is_err());
    assert!(judge(&either, &[signed("acme"), signed("other"), sbom("other")]).is_ok());
    // Where it was signed by both and attested by neither, the first is told.
    let both = policy(&format!("{}, {}", for_owner("acme"), for_owner("other")));
    let (_, sentence) = refusal(&both, &[signed("acme"), signed("other"), sbom("mallory")]);
    assert_eq!(sentence, format!("{wants}; found https://github.com/mallory"));
    // And not one that was not met for want of its others.
    let unmet = policy(&any_of(&[for_owner("acme"), all_of(&[keyless(SHARED), keyless(ALICE)])]));
    assert_eq!(refusal(&unmet, &[signed("acme"), sbom("mallory")]).0, Reason::ClaimMismatch);
    assert!(judge(&unmet, &[signed("acme"), signature(ALICE), sbom("mallory")]).is_ok());
    // Each of several by its own.
    let several = policy(&count(2, &[keyless(ALICE), for_owner("acme"), keyless(BOB)]));
    assert!(judge(&several, &[signed("acme"), signature(ALICE), sbom("mallory")]).is_err());
    assert!(judge(&several, &[signed("acme"), signature(ALICE), spdx_by(ALICE)]).is_ok());
}

#[test]
fn attestations_may_want_several_signers_too() {
    let text = format!(
        "{STRICT}attestations: [{{predicate_type: {}, count: 2, of: [{}, {}, {}]}}]\n",
        spdx::TYPE,
        keyless(ALICE),
        keyless(BOB),
        keyless(CAROL)
    );
    assert!(judge(&text, &[signature(MAIN), spdx_by(ALICE), spdx_by(CAROL)]).is_ok());
    let (reason, sentence) = refusal(&text, &[signature(MAIN), spdx_by(ALICE), spdx_by(ALICE), spdx_by(DAVE)]);
    assert_eq!(reason, Reason::SignersTooFew);
    assert!(
        sentence.starts_with("wants attestations of type https://spdx.dev/Document by 2 different signers of "),
        "{sentence}"
    );
    assert!(sentence.contains("; found 1: https://github.com/acme"), "{sentence}");
    let unmet = judge(&text, &[signature(MAIN), spdx_by(ALICE), attestation(CAROL, spdx::TYPE, "{}")]).unwrap_err();
    assert!(unmet.details.iter().any(|line| line.contains("carol.yml") && line.contains("no spdxVersion")), "{unmet:?}");
    assert_eq!(refusal(&text, &[signature(MAIN)]).0, Reason::AttestationMissing);
    // Each would do for either entry.
    let pattern = |glob: &str| format!("{{keyless: {{issuer: {ISSUER}, subject_pattern: {glob:?}}}}}");
    let both = format!("{}, {}", pattern("https://github.com/acme/**"), pattern("https://github.com/*/app/**"));
    let text = format!("{STRICT}attestations: [{{predicate_type: {}, count: 2, of: [{both}]}}]\n", spdx::TYPE);
    assert!(judge(&text, &[signature(MAIN), spdx_by(ALICE), spdx_by(BOB)]).is_ok());
    assert!(judge(&text, &[signature(MAIN), spdx_by(ALICE), spdx_by(ALICE)]).is_err());
}

#[test]
fn who_signed_and_since_when_is_told_of_the_signatures_that_count() {
    let text = signatures(&count(2, &[keyless(ALICE), keyless(BOB), keyless(CAROL)]));
    let facts = [
        made(signature(ALICE), &["2026-03-01T00:00:00Z"]),
        made(signature(BOB), &["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]),
        made(signature(BOB), &["2026-01-15T00:00:00Z"]),
        made(signature(CAROL), &["2026-04-01T00:00:00Z"]),
        made(signature(FORK), &["2026-01-01T00:00:00Z"]),
    ];
    let held = judge_at(&text, &facts, "2026-05-01T00:00:00Z").unwrap();
    assert_eq!((held.signed_at, held.signed.len()), (Some(time("2026-03-01T00:00:00Z")), 0), "nobody asks who");
    let held = judge_at(&format!("{text}tag_guard: true\n"), &facts, "2026-05-01T00:00:00Z").unwrap();
    assert_eq!(held.signed_at, Some(time("2026-03-01T00:00:00Z")));
    assert_eq!(held.signed.len(), 4);
    assert!(held.signed.iter().all(|signed| signed.signer.subject != FORK));
    assert_eq!(held.valid_until, None);
}
