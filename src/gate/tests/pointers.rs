//! Who lists what: how far a question leads, and which pointers are found again.

use super::super::{testing::*, *};
use crate::oci::Digest;

fn nobody(at: usize) -> Digest {
    Digest::sha256(format!("nobody has {at}").as_bytes())
}

/// A signed index of one image each, admitted in this order.
async fn admitted_indexes(world: &World, seeds: std::ops::Range<usize>) {
    for at in seeds {
        let index = world.index(REPO, &[world.image(REPO, &at.to_string())]);
        world.sign(REPO, index, RELEASE);
        world.permit(index).await;
    }
}

#[tokio::test(start_paused = true)]
async fn x1_a_blob_is_looked_for_three_deep_and_no_deeper() {
    for (depth, found) in [(3, true), (4, false)] {
        let world = World::new();
        let mut top = world.image(REPO, "a");
        for _ in 0..depth {
            top = world.index(REPO, &[top]);
        }
        world.sign(REPO, top, RELEASE);
        world.permit(top).await;
        assert_eq!(world.listed(World::layer_of("a")).await, found, "{depth}");
    }
}

#[tokio::test(start_paused = true)]
async fn x1_below_one_index_a_thousand_manifests_are_read_and_each_once() {
    let world = World::new();
    let below = [0..600, 500..1_100].map(|children| world.index(REPO, &children.map(nobody).collect::<Vec<_>>()));
    let index = world.index(REPO, &below);
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    assert!(!world.listed(Digest::sha256(b"nowhere")).await);
    let asked = (0..1_100).map(|at| world.asked_for(&nobody(at))).sum::<usize>();
    assert_eq!(asked, 997, "with the three indexes they are a thousand");
}

#[tokio::test(start_paused = true)]
async fn x1_one_question_leads_to_sixty_four_manifests_upwards() {
    let world = World::new();
    let image = |at: usize| world.image(REPO, &at.to_string());
    // Each is said to be listed by sixteen others, and no two by the same.
    for at in 0..17 {
        let parents: Vec<Digest> = (1..=16).map(|nth| image(16 * at + nth)).collect();
        world.set_parents(image(at), &parents);
    }
    world.refusal(image(0)).await;
    assert_eq!(world.asked(Ask::Referrers), 65);
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_lists_a_blob_is_judged_before_it_counts() {
    let world = World::new();
    let (signed, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    for seed in ["a", "b"] {
        world.set_listing(World::layer_of(seed), &[unsigned, signed]);
    }
    assert!(world.listed(World::layer_of("a")).await);
    assert!(!world.listed(World::layer_of("b")).await);
}

#[tokio::test(start_paused = true)]
async fn x1_of_those_that_the_upstream_says_list_a_blob_a_thousand_are_asked_for_and_each_once() {
    let world = World::new();
    let mut listing: Vec<Digest> = (0..1_010).map(nobody).collect();
    listing.insert(1, listing[0]);
    let blob = Digest::sha256(b"nowhere");
    world.set_listing(blob, &listing);
    assert!(!world.listed(blob).await);
    assert_eq!(world.asked(Ask::ManifestByDigest), 1_000);
}

#[tokio::test(start_paused = true)]
async fn d9_indexes_of_evidence_push_out_no_index_that_vouches() {
    let world = World::new();
    admitted_indexes(&world, 0..1).await;
    for at in 0..40 {
        let bundle = world.artifact(REPO, nobody(at), BUNDLE, &signature(nobody(at), MALLORY).to_string());
        let index = world.index(REPO, &[bundle]);
        assert_eq!(world.permit(index).await.grounds(), &Grounds::Evidence);
    }
    assert!(world.listed(World::layer_of("0")).await);
}

#[tokio::test(start_paused = true)]
async fn x17_the_latest_thirty_two_indexes_of_a_repository_are_known_after_a_restart() {
    let mut world = World::new();
    admitted_indexes(&world, 0..33).await;
    world.restart();
    assert!(!world.listed(World::layer_of("0")).await);
    for seed in ["1", "32"] {
        assert!(world.listed(World::layer_of(seed)).await, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_two_images_share_is_served_for_either() {
    let mut world = World::new();
    let first = world.signed("a");
    let bytes = String::from_utf8(world.bytes_of(REPO, first).to_vec()).unwrap();
    let second = world.raw(REPO, bytes.replace("\"schemaVersion\":2", "\"schemaVersion\": 2"), None);
    world.sign(REPO, second, RELEASE);
    for image in [first, second] {
        world.permit(image).await;
    }
    for denied in [second, first] {
        world.deny(&format!("- {{digest: \"{denied}\", reason: INC-7}}\n"));
        assert!(world.listed(World::layer_of("a")).await);
        world.restart();
        assert!(world.listed(World::layer_of("a")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_on_the_store_learns_is_known_here_too() {
    let mut world = World::new();
    let image = world.signed("a");
    let other = Arc::clone(&world.gate);
    world.restart();
    assert!(!world.listed(World::layer_of("a")).await);
    assert!(matches!(other.admit(&world.subject(REPO, image)).await, Ok(Verdict::Admit(_))));
    assert!(world.listed(World::layer_of("a")).await);
}
