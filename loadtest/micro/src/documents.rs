//! A store that keeps nothing, so that each judgement is as cold as the first.

use async_trait::async_trait;
use bytes::Bytes;
use pullgate::{
    oci::Digest,
    store::{Document, Documents, HintKind, Spool, StoreError},
};

/// [`Documents`] that forgets what it is told.
#[derive(Debug, Clone, Copy)]
pub struct Forgetful;

#[async_trait]
impl Documents for Forgetful {
    async fn read(&self, _: &Digest, _: usize) -> Option<Bytes> {
        None
    }

    async fn write(&self, _: &Digest, _: &Bytes) -> Result<(), StoreError> {
        Ok(())
    }

    async fn open(&self, _: &Digest, _: u64) -> Option<Document> {
        None
    }

    async fn spool(&self, _: &Digest, _: u64) -> Result<Spool, StoreError> {
        unreachable!("nothing here is larger than what is held in memory")
    }

    async fn keep(&self, _: &Digest, _: &Document) -> Result<(), StoreError> {
        Ok(())
    }

    async fn hint(&self, _: HintKind, _: &str) -> Option<Bytes> {
        None
    }

    async fn set_hint(&self, _: HintKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}
