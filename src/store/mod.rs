//! Content-addressed bytes on disk, and hints about them.
//!
//! # Guarantees
//! * A published file under a digest's name was hashed before it was published; it is never changed afterwards.
//! * Nobody sees a partial file: bytes are staged and renamed; synced before, or a blob, for which somebody waits, at once after.
//! * The first read after a start hashes again: a lost fsync, a torn write or bit rot costs a refetch, never a wrong byte.
//! * Hints are never trusted, only followed. A hint that cannot be read is a hint that is not there.
//! * A blob is fetched once however many ask for it at one place; its last piece leaves when its hash agreed and it has its name, so what a
//!   client has whole is here after `kill -9`. No client waits for the disk: what the power took is fetched anew.
//! * A store that cannot write or read fails no pull: reads miss, blobs pass through.
//! * Facts, the little that cannot be derived again, are synced, not evicted, and never made up.
//!
//! # The way of a document
//! [`Documents`] are small and read whole, but for an attestation's, which may be an SBOM of many megabytes: a `spool` takes
//! that in, and a `document` reads it by position, whatever happens to its file meanwhile.
//!
//! # The way of a blob
//! [`Store::pull`] looks on the `shelf`, else starts a `fill`, which moves the upstream's pieces into a `sink`: hash and
//! staged file, or the `relay` when the disk fails. Clients `read` the `opened` file, growing or published, from its
//! `mapped` pages. `evict` keeps the bound; `fs` knows the paths and the one way to publish.

mod document;
mod evict;
mod facts;
mod fill;
mod fs;
mod hints;
mod mapped;
mod memory;
mod opened;
mod read;
mod relay;
mod shelf;
mod sink;
mod spool;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

#[cfg(test)]
pub(crate) use self::facts::CLOCK_FLOOR;
pub use self::{
    document::{Document, DocumentReader, HELD},
    facts::{FactFiles, FactKind, Facts, NoFacts},
    fill::FillError,
    memory::Memory,
    spool::Spool,
};
use self::{evict::Index, fs::Layout, opened::Opened, read::Feed, shelf::Shelf};
use crate::oci::{Digest, Host, Repository};

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
    /// A fact is there and is not whole.
    #[error("store {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The directory is in use by another process.
    #[error("store {path} is in use by another process")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It is no store: it lacks what each has from the first time a gate ran on it.
    #[error("{path} is no store of a gate (`store.path`), or none ever ran on it: it has no {lacks}")]
    NoStore {
        /// Which directory.
        path: PathBuf,
        /// What of it is missing.
        lacks: &'static str,
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
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
}

/// Bytes that are not what they were asked for or offered as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content named {wanted} hashes to {found}")]
pub struct Mismatch {
    /// The name.
    pub wanted: Digest,
    /// The truth.
    pub found: Digest,
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

/// Documents by digest: manifests and evidence; and hints. The seam with two implementations (files, memory).
#[async_trait::async_trait]
pub trait Documents: Send + Sync + std::fmt::Debug {
    /// The bytes named `digest`, hashed before they are returned. `None` when absent, damaged or above `limit` bytes.
    async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes>;

    /// Publishes `bytes` as `digest`.
    ///
    /// # Errors
    /// When they hash to something else, or the disk refuses. The caller goes on uncached.
    async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError>;

    /// The document named `digest`, hashed before it is returned; left in its file where it is larger than [`HELD`]. `None`
    /// when absent, damaged or above `limit` bytes.
    async fn open(&self, digest: &Digest, limit: u64) -> Option<Document>;

    /// A file to take in the document named `digest`, which should have `size` bytes. It is not published by being
    /// finished.
    ///
    /// # Errors
    /// The disk refuses. The caller holds the document in memory, or goes without.
    async fn spool(&self, digest: &Digest, size: u64) -> Result<Spool, StoreError>;

    /// Publishes a document of this store's, or one that is held, as `digest`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn keep(&self, digest: &Digest, document: &Document) -> Result<(), StoreError>;

    /// A hint, or `None` when there is none that can be read.
    async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes>;

    /// Remembers a hint, replacing the earlier one. Atomic; not synced: a hint lost in a crash is found again.
    async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// Why a blob could not be fetched into the store, as the fetcher said it; callers downcast to their own error.
pub type FetchError = Arc<dyn std::error::Error + Send + Sync>;

/// What is to be fetched. Who asks for the same gets the same answer, whoever asks for anything else does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// Whose blob it is: another registry's is asked for by itself.
    pub host: Host,
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes, as the manifest says that lists it: another manifest may say another.
    pub listed: u64,
    /// Whose fetch it is alone, where what was fetched for others of the registry failed; none for whoever comes first.
    pub own: Option<Repository>,
}

/// A blob to take in: what [`Store::pull`]'s opener returns.
pub struct Source {
    /// Announced length in bytes, where there is one.
    pub size: Option<u64>,
    /// Whether somebody finds out from the pieces, as they are taken, what else the blob is called.
    pub named: bool,
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
pub struct Store {
    shelf: Arc<Shelf>,
    fills: Arc<fill::Fills>,
    facts: FactFiles,
    _lock: fs::Lock,
}

/// A blob that can be sent: published, or still growing. Cheap to clone; each [`body`](Self::body) reads on its own.
#[derive(Debug, Clone)]
pub struct Blob {
    shelf: Arc<Shelf>,
    opened: Arc<Opened>,
    feed: Feed,
    named: bool,
}

impl Store {
    /// Opens the directory, takes its lock, and sweeps what a crash left behind. Blocking: call before serving. What lies
    /// there is counted by a thread of its own; until that is done eviction knows only what was used since.
    ///
    /// # Errors
    /// [`StoreError::InUse`] or [`StoreError::Io`].
    pub fn open(config: Config) -> Result<Arc<Self>, StoreError> {
        Self::open_with(&config.path, Index::new(config.max_size))
    }

    fn open_with(path: &Path, index: Index) -> Result<Arc<Self>, StoreError> {
        let (layout, lock) = Layout::open(path)?;
        let facts = FactFiles::open(path)?;
        let shelf = Arc::new(Shelf::new(layout, index));
        let counted = Arc::downgrade(&shelf);
        std::thread::Builder::new()
            .name("store-index".to_owned())
            .spawn(move || evict::index(&counted))
            .map_err(|error| StoreError::io(path, error))?;
        Ok(Arc::new(Self { shelf, fills: Arc::default(), facts, _lock: lock }))
    }

    /// Writes that end beyond so many bytes of a file fail from now on; 0 is never.
    #[cfg(test)]
    pub(crate) fn fill_disk_at(&self, bytes: u64) {
        self.shelf.layout.faults.full_at.store(bytes, std::sync::atomic::Ordering::SeqCst);
    }

    /// Gives out blobs in pieces read into memory instead of maps of their files. For listeners whose bytes this process
    /// looks at itself, which TLS is: a page the disk cannot give would be a signal there, not an error.
    pub fn never_map(&self) {
        self.shelf.never_map();
    }

    /// The blob, if it is published here.
    pub async fn blob(&self, digest: &Digest) -> Option<Blob> {
        self.shelf.find(digest).await
    }

    /// What blobs, documents and hints take, in bytes, as far as it is counted.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shelf.index.size()
    }
}

impl StoreError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests;
