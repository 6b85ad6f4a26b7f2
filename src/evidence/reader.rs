//! Reads documents by digest: what is kept first, then the upstream; every read bounded, every byte hashed. Large ones are
//! left in files.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::landing;
use crate::{
    oci::{Digest, Manifest, Reference, Repository, manifest::MAX_MANIFEST},
    store::{Document, Documents, HELD},
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

/// What the evidence of all judgements under way may weigh together, in memory and in files: without it, as many images
/// with the largest allowed attestation as are asked for at once would be held at once (A9, H5).
#[derive(Debug, Clone)]
pub struct Budget {
    memory: Arc<Semaphore>,
    files: Arc<Semaphore>,
    /// What this is a part of.
    whole: Option<Arc<Self>>,
}

/// A share of the budget, given back when dropped.
#[derive(Debug, Clone)]
pub struct Share {
    _permits: Vec<Arc<OwnedSemaphorePermit>>,
}

impl Share {
    /// One share of both.
    pub fn join(&mut self, other: Self) {
        self._permits.extend(other._permits);
    }
}

impl Budget {
    /// 256 MiB: one search at its limit, were none of it in files, and as much again for all others.
    const BYTES: u64 = 256 << 20;
    /// 1 GiB: eight searches at their limits.
    const FILE_BYTES: u64 = 1 << 30;
    /// What reading a document takes while it lies in a file: what arrived and is not written yet.
    const READING: u64 = 1 << 20;
    const UNIT: u64 = 1 << 10;

    /// One such part of all there is.
    fn sized(part: u64) -> Self {
        let of = |bytes: u64| Arc::new(Semaphore::new((bytes / Self::UNIT / part) as usize));
        Self { memory: of(Self::BYTES), files: of(Self::FILE_BYTES), whole: None }
    }

    /// A part of it, half as large, for evidence from one upstream: else one that sends slowly would hold all of it, and every
    /// other's evidence would wait (H5).
    #[must_use]
    pub fn of_one(&self) -> Self {
        Self { whole: Some(Arc::new(self.clone())), ..Self::sized(2) }
    }

    /// Waits for room for `bytes` in memory, until `until`; `None` if there was none. More than there is in all counts as
    /// all: the largest waits for everybody rather than for ever.
    pub async fn take(&self, bytes: u64, until: Instant) -> Option<Share> {
        self.acquire(bytes, Self::BYTES, until, |budget| &budget.memory).await
    }

    /// The same for documents of these sizes, each where it will lie, and for `held` bytes more.
    pub async fn take_for(&self, sizes: &[u64], held: u64, until: Instant) -> Option<Share> {
        let (filed, small): (Vec<u64>, Vec<u64>) = sizes.iter().partition(|size| **size > HELD);
        let sum = |sizes: &[u64], more: u64| sizes.iter().fold(more, |sum, size| sum.saturating_add(*size));
        let memory = sum(&small, held).saturating_add(Self::READING.saturating_mul(filed.len() as u64));
        // Always in this order, so that no two searches wait for each other.
        let mut share = self.take(memory, until).await?;
        if !filed.is_empty() {
            share.join(self.acquire(sum(&filed, 0), Self::FILE_BYTES, until, |budget| &budget.files).await?);
        }
        Some(share)
    }

    /// Room for `bytes` of the `most` there are, of the part first: who waits for that holds nothing of the whole.
    async fn acquire(&self, bytes: u64, most: u64, until: Instant, of: fn(&Self) -> &Arc<Semaphore>) -> Option<Share> {
        let mut permits = Vec::new();
        for (budget, most) in self.and_whole(most) {
            let acquired = timeout_at(until, Arc::clone(of(budget)).acquire_many_owned(units(bytes, most)?));
            permits.push(Arc::new(acquired.await.ok()?.ok()?));
        }
        Some(Share { _permits: permits })
    }

    /// This, and what it is a part of, with how much each has of `most`.
    fn and_whole(&self, most: u64) -> impl Iterator<Item = (&Self, u64)> {
        let whole = self.whole.as_deref();
        std::iter::once((self, if whole.is_some() { most / 2 } else { most })).chain(whole.map(|whole| (whole, most)))
    }

    /// Room for `bytes` in memory if there is any now.
    pub(super) fn take_now(&self, bytes: u64) -> Option<Share> {
        let mut permits = Vec::new();
        for (budget, most) in self.and_whole(u64::MAX) {
            permits.push(Arc::new(Arc::clone(&budget.memory).try_acquire_many_owned(units(bytes, most)?).ok()?));
        }
        Some(Share { _permits: permits })
    }
}

fn units(bytes: u64, most: u64) -> Option<u32> {
    u32::try_from(bytes.min(most).div_ceil(Budget::UNIT)).ok()
}

impl Default for Budget {
    fn default() -> Self {
        Self::sized(1)
    }
}

/// A document and whether it came from the upstream now (then it is not kept yet).
#[derive(Debug, Clone)]
pub struct Read<T> {
    /// The document.
    pub document: T,
    /// It came from the upstream.
    pub fresh: bool,
    /// What it takes of the budget beyond what was taken for it.
    pub share: Option<Share>,
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
            | UpstreamError::Failing { .. }
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
        self.manifest_within(digest, MAX_MANIFEST).await
    }

    /// The same; from the upstream no more than `limit` bytes.
    pub(super) async fn manifest_within(&self, digest: &Digest, limit: usize) -> Result<Read<Manifest>, Unread> {
        if let Some(bytes) = self.documents.read(digest, MAX_MANIFEST).await {
            let manifest = Manifest::parse(*digest, bytes, None).map_err(|error| Unread::Unusable(error.to_string()))?;
            return Ok(Read { document: manifest, fresh: false, share: None });
        }
        let upstream = self.upstream.as_ref().ok_or_else(not_kept)?;
        let reference = Reference::Digest(*digest);
        let fetching = upstream.manifest_within(&self.repository, &reference, limit.min(MAX_MANIFEST));
        let fetched = timeout_at(self.until, fetching).await.map_err(|_| late())??;
        if !digest.matches(&fetched.bytes) {
            return Err(failed(format!("the upstream's bytes are not {}", digest.short())));
        }
        let manifest = Manifest::parse(*digest, fetched.bytes, fetched.content_type.as_deref())
            .map_err(|error| Unread::Unusable(error.to_string()))?;
        Ok(Read { document: manifest, fresh: true, share: None })
    }

    /// The blob `digest`, of which a manifest says that it has `size` bytes, at most `limit`.
    ///
    /// # Errors
    /// [`Unread`]; a body of another size or hash is [`Unread::Failed`]: what was asked for was not had.
    pub async fn blob(&self, digest: &Digest, size: u64, limit: u64) -> Result<Read<Document>, Unread> {
        let short = || digest.short();
        if size > limit {
            return Err(Unread::Limit(format!("{} has {size} bytes, at most {limit} are read", short())));
        }
        if let Some(document) = self.documents.open(digest, size).await {
            // Whoever wrote the manifest may have written any size. A permit on it would carry that size to whoever asks for
            // a blob that other manifests list too, so that none of them could be pulled.
            if document.len() != size {
                return Err(Unread::Unusable(format!("{} has {} bytes, not {size}", short(), document.len())));
            }
            return Ok(Read { document, fresh: false, share: None });
        }
        let upstream = self.upstream.as_ref().ok_or_else(not_kept)?;
        let (documents, budget) = (self.documents.as_ref(), &self.budget);
        let fetching = landing::fetch(upstream.as_ref(), documents, budget, &self.repository, digest, size);
        timeout_at(self.until, fetching).await.map_err(|_| late())?
    }
}

pub(super) fn failed(why: String) -> Unread {
    Unread::Failed { why, retry_after: None }
}

/// The upstream took too long.
pub(super) fn late() -> Unread {
    failed("no answer in time".into())
}

fn not_kept() -> Unread {
    failed("not kept here".into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Memory;

    /// Room that is there at once, or none.
    async fn room(budget: &Budget, bytes: u64) -> Option<Share> {
        budget.take(bytes, Instant::now()).await
    }

    async fn room_for(budget: &Budget, sizes: &[u64]) -> Option<Share> {
        budget.take_for(sizes, 0, Instant::now()).await
    }

    #[tokio::test]
    async fn a9_there_is_room_for_256_mib_in_memory_and_no_more() {
        let budget = Budget::default();
        let all = room(&budget, 268_435_456).await.unwrap();
        assert!(room(&budget, 1).await.is_none() && budget.take_now(1).is_none());
        drop(all);
        assert!(room(&budget, 1).await.is_some());
        // More than there is waits for all of it, not for ever.
        let all = room(&budget, u64::MAX).await.unwrap();
        assert!(room(&budget, 1).await.is_none());
        drop(all);
        assert!(budget.take_now(268_435_456).is_some() && budget.take_now(268_435_457).is_none());
    }

    /// H5: what one upstream holds leaves half for the others.
    #[tokio::test(start_paused = true)]
    async fn h5_one_upstream_holds_half_of_it_at_most_and_what_waits_for_it_holds_nothing() {
        let budget = Budget::default();
        let (slow, other) = (budget.of_one(), budget.of_one());
        let all = room(&slow, 268_435_456).await.unwrap();
        assert!(room(&slow, 1).await.is_none() && slow.take_now(1).is_none());
        assert!(room(&budget, 1).await.is_none(), "it counts as all");
        drop(all);
        let half = room_for(&slow, &[134_217_728 / 2, HELD]).await.unwrap();
        let more = room(&slow, 134_217_728 - 2 * 1_048_576).await.unwrap();
        assert!(room(&slow, 1).await.is_none() && slow.take_now(1).is_none());
        let others = room(&other, 134_217_728).await.unwrap();
        assert!(room(&budget, 1).await.is_none() && other.take_now(1).is_none());
        drop(more);
        assert!(room(&budget, 1).await.is_some() && slow.take_now(1).is_some());
        assert!(room(&other, 1).await.is_none());
        drop((half, others));
        let files = room_for(&slow, &[536_870_912]).await.unwrap();
        assert!(room_for(&slow, &[HELD + 1]).await.is_none() && room_for(&other, &[536_870_912]).await.is_some());
        drop(files);
        assert!(slow.take_now(134_217_728).is_some() && slow.take_now(134_217_729).is_none());
    }

    #[tokio::test]
    async fn a9_large_documents_take_a_gibibyte_of_files_and_a_mebibyte_of_memory_each() {
        let budget = Budget::default();
        let all = room_for(&budget, &[1_073_741_824]).await.unwrap();
        assert!(room_for(&budget, &[HELD + 1]).await.is_none());
        assert!(room_for(&budget, &[HELD]).await.is_some(), "it lies in memory");
        drop(all);

        let others = room(&budget, 254 * 1_048_576).await.unwrap();
        let two = room_for(&budget, &[HELD + 1, HELD + 1]).await.unwrap();
        assert!(room(&budget, 1).await.is_none());
        drop((others, two));
    }

    #[tokio::test]
    async fn what_is_kept_is_read_up_to_the_limit_and_in_the_size_a_manifest_says() {
        let (bytes, digest) = (Bytes::from_static(b"evidence"), Digest::sha256(b"evidence"));
        let documents = Memory::default();
        documents.write(&digest, &bytes).await.unwrap();
        let reader = Reader {
            upstream: None,
            documents: Arc::new(documents),
            repository: "acme/app".parse().unwrap(),
            until: Instant::now(),
            budget: Budget::default(),
            shapes: Budget::default(),
        };
        assert_eq!(reader.blob(&digest, 8, 8).await.unwrap().document.held(), Some(&bytes));
        assert!(matches!(reader.blob(&digest, 8, 7).await, Err(Unread::Limit(_))));
        assert!(matches!(reader.blob(&digest, 9, 9).await, Err(Unread::Unusable(_))));
        assert!(matches!(reader.blob(&digest, 7, 9).await, Err(Unread::Failed { .. })));
    }
}
