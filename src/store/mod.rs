//! Content-addressed bytes on disk, and hints about them.
//!
//! # Guarantees
//! * A published file under a digest's name was hashed before it was published; it is never changed afterwards.
//! * Nobody sees a partial file: bytes are staged, synced, and renamed.
//! * The first read after a start hashes again: a lost fsync, a torn write or bit rot costs a refetch, never a wrong byte.
//! * Hints are never trusted, only followed. A hint that cannot be read is a hint that is not there.

mod memory;

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;

pub use self::memory::Memory;
use crate::oci::Digest;

/// What the configuration says of the store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the store; created with mode 0700.
    pub path: PathBuf,
    /// How many bytes blobs and evidence may take, evicted least recently used first.
    pub max_size: u64,
}

/// Why the store could not do what was asked. A read error is treated as a miss by callers that can fetch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The directory is in use by another process.
    #[error("store {path} is in use by another process")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The operating system said no.
    #[error("store {path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The bytes offered do not hash to the digest they were offered as.
    #[error("content offered as {wanted} hashes to {found}")]
    Mismatch {
        /// The name.
        wanted: Digest,
        /// The truth.
        found: Digest,
    },
}

/// What a hint is about. The key within a kind is free text (`host/repository@digest`, `host/repository:tag`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HintKind {
    /// blob → manifests that list it.
    Blob,
    /// child manifest → indexes that list it.
    Child,
    /// subject → the evidence found for it.
    Evidence,
    /// repository → indexes admitted there, latest first.
    Roots,
    /// tag → the digest it meant.
    Tag,
}

/// Small documents, kept whole: manifests, evidence, hints. The seam with two implementations (files, memory).
#[async_trait::async_trait]
pub trait Documents: Send + Sync + std::fmt::Debug {
    /// The bytes named `digest`, hashed before they are returned. `None` when absent, damaged or above `limit` bytes.
    async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes>;

    /// Publishes `bytes` as `digest`.
    ///
    /// # Errors
    /// When they hash to something else, or the disk refuses. The caller goes on uncached.
    async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError>;

    /// A hint, or `None` when there is none that can be read.
    async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes>;

    /// Remembers a hint, replacing the earlier one. Atomic; not synced: a hint lost in a crash is found again.
    async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// Why a blob could not be fetched into the store, as the fetcher said it; callers downcast to their own error.
pub type FetchError = Arc<dyn std::error::Error + Send + Sync>;

/// A blob to take in: what [`Store::pull`]'s opener returns.
pub struct Source {
    /// Announced length in bytes, where there is one.
    pub size: Option<u64>,
    /// The pieces.
    pub pieces: futures_util::stream::BoxStream<'static, Result<Bytes, FetchError>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The store on files. Cheap to clone behind an `Arc`; one process a directory.
#[derive(Debug)]
pub struct Store {}

/// A blob that can be sent: published, or still growing.
#[derive(Debug, Clone)]
pub struct Blob {}

impl Store {
    /// Opens the directory, takes its lock, and sweeps what a crash left behind. Blocking: call before serving.
    ///
    /// # Errors
    /// [`StoreError::InUse`] or [`StoreError::Io`].
    pub fn open(config: Config) -> Result<Arc<Self>, StoreError> {
        let _ = config;
        unimplemented!()
    }

    /// The blob, if it is published here.
    pub async fn blob(&self, digest: &Digest) -> Option<Blob> {
        let _ = digest;
        unimplemented!()
    }

    /// The blob, fetched by `open` if it is not here. However many ask at once, `open` runs once; its task survives
    /// the client that started it; all are fed from the growing file. Returns when the size is known.
    ///
    /// # Errors
    /// What `open` said. A failure after the size is known breaks the bodies instead.
    pub async fn pull<F, Fut>(self: &Arc<Self>, digest: &Digest, open: F) -> Result<Blob, FetchError>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Source, FetchError>> + Send + 'static,
    {
        let _ = (digest, open);
        unimplemented!()
    }
}

impl Blob {
    /// Its size in bytes; `None` while it is still growing and the upstream announced no length.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        unimplemented!()
    }

    /// The bytes of `range` (whole blob: `0..size`, or `0..u64::MAX` when the size is unknown). While the blob grows,
    /// bytes are given as they arrive, but the blob's last piece only once the whole hash agreed; on a mismatch the body
    /// ends in an error, never cleanly.
    #[must_use]
    pub fn body(&self, range: std::ops::Range<u64>) -> crate::body::Body {
        let _ = range;
        unimplemented!()
    }
}

#[async_trait::async_trait]
impl Documents for Store {
    async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
        let _ = (digest, limit);
        unimplemented!()
    }

    async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
        let _ = (digest, bytes);
        unimplemented!()
    }

    async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes> {
        let _ = (kind, key);
        unimplemented!()
    }

    async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let _ = (kind, key, value);
        unimplemented!()
    }
}
