//! What `Gate::explain` tells and leaves alone.

use super::super::{explain::Outcome, testing::*, *};

#[tokio::test(start_paused = true)]
async fn an_explanation_looks_at_every_piece_and_tells_each_signer_and_policy() {
    let world = World::new();
    let image = world.signed("a");
    for by in ["https://other.test/1", "https://other.test/2"] {
        world.attach(REPO, image, &signature(image, by));
    }
    let (answer, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    assert!(matches!(answer, Ok(Verdict::Admit(_))), "{answer:?}");
    let mut signers: Vec<_> = explanation
        .pieces
        .iter()
        .map(|piece| match &piece.outcome {
            Outcome::Proved(proof) => (proof.what.as_str(), proof.subject.as_str()),
            Outcome::SetAside { why } => panic!("{why}"),
        })
        .collect();
    signers.sort_unstable();
    let wanted = [
        ("https://spdx.dev/Document", RELEASE),
        ("signature", RELEASE),
        ("signature", "https://other.test/1"),
        ("signature", "https://other.test/2"),
    ];
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(signers, wanted);
    let [policy] = &explanation.policies[..] else { panic!("{:?}", explanation.policies) };
    assert_eq!((policy.policy.as_str(), policy.mode, policy.holds), ("release", "enforce", true));
    // Which rule each met: the strangers' signatures none.
    let [signed, attested] = &policy.details[..] else { panic!("{:?}", policy.details) };
    assert!(signed.starts_with("signatures[0]: met by signature by") && signed.contains(RELEASE), "{signed}");
    assert!(!signed.contains("other.test"), "{signed}");
    assert_eq!(attested, "attestations[0]: met, https://spdx.dev/Document");
    assert_eq!(explanation.looks.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_recalls_nothing_and_is_not_remembered() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    world.withdraw(REPO, image);
    assert!(world.gate.recall(&world.subject(REPO, image)).is_some(), "the permit stands while it lives");
    let (answer, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    let Ok(Verdict::Refuse(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.code(), "signature_missing");
    assert_eq!(explanation.policies[0].reason, Some("signature_missing"));
    assert!(world.gate.recall(&world.subject(REPO, image)).is_some(), "and the refusal of an explanation ends none");

    let unsigned = world.image(REPO, "b");
    let (answer, _) = world.gate.explain(&world.subject(REPO, unsigned)).await;
    assert!(matches!(answer, Ok(Verdict::Refuse(_))));
    world.sign(REPO, unsigned, RELEASE);
    world.permit(unsigned).await;
}

#[tokio::test(start_paused = true)]
async fn b11_an_explanation_has_its_bounds_too() {
    let world = World::new();
    let image = world.signed("a");
    for number in 0..60 {
        world.attach(REPO, image, &signature(image, &format!("https://other.test/{number}")));
    }
    let (_, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    assert_eq!(explanation.pieces.len(), 62, "all, where an answer to a client keeps thirty-two lines");
    assert!(matches!(world.admit(image).await, Ok(Verdict::Admit(_))));
}
