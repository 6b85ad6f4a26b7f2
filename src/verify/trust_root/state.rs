//! Several roots, one state: what each is now, and the verifier they make together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{
    TrustRootConfig, TrustRootError, files,
    refresh::{Keeper, Source},
};
use crate::verify::{Roots, Sigstore, TrustState, Unready};

/// What [`watch`](super::watch) keeps.
#[derive(Debug)]
pub struct Watched {
    /// The verifier in use now. When nobody holds it any more, refreshing ends.
    pub state: Arc<ArcSwap<TrustState>>,
    /// By which files are read again.
    pub roots: TrustRoots,
}

/// The roots behind a state. Holding it keeps nothing alive.
#[derive(Debug, Clone)]
pub struct TrustRoots {
    /// One writer at a time: a refresh and a reload that cross must not lose one of the two.
    parts: Arc<Mutex<BTreeMap<Arc<str>, Part>>>,
    /// The root that refreshes itself.
    own: Option<Arc<str>>,
    state: Weak<ArcSwap<TrustState>>,
}

/// What one root is now.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Why nothing is judged under it.
    NotReady(String),
    /// It is in use.
    Ready {
        /// Its verifier.
        root: Arc<Sigstore>,
        /// When it was last fresh, where that is too long ago.
        stale: Option<String>,
    },
}

/// Root files that were read, checked, and not taken yet.
#[derive(Debug)]
pub struct Files(BTreeMap<Arc<str>, Part>);

/// A state of `parts` and the root that `keeper` keeps, for as long as it is held.
pub(super) async fn start<S: Source>(mut parts: BTreeMap<Arc<str>, Part>, keeper: Option<Keeper<S>>) -> Watched {
    let own = keeper.as_ref().map(|keeper| Arc::clone(keeper.name()));
    if let Some(keeper) = &keeper {
        parts.insert(Arc::clone(keeper.name()), keeper.part());
    }
    let state = Arc::new(ArcSwap::from_pointee(compose(&parts)));
    let roots = TrustRoots { parts: Arc::new(Mutex::new(parts)), own, state: Arc::downgrade(&state) };
    if let Some(keeper) = keeper {
        tokio::spawn(keeper.run(roots.clone()));
    }
    Watched { state, roots }
}

impl TrustRoots {
    /// Reads the files of `config`, all of them or an error. Nothing changes yet.
    ///
    /// # Errors
    /// [`TrustRootError`].
    pub async fn read(config: &TrustRootConfig) -> Result<Files, TrustRootError> {
        files(config).await.map(Files)
    }

    /// Takes `files` instead of all that were files before. The root that refreshes itself stays as it is.
    pub async fn take(&self, files: Files) {
        let mut parts = self.parts.lock().await;
        parts.retain(|name, _| self.own.as_ref() == Some(name));
        parts.extend(files.0.into_iter().filter(|(name, _)| self.own.as_ref() != Some(name)));
        self.store(&parts);
    }

    /// Reads the files again and takes them. If one is bad, what was in use stays.
    ///
    /// # Errors
    /// [`TrustRootError`]; nothing is changed.
    pub async fn reload(&self, config: &TrustRootConfig) -> Result<(), TrustRootError> {
        self.take(Self::read(config).await?).await;
        Ok(())
    }

    /// What one root is from now on. Whether anybody holds the state still.
    pub(super) async fn set(&self, name: &Arc<str>, part: Part) -> bool {
        let mut parts = self.parts.lock().await;
        parts.insert(Arc::clone(name), part);
        self.store(&parts)
    }

    fn store(&self, parts: &BTreeMap<Arc<str>, Part>) -> bool {
        let Some(state) = self.state.upgrade() else { return false };
        state.store(Arc::new(compose(parts)));
        true
    }
}

/// One root that is not ready stops none of the others.
fn compose(parts: &BTreeMap<Arc<str>, Part>) -> TrustState {
    let (mut ready, mut unready, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, part) in parts {
        let (note, of) = match part {
            Part::NotReady(why) => {
                unready.push(Unready { name: Arc::clone(name), why: why.clone() });
                (Some(why), "is not ready: ")
            }
            Part::Ready { root, stale } => {
                ready.push(Arc::clone(root));
                (stale.as_ref(), "")
            }
        };
        notes.extend(note.map(|note| if parts.len() == 1 { note.clone() } else { format!("trust root {name}: {of}{note}") }));
    }
    let told = notes.join("; ");
    match Roots::new(ready, unready) {
        Some(roots) => TrustState::Ready { verifier: Arc::new(roots), stale: (!told.is_empty()).then_some(told) },
        None => TrustState::NotReady(told),
    }
}
