//! Evidence kept: with the bytes under their digests, this hint is enough to derive a verdict again, upstream or none.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Candidate, Evidence, Limits, Reader, search};
use crate::{
    oci::Digest,
    store::{Document, Documents, HintKind, StoreError},
};

/// How large a kept hint may be to be read: a hundred candidates are about 15 kB.
const MAX_HINT: usize = 64 * 1024;
/// Documents written at the same time. Each waits for the disk some times, and a client for all of them: together they wait
/// for the same commits of the file system's journal.
const AT_ONCE: usize = 16;

/// What was listed about a subject, and when. A hint: following it leads to bytes that are hashed and proved again, so
/// a planted one can at most waste time (C6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When the upstream was asked, by the wall clock.
    pub listed_at: Timestamp,
    /// The manifest's media type as it was served: bytes without `mediaType` alone do not say it.
    pub media_type: String,
    /// What was listed.
    pub candidates: Vec<Candidate>,
    /// Whether that is all there was: nothing could not be had, no limit was hit. Of one that does not say, nobody knows.
    #[serde(default)]
    pub whole: bool,
}

impl Kept {
    /// What a search found, as what is to be kept of it.
    #[must_use]
    pub fn of(evidence: &Evidence, listed_at: Timestamp, media_type: &str) -> Self {
        let whole = evidence.missing.is_empty() && evidence.limits_hit.is_empty();
        Self { listed_at, media_type: media_type.to_owned(), candidates: evidence.candidates.clone(), whole }
    }

    /// What is kept about the subject `key` (`host/repository@digest`), if it can be read.
    pub async fn load(documents: &dyn Documents, key: &str) -> Option<Self> {
        let bytes = documents.hint(HintKind::Evidence, key).await?;
        if bytes.len() > MAX_HINT {
            return None;
        }
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps the evidence: first the documents, then the hint that leads to them. A store that refuses costs the next
    /// start a look at the upstream; the permit does not depend on it.
    pub async fn save(&self, documents: &dyn Documents, key: &str, evidence: &Evidence) {
        let keeping: Vec<_> =
            evidence.fetched.iter().map(|(digest, document)| keep(documents, digest, document).boxed()).collect();
        let kept = stream::iter(keeping).buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(())));
        if let Err((digest, error)) = kept.await {
            tracing::warn!(%digest, %error, "evidence is not kept");
            return;
        }
        self.save_listing(documents, key).await;
    }

    /// Keeps the listing alone.
    pub async fn save_listing(&self, documents: &dyn Documents, key: &str) {
        let written = match serde_json::to_vec(self) {
            Ok(json) => documents.set_hint(HintKind::Evidence, key, &json).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::warn!(subject = key, %error, "the listing of evidence is not kept");
        }
    }

    /// How old the listing is; `None` when its time is in the future: that counts as expired, since a clock that was
    /// set back must not make evidence live for ever.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        now.duration_since(self.listed_at).try_into().ok()
    }

    /// The evidence, from what is kept here alone.
    pub async fn collect(&self, reader: &Reader, limits: &Limits) -> Evidence {
        let here = Reader { upstream: None, ..reader.clone() };
        let mut evidence = search::collect(&here, &self.candidates, limits).await;
        if !self.whole {
            // Else the end of a search would be forgotten on its way through the store, and what it did not see with it.
            evidence.missing.push("not everything was seen when this was listed".into());
        }
        evidence
    }
}

/// Keeps one document, or says which was not kept.
async fn keep<'d>(documents: &dyn Documents, digest: &'d Digest, document: &Document) -> Result<(), (&'d Digest, StoreError)> {
    documents.keep(digest, document).await.map_err(|error| (digest, error))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::{sync::Barrier, time::timeout};

    use super::*;
    use crate::store::{Memory, Spool};

    /// A disk that is done with a document only when it has been given all of them; it fails the one named.
    #[derive(Debug)]
    struct Together {
        memory: Memory,
        all: Barrier,
        hints: AtomicUsize,
        fails: Option<Digest>,
    }

    #[async_trait::async_trait]
    impl Documents for Together {
        async fn read(&self, digest: &Digest, limit: usize) -> Option<Bytes> {
            self.memory.read(digest, limit).await
        }
        async fn write(&self, digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
            self.memory.write(digest, bytes).await
        }
        async fn open(&self, digest: &Digest, limit: u64) -> Option<Document> {
            self.memory.open(digest, limit).await
        }
        async fn spool(&self, digest: &Digest, size: u64) -> Result<Spool, StoreError> {
            self.memory.spool(digest, size).await
        }
        async fn keep(&self, digest: &Digest, document: &Document) -> Result<(), StoreError> {
            self.all.wait().await;
            if self.fails == Some(*digest) {
                return Err(StoreError::Damaged { path: "as if".into() });
            }
            self.memory.keep(digest, document).await
        }
        async fn hint(&self, kind: HintKind, key: &str) -> Option<Bytes> {
            self.memory.hint(kind, key).await
        }
        async fn set_hint(&self, kind: HintKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
            self.hints.fetch_add(1, Ordering::SeqCst);
            self.memory.set_hint(kind, key, value).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn documents_are_kept_at_once_and_the_hint_only_after_all_of_them() {
        let bytes: Vec<Bytes> = (0..4).map(|at| Bytes::from(vec![at; 9])).collect();
        let fetched: Vec<(Digest, Document)> =
            bytes.iter().map(|bytes| (Digest::sha256(bytes), Document::from(bytes.clone()))).collect();
        for fails in [None, Some(fetched[2].0)] {
            let (memory, all) = (Memory::default(), Barrier::new(fetched.len()));
            let disk = Together { memory, all, hints: AtomicUsize::new(0), fails };
            let evidence = Evidence { fetched: fetched.clone(), ..Evidence::default() };
            let kept = Kept { listed_at: Timestamp::UNIX_EPOCH, media_type: "a/b".into(), candidates: Vec::new(), whole: true };
            timeout(Duration::from_secs(1), kept.save(&disk, "key", &evidence)).await.expect("one was waited for alone");
            assert_eq!(disk.hints.load(Ordering::SeqCst), usize::from(fails.is_none()));
            assert_eq!(Kept::load(&disk, "key").await.is_some(), fails.is_none());
        }
    }

    #[test]
    fn what_was_not_all_there_was_is_not_whole() {
        let (missing, limits_hit) = (vec!["a page".to_owned()], vec!["a limit".to_owned()]);
        for (missing, limits_hit, whole) in [
            (Vec::new(), Vec::new(), true),
            (missing.clone(), Vec::new(), false),
            (Vec::new(), limits_hit.clone(), false),
            (missing, limits_hit, false),
        ] {
            let evidence = Evidence { missing, limits_hit, ..Evidence::default() };
            assert_eq!(Kept::of(&evidence, Timestamp::UNIX_EPOCH, "a/b").whole, whole, "{evidence:?}");
        }
    }

    #[tokio::test]
    async fn c6_a_hint_of_more_than_64_kib_is_not_read() {
        let documents = Memory::default();
        let kept = Kept { listed_at: Timestamp::UNIX_EPOCH, media_type: "m".into(), candidates: Vec::new(), whole: true };
        let mut hint = serde_json::to_vec(&kept).unwrap();
        hint.resize(65_536, b' ');
        documents.set_hint(HintKind::Evidence, "full", &hint).await.unwrap();
        hint.push(b' ');
        documents.set_hint(HintKind::Evidence, "overfull", &hint).await.unwrap();

        assert_eq!(Kept::load(&documents, "full").await, Some(kept));
        assert_eq!(Kept::load(&documents, "overfull").await, None);
    }

    #[test]
    fn a_listing_of_the_future_has_no_age() {
        let kept = |seconds| Kept {
            listed_at: Timestamp::from_second(seconds).unwrap(),
            media_type: String::new(),
            candidates: Vec::new(),
            whole: true,
        };
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(kept(400).age(now), Some(Duration::from_mins(10)));
        assert_eq!(kept(1000).age(now), Some(Duration::ZERO));
        assert_eq!(kept(1001).age(now), None);
    }
}
