//! An SBOM of each platform, or either of index and platforms: what counts, what does not, and what it costs.

use std::time::Duration;

use serde_json::json;

use super::super::{testing::*, *};
use crate::{
    oci::{Digest, media_type},
    policy::Unmatched,
};

const SPDX: &str = "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";

fn wanting(sbom_on: &str) -> World {
    let world = World::new();
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce") + &SPDX.replace("each_platform", sbom_on);
    world.set_policies(&text, Unmatched::Deny);
    world
}

/// A signed index of two platforms, and the platforms.
fn signed_index(world: &World) -> (Digest, [Digest; 2]) {
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    (index, children)
}

fn attest(world: &World, subject: Digest, by: &str) {
    world.attach(REPO, subject, &attestation(subject, by));
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_index_is_admitted_if_and_only_if_each_platform_carries_its_own_sbom() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    // One on the index says nothing about what runs.
    attest(&world, index, RELEASE);
    attest(&world, amd64, RELEASE);
    let refusal = world.refusal(index).await;
    assert_eq!(refusal.code(), "attestation_missing");
    assert!(refusal.sentence().contains("platform linux/arm64: wants an attestation"), "{refusal}");
    assert!(refusal.explanation.accounts.is_empty(), "what only an explanation tells");
    // By somebody else it is none.
    attest(&world, arm64, MALLORY);
    wait(11).await;
    let refusal = world.refusal(index).await;
    assert_eq!(refusal.code(), "attestation_identity_mismatch");
    // About the other platform, copied, it is none either.
    world.attach(REPO, arm64, &attestation(amd64, RELEASE));
    wait(11).await;
    world.refusal(index).await;
    attest(&world, arm64, RELEASE);
    wait(11).await;
    world.permit(index).await;
    // And vouches for its children, and for their blobs.
    assert_eq!(world.permit(arm64).await.grounds(), &Grounds::Parent(index));
    assert!(world.listed(World::layer_of("arm64")).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_lacking_is_told_once_for_all_platforms_and_what_is_about_another_image_is_counted() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    let other = world.image(REPO, "other");
    for child in [amd64, arm64] {
        world.attach(REPO, child, &attestation(other, RELEASE));
    }
    let refusal = world.refusal(index).await;
    let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert_eq!(unmet.len(), 1, "{unmet:?}");
    assert!(refusal.sentence().ends_with("(set aside: 2 about another digest)"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn i13_a_permit_ends_with_the_first_platforms_sbom_to_end() {
    let sbom = |about: Digest, at: &str| {
        bundle(json!({
            "about": about, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": spdx(), "at": at,
        }))
    };
    for ends_first in [0, 1] {
        let world = World::new();
        let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
        world.set_policies(&(text + &SPDX.replace("each_platform", "each_platform, max_age: 30d")), Unmatched::Deny);
        let (index, children) = signed_index(&world);
        world.attach(REPO, children[ends_first], &sbom(children[ends_first], "2026-10-23T12:30:00Z"));
        world.attach(REPO, children[1 - ends_first], &sbom(children[1 - ends_first], "2026-11-20T00:00:00Z"));
        world.permit(index).await;
        wait(30 * 60 - 2).await;
        assert!(world.gate.recall(&world.subject(REPO, index)).is_some());
        wait(2).await;
        assert!(world.gate.recall(&world.subject(REPO, index)).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn x11_a_platform_that_is_listed_by_sha512_is_known_by_the_sbom_of_its_sha256() {
    let world = wanting("each_platform");
    let child = world.image(REPO, "amd64");
    attest(&world, child, RELEASE);
    let index = world.platforms(&[(world.also_as_sha512(REPO, child), Some("linux/amd64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    world.permit(index).await;
    // Listed by SHA-256, it need not be read to know that name.
    let index = world.platforms(&[(child, Some("linux/amd64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    world.forget_asked();
    world.permit(index).await;
    assert_eq!(world.asked_for(&child), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_newest_speaks_of_each_platform_one_that_could_not_be_had_makes_it_undecided() {
    let world = World::new();
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let newest = SPDX.replace("each_platform", "each_platform, match: newest, max_age: 30d");
    world.set_policies(&(text + &newest), Unmatched::Deny);
    let (index, children) = signed_index(&world);
    for child in children {
        let at = "2026-11-20T00:00:00Z";
        world.attach(
            REPO,
            child,
            &bundle(json!({
                "about": child, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": spdx(), "at": at,
            })),
        );
    }
    // A newer one may be there, and say otherwise.
    let hidden = world.attach(REPO, children[0], &json!({"newer": true}));
    let gone = world.bytes_of(REPO, hidden);
    world.lie(REPO, hidden, "other bytes");
    world.undecided(index).await;
    world.raw(REPO, gone, Some(media_type::OCI_MANIFEST.into()));
    world.permit(index).await;
}

#[tokio::test(start_paused = true)]
async fn either_takes_the_indexs_sbom_or_one_of_each_platform() {
    let world = wanting("either");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    world.refusal(index).await;
    attest(&world, arm64, RELEASE);
    wait(11).await;
    world.permit(index).await;

    let world = wanting("either");
    let (index, children) = signed_index(&world);
    attest(&world, index, RELEASE);
    world.permit(index).await;
    assert_eq!(world.asked_for(&children[0]), 0, "its own is enough: no platform is looked at");
}

/// Its own SBOM says nothing of what runs.
#[tokio::test(start_paused = true)]
async fn an_index_in_an_index_is_no_platform_whatever_it_carries_and_whatever_it_is_listed_as() {
    let world = wanting("each_platform");
    let [amd64, arm64] = ["amd64", "arm64"].map(|seed| world.image(REPO, seed));
    attest(&world, amd64, RELEASE);
    let nested = world.platforms(&[(arm64, Some("linux/arm64"))]);
    attest(&world, nested, RELEASE);
    let of = |listed_as: &str| {
        let mut children = [descriptor(media_type::OCI_MANIFEST, amd64, 100), descriptor(listed_as, nested, 100)];
        children[0]["platform"] = json!({"os": "linux", "architecture": "amd64"});
        children[1]["platform"] = json!({"os": "linux", "architecture": "arm64"});
        let index = world.raw(REPO, index_of(&children), Some(media_type::OCI_INDEX.into()));
        world.attach(REPO, index, &signature(index, RELEASE));
        index
    };
    for listed_as in [media_type::OCI_INDEX, media_type::DOCKER_LIST] {
        let refusal = world.refusal(of(listed_as)).await;
        assert_eq!(refusal.code(), "attestation_missing");
        let told = format!("wants an attestation on each platform; {} is an index in the index", nested.short());
        assert!(refusal.sentence().contains(&told), "{refusal}");
        world.refusal(nested).await;
        world.refusal(arm64).await;
    }
    // Listed as an image, it passes for one, and is not served as another.
    let index = of(media_type::OCI_MANIFEST);
    world.permit(index).await;
    wait(11).await;
    assert_eq!(world.refusal(nested).await.code(), "content");
    world.refusal(arm64).await;
}

#[tokio::test(start_paused = true)]
async fn x1_of_more_than_64_platforms_none_is_looked_at_and_the_refusal_names_the_limit() {
    let world = wanting("each_platform");
    let children: Vec<(Digest, Option<&str>)> =
        (0..65).map(|seed| (world.image(REPO, &seed.to_string()), Some("linux/amd64"))).collect();
    let index = world.platforms(&children);
    world.attach(REPO, index, &signature(index, RELEASE));
    let refusal = world.refusal(index).await;
    assert!(refusal.sentence().contains("of at most 64; it has 65"), "{refusal}");
    assert_eq!(world.asked(Ask::Referrers), 1);
    for (child, _) in &children[..64] {
        attest(&world, *child, RELEASE);
    }
    let index = world.platforms(&children[..64]);
    world.attach(REPO, index, &signature(index, RELEASE));
    world.permit(index).await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_had_of_a_platform_is_undecided_and_what_is_lacking_is_refused() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    attest(&world, arm64, RELEASE);
    world.hide(arm64);
    world.undecided(index).await;
    world.mend();
    world.permit(index).await;

    // Nobody need wait for a registry to hear that the other platform has none, whichever it is.
    for (hidden, lacks) in [(1, "linux/amd64"), (0, "linux/arm64")] {
        let world = wanting("each_platform");
        let (index, children) = signed_index(&world);
        attest(&world, children[hidden], RELEASE);
        world.hide(children[hidden]);
        let refusal = world.refusal(index).await;
        assert!(refusal.sentence().contains(&format!("platform {lacks}")), "{refusal}");
    }
}

/// Of two platforms one cannot be seen: an audit policy would refuse if the other is enough for that, and else cannot tell.
#[tokio::test(start_paused = true)]
async fn an_audit_policy_would_refuse_what_one_platform_lacks_whatever_another_has() {
    for (attested, verb) in [(true, "could not tell"), (false, "would refuse")] {
        let world = World::new();
        let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce") + "dangerous_no_attestation: true\n";
        let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + SPDX;
        world.set_policies(&format!("{enforce}---\n{audit}"), Unmatched::Deny);
        let (index, [amd64, arm64]) = signed_index(&world);
        if attested {
            attest(&world, amd64, RELEASE);
        }
        world.hide(arm64);
        let warnings = world.permit(index).await.warnings().to_vec();
        assert!(warnings[0].contains(&format!("audit: policy watch {verb}")), "{warnings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_about_platforms_while_a_signature_is_wanting() {
    let world = wanting("each_platform");
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
    assert_eq!(world.refusal(index).await.code(), "signature_missing");
    assert_eq!(world.asked(Ask::Referrers), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_an_audit_policy_where_looking_at_platforms_admits_nothing() {
    let world = World::new();
    let enforce = policy("release", "reg.test/acme/**", "https://other.test/release", "enforce");
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + SPDX;
    world.set_policies(&format!("{enforce}---\n{audit}"), Unmatched::Deny);
    let (index, _) = signed_index(&world);
    assert_eq!(world.refusal(index).await.code(), "identity_mismatch");
    assert_eq!(world.asked(Ask::Referrers), 1);
}

#[tokio::test(start_paused = true)]
async fn c3_after_a_restart_without_an_upstream_the_platforms_evidence_is_here_too() {
    let mut world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    attest(&world, arm64, RELEASE);
    world.permit(index).await;
    world.all_fail(Fault::Down);
    world.restart();
    assert!(world.permit(index).await.warnings().is_empty());
    // Beyond the life of a verdict it is stale, and said to be, until it is too old.
    wait(2 * 3_600).await;
    let permit = world.permit(index).await;
    assert!(permit.warnings()[0].starts_with("110 - "), "{:?}", permit.warnings());
    wait(25 * 3_600).await;
    world.undecided(index).await;
}

/// Each platform's evidence is as old as it is, whenever the index's was listed.
#[tokio::test(start_paused = true)]
async fn c12_a_permit_on_a_platforms_old_evidence_does_not_outlive_it() {
    let world = World::build(true, Config { max_stale: Some(Duration::from_secs(2 * 3_600 + 30)), ..config() });
    let text = policy("release", "reg.test/acme/**", RELEASE, "enforce") + SPDX;
    world.set_policies(&text, Unmatched::Deny);
    let (index, [amd64, arm64]) = signed_index(&world);
    world.attach(REPO, amd64, &signature(amd64, RELEASE));
    attest(&world, amd64, RELEASE);
    attest(&world, arm64, RELEASE);
    world.permit(amd64).await;
    wait(20).await;
    world.permit(index).await;
    world.all_fail(Fault::Down);
    wait(2 * 3_600).await;
    let permit = world.permit(index).await;
    assert_eq!(permit.warnings().len(), 2, "of the index and of its platforms: {:?}", permit.warnings());
    wait(11).await;
    world.undecided(index).await;
}

#[tokio::test(start_paused = true)]
async fn d4_an_sbom_withdrawn_from_a_platform_stops_counting() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    attest(&world, arm64, RELEASE);
    world.permit(index).await;
    world.withdraw(REPO, arm64);
    wait(3_601).await;
    world.refusal(index).await;
    // Nor does it come back when the upstream goes away.
    world.all_fail(Fault::Down);
    wait(11).await;
    world.undecided(index).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_is_its_own_only_platform() {
    for sbom_on in ["each_platform", "either"] {
        let world = wanting(sbom_on);
        let image = world.signed("a");
        world.permit(image).await;
        let without = world.image(REPO, "b");
        world.attach(REPO, without, &signature(without, RELEASE));
        assert_eq!(world.refusal(without).await.code(), "attestation_missing", "{sbom_on}");
        // An index of nothing that runs answers for itself: no platforms are not all platforms.
        let mut attests = descriptor(media_type::OCI_MANIFEST, image, 100);
        attests["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        attests["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        let empty = world.raw(REPO, index_of(&[attests]), Some(media_type::OCI_INDEX.into()));
        world.attach(REPO, empty, &signature(empty, RELEASE));
        assert_eq!(world.refusal(empty).await.code(), "attestation_missing", "{sbom_on}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_meets_the_whole_policy_alone_by_an_sbom_of_its_own() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    attest(&world, arm64, RELEASE);
    // Without its index it has an SBOM and no signature.
    assert_eq!(world.refusal(amd64).await.code(), "signature_missing");
    world.attach(REPO, arm64, &signature(arm64, RELEASE));
    assert_eq!(world.permit(arm64).await.grounds(), &Grounds::Policy);
    world.permit(index).await;
    assert_eq!(world.permit(amd64).await.grounds(), &Grounds::Parent(index));
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_sbom_of_a_platform_is_absent() {
    let world = wanting("each_platform");
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, amd64, RELEASE);
    world.attach(
        REPO,
        arm64,
        &bundle(json!({
            "about": arm64, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": spdx(), "entry": 7,
        })),
    );
    world.permit(index).await;
    world.deny(&format!("- {{log_entry: {{log: {}, index: 7}}, reason: INC-9}}\n", "ab".repeat(32)));
    let refusal = world.refusal(index).await;
    assert!(refusal.sentence().ends_with("(set aside: 1 denied by the deny-list)"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn an_audit_policy_looks_at_platforms_and_changes_nothing() {
    let world = World::new();
    let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce");
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit") + SPDX;
    world.set_policies(&format!("{enforce}---\n{audit}"), Unmatched::Deny);
    let (index, [amd64, arm64]) = signed_index(&world);
    attest(&world, index, RELEASE);
    attest(&world, amd64, RELEASE);
    let permit = world.permit(index).await;
    assert!(permit.warnings()[0].contains("platform linux/arm64"), "{:?}", permit.warnings());
    attest(&world, arm64, RELEASE);
    wait(3_601).await;
    assert!(world.permit(index).await.warnings().is_empty());
}
