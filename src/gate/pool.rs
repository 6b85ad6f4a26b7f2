//! Verification on the CPU pool.

use std::sync::Arc;

use super::Gate;
use crate::{
    evidence::Content,
    oci::Digest,
    verify::{Verified, Verifier, VerifyError},
};

/// Why a verification was not made.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Unmade {
    #[error("too many verifications are waiting")]
    Busy,
    #[error("the verification failed unexpectedly")]
    Panicked,
}

impl Unmade {
    pub(super) const fn is_for_want_of_room(self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl Gate {
    /// What `content` proves about `subject`.
    pub(super) async fn prove(
        &self,
        verifier: &Arc<dyn Verifier>,
        subject: Digest,
        content: Content,
    ) -> Result<Result<Verified, VerifyError>, Unmade> {
        let _thread = self.threads.acquire().await.map_err(|_| Unmade::Busy)?;
        let verifier = Arc::clone(verifier);
        tokio::task::spawn_blocking(move || verifier.verify(&subject, &content)).await.map_err(|_| Unmade::Panicked)
    }
}
