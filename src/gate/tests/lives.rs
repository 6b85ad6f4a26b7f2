//! How long answers live, and what is left of them after a restart with the upstream gone.

use std::{sync::atomic::Ordering, time::Duration};

use super::super::{testing::*, *};
use crate::{
    oci::Digest,
    policy::Unmatched,
    store::{Documents as _, HintKind},
};

const HOUR: u64 = 3_600;

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn c12_a_signature_pushed_after_a_refusal_counts_within_ten_seconds() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.refusal(image).await;
    world.sign(REPO, image, RELEASE);
    wait(9).await;
    world.refusal(image).await;
    assert_eq!(world.asked_for(&image), 1, "remembered");
    wait(2).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn d4_withdrawn_evidence_stops_counting_when_the_permit_ends() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.withdraw(REPO, image);
    wait(HOUR - 1).await;
    world.permit(image).await;
    wait(2).await;
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
    // And does not come back when the upstream goes away: the listing that showed it gone is the one that is kept.
    world.all_fail(Fault::Down);
    wait(11).await;
    world.undecided(image).await;
}

#[tokio::test(start_paused = true)]
async fn d4_evidence_is_listed_again_when_the_permit_ends_but_not_read_again() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.forget_asked();
    wait(HOUR + 1).await;
    world.permit(image).await;
    assert_eq!((world.asked(Ask::Referrers), world.asked(Ask::Blob), world.asked_for(&image)), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn c12_an_upstream_that_is_down_is_stood_in_for_until_max_stale() {
    let world = World::new();
    let image = world.signed("a");
    assert!(world.permit(image).await.warnings().is_empty());
    for fault in [Fault::Down, Fault::Throttles, Fault::Hangs] {
        world.all_fail(fault);
        wait(2 * HOUR).await;
        let permit = world.permit(image).await;
        assert!(permit.warnings()[0].starts_with("110 - "), "{fault:?}: {:?}", permit.warnings());
    }
    wait(24 * HOUR).await;
    assert!(matches!(world.undecided(image).await.reason, UndecidedReason::EvidenceUnavailable(_)));
    world.mend();
    assert!(world.permit(image).await.warnings().is_empty());
}

/// A permit on old evidence does not outlive what it is on.
#[tokio::test(start_paused = true)]
async fn c12_what_is_admitted_just_before_max_stale_is_not_admitted_after_it() {
    let world = World::build(true, Config { max_stale: Some(Duration::from_secs(2 * HOUR + 30)), ..config() });
    let image = world.signed("a");
    world.permit(image).await;
    world.all_fail(Fault::Down);
    wait(2 * HOUR).await;
    assert!(world.permit(image).await.warnings()[0].starts_with("110 - "));
    world.forget_asked();
    wait(29).await;
    world.permit(image).await;
    assert_eq!(world.asked(Ask::Referrers), 0, "until then it is remembered");
    wait(2).await;
    world.undecided(image).await;
}

#[tokio::test(start_paused = true)]
async fn max_stale_may_be_nothing_or_for_ever() {
    for (max_stale, admitted) in [(Some(Duration::ZERO), false), (None, true)] {
        let world = World::build(true, Config { max_stale, ..config() });
        let image = world.signed("a");
        world.permit(image).await;
        world.all_fail(Fault::Down);
        wait(1_000 * HOUR).await;
        assert_eq!(world.admit(image).await.is_ok(), admitted, "{max_stale:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_with_the_upstream_gone_the_admitted_is_served_and_the_rest_is_not() {
    for api in [true, false] {
        let mut world = World::build(api, config());
        let (signed, unsigned) = (world.signed("a"), world.image(REPO, "b"));
        let legacy = world.image(REPO, "c");
        world.cosign(REPO, legacy, "sig", &[(signature(legacy, RELEASE), RELEASE)]);
        world.cosign(REPO, legacy, "att", &[(attestation(legacy, RELEASE), RELEASE)]);
        world.permit(signed).await;
        world.permit(legacy).await;
        world.refusal(unsigned).await;
        world.all_fail(Fault::Down);
        world.restart();
        let runs = world.runs.load(Ordering::SeqCst);
        world.forget_asked();
        assert!(world.permit(signed).await.warnings().is_empty(), "a young listing is as good as a new one");
        assert_eq!(world.asked_at_all(), 0, "nothing is asked");
        assert!(world.runs.load(Ordering::SeqCst) > runs, "and everything is proved again");
        world.permit(legacy).await;
        assert!(world.listed(World::layer_of("a")).await);
        assert!(matches!(world.undecided(unsigned).await.reason, UndecidedReason::EvidenceUnavailable(_)));
        assert!(!world.listed(World::layer_of("b")).await);
        // Old by the wall clock, which ran on while the process did not.
        wait(3 * HOUR).await;
        world.restart();
        assert!(world.permit(signed).await.warnings()[0].starts_with("110 - "));
        assert!(world.listed(World::layer_of("a")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_young_listing_only_ever_admits() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.restart();
    world.set_policies(&policy("release", "reg.test/acme/**", MALLORY, "enforce"), Unmatched::Deny);
    world.sign(REPO, image, MALLORY);
    // What is kept would refuse under the new policy, so it is listed again.
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_change_takes_effect_with_the_upstream_gone() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.all_fail(Fault::Down);
    world.restart();
    world.set_policies(&policy("release", "reg.test/acme/**", MALLORY, "enforce"), Unmatched::Deny);
    world.undecided(image).await;
}

#[tokio::test(start_paused = true)]
async fn r8_a_listing_from_the_future_counts_as_expired() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.set_clock("2026-11-22T11:30:00Z");
    world.forget_asked();
    world.permit(image).await;
    assert_eq!(world.asked(Ask::Referrers), 1, "listed again");
    world.set_clock("2026-11-22T11:00:00Z");
    world.all_fail(Fault::Down);
    world.undecided(image).await;
}

#[tokio::test(start_paused = true)]
async fn c5_damaged_evidence_is_fetched_anew_or_not_believed() {
    let mut world = World::new();
    let image = world.image(REPO, "a");
    let [signature, _] = world.sign(REPO, image, RELEASE);
    world.permit(image).await;
    world.documents.plant(signature, "{\"layers\":[]}");
    world.all_fail(Fault::Down);
    world.restart();
    world.undecided(image).await;
    world.mend();
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn c6_planted_hints_and_documents_admit_nothing() {
    let mut world = World::new();
    let (signed, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    world.permit(signed).await;
    let key = |digest: Digest| format!("{}@{digest}", name(REPO));
    // The evidence of another image, and an index that does not list it.
    let evidence = world.documents.hint(HintKind::Evidence, &key(signed)).await.unwrap();
    world.documents.set_hint(HintKind::Evidence, &key(unsigned), &evidence).await.unwrap();
    let lister = serde_json::to_vec(&[signed]).unwrap();
    for kind in [HintKind::Child, HintKind::Blob] {
        world.documents.set_hint(kind, &key(unsigned), &lister).await.unwrap();
        world.documents.set_hint(kind, &key(World::layer_of("b")), &lister).await.unwrap();
    }
    world.documents.set_hint(HintKind::Roots, &name(REPO).to_string(), &lister).await.unwrap();
    world.restart();
    world.refusal(unsigned).await;
    assert!(!world.listed(World::layer_of("b")).await);
    for junk in ["", "[", "{}", "[\"sha256:zz\"]", &"[".repeat(100_000)] {
        for kind in [HintKind::Evidence, HintKind::Child, HintKind::Blob, HintKind::Roots] {
            world.documents.set_hint(kind, &key(signed), junk.as_bytes()).await.unwrap();
            world.documents.set_hint(kind, &key(World::layer_of("a")), junk.as_bytes()).await.unwrap();
        }
        world.restart();
        world.permit(signed).await;
        assert!(world.listed(World::layer_of("a")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn c13_refused_digests_push_out_no_permit() {
    let world = World::build(true, Config { verdicts: 40, ..config() });
    let image = world.signed("a");
    world.permit(image).await;
    for at in 0..200 {
        let other = world.image(REPO, &format!("other {at}"));
        world.refusal(other).await;
    }
    assert!(world.gate.recall(&world.subject(REPO, image)).is_some());
}

#[tokio::test(start_paused = true)]
async fn c13_permits_are_bounded_and_the_ones_in_use_stay() {
    let world = World::build(true, Config { verdicts: 8, ..config() });
    let hot = world.signed("hot");
    world.permit(hot).await;
    let mut others = Vec::new();
    for at in 0..20 {
        others.push(world.signed(&format!("cold {at}")));
        world.permit(others[at]).await;
        assert!(world.gate.recall(&world.subject(REPO, hot)).is_some(), "{at}");
    }
    assert!(world.gate.recall(&world.subject(REPO, others[0])).is_none());
    // Forgotten is not lost: it is derived again, and nothing is asked.
    world.forget_asked();
    world.permit(others[0]).await;
    assert_eq!(world.asked_at_all(), 0);
}

#[tokio::test(start_paused = true)]
async fn c13_what_has_ended_makes_room_for_what_comes() {
    let world = World::new();
    for at in 0..40 {
        world.refusal(world.image(REPO, &format!("refused {at}"))).await;
    }
    assert_eq!(world.gate.memory.len(), 40);
    wait(11).await;
    world.refusal(world.image(REPO, "one more")).await;
    assert_eq!(world.gate.memory.len(), 25, "sixteen went for the one that came");
    for at in 0..2 {
        world.refusal(world.image(REPO, &format!("yet another {at}"))).await;
    }
    assert_eq!(world.gate.memory.len(), 3, "and all that had ended in the end");
}

#[tokio::test(start_paused = true)]
async fn c13_a_verdict_that_is_made_anew_leaves_nothing_of_the_old_one() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let first = Arc::downgrade(&world.refusal(image).await);
    // More often than the map waits before it gives back what nobody reads any more.
    for _ in 0..500 {
        wait(11).await;
        world.refusal(image).await;
    }
    assert!(first.upgrade().is_none(), "the first refusal is still held");
}

/// Five images, and memory for some of their manifests.
async fn short_of_memory() -> (World, Vec<Digest>) {
    let world = World::build(true, Config { manifest_bytes: 5_000, ..config() });
    let images: Vec<Digest> = (0..5).map(|at| world.signed(&at.to_string())).collect();
    for image in &images {
        world.permit(*image).await;
    }
    (world, images)
}

fn in_memory(world: &World, images: &[Digest]) -> usize {
    images.iter().filter(|image| world.gate.recall(&world.subject(REPO, **image)).is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn c13_manifests_are_bounded_in_bytes_and_their_verdicts_stay() {
    let (world, images) = short_of_memory().await;
    assert!((1..5).contains(&in_memory(&world, &images)));
    world.forget_asked();
    let runs = world.runs.load(Ordering::SeqCst);
    for image in images.iter().chain(&images) {
        assert_eq!(world.permit(*image).await.manifest().digest(), image);
    }
    for image in &images {
        // Those in use have a second chance; then they make room.
        for _ in 0..3 {
            world.permit(*image).await;
        }
        assert!(world.gate.recall(&world.subject(REPO, *image)).is_some(), "what is asked for is in memory again");
    }
    assert!((1..5).contains(&in_memory(&world, &images)));
    assert_eq!((world.asked_at_all(), world.runs.load(Ordering::SeqCst)), (0, runs), "nothing is asked, nothing is proved again");
}

#[tokio::test(start_paused = true)]
async fn d4_a_verdict_without_its_manifest_ends_when_any_does() {
    let (world, images) = short_of_memory().await;
    for image in &images {
        world.withdraw(REPO, *image);
    }
    wait(HOUR - 1).await;
    for image in &images {
        world.permit(*image).await;
    }
    wait(2).await;
    for image in &images {
        assert_eq!(world.refusal(*image).await.code(), "signature_missing");
    }
}

#[tokio::test(start_paused = true)]
async fn c6_a_manifest_that_is_damaged_or_gone_from_the_store_is_judged_anew() {
    let (world, images) = short_of_memory().await;
    let runs = world.runs.load(Ordering::SeqCst);
    let gone: Vec<_> = images.iter().filter(|image| world.gate.recall(&world.subject(REPO, **image)).is_none()).collect();
    for (at, image) in gone.iter().enumerate() {
        match at % 2 {
            0 => world.documents.plant(**image, "other bytes"),
            _ => world.documents.evict(image),
        }
    }
    world.forget_asked();
    for image in &gone {
        assert_eq!(Digest::sha256(world.permit(**image).await.manifest().bytes()), **image);
        assert_eq!(world.asked_for(image), 1, "the bytes come from the upstream");
    }
    assert!(world.runs.load(Ordering::SeqCst) > runs);
}

#[tokio::test(start_paused = true)]
async fn c12_an_index_is_stood_in_for_though_its_children_cannot_be_read() {
    let world = World::new();
    // No platforms, as artifacts' indexes have none: whether it is an index of evidence, only its children tell.
    let index = world.index(REPO, &[world.image(REPO, "amd64")]);
    let unsigned = world.index(REPO, &[world.image(REPO, "arm64")]);
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    world.all_fail(Fault::Down);
    wait(2 * HOUR).await;
    assert!(world.permit(index).await.warnings()[0].starts_with("110 - "));
    // Where nothing else admits it, it is not known what it is.
    world.mend();
    let child = world.image(REPO, "arm64");
    world.lie(REPO, child, "other bytes");
    world.undecided(unsigned).await;
    world.set_policies(&policy("watch", "reg.test/acme/**", RELEASE, "audit"), Unmatched::Deny);
    assert!(matches!(world.permit(unsigned).await.grounds(), Grounds::Audited { .. }));
}
