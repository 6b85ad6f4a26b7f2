//! Remembered verdicts: lock-free to recall, bounded in number, refusals in a share of their own; and the manifests that
//! permits are for, bounded in bytes. A permit whose manifest went is recalled by reading it from the store: nothing is judged.

mod share;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use papaya::{Equivalent, HashMap};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use self::share::{Record, Share};
use super::verdict::{Granted, Permit, Refusal, Terms};
use crate::{
    oci::{Digest, ImageName},
    policy::{PolicyId, PolicySet, Selection},
    telemetry,
    verify::Epoch,
};

/// What a verdict was made under. A remembered verdict is recalled only under the same: a changed policy or trust root
/// makes old verdicts unreachable without a flush (threats D3, C9). The third of these, the verifier's version, is the
/// same for as long as the process, and verdicts live no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Basis {
    pub(super) policy: PolicyId,
    /// The trust root; none while there is none.
    pub(super) epoch: Option<Epoch>,
}

/// A digest in a repository at a host, as a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) image: ImageName,
    pub(super) digest: Digest,
}

/// The same, borrowed, so that looking up allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) image: &'a ImageName,
    pub(super) digest: &'a Digest,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Asked { image: &self.image, digest: &self.digest }.hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.digest.as_bytes());
        self.image.repository.hash(state);
        self.image.host.hash(state);
    }
}

impl Equivalent<Name> for Asked<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self.digest == name.digest && *self.image == name.image
    }
}

/// Asks the kernel now for what the first lock-free map will ask it for: to register the process for `membarrier`. With one
/// thread that takes nothing, with more the kernel waits for all of them, some ten milliseconds, which is longer than a
/// whole `pullgate verify`. So: before any thread is started. Left out, only the time is lost.
///
/// Not by making a map: that reads from a dozen files how many processors there are, which can be done while others work.
pub fn register_early() {
    let _ = rustix::thread::membarrier(rustix::thread::MembarrierCommand::RegisterPrivateExpedited);
}

/// How many terms are known to be in use.
const MAX_TERMS: usize = 1_000;

/// Permits and refusals. A million refused digests push out refusals, never permits (C13); a million large manifests push out
/// manifests, never verdicts.
#[derive(Debug)]
pub(super) struct Memory {
    permits: Share<Granted>,
    refusals: Share<Refused>,
    terms: Cache<Arc<Terms>, Arc<Terms>>,
}

/// What is remembered of a permit.
#[derive(Debug)]
pub(super) enum Recalled {
    /// All of it.
    Whole(Permit),
    /// All but the manifest.
    Bare(Arc<Granted>),
}

impl Recalled {
    /// The permit, where nothing is to be read for it.
    pub(super) fn whole(self) -> Option<Permit> {
        match self {
            Self::Whole(permit) => Some(permit),
            Self::Bare(_) => None,
        }
    }
}

#[derive(Debug)]
struct Refused {
    refusal: Arc<Refusal>,
    basis: Basis,
    until: Instant,
}

impl Record for Refused {
    fn asked(&self) -> Asked<'_> {
        Asked { image: &self.refusal.image, digest: &self.refusal.digest }
    }

    fn basis(&self) -> &Basis {
        &self.basis
    }

    fn until(&self) -> Instant {
        self.until
    }
}

impl Record for Granted {
    fn asked(&self) -> Asked<'_> {
        Asked { image: self.image(), digest: self.digest() }
    }

    fn basis(&self) -> &Basis {
        self.basis()
    }

    fn until(&self) -> Instant {
        self.until()
    }
}

impl Memory {
    /// Room for `verdicts`, a quarter of them refusals, and for manifests that take `bytes`.
    pub(super) fn new(verdicts: usize, bytes: u64) -> Self {
        let refusals = (verdicts / 4).max(1);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            permits: Share::new(verdicts.saturating_sub(refusals).max(1), bytes),
            refusals: Share::new(refusals, 0),
            terms: Cache::new(MAX_TERMS),
        }
    }

    /// The permit, if it still holds under `basis`. The hot path: one look-up, no lock, no allocation.
    pub(super) fn permit(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<Recalled> {
        let (granted, manifest) = self.permits.recall(asked, basis, now)?;
        match manifest {
            Some(manifest) => granted.again(manifest).map(Recalled::Whole),
            None => Some(Recalled::Bare(granted)),
        }
    }

    /// The refusal, if it still holds under `basis`.
    pub(super) fn refusal(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<Arc<Refusal>> {
        self.refusals.recall(asked, basis, now).map(|(refused, _)| Arc::clone(&refused.refusal))
    }

    /// Remembers a permit for as long as it says, under what it was given under.
    pub(super) async fn remember_permit(&self, permit: &Permit) {
        let granted = permit.granted();
        self.refusals.forget(granted.asked()).await;
        self.permits.remember(Arc::clone(granted), Some(Arc::clone(permit.manifest()))).await;
        self.count();
    }

    /// Keeps the manifest of a permit that was remembered without.
    pub(super) async fn furnish(&self, permit: &Permit) {
        self.permits.furnish(permit.granted(), permit.manifest()).await;
    }

    /// Remembers a refusal until `until`.
    pub(super) async fn remember_refusal(&self, basis: Basis, refusal: &Arc<Refusal>, until: Instant) {
        let refused = Refused { refusal: Arc::clone(refusal), basis, until };
        self.permits.forget(refused.asked()).await;
        self.refusals.remember(Arc::new(refused), None).await;
        self.count();
    }

    /// Forgets the refusal of `asked`, if any: something was learnt that may change it.
    pub(super) async fn forget_refusal(&self, asked: Asked<'_>) {
        self.refusals.forget(asked).await;
    }

    /// `terms`, in the memory of equal ones if there are: a hundred thousand verdicts have few.
    pub(super) fn shared(&self, terms: Terms) -> Arc<Terms> {
        self.terms.get(&terms).unwrap_or_else(|| {
            let terms = Arc::new(terms);
            self.terms.insert(Arc::clone(&terms), Arc::clone(&terms));
            terms
        })
    }

    /// How many verdicts are remembered.
    pub(super) fn len(&self) -> usize {
        self.permits.len() + self.refusals.len()
    }

    fn count(&self) {
        // A gauge takes a float; these counts are far below what one holds exactly.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(telemetry::VERDICTS).set(self.len() as f64);
    }
}

/// How many images' selections are kept; a client can ask for any number of names.
const MAX_SELECTIONS: usize = 10_000;

/// Which policies name an image, computed once per image and policy set.
#[derive(Debug)]
pub(super) struct Selections {
    of: Arc<PolicySet>,
    map: HashMap<ImageName, Arc<Selection>>,
}

impl Selections {
    pub(super) fn new(of: Arc<PolicySet>) -> Self {
        Self { of, map: HashMap::new() }
    }

    /// Whether these are the selections of `policies`.
    pub(super) fn are_of(&self, policies: &Arc<PolicySet>) -> bool {
        Arc::ptr_eq(&self.of, policies)
    }

    /// The fingerprint alone, where it is known: what the hot path needs.
    pub(super) fn id(&self, image: &ImageName) -> Option<PolicyId> {
        self.map.pin().get(image).map(|selection| selection.id)
    }

    /// The policies that name `image`.
    pub(super) fn select(&self, image: &ImageName) -> Arc<Selection> {
        let map = self.map.pin();
        if let Some(selection) = map.get(image) {
            return Arc::clone(selection);
        }
        let selection = Arc::new(self.of.select(image));
        if map.len() >= MAX_SELECTIONS {
            map.clear();
        }
        map.insert(image.clone(), Arc::clone(&selection));
        selection
    }
}
