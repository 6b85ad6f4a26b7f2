//! One suite for every implementation of [`Facts`], and what files must stand besides.

use jiff::Timestamp;

use super::*;

/// Runs each promise against both implementations.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod files {
            $(#[tokio::test]
            async fn $promise() {
                let rig = super::Rig::new();
                super::$promise(&**rig.store()).await;
            })*
        }
        mod beside_a_gate {
            $(#[tokio::test]
            async fn $promise() {
                let rig = super::Rig::new();
                super::$promise(&super::FactFiles::open(&rig.root()).unwrap()).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&super::Memory::default()).await;
            })*
        }
    };
}

promises! {
    a_first_sighting_is_the_first_and_never_moves
    the_earlier_of_two_sightings_wins_whoever_brings_it
    r8_a_sighting_by_a_clock_that_was_not_set_counts_as_now
    facts_are_replaced_and_kept_apart_by_kind_and_key
}

const KEY: &str = "ghcr.io/acme/app@sha256:00";

/// So many seconds after the earliest time that is believed.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(CLOCK_FLOOR.as_second() + second).unwrap()
}

async fn a_first_sighting_is_the_first_and_never_moves(facts: &dyn Facts) {
    assert_eq!(facts.first_seen(KEY, at(1_000)).await.unwrap(), at(1_000));
    assert_eq!(facts.first_seen(KEY, at(2_000)).await.unwrap(), at(1_000));
    assert_eq!(facts.first_seen("ghcr.io/acme/other@sha256:00", at(3_000)).await.unwrap(), at(3_000));
}

/// Another replica, an import, and a clock that was ahead when the time was kept: it counts as now, and stays so.
async fn the_earlier_of_two_sightings_wins_whoever_brings_it(facts: &dyn Facts) {
    assert_eq!(facts.first_seen(KEY, at(9_000)).await.unwrap(), at(9_000));
    assert_eq!(facts.first_seen(KEY, at(5_000)).await.unwrap(), at(5_000));
    assert_eq!(facts.first_seen(KEY, at(6_000)).await.unwrap(), at(5_000));
}

async fn r8_a_sighting_by_a_clock_that_was_not_set_counts_as_now(facts: &dyn Facts) {
    for (kept, seen) in
        [("1970-01-01T00:02:00Z", at(7_000)), ("2025-12-31T23:59:59Z", at(7_000)), ("2026-01-01T00:00:00Z", at(0))]
    {
        facts.set_fact(FactKind::FirstSeen, KEY, kept.as_bytes()).await.unwrap();
        assert_eq!(facts.first_seen(KEY, at(7_000)).await.unwrap(), seen, "{kept}");
        assert_eq!(facts.first_seen(KEY, at(8_000)).await.unwrap(), seen, "{kept}, kept anew");
    }
}

async fn facts_are_replaced_and_kept_apart_by_kind_and_key(facts: &dyn Facts) {
    for kind in FactKind::ALL {
        assert_eq!(facts.fact(kind, "k").await.unwrap(), None);
        facts.set_fact(kind, "k", b"first").await.unwrap();
        facts.set_fact(kind, "k", format!("{kind:?}\nand more").as_bytes()).await.unwrap();
        facts.set_fact(kind, "../../k", b"").await.unwrap();
    }
    for kind in FactKind::ALL {
        assert_eq!(facts.fact(kind, "k").await.unwrap().unwrap(), format!("{kind:?}\nand more"));
        assert_eq!(facts.fact(kind, "../../k").await.unwrap().unwrap(), "");
        assert_eq!(facts.fact(kind, "other").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_first_sighting_survives_a_restart_and_the_eviction_of_everything() {
    let mut rig = Rig::new();
    let content = rig.keep(&content(50_000)).await;
    rig.store().first_seen(KEY, at(1_000)).await.unwrap();
    rig.store().shelf.with_room(|| Ok(())).unwrap();
    rig.store().shelf.unlink(&content);
    assert!(rig.store().blob(&content).await.is_none());
    rig.restart();
    assert_eq!(rig.store().first_seen(KEY, at(2_000)).await.unwrap(), at(1_000));
}

#[tokio::test]
async fn eviction_touches_no_fact() {
    let rig = Rig::with(Index::new(1 << 20).with_bounds(Duration::ZERO, 1));
    for seed in 0..20 {
        rig.store().first_seen(&format!("{KEY}{seed}"), at(seed)).await.unwrap();
    }
    for seed in 0..40 {
        let bytes = content(60_000 + seed);
        rig.store().write(&Digest::sha256(&bytes), &bytes).await.unwrap();
        rig.store().set_hint(HintKind::Tag, &seed.to_string(), b"x").await.unwrap();
    }
    for seed in 0..20 {
        assert_eq!(rig.store().first_seen(&format!("{KEY}{seed}"), at(999)).await.unwrap(), at(seed));
    }
}

#[tokio::test]
async fn c4_a_damaged_or_torn_sighting_counts_as_now_and_is_kept_anew() {
    for damage in [&b""[..], b"torn", &[b'x'; 300]] {
        let rig = Rig::new();
        rig.store().first_seen(KEY, at(1_000)).await.unwrap();
        std::fs::write(rig.store().facts.path(FactKind::FirstSeen, KEY), damage).unwrap();
        assert_eq!(rig.store().first_seen(KEY, at(5_000)).await.unwrap(), at(5_000));
        assert_eq!(rig.store().first_seen(KEY, at(6_000)).await.unwrap(), at(5_000));
    }
}

#[tokio::test]
async fn a_damaged_fact_or_another_keys_is_never_none() {
    let rig = Rig::new();
    let path = |key| rig.store().facts.path(FactKind::Tag, key);
    rig.store().set_fact(FactKind::Tag, "a", b"value").await.unwrap();
    rig.store().set_fact(FactKind::Tag, "b", b"value").await.unwrap();
    std::fs::copy(path("a"), path("b")).unwrap();
    assert!(matches!(rig.store().fact(FactKind::Tag, "b").await, Err(StoreError::Damaged { .. })));
    let mut bytes = std::fs::read(path("a")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path("a"), bytes).unwrap();
    assert!(matches!(rig.store().fact(FactKind::Tag, "a").await, Err(StoreError::Damaged { .. })));
    rig.store().set_fact(FactKind::Tag, "a", b"mended").await.unwrap();
    assert_eq!(rig.store().fact(FactKind::Tag, "a").await.unwrap().unwrap(), "mended");
}

#[tokio::test]
async fn a_sighting_that_cannot_be_synced_is_not_answered() {
    let rig = Rig::new();
    rig.store().facts.faults.sync.store(true, Ordering::SeqCst);
    assert!(matches!(rig.store().first_seen(KEY, at(1_000)).await, Err(StoreError::Io { .. })));
    rig.store().facts.faults.sync.store(false, Ordering::SeqCst);
    assert_eq!(rig.store().first_seen(KEY, at(2_000)).await.unwrap(), at(2_000));
}

#[tokio::test]
async fn who_sees_at_the_same_time_sees_the_same_beside_each_other() {
    let rig = Rig::new();
    let beside = FactFiles::open(&rig.root()).unwrap();
    let seen = (0..32).map(|i| {
        let (store, beside) = (Arc::clone(rig.store()), beside.clone());
        async move {
            let facts: &dyn Facts = if i % 2 == 0 { &*store } else { &beside };
            facts.first_seen(KEY, at(1_000)).await.unwrap()
        }
    });
    assert!(futures_util::future::join_all(seen).await.iter().all(|seen| *seen == at(1_000)));
    assert!(!rig.root().join("facts/staged").exists());
}

#[tokio::test]
async fn a_store_opened_to_be_read_only_is_left_as_it_is() {
    let rig = Rig::new();
    rig.store().first_seen(KEY, at(1_000)).await.unwrap();
    let reader = FactFiles::read_only(&rig.root()).unwrap();
    assert_eq!(reader.first_seen(KEY, at(2_000)).await.unwrap(), at(1_000));
    assert_eq!(reader.first_seen(KEY, at(500)).await.unwrap(), at(500));
    assert_eq!(reader.first_seen("other", at(2_000)).await.unwrap(), Timestamp::MAX, "not seen");
    // Seen, and nobody knows when: the gate takes it for seen when it is asked next.
    std::fs::write(rig.store().facts.path(FactKind::FirstSeen, KEY), "").unwrap();
    assert!(matches!(reader.first_seen(KEY, at(2_000)).await, Err(StoreError::Damaged { .. })));
    assert!(reader.set_fact(FactKind::Tag, "k", b"v").await.is_err());
    assert!(FactFiles::open(&rig.root().join("none")).is_err());
}

#[tokio::test]
async fn a_directory_without_the_marks_of_a_store_is_none_to_a_command() {
    let rig = Rig::new();
    let refused = |path: &Path| {
        let both = [FactFiles::read_only(path).map(drop), FactFiles::beside(path).map(drop)];
        let [one, other] = both.map(|refused| refused.unwrap_err());
        assert_eq!(one.to_string(), other.to_string());
        one
    };
    let lacks = |path: &Path| match refused(path) {
        StoreError::NoStore { lacks, .. } => lacks,
        other => panic!("{other}"),
    };
    assert!(FactFiles::read_only(&rig.root()).is_ok() && FactFiles::beside(&rig.root()).is_ok());
    let parent = tempfile::tempdir().unwrap();
    assert_eq!(lacks(parent.path()), "directory `facts`");
    assert_eq!(lacks(&rig.root().join("none")), "directory `facts`");
    assert_eq!(lacks(&rig.root().join("lock")), "directory `facts`");
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0, "nothing is made there");
    std::fs::remove_file(rig.root().join("lock")).unwrap();
    assert_eq!(lacks(&rig.root()), "file `lock`");
    std::fs::create_dir(rig.root().join("lock")).unwrap();
    assert_eq!(lacks(&rig.root()), "file `lock`");
    std::fs::remove_dir_all(rig.root().join("facts")).unwrap();
    std::fs::write(rig.root().join("facts"), "").unwrap();
    assert_eq!(lacks(&rig.root()), "directory `facts`");
    // What the system does not tell is not said of the directory.
    let around = parent.path().join("a".repeat(300));
    assert!(matches!(refused(&around), StoreError::Io { .. }), "{}", refused(&around));
}

/// Every path below, with its user and group.
fn owners(path: &Path) -> Vec<(PathBuf, u32, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.extend(owners(&path));
        }
        found.push((path, metadata.uid(), metadata.gid()));
    }
    found
}

#[tokio::test]
async fn what_root_writes_beside_a_gate_of_another_user_is_that_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Whose it is, the gate's lock says, whosever the directory is.
    let store = tempfile::tempdir().unwrap();
    let chown = |path: &Path, user: u32| std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    chown(store.path(), 61_233);
    std::fs::write(store.path().join("lock"), "").unwrap();
    std::fs::create_dir(store.path().join("facts")).unwrap();
    chown(&store.path().join("lock"), 61_234);
    chown(&store.path().join("facts"), 61_234);
    let facts = FactFiles::beside(store.path()).unwrap();
    facts.set_fact(FactKind::TagAccepted, "k", b"v").await.unwrap();
    facts.first_seen(KEY, at(1_000)).await.unwrap();
    let owners = owners(&store.path().join("facts"));
    assert!(owners.iter().any(|(path, ..)| path.ends_with("facts/lock")) && owners.len() == 8, "{owners:?}");
    assert!(owners.iter().all(|(_, uid, gid)| (*uid, *gid) == (61_234, 61_234)), "{owners:?}");
    assert_eq!(FactFiles::read_only(store.path()).unwrap().fact(FactKind::TagAccepted, "k").await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn without_facts_all_was_seen_long_ago_and_no_tag_has_a_history() {
    assert_eq!(NoFacts.first_seen(KEY, at(1_000)).await.unwrap(), Timestamp::MIN);
    NoFacts.set_fact(FactKind::Tag, "k", b"v").await.unwrap();
    assert_eq!(NoFacts.fact(FactKind::Tag, "k").await.unwrap(), None);
}
