//! `sbom_on`: which manifests of an index carry an SBOM.

use super::*;

fn policy(sbom_on: &str) -> Policy {
    let text = format!("{STRICT}attestations: [{{predicate_type: {}, sbom_on: {sbom_on}}}]\n", spdx::TYPE);
    Policy::clone(&set(&text).policies[0])
}

fn platform(name: &str, facts: &[Verified]) -> PlatformFacts {
    PlatformFacts { digest: Digest::sha256(name.as_bytes()), platform: name.into(), facts: facts.to_vec() }
}

fn asked(sbom_on: &str, facts: &[Verified], platforms: Option<&[PlatformFacts]>) -> Result<Held, Unmet> {
    ask_with(&policy(sbom_on), facts, platforms, jiff::Timestamp::UNIX_EPOCH)
}

fn amd64(facts: &[Verified]) -> PlatformFacts {
    platform("linux/amd64", facts)
}

fn arm64(facts: &[Verified]) -> PlatformFacts {
    platform("linux/arm64", facts)
}

#[test]
fn a_policy_says_what_it_asks_of_whom() {
    let of = |lines: &str| Policy::clone(&set(&format!("{STRICT}{lines}")).policies[0]);
    let entry = |more: &str| of(&format!("attestations: [{{predicate_type: {}{more}}}]\n", spdx::TYPE));
    for (more, all, all_of_platforms, platforms) in [
        ("", false, false, false),
        (", sbom_on: subject", false, false, false),
        (", sbom_on: each_platform", false, false, true),
        (", sbom_on: either", false, false, true),
        (", match: newest, max_age: 30d", true, false, false),
        (", sbom_on: either, match: newest, max_age: 30d", true, true, true),
        (", sbom_on: each_platform, match: all, max_age: 30d", true, true, true),
    ] {
        let policy = entry(more);
        let asks = (policy.weighs_all_evidence(), policy.weighs_all_of_platforms(), policy.asks_platforms());
        assert_eq!(asks, (all, all_of_platforms, platforms), "{more}");
    }
    // One entry weighs all, another looks at platforms.
    let two = of(&format!(
        "attestations: [{{predicate_type: {0}, sbom_on: either}}, {{predicate_type: {0}, match: newest, max_age: 30d}}]\n",
        spdx::TYPE
    ));
    assert!(two.weighs_all_evidence() && two.asks_platforms() && !two.weighs_all_of_platforms());
    let plain = of("");
    assert!(plain.names_host(&"ghcr.io".parse().unwrap()) && !plain.names_host(&"quay.io".parse().unwrap()));
    assert!(plain.asks_root("default") && !plain.asks_root("other"));
    assert!(!plain.wants_proof() && of("log: proof\n").wants_proof());
    assert!(!plain.tag_guard() && of("tag_guard: true\n").tag_guard());
    assert_eq!((plain.mode(), of("mode: audit\n").mode()), (Mode::Enforce, Mode::Audit));
    let days = std::time::Duration::from_hours(48);
    assert_eq!((plain.cooldown(), of("cooldown: 2d\n").cooldown()), (None, Some(days)));
    assert!(!of("cooldown: 2d\n").cools_from_attestations() && !plain.cools_from_attestations());
}

#[test]
fn each_platform_admits_if_and_only_if_every_one_has_its_own() {
    let signed = [signature(MAIN)];
    let sbom = [spdx_by(MAIN)];
    let both = [amd64(&sbom), arm64(&sbom)];
    assert!(asked("each_platform", &signed, Some(&both)).is_ok());
    for missing in [[amd64(&sbom), arm64(&[])], [amd64(&[]), arm64(&sbom)]] {
        let unmet = asked("each_platform", &signed, Some(&missing)).unwrap_err();
        assert_eq!(unmet.reason, Reason::AttestationMissing);
        assert!(!unmet.wants_platforms);
        assert!(unmet.summary.starts_with("platform linux/a"), "{}", unmet.summary);
        assert!(unmet.details.iter().any(|line| line.starts_with("platform linux/a") && line.contains("sha256:")), "{unmet:?}");
    }
    // The index's own does not stand in, nor does one by another signer, nor a platform's own signature for the index's.
    assert!(asked("each_platform", &[signature(MAIN), spdx_by(MAIN)], Some(&[amd64(&sbom), arm64(&[])])).is_err());
    let foreign = asked("each_platform", &signed, Some(&[amd64(&sbom), arm64(&[spdx_by(FORK)])])).unwrap_err();
    assert_eq!(foreign.reason, Reason::AttestationIdentityMismatch);
    let whole = [amd64(&[signature(MAIN), spdx_by(MAIN)])];
    assert_eq!(asked("each_platform", &[], Some(&whole)).unwrap_err().reason, Reason::SignatureMissing);
}

#[test]
fn a_condition_sees_the_platform_that_carries_the_sbom_as_the_image() {
    let platform = amd64(&[spdx_by(MAIN)]);
    let text = |digest: &Digest| {
        format!(
            "{STRICT}attestations: [{{predicate_type: {}, sbom_on: each_platform, require: 'image.digest == \"{digest}\"'}}]\n",
            spdx::TYPE
        )
    };
    let asked = |digest: &Digest| {
        ask_with(
            &set(&text(digest)).policies[0],
            &[signature(MAIN)],
            Some(std::slice::from_ref(&platform)),
            time("2026-01-01T00:00:00Z"),
        )
    };
    assert!(asked(&platform.digest).is_ok());
    assert_eq!(asked(&Digest::sha256(b"image")).unwrap_err().reason, Reason::ConditionFalse);
}

#[test]
fn an_image_without_platforms_is_its_own_only_one() {
    for sbom_on in ["each_platform", "either"] {
        assert!(asked(sbom_on, &[signature(MAIN), spdx_by(MAIN)], Some(&[])).is_ok());
        assert_eq!(asked(sbom_on, &[signature(MAIN)], Some(&[])).unwrap_err().reason, Reason::AttestationMissing);
    }
}

#[test]
fn where_nobody_has_looked_at_platforms_the_answer_says_that_it_would_matter() {
    let unmet = asked("each_platform", &[signature(MAIN), spdx_by(MAIN)], None).unwrap_err();
    assert!(unmet.wants_platforms && unmet.reason == Reason::AttestationMissing, "{unmet:?}");
    assert!(asked("either", &[signature(MAIN)], None).unwrap_err().wants_platforms);
    assert!(!asked("subject", &[signature(MAIN)], None).unwrap_err().wants_platforms);
    // Not where something else is wanting too: looking would change nothing.
    assert!(!asked("each_platform", &[], None).unwrap_err().wants_platforms);
    assert!(asked("either", &[signature(MAIN), spdx_by(MAIN)], None).is_ok());
}

#[test]
fn either_takes_the_subject_s_or_every_platform_s() {
    let (signed, sbom) = ([signature(MAIN)], [spdx_by(MAIN)]);
    assert!(asked("either", &[signature(MAIN), spdx_by(MAIN)], Some(&[amd64(&[])])).is_ok());
    assert!(asked("either", &signed, Some(&[amd64(&sbom), arm64(&sbom)])).is_ok());
    let unmet = asked("either", &signed, Some(&[amd64(&sbom), arm64(&[])])).unwrap_err();
    assert!(unmet.summary.starts_with("platform linux/arm64: "), "{}", unmet.summary);
    assert!(unmet.details.iter().any(|line| line.starts_with("the index itself: wants an attestation")), "{unmet:?}");
    assert!(asked("subject", &signed, Some(&[amd64(&sbom)])).is_err());
}

#[test]
fn an_index_of_more_than_64_platforms_does_not_meet_it() {
    let sbom = [spdx_by(MAIN)];
    let many = |count: usize| (0..count).map(|at| platform(&format!("linux/{at}"), &sbom)).collect::<Vec<_>>();
    assert!(asked("each_platform", &[signature(MAIN)], Some(&many(64))).is_ok());
    let unmet = asked("each_platform", &[signature(MAIN)], Some(&many(65))).unwrap_err();
    assert!(unmet.summary.ends_with("of at most 64; it has 65"), "{}", unmet.summary);
}

/// One on the index that refuses is not got round by what the platforms carry.
#[test]
fn under_all_and_newest_either_asks_the_platforms_only_where_the_index_has_no_such_statement() {
    let now = "2026-11-24T00:00:00Z";
    let entry = |matching: &str| {
        format!(
            "{STRICT}attestations: [{{predicate_type: {}, sbom_on: either, match: {matching}, max_age: 30d, packages: {{deny: [{{name: evil}}]}}}}]\n",
            spdx::TYPE
        )
    };
    let at = |fact: Verified, when: &str| made(fact, &[when]);
    let (old, new) = ("2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z");
    let clean = |when: &str| at(spdx_by(MAIN), when);
    let bad = |subject: &str, when: &str| at(spdx_with(subject, r#"{"SPDXID":"SPDXRef-e","name":"evil"}"#), when);
    let platforms = [amd64(&[clean(old)]), arm64(&[clean(old)])];
    for (matching, on_index, reason) in [
        ("any", vec![bad(MAIN, new)], None),
        ("all", vec![clean(new), bad(MAIN, old)], Some(Reason::PackageDenied)),
        ("newest", vec![clean(old), bad(MAIN, new)], Some(Reason::PackageDenied)),
        ("all", vec![], None),
        ("newest", vec![], None),
        // What is too old, or by somebody else, is no such statement.
        ("all", vec![bad(MAIN, "2026-01-01T00:00:00Z"), bad(FORK, new)], None),
        ("newest", vec![bad(FORK, new)], None),
    ] {
        let policy = &set(&entry(matching)).policies[0];
        let facts = [&[signature(MAIN)], &on_index[..]].concat();
        let ask = |platforms: Option<&[PlatformFacts]>| ask_with(policy, &facts, platforms, time(now));
        assert_eq!(ask(Some(&platforms)).err().map(|unmet| unmet.reason), reason, "{matching} {on_index:?}");
        // Nobody needs to look at the platforms for an answer that they cannot change.
        assert_eq!(ask(None).unwrap_err().wants_platforms, reason.is_none(), "{matching} {on_index:?}");
    }
}
