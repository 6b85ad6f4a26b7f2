//! What is published: finding it, knowing it good, and throwing out what is not.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use dashmap::{DashMap, Entry};
use tokio::sync::{Semaphore, watch};

use super::{
    Blob, Mismatch, StoreError,
    evict::Index,
    fill::FillError,
    fs::{self, Layout, Stamp},
    opened::Opened,
    read::{Feed, Progress},
};
use crate::{
    oci::{Algorithm, Digest, Hasher},
    telemetry,
};

/// How many published blobs are kept open and mapped between requests, so that a layer every node pulls is not mapped
/// anew for each. Eviction closes its own; each costs a descriptor and page tables, no memory of ours.
const HELD: usize = 16;
/// How long no blob is written after a sync failed.
const DISTRUST: Duration = Duration::from_secs(60);
/// What is read at once to hash.
const HASH_PIECE: usize = 256 << 10;

/// The published files and what is known of them.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) layout: Layout,
    pub(super) index: Index,
    held: quick_cache::sync::Cache<Digest, Arc<Opened>>,
    checks: DashMap<Digest, (Stamp, watch::Receiver<Progress>)>,
    hashing: Arc<Semaphore>,
    mapping: AtomicBool,
    /// When a sync failed.
    unsynced: ArcSwapOption<Instant>,
}

impl Shelf {
    pub(super) fn new(layout: Layout, index: Index) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            layout,
            index,
            held: quick_cache::sync::Cache::new(HELD),
            checks: DashMap::new(),
            hashing: Arc::new(Semaphore::new(cores)),
            mapping: AtomicBool::new(true),
            unsynced: ArcSwapOption::empty(),
        }
    }

    pub(super) fn never_map(&self) {
        self.mapping.store(false, Ordering::Relaxed);
    }

    pub(super) fn maps(&self) -> bool {
        self.mapping.load(Ordering::Relaxed)
    }

    /// A sync failed: what this disk gives back may not be what was written. Blobs pass it by for a while (C2).
    pub(super) fn distrust(&self) {
        self.unsynced.store(Some(Arc::new(Instant::now())));
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.unsynced.load().as_ref().is_some_and(|then| then.elapsed() < DISTRUST)
    }

    /// The blob, if it is published.
    pub(super) async fn find(self: &Arc<Self>, digest: &Digest) -> Option<Blob> {
        if let Some(opened) = self.held.get(digest) {
            // No wait for the disk: our descriptor keeps the inode in memory.
            let found = std::fs::symlink_metadata(self.layout.blob(digest)).ok().map(|found| Stamp::of(&found));
            if let Some(stamp) = opened.stamp()
                && found == Some(stamp)
            {
                self.index.touch(digest, &stamp);
                return Some(Blob { shelf: Arc::clone(self), opened, feed: Feed::Published, named: false });
            }
            self.held.remove(digest);
        }
        let (shelf, wanted) = (Arc::clone(self), *digest);
        let opened = tokio::task::spawn_blocking(move || {
            let (file, stamp) = shelf.open(&wanted, &shelf.layout.blob(&wanted))?;
            // A lost sync leaves an empty file under the name (C4). A body of no bytes would end before its hash is known.
            if stamp.len == 0 && !wanted.matches(b"") {
                shelf.discard(&wanted, &stamp);
                return None;
            }
            shelf.index.touch(&wanted, &stamp);
            Some(Arc::new(Opened::published(wanted, file, stamp, shelf.maps())))
        })
        .await
        .ok()??;
        self.hold(&opened);
        // Now, not when its bytes are asked for: a caller that sees a cut file's size asks for none, and it would stay.
        if let Some(stamp) = opened.stamp().filter(|stamp| !self.index.is_verified(digest, stamp)) {
            self.check(&opened, stamp);
        }
        Some(Blob { shelf: Arc::clone(self), opened, feed: Feed::Published, named: false })
    }

    /// Keeps a published blob open for the next who asks.
    pub(super) fn hold(&self, opened: &Arc<Opened>) {
        self.held.insert(opened.digest, Arc::clone(opened));
    }

    /// Opens a published file. What is not a regular file is thrown out (C5).
    pub(super) fn open(&self, digest: &Digest, path: &Path) -> Option<(File, Stamp)> {
        match fs::open_regular(path) {
            Ok(opened) => Some(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index.forget(digest);
                None
            }
            Err(error) => {
                self.failed("read", path, &error);
                let planted = rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::LOOP)
                    || error.kind() == io::ErrorKind::InvalidData;
                if planted {
                    let _ = std::fs::remove_file(path);
                }
                None
            }
        }
    }

    /// Takes note of a file just published, whose bytes were hashed on their way.
    pub(super) fn published(&self, digest: &Digest, stamp: Stamp) {
        self.index.insert(digest, &stamp);
        self.index.verified(digest, stamp);
    }

    /// Whether the blob is published, and this process hashed it.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        let found = std::fs::symlink_metadata(self.layout.blob(digest));
        found.is_ok_and(|found| self.index.is_verified(digest, &Stamp::of(&found)))
    }

    /// Throws out a file whose bytes are not what its name says, unless it was replaced since. The next to ask fetches.
    pub(super) fn discard(&self, digest: &Digest, stamp: &Stamp) {
        let path = self.layout.blob(digest);
        metrics::counter!(telemetry::STORE_ERRORS, "operation" => "damaged").increment(1);
        tracing::warn!(%digest, path = %path.display(), "stored bytes are not what they are named; removed");
        // What another fetch published under the name is counted still.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| Stamp::of(&found) != *stamp) {
            return;
        }
        self.held.remove(digest);
        self.index.forget(digest);
        let _ = std::fs::remove_file(&path);
    }

    /// Unlinks an evicted file. Who reads it goes on reading.
    pub(super) fn unlink(&self, digest: &Digest) -> bool {
        self.held.remove(digest);
        self.index.forget(digest);
        std::fs::remove_file(self.layout.blob(digest)).is_ok()
    }

    /// Counts and tells what the disk refused.
    pub(super) fn failed(&self, operation: &'static str, path: &Path, error: &io::Error) {
        metrics::counter!(telemetry::STORE_ERRORS, "operation" => operation).increment(1);
        tracing::warn!(path = %path.display(), %error, operation, "store");
    }

    /// The same, as an error.
    pub(super) fn refused(&self, operation: &'static str, path: &Path, error: io::Error) -> StoreError {
        self.failed(operation, path, &error);
        StoreError::io(path, error)
    }

    /// Hashes a published file nobody has hashed since the start; one task however many ask. Its readers follow it as
    /// they would follow a fill.
    pub(super) fn check(self: &Arc<Self>, opened: &Arc<Opened>, stamp: Stamp) -> watch::Receiver<Progress> {
        let digest = opened.digest;
        let progress = match self.checks.entry(digest) {
            Entry::Occupied(running) if running.get().0 == stamp => return running.get().1.clone(),
            entry @ (Entry::Occupied(_) | Entry::Vacant(_)) => {
                let (progress, follow) = watch::channel(Progress::Growing(0));
                entry.insert((stamp, follow));
                progress
            }
        };
        let follow = progress.subscribe();
        let (shelf, opened) = (Arc::clone(self), Arc::clone(opened));
        let checking = Checking { shelf: Arc::clone(self), digest, stamp };
        tokio::spawn(async move {
            // A restart under load asks for everything at once; hashing has its share of the cores and no more.
            let permit = Arc::clone(&shelf.hashing).acquire_owned().await;
            let work = move || {
                let _permit = permit;
                let end = shelf.rehash(&opened, stamp, None, &progress);
                // Off the map before the end is told, so that who comes after starts from what is true now.
                drop(checking);
                progress.send_replace(end);
            };
            // A panic drops the sender, which its followers take for a failure.
            let _ = tokio::task::spawn_blocking(work).await;
        });
        follow
    }

    /// What the file is called by `algorithm`, if it is what its name says.
    pub(super) async fn name(
        self: &Arc<Self>,
        opened: &Arc<Opened>,
        stamp: Stamp,
        algorithm: Algorithm,
    ) -> Result<Digest, FillError> {
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        let (shelf, opened) = (Arc::clone(self), Arc::clone(opened));
        let work = move || {
            let _permit = permit;
            let mut hasher = Hasher::new(algorithm);
            // Nobody follows: what it is called is told at the end.
            let (progress, _) = watch::channel(Progress::Growing(0));
            match shelf.rehash(&opened, stamp, Some(&mut hasher), &progress) {
                Progress::Failed(error) => Err(error),
                Progress::Done(_) | Progress::Growing(_) | Progress::Whole(_) => Ok(hasher.finish()),
            }
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(FillError::Lost))
    }

    fn rehash(
        &self,
        opened: &Opened,
        stamp: Stamp,
        mut besides: Option<&mut Hasher>,
        progress: &watch::Sender<Progress>,
    ) -> Progress {
        let mut hasher = Hasher::new(opened.digest.algorithm());
        let mut buffer = vec![0; HASH_PIECE];
        let mut at = 0;
        while at < stamp.len {
            let len = usize::try_from(stamp.len - at).map_or(HASH_PIECE, |left| left.min(HASH_PIECE));
            let piece = &mut buffer[..len];
            if let Err(error) = opened.read_at(piece, at) {
                self.failed("read", &self.layout.blob(&opened.digest), &error);
                self.discard(&opened.digest, &stamp);
                return Progress::Failed(FillError::Disk(Arc::new(error)));
            }
            hasher.update(piece);
            if let Some(besides) = &mut besides {
                besides.update(piece);
            }
            at += len as u64;
            Progress::advance(progress, at);
        }
        let found = hasher.finish();
        if found != opened.digest {
            self.discard(&opened.digest, &stamp);
            return Progress::Failed(FillError::Mismatch(Box::new(Mismatch { wanted: opened.digest, found })));
        }
        if !opened.is_unchanged() {
            self.discard(&opened.digest, &stamp);
            return Progress::Failed(FillError::Changed);
        }
        self.index.verified(&opened.digest, stamp);
        Progress::Done(stamp.len)
    }
}

/// Takes a check off the map however it ends.
struct Checking {
    shelf: Arc<Shelf>,
    digest: Digest,
    stamp: Stamp,
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.shelf.checks.remove_if(&self.digest, |_, (stamp, _)| *stamp == self.stamp);
    }
}
