//! The size bound: what is kept, how much that is, and what goes first.
//!
//! Sizes and last uses are kept in memory, read from the directory by a thread of its own after the start (last use
//! begins as the file's modification time), so that a store of 100,000 files is ready at once. Files are charged whole
//! blocks: thousands of tiny documents fill a disk too (C17).

use std::{
    cmp::Reverse,
    hash::{BuildHasher as _, RandomState},
    io,
    num::NonZero,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use dashmap::{DashMap, Entry as Slot};

use super::{HintKind, StoreError, fs::Stamp, shelf::Shelf};
use crate::{
    oci::{Algorithm, Digest},
    telemetry,
};

/// What a file is charged at least, and in multiples of.
const BLOCK: u64 = 4096;
/// Younger files go only if nothing older is left: the pull they were fetched for may not have read them yet (C7).
const GRACE: Duration = Duration::from_secs(60);
/// How many hints are kept.
const MAX_HINTS: u64 = 500_000;
/// The part of the bound that hints may take.
const HINT_SHARE: u64 = 8;
/// Making room frees this part of the bound beyond what is needed, so that not every write makes room.
const SLACK: u64 = 20;

/// A digest as a key: half as large as a [`Digest`] where it is SHA-256, as nearly all are. A store has a million.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

impl Key {
    fn of(digest: &Digest) -> Self {
        match digest.algorithm() {
            Algorithm::Sha256 => {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(digest.as_bytes());
                Self::Sha256(bytes)
            }
            Algorithm::Sha512 => {
                let mut bytes = Box::new([0; 64]);
                bytes.copy_from_slice(digest.as_bytes());
                Self::Sha512(bytes)
            }
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Sha256(bytes) => Digest::from_sha256(*bytes),
            Self::Sha512(bytes) => Digest::from_sha512(**bytes),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    charged: u64,
    /// Nanoseconds since 1970, by [`Clock`].
    used: i64,
    /// Likewise.
    born: i64,
    /// What the file looked like when this process hashed it.
    verified: Option<Looks>,
}

/// A [`Stamp`], hashed with a key nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looks(NonZero<u64>);

/// Wall time at the start, monotonic from there: comparable with modification times, and never set back.
#[derive(Debug)]
struct Clock {
    started: i64,
    since: Instant,
}

impl Clock {
    fn now(&self) -> i64 {
        self.started.saturating_add(nanos(self.since.elapsed()))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What is published, how large it is, and when it was last used.
#[derive(Debug)]
pub(super) struct Index {
    max_size: u64,
    max_hints: u64,
    grace: i64,
    clock: Clock,
    entries: DashMap<Key, Entry>,
    looks: RandomState,
    bytes: AtomicU64,
    hints: AtomicU64,
    hint_bytes: AtomicU64,
    making_room: AtomicBool,
}

impl Index {
    pub(super) fn new(max_size: u64) -> Self {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            max_size,
            max_hints: MAX_HINTS,
            grace: nanos(GRACE),
            clock: Clock { started: nanos(started), since: Instant::now() },
            entries: DashMap::new(),
            looks: RandomState::new(),
            bytes: AtomicU64::new(0),
            hints: AtomicU64::new(0),
            hint_bytes: AtomicU64::new(0),
            making_room: AtomicBool::new(false),
        }
    }

    #[cfg(test)]
    pub(super) fn with_bounds(mut self, grace: Duration, max_hints: u64) -> Self {
        self.grace = nanos(grace);
        self.max_hints = max_hints;
        self
    }

    /// Makes a file as old as if it had been published that long ago.
    #[cfg(test)]
    pub(super) fn age(&self, digest: &Digest, by: Duration) {
        if let Some(mut entry) = self.entries.get_mut(&Key::of(digest)) {
            entry.born -= nanos(by);
        }
    }

    /// What blobs, documents and hints take.
    pub(super) fn size(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).saturating_add(self.hint_bytes.load(Ordering::Relaxed))
    }

    /// The bound.
    pub(super) const fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Whether something of `size` bytes can be kept at all.
    pub(super) fn fits(&self, size: u64) -> bool {
        charge(size) <= self.max_size
    }

    /// A file just published.
    pub(super) fn insert(&self, digest: &Digest, stamp: &Stamp) {
        let now = self.clock.now();
        self.put(digest, stamp, now, now);
    }

    /// A file just used. It may be that the directory's reader has not come to it yet.
    pub(super) fn touch(&self, digest: &Digest, stamp: &Stamp) {
        self.put(digest, stamp, self.clock.now(), stamp.modified);
    }

    fn put(&self, digest: &Digest, stamp: &Stamp, used: i64, born: i64) {
        let charged = charge(stamp.len);
        match self.entries.entry(Key::of(digest)) {
            Slot::Occupied(mut entry) => {
                let entry = entry.get_mut();
                // Under the entry's lock, so that the sum stays that of the entries.
                self.bytes.fetch_add(charged, Ordering::Relaxed);
                self.bytes.fetch_sub(entry.charged, Ordering::Relaxed);
                *entry = Entry { charged, used, born: entry.born.max(born), verified: entry.verified };
            }
            Slot::Vacant(vacant) => {
                self.bytes.fetch_add(charged, Ordering::Relaxed);
                vacant.insert(Entry { charged, used, born, verified: None });
            }
        }
    }

    /// A file found by the directory's reader.
    fn found(&self, digest: Digest, stamp: &Stamp) {
        if let Slot::Vacant(vacant) = self.entries.entry(Key::of(&digest)) {
            let charged = charge(stamp.len);
            self.bytes.fetch_add(charged, Ordering::Relaxed);
            // A time in the future would make it the last to go.
            let modified = stamp.modified.min(self.clock.started);
            vacant.insert(Entry { charged, used: modified, born: modified, verified: None });
        }
    }

    /// A file that is gone.
    pub(super) fn forget(&self, digest: &Digest) {
        self.entries.remove_if(&Key::of(digest), |_, entry| {
            self.bytes.fetch_sub(entry.charged, Ordering::Relaxed);
            true
        });
    }

    /// The file as it is now was hashed by this process.
    pub(super) fn verified(&self, digest: &Digest, stamp: Stamp) {
        if let Some(mut entry) = self.entries.get_mut(&Key::of(digest)) {
            entry.verified = Some(self.looks(&stamp));
        }
    }

    /// Whether this process hashed the file, and it is still the one.
    pub(super) fn is_verified(&self, digest: &Digest, stamp: &Stamp) -> bool {
        self.entries.get(&Key::of(digest)).is_some_and(|entry| entry.verified == Some(self.looks(stamp)))
    }

    fn looks(&self, stamp: &Stamp) -> Looks {
        Looks(NonZero::new(self.looks.hash_one(stamp)).unwrap_or(NonZero::<u64>::MIN))
    }

    /// A hint written over one of `replaced` bytes, or over none.
    pub(super) fn hint_written(&self, replaced: Option<u64>, len: u64) {
        self.hint_bytes.fetch_add(charge(len), Ordering::Relaxed);
        match replaced {
            Some(replaced) => saturating_sub(&self.hint_bytes, charge(replaced)),
            None => _ = self.hints.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn has_too_many_hints(&self) -> bool {
        self.hints.load(Ordering::Relaxed) > self.max_hints
            || self.hint_bytes.load(Ordering::Relaxed) > self.max_size / HINT_SHARE
    }
}

fn charge(len: u64) -> u64 {
    len.max(1).saturating_add(BLOCK - 1) / BLOCK * BLOCK
}

/// Hints written while their directory is being counted may be counted twice or not at all; the sum must not wrap for it.
fn saturating_sub(sum: &AtomicU64, part: u64) {
    let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_sub(part)));
}

impl Shelf {
    /// Evicts until the bound holds again. Blocking; one at a time, others go on.
    pub(super) fn make_room(&self) {
        let index = &self.index;
        if index.has_too_many_hints() || index.size() > index.max_size {
            self.evict(index.max_size - index.max_size / SLACK, index.max_size);
        }
        metrics::gauge!(telemetry::STORE_BYTES).set(index.size() as f64);
    }

    /// Evicts although the bound holds: the disk itself is full (C1).
    fn relieve(&self) {
        let size = self.index.size();
        let goal = size - size / SLACK;
        self.evict(goal, goal);
    }

    /// Writes; and again, once, after making room, if the disk is full.
    pub(super) fn with_room<T>(&self, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                self.relieve();
                write()
            }
            Err(error) => Err(error),
            Ok(value) => Ok(value),
        }
    }

    /// The same for a fact, whose errors name its file.
    pub(super) fn with_room_for<T>(
        &self,
        operation: &'static str,
        write: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let answer = match write() {
            Err(StoreError::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                self.relieve();
                write()
            }
            other => other,
        };
        if let Err(StoreError::Io { path, source }) = &answer {
            self.failed(operation, path, source);
        }
        answer
    }

    /// Evicts down to `goal` bytes, and what is in its grace only down to `bound`.
    fn evict(&self, goal: u64, bound: u64) {
        let index = &self.index;
        if index.making_room.swap(true, Ordering::Acquire) {
            return;
        }
        if index.has_too_many_hints() {
            self.trim_hints();
        }
        // Where only the hints were too many, a million files need not be sorted.
        if index.size() > goal {
            self.evict_files(goal, bound);
        }
        index.making_room.store(false, Ordering::Release);
    }

    fn evict_files(&self, goal: u64, bound: u64) {
        let index = &self.index;
        let young = index.clock.now().saturating_sub(index.grace);
        let mut files: Vec<_> =
            index.entries.iter().map(|entry| (entry.born > young, entry.used, entry.key().digest())).collect();
        files.sort_unstable();
        let mut evicted = 0_u64;
        for (young, _, digest) in files {
            if index.size() <= if young { bound } else { goal } {
                break;
            }
            evicted += u64::from(self.unlink(&digest));
        }
        if evicted > 0 {
            metrics::counter!(telemetry::STORE_EVICTED).increment(evicted);
            tracing::debug!(evicted, size = index.size(), "made room");
        }
    }

    /// Removes the hints written longest ago, a tenth more than too many, and counts anew.
    fn trim_hints(&self) {
        let mut hints = self.list_hints();
        hints.sort_unstable_by_key(|hint| Reverse(hint.modified));
        let (mut count, mut bytes) = (0_u64, 0_u64);
        let (most, share) = (self.index.max_hints - self.index.max_hints / 10, self.index.max_size / HINT_SHARE);
        for Hint { charged, kind, name, .. } in hints {
            if count < most && bytes + charged <= share - share / 10 {
                (count, bytes) = (count + 1, bytes + charged);
                continue;
            }
            let path = self.layout.hints(kind).join(name.digest().to_hex());
            if std::fs::remove_file(&path).is_err() {
                tracing::debug!(path = %path.display(), "hint was gone already");
            }
        }
        self.index.hints.store(count, Ordering::Relaxed);
        self.index.hint_bytes.store(bytes, Ordering::Relaxed);
    }

    fn list_hints(&self) -> Vec<Hint> {
        let mut hints = Vec::new();
        for kind in HintKind::ALL {
            let files = std::fs::read_dir(self.layout.hints(kind)).into_iter().flatten().flatten();
            hints.extend(files.filter_map(|file| {
                let stamp = Stamp::of(&file.metadata().ok()?);
                // What has another name is none of ours.
                let name = format!("sha256:{}", file.file_name().to_str()?).parse::<Digest>().ok()?;
                Some(Hint { modified: stamp.modified, charged: charge(stamp.len), kind, name: Key::of(&name) })
            }));
        }
        hints
    }
}

/// A hint's file. Half a million are listed at once, so no paths.
#[derive(Debug)]
struct Hint {
    modified: i64,
    charged: u64,
    kind: HintKind,
    name: Key,
}

/// Reads the directory into the index, and then makes room. Stops when the store is gone.
pub(super) fn index(shelf: &Weak<Shelf>) -> Option<()> {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let shards = std::fs::read_dir(shelf.upgrade()?.layout.blobs(algorithm)).into_iter().flatten().flatten();
        for shard in shards {
            let shelf: Arc<Shelf> = shelf.upgrade()?;
            for file in std::fs::read_dir(shard.path()).into_iter().flatten().flatten() {
                let digest = file.file_name().to_str().and_then(|hex| format!("{}:{hex}", algorithm.as_str()).parse().ok());
                if let (Some(digest), Ok(metadata)) = (digest, file.metadata())
                    && metadata.is_file()
                {
                    shelf.index.found(digest, &Stamp::of(&metadata));
                }
            }
        }
    }
    let shelf = shelf.upgrade()?;
    let hints = shelf.list_hints();
    shelf.index.hints.fetch_add(hints.len() as u64, Ordering::Relaxed);
    shelf.index.hint_bytes.fetch_add(hints.iter().map(|hint| hint.charged).sum(), Ordering::Relaxed);
    tracing::info!(files = shelf.index.entries.len(), hints = hints.len(), bytes = shelf.index.size(), "store is counted");
    shelf.make_room();
    Some(())
}
