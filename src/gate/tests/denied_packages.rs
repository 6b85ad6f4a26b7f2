//! Denied packages (D4), and what the deny-list does where an exception waives evidence: who is excepted is asked for an SBOM
//! where a package is denied, and for nothing else.

use std::time::Duration;

use super::{
    super::{testing::*, *},
    denied::{digest_entry, is_denied},
};
use crate::{oci::Digest, policy::Unmatched};

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
        world.hide(children[1]);
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
