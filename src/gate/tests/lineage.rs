//! Children through their index, blobs through their manifest, and nothing else.

use std::time::Duration;

use super::super::{testing::*, *};
use crate::{oci::Digest, policy::Unmatched};

/// A signed index of two unsigned images.
pub(super) fn multi(world: &World) -> (Digest, [Digest; 2]) {
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.index(REPO, &children);
    world.sign(REPO, index, RELEASE);
    (index, children)
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn that_one_index_was_looked_into_says_nothing_of_another() {
    let world = World::new();
    let lineage = &world.gate.lineage;
    let (here, there) = (name(REPO), name("acme/other"));
    let index = |of: u32| Digest::sha256(&of.to_le_bytes());
    (0..900).for_each(|of| lineage.set_expanded(&here, &index(of)));
    assert!((0..900).any(|of| lineage.is_expanded(&here, &index(of))));
    assert!(!(900..20_000).any(|of| lineage.is_expanded(&here, &index(of))), "another digest");
    assert!(!(0..20_000).any(|of| lineage.is_expanded(&there, &index(of))), "another repository");
}

#[tokio::test(start_paused = true)]
async fn a12_a_child_is_admitted_through_its_index_and_not_before() {
    let world = World::new();
    let (index, [child, other]) = multi(&world);
    let refusal = world.refusal(child).await;
    let RefusalReason::Unmet { notes, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(notes.iter().any(|note| note.contains("pull the index first")), "{notes:?}");
    world.permit(index).await;
    wait(11).await;
    world.forget_asked();
    let permit = world.permit(child).await;
    assert_eq!(permit.grounds(), &Grounds::Parent(index));
    assert_eq!(permit.policy(), world.permit(index).await.policy());
    world.permit(other).await;
    assert_eq!(world.asked(Ask::Referrers), 0, "no search for evidence a child seldom has");
}

#[tokio::test(start_paused = true)]
async fn the_first_refusal_of_a_child_does_not_outlive_the_pull_of_its_index() {
    let world = World::new();
    let (index, [child, _]) = multi(&world);
    world.refusal(child).await;
    world.permit(index).await;
    assert_eq!(world.permit(child).await.grounds(), &Grounds::Parent(index));
}

#[tokio::test(start_paused = true)]
async fn d8_a_child_that_is_judged_while_its_index_is_admitted_is_admitted_with_it() {
    let world = World::new();
    let child = world.image(REPO, "amd64");
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.sign(REPO, index, RELEASE);
    // Its parents are looked for before the index is admitted, and its own evidence is searched until after.
    world.sign(REPO, child, MALLORY);
    let asking = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.admit(child).await
    };
    let (_, answer) = tokio::join!(world.permit(index), asking);
    let Ok(Verdict::Admit(permit)) = answer else { panic!("{answer:?}") };
    assert_eq!(permit.grounds(), &Grounds::Parent(index));
    assert!(world.gate.recall(&world.subject(REPO, child)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_no_manifest_is_refused_once_though_its_index_vouches_for_it() {
    let world = World::new();
    let child = world.raw(REPO, "{\"schemaVersion\": 1}", None);
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    world.forget_asked();
    world.refusal(child).await;
    world.refusal(child).await;
    assert_eq!(world.asked_for(&child), 1);
}

#[tokio::test(start_paused = true)]
async fn x9_a_child_lives_no_longer_than_its_index() {
    let world = World::new();
    let (index, [child, _]) = multi(&world);
    world.permit(index).await;
    wait(3_000).await;
    world.permit(child).await;
    world.withdraw(REPO, index);
    wait(601).await;
    assert!(world.gate.recall(&world.subject(REPO, child)).is_none());
    let refusal = world.refusal(child).await;
    let RefusalReason::Unmet { notes, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(notes.iter().any(|note| note.contains(&format!("index {index} lists it"))), "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("pull the index first")), "it was pulled: {notes:?}");
}

#[tokio::test(start_paused = true)]
async fn x9_an_index_vouches_in_its_own_repository_and_for_what_it_lists() {
    let world = World::new();
    let (index, [child, _]) = multi(&world);
    world.permit(index).await;
    let stranger = world.image(REPO, "stranger");
    world.set_parents(stranger, &[index]);
    world.refusal(stranger).await;
    // The same child, published in another repository that has the same policy.
    world.image("acme/other", "amd64");
    match world.gate.admit(&world.subject("acme/other", child)).await {
        Ok(Verdict::Refuse(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Two indexes of one child, the second signed by somebody else; and policies that admit what either of them signed.
fn of_two_signers() -> (World, [Digest; 3], [String; 2]) {
    let world = World::new();
    let child = world.image(REPO, "amd64");
    let other = world.image(REPO, "arm64");
    // With platforms: nobody has to read the child to know that these are no evidence.
    let [amd64, arm64] = [(child, Some("linux/amd64")), (other, Some("linux/arm64"))];
    let [first, second] = [world.platforms(&[amd64]), world.platforms(&[amd64, arm64])];
    world.sign(REPO, second, MALLORY);
    world.set_parents(child, &[first, second]);
    let policies = [RELEASE, MALLORY].map(|by| policy("release", "reg.test/acme/**", by, "enforce"));
    (world, [child, first, second], policies)
}

/// Returns when the manifest is being asked for.
async fn asked_for(world: &World, digest: &Digest) {
    while world.asked_for(digest) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d4_an_index_judged_under_policies_that_came_and_went_vouches_for_nothing_under_those_before() {
    let (world, [child, first, second], [strict, lax]) = of_two_signers();
    let reloading = async {
        asked_for(&world, &first).await;
        world.set_policies(&lax, Unmatched::Deny);
        asked_for(&world, &child).await;
        world.set_policies(&strict, Unmatched::Deny);
    };
    let (answer, ()) = tokio::join!(world.admit(child), reloading);
    let Err(NoVerdict::Undecided(undecided)) = answer else { panic!("{answer:?}") };
    assert_eq!(undecided.retry_after, Duration::from_secs(5));
    assert!(undecided.to_string().contains(&format!("policies changed while index {second}")), "{undecided}");
    assert!(world.gate.recall(&world.subject(REPO, child)).is_none());
    for digest in [child, first, second] {
        world.refusal(digest).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_is_asked_for_again_where_policies_changed_before_or_after_its_index_was_judged() {
    let (world, [child, first, second], [_, lax]) = of_two_signers();
    let reloading = async {
        asked_for(&world, &first).await;
        world.set_policies(&lax, Unmatched::Deny);
    };
    let (answer, ()) = tokio::join!(world.admit(child), reloading);
    let Ok(Verdict::Admit(permit)) = answer else { panic!("{answer:?}") };
    assert_eq!((permit.grounds(), permit.policy()), (&Grounds::Parent(second), world.permit(second).await.policy()));

    let (world, [child, ..], [strict, lax]) = of_two_signers();
    world.set_policies(&lax, Unmatched::Deny);
    let reloading = async {
        asked_for(&world, &child).await;
        world.set_policies(&strict, Unmatched::Deny);
    };
    let (answer, ()) = tokio::join!(world.admit(child), reloading);
    assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_took_too_long_is_not_asked_for_again_because_policies_changed_meanwhile() {
    let (world, [child, first, _], [_, lax]) = of_two_signers();
    world.all_fail(Fault::Hangs);
    let began = tokio::time::Instant::now();
    let reloading = async {
        asked_for(&world, &first).await;
        world.set_policies(&lax, Unmatched::Deny);
    };
    let (answer, ()) = tokio::join!(world.admit(child), reloading);
    assert!(matches!(answer, Err(NoVerdict::Undecided(_))), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(26), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_knows_the_index_needs_no_earlier_pull() {
    let world = World::new();
    let (index, [child, _]) = multi(&world);
    world.set_parents(child, &[Digest::sha256(b"gone"), index]);
    assert_eq!(world.permit(child).await.grounds(), &Grounds::Parent(index));
}

#[tokio::test(start_paused = true)]
async fn x1_indexes_are_followed_three_deep_and_never_in_circles() {
    // An image, and four indexes, each of which lists the one before.
    let nested = || {
        let world = World::new();
        let mut chain = vec![world.image(REPO, "a")];
        for _ in 0..4 {
            chain.push(world.index(REPO, &[*chain.last().unwrap()]));
        }
        for pair in chain.windows(2) {
            world.set_parents(pair[0], &[pair[1]]);
        }
        (world, chain)
    };
    let (world, chain) = nested();
    world.sign(REPO, chain[3], RELEASE);
    assert_eq!(world.permit(chain[0]).await.grounds(), &Grounds::Parent(chain[1]));
    // The same with the signature one level further up.
    let (world, chain) = nested();
    let image = chain[0];
    world.sign(REPO, chain[4], RELEASE);
    world.refusal(image).await;

    // An upstream that says everything is everything's parent: refused, at once, by a bounded number of questions.
    let world = World::new();
    let all: Vec<Digest> = (0..40).map(|at| world.image(REPO, &at.to_string())).collect();
    for one in &all {
        world.set_parents(*one, &all);
    }
    let began = tokio::time::Instant::now();
    world.refusal(all[0]).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(world.asked(Ask::Referrers) <= 65, "{}", world.asked(Ask::Referrers));
}

#[tokio::test(start_paused = true)]
async fn x13_only_what_an_admitted_manifest_of_the_repository_lists_is_served() {
    let world = World::new();
    let (signed, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    assert!(!world.listed(World::layer_of("a")).await, "not before its manifest");
    world.permit(signed).await;
    world.refusal(unsigned).await;
    match world.ask_blob(REPO, World::layer_of("a")).await {
        Ok(BlobVerdict::Listed { permit, size }) => {
            assert_eq!((permit.manifest().digest(), size), (&signed, "layer of a".len() as u64));
        }
        other => panic!("{other:?}"),
    }
    for (repository, blob) in
        [(REPO, World::layer_of("b")), ("acme/other", World::layer_of("a")), (REPO, Digest::sha256(b"nowhere"))]
    {
        assert!(matches!(world.ask_blob(repository, blob).await, Ok(BlobVerdict::Unlisted)), "{repository} {blob}");
    }
}

#[tokio::test(start_paused = true)]
async fn x13_a_manifest_under_blobs_is_served_only_if_admitted() {
    let world = World::new();
    let (signed, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    assert!(matches!(world.ask_blob(REPO, signed).await, Ok(BlobVerdict::Unlisted)));
    world.permit(signed).await;
    world.refusal(unsigned).await;
    assert!(matches!(world.ask_blob(REPO, signed).await, Ok(BlobVerdict::Manifest(_))));
    assert!(matches!(world.ask_blob(REPO, unsigned).await, Ok(BlobVerdict::Unlisted)));
    // Kept for one repository, asked for in another.
    assert!(matches!(world.ask_blob("acme/other", signed).await, Ok(BlobVerdict::Unlisted)));
}

#[tokio::test(start_paused = true)]
async fn x17_a_client_that_has_the_manifests_already_gets_the_layers() {
    let mut world = World::new();
    let (index, [child, _]) = multi(&world);
    world.permit(index).await;
    assert!(world.listed(World::layer_of("amd64")).await, "HEAD of the index was enough");
    world.forget_asked();
    assert!(!world.listed(Digest::sha256(b"nowhere")).await);
    assert!(!world.listed(Digest::sha256(b"nowhere")).await);
    assert_eq!(world.asked(Ask::ManifestByDigest), 1, "the other child is read once, for all that is asked after");

    // After a restart nothing was asked but the layer, and the upstream is gone.
    world.all_fail(Fault::Down);
    world.restart();
    assert!(world.listed(World::layer_of("arm64")).await);
    // The same where the child had not been read before the restart.
    let mut world = World::new();
    let (index, _) = multi(&world);
    world.permit(index).await;
    world.restart();
    assert!(world.listed(World::layer_of("amd64")).await);
    world.permit(child).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_whose_manifest_cannot_be_judged_now_is_undecided_not_unknown() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.all_fail(Fault::Down);
    wait(48 * 3_600).await;
    world.restart();
    assert!(matches!(world.ask_blob(REPO, World::layer_of("a")).await, Err(NoVerdict::Undecided(_))));
}

#[tokio::test(start_paused = true)]
async fn c11_a_layer_goes_with_the_last_manifest_that_vouched_for_it() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.withdraw(REPO, image);
    wait(3_601).await;
    assert!(!world.listed(World::layer_of("a")).await);
}

#[tokio::test(start_paused = true)]
async fn x17_an_index_that_was_refused_in_between_is_read_once_it_is_admitted_again() {
    let mut world = World::new();
    let (index, _) = multi(&world);
    world.permit(index).await;
    world.set_policies(&policy("release", "reg.test/acme/**", MALLORY, "enforce"), Unmatched::Deny);
    world.restart();
    assert!(!world.listed(World::layer_of("amd64")).await, "not while its index is refused");
    world.set_policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::Deny);
    wait(11).await;
    world.permit(index).await;
    assert!(world.listed(World::layer_of("amd64")).await);
}

#[tokio::test(start_paused = true)]
async fn h5_a_child_that_is_not_there_is_not_asked_for_with_every_unknown_blob() {
    let world = World::new();
    let index = world.index(REPO, &[world.image(REPO, "here"), Digest::sha256(b"never mirrored")]);
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    for blob in [b"1", b"2", b"3"] {
        assert!(matches!(world.ask_blob(REPO, Digest::sha256(blob)).await, Ok(BlobVerdict::Unlisted)));
    }
    assert_eq!(world.asked_for(&Digest::sha256(b"never mirrored")), 1);
    // It may have come in the meantime: for ten minutes nobody looks.
    for (seconds, asked) in [(599, 1), (1, 2)] {
        wait(seconds).await;
        assert!(!world.listed(Digest::sha256(b"4")).await);
        assert_eq!(world.asked_for(&Digest::sha256(b"never mirrored")), asked);
    }
}
