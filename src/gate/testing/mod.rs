//! A world in memory: an upstream with a script, a verifier that reads in the evidence what it proves, a wall clock that
//! follows the paused one.

mod asking;
mod evidence;
mod publishing;
mod upstream;
mod verifier;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

pub(super) use self::{
    evidence::{attestation, bundle, signature, signature_at, spdx},
    publishing::{descriptor, index_of},
    upstream::*,
    verifier::*,
};
use super::{Config, Gate};
use crate::{
    evidence::Limits,
    oci::ImageName,
    policy::{
        PolicySet, Unmatched,
        deny::{DenyList, parse_denials},
    },
    store::{self, Documents, Facts},
    verify::{TrustState, Unready},
};

pub(super) const RELEASE: &str = "https://ci.acme.test/release";
pub(super) const MALLORY: &str = "https://ci.mallory.test/release";
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(super) const ISSUER: &str = "https://issuer.test";

/// Everything a test needs: change it, ask it, restart it.
pub(super) struct World {
    pub(super) fake: Arc<Fake>,
    pub(super) documents: Arc<store::Memory>,
    pub(super) facts: Arc<dyn Facts>,
    pub(super) policies: Arc<ArcSwap<PolicySet>>,
    pub(super) trust: Arc<ArcSwap<TrustState>>,
    pub(super) runs: Arc<AtomicUsize>,
    pub(super) config: Config,
    pub(super) gate: Arc<Gate>,
    began: (tokio::time::Instant, Timestamp),
}

pub(super) const REPO: &str = "acme/app";

/// A policy for `images`, wanting a signature and an SPDX attestation by `subject`.
pub(super) fn policy(name: &str, images: &str, subject: &str, mode: &str) -> String {
    format!(
        "name: {name}\nimages: [\"{images}\"]\nmode: {mode}\nsignatures:\n  - keyless:\n      issuer: {ISSUER}\n      \
         subject: {subject}\n"
    )
}

pub(super) fn policies(text: &str, unmatched: Unmatched) -> PolicySet {
    PolicySet::from_text(Path::new("test.yaml"), text, unmatched).unwrap()
}

pub(super) fn config() -> Config {
    Config {
        verdict_ttl: Duration::from_secs(3_600),
        refusal_ttl: Duration::from_secs(10),
        max_stale: Some(Duration::from_secs(24 * 3_600)),
        deadline: Duration::from_secs(25),
        verdicts: 1_000,
        manifest_bytes: 64 << 20,
        limits: Limits::default(),
        verify_threads: 2,
    }
}

impl World {
    /// An upstream with the referrers API, and one enforcing policy for `reg.test/acme/**`.
    pub(super) fn new() -> Self {
        Self::build(true, config())
    }

    pub(super) fn without_api() -> Self {
        Self::build(false, config())
    }

    pub(super) fn build(api: bool, config: Config) -> Self {
        Self::built(api, 1_000, config)
    }

    pub(super) fn built(api: bool, page: usize, config: Config) -> Self {
        let fake = Arc::new(Fake {
            host: "reg.test".parse().unwrap(),
            api,
            page,
            state: Default::default(),
            delay: Duration::from_millis(10),
        });
        let set = policies(&policy("release", "reg.test/acme/**", RELEASE, "enforce"), Unmatched::Deny);
        let runs = Arc::new(AtomicUsize::new(0));
        let documents = Arc::new(store::Memory::default());
        let (policies, trust) = (Arc::new(ArcSwap::from_pointee(set)), Arc::new(ArcSwap::from_pointee(root(1, None, &runs))));
        let began = (tokio::time::Instant::now(), "2026-11-22T12:00:00Z".parse().unwrap());
        let facts: Arc<dyn Facts> = Arc::<store::Memory>::clone(&documents);
        let gate = start(&config, &documents, &facts, &policies, &trust, began);
        Self { fake, documents, facts, policies, trust, runs, config, gate, began }
    }

    /// The wall clock.
    pub(super) fn now(&self) -> Timestamp {
        self.began.1 + self.began.0.elapsed()
    }

    /// Another process on the same store.
    pub(super) fn restart(&mut self) {
        self.gate = start(&self.config, &self.documents, &self.facts, &self.policies, &self.trust, self.began);
    }

    pub(super) fn set_clock(&mut self, now: &str) {
        self.began = (tokio::time::Instant::now(), now.parse().unwrap());
        self.restart();
    }

    pub(super) fn set_policies(&self, text: &str, unmatched: Unmatched) {
        self.policies.store(Arc::new(policies(text, unmatched)));
    }

    /// Puts a deny-list in force, in place of the one before.
    pub(super) fn deny(&self, text: &str) {
        let mut problems = Vec::new();
        let denials = parse_denials(Path::new("deny.yaml"), text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let policies = PolicySet::clone(&self.policies.load()).with_deny(DenyList::new(denials));
        self.policies.store(Arc::new(policies));
    }

    /// Another trust root, perhaps one that no longer knows who vouched for `distrusts`.
    pub(super) fn set_root(&self, number: u8, distrusts: Option<&str>) {
        self.trust.store(Arc::new(root(number, distrusts, &self.runs)));
    }

    /// The first trust root, which does not know who vouched for `distrusts`, while the root called `name` is not ready.
    pub(super) fn set_unready(&self, name: &str, distrusts: Option<&str>) {
        let unready = vec![Unready { name: name.into(), why: "never refreshed".into() }];
        self.trust.store(Arc::new(root_with(1, distrusts, &self.runs, unready)));
    }
}

pub(super) fn name(repository: &str) -> ImageName {
    ImageName::new("reg.test".parse().unwrap(), repository.parse().unwrap())
}

fn start(
    config: &Config,
    documents: &Arc<store::Memory>,
    facts: &Arc<dyn Facts>,
    policies: &Arc<ArcSwap<PolicySet>>,
    trust: &Arc<ArcSwap<TrustState>>,
    (began, at): (tokio::time::Instant, Timestamp),
) -> Arc<Gate> {
    let documents: Arc<dyn Documents> = Arc::<store::Memory>::clone(documents);
    let clock = move || at + began.elapsed();
    Gate::with_clock(config.clone(), documents, Arc::clone(facts), Arc::clone(policies), Arc::clone(trust), clock)
}
