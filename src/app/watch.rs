//! Which files are watched, and when they have changed.
//!
//! Directories are watched, not files: an editor replaces a file by renaming another over it, and Kubernetes replaces a whole
//! ConfigMap or Secret by renaming one symlink, `..data`, beside it (O6).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// How long it must be quiet before files are read: a half-written file is waited for, not read.
const QUIET: Duration = Duration::from_millis(200);

/// The longest a change waits for quiet: what is denied is denied within a second (D4), however busy its directory is. A
/// half-written file that is read is refused whole, and read again when it is quiet.
const AT_MOST: Duration = Duration::from_millis(600);

/// Symlinks followed to one file: as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// Watches the directories of files.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading a file is an event too, and we read them ourselves.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "files are not watched: send SIGHUP after a change");
                None
            }
        };
        Self { watcher, directories: BTreeSet::new(), changed }
    }

    /// Watches the directories of these files, and these directories, with those of the symlinks that lead there; no others. One
    /// that is not there is noticed when it comes: until then the one it will be in is watched. Says whether one is watched that
    /// was not.
    pub(super) fn follow<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a PathBuf>,
        others: impl IntoIterator<Item = &'a PathBuf>,
    ) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut wanted: BTreeSet<PathBuf> = files.into_iter().flat_map(|file| directories(file)).collect();
        for other in others {
            follow_links(other, &mut { MAX_LINKS }, &mut wanted);
            wanted.insert(other.clone());
        }
        let wanted: BTreeSet<PathBuf> = wanted.into_iter().map(nearest).collect();
        for gone in self.directories.difference(&wanted) {
            // It may be deleted already, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        let mut watched = BTreeSet::new();
        for directory in wanted {
            // Watched before is watched again: a directory deleted and made anew has the old name and no watch.
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => _ = watched.insert(directory),
                Err(error) => {
                    tracing::warn!(directory = %directory.display(), %error, "not watched: send SIGHUP after a change there");
                }
            }
        }
        let is_more = !watched.is_subset(&self.directories);
        self.directories = watched;
        is_more
    }

    /// Returns when something changed and it has been quiet since.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout(AT_MOST, quiet).await;
    }
}

/// Where a change may make another file of `path`: its own directory, the one it leads to, and those of the symlinks on the way
/// there, each of which may be swapped: Kubernetes' `..data`, the `current` of git-sync and of releases.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    follow_links(path, &mut { MAX_LINKS }, &mut found);
    let leads_to = path.canonicalize().ok();
    found.extend([Some(path), leads_to.as_deref()].into_iter().flatten().filter_map(parent));
    found
}

/// Adds the directory of each symlink that is followed to come to `path`, `left` of them at most.
fn follow_links(path: &Path, left: &mut usize, found: &mut BTreeSet<PathBuf>) {
    let mut at = PathBuf::new();
    for component in path.components() {
        at.push(component);
        if let Ok(target) = std::fs::read_link(&at)
            && let Some(parent) = parent(&at)
            && *left > 0
        {
            *left -= 1;
            follow_links(&parent.join(target), left, found);
            found.insert(parent);
        }
    }
}

/// `directory`, or of the directories it would be in the nearest that is there.
fn nearest(mut directory: PathBuf) -> PathBuf {
    while let Some(parent) = parent(&directory).filter(|parent| *parent != directory)
        && matches!(directory.try_exists(), Ok(false))
    {
        directory = parent;
    }
    directory
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn changes(watch: &Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn o6_a_rewritten_and_a_renamed_file_and_a_swapped_symlink_are_noticed() {
        let home = tempfile::tempdir().unwrap();
        // As Kubernetes lays out a ConfigMap: `a.yaml` → `..data/a.yaml`, `..data` → `..1/`.
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            std::fs::create_dir(home.path().join(version)).unwrap();
            std::fs::write(home.path().join(version).join("a.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("..1", home.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", home.path().join("a.yaml")).unwrap();
        std::fs::write(home.path().join("b.yaml"), "one").unwrap();
        let mut watch = Watch::new();
        watch.follow(&[home.path().join("a.yaml"), home.path().join("b.yaml")], &[]);

        std::fs::write(home.path().join("b.yaml"), "two").unwrap();
        assert!(changes(&watch).await, "rewritten");

        std::fs::write(home.path().join("b.new"), "three").unwrap();
        std::fs::rename(home.path().join("b.new"), home.path().join("b.yaml")).unwrap();
        assert!(changes(&watch).await, "renamed over");

        std::os::unix::fs::symlink("..2", home.path().join("..data_tmp")).unwrap();
        std::fs::rename(home.path().join("..data_tmp"), home.path().join("..data")).unwrap();
        assert!(changes(&watch).await, "swapped");
        assert_eq!(std::fs::read_to_string(home.path().join("a.yaml")).unwrap(), "two");
    }

    #[tokio::test]
    async fn a_symlink_swapped_anywhere_on_the_way_to_a_file_or_a_directory_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for version in ["r1", "r2"] {
            std::fs::create_dir_all(at(version).join("policies")).unwrap();
            std::fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        ["links", "aside"].iter().for_each(|name| std::fs::create_dir(at(name)).unwrap());
        let link = |to: &str, name: &str| {
            // Made where nobody looks.
            std::os::unix::fs::symlink(to, at("aside/new")).unwrap();
            std::fs::rename(at("aside/new"), at(name)).unwrap();
        };
        link("../r1", "links/current");
        link("links/current", "app");
        let mut watch = Watch::new();
        let follow = |watch: &mut Watch, file: &str, directory: &str| {
            let [files, others] = [file, directory].map(|name| name.split_whitespace().map(at).collect::<Vec<_>>());
            watch.follow(&files, &others);
        };
        for (file, directory) in [("app/a.yaml", ""), ("", "app/policies")] {
            for (to, name) in [("../r2", "links/current"), ("r1", "app"), ("links/current", "app"), ("../r1", "links/current")] {
                follow(&mut watch, file, directory);
                while tokio::time::timeout(Duration::from_millis(100), watch.changed.notified()).await.is_ok() {}
                link(to, name);
                assert!(changes(&watch).await, "{name} to {to}, for {file}{directory}");
            }
        }
        link("loop", "loop");
        follow(&mut watch, "loop/a.yaml", "loop");
    }

    #[tokio::test]
    async fn o6_a_directory_that_is_not_there_yet_or_made_anew_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let deny = home.path().join("lists/deny");
        let mut watch = Watch::new();
        assert!(watch.follow(&[deny.join("a.yaml")], [&deny]));
        for _ in 0..2 {
            std::fs::create_dir(home.path().join("lists")).unwrap();
            assert!(changes(&watch).await, "a directory it is in");
            assert!(watch.follow(&[deny.join("a.yaml")], [&deny]));
            std::fs::create_dir(&deny).unwrap();
            assert!(changes(&watch).await, "itself");
            assert!(watch.follow(&[deny.join("a.yaml")], [&deny]));
            std::fs::write(deny.join("a.yaml"), "[]").unwrap();
            assert!(changes(&watch).await, "a file in it");
            assert!(!watch.follow(&[deny.join("a.yaml")], [&deny]), "nothing new");
            std::fs::remove_dir_all(home.path().join("lists")).unwrap();
            assert!(changes(&watch).await, "it is gone");
            watch.follow(&[deny.join("a.yaml")], [&deny]);
        }
        let nowhere = PathBuf::from("nowhere/at/all");
        assert_eq!(nearest(nowhere), PathBuf::from("."));
    }

    #[tokio::test]
    async fn d4_a_directory_that_is_never_quiet_does_not_hold_a_change_back_for_a_second() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.yaml");
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new();
        watch.follow([&file], &[]);
        let busy = async {
            loop {
                std::fs::write(home.path().join("other"), "x").unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let began = tokio::time::Instant::now();
        tokio::select! {
            () = watch.changed() => {}
            () = busy => {}
        }
        assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn reading_the_files_is_no_change() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.yaml");
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new();
        watch.follow([&file], &[]);
        let _ = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        let _ = std::fs::read(&file).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), watch.changed.notified()).await.is_err());
    }
}
