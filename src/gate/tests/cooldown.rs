//! Cooldown: not before its time, whoever asks again, restarts, or loses what can be lost. The clock begins at
//! 2026-11-22T12:00:00Z, and some milliseconds pass before anything is seen.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::super::{testing::*, *};
use crate::{
    oci::Digest,
    policy::Unmatched,
    store::{FactKind, Facts, NoFacts, StoreError},
};

const HOUR: u64 = 3_600;

/// The world's policy, with a cooldown.
fn cooling(length: &str) -> World {
    let world = World::new();
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    world.set_policies(&format!("{text}cooldown: {length}\n"), Unmatched::Deny);
    world
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// A signed image whose signature was made at `at`.
fn signed_at(world: &World, seed: &str, at: &str) -> Digest {
    let image = world.image(REPO, seed);
    world.attach(REPO, image, &signature_at(image, RELEASE, at));
    world.attach(REPO, image, &attestation(image, RELEASE));
    image
}

fn key(digest: Digest) -> String {
    format!("{}@{digest}", name(REPO))
}

async fn cools(world: &World, image: Digest, until: &str) {
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "cooldown");
    let sentence = refusal.sentence();
    assert!(sentence.contains(&format!("wants it known for 24h: admitted from {until} (signed ")), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn what_was_signed_long_ago_waits_from_its_first_sighting_here() {
    let world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    assert!(world.facts.fact(FactKind::FirstSeen, &key(image)).await.unwrap().is_some(), "kept before it is refused");
    let sentence = world.refusal(image).await.sentence();
    assert!(sentence.ends_with("(signed 2026-01-01T00:00:00Z, first seen here 2026-11-22T12:00:00Z)"), "{sentence}");
    // Asking again moves nothing.
    wait(23 * HOUR).await;
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    wait(HOUR + 1).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_long_ago_waits_from_the_signature_that_was_needed() {
    let world = cooling("24h");
    let image = signed_at(&world, "a", "2026-11-22T06:30:00.5Z");
    // Another replica, or an import, saw it before.
    world.facts.first_seen(&key(image), "2026-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    cools(&world, image, "2026-11-23T06:30:01Z").await;
    wait(19 * HOUR).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn who_signs_again_makes_no_image_younger_in_whatever_order_it_is_found() {
    for first in ["2026-11-01T00:00:00Z", "2026-11-22T11:59:00Z"] {
        let world = cooling("24h");
        let image = world.image(REPO, "a");
        for at in [first, "2026-11-22T11:58:00Z", "2026-11-01T00:00:00Z"] {
            world.attach(REPO, image, &signature_at(image, RELEASE, at));
        }
        // And a signature by somebody else, however many there are.
        for n in 0..12 {
            world.attach(REPO, image, &signature_at(image, MALLORY, &format!("2026-11-22T11:{:02}:00Z", n + 10)));
        }
        world.attach(REPO, image, &attestation(image, RELEASE));
        world.facts.first_seen(&key(image), "2026-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
        world.permit(image).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_sighting_survives_a_restart_and_the_loss_of_everything_else() {
    let mut world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    wait(10 * HOUR).await;
    // Content and hints go with eviction; facts are elsewhere.
    let facts = Arc::clone(&world.facts);
    world.documents = Arc::default();
    world.facts = facts;
    world.restart();
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    wait(14 * HOUR + 1).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn a_stored_time_in_the_future_counts_as_now() {
    let world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    world.facts.set_fact(FactKind::FirstSeen, &key(image), b"2031-01-01T00:00:00Z").await.unwrap();
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    // Nor is it believed later, when the clock has come there.
    wait(24 * HOUR + 1).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn the_refusal_is_remembered_no_longer_than_until_its_time() {
    let world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    let seen: Timestamp = "2026-11-21T12:00:04Z".parse().unwrap();
    world.facts.first_seen(&key(image), seen).await.unwrap();
    cools(&world, image, "2026-11-22T12:00:04Z").await;
    assert!(world.now() < "2026-11-22T12:00:02Z".parse().unwrap());
    wait(4).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn x11_by_another_algorithms_digest_it_is_the_same_image_and_as_old() {
    let world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    let long = world.also_as_sha512(REPO, image);
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    wait(10 * HOUR).await;
    cools(&world, long, "2026-11-23T12:00:01Z").await;
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_with_its_index_and_its_own_signature_is_no_way_round() {
    let world = cooling("24h");
    let child = signed_at(&world, "amd64", "2026-01-01T00:00:00Z");
    let index = world.index(REPO, &[child]);
    world.attach(REPO, index, &signature_at(index, RELEASE, "2026-01-01T00:00:00Z"));
    world.attach(REPO, index, &attestation(index, RELEASE));
    cools(&world, index, "2026-11-23T12:00:01Z").await;
    cools(&world, child, "2026-11-23T12:00:01Z").await;
    assert!(!world.listed(World::layer_of("amd64")).await);
    wait(24 * HOUR + 1).await;
    world.permit(index).await;
    assert_eq!(world.permit(child).await.grounds(), &Grounds::Parent(index));
}

/// An image that waits for its SBOM has been known all the while.
#[tokio::test(start_paused = true)]
async fn the_first_sighting_is_kept_before_the_first_refusal_whatever_that_is_for() {
    let world = cooling("24h");
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature_at(image, RELEASE, "2026-01-01T00:00:00Z"));
    assert_eq!(world.refusal(image).await.code(), "attestation_missing");
    let kept = world.facts.fact(FactKind::FirstSeen, &key(image)).await.unwrap().unwrap();
    assert!(kept.starts_with(b"2026-11-22T12:00:00"), "{kept:?}");
    wait(20 * HOUR).await;
    world.attach(REPO, image, &attestation(image, RELEASE));
    cools(&world, image, "2026-11-23T12:00:01Z").await;
    wait(4 * HOUR + 1).await;
    world.permit(image).await;
    // Nor does it matter whether the answer was one at all.
    let unsure = world.image(REPO, "b");
    world.fault(Ask::Referrers, Fault::Down);
    world.undecided(unsure).await;
    assert!(world.facts.fact(FactKind::FirstSeen, &key(unsure)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_and_what_no_cooldown_names_leaves_no_fact_behind() {
    let world = cooling("24h");
    let nowhere = Digest::sha256(b"nowhere");
    assert!(matches!(world.admit(nowhere).await, Err(NoVerdict::Absent(_))));
    let evidence = world.artifact(REPO, nowhere, BUNDLE, &signature(nowhere, MALLORY).to_string());
    world.permit(evidence).await;
    world.set_policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::Deny);
    let unsigned = world.image(REPO, "a");
    world.refusal(unsigned).await;
    for digest in [nowhere, evidence, unsigned] {
        assert_eq!(world.facts.fact(FactKind::FirstSeen, &key(digest)).await.unwrap(), None);
    }
}

/// Replicas have a store each, so their clocks are their own; an import, or a command beside a gate, brings the earlier time.
#[tokio::test(start_paused = true)]
async fn of_two_gates_on_the_same_facts_the_earlier_sighting_holds() {
    let mut world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    let first = Arc::clone(&world.gate);
    wait(HOUR).await;
    world.restart();
    cools(&world, image, "2026-11-23T13:00:01Z").await;
    let brought: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    world.facts.first_seen(&key(image), brought).await.unwrap();
    wait(11).await;
    cools(&world, image, "2026-11-23T12:00:00Z").await;
    match first.admit(&world.subject(REPO, image)).await {
        Ok(Verdict::Refuse(refusal)) => assert!(refusal.sentence().contains("admitted from 2026-11-23T12:00:00Z"), "{refusal}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_exception_admits_is_needed_now_and_waits_for_nothing() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let exception = format!("exceptions: [{{digest: \"{image}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
    world.set_policies(&format!("{text}cooldown: 24h\n{exception}"), Unmatched::Deny);
    world.permit(image).await;
    assert!(world.facts.fact(FactKind::FirstSeen, &key(image)).await.unwrap().is_some(), "it is known from now on all the same");
}

#[derive(Debug)]
struct Broken;

#[async_trait::async_trait]
impl Facts for Broken {
    async fn first_seen(&self, _: &str, _: Timestamp) -> Result<Timestamp, StoreError> {
        Err(StoreError::Damaged { path: "facts".into() })
    }

    async fn fact(&self, _: FactKind, _: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        Err(StoreError::Damaged { path: "facts".into() })
    }

    async fn set_fact(&self, _: FactKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::Damaged { path: "facts".into() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_sighting_that_cannot_be_kept_is_not_known_and_decides_nothing() {
    let mut world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    world.facts = Arc::new(Broken);
    world.restart();
    let undecided = world.undecided(image).await;
    assert!(undecided.to_string().contains("when it was first seen here cannot be kept"), "{undecided}");
    // Where only an audit policy asks, the image is served.
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit");
    world.set_policies(&format!("{audit}cooldown: 24h\n"), Unmatched::Deny);
    let permit = world.permit(image).await;
    assert!(permit.warnings()[0].contains("cannot be kept"), "{:?}", permit.warnings());
    assert_eq!(permit.grounds().code(), "audited");
}

#[tokio::test(start_paused = true)]
async fn audit_serves_what_still_cools_and_says_so_until_it_does_not() {
    let world = World::new();
    let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + "cooldown: 1h\n";
    for (text, grounds) in [(format!("{enforce}---\n{audit}"), "policy"), (audit.clone(), "audited")] {
        world.set_policies(&text, Unmatched::Deny);
        let image = signed_at(&world, &text.len().to_string(), "2026-01-01T00:00:00Z");
        let permit = world.permit(image).await;
        assert!(permit.warnings()[0].contains("watch"), "{:?}", permit.warnings());
        assert!(permit.warnings()[0].contains("wants it known for 1h"), "{:?}", permit.warnings());
        assert_eq!(permit.grounds().code(), grounds);
        wait(HOUR + 1).await;
        let permit = world.permit(image).await;
        assert!(permit.warnings().is_empty());
        assert_eq!(permit.grounds().code(), "policy");
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_policy_that_fails_silences_no_other_ones_cooldown() {
    let world = World::new();
    let watch = policy("watch", "reg.test/acme/**", RELEASE, "audit") + "cooldown: 1h\n";
    world.set_policies(&format!("{watch}---\n{}", policy("failing", "reg.test/acme/**", MALLORY, "audit")), Unmatched::Deny);
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    let told = world.permit(image).await.warnings().join("\n");
    assert!(told.contains("watch wants it known for 1h") && told.contains("failing wants a signature"), "{told}");
}

/// An earlier signature that cannot be had now may be one that has been there long enough.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_seen_makes_no_image_wait() {
    let world = cooling("24h");
    let early = |seed: &str| {
        let image = signed_at(&world, seed, "2026-11-22T11:00:00Z");
        world.hide(world.attach(REPO, image, &signature_at(image, RELEASE, "2026-01-01T00:00:00Z")));
        image
    };
    let (known, new) = (early("a"), early("b"));
    world.facts.first_seen(&key(known), "2026-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    world.undecided(known).await;
    // Nothing can change that it was first seen today.
    cools(&world, new, "2026-11-23T12:00:01Z").await;
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + "cooldown: 24h\n";
    world.set_policies(&audit, Unmatched::Deny);
    let warnings = world.permit(known).await.warnings().to_vec();
    assert!(warnings[0].contains("could not tell"), "{warnings:?}");
    world.mend();
    wait(11).await;
    assert!(world.permit(known).await.warnings().is_empty());
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + "cooldown: 24h\n"), Unmatched::Deny);
    world.permit(known).await;
}

#[tokio::test(start_paused = true)]
async fn without_facts_only_the_signature_counts() {
    let mut world = cooling("24h");
    let old = signed_at(&world, "a", "2026-11-21T11:00:00Z");
    let new = signed_at(&world, "b", "2026-11-22T11:00:00Z");
    world.facts = Arc::new(NoFacts);
    world.restart();
    world.permit(old).await;
    cools(&world, new, "2026-11-23T11:00:00Z").await;
    let sentence = world.refusal(new).await.sentence();
    let told = "(signed 2026-11-22T11:00:00Z, no store asked for its first sighting: verify --first-seen-from)";
    assert!(sentence.ends_with(told), "{sentence}");
}

/// The facts of a gate's store that has not seen anything, to who only reads them.
#[derive(Debug)]
struct Unseen;

#[async_trait::async_trait]
impl Facts for Unseen {
    async fn first_seen(&self, _: &str, _: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::MAX)
    }

    async fn fact(&self, _: FactKind, _: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        Ok(None)
    }

    async fn set_fact(&self, _: FactKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_gate_of_a_store_has_not_seen_cools_down_and_no_time_is_made_up() {
    let mut world = cooling("24h");
    let image = signed_at(&world, "a", "2026-01-01T00:00:00Z");
    world.facts = Arc::new(Unseen);
    world.restart();
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "cooldown");
    let told =
        "wants it known for 24h, from when that gate is first asked for it, which it was not yet (signed 2026-01-01T00:00:00Z)";
    assert!(refusal.sentence().ends_with(told), "{refusal}");
}

const ATTESTED: &str = "name: release\nimages: [\"reg.test/acme/**\"]\ndangerous_no_signature: true\ncooldown: 24h\nattestations:\n  \
                        - predicate_type: https://spdx.dev/Document\n    sbom_on: each_platform\n    \
                        keyless: {issuer: https://issuer.test, subject: https://ci.acme.test/release}\n";

/// The last of them is when all of them were there.
#[tokio::test(start_paused = true)]
async fn where_only_attestations_count_an_index_waits_from_its_last_platforms() {
    let [early, late] = ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"];
    for times in [[early, late], [late, early]] {
        let mut world = World::new();
        world.set_policies(ATTESTED, Unmatched::Deny);
        world.facts = Arc::new(NoFacts);
        world.restart();
        let children = ["amd64", "arm64"].map(|seed| world.image(REPO, seed));
        for (child, at) in children.into_iter().zip(times) {
            let of = json!({"about": child, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": spdx(), "at": at});
            world.attach(REPO, child, &bundle(of));
        }
        let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
        let sentence = world.refusal(index).await.sentence();
        assert!(sentence.contains("admitted from 2026-11-23T11:00:00Z (attested 2026-11-22T11:00:00Z, "), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn r8_while_the_clock_is_not_set_nothing_is_seen_for_the_first_time_nor_judged() {
    for (clock, set) in [("1970-01-01T00:02:00Z", false), ("2025-12-31T23:59:59.9Z", false), ("2026-01-01T00:00:00Z", true)] {
        let mut world = cooling("24h");
        let (image, excepted, denied) = (world.signed("a"), world.image(REPO, "b"), world.image(REPO, "c"));
        let exception = format!("exceptions: [{{digest: \"{excepted}\", reason: JIRA-1, expires: 2026-06-30}}]\n");
        let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
        world.set_policies(&format!("{text}cooldown: 24h\n{exception}"), Unmatched::Deny);
        world.deny(&format!("- {{digest: \"{denied}\", reason: INC-7}}\n"));
        world.set_clock(clock);
        assert_eq!(world.refusal(denied).await.code(), "denied", "which needs no clock");
        if set {
            world.permit(excepted).await;
            world.refusal(image).await;
        } else {
            for digest in [image, excepted] {
                let undecided = world.undecided(digest).await;
                assert!(matches!(undecided.reason, UndecidedReason::Clock(_)), "{undecided}");
                assert!(undecided.to_string().contains("the clock here is not set"), "{undecided}");
            }
        }
        assert_eq!(world.facts.fact(FactKind::FirstSeen, &key(image)).await.unwrap().is_some(), set, "{clock}");
    }
    assert_eq!(crate::verify::CLOCK_FLOOR_SECONDS, crate::store::CLOCK_FLOOR.as_second(), "what is kept is what is judged by");
}

#[tokio::test(start_paused = true)]
async fn r8_while_the_clock_is_not_set_an_audit_policy_serves_and_says_that_it_could_not_tell() {
    let mut world = World::new();
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit");
    world.set_policies(&format!("{audit}cooldown: 24h\n"), Unmatched::Deny);
    world.set_clock("1970-01-01T00:02:00Z");
    let image = world.signed("a");
    for _ in 0..2 {
        let permit = world.permit(image).await;
        assert_eq!((permit.grounds().code(), permit.warnings().len()), ("audited", 1));
        assert!(
            permit.warnings()[0].contains("could not tell: it cannot be told yet: the clock here"),
            "{:?}",
            permit.warnings()
        );
        world.restart();
        world.all_fail(Fault::Down);
    }
    assert!(world.facts.fact(FactKind::FirstSeen, &key(image)).await.unwrap().is_none());
    world.mend();
    assert!(matches!(world.admit(Digest::sha256(b"nowhere")).await, Err(NoVerdict::Absent(_))));
}
