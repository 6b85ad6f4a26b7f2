//! What is told of judgements: a count, an event, a number of verdicts. Each test has a recorder of its own.

#![expect(clippy::disallowed_types, reason = "a poisoned lock here means that the test has failed already")]

use std::sync::{Mutex, MutexGuard};

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    super::{testing::*, *},
    tags::{FIRST, OTHER, ask, fine, guarding, refused, signed},
};
use crate::{oci::Digest, policy::Unmatched, store::FactKind};

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

#[tokio::test(start_paused = true)]
async fn every_judgement_is_counted_by_its_outcome_and_reason_and_no_recall_is() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::new();
    let (signed, unsigned, child) = (world.signed("a"), world.image(REPO, "b"), world.image(REPO, "c"));
    let index = world.index(REPO, &[child]);
    let [evidence, _] = world.sign(REPO, index, RELEASE);
    for admitted in [signed, signed, evidence, index, child] {
        world.permit(admitted).await;
    }
    world.refusal(unsigned).await;
    world.refusal(unsigned).await;
    assert!(matches!(world.admit(Digest::sha256(b"nowhere")).await, Err(NoVerdict::Absent(_))));
    assert!(has(&recorder.handle().render(), "pullgate_verdicts 5"));
    let fresh = world.image(REPO, "d");
    world.fault(Ask::Referrers, Fault::Down);
    world.undecided(fresh).await;
    world.fault(Ask::ManifestByDigest, Fault::Lies);
    assert!(matches!(world.admit(fresh).await, Err(NoVerdict::Faulty(_))));
    world.fault(Ask::ManifestByDigest, Fault::Denied);
    assert!(matches!(world.admit(fresh).await, Err(NoVerdict::CredentialsRefused(_))));
    world.mend();
    world.set_policies(&policy("watch", "reg.test/acme/**", RELEASE, "audit"), Unmatched::Deny);
    world.permit(unsigned).await;
    world.set_policies(&policy("other", "reg.test/other/**", RELEASE, "enforce"), Unmatched::DangerousAllow);
    world.permit(unsigned).await;
    let text = recorder.handle().render();
    for (outcome, reason, times) in [
        ("permit", "policy", 2),
        ("permit", "evidence", 1),
        ("permit", "parent", 1),
        ("permit", "audited", 1),
        ("permit", "unmatched", 1),
        ("refusal", "signature_missing", 1),
        ("absent", "absent", 1),
        ("undecided", "evidence_unavailable", 1),
        ("faulty", "faulty", 1),
        ("faulty", "credentials_refused", 1),
    ] {
        let line = format!("pullgate_decisions_total{{outcome=\"{outcome}\",reason=\"{reason}\"}} {times}");
        assert!(has(&text, &line), "{line}\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_of_the_deny_list_is_counted_by_what_it_names() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::new();
    let (image, unsigned) = (world.signed("a"), world.image(REPO, "b"));
    world.refusal(unsigned).await;
    assert!(!recorder.handle().render().contains("pullgate_denied_total"), "a refusal for want of a signature is no use of it");
    world.deny("- {package: {name: openssl}, reason: INC-4}\n");
    world.refusal(image).await;
    assert!(has(&recorder.handle().render(), "pullgate_denied_total{by=\"package\"} 1"));
    world.deny(&format!("- {{digest: \"{image}\", reason: INC-7}}\n"));
    world.refusal(image).await;
    let text = recorder.handle().render();
    for line in ["pullgate_denied_total{by=\"package\"} 1", "pullgate_denied_total{by=\"digest\"} 1"] {
        assert!(has(&text, line), "{line}\n{text}");
    }
}

/// A log in memory.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.bytes().extend_from_slice(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn one_event_tells_each_judgement_with_who_signed() {
    let log = Log::default();
    let telling = Dispatch::new(tracing_subscriber::fmt().json().with_writer(log.clone()).finish());
    // While there is but one, `tracing` asks the thread that tells an event first whether anybody ever wants it: another test's.
    let _another = Dispatch::new(NoSubscriber::default());
    let _telling = tracing::dispatcher::set_default(&telling);
    let world = World::new();
    let image = world.signed("a");
    for at in 0..10 {
        world.attach(REPO, image, &signature(image, &format!("https://other.test/{at}")));
    }
    let cooled = policy("release", "reg.test/acme/**", RELEASE, "enforce") + "cooldown: 1m\n";
    world.set_policies(&cooled, Unmatched::Deny);
    world.refusal(image).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    world.permit(image).await;
    world.permit(image).await;
    let text = String::from_utf8(log.bytes().clone()).unwrap();
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let judged: Vec<_> = events.iter().map(|event| &event["fields"]).filter(|event| event["message"] == "judged").collect();
    let told: Vec<_> = judged.iter().map(|event| (event["verdict"].as_str(), event["reason"].as_str())).collect();
    assert_eq!(told, [(Some("refusal"), Some("cooldown")), (Some("permit"), Some("policy"))]);
    for event in judged {
        let signers = event["signers"].as_str().unwrap();
        assert_eq!(signers.matches("https://").count(), 8, "eight of them, each once: {signers}");
        assert!(signers.contains(RELEASE), "{signers}");
        assert_eq!(event["digest"], image.to_string());
    }
}

/// The sentence is cut to what a status line holds; the event is not.
#[tokio::test(start_paused = true)]
async fn the_event_of_a_tags_refusal_tells_what_was_before_and_who_signed() {
    let log = Log::default();
    let telling = Dispatch::new(tracing_subscriber::fmt().json().with_writer(log.clone()).finish());
    let _another = Dispatch::new(NoSubscriber::default());
    let _telling = tracing::dispatcher::set_default(&telling);
    let world = guarding();
    let long = format!("https://ci.acme.test/{}.yml", "x".repeat(300));
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let other = signed(&world, "other", &[(&long, "2026-02-01T00:00:00Z")]);
    assert!(fine(&world, was).await);
    refused(&world, other).await;
    let text = String::from_utf8(log.bytes().clone()).unwrap();
    let told = text.lines().find(|line| line.contains("tag_signer_changed")).unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let fields = &told["fields"];
    assert_eq!(fields["was"], was.to_string());
    assert_eq!((&fields["policies"], &fields["signers"]), (&"[\"release\"]".into(), &format!("[\"{long}\"]").into()));
    let before = format!("before it {} by https://ci.acme.test/release.yml", was.short());
    assert!(fields["summary"].as_str().is_some_and(|summary| summary.contains(&long) && summary.ends_with(&before)), "{fields}");
}

/// What could not be told of a tag is a judgement too; the log has what clients are not told.
#[tokio::test(start_paused = true)]
async fn a_tag_that_could_not_be_told_of_is_counted_and_one_event() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let log = Log::default();
    let telling = Dispatch::new(tracing_subscriber::fmt().json().with_writer(log.clone()).finish());
    let _another = Dispatch::new(NoSubscriber::default());
    let _telling = tracing::dispatcher::set_default(&telling);
    let world = guarding();
    let was = signed(&world, "was", &[(FIRST, "2026-01-01T00:00:00Z")]);
    let other = signed(&world, "other", &[(OTHER, "2026-02-01T00:00:00Z")]);
    world.hide(world.attach(REPO, other, &signature_at(other, FIRST, "2026-02-01T00:00:00Z")));
    assert!(fine(&world, was).await);
    assert!(ask(&world, other).await.is_err());
    world.facts.set_fact(FactKind::Tag, &format!("{}:v1", name(REPO)), b"{}").await.unwrap();
    assert!(ask(&world, other).await.is_err());
    let text = String::from_utf8(log.bytes().clone()).unwrap();
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = recorder.handle().render();
    for (reason, was, policies) in [("evidence_unavailable", Some(was.to_string()), "[\"release\"]"), ("tag_history", None, "[]")]
    {
        assert!(has(&counted, &format!("pullgate_decisions_total{{outcome=\"undecided\",reason=\"{reason}\"}} 1")), "{counted}");
        let told: Vec<_> = events.iter().map(|event| &event["fields"]).filter(|event| event["reason"] == reason).collect();
        assert!(told.len() == 1 && told[0]["verdict"] == "undecided" && told[0]["message"] == "judged", "{told:?}");
        assert_eq!((told[0]["was"].as_str(), &told[0]["policies"]), (was.as_deref(), &policies.into()));
    }
    let warned: Vec<_> = events.iter().filter(|event| event["level"] == "WARN").map(|event| &event["fields"]).collect();
    let accept = format!("to accept it: pullgate policy tag accept reg.test/acme/app:v1@{other} --config FILE");
    assert!(warned.len() == 1 && warned[0]["told"].as_str().is_some_and(|told| told.ends_with(&accept)), "{warned:?}");
    assert!(warned[0]["error"].as_str().is_some_and(|error| error.contains("tag history of ")), "{warned:?}");
}
