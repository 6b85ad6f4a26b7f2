//! The bound, and what goes first.

use super::*;

/// 64 KiB a file, as charged.
const FILE: u64 = 64 << 10;

fn rig(files: u64, grace: Duration) -> Rig {
    Rig::with(Index::new(files * FILE).with_bounds(grace, 20))
}

async fn put(rig: &Rig, seed: usize) -> Digest {
    let bytes = content(FILE as usize - seed);
    let digest = Digest::sha256(&bytes);
    rig.store().write(&digest, &bytes).await.unwrap();
    digest
}

fn on_disk(rig: &Rig) -> u64 {
    let files = |directory: &str| {
        let shards = std::fs::read_dir(rig.root().join(directory)).unwrap().flatten();
        shards.flat_map(|shard| std::fs::read_dir(shard.path()).unwrap().flatten()).count() as u64
    };
    files("blobs/sha256")
}

async fn is_here(rig: &Rig, digest: &Digest) -> bool {
    rig.path(digest).exists()
}

#[tokio::test]
async fn least_recently_used_goes_first_and_the_bound_holds() {
    let rig = rig(40, Duration::ZERO);
    let mut digests = Vec::new();
    for seed in 0..40 {
        digests.push(put(&rig, seed).await);
    }
    assert_eq!((rig.store().size(), on_disk(&rig)), (40 * FILE, 40));
    // The oldest is used, so it stays.
    assert!(rig.store().blob(&digests[0]).await.is_some());
    digests.push(put(&rig, 40).await);
    assert!(is_here(&rig, &digests[0]).await && is_here(&rig, &digests[40]).await);
    assert!(!is_here(&rig, &digests[1]).await && !is_here(&rig, &digests[2]).await);
    assert!(is_here(&rig, &digests[4]).await);
    for seed in 41..120 {
        put(&rig, seed).await;
        assert!(rig.store().size() <= 40 * FILE && on_disk(&rig) * FILE == rig.store().size());
    }
}

#[tokio::test]
async fn c7_evicted_file_is_read_to_its_end() {
    for mapped in [true, false] {
        let rig = Rig::new();
        if !mapped {
            rig.store().never_map();
        }
        let bytes = content(9 << 20);
        let digest = rig.keep(&bytes).await;
        let blob = rig.store().blob(&digest).await.unwrap();
        let mut body = blob.body(0..9 << 20);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(rig.store().shelf.unlink(&digest));
        assert!(rig.store().blob(&digest).await.is_none());
        let rest = body.collect().await.unwrap().to_bytes();
        assert!([first, rest].concat() == bytes);
        assert_eq!(rig.store().size(), 0);
    }
}

#[tokio::test]
async fn c7_young_files_stay_while_older_ones_can_go() {
    let rig = rig(4, Duration::from_secs(60));
    let mut old = Vec::new();
    for seed in 0..3 {
        let digest = put(&rig, seed).await;
        // As if it had lain there since yesterday; but it is the most recently used.
        rig.store().shelf.index.age(&digest, Duration::from_secs(86_400));
        old.push(digest);
    }
    let young = [put(&rig, 3).await, put(&rig, 4).await];
    for digest in &old {
        rig.store().blob(digest).await;
    }
    let last = put(&rig, 5).await;
    for digest in young.iter().chain([&last]) {
        assert!(is_here(&rig, digest).await);
    }
    // Nothing else left: then they go too, but only as far as they must.
    for seed in 6..9 {
        put(&rig, seed).await;
    }
    assert_eq!(on_disk(&rig), 4);
}

#[tokio::test]
async fn c17_blob_larger_than_the_store_passes_through_and_is_not_kept() {
    for announced in [true, false] {
        let rig = rig(2, Duration::ZERO);
        let kept = put(&rig, 0).await;
        let bytes = content(1 << 20);
        let digest = Digest::sha256(&bytes);
        let source = Source { size: announced.then_some(1 << 20), ..pieces(&bytes, 10_000) };
        let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
        assert_eq!(whole(&blob).await.unwrap(), bytes);
        assert!(rig.store().blob(&digest).await.is_none());
        assert!(is_here(&rig, &kept).await);
        assert_eq!(std::fs::read_dir(rig.root().join("staged")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn c17_tiny_documents_are_charged_what_they_take() {
    let rig = Rig::with(Index::new(100 * 4096).with_bounds(Duration::ZERO, 20));
    for seed in 1..300 {
        let bytes = content(seed);
        rig.store().write(&Digest::sha256(&bytes), &bytes).await.unwrap();
    }
    assert!(on_disk(&rig) <= 100);
}

#[tokio::test]
async fn hints_are_bounded_and_the_oldest_go() {
    let rig = rig(100, Duration::ZERO);
    for number in 0..100_u32 {
        let key = number.to_string();
        rig.store().set_hint(HintKind::Blob, &key, b"value").await.unwrap();
        let path = rig.store().shelf.layout.hint(HintKind::Blob, &key);
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + u64::from(number));
        std::fs::File::open(path).unwrap().set_modified(then).unwrap();
    }
    let left = std::fs::read_dir(rig.root().join("hints/blob")).unwrap().count();
    assert!((10..=20).contains(&left), "{left}");
    assert_eq!(rig.store().hint(HintKind::Blob, "0").await, None);
    assert_eq!(rig.store().hint(HintKind::Blob, "98").await.unwrap(), "value");
    // Rewriting the same hint is not one more.
    for _ in 0..100 {
        rig.store().set_hint(HintKind::Blob, "98", b"value").await.unwrap();
    }
    assert_eq!(std::fs::read_dir(rig.root().join("hints/blob")).unwrap().count(), left);
}

#[tokio::test]
async fn what_lies_there_is_counted_after_a_start_and_the_oldest_goes_first() {
    let mut rig = rig(40, Duration::ZERO);
    let mut digests = Vec::new();
    for seed in 0..20 {
        let digest = put(&rig, seed).await;
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - seed as u64);
        std::fs::File::open(rig.path(&digest)).unwrap().set_modified(then).unwrap();
        digests.push(digest);
    }
    std::fs::write(rig.root().join("blobs/sha256/README"), "not ours").unwrap();
    std::fs::write(rig.path(&digests[0]).with_file_name("not-a-digest"), "not ours").unwrap();
    rig.store().set_hint(HintKind::Tag, "k", b"v").await.unwrap();
    rig.store = None;
    let index = Index::new(10 * FILE).with_bounds(Duration::ZERO, 20);
    rig.store = Some(Store::open_with(&rig.root(), index).unwrap());
    for _ in 0..1000 {
        if rig.store().size() > 0 && rig.store().size() <= 10 * FILE && !rig.path(&digests[11]).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(rig.store().size() <= 10 * FILE && rig.store().size() > 8 * FILE, "{}", rig.store().size());
    assert!(rig.path(&digests[0]).exists() && !rig.path(&digests[19]).exists());
    assert_eq!(rig.store().hint(HintKind::Tag, "k").await.unwrap(), "v");
}
