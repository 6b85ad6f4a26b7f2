//! The gate: admits a subject, or refuses it, or says that it could not tell.

pub mod verdict;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

pub use verdict::{
    Absent, Faulty, Grounds, NoVerdict, Permit, Refusal, RefusalReason, Subject, Undecided, UndecidedReason, Verdict,
};

use crate::{
    evidence,
    oci::{Digest, ImageName},
    policy::PolicySet,
    store::Documents,
    upstream::Upstream,
    verify::TrustState,
};

/// What the configuration says of the gate.
#[derive(Debug, Clone)]
pub struct Config {
    /// After this long evidence is listed again: 1 h.
    pub verdict_ttl: Duration,
    /// How long a refusal is remembered: 10 s (push-then-sign gaps are normal).
    pub refusal_ttl: Duration,
    /// How old evidence may be when the upstream cannot be asked: 24 h. `None` is forever.
    pub max_stale: Option<Duration>,
    /// A judgement's deadline: 25 s (containerd gives up at 30).
    pub deadline: Duration,
    /// Verdicts remembered: 200,000.
    pub verdicts: usize,
    /// Bytes of manifests kept in memory: 64 MiB.
    pub manifest_bytes: u64,
    /// Bounds of one search for evidence.
    pub limits: evidence::Limits,
    /// Verifications at once; the CPU count.
    pub verify_threads: usize,
}

/// Judges subjects and remembers what it concluded.
#[derive(Debug)]
pub struct Gate {}

/// Whether a blob may be served.
#[derive(Debug, Clone)]
pub enum BlobVerdict {
    /// An admitted manifest of the repository lists it. `size` is what the manifest says.
    Listed {
        /// The manifest's permit.
        permit: Permit,
        /// Descriptor size in bytes.
        size: u64,
    },
    /// It is itself an admitted manifest: served as octets.
    Manifest(Permit),
    /// No admitted manifest of this repository lists it.
    Unlisted,
}

impl Gate {
    /// A gate that remembers nothing yet. `policies` and `trust` may be swapped at any time: verdicts made under
    /// others are then unreachable, without a flush.
    #[must_use]
    pub fn new(
        config: Config,
        documents: Arc<dyn Documents>,
        policies: Arc<ArcSwap<PolicySet>>,
        trust: Arc<ArcSwap<TrustState>>,
    ) -> Arc<Self> {
        let _ = (config, documents, policies, trust);
        unimplemented!()
    }

    /// Recalls or makes the verdict on `subject`.
    ///
    /// # Errors
    /// [`NoVerdict`] when there is none: absent, faulty, or could not tell.
    pub async fn admit(self: &Arc<Self>, subject: &Subject) -> Result<Verdict, NoVerdict> {
        let _ = subject;
        unimplemented!()
    }

    /// As [`admit`](Self::admit), for what stands under an attachment tag: only evidence is served there (D9).
    ///
    /// # Errors
    /// [`NoVerdict`].
    pub async fn admit_attachment(self: &Arc<Self>, subject: &Subject) -> Result<Verdict, NoVerdict> {
        let _ = subject;
        unimplemented!()
    }

    /// The permit remembered for `subject`, without any work: the hot path.
    #[must_use]
    pub fn recall(&self, subject: &Subject) -> Option<Permit> {
        let _ = subject;
        unimplemented!()
    }

    /// Whether `blob` may be served from `image`.
    ///
    /// # Errors
    /// [`NoVerdict`] when it could not be told.
    pub async fn admit_blob(
        self: &Arc<Self>,
        upstream: &Arc<dyn Upstream>,
        image: &ImageName,
        blob: &Digest,
    ) -> Result<BlobVerdict, NoVerdict> {
        let _ = (upstream, image, blob);
        unimplemented!()
    }
}
