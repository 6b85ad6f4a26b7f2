//! What the store promises, kept against it. One suite for both [`Documents`]; blobs, eviction and damage on files.

mod blobs;
mod damage;
mod disk;
mod documents;
mod facts;
mod room;

use std::{
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;

use super::*;
use crate::oci::Algorithm;

/// A store in a directory of its own.
struct Rig {
    store: Option<Arc<Store>>,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::with(Index::new(1 << 30))
    }

    fn with(index: Index) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_with(&directory.path().join("store"), index).unwrap();
        Self { store: Some(store), directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.store().shelf.layout.blob(digest)
    }

    /// The process ends, however it ends, and starts again.
    fn restart(&mut self) {
        self.store = None;
        self.store = Some(Store::open_with(&self.root(), Index::new(1 << 30)).unwrap());
    }

    /// Pulls and reads whole.
    async fn keep(&self, bytes: &Bytes) -> Digest {
        let digest = Digest::sha256(bytes);
        let blob = self.store().pull(&fetch(&digest), opener(pieces(bytes, 10_000))).await.unwrap();
        assert_eq!(whole(&blob).await.unwrap(), bytes);
        digest
    }
}

/// Bytes that do not repeat, so that a wrong offset shows.
fn content(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(len).collect::<Vec<_>>().into()
}

/// A fetch of it from one and the same place.
fn fetch(digest: &Digest) -> Fetch {
    Fetch { host: "ghcr.io".parse().unwrap(), digest: *digest, listed: 0, own: None }
}

fn pieces(bytes: &Bytes, len: usize) -> Source {
    let pieces: Vec<_> = bytes.chunks(len).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    Source { size: Some(bytes.len() as u64), named: false, pieces: stream::iter(pieces).boxed() }
}

/// An opener that gives `source`.
fn opener(source: Source) -> impl FnOnce() -> std::future::Ready<Result<Source, FetchError>> + Send + 'static {
    move || std::future::ready(Ok(source))
}

/// An upstream whose pieces the test sends.
fn fed(size: Option<u64>) -> (tokio::sync::mpsc::UnboundedSender<Result<Bytes, FetchError>>, Source) {
    let (send, mut pieces) = tokio::sync::mpsc::unbounded_channel();
    (send, Source { size, named: false, pieces: stream::poll_fn(move |cx| pieces.poll_recv(cx)).boxed() })
}

async fn read(blob: &Blob, range: std::ops::Range<u64>) -> Result<Bytes, crate::body::BodyError> {
    Ok(blob.body(range).collect().await?.to_bytes())
}

async fn whole(blob: &Blob) -> Result<Bytes, crate::body::BodyError> {
    read(blob, 0..u64::MAX).await
}

/// What is given within half a second, and whether it ended: `None` if it did not, else whether cleanly.
async fn so_far(body: &mut crate::body::Body) -> (Vec<u8>, Option<bool>) {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(500), body.frame()).await {
            Err(_) => return (bytes, None),
            Ok(None) => return (bytes, Some(true)),
            Ok(Some(Err(_))) => return (bytes, Some(false)),
            Ok(Some(Ok(frame))) => bytes.extend_from_slice(frame.data_ref().unwrap()),
        }
    }
}
