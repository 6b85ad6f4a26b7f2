//! The tag guard: a tag goes forward, by who signed before, or an operator says so.

use std::time::Duration;

use serde_json::json;

use super::super::{
    tags::{Before, accept},
    testing::*,
    *,
};
use crate::{
    oci::{Digest, Tag},
    policy::Unmatched,
    store::FactKind,
};

pub(super) const FIRST: &str = "https://ci.acme.test/release.yml@refs/tags/v1";
pub(super) const SECOND: &str = "https://ci.acme.test/release.yml@refs/tags/v2@2";
pub(super) const OTHER: &str = "https://ci.acme.test/nightly.yml@refs/tags/v3";

/// A policy that takes any workflow of acme, and guards tags.
pub(super) fn guarded(mode: &str) -> String {
    format!(
        "name: release\nimages: [\"reg.test/acme/**\"]\nmode: {mode}\ntag_guard: true\ndangerous_no_attestation: true\nsignatures:\n  \
         - keyless: {{issuer: https://issuer.test, subject_pattern: \"https://ci.acme.test/**\"}}\n"
    )
}

pub(super) fn guarding() -> World {
    let world = World::new();
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    world
}

/// An image signed by these, each at its time.
pub(super) fn signed(world: &World, seed: &str, by: &[(&str, &str)]) -> Digest {
    let image = world.image(REPO, seed);
    for (by, at) in by {
        world.attach(REPO, image, &signature_at(image, by, at));
    }
    image
}

pub(super) fn v1() -> Tag {
    "v1".parse().unwrap()
}

pub(super) async fn ask(world: &World, digest: Digest) -> Result<TagVerdict, NoVerdict> {
    let permit = world.permit(digest).await;
    world.gate.admit_tag(&v1(), &world.subject(REPO, digest), Permit::clone(&permit), world.gate.deadline()).await
}

pub(super) async fn fine(world: &World, digest: Digest) -> bool {
    matches!(ask(world, digest).await, Ok(TagVerdict::Admit(_, warnings)) if warnings.is_empty())
}

/// What is kept of the tag.
pub(super) async fn history(world: &World) -> serde_json::Value {
    let history = world.facts.fact(FactKind::Tag, &format!("{}:v1", name(REPO))).await.unwrap().unwrap();
    serde_json::from_slice(&history).unwrap()
}

/// A signer as a history has him, of a version that kept one time for all of them.
pub(super) fn signer(workflow: &str) -> serde_json::Value {
    let builder = format!("https://ci.acme.test/{workflow}.yml");
    json!({"trust_root": "default", "issuer": "https://issuer.test", "repository": null, "builder": builder})
}

/// Keeps a history of an earlier version, of the tag `of`.
pub(super) async fn keep_old(world: &World, of: &str, digest: Digest, newest: &str, signers: &[serde_json::Value]) {
    let history = json!({"digest": digest, "newest": newest, "signers": signers}).to_string();
    world.facts.set_fact(FactKind::Tag, &format!("{}:{of}", name(REPO)), history.as_bytes()).await.unwrap();
}

/// The code and the sentence of a refusal.
pub(super) async fn refused(world: &World, digest: Digest) -> (&'static str, String) {
    match ask(world, digest).await {
        Ok(TagVerdict::Refuse(refusal)) => (refusal.code(), refusal.sentence()),
        other => panic!("wanted a refusal, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_goes_back_is_refused_and_its_digest_is_not() {
    let mut world = guarding();
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(SECOND, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, old).await, "the first use is trusted");
    assert!(fine(&world, new).await, "forward, by the same workflow at another ref");
    for _ in 0..2 {
        let (code, sentence) = refused(&world, old).await;
        assert_eq!(code, "tag_rolled_back");
        assert!(sentence.starts_with("policy release: tag v1 went back: signed 2026-01-01T00:00:00Z, before it "), "{sentence}");
        let command = format!("; to accept it: pullgate policy tag accept reg.test/acme/app:v1@{old} --config FILE");
        assert!(sentence.ends_with(&command) && sentence.len() <= sentence::MAX_SENTENCE, "{sentence}");
        // By digest it is as admitted as ever; another tag has its own history.
        let permit = world.permit(old).await;
        let (tag, subject, until) = ("old".parse().unwrap(), world.subject(REPO, old), world.gate.deadline());
        assert!(matches!(world.gate.admit_tag(&tag, &subject, Permit::clone(&permit), until).await, Ok(TagVerdict::Admit(..))));
        world.restart();
    }
    assert!(fine(&world, new).await, "what it meant before it still may mean");
}

#[tokio::test(start_paused = true)]
async fn the_hot_path_never_answers_a_tag_that_is_not_accepted() {
    let world = guarding();
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let (old_permit, new_permit) = (world.permit(old).await, world.permit(new).await);
    assert!(!world.gate.recall_tag(&v1(), &new_permit));
    assert!(fine(&world, new).await);
    assert!(world.gate.recall_tag(&v1(), &new_permit));
    refused(&world, old).await;
    assert!(!world.gate.recall_tag(&v1(), &old_permit));
}

/// What a tag meant while one guard was asked is not what it means once it moved under two.
#[tokio::test(start_paused = true)]
async fn the_hot_path_forgets_what_two_guards_moved_past() {
    let world = guarding();
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, old).await);
    let audit = guarded("audit").replace("name: release", "name: watch");
    world.set_policies(&format!("{}---\n{audit}", guarded("enforce")), Unmatched::Deny);
    assert!(fine(&world, new).await);
    world.set_policies(&guarded("enforce"), Unmatched::Deny);
    let permit = world.permit(old).await;
    assert!(!world.gate.recall_tag(&v1(), &permit));
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}

/// One that audits and does not hold, say: the others' answer is known all the same, until it says something too.
#[tokio::test(start_paused = true)]
async fn the_hot_path_answers_while_a_guarding_policy_says_nothing() {
    let world = World::new();
    let watch = guarded("audit").replace("name: release", "name: watch").replace("acme.test/**", "acme.test/nightly.yml@*/*/*");
    world.set_policies(&format!("{}---\n{watch}", guarded("enforce")), Unmatched::Deny);
    let image = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, image).await);
    let permit = world.permit(image).await;
    assert!(world.gate.recall_tag(&v1(), &permit));
    world.attach(REPO, image, &signature_at(image, OTHER, "2026-01-01T00:00:00Z"));
    tokio::time::advance(Duration::from_secs(3_601)).await;
    let permit = world.permit(image).await;
    assert!(!world.gate.recall_tag(&v1(), &permit));
    assert!(fine(&world, image).await && world.gate.recall_tag(&v1(), &permit));
    assert_eq!(history(&world).await["policies"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moves_to_another_signer_is_refused() {
    let world = guarding();
    let first = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let other = signed(&world, "b", &[(OTHER, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, first).await);
    let (code, sentence) = refused(&world, other).await;
    assert_eq!(code, "tag_signer_changed");
    assert!(sentence.contains("by another signer: https://ci.acme.test/nightly.yml"), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn signed_at_the_same_time_is_not_older_and_the_newest_signature_counts() {
    let world = guarding();
    let first = signed(&world, "a", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let same = signed(&world, "b", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let again = signed(&world, "c", &[(FIRST, "2026-01-01T00:00:00Z"), (FIRST, "2026-02-02T00:00:00Z")]);
    assert!(fine(&world, first).await && fine(&world, same).await && fine(&world, again).await);
    assert_eq!(refused(&world, same).await.0, "tag_rolled_back");
    // A signature that no policy names makes nothing newer.
    let foreign = signed(&world, "d", &[(FIRST, "2026-01-01T00:00:00Z"), (MALLORY, "2026-11-01T00:00:00Z")]);
    assert_eq!(refused(&world, foreign).await.0, "tag_rolled_back");
}

#[tokio::test(start_paused = true)]
async fn an_operator_accepts_one_change_of_a_running_gate_and_it_is_spent_when_it_has_happened() {
    let world = guarding();
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let oldest = signed(&world, "oldest", &[(FIRST, "2025-01-01T00:00:00Z")]);
    assert!(fine(&world, new).await);
    refused(&world, old).await;
    assert_eq!(accept(&*world.facts, &name(REPO), &v1(), &old).await.unwrap(), Before::Meant(new));
    assert_eq!(refused(&world, oldest).await.0, "tag_rolled_back", "another digest is not accepted");
    assert!(fine(&world, old).await);
    assert!(fine(&world, new).await, "forward again");
    assert_eq!(accept(&*world.facts, &name(REPO), &v1(), &oldest).await.unwrap(), Before::Meant(new));
    let newer = signed(&world, "newer", &[(FIRST, "2026-03-01T00:00:00Z")]);
    assert!(fine(&world, newer).await);
    assert_eq!(refused(&world, oldest).await.0, "tag_rolled_back", "it was accepted from another digest");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_accepted_and_has_happened_is_refused_until_it_is_accepted_anew() {
    let mut world = guarding();
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, new).await);
    for _ in 0..2 {
        accept(&*world.facts, &name(REPO), &v1(), &old).await.unwrap();
        assert!(fine(&world, old).await && fine(&world, old).await && fine(&world, new).await);
        assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
        world.restart();
        assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
    }
    // One that an earlier version wrote says no time, and is spent like any.
    let legacy = json!({"from": new, "to": old}).to_string();
    world.facts.set_fact(FactKind::TagAccepted, &format!("{}:v1", name(REPO)), legacy.as_bytes()).await.unwrap();
    assert!(fine(&world, old).await && fine(&world, new).await);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_decides_nothing_until_an_operator_does() {
    let world = guarding();
    let image = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let key = format!("{}:v1", name(REPO));
    world.facts.set_fact(FactKind::Tag, &key, b"{\"of another\": \"version\"}").await.unwrap();
    match ask(&world, image).await {
        Err(none @ NoVerdict::Undecided(_)) => {
            let command = format!("pullgate policy tag accept reg.test/acme/app:v1@{image} --config FILE");
            let told = format!("what tag v1 meant before cannot be told: its history is damaged; to accept it: {command}");
            assert!(none.code() == "tag_history" && none.to_string().starts_with(&(told + " (store ")), "{none}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(accept(&*world.facts, &name(REPO), &v1(), &image).await.unwrap(), Before::Unreadable);
    assert!(fine(&world, image).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_guard_nothing_is_remembered_and_an_audit_policy_only_says_so() {
    let world = World::new();
    let plain = world.signed("plain");
    assert!(fine(&world, plain).await);
    assert_eq!(world.facts.fact(FactKind::Tag, &format!("{}:v1", name(REPO))).await.unwrap(), None);

    world.set_policies(&guarded("audit"), Unmatched::Deny);
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, new).await);
    match ask(&world, old).await {
        Ok(TagVerdict::Admit(_, warnings)) => assert!(warnings[0].starts_with("299 - \"audit: would refuse: "), "{warnings:?}"),
        other => panic!("{other:?}"),
    }
}

/// Two guards, two histories: what the audit policy finds wrong is told, and neither lets the other's signers in.
#[tokio::test(start_paused = true)]
async fn an_audit_policy_beside_an_enforcing_one_is_asked_too() {
    let world = World::new();
    let audit = guarded("audit")
        .replace("name: release", "name: watch")
        .replace("https://ci.acme.test/**", "https://ci.acme.test/release.yml@*/*/*");
    world.set_policies(&format!("{}---\n{audit}", guarded("enforce")), Unmatched::Deny);
    let both = [(FIRST, "2026-01-01T00:00:00Z"), (OTHER, "2026-03-01T00:00:00Z")];
    let old = signed(&world, "old", &both);
    assert!(fine(&world, old).await);
    // Newer for the one, and older for the other.
    let back = [(FIRST, "2025-12-01T00:00:00Z"), (OTHER, "2026-04-01T00:00:00Z")];
    let new = signed(&world, "new", &back);
    for _ in 0..2 {
        match ask(&world, new).await {
            Ok(TagVerdict::Admit(_, warnings)) => {
                assert!(
                    warnings[0].contains("audit: would refuse: policy watch guards tags, and this one went back"),
                    "{warnings:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    // Who signs for the one does not sign for the other; earlier versions find all of them.
    let history = history(&world).await;
    let builders = |of: &serde_json::Value| of["signers"].as_array().unwrap().iter().map(|by| by["builder"].clone()).collect();
    let [release, nightly] = ["release", "nightly"].map(|workflow| json!(format!("https://ci.acme.test/{workflow}.yml")));
    let [enforced, audited]: [Vec<_>; 2] = [0, 1].map(|at| builders(&history["policies"][at]));
    assert_eq!((enforced, audited), (vec![release.clone(), nightly.clone()], vec![release.clone()]), "{history:#}");
    assert_eq!((builders(&history), &history["digest"]), (vec![release, nightly], &json!(new)), "{history:#}");
    // The enforcing guard moved the tag; the audit policy's history stands where it stood, and moves once.
    accept(&*world.facts, &name(REPO), &v1(), &new).await.unwrap();
    assert!(fine(&world, new).await && fine(&world, new).await);
    let newer = [(FIRST, "2026-01-02T00:00:00Z"), (OTHER, "2026-05-01T00:00:00Z")];
    let newer = signed(&world, "newer", &newer);
    assert!(fine(&world, newer).await);
    let again = signed(&world, "again", &[(FIRST, "2025-12-01T00:00:00Z"), (OTHER, "2026-06-01T00:00:00Z")]);
    let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, again).await else {
        panic!("an audit policy alone has something to say")
    };
    assert!(!warnings.is_empty(), "another digest is not accepted");
    // Neither is asked about what it does not hold for; what the enforcing one refuses is refused.
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_did_not_move_is_fine_though_its_newest_signature_is_gone() {
    let mut world = guarding();
    let image = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z"), (OTHER, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, image).await);
    world.withdraw(REPO, image);
    world.attach(REPO, image, &signature_at(image, FIRST, "2026-01-01T00:00:00Z"));
    tokio::time::advance(Duration::from_secs(3_601)).await;
    world.restart();
    assert!(fine(&world, image).await);
    // What is remembered of it stays: an older one is still older.
    let between = signed(&world, "b", &[(OTHER, "2026-01-15T00:00:00Z")]);
    assert_eq!(refused(&world, between).await.0, "tag_rolled_back");
}

#[tokio::test(start_paused = true)]
async fn an_audit_policy_answers_though_what_the_tag_meant_cannot_be_read() {
    let world = World::new();
    world.set_policies(&guarded("audit"), Unmatched::Deny);
    let image = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    world.facts.set_fact(FactKind::Tag, &format!("{}:v1", name(REPO)), b"{}").await.unwrap();
    match ask(&world, image).await {
        Ok(TagVerdict::Admit(_, warnings)) => {
            // Where the store is is not for clients.
            let why = "299 - \"audit: what tag v1 meant before cannot be told: its history is damaged; to accept it: pullgate policy tag";
            assert_eq!(warnings, [format!("{why} accept reg.test/acme/app:v1@{image} --config FILE\"")]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_answers_for_a_tag_by_the_signatures_of_its_index() {
    let world = guarding();
    let child = world.image(REPO, "amd64");
    let index = world.index(REPO, &[child]);
    world.attach(REPO, index, &signature_at(index, FIRST, "2026-02-01T00:00:00Z"));
    let old = signed(&world, "old", &[(FIRST, "2026-01-01T00:00:00Z")]);
    world.permit(index).await;
    assert!(fine(&world, child).await);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_a_tag_is_not_answered_with_is_not_counted_as_recalled() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = guarding();
    let new = signed(&world, "new", &[(FIRST, "2026-11-20T00:00:00Z")]);
    let old = signed(&world, "old", &[(FIRST, "2026-11-19T00:00:00Z")]);
    let excepted = format!("exceptions: [{{digest: \"{old}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
    let other = policy("other", "reg.test/**", FIRST, "enforce") + "dangerous_no_attestation: true\n" + &excepted;
    world.set_policies(&format!("{}---\n{other}", guarded("enforce")), Unmatched::Deny);
    assert!(fine(&world, new).await);
    assert_eq!(refused(&world, old).await.0, "tag_rolled_back");
    let counted = || {
        let text = recorder.handle().render();
        let of = |name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        [of("pullgate_recalled_total{outcome=\"permit\"}"), of("pullgate_exceptions_used_total{what=\"digest\"}")]
    };
    let before = counted();
    let (old, new) = (world.subject(REPO, old), world.subject(REPO, new));
    assert!(world.gate.recall_by_tag(&old, &v1()).is_none());
    assert_eq!(counted(), before);
    assert!(world.gate.recall_by_tag(&new, &v1()).is_some());
    assert!(world.gate.recall(&old).is_some());
    assert_eq!(counted()[0].as_deref(), Some("pullgate_recalled_total{outcome=\"permit\"} 2"));
    assert_eq!(counted()[1].as_deref(), Some("pullgate_exceptions_used_total{what=\"digest\"} 2"));
}
