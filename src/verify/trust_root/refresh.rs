//! Sigstore's own trust root by TUF: ready at once, refreshed in the background, and not believed for ever without.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sigstore_trust_root::{SigstoreInstance, TrustedRoot, TufConfig, reqwest};
use tokio::time::Instant;

use super::{
    TrustRootConfig, TrustRootError, document,
    state::{Part, TrustRoots},
};
use crate::{
    telemetry,
    verify::{Relaxed, Sigstore, clean},
};

/// One request of a refresh. A mirror that trickles bytes must not hold it (threats R1).
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// A whole refresh: some ten small files.
const REFRESH_DEADLINE: Duration = Duration::from_secs(120);
/// Without a refresh for this long the log warns (decision D10).
const WARN_STALE: Duration = Duration::from_secs(24 * 3_600);
/// Holds when the root was last known to be fresh, in seconds since 1970: our own record, beside the TUF metadata.
const FRESH_AT: &str = "fresh-at";

/// Where trusted roots come from. Two implementations: TUF, and scripted in tests.
pub(super) trait Source: Send + Sync + 'static {
    /// The last good root of an earlier run, verified again.
    fn cached(&self) -> impl Future<Output = Result<TrustedRoot, TrustRootError>> + Send;
    /// Today's.
    fn fetch(&self) -> impl Future<Output = Result<TrustedRoot, TrustRootError>> + Send;
    /// What the binary was built with.
    fn embedded(&self) -> Result<TrustedRoot, TrustRootError>;
}

/// The public-good instance.
#[derive(Debug)]
pub(super) struct Tuf {
    directory: PathBuf,
    pub(super) client: reqwest::Client,
}

impl Tuf {
    pub(super) fn new(config: &TrustRootConfig) -> Result<Self, TrustRootError> {
        let client = reqwest::Client::builder()
            .connect_timeout(REQUEST_DEADLINE)
            .timeout(REQUEST_DEADLINE)
            .https_only(true)
            .build()
            .map_err(|error| TrustRootError::Tuf(clean(&error.to_string())))?;
        Ok(Self { directory: config.cache_dir.clone(), client })
    }

    async fn load(&self, config: TufConfig) -> Result<TrustedRoot, TrustRootError> {
        let tuf = |text: String| TrustRootError::Tuf(clean(&text));
        match tokio::time::timeout(REFRESH_DEADLINE, TrustedRoot::from_tuf(config)).await {
            Ok(outcome) => outcome.map_err(|error| tuf(error.to_string())),
            Err(_) => Err(tuf(format!("no answer within {} s", REFRESH_DEADLINE.as_secs()))),
        }
    }
}

impl Source for Tuf {
    async fn cached(&self) -> Result<TrustedRoot, TrustRootError> {
        // Raw cached bytes are never believed: the whole TUF workflow runs over them again, from the embedded root
        // (TOB-SIGSTORE-10, threats R2).
        self.load(TufConfig::production().with_cache_dir(self.directory.clone()).offline()).await
    }

    async fn fetch(&self) -> Result<TrustedRoot, TrustRootError> {
        let config = TufConfig::production().with_http_client(self.client.clone());
        // The crate asks nobody where it cannot make its directory: with a home that cannot be written, as in many containers, the
        // root would stay as old as this binary, and a log withdrawn since would be believed for ever (threats R7).
        let config = match tokio::fs::create_dir_all(&self.directory).await {
            Ok(()) => config.with_cache_dir(self.directory.clone()),
            Err(error) => {
                tracing::info!(%error, path = %self.directory.display(), "the trust root cannot be kept");
                config.without_cache()
            }
        };
        self.load(config).await
    }

    fn embedded(&self) -> Result<TrustedRoot, TrustRootError> {
        embedded()
    }
}

/// The public-good instance's, as the crate carries it.
pub(super) fn embedded() -> Result<TrustedRoot, TrustRootError> {
    TrustedRoot::from_embedded(SigstoreInstance::PublicGood).map_err(|error| TrustRootError::Tuf(clean(&error.to_string())))
}

/// How fresh the root in use is. Ages run on the monotonic clock from what the record said at start.
#[derive(Debug, Clone, Copy)]
struct Freshness {
    since: Instant,
    age_then: Duration,
}

impl Freshness {
    fn now() -> Self {
        Self { since: Instant::now(), age_then: Duration::ZERO }
    }

    fn age(&self) -> Duration {
        self.age_then.saturating_add(self.since.elapsed())
    }
}

/// Keeps one root fresh.
#[derive(Debug)]
pub(super) struct Keeper<S> {
    name: Arc<str>,
    root: Arc<Sigstore>,
    source: S,
    record: Record,
    freshness: Freshness,
    refreshed: bool,
    /// Why the last refresh failed, if it did.
    failed: Option<String>,
    refresh: Duration,
    retry: Duration,
    hard_stale: Duration,
}

impl<S: Source> Keeper<S> {
    /// Takes the best root at hand.
    pub(super) async fn new(source: S, name: Arc<str>, config: &TrustRootConfig) -> Result<Self, TrustRootError> {
        let record = Record(config.cache_dir.join(FRESH_AT));
        let (root, mut freshness) = match (source.cached().await, record.age(Timestamp::now()).await) {
            // A record in the future counts as expired, so what it dates is not used.
            (Ok(root), Some(age)) => (root, Freshness { since: Instant::now(), age_then: age }),
            (cached, age) => {
                if let Err(error) = cached {
                    tracing::info!(%error, "no usable TUF state from an earlier run; the built-in trust root serves until the first refresh");
                }
                let age_then = age.unwrap_or_default();
                (source.embedded()?, Freshness { since: Instant::now(), age_then })
            }
        };
        if freshness.age_then.is_zero() {
            // From the first use of the built-in root on its days are counted, and a restart does not count anew.
            record.write(Timestamp::now()).await;
            freshness = Freshness::now();
        }
        Ok(Self {
            root: Arc::new(of(&name, root)?),
            name,
            source,
            record,
            freshness,
            refreshed: false,
            failed: None,
            refresh: config.refresh.max(config.retry),
            retry: config.retry,
            hard_stale: config.hard_stale,
        })
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Refreshes until nobody holds the state of `roots`.
    pub(super) async fn run(mut self, roots: TrustRoots) {
        let mut retry = self.retry;
        loop {
            let wait = match self.try_refresh().await {
                Ok(()) => {
                    (retry, self.failed) = (self.retry, None);
                    jittered(self.refresh)
                }
                Err(error) => {
                    self.complain(&error);
                    let why = error.to_string();
                    self.failed = Some(why.strip_prefix("trust root: ").unwrap_or(&why).to_owned());
                    let wait = jittered(retry);
                    retry = (retry * 2).min(self.refresh);
                    wait
                }
            };
            if !roots.set(&self.name, self.part()).await {
                return;
            }
            // Woken when the state must change although no refresh is due.
            let expiry = self.hard_stale.saturating_sub(self.freshness.age());
            tokio::time::sleep(if expiry.is_zero() { wait } else { wait.min(expiry + Duration::from_secs(1)) }).await;
        }
    }

    /// A new root replaces the old one only if it is whole.
    async fn try_refresh(&mut self) -> Result<(), TrustRootError> {
        let fresh = of(&self.name, self.source.fetch().await?)?;
        if fresh.document() != self.root.document() {
            tracing::info!(name = %self.name, document = %fresh.document(), "trust root changed");
            self.root = Arc::new(fresh);
        }
        self.freshness = Freshness::now();
        self.refreshed = true;
        self.record.write(Timestamp::now()).await;
        Ok(())
    }

    fn complain(&self, error: &TrustRootError) {
        let age = self.freshness.age().as_secs();
        if self.freshness.age() >= WARN_STALE {
            tracing::warn!(%error, age_seconds = age, "the trust root could not be refreshed for more than a day");
        } else {
            tracing::info!(%error, age_seconds = age, "the trust root could not be refreshed; the last good one stays");
        }
    }

    /// What the root is now.
    pub(super) fn part(&self) -> Part {
        let age = self.freshness.age();
        metrics::gauge!(telemetry::TRUST_ROOT_AGE).set(age.as_secs_f64());
        let failed = self.failed.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        if age >= self.hard_stale {
            return Part::NotReady(format!(
                "the trust root was last fresh {} ago, and {} is the most: it could not be refreshed from {}{failed}",
                humantime::format_duration(Duration::from_secs(age.as_secs())),
                humantime::format_duration(self.hard_stale),
                SigstoreInstance::PublicGood.tuf_url(),
            ));
        }
        let stale = (!self.refreshed || age >= self.refresh * 2).then(|| {
            if !self.refreshed && self.freshness.age_then.is_zero() {
                // How long ago it was first used is not how long ago it was fresh.
                return format!("the trust root was never refreshed{failed}: the one this version was built with is used");
            }
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            format!("the trust root was not refreshed for {age}{failed}")
        });
        Part::Ready { root: Arc::clone(&self.root), stale }
    }
}

/// Sigstore's own root, of which nothing is given up.
fn of(name: &Arc<str>, root: TrustedRoot) -> Result<Sigstore, TrustRootError> {
    Sigstore::new(Arc::clone(name), Relaxed::default(), document::from_root(root, Relaxed::default())?)
}

/// Between four and six fifths of `interval`.
fn jittered(interval: Duration) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Seeded anew by the operating system in every process; nothing secret hangs on it.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let share = u32::try_from(random % 401).unwrap_or_default();
    interval * 4 / 5 + interval * share / 1_000
}

/// When the root was last fresh, on disk. A hint about time only: what it is about is verified by TUF again.
#[derive(Debug)]
struct Record(PathBuf);

impl Record {
    /// How long ago, by the wall clock; `None` if unknown, unreadable or in the future.
    async fn age(&self, now: Timestamp) -> Option<Duration> {
        let text = tokio::fs::read_to_string(&self.0).await.ok()?;
        let then: i64 = text.trim().parse().ok()?;
        u64::try_from(now.as_second().checked_sub(then)?).ok().map(Duration::from_secs)
    }

    async fn write(&self, now: Timestamp) {
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || publish(&path, now.as_second().to_string().as_bytes())).await;
        if let Ok(Err(error)) = written {
            // A read-only store costs the memory of this across restarts, nothing else.
            tracing::warn!(%error, path = %self.0.display(), "cannot record when the trust root was refreshed");
        }
    }
}

fn publish(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut staged = tempfile::NamedTempFile::new_in(directory)?;
    staged.write_all(bytes)?;
    staged.persist(path).map(drop).map_err(|error| error.error)
}
