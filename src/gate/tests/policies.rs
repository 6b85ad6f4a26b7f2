//! Which policies hold, and that a change of policy or trust root changes the answer at the next request.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use serde_json::json;

use super::super::{testing::*, *};
use crate::policy::Unmatched;

#[tokio::test(start_paused = true)]
async fn every_policy_that_names_an_image_must_hold() {
    let world = World::new();
    let two = policy("a", "reg.test/acme/**", RELEASE, "enforce") + "---\n" + &policy("b", "reg.test/**", MALLORY, "enforce");
    world.set_policies(&two, Unmatched::Deny);
    let image = world.signed("a");
    let refusal = world.refusal(image).await;
    let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert_eq!(unmet.iter().map(|unmet| unmet.policy.as_str()).collect::<Vec<_>>(), ["b"]);
    world.sign(REPO, image, MALLORY);
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn d3_a_policy_change_takes_effect_at_the_next_request_and_back() {
    let world = World::new();
    let image = world.signed("a");
    let first = world.permit(image).await;
    world.set_policies(&policy("release", "reg.test/acme/**", MALLORY, "enforce"), Unmatched::Deny);
    assert!(world.gate.recall(&world.subject(REPO, image)).is_none());
    assert_eq!(world.refusal(image).await.code(), "identity_mismatch");
    world.set_policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::Deny);
    let again = world.permit(image).await;
    assert_eq!(first.policy(), again.policy());
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_nothing_for_an_image_forgets_nothing() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    let runs = world.runs.load(Ordering::SeqCst);
    let more =
        policy("release", "reg.test/acme/**", RELEASE, "enforce") + "---\n" + &policy("x", "reg.test/x/**", MALLORY, "enforce");
    world.set_policies(&more, Unmatched::Deny);
    world.permit(image).await;
    assert_eq!(world.runs.load(Ordering::SeqCst), runs);
}

#[tokio::test(start_paused = true)]
async fn r6_what_rests_on_a_withdrawn_log_is_refused_at_the_next_request() {
    let world = World::new();
    let image = world.signed("a");
    let before = world.permit(image).await;
    world.set_root(2, Some(RELEASE));
    assert!(world.gate.recall(&world.subject(REPO, image)).is_none());
    world.refusal(image).await;
    // And is proved anew, from evidence that is kept, under a root that knows it.
    world.set_root(3, None);
    world.all_fail(Fault::Down);
    let after = world.permit(image).await;
    assert_ne!(before.epoch(), after.epoch());
}

#[tokio::test(start_paused = true)]
async fn r6_what_rests_on_a_log_that_is_withdrawn_while_it_is_judged_is_not_served_after_all() {
    let world = World::new();
    let reloading = |root: u8| {
        let world = &world;
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            world.set_root(root, (root == 2).then_some(RELEASE));
        }
    };
    let image = world.signed("a");
    let (answer, ()) = tokio::join!(world.admit(image), reloading(2));
    assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{answer:?}");
    // Under one that knows it too it is judged again, and admitted.
    let image = world.signed("b");
    world.set_root(3, None);
    let (answer, ()) = tokio::join!(world.admit(image), reloading(4));
    let Ok(Verdict::Admit(permit)) = answer else { panic!("{answer:?}") };
    assert!(world.gate.stands(&permit));
    world.set_root(5, None);
    assert!(!world.gate.stands(&permit));
    // What rests on no trust root stands whichever there is.
    let evidence = world.attach(REPO, image, &signature(image, RELEASE));
    let (answer, ()) = tokio::join!(world.admit(evidence), reloading(6));
    let Ok(Verdict::Admit(permit)) = answer else { panic!("{answer:?}") };
    assert_eq!((permit.epoch(), world.gate.stands(&permit)), (None, true));
    world.set_policies(&policy("release", "reg.test/acme/**", MALLORY, "enforce"), Unmatched::Deny);
    assert!(!world.gate.stands(&permit));
}

#[tokio::test(start_paused = true)]
async fn audit_serves_what_it_would_refuse_and_says_so() {
    let world = World::new();
    world.set_policies(&policy("watch", "reg.test/acme/**", RELEASE, "audit"), Unmatched::Deny);
    let unsigned = world.image(REPO, "a");
    let permit = world.permit(unsigned).await;
    assert!(matches!(permit.grounds(), Grounds::Audited { .. }));
    assert!(permit.warnings()[0].starts_with("299 - \"audit: would refuse: policy watch"), "{:?}", permit.warnings());
    // What it could not tell it serves too.
    let other = world.image(REPO, "b");
    world.fault(Ask::Referrers, Fault::Down);
    assert!(world.permit(other).await.warnings()[0].starts_with("299 - \"audit: could not tell"));
    world.mend();
    let signed = world.signed("c");
    let permit = world.permit(signed).await;
    assert_eq!((permit.grounds(), permit.warnings().len()), (&Grounds::Policy, 0));
    // Absent and faulty hold unchanged.
    assert!(matches!(world.admit(crate::oci::Digest::sha256(b"nowhere")).await, Err(NoVerdict::Absent(_))));
}

#[tokio::test(start_paused = true)]
async fn audit_beside_enforce_never_changes_the_answer() {
    let world = World::new();
    let both = policy("a", "reg.test/acme/**", RELEASE, "enforce") + "---\n" + &policy("b", "reg.test/**", MALLORY, "audit");
    world.set_policies(&both, Unmatched::Deny);
    let image = world.signed("a");
    let permit = world.permit(image).await;
    assert_eq!(permit.grounds(), &Grounds::Policy);
    assert!(permit.warnings()[0].starts_with("299 - \"audit: policy b would refuse"), "{:?}", permit.warnings());
    let other = world.image(REPO, "b");
    world.sign(REPO, other, MALLORY);
    world.refusal(other).await;
}

fn audited(recorder: &metrics_exporter_prometheus::PrometheusRecorder, outcome: &str) -> bool {
    recorder.handle().render().contains(&format!("pullgate_audit_total{{outcome=\"{outcome}\"}} 1"))
}

#[tokio::test(start_paused = true)]
async fn audit_beside_enforce_does_not_call_a_refusal_what_it_could_not_tell() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::new();
    let enforce = policy("a", "reg.test/acme/**", RELEASE, "enforce");
    // What is seen already is enough for the second.
    let watch = [policy("b", "reg.test/**", MALLORY, "audit"), policy("c", "reg.test/**", RELEASE, "audit")];
    world.set_policies(&format!("{enforce}---\n{}", watch.join("---\n")), Unmatched::Deny);
    let image = world.signed("a");
    world.fault(Ask::ManifestByTag, Fault::Down);
    let permit = world.permit(image).await;
    assert_eq!(permit.warnings().len(), 1, "{:?}", permit.warnings());
    assert_eq!(permit.grounds(), &Grounds::Policy);
    assert!(
        permit.warnings()[0].starts_with("299 - \"audit: policy b could not tell: it cannot be told now"),
        "{:?}",
        permit.warnings()
    );
    assert!(audited(&recorder, "would_undecided") && !audited(&recorder, "would_refuse"));
    world.mend();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    assert!(world.gate.recall(&world.subject(REPO, image)).is_none(), "it is asked again soon");
    let other = world.signed("b");
    let permit = world.permit(other).await;
    assert!(permit.warnings()[0].starts_with("299 - \"audit: policy b would refuse"), "{:?}", permit.warnings());
    assert!(audited(&recorder, "would_undecided") && audited(&recorder, "would_refuse"));
}

#[tokio::test(start_paused = true)]
async fn audit_beside_enforce_could_not_tell_what_a_clock_a_disk_or_a_platform_hid() {
    let audit = policy("b", "reg.test/**", MALLORY, "audit");
    let each = "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";
    let newest = "attestations: [{predicate_type: https://spdx.dev/Document, match: newest, max_age: 3650d}]\n";
    for (case, lines, hidden) in [
        ("clock", "", json!({"ahead": 40})),
        ("disk", "", json!({"unreadable": "the disk"})),
        ("a newer one", newest, json!({"unreadable": "the disk"})),
        ("platform", each, json!({"garbage": 1})),
    ] {
        let world = World::new();
        let both = policy("a", "reg.test/acme/**", RELEASE, "enforce") + "---\n" + &audit + lines;
        world.set_policies(&both, Unmatched::Deny);
        let child = world.image(REPO, "amd64");
        let image = world.platforms(&[(child, Some("linux/amd64"))]);
        world.sign(REPO, image, RELEASE);
        world.attach(REPO, image, &bundle(hidden));
        if case != "clock" && case != "disk" {
            world.attach(REPO, image, &signature(image, MALLORY));
        }
        if case == "a newer one" {
            let at = "2026-11-20T00:00:00Z";
            let sbom =
                json!({"about": image, "by": MALLORY, "proves": "https://spdx.dev/Document", "predicate": spdx(), "at": at});
            world.attach(REPO, image, &bundle(sbom));
        }
        world.hide(child);
        let warnings = world.permit(image).await.warnings().to_vec();
        assert!(warnings[0].starts_with("299 - \"audit: policy b could not tell"), "{case}: {warnings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unmatched_images_are_served_with_a_warning_where_that_is_configured() {
    let world = World::new();
    world.set_policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::DangerousAllow);
    let image = world.image("other/app", "a");
    match world.gate.admit(&world.subject("other/app", image)).await {
        Ok(Verdict::Admit(permit)) => {
            assert_eq!((permit.grounds(), permit.epoch()), (&Grounds::Unmatched, None));
            assert!(permit.warnings()[0].starts_with("299 - "));
        }
        other => panic!("{other:?}"),
    }
    let named = world.image(REPO, "a");
    world.refusal(named).await;
}

#[tokio::test(start_paused = true)]
async fn b11_a_broken_piece_takes_nothing_away_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
        let world = World::new();
        let image = world.image(REPO, "a");
        let pieces = [signature(image, RELEASE), json!({"no": "bundle"}), attestation(image, RELEASE), signature(image, MALLORY)];
        for at in order {
            world.attach(REPO, image, &pieces[at]);
        }
        world.permit(image).await;
    }
    let world = World::new();
    let image = world.image(REPO, "a");
    for junk in ["x", "y"] {
        world.attach(REPO, image, &json!(junk));
    }
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.explanation.notes().len(), 2, "every reason is listed");
}

/// What a permutation attaches: each with or without effect, none ever with a negative one.
fn pieces(image: crate::oci::Digest) -> Vec<serde_json::Value> {
    let other = crate::oci::Digest::sha256(b"other");
    vec![
        signature(image, RELEASE),
        attestation(image, RELEASE),
        signature(image, MALLORY),
        attestation(image, MALLORY),
        signature(other, RELEASE),
        attestation(other, RELEASE),
        json!({"garbage": true}),
        bundle(json!({"about": image, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": {}})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn x2_the_order_of_evidence_means_nothing(order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(), keep in 0..=8_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let image = world.image(REPO, "a");
            let pieces = pieces(image);
            for at in &order[..keep] {
                world.attach(REPO, image, &pieces[*at]);
            }
            let enough = [0, 1].iter().all(|needed| order[..keep].contains(needed));
            let admitted = matches!(world.admit(image).await, Ok(Verdict::Admit(_)));
            assert_eq!(admitted, enough, "{:?}", &order[..keep]);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_exception_admitted_is_admitted_after_a_restart_without_an_upstream() {
    let mut world = World::new();
    let image = world.image(REPO, "a");
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let exception = format!("exceptions: [{{digest: \"{image}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
    world.set_policies(&(text + &exception), Unmatched::Deny);
    world.permit(image).await;
    world.all_fail(Fault::Down);
    world.restart();
    world.permit(image).await;
}
