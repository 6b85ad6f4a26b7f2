//! The tag guard's signers: who is the same, who may move a tag next, and whose age counts.

use serde_json::json;

use super::{
    super::testing::*,
    tags::{FIRST, OTHER, fine, guarding, history, keep_old, refused, signed, signer},
};
use crate::oci::Digest;

#[tokio::test(start_paused = true)]
async fn a_repository_of_the_same_name_with_another_number_is_another_signer() {
    let world = guarding();
    let by = |image: Digest, at: &str, repository: &str| {
        let uri = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v9";
        let claims = json!({"source_repository_identifier": repository, "build_signer_uri": uri});
        bundle(json!({"about": image, "by": FIRST, "proves": "signature", "at": at, "claims": claims}))
    };
    let [first, second, third] = ["a", "b", "c"].map(|seed| world.image(REPO, seed));
    world.attach(REPO, first, &by(first, "2026-01-01T00:00:00Z", "1001"));
    world.attach(REPO, second, &by(second, "2026-02-01T00:00:00Z", "1001"));
    world.attach(REPO, third, &by(third, "2026-03-01T00:00:00Z", "2002"));
    assert!(fine(&world, first).await && fine(&world, second).await);
    let (code, sentence) = refused(&world, third).await;
    assert_eq!(code, "tag_signer_changed");
    let told = "release.yml, repository number 2002; before it by the same, repository number 1001; to accept it: ";
    assert!(sentence.contains(told), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn another_signer_of_the_same_name_is_told_by_what_differs() {
    let world = guarding();
    let by = |workflow: &str, changed: &str, to: &str| {
        let mut by = signer(workflow);
        by[changed] = json!(to);
        by
    };
    let image = signed(&world, "is", &[(OTHER, "2026-02-01T00:00:00Z"), (FIRST, "2026-02-01T00:00:00Z")]);
    for (changed, to, was, is) in [
        ("trust_root", "corp", "trust root corp", "trust root default"),
        ("issuer", "https://old.test", "issuer https://old.test", "issuer https://issuer.test"),
        ("repository", "1001", "repository number 1001", "repository number none"),
    ] {
        let signers = [by("third", changed, to), by("release", changed, to)];
        keep_old(&world, "v1", Digest::sha256(b"was"), "2026-01-01T00:00:00Z", &signers).await;
        let sentence = refused(&world, image).await.1;
        let told = format!("release.yml, {is}; before it by the same, {was}; to accept it: ");
        assert!(sentence.contains(&told), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_signers_today_do_not_let_the_second_alone_tomorrow() {
    let world = guarding();
    let first = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let both = signed(&world, "b", &[(FIRST, "2026-02-01T00:00:00Z"), (OTHER, "2026-02-01T00:00:00Z")]);
    let second = signed(&world, "c", &[(OTHER, "2026-03-01T00:00:00Z")]);
    assert!(fine(&world, first).await && fine(&world, both).await);
    assert_eq!(refused(&world, second).await.0, "tag_signer_changed");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_move_a_tag_lends_no_age_to_who_may() {
    let world = guarding();
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z"), (OTHER, "2026-03-01T00:00:00Z")]);
    let (newer, by) = ("2026-02-02T00:00:00Z", [(OTHER, "2026-04-01T00:00:00Z"), (FIRST, "2026-02-02T00:00:00Z")]);
    let newest = signed(&world, "newest", &by);
    let last = signed(&world, "last", &[(FIRST, newer)]);
    assert!(fine(&world, new).await);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
    assert!(fine(&world, newest).await);
    assert!(fine(&world, last).await, "nor does it make older what it did not sign");
}

#[tokio::test(start_paused = true)]
async fn of_several_who_may_move_a_tag_whoever_signs_both_says_which_is_newer() {
    let world = guarding();
    let both = |first, other| [(FIRST, first), (OTHER, other)];
    let was = signed(&world, "was", &both("2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"));
    assert!(fine(&world, was).await);
    let back = signed(&world, "back", &both("2026-02-02T00:00:00Z", "2026-02-02T23:59:59Z"));
    assert_eq!(refused(&world, back).await.0, "tag_rolled_back");
    let resigned = signed(&world, "resigned", &both("2026-01-01T00:00:00Z", "2026-02-03T00:00:00Z"));
    assert!(fine(&world, resigned).await, "as new by one who may move it alone");
    // Alone, the first is held to what it signed before that, and not to what the other did.
    let older = signed(&world, "older", &[(FIRST, "2026-01-31T00:00:00Z")]);
    assert_eq!(refused(&world, older).await.0, "tag_rolled_back");
    let as_new = signed(&world, "as new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, as_new).await);
}

#[tokio::test(start_paused = true)]
async fn a_history_of_one_time_for_all_signers_is_read_as_it_was_meant() {
    let world = guarding();
    let was = world.image(REPO, "was");
    for (seed, signers, moves) in [
        ("a", &[(FIRST, "2026-01-31T23:59:59Z")][..], false),
        ("b", &[(FIRST, "2026-02-01T00:00:00Z")], true),
        // Whoever of them signed last did so then; the other may have signed any time before.
        ("c", &[(FIRST, "2026-01-01T00:00:00Z"), (OTHER, "2026-02-01T00:00:00Z")], true),
        ("d", &[(FIRST, "2026-01-01T00:00:00Z"), (OTHER, "2026-01-31T00:00:00Z")], false),
    ] {
        keep_old(&world, "v1", was, "2026-02-01T00:00:00Z", &["release", "nightly"].map(signer)).await;
        let image = signed(&world, seed, signers);
        if moves {
            assert!(fine(&world, image).await, "{seed}");
        } else {
            assert_eq!(refused(&world, image).await.0, "tag_rolled_back", "{seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_however_many_signers_sixteen_are_remembered_and_each_once() {
    let world = guarding();
    let image = world.image(REPO, "a");
    for at in 0..20 {
        for time in ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"] {
            let by = format!("https://ci.acme.test/{at}.yml@refs/tags/v1");
            world.attach(REPO, image, &signature_at(image, &by, time));
        }
    }
    assert!(fine(&world, image).await);
    let history = history(&world).await;
    let mut builders: Vec<_> =
        history["signers"].as_array().unwrap().iter().map(|signer| signer["builder"].to_string()).collect();
    builders.sort();
    builders.dedup();
    assert!(history["signers"].as_array().unwrap().iter().all(|signer| signer["newest"] == "2026-01-02T00:00:00Z"), "{history}");
    assert_eq!((history["signers"].as_array().unwrap().len(), builders.len()), (16, 16));
    assert_eq!(history["policies"][0]["signers"].as_array().unwrap().len(), 16);
}
