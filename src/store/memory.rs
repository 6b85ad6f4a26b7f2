//! The same documents in memory: for tests, and for whoever runs without a store. The large ones lie in files without names.

use bytes::Bytes;
use dashmap::DashMap;
use jiff::Timestamp;

use super::{Document, Documents, FactKind, Facts, HintKind, Mismatch, Spool, StoreError, facts::sighting};
use crate::oci::Digest;

/// How many documents may lie in files, each of which is open and takes room on the disk. Another may be asked for again.
const FILED: usize = 64;

/// [`Documents`] and [`Facts`] in memory. Unbounded but for files: what it holds is what was written.
#[derive(Debug, Default)]
pub struct Memory {
    documents: DashMap<Digest, Document>,
    /// The large ones: [`FILED`] at most.
    filed: DashMap<Digest, Document>,
    hints: DashMap<(HintKind, String), Bytes>,
    facts: DashMap<(FactKind, String), Bytes>,
}

impl Memory {
    /// How many documents are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len() + self.filed.len()
    }

    /// Whether no document is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.filed.is_empty()
    }

    /// Puts `bytes` under `digest`, whatever they hash to: a bit that flipped on the disk, or an attacker in the bucket
    /// (C5, C6). A read must not return them.
    pub fn plant(&self, digest: Digest, bytes: impl Into<Bytes>) {
        self.documents.insert(digest, bytes.into().into());
    }

    /// Forgets a document, as eviction would.
    pub fn evict(&self, digest: &Digest) {
        self.documents.remove(digest);
        self.filed.remove(digest);
    }
}

#[async_trait::async_trait]
impl Documents for Memory {
    async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
        self.open(digest, limit as u64).await?.whole(limit as u64).ok()?
    }

    async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
        let found = Digest::of(digest.algorithm(), bytes);
        if found != *digest {
            return Err(StoreError::Mismatch(Box::new(Mismatch { wanted: *digest, found })));
        }
        self.documents.insert(*digest, bytes.clone().into());
        Ok(())
    }

    async fn open(&self, digest: &Digest, limit: u64) -> Option<Document> {
        let document = self.documents.get(digest).or_else(|| self.filed.get(digest))?.clone();
        if document.len() > limit {
            return None;
        }
        // In a file, its blocks vouch for it.
        if document.held().is_some_and(|bytes| !digest.matches(bytes)) {
            // As on files: damaged content is removed, so that it is fetched anew.
            self.documents.remove_if(digest, |_, held| held.held() == document.held());
            return None;
        }
        Some(document)
    }

    async fn spool(&self, digest: &Digest, _: u64) -> Result<Spool, StoreError> {
        Spool::unnamed(*digest).map_err(|error| StoreError::io(&std::env::temp_dir(), error))
    }

    async fn keep(&self, digest: &Digest, document: &Document) -> Result<(), StoreError> {
        match document.held() {
            Some(bytes) => self.write(digest, bytes).await,
            None => {
                self.filed.insert(*digest, document.clone());
                let other = || self.filed.iter().map(|entry| *entry.key()).find(|held| held != digest);
                while self.filed.len() > FILED
                    && let Some(other) = other()
                {
                    self.filed.remove(&other);
                }
                Ok(())
            }
        }
    }

    async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes> {
        self.hints.get(&(kind, key.to_owned())).map(|value| value.clone())
    }

    async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.hints.insert((kind, key.to_owned()), Bytes::copy_from_slice(value));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Facts for Memory {
    async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let mut kept = self.facts.entry((FactKind::FirstSeen, key.to_owned())).or_default();
        let seen = sighting(&kept).map_or(now, |seen| seen.min(now));
        *kept = seen.to_string().into();
        Ok(seen)
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.facts.get(&(kind, key.to_owned())).map(|value| value.clone()))
    }

    async fn set_fact(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.facts.insert((kind, key.to_owned()), Bytes::copy_from_slice(value));
        Ok(())
    }
}
