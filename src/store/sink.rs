//! Where a fetched blob's bytes go: to the staged file, or past a failing disk to the readers; and, if they hashed to what was
//! asked for, at the end to their name.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Blob, Mismatch,
    fill::{FillError, Landing},
    fs::{Named, Staged},
    opened::Opened,
    read::{Feed, Progress},
    relay::{NobodyReads, Relay},
    shelf::Shelf,
};
use crate::oci::Digest;

/// Where a blob's bytes go: the staged file, and word to the readers.
pub(super) struct Sink {
    shelf: Arc<Shelf>,
    /// `None` where the disk gave none.
    staged: Option<Staged>,
    /// Where bytes go that the disk does not take.
    relay: Arc<Relay>,
    /// Those that are to go there next.
    over: Vec<Bytes>,
    /// How much of an unannounced blob is written at most: one that never ends must not fill the disk.
    room: u64,
    at: u64,
    pub(super) progress: watch::Sender<Progress>,
}

impl Sink {
    pub(super) async fn open(shelf: &Arc<Shelf>, digest: Digest, size: Option<u64>, named: bool) -> (Self, Blob) {
        let staging = Arc::clone(shelf);
        let stage = move || {
            let mut staged = staging.with_room(|| staging.layout.stage())?;
            // What can never be kept passes through a file without a name.
            if size.is_some_and(|size| !staging.index.fits(size)) {
                staged.unlink()?;
            }
            let file = staged.reader()?;
            Ok((staged, file))
        };
        let staged = if shelf.is_distrusted() {
            None
        } else {
            let staged = tokio::task::spawn_blocking(stage).await.unwrap_or_else(|error| Err(io::Error::other(error)));
            staged.inspect_err(|error| shelf.failed("stage", &shelf.layout.blob(&digest), error)).ok()
        };
        let (staged, file) = staged.unzip();
        let opened = Arc::new(Opened::growing(digest, file, size, shelf.maps()));
        let relay = Arc::clone(&opened.relay);
        if staged.is_none() {
            relay.begin(0);
        }
        let (progress, follow) = watch::channel(Progress::Growing(0));
        let blob = Blob { shelf: Arc::clone(shelf), opened, feed: Feed::Growing(size, follow), named };
        let sink = Self {
            shelf: Arc::clone(shelf),
            staged,
            relay,
            over: Vec::new(),
            room: size.unwrap_or_else(|| shelf.index.max_size()),
            at: 0,
            progress,
        };
        (sink, blob)
    }

    /// Writes, tells. Blocking. What the disk does not take is left to [`pass_on`](Self::pass_on).
    pub(super) fn write(mut self, batch: Vec<Bytes>) -> Self {
        for piece in batch {
            if !self.keeps(&piece) {
                self.over.push(piece);
            }
        }
        Progress::advance(&self.progress, self.at);
        self
    }

    fn keeps(&mut self, piece: &Bytes) -> bool {
        let end = self.at + piece.len() as u64;
        let Some(staged) = self.staged.as_ref().filter(|_| !self.relay.has_begun()) else { return false };
        if end > self.room {
            self.relay.begin(self.at);
            return false;
        }
        match self.shelf.with_room(|| staged.write_at(piece, self.at)) {
            Ok(()) => {
                self.at = end;
                true
            }
            // The pull goes on (C1).
            Err(error) => {
                self.shelf.failed("write", std::path::Path::new("staged"), &error);
                self.relay.begin(self.at);
                false
            }
        }
    }

    /// Hands what the disk did not take to the readers. Once some of it is gone, who asks next cannot join any more and
    /// fetches anew.
    pub(super) async fn pass_on(&mut self, landing: &mut Option<Landing>) -> Result<(), FillError> {
        for mut piece in std::mem::take(&mut self.over) {
            while !piece.is_empty() {
                let before = piece.len();
                self.relay.push(&mut piece).await.map_err(|NobodyReads| FillError::Unread)?;
                self.at += (before - piece.len()) as u64;
                if !self.relay.is_complete() {
                    landing.take();
                }
                Progress::advance(&self.progress, self.at);
            }
        }
        Ok(())
    }

    /// Compares what the bytes hashed to and gives the file its name. Gives the size, and what is still to be synced.
    pub(super) async fn finish(
        self,
        digest: Digest,
        found: Digest,
        opened: Arc<Opened>,
    ) -> Result<(u64, Option<Unsynced>), FillError> {
        let Self { shelf, staged, at, relay, .. } = self;
        if found != digest {
            return Err(FillError::Mismatch(Box::new(Mismatch { wanted: digest, found })));
        }
        let Some(staged) = staged else { return Ok((at, None)) };
        let whole = !relay.has_begun();
        let publish = move || publish(shelf, digest, staged, &opened, whole.then_some(at));
        let unsynced = tokio::task::spawn_blocking(publish).await.unwrap_or(Err(FillError::Lost))?;
        Ok((at, unsynced))
    }
}

/// Gives the file its name, where it has one to get: `size` bytes, or `None` if it is not the whole blob.
fn publish(
    shelf: Arc<Shelf>,
    digest: Digest,
    staged: Staged,
    opened: &Arc<Opened>,
    size: Option<u64>,
) -> Result<Option<Unsynced>, FillError> {
    let path = shelf.layout.blob(&digest);
    let stamp = staged.stamp().map_err(|error| FillError::Disk(Arc::new(error)))?;
    opened.settle(stamp);
    // One fetched from elsewhere may have been whole before: it keeps the name, and this one's readers their file.
    if staged.is_unlinked() || !size.is_some_and(|size| shelf.index.fits(size)) || shelf.has(&digest) {
        return Ok(None);
    }
    match staged.name(&path) {
        Ok(named) => {
            shelf.published(&digest, named.stamp);
            if opened.is_mapped() {
                shelf.hold(opened);
            }
            Ok(Some(Unsynced { shelf, digest, named }))
        }
        // The bytes are whole, only nameless: their readers get them, nobody after.
        Err(error) => {
            shelf.failed("publish", &path, &error);
            Ok(None)
        }
    }
}

/// A blob that has its name, and of which a power loss may take some bytes.
pub(super) struct Unsynced {
    shelf: Arc<Shelf>,
    digest: Digest,
    named: Named,
}

impl Unsynced {
    /// Waits for the disk. On an error the kernel may drop what was written and read back something else: the name is taken
    /// away, and who still reads must not go on.
    pub(super) async fn sync(self) -> Result<(), FillError> {
        let Self { shelf, digest, named } = self;
        let sync = move || {
            named.sync().map_err(|error| {
                shelf.failed("sync", &shelf.layout.blob(&digest), &error);
                shelf.distrust();
                shelf.discard(&digest, &named.stamp);
                FillError::Disk(Arc::new(error))
            })
        };
        tokio::task::spawn_blocking(sync).await.unwrap_or(Err(FillError::Lost))
    }
}
