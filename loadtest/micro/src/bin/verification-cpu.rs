//! What a judgement takes of the processor, beside the two cryptographic verifications in it.
//!
//! One image with a signature and an SPDX attestation, its evidence in memory. Taken in turns, in one process:
//!
//! - `crate`: sigstore-verify's own `verify` of the two bundles, read beforehand: the least it can take.
//! - `crate_parse`: the same, and reading the bundles with the crate's reader.
//! - `proofs`: pullgate's verifier, from bytes to facts: bounds, strict reading, subject, the crate's call, signer, log entry.
//! - `judgement`: the same, then the policies that name the image, and whether they hold: identity, claims, SPDX document.
//! - `gate`: `Gate::admit` of an image it never saw, over an upstream that answers from memory: the search, its hashes, the
//!   threads it is handed to, and the permit too. Of the whole process.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use clap::Parser;
use jiff::Timestamp;
use pullgate::{
    evidence::Content,
    gate::{Subject, Verdict},
    oci::{Digest, ImageName},
    policy::{Case, PolicySet},
    upstream::Upstream,
    verify::{Sigstore, Verified, Verifier as _},
};
use pullgate_micro::{
    clock::{Cpu, median},
    documents::Forgetful,
    front,
    recorded::{self, HOST, Layout, POLICY, TRUSTED_ROOT},
    upstream::Recorded,
};
use serde_json::json;
use sigstore_trust_root::TrustedRoot;
use sigstore_types::{ArtifactDigest, Bundle, HashAlgorithm};
use sigstore_verify::{VerificationPolicy, Verifier};

const REPOSITORY: &str = "acme/app";
/// A judgement may take so much of what the crate takes.
const TARGET: f64 = 1.2;

#[derive(Parser)]
struct Args {
    /// How often each is measured.
    #[arg(long, default_value_t = 2_000)]
    rounds: usize,
    /// Only this one, with nothing said of ratios: for a profiler.
    #[arg(long)]
    only: Option<String>,
    /// Keep the figures here.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

/// The crate by itself.
struct Alone {
    verifier: Verifier,
    policy: VerificationPolicy,
    subject: Digest,
    texts: Vec<String>,
    bundles: Vec<Bundle>,
}

impl Alone {
    fn new(subject: Digest, bundles: &[bytes::Bytes]) -> Self {
        let root = TrustedRoot::from_json(TRUSTED_ROOT).expect("a trust root");
        let texts: Vec<_> = bundles.iter().map(|bundle| String::from_utf8(bundle.to_vec()).expect("JSON")).collect();
        let bundles = texts.iter().map(|text| Bundle::from_json(text).expect("a bundle")).collect();
        let policy = VerificationPolicy::any_identity();
        Self { verifier: Verifier::new(&root).expect("a trust root"), policy, subject, texts, bundles }
    }

    fn verify(&self, bundle: &Bundle) {
        let digest = ArtifactDigest::new(HashAlgorithm::Sha2256, self.subject.as_bytes()).expect("32 bytes");
        self.verifier.verify(digest, bundle, &self.policy).expect("a valid bundle");
    }

    fn all(&self) {
        self.bundles.iter().for_each(|bundle| self.verify(bundle));
    }

    fn all_from_text(&self) {
        self.texts.iter().for_each(|text| self.verify(&Bundle::from_json(text).expect("a bundle")));
    }
}

/// pullgate's judgement, from bytes to a policy's answer, as [`Gate`](pullgate::gate::Gate) makes it.
struct Ours {
    verifier: Sigstore,
    policies: PolicySet,
    image: ImageName,
    subject: Digest,
    contents: Vec<Content>,
}

impl Ours {
    fn facts(&self) -> Vec<Verified> {
        let prove = |content| self.verifier.verify(&self.subject, content).expect("valid evidence");
        self.contents.iter().flat_map(prove).collect()
    }

    fn judge(&self) {
        let selection = self.policies.select(&self.image);
        let facts = self.facts();
        let (image, subject) = (&self.image, &self.subject);
        let now = Timestamp::now();
        let case = Case { image, subject, facts: &facts, platforms: None, denied: selection.deny.packages(), now };
        for policy in &selection.enforce {
            // As the gate does: it is asked before there is evidence, because it may want none.
            policy.judge(&Case { facts: &[], ..case }).expect_err("it wants evidence");
            policy.judge(&case).expect("it holds");
        }
    }
}

/// Numbers that follow no order; the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("less than `end`")
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        (1..order.len()).for_each(|at| order.swap(at, self.below(at + 1)));
    }
}

fn main() {
    let Args { rounds, only, json } = Args::parse();
    let layout = Layout::acme();
    let subject = layout.tag(&format!("{REPOSITORY}:v1"));
    let bundles = layout.bundles(REPOSITORY, &subject);
    assert_eq!(bundles.len(), 2, "a signature and an attestation");
    let alone = Alone::new(subject, &bundles);
    let ours = Ours {
        verifier: Sigstore::from_trusted_root(TRUSTED_ROOT.as_bytes()).expect("a trust root"),
        policies: front::policies(POLICY),
        image: ImageName::new(HOST.parse().expect("a host"), REPOSITORY.parse().expect("a repository")),
        subject,
        contents: bundles.iter().map(recorded::content).collect(),
    };
    let upstream: Arc<dyn Upstream> = Arc::new(Recorded::new(HOST, REPOSITORY, layout));
    let gate = front::gate(Arc::new(Forgetful), &Arc::new(ArcSwap::from_pointee(front::policies(POLICY))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut fresh = 0_usize;
    let mut admit = || {
        // A name it has no verdict on; the digest and its evidence are the same.
        fresh += 1;
        let repository = format!("acme/app-{fresh}").parse().expect("a repository");
        let subject = Subject {
            upstream: Arc::clone(&upstream),
            image: ImageName::new(ours.image.host.clone(), repository),
            digest: ours.subject,
        };
        Cpu::Process.of(|| assert!(matches!(runtime.block_on(gate.admit(&subject)), Ok(Verdict::Admit(_))))).0
    };

    let mut work: [(&str, &mut dyn FnMut() -> Duration); 5] = [
        ("crate", &mut || Cpu::Thread.of(|| alone.all()).0),
        ("crate_parse", &mut || Cpu::Thread.of(|| alone.all_from_text()).0),
        ("proofs", &mut || Cpu::Thread.of(|| ours.facts()).0),
        ("judgement", &mut || Cpu::Thread.of(|| ours.judge()).0),
        ("gate", &mut admit),
    ];
    if let Some(only) = only {
        let (_, work) = work.into_iter().find(|(name, _)| *name == only).expect("a name of the above");
        (0..rounds).for_each(|_| _ = work());
        return;
    }
    let mut samples = vec![Vec::with_capacity(rounds); work.len()];
    let mut order: Vec<usize> = (0..work.len()).collect();
    let mut chance = Chance(1);
    for round in 0..rounds + rounds / 10 {
        chance.shuffle(&mut order);
        for &at in &order {
            let (_, work) = &mut work[at];
            // Once for nothing: whatever went before leaves the caches as it had need of them, and threads to be put to sleep.
            work();
            let took = work();
            if round >= rounds / 10 {
                samples[at].push(took);
            }
        }
    }

    let medians: Vec<(&str, Duration)> = work.iter().zip(&mut samples).map(|((name, _), times)| (*name, median(times))).collect();
    let base = medians[0].1.as_secs_f64();
    let figures: serde_json::Map<_, _> = medians
        .iter()
        .map(|(name, time)| {
            let (us, ratio) = (time.as_secs_f64() * 1e6, time.as_secs_f64() / base);
            println!("{name:12} {us:8.1} µs  {ratio:5.3} of the crate's two calls");
            ((*name).to_owned(), json!({"cpu_us": us, "ratio": ratio}))
        })
        .collect();
    let ratio = medians[3].1.as_secs_f64() / base;
    println!("judgement / crate = {ratio:.3}, target {TARGET}: {}", if ratio <= TARGET { "met" } else { "not met" });
    if let Some(path) = json {
        let report = json!({"rounds": rounds, "ratio": ratio, "target": TARGET, "medians": figures});
        std::fs::write(&path, format!("{report:#}\n")).expect("the figures are written");
    }
}
