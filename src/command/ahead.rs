//! An upstream asked ahead: what a judgement of one image will ask is asked while policies and trust root are still read, and
//! what an answer leads to as soon as it is there.
//!
//! A judgement asks in three rounds, and waits for the slowest of each. Here a place that lists evidence is followed while the
//! others are still silent. Nothing is decided by it: every answer is given to the first who asks that question, who judges it
//! as if it had come just then, and whatever was not asked ahead, or is asked again, is asked of the upstream.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use futures_util::{StreamExt as _, stream};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    evidence::{cosign, referrers},
    oci::{Descriptor, Digest, Host, Manifest, Reference, Repository, Tag},
    store::HELD,
    upstream::{BlobStream, FetchedManifest, ReferrersAnswer, Resolved, TagsPage, Upstream, UpstreamError},
};

/// How many manifests are asked for because they are listed, and how many layers of them: more than most images have.
const FOLLOWED: usize = 8;
/// How often the tasks that ask have their turn before anything else: to connect, to be connected, to send.
const TURNS: usize = 8;

/// Questions whose answers are on their way, until somebody wants to know.
type Asked<K, T> = DashMap<K, AbortOnDropHandle<Result<T, UpstreamError>>>;

/// An upstream of which one image's questions were asked already.
#[derive(Debug)]
pub(super) struct Ahead {
    inner: Arc<dyn Upstream>,
    repository: Repository,
    manifests: Asked<Reference, FetchedManifest>,
    referrers: Asked<Digest, ReferrersAnswer>,
    blobs: Asked<Digest, Whole>,
    /// Manifests and layers asked for so far because they were listed.
    listed: AtomicUsize,
    layers: AtomicUsize,
}

/// A blob that was read to its end, or as far as was wanted of it.
#[derive(Debug)]
struct Whole {
    announced: Option<u64>,
    bytes: Bytes,
}

impl Ahead {
    fn new(inner: Arc<dyn Upstream>, repository: Repository) -> Self {
        let (manifests, referrers, blobs) = (few(), few(), few());
        Self { inner, repository, manifests, referrers, blobs, listed: AtomicUsize::new(0), layers: AtomicUsize::new(0) }
    }

    /// Asks for the manifest `subject` and at every place where evidence about it may be. When this returns, the questions
    /// are on their way.
    pub(super) async fn ask(inner: Arc<dyn Upstream>, repository: Repository, subject: Digest) -> Arc<Self> {
        let ahead = Arc::new(Self::new(inner, repository));
        // First what may lead on.
        ahead.ask_manifest(Reference::Tag(Tag::referrers_of(&subject)), Self::follow_index);
        ahead.ask_referrers(subject);
        for suffix in ["sig", "att"] {
            if let Some(tag) = Tag::cosign(&subject, suffix) {
                ahead.ask_manifest(Reference::Tag(tag), Self::follow_layers);
            }
        }
        ahead.ask_manifest(Reference::Digest(subject), |_, _| ());
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        ahead
    }

    fn ask_manifest(self: &Arc<Self>, reference: Reference, follow: fn(&Arc<Self>, &FetchedManifest)) {
        let (upstream, repository, ahead) = (Arc::clone(&self.inner), self.repository.clone(), Arc::downgrade(self));
        let wanted = reference.clone();
        let asking = async move {
            let answer = upstream.manifest(&repository, &wanted).await;
            if let (Ok(manifest), Some(ahead)) = (&answer, ahead.upgrade()) {
                follow(&ahead, manifest);
            }
            answer
        };
        self.manifests.entry(reference).or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(asking)));
    }

    fn ask_referrers(self: &Arc<Self>, subject: Digest) {
        let (upstream, repository, ahead) = (Arc::clone(&self.inner), self.repository.clone(), Arc::downgrade(self));
        let asking = async move {
            let answer = upstream.referrers(&repository, &subject, None).await;
            if let (Ok(ReferrersAnswer::Page(page)), Some(ahead)) = (&answer, ahead.upgrade()) {
                ahead.follow_list(&page.bytes);
            }
            answer
        };
        self.referrers.entry(subject).or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(asking)));
    }

    /// Asks for a layer that a manifest describes so; of one that turns out larger, for what shows that it is.
    fn ask_blob(self: &Arc<Self>, layer: &Descriptor) {
        let (upstream, repository, digest, size) = (Arc::clone(&self.inner), self.repository.clone(), layer.digest, layer.size);
        let asking = async move {
            let mut stream = upstream.blob(&repository, &digest).await?;
            let mut bytes = BytesMut::new();
            while bytes.len() as u64 <= size
                && let Some(piece) = stream.pieces.next().await
            {
                bytes.extend_from_slice(&piece?);
            }
            Ok(Whole { announced: stream.size, bytes: bytes.freeze() })
        };
        self.blobs.entry(digest).or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(asking)));
    }

    fn follow_index(self: &Arc<Self>, index: &FetchedManifest) {
        self.follow_list(&index.bytes);
    }

    fn follow_list(self: &Arc<Self>, index: &[u8]) {
        // What is wrong with it is told by who asked for it.
        let Ok(entries) = referrers::entries(index, FOLLOWED) else { return };
        for listed in entries.descriptors {
            if count(&self.listed) {
                self.ask_manifest(Reference::Digest(listed.digest), Self::follow_layers);
            }
        }
    }

    fn follow_layers(self: &Arc<Self>, found: &FetchedManifest) {
        let Ok(manifest) = Manifest::parse(found.digest, found.bytes.clone(), found.content_type.as_deref()) else { return };
        // Larger ones are not held in memory, but left in files.
        for (_, layer) in cosign::layers(&manifest).filter(|(_, layer)| layer.size <= HELD) {
            if count(&self.layers) {
                self.ask_blob(layer);
            }
        }
    }

    /// What was asked about this repository, if it was; `None` also where the task that asked is gone.
    async fn answered<K: Eq + Hash, T>(
        &self,
        repository: &Repository,
        asked: &Asked<K, T>,
        question: &K,
    ) -> Option<Result<T, UpstreamError>> {
        let (_, answer) = if *repository == self.repository { asked.remove(question) } else { None }?;
        answer.await.ok()
    }
}

/// A map for few: one for many would first count the processors, from files.
fn few<K: Eq + Hash, T>() -> DashMap<K, T> {
    DashMap::with_shard_amount(2)
}

/// Counts one more, if there may be one.
fn count(so_far: &AtomicUsize) -> bool {
    so_far.fetch_add(1, Ordering::Relaxed) < FOLLOWED
}

#[async_trait]
impl Upstream for Ahead {
    fn host(&self) -> &Host {
        self.inner.host()
    }

    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        self.inner.resolve(repository, tag).await
    }

    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError> {
        match self.answered(repository, &self.manifests, reference).await {
            Some(answer) => answer,
            None => self.inner.manifest_within(repository, reference, limit).await,
        }
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let first = if next.is_none() { self.answered(repository, &self.referrers, subject).await } else { None };
        match first {
            Some(answer) => answer,
            None => self.inner.referrers(repository, subject, next).await,
        }
    }

    async fn tags(&self, repository: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError> {
        self.inner.tags(repository, n, last).await
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        self.inner.blob_size(repository, digest).await
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        match self.answered(repository, &self.blobs, digest).await {
            Some(answer) => {
                let Whole { announced, bytes } = answer?;
                Ok(BlobStream { size: announced, pieces: stream::iter([Ok(bytes)]).boxed() })
            }
            None => self.inner.blob(repository, digest).await,
        }
    }

    async fn parents(&self, repository: &Repository, child: &Digest) -> Vec<Digest> {
        self.inner.parents(repository, child).await
    }

    async fn manifests_listing(&self, repository: &Repository, blob: &Digest) -> Vec<Digest> {
        self.inner.manifests_listing(repository, blob).await
    }
}

#[cfg(test)]
mod tests;
