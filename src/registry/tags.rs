//! What tags mean: asked at the upstream, remembered for a while, and given stale while the upstream cannot be asked.
//!
//! A tag is a pointer and proves nothing. Whatever digest it yields is judged like any other, so a lying upstream or a
//! forged hint can at most point at something admitted in the same repository. HEAD and GET answer from one record, so
//! an upstream that alternates digests cannot get one judged and another served (X4).

use std::{sync::Arc, time::Duration};

use metrics::Counter;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    flight::Flight,
    oci::{Digest, ImageName, Tag},
    store::{Documents, HintKind},
    telemetry,
    upstream::{Upstream, UpstreamError},
};

/// How many tags' meanings are kept in memory; the least recently used go first and are asked for again.
const REMEMBERED: usize = 65_536;
/// How long an absent tag is remembered as absent: push-then-pull is normal.
const ABSENT_FOR: Duration = Duration::from_secs(1);
/// While the upstream cannot be asked and a stale answer is at hand, how often it is tried: a black hole costs each of
/// its callers a full time-out otherwise.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Remembers what tags mean.
#[derive(Debug)]
pub(super) struct TagMemory {
    ttl: Duration,
    max_stale: Option<Duration>,
    known: quick_cache::sync::Cache<Key, Known>,
    asking: Flight<Key, Result<Digest, UpstreamError>>,
    documents: Arc<dyn Documents>,
    stale_answers: Counter,
}

type Key = (ImageName, Tag);

/// What a tag means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The digest.
    pub(super) digest: Digest,
    /// The upstream could not be asked: this is why, and the digest is what the tag meant last.
    pub(super) stale: Option<String>,
}

#[derive(Debug, Clone)]
struct Known {
    /// `None`: the upstream said there is none.
    digest: Option<Digest>,
    /// When the upstream said so, or when the store told.
    said: Instant,
    /// How old it was then: a time before this machine's start is none the monotonic clock can name.
    aged: Duration,
    /// When it last could not be asked, and what kept it.
    failed: Option<(Instant, String)>,
}

impl Known {
    fn age(&self) -> Duration {
        self.aged.saturating_add(self.said.elapsed())
    }
}

/// The hint kept in the store: ages there are by the wall clock.
#[derive(Debug, Serialize, Deserialize)]
struct Hint {
    digest: Digest,
    /// Seconds since 1970 when the upstream said so.
    at: i64,
}

impl TagMemory {
    pub(super) fn new(ttl: Duration, max_stale: Option<Duration>, documents: Arc<dyn Documents>) -> Self {
        let known = quick_cache::sync::Cache::new(REMEMBERED);
        let stale_answers = metrics::counter!(telemetry::STALE, "what" => "tag");
        Self { ttl, max_stale, known, asking: Flight::default(), documents, stale_answers }
    }

    /// What `tag` means, if the upstream said so less than the life time ago. No work: the hot path.
    pub(super) fn recall(&self, image: &ImageName, tag: &Tag) -> Option<Digest> {
        let known = self.known.get(&(image.clone(), tag.clone()))?;
        known.digest.filter(|_| known.age() < self.ttl)
    }

    /// What `tag` means now; what it meant last when the upstream cannot be asked and that is not longer ago than
    /// `max_stale`. One question at a time for one tag, however many ask.
    ///
    /// # Errors
    /// What the upstream said. [`UpstreamError::NotFound`] is remembered for a second.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        upstream: &Arc<dyn Upstream>,
        image: &ImageName,
        tag: &Tag,
    ) -> Result<Meaning, UpstreamError> {
        let key = (image.clone(), tag.clone());
        if let Some(known) = self.known.get(&key) {
            match (&known.digest, &known.failed) {
                (Some(digest), _) if known.age() < self.ttl => return Ok(Meaning { digest: *digest, stale: None }),
                (None, _) if known.age() < ABSENT_FOR => return Err(UpstreamError::NotFound),
                (Some(digest), Some((at, why))) if at.elapsed() < RETRY_EVERY && self.may_be(known.age()) => {
                    self.stale_answers.increment(1);
                    return Ok(Meaning { digest: *digest, stale: Some(why.clone()) });
                }
                (Some(_) | None, _) => {}
            }
        }
        let (memory, upstream) = (Arc::clone(self), Arc::clone(upstream));
        let answer = self.asking.run(key.clone(), {
            let key = key.clone();
            move || async move { memory.ask(&*upstream, key).await }
        });
        match answer.await {
            Ok(Ok(digest)) => Ok(Meaning { digest, stale: None }),
            Ok(Err(error)) if error.is_retryable() => self.stale(key, error).await,
            Ok(Err(error)) => Err(error),
            Err(lost) => Err(UpstreamError::Unreachable { host: image.host.to_string(), source: Arc::new(lost) }),
        }
    }

    async fn ask(&self, upstream: &dyn Upstream, key: Key) -> Result<Digest, UpstreamError> {
        let (image, tag) = &key;
        let resolved = upstream.resolve(&image.repository, tag).await;
        match &resolved {
            Ok(resolved) => {
                // Where the upstream had to be asked with GET the manifest is at hand: the gate finds it in the store.
                if let Some(manifest) = &resolved.manifest
                    && let Err(error) = self.documents.write(&manifest.digest, &manifest.bytes).await
                {
                    tracing::warn!(%image, %tag, %error, "the manifest a tag was resolved by could not be kept");
                }
                self.keep(&key, Some(resolved.digest)).await;
            }
            // An answer, not an outage: what the tag meant before is not served stale later.
            Err(UpstreamError::NotFound) => self.keep(&key, None).await,
            Err(
                UpstreamError::Denied { .. }
                | UpstreamError::Forbidden(_)
                | UpstreamError::Lied { .. }
                | UpstreamError::Throttled { .. }
                | UpstreamError::TooLarge { .. }
                | UpstreamError::Unreachable { .. },
            ) => {}
        }
        resolved.map(|resolved| resolved.digest)
    }

    async fn keep(&self, key: &Key, digest: Option<Digest>) {
        let before = self.known.get(key).and_then(|known| known.digest);
        self.known.insert(key.clone(), Known { digest, said: Instant::now(), aged: Duration::ZERO, failed: None });
        let value = match digest {
            Some(digest) => serde_json::to_vec(&Hint { digest, at: now() }).unwrap_or_default(),
            // Names that never were leave no files behind: asking for a million absent tags must not fill the disk.
            None if before.is_none() && self.documents.hint(HintKind::Tag, &hint_key(key)).await.is_none() => return,
            None => Vec::new(),
        };
        if let Err(error) = self.documents.set_hint(HintKind::Tag, &hint_key(key), &value).await {
            tracing::debug!(image = %key.0, tag = %key.1, %error, "a tag's meaning could not be kept");
        }
    }

    /// What the tag meant last, from memory or from the store, if that is not too long ago.
    async fn stale(&self, key: Key, error: UpstreamError) -> Result<Meaning, UpstreamError> {
        let known = match self.known.get(&key) {
            Some(known) => known,
            None => match self.from_store(&key).await {
                Some(known) => known,
                None => return Err(error),
            },
        };
        let (Some(digest), age) = (known.digest, known.age()) else { return Err(error) };
        if !self.may_be(age) {
            return Err(error);
        }
        tracing::warn!(image = %key.0, tag = %key.1, %digest, %error, age = age.as_secs(), "a tag is answered stale");
        self.stale_answers.increment(1);
        let why = error.to_string();
        self.known.insert(key, Known { failed: Some((Instant::now(), why.clone())), ..known });
        Ok(Meaning { digest, stale: Some(why) })
    }

    async fn from_store(&self, key: &Key) -> Option<Known> {
        let bytes = self.documents.hint(HintKind::Tag, &hint_key(key)).await?;
        let hint: Hint = serde_json::from_slice(&bytes).ok()?;
        // A stored time in the future counts as expired: a clock was wrong then, or is now.
        let age = u64::try_from(now().checked_sub(hint.at)?).ok()?;
        Some(Known { digest: Some(hint.digest), said: Instant::now(), aged: Duration::from_secs(age), failed: None })
    }

    fn may_be(&self, age: Duration) -> bool {
        self.max_stale.is_none_or(|max| age < max)
    }
}

fn hint_key((image, tag): &Key) -> String {
    format!("{image}:{tag}")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
