//! A scripted upstream: says what a test wants it to say, and counts what it was asked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use dashmap::DashMap;
use futures_util::{StreamExt as _, stream};

use crate::{
    oci::{Digest, Host, Reference, Repository, Tag},
    upstream::{BlobStream, FetchedManifest, Lost, ReferrersAnswer, Resolved, TagsPage, Upstream, UpstreamError},
};

/// A host, and what it says. Absent is [`UpstreamError::NotFound`].
#[derive(Debug)]
pub(super) struct Scripted {
    host: Host,
    /// Said to every question, before anything else.
    pub(super) failing: ArcSwap<Option<UpstreamError>>,
    /// By tag.
    pub(super) resolved: DashMap<String, Result<Resolved, UpstreamError>>,
    /// By tag or digest.
    pub(super) manifests: DashMap<String, FetchedManifest>,
    /// Pages, by number; empty is no API.
    pub(super) referrers: ArcSwap<Vec<Result<Bytes, UpstreamError>>>,
    pub(super) tags: ArcSwap<Vec<String>>,
    /// By digest: announced size and content.
    pub(super) blobs: DashMap<Digest, (Option<u64>, Bytes)>,
    /// Said of every blob that has begun, before its first piece.
    pub(super) breaks: ArcSwap<Option<UpstreamError>>,
    /// Repositories that have no blob.
    pub(super) lacks: dashmap::DashSet<String>,
    /// While a test holds it, no blob begins.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// While a test holds it, no blob ends, though all its bytes come.
    pub(super) rest: Arc<tokio::sync::Mutex<()>>,
    asked: AtomicUsize,
}

impl Scripted {
    pub(super) fn new(host: &str) -> Arc<Self> {
        Arc::new(Self {
            host: host.parse().unwrap(),
            failing: ArcSwap::default(),
            resolved: DashMap::new(),
            manifests: DashMap::new(),
            referrers: ArcSwap::default(),
            tags: ArcSwap::default(),
            blobs: DashMap::new(),
            breaks: ArcSwap::default(),
            lacks: dashmap::DashSet::new(),
            turn: tokio::sync::Mutex::default(),
            rest: Arc::default(),
            asked: AtomicUsize::new(0),
        })
    }

    /// How many questions there were.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Fails every question from now on, or none.
    pub(super) fn fail(&self, error: Option<UpstreamError>) {
        self.failing.store(Arc::new(error));
    }

    /// Publishes a manifest, by digest and by a tag where one is given.
    pub(super) fn publish(&self, tag: Option<&str>, text: &str) -> Digest {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let digest = Digest::sha256(&bytes);
        let fetched = FetchedManifest { digest, bytes, content_type: None };
        self.manifests.insert(digest.to_string(), fetched.clone());
        if let Some(tag) = tag {
            self.manifests.insert(tag.to_owned(), fetched);
            self.resolved.insert(tag.to_owned(), Ok(Resolved { digest, manifest: None }));
        }
        digest
    }

    /// Publishes a blob and gives its descriptor.
    pub(super) fn blob(&self, content: &str) -> serde_json::Value {
        let bytes = Bytes::copy_from_slice(content.as_bytes());
        let digest = Digest::sha256(&bytes);
        let size = bytes.len() as u64;
        self.blobs.insert(digest, (Some(size), bytes));
        serde_json::json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size})
    }

    fn ask(&self) -> Result<(), UpstreamError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match &**self.failing.load() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// What an upstream that cannot be reached says; the address is not for clients.
pub(super) fn unreachable(host: &str) -> UpstreamError {
    let source = Arc::new(std::io::Error::other("connect to 10.9.8.7:443 refused"));
    UpstreamError::Unreachable { host: host.into(), lost: Lost::Connection, source }
}

#[async_trait]
impl Upstream for Scripted {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, _: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        self.ask()?;
        // As over a network: others come to ask meanwhile.
        tokio::task::yield_now().await;
        self.resolved.get(tag.as_str()).map_or(Err(UpstreamError::NotFound), |resolved| resolved.clone())
    }

    async fn manifest_within(&self, _: &Repository, reference: &Reference, _: usize) -> Result<FetchedManifest, UpstreamError> {
        self.ask()?;
        self.manifests.get(&reference.to_string()).map(|found| found.clone()).ok_or(UpstreamError::NotFound)
    }

    async fn referrers(&self, _: &Repository, _: &Digest, next: Option<&str>) -> Result<ReferrersAnswer, UpstreamError> {
        self.ask()?;
        let at: usize = next.map_or(0, |next| next.parse().unwrap());
        let pages = self.referrers.load();
        match pages.get(at) {
            None => Ok(ReferrersAnswer::NoApi),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(bytes)) => {
                let next = (at + 1 < pages.len()).then(|| (at + 1).to_string());
                Ok(ReferrersAnswer::Page(crate::upstream::ReferrersPage { bytes: bytes.clone(), next }))
            }
        }
    }

    async fn tags(&self, _: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError> {
        self.ask()?;
        let all = self.tags.load();
        if all.is_empty() {
            return Err(UpstreamError::NotFound);
        }
        let after: Vec<String> = all.iter().filter(|tag| last.is_none_or(|last| tag.as_str() > last)).cloned().collect();
        let n = n.map_or(after.len(), |n| n as usize);
        Ok(TagsPage { more: after.len() > n, tags: after.into_iter().take(n).collect() })
    }

    async fn blob_size(&self, _: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        self.ask()?;
        self.blobs.get(digest).map(|blob| blob.1.len() as u64).ok_or(UpstreamError::NotFound)
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        self.ask()?;
        let _turn = self.turn.lock().await;
        if self.lacks.contains(repository.as_str()) {
            return Err(UpstreamError::NotFound);
        }
        let (size, bytes) = self.blobs.get(digest).map(|blob| blob.clone()).ok_or(UpstreamError::NotFound)?;
        let piece = Option::clone(&self.breaks.load()).map_or(Ok(bytes), Err);
        let rest = Arc::clone(&self.rest);
        let end = stream::once(async move {
            drop(rest.lock().await);
            Ok(Bytes::new())
        });
        Ok(BlobStream { size, pieces: stream::iter([piece]).chain(end).boxed() })
    }
}
