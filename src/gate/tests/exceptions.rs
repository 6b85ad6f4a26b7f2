//! What ends: exceptions that stand in for evidence, ages of signatures, and statements that outdate each other. The clock
//! begins at 2026-11-22T12:00:00Z.

use std::time::Duration;

use serde_json::json;

use super::super::{testing::*, *};
use crate::{oci::Digest, policy::Unmatched, telemetry::Metrics};

const HOUR: u64 = 3_600;

/// The world's policy with more lines.
fn with(lines: &str) -> World {
    let world = World::new();
    amend(&world, lines);
    world
}

fn amend(world: &World, lines: &str) {
    world.set_policies(&(policy("release", "reg.test/acme/**", RELEASE, "enforce") + lines), Unmatched::Deny);
}

fn exception(digest: Digest, expires: &str) -> String {
    format!("exceptions: [{{digest: \"{digest}\", reason: JIRA-1, expires: {expires}}}]\n")
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

fn uses(what: &str) -> u64 {
    let text = Metrics::installed().render();
    let line = text.lines().find(|line| line.starts_with(&format!("pullgate_exceptions_used_total{{what=\"{what}\"}}")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_exception_admits_one_unsigned_digest_until_it_ends_and_is_counted_and_told() {
    let world = World::new();
    let (image, other) = (world.image(REPO, "a"), world.image(REPO, "b"));
    amend(&world, &exception(image, "2026-11-22T12:30:00Z"));
    let before = uses("digest");
    let permit = world.permit(image).await;
    let told = "299 - \"exception: policy release asks for no evidence until 2026-11-22T12:30:00Z: JIRA-1\"";
    assert_eq!((permit.grounds(), permit.warnings()), (&Grounds::Policy, &[told.to_owned()][..]));
    assert!(uses("digest") > before);
    assert_eq!((world.asked(Ask::Referrers), world.asked(Ask::Blob)), (0, 0), "no evidence is asked for");
    world.refusal(other).await;
    // Well within verdict_ttl, the permit ends with the exception, to the second.
    wait(HOUR / 2 - 1).await;
    world.permit(image).await;
    wait(1).await;
    assert!(world.gate.recall(&world.subject(REPO, image)).is_none());
    let refusal = world.refusal(image).await;
    assert_eq!(refusal.code(), "signature_missing");
    let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert!(unmet[0].details.iter().any(|line| line.contains("ended at 2026-11-22T12:30:00Z (JIRA-1)")), "{unmet:?}");
}

#[tokio::test(start_paused = true)]
async fn each_use_of_an_exception_is_counted_a_recalled_one_and_a_childs_too() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::new();
    let child = world.image(REPO, "amd64");
    let index = world.index(REPO, &[child]);
    amend(&world, &exception(index, "2027-01-31"));
    world.permit(index).await;
    world.permit(index).await;
    assert!(world.gate.recall(&world.subject(REPO, index)).is_some());
    world.permit(child).await;
    let other = world.signed("b");
    world.permit(other).await;
    let text = recorder.handle().render();
    assert!(text.contains("pullgate_exceptions_used_total{what=\"digest\"} 4\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_exception_needs_neither_a_trust_root_nor_whatever_holds_evidence() {
    let world = World::new();
    let image = world.image(REPO, "a");
    amend(&world, &exception(image, "2027-01-31"));
    world.trust.store(std::sync::Arc::new(crate::verify::TrustState::NotReady("not yet".into())));
    world.fault(Ask::Referrers, Fault::Down);
    assert_eq!(world.permit(image).await.warnings().len(), 1, "the exception's");
    let other = world.image(REPO, "b");
    world.undecided(other).await;
    // What an audit policy would say, nobody can without a trust root.
    let enforce = policy("release", "reg.test/acme/**", RELEASE, "enforce") + &exception(image, "2027-01-31");
    let audit = policy("watch", "reg.test/acme/**", RELEASE, "audit");
    world.set_policies(&format!("{enforce}---\n{audit}"), Unmatched::Deny);
    let permit = world.permit(image).await;
    let told = "299 - \"audit: policy watch could not tell: it cannot be told without a trust root: not yet\"";
    assert_eq!((permit.warnings()[1].as_str(), permit.warnings().len()), (told, 2));
}

#[tokio::test(start_paused = true)]
async fn an_exception_belongs_to_one_policy_and_lifts_no_denial() {
    let world = World::new();
    let image = world.image(REPO, "a");
    let excepted = policy("release", "reg.test/acme/**", RELEASE, "enforce") + &exception(image, "2027-01-31");
    world.set_policies(&format!("{excepted}---\n{}", policy("all", "reg.test/**", RELEASE, "enforce")), Unmatched::Deny);
    let refusal = world.refusal(image).await;
    let RefusalReason::Unmet { unmet, .. } = &refusal.reason else { panic!("{refusal:?}") };
    assert_eq!(unmet.iter().map(|unmet| unmet.policy.as_str()).collect::<Vec<_>>(), ["all"]);
    world.set_policies(&excepted, Unmatched::Deny);
    world.permit(image).await;
    world.deny(&format!("- {{digest: \"{image}\", reason: INC-7}}\n"));
    assert_eq!(world.refusal(image).await.code(), "denied");
}

#[tokio::test(start_paused = true)]
async fn a_dangerous_repository_is_excepted_and_no_other() {
    let world = with("exceptions: [{dangerous_repository: reg.test/acme/old, reason: JIRA-2, expires: 2026-11-22}]\n");
    let before = uses("dangerous_repository");
    let image = world.image("acme/old", "a");
    assert!(matches!(world.gate.admit(&world.subject("acme/old", image)).await, Ok(Verdict::Admit(_))));
    assert!(uses("dangerous_repository") > before);
    let image = world.image("acme/older", "a");
    assert!(matches!(world.gate.admit(&world.subject("acme/older", image)).await, Ok(Verdict::Refuse(_))));
    // 2026-11-22 ends at 24:00 UTC.
    wait(12 * HOUR).await;
    let image = world.image("acme/old", "b");
    assert!(matches!(world.gate.admit(&world.subject("acme/old", image)).await, Ok(Verdict::Refuse(_))));
}

#[tokio::test(start_paused = true)]
async fn i13_a_permit_ends_when_the_signature_it_rests_on_is_too_old() {
    let world = with("max_signature_age: 2h\n");
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature_at(image, RELEASE, "2026-11-22T10:20:00Z"));
    world.attach(REPO, image, &attestation(image, RELEASE));
    world.permit(image).await;
    wait(20 * 60 - 1).await;
    assert!(world.gate.recall(&world.subject(REPO, image)).is_some());
    wait(1).await;
    assert!(world.gate.recall(&world.subject(REPO, image)).is_none());
    assert_eq!(world.refusal(image).await.code(), "signature_too_old");
}

const NEWEST: &str = "attestations: [{predicate_type: https://spdx.dev/Document, match: newest, max_age: 30d}]\n";

/// An SBOM by the release workflow, made at `at`, that is one or is none.
fn sbom_at(image: Digest, at: &str, good: bool) -> serde_json::Value {
    let predicate = if good { spdx() } else { json!({}) };
    bundle(json!({"about": image, "by": RELEASE, "proves": "https://spdx.dev/Document", "predicate": predicate, "at": at}))
}

#[tokio::test(start_paused = true)]
async fn of_statements_that_outdate_each_other_the_newest_speaks_in_whatever_order_they_are_read() {
    for (old, new) in [(true, false), (false, true)] {
        for swapped in [false, true] {
            let world = with(NEWEST);
            let image = world.image(REPO, "a");
            let mut statements = [sbom_at(image, "2026-11-20T00:00:00Z", old), sbom_at(image, "2026-11-21T00:00:00Z", new)];
            if swapped {
                statements.reverse();
            }
            world.attach(REPO, image, &statements[0]);
            world.attach(REPO, image, &signature(image, RELEASE));
            // More than are verified at once, so that the second is seen after all the policy asks for is there.
            for at in 0..9 {
                world.attach(REPO, image, &json!({"garbage": at}));
            }
            world.attach(REPO, image, &statements[1]);
            if new {
                world.permit(image).await;
            } else {
                assert_eq!(world.refusal(image).await.code(), "attestation_malformed");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_newest_speaks_a_statement_that_could_not_be_had_makes_it_undecided() {
    let world = World::build(true, Config { max_stale: Some(Duration::ZERO), ..config() });
    let any = "attestations: [{predicate_type: https://spdx.dev/Document, max_age: 30d}]\n";
    amend(&world, any);
    let image = world.image(REPO, "a");
    world.attach(REPO, image, &signature(image, RELEASE));
    world.attach(REPO, image, &sbom_at(image, "2026-11-20T00:00:00Z", true));
    world.permit(image).await;
    // What was read is kept; what is new is listed and cannot be read.
    world.attach(REPO, image, &sbom_at(image, "2026-11-21T00:00:00Z", true));
    world.fault(Ask::Blob, Fault::Down);
    wait(HOUR + 1).await;
    amend(&world, NEWEST);
    world.undecided(image).await;
    amend(&world, any);
    world.permit(image).await;
    amend(&world, NEWEST);
    world.mend();
    wait(HOUR + 1).await;
    world.permit(image).await;
}
