//! Where verification runs: few threads, a short queue, and a budget of bytes.

use std::{sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::{Verified, Verifier, VerifyError};
use crate::{
    evidence::{Content, Document},
    oci::Digest,
    telemetry,
};

/// What all verifications under way may weigh together.
const BUDGET_BYTES: usize = 256 << 20;
/// What a byte of evidence that is held weighs: decoded, and read as a tree by the crate (600 MiB for 74, measured).
const TREE_WEIGHT: usize = 8;
/// What evidence weighs in any case, in a file or not: its `verificationMaterial`, which the crate buffers several times.
/// Large payloads are read as streams; those of which a tree is made are one at a time, beside this budget.
const LEAN_WEIGHT: usize = 8 << 20;
/// Up to this size the crate reads it as a tree without waiting for others to be done.
const TREE: usize = 1 << 20;
/// The unit of the budget, so that it fits a semaphore's count.
const UNIT: usize = 1 << 10;

/// Runs verifications on threads of their own, so many at once, so many waiting, and no more bytes than the budget.
///
/// Verification is a millisecond of CPU, and seconds for the largest: on the async threads it would stall every pull
/// (TOB-SIGSTORE-8), and without a bound a thousand cold pulls would starve the warm ones (threats H5).
#[derive(Debug)]
pub struct Pool {
    threads: Arc<Semaphore>,
    places: Arc<Semaphore>,
    budget: Arc<Semaphore>,
}

/// Why a verification was not made. None is a statement about the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every thread is taken and the queue is full.
    #[error("too many verifications are waiting")]
    Busy,
    /// It panicked; counted, and the process lives.
    #[error("the verification failed unexpectedly")]
    Panicked,
    /// The process is shutting down.
    #[error("verification is shutting down")]
    Stopped,
}

impl Pool {
    /// A pool of `threads` at once (at least one) and `queue` waiting.
    #[must_use]
    pub fn new(threads: usize, queue: usize) -> Self {
        let threads = threads.clamp(1, Semaphore::MAX_PERMITS / 4);
        let places = threads.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(places)),
            budget: Arc::new(Semaphore::new(BUDGET_BYTES / UNIT)),
        }
    }

    /// What `content` proves about `subject`, by `verifier`.
    ///
    /// The wait is bounded by the queue, not by time: the caller has the deadline. A caller that leaves while waiting
    /// frees its place; once begun, a verification runs to its end and holds thread and bytes until then.
    ///
    /// # Errors
    /// [`PoolError`] when it was not made: the outcome is unknown, never a refusal (threats B12).
    pub async fn verify(
        &self,
        verifier: Arc<dyn Verifier>,
        subject: Digest,
        content: Content,
    ) -> Result<Result<Vec<Verified>, VerifyError>, PoolError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => PoolError::Busy,
            TryAcquireError::Closed => PoolError::Stopped,
        })?;
        // Bytes before thread: whoever holds a thread waits for nothing, so the two cannot lock each other.
        let bytes = Arc::clone(&self.budget).acquire_many_owned(weight(&content)).await.map_err(|_| PoolError::Stopped)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| PoolError::Stopped)?;
        run((place, bytes, thread), verifier, subject, content).await
    }
}

type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit, OwnedSemaphorePermit);

async fn run(
    permits: Permits,
    verifier: Arc<dyn Verifier>,
    subject: Digest,
    content: Content,
) -> Result<Result<Vec<Verified>, VerifyError>, PoolError> {
    let work = tokio::task::spawn_blocking(move || {
        let _permits = permits;
        let begun = Instant::now();
        let outcome = verifier.verify(&subject, &content);
        metrics::histogram!(telemetry::VERIFY_SECONDS).record(begun.elapsed());
        outcome
    });
    work.await.map_err(|error| {
        if !error.is_panic() {
            return PoolError::Stopped;
        }
        metrics::counter!(telemetry::VERIFY_PANICS).increment(1);
        tracing::error!(%subject, "verification panicked; please report it");
        PoolError::Panicked
    })
}

/// What `content` weighs, in [`UNIT`]s, at most the whole budget: the largest runs alone rather than never.
fn weight(content: &Content) -> u32 {
    let document = |document: &Document| match document.held() {
        Some(bytes) if bytes.len() <= TREE => bytes.len().saturating_mul(TREE_WEIGHT),
        Some(bytes) => bytes.len().saturating_add(LEAN_WEIGHT),
        None => LEAN_WEIGHT,
    };
    let bytes = match content {
        Content::Bundle(bundle) => document(bundle),
        Content::CosignAttestation { envelope, .. } => document(envelope),
        Content::CosignSignature { payload, .. } => payload.len().saturating_mul(TREE_WEIGHT),
    };
    let units = bytes.clamp(1, BUDGET_BYTES).div_ceil(UNIT);
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a9_weights_follow_what_reading_costs_and_never_exceed_the_budget() {
        let weight_of = |document: Document| weight(&Content::Bundle(document)) as usize * UNIT;
        let held = |bytes: usize| Document::from(Bytes::from(vec![0; bytes]));
        assert_eq!(weight_of(held(0)), UNIT);
        assert_eq!(weight_of(held(1 << 20)), 8 << 20);
        assert_eq!(weight_of(held(96 << 20)), 104 << 20, "held for want of a disk, and read as a stream");
        assert_eq!(weight_of(Document::in_a_file(&vec![0; 96 << 20])), 8 << 20, "in a file it is read in pieces");
        assert_eq!(weight_of(held(1 << 30)), BUDGET_BYTES);
    }
}
