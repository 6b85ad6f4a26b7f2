//! Evidence that is none, and what anybody who can push may try.

use serde_json::json;

use super::super::{testing::*, *};
use crate::oci::{Digest, Tag, media_type};

async fn attachment(world: &World, digest: Digest) -> Result<Verdict, NoVerdict> {
    world.gate.admit_attachment(&world.subject(REPO, digest)).await
}

#[tokio::test(start_paused = true)]
async fn d9_evidence_is_served_for_refused_images_too() {
    let world = World::without_api();
    let image = world.image(REPO, "a");
    let bundle = world.attach(REPO, image, &signature(image, MALLORY));
    let sig = world.cosign(REPO, image, "sig", &[(json!({"critical": {}, "optional": {}}), "x")]);
    world.refusal(image).await;
    let index = world.fake_tag(REPO, Tag::referrers_of(&image).as_str());
    for evidence in [bundle, sig, index] {
        assert_eq!(world.permit(evidence).await.grounds(), &Grounds::Evidence);
        assert!(matches!(attachment(&world, evidence).await, Ok(Verdict::Admit(_))));
    }
    // Its blobs are what it lists; the image's are not.
    let bytes = signature(image, MALLORY).to_string();
    assert!(world.listed(Digest::sha256(bytes.as_bytes())).await);
    assert!(!world.listed(World::layer_of("a")).await);
}

#[tokio::test(start_paused = true)]
async fn d9_evidence_of_repositories_no_policy_names_is_refused() {
    let world = World::new();
    let bundle = world.artifact("other/app", Digest::sha256(b"x"), BUNDLE, &signature(Digest::sha256(b"x"), MALLORY).to_string());
    for answer in [
        world.gate.admit(&world.subject("other/app", bundle)).await,
        world.gate.admit_attachment(&world.subject("other/app", bundle)).await,
    ] {
        match answer {
            Ok(Verdict::Refuse(refusal)) => assert_eq!(refusal.code(), "no_policy"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x15_a_runnable_image_under_an_attachment_tag_is_refused_even_if_signed() {
    let world = World::new();
    for image in [world.signed("a"), world.image(REPO, "b")] {
        match attachment(&world, image).await {
            Ok(Verdict::Refuse(refusal)) => assert_eq!(refusal.code(), "not_evidence"),
            other => panic!("{other:?}"),
        }
    }
    let signed = world.signed("a");
    world.permit(signed).await;
    assert!(matches!(attachment(&world, signed).await, Ok(Verdict::Refuse(_))), "after it was admitted as an image too");
    assert!(matches!(attachment(&world, Digest::sha256(b"nowhere")).await, Err(NoVerdict::Absent(_))));
}

#[tokio::test(start_paused = true)]
async fn d9_what_only_claims_to_be_evidence_is_not() {
    let world = World::new();
    let subject = Digest::sha256(b"x");
    let good = signature(subject, MALLORY).to_string();
    let not_json = world.artifact(REPO, subject, BUNDLE, "#!/bin/sh");
    let other_type = world.artifact(REPO, subject, "application/vnd.oci.image.layer.v1.tar", &good);
    let of_shape = world.artifact(REPO, subject, media_type::SPDX_JSON, "{}");
    // A bundle that a client would also read as an index, to be asked for under `/blobs/`.
    let mut polyglot = signature(subject, MALLORY);
    polyglot["manifests"] = json!([]);
    let polyglot = world.artifact(REPO, subject, BUNDLE, &polyglot.to_string());
    // One good layer does not carry the other.
    let (layer, size) = world.blob(REPO, good.clone());
    let (tar, tar_size) = world.blob(REPO, "tar");
    let (empty, _) = world.blob(REPO, "{}");
    let document = |config: serde_json::Value, layers: serde_json::Value| json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
    let config = descriptor(media_type::OCI_EMPTY, empty, 2);
    let mixed = world.manifest(
        REPO,
        &document(config.clone(), json!([descriptor(BUNDLE, layer, size), descriptor("application/x-tar", tar, tar_size)])),
    );
    let no_layers = world.manifest(REPO, &document(config, json!([])));
    // A config that is a manifest nobody admitted: containerd would find it under `/blobs/`.
    let evil = world.image(REPO, "evil");
    let bytes = world.bytes_of(REPO, evil);
    world.blob(REPO, bytes.clone());
    let smuggled = world.manifest(
        REPO,
        &document(descriptor(media_type::OCI_CONFIG, evil, bytes.len()), json!([descriptor(BUNDLE, layer, size)])),
    );
    for digest in [not_json, other_type, of_shape, polyglot, mixed, no_layers, smuggled] {
        let refusal = world.refusal(digest).await;
        assert!(matches!(refusal.reason, RefusalReason::Unmet { .. }), "{refusal:?}");
        match attachment(&world, digest).await {
            Ok(Verdict::Refuse(refusal)) => assert_eq!(refusal.code(), "not_evidence"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(world.ask_blob(REPO, evil).await, Ok(BlobVerdict::Unlisted)));
    // Indexes: of nothing, of an image, of an index.
    let bundle = world.artifact(REPO, subject, BUNDLE, &good);
    let listing = world.index(REPO, &[bundle]);
    for children in [vec![], vec![bundle, evil], vec![listing]] {
        let index = world.index(REPO, &children);
        world.refusal(index).await;
    }
    assert_eq!(world.permit(listing).await.grounds(), &Grounds::Evidence);
}

#[tokio::test(start_paused = true)]
async fn d9_an_index_admitted_as_evidence_vouches_for_no_child() {
    let world = World::new();
    let bundle = world.artifact(REPO, Digest::sha256(b"x"), BUNDLE, &signature(Digest::sha256(b"x"), MALLORY).to_string());
    let index = world.index(REPO, &[bundle]);
    world.permit(index).await;
    world.set_parents(bundle, &[index]);
    assert_eq!(world.permit(bundle).await.grounds(), &Grounds::Evidence);
}

#[tokio::test(start_paused = true)]
async fn evidence_that_cannot_be_read_now_is_undecided() {
    let world = World::new();
    let bundle = world.artifact(REPO, Digest::sha256(b"x"), BUNDLE, &signature(Digest::sha256(b"x"), MALLORY).to_string());
    world.fault(Ask::Blob, Fault::Down);
    world.undecided(bundle).await;
    world.mend();
    world.permit(bundle).await;
}

#[tokio::test(start_paused = true)]
async fn b4_evidence_of_another_image_proves_nothing_about_this_one() {
    let world = World::new();
    let (signed, other) = (world.signed("a"), world.image(REPO, "b"));
    // The referrer's `subject` says this image; the statement inside says that one.
    for piece in [signature(signed, RELEASE), attestation(signed, RELEASE)] {
        world.attach(REPO, other, &piece);
    }
    let refusal = world.refusal(other).await;
    let notes = refusal.explanation.notes();
    assert!(notes.iter().all(|note| note.contains(&format!("it is about {signed}"))), "{notes:?}");
    assert!(refusal.sentence().ends_with("(set aside: 2 about another digest)"), "{refusal}");
    world.permit(signed).await;
}

#[tokio::test(start_paused = true)]
async fn b4_the_signature_decides_not_the_subject_field() {
    let world = World::new();
    let image = world.image(REPO, "a");
    // Listed for this image though its manifest names another subject: only a candidate, and a good one.
    for piece in [signature(image, RELEASE), attestation(image, RELEASE)] {
        let manifest = world.artifact(REPO, Digest::sha256(b"elsewhere"), BUNDLE, &piece.to_string());
        world.refer(REPO, image, manifest, None);
    }
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn a1_an_attestation_by_another_signer_is_not_enough() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, RELEASE));
    world.attach(REPO, image, &attestation(image, MALLORY));
    assert_eq!(world.refusal(image).await.code(), "attestation_identity_mismatch");
}

#[tokio::test(start_paused = true)]
async fn a3_an_attestation_alone_is_no_signature() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &attestation(image, RELEASE));
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
}

#[tokio::test(start_paused = true)]
async fn x13_what_is_kept_for_one_repository_is_absent_from_another() {
    let world = World::new();
    let bundle = world.artifact(REPO, Digest::sha256(b"x"), BUNDLE, &signature(Digest::sha256(b"x"), MALLORY).to_string());
    world.permit(bundle).await;
    let elsewhere = world.subject("acme/other", bundle);
    assert!(matches!(world.gate.admit(&elsewhere).await, Err(NoVerdict::Absent(_))));
    assert!(matches!(world.gate.admit_attachment(&elsewhere).await, Err(NoVerdict::Absent(_))));
}

#[tokio::test(start_paused = true)]
async fn d9_evidence_that_lies_about_the_size_of_a_kept_blob_is_none() {
    let world = World::new();
    let subject = Digest::sha256(b"x");
    let good = world.artifact(REPO, subject, BUNDLE, &signature(subject, MALLORY).to_string());
    world.permit(good).await;
    let (empty, _) = world.blob(REPO, "{}");
    let (layer, size) = world.blob(REPO, signature(subject, MALLORY).to_string());
    let liar = world.manifest(
        REPO,
        &json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": descriptor(media_type::OCI_EMPTY, empty, 60_000),
            "layers": [descriptor(BUNDLE, layer, size)],
        }),
    );
    world.refusal(liar).await;
    match world.ask_blob(REPO, empty).await {
        Ok(BlobVerdict::Listed { size, .. }) => assert_eq!(size, 2),
        other => panic!("{other:?}"),
    }
}
