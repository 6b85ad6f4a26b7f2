//! Files as memory: the one module with `unsafe`, and why it pays.
//!
//! A warm blob costs 0.5–0.8 s of CPU per GiB when it is read into buffers and written to the socket, 0.22–0.31 s when
//! the socket is fed from a map of the page cache, 0.16 s with `sendfile`, which hyper does not offer. Maps also take no
//! anonymous memory: what hyper queues for a slow client is the page cache itself.
//!
//! What could go wrong, and what is done about it:
//!
//! * *Bytes change under a reference.* Rust lets nobody change what a `&[u8]` shows. The store writes a file only while
//!   it is staged, in order, and readers are given no byte before it is written; a published file is never written again,
//!   never truncated, only unlinked, which leaves its pages alone. Against others the directory is 0700 and locked. Who
//!   breaks that from outside gets bytes that the receiving end refuses, because it hashes them; nothing in this process
//!   draws conclusions from a mapped byte (what is parsed is read into memory of our own, see `Documents`).
//! * *A page cannot be had* (the disk fails, somebody truncated the file). Touching it would be a SIGBUS, which kills
//!   every connection. So a window of the map is populated (`MADV_POPULATE_READ`) on a blocking thread before its bytes
//!   are given out, and there the fault is an error value. Should the page be taken away later, the one who touches it is
//!   the kernel inside `writev`, which answers `EFAULT`: that connection ends, the process lives.
//! * *Somebody touches the bytes in this process*: TLS would, to encrypt them. Then nothing is mapped at all
//!   (`Store::never_map`), and blobs are read in pieces.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

/// What is populated at once.
pub(super) const WINDOW: u64 = 4 << 20;
/// How long a populated window is taken to be in memory still. Past it, it is asked for again on a blocking thread, which
/// costs little when it is, and keeps the wait for the disk off the async threads when it is not.
const FRESH: Duration = Duration::from_secs(10);
/// Above this, and above what an address space has, blobs are read in pieces. An upstream can announce any length.
const MAX_MAPPED: u64 = 256 << 30;

/// A file, mapped. The length is the file's own, or for a growing file what it will be.
#[derive(Debug)]
pub(super) struct Map {
    pages: Arc<Mmap>,
    /// The same pages as `Bytes`, of which slices are given out.
    whole: Bytes,
    since: Instant,
    /// For each window when it was last populated: seconds since `since`, plus one; 0 is never.
    populated: Box<[AtomicU32]>,
}

struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Map {
    /// Maps `len` bytes of `file`, of which the last may not be written yet. `None` if it cannot be mapped: read it then.
    pub(super) fn new(file: &File, len: u64) -> Option<Self> {
        if len == 0 || len > MAX_MAPPED {
            return None;
        }
        let size = usize::try_from(len).ok()?;
        // SAFETY: the map is read-only and of a file that only this store writes: appended to while staged, and readers
        // are given no byte before it is written; never changed and never truncated from then on. See above for what
        // holds if somebody else does.
        let pages = unsafe { MmapOptions::new().len(size).map(file) }.ok()?;
        let pages = Arc::new(pages);
        let windows = len.div_ceil(WINDOW);
        Some(Self {
            whole: Bytes::from_owner(Owner(Arc::clone(&pages))),
            pages,
            since: Instant::now(),
            populated: (0..windows).map(|_| AtomicU32::new(0)).collect(),
        })
    }

    /// The bytes of `range`, which must have been written.
    pub(super) fn slice(&self, range: Range<u64>) -> Option<Bytes> {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        (start <= end && end <= self.whole.len()).then(|| self.whole.slice(start..end))
    }

    /// The window `at` lies in.
    pub(super) fn window(&self, at: u64) -> Range<u64> {
        let start = at - at % WINDOW;
        start..(start + WINDOW).min(self.whole.len() as u64)
    }

    /// Whether the window `at` lies in was populated a moment ago.
    pub(super) fn is_fresh(&self, at: u64) -> bool {
        let Some(populated) = self.mark(at) else { return false };
        let then = populated.load(Ordering::Relaxed);
        then != 0 && self.now().saturating_sub(then) < FRESH.as_secs() as u32
    }

    /// Brings the window `at` lies in into memory. Blocking.
    ///
    /// # Errors
    /// The disk's, `EFAULT` when the file ends before, `EINVAL` on a kernel before 5.14.
    pub(super) fn populate(&self, at: u64) -> io::Result<()> {
        let window = self.window(at);
        let (start, len) = (window.start as usize, (window.end - window.start) as usize);
        self.pages.advise_range(Advice::PopulateRead, start, len)?;
        if let Some(populated) = self.mark(at) {
            populated.store(self.now(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn mark(&self, at: u64) -> Option<&AtomicU32> {
        self.populated.get(usize::try_from(at / WINDOW).ok()?)
    }

    fn now(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(1)
    }
}
