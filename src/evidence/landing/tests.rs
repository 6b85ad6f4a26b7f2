//! Taking in, on a disk that takes all, some, or nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use tokio::time::Instant;

use super::*;
use crate::{
    oci::{Host, Reference, Tag},
    store::{Config, Store},
    upstream::{BlobStream, FetchedManifest, ReferrersAnswer, Resolved, TagsPage, UpstreamError},
};

/// Gives one blob, in pieces.
#[derive(Debug)]
struct One {
    host: Host,
    announced: Option<u64>,
    bytes: Bytes,
    piece: usize,
    /// Bytes of the pieces that are still held, and how many there were at most when another was asked for.
    held: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl One {
    fn new(bytes: &Bytes, announced: Option<u64>, piece: usize) -> Self {
        let host = "reg.test".parse().unwrap();
        Self { host, announced, bytes: bytes.clone(), piece, held: Arc::default(), most: Arc::default() }
    }
}

/// A piece, which counts while it is held.
struct Piece(Bytes, Arc<AtomicUsize>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Upstream for One {
    fn host(&self) -> &Host {
        &self.host
    }

    async fn resolve(&self, _: &Repository, _: &Tag) -> Result<Resolved, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn manifest_within(&self, _: &Repository, _: &Reference, _: usize) -> Result<FetchedManifest, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn referrers(&self, _: &Repository, _: &Digest, _: Option<&str>) -> Result<ReferrersAnswer, UpstreamError> {
        Ok(ReferrersAnswer::NoApi)
    }

    async fn tags(&self, _: &Repository, _: Option<u32>, _: Option<&str>) -> Result<TagsPage, UpstreamError> {
        Err(UpstreamError::NotFound)
    }

    async fn blob_size(&self, _: &Repository, _: &Digest) -> Result<u64, UpstreamError> {
        Ok(self.bytes.len() as u64)
    }

    async fn blob(&self, _: &Repository, _: &Digest) -> Result<BlobStream, UpstreamError> {
        let pieces: Vec<_> = self.bytes.chunks(self.piece).map(|piece| self.bytes.slice_ref(piece)).collect();
        let (held, most) = (Arc::clone(&self.held), Arc::clone(&self.most));
        let pieces = stream::iter(pieces).map(move |piece| {
            most.fetch_max(held.fetch_add(piece.len(), Ordering::SeqCst), Ordering::SeqCst);
            Ok(Bytes::from_owner(Piece(piece, Arc::clone(&held))))
        });
        Ok(BlobStream { size: self.announced, pieces: pieces.boxed() })
    }
}

struct Rig {
    store: Arc<Store>,
    budget: Budget,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Config { path: folder.path().join("store"), max_size: 1 << 30 }).unwrap();
        Self { store, budget: Budget::default(), _folder: folder }
    }

    async fn fetch(&self, bytes: &Bytes, digest: &Digest, size: u64) -> Result<Read<Document>, Unread> {
        self.fetch_announced(bytes, digest, size, None).await
    }

    async fn fetch_announced(
        &self,
        bytes: &Bytes,
        digest: &Digest,
        size: u64,
        announced: Option<u64>,
    ) -> Result<Read<Document>, Unread> {
        self.fetch_from(&One::new(bytes, announced, 50_000), digest, size).await
    }

    async fn fetch_from(&self, upstream: &One, digest: &Digest, size: u64) -> Result<Read<Document>, Unread> {
        fetch(upstream, &*self.store, &self.budget, &"acme/app".parse().unwrap(), digest, size).await
    }
}

fn content(len: usize) -> Bytes {
    (0..len).map(|at| (at / 7 % 251) as u8).collect::<Vec<_>>().into()
}

const SMALL: usize = 1 << 20;
const LARGE: usize = (3 << 20) + 5;

#[tokio::test]
async fn small_ones_are_held_and_large_ones_filed_and_both_are_what_was_sent() {
    let rig = Rig::new();
    for len in [0, 1, SMALL, SMALL + 1, LARGE] {
        let bytes = content(len);
        let read = rig.fetch(&bytes, &Digest::sha256(&bytes), len as u64).await.unwrap();
        assert_eq!(read.document.held().is_some(), len <= SMALL);
        assert_eq!(read.document.whole(u64::MAX).unwrap().unwrap(), bytes);
        assert!(read.fresh && read.share.is_none());
    }
}

#[tokio::test]
async fn a9_of_a_document_that_goes_into_a_file_only_a_batch_is_in_memory() {
    let rig = Rig::new();
    let bytes = content(LARGE);
    for piece in [50_000, BATCH + 1] {
        let upstream = One::new(&bytes, None, piece);
        assert!(rig.fetch_from(&upstream, &Digest::sha256(&bytes), LARGE as u64).await.unwrap().document.held().is_none());
        let most = upstream.most.load(Ordering::SeqCst);
        assert!(most < BATCH, "{most} bytes of pieces of {piece}");
    }
}

#[tokio::test]
async fn x4_other_bytes_or_another_length_are_not_had() {
    let rig = Rig::new();
    for len in [SMALL, LARGE] {
        let bytes = content(len);
        let digest = Digest::sha256(&bytes);
        for (sent, size) in [
            (content(len - 1), len as u64),
            (content(len + 1), len as u64),
            (bytes.clone(), len as u64 - 1),
            (vec![0; len].into(), len as u64),
        ] {
            let outcome = rig.fetch(&sent, &digest, size).await;
            assert!(matches!(outcome, Err(Unread::Failed { .. })), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_length_that_is_announced_must_be_the_manifests() {
    let rig = Rig::new();
    let bytes = content(SMALL);
    let (digest, size) = (Digest::sha256(&bytes), SMALL as u64);
    assert!(rig.fetch_announced(&bytes, &digest, size, Some(size)).await.is_ok());
    for other in [0, size - 1, size + 1] {
        let outcome = rig.fetch_announced(&bytes, &digest, size, Some(other)).await;
        assert!(matches!(&outcome, Err(Unread::Failed { why, .. }) if why.contains("announces another size")), "{outcome:?}");
    }
}

#[tokio::test]
async fn c1_a_full_disk_fails_no_judgement_while_there_is_room_in_memory() {
    let rig = Rig::new();
    let bytes = content(LARGE);
    let digest = Digest::sha256(&bytes);
    for full_at in [1, 1_000_000, LARGE as u64 - 1] {
        rig.store.fill_disk_at(full_at);
        let read = rig.fetch(&bytes, &digest, LARGE as u64).await.unwrap();
        assert!(read.document.held().is_some() && read.share.is_some(), "{full_at}");
        assert_eq!(read.document.whole(u64::MAX).unwrap().unwrap(), bytes);
        drop(read);
        // What is held for want of a disk takes its room of the budget, and is not waited for.
        let until = Instant::now() + Duration::from_secs(1);
        let _held = rig.budget.take(254 << 20, until).await.unwrap();
        let outcome = rig.fetch(&bytes, &digest, LARGE as u64).await;
        assert!(matches!(outcome, Err(Unread::Failed { .. })), "{outcome:?}");
    }
    rig.store.fill_disk_at(0);
    assert!(rig.fetch(&bytes, &digest, LARGE as u64).await.unwrap().document.held().is_none());
}
