//! One bounded map of verdicts, and the manifests that some of them have with them. Reading takes no lock; writing, which
//! follows a judgement of milliseconds, takes one.

use std::{
    collections::VecDeque,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use papaya::{Equivalent, HashMap};
use tokio::{sync::Mutex, time::Instant};

use super::{Asked, Basis};
use crate::oci::Manifest;

/// How many are spared in one go because they were recalled.
const CHANCES: usize = 64;
/// How many that have ended go with each that comes: more than one, so that they get fewer; few, since a request waits.
const ENDED: usize = 16;
/// Recalled since it was last looked at for eviction.
const RECALLED: u8 = 1;
/// The same of its manifest.
const SERVED: u8 = 2;

/// What is remembered: a verdict, and under what it holds.
pub(super) trait Record: fmt::Debug + Send + Sync {
    fn asked(&self) -> Asked<'_>;
    fn basis(&self) -> &Basis;
    fn until(&self) -> Instant;
}

/// Verdicts, at most so many; manifests, at most so many bytes.
#[derive(Debug)]
pub(super) struct Share<R: Record> {
    map: HashMap<Key<R>, Slot<R>>,
    order: Mutex<Order<R>>,
    entries: usize,
    bytes: usize,
}

/// A record as its own key: what it is about.
#[derive(Debug)]
struct Key<R>(Arc<R>);

#[derive(Debug)]
struct Slot<R> {
    record: Arc<R>,
    /// The manifest, while there is room for it. Where it went, the verdict stays, and the bytes are read from the store.
    manifest: ArcSwapOption<Manifest>,
    used: AtomicU8,
}

/// The order of remembering, of verdicts and of manifests: the oldest goes first, unless it was used since (a second chance).
/// What was judged anew is here until its turn comes, but not what it held.
#[derive(Debug)]
struct Order<R> {
    records: VecDeque<Weak<R>>,
    manifests: VecDeque<Weak<R>>,
    bytes: usize,
}

impl<R: Record> Hash for Key<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.asked().hash(state);
    }
}

impl<R: Record> PartialEq for Key<R> {
    fn eq(&self, other: &Self) -> bool {
        self.0.asked() == other.0.asked()
    }
}

impl<R: Record> Eq for Key<R> {}

impl<R: Record> Equivalent<Key<R>> for Asked<'_> {
    fn equivalent(&self, key: &Key<R>) -> bool {
        *self == key.0.asked()
    }
}

impl<R> Slot<R> {
    /// Takes the manifest away and gives what it weighed.
    fn lighten(&self) -> usize {
        self.manifest.swap(None).map_or(0, |manifest| manifest.weight())
    }

    /// Written once, then only read: a hot verdict's cache line stays shared between cores.
    fn mark(&self, as_used: u8) {
        if self.used.load(Ordering::Relaxed) & as_used != as_used {
            self.used.fetch_or(as_used, Ordering::Relaxed);
        }
    }

    fn was(&self, used: u8) -> bool {
        self.used.fetch_and(!used, Ordering::Relaxed) & used != 0
    }
}

impl<R: Record> Share<R> {
    pub(super) fn new(entries: usize, bytes: usize) -> Self {
        let order = Order { records: VecDeque::new(), manifests: VecDeque::new(), bytes: 0 };
        Self { map: HashMap::new(), order: Mutex::new(order), entries, bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// The record, if it still holds under `basis`, with its manifest, if that is here.
    pub(super) fn recall(&self, asked: Asked<'_>, basis: &Basis, now: Instant) -> Option<(Arc<R>, Option<Arc<Manifest>>)> {
        let map = self.map.pin();
        let slot = map.get(&asked)?;
        let under = slot.record.basis();
        let same_root = under.epoch.is_none() || under.epoch == basis.epoch;
        if !same_root || under.policy != basis.policy || now >= slot.record.until() {
            return None;
        }
        let manifest = slot.manifest.load_full();
        slot.mark(if manifest.is_some() { RECALLED | SERVED } else { RECALLED });
        Some((Arc::clone(&slot.record), manifest))
    }

    /// Remembers `record` in place of what is remembered of the same.
    pub(super) async fn remember(&self, record: Arc<R>, manifest: Option<Arc<Manifest>>) {
        let mut order = self.order.lock().await;
        order.records.push_back(Arc::downgrade(&record));
        if let Some(manifest) = &manifest {
            order.bytes += manifest.weight();
            order.manifests.push_back(Arc::downgrade(&record));
        }
        let slot = Slot { record: Arc::clone(&record), manifest: ArcSwapOption::new(manifest), used: AtomicU8::new(0) };
        order.bytes -= self.map.pin().insert(Key(record), slot).map_or(0, Slot::lighten);
        self.make_room(&mut order);
    }

    /// Puts the manifest with a record that lost it.
    pub(super) async fn furnish(&self, record: &Arc<R>, manifest: &Arc<Manifest>) {
        let mut order = self.order.lock().await;
        if let Some(slot) = self.map.pin().get(&record.asked()).filter(|slot| Arc::ptr_eq(&slot.record, record)) {
            order.bytes -= slot.lighten();
            slot.manifest.store(Some(Arc::clone(manifest)));
            order.bytes += manifest.weight();
            order.manifests.push_back(Arc::downgrade(record));
        }
        self.make_room(&mut order);
    }

    pub(super) async fn forget(&self, asked: Asked<'_>) {
        if !self.map.pin().contains_key(&asked) {
            return;
        }
        let mut order = self.order.lock().await;
        order.bytes -= self.map.pin().remove(&asked).map_or(0, Slot::lighten);
    }

    fn make_room(&self, order: &mut Order<R>) {
        let map = self.map.pin();
        let now = |record: &Weak<R>| {
            let record = record.upgrade()?;
            let slot = map.get(&record.asked()).filter(|slot| Arc::ptr_eq(&slot.record, &record))?;
            Some((record, slot))
        };
        let time = Instant::now();
        let ended = |record: &mut Weak<R>| record.upgrade().is_none_or(|record| record.until() <= time);
        for _ in 0..ENDED {
            // A refusal holds its whole explanation, kilobytes, and ends after seconds: what nobody can recall makes room.
            let Some(record) = order.records.pop_front_if(ended) else { break };
            if let Some((record, slot)) = now(&record) {
                order.bytes -= slot.lighten();
                map.remove(&record.asked());
            }
        }
        let mut chances = CHANCES;
        while order.records.len() > self.entries {
            let Some(oldest) = order.records.pop_front() else { break };
            let Some((record, slot)) = now(&oldest) else { continue };
            if chances > 0 && slot.was(RECALLED) {
                chances -= 1;
                order.records.push_back(oldest);
                continue;
            }
            order.bytes -= slot.lighten();
            map.remove(&record.asked());
        }
        let mut chances = CHANCES;
        // Those that are gone or were judged anew are in the queue until it is their turn; so that has a bound of its own.
        while order.bytes > self.bytes || order.manifests.len() > self.entries {
            let Some(oldest) = order.manifests.pop_front() else { break };
            let Some((_, slot)) = now(&oldest) else { continue };
            if chances > 0 && slot.was(SERVED) {
                chances -= 1;
                order.manifests.push_back(oldest);
                continue;
            }
            order.bytes -= slot.lighten();
        }
    }
}
