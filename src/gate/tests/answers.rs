//! The three outcomes, and what each costs.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::super::{testing::*, *};
use crate::{
    oci::{Digest, media_type},
    verify::TrustState,
};

#[tokio::test(start_paused = true)]
async fn a_signed_and_attested_image_is_admitted_wherever_its_evidence_is() {
    let api = World::new();
    let image = api.signed("a");
    assert_eq!(*api.permit(image).await.grounds(), Grounds::Policy);

    let tag = World::without_api();
    let image = tag.signed("a");
    assert_eq!(*tag.permit(image).await.manifest().digest(), image);

    for api in [true, false] {
        let world = World::build(api, config());
        let image = world.image(REPO, "a");
        world.cosign(REPO, image, "sig", &[(signature(image, RELEASE), RELEASE)]);
        world.attach(REPO, image, &attestation(image, RELEASE));
        assert_eq!(*world.permit(image).await.grounds(), Grounds::Policy, "mixed, api {api}");
    }

    let old = World::without_api();
    let image = old.image(REPO, "a");
    old.cosign(REPO, image, "sig", &[(signature(image, RELEASE), RELEASE)]);
    old.cosign(REPO, image, "att", &[(attestation(image, RELEASE), RELEASE)]);
    old.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn two_signers_of_one_payload_are_both_heard() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let payload = signature(image, "");
    world.cosign(REPO, image, "sig", &[(payload.clone(), MALLORY), (payload, RELEASE)]);
    world.attach(REPO, image, &attestation(image, RELEASE));
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_image_is_refused_and_told_why() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let refusal = world.refusal(image).await;
    let sentence = refusal.sentence();
    let start = format!("reg.test/acme/app@{image}: policy release wants a signature by {RELEASE}");
    assert!(sentence.starts_with(&start), "{sentence}");
    assert_eq!(refusal.code(), "signature_missing");
    assert_eq!(refusal.explanation.looks.len(), 4);
    let RefusalReason::Unmet { notes, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(notes.iter().any(|note| note.contains("pull the index first")), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_each_piece_proved_is_in_the_explanation() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, MALLORY));
    world.attach(REPO, image, &json!("garbage"));
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "identity_mismatch");
    let detail = serde_json::to_value(&*refusal.explanation).unwrap();
    assert_eq!(detail["pieces"][0]["outcome"], "proved");
    assert_eq!(detail["pieces"][0]["subject"], MALLORY);
    assert_eq!(detail["pieces"][1]["outcome"], "set_aside");
    assert_eq!(detail["looks"][2]["place"], "referrers_api");
}

#[tokio::test(start_paused = true)]
async fn c15_a_thousand_cold_asks_cost_one_fetch_and_one_verification() {
    let world = World::new();
    let image = world.signed("a");
    let asks = (0..1_000).map(|_| world.admit(image));
    for answer in join_all(asks).await {
        assert!(matches!(answer, Ok(Verdict::Admit(_))));
    }
    assert_eq!(world.asked_for(&image), 1);
    assert_eq!(world.asked(Ask::Referrers), 1);
    // One per piece: a signature, an attestation.
    assert_eq!(world.runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn c16_a_client_that_hangs_up_cancels_nobodys_answer() {
    let world = World::new();
    let image = world.signed("a");
    assert!(tokio::time::timeout(Duration::from_millis(15), world.admit(image)).await.is_err());
    world.permit(image).await;
    assert_eq!(world.asked_for(&image), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cold_pull_takes_two_round_trips_beyond_the_manifest() {
    let world = World::new();
    let image = world.signed("a");
    let began = Instant::now();
    world.permit(image).await;
    // Ten milliseconds a request: places beside the manifest, then what they list, then the layers.
    assert_eq!(began.elapsed().as_millis() / 10, 3);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_permit_is_recalled_without_work() {
    let world = World::new();
    let image = world.signed("a");
    let subject = world.subject(REPO, image);
    assert!(world.gate.recall(&subject).is_none());
    world.permit(image).await;
    world.forget_asked();
    let permit = world.gate.recall(&subject).unwrap();
    assert_eq!(permit.manifest().digest(), &image);
    world.permit(image).await;
    assert_eq!((world.asked_at_all(), world.runs.load(Ordering::SeqCst)), (0, 2));
    // Another repository is another subject, though the digest is the same (C8).
    assert!(world.gate.recall(&world.subject("acme/other", image)).is_none());
}

#[tokio::test(start_paused = true)]
async fn undecided_is_never_remembered_and_never_unsigned() {
    for (fault, wait) in [(Fault::Down, 5), (Fault::Throttles, 7), (Fault::Denied, 5), (Fault::Lies, 5)] {
        for ask in [Ask::Referrers, Ask::ManifestByTag, Ask::Blob] {
            let world = World::new();
            let image = world.image(REPO, "a");
            world.attach(REPO, image, &signature(image, RELEASE));
            world.fault(ask, fault);
            let undecided = world.undecided(image).await;
            assert!(matches!(undecided.reason, UndecidedReason::EvidenceUnavailable(_)), "{fault:?} {ask:?}");
            assert_eq!(undecided.retry_after, Duration::from_secs(wait), "{fault:?} {ask:?}");
            world.mend();
            world.attach(REPO, image, &attestation(image, RELEASE));
            world.permit(image).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_had_does_not_matter_once_everything_holds() {
    let world = World::new();
    let image = world.signed("a");
    world.fault(Ask::ManifestByTag, Fault::Down);
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_answer_about_the_manifest_is_told_apart() {
    let world = World::new();
    let image = world.signed("a");
    world.fault(Ask::ManifestByDigest, Fault::Denied);
    assert!(matches!(world.admit(image).await, Err(NoVerdict::CredentialsRefused(_))));
    world.fault(Ask::ManifestByDigest, Fault::Down);
    assert!(matches!(world.undecided(image).await.reason, UndecidedReason::EvidenceUnavailable(_)));
    world.fault(Ask::ManifestByDigest, Fault::Throttles);
    assert_eq!(world.undecided(image).await.retry_after, Duration::from_secs(7));
    world.fault(Ask::ManifestByDigest, Fault::Lies);
    assert!(matches!(world.admit(image).await, Err(NoVerdict::Faulty(_))));
    world.fault(Ask::ManifestByDigest, Fault::Hangs);
    assert!(matches!(world.undecided(image).await.reason, UndecidedReason::TimedOut));
    world.mend();
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn absent_comes_before_refused() {
    let world = World::new();
    let nowhere = Digest::sha256(b"nowhere");
    for repository in [REPO, "unnamed/app"] {
        let answer = world.gate.admit(&world.subject(repository, nowhere)).await;
        assert!(matches!(answer, Err(NoVerdict::Absent(_))), "{repository}: {answer:?}");
    }
    // Admitted once and kept here, then deleted with its evidence upstream: gone, not forbidden.
    let image = world.signed("a");
    world.permit(image).await;
    world.withdraw(REPO, image);
    world.remove(REPO, &image);
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert!(matches!(world.admit(image).await, Err(NoVerdict::Absent(_))));
}

#[tokio::test(start_paused = true)]
async fn an_image_no_policy_names_is_refused_without_a_look_at_its_evidence() {
    let world = World::new();
    let image = world.image("unnamed/app", "a");
    world.sign("unnamed/app", image, RELEASE);
    match world.gate.admit(&world.subject("unnamed/app", image)).await {
        Ok(Verdict::Refuse(refusal)) => assert_eq!(refusal.code(), "no_policy"),
        other => panic!("{other:?}"),
    }
    assert_eq!((world.asked(Ask::Referrers), world.asked(Ask::ManifestByTag)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn x5_bytes_of_another_digest_are_faulty_and_nothing_is_kept() {
    let world = World::new();
    let image = world.signed("a");
    world.lie(REPO, image, r#"{"schemaVersion":2,"config":{},"layers":[]}"#);
    assert!(matches!(world.admit(image).await, Err(NoVerdict::Faulty(_))));
    assert!(world.documents.is_empty());
}

#[tokio::test(start_paused = true)]
async fn x6_a_content_type_that_contradicts_the_body_is_the_upstreams_fault() {
    let world = World::new();
    let text = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []}).to_string();
    for header in ["text/html", media_type::OCI_MANIFEST] {
        let digest = world.raw(REPO, text.clone(), Some(header.into()));
        assert!(matches!(world.admit(digest).await, Err(NoVerdict::Faulty(_))), "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn x8_unacceptable_content_with_the_right_digest_is_refused_and_remembered() {
    let world = World::new();
    for text in [
        r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#,
        r#"{"schemaVersion":1,"fsLayers":[]}"#,
        "no json",
        r#"{"schemaVersion":2,"config":{},"Config":{},"layers":[]}"#,
    ] {
        let digest = world.raw(REPO, text, None);
        assert_eq!(world.refusal(digest).await.code(), "content", "{text}");
        world.refusal(digest).await;
        assert_eq!(world.asked_for(&digest), 1, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn r7_without_a_trust_root_nothing_is_known() {
    let world = World::new();
    let image = world.signed("a");
    world.trust.store(Arc::new(TrustState::NotReady("still loading".into())));
    assert!(matches!(world.undecided(image).await.reason, UndecidedReason::NoTrustRoot(_)));
    assert_eq!(world.asked(Ask::Referrers), 0);
    world.set_root(1, None);
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn r7_what_only_a_root_that_is_not_ready_could_prove_is_undecided_and_all_else_is_decided() {
    let world = World::new();
    let (image, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    let other = world.image(REPO, "c");
    world.sign(REPO, other, MALLORY);
    let copied = world.image(REPO, "d");
    world.attach(REPO, copied, &signature(image, RELEASE));
    world.set_unready("default", Some(RELEASE));
    let waiting = world.undecided(image).await.reason;
    assert!(matches!(&waiting, UndecidedReason::NoTrustRoot(why) if why == "trust root default: never refreshed"), "{waiting:?}");
    // What a ready root proves might be another's too, under which the policy would accept it.
    assert!(matches!(world.undecided(other).await.reason, UndecidedReason::NoTrustRoot(_)));
    // Nothing there, or nothing about this image: no root could change that.
    assert_eq!(world.refusal(unsigned).await.code(), "signature_missing");
    world.refusal(copied).await;
    // What is proven is enough, whatever else is not ready.
    world.set_unready("default", None);
    world.permit(image).await;
    // And a root no policy asks is waited for by none.
    world.set_unready("github", Some(RELEASE));
    let another = world.signed("e");
    world.refusal(another).await;
}

#[tokio::test(start_paused = true)]
async fn r9_a_signature_from_the_near_future_is_undecided_not_refused() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &bundle(json!({"ahead": 40})));
    world.attach(REPO, image, &attestation(image, RELEASE));
    let undecided = world.undecided(image).await;
    assert!(matches!(undecided.reason, UndecidedReason::Clock(_)));
    assert_eq!(undecided.retry_after, Duration::from_secs(40));
    world.attach(REPO, image, &signature(image, RELEASE));
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_is_not_waited_for_beyond_the_deadline() {
    let world = World::new();
    let image = world.signed("a");
    // One place hangs; the others say enough.
    world.fault(Ask::ManifestByTag, Fault::Hangs);
    let began = Instant::now();
    world.permit(image).await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());

    let world = World::new();
    let image = world.signed("a");
    world.fault(Ask::Referrers, Fault::Hangs);
    world.fault(Ask::ManifestByTag, Fault::Hangs);
    let began = Instant::now();
    assert!(matches!(world.undecided(image).await.reason, UndecidedReason::EvidenceUnavailable(_)));
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn b12_a_panic_in_verification_sets_the_piece_aside_and_the_process_lives() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &bundle(json!({"panics": true})));
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
    let other = world.image(REPO, "b");
    world.attach(REPO, other, &bundle(json!({"panics": true, "on": "b"})));
    world.sign(REPO, other, RELEASE);
    world.permit(other).await;
}

#[tokio::test(start_paused = true)]
async fn b12_a_search_that_dies_leaves_it_undecided_and_not_unsigned() {
    let world = World::new();
    let image = world.signed("a");
    world.fault(Ask::Referrers, Fault::Panics);
    let undecided = world.undecided(image).await;
    assert!(undecided.to_string().contains("the search failed unexpectedly"), "{undecided}");
    world.mend();
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn x11_an_image_asked_for_by_sha512_is_judged_by_its_sha256_evidence() {
    let world = World::new();
    let image = world.signed("a");
    let by_sha512 = world.also_as_sha512(REPO, image);
    let permit = world.permit(by_sha512).await;
    assert_eq!(permit.manifest().digest(), &by_sha512);
    let unsigned = world.image(REPO, "b");
    let by_sha512 = world.also_as_sha512(REPO, unsigned);
    world.refusal(by_sha512).await;
}
