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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        oci::{Digest, ImageName},
        policy::PolicyId,
    };

    #[derive(Debug)]
    struct Noted {
        image: ImageName,
        digest: Digest,
        basis: Basis,
        until: Instant,
    }

    impl Record for Noted {
        fn asked(&self) -> Asked<'_> {
            Asked { image: &self.image, digest: &self.digest }
        }

        fn basis(&self) -> &Basis {
            &self.basis
        }

        fn until(&self) -> Instant {
            self.until
        }
    }

    fn manifest(of: u8) -> Arc<Manifest> {
        // Of the same length, whichever it is.
        let config = serde_json::json!({"mediaType": "a/b", "digest": digest(of), "size": 2});
        let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
        Arc::new(Manifest::parse(Digest::sha256(text.as_bytes()), text.into(), None).unwrap())
    }

    fn digest(of: u8) -> Digest {
        Digest::sha256(&[of])
    }

    fn image() -> ImageName {
        ImageName::new("reg.test".parse().unwrap(), "acme/app".parse().unwrap())
    }

    fn basis() -> Basis {
        Basis { policy: PolicyId(digest(0)), epoch: None }
    }

    /// A share with what a test asks of it.
    struct Rig {
        share: Share<Noted>,
        image: ImageName,
    }

    impl Rig {
        /// With room for so many records, and for the manifests of so many.
        fn new(entries: usize, manifests: usize) -> Self {
            Self { share: Share::new(entries, manifests * manifest(0).weight()), image: image() }
        }

        async fn remember(&self, of: u8, with_manifest: bool) {
            let until = Instant::now() + Duration::from_secs(10);
            let record = Noted { image: image(), digest: digest(of), basis: basis(), until };
            self.share.remember(Arc::new(record), with_manifest.then(|| manifest(of))).await;
        }

        fn recall(&self, of: u8) -> Option<(Arc<Noted>, Option<Arc<Manifest>>)> {
            self.share.recall(Asked { image: &self.image, digest: &digest(of) }, &basis(), Instant::now())
        }

        /// Whether the record is here, and whether its manifest is, without recalling it.
        fn holds(&self, of: u8) -> (bool, bool) {
            let map = self.share.map.pin();
            let slot = map.get(&Asked { image: &self.image, digest: &digest(of) });
            (slot.is_some(), slot.is_some_and(|slot| slot.manifest.load().is_some()))
        }

        async fn check(&self) -> Result<(), TestCaseError> {
            let order = self.share.order.lock().await;
            let map = self.share.map.pin();
            let held: usize = map.values().filter_map(|slot| slot.manifest.load_full()).map(|manifest| manifest.weight()).sum();
            prop_assert_eq!(order.bytes, held, "what is counted is what is held");
            prop_assert!(held <= self.share.bytes && order.manifests.len() <= self.share.entries);
            prop_assert!(map.len() <= self.share.entries && order.records.len() <= self.share.entries);
            prop_assert!(map.len() <= 6, "of each one");
            Ok(())
        }
    }

    /// The map keeps seven bits of a name's hash, and of names that share them it must look at the names.
    #[tokio::test(start_paused = true)]
    async fn c13_nothing_is_recalled_of_another_digest_or_of_another_image() {
        const MANY: u32 = 4_000;
        let share = Share::new(MANY as usize, 0);
        let named = |of: u32| Digest::sha256(&of.to_le_bytes());
        let until = Instant::now() + Duration::from_secs(10);
        for of in 0..MANY {
            share.remember(Arc::new(Noted { image: image(), digest: named(of), basis: basis(), until }), None).await;
        }
        let recalls =
            |image: &ImageName, of| share.recall(Asked { image, digest: &named(of) }, &basis(), Instant::now()).is_some();
        let other = ImageName::new("reg.test".parse().unwrap(), "acme/other".parse().unwrap());
        assert!((0..MANY).all(|of| recalls(&image(), of)));
        assert!(!(MANY..2 * MANY).any(|of| recalls(&image(), of)), "another digest");
        assert!(!(0..MANY).any(|of| recalls(&other, of)), "another image");
    }

    /// The record, the manifest: which of the two goes is what the room is short of.
    fn short_of(records: bool, room: usize) -> Rig {
        if records { Rig::new(room, 1_000) } else { Rig::new(1_000, room) }
    }

    /// The same, with as many remembered as there is room for.
    async fn full_of(records: bool, room: u8) -> Rig {
        let rig = short_of(records, room.into());
        for of in 0..room {
            rig.remember(of, true).await;
        }
        rig
    }

    fn is_here(rig: &Rig, of: u8, records: bool) -> bool {
        let (record, manifest) = rig.holds(of);
        assert!(records || record, "the verdict stays where the manifest goes");
        if records { record } else { manifest }
    }

    #[tokio::test(start_paused = true)]
    async fn c13_there_is_room_for_as_many_as_it_says_and_the_oldest_goes_first() {
        for records in [true, false] {
            let rig = full_of(records, 4).await;
            assert!((0..4).all(|of| rig.holds(of) == (true, true)));
            for of in 4..7 {
                rig.remember(of, true).await;
                let here: Vec<u8> = (0..=of).filter(|of| is_here(&rig, *of, records)).collect();
                assert_eq!(here, (of - 3..=of).collect::<Vec<_>>());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn c13_what_was_recalled_is_spared_once_for_each_time_round() {
        for records in [true, false] {
            let rig = full_of(records, 4).await;
            rig.recall(0).unwrap();
            for of in 4..8 {
                rig.remember(of, true).await;
                assert!(is_here(&rig, 0, records) && !is_here(&rig, of - 3, records), "{of}");
            }
            rig.remember(8, true).await;
            assert!(!is_here(&rig, 0, records), "not recalled since");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn c13_where_all_were_recalled_one_goes_all_the_same() {
        for records in [true, false] {
            let rig = full_of(records, 100).await;
            for of in 0..100 {
                rig.recall(of).unwrap();
            }
            rig.remember(100, true).await;
            assert_eq!((0..=100).filter(|of| is_here(&rig, *of, records)).count(), 100);
            assert!(is_here(&rig, 100, records), "and not the one that came");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn c13_whatever_happens_it_counts_what_it_holds_and_holds_no_more_than_it_may(
            steps in prop::collection::vec((0..7_u8, 0..6_u8), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let rig = Rig::new(4, 2);
                for (what, of) in steps {
                    match what {
                        0 | 1 => rig.remember(of, true).await,
                        2 => rig.remember(of, false).await,
                        3 | 4 => {
                            if let Some((record, _)) = rig.recall(of) {
                                rig.share.furnish(&record, &manifest(of)).await;
                            }
                        }
                        5 => rig.share.forget(Asked { image: &rig.image, digest: &digest(of) }).await,
                        _ => tokio::time::advance(Duration::from_secs(4)).await,
                    }
                    rig.check().await?;
                }
                Ok::<(), TestCaseError>(())
            })?;
        }
    }
}
