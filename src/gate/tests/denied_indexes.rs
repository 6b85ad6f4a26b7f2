//! What a denied index lists: it vouches for nothing, and where nobody's evidence does, its platforms go with it (D4).

use std::time::Duration;

use super::{
    super::{testing::*, *},
    denied::{digest_entry, is_denied},
    lineage::multi,
};
use crate::{oci::Digest, policy::Unmatched};

#[tokio::test(start_paused = true)]
async fn d4_a_denied_index_vouches_for_nothing_any_more() {
    let world = World::new();
    let (index, children) = multi(&world);
    world.permit(index).await;
    for child in children {
        world.permit(child).await;
    }
    world.deny(&digest_entry(index));
    assert!(is_denied(&world, index).await);
    for (child, seed) in children.into_iter().zip(["amd64", "arm64"]) {
        assert!(world.gate.recall(&world.subject(REPO, child)).is_none());
        assert_eq!(world.refusal(child).await.code(), "signature_missing");
        assert!(!world.listed(World::layer_of(seed)).await);
    }
    // Another index that lists it vouches still, and so does its own signature.
    let second = world.index(REPO, &children[..1]);
    world.sign(REPO, second, RELEASE);
    world.permit(second).await;
    assert_eq!(world.permit(children[0]).await.grounds(), &Grounds::Parent(second));
    world.sign(REPO, children[1], RELEASE);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(world.permit(children[1]).await.grounds(), &Grounds::Policy);
}

/// Where nobody's evidence serves them, they go with their index: a node that has it would pull all of it by their digests.
#[tokio::test(start_paused = true)]
async fn d4_the_platforms_of_a_denied_index_are_denied_where_no_evidence_is_asked_for() {
    for (at, (text, unmatched)) in without_evidence().into_iter().enumerate() {
        let world = World::new();
        let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
        let nested = world.index(REPO, &children);
        let index = world.index(REPO, &[nested]);
        let nested_under =
            |below: Digest| format!("(of index {}, which lists it)", if below == nested { index } else { nested }.short());
        world.set_policies(&text, unmatched);
        for one in [index, nested, children[0], children[1]] {
            world.permit(one).await;
        }
        assert!(world.listed(World::layer_of("arm64")).await);
        // That something else is denied changes nothing.
        world.deny(&digest_entry(Digest::sha256(b"else")));
        world.permit(children[1]).await;
        world.deny(&digest_entry(index));
        for below in [nested, children[0], children[1]] {
            let refusal = world.refusal(below).await;
            let of = nested_under(below);
            let told = format!("denied by the deny-list: INC-7 stolen key (of index {}, which lists it)", index.short());
            assert!(
                refusal.code() == "denied" && refusal.sentence().contains(&told) && refusal.sentence().ends_with(&of),
                "{refusal}"
            );
        }
        assert!(!world.listed(World::layer_of("arm64")).await);
        // Another index that lists it vouches still, where there is one, and so does its own signature, where one is asked for.
        let second = world.index(REPO, &children[..1]);
        world.permit(second).await;
        world.permit(children[0]).await;
        world.sign(REPO, children[1], RELEASE);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(world.admit(children[1]).await.is_ok_and(|verdict| matches!(verdict, Verdict::Admit(_))), at == 0, "{at}");
        // Nor is it served because it cannot be seen who signed what.
        if at == 0 {
            world.withdraw(REPO, children[1]);
            world.fault(Ask::Referrers, Fault::Down);
            tokio::time::advance(Duration::from_secs(25 * 3_600)).await;
            world.undecided(children[1]).await;
            world.mend();
            tokio::time::advance(Duration::from_secs(61)).await;
            assert_eq!(world.refusal(children[1]).await.code(), "denied");
        }
        world.deny("[]");
        world.permit(children[1]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d4_what_its_own_evidence_admits_is_so_whatever_else_holds_without() {
    let release = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let excepted = |mode: &str| {
        let old = "exceptions: [{dangerous_repository: reg.test/acme/app, reason: JIRA-1, expires: 2026-12-01}]\n";
        policy("old", "reg.test/**", MALLORY, mode) + old
    };
    let bare = "name: bare\nimages: [\"reg.test/**\"]\ndangerous_no_signature: true\ndangerous_no_attestation: true\n";
    let watched = bare.replace("name: bare", "name: bare\nmode: audit");
    for (text, signed) in [
        (format!("{release}---\n{}", excepted("audit")), true),
        (format!("{release}---\n{}", excepted("enforce")), true),
        (format!("{release}---\n{bare}"), true),
        (bare.to_owned(), false),
        (watched, false),
        (format!("{}---\n{bare}", excepted("enforce")), false),
    ] {
        let world = World::new();
        let child = world.image(REPO, "amd64");
        let index = world.index(REPO, &[child]);
        world.sign(REPO, index, RELEASE);
        world.set_policies(&text, Unmatched::Deny);
        world.permit(index).await;
        world.permit(child).await;
        if signed {
            world.sign(REPO, child, RELEASE);
        }
        world.deny(&digest_entry(index));
        if signed {
            world.permit(child).await;
        } else {
            assert_eq!(world.refusal(child).await.code(), "denied", "{text}");
        }
        // An exception for this very digest was somebody's decision.
        let own = format!("exceptions: [{{digest: \"{child}\", reason: JIRA-2, expires: 2026-12-01}}]\n");
        world.set_policies(&(policy("own", "reg.test/**", MALLORY, "enforce") + &own), Unmatched::Deny);
        world.deny(&digest_entry(index));
        world.permit(child).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d4_an_index_that_cannot_be_judged_now_may_yet_vouch_for_what_a_denied_one_lists() {
    let old = "exceptions: [{dangerous_repository: reg.test/acme/app, reason: JIRA-1, expires: 2026-12-01}]\n";
    let old = policy("old", "reg.test/**", MALLORY, "enforce") + old;
    let world = World::new();
    let child = world.image(REPO, "amd64");
    let (denied, other) = (world.index(REPO, &[child]), world.platforms(&[(child, Some("linux/amd64"))]));
    for index in [denied, other] {
        world.sign(REPO, index, RELEASE);
        world.permit(index).await;
    }
    world.set_policies(&format!("{old}---\n{}", policy("release", "reg.test/acme/**", RELEASE, "enforce")), Unmatched::Deny);
    world.deny(&digest_entry(denied));
    world.fault(Ask::Referrers, Fault::Down);
    tokio::time::advance(Duration::from_secs(25 * 3_600)).await;
    world.undecided(child).await;
    world.mend();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(world.permit(child).await.grounds(), &Grounds::Parent(other));
}

/// Whatever would serve it without evidence: it may vouch, so they wait until that is known, and no longer.
#[tokio::test(start_paused = true)]
async fn d4_what_is_below_a_denied_index_is_not_served_without_evidence_because_an_index_cannot_be_had() {
    for (text, unmatched) in without_evidence() {
        // The denied one lists the platform itself beside the other index, or only that.
        for also in [true, false] {
            let mut world = World::new();
            world.set_policies(&text, unmatched);
            let child = world.image(REPO, "amd64");
            let other = world.platforms(&[(child, Some("linux/amd64"))]);
            let denied = world.index(REPO, &[if also { child } else { other }]);
            for index in [denied, other, child] {
                world.permit(index).await;
            }
            let lose = |world: &mut World, denied: &str| {
                world.deny(denied);
                world.documents.evict(&other);
                world.hide(other);
                world.restart();
            };
            lose(&mut world, &digest_entry(denied));
            world.undecided(child).await;
            world.mend();
            tokio::time::advance(Duration::from_secs(61)).await;
            if also {
                world.permit(child).await;
            } else {
                assert_eq!(world.refusal(child).await.code(), "denied", "{text}");
                // Gone or not, it was listed.
                world.documents.evict(&other);
                world.remove(REPO, &other);
                world.restart();
                assert_eq!(world.refusal(child).await.code(), "denied", "{text}");
            }
            // Where nothing above it is denied, nothing waits for an index.
            lose(&mut world, &digest_entry(Digest::sha256(b"else")));
            world.permit(child).await;
        }
    }
}

/// Each of them is asked about as a parent of the platform, in whatever order.
#[tokio::test(start_paused = true)]
async fn d4_what_a_denied_index_lists_vouches_for_no_platform_that_both_list() {
    for (text, unmatched) in without_evidence() {
        for first in [true, false] {
            let mut world = World::new();
            world.set_policies(&text, unmatched);
            let child = world.image(REPO, "amd64");
            let nested = world.platforms(&[(child, Some("linux/amd64"))]);
            let denied = world.index(REPO, &[nested, child]);
            for index in if first { [denied, nested] } else { [nested, denied] } {
                world.permit(index).await;
            }
            world.permit(child).await;
            world.deny(&digest_entry(denied));
            world.restart();
            assert_eq!(world.refusal(child).await.code(), "denied", "{text}");
            assert_eq!(world.refusal(nested).await.code(), "denied", "{text}");
        }
    }
}

/// What serves an image whoever made it: an audit policy, an exception for the repository, no policy.
fn without_evidence() -> [(String, Unmatched); 3] {
    let watch = policy("watch", "reg.test/acme/**", RELEASE, "audit");
    let old = "exceptions: [{dangerous_repository: reg.test/acme/app, reason: JIRA-1, expires: 2026-12-01}]\n";
    let release = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let other = policy("other", "reg.test/other/**", RELEASE, "enforce");
    [(watch, Unmatched::Deny), (release + old, Unmatched::Deny), (other, Unmatched::DangerousAllow)]
}

/// D8: as after any other refusal.
#[tokio::test(start_paused = true)]
async fn d8_what_was_refused_with_a_denied_index_is_served_once_another_is() {
    for (text, unmatched) in without_evidence() {
        let mut meanwhile = 0;
        for after in 0..10 {
            let world = World::new();
            world.set_policies(&text, unmatched);
            let child = world.image(REPO, "amd64");
            let (denied, other) = (world.index(REPO, &[child]), world.platforms(&[(child, Some("linux/amd64"))]));
            world.permit(denied).await;
            world.deny(&digest_entry(denied));
            // While the child is judged, the other index is admitted.
            let is_admitted = std::cell::Cell::new(false);
            let asking = async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                let answer = world.admit(child).await;
                (answer, is_admitted.get())
            };
            let admitting = async {
                world.permit(other).await;
                is_admitted.set(true);
            };
            let ((answer, is_admitted), ()) = tokio::join!(asking, admitting);
            assert!(!is_admitted || matches!(answer, Ok(Verdict::Admit(_))), "{text}: {after} ms: {answer:?}");
            meanwhile += usize::from(is_admitted);
            world.permit(child).await;
        }
        assert!(meanwhile > 0, "{text}");
    }
}
