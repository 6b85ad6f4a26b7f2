//! Taking in a document that is too large to hold, and keeping it.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::BytesMut;

use super::{
    Mismatch, StoreError,
    document::{Document, HELD, Hashing},
    fs::{Durability, Staged},
    shelf::Shelf,
};
use crate::oci::Digest;

/// What is read at once to hash.
const PIECE: usize = 256 << 10;

/// A document on its way into a file: written, and hashed as it is written. What is dropped unfinished is gone.
#[derive(Debug)]
pub struct Spool {
    digest: Digest,
    file: File,
    staged: Option<(Arc<Shelf>, Staged)>,
    hashing: Hashing,
}

impl Spool {
    /// One in the store's staging directory, to be published under its digest if it is kept.
    pub(super) fn staged(shelf: &Arc<Shelf>, digest: Digest, size: u64) -> io::Result<Self> {
        if shelf.is_distrusted() {
            return Err(io::Error::other("the disk failed a moment ago"));
        }
        let mut staged = shelf.with_room(|| shelf.layout.stage())?;
        // What can never be kept needs no name.
        if !shelf.index.fits(size) {
            staged.unlink()?;
        }
        let file = staged.reader()?;
        let hashing = Hashing::new(digest.algorithm());
        Ok(Self { digest, file, staged: Some((Arc::clone(shelf), staged)), hashing })
    }

    /// One in a file without a name, gone with its last reader.
    pub(super) fn unnamed(digest: Digest) -> io::Result<Self> {
        Ok(Self { digest, file: tempfile::tempfile()?, staged: None, hashing: Hashing::new(digest.algorithm()) })
    }

    /// Writes the next piece: all of it, or none that counts. Blocking.
    ///
    /// # Errors
    /// The disk's. What was written before can still be [taken back](Self::take_back).
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let at = self.hashing.len();
        match &self.staged {
            Some((shelf, staged)) => shelf
                .with_room(|| staged.write_at(piece, at))
                .inspect_err(|error| shelf.failed("spool", Path::new("staged"), error))?,
            None => self.file.write_all_at(piece, at)?,
        }
        self.hashing.update(piece);
        Ok(())
    }

    /// The document, if its bytes are those of its digest.
    ///
    /// # Errors
    /// What they hash to instead.
    pub fn finish(self) -> Result<Document, Box<Mismatch>> {
        let Self { digest, file, staged, hashing } = self;
        let whole = hashing.finish();
        if whole.digest != digest {
            return Err(Box::new(Mismatch { wanted: digest, found: whole.digest }));
        }
        Ok(Document::filed(file, staged.map(|(_, staged)| staged), whole))
    }

    /// What was written so far, for who must go on without the disk. Nothing vouches for it. Blocking.
    ///
    /// # Errors
    /// The disk's.
    pub fn take_back(&self) -> io::Result<BytesMut> {
        let mut bytes = BytesMut::zeroed(usize::try_from(self.hashing.len()).map_err(io::Error::other)?);
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl Shelf {
    /// The published document, hashed; held where it is small.
    pub(super) fn open_document(&self, digest: &Digest, limit: u64) -> Option<Document> {
        let path = self.layout.blob(digest);
        let (file, stamp) = self.open(digest, &path)?;
        if stamp.len > limit {
            return None;
        }
        if stamp.len <= HELD {
            return self.read_document(digest, usize::try_from(limit).unwrap_or(usize::MAX)).map(Document::from);
        }
        let mut hashing = Hashing::new(digest.algorithm());
        let mut piece = vec![0; PIECE];
        while hashing.len() < stamp.len {
            let left = usize::try_from(stamp.len - hashing.len()).unwrap_or(PIECE).min(PIECE);
            if let Err(error) = file.read_exact_at(&mut piece[..left], hashing.len()) {
                self.failed("read", &path, &error);
                return None;
            }
            hashing.update(&piece[..left]);
        }
        let whole = hashing.finish();
        if whole.digest != *digest {
            self.discard(digest, &stamp);
            return None;
        }
        self.index.touch(digest, &stamp);
        self.index.verified(digest, stamp);
        Some(Document::filed(file, None, whole))
    }

    /// Publishes a document. One that lies here already, or could never, is left as it is.
    pub(super) fn keep_document(&self, digest: &Digest, document: &Document) -> Result<(), StoreError> {
        if let Some(bytes) = document.held() {
            return self.write_document(digest, bytes);
        }
        let Some(staged) = document.take_staged().filter(|staged| !staged.is_unlinked()) else { return Ok(()) };
        let path = self.layout.blob(digest);
        match staged.publish(&path, Durability::Synced) {
            Ok(stamp) => {
                self.published(digest, stamp);
                self.make_room();
                Ok(())
            }
            Err(error) => {
                let synced = !matches!(error, super::fs::PublishError::Sync(_));
                if !synced {
                    self.distrust();
                }
                Err(self.refused("write", &path, error.into()))
            }
        }
    }
}
