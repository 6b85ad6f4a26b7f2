//! Evidence: what is published about a digest, as bytes with their origin. It proves nothing yet.
//!
//! The referrers API, the referrers tag `sha256-<hex>` and cosign's `.sig` and `.att` tags are searched at once. What
//! was looked at, what was found and what could not be had is kept as a trace, for the person who asks why.

pub mod cosign;
pub mod kept;
mod landing;
pub mod reader;
pub mod referrers;
pub mod search;
pub mod shape;

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use kept::Kept;
pub use reader::{Budget, Reader, Share, Unread};
pub use search::search;
pub use shape::{Shape, shape_of, shape_of_attestations};

use crate::oci::Digest;
/// What a piece of evidence is read from; see [`store`](crate::store).
pub use crate::store::{Document, DocumentReader};

/// Everything found about one subject.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The pieces, at most [`Limits::candidates`].
    pub pieces: Vec<Piece>,
    /// Each place looked at, in order of asking.
    pub trace: Vec<Look>,
    /// What could not be had and may have mattered. If requirements stay unmet, the outcome is undecided.
    pub missing: Vec<String>,
    /// Which limits ended the search or set a piece aside. If requirements stay unmet, the refusal names them.
    pub limits_hit: Vec<String>,
    /// Something was not read because it is larger than a piece may be: one of those limits.
    pub oversized: bool,
    /// What was looked at and is no evidence, each with its reason. Never refuses by itself.
    pub set_aside: Vec<String>,
    /// The listing is older than the verdict life because the upstream could not be asked; this old.
    pub stale: Option<Duration>,
    /// Every manifest that carries what may be evidence, in order of reading: what is kept to find it all again.
    pub candidates: Vec<Candidate>,
    /// Documents that came from the upstream and whose hash was checked: what is kept with a permit.
    pub fetched: Vec<(Digest, Document)>,
    /// How long a throttling upstream asked us to wait.
    pub retry_after: Option<Duration>,
    /// The share of the budget that the pieces take.
    pub share: Option<Share>,
}

/// A manifest that may carry evidence about a subject. A pointer: what it says is proved by its signature, not by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it was listed.
    pub origin: Origin,
    /// The manifest.
    pub manifest: Digest,
}

/// One piece that may be evidence.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where it was found.
    pub origin: Origin,
    /// The manifest that carried it.
    pub manifest: Digest,
    /// The layer that is it.
    pub layer: Digest,
    /// The bytes.
    pub content: Content,
}

impl Piece {
    /// Where it was found, and in what.
    #[must_use]
    pub const fn source(&self) -> Source {
        Source { place: self.origin, manifest: self.manifest, layer: self.layer }
    }
}

/// Where a piece was found, and in what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Source {
    /// Where it was listed.
    pub place: Origin,
    /// The manifest that carries it.
    pub manifest: Digest,
    /// The layer that is it: a bundle, an envelope, a payload.
    pub layer: Digest,
}

/// Where a piece was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file of bundles, given in place of all other places.
    BundleFile,
    /// cosign's `.att` tag.
    CosignAttestationTag,
    /// cosign's `.sig` tag.
    CosignSignatureTag,
    /// The referrers API.
    ReferrersApi,
    /// The referrers tag `sha256-<hex>`.
    ReferrersTag,
}

impl Origin {
    /// For sentences.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BundleFile => "bundle file",
            Self::CosignAttestationTag => ".att tag",
            Self::CosignSignatureTag => ".sig tag",
            Self::ReferrersApi => "referrers API",
            Self::ReferrersTag => "referrers tag",
        }
    }
}

/// The bytes of a piece, by the form they were published in.
#[derive(Debug, Clone)]
pub enum Content {
    /// A Sigstore bundle, any version, as JSON.
    Bundle(Document),
    /// A layer of a `.att` manifest: a DSSE envelope, with the certificate, chain and Rekor bundle of its annotations.
    CosignAttestation {
        /// The envelope.
        envelope: Document,
        /// `dev.sigstore.cosign/certificate`, PEM.
        certificate: String,
        /// `dev.sigstore.cosign/bundle`, the Rekor v1 SET and entry as JSON.
        rekor_bundle: Option<String>,
        /// `dev.sigstore.cosign/rfc3161timestamp`, as JSON.
        timestamp: Option<String>,
    },
    /// A layer of a `.sig` manifest: a simple signing payload, its signature and the rest in annotations.
    CosignSignature {
        /// The payload.
        payload: Bytes,
        /// `dev.cosignproject.cosign/signature`, base64.
        signature: String,
        /// `dev.sigstore.cosign/certificate`, PEM.
        certificate: String,
        /// `dev.sigstore.cosign/bundle`.
        rekor_bundle: Option<String>,
        /// `dev.sigstore.cosign/rfc3161timestamp`.
        timestamp: Option<String>,
    },
}

/// One place looked at.
#[derive(Debug, Clone)]
pub struct Look {
    /// Which.
    pub origin: Origin,
    /// What was found: how many pieces, or why none.
    pub found: Found,
    /// How long it took.
    pub took: Duration,
}

/// What a look found.
#[derive(Debug, Clone)]
pub enum Found {
    /// Nothing there, authoritatively.
    Absent,
    /// It could not be asked.
    Failed(String),
    /// The registry has no such API.
    NoApi,
    /// So many pieces, of so many entries listed.
    Pieces {
        /// Entries listed.
        listed: usize,
        /// Pieces kept.
        kept: usize,
    },
}

/// Bounds of one search. Defaults are those of the design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pages of a referrers listing: 4.
    pub pages: usize,
    /// Candidates read: 100.
    pub candidates: usize,
    /// Bytes read in all: 128 MiB.
    pub total_bytes: u64,
    /// A bundle with a signature: 16 MiB.
    pub signature_bytes: u64,
    /// A bundle with an attestation: 96 MiB on the wire.
    pub attestation_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pages: 4, candidates: 100, total_bytes: 128 << 20, signature_bytes: 16 << 20, attestation_bytes: 96 << 20 }
    }
}

impl Limits {
    /// Of each bound the larger one.
    #[must_use]
    pub fn or_more(&self, other: &Self) -> Self {
        Self {
            pages: self.pages.max(other.pages),
            candidates: self.candidates.max(other.candidates),
            total_bytes: self.total_bytes.max(other.total_bytes),
            signature_bytes: self.signature_bytes.max(other.signature_bytes),
            attestation_bytes: self.attestation_bytes.max(other.attestation_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_bounds_the_larger_is_taken_of_each() {
        let less = Limits { pages: 1, candidates: 2, total_bytes: 3, signature_bytes: 4, attestation_bytes: 5 };
        let more = Limits { pages: 6, candidates: 1, total_bytes: 7, signature_bytes: 1, attestation_bytes: 8 };
        let largest = Limits { pages: 6, candidates: 2, total_bytes: 7, signature_bytes: 4, attestation_bytes: 8 };
        assert_eq!((less.or_more(&more), more.or_more(&less)), (largest.clone(), largest));
    }
}
