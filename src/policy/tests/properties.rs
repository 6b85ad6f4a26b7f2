//! What holds whatever the facts are.

use proptest::prelude::*;

use super::*;

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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_facts_never_turns_a_yes_into_a_no(
        facts in prop::collection::vec(any_fact(), 0..8),
        more in prop::collection::vec(any_fact(), 1..6),
        at in any::<prop::sample::Index>(),
        proof in any::<bool>(),
    ) {
        let text = if proof { format!("{STRICT}log: proof\n") } else { STRICT.to_owned() };
        let policy = Arc::clone(&set(&text).policies[0]);
        let holds = |facts: &[Verified]| ask(&policy, facts).is_ok();
        let (before, mut all) = (holds(&facts), facts.clone());
        let at = at.index(facts.len() + 1);
        all.splice(at..at, more);
        prop_assert!(!before || holds(&all));
        // And a yes always rests on one whole signature and one whole document.
        let whole = |fact: &Verified| fact.signer.issuer == ISSUER && fact.signer.subject == MAIN && (!proof || fact.log == LogEvidence::Proof);
        let is_document = |fact: &Verified| matches!(&fact.content, Proven::Attestation(s) if s.predicate_type.starts_with(spdx::TYPE) && s.predicate.len() > 9);
        let wanted = facts.iter().any(|fact| whole(fact) && matches!(fact.content, Proven::Signature))
            && facts.iter().any(|fact| whole(fact) && is_document(fact));
        prop_assert_eq!(before, wanted);
    }
}

const ALLOWED: [&str; 3] = [MAIN, BRANCH, "https://github.com/acme/app/.github/workflows/third.yml@refs/heads/main"];
const NOW: i64 = 100 * 86_400;

fn keyless(subject: &str) -> String {
    format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}")
}

/// An attestor of the allowed three, nested at most twice.
fn attestor() -> impl Strategy<Value = String> {
    let three: Vec<String> = ALLOWED.iter().map(|subject| keyless(subject)).collect();
    let leaf = prop::sample::select(three.clone());
    let some = move || prop::sample::subsequence(three.clone(), 1..=3);
    let flat = prop_oneof![
        some().prop_map(|of| format!("{{any_of: [{}]}}", of.join(", "))),
        some().prop_map(|of| format!("{{all_of: [{}]}}", of.join(", "))),
        (some(), 0_usize..3).prop_map(|(of, n)| format!("{{count: {}, of: [{}]}}", n % of.len() + 1, of.join(", "))),
    ];
    let nested = (flat.clone(), leaf.clone(), 1_usize..=2)
        .prop_filter("entries that ask the same", |(flat, leaf, _)| !flat.ends_with(&format!("[{leaf}]}}")))
        .prop_map(|(flat, leaf, n)| format!("{{count: {n}, of: [{flat}, {leaf}]}}"));
    prop_oneof![leaf, flat, nested]
}

/// A policy of every kind; with `quantifiers` also those that weigh statements together.
fn any_policy(quantifiers: bool) -> impl Strategy<Value = Policy> {
    let matching = if quantifiers { vec!["any", "all", "newest"] } else { vec!["any"] };
    let age = prop::option::of(10_u32..90);
    (attestor(), prop::option::of(attestor()), prop::sample::select(matching), age, any::<bool>(), 20_u32..90).prop_map(
        |(signer, attester, matching, signature_age, proof, max_age)| {
            let who = attester.map(|attester| format!(", {}", &attester[1..attester.len() - 1])).unwrap_or_default();
            let age = signature_age.map(|days| format!("max_signature_age: {days}d\n")).unwrap_or_default();
            let log = if proof { "proof" } else { "promise" };
            let text = format!(
                "name: acme\nimages: [\"ghcr.io/acme/**\"]\nlog: {log}\nsignatures: [{signer}]\n{age}attestations: [{{predicate_type: {}, \
                 match: {matching}, max_age: {max_age}d{who}}}]\n",
                spdx::TYPE
            );
            Policy::clone(&set(&text).policies[0])
        },
    )
}

/// A fact by one of `subjects`, made in the last hundred days.
fn fact_by(subjects: Vec<&'static str>) -> impl Strategy<Value = Verified> {
    let predicates = prop::sample::select(vec![None, Some(SPDX), Some(SPDX), Some("{}")]);
    let days = prop::collection::vec(0_i64..100, 1..3);
    (prop::sample::select(subjects), predicates, days, any::<bool>()).prop_map(|(subject, predicate, days, proof)| {
        let mut fact = match predicate {
            None => signature(subject),
            Some(predicate) => attestation(subject, spdx::TYPE, predicate),
        };
        fact.times = days.into_iter().map(|day| jiff::Timestamp::from_second(day * 86_400).unwrap()).collect();
        fact.log = if proof { LogEvidence::Proof } else { LogEvidence::Promise };
        fact
    })
}

/// Facts by nobody the policies name: another subject, the right one of another issuer or under another trust root.
fn foreign() -> impl Strategy<Value = Verified> {
    let mut subjects = ALLOWED.to_vec();
    subjects.push(FORK);
    (fact_by(subjects), 0_u8..3).prop_map(|(mut fact, how)| {
        match how {
            0 => fact.signer.issuer = "https://oidc.evil.test".into(),
            1 => fact.signer.trust_root = "other".into(),
            _ => fact.signer.subject = FORK.into(),
        }
        fact
    })
}

fn verdict(policy: &Policy, facts: &[Verified]) -> Result<Option<jiff::Timestamp>, ()> {
    let held = ask_with(policy, facts, None, jiff::Timestamp::from_second(NOW).unwrap());
    held.map(|held| held.valid_until).map_err(|_| ())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn facts_by_identities_the_policy_does_not_name_never_change_a_verdict(
        policy in any_policy(true),
        facts in prop::collection::vec(fact_by(ALLOWED.to_vec()), 0..8),
        more in prop::collection::vec(foreign(), 1..6),
        seed in any::<u64>(),
    ) {
        let mut all = facts.clone();
        for (i, fact) in more.into_iter().enumerate() {
            let at = usize::try_from(seed >> (i * 8) & 0xff).unwrap() % (all.len() + 1);
            all.insert(at, fact);
        }
        prop_assert_eq!(verdict(&policy, &all), verdict(&policy, &facts));
    }

    #[test]
    fn under_any_what_is_added_takes_no_yes_away_and_what_is_removed_gives_none(
        policy in any_policy(false),
        facts in prop::collection::vec(fact_by(ALLOWED.to_vec()), 0..10),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let mut fewer = facts.clone();
        for index in removed.iter().take(facts.len()) {
            fewer.remove(index.index(fewer.len()));
        }
        // With more facts it holds at least as long, too.
        let end = |facts: &[Verified]| verdict(&policy, facts).map(|end| end.unwrap_or(jiff::Timestamp::MAX)).ok();
        prop_assert!(end(&fewer) <= end(&facts), "{:?} {:?}", end(&fewer), end(&facts));
    }

    #[test]
    fn an_account_says_what_the_judgement_says_and_what_counts_is_enough(
        policy in any_policy(true),
        facts in prop::collection::vec(prop_oneof![fact_by(ALLOWED.to_vec()), foreign()], 0..8),
    ) {
        let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
        let (subject, now) = (Digest::sha256(b"image"), jiff::Timestamp::from_second(NOW).unwrap());
        let case = Case { image: &image, subject: &subject, facts: &facts, platforms: None, denied: &DeniedPackages::default(), now };
        let requirements = policy.account(&case).requirements;
        let met = requirements.iter().all(|requirement| requirement.met);
        prop_assert_eq!(met, policy.judge(&case).is_ok());
        for requirement in &requirements {
            for on in &requirement.on {
                prop_assert_eq!(on.met, requirement.met);
                prop_assert_eq!(on.reason.is_none(), on.met);
                prop_assert!(on.evidence.iter().all(|weighed| weighed.counts == weighed.failed.is_none()));
                prop_assert!(!on.met || on.evidence.iter().all(|weighed| weighed.counts), "{:?}", on);
            }
        }
        if met {
            let weighed = requirements.iter().flat_map(|requirement| &requirement.on).flat_map(|on| &on.evidence);
            let counting: Vec<Verified> = weighed.map(|weighed| weighed.piece.clone()).collect();
            prop_assert_eq!(verdict(&policy, &counting).is_ok(), true);
        }
    }

    #[test]
    fn the_order_of_facts_means_nothing(
        policy in any_policy(true),
        (facts, shuffled) in prop::collection::vec(fact_by(ALLOWED.to_vec()), 0..8)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
    ) {
        prop_assert_eq!(verdict(&policy, &facts), verdict(&policy, &shuffled));
    }

    #[test]
    fn a_verdict_holds_until_it_says_and_no_longer(
        policy in any_policy(false),
        facts in prop::collection::vec(fact_by(ALLOWED.to_vec()), 0..10),
    ) {
        if let Ok(Some(end)) = verdict(&policy, &facts) {
            let nanosecond = jiff::SignedDuration::from_nanos(1);
            prop_assert!(ask_with(&policy, &facts, None, end - nanosecond).is_ok());
            prop_assert!(ask_with(&policy, &facts, None, end).is_err());
        }
    }
}
