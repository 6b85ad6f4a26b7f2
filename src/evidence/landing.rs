//! Where a fetched document's bytes go: into memory while it is small, else into a file of the store; into memory after
//! all where the disk takes nothing and there is room.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::reader::{Budget, Read, Share, Unread, failed};
use crate::{
    oci::{Digest, Repository},
    store::{Document, Documents, HELD, Spool},
    upstream::Upstream,
};

/// Written and hashed at once.
const BATCH: usize = 256 << 10;
/// Up to so many bytes are hashed where they are, which takes less than to have another thread do it: 64 KiB are forty
/// microseconds.
const QUICK: usize = 64 << 10;

/// Takes in a blob of exactly `size` bytes.
pub(super) async fn fetch(
    upstream: &dyn Upstream,
    documents: &dyn Documents,
    budget: &Budget,
    repository: &Repository,
    digest: &Digest,
    size: u64,
) -> Result<Read<Document>, Unread> {
    let short = || digest.short();
    let mut stream = upstream.blob(repository, digest).await?;
    if stream.size.is_some_and(|announced| announced != size) {
        return Err(failed(format!("the upstream announces another size than {size} for {}", short())));
    }
    let mut landing = Landing::new(documents, budget, digest, size).await?;
    let (mut batch, mut waiting, mut taken) = (Vec::new(), 0, 0_u64);
    while let Some(piece) = stream.pieces.next().await {
        let piece = piece?;
        taken = taken.saturating_add(piece.len() as u64);
        if taken > size {
            return Err(failed(format!("the upstream sends more than the {size} bytes of {}", short())));
        }
        waiting += piece.len();
        batch.push(piece);
        if waiting >= BATCH {
            landing = landing.take(std::mem::take(&mut batch), budget, size).await?;
            waiting = 0;
        }
    }
    landing = landing.take(batch, budget, size).await?;
    let (document, share) = landing.finish(digest).await?;
    Ok(Read { document, fresh: true, share })
}

/// One document being taken in.
enum Landing {
    Filed(Box<Spool>),
    /// With its share of the budget, where it is larger than what the search counted on.
    Held(BytesMut, Option<Share>),
}

impl Landing {
    async fn new(documents: &dyn Documents, budget: &Budget, digest: &Digest, size: u64) -> Result<Self, Unread> {
        if size <= HELD {
            // Grows with what arrives, not with what a manifest claims.
            return Ok(Self::Held(BytesMut::new(), None));
        }
        match documents.spool(digest, size).await {
            Ok(spool) => Ok(Self::Filed(Box::new(spool))),
            // The store said so already.
            Err(_) => Ok(Self::Held(BytesMut::new(), Some(room(budget, size)?))),
        }
    }

    async fn take(self, pieces: Vec<Bytes>, budget: &Budget, size: u64) -> Result<Self, Unread> {
        match self {
            Self::Filed(spool) => match blocking(move || write(spool, pieces)).await? {
                Written::Whole(spool) => Ok(Self::Filed(spool)),
                Written::Partly(spool, rest) => {
                    let share = room(budget, size)?;
                    let taken_back = blocking(move || spool.take_back()).await?;
                    let mut bytes =
                        taken_back.map_err(|error| failed(format!("the store does not keep what it took: {error}")))?;
                    rest.iter().for_each(|piece| bytes.extend_from_slice(piece));
                    Ok(Self::Held(bytes, Some(share)))
                }
            },
            Self::Held(mut bytes, share) => {
                pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
                Ok(Self::Held(bytes, share))
            }
        }
    }

    async fn finish(self, digest: &Digest) -> Result<(Document, Option<Share>), Unread> {
        let wanted = *digest;
        let other = move || failed(format!("the upstream's bytes are not {}", wanted.short()));
        match self {
            Self::Filed(spool) => Ok((blocking(move || spool.finish()).await?.map_err(|_| other())?, None)),
            Self::Held(bytes, share) => {
                let bytes = bytes.freeze();
                let hashed = bytes.clone();
                let same =
                    if bytes.len() <= QUICK { wanted.matches(&bytes) } else { blocking(move || wanted.matches(&hashed)).await? };
                if same { Ok((bytes.into(), share)) } else { Err(other()) }
            }
        }
    }
}

/// How far a batch came.
enum Written {
    Whole(Box<Spool>),
    /// The pieces that the disk did not take.
    Partly(Box<Spool>, Vec<Bytes>),
}

fn write(mut spool: Box<Spool>, mut pieces: Vec<Bytes>) -> Written {
    for at in 0..pieces.len() {
        if spool.write(&pieces[at]).is_err() {
            return Written::Partly(spool, pieces.split_off(at));
        }
    }
    Written::Whole(spool)
}

/// A share that nobody is waited for: who has shares already and waits for more may wait for somebody who does the same.
fn room(budget: &Budget, size: u64) -> Result<Share, Unread> {
    budget.take_now(size).ok_or_else(|| failed("the store takes no more, and too much evidence is held in memory".into()))
}

/// Hashing and writing block, so they have a thread of their own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Unread> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(format!("the task that was to read it is gone: {error}")))
}

#[cfg(test)]
mod tests;
