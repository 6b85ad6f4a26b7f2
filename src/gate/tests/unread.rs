//! What is missing, where something was set aside that might have been it: a code of its own, and never another answer.

use serde_json::json;

use super::super::{testing::*, *};
use crate::{oci::Digest, policy::Unmatched};

fn fails(code: &str) -> serde_json::Value {
    bundle(json!({"fails": code}))
}

async fn refused(world: &World, image: Digest) -> (&'static str, String) {
    tokio::time::advance(Duration::from_secs(11)).await;
    let refusal = world.refusal(image).await;
    (refusal.code(), refusal.sentence())
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_gives_what_is_missing_its_code() {
    let world = World::new();
    let image = world.image(REPO, "a");
    assert_eq!(refused(&world, image).await.0, "signature_missing");
    world.attach(REPO, image, &fails("unsupported_log_entry"));
    let (code, sentence) = refused(&world, image).await;
    assert_eq!(code, "unsupported_log_entry");
    assert!(sentence.ends_with("found none (set aside: one logged in a form that is not verified)"), "{sentence}");
    // Of both the same is told, whichever came first.
    world.attach(REPO, image, &fails("too_large"));
    let (code, sentence) = refused(&world, image).await;
    assert_eq!(code, "evidence_too_large");
    assert!(sentence.ends_with("found none (set aside: one too large, or nested too deep, to be read)"), "{sentence}");
    // Once it is signed, the attestation is missing, and might be what was set aside.
    world.attach(REPO, image, &signature(image, RELEASE));
    let (code, sentence) = refused(&world, image).await;
    assert_eq!(code, "evidence_too_large");
    assert!(sentence.contains("wants an attestation"), "{sentence}");
    let (_, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    assert_eq!(explanation.policies[0].reason, Some("evidence_too_large"));
}

#[tokio::test(start_paused = true)]
async fn b11_what_nobody_can_read_takes_no_permit_away_and_hides_no_other_reason() {
    let world = World::new();
    let image = world.signed("a");
    let foreign = world.image(REPO, "b");
    world.sign(REPO, foreign, MALLORY);
    for of in [image, foreign] {
        world.attach(REPO, of, &fails("too_large"));
        world.attach(REPO, of, &fails("unsupported_log_entry"));
    }
    world.permit(image).await;
    assert_eq!(refused(&world, foreign).await.0, "identity_mismatch");
}

#[tokio::test(start_paused = true)]
async fn a_layer_above_the_limit_is_too_large_before_it_is_fetched() {
    let mut config = config();
    config.limits.signature_bytes = 10;
    config.limits.attestation_bytes = 10;
    let world = World::build(true, config);
    let image = world.signed("a");
    assert_eq!(refused(&world, image).await.0, "evidence_too_large");
    assert_eq!(world.asked(Ask::Blob), 0);
}

#[tokio::test(start_paused = true)]
async fn a_platform_has_the_code_of_its_own_evidence_only() {
    let world = World::new();
    let text = "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + text), Unmatched::Deny);
    let child = world.image(REPO, "amd64");
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    world.attach(REPO, index, &fails("too_large"));
    assert_eq!(refused(&world, index).await.0, "attestation_missing");
    world.attach(REPO, child, &fails("unsupported_log_entry"));
    let (code, sentence) = refused(&world, index).await;
    assert_eq!(code, "unsupported_log_entry");
    assert!(sentence.contains("platform linux/amd64: wants an attestation"), "{sentence}");
}
