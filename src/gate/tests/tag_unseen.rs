//! The tag guard on what was not all seen: that refuses nothing, admits nothing, and is no way round it.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{tags::accept, testing::*, *},
    tags::{FIRST, OTHER, ask, fine, guarded, guarding, history, keep_old, refused, signed, signer, v1},
};
use crate::{evidence::Limits, oci::Digest, policy::Unmatched, store::FactKind};

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
        world.hide(bundle);
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

/// Asked for again soon is only what was not all seen, and only where somebody asks who signed.
#[tokio::test(start_paused = true)]
async fn a_permit_on_all_there_is_or_without_a_guard_lives_its_hour() {
    for guard in [true, false] {
        let world = guarding();
        let (image, bundle) = by_two(&world, "a", "2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z");
        if !guard {
            world.set_policies(&guarded("enforce").replace("tag_guard: true\n", ""), Unmatched::Deny);
            world.hide(bundle);
        }
        world.permit(image).await;
        wait(3_599).await;
        assert!(world.gate.recall(&world.subject(REPO, image)).is_some(), "guarded: {guard}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_policy_could_not_tell_by_what_was_not_all_seen() {
    let world = World::new();
    world.set_policies(&guarded("audit"), Unmatched::Deny);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let (new, bundle) = by_two(&world, "new", "2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z");
    assert!(fine(&world, was).await);
    world.hide(bundle);
    let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, new).await else { panic!("served with a warning") };
    assert!(warnings[0].starts_with("299 - \"audit: could not tell: policy release: "), "{warnings:?}");
    assert_eq!(history(&world).await["digest"], json!(was));
}

/// And it is asked for again as soon as what is stale, not as soon as a refusal: in an outage every image would be.
#[tokio::test(start_paused = true)]
async fn a_first_use_is_remembered_once_all_is_seen() {
    let world = guarding();
    let (first, bundle) = by_two(&world, "first", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
    world.hide(bundle);
    assert!(fine(&world, first).await && fine(&world, first).await);
    let kept = async || world.facts.fact(FactKind::Tag, &format!("{}:v1", name(REPO))).await.unwrap();
    let permit = world.permit(first).await;
    assert!(kept().await.is_none() && !world.gate.recall_tag(&v1(), &permit));
    world.mend();
    world.forget_asked();
    wait(58).await;
    assert!(fine(&world, first).await && kept().await.is_none());
    assert_eq!(world.asked_at_all(), 0);
    wait(3).await;
    assert!(fine(&world, first).await && kept().await.is_some());
    let third = signed(&world, "third", &[(THIRD, "2026-03-01T00:00:00Z")]);
    assert_eq!(refused(&world, third).await.0, "tag_signer_changed");
    let next = signed(&world, "next", &[(FIRST, "2026-03-01T00:00:00Z")]);
    assert!(fine(&world, next).await, "who was not seen at first");
}

/// Whoever keeps something back of each release must not be free to go back behind it, nor keep anybody's right for him.
#[tokio::test(start_paused = true)]
async fn a_move_on_what_was_not_all_seen_is_remembered_and_takes_no_right_away_until_all_is_seen() {
    for (hidden, complete) in [(FIRST, false), (FIRST, true), (THIRD, true)] {
        let world = guarding();
        let (was, _) = by_two(&world, "was", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert!(fine(&world, was).await);
        let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
        world.hide(world.attach(REPO, new, &signature_at(new, hidden, "2026-02-01T00:00:00Z")));
        assert!(fine(&world, new).await);
        let permit = world.permit(new).await;
        assert!(!world.gate.recall_tag(&v1(), &permit));
        world.mend();
        assert_eq!(refused(&world, was).await.0, "tag_rolled_back");
        let third = signed(&world, "third", &[(THIRD, "2026-03-01T00:00:00Z")]);
        assert_eq!(refused(&world, third).await.0, "tag_signer_changed");
        let next = signed(&world, "next", &[(FIRST, "2026-01-02T00:00:00Z")]);
        if !complete {
            assert!(fine(&world, next).await, "who may have signed it, and is held to what it signed before");
            continue;
        }
        wait(61).await;
        assert!(fine(&world, new).await);
        let permit = world.permit(new).await;
        assert!(world.gate.recall_tag(&v1(), &permit));
        let code = if hidden == FIRST { "tag_rolled_back" } else { "tag_signer_changed" };
        assert_eq!(refused(&world, next).await.0, code);
        assert_eq!(refused(&world, third).await.0, "tag_signer_changed", "nobody gets a right");
    }
}

/// Else whoever answers for the registry ends a signer's right for good by one blip, or has the digest pass for older than it is.
#[tokio::test(start_paused = true)]
async fn a_move_that_is_accepted_on_what_was_not_all_seen_happens_and_is_remembered_anew_once_all_is_seen() {
    for (hidden, restart) in [(FIRST, false), (FIRST, true), (OTHER, false)] {
        let mut world = guarding();
        let was = signed(&world, "was", &[(THIRD, "2026-03-01T00:00:00Z")]);
        assert!(fine(&world, was).await);
        let new = signed(&world, "new", &[(OTHER, "2026-01-01T00:00:00Z")]);
        world.hide(world.attach(REPO, new, &signature_at(new, hidden, "2026-02-01T00:00:00Z")));
        unsure(&world, new).await;
        accept(&*world.facts, &name(REPO), &v1(), &new).await.unwrap();
        assert!(fine(&world, new).await && fine(&world, new).await, "it is what an operator has at hand in an outage");
        let permit = world.permit(new).await;
        assert!(!world.gate.recall_tag(&v1(), &permit));
        assert_eq!(refused(&world, was).await.0, "tag_signer_changed", "it has happened");
        world.mend();
        if restart {
            world.restart();
        } else {
            wait(61).await;
        }
        assert!(fine(&world, new).await);
        let permit = world.permit(new).await;
        assert!(world.gate.recall_tag(&v1(), &permit));
        let between = signed(&world, "between", &[(hidden, "2026-01-15T00:00:00Z")]);
        assert_eq!(refused(&world, between).await.0, "tag_rolled_back");
        let next = signed(&world, "next", &[(hidden, "2026-02-02T00:00:00Z")]);
        assert!(fine(&world, next).await, "who was not seen at first");
        assert_eq!(refused(&world, new).await.0, "tag_rolled_back");
    }
}

/// Once: what is remembered anew of it is what was accepted, and not what follows.
#[tokio::test(start_paused = true)]
async fn what_follows_a_move_that_was_accepted_on_what_was_not_all_seen_is_held_to_who_was_seen() {
    let world = guarding();
    let was = signed(&world, "was", &[(THIRD, "2026-03-01T00:00:00Z")]);
    let (new, bundle) = by_two(&world, "new", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
    assert!(fine(&world, was).await);
    world.hide(bundle);
    accept(&*world.facts, &name(REPO), &v1(), &new).await.unwrap();
    assert!(fine(&world, new).await);
    world.mend();
    let next = signed(&world, "next", &[(OTHER, "2026-02-02T00:00:00Z"), (THIRD, "2026-03-02T00:00:00Z")]);
    assert!(fine(&world, next).await);
    wait(61).await;
    assert_eq!(refused(&world, new).await.0, "tag_rolled_back");
    assert!(fine(&world, next).await);
    assert_eq!(refused(&world, was).await.0, "tag_signer_changed");
}

/// A history of a version that kept one time for all signers: who is not seen is held to that time, and not to the next.
#[tokio::test(start_paused = true)]
async fn who_was_not_seen_is_held_to_what_he_signed_before_also_where_that_has_no_time_of_its_own() {
    let world = guarding();
    keep_old(&world, "v1", Digest::sha256(b"was"), "2026-01-01T00:00:00Z", &["nightly", "release"].map(signer)).await;
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    world.hide(world.attach(REPO, new, &signature_at(new, FIRST, "2026-02-01T00:00:00Z")));
    assert!(fine(&world, new).await);
    world.mend();
    let next = signed(&world, "next", &[(FIRST, "2026-01-02T00:00:00Z")]);
    assert!(fine(&world, next).await);
}

/// All that may move the tag withdrew, before all was seen: it did not move, and what is remembered of it stays.
#[tokio::test(start_paused = true)]
async fn a_tag_that_did_not_move_is_fine_though_nobody_is_left_who_may_move_it() {
    let world = guarding();
    let (was, _) = by_two(&world, "was", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    assert!(fine(&world, was).await);
    let (new, bundle) = by_two(&world, "new", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
    world.hide(bundle);
    assert!(fine(&world, new).await);
    world.mend();
    world.withdraw(REPO, new);
    world.attach(REPO, new, &signature_at(new, THIRD, "2026-02-01T00:00:00Z"));
    wait(61).await;
    assert!(fine(&world, new).await);
    let third = signed(&world, "third", &[(THIRD, "2026-03-01T00:00:00Z")]);
    assert_eq!(refused(&world, third).await.0, "tag_signer_changed");
    // One of them comes back with an older signature: nobody's age goes back, and the other is gone.
    world.attach(REPO, new, &signature_at(new, OTHER, "2026-01-15T00:00:00Z"));
    wait(3_601).await;
    assert!(fine(&world, new).await);
    let between = signed(&world, "between", &[(OTHER, "2026-01-31T00:00:00Z")]);
    assert_eq!(refused(&world, between).await.0, "tag_rolled_back");
    let next = signed(&world, "next", &[(FIRST, "2026-03-01T00:00:00Z")]);
    assert_eq!(refused(&world, next).await.0, "tag_signer_changed");
}

/// Who can push can hide a signature behind one for ever: that must neither switch the guard off nor make no answer of a no.
#[tokio::test(start_paused = true)]
async fn what_a_limit_hides_is_not_there() {
    for junk in [0, 2] {
        let world = World::built(true, 1_000, Config { limits: Limits { candidates: 2, ..Limits::default() }, ..config() });
        world.set_policies(&guarded("enforce"), Unmatched::Deny);
        let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
        (0..junk).for_each(|at| _ = world.attach(REPO, was, &json!({"junk": at})));
        assert!(fine(&world, was).await);
        let permit = world.permit(was).await;
        assert!(world.gate.recall_tag(&v1(), &permit), "a first use is remembered");
        let other = signed(&world, "other", &[(OTHER, "2026-02-01T00:00:00Z")]);
        world.attach(REPO, other, &json!({"junk": 1}));
        world.attach(REPO, other, &signature_at(other, FIRST, "2026-02-01T00:00:00Z"));
        assert_eq!(refused(&world, other).await.0, "tag_signer_changed");
    }
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
async fn of_a_child_the_signatures_of_the_index_above_it_are_asked_for_again() {
    // Three deep, as indexes are followed everywhere: no further up is it asked.
    for (levels, found) in [(1, true), (2, true), (3, true), (4, false)] {
        let world = guarding();
        let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
        assert!(fine(&world, was).await);
        let child = world.image(REPO, "amd64");
        let mut indexes = vec![child];
        for level in 0..levels {
            indexes.push(world.index(REPO, &indexes[level..=level]));
        }
        let index = indexes[levels];
        world.attach(REPO, index, &signature_at(index, OTHER, "2026-02-01T00:00:00Z"));
        for below in indexes[1..].iter().rev() {
            world.permit(*below).await;
        }
        assert_eq!(refused(&world, child).await.0, "tag_signer_changed");
        world.attach(REPO, index, &signature_at(index, FIRST, "2026-02-01T00:00:00Z"));
        wait(11).await;
        if !found {
            assert_eq!(refused(&world, child).await.0, "tag_signer_changed");
            continue;
        }
        assert!(fine(&world, child).await, "{levels}");
        let permit = world.permit(child).await;
        assert!(world.gate.recall_tag(&v1(), &permit));
    }
}

/// As in `verify`, where no refusal is remembered.
#[tokio::test(start_paused = true)]
async fn what_was_just_asked_is_not_asked_again_and_then_once() {
    let world = World::built(true, 1_000, Config { refusal_ttl: Duration::ZERO, ..config() });
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    world.forget_asked();
    assert_eq!(refused(&world, new).await.0, "tag_signer_changed");
    let once = world.asked(Ask::Referrers);
    for (withdrawn, code) in [(false, "tag_signer_changed"), (true, "signature_missing")] {
        if withdrawn {
            world.withdraw(REPO, new);
        }
        wait(1).await;
        world.forget_asked();
        assert_eq!(refused(&world, new).await.0, code);
        assert_eq!(world.asked(Ask::Referrers), once);
    }
}

#[tokio::test(start_paused = true)]
async fn for_an_audit_policy_it_is_asked_once_more_who_signed_and_nobody_waits_for_it() {
    let world = World::new();
    world.set_policies(&guarded("audit"), Unmatched::Deny);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    let warned = async || matches!(ask(&world, new).await, Ok(TagVerdict::Admit(_, warnings)) if !warnings.is_empty());
    let asked = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.asked_at_all() > 0
    };
    assert!(warned().await);
    world.attach(REPO, new, &signature_at(new, FIRST, "2026-02-01T00:00:00Z"));
    world.forget_asked();
    wait(9).await;
    assert!(warned().await && !asked().await);
    wait(1).await;
    assert!(warned().await && asked().await);
    let permit = world.permit(new).await;
    _ = world.gate.renew(&world.subject(REPO, new), &permit).await;
    assert!(fine(&world, new).await);
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
    let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, old).await else { panic!("wanted a warning") };
    assert!(warnings[0].contains("policy release guards tags, and this one went back"), "{warnings:?}");
    // What it remembered holds when it enforces.
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}
