//! Whom to believe: trusted roots from files, and Sigstore's own by TUF, kept fresh in the background.
//!
//! A change is one swap of an immutable verifier over all of them, whose [`Epoch`](super::Epoch) is part of every verdict's
//! key: nobody sees half of each, and verdicts under the old one are no longer found. A bad new root never replaces a good
//! one.

pub(super) mod document;
mod refresh;
mod state;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

pub use self::state::{TrustRoots, Watched};
use self::{
    document::MAX_TRUSTED_ROOT,
    refresh::{Keeper, Tuf},
    state::Part,
};
use super::{DEFAULT_TRUST_ROOT, Relaxed, Roots, Sigstore, Verifier};
use crate::telemetry;

/// Trust roots of one configuration: each piece of evidence is tried under every one.
pub const MAX_TRUST_ROOTS: usize = 8;

/// Where the trust roots come from and how long one may go without a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRootConfig {
    /// Each by its name. [`TrustRootSource::Sigstore`] at most once.
    pub roots: BTreeMap<Arc<str>, RootConfig>,
    /// A directory, ours alone, for the last good TUF metadata. Read back only through TUF's own checks. Where it cannot be made
    /// nothing is kept.
    pub cache_dir: PathBuf,
    /// How often to refresh: some hours. Jittered by a fifth, so that a fleet does not ask at once.
    pub refresh: Duration,
    /// After a failed refresh the next attempt comes sooner: this, doubled each time up to `refresh`.
    pub retry: Duration,
    /// After this long without a refresh nothing is judged under it any more: 7 days.
    pub hard_stale: Duration,
}

/// One trust root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootConfig {
    /// Where it comes from.
    pub source: TrustRootSource,
    /// What is given up about it. Of Sigstore's own nothing can be.
    pub relaxed: Relaxed,
}

/// Where a trust root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRootSource {
    /// A `trusted_root.json`; read again by [`TrustRoots::reload`] only, never stale.
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
    /// One of several, or one with a name of its own.
    #[error("trust_roots.{name}: {error}")]
    In {
        /// Its name.
        name: Arc<str>,
        /// What is wrong.
        error: Box<Self>,
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

/// Loads the trust roots and keeps [`TrustRootSource::Sigstore`] fresh for as long as [`Watched::state`] is held.
///
/// A file that is bad is an error: the caller refuses to start. Sigstore's own never fails the start: the last good TUF
/// state of `cache_dir` if it still verifies, else the crate's snapshot, is ready at once; `stale` says so until the
/// first refresh.
///
/// # Errors
/// [`TrustRootError`] for a file, or if the crate's own snapshot cannot be used.
pub async fn watch(config: TrustRootConfig) -> Result<Watched, TrustRootError> {
    let files = files(&config).await?;
    let keeper = match config.roots.iter().find(|(_, root)| root.source == TrustRootSource::Sigstore) {
        Some((name, _)) => Some(Keeper::new(Tuf::new(&config)?, Arc::clone(name), &config).await?),
        None => {
            metrics::gauge!(telemetry::TRUST_ROOT_AGE).set(0.0);
            None
        }
    };
    Ok(state::start(files, keeper).await)
}

/// The verifier under the trust roots of `config` as it answers at the time `now`, for who judges a recorded past again. Asks
/// nobody: Sigstore's own root is the one this binary was built with.
///
/// # Errors
/// [`TrustRootError`].
pub async fn at(config: &TrustRootConfig, now: Timestamp) -> Result<Arc<dyn Verifier>, TrustRootError> {
    let mut roots = Vec::new();
    for (name, RootConfig { source, relaxed }) in &config.roots {
        let root = match source {
            TrustRootSource::File(path) => load_as(Arc::clone(name), path, *relaxed).await?,
            TrustRootSource::Sigstore => {
                Sigstore::new(Arc::clone(name), *relaxed, document::from_root(refresh::embedded()?, *relaxed)?)?
            }
        };
        roots.push(Arc::new(root.with_clock(move || now)));
    }
    let none = || TrustRootError::Malformed("there is none".into());
    Roots::new(roots, Vec::new()).map(|roots| Arc::new(roots) as Arc<dyn Verifier>).ok_or_else(none)
}

/// Every root that is a file.
async fn files(config: &TrustRootConfig) -> Result<BTreeMap<Arc<str>, Part>, TrustRootError> {
    let mut parts = BTreeMap::new();
    for (name, root) in &config.roots {
        let TrustRootSource::File(path) = &root.source else { continue };
        let loaded = load_as(Arc::clone(name), path, root.relaxed).await.map_err(|error| {
            let known = config.roots.len() == 1 && **name == *DEFAULT_TRUST_ROOT;
            if known { error } else { TrustRootError::In { name: Arc::clone(name), error: Box::new(error) } }
        })?;
        tracing::info!(%name, document = %loaded.document(), path = %path.display(), "trust root loaded");
        parts.insert(Arc::clone(name), Part::Ready { root: Arc::new(loaded), stale: None });
    }
    Ok(parts)
}

/// The verifier of one `trusted_root.json`, for the command line.
///
/// # Errors
/// [`TrustRootError`].
pub async fn load(path: &Path) -> Result<Sigstore, TrustRootError> {
    load_as(DEFAULT_TRUST_ROOT.into(), path, Relaxed::default()).await
}

async fn load_as(name: Arc<str>, path: &Path, relaxed: Relaxed) -> Result<Sigstore, TrustRootError> {
    Sigstore::new(name, relaxed, document::parse(&read_bounded(path).await?, relaxed)?)
}

async fn read_bounded(path: &Path) -> Result<Vec<u8>, TrustRootError> {
    use std::io::Read as _;
    let file = path.to_owned();
    // In one go on a thread for it: an async read of a file changes threads at each of its small steps.
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::with_capacity(16 << 10);
        // One byte more than allowed tells too large from just fitting, whatever the file's size claims to be.
        std::fs::File::open(file)?.take(MAX_TRUSTED_ROOT as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let read = read.await.unwrap_or_else(|lost| Err(std::io::Error::other(lost)));
    read.map_err(|error| TrustRootError::Read { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests;
