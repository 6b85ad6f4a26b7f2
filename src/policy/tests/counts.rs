//! Why a `count` is not met.

use super::{
    super::deny::{DenyList, parse_denials},
    attestors::{ALICE, BOB, CAROL, DAVE, all_of, any_of, by, count, keyless, signatures},
    *,
};

/// An identity that must have been used in an environment.
fn claimed(subject: &str) -> String {
    format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}, claims: {{deployment_environment: production}}}}}}")
}

/// A policy that asks for SBOMs by so many, without such a package.
fn sboms(attestor: &str) -> String {
    let attestor = attestor.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    format!("{STRICT}attestations: [{{predicate_type: {}, packages: {{deny: [{{name: evil}}]}}, {attestor}}}]\n", spdx::TYPE)
}

fn listing(subject: &str, package: &str) -> Verified {
    spdx_with(subject, &format!(r#"{{"SPDXID":"SPDXRef-b","name":"{package}"}}"#))
}

fn told(unmet: &Unmet, text: &str) -> bool {
    unmet.details.iter().any(|line| line.contains(text))
}

/// Who else signed hides no claim (I11).
#[test]
fn i11_of_a_count_a_claim_that_an_entry_lacks_is_told_however_many_signed() {
    let wants = "wants claim deployment_environment production; the certificate has no such claim";
    let text = signatures(&count(2, &[claimed(ALICE), keyless(BOB)]));
    let unmet = judge(&text, &by(&[ALICE, BOB])).unwrap_err();
    assert_eq!(unmet.reason, Reason::ClaimMissing);
    let lead = format!("found 1 of 2 signers; {wants} (signer https://github.com/acme/app/");
    assert!(unmet.summary.starts_with(&lead), "{unmet:?}");
    assert!(told(&unmet, "wants signatures by 2 different signers of ...alice.yml@") && told(&unmet, &format!("): {wants}")));
    let mut staging = signature(ALICE);
    staging.signer.claims.insert("deployment_environment", "staging".into());
    assert_eq!(refusal(&text, &[staging, signature(BOB)]).0, Reason::ClaimMismatch);
    // Where two lack it, the first; where others did not sign at all, the claim all the same.
    let three = signatures(&count(3, &[keyless(ALICE), claimed(BOB), claimed(CAROL)]));
    for subjects in [&[ALICE, BOB, CAROL][..], &[ALICE, CAROL, BOB], &[ALICE, BOB], &[BOB]] {
        let (reason, sentence) = refusal(&three, &by(subjects));
        assert_eq!(reason, Reason::ClaimMissing);
        let met = usize::from(subjects.contains(&ALICE));
        assert!(sentence.starts_with(&format!("found {met} of 3 signers; wants claim")), "{sentence}");
        assert!(sentence.contains("bob.yml"), "{sentence}");
    }
    // Of attestations as of signatures.
    let (reason, sentence) = refusal(&sboms(&claimed(ALICE)), &[signature(MAIN), spdx_by(ALICE)]);
    assert_eq!((reason, sentence), (Reason::ClaimMissing, format!("attestation https://spdx.dev/Document: {wants}")));
}

#[test]
fn where_nothing_is_there_of_who_is_missing_too_few_signed() {
    let two = count(2, &[claimed(ALICE), keyless(BOB), keyless(CAROL)]);
    assert_eq!(refusal(&signatures(&two), &by(&[BOB, BOB, DAVE])).0, Reason::SignersTooFew);
    // Alice serves an entry already; with the claim or without, Bob is who is missing.
    let any = any_of(&[claimed(ALICE), keyless(ALICE)]);
    assert_eq!(refusal(&signatures(&count(2, &[any, keyless(BOB)])), &by(&[ALICE])).0, Reason::SignersTooFew);
}

#[test]
fn an_alternative_that_was_begun_is_told_with_what_it_still_lacks() {
    let (two, both) = (count(2, &[keyless(ALICE), keyless(BOB)]), all_of(&[keyless(ALICE), keyless(BOB)]));
    let unmet = judge(&signatures(&any_of(&[keyless(CAROL), two.clone()])), &by(&[ALICE])).unwrap_err();
    assert_eq!(unmet.reason, Reason::SignersTooFew);
    assert!(unmet.summary.starts_with("wants signatures by 2 different signers of ...alice"), "{unmet:?}");
    assert!(unmet.summary.contains("; found 1: "), "{unmet:?}");
    assert!(told(&unmet, "carol") && told(&unmet, "; found none"), "the other alternative: {unmet:?}");
    let unmet = judge(&signatures(&any_of(&[keyless(CAROL), both])), &by(&[ALICE])).unwrap_err();
    assert_eq!(unmet.reason, Reason::IdentityMismatch);
    assert!(unmet.summary.contains("bob") && !unmet.summary.contains("carol"), "{unmet:?}");
    // What is there and does not do is told first, also where another alternative was begun.
    let mut root = signature(CAROL);
    root.signer.trust_root = "other".into();
    let unmet = judge(&signatures(&any_of(&[keyless(CAROL), two.clone()])), &[signature(ALICE), root]).unwrap_err();
    assert_eq!(unmet.reason, Reason::TrustRootMismatch);
    assert!(unmet.summary.contains("rol.yml@"), "{unmet:?}");
    // Nothing at all, and somebody else: about all of them, as before.
    let unmet = judge(&signatures(&any_of(&[keyless(CAROL), two])), &by(&[DAVE])).unwrap_err();
    assert_eq!(unmet.reason, Reason::IdentityMismatch);
    assert!(unmet.summary.contains("found one by") && unmet.summary.contains("dave"), "{unmet:?}");
}

#[test]
fn of_a_count_what_is_almost_right_is_told_and_all_of_it_in_the_details() {
    let (mut issuer, mut root) = (signature(BOB), signature(BOB));
    issuer.signer.issuer = "https://oidc.evil.test".into();
    root.signer.trust_root = "other".into();
    let part = format!("{{keyless: {{issuer_regex: githubusercontent, subject: {CAROL:?}}}}}");
    let whole = "{keyless: {issuer: i, subject_regex: \"dave\\\\.yml\"}}";
    let entries = count(3, &[keyless(ALICE), keyless(BOB), part, whole.to_owned()]);
    let facts = [signature(ALICE), issuer, root, signature(CAROL), signature(DAVE)];
    let unmet = judge(&signatures(&entries), &facts).unwrap_err();
    assert_eq!(unmet.reason, Reason::TrustRootMismatch);
    for line in [
        "): wants issuer https://token.actions",
        "): wants trust root default",
        "): issuer /githubusercontent/ matches it in part only",
        "): subject /dave\\.yml/ matches it in part only",
    ] {
        assert!(told(&unmet, line), "{line} in {unmet:?}");
    }
    // The least that is told is a regex that matches a part.
    let unmet = judge(&signatures(&entries), &[signature(ALICE), signature(DAVE)]).unwrap_err();
    assert_eq!(unmet.reason, Reason::IdentityMismatch);
    assert!(unmet.summary.starts_with("found 1 of 3 signers; wants a signature by /dave"), "{unmet:?}");
    assert!(unmet.summary.ends_with("in part only: it must match all of it"), "{unmet:?}");
}

#[test]
fn of_a_count_an_age_and_a_document_are_told_with_whose_they_are() {
    let old = signatures(&count(2, &[keyless(ALICE), keyless(BOB)])) + "max_signature_age: 10d\n";
    let facts = [made(signature(ALICE), &["2026-11-20T00:00:00Z"]), made(signature(BOB), &["2026-11-04T00:00:00Z"])];
    let unmet = judge_at(&old, &facts, "2026-11-24T00:00:00Z").unwrap_err();
    assert_eq!(unmet.reason, Reason::SignatureTooOld);
    assert!(unmet.summary.starts_with("found 1 of 2 signers; wants a signature by https://github.com/acme"), "{unmet:?}");
    assert!(unmet.summary.ends_with("at most 10d old; found one made 2026-11-04T00:00:00Z"), "{unmet:?}");

    let text = sboms(&count(2, &[keyless(ALICE), all_of(&[keyless(BOB), keyless(CAROL)])]));
    let bad = [signature(MAIN), spdx_by(ALICE), listing(BOB, "evil"), spdx_by(CAROL)];
    let (reason, sentence) = refusal(&text, &bad);
    assert_eq!(reason, Reason::PackageDenied);
    let lead =
        "found 1 of 2 signers; by ...bob.yml@refs/heads/main: attestation https://spdx.dev/Document: wants no package evil; ";
    assert_eq!(sentence, format!("{lead}found evil of no stated version"));
    let text = sboms(&count(2, &[keyless(ALICE), keyless(BOB)]));
    let hollow = attestation(BOB, spdx::TYPE, "{}");
    let unmet = judge(&text, &[signature(MAIN), spdx_by(ALICE), hollow]).unwrap_err();
    assert_eq!(unmet.reason, Reason::AttestationMalformed);
    assert!(unmet.summary.starts_with("found 1 of 2 signers; by ...bob.yml@refs/heads/main: wants an"), "{unmet:?}");
    assert!(told(&unmet, "wants attestations of type https://spdx.dev/Document by 2 different signers of ...alice"), "{unmet:?}");
}

/// What an incident is about is told before all else that is wrong, and counted by its code.
#[test]
fn of_a_count_what_the_deny_list_names_is_told_first() {
    let mut problems = Vec::new();
    let deny = DenyList::new(parse_denials(Path::new("d.yaml"), "- {package: {name: worm}, reason: INC-9}\n", &mut problems));
    assert!(problems.is_empty(), "{problems:?}");
    let (image, subject) = (ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap()), Digest::sha256(b"image"));
    let ask = |text: &str, facts: &[Verified]| {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let case = Case { image: &image, subject: &subject, facts, platforms: None, denied: deny.packages(), now };
        set(text).policies[0].judge(&case).unwrap_err()
    };
    let two = sboms(&count(2, &[keyless(ALICE), keyless(BOB), keyless(CAROL)]));
    // Before what else is wrong, wherever it stands; and also where its signer has attested a clean one beside it.
    for facts in [
        vec![listing(ALICE, "worm"), spdx_by(BOB)],
        vec![listing(ALICE, "evil"), listing(BOB, "worm"), spdx_by(CAROL)],
        vec![listing(ALICE, "worm"), listing(BOB, "evil"), spdx_by(CAROL)],
        vec![spdx_by(ALICE), listing(ALICE, "worm")],
    ] {
        let unmet = ask(&two, &[&[signature(MAIN)], &facts[..]].concat());
        assert_eq!(unmet.reason, Reason::Denied, "{unmet:?}");
        assert!(unmet.summary.starts_with("found 1 of 2 signers; by ...") && unmet.summary.contains("INC-9"), "{unmet:?}");
    }
    // What only a met entry's signer got wrong beside what is good is no reason.
    let unmet = ask(&two, &[signature(MAIN), spdx_by(ALICE), listing(ALICE, "evil")]);
    assert_eq!(unmet.reason, Reason::SignersTooFew, "{unmet:?}");
    assert!(unmet.details.iter().any(|line| line.contains("evil")), "it is told all the same: {unmet:?}");
    // Of one signer's, too.
    let one = ask(&sboms(&keyless(ALICE)), &[signature(MAIN), listing(ALICE, "evil"), listing(ALICE, "worm")]);
    assert_eq!(one.reason, Reason::Denied, "{one:?}");
    // Before a signature that is wanting: a policy that watches would else hide it.
    let unsigned = ask(&sboms(&keyless(ALICE)), &[listing(ALICE, "worm")]);
    assert_eq!(unsigned.reason, Reason::Denied, "{unsigned:?}");
}

/// Whoever is refused for want of a search is not told that too few signed.
#[test]
fn a9_a_search_that_is_given_up_says_so() {
    let who = |at: usize| format!("https://ci.acme.test/{at:04}");
    let pattern = |at: usize| {
        let glob: String = who(9999).chars().enumerate().map(|(i, c)| if i == 8 + at || c == '9' { '?' } else { c }).collect();
        format!("{{keyless: {{issuer: {ISSUER}, subject_pattern: {glob:?}}}}}")
    };
    let entries = [all_of(&(0..12).map(pattern).collect::<Vec<_>>()), keyless(&who(0))];
    let mut signers: Vec<Verified> = (0..8).map(|at| signature(&who(at))).collect();
    // What somebody else got almost right is not why.
    signers.push(signature(&who(0)));
    signers[8].signer.issuer = "https://oidc.evil.test".into();
    let (reason, sentence) = refusal(&signatures(&count(2, &entries)), &signers);
    assert_eq!(reason, Reason::SignersTooFew);
    assert!(sentence.ends_with("; found 1 before the search was given up: simpler entries are wanted"), "{sentence}");
}
