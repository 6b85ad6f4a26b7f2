//! The deny-list (D4): in force at the next request, at every door, before policies; and never a way to block others.

use std::time::Duration;

use super::super::{testing::*, *};
use crate::{
    oci::{Algorithm, Digest},
    policy::Unmatched,
};

fn digest_entry(digest: Digest) -> String {
    format!("- {{digest: \"{digest}\", reason: INC-7 stolen key}}\n")
}

fn identity_entry(subject: &str) -> String {
    format!("- {{identity: {{issuer: https://issuer.test, subject: {subject}}}, reason: INC-8}}\n")
}

async fn is_denied(world: &World, digest: Digest) -> bool {
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
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.index(REPO, &children);
    world.sign(REPO, index, RELEASE);
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
async fn d4_a_denied_index_vouches_for_nothing_any_more() {
    let world = World::new();
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.index(REPO, &children);
    world.sign(REPO, index, RELEASE);
    world.permit(index).await;
    for child in children {
        world.permit(child).await;
    }
    world.deny(&digest_entry(index));
    assert!(is_denied(&world, index).await);
    for (child, seed) in children.into_iter().zip(["amd64", "arm64"]) {
        assert!(world.gate.recall(&world.subject(REPO, child)).is_none());
        assert_eq!(world.refusal(child).await.code(), "signature_missing");
        assert!(!world.listed(World::layer_of(seed)).await);
    }
    // Another index that lists it vouches still, and so does its own signature.
    let second = world.index(REPO, &children[..1]);
    world.sign(REPO, second, RELEASE);
    world.permit(second).await;
    assert_eq!(world.permit(children[0]).await.grounds(), &Grounds::Parent(second));
    world.sign(REPO, children[1], RELEASE);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(world.permit(children[1]).await.grounds(), &Grounds::Policy);
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

#[tokio::test(start_paused = true)]
async fn d4_an_image_whose_sbom_lists_a_denied_package_is_refused_with_the_reason() {
    let world = World::new();
    let image = world.signed("a");
    world.permit(image).await;
    let package = |package: &str| format!("- {{package: {package}, reason: INC-4 wallets}}\n");
    world.deny(&package("{name: openssl, versions: \"<3\"}"));
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "denied");
    let sentence = refusal.sentence();
    assert!(sentence.contains("openssl <3 is denied by the deny-list: INC-4 wallets; found openssl"), "{sentence}");
    world.deny(&package("\"pkg:npm/event-stream\""));
    world.permit(image).await;
    // Nobody's SBOM counts but the one a policy relies on: else anyone could block an image by attesting to it.
    world.deny(&package("left-pad").replace("left-pad", "{name: left-pad}"));
    let mut theirs = spdx();
    theirs["packages"][0]["name"] = "left-pad".into();
    let predicate =
        serde_json::json!({"about": image, "by": MALLORY, "proves": "https://spdx.dev/Document", "predicate": theirs});
    world.attach(REPO, image, &bundle(predicate));
    world.permit(image).await;
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_package_is_refused_though_only_an_audit_policy_asks_for_the_sbom() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let watch = policy("watch", "reg.test/acme/**", RELEASE, "audit");
    let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce") + "dangerous_no_attestation: true\n";
    for (at, policies) in [(1, watch.clone()), (2, format!("{enforce}---\n{watch}"))] {
        let world = World::new();
        let image = world.signed("a");
        world.set_policies(&policies, Unmatched::Deny);
        world.permit(image).await;
        world.deny(OPENSSL);
        let refusal = world.refusal(image).await;
        assert_eq!(refusal.code(), "denied");
        assert!(
            refusal
                .sentence()
                .contains("policy watch attestation https://spdx.dev/Document: openssl is denied by the deny-list: INC-4"),
            "{refusal}"
        );
        let counted = format!("pullgate_denied_total{{by=\"package\"}} {at}\n");
        assert!(recorder.handle().render().contains(&counted), "{}", recorder.handle().render());
        // Where another SBOM might be the one that is relied on.
        world.fault(Ask::ManifestByTag, Fault::Down);
        let other = world.signed("b");
        world.undecided(other).await;
        world.mend();
        world.deny("- {package: {name: left-pad}, reason: INC-5}\n");
        world.permit(image).await;
    }
    // It is told before what else is wanting.
    let world = World::new();
    let image = world.signed("a");
    let other = policy("other", "reg.test/acme/**", MALLORY, "enforce");
    world.set_policies(&format!("{other}---\n{watch}"), Unmatched::Deny);
    world.deny(OPENSSL);
    assert_eq!(world.refusal(image).await.code(), "denied");
    // In the policy that watches, too.
    let unsigned = policy("watch", "reg.test/acme/**", MALLORY, "audit");
    let by = format!("keyless: {{issuer: {ISSUER}, subject: {RELEASE}}}");
    let watch = unsigned + &format!("attestations: [{{predicate_type: https://spdx.dev/Document, {by}}}]\n");
    world.set_policies(&watch, Unmatched::Deny);
    world.permit(image).await;
    world.deny(OPENSSL);
    assert_eq!(world.refusal(image).await.code(), "denied");
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_package_on_one_platform_is_refused_though_only_an_audit_policy_asks_for_its_sbom() {
    let audit = |text: &str| text.replace("mode: enforce", "mode: audit");
    let each = policy("watch", "reg.test/acme/**", RELEASE, "audit")
        + "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: each_platform}]\n";
    let world = World::new();
    let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
    let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
    world.attach(REPO, index, &signature(index, RELEASE));
    let mut clean = spdx();
    clean["packages"][0]["name"] = "left-pad".into();
    let clean =
        serde_json::json!({"about": children[0], "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": clean});
    world.attach(REPO, children[0], &bundle(clean));
    world.attach(REPO, children[1], &attestation(children[1], RELEASE));
    world.set_policies(&each, Unmatched::Deny);
    world.permit(index).await;
    world.deny(OPENSSL);
    let refusal = world.refusal(index).await;
    assert_eq!(refusal.code(), "denied", "{refusal}");
    assert!(refusal.sentence().contains("linux/arm64"), "{refusal}");
    // Where nobody could look, nothing was found: a policy that watches says that it could not tell.
    world.set_policies(&audit(&excepted(index, "each_platform")), Unmatched::Deny);
    world.deny(OPENSSL);
    world.trust.store(std::sync::Arc::new(crate::verify::TrustState::NotReady("not yet".into())));
    assert!(world.permit(index).await.warnings()[0].starts_with("299 - \"audit: could not tell"));
}

/// A policy that asks for an SBOM on these manifests, and an exception for one digest.
fn excepted(image: Digest, sbom_on: &str) -> String {
    policy("release", "reg.test/acme/**", RELEASE, "enforce")
        + &format!("attestations: [{{predicate_type: https://spdx.dev/Document, sbom_on: {sbom_on}}}]\n")
        + &format!("exceptions: [{{digest: \"{image}\", reason: JIRA-1, expires: 2027-01-31}}]\n")
}

/// When what was listed before must be listed anew.
async fn later() {
    tokio::time::advance(Duration::from_secs(3_601)).await;
}

const OPENSSL: &str = "- {package: {name: openssl}, reason: INC-4}\n";

#[tokio::test(start_paused = true)]
async fn d4_the_deny_list_comes_before_an_exception() {
    let world = World::new();
    let image = world.image(REPO, "a");
    world.set_policies(&excepted(image, "subject"), Unmatched::Deny);
    world.permit(image).await;
    world.deny(&digest_entry(image));
    assert!(is_denied(&world, image).await);

    // By package: nothing that the policy would rely on lists one, whoever else says so.
    world.deny(OPENSSL);
    world.permit(image).await;
    world.sign(REPO, image, MALLORY);
    world.attach(REPO, image, &attestation(image, RELEASE));
    later().await;
    assert_eq!(world.permit(image).await.warnings().len(), 1, "the release workflow has not signed, so its SBOM is nobody's");
    world.attach(REPO, image, &signature(image, RELEASE));
    later().await;
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "denied");
    assert!(refusal.sentence().contains("openssl is denied by the deny-list: INC-4; found openssl"), "{refusal}");
    world.deny("- {package: {name: left-pad}, reason: INC-5}\n");
    assert!(world.permit(image).await.warnings()[0].contains("JIRA-1"));
}

#[tokio::test(start_paused = true)]
async fn d4_where_packages_are_denied_an_exception_waits_for_evidence_that_cannot_be_had_and_says_why() {
    for fault in [Ask::Referrers, Ask::Blob] {
        let world = World::new();
        let image = world.signed("a");
        world.set_policies(&excepted(image, "subject"), Unmatched::Deny);
        world.fault(fault, Fault::Down);
        world.permit(image).await;
        world.deny(OPENSSL);
        let undecided = world.undecided(image).await.to_string();
        assert!(undecided.contains("the deny-list names packages, so the exception of policy release"), "{undecided}");
        assert!(undecided.contains("deny digests instead"), "{undecided}");
        world.trust.store(std::sync::Arc::new(crate::verify::TrustState::NotReady("not yet".into())));
        assert!(
            matches!(world.undecided(image).await.reason, UndecidedReason::NoTrustRoot(why) if why.contains("names packages"))
        );
        world.set_root(1, None);
        world.mend();
        assert_eq!(world.refusal(image).await.code(), "denied");
    }
    // A policy that asks for no SBOM relies on none.
    let world = World::new();
    let image = world.image(REPO, "a");
    let none = excepted(image, "subject").replace(
        "attestations: [{predicate_type: https://spdx.dev/Document, sbom_on: subject}]",
        "dangerous_no_attestation: true",
    );
    world.set_policies(&none, Unmatched::Deny);
    world.deny(OPENSSL);
    world.permit(image).await;
    assert_eq!(world.asked(Ask::Referrers), 0);
}

#[tokio::test(start_paused = true)]
async fn d4_an_exception_is_blamed_only_where_it_alone_has_evidence_looked_for() {
    // What was found is denied already.
    let world = World::new();
    let image = world.signed("a");
    world.set_policies(&excepted(image, "subject"), Unmatched::Deny);
    world.deny(OPENSSL);
    world.fault(Ask::ManifestByTag, Fault::Down);
    let undecided = world.undecided(image).await.to_string();
    assert!(!undecided.contains("names packages"), "{undecided}");
    // There is none, and platforms are to be looked at all the same.
    let world = World::new();
    let index = world.index(REPO, &[world.image(REPO, "amd64")]);
    let attested = format!(
        "name: release\nimages: [\"reg.test/acme/**\"]\ndangerous_no_signature: true\nattestations:\n  - predicate_type: \
         https://spdx.dev/Document\n    sbom_on: each_platform\n    keyless: {{issuer: https://issuer.test, subject: {RELEASE}}}\n"
    );
    world.set_policies(&attested, Unmatched::Deny);
    world.trust.store(std::sync::Arc::new(crate::verify::TrustState::NotReady("not yet".into())));
    assert!(matches!(world.undecided(index).await.reason, UndecidedReason::NoTrustRoot(why) if why == "not yet"));
}

#[tokio::test(start_paused = true)]
async fn d4_a_denied_package_on_one_platform_refuses_an_excepted_index() {
    for sbom_on in ["each_platform", "either"] {
        let world = World::build(true, Config { max_stale: Some(Duration::ZERO), ..config() });
        let children = [world.image(REPO, "amd64"), world.image(REPO, "arm64")];
        let index = world.platforms(&[(children[0], Some("linux/amd64")), (children[1], Some("linux/arm64"))]);
        world.attach(REPO, index, &signature(index, RELEASE));
        world.set_policies(&excepted(index, sbom_on), Unmatched::Deny);
        world.permit(index).await;
        assert_eq!(world.asked(Ask::Referrers), 0);
        world.deny(OPENSSL);
        world.trust.store(std::sync::Arc::new(crate::verify::TrustState::NotReady("not yet".into())));
        assert!(
            matches!(world.undecided(index).await.reason, UndecidedReason::NoTrustRoot(why) if why.contains("names packages"))
        );
        world.set_root(1, None);
        world.permit(index).await;
        world.attach(REPO, children[1], &attestation(children[1], RELEASE));
        world.hide_referrers(children[1]);
        later().await;
        world.undecided(index).await;
        world.mend();
        later().await;
        let refusal = world.refusal(index).await;
        assert_eq!(refusal.code(), "denied", "{refusal}");
        assert!(refusal.sentence().contains("platform linux/arm64: openssl is denied"), "{refusal}");
    }
}

/// Nobody looks into it, so no SBOM of it is one that the policy would rely on.
#[tokio::test(start_paused = true)]
async fn d4_where_packages_are_denied_an_excepted_index_with_an_index_in_it_is_still_excepted() {
    let world = World::new();
    let nested = world.index(REPO, &[world.image(REPO, "amd64")]);
    let child = descriptor(crate::oci::media_type::OCI_INDEX, nested, 100);
    let index = world.raw(REPO, index_of(&[child]), Some(crate::oci::media_type::OCI_INDEX.into()));
    world.set_policies(&excepted(index, "each_platform"), Unmatched::Deny);
    world.deny(OPENSSL);
    assert!(world.permit(index).await.warnings()[0].contains("JIRA-1"));
}

#[tokio::test(start_paused = true)]
async fn d4_junk_that_hides_the_sbom_of_an_excepted_image_admits_nothing() {
    let limits = crate::evidence::Limits { candidates: 3, ..config().limits };
    let world = World::build(true, Config { limits, ..config() });
    let image = world.image(REPO, "a");
    for at in 0..3 {
        world.attach(REPO, image, &serde_json::json!({"junk": at}));
    }
    world.sign(REPO, image, RELEASE);
    world.set_policies(&excepted(image, "subject"), Unmatched::Deny);
    world.permit(image).await;
    world.deny(OPENSSL);
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "evidence_limit");
    assert!(refusal.sentence().contains("as the deny-list names packages"), "{refusal}");
}

/// D4: each time that bytes come they are hashed for their other name, and what lies in the store is, whatever else comes.
#[tokio::test]
async fn a_layers_other_name_is_asked_of_every_fill_and_of_what_is_stored() {
    let world = World::new();
    let layer = Digest::sha256(b"layer");
    let (other, gate) = (Digest::of(Algorithm::Sha512, b"layer"), &world.gate);
    assert!(gate.naming(&layer).is_none() && gate.unnamed(&layer, false).is_none(), "nothing is denied so");
    world.deny(&format!("- {{digest: \"{}\", reason: INC-3}}\n", Digest::of(Algorithm::Sha512, b"else")));
    let first = gate.naming(&layer).unwrap();
    // Where the disk takes nothing, who comes later fetches anew.
    let mut second = gate.naming(&layer).unwrap();
    assert_eq!((gate.unnamed(&layer, true), gate.unnamed(&layer, false)), (None, Some(Algorithm::Sha512)));
    drop(first);
    assert_eq!(gate.unnamed(&layer, true), Some(Algorithm::Sha512), "what came to nothing tells nothing");
    second.update(b"layer");
    second.finish().unwrap();
    assert!(gate.naming(&layer).is_none() && gate.unnamed(&layer, false).is_none(), "known");
    world.deny(&format!("- {{digest: \"{other}\", reason: INC-4}}\n"));
    assert!(gate.denied_blob(&name(REPO), &layer).is_some());
}
