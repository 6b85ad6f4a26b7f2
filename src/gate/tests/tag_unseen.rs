//! The tag guard on what was not all seen: that refuses nothing, admits nothing, and is no way round it.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{testing::*, *},
    tags::{FIRST, OTHER, ask, fine, guarded, guarding, history, refused, signed, v1},
};
use crate::{evidence::Limits, oci::Digest, policy::Unmatched};

const THIRD: &str = "https://ci.acme.test/third.yml@refs/heads/main";

/// An image signed by the nightly workflow, and by the release workflow in a bundle that is given too.
fn by_two(world: &World, seed: &str, nightly: &str, release: &str) -> (Digest, Digest) {
    let image = signed(world, seed, &[(OTHER, nightly)]);
    (image, world.attach(REPO, image, &signature_at(image, FIRST, release)))
}

/// Why it could not be told.
async fn unsure(world: &World, digest: Digest) -> String {
    match ask(world, digest).await {
        Err(NoVerdict::Undecided(undecided)) => undecided.to_string(),
        other => panic!("wanted no verdict, got {other:?}"),
    }
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_cannot_be_had_now_makes_no_refusal_and_is_asked_for_again_soon() {
    for restart in [false, true] {
        let mut world = guarding();
        let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
        let (new, bundle) = by_two(&world, "new", "2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z");
        assert!(fine(&world, was).await);
        world.hide_referrers(bundle);
        let why = unsure(&world, new).await;
        assert!(why.contains("whether tag v1 may mean it, as not all was seen of who signed it: "), "{why}");
        assert_eq!(history(&world).await["digest"], json!(was));
        world.permit(new).await;
        world.mend();
        if restart {
            // What is kept of it is not all there is.
            world.restart();
        } else {
            wait(11).await;
        }
        assert!(fine(&world, new).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_policy_could_not_tell_by_what_was_not_all_seen() {
    let world = World::new();
    world.set_policies(&guarded("audit"), Unmatched::Deny);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let (new, bundle) = by_two(&world, "new", "2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z");
    assert!(fine(&world, was).await);
    world.hide_referrers(bundle);
    let Ok(TagVerdict::Warn(warnings)) = ask(&world, new).await else { panic!("served with a warning") };
    assert!(warnings[0].starts_with("299 - \"audit: could not tell: policy release: "), "{warnings:?}");
    assert_eq!(history(&world).await["digest"], json!(was));
}

#[tokio::test(start_paused = true)]
async fn a_first_use_that_was_not_all_seen_keeps_out_nobody_who_may_have_signed_it_until_it_is() {
    for complete in [false, true] {
        let world = guarding();
        let (first, bundle) = by_two(&world, "first", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
        world.hide_referrers(bundle);
        assert!(fine(&world, first).await);
        world.mend();
        let back = signed(&world, "back", &[(OTHER, "2026-01-01T00:00:00Z")]);
        assert_eq!(refused(&world, back).await.0, "tag_rolled_back", "who was seen to sign it is held to that");
        if complete {
            wait(11).await;
            assert!(fine(&world, first).await);
            let third = signed(&world, "third", &[(THIRD, "2026-03-01T00:00:00Z")]);
            assert_eq!(refused(&world, third).await.0, "tag_signer_changed");
        }
        let next = signed(&world, "next", &[(FIRST, "2026-03-01T00:00:00Z")]);
        assert!(fine(&world, next).await);
        let third = signed(&world, "third", &[(THIRD, "2026-04-01T00:00:00Z")]);
        assert_eq!(refused(&world, third).await.0, "tag_signer_changed", "from here on all are known");
    }
}

/// Whoever keeps something back of each release must not be free to go back behind it.
#[tokio::test(start_paused = true)]
async fn a_move_on_what_was_not_all_seen_is_remembered_and_takes_no_right_away() {
    for limit in [false, true] {
        let limits = Limits { candidates: if limit { 2 } else { 100 }, ..Limits::default() };
        let world = World::built(true, 1_000, Config { limits, ..config() });
        world.set_policies(&guarded("enforce"), Unmatched::Deny);
        let (was, _) = by_two(&world, "was", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert!(fine(&world, was).await);
        let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
        if limit {
            (0..2).for_each(|at| _ = world.attach(REPO, new, &json!({"junk": at})));
        } else {
            world.hide_referrers(world.attach(REPO, new, &signature_at(new, FIRST, "2026-02-01T00:00:00Z")));
        }
        assert!(fine(&world, new).await);
        world.mend();
        assert_eq!(refused(&world, was).await.0, "tag_rolled_back");
        let third = signed(&world, "third", &[(THIRD, "2026-03-01T00:00:00Z")]);
        assert_eq!(refused(&world, third).await.0, "tag_signer_changed");
        let next = signed(&world, "next", &[(FIRST, "2026-01-02T00:00:00Z")]);
        assert!(fine(&world, next).await, "who may have signed it, and is held to what it signed before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_a_limit_hides_makes_no_refusal_either() {
    let world = World::built(true, 1_000, Config { limits: Limits { candidates: 2, ..Limits::default() }, ..config() });
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    world.attach(REPO, new, &json!({"junk": 1}));
    world.attach(REPO, new, &signature_at(new, FIRST, "2026-02-01T00:00:00Z"));
    let why = unsure(&world, new).await;
    assert!(why.contains("limits.evidence.candidates"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_signs_late_is_asked_for_before_a_tag_is_refused() {
    let world = guarding();
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    assert_eq!(refused(&world, new).await.0, "tag_signer_changed");
    world.attach(REPO, new, &signature_at(new, FIRST, "2026-02-01T00:00:00Z"));
    wait(9).await;
    world.forget_asked();
    assert_eq!(refused(&world, new).await.0, "tag_signer_changed", "as long as a refusal is remembered");
    assert_eq!(world.asked_at_all(), 0);
    wait(1).await;
    world.fault(Ask::Referrers, Fault::Down);
    let why = unsure(&world, new).await;
    assert!(why.contains("whether tag v1 may mean it"), "{why}");
    world.mend();
    wait(11).await;
    assert!(fine(&world, new).await);
    // What came of it may be that the digest itself is refused.
    assert_eq!(refused(&world, was).await.0, "tag_rolled_back");
    world.withdraw(REPO, was);
    wait(11).await;
    assert_eq!(refused(&world, was).await.0, "signature_missing");
}

#[tokio::test(start_paused = true)]
async fn of_a_child_the_signatures_of_its_index_are_asked_for_again() {
    let world = guarding();
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    let child = world.image(REPO, "amd64");
    let index = world.index(REPO, &[child]);
    world.attach(REPO, index, &signature_at(index, OTHER, "2026-02-01T00:00:00Z"));
    world.permit(index).await;
    assert_eq!(refused(&world, child).await.0, "tag_signer_changed");
    world.attach(REPO, index, &signature_at(index, FIRST, "2026-02-01T00:00:00Z"));
    wait(11).await;
    assert!(fine(&world, child).await);
    let permit = world.permit(child).await;
    assert!(world.gate.recall_tag(&v1(), &permit));
}

/// One audit policy that does not hold says so, and the other says what it has to say.
#[tokio::test(start_paused = true)]
async fn an_audit_policy_that_fails_silences_no_other_ones_guard() {
    let world = World::new();
    let failing = policy("failing", "reg.test/acme/**", MALLORY, "audit");
    world.set_policies(&format!("{}---\n{failing}", guarded("audit")), Unmatched::Deny);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, new).await);
    assert_eq!(world.permit(new).await.grounds().code(), "audited");
    let Ok(TagVerdict::Warn(warnings)) = ask(&world, old).await else { panic!("wanted a warning") };
    assert!(warnings[0].contains("policy release guards tags, and this one went back"), "{warnings:?}");
    // What it remembered holds when it enforces.
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}
