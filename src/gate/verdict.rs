//! The three outcomes. Only this room makes a [`Permit`], and only a permit makes a manifest response.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    explain::Explanation,
    memory::Basis,
    tags::{Guard, TagMoved},
};
use crate::{
    oci::{Digest, ImageName, Manifest},
    policy::{ExceptionFor, PolicyId, Unmet},
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
/// let permit = pullgate::gate::Permit { granted: todo!(), manifest: todo!() };
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Permit {
    granted: Arc<Granted>,
    manifest: Arc<Manifest>,
}

/// What was granted: a permit without the bytes. They are most of what a permit takes in memory, and can be read again.
#[derive(Debug)]
pub(in crate::gate) struct Granted {
    digest: Digest,
    until: Instant,
    terms: Arc<Terms>,
}

/// What a permit says beside what it is for and how long it holds: the same for most digests of an image.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gate) struct Terms {
    pub(in crate::gate) image: ImageName,
    pub(in crate::gate) grounds: Grounds,
    pub(in crate::gate) basis: Basis,
    pub(in crate::gate) warnings: Vec<String>,
    /// What it says to the guard of tags.
    pub(in crate::gate) guard: Option<Arc<Guard>>,
    /// What the exceptions are for that it rests on.
    pub(in crate::gate) exceptions: Vec<ExceptionFor>,
}

impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The rest seldom differs where these agree.
        (&self.image, self.basis, self.grounds.code()).hash(state);
    }
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
    pub(in crate::gate) fn grant(terms: Arc<Terms>, manifest: Arc<Manifest>, until: Instant) -> Self {
        let digest = *manifest.digest();
        Self { granted: Arc::new(Granted { digest, until, terms }), manifest }
    }

    /// What is remembered of it.
    pub(in crate::gate) const fn granted(&self) -> &Arc<Granted> {
        &self.granted
    }

    /// What it says to the guard of tags; none where no policy guards them.
    #[must_use]
    pub fn guard(&self) -> Option<&Arc<Guard>> {
        self.granted.terms.guard.as_ref()
    }

    /// What the exceptions are for that it rests on; seldom any.
    #[must_use]
    pub fn exceptions(&self) -> &[ExceptionFor] {
        &self.granted.terms.exceptions
    }

    /// Until when it may be recalled, by the monotonic clock (threats D4, R8).
    pub(in crate::gate) fn until(&self) -> Instant {
        self.granted.until
    }

    /// The image it is for.
    #[must_use]
    pub fn image(&self) -> &ImageName {
        &self.granted.terms.image
    }

    /// The judged manifest.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Why.
    #[must_use]
    pub fn grounds(&self) -> &Grounds {
        &self.granted.terms.grounds
    }

    /// Under which policies.
    #[must_use]
    pub fn policy(&self) -> PolicyId {
        self.granted.terms.basis.policy
    }

    /// Under which trust root; none where no signature was needed.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.granted.terms.basis.epoch
    }

    /// `Warning` header values, complete (`299 - "…"`, `110 - "…"`).
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.granted.terms.warnings
    }
}

impl Granted {
    /// The permit again, with the bytes it was given for; none for any others.
    pub(in crate::gate) fn again(self: &Arc<Self>, manifest: Arc<Manifest>) -> Option<Permit> {
        (*manifest.digest() == self.digest).then(|| Permit { granted: Arc::clone(self), manifest })
    }

    pub(in crate::gate) fn image(&self) -> &ImageName {
        &self.terms.image
    }

    pub(in crate::gate) const fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(in crate::gate) fn basis(&self) -> &Basis {
        &self.terms.basis
    }

    pub(in crate::gate) const fn until(&self) -> Instant {
        self.until
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndecidedReason {
    /// The only thing wrong is a signing time slightly in the future.
    Clock(String),
    /// Evidence or the manifest could not be fetched.
    EvidenceUnavailable(String),
    /// No trust root.
    NoTrustRoot(String),
    /// Too much work waiting.
    Overloaded,
    /// What the tag meant before cannot be read, or what it means now cannot be kept.
    TagHistory {
        /// The whole sentence, which names the image, and may end in a command.
        told: String,
        /// What the store said: it names its files, which is not for clients.
        error: String,
    },
    /// It took longer than the time there is.
    TimedOut,
}

impl UndecidedReason {
    /// The same with more to say of why, where there is anything to say.
    pub(in crate::gate) fn because(self, told: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Clock(why) => Self::Clock(told(why)),
            Self::EvidenceUnavailable(why) => Self::EvidenceUnavailable(told(why)),
            Self::NoTrustRoot(why) => Self::NoTrustRoot(told(why)),
            Self::Overloaded | Self::TagHistory { .. } | Self::TimedOut => self,
        }
    }
}
