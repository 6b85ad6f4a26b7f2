//! Documents on files, hashed on every read; and hints, which are followed and never trusted.
//!
//! A hint's file is a line with the SHA-256 of its kind, key and value, then the value. A torn or foreign file reads as
//! absent; so does one moved to another key's name. The hash is against accidents: an attacker can compute it, and gains
//! what a hint gives, a place to look (C6).

use std::{io, sync::Arc};

use bytes::Bytes;
use sha2::Digest as _;

use super::{
    Document, Documents, HintKind, Mismatch, Spool, Store, StoreError,
    fs::{self, Durability},
    shelf::Shelf,
};
use crate::oci::Digest;

/// The longest hint kept. The longest there is lists the roots of a repository.
const MAX_HINT: usize = 1 << 20;
/// Hex and a line feed.
const CHECKSUM: usize = 65;

impl HintKind {
    pub(super) const ALL: [Self; 5] = [Self::Blob, Self::Child, Self::Evidence, Self::Roots, Self::Tag];
}

/// The directory of a kind.
pub(super) const fn directory(kind: HintKind) -> &'static str {
    match kind {
        HintKind::Blob => "blob",
        HintKind::Child => "child",
        HintKind::Evidence => "evidence",
        HintKind::Roots => "roots",
        HintKind::Tag => "tag",
    }
}

/// The line a hint's or a fact's file begins with; `kind` is the directory's name.
pub(super) fn checksum(kind: &str, key: &str, value: &[u8]) -> String {
    let mut hasher = sha2::Sha256::new();
    hasher.update(kind);
    // Lengths before texts, so that no two hints hash the same input.
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut line = hex::encode(hasher.finalize());
    line.push('\n');
    line
}

impl Shelf {
    pub(super) fn read_document(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
        let path = self.layout.blob(digest);
        let (file, stamp) = self.open(digest, &path)?;
        let len = usize::try_from(stamp.len).ok().filter(|len| *len <= limit)?;
        let bytes = match fs::read_at(&file, 0, len) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.failed("read", &path, &error);
                return None;
            }
        };
        if !digest.matches(&bytes) {
            self.discard(digest, &stamp);
            return None;
        }
        self.index.touch(digest, &stamp);
        self.index.verified(digest, stamp);
        Some(Bytes::from(bytes))
    }

    pub(super) fn write_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let found = Digest::of(digest.algorithm(), bytes);
        if found != *digest {
            return Err(StoreError::Mismatch(Box::new(Mismatch { wanted: *digest, found })));
        }
        let path = self.layout.blob(digest);
        // Most writes after the first pull find the same bytes there, hashed by this process: spare the disk its syncs.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| self.index.is_verified(digest, &fs::Stamp::of(&found))) {
            return Ok(());
        }
        let publish = || {
            let staged = self.layout.stage()?;
            staged.write_at(bytes, 0)?;
            Ok(staged.publish(&path, Durability::Synced)?)
        };
        let stamp = self.with_room(publish).map_err(|error| self.refused("write", &path, error))?;
        self.published(digest, stamp);
        self.make_room();
        Ok(())
    }

    fn read_hint(&self, kind: HintKind, key: &str) -> Option<Bytes> {
        let path = self.layout.hint(kind, key);
        let (file, stamp) = match fs::open_regular(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.failed("hint", &path, &error);
                return None;
            }
        };
        let len = usize::try_from(stamp.len).ok().filter(|len| (CHECKSUM..=CHECKSUM + MAX_HINT).contains(len))?;
        let bytes = Bytes::from(fs::read_at(&file, 0, len).ok()?);
        let value = bytes.slice(CHECKSUM..);
        (bytes[..CHECKSUM] == *checksum(directory(kind), key, &value).as_bytes()).then_some(value)
    }

    fn write_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let path = self.layout.hint(kind, key);
        if value.len() > MAX_HINT {
            let error = io::Error::new(io::ErrorKind::InvalidInput, format!("hint of {} bytes, at most {MAX_HINT}", value.len()));
            return Err(StoreError::io(&path, error));
        }
        let publish = || {
            let replaced = std::fs::symlink_metadata(&path).ok().map(|found| found.len());
            let staged = self.layout.stage()?;
            let line = checksum(directory(kind), key, value);
            staged.write_at(line.as_bytes(), 0)?;
            staged.write_at(value, CHECKSUM as u64)?;
            let stamp = staged.publish(&path, Durability::Lost)?;
            Ok((replaced, stamp.len))
        };
        let (replaced, len) = self.with_room(publish).map_err(|error| self.refused("hint", &path, error))?;
        self.index.hint_written(replaced, len);
        self.make_room();
        Ok(())
    }
}

/// Runs what blocks off the async threads. `None` if it panicked or the runtime is going down.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

pub(super) fn lost() -> StoreError {
    StoreError::io(std::path::Path::new(""), io::Error::other("the task that was to write is gone"))
}

#[async_trait::async_trait]
impl Documents for Store {
    async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
        let (shelf, digest) = (Arc::clone(&self.shelf), *digest);
        blocking(move || shelf.read_document(&digest, limit)).await?
    }

    async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
        let (shelf, digest, bytes) = (Arc::clone(&self.shelf), *digest, bytes.clone());
        blocking(move || shelf.write_document(&digest, &bytes)).await.ok_or_else(lost)?
    }

    async fn open(&self, digest: &Digest, limit: u64) -> Option<Document> {
        let (shelf, digest) = (Arc::clone(&self.shelf), *digest);
        blocking(move || shelf.open_document(&digest, limit)).await?
    }

    async fn spool(&self, digest: &Digest, size: u64) -> Result<Spool, StoreError> {
        let (shelf, digest) = (Arc::clone(&self.shelf), *digest);
        let stage = move || {
            Spool::staged(&shelf, digest, size).map_err(|error| shelf.refused("stage", &shelf.layout.blob(&digest), error))
        };
        blocking(stage).await.ok_or_else(lost)?
    }

    async fn keep(&self, digest: &Digest, document: &Document) -> Result<(), StoreError> {
        let (shelf, digest, document) = (Arc::clone(&self.shelf), *digest, document.clone());
        blocking(move || shelf.keep_document(&digest, &document)).await.ok_or_else(lost)?
    }

    async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes> {
        let (shelf, key) = (Arc::clone(&self.shelf), key.to_owned());
        blocking(move || shelf.read_hint(kind, &key)).await?
    }

    async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (shelf, key, value) = (Arc::clone(&self.shelf), key.to_owned(), value.to_vec());
        blocking(move || shelf.write_hint(kind, &key, &value)).await.ok_or_else(lost)?
    }
}
