//! The trust root of a command.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{judge::Unusable, streams::tell, text::line};
use crate::verify::{
    DEFAULT_TRUST_ROOT, Relaxed, TrustRootConfig, TrustRootSource, TrustState,
    trust_root::{self, RootConfig, Watched},
};

/// How long a trust root that TUF keeps fresh is waited for before the last good one is used.
const REFRESH: Duration = Duration::from_secs(10);
/// How often it is tried in that time: one request that fails says little, and whoever has no network should not wait that long.
const TRIES: usize = 3;
/// How soon after the first failure. It goes on behind whoever waits for images, ever more slowly.
const RETRY: Duration = Duration::from_secs(1);
/// Where nothing can be kept: what is no directory has none.
const NOWHERE: &str = "/dev/null/pullgate";
/// A day: no command lives so long.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The one trust root of a command without a configuration: of a file, or else Sigstore's own.
pub(super) fn roots(file: Option<&Path>) -> BTreeMap<Arc<str>, RootConfig> {
    let source = file.map_or(TrustRootSource::Sigstore, |file| TrustRootSource::File(file.to_owned()));
    BTreeMap::from([(DEFAULT_TRUST_ROOT.into(), RootConfig { source, relaxed: Relaxed::default() })])
}

/// How the trust roots of a command without a configuration are kept.
pub(super) fn config(file: Option<&Path>) -> TrustRootConfig {
    TrustRootConfig { roots: roots(file), cache_dir: NOWHERE.into(), refresh: DAY, retry: RETRY, hard_stale: 7 * DAY }
}

/// These trust roots, refreshed where one is Sigstore's own: a command that ran once with a root of last year would not know
/// what was withdrawn since.
pub(super) async fn watched(config: TrustRootConfig) -> Result<Arc<ArcSwap<TrustState>>, Unusable> {
    let refreshes = config.roots.values().any(|root| root.source == TrustRootSource::Sigstore);
    let cache_dir = usual_cache(|name| std::env::var_os(name)).unwrap_or_else(|| NOWHERE.into());
    let watched = trust_root::watch(TrustRootConfig { cache_dir, retry: RETRY, ..config }).await;
    let Watched { state: trust, .. } = watched.map_err(|error| Unusable::Usage(line(&error.to_string())))?;
    if refreshes {
        let _ = tokio::time::timeout(REFRESH, tried(&trust)).await;
        if let Some(why) = stale(&trust.load()) {
            tell(&format_args!("warning[stale_trust_root]: {why}"));
        }
    }
    Ok(trust)
}

/// Until a trust root is fresh, or was tried for often enough. Each try leaves another state.
async fn tried(trust: &ArcSwap<TrustState>) {
    for _ in 0..TRIES {
        let before = trust.load_full();
        while Arc::ptr_eq(&before, &trust.load()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if matches!(trust.load().as_ref(), TrustState::Ready { stale: None, .. }) {
            return;
        }
    }
}

/// Why the trust root is not today's, if it is not: it may lack who signs now, and believe whom nobody should any more.
pub(super) fn stale(trust: &TrustState) -> Option<String> {
    match trust {
        TrustState::Ready { stale, .. } => stale.clone(),
        // Nothing is judged under it, and every answer says why.
        TrustState::NotReady(_) => None,
    }
}

/// Where TUF's metadata is kept between runs, and verified again each time; nowhere for whom has no home.
///
/// By the XDG base directory specification, for which relative paths are none: the working directory is what others wrote.
fn usual_cache(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let directory = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")))?;
    Some(cache.join("pullgate/trust"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trust_root_is_tried_for_three_times_and_not_once_it_is_fresh() {
        let seconds = |seconds| Duration::from_secs(seconds);
        let verifier = trust_root::at(&config(None), jiff::Timestamp::now()).await.unwrap();
        let state = |stale: Option<&str>| {
            Arc::new(TrustState::Ready { verifier: Arc::clone(&verifier), stale: stale.map(str::to_owned) })
        };
        for (fresh_at, waited) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
            let trust = Arc::new(ArcSwap::new(state(Some("never refreshed"))));
            let began = tokio::time::Instant::now();
            let attempts = async {
                for at in 1.. {
                    tokio::time::sleep(seconds(1)).await;
                    trust.store(state((at < fresh_at).then_some("a request failed")));
                }
            };
            tokio::select! { () = attempts => {}, () = tried(&trust) => {} }
            assert_eq!(began.elapsed().as_secs(), waited, "{fresh_at}");
            assert_eq!(stale(&trust.load()).is_some(), fresh_at > 3);
        }
    }

    #[test]
    fn the_cache_is_where_xdg_says_and_never_where_others_write() {
        for (cache, home, kept) in [
            (Some("/c"), Some("/h"), Some("/c/pullgate/trust")),
            (None, Some("/h"), Some("/h/.cache/pullgate/trust")),
            (Some(""), Some("/h"), Some("/h/.cache/pullgate/trust")),
            (Some("rel"), Some("/h"), Some("/h/.cache/pullgate/trust")),
            (None, Some(""), None),
            (Some("rel"), Some("rel"), None),
            (None, None, None),
        ] {
            let environment = |name: &str| if name == "HOME" { home } else { cache }.map(OsString::from);
            assert_eq!(usual_cache(environment), kept.map(PathBuf::from), "{cache:?} {home:?}");
        }
    }
}
