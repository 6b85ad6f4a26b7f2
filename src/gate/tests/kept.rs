//! What is kept: how long it counts, what it is enough for, and that nothing else is read in its place.

use std::time::Duration;

use super::super::{testing::*, *};
use crate::{
    evidence::{Budget, Kept, Limits, Reader},
    oci::{Digest, media_type},
    policy::Unmatched,
};

const HOUR: u64 = 3_600;

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Makes the listing that is kept of a digest so many seconds old.
async fn age(world: &World, digest: Digest, seconds: u64) {
    let key = format!("{}@{digest}", name(REPO));
    let mut kept = Kept::load(&*world.documents, &key).await.unwrap();
    kept.listed_at = world.now() - Duration::from_secs(seconds);
    kept.save_listing(&*world.documents, &key).await;
}

fn is_remembered(world: &World, digest: Digest) -> bool {
    world.gate.recall(&world.subject(REPO, digest)).is_some()
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_spares_the_search_until_it_is_as_old_as_a_permit_gets() {
    // Also where a policy asks who signed, if all that was listed is there.
    for more in ["", "tag_guard: true\n"] {
        let mut world = World::new();
        world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + more), Unmatched::Deny);
        let image = world.signed("a");
        world.permit(image).await;
        for (old, asked) in [(HOUR - 1, 0), (HOUR, 1)] {
            age(&world, image, old).await;
            world.restart();
            world.forget_asked();
            world.permit(image).await;
            assert_eq!(world.asked(Ask::Referrers), asked, "{old} seconds old; {more}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d4_what_is_kept_admits_for_what_is_left_of_its_time_and_no_longer() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    age(&world, image, 3_000).await;
    world.restart();
    world.permit(image).await;
    wait(599).await;
    assert!(is_remembered(&world, image));
    wait(1).await;
    assert!(!is_remembered(&world, image), "a restart would make withdrawn evidence live twice as long");
}

#[tokio::test(start_paused = true)]
async fn d4_an_index_is_admitted_for_what_is_left_of_its_platforms_evidence() {
    let mut world = World::new();
    let text = "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + text), Unmatched::Deny);
    let child = world.image(REPO, "amd64");
    world.attach(REPO, child, &attestation(child, RELEASE));
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    world.permit(index).await;
    // The index's own evidence is listed anew, the platform's a while ago.
    for (old, asked) in [(HOUR - 600, 1), (HOUR, 2)] {
        age(&world, index, 2 * HOUR).await;
        age(&world, child, old).await;
        world.restart();
        world.forget_asked();
        world.permit(index).await;
        assert_eq!(world.asked(Ask::Referrers), asked, "{old} seconds old");
        if asked == 1 {
            wait(599).await;
            assert!(is_remembered(&world, index));
            wait(1).await;
            assert!(!is_remembered(&world, index));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c12_what_is_kept_is_read_here_and_nowhere_else() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let manifests = world.sign(REPO, image, RELEASE);
    let reader = Reader {
        upstream: Some(world.upstream()),
        documents: Arc::<crate::store::Memory>::clone(&world.documents),
        repository: REPO.parse().unwrap(),
        until: tokio::time::Instant::now() + Duration::from_secs(20),
        budget: Budget::default(),
        shapes: Budget::default(),
    };
    let found = crate::evidence::search(&reader, &[image], &Limits::default()).await;
    let kept = Kept::of(&found, world.now(), media_type::OCI_MANIFEST);
    kept.save(&*world.documents, "key", &found).await;
    world.documents.evict(&manifests[0]);
    world.forget_asked();
    let evidence = kept.collect(&reader, &Limits::default()).await;
    assert_eq!((evidence.pieces.len(), world.asked_at_all()), (1, 0));
    assert!(evidence.missing[0].ends_with("not kept here"), "{:?}", evidence.missing);
}

#[tokio::test(start_paused = true)]
async fn c12_whatever_was_served_is_served_after_a_restart_without_its_upstream() {
    let mut world = World::new();
    let image = world.image(REPO, "a");
    let evidence = world.attach(REPO, image, &signature(image, MALLORY));
    let (enforce, audit) =
        (policy("release", "reg.test/acme/**", RELEASE, "enforce"), policy("watch", "reg.test/acme/**", RELEASE, "audit"));
    let elsewhere = policy("other", "reg.test/other/**", RELEASE, "enforce");
    for (text, unmatched, asked) in [
        (&enforce, Unmatched::Deny, evidence),
        (&audit, Unmatched::Deny, image),
        (&elsewhere, Unmatched::DangerousAllow, world.image(REPO, "b")),
    ] {
        world.set_policies(text, unmatched);
        let before = world.permit(asked).await.grounds().code();
        world.all_fail(Fault::Down);
        world.restart();
        assert_eq!(world.permit(asked).await.grounds().code(), before);
        world.mend();
    }
}

/// Bytes that do not say their media type are what the index that lists them says.
#[tokio::test(start_paused = true)]
async fn a_child_is_served_again_as_the_type_its_index_gives_it() {
    let mut world = World::new();
    let image = world.image(REPO, "other");
    let (config, size) = world.blob(REPO, "{}");
    let bare = serde_json::json!({
        "schemaVersion": 2, "config": descriptor(media_type::OCI_CONFIG, config, size), "layers": [],
    });
    let child = world.raw(REPO, bare.to_string(), Some(media_type::DOCKER_MANIFEST.into()));
    let children = [descriptor(media_type::OCI_MANIFEST, image, 100), descriptor(media_type::DOCKER_MANIFEST, child, 100)];
    let index = world.raw(REPO, index_of(&children), Some(media_type::OCI_INDEX.into()));
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    assert_eq!(world.permit(child).await.manifest().media_type(), media_type::DOCKER_MANIFEST);
    world.all_fail(Fault::Down);
    world.restart();
    assert_eq!(world.permit(child).await.manifest().media_type(), media_type::DOCKER_MANIFEST);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_one_image_is_recalled_after_another_was_asked_for() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    let other = world.image("acme/other", "b");
    assert!(matches!(world.gate.admit(&world.subject("acme/other", other)).await, Ok(Verdict::Refuse(_))));
    assert!(is_remembered(&world, image));
}
