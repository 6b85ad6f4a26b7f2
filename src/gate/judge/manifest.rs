//! The manifest that is judged: kept here, or from the upstream.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Judgement, undecided};
use crate::{
    evidence::Kept,
    gate::{
        memory::{Asked, Recalled},
        verdict::{Absent, Faulty, NoVerdict, Permit, UndecidedReason},
    },
    oci::{Manifest, ManifestError, Reference, manifest::MAX_MANIFEST},
    upstream::UpstreamError,
};

/// A manifest that may be judged, and whether it came from the upstream now.
pub(super) struct Got {
    pub(super) manifest: Arc<Manifest>,
    pub(super) fresh: bool,
}

impl Judgement {
    /// The permit that is remembered without its manifest, with the manifest as it is kept. What is no longer kept is judged
    /// anew: the bytes then come from the upstream, and so does the question whether it still has them.
    pub(super) async fn furnished(&mut self) -> Option<Permit> {
        let asked = Asked { image: &self.subject.image, digest: &self.subject.digest };
        let Recalled::Bare(granted) = self.gate.memory.permit(asked, &self.basis, Instant::now())? else { return None };
        self.kept = Kept::load(self.gate.documents.as_ref(), &self.key()).await;
        let permit = granted.again(self.stored().await?.manifest)?;
        self.gate.memory.furnish(&permit).await;
        self.gate.recalled_permits.increment(1);
        Some(permit)
    }

    /// The manifest, if it is kept for this repository.
    pub(super) async fn stored(&self) -> Option<Got> {
        let kept = self.kept.as_ref()?;
        self.read_stored(Some(&kept.media_type)).await
    }

    /// The manifest as it is kept. Kept bytes were served once, and hash to their name; `media_type` is what they were
    /// served as, for bytes that do not say it themselves.
    pub(super) async fn read_stored(&self, media_type: Option<&str>) -> Option<Got> {
        let digest = self.subject.digest;
        let bytes = self.gate.documents.read(&digest, MAX_MANIFEST).await?;
        let manifest =
            Manifest::parse(digest, bytes.clone(), media_type).or_else(|_| Manifest::parse(digest, bytes, None)).ok()?;
        Some(Got { manifest: Arc::new(manifest), fresh: false })
    }

    /// The manifest as it is `stored`, else from the upstream. The inner error is that of [`fetched`](Self::fetched).
    pub(super) async fn or_fetched(&self, stored: Option<Got>) -> Result<Result<Got, ManifestError>, NoVerdict> {
        match stored {
            Some(got) => Ok(Ok(got)),
            None => self.fetched().await,
        }
    }

    /// The manifest from the upstream. The inner error is content with the right digest that is not served.
    pub(super) async fn fetched(&self) -> Result<Result<Got, ManifestError>, NoVerdict> {
        let digest = self.subject.digest;
        let fetched = match self.subject.upstream.manifest(&self.subject.image.repository, &Reference::Digest(digest)).await {
            Ok(fetched) => fetched,
            Err(error) => return no_manifest(error).map(Err),
        };
        // The upstream room has checked this; nothing is believed on its word alone (X5).
        if !digest.matches(&fetched.bytes) {
            return Err(NoVerdict::Faulty(Faulty(format!("the upstream's bytes are not {digest}"))));
        }
        match Manifest::parse(digest, fetched.bytes, fetched.content_type.as_deref()) {
            Ok(manifest) => Ok(Ok(Got { manifest: Arc::new(manifest), fresh: true })),
            Err(error @ ManifestError::TypeMismatch { .. }) => Err(NoVerdict::Faulty(Faulty(error.to_string()))),
            Err(
                error @ (ManifestError::Ambiguous(_)
                | ManifestError::Malformed(_)
                | ManifestError::SchemaOne
                | ManifestError::TooLarge(_)),
            ) => Ok(Err(error)),
        }
    }
}

/// What an upstream's failure to give the manifest itself means.
fn no_manifest(error: UpstreamError) -> Result<ManifestError, NoVerdict> {
    let why = error.to_string();
    match error {
        UpstreamError::Denied { .. } => Err(NoVerdict::CredentialsRefused(error)),
        UpstreamError::Forbidden(_) | UpstreamError::Lied { .. } => Err(NoVerdict::Faulty(Faulty(why))),
        UpstreamError::NotFound => Err(NoVerdict::Absent(Absent)),
        UpstreamError::Throttled { retry_after, .. } => Err(undecided(UndecidedReason::EvidenceUnavailable(why), retry_after)),
        UpstreamError::TooLarge { .. } => Ok(ManifestError::TooLarge(why)),
        UpstreamError::Failing { .. } | UpstreamError::Unreachable { .. } => {
            Err(undecided(UndecidedReason::EvidenceUnavailable(why), None))
        }
    }
}
