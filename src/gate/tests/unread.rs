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

/// What nobody can verify may be the newest scan, and a bad one.
#[tokio::test(start_paused = true)]
async fn where_statements_are_weighed_together_one_that_cannot_be_verified_may_be_worse() {
    let spdx = "https://spdx.dev/Document";
    let unverified = |kind: &str, day: &str| {
        bundle(json!({"fails": "unsupported_log_entry", "proves": kind, "at": format!("2026-11-{day}T00:00:00Z")}))
    };
    let of = |how: &str| {
        let age = if how == "any" { "" } else { ", max_age: 10d" };
        format!("attestations: [{{predicate_type: {spdx}, match: {how}{age}}}]\n")
    };
    for (how, piece, admitted) in [
        ("newest", unverified(spdx, "21"), false),
        ("newest", unverified(spdx, "20"), false),
        // What is older than the newest does not speak, unless every one must be good.
        ("newest", unverified(spdx, "19"), true),
        ("all", unverified(spdx, "19"), false),
        // One that says nothing of when it was logged may be new.
        ("newest", bundle(json!({"fails": "unsupported_log_entry", "proves": spdx})), false),
        ("newest", unverified("https://spdx.dev/Document/v2.3", "21"), false),
        ("any", unverified(spdx, "21"), true),
        // Whatever it is proven to be one day, it will be of this type and not younger.
        ("newest", unverified("https://cyclonedx.org/bom", "21"), true),
        ("newest", unverified(spdx, "01"), true),
        // A signature, or nothing about the image.
        ("newest", fails("unsupported_log_entry"), true),
    ] {
        let world = World::new();
        world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + &of(how)), Unmatched::Deny);
        let image = world.image(REPO, "a");
        world.attach(REPO, image, &signature(image, RELEASE));
        let at = "2026-11-20T00:00:00Z";
        let good = json!({"about": image, "by": RELEASE, "proves": spdx, "predicate": super::super::testing::spdx(), "at": at});
        world.attach(REPO, image, &bundle(good));
        world.attach(REPO, image, &piece);
        if admitted {
            world.permit(image).await;
            continue;
        }
        let (code, sentence) = refused(&world, image).await;
        assert_eq!(code, "unsupported_log_entry");
        assert!(sentence.contains("weighs every statement there is, and one cannot be verified: intoto 0.0.1"), "{sentence}");
        let (_, explanation) = world.gate.explain(&world.subject(REPO, image)).await;
        assert_eq!((explanation.policies[0].holds, explanation.policies[0].reason), (false, Some("unsupported_log_entry")));
    }
}

/// Of each signer that is wanted the newest speaks, and nobody knows whose the one is.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_verified_may_be_newer_than_the_newest_of_one_entry_of_several() {
    let spdx = "https://spdx.dev/Document";
    for (day, admitted) in [("19", false), ("17", true)] {
        let world = World::new();
        let keyless = |subject: &str| format!("{{keyless: {{issuer: {ISSUER}, subject: {subject:?}}}}}");
        let of = format!("all_of: [{}, {}]", keyless(RELEASE), keyless(MALLORY));
        let entry = format!("attestations: [{{predicate_type: {spdx}, match: newest, max_age: 10d, {of}}}]\n");
        world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + &entry), Unmatched::Deny);
        let image = world.image(REPO, "a");
        world.attach(REPO, image, &signature(image, RELEASE));
        for (by, at) in [(RELEASE, "2026-11-20T00:00:00Z"), (MALLORY, "2026-11-18T00:00:00Z")] {
            let good = json!({"about": image, "by": by, "proves": spdx, "predicate": super::super::testing::spdx(), "at": at});
            world.attach(REPO, image, &bundle(good));
        }
        let at = format!("2026-11-{day}T00:00:00Z");
        world.attach(REPO, image, &bundle(json!({"fails": "unsupported_log_entry", "proves": spdx, "at": at})));
        if admitted {
            world.permit(image).await;
        } else {
            assert_eq!(refused(&world, image).await.0, "unsupported_log_entry");
        }
    }
}

/// What an entry does not look at, it does not weigh.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_verified_is_minded_where_its_entry_looks_only() {
    let (spdx, other) = ("https://spdx.dev/Document", "https://acme.test/review");
    for (sbom_on, on_index, kind, admitted) in [
        ("each_platform", false, spdx, false),
        ("each_platform", true, spdx, true),
        ("each_platform", false, other, true),
        ("each_platform", true, other, false),
        // One on the index would speak before any platform.
        ("either", true, spdx, false),
        ("either", false, spdx, false),
    ] {
        let world = World::new();
        let entries = format!(
            "attestations: [{{predicate_type: {spdx}, match: newest, max_age: 10d, sbom_on: {sbom_on}}}, \
             {{predicate_type: {other}, match: newest, max_age: 10d}}]\n"
        );
        world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + &entries), Unmatched::Deny);
        let child = world.image(REPO, "amd64");
        let index = world.platforms(&[(child, Some("linux/amd64"))]);
        world.attach(REPO, index, &signature(index, RELEASE));
        for (about, proves) in [(index, other), (child, spdx)] {
            let predicate = super::super::testing::spdx();
            let at = "2026-11-20T00:00:00Z";
            let good = json!({"about": about, "by": RELEASE, "proves": proves, "predicate": predicate, "at": at});
            world.attach(REPO, about, &bundle(good));
        }
        let of = if on_index { index } else { child };
        let at = "2026-11-21T00:00:00Z";
        world.attach(REPO, of, &bundle(json!({"fails": "unsupported_log_entry", "proves": kind, "at": at})));
        if admitted {
            world.permit(index).await;
        } else {
            assert_eq!(refused(&world, index).await.0, "unsupported_log_entry", "{sbom_on} {on_index} {kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_sbom_that_cannot_be_verified_is_minded_under_an_exception_where_packages_are_denied() {
    let spdx = "https://spdx.dev/Document";
    for (kind, denied, old, good, admitted) in [
        (spdx, true, false, "", false),
        (spdx, false, false, "", true),
        ("https://acme.test/review", true, false, "", true),
        // The exception waives how old it may be.
        (spdx, true, true, "", false),
        // What is met without the exception is no less met with it, but for a newer one where the newest speaks.
        (spdx, true, false, "any", true),
        (spdx, true, false, "newest, max_age: 30d", false),
    ] {
        let world = World::new();
        let image = world.image(REPO, "a");
        let at = if old { "2026-01-01T00:00:00Z" } else { "2026-11-21T00:00:00Z" };
        world.attach(REPO, image, &bundle(json!({"fails": "unsupported_log_entry", "proves": kind, "at": at})));
        let how = if good.is_empty() { "any, max_age: 30d" } else { good };
        if !good.is_empty() {
            world.attach(REPO, image, &signature(image, RELEASE));
            let good = json!({"about": image, "by": RELEASE, "proves": spdx, "predicate": super::super::testing::spdx(), "at": "2026-11-20T00:00:00Z"});
            world.attach(REPO, image, &bundle(good));
        }
        let exception = format!("exceptions: [{{digest: \"{image}\", reason: JIRA-1, expires: 2027-01-31}}]\n");
        let sbom = format!("attestations: [{{predicate_type: {spdx}, match: {how}}}]\n");
        world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + &sbom + &exception), Unmatched::Deny);
        if denied {
            world.deny("- {package: {name: xz}, reason: INC-9}\n");
        }
        if admitted {
            world.permit(image).await;
        } else {
            assert_eq!(refused(&world, image).await.0, "unsupported_log_entry", "{kind} {old} {good}");
            let Ok(Verdict::Refuse(refusal)) = world.gate.admit(&world.subject(REPO, image)).await else { panic!("{kind}") };
            let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
            assert!(unmet[0].details.iter().any(|line| line.ends_with("deny digests in place of packages")), "{unmet:?}");
        }
    }
}
