//! Whom to believe: the trusted root from a file, or Sigstore's own by TUF, kept fresh in the background.
//!
//! A change is one swap of an immutable verifier, whose [`Epoch`] is part of every verdict's key: nobody
//! sees half of each, and verdicts under the old one are no longer found. A bad new root never replaces a good one.

pub(super) mod document;
mod refresh;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;

use self::document::MAX_TRUSTED_ROOT;
use super::{Epoch, Sigstore, TrustState, Verifier as _};
use crate::telemetry;

/// Where the trust root comes from and how long it may go without a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRootConfig {
    /// Where it comes from.
    pub source: TrustRootSource,
    /// A directory of the store, ours alone, for the last good TUF metadata. Read back only through TUF's own checks.
    pub cache_dir: PathBuf,
    /// How often to refresh: some hours. Jittered by a fifth, so that a fleet does not ask at once.
    pub refresh: Duration,
    /// After this long without a refresh nothing is judged any more: 7 days.
    pub hard_stale: Duration,
}

/// Where the trust root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRootSource {
    /// A `trusted_root.json`; re-read by [`reload`] only, never stale.
    File(PathBuf),
    /// The public-good instance: the crate's snapshot at once, then by TUF.
    Sigstore,
}

/// Why there is no trust root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustRootError {
    /// A field is wrong.
    #[error("trust root: {field}: {reason}")]
    Invalid {
        /// Which, as a path: `certificateAuthorities[0].validFor`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is no trusted root at all.
    #[error("trust root: {0}")]
    Malformed(String),
    /// The file cannot be read.
    #[error("trust root {}: {reason}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// More than 1 MiB.
    #[error("trust root: {bytes} bytes, at most {MAX_TRUSTED_ROOT}")]
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// TUF could not be refreshed or its cache not be verified.
    #[error("trust root: {0}")]
    Tuf(String),
}

/// Loads the trust root and, for [`TrustRootSource::Sigstore`], keeps it fresh for as long as the result is held.
///
/// A file that is bad is an error: the caller refuses to start. Sigstore's own never fails the start: the last good TUF
/// state of `cache_dir` if it still verifies, else the crate's snapshot, is ready at once; `stale` says so until the
/// first refresh.
///
/// # Errors
/// [`TrustRootError`] for a file, or if the crate's own snapshot cannot be used.
pub async fn watch(config: TrustRootConfig) -> Result<Arc<ArcSwap<TrustState>>, TrustRootError> {
    match &config.source {
        TrustRootSource::File(path) => {
            let verifier = load(path).await?;
            tracing::info!(epoch = %verifier.epoch().0, path = %path.display(), "trust root loaded");
            metrics::gauge!(telemetry::TRUST_ROOT_AGE).set(0.0);
            Ok(Arc::new(ArcSwap::from_pointee(TrustState::Ready { verifier: Arc::new(verifier), stale: None })))
        }
        TrustRootSource::Sigstore => refresh::start(refresh::Tuf::new(&config)?, &config).await,
    }
}

/// Reads the file again and swaps it in. If it is bad, what was in use stays.
///
/// For [`TrustRootSource::Sigstore`] there is nothing to read: it refreshes itself.
///
/// # Errors
/// [`TrustRootError`]; `current` is unchanged.
pub async fn reload(config: &TrustRootConfig, current: &ArcSwap<TrustState>) -> Result<Option<Epoch>, TrustRootError> {
    let TrustRootSource::File(path) = &config.source else { return Ok(None) };
    let verifier = load(path).await?;
    let epoch = verifier.epoch();
    current.store(Arc::new(TrustState::Ready { verifier: Arc::new(verifier), stale: None }));
    tracing::info!(epoch = %epoch.0, path = %path.display(), "trust root reloaded");
    Ok(Some(epoch))
}

/// The verifier of a `trusted_root.json`, for the command line and the configuration's check.
///
/// # Errors
/// [`TrustRootError`].
pub async fn load(path: &Path) -> Result<Sigstore, TrustRootError> {
    Sigstore::from_trusted_root(&read_bounded(path).await?)
}

async fn read_bounded(path: &Path) -> Result<Vec<u8>, TrustRootError> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| TrustRootError::Read { path: path.to_owned(), reason: error.to_string() };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells too large from just fitting, whatever the file's size claims to be.
    file.take(MAX_TRUSTED_ROOT as u64 + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
