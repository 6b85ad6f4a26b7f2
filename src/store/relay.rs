//! When the disk is full, read-only or failing: a blob's pieces go from the fetch to its readers through memory.
//!
//! A pull must not fail because a cache does (C1, C2). What was written before the disk gave up is read from there; the
//! rest passes through a window of a few pieces, at the pace of the slowest reader, who is given up on when it stalls.
//! Nothing is kept, and the last piece waits for the hash as ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use tokio::{sync::Notify, time::timeout};

/// What is held in memory for a blob, and how far the fastest reader may be ahead of the slowest. More than the last
/// piece that is kept back, so that it never waits for itself.
const WINDOW: u64 = 1 << 20;
/// Pieces are cut to this and put together to it: the window moves by pieces, and upstreams send them of any size.
const PIECE: usize = 64 << 10;
/// How long the others wait for a reader that takes nothing.
const STALL_DEADLINE: Duration = Duration::from_secs(30);

/// The window and who reads it. One task pushes.
#[derive(Debug)]
pub(super) struct Relay {
    held: ArcSwap<Held>,
    /// Where each reader is.
    readers: DashMap<u64, u64>,
    next: AtomicU64,
    moved: Notify,
    /// From here on bytes are in the window, not in the file.
    from: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Held {
    start: u64,
    pieces: Vec<Bytes>,
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.pieces.iter().map(|piece| piece.len() as u64).sum::<u64>()
    }

    fn add(&mut self, piece: Bytes) {
        if let Some(last) = self.pieces.last_mut().filter(|last| last.len() + piece.len() <= PIECE) {
            let mut both = BytesMut::with_capacity(last.len() + piece.len());
            both.extend_from_slice(last);
            both.extend_from_slice(&piece);
            *last = both.freeze();
        } else {
            self.pieces.push(piece);
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            held: ArcSwap::default(),
            // Few and short-lived: the fewest shards there can be.
            readers: DashMap::with_shard_amount(2),
            next: AtomicU64::new(0),
            moved: Notify::new(),
            from: AtomicU64::new(u64::MAX),
        }
    }
}

/// Nobody takes what is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NobodyReads;

impl Relay {
    /// The file ends at `at`, what comes after comes here.
    pub(super) fn begin(&self, at: u64) {
        self.held.store(Arc::new(Held { start: at, pieces: Vec::new() }));
        self.from.store(at, Ordering::Release);
    }

    /// Where the file ends and the window takes over; beyond any blob while the disk holds.
    pub(super) fn from(&self) -> u64 {
        self.from.load(Ordering::Acquire)
    }

    /// Whether the disk was given up on.
    pub(super) fn has_begun(&self) -> bool {
        self.from() != u64::MAX
    }

    /// Whether every byte is still to be had, by whoever comes now.
    pub(super) fn is_complete(&self) -> bool {
        self.from() == self.held.load().start
    }

    /// Adds the next bytes, at most [`PIECE`], once there is room for them; leaves the rest in `bytes`.
    ///
    /// # Errors
    /// When nobody reads, so that there will never be room.
    pub(super) async fn push(&self, bytes: &mut Bytes) -> Result<(), NobodyReads> {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        loop {
            let moved = self.moved.notified();
            let mut held = Held::clone(&self.held.load());
            let room = |held: &Held| held.pieces.is_empty() || held.end() - held.start + piece.len() as u64 <= WINDOW;
            let slowest = self.readers.iter().map(|reader| *reader.value()).min();
            // Only what all have had goes, and only when its room is needed: who comes a moment late finds the beginning.
            while !room(&held)
                && let Some(first) = held.pieces.first().map(|first| held.start + first.len() as u64)
                && slowest.is_some_and(|slowest| slowest >= first)
            {
                held.pieces.remove(0);
                held.start = first;
            }
            if room(&held) {
                held.add(piece);
                self.held.store(Arc::new(held));
                return Ok(());
            }
            self.held.store(Arc::new(held));
            if timeout(STALL_DEADLINE, moved).await.is_err() && !self.give_up_on_slowest() {
                return Err(NobodyReads);
            }
        }
    }

    /// Takes the slowest readers off, who then find their bytes gone. `false` if there are no others.
    fn give_up_on_slowest(&self) -> bool {
        if let Some(slowest) = self.readers.iter().map(|reader| *reader.value()).min() {
            self.readers.retain(|_, at| *at > slowest);
        }
        !self.readers.is_empty()
    }

    /// The bytes at `at`, up to the end of their piece. `None` if they are gone or not there.
    pub(super) fn get(&self, at: u64) -> Option<Bytes> {
        let held = self.held.load();
        let mut start = held.start;
        held.pieces.iter().find_map(|piece| {
            let offset = at.checked_sub(start)?;
            start += piece.len() as u64;
            let offset = usize::try_from(offset).ok().filter(|offset| *offset < piece.len())?;
            Some(piece.slice(offset..))
        })
    }

    /// A reader's place, which holds the window where it is.
    pub(super) fn join(self: &Arc<Self>, at: u64) -> Place {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.readers.insert(id, at);
        Place { relay: Arc::clone(self), id }
    }
}

/// One reader's place in a relay.
#[derive(Debug)]
pub(super) struct Place {
    relay: Arc<Relay>,
    id: u64,
}

impl Place {
    /// The reader has everything before `at`.
    pub(super) fn advance(&self, at: u64) {
        if let Some(mut place) = self.relay.readers.get_mut(&self.id) {
            *place = at;
        }
        self.relay.moved.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.relay.readers.remove(&self.id);
        self.relay.moved.notify_one();
    }
}
