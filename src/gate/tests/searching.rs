//! The search for evidence: every place, within its bounds, and what was looked at.

use serde_json::json;

use super::super::{testing::*, *};
use crate::{
    evidence::{Evidence, Found, Limits, Origin, Reader, search},
    oci::{Digest, Tag, media_type},
};

async fn look(world: &World, image: Digest, limits: &Limits) -> Evidence {
    let reader = Reader {
        upstream: Some(world.upstream()),
        documents: Arc::<crate::store::Memory>::clone(&world.documents),
        repository: REPO.parse().unwrap(),
        until: tokio::time::Instant::now() + Duration::from_secs(20),
        budget: crate::evidence::Budget::default(),
        shapes: crate::evidence::Budget::default(),
    };
    search(&reader, &[image], limits).await
}

fn found(evidence: &Evidence, origin: Origin) -> &Found {
    &evidence.trace.iter().find(|look| look.origin == origin).unwrap().found
}

#[tokio::test(start_paused = true)]
async fn the_trace_says_what_each_place_held() {
    let world = World::without_api();
    let image = world.image(REPO, "a");
    world.cosign(REPO, image, "sig", &[(signature(image, RELEASE), RELEASE)]);
    for by in [RELEASE, MALLORY] {
        world.attach(REPO, image, &attestation(image, by));
    }
    let evidence = look(&world, image, &Limits::default()).await;
    assert!(matches!(found(&evidence, Origin::ReferrersApi), Found::NoApi));
    assert!(matches!(found(&evidence, Origin::ReferrersTag), Found::Pieces { listed: 2, kept: 2 }));
    assert!(matches!(found(&evidence, Origin::CosignSignatureTag), Found::Pieces { listed: 1, kept: 1 }));
    assert!(matches!(found(&evidence, Origin::CosignAttestationTag), Found::Absent));
    assert_eq!((evidence.pieces.len(), evidence.missing.len()), (3, 0));
    world.fault(Ask::ManifestByTag, Fault::Down);
    let evidence = look(&world, image, &Limits::default()).await;
    assert!(matches!(found(&evidence, Origin::CosignAttestationTag), Found::Failed(_)));
    assert_eq!(evidence.missing.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_in_place_of_all_there_is_is_called_what_it_is_and_stands_alone() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.cosign(REPO, image, "sig", &[(signature(image, RELEASE), RELEASE)]);
    world.attach(REPO, image, &attestation(image, RELEASE));
    world.give();
    let evidence = look(&world, image, &Limits::default()).await;
    assert!(matches!(found(&evidence, Origin::BundleFile), Found::Pieces { listed: 1, kept: 1 }), "{evidence:?}");
    assert_eq!((evidence.trace.len(), evidence.pieces.len(), evidence.candidates.len()), (1, 1, 1), "{evidence:?}");
    assert_eq!((evidence.pieces[0].origin, world.asked(Ask::Referrers)), (Origin::BundleFile, 1));
    assert_eq!(Origin::BundleFile.as_str(), "bundle file");
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_twice_is_read_once() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let manifest = world.attach(REPO, image, &signature(image, RELEASE));
    world.refer(REPO, image, manifest, None);
    world.tag(REPO, Tag::cosign(&image, "sig").unwrap().as_str(), manifest);
    let evidence = look(&world, image, &Limits::default()).await;
    assert_eq!((evidence.candidates.len(), evidence.pieces.len(), world.asked_for(&manifest)), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn x3_ten_thousand_referrers_end_at_the_limits_which_are_named() {
    let world = World::built(true, 200, config());
    let image = world.image(REPO, "a");
    for at in 0..1_200 {
        world.refer(REPO, image, Digest::sha256(format!("junk {at}").as_bytes()), Some("text/plain"));
    }
    let refusal = world.refusal(image).await;
    let RefusalReason::Unmet { notes, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(notes.iter().any(|note| note.contains("more than 4 pages")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("more than 100 candidates are listed, 100 were read")), "{notes:?}");
    assert_eq!(world.asked(Ask::Referrers), 4);
    assert!(world.asked(Ask::ManifestByDigest) <= 101);
}

#[tokio::test(start_paused = true)]
async fn x3_as_many_as_the_limit_are_read_and_one_more_is_told() {
    for api in [true, false] {
        let world = World::build(api, config());
        let image = world.image(REPO, "a");
        world.sign(REPO, image, RELEASE);
        let limits = |candidates| Limits { candidates, ..Limits::default() };
        let evidence = look(&world, image, &limits(2)).await;
        assert_eq!((evidence.pieces.len(), evidence.limits_hit.len()), (2, 0), "{evidence:?}");
        let evidence = look(&world, image, &limits(1)).await;
        assert_eq!((evidence.pieces.len(), evidence.limits_hit.len()), (1, 1), "{evidence:?}");
        assert!(evidence.limits_hit[0].contains("more than 1 candidates are listed, 1 were read"), "{evidence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_listing_add_up() {
    let world = World::built(true, 2, config());
    let image = world.image(REPO, "a");
    for at in 0..5 {
        world.refer(REPO, image, Digest::sha256(format!("junk {at}").as_bytes()), Some("text/plain"));
    }
    let evidence = look(&world, image, &Limits::default()).await;
    assert!(matches!(found(&evidence, Origin::ReferrersApi), Found::Pieces { listed: 5, kept: 0 }), "{evidence:?}");
    assert_eq!((world.asked(Ask::Referrers), evidence.limits_hit.len()), (3, 0), "{evidence:?}");
}

#[tokio::test(start_paused = true)]
async fn x3_a_listing_of_which_a_page_is_gone_is_undecided_and_not_the_end_of_it() {
    let world = World::built(true, 1, config());
    let image = world.signed("a");
    world.lose_pages();
    let undecided = world.undecided(image).await;
    assert!(undecided.to_string().contains("a page of the listing is gone"), "{undecided}");
    world.mend();
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn x3_bundles_are_found_behind_a_hundred_others() {
    let world = World::new();
    let image = world.image(REPO, "a");
    for at in 0..150 {
        world.refer(REPO, image, Digest::sha256(format!("junk {at}").as_bytes()), Some("text/plain"));
    }
    world.sign(REPO, image, RELEASE);
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn hints_only_order_the_reading() {
    let world = World::new();
    let image = world.image(REPO, "a");
    // As registries do that report the config's type, or none.
    for (piece, name) in [(signature(image, RELEASE), None), (attestation(image, RELEASE), Some(media_type::OCI_CONFIG))] {
        let manifest = world.artifact(REPO, image, BUNDLE, &piece.to_string());
        world.refer(REPO, image, manifest, name);
    }
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn x14_what_is_under_the_referrers_tag_may_be_anything() {
    let world = World::without_api();
    let image = world.image(REPO, "a");
    let tag = Tag::referrers_of(&image);
    world.tag(REPO, tag.as_str(), image);
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
    let other = world.image(REPO, "b");
    let junk = world.raw(REPO, "<html>", Some("text/html".into()));
    world.tag(REPO, Tag::referrers_of(&other).as_str(), junk);
    world.refusal(other).await;
}

#[tokio::test(start_paused = true)]
async fn a9_evidence_above_the_bounds_is_not_read_and_the_bound_is_named() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let manifests = world.sign(REPO, image, RELEASE);
    let small = Limits { attestation_bytes: 100, ..Limits::default() };
    let evidence = look(&world, image, &small).await;
    assert_eq!((evidence.pieces.len(), evidence.limits_hit.len(), world.asked(Ask::Blob)), (0, 2, 0));
    let layers = [signature(image, RELEASE), attestation(image, RELEASE)].map(|layer| layer.to_string().len());
    let all = manifests.map(|manifest| world.bytes_of(REPO, manifest).len()).iter().chain(&layers).sum::<usize>();
    for enough in [
        Limits { attestation_bytes: layers[0].max(layers[1]) as u64, ..Limits::default() },
        Limits { total_bytes: all as u64, ..Limits::default() },
    ] {
        let evidence = look(&world, image, &enough).await;
        assert_eq!((evidence.pieces.len(), evidence.limits_hit.len()), (2, 0), "{evidence:?}");
    }
    let little = Limits { total_bytes: all as u64 - 1, ..Limits::default() };
    let evidence = look(&world, image, &little).await;
    assert_eq!((evidence.pieces.len(), evidence.limits_hit.len()), (1, 1), "{evidence:?}");
    assert!(evidence.missing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn u10_a_blob_of_another_size_or_hash_is_missing_not_evidence() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let bytes = signature(image, RELEASE).to_string();
    let layer = Digest::sha256(bytes.as_bytes());
    world.attach(REPO, image, &signature(image, RELEASE));
    for wrong in [bytes.replace("release", "RELEASE"), format!("{bytes} "), bytes[1..].to_owned()] {
        world.lie_blob(REPO, layer, wrong);
        let evidence = look(&world, image, &Limits::default()).await;
        assert_eq!((evidence.pieces.len(), evidence.missing.len()), (0, 1), "{evidence:?}");
    }
    world.undecided(image).await;
}

#[tokio::test(start_paused = true)]
async fn listed_and_gone_is_a_note_and_not_a_doubt() {
    let world = World::without_api();
    let (image, deleted) = (world.image(REPO, "a"), Digest::sha256(b"deleted"));
    world.refer(REPO, image, deleted, Some(BUNDLE));
    let refusal = world.refusal(image).await;
    let told = format!("referrers tag {}: listed, but not there", deleted.short());
    assert!(refusal.explanation.notes().contains(&told), "{:?}", refusal.explanation.notes());
}

#[tokio::test(start_paused = true)]
async fn a_signature_by_a_key_is_set_aside_with_its_reason() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let (payload, size) = world.blob(REPO, signature(image, RELEASE).to_string());
    let mut layer = descriptor(media_type::SIMPLE_SIGNING, payload, size);
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": "MEQ="});
    let config = descriptor(media_type::OCI_CONFIG, payload, size);
    let document = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
    let manifest = world.manifest(REPO, &document);
    world.tag(REPO, Tag::cosign(&image, "sig").unwrap().as_str(), manifest);
    let refusal = world.refusal(image).await;
    assert!(refusal.explanation.notes().iter().any(|note| note.contains("not keyless")));
}

#[tokio::test(start_paused = true)]
async fn a9_evidence_in_memory_is_bounded_over_all_judgements() {
    let budget = crate::evidence::Budget::default();
    let image = Digest::sha256(b"x");
    let world = World::new();
    world.sign(REPO, image, RELEASE);
    let mut reader = Reader {
        upstream: Some(world.upstream()),
        documents: Arc::<crate::store::Memory>::clone(&world.documents),
        repository: REPO.parse().unwrap(),
        until: tokio::time::Instant::now() + Duration::from_secs(20),
        budget,
        shapes: crate::evidence::Budget::default(),
    };
    let share = |bytes: u64| reader.budget.take(bytes, reader.until);
    let held = [share(128 << 20).await.unwrap(), share(128 << 20).await.unwrap()];
    let full = search(&reader, &[image], &Limits::default()).await;
    assert!(full.pieces.is_empty() && full.missing[0].contains("too much evidence"), "{full:?}");
    drop(held);
    reader.until = tokio::time::Instant::now() + Duration::from_secs(20);
    assert_eq!(search(&reader, &[image], &Limits::default()).await.pieces.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn h5_asking_whether_something_is_evidence_has_a_budget_over_all_who_ask() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let [signed, _] = world.sign(REPO, image, RELEASE);
    let gate = Arc::clone(&world.gate);
    let until = tokio::time::Instant::now() + Duration::from_secs(3_600);
    let held = gate.rooms.all.shapes.take(u64::MAX, until).await.unwrap();
    let undecided = world.undecided(signed).await;
    assert!(undecided.to_string().contains("too much evidence"), "{undecided}");
    drop(held);
    assert_eq!(*world.permit(signed).await.grounds(), Grounds::Evidence);
}

#[tokio::test(start_paused = true)]
async fn a9_a_hundred_manifests_of_megabytes_end_at_a_bound_that_is_named() {
    let world = World::new();
    let image = world.image(REPO, "a");
    for at in 0..12 {
        let (payload, size) = world.blob(REPO, format!("{at}"));
        let layer = descriptor(media_type::SIMPLE_SIGNING, payload, size);
        let config = descriptor(media_type::OCI_CONFIG, payload, size);
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer],
            "annotations": {"padding": "x".repeat(1 << 20)},
        });
        let fat = world.manifest(REPO, &document);
        world.refer(REPO, image, fat, None);
    }
    let evidence = look(&world, image, &Limits::default()).await;
    assert!(evidence.limits_hit.iter().any(|limit| limit.contains("bytes of manifests")), "{:?}", evidence.limits_hit);
    assert!(evidence.candidates.len() < 9, "{}", evidence.candidates.len());
}

/// A manifest of so many bytes that carries a signature.
fn manifest_of(world: &World, seed: &str, size: usize) -> Digest {
    let (payload, length) = world.blob(REPO, seed.to_owned());
    let layer = descriptor(media_type::SIMPLE_SIGNING, payload, length);
    let config = descriptor(media_type::OCI_CONFIG, payload, length);
    let mut text = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    text.extend(std::iter::repeat_n(' ', size - text.len()));
    world.raw(REPO, text, Some(media_type::OCI_MANIFEST.into()))
}

/// What a listing says of sizes is all that is read, or sixteen at a time would be of four megabytes each.
#[tokio::test(start_paused = true)]
async fn a9_of_a_manifest_no_more_is_read_than_its_listing_says() {
    for (size, claimed, told) in
        [(65_536, 1, None), (65_537, 1, Some("65536")), (70_000, 70_000, None), (70_001, 70_000, Some("70000"))]
    {
        let world = World::new();
        let image = world.image(REPO, "a");
        world.sign(REPO, image, RELEASE);
        let manifest = manifest_of(&world, "x", size);
        world.refer_as(REPO, image, manifest, None, claimed);
        let evidence = look(&world, image, &Limits::default()).await;
        let limit = told.map(|most| format!("is larger than {most} bytes"));
        assert_eq!(evidence.limits_hit.len(), usize::from(limit.is_some()), "{:?}", evidence.limits_hit);
        assert!(limit.is_none_or(|limit| evidence.limits_hit[0].contains(&limit)), "{:?}", evidence.limits_hit);
        assert_eq!(evidence.candidates.len(), 3 - evidence.limits_hit.len());
    }
}

/// They are let go of once they are read: none of them takes the room of what is evidence.
#[tokio::test(start_paused = true)]
async fn a9_manifests_that_carry_no_evidence_hide_none() {
    let world = World::new();
    let image = world.image(REPO, "a");
    for at in 0..20 {
        let (config, size) = world.blob(REPO, format!("{at}"));
        let config = descriptor(media_type::OCI_CONFIG, config, size);
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [],
            "annotations": {"padding": "x".repeat(1 << 20)},
        });
        let fat = world.manifest(REPO, &document);
        world.refer(REPO, image, fat, None);
    }
    world.sign(REPO, image, RELEASE);
    let evidence = look(&world, image, &Limits::default()).await;
    assert_eq!(
        (evidence.pieces.len(), evidence.limits_hit.len(), evidence.set_aside.len()),
        (2, 0, 20),
        "{:?}",
        evidence.limits_hit
    );
}

#[tokio::test(start_paused = true)]
async fn a9_manifests_of_eight_mebibytes_in_all_are_read_and_a_byte_more_is_not() {
    for (more, over) in [(0, 0), (1, 1)] {
        let world = World::new();
        let image = world.image(REPO, "a");
        for (at, size) in [4 << 20, (4 << 20) - 2_000, 2_000 + more].into_iter().enumerate() {
            let manifest = manifest_of(&world, &at.to_string(), size);
            world.refer(REPO, image, manifest, None);
        }
        let evidence = look(&world, image, &Limits::default()).await;
        assert_eq!((evidence.candidates.len(), evidence.limits_hit.len()), (3 - over, over), "{:?}", evidence.limits_hit);
    }
}
