//! Reads documents by digest: what is kept first, then the upstream; every read bounded, every byte hashed.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    oci::{Digest, Hasher, Manifest, Reference, Repository, manifest::MAX_MANIFEST},
    store::Documents,
    upstream::{Upstream, UpstreamError},
};

/// Where documents are read from. Without an upstream, only what is kept here can be read.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The upstream, where it may be asked.
    pub upstream: Option<Arc<dyn Upstream>>,
    /// What is kept.
    pub documents: Arc<dyn Documents>,
    /// The repository at the upstream.
    pub repository: Repository,
    /// When the upstream is no longer waited for.
    pub until: Instant,
    /// What all evidence in memory may weigh.
    pub budget: Budget,
    /// The same for documents read to know whether a manifest is evidence, one at a time; a budget of its own, because the
    /// search beside it may hold all of the other.
    pub shapes: Budget,
}

/// What the evidence of all judgements under way may weigh together: without it, as many images with the largest
/// allowed attestation as are asked for at once would be held at once (A9, H5).
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// A share of the budget, given back when dropped.
#[derive(Debug, Clone)]
pub struct Share {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Budget {
    /// 256 MiB: one search at its limit, and as much again for all others.
    const BYTES: u64 = 256 << 20;
    const UNIT: u64 = 1 << 10;

    /// Waits for room for `bytes`, until `until`; `None` if there was none. More than there is in all counts as all:
    /// the largest waits for everybody rather than for ever.
    pub async fn take(&self, bytes: u64, until: Instant) -> Option<Share> {
        let units = u32::try_from(bytes.min(Self::BYTES).div_ceil(Self::UNIT)).ok()?;
        let permit = timeout_at(until, Arc::clone(&self.0).acquire_many_owned(units)).await.ok()?.ok()?;
        Some(Share { _permit: Arc::new(permit) })
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new((Self::BYTES / Self::UNIT) as usize)))
    }
}

/// A document and whether it came from the upstream now (then it is not kept yet).
#[derive(Debug, Clone)]
pub struct Read<T> {
    /// The document.
    pub document: T,
    /// It came from the upstream.
    pub fresh: bool,
}

/// Why a document could not be read. The three kinds of no are never mixed up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unread {
    /// The upstream has no such thing, and said so.
    #[error("not there")]
    Absent,
    /// It could not be had; it may exist. Also where the upstream's bytes were not what was asked for.
    #[error("{why}")]
    Failed {
        /// Why.
        why: String,
        /// How long a throttling upstream asked us to wait.
        retry_after: Option<Duration>,
    },
    /// Above one of our bounds.
    #[error("{0}")]
    Limit(String),
    /// It is there, and is not what it would have to be.
    #[error("{0}")]
    Unusable(String),
}

impl From<UpstreamError> for Unread {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::NotFound => Self::Absent,
            UpstreamError::Throttled { retry_after, .. } => Self::Failed { why: error.to_string(), retry_after },
            UpstreamError::TooLarge { .. } => Self::Limit(error.to_string()),
            UpstreamError::Denied { .. }
            | UpstreamError::Forbidden(_)
            | UpstreamError::Lied { .. }
            | UpstreamError::Unreachable { .. } => Self::Failed { why: error.to_string(), retry_after: None },
        }
    }
}

impl Reader {
    /// The manifest `digest`.
    ///
    /// # Errors
    /// [`Unread`].
    pub async fn manifest(&self, digest: &Digest) -> Result<Read<Manifest>, Unread> {
        if let Some(bytes) = self.documents.read(digest, MAX_MANIFEST).await {
            let manifest = Manifest::parse(*digest, bytes, None).map_err(|error| Unread::Unusable(error.to_string()))?;
            return Ok(Read { document: manifest, fresh: false });
        }
        let upstream = self.upstream.as_ref().ok_or_else(not_kept)?;
        let reference = Reference::Digest(*digest);
        let fetched = timeout_at(self.until, upstream.manifest(&self.repository, &reference)).await.map_err(|_| late())??;
        if !digest.matches(&fetched.bytes) {
            return Err(failed(format!("the upstream's bytes are not {}", digest.short())));
        }
        let manifest = Manifest::parse(*digest, fetched.bytes, fetched.content_type.as_deref())
            .map_err(|error| Unread::Unusable(error.to_string()))?;
        Ok(Read { document: manifest, fresh: true })
    }

    /// The blob `digest`, of which a manifest says that it has `size` bytes, at most `limit`.
    ///
    /// # Errors
    /// [`Unread`]; a body of another size or hash is [`Unread::Failed`]: what was asked for was not had.
    pub async fn blob(&self, digest: &Digest, size: u64, limit: u64) -> Result<Read<Bytes>, Unread> {
        let short = || digest.short();
        if size > limit {
            return Err(Unread::Limit(format!("{} has {size} bytes, at most {limit} are read", short())));
        }
        let bound = usize::try_from(size).map_err(|_| Unread::Limit(format!("{} has {size} bytes", short())))?;
        if let Some(bytes) = self.documents.read(digest, bound).await {
            // Whoever wrote the manifest may have written any size. A permit on it would carry that size to whoever asks for
            // a blob that other manifests list too, so that none of them could be pulled.
            if bytes.len() != bound {
                return Err(Unread::Unusable(format!("{} has {} bytes, not {size}", short(), bytes.len())));
            }
            return Ok(Read { document: bytes, fresh: false });
        }
        let upstream = self.upstream.as_ref().ok_or_else(not_kept)?;
        timeout_at(self.until, fetch(upstream.as_ref(), &self.repository, digest, bound)).await.map_err(|_| late())?
    }
}

/// Takes in a blob of exactly `size` bytes.
async fn fetch(upstream: &dyn Upstream, repository: &Repository, digest: &Digest, size: usize) -> Result<Read<Bytes>, Unread> {
    let short = || digest.short();
    let mut stream = upstream.blob(repository, digest).await?;
    if stream.size.is_some_and(|announced| announced != size as u64) {
        return Err(failed(format!("the upstream announces another size than {size} for {}", short())));
    }
    // Grows with what arrives, not with what a manifest claims.
    let mut bytes = BytesMut::with_capacity(size.min(64 * 1024));
    let mut hasher = Hasher::new(digest.algorithm());
    while let Some(piece) = stream.pieces.next().await {
        let piece = piece?;
        if piece.len() > size - bytes.len() {
            return Err(failed(format!("the upstream sends more than the {size} bytes of {}", short())));
        }
        hasher.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    if hasher.finish() != *digest {
        return Err(failed(format!("the upstream's bytes are not {}", short())));
    }
    Ok(Read { document: bytes.freeze(), fresh: true })
}

fn failed(why: String) -> Unread {
    Unread::Failed { why, retry_after: None }
}

/// The upstream took too long.
pub(super) fn late() -> Unread {
    failed("no answer in time".into())
}

fn not_kept() -> Unread {
    failed("not kept here".into())
}
