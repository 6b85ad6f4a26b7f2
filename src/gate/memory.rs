//! Remembered verdicts: lock-free to recall, bounded in number and bytes, refusals in a share of their own.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use papaya::{Equivalent, HashMap};
use tokio::{sync::Mutex, time::Instant};

use super::verdict::{Permit, Refusal};
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
#[derive(Debug, Clone, Copy)]
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
pub fn register_early() {
    drop(HashMap::<u8, u8>::new());
}

/// Permits and refusals. A million refused digests push out refusals, never permits (C13).
#[derive(Debug)]
pub(super) struct Memory {
    permits: Share<Permit>,
    refusals: Share<Arc<Refusal>>,
}

impl Memory {
    /// Room for `verdicts`, a quarter of them refusals, and for permits whose manifests weigh `bytes`.
    pub(super) fn new(verdicts: usize, bytes: u64) -> Self {
        let refusals = (verdicts / 4).max(1);
        Self { permits: Share::new(verdicts.saturating_sub(refusals).max(1), bytes), refusals: Share::new(refusals, u64::MAX) }
    }

    /// The permit, if it still holds under `basis`. The hot path: one look-up, no lock, no allocation.
    pub(super) fn permit(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<Permit> {
        self.permits.recall(asked, basis, now)
    }

    /// The refusal, if it still holds under `basis`.
    pub(super) fn refusal(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<Arc<Refusal>> {
        self.refusals.recall(asked, basis, now)
    }

    /// Remembers a permit for as long as it says. `basis` has no trust root where the permit needs none.
    pub(super) async fn remember_permit(&self, basis: Basis, permit: &Permit) {
        let manifest = permit.manifest();
        let name = Name { image: permit.image().clone(), digest: *manifest.digest() };
        // The bytes, our reading of them, and what the map and the permit take.
        let weight = 2 * manifest.bytes().len() as u64 + 1024;
        self.refusals.forget(Asked { image: &name.image, digest: &name.digest }).await;
        self.permits.remember(name, basis, permit.clone(), permit.until(), weight).await;
        self.count();
    }

    /// Remembers a refusal until `until`.
    pub(super) async fn remember_refusal(&self, basis: Basis, refusal: &Arc<Refusal>, until: Instant) {
        let name = Name { image: refusal.image.clone(), digest: refusal.digest };
        self.permits.forget(Asked { image: &name.image, digest: &name.digest }).await;
        self.refusals.remember(name, basis, Arc::clone(refusal), until, 1024).await;
        self.count();
    }

    /// Forgets the refusal of `asked`, if any: something was learnt that may change it.
    pub(super) async fn forget_refusal(&self, asked: Asked<'_>) {
        self.refusals.forget(asked).await;
    }

    fn count(&self) {
        // A gauge takes a float; these counts are far below what one holds exactly.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(telemetry::VERDICTS).set((self.permits.map.len() + self.refusals.map.len()) as f64);
    }
}

/// One bounded map. Reading takes no lock; writing, which follows a judgement of milliseconds, takes one.
#[derive(Debug)]
struct Share<V> {
    map: HashMap<Name, Remembered<V>>,
    order: Mutex<Order>,
    entries: usize,
    bytes: u64,
}

#[derive(Debug)]
struct Remembered<V> {
    verdict: V,
    basis: Basis,
    until: Instant,
    weight: u64,
    /// Tells this record from an earlier one of the same name.
    number: u64,
    /// Recalled since it was last looked at for eviction.
    used: AtomicBool,
}

/// The order of remembering: the oldest goes first, unless it was recalled since (a second chance).
#[derive(Debug, Default)]
struct Order {
    queue: VecDeque<(Name, u64)>,
    next: u64,
    bytes: u64,
}

impl<V: Clone> Share<V> {
    fn new(entries: usize, bytes: u64) -> Self {
        Self { map: HashMap::new(), order: Mutex::default(), entries, bytes }
    }

    fn recall(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<V> {
        let map = self.map.pin();
        let remembered = map.get(&asked)?;
        let same_root = remembered.basis.epoch.is_none() || remembered.basis.epoch == basis.epoch;
        if !same_root || remembered.basis.policy != basis.policy || now >= remembered.until {
            return None;
        }
        // Written once, then only read: a hot verdict's cache line stays shared between cores.
        if !remembered.used.load(Ordering::Relaxed) {
            remembered.used.store(true, Ordering::Relaxed);
        }
        Some(remembered.verdict.clone())
    }

    async fn remember(&self, name: Name, basis: Basis, verdict: V, until: Instant, weight: u64) {
        let mut order = self.order.lock().await;
        let number = order.next;
        order.next += 1;
        let map = self.map.pin();
        let record = Remembered { verdict, basis, until, weight, number, used: AtomicBool::new(false) };
        let replaced = map.insert(name.clone(), record).map_or(0, |old| old.weight);
        order.bytes = order.bytes + weight - replaced;
        order.queue.push_back((name, number));
        let mut chances = 64;
        while order.queue.len() > self.entries || order.bytes > self.bytes {
            let Some((name, number)) = order.queue.pop_front() else { break };
            let Some(old) = map.get(&name).filter(|record| record.number == number) else { continue };
            if chances > 0 && old.used.swap(false, Ordering::Relaxed) {
                chances -= 1;
                order.queue.push_back((name, number));
                continue;
            }
            order.bytes -= old.weight;
            map.remove(&name);
        }
    }

    async fn forget(&self, asked: Asked<'_>) {
        if !self.map.pin().contains_key(&asked) {
            return;
        }
        let mut order = self.order.lock().await;
        if let Some(old) = self.map.pin().remove(&asked) {
            order.bytes -= old.weight;
        }
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
