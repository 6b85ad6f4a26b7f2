//! The tag guard where several policies ask for it: each has its own signers, and every one that enforces must let the tag move.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{
    super::{Permit, TagVerdict, tags::accept, testing::*},
    tags::{self, FIRST, OTHER, ask, fine, guarded, history, refused, signed, v1},
};
use crate::{
    oci::Digest,
    policy::Unmatched,
    store::{FactKind, Facts, NoFacts, StoreError},
};

const REVIEW: &str = "https://ci.acme.test/review.yml@refs/heads/main";

/// A guarding policy that takes these workflows.
fn by(policy: &str, mode: &str, workflows: &[&str]) -> String {
    let keyless = |workflow: &&str| {
        format!("{{keyless: {{issuer: https://issuer.test, subject_pattern: \"https://ci.acme.test/{workflow}.yml@*/*/*\"}}}}")
    };
    let any: Vec<_> = workflows.iter().map(keyless).collect();
    format!(
        "name: {policy}\nimages: [\"reg.test/acme/**\"]\nmode: {mode}\ntag_guard: true\ndangerous_no_attestation: true\nsignatures: \
         [{{any_of: [{}]}}]\n",
        any.join(", ")
    )
}

fn set(world: &World, policies: &[String]) {
    world.set_policies(&policies.join("---\n"), Unmatched::Deny);
}

/// A history of an earlier version, with a time for each signer.
async fn keep_old(world: &World, of: &str, digest: Digest, workflows: &[&str]) {
    let newest = "2026-01-01T00:00:00Z";
    let timed = |workflow: &&str| {
        let mut signer = tags::signer(workflow);
        signer["newest"] = json!(newest);
        signer
    };
    let signers: Vec<_> = workflows.iter().map(timed).collect();
    tags::keep_old(world, of, digest, newest, &signers).await;
}

/// What `policy` remembers: the digest, and who signed it.
async fn remembered(world: &World, policy: &str) -> Option<(Digest, Vec<String>)> {
    let history = history(world).await;
    let meant = history["policies"].as_array().unwrap().iter().find(|meant| meant["policy"] == json!(policy))?;
    let builder = |by: &serde_json::Value| by["builder"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let digest = meant["digest"].as_str().unwrap().parse().unwrap();
    Some((digest, meant["signers"].as_array().unwrap().iter().map(builder).collect()))
}

/// Who reviews signs everything, so for the policy on reviews nothing changes when somebody else releases.
#[tokio::test(start_paused = true)]
async fn who_signs_for_one_policy_moves_no_tag_for_another() {
    for mode in ["enforce", "audit"] {
        let world = World::new();
        set(&world, &[by("a", mode, &["release", "nightly"]), by("b", mode, &["review"])]);
        let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z"), (REVIEW, "2026-01-01T00:00:00Z")]);
        let other = signed(&world, "other", &[(OTHER, "2026-02-01T00:00:00Z"), (REVIEW, "2026-02-01T00:00:00Z")]);
        let back = signed(&world, "back", &[(FIRST, "2025-12-01T00:00:00Z"), (REVIEW, "2026-03-01T00:00:00Z")]);
        assert!(fine(&world, was).await);
        for (digest, code, words) in [(other, "tag_signer_changed", "another signer"), (back, "tag_rolled_back", "went back")] {
            if mode == "enforce" {
                assert_eq!(refused(&world, digest).await.0, code);
                assert_eq!(remembered(&world, "b").await.unwrap().0, was, "one that would let it move does not move alone");
            } else {
                let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, digest).await else { panic!("{words}") };
                assert!(warnings.len() == 1 && warnings[0].contains("policy a ") && warnings[0].contains(words), "{warnings:?}");
                assert_eq!(remembered(&world, "b").await.unwrap().0, digest);
            }
            assert_eq!(remembered(&world, "a").await, Some((was, vec!["release.yml".to_owned()])));
        }
        accept(&*world.facts, &name(REPO), &v1(), &other).await.unwrap();
        assert!(fine(&world, other).await, "for both at once");
        assert_eq!(remembered(&world, "a").await, Some((other, vec!["nightly.yml".to_owned()])));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_exception_admits_changes_nothing_of_what_its_policy_knows() {
    let mut world = World::new();
    let hotfix = signed(&world, "hotfix", &[(REVIEW, "2026-02-01T00:00:00Z")]);
    let exception = format!("exceptions: [{{digest: \"{hotfix}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
    let (a, b) = (by("a", "enforce", &["release"]), by("b", "enforce", &["release", "review"]));
    set(&world, &[a.clone() + &exception, b]);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z"), (REVIEW, "2026-01-01T00:00:00Z")]);
    assert!(fine(&world, was).await && fine(&world, hotfix).await);
    assert_eq!(remembered(&world, "a").await, Some((was, vec!["release.yml".to_owned()])));
    assert_eq!(remembered(&world, "b").await, Some((hotfix, vec!["review.yml".to_owned()])));
    set(&world, &[a]);
    world.restart();
    let back = signed(&world, "back", &[(FIRST, "2025-12-01T00:00:00Z")]);
    assert_eq!(refused(&world, back).await.0, "tag_rolled_back");
    let new = signed(&world, "new", &[(FIRST, "2026-03-01T00:00:00Z")]);
    assert!(fine(&world, new).await, "its own release");
    assert_eq!(remembered(&world, "b").await.unwrap().0, hotfix, "what one knew that is away is kept");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_comes_later_trusts_its_own_first_use_and_no_other_policys() {
    let world = World::new();
    let a = by("a", "enforce", &["release", "nightly"]);
    set(&world, std::slice::from_ref(&a));
    let both = |seed: &str, first: &str, at: &str| signed(&world, seed, &[(first, at), (REVIEW, at)]);
    let was = both("was", FIRST, "2026-01-01T00:00:00Z");
    assert!(fine(&world, was).await);
    set(&world, &[a, by("b", "enforce", &["review"])]);
    assert_eq!(refused(&world, both("other", OTHER, "2026-02-01T00:00:00Z")).await.0, "tag_signer_changed");
    // The tag did not move, and the new policy is asked all the same, though the old one was not.
    assert!(fine(&world, was).await);
    assert_eq!(remembered(&world, "b").await, Some((was, vec!["review.yml".to_owned()])));
    let back = signed(&world, "back", &[(FIRST, "2026-02-01T00:00:00Z"), (REVIEW, "2025-12-01T00:00:00Z")]);
    let (code, sentence) = refused(&world, back).await;
    assert!(code == "tag_rolled_back" && sentence.contains("policy b"), "{sentence}");
    assert!(fine(&world, both("new", FIRST, "2026-02-01T00:00:00Z")).await);
}

#[tokio::test(start_paused = true)]
async fn of_policies_that_are_away_the_last_four_are_remembered() {
    let world = World::new();
    let image = signed(&world, "a", &[(FIRST, "2026-01-01T00:00:00Z")]);
    for at in 0..20 {
        set(&world, &[guarded("enforce").replace("name: release", &format!("name: release-{at}"))]);
        assert!(fine(&world, image).await);
    }
    assert_eq!(history(&world).await["policies"].as_array().unwrap().len(), 5);
    assert!(remembered(&world, "release-19").await.is_some() && remembered(&world, "release-15").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_old_history_of_audit_policies_alone_is_the_tags_own() {
    let world = World::new();
    set(&world, &[by("watch", "audit", &["release", "nightly"])]);
    keep_old(&world, "v1", Digest::sha256(b"was"), &["release"]).await;
    let new = signed(&world, "new", &[(OTHER, "2026-02-01T00:00:00Z")]);
    let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, new).await else { panic!("another signed it before") };
    assert!(warnings[0].contains("another signer"), "{warnings:?}");
}

/// One history for all enforcing policies, and one for those that audit beside them.
#[tokio::test(start_paused = true)]
async fn histories_of_earlier_versions_are_read_as_they_were_meant() {
    let world = World::new();
    let watch = by("watch", "audit", &["release", "nightly"]);
    set(&world, &[by("a", "enforce", &["release", "nightly"]), by("b", "enforce", &["review"]), watch]);
    let was = world.image(REPO, "was");
    let write = async |of: &str, workflows: &[&str]| keep_old(&world, of, was, workflows).await;
    let both = |seed: &str, first: &str, at: &str| signed(&world, seed, &[(first, at), (REVIEW, at)]);
    let new = both("new", FIRST, "2026-02-01T00:00:00Z");
    write("v1", &["release", "review"]).await;
    write("v1 audit", &["nightly"]).await;
    assert_eq!(refused(&world, both("other", OTHER, "2026-02-01T00:00:00Z")).await.0, "tag_signer_changed");
    assert_eq!(refused(&world, both("back", FIRST, "2025-12-01T00:00:00Z")).await.0, "tag_rolled_back");
    let Ok(TagVerdict::Admit(_, warnings)) = ask(&world, new).await else { panic!("the audit policy knew another") };
    assert!(warnings[0].contains("policy watch guards tags, and this one is by another signer"), "{warnings:?}");
    assert_eq!(remembered(&world, "b").await, Some((new, vec!["review.yml".to_owned()])));
    assert_eq!(remembered(&world, "watch").await, Some((was, vec!["nightly.yml".to_owned()])));
    // An operator accepts for all of them, though what they knew was in two places.
    let third = both("third", OTHER, "2026-02-02T00:00:00Z");
    accept(&*world.facts, &name(REPO), &v1(), &third).await.unwrap();
    assert!(fine(&world, third).await);

    // So it is where the gate was not asked since it was updated; and what only audited and cannot be read begins anew.
    write("v1", &["release", "review"]).await;
    write("v1 audit", &["release"]).await;
    accept(&*world.facts, &name(REPO), &v1(), &third).await.unwrap();
    assert!(fine(&world, third).await);
    write("v1", &["release", "review"]).await;
    world.facts.set_fact(FactKind::Tag, &format!("{}:v1 audit", name(REPO)), b"{}").await.unwrap();
    assert!(fine(&world, new).await);
}

#[tokio::test(start_paused = true)]
async fn of_an_earlier_version_no_policy_inherits_signers_that_are_anothers() {
    for mode in ["enforce", "audit"] {
        let world = World::new();
        set(&world, &[by("a", mode, &["release"]), by("b", mode, &["review"])]);
        let both = |seed: &str, at: &str| signed(&world, seed, &[(FIRST, at), (REVIEW, at)]);
        let was = both("was", "2026-01-01T00:00:00Z");
        keep_old(&world, "v1", was, &["release"]).await;
        assert!(fine(&world, was).await);
        let new = both("new", "2026-02-01T00:00:00Z");
        assert!(fine(&world, new).await, "{mode}");
        assert_eq!(remembered(&world, "a").await, Some((new, vec!["release.yml".to_owned()])));
        assert_eq!(remembered(&world, "b").await, Some((new, vec!["review.yml".to_owned()])));
    }
    // Where the tag is; not to let it move.
    let world = World::new();
    set(&world, &[by("b", "enforce", &["review"])]);
    let was = signed(&world, "was", &[(REVIEW, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(REVIEW, "2026-02-01T00:00:00Z")]);
    keep_old(&world, "v1", was, &["release"]).await;
    assert_eq!(refused(&world, new).await.0, "tag_signer_changed");
    assert!(fine(&world, was).await && fine(&world, new).await);
}

#[tokio::test(start_paused = true)]
async fn a_history_of_an_earlier_version_need_not_be_written_anew_where_the_tag_did_not_move() {
    let mut world = World::new();
    set(&world, &[by("a", "enforce", &["release"])]);
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    keep_old(&world, "v1", was, &["release"]).await;
    let facts = std::mem::replace(&mut world.facts, Arc::new(NoFacts));
    world.facts = Arc::new(Full(Arc::clone(&facts)));
    world.restart();
    assert!(fine(&world, was).await);
    let Err(none) = ask(&world, new).await else { panic!("what it means from now on must be kept") };
    let told = "the gate's store fails, so what reg.test/acme/app:v1 means now cannot be kept (store facts is in use by another process)";
    assert_eq!((none.code(), &*none.to_string()), ("tag_history", told));
    world.facts = facts;
    world.restart();
    assert!(fine(&world, was).await);
    assert_eq!(remembered(&world, "a").await.unwrap().0, was, "else it is");
}

/// A store that is full.
#[derive(Debug)]
struct Full(Arc<dyn Facts>);

#[async_trait::async_trait]
impl Facts for Full {
    async fn first_seen(&self, name: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.0.first_seen(name, now).await
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        self.0.fact(kind, key).await
    }

    async fn set_fact(&self, _: FactKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::InUse { path: "facts".into() })
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_accepts_holds_for_a_policy_that_says_something_only_later() {
    let world = World::new();
    let was = signed(&world, "was", &[(FIRST, "2026-02-01T00:00:00Z"), (REVIEW, "2026-02-01T00:00:00Z")]);
    let back = signed(&world, "back", &[(REVIEW, "2026-01-01T00:00:00Z")]);
    let exception = format!("exceptions: [{{digest: \"{back}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
    let (a, b) = (by("a", "enforce", &["release"]), by("b", "enforce", &["review"]));
    set(&world, &[a.clone() + &exception, b.clone()]);
    assert!(fine(&world, was).await);
    assert_eq!(refused(&world, back).await.0, "tag_rolled_back");
    accept(&*world.facts, &name(REPO), &v1(), &back).await.unwrap();
    assert!(fine(&world, back).await);
    assert_eq!(remembered(&world, "a").await.unwrap().0, was);
    world.attach(REPO, back, &signature_at(back, FIRST, "2026-01-01T00:00:00Z"));
    set(&world, &[a, b]);
    assert!(fine(&world, back).await);
    assert_eq!(remembered(&world, "a").await.unwrap().0, back);
    assert!(fine(&world, was).await, "forward again");
    assert_eq!(refused(&world, back).await.0, "tag_rolled_back", "it was for as long as the tag stayed");
}

/// A store that answers nothing more once `hangs` is set, until it is not: somebody holds its lock.
#[derive(Debug)]
struct Held {
    facts: Arc<dyn Facts>,
    hangs: tokio::sync::watch::Sender<bool>,
}

impl Held {
    /// A world whose store hangs, with one guarding policy.
    fn world(mode: &str) -> (World, Arc<Self>) {
        let mut world = World::new();
        set(&world, &[by("a", mode, &["release"])]);
        let held = Arc::new(Self { facts: Arc::clone(&world.facts), hangs: tokio::sync::watch::Sender::new(true) });
        world.facts = Arc::<Self>::clone(&held);
        world.restart();
        (world, held)
    }
}

#[async_trait::async_trait]
impl Facts for Held {
    async fn first_seen(&self, name: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.facts.first_seen(name, now).await
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<bytes::Bytes>, StoreError> {
        self.facts.fact(kind, key).await
    }

    async fn set_fact(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
        self.facts.set_fact(kind, key, value).await
    }
}

/// What was begun is ended in its turn, also when nobody waits any more: a later answer must not be overwritten by it.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_told_within_the_deadline_and_the_tags_turn_is_kept() {
    let (world, held) = Held::world("enforce");
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    for image in [new, was] {
        let began = tokio::time::Instant::now();
        let Err(none) = ask(&world, image).await else { panic!("it is not kept") };
        assert_eq!((none.code(), began.elapsed().as_secs()), ("timed_out", world.config.deadline.as_secs()));
    }
    held.hangs.send_replace(false);
    assert_eq!(refused(&world, was).await.0, "tag_rolled_back", "the first is written, and before anybody else's turn");
    assert!(fine(&world, new).await);
}

/// The request is what the deadline is for: what its verdict took, its tag has no more.
#[tokio::test(start_paused = true)]
async fn a_tag_has_what_is_left_of_its_requests_time() {
    let (world, _held) = Held::world("enforce");
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let permit = world.permit(new).await;
    let (began, second) = (tokio::time::Instant::now(), Duration::from_secs(1));
    let asked = world.gate.admit_tag(&v1(), &world.subject(REPO, new), Permit::clone(&permit), began + second).await;
    let Err(none) = asked else { panic!("it is not kept") };
    assert_eq!((none.code(), began.elapsed()), ("timed_out", second));
}

#[tokio::test(start_paused = true)]
async fn d4_what_is_denied_while_a_tag_waits_is_not_served_by_it() {
    for (denied, status) in [("new", "denied"), ("another", "admitted")] {
        let (world, held) = Held::world("enforce");
        let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
        let another = signed(&world, "another", &[(FIRST, "2026-02-01T00:00:00Z")]);
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let denied = if denied == "new" { new } else { another };
            world.deny(&format!("- {{digest: \"{denied}\", reason: INC-1}}\n"));
            held.hangs.send_replace(false);
        };
        let (answer, ()) = tokio::join!(ask(&world, new), meanwhile);
        match answer {
            Ok(TagVerdict::Admit(permit, _)) => {
                assert_eq!(status, "admitted");
                assert!(world.gate.stands(&permit), "another than was asked with");
            }
            Ok(TagVerdict::Refuse(refusal)) => assert_eq!(refusal.code(), status),
            Err(none) => panic!("{none}"),
        }
    }
}

/// Who only audits makes nobody wait, and what the tag means is kept once the store takes it.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_no_answer_where_only_audit_policies_ask() {
    let (world, held) = Held::world("audit");
    let new = signed(&world, "new", &[(FIRST, "2026-02-01T00:00:00Z")]);
    let permit = world.permit(new).await;
    let began = tokio::time::Instant::now();
    let asked = world.gate.admit_tag(&v1(), &world.subject(REPO, new), Permit::clone(&permit), world.gate.deadline()).await;
    let Ok(TagVerdict::Admit(_, warnings)) = asked else { panic!("{asked:?}") };
    assert_eq!(warnings, ["299 - \"audit: could not tell what tag v1 meant before\""]);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    held.hangs.send_replace(false);
    assert!(fine(&world, new).await);
    assert_eq!(remembered(&world, "a").await.unwrap().0, new);
}
