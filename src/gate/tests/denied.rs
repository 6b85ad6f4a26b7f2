//! The deny-list (D4): in force at the next request, at every door, before policies; and never a way to block others.

use std::time::Duration;

use super::{
    super::{testing::*, *},
    lineage::multi,
};
use crate::{
    oci::{Algorithm, Digest},
    policy::Unmatched,
};

pub(super) fn digest_entry(digest: Digest) -> String {
    format!("- {{digest: \"{digest}\", reason: INC-7 stolen key}}\n")
}

fn identity_entry(subject: &str) -> String {
    format!("- {{identity: {{issuer: https://issuer.test, subject: {subject}}}, reason: INC-8}}\n")
}

pub(super) async fn is_denied(world: &World, digest: Digest) -> bool {
    let recalled = world.gate.recall(&world.subject(REPO, digest)).is_some();
    let refusal = world.refusal(digest).await;
    !recalled && refusal.code() == "denied" && refusal.sentence().ends_with("denied by the deny-list: INC-7 stolen key")
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_digest_is_refused_at_once_though_it_was_admitted_and_admitted_again_when_it_no_longer_is() {
    let world = World::new();
    let image = world.signed("a");
    let other = world.signed("b");
    world.permit(image).await;
    world.deny(&digest_entry(image));
    assert!(is_denied(&world, image).await);
    world.permit(other).await;
    world.deny("[]");
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_digest_is_refused_without_its_upstream_and_after_a_restart() {
    let mut world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.deny(&digest_entry(image));
    world.restart();
    world.all_fail(Fault::Down);
    world.forget_asked();
    assert!(is_denied(&world, image).await);
    assert_eq!(world.asked_at_all(), 0);
}

#[tokio::test(start_paused = true)]
async fn d4_what_is_denied_while_it_is_judged_is_not_served_after_all() {
    let world = World::new();
    let image = world.signed("a");
    let asking = world.admit(image);
    let denying = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.deny(&digest_entry(image));
    };
    let (answer, ()) = tokio::join!(asking, denying);
    assert!(matches!(answer, Ok(Verdict::Refuse(refusal)) if refusal.code() == "denied"));

    let evidence = world.attach(REPO, image, &signature(image, RELEASE));
    let subject = world.subject(REPO, evidence);
    let asking = world.gate.admit_attachment(&subject);
    let denying = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.deny(&digest_entry(evidence));
    };
    let (answer, ()) = tokio::join!(asking, denying);
    assert!(matches!(answer, Ok(Verdict::Refuse(refusal)) if refusal.code() == "denied"));
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_child_is_refused_though_its_index_is_admitted_and_its_blobs_with_it() {
    let world = World::new();
    let (index, children) = multi(&world);
    world.permit(index).await;
    world.permit(children[0]).await;
    assert!(world.listed(World::layer_of("amd64")).await);
    world.deny(&digest_entry(children[0]));
    assert!(is_denied(&world, children[0]).await);
    assert!(!world.listed(World::layer_of("amd64")).await);
    world.permit(index).await;
    world.permit(children[1]).await;
    assert!(world.listed(World::layer_of("arm64")).await);
}

#[tokio::test(start_paused = true)]
async fn d4_a_blob_known_only_through_denied_manifests_is_refused_and_one_that_another_lists_is_served() {
    let world = World::new();
    let denied = world.signed("a");
    world.permit(denied).await;
    assert!(world.listed(World::layer_of("a")).await);
    world.deny(&digest_entry(denied));
    assert!(!world.listed(World::layer_of("a")).await);
    assert!(matches!(world.ask_blob(REPO, denied).await, Ok(BlobVerdict::Denied(_))), "under /blobs/ neither");

    // The same layer, listed by an image that is not denied.
    let bytes = String::from_utf8(world.bytes_of(REPO, denied).to_vec()).unwrap();
    let sharing = world.raw(REPO, bytes.replace("\"schemaVersion\":2", "\"schemaVersion\": 2"), None);
    assert_ne!(sharing, denied);
    world.sign(REPO, sharing, RELEASE);
    world.permit(sharing).await;
    assert!(world.listed(World::layer_of("a")).await);
    world.deny(&(digest_entry(denied) + &digest_entry(sharing)));
    assert!(!world.listed(World::layer_of("a")).await);
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_layer_is_refused_whoever_lists_it() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    let layer = World::layer_of("a");
    assert!(world.listed(layer).await);
    world.deny(&digest_entry(layer));
    match world.ask_blob(REPO, layer).await {
        Ok(BlobVerdict::Denied(refusal)) => assert_eq!(refusal.code(), "denied"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn d4_a_blob_that_is_denied_while_who_lists_it_is_judged_is_not_served_after_all() {
    let world = World::new();
    let image = world.signed("a");
    let layer = World::layer_of("a");
    world.set_listing(layer, &[image]);
    let asking = world.ask_blob(REPO, layer);
    let denying = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.deny(&digest_entry(layer));
    };
    let (answer, ()) = tokio::join!(asking, denying);
    assert!(matches!(answer, Ok(BlobVerdict::Denied(refusal)) if refusal.code() == "denied"));
}

/// X11: the same bytes under another algorithm's digest are the same image.
#[tokio::test(start_paused = true)]
async fn x11_a_denied_digest_is_denied_by_its_other_name_too() {
    let world = World::new();
    let image = world.signed("a");
    let long = world.also_as_sha512(REPO, image);
    world.permit(image).await;
    world.permit(long).await;
    world.deny(&digest_entry(image));
    assert!(is_denied(&world, long).await);
    world.deny(&digest_entry(long));
    assert_eq!(long.algorithm(), Algorithm::Sha512);
    assert!(is_denied(&world, image).await);
}

#[tokio::test(start_paused = true)]
async fn d4_the_deny_list_comes_before_audit_unmatched_and_evidence() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.set_policies(&policy("watch", "reg.test/acme/**", RELEASE, "audit"), Unmatched::Deny);
    world.permit(image).await;
    world.deny(&digest_entry(image));
    assert!(is_denied(&world, image).await);

    world.set_policies(&policy("other", "reg.test/other/**", RELEASE, "enforce"), Unmatched::DangerousAllow);
    world.permit(image).await;
    world.deny(&digest_entry(image));
    assert!(is_denied(&world, image).await);

    let evidence = world.attach(REPO, image, &signature(image, MALLORY));
    world.deny(&digest_entry(evidence));
    assert!(is_denied(&world, evidence).await);
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_signature_proves_nothing_by_manifest_or_layer_and_the_others_stand() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let [first, _] = world.sign(REPO, image, RELEASE);
    world.permit(image).await;
    world.deny(&digest_entry(first));
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "signature_missing");
    assert!(refusal.sentence().ends_with("(set aside: 1 denied by the deny-list)"), "{refusal}");
    let bundle = signature(image, RELEASE);
    let layer = Digest::sha256(bundle.to_string().as_bytes());
    world.deny(&digest_entry(layer));
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
    world.attach(
        REPO,
        image,
        &self::bundle(serde_json::json!({"about": image, "by": RELEASE, "proves": "signature", "entry": 2})),
    );
    tokio::time::advance(Duration::from_secs(11)).await;
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_signer_is_absent_and_blocks_nobody_elses_image() {
    let world = World::new();
    let image = world.signed("a");
    world.sign(REPO, image, MALLORY);
    world.deny(&identity_entry(MALLORY));
    world.permit(image).await;

    world.deny(&identity_entry(RELEASE));
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "identity_mismatch");
    let RefusalReason::Unmet { notes, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(notes.iter().any(|note| note.contains(&format!("signer {RELEASE} is denied: INC-8"))), "{notes:?}");
    let alone = world.signed("b");
    let refusal = world.refusal(alone).await;
    assert_eq!(refusal.code(), "signature_missing");
    assert!(refusal.sentence().ends_with("(set aside: 2 denied by the deny-list)"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_log_entry_is_absent_and_another_signature_of_the_same_signer_stands() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let logged = |entry: u64| bundle(serde_json::json!({"about": image, "by": RELEASE, "proves": "signature", "entry": entry}));
    world.attach(REPO, image, &logged(7));
    world.attach(REPO, image, &attestation(image, RELEASE));
    world.permit(image).await;
    let entry = |index: u64| format!("- {{log_entry: {{log: {}, index: {index}}}, reason: INC-9}}\n", "AB".repeat(32));
    world.deny(&entry(8));
    world.permit(image).await;
    world.deny(&entry(7));
    assert_eq!(world.refusal(image).await.code(), "signature_missing");
    world.attach(REPO, image, &logged(9));
    tokio::time::advance(Duration::from_secs(11)).await;
    world.permit(image).await;
}

/// D4: each time that bytes come they are hashed for their other name, and what lies in the store is, whatever else comes.
#[tokio::test]
async fn a_layers_other_name_is_asked_of_every_fill_and_of_what_is_stored() {
    let world = World::new();
    let layer = Digest::sha256(b"layer");
    let (other, gate) = (Digest::of(Algorithm::Sha512, b"layer"), &world.gate);
    assert!(gate.naming(&layer).is_none() && gate.unnamed(&layer).is_none(), "nothing is denied so");
    world.deny(&format!("- {{digest: \"{}\", reason: INC-3}}\n", Digest::of(Algorithm::Sha512, b"else")));
    let first = gate.naming(&layer).unwrap();
    // It comes once more where it is fetched from elsewhere too, or where the disk takes nothing.
    let mut second = gate.naming(&layer).unwrap();
    drop(first);
    second.update(b"layer");
    assert_eq!(gate.unnamed(&layer), Some(Algorithm::Sha512), "what came to nothing, or is not whole, tells nothing");
    second.finish().unwrap();
    assert!(gate.naming(&layer).is_none() && gate.unnamed(&layer).is_none(), "known");
    world.deny(&format!("- {{digest: \"{other}\", reason: INC-4}}\n"));
    assert!(gate.denied_blob(&name(REPO), &layer).is_some());
}
