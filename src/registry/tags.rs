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
    upstream::{Lost, Upstream, UpstreamError},
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
            Err(lost) => {
                Err(UpstreamError::Unreachable { host: image.host.to_string(), lost: Lost::Connection, source: Arc::new(lost) })
            }
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
                | UpstreamError::Failing { .. }
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
            None => match self.kept(&key).await {
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

    async fn kept(&self, key: &Key) -> Option<Known> {
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

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::{
        registry::testing::{Scripted, unreachable},
        store::Memory,
        upstream::{FetchedManifest, Resolved},
    };

    const TTL: Duration = Duration::from_secs(30);
    const DAY: Duration = Duration::from_secs(86_400);

    struct World {
        upstream: Arc<Scripted>,
        documents: Arc<Memory>,
        memory: Arc<TagMemory>,
        image: ImageName,
        tag: Tag,
    }

    impl World {
        fn new(max_stale: Option<Duration>) -> Self {
            let documents = Arc::new(Memory::default());
            Self {
                upstream: Scripted::new("ghcr.io"),
                memory: Self::memory(&documents, max_stale),
                documents,
                image: ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap()),
                tag: "v1".parse().unwrap(),
            }
        }

        fn memory(documents: &Arc<Memory>, max_stale: Option<Duration>) -> Arc<TagMemory> {
            Arc::new(TagMemory::new(TTL, max_stale, Arc::clone(documents) as Arc<dyn Documents>))
        }

        fn restart(&mut self, max_stale: Option<Duration>) {
            self.memory = Self::memory(&self.documents, max_stale);
        }

        fn points_at(&self, content: &[u8]) -> Digest {
            let digest = Digest::sha256(content);
            self.upstream.resolved.insert("v1".into(), Ok(Resolved { digest, manifest: None }));
            digest
        }

        async fn resolve(&self) -> Result<Meaning, UpstreamError> {
            let upstream = Arc::clone(&self.upstream) as Arc<dyn Upstream>;
            self.memory.resolve(&upstream, &self.image, &self.tag).await
        }

        async fn hint(&self, digest: Digest, at: i64) {
            let hint = serde_json::to_vec(&Hint { digest, at }).unwrap();
            self.documents.set_hint(HintKind::Tag, "ghcr.io/acme/app:v1", &hint).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_asked_for_once_in_its_life_time() {
        let world = World::new(Some(DAY));
        let before = world.points_at(b"before");
        assert_eq!(world.memory.recall(&world.image, &world.tag), None);
        assert_eq!(world.resolve().await.unwrap(), Meaning { digest: before, stale: None });
        let after = world.points_at(b"after");
        tokio::time::advance(TTL - Duration::from_secs(1)).await;
        assert_eq!(world.resolve().await.unwrap().digest, before);
        assert_eq!(world.memory.recall(&world.image, &world.tag), Some(before));
        assert_eq!(world.upstream.asked(), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(world.memory.recall(&world.image, &world.tag), None);
        assert_eq!(world.resolve().await.unwrap().digest, after);
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_for_one_tag_are_one_question() {
        let world = World::new(Some(DAY));
        let digest = world.points_at(b"x");
        let answers = join_all((0..50).map(|_| world.resolve())).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap().digest == digest));
        assert_eq!(world.upstream.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_absent_tag_is_absent_for_a_second_and_leaves_nothing_behind() {
        let world = World::new(Some(DAY));
        assert!(matches!(world.resolve().await, Err(UpstreamError::NotFound)));
        assert!(matches!(world.resolve().await, Err(UpstreamError::NotFound)));
        assert_eq!(world.upstream.asked(), 1);
        assert_eq!(world.documents.hint(HintKind::Tag, "ghcr.io/acme/app:v1").await, None);
        let digest = world.points_at(b"pushed");
        tokio::time::advance(ABSENT_FOR).await;
        assert_eq!(world.resolve().await.unwrap().digest, digest);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_given_stale_while_the_upstream_cannot_be_asked() {
        let world = World::new(Some(DAY));
        let digest = world.points_at(b"x");
        world.resolve().await.unwrap();
        world.upstream.fail(Some(unreachable("ghcr.io")));
        tokio::time::advance(TTL).await;
        let meaning = world.resolve().await.unwrap();
        assert_eq!(meaning.digest, digest);
        assert!(meaning.stale.unwrap().contains("cannot be reached"));
        // A stale answer is no hot one.
        assert_eq!(world.memory.recall(&world.image, &world.tag), None);
        // The upstream is not asked by each who asks us.
        let asked = world.upstream.asked();
        world.resolve().await.unwrap();
        assert_eq!(world.upstream.asked(), asked);
        tokio::time::advance(RETRY_EVERY).await;
        world.upstream.fail(None);
        assert_eq!(world.resolve().await.unwrap(), Meaning { digest, stale: None });
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_given_stale_no_longer_than_max_stale() {
        let world = World::new(Some(DAY));
        world.points_at(b"x");
        world.resolve().await.unwrap();
        world.upstream.fail(Some(UpstreamError::Throttled { host: "ghcr.io".into(), retry_after: None }));
        tokio::time::advance(DAY - Duration::from_secs(1)).await;
        assert!(world.resolve().await.unwrap().stale.is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(world.resolve().await, Err(UpstreamError::Throttled { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn max_stale_zero_is_never_and_none_is_forever() {
        for (max_stale, stale) in [(Some(Duration::ZERO), false), (None, true)] {
            let world = World::new(max_stale);
            world.points_at(b"x");
            world.resolve().await.unwrap();
            world.upstream.fail(Some(unreachable("ghcr.io")));
            tokio::time::advance(DAY * 1_000).await;
            assert_eq!(world.resolve().await.is_ok(), stale, "{max_stale:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_outage_makes_a_stale_answer() {
        let world = World::new(None);
        world.points_at(b"x");
        world.resolve().await.unwrap();
        tokio::time::advance(TTL).await;
        for error in [
            UpstreamError::Denied { host: "ghcr.io".into(), status: 403, shown: true },
            UpstreamError::Forbidden("no".into()),
            UpstreamError::Lied { host: "ghcr.io".into(), what: "no".into() },
        ] {
            world.upstream.fail(Some(error));
            assert!(world.resolve().await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_removed_at_the_upstream_is_not_given_stale_afterwards() {
        let mut world = World::new(None);
        world.points_at(b"x");
        world.resolve().await.unwrap();
        world.upstream.resolved.clear();
        tokio::time::advance(TTL).await;
        assert!(matches!(world.resolve().await, Err(UpstreamError::NotFound)));
        world.upstream.fail(Some(unreachable("ghcr.io")));
        tokio::time::advance(ABSENT_FOR).await;
        assert!(matches!(world.resolve().await, Err(UpstreamError::Unreachable { .. })));
        world.restart(None);
        assert!(matches!(world.resolve().await, Err(UpstreamError::Unreachable { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_restart_the_store_says_what_a_tag_meant() {
        let mut world = World::new(Some(DAY));
        let digest = world.points_at(b"x");
        world.resolve().await.unwrap();
        world.upstream.fail(Some(unreachable("ghcr.io")));
        world.restart(Some(DAY));
        let meaning = world.resolve().await.unwrap();
        assert_eq!(meaning.digest, digest);
        assert!(meaning.stale.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stored_meaning_from_the_future_or_the_far_past_is_none() {
        let world = World::new(Some(DAY));
        let digest = Digest::sha256(b"x");
        world.upstream.fail(Some(unreachable("ghcr.io")));
        for at in [now() + 3_600, now() - 2 * 86_400, i64::MIN, i64::MAX] {
            world.hint(digest, at).await;
            assert!(world.resolve().await.is_err(), "{at}");
        }
        world.hint(digest, now() - 3_600).await;
        assert_eq!(world.resolve().await.unwrap().digest, digest);
        world.documents.set_hint(HintKind::Tag, "ghcr.io/acme/app:v1", b"\xff{").await.unwrap();
        world.memory.known.clear();
        assert!(world.resolve().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_manifest_that_came_with_the_answer_is_kept_for_the_gate() {
        let world = World::new(None);
        let bytes = bytes::Bytes::from_static(b"{}");
        let digest = Digest::sha256(&bytes);
        let manifest = Some(FetchedManifest { digest, bytes: bytes.clone(), content_type: None });
        world.upstream.resolved.insert("v1".into(), Ok(Resolved { digest, manifest }));
        world.resolve().await.unwrap();
        assert_eq!(world.documents.read(&digest, 100).await, Some(bytes));
    }
}
