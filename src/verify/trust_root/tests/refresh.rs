//! Sigstore's own root: refreshed, kept between runs, and not believed for ever without.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use sigstore_trust_root::{TrustedRoot, reqwest};

use super::{
    super::refresh::{Source, Tuf},
    *,
};

#[tokio::test]
async fn r2_a_cache_edited_or_empty_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let tuf = Tuf::new(&config(TrustRootSource::Sigstore, directory.path())).unwrap();
    assert!(tuf.cached().await.is_err());
    for name in ["root.json", "timestamp.json", "snapshot.json", "targets.json", "trusted_root.json", "targets/trusted_root.json"]
    {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, root().to_string()).unwrap();
    }
    assert!(tuf.cached().await.is_err());
}

#[tokio::test]
async fn r7_a_root_is_asked_for_also_where_it_cannot_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = reqwest::Proxy::all("http://127.0.0.1:1").unwrap();
    for kept in [directory.path().join("new/trust"), "/dev/null/pullgate".into()] {
        let mut tuf = Tuf::new(&config(TrustRootSource::Sigstore, &kept)).unwrap();
        tuf.client = reqwest::Client::builder().proxy(nobody.clone()).build().unwrap();
        let why = tuf.fetch().await.unwrap_err().to_string();
        assert!(why.contains("TUF repository load failed"), "{}: {why}", kept.display());
    }
}

/// Fetches what it is told to, in order; the last answer repeats.
#[derive(Debug, Default)]
struct Scripted {
    cached: Option<Value>,
    answers: VecDeque<Option<Value>>,
    asked: Arc<AtomicUsize>,
}

fn typed(root: Option<&Value>) -> Result<TrustedRoot, TrustRootError> {
    let root = root.ok_or_else(|| TrustRootError::Tuf("scripted failure".into()))?;
    serde_json::from_value(root.clone()).map_err(|error| TrustRootError::Malformed(error.to_string()))
}

impl Source for Scripted {
    async fn cached(&self) -> Result<TrustedRoot, TrustRootError> {
        typed(self.cached.as_ref())
    }

    async fn fetch(&self) -> Result<TrustedRoot, TrustRootError> {
        let at = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        typed(self.answers[at].as_ref())
    }

    fn embedded(&self) -> Result<TrustedRoot, TrustRootError> {
        typed(Some(&root()))
    }
}

fn newer() -> Value {
    changed("/tlogs", json!([root()["tlogs"][1]]))
}

/// A state that `source` alone keeps.
async fn start(source: Scripted, config: &TrustRootConfig) -> Result<Arc<ArcSwap<TrustState>>, TrustRootError> {
    let keeper = Keeper::new(source, DEFAULT_TRUST_ROOT.into(), config).await?;
    Ok(state::start(BTreeMap::new(), Some(keeper)).await.state)
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn after(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[tokio::test(start_paused = true)]
async fn r7_first_start_offline_serves_the_built_in_root_says_so_and_stops_after_seven_days() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(TrustRootSource::Sigstore, directory.path());
    let source = Scripted { answers: [None].into(), ..Scripted::default() };
    let asked = Arc::clone(&source.asked);
    let state = start(source, &config).await.unwrap();
    assert_eq!(epoch_of(&state), Some(epoch(&root())));
    assert!(stale(&state).unwrap().contains("was never refreshed: "), "ready, and says so");
    after(Duration::from_secs(1)).await;
    assert!(stale(&state).unwrap().contains("was never refreshed (scripted failure): "), "and why");
    after(HOUR * 24 * 7 - HOUR).await;
    assert_eq!(epoch_of(&state), Some(epoch(&root())));
    let asked = asked.load(Ordering::SeqCst);
    assert!((28..60).contains(&asked), "retries back off to the ordinary interval: {asked}");
    after(HOUR + Duration::from_secs(2)).await;
    let TrustState::NotReady(why) = &**state.load() else { panic!("ready after seven days") };
    assert!(why.contains("7days") && why.ends_with(" (scripted failure)"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_shortly_is_soon_tried_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = TrustRootConfig { retry: Duration::from_secs(1), ..config(TrustRootSource::Sigstore, directory.path()) };
    let answers = [None, None, Some(newer())].into();
    let state = start(Scripted { answers, ..Scripted::default() }, &config).await.unwrap();
    after(Duration::from_secs(2)).await;
    assert!(stale(&state).is_some());
    after(Duration::from_secs(2)).await;
    assert_eq!((epoch_of(&state), stale(&state)), (Some(epoch(&newer())), None));
}

#[tokio::test(start_paused = true)]
async fn r5_a_refresh_swaps_the_root_and_a_failed_or_bad_one_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(TrustRootSource::Sigstore, directory.path());
    let bad = changed("/tlogs", json!([]));
    let answers = [Some(newer()), None, Some(bad), Some(root())].into();
    let state = start(Scripted { answers, ..Scripted::default() }, &config).await.unwrap();
    after(Duration::from_secs(1)).await;
    assert_eq!((epoch_of(&state), stale(&state)), (Some(epoch(&newer())), None));
    // Sampled every ten seconds through a failure, a bad document and the recovery: one change, and never nothing.
    let mut seen = vec![epoch(&newer())];
    for _ in 0..8 * 360 {
        after(Duration::from_secs(10)).await;
        let now = epoch_of(&state).unwrap();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [epoch(&newer()), epoch(&root())]);
}

#[tokio::test(start_paused = true)]
async fn r7_recovers_from_hard_stale_with_the_next_good_refresh() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(TrustRootSource::Sigstore, directory.path());
    let mut answers: VecDeque<_> = std::iter::repeat_n(None, 60).collect();
    answers.push_back(Some(newer()));
    let state = start(Scripted { answers, ..Scripted::default() }, &config).await.unwrap();
    after(HOUR * 24 * 8).await;
    assert_eq!(epoch_of(&state), None);
    after(HOUR * 24 * 14).await;
    assert_eq!((epoch_of(&state), stale(&state)), (Some(epoch(&newer())), None));
}

#[tokio::test(start_paused = true)]
async fn r7_a_restart_uses_the_last_good_state_and_does_not_count_its_days_anew() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(TrustRootSource::Sigstore, directory.path());
    let offline = || Scripted { cached: Some(newer()), answers: [None].into(), ..Scripted::default() };
    let record = |ago_hours: i64| {
        let then = Timestamp::now().as_second() - ago_hours * 3_600;
        std::fs::write(directory.path().join("fresh-at"), then.to_string()).unwrap();
    };
    record(24 * 6);
    let state = start(offline(), &config).await.unwrap();
    assert_eq!(epoch_of(&state), Some(epoch(&newer())));
    after(HOUR * 25).await;
    assert_eq!(epoch_of(&state), None, "six days before the restart, one after");

    record(24 * 8);
    assert_eq!(epoch_of(&start(offline(), &config).await.unwrap()), None);
    // A stored time in the future counts as expired, so nothing is known of the cached state.
    record(-5);
    assert_eq!(epoch_of(&start(offline(), &config).await.unwrap()), Some(epoch(&root())));
    // And without TUF state the built-in root's days are counted from its first use.
    record(24 * 8);
    let bare = Scripted { answers: [None].into(), ..Scripted::default() };
    assert_eq!(epoch_of(&start(bare, &config).await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn refreshing_ends_when_nobody_holds_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let source = Scripted { answers: [Some(newer())].into(), ..Scripted::default() };
    let asked = Arc::clone(&source.asked);
    let state = start(source, &config(TrustRootSource::Sigstore, directory.path())).await.unwrap();
    after(HOUR * 24).await;
    drop(state);
    after(HOUR * 24).await;
    let before = asked.load(Ordering::SeqCst);
    after(HOUR * 24 * 7).await;
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn r7_a_root_that_is_not_ready_stops_no_other_and_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(TrustRootSource::Sigstore, directory.path());
    let path = directory.path().join("acme.json");
    std::fs::write(&path, newer().to_string()).unwrap();
    let mut with_file = config.clone();
    with_file
        .roots
        .insert("acme".into(), RootConfig { source: TrustRootSource::File(path.clone()), relaxed: Relaxed::default() });

    let mut answers: VecDeque<_> = std::iter::repeat_n(None, 60).collect();
    answers.push_back(Some(root()));
    let source = Scripted { answers, ..Scripted::default() };
    let keeper = Keeper::new(source, DEFAULT_TRUST_ROOT.into(), &config).await.unwrap();
    let Watched { state, roots } = state::start(files(&with_file).await.unwrap(), Some(keeper)).await;
    let unready = || match &**state.load() {
        TrustState::NotReady(why) => panic!("{why}"),
        TrustState::Ready { verifier, stale } => {
            let names = verifier.unready().iter().map(|unready| unready.name.to_string()).collect::<Vec<_>>();
            (names, stale.clone())
        }
    };
    let both = epoch_of(&state);
    assert!(unready().0.is_empty());
    after(HOUR * 24 * 7 + Duration::from_secs(2)).await;
    let (names, told) = unready();
    assert_eq!(names, [DEFAULT_TRUST_ROOT]);
    assert!(told.unwrap().starts_with("trust root default: is not ready: the trust root was last fresh 7days"));
    let one = epoch_of(&state);
    assert!(one.is_some() && one != both);

    // A reload of the file meanwhile takes nothing from the other, nor gives it.
    std::fs::write(&path, root().to_string()).unwrap();
    roots.reload(&with_file).await.unwrap();
    assert_eq!(unready().0, [DEFAULT_TRUST_ROOT]);
    assert!(epoch_of(&state) != one);
    after(HOUR * 24 * 14).await;
    assert_eq!(unready(), (Vec::new(), None), "ready again with the next good refresh");
    // And a file that is no longer named is no longer believed.
    let all = epoch_of(&state);
    roots.reload(&config).await.unwrap();
    assert_eq!(epoch_of(&state), Some(epoch(&root())));
    assert_ne!(all, epoch_of(&state));
}
