//! What `Gate::explain` tells and leaves alone.

use super::super::{
    explain::{Outcome, Told},
    testing::*,
    *,
};
use crate::{
    oci::Digest,
    policy::{
        Unmatched,
        requirement::{On, Part, Weighed},
    },
};

#[tokio::test(start_paused = true)]
async fn an_explanation_looks_at_every_piece_and_tells_each_signer_and_policy() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let [signed, attested] = world.sign(REPO, image, RELEASE);
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
    let [first, second] = &policy.account.as_ref().unwrap().requirements[..] else { panic!("{policy:?}") };
    for (requirement, what, manifest) in [(first, "signature", signed), (second, "https://spdx.dev/Document", attested)] {
        let [On { met: true, evidence, .. }] = &requirement.on[..] else { panic!("{requirement:?}") };
        let [Weighed { piece, counts: true, .. }] = &evidence[..] else { panic!("{evidence:?}") };
        assert_eq!((piece.what.as_str(), piece.subject.as_str()), (what, RELEASE));
        // That very piece is told above, under the same digests.
        let source = piece.source.as_deref().unwrap();
        assert_eq!(source.manifest, manifest);
        assert!(explanation.pieces.iter().any(|piece| piece.source == *source), "{source:?}");
    }
    assert_eq!(explanation.looks.len(), 4);
    // Ten milliseconds a request, and no place takes more than a few.
    assert!(explanation.looks.iter().all(|look| (10..100).contains(&look.took_ms)), "{:?}", explanation.looks);
    let told = serde_json::to_value(&explanation).unwrap();
    assert_eq!(told["pieces"][0]["log"], "proof");
    assert_eq!(told["policies"][0]["requirements"][0]["on"][0]["evidence"][0]["log"], "proof");
}

#[tokio::test(start_paused = true)]
async fn a_missed_requirement_is_told_with_the_pieces_that_came_near() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, RELEASE));
    let foreign = world.attach(REPO, image, &attestation(image, MALLORY));
    let (answer, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{answer:?}");
    let requirements = &explanation.policies[0].account.as_ref().unwrap().requirements;
    assert_eq!([requirements[0].met, requirements[1].met], [true, false]);
    let [on] = &requirements[1].on[..] else { panic!("{requirements:?}") };
    assert_eq!((on.reason, on.digest), (Some("attestation_identity_mismatch"), image));
    let nearest = &on.evidence[0];
    assert_eq!(nearest.piece.source.as_deref().unwrap().manifest, foreign);
    let failed = nearest.failed.as_ref().unwrap();
    assert_eq!((failed.part, failed.wanted.as_deref(), failed.found.as_deref()), (Part::Signer, Some(RELEASE), Some(MALLORY)));
}

#[tokio::test(start_paused = true)]
async fn each_platform_is_told_with_the_piece_it_carries() {
    let world = World::new();
    let text = "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + text), Unmatched::Deny);
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
    let signed = world.attach(REPO, index, &signature(index, RELEASE));
    let sbom = world.attach(REPO, children[0], &attestation(children[0], RELEASE));
    let told = async || {
        let (_, explanation) = world.gate.explain(&world.subject(REPO, index)).await;
        let account = explanation.policies[0].account.clone().unwrap();
        let each = account.requirements.into_iter().map(|requirement| {
            let told = |on: On<Told>| {
                let manifests = on.evidence.iter().map(|weighed| weighed.piece.source.as_ref().unwrap().manifest);
                (on.platform, on.digest, on.met, manifests.collect::<Vec<_>>())
            };
            (requirement.met, requirement.on.into_iter().map(told).collect::<Vec<_>>())
        });
        each.collect::<Vec<_>>()
    };
    let on = |name: &str, child: Digest, met, evidence: &[Digest]| (Some(name.to_owned()), child, met, evidence.to_vec());
    let (amd64, arm64) = (on("linux/amd64", children[0], true, &[sbom]), on("linux/arm64", children[1], false, &[]));
    let signature = (true, vec![(None, index, true, vec![signed])]);
    assert_eq!(told().await, [signature.clone(), (false, vec![amd64.clone(), arm64])]);
    let other = world.attach(REPO, children[1], &attestation(children[1], RELEASE));
    let arm64 = on("linux/arm64", children[1], true, &[other]);
    assert_eq!(told().await, [signature, (true, vec![amd64, arm64])]);
    // What was looked at is the index's and both platforms' together.
    let (_, explanation) = world.gate.explain(&world.subject(REPO, index)).await;
    let mut pieces: Vec<_> = explanation.pieces.iter().map(|piece| piece.source.manifest).collect();
    let mut wanted = [signed, sbom, other];
    pieces.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(pieces, wanted);
}

#[tokio::test(start_paused = true)]
async fn what_only_an_explanation_tells_is_not_made_for_a_client() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &attestation(image, RELEASE));
    let refusal = world.refusal(image).await;
    assert!(refusal.explanation.accounts.is_empty() && refusal.explanation.policies.is_empty(), "{refusal:?}");
    assert_eq!(refusal.explanation.pieces.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_read_again_is_accounted_for_by_nothing() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, RELEASE));
    let mut damaged = attestation(image, RELEASE);
    damaged["damaged"] = true.into();
    world.attach(REPO, image, &damaged);
    let (answer, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
    assert!(matches!(answer, Err(NoVerdict::Undecided(_))), "{answer:?}");
    // It was left out when the policies were asked; nothing says that it is no SBOM.
    let requirements = &explanation.policies[0].account.as_ref().unwrap().requirements;
    let [on] = &requirements[1].on[..] else { panic!("{requirements:?}") };
    assert_eq!((on.met, on.reason, on.evidence.len()), (false, Some("attestation_missing"), 1));
    assert_eq!(on.evidence[0].failed.as_ref().unwrap().part, Part::Type);
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

#[tokio::test(start_paused = true)]
async fn b11_a_refusal_keeps_thirty_two_lines_of_each_kind_whatever_is_attached() {
    let world = World::new();
    let image = world.image(REPO, "a");
    for number in 0..40 {
        world.attach(REPO, image, &signature(image, &format!("https://other.test/{number}")));
        let other = world.artifact(REPO, image, "text/plain", &number.to_string());
        world.refer(REPO, image, other, Some("text/plain"));
    }
    let refusal = world.refusal(image).await;
    let Explanation { pieces, set_aside, looks, .. } = &*refusal.explanation;
    assert_eq!((pieces.len(), set_aside.len(), looks.len()), (32, 32, 4));
}
