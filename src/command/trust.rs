//! The trust root of a command.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{judge::Unusable, streams::tell};
use crate::verify::{
    DEFAULT_TRUST_ROOT, Relaxed, TrustRootConfig, TrustRootSource, TrustState,
    trust_root::{self, RootConfig, Watched},
};

/// How long a trust root that TUF keeps fresh is waited for before the last good one is used.
const REFRESH: Duration = Duration::from_secs(10);
/// Where nothing can be kept.
const NOWHERE: &str = "/dev/null/pullgate";

/// The one trust root of a command without a configuration: of a file, or else Sigstore's own.
pub(super) fn roots(file: Option<&Path>) -> BTreeMap<Arc<str>, RootConfig> {
    let source = file.map_or(TrustRootSource::Sigstore, |file| TrustRootSource::File(file.to_owned()));
    BTreeMap::from([(DEFAULT_TRUST_ROOT.into(), RootConfig { source, relaxed: Relaxed::default() })])
}

/// These trust roots, refreshed where one is Sigstore's own: a command that ran once with a root of last year would not know
/// what was withdrawn since.
pub(super) async fn watched(config: TrustRootConfig) -> Result<Arc<ArcSwap<TrustState>>, Unusable> {
    let refreshes = config.roots.values().any(|root| root.source == TrustRootSource::Sigstore);
    let usual = usual_cache(|name| std::env::var_os(name));
    // Not one name for everybody in a directory that everybody writes to: a link would be followed there. Nor for ever.
    let passing = if refreshes && usual.is_none() { tempfile::Builder::new().prefix("pullgate-").tempdir().ok() } else { None };
    let cache_dir = usual.or_else(|| passing.as_ref().map(|directory| directory.path().to_owned()));
    let cache_dir = cache_dir.unwrap_or_else(|| NOWHERE.into());
    let watched = trust_root::watch(TrustRootConfig { cache_dir, ..config }).await;
    let Watched { state: trust, .. } = watched.map_err(|error| Unusable::Usage(error.to_string()))?;
    if refreshes {
        let first = trust.load_full();
        let changed = async {
            while Arc::ptr_eq(&first, &trust.load()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(REFRESH, changed).await;
        if let TrustState::Ready { stale: Some(why), .. } = trust.load().as_ref() {
            tell(&format_args!("warning[stale_trust_root]: {why}"));
        }
    }
    Ok(trust)
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
