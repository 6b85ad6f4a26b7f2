//! What a gate's store remembers, for a command that judges as that gate.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;

use super::{judge::Unusable, text::line};
use crate::store::{self, FactKind, StoreError};

/// When images were first seen, and what tags last meant.
///
/// # Errors
/// There is no such store.
pub(super) fn facts(store: Option<&Path>) -> Result<Arc<dyn store::Facts>, Unusable> {
    match store {
        None => Ok(Arc::new(store::NoFacts)),
        Some(store) => match store::FactFiles::read_only(store) {
            Ok(facts) => Ok(Arc::new(Seen(facts))),
            Err(error) => Err(Unusable::Usage(format!("--first-seen-from: {}", line(&error.to_string())))),
        },
    }
}

/// The facts of a gate's store, which stays as it is: what a tag means to a pipeline is no history of the gate's.
#[derive(Debug)]
struct Seen(store::FactFiles);

#[async_trait::async_trait]
impl store::Facts for Seen {
    async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.0.first_seen(key, now).await
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.0.fact(kind, key).await
    }

    async fn set_fact(&self, _: FactKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}
