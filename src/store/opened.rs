//! An open file of the store: published, or growing.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, OnceLock},
};

use super::{fs::Stamp, mapped::Map, relay::Relay};
use crate::oci::Digest;

/// An open file of the store, shared by all who read it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) digest: Digest,
    /// `None` where the disk gave none to write to.
    file: Option<File>,
    pub(super) map: Option<Map>,
    /// Where a growing blob goes when the disk fails; idle else.
    pub(super) relay: Arc<Relay>,
    /// What it looked like when it was published or opened; empty while it grows.
    stamp: OnceLock<Stamp>,
}

impl Opened {
    /// A published file.
    pub(super) fn published(digest: Digest, file: File, stamp: Stamp, map: bool) -> Self {
        let map = map.then(|| Map::new(&file, stamp.len)).flatten();
        Self { digest, file: Some(file), map, relay: Arc::default(), stamp: OnceLock::from(stamp) }
    }

    /// A file that will be `size` bytes long, if that is known.
    pub(super) fn growing(digest: Digest, file: Option<File>, size: Option<u64>, map: bool) -> Self {
        let map = file.as_ref().filter(|_| map).zip(size).and_then(|(file, size)| Map::new(file, size));
        Self { digest, file, map, relay: Arc::default(), stamp: OnceLock::new() }
    }

    /// What it looked like when it was whole.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.stamp.get().copied()
    }

    /// What it looks like now, if it was whole once.
    pub(super) fn found(&self) -> Option<Stamp> {
        let file = self.file.as_ref().filter(|_| self.stamp.get().is_some())?;
        Some(Stamp::of(&file.metadata().ok()?))
    }

    /// It is whole now, and looks so from here on.
    pub(super) fn settle(&self, stamp: Stamp) {
        let _ = self.stamp.set(stamp);
    }

    /// Whether it is given out from a map.
    pub(super) const fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// Whether nobody wrote to it or cut it since (C5). No wait for the disk: the inode is in memory while it is open.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file.is_none() || self.found().is_some_and(|found| Some(found) == self.stamp())
    }

    /// Fills `piece` from the bytes at `at`; a file that ends before is an error.
    pub(super) fn read_at(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        self.file.as_ref().ok_or(io::ErrorKind::NotFound)?.read_exact_at(piece, at)
    }
}
