//! What else a blob is called: a layer published by SHA-256 and by SHA-512 is one layer, and denied under both names if under
//! either (D4). The name it is asked for does not tell the other, only its bytes do; so where a digest of the other algorithm is
//! denied they are hashed by that one too, as they come or once they lie in the store, and what they were is remembered.

use std::sync::Arc;

use super::Gate;
use crate::{
    oci::{Algorithm, Digest, Hasher},
    policy::deny::DenyList,
};

/// How many blobs' other names are remembered; the least recently used go first, and are found out again.
const REMEMBERED: usize = 65_536;

/// The other names of blobs.
#[derive(Debug)]
pub(super) struct OtherNames(quick_cache::sync::Cache<Digest, Digest>);

impl Default for OtherNames {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(REMEMBERED))
    }
}

/// What was hashed is denied, under its other name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("what came is {other} too, which is denied by the deny-list: {reason}")]
pub struct DeniedByOtherName {
    other: Digest,
    reason: Arc<str>,
}

impl Gate {
    /// What `blob` is called besides, if it is known and can matter under `deny`.
    pub(super) fn other_name(&self, blob: &Digest, deny: &DenyList) -> Option<Digest> {
        deny.other_algorithm(blob)?;
        self.names.0.get(blob)
    }

    /// By which algorithm `blob` must be hashed before it is served: something is denied by it, and what the blob is called by it is
    /// not known.
    #[must_use]
    pub fn unnamed(&self, blob: &Digest) -> Option<Algorithm> {
        let other = self.policies.load().deny().other_algorithm(blob)?;
        self.names.0.get(blob).is_none().then_some(other)
    }

    /// Remembers what `blob` is called besides. Whoever says so hashed its bytes by both algorithms.
    pub fn name(&self, blob: &Digest, other: Digest) {
        self.names.0.insert(*blob, other);
    }

    /// What `blob` is to be hashed with as it comes, where that can matter: each time that it comes, for one time is not another.
    #[must_use]
    pub fn naming(self: &Arc<Self>, blob: &Digest) -> Option<Naming> {
        let other = self.unnamed(blob)?;
        let (own, other) = (Hasher::new(blob.algorithm()), Hasher::new(other));
        Some(Naming { blob: *blob, own, other, gate: Arc::clone(self) })
    }
}

/// A blob on its way in, hashed to know what else it is called.
#[derive(Debug)]
pub struct Naming {
    gate: Arc<Gate>,
    blob: Digest,
    /// By its own algorithm too: an upstream that sends other bytes must not say what the blob is called.
    own: Hasher,
    other: Hasher,
}

impl Naming {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.own.update(piece);
        self.other.update(piece);
    }

    /// Remembers what came, now that it is whole.
    ///
    /// # Errors
    /// It is denied under its other name.
    pub fn finish(self) -> Result<(), DeniedByOtherName> {
        let Self { gate, blob, own, other } = self;
        let other = other.finish();
        // Other bytes: whoever takes them in throws them away.
        if own.finish() != blob {
            return Ok(());
        }
        gate.name(&blob, other);
        match gate.policies.load().deny().digest(&other) {
            None => Ok(()),
            Some(reason) => Err(DeniedByOtherName { other, reason: Arc::clone(reason) }),
        }
    }
}
