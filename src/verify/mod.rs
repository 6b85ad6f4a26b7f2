//! What evidence proves: who signed, which statement, when. The only room that names `sigstore_*`.
//!
//! Verification is synchronous CPU work on a bounded pool, never on the async threads (TOB-SIGSTORE-8). It says what a
//! bundle proves about a digest; whether that is enough is [`policy`](crate::policy)'s to say.
//!
//! [`Sigstore`] verifies under one trust root: `bundle` and `legacy` read a piece of evidence within bounds and turn every
//! form of it into one Sigstore bundle in memory, `statement` reads what was signed (as a stream, from a `payload` that may
//! lie in a file), `certificate` who signed; `relaxed` is the one file that asks the crate for less. [`Roots`] is the
//! verifier in use, over every trust root there is. [`Pool`] runs it. [`trust_root`] says whom to believe, and keeps that
//! fresh.

pub mod artifact;
mod bundle;
mod certificate;
mod legacy;
mod logged;
mod payload;
mod pool;
mod predicate;
mod relaxed;
mod roots;
mod sigstore;
mod statement;
mod strict;
pub mod trust_root;

#[cfg(test)]
mod tests;

pub use pool::{Pool, PoolError};
pub use predicate::Predicate;
pub use relaxed::Relaxed;
pub use roots::{Roots, Unready};
pub(crate) use sigstore::CLOCK_FLOOR_SECONDS;
pub use sigstore::Sigstore;
pub use trust_root::{TrustRootConfig, TrustRootError, TrustRootSource};

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{evidence::Source, oci::Digest};

/// The version of everything that turns bytes into facts; part of every verdict's key, so that an upgrade judges anew.
pub const VERIFIER_VERSION: &str = concat!("pullgate-", env!("CARGO_PKG_VERSION"), "+facts-2+sigstore-verify-0.15.1");

/// One proven fact about a digest: a signer, what they signed, and when.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who, by the certificate.
    pub signer: Signer,
    /// What.
    pub content: Proven,
    /// The times authenticated by a log or a timestamp authority; never empty.
    pub times: Vec<Timestamp>,
    /// How the log vouches for it: the weakest of its log entries.
    pub log: LogEvidence,
    /// Its log entries; a deny-list can name one. None where `log` is [`LogEvidence::Absent`].
    pub entries: Vec<LogEntry>,
    /// Where it was found, if somebody asks why. No verifier knows that, and nothing is decided by it.
    pub source: Option<Box<Source>>,
}

/// Where a log has an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogEntry {
    /// The log's id: lower-case hex of what the trust root calls `logId.keyId`.
    pub log: String,
    /// The index in it, where something signed that: a Rekor v1 entry without a signed entry timestamp has none.
    pub index: Option<u64>,
}

/// What was signed.
#[derive(Debug, Clone)]
pub enum Proven {
    /// An in-toto statement whose subjects include the digest.
    Attestation(Statement),
    /// The manifest's bytes as a file (`cosign sign-blob`, a message signature). Not a signature of an image: a workflow
    /// that signs the files it builds may be made to sign one that reads as a manifest.
    File,
    /// A signature over the digest: cosign's simple signing, or a statement of type `https://sigstore.dev/cosign/sign/v1`.
    Signature,
}

/// An in-toto statement about the digest.
#[derive(Debug, Clone)]
pub struct Statement {
    /// `predicateType`, as found.
    pub predicate_type: String,
    /// `predicate`, as raw JSON text (`null` when absent). Strict: no duplicate keys.
    pub predicate: Predicate,
}

/// How a transparency log vouches for an entry, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogEvidence {
    /// Not at all: a timestamp authority alone says when. Only under a trust root that has no log and whose configuration
    /// says `dangerous_no_log`.
    Absent,
    /// A signed entry timestamp only (Rekor v1 SET).
    Promise,
    /// An inclusion proof under a signed checkpoint.
    Proof,
}

impl LogEvidence {
    /// Whether it is enough where a policy says `log: wanted`.
    ///
    /// `promise` is what every policy asks that says nothing, so it means "as good as its trust root gives": where the
    /// configuration gave up a root's log (`dangerous_no_log`), a fact under that root meets it without. `proof` is asked
    /// for in so many words, and nothing less than an inclusion proof meets it.
    #[must_use]
    pub fn meets(self, wanted: Self) -> bool {
        match wanted {
            Self::Absent | Self::Promise => true,
            Self::Proof => self == Self::Proof,
        }
    }
}

/// A certificate's identity and claims. Claims, proven to be the certificate's; authorisation is the policy's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signer {
    /// The name of the trust root that the certificate chains to; [`DEFAULT_TRUST_ROOT`] where only one is configured.
    pub trust_root: Arc<str>,
    /// The OIDC issuer (extension 1.3.6.1.4.1.57264.1.8, else .1.1).
    pub issuer: String,
    /// The kind of the single SAN.
    pub san_kind: SanKind,
    /// The single SAN, exact.
    pub subject: String,
    /// Fulcio's CI claims by their policy name (`source_repository_uri`, `runner_environment`, …); absent ones are absent.
    pub claims: BTreeMap<&'static str, String>,
}

/// The name of the trust root that a configuration's `trust_root` is.
pub const DEFAULT_TRUST_ROOT: &str = "default";

/// The kind of a subject alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SanKind {
    /// rfc822Name.
    Email,
    /// otherName, as Fulcio's username identities use.
    Other,
    /// URI.
    Uri,
}

/// Every claim a policy may name, sorted: Fulcio's provider-neutral extensions 1.3.6.1.4.1.57264.1.9 to .24 under the names
/// of its `oid-info.md` in snake case, and the five GitHub ones they replaced (.2 to .6) as `github_workflow_…`.
pub const CLAIMS: [&str; 21] = [
    "build_config_digest",
    "build_config_uri",
    "build_signer_digest",
    "build_signer_uri",
    "build_trigger",
    "deployment_environment",
    "github_workflow_name",
    "github_workflow_ref",
    "github_workflow_repository",
    "github_workflow_sha",
    "github_workflow_trigger",
    "run_invocation_uri",
    "runner_environment",
    "source_repository_digest",
    "source_repository_identifier",
    "source_repository_owner_identifier",
    "source_repository_owner_uri",
    "source_repository_ref",
    "source_repository_uri",
    "source_repository_visibility_at_signing",
    "token_subject",
];

/// Identifies the trust roots in use: the SHA-256 over each one's name, canonical document and what is relaxed about it.
/// Part of every verdict's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub Digest);

/// Why a piece proves nothing. Each is a reason to set the piece aside, never by itself a refusal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    /// The certificate is from no authority of the trust root, or not valid at the verified times, or has no single SAN.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Signed in the future by less than five minutes: our clock may be slow. Undecided, never a permit.
    #[error("signed {ahead_seconds} s in the future: the clock here may be slow")]
    Clock {
        /// By how much.
        ahead_seconds: u64,
    },
    /// It vouches for something else.
    #[error("it is about {found}, not about the digest asked for")]
    OtherSubject {
        /// What it is about.
        found: String,
    },
    /// The log entry is missing, from an unknown log, or not about this signature.
    #[error("transparency log: {0}")]
    Log(String),
    /// It cannot be read.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The signature does not verify.
    #[error("signature: {0}")]
    Signature(String),
    /// The timestamp does not verify, or there is no verified time.
    #[error("timestamp: {0}")]
    Timestamp(String),
    /// Above a bound.
    #[error("evidence_too_large: {0}")]
    TooLarge(String),
    /// It could not be read again from where it lies: undecided, never a permit.
    #[error("evidence: {0}")]
    Unreadable(String),
    /// A form we do not verify: a managed key, another type of payload.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// It is logged in a form that cannot be verified: among them `intoto` 0.0.1, which cosign wrote before July 2023.
    #[error("unsupported_log_entry: {entry}; sign or attest it again with a current cosign")]
    UnsupportedLogEntry {
        /// The entry's form.
        entry: String,
        /// Of which type the attestation says that it is, where it is one about the digest asked for. Nothing of it is proven;
        /// were it, it would be of this type and no other.
        predicate_type: Option<String>,
        /// When it says that it was logged: it is not younger. `None` where it does not.
        logged_at: Option<jiff::Timestamp>,
    },
}

/// Turns a piece of evidence into proven facts. The seam with two implementations (sigstore, and scripted in tests).
pub trait Verifier: Send + Sync + std::fmt::Debug {
    /// What `content` proves about `subject`: one fact for each trust root under which it verifies, at least one. A policy
    /// that names a root must not miss its fact because another root came first. Synchronous; callers run it on [`Pool`].
    ///
    /// # Errors
    /// Why it proves nothing.
    fn verify(&self, subject: &Digest, content: &crate::evidence::Content) -> Result<Vec<Verified>, VerifyError>;

    /// The trust roots this verifier was made with.
    fn epoch(&self) -> Epoch;

    /// The trust roots that are configured and not in it. What only they could prove is not known, which is no refusal.
    fn unready(&self) -> &[Unready] {
        &[]
    }
}

/// The verifier in use now, or why there is none.
#[derive(Debug, Clone)]
pub enum TrustState {
    /// No trust root yet, or the last good one is past `hard_stale`.
    NotReady(String),
    /// At least one is ready; `stale` says when a TUF root could not be refreshed, and which are not ready.
    Ready {
        /// The verifier.
        verifier: Arc<dyn Verifier>,
        /// What `/readyz` and a metric say.
        stale: Option<String>,
    },
}

/// Text of others for our sentences: escaped, printable ASCII, cut at 256 bytes (threats J2).
fn clean(text: &str) -> String {
    let mut cleaned: String = text.escape_default().take(256).collect();
    // `escape_default` escapes quotes too, which only makes ordinary messages hard to read.
    cleaned = cleaned.replace("\\\"", "\"").replace("\\'", "'");
    cleaned
}
