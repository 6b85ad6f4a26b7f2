//! A document read by position: held in memory while it is small, left in its file where it is not.
//!
//! An SBOM attestation may have 96 MiB, and is read several times on its way to a verdict: for its shape, for the hash
//! that was signed, for what it says, by each policy. Between those readings a file may change: the disk rots, or
//! somebody else writes to the directory (C5, C6). Then what is judged would not be what was signed. So while the whole
//! is hashed against its digest, each block of it is hashed too, and from then on no block is given out that does not
//! hash as it did then. What is read is what was checked, whoever can write to the file and whenever.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::fs::Staged;
use crate::oci::{Algorithm, Digest, Hasher};

/// Documents above this many bytes are left in their files.
pub const HELD: u64 = 1 << 20;
/// What is read, and hashed again, at once.
const BLOCK: u64 = 64 << 10;

/// A document whose bytes were hashed, and will be the same each time they are read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Document(Form);

#[derive(Debug, Clone)]
enum Form {
    Filed(Arc<Filed>),
    Held(Bytes),
}

/// A document in a file that nobody but this process has a use for.
#[derive(Debug)]
struct Filed {
    digest: Digest,
    file: File,
    len: u64,
    /// What each block hashed to when the whole hashed to `digest`.
    blocks: Box<[Digest]>,
    /// Its name in the staging directory, while it may still be published.
    staged: ArcSwapOption<Staged>,
    /// The first thing that went wrong when it was read again.
    damage: OnceLock<String>,
}

impl Document {
    pub(super) fn filed(file: File, staged: Option<Staged>, whole: Whole) -> Self {
        let Whole { digest, len, blocks } = whole;
        let staged = ArcSwapOption::from_pointee(staged);
        Self(Form::Filed(Arc::new(Filed { digest, file, len, blocks, staged, damage: OnceLock::new() })))
    }

    /// One in a file without a name, whatever its size.
    #[cfg(test)]
    pub(crate) fn in_a_file(bytes: &[u8]) -> Self {
        let mut spool = super::Spool::unnamed(Digest::sha256(bytes)).unwrap();
        spool.write(bytes).unwrap();
        spool.finish().unwrap()
    }

    /// One in a file that others can write to, which has these bytes now.
    #[cfg(test)]
    pub(crate) fn of_file(file: File, bytes: &[u8]) -> Self {
        let mut hashing = Hashing::new(Algorithm::Sha256);
        hashing.update(bytes);
        Self::filed(file, None, hashing.finish())
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Form::Filed(filed) => filed.len,
            Form::Held(bytes) => bytes.len() as u64,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, where they are in memory.
    #[must_use]
    pub const fn held(&self) -> Option<&Bytes> {
        match &self.0 {
            Form::Filed(_) => None,
            Form::Held(bytes) => Some(bytes),
        }
    }

    /// Reads it from its beginning. May be opened any number of times, by many at once.
    #[must_use]
    pub fn open(&self) -> DocumentReader {
        self.range(0..u64::MAX)
    }

    /// Reads the bytes of `range`, as far as there are so many.
    #[must_use]
    pub fn range(&self, range: Range<u64>) -> DocumentReader {
        let end = range.end.min(self.len());
        DocumentReader { document: self.clone(), at: range.start.min(end), end, block: Vec::new(), from: 0 }
    }

    /// The bytes of `range`, which must be few enough to hold: the caller's bound.
    ///
    /// # Errors
    /// As reading it.
    pub fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        if let (Form::Held(bytes), Ok(start), Ok(end)) = (&self.0, usize::try_from(range.start), usize::try_from(range.end))
            && start <= end
            && end <= bytes.len()
        {
            return Ok(bytes.slice(start..end));
        }
        let mut slice = Vec::new();
        self.range(range).read_to_end(&mut slice)?;
        Ok(slice.into())
    }

    /// All of it, where that is at most `limit` bytes.
    ///
    /// # Errors
    /// As reading it.
    pub fn whole(&self, limit: u64) -> io::Result<Option<Bytes>> {
        if self.len() > limit { Ok(None) } else { self.slice(0..self.len()).map(Some) }
    }

    /// What went wrong when it was read, if anything did: from then on what was concluded from it is void, because its
    /// readers may have taken the error for the document's own fault.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        match &self.0 {
            Form::Filed(filed) => filed.damage.get().map(String::as_str),
            Form::Held(_) => None,
        }
    }

    /// The file with its name, for who publishes it. Given out once.
    pub(super) fn take_staged(&self) -> Option<Staged> {
        match &self.0 {
            Form::Filed(filed) => filed.staged.swap(None).and_then(Arc::into_inner),
            Form::Held(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Document {
    fn from(bytes: T) -> Self {
        Self(Form::Held(bytes.into()))
    }
}

impl Filed {
    /// Brings the block that begins at `from` into `block`.
    fn read_block(&self, from: u64, block: &mut Vec<u8>) -> io::Result<()> {
        let mut read = || {
            let wanted = usize::try_from(from / BLOCK).ok().and_then(|at| self.blocks.get(at));
            let len = self.len.saturating_sub(from).min(BLOCK);
            block.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
            self.file.read_exact_at(block, from)?;
            if wanted.is_some_and(|wanted| wanted.matches(block)) {
                return Ok(());
            }
            Err(io::Error::other("it was changed since it was hashed"))
        };
        read().map_err(|error| {
            block.clear();
            let text = self.damage.get_or_init(|| format!("{} cannot be read again: {error}", self.digest.short()));
            tracing::warn!(digest = %self.digest, %error, "a document cannot be read again");
            io::Error::other(text.clone())
        })
    }
}

/// Reads a part of a [`Document`].
#[derive(Debug)]
pub struct DocumentReader {
    document: Document,
    at: u64,
    end: u64,
    /// The block read last, of a document in a file.
    block: Vec<u8>,
    /// Where in the file it begins.
    from: u64,
}

impl BufRead for DocumentReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.end {
            return Ok(&[]);
        }
        let (bytes, from) = match &self.document.0 {
            Form::Filed(filed) => {
                if self.block.is_empty() || self.at - self.at % BLOCK != self.from {
                    self.from = self.at - self.at % BLOCK;
                    filed.read_block(self.from, &mut self.block)?;
                }
                (&*self.block, self.from)
            }
            Form::Held(bytes) => (&**bytes, 0),
        };
        let end = self.end.min(from + bytes.len() as u64);
        let index = |at: u64| usize::try_from(at - from).map_err(io::Error::other);
        Ok(&bytes[index(self.at)?..index(end)?])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.end.min(self.at + amount as u64);
    }
}

impl Read for DocumentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        self.consume(len);
        Ok(len)
    }
}

/// What a document hashed to, whole and in blocks.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) digest: Digest,
    pub(super) len: u64,
    blocks: Box<[Digest]>,
}

/// Hashes a document on its way, whole and in blocks.
#[derive(Debug)]
pub(super) struct Hashing {
    whole: Hasher,
    len: u64,
    block: Hasher,
    blocks: Vec<Digest>,
}

impl Hashing {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self { whole: Hasher::new(algorithm), len: 0, block: Hasher::new(Algorithm::Sha256), blocks: Vec::new() }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) {
        self.whole.update(piece);
        while !piece.is_empty() {
            let room = usize::try_from(BLOCK - self.len % BLOCK).unwrap_or(usize::MAX);
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.block.update(now);
            self.len += now.len() as u64;
            if self.len.is_multiple_of(BLOCK) {
                self.close_block();
            }
            piece = later;
        }
    }

    fn close_block(&mut self) {
        let block = std::mem::replace(&mut self.block, Hasher::new(Algorithm::Sha256));
        self.blocks.push(block.finish());
    }

    pub(super) fn finish(mut self) -> Whole {
        if !self.len.is_multiple_of(BLOCK) {
            self.close_block();
        }
        Whole { digest: self.whole.finish(), len: self.len, blocks: self.blocks.into() }
    }
}
