//! The three outcomes. Only this room makes a [`Permit`], and only a permit makes a manifest response.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    explain::Explanation,
    tags::{Guard, TagMoved},
};
use crate::{
    oci::{Digest, ImageName, Manifest},
    policy::{PolicyId, Unmet},
    upstream::{Upstream, UpstreamError},
    verify::Epoch,
};

/// What is judged: a digest, in a repository, at an upstream.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where it comes from.
    pub upstream: Arc<dyn Upstream>,
    /// What policies match.
    pub image: ImageName,
    /// The digest.
    pub digest: Digest,
}

/// What the gate concluded. Could-not-tell is not a conclusion: see [`NoVerdict`].
#[must_use]
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Serve it.
    Admit(Permit),
    /// Do not, and say why.
    Refuse(Arc<Refusal>),
}

/// Proof that a manifest may be served. Only [`gate`](super) can make one, and it carries the very bytes that were judged.
///
/// ```compile_fail
/// let permit = pullgate::gate::Permit { inner: todo!() };
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Permit {
    inner: Arc<Granted>,
}

#[derive(Debug)]
struct Granted {
    image: ImageName,
    manifest: Arc<Manifest>,
    grounds: Grounds,
    policy: PolicyId,
    epoch: Option<Epoch>,
    warnings: Vec<String>,
    until: Instant,
    guard: Option<Arc<Guard>>,
}

/// Why a permit was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounds {
    /// Only audit policies name the image, and they would refuse or could not tell.
    Audited {
        /// What they would have said.
        would: String,
    },
    /// It is evidence: a signature, an attestation, or an index of such.
    Evidence,
    /// An admitted index of the same repository lists it.
    Parent(Digest),
    /// It meets every enforcing policy that names it.
    Policy,
    /// No policy names it, and `unmatched: dangerous_allow` is set.
    Unmatched,
}

impl Grounds {
    /// A code from a closed list, for metrics and for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Audited { .. } => "audited",
            Self::Evidence => "evidence",
            Self::Parent(_) => "parent",
            Self::Policy => "policy",
            Self::Unmatched => "unmatched",
        }
    }
}

impl Permit {
    /// The one place a permit comes from; `grep Permit::grant` is the audit.
    pub(in crate::gate) fn grant(
        image: ImageName,
        manifest: Arc<Manifest>,
        grounds: Grounds,
        policy: PolicyId,
        epoch: Option<Epoch>,
        warnings: Vec<String>,
        until: Instant,
    ) -> Self {
        Self { inner: Arc::new(Granted { image, manifest, grounds, policy, epoch, warnings, until, guard: None }) }
    }

    /// The same, with what it says to the guard of tags.
    pub(in crate::gate) fn guarding(self, guard: Option<Arc<Guard>>) -> Self {
        match Arc::try_unwrap(self.inner) {
            Ok(granted) => Self { inner: Arc::new(Granted { guard, ..granted }) },
            Err(inner) => Self { inner },
        }
    }

    /// What it says to the guard of tags; none where no policy guards them.
    #[must_use]
    pub fn guard(&self) -> Option<&Arc<Guard>> {
        self.inner.guard.as_ref()
    }

    /// Until when it may be recalled, by the monotonic clock (threats D4, R8).
    pub(in crate::gate) fn until(&self) -> Instant {
        self.inner.until
    }

    /// The image it is for.
    #[must_use]
    pub fn image(&self) -> &ImageName {
        &self.inner.image
    }

    /// The judged manifest.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.inner.manifest
    }

    /// Why.
    #[must_use]
    pub fn grounds(&self) -> &Grounds {
        &self.inner.grounds
    }

    /// Under which policies.
    #[must_use]
    pub fn policy(&self) -> PolicyId {
        self.inner.policy
    }

    /// Under which trust root; none where no signature was needed.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.inner.epoch
    }

    /// `Warning` header values, complete (`299 - "…"`, `110 - "…"`).
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }
}

/// A no, with its reason.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The image.
    pub image: ImageName,
    /// The digest.
    pub digest: Digest,
    /// Why.
    pub reason: RefusalReason,
    /// What was looked at and what each piece proved: the long story, for whoever asks why.
    pub explanation: Arc<Explanation>,
}

/// Why a subject is refused.
#[derive(Debug, Clone)]
pub enum RefusalReason {
    /// The digest is right, the content unacceptable: schema 1, ambiguous, malformed, too large.
    Content(crate::oci::ManifestError),
    /// The deny-list names the digest, for this reason.
    Denied(Arc<str>),
    /// No policy names the image.
    NoPolicy,
    /// A runnable image under an attachment tag.
    NotEvidence,
    /// The tag moved as it may not; the digest itself is admitted.
    TagMoved(Box<TagMoved>),
    /// Policies do not hold; at least one. `notes` say what was set aside, which limits were hit.
    Unmet {
        /// Each policy that does not hold.
        unmet: Vec<Unmet>,
        /// Evidence set aside, limits hit.
        notes: Vec<String>,
    },
}

/// Why there is no verdict.
#[derive(Debug, Clone)]
pub enum NoVerdict {
    /// The upstream has no such manifest: 404.
    Absent(Absent),
    /// The upstream refused our credentials, for the manifest itself: 403 saying so.
    CredentialsRefused(UpstreamError),
    /// The upstream's bytes are not what was asked for: 502.
    Faulty(Faulty),
    /// Could not tell: 503.
    Undecided(Undecided),
}

/// The upstream has no such thing, and said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent;

/// The upstream answered wrongly.
#[derive(Debug, Clone)]
pub struct Faulty(pub String);

/// Could not tell. Never remembered, never "unsigned".
#[derive(Debug, Clone)]
pub struct Undecided {
    /// Why.
    pub reason: UndecidedReason,
    /// When to ask again.
    pub retry_after: Duration,
}

/// Why it could not be told.
#[derive(Debug, Clone)]
pub enum UndecidedReason {
    /// The only thing wrong is a signing time slightly in the future.
    Clock(String),
    /// Evidence or the manifest could not be fetched.
    EvidenceUnavailable(String),
    /// No trust root.
    NoTrustRoot(String),
    /// Too much work waiting.
    Overloaded,
    /// It took longer than the time there is.
    TimedOut,
}
