//! Limits of the search, where a policy weighs every statement there is: what they hide must not admit.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{testing::*, *};
use crate::{
    evidence::Limits,
    oci::Digest,
    policy::{Reason, Unmatched},
};

const SPDX: &str = "https://spdx.dev/Document";

fn matching(how: &str) -> String {
    let age = if how == "any" { "" } else { ", max_age: 30d" };
    format!("attestations: [{{predicate_type: {SPDX}, match: {how}{age}}}]\n")
}

/// A world whose policy has these attestations.
fn with(lines: &str, mode: &str, page: usize, limits: Limits) -> World {
    let world = World::built(true, page, Config { limits, ..config() });
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, mode) + lines), Unmatched::Deny);
    world
}

/// The release workflow's statement of that day: an SBOM, or nothing that is one.
fn statement(image: Digest, day: u8, good: bool) -> Value {
    let predicate = if good { spdx() } else { json!({}) };
    let at = format!("2026-11-{day:02}T00:00:00Z");
    bundle(json!({"about": image, "by": RELEASE, "proves": SPDX, "predicate": predicate, "at": at}))
}

/// Signed, and attested well, then badly.
fn worsened(image: Digest) -> [Value; 3] {
    [signature(image, RELEASE), statement(image, 20, true), statement(image, 21, false)]
}

fn junk(at: usize) -> Value {
    json!({"junk": at})
}

/// What the refusal says, how many a page lists, the limits, the junk, and whether that hides the bad statement: else it is
/// itself what nobody has seen, and for all the gate knows the release workflow's.
fn ways() -> Vec<(&'static str, usize, Limits, Vec<Value>, bool)> {
    let limits = Limits::default();
    let of = |count| (0..count).map(junk).collect::<Vec<Value>>();
    let long = vec![bundle(json!({"padding": "x".repeat(3_000)}))];
    let short = (Limits { total_bytes: 4_000, ..limits.clone() }, Limits { attestation_bytes: 1_000, ..limits.clone() });
    vec![
        ("more than 100 candidates are listed, 100 were read (limits.evidence.candidates)", 1_000, limits.clone(), of(98), true),
        ("more than 3 pages (limits.evidence.pages)", 2, Limits { pages: 3, ..limits.clone() }, of(4), true),
        ("more than 4000 bytes of evidence in all (limits.evidence.total_size)", 9, short.0, long.clone(), false),
        ("at most 1000 are read (limits.evidence.attestation_size)", 9, short.1, long, false),
        ("too_large", 9, limits, vec![bundle(json!({"fails": "too_large"}))], false),
    ]
}

#[tokio::test(start_paused = true)]
async fn x3_junk_that_hides_the_newest_statement_behind_a_limit_admits_nothing() {
    for (told, page, limits, junk, hides) in ways() {
        for how in ["newest", "all", "any"] {
            let world = with(&matching(how), "enforce", page, limits.clone());
            let image = world.image(REPO, "a");
            let [signed, good, bad] = worsened(image);
            for piece in [signed, good].iter().chain(&junk).chain(hides.then_some(&bad)) {
                world.attach(REPO, image, piece);
            }
            if how == "any" {
                world.permit(image).await;
                continue;
            }
            let refusal = world.refusal(image).await;
            assert_eq!(refusal.code(), "evidence_limit", "{told}: {refusal}");
            let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
            assert!(unmet[0].summary.contains(told), "{unmet:?}");
            assert!(unmet[0].details.iter().any(|line| line.contains("raise the limit")), "{unmet:?}");
            let (_, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
            assert_eq!((explanation.policies[0].holds, explanation.policies[0].reason), (false, Some("evidence_limit")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x3_what_a_limit_hides_an_audit_policy_would_refuse() {
    let world = with(&matching("newest"), "audit", 1_000, Limits { candidates: 2, ..Limits::default() });
    let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + &matching("newest");
    let image = world.image(REPO, "a");
    for piece in worsened(image) {
        world.attach(REPO, image, &piece);
    }
    for text in [audit.clone(), format!("{enforce}---\n{audit}")] {
        world.set_policies(&text, Unmatched::Deny);
        let warning = world.permit(image).await.warnings()[0].clone();
        assert!(
            warning.contains("would refuse") && warning.contains("more than 2 candidates are listed, 2 were read"),
            "{warning}"
        );
    }
    // What weighs nothing that was hidden holds as before, and until when it did.
    let exception = format!("exceptions: [{{digest: \"{image}\", reason: JIRA-1, expires: 2026-11-22T12:30:00Z}}]\n");
    world.set_policies(&format!("{enforce}{exception}---\n{audit}"), Unmatched::Deny);
    let permit = world.permit(image).await;
    assert!(permit.warnings().iter().any(|line| line.contains("until 2026-11-22T12:30:00Z: JIRA-1")), "{:?}", permit.warnings());
}

/// A signed index with a scan of its own, of one platform that has an SBOM; and the platform.
fn scanned_index(world: &World) -> (Digest, Digest) {
    let child = world.image(REPO, "amd64");
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    for about in [index, child] {
        world.attach(REPO, about, &statement(about, 20, true));
    }
    (index, child)
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_of_a_platform_changes_nothing_of_a_policy_that_looks_at_none() {
    let each = |how: &str| matching(how).replace("}]", ", sbom_on: each_platform}]");
    let asks = |name: &str, mode: &str, lines: &str| policy(name, "reg.test/acme/**", RELEASE, mode) + lines;
    let index_only = asks("index", "enforce", &matching("all"));
    for (beside, warned, minds) in [
        (asks("each", "audit", &each("any")), false, false),
        (asks("each", "audit", &each("newest")), true, false),
        (asks("each", "enforce", &each("any")), false, false),
        (asks("each", "enforce", &each("newest")), true, true),
    ] {
        // Junk before a limit is a no, and what cannot be read is no answer; of the policy alone that looks there.
        let limits = Limits { candidates: 3, ..Limits::default() };
        let world = with("", "enforce", 1_000, limits);
        world.set_policies(&format!("{index_only}---\n{beside}"), Unmatched::Deny);
        let (index, child) = scanned_index(&world);
        (0..4).for_each(|at| _ = world.attach(REPO, child, &junk(at)));
        if minds {
            let refusal = world.refusal(index).await;
            let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
            assert_eq!(
                unmet.iter().map(|unmet| (&*unmet.policy, unmet.reason)).collect::<Vec<_>>(),
                [("each", Reason::EvidenceLimit)]
            );
        } else {
            let warnings = world.permit(index).await.warnings().to_vec();
            assert_eq!(warnings.iter().any(|line| line.contains("policy each would refuse")), warned, "{warnings:?}");
        }

        let world = with("", "enforce", 1_000, Limits::default());
        world.set_policies(&format!("{index_only}---\n{beside}"), Unmatched::Deny);
        let (index, child) = scanned_index(&world);
        let hidden = world.attach(REPO, child, &junk(0));
        world.lie(REPO, hidden, "other bytes");
        if minds {
            world.undecided(index).await;
        } else {
            let warnings = world.permit(index).await.warnings().to_vec();
            assert_eq!(warnings.iter().any(|line| line.contains("policy each could not tell")), warned, "{warnings:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_of_a_platform_is_minded_under_an_exception_where_packages_are_denied_and_platforms_asked() {
    for (sbom_on, denied, good, admitted) in [
        ("each_platform", true, false, false),
        ("each_platform", false, false, true),
        ("subject", true, false, true),
        // An entry that is met without the exception: with `match: any` nothing that is not seen can refuse.
        ("each_platform", true, true, true),
    ] {
        let world = with("", "enforce", 1_000, Limits { candidates: 3, ..Limits::default() });
        let (index, child) = scanned_index(&world);
        if !good {
            world.withdraw(REPO, child);
        }
        (0..4).for_each(|at| _ = world.attach(REPO, child, &junk(at)));
        let sbom = format!("attestations: [{{predicate_type: {SPDX}, sbom_on: {sbom_on}}}]\n");
        let exception = format!("exceptions: [{{digest: \"{index}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
        // Another policy has the platforms looked at, whatever this one asks.
        let other = policy("other", "reg.test/acme/**", RELEASE, "audit")
            + &format!("attestations: [{{predicate_type: {SPDX}, sbom_on: each_platform}}]\n");
        let excepted = policy("release", "reg.test/acme/**", RELEASE, "enforce") + &sbom + &exception;
        world.set_policies(&format!("{excepted}---\n{other}"), Unmatched::Deny);
        if denied {
            world.deny("- {package: {name: xz}, reason: INC-9}\n");
        }
        match world.admit(index).await {
            Ok(Verdict::Admit(_)) => assert!(admitted, "{sbom_on} {denied}"),
            Ok(Verdict::Refuse(refusal)) => {
                assert_eq!((refusal.code(), admitted), ("evidence_limit", false), "{sbom_on} {denied}")
            }
            Err(why) => panic!("{why:?}"),
        }
    }
}

/// What one platform has is none of another's.
#[tokio::test(start_paused = true)]
async fn what_is_not_seen_of_one_platform_is_minded_though_another_has_what_the_policy_would_rely_on() {
    for (good, on_index) in [(&[0, 1][..], false), (&[0], false), (&[1], false), (&[0, 1], true), (&[0], true), (&[1], true)] {
        let world = with("", "enforce", 1_000, Limits { candidates: 3, ..Limits::default() });
        let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
        let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
        world.attach(REPO, index, &signature(index, RELEASE));
        for (at, child) in children.into_iter().enumerate() {
            if good.contains(&at) {
                world.attach(REPO, child, &statement(child, 20, true));
            }
            (0..4).for_each(|at| _ = world.attach(REPO, if on_index { index } else { child }, &junk(at)));
        }
        let exception = format!("exceptions: [{{digest: \"{index}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
        let each = format!("attestations: [{{predicate_type: {SPDX}, sbom_on: each_platform}}]\n");
        let text = policy("release", "reg.test/acme/**", RELEASE, "enforce") + &each + &exception;
        world.set_policies(&text, Unmatched::Deny);
        world.deny("- {package: {name: xz}, reason: INC-9}\n");
        match world.admit(index).await {
            Ok(Verdict::Admit(_)) => assert_eq!(good.len(), 2),
            Ok(Verdict::Refuse(refusal)) => assert_eq!((refusal.code(), good.len()), ("evidence_limit", 1)),
            Err(why) => panic!("{why:?}"),
        }
    }
}

/// The listing is kept for the next look before the platforms are, and again for who asks within the hour.
#[tokio::test(start_paused = true)]
async fn x3_what_a_limit_cut_off_is_not_forgotten_by_way_of_the_store() {
    let each = format!("attestations:\n  - {{predicate_type: {SPDX}, sbom_on: each_platform}}\n");
    let newest = "  - {predicate_type: https://acme.test/scan, match: newest, max_age: 30d, require: predicate.good}\n";
    let scan = |index: Digest, day: u8, good: bool| {
        let at = format!("2026-11-{day:02}T00:00:00Z");
        let of =
            json!({"about": index, "by": RELEASE, "proves": "https://acme.test/scan", "predicate": {"good": good}, "at": at});
        bundle(of)
    };
    let mut world = with(&(each + newest), "enforce", 1_000, Limits { candidates: 2, ..Limits::default() });
    let child = world.image(REPO, "amd64");
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.attach(REPO, child, &attestation(child, RELEASE));
    for piece in [signature(index, RELEASE), scan(index, 20, true), scan(index, 21, false)] {
        world.attach(REPO, index, &piece);
    }
    for _ in 0..3 {
        assert_eq!(world.refusal(index).await.code(), "evidence_limit");
        world.restart();
    }
    world.config.limits = Limits::default();
    world.restart();
    assert_ne!(world.refusal(index).await.code(), "evidence_limit");
    world.attach(REPO, index, &scan(index, 22, true));
    tokio::time::advance(Duration::from_secs(11)).await;
    world.permit(index).await;
    // As many as the limit are all there are.
    world.config.limits.candidates = 4;
    world.all_fail(Fault::Down);
    world.restart();
    world.permit(index).await;
    world.mend();
    // And a limit that was lowered is hit by what was kept under the one before.
    world.config.limits.candidates = 2;
    world.restart();
    assert_eq!(world.refusal(index).await.code(), "evidence_limit");
}

#[tokio::test(start_paused = true)]
async fn c5_of_statements_that_outdate_each_other_one_that_cannot_be_read_makes_it_undecided() {
    let world = with(&matching("newest"), "enforce", 1_000, Limits::default());
    let image = world.image(REPO, "a");
    let [signed, good, mut newest] = worsened(image);
    newest["damaged"] = true.into();
    for piece in [signed, good, newest] {
        world.attach(REPO, image, &piece);
    }
    world.undecided(image).await;
}

/// Junk, where it is attached: one by nobody, by somebody the policy does not name, too long, or not even a bundle.
fn foreign(image: Digest, at: usize) -> Value {
    match at % 5 {
        0 => signature(image, MALLORY),
        1 => attestation(image, MALLORY),
        2 => bundle(json!({"padding": "x".repeat(2_000), "at": at})),
        3 => bundle(json!({"fails": "too_large", "n": at})),
        _ => junk(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// B11, X3: whatever those attach whom a policy does not name, whatever order it is listed in, wherever a limit ends the
    /// search: what is refused when all of it is seen is never admitted.
    #[test]
    fn x3_junk_never_turns_a_refusal_into_an_admission(
        how in prop::sample::select(vec!["any", "all", "newest"]),
        own in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
        keep in 2..=5_usize,
        junk in prop::collection::vec((0..8_usize, 0..100_usize), 0..8),
        limits in (1..=10_usize, 1..=5_usize, 1..=6_u64, prop::sample::select(vec![500_u64, 1 << 20])),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (candidates, pages, kilobytes, attestation_bytes) = limits;
            let limits = Limits { candidates, pages, total_bytes: kilobytes * 2_000, attestation_bytes, ..Limits::default() };
            let plain = with(&matching(how), "enforce", 1_000, Limits::default());
            let image = plain.image(REPO, "a");
            let all = [
                signature(image, RELEASE),
                statement(image, 20, true),
                statement(image, 21, false),
                statement(image, 22, true),
                statement(image, 19, false),
            ];
            let own: Vec<Value> = own[..keep].iter().map(|at| all[*at].clone()).collect();
            for piece in &own {
                plain.attach(REPO, image, piece);
            }
            let admitted = matches!(plain.admit(image).await, Ok(Verdict::Admit(_)));
            let crowded = with(&matching(how), "enforce", 3, limits);
            assert_eq!(crowded.image(REPO, "a"), image);
            let mut pieces = own;
            for (place, at) in junk {
                pieces.insert(place.min(pieces.len()), foreign(image, at));
            }
            for piece in &pieces {
                crowded.attach(REPO, image, piece);
            }
            if matches!(crowded.admit(image).await, Ok(Verdict::Admit(_))) {
                assert!(admitted, "{how}: {pieces:?}");
            }
        });
    }
}
