//! Taking a blob in: one fetch of each registry however many ask for it there, hashed and written as it comes, read by all while
//! it grows.
//!
//! Who asks another registry has a fetch of its own: what one says, sends or withholds is no answer for the clients of another that has
//! the same layer. Whichever is whole first is what all get from then on.
//!
//! The fetch runs in a task of its own. Clients that hang up do not stop it (C16), slow ones do not slow it: they read
//! the file at their own pace. The disk does slow it, because each write is awaited, so memory stays what two batches take.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{sync::watch, time::timeout};

use super::{Blob, Fetch, FetchError, Mismatch, Source, Store, read::Progress, shelf::Shelf, sink::Sink};
use crate::oci::{Digest, Hasher};

/// How long the opener may take. Upstreams have deadlines of their own, and shorter; this is for the one that has not.
const OPEN_DEADLINE: Duration = Duration::from_secs(120);
/// How long the upstream may pause within a blob.
const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// What is written at once, at most, of pieces that are there already; one more batch is gathered meanwhile.
const BATCH: usize = 256 << 10;

/// Why a blob was not taken in. Its readers' bodies break with this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FillError {
    /// The file was written to by somebody else.
    #[error("the stored file changed while it was read")]
    Changed,
    /// The disk refused.
    #[error("the store could not keep up: {0}")]
    Disk(Arc<io::Error>),
    /// The upstream sent more than it announced (U10).
    #[error("the upstream announced {announced} bytes and sent more")]
    Longer {
        /// What it announced.
        announced: u64,
    },
    /// The task that fetched is gone.
    #[error("the fetch was lost")]
    Lost,
    /// The bytes are not what was asked for (C14).
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// The upstream sent less than it announced.
    #[error("the upstream announced {announced} bytes and sent {found}")]
    Shorter {
        /// What it announced.
        announced: u64,
        /// What came.
        found: u64,
    },
    /// The upstream said nothing for too long.
    #[error("the upstream was silent for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The disk failed, and nobody took what was fetched past it.
    #[error("there is no disk to keep the blob, and nobody took it")]
    Unread,
    /// The upstream broke off.
    #[error("the upstream broke off: {0}")]
    Upstream(FetchError),
}

impl FillError {
    /// The upstream's own error where that is what it is, for whoever tells it.
    #[must_use]
    pub fn cause(self) -> FetchError {
        match self {
            Self::Upstream(error) => error,
            error => Arc::new(error),
        }
    }
}

/// Blobs on their way in.
pub(super) type Fills = DashMap<Fetch, watch::Receiver<Option<Result<Blob, FetchError>>>>;

impl Store {
    /// The blob, fetched by `open` if it is not here. However many ask for the same fetch at once, `open` runs once; its task
    /// survives the client that started it; all are fed from the growing file. Returns when the size is known.
    ///
    /// # Errors
    /// What `open` said, or a [`FillError`]. A failure after the size is known is for [`begun`](Blob::begun) to tell, or breaks the
    /// bodies.
    pub async fn pull<F, Fut>(self: &Arc<Self>, fetch: &Fetch, open: F) -> Result<Blob, FetchError>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Source, FetchError>> + Send + 'static,
    {
        if let Some(blob) = self.blob(&fetch.digest).await {
            return Ok(blob);
        }
        let mut opened = match self.fills.entry(fetch.clone()) {
            Entry::Occupied(filling) => filling.get().clone(),
            Entry::Vacant(vacant) => {
                let (tell, opened) = watch::channel(None);
                vacant.insert(opened.clone());
                let landing = Landing { fills: Arc::clone(&self.fills), fetch: fetch.clone() };
                tokio::spawn(fill(Arc::clone(&self.shelf), fetch.digest, open, tell, landing));
                opened
            }
        };
        let blob = match opened.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(Arc::new(FillError::Lost)))?,
            Err(_) => return Err(Arc::new(FillError::Lost)),
        };
        // A body of no bytes has no last piece to hold back, so an empty blob is given out when its hash agreed.
        if blob.size() == Some(0) {
            blob.begun().await?;
        }
        Ok(blob)
    }
}

/// Takes the fill off the map however its task ends.
pub(super) struct Landing {
    fills: Arc<Fills>,
    fetch: Fetch,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.fills.remove(&self.fetch);
    }
}

/// The task. Whatever it tells, it tells after it landed where that is the end: who comes after asks anew.
async fn fill<F, Fut>(
    shelf: Arc<Shelf>,
    digest: Digest,
    open: F,
    tell: watch::Sender<Option<Result<Blob, FetchError>>>,
    landing: Landing,
) where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Source, FetchError>>,
{
    // An earlier fill may have published between the look at the shelf and at the map: `open` must not run twice.
    if let Some(blob) = shelf.find(&digest).await {
        drop(landing);
        tell.send_replace(Some(Ok(blob)));
        return;
    }
    let opening = timeout(OPEN_DEADLINE, open()).await;
    let source = opening.unwrap_or_else(|_| Err(Arc::new(FillError::Stalled(OPEN_DEADLINE))));
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            drop(landing);
            tell.send_replace(Some(Err(error)));
            return;
        }
    };
    let (sink, blob) = Sink::open(&shelf, digest, source.size, source.named).await;
    let (progress, opened) = (sink.progress.clone(), Arc::clone(&blob.opened));
    tell.send_replace(Some(Ok(blob)));
    let mut landing = Some(landing);
    let whole = match pump(source, sink, Hasher::new(digest.algorithm()), &mut landing).await {
        Ok((sink, found)) => sink.finish(digest, found, opened).await,
        Err(error) => Err(error),
    };
    drop(landing);
    let end = match whole {
        Ok((size, Some(unsynced))) => {
            progress.send_replace(Progress::Whole(size));
            unsynced.sync().await.map(|()| size)
        }
        Ok((size, None)) => Ok(size),
        Err(error) => Err(error),
    };
    match end {
        Ok(size) => {
            progress.send_replace(Progress::Done(size));
            // Nobody waits for this.
            tokio::task::spawn_blocking(move || shelf.make_room());
        }
        Err(error) => {
            tracing::warn!(%digest, %error, "blob was not taken in");
            progress.send_replace(Progress::Failed(error));
        }
    }
}

/// Moves the pieces from the upstream to the disk: while one batch is written, and hashed on another thread, the next is gathered.
async fn pump(
    mut source: Source,
    sink: Sink,
    hasher: Hasher,
    landing: &mut Option<Landing>,
) -> Result<(Sink, Digest), FillError> {
    // The end may be met while a batch is gathered, and is asked for again for the next one.
    source.pieces = source.pieces.fuse().boxed();
    let mut taken = 0_u64;
    let mut writing = tokio::task::spawn_blocking(move || sink);
    let mut hashing = tokio::task::spawn_blocking(move || hasher);
    loop {
        let batch = gather(&mut source).await?;
        taken += batch.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if let Some(announced) = source.size.filter(|announced| taken > *announced) {
            return Err(FillError::Longer { announced });
        }
        let mut hasher = hashing.await.map_err(|_| FillError::Lost)?;
        let mut sink = writing.await.map_err(|_| FillError::Lost)?;
        sink.pass_on(landing).await?;
        if batch.is_empty() {
            return match source.size.filter(|announced| taken < *announced) {
                Some(announced) => Err(FillError::Shorter { announced, found: taken }),
                None => Ok((sink, hasher.finish())),
            };
        }
        let pieces = batch.clone();
        writing = tokio::task::spawn_blocking(move || sink.write(batch));
        hashing = tokio::task::spawn_blocking(move || {
            pieces.iter().for_each(|piece| hasher.update(piece));
            hasher
        });
    }
}

/// The next piece, and those that are there with it. Empty at the end.
async fn gather(source: &mut Source) -> Result<Vec<Bytes>, FillError> {
    let mut batch = Vec::new();
    let mut len = 0;
    while len < BATCH {
        let next = if batch.is_empty() {
            let next = timeout(STALL_DEADLINE, source.pieces.next()).await;
            next.map_err(|_| FillError::Stalled(STALL_DEADLINE))?
        } else {
            match source.pieces.next().now_or_never() {
                Some(next) => next,
                None => break,
            }
        };
        match next {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) => {
                len += piece.len();
                batch.push(piece);
            }
            Some(Err(error)) => return Err(FillError::Upstream(error)),
            None => break,
        }
    }
    Ok(batch)
}
