//! Attestations too large to hold: taken in as files, kept with the permit, read again from there; and what a disk that
//! fails in between means.

use serde_json::json;

use super::super::{testing::*, *};
use crate::{
    evidence::{Budget, Content, Limits, Reader, search},
    oci::Digest,
    store::Documents as _,
};

/// A world where an image is signed and has an attestation of more than a mebibyte.
fn large() -> (World, Digest) {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, RELEASE));
    let mut document = spdx();
    document["comment"] = json!("x".repeat(3 << 20));
    let script = json!({"about": image, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": document});
    world.attach(REPO, image, &bundle(script));
    (world, image)
}

async fn look(world: &World, image: Digest, budget: &Budget) -> crate::evidence::Evidence {
    let reader = Reader {
        upstream: Some(world.upstream()),
        documents: Arc::<crate::store::Memory>::clone(&world.documents),
        repository: REPO.parse().unwrap(),
        until: tokio::time::Instant::now() + Duration::from_secs(20),
        budget: budget.clone(),
        shapes: Budget::default(),
    };
    search(&reader, &[image], &Limits::default()).await
}

#[tokio::test(start_paused = true)]
async fn a9_a_large_attestation_is_in_a_file_and_admits_after_a_restart_without_the_upstream() {
    let (mut world, image) = large();
    let evidence = look(&world, image, &Budget::default()).await;
    let held: Vec<bool> = evidence
        .pieces
        .iter()
        .map(|piece| match &piece.content {
            Content::Bundle(document) => document.held().is_some(),
            Content::CosignAttestation { .. } | Content::CosignSignature { .. } => panic!("{piece:?}"),
        })
        .collect();
    assert_eq!(held.iter().filter(|held| **held).count(), 1, "the signature, not the attestation");
    assert_eq!(*world.permit(image).await.grounds(), Grounds::Policy);
    let attested = evidence.pieces.iter().map(|piece| piece.layer);
    for layer in attested {
        assert!(world.documents.open(&layer, u64::MAX).await.is_some());
    }
    world.all_fail(Fault::Down);
    world.restart();
    assert_eq!(*world.permit(image).await.grounds(), Grounds::Policy);
}

#[tokio::test(start_paused = true)]
async fn a9_what_lies_in_files_takes_its_share_of_their_budget_and_little_of_memory() {
    let (world, image) = large();
    let budget = Budget::default();
    let until = || tokio::time::Instant::now() + Duration::from_secs(20);
    let held = [budget.take(128 << 20, until()).await.unwrap(), budget.take(125 << 20, until()).await.unwrap()];
    let evidence = look(&world, image, &budget).await;
    assert_eq!(evidence.pieces.len(), 2, "three mebibytes of memory are left, and it has more: {:?}", evidence.missing);
    drop((held, evidence));
    let filed = budget.take_for(&[1 << 30], 0, until()).await.unwrap();
    let full = look(&world, image, &budget).await;
    assert!(full.pieces.is_empty() && full.missing[0].contains("too much evidence"), "{full:?}");
    drop(filed);
    assert_eq!(look(&world, image, &budget).await.pieces.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn c5_evidence_that_cannot_be_read_again_is_undecided_and_not_refused() {
    for script in [json!({"unreadable": "the disk"}), json!({"damaged": true, "predicate": null})] {
        let world = World::new();
        let image = world.image(REPO, "a");
        world.attach(REPO, image, &signature(image, RELEASE));
        let mut all = json!({"about": image, "by": RELEASE, "proves": "https://spdx.dev/Document"});
        all.as_object_mut().unwrap().extend(script.as_object().unwrap().clone());
        world.attach(REPO, image, &bundle(all));
        let undecided = world.undecided(image).await;
        assert!(matches!(undecided.reason, UndecidedReason::EvidenceUnavailable(_)), "{undecided:?}");
        // Another attestation that can be read is enough.
        world.attach(REPO, image, &attestation(image, RELEASE));
        assert_eq!(*world.permit(image).await.grounds(), Grounds::Policy);
    }
}
