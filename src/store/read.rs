//! Sending a blob: from a published file, or from one that grows while it is sent.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http_body::{Frame, SizeHint};
use tokio::sync::watch;

use super::{Blob, FetchError, fill::FillError, relay::Place};
use crate::{
    body::{Body, BodyError},
    oci::{Algorithm, Digest},
    telemetry,
};

/// What is given out at once from a map. Larger than what hyper queues before it flushes, so one is enough to do so.
const FRAME: u64 = 512 << 10;
/// What is read at once where there is no map. hyper queues 16 of these for a slow client, so small.
const PIECE: u64 = 64 << 10;
/// The blob's last piece, kept back until its whole hash agreed: without it nobody can take the blob for complete.
const LAST: u64 = 64 << 10;

/// How far a blob in the making has come.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// Its hash agreed; this is its size.
    Done(u64),
    /// It came to nothing.
    Failed(FillError),
    /// This many bytes are there.
    Growing(u64),
    /// Its hash agreed and it has its name; this is its size. The disk may still fail to take it, so it is followed on.
    Whole(u64),
}

impl Progress {
    /// Tells that this many bytes are there; unless the end was told already, which a write still under way must not undo.
    pub(super) fn advance(progress: &watch::Sender<Self>, there: u64) {
        progress.send_if_modified(|progress| match progress {
            Self::Done(_) | Self::Failed(_) | Self::Whole(_) => false,
            Self::Growing(_) => {
                *progress = Self::Growing(there);
                true
            }
        });
    }
}

/// Where a blob's bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Feed {
    /// A file that is still written: its announced size and how far it has come.
    Growing(Option<u64>, watch::Receiver<Progress>),
    /// A published file.
    Published,
}

impl Blob {
    /// Its size in bytes; `None` while it is still growing and the upstream announced no length.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match &self.feed {
            Feed::Growing(Some(size), _) => Some(*size),
            Feed::Growing(None, progress) => match *progress.borrow() {
                Progress::Done(size) | Progress::Whole(size) => Some(size),
                Progress::Failed(_) | Progress::Growing(_) => None,
            },
            Feed::Published => self.opened.stamp().map(|stamp| stamp.len),
        }
    }

    /// Waits until its first bytes may be given out: until then an upstream that breaks off can be told of in an answer, and what
    /// is waited for here [`body`](Self::body) need not wait for.
    ///
    /// # Errors
    /// What kept them from coming: the upstream's own error, or a [`FillError`].
    pub async fn begun(&self) -> Result<(), FetchError> {
        let Feed::Growing(size, progress) = &self.feed else { return Ok(()) };
        let hold = size.map_or(Hold::Unannounced { end: u64::MAX }, |size| Hold::Last { size });
        match reached(&mut progress.clone(), |there| hold.readable(there) > 0).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.cause()),
        }
    }

    /// Whether it was still on its way when it was asked for.
    #[must_use]
    pub const fn is_coming(&self) -> bool {
        matches!(self.feed, Feed::Growing(..))
    }

    /// Whether its source finds out, as it comes, what else it is called.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.named
    }

    /// What it is called by `algorithm`, once it is whole and found to be what it is called. Reads all of it.
    ///
    /// # Errors
    /// It never became whole, or is damaged.
    pub async fn named_by(&self, algorithm: Algorithm) -> Result<Digest, FillError> {
        if let Feed::Growing(_, progress) = &self.feed {
            reached(&mut progress.clone(), |_| false).await?;
        }
        let stamp = self.opened.stamp().ok_or(FillError::Unread)?;
        self.shelf.name(&self.opened, stamp, algorithm).await
    }

    /// The bytes of `range` (whole blob: `0..size`, or `0..u64::MAX` when the size is unknown), cut to the blob's size.
    /// While the blob grows, bytes are given as they arrive, but the blob's last piece only once the whole hash agreed;
    /// on a mismatch the body ends in an error, never cleanly. Must be called within a runtime.
    ///
    /// The bytes may be a map of the file: they are for a socket to send, not for this process to look at, unless
    /// [`Store::never_map`](super::Store::never_map) was called.
    #[must_use]
    pub fn body(&self, range: Range<u64>) -> Body {
        let size = self.size();
        let end = size.map_or(range.end, |size| range.end.min(size));
        let at = range.start.min(end);
        let (follow, from) = match &self.feed {
            Feed::Growing(size, progress) => {
                let hold = size.map_or(Hold::Unannounced { end }, |size| Hold::Last { size });
                (Some(Follow { progress: progress.clone(), hold }), "upstream")
            }
            Feed::Published => (self.follow_check(end), "store"),
        };
        if at == end {
            return Body::empty();
        }
        let place = follow.is_some().then(|| self.opened.relay.join(at));
        let reader = Reader { blob: self.clone(), follow, place, at, end, sent: 0, from };
        let pieces = stream::try_unfold(reader, |mut reader| async move {
            let piece = reader.next().await?;
            Ok(piece.map(|piece| (piece, reader)))
        });
        Body::stream(Pieces { pieces: pieces.boxed(), left: size.map(|_| end - at) })
    }

    /// What a reader of a published file must wait for: nothing, if this process hashed it already.
    fn follow_check(&self, end: u64) -> Option<Follow> {
        let stamp = self.opened.stamp()?;
        if self.shelf.index.is_verified(&self.opened.digest, &stamp) {
            return None;
        }
        let progress = self.shelf.check(&self.opened, stamp);
        // Who gets the blob's end can be cut off before it, should the hash differ. Who asked for a part only would end
        // cleanly with damaged bytes: that waits for the whole hash.
        let hold = if end == stamp.len { Hold::Last { size: stamp.len } } else { Hold::All };
        Some(Follow { progress, hold })
    }
}

/// Waits until so many bytes are there that it `is_enough`, or the blob is whole; tells which.
async fn reached(progress: &mut watch::Receiver<Progress>, is_enough: impl Fn(u64) -> bool) -> Result<Progress, FillError> {
    let wanted = progress.wait_for(|progress| match progress {
        Progress::Done(_) | Progress::Failed(_) | Progress::Whole(_) => true,
        Progress::Growing(there) => is_enough(*there),
    });
    match wanted.await.map_err(|_| FillError::Lost)?.clone() {
        Progress::Failed(error) => Err(error),
        progress @ (Progress::Done(_) | Progress::Growing(_) | Progress::Whole(_)) => Ok(progress),
    }
}

/// A blob that is not known good yet, followed.
struct Follow {
    progress: watch::Receiver<Progress>,
    hold: Hold,
}

/// What is kept back until the hash agreed.
#[derive(Clone, Copy)]
enum Hold {
    /// Everything.
    All,
    /// The last piece of a blob of this size.
    Last { size: u64 },
    /// Whatever came last, since it may be the last piece; and the last piece of the range, since it may be meant to be the
    /// whole blob: an upstream that announces no length could send what it likes, and then some more (C14).
    Unannounced { end: u64 },
}

impl Hold {
    /// How many of the bytes that are there may be given out.
    fn readable(self, there: u64) -> u64 {
        match self {
            Self::All => 0,
            Self::Last { size } => there.min(size.saturating_sub(LAST)),
            Self::Unannounced { end } => there.min(end).saturating_sub(LAST),
        }
    }
}

/// One client's place in a blob.
struct Reader {
    blob: Blob,
    /// `None` once the blob is known good.
    follow: Option<Follow>,
    /// Holds the bytes at `at`, should they pass through memory.
    place: Option<Place>,
    at: u64,
    end: u64,
    sent: u64,
    from: &'static str,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let readable = self.readable().await.map_err(|error| BodyError(error.to_string()))?;
        if self.at >= self.end {
            // The size was unknown, and this is it.
            return Ok(None);
        }
        let piece = self.take(readable.min(self.end), readable).await?;
        self.at += piece.len() as u64;
        if let Some(place) = &self.place {
            place.advance(self.at);
        }
        self.sent += piece.len() as u64;
        if self.at == self.end && self.blob.opened.stamp().is_some() && !self.blob.opened.is_unchanged() {
            return Err(self.damaged(&io::Error::other("changed while it was sent")));
        }
        Ok(Some(piece))
    }

    /// Waits until there are bytes at `at`, and says up to where in the blob, which may be beyond `end`. The wait ends when
    /// the fill does, which has deadlines.
    async fn readable(&mut self) -> Result<u64, FillError> {
        let Some(follow) = &mut self.follow else { return Ok(self.blob.size().unwrap_or(self.end)) };
        let (at, hold) = (self.at, follow.hold);
        if let (Hold::Unannounced { end }, Some(place)) = (hold, &self.place)
            && at >= end.saturating_sub(LAST)
        {
            // It waits for the blob's end now and may not keep the others from it. If its bytes are not in a file, and not
            // among the last, they are gone then, and it breaks.
            place.advance(u64::MAX);
        }
        match reached(&mut follow.progress, |there| hold.readable(there) > at).await? {
            Progress::Done(size) => {
                self.end = self.end.min(size);
                self.follow = None;
                Ok(size)
            }
            // The bytes are right; should they be lost before they are taken, the end is told in time.
            Progress::Whole(size) => {
                self.end = self.end.min(size);
                Ok(size)
            }
            Progress::Growing(there) => Ok(hold.readable(there)),
            Progress::Failed(error) => Err(error),
        }
    }

    /// The bytes from `at` to `end`, or fewer. Of the blob, `there` bytes are there.
    async fn take(&self, end: u64, there: u64) -> Result<Bytes, BodyError> {
        let opened = &self.blob.opened;
        let from = opened.relay.from();
        if self.at < from {
            return self.read(end.min(from), there.min(from)).await.map_err(|error| self.damaged(&error));
        }
        let gone = || BodyError(format!("blob {}: not taken in time, and there is no disk to keep it", opened.digest));
        let piece = opened.relay.get(self.at).ok_or_else(gone)?;
        let len = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        Ok(piece.slice(..piece.len().min(len)))
    }

    /// The same from the file, of which `written` bytes are there.
    async fn read(&self, end: u64, written: u64) -> io::Result<Bytes> {
        let opened = &self.blob.opened;
        if let Some(map) = &opened.map {
            // Of a window that still grows, what is there was written a moment ago and needs not be fetched.
            if map.is_fresh(self.at) || map.window(self.at).end > written || self.populate().await? {
                let frame = (self.at / FRAME + 1) * FRAME;
                return map.slice(self.at..end.min(frame)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (opened, at, len) = (Arc::clone(opened), self.at, (end - self.at).min(PIECE));
        let read = move || {
            let mut piece = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            opened.read_at(&mut piece, at)?;
            Ok(Bytes::from(piece))
        };
        tokio::task::spawn_blocking(read).await.map_err(lost)?
    }

    /// Brings the window at `at` into memory; `false` where the kernel cannot, or has no room for it.
    async fn populate(&self) -> io::Result<bool> {
        let (opened, at) = (Arc::clone(&self.blob.opened), self.at);
        let populate = move || opened.map.as_ref().map_or(Ok(()), |map| map.populate(at));
        match tokio::task::spawn_blocking(populate).await.map_err(lost)? {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::OutOfMemory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file could not be read, or is not the one that was hashed: out with it, so that the next ask fetches anew.
    fn damaged(&self, error: &io::Error) -> BodyError {
        let opened = &self.blob.opened;
        if error.kind() != io::ErrorKind::Interrupted
            && let Some(stamp) = opened.found()
        {
            self.blob.shelf.discard(&opened.digest, &stamp);
        }
        BodyError(format!("blob {}: {error}", opened.digest))
    }
}

/// The runtime is going down: that says nothing of the file, which the next start may have nowhere to fetch anew.
fn lost(error: tokio::task::JoinError) -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, error)
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Once a body, not once a frame.
        metrics::counter!(telemetry::BLOB_BYTES, "from" => self.from).increment(self.sent);
    }
}

/// The reader as a body of known length, so that hyper announces it.
struct Pieces {
    pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    left: Option<u64>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = std::task::ready!(self.pieces.poll_next_unpin(cx));
        if let (Some(left), Some(Ok(piece))) = (&mut self.left, &piece) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
