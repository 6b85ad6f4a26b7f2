//! The disk that is full, cannot be written, or loses what it took.

use super::{
    super::read::{Feed, Progress},
    *,
};

fn staged(rig: &Rig) -> usize {
    std::fs::read_dir(rig.root().join("staged")).unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn c1_disk_full_mid_blob_still_gives_every_client_all_of_it_and_keeps_nothing() {
    for announced in [true, false] {
        let rig = Rig::new();
        let bytes = content(6_000_000);
        let digest = Digest::sha256(&bytes);
        rig.store().shelf.layout.faults.full_at.store(1_000_000, Ordering::SeqCst);
        let source = Source { size: announced.then_some(6_000_000), ..pieces(&bytes, 30_001) };
        let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
        let ranges = [0..u64::MAX, 0..6_000_000, 10..500_000, 999_000..1_200_000, 2_000_000..5_999_999, 5_999_999..6_000_000];
        let reads = ranges.iter().map(|range| read(&blob, range.clone()));
        for (got, range) in futures_util::future::join_all(reads).await.into_iter().zip(&ranges) {
            let wanted = &bytes[range.start as usize..range.end.min(6_000_000) as usize];
            // Without a length the end of a part waits for the end of the blob; without a disk it cannot.
            if !announced && *range == (999_000..1_200_000) {
                assert!(got.is_err());
            } else {
                assert!(got.unwrap() == wanted, "{range:?}");
            }
        }
        assert!(rig.store().blob(&digest).await.is_none());
        drop(blob);
        assert_eq!(staged(&rig), 0);
        // Room again: kept again.
        rig.store().shelf.layout.faults.full_at.store(0, Ordering::SeqCst);
        rig.keep(&bytes).await;
        assert!(rig.store().blob(&digest).await.is_some());
    }
}

#[tokio::test]
async fn c1_disk_full_is_met_by_making_room_first() {
    let rig = Rig::new();
    for seed in 0..30 {
        rig.keep(&content(10_000 + seed)).await;
    }
    let before = rig.store().size();
    let tries = AtomicUsize::new(0);
    let full_once = || match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
        _ => Ok(()),
    };
    rig.store().shelf.with_room(full_once).unwrap();
    assert!(rig.store().size() < before);
}

#[tokio::test(start_paused = true)]
async fn c1_mismatch_on_a_full_disk_breaks_the_body_too() {
    let rig = Rig::new();
    let bytes = content(3_000_000);
    rig.store().shelf.layout.faults.full_at.store(1, Ordering::SeqCst);
    for (size, digest) in [(3_000_000, Digest::sha256(b"x")), (3_000_001, Digest::sha256(&bytes))] {
        let source = Source { size: Some(size), ..pieces(&bytes, 30_001) };
        let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
        let (got, end) = so_far(&mut blob.body(0..u64::MAX)).await;
        assert_eq!(end, Some(false));
        assert!(got.len() < bytes.len() && bytes.starts_with(&got));
    }
}

#[tokio::test]
async fn c2_store_that_cannot_be_written_passes_blobs_through_and_refuses_documents() {
    let rig = Rig::new();
    std::fs::remove_dir(rig.root().join("staged")).unwrap();
    let bytes = content(3_000_000);
    let digest = rig.keep(&bytes).await;
    assert!(rig.store().blob(&digest).await.is_none());
    assert!(matches!(rig.store().write(&digest, &bytes).await, Err(StoreError::Io { .. })));
    assert!(matches!(rig.store().set_hint(HintKind::Tag, "k", b"v").await, Err(StoreError::Io { .. })));
    // Tiny pieces, and one that is larger than the window.
    for (len, piece) in [(5_000, 1), (5_000_000, 5_000_000)] {
        let bytes = content(len);
        let source = pieces(&bytes, piece);
        let blob = rig.store().pull(&fetch(&Digest::sha256(&bytes)), opener(source)).await.unwrap();
        assert_eq!(whole(&blob).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn c2_failed_sync_breaks_the_bodies_under_way_and_the_next_pull_passes_the_disk_by() {
    let rig = Rig::new();
    rig.store().shelf.layout.faults.sync.store(true, Ordering::SeqCst);
    let bytes = content(300_000);
    let digest = Digest::sha256(&bytes);
    let (send, source) = fed(Some(300_000));
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    let mut body = blob.body(0..u64::MAX);
    // Under way, and not at its end before it is asked.
    send.send(Ok(bytes.slice(..200_000))).unwrap();
    body.frame().await.unwrap().unwrap();
    send.send(Ok(bytes.slice(200_000..))).unwrap();
    drop(send);
    // Until the body is told: the disk is distrusted a moment earlier, and by then all of it may have been taken.
    let Feed::Growing(_, mut progress) = blob.feed.clone() else { panic!("it is still coming") };
    progress.wait_for(|progress| matches!(progress, Progress::Failed(_))).await.unwrap();
    assert!(rig.store().shelf.is_distrusted());
    assert!(rig.store().blob(&digest).await.is_none(), "it keeps no name");
    let (_, end) = so_far(&mut body).await;
    assert_eq!(end, Some(false), "what was not synced may read back as something else");
    assert!(whole(&blob).await.is_err());
    assert_eq!(rig.keep(&bytes).await, digest);
    assert!(rig.store().blob(&digest).await.is_none());
}

#[tokio::test]
async fn what_a_client_has_whole_is_here_after_a_kill() {
    let mut rig = Rig::new();
    let bytes = content(300_000);
    let digest = Digest::sha256(&bytes);
    let (send, source) = fed(Some(300_000));
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    let mut body = blob.body(0..u64::MAX);
    send.send(Ok(bytes.slice(..299_999))).unwrap();
    let (got, end) = so_far(&mut body).await;
    assert_eq!((got.len(), end), (300_000 - (64 << 10), None), "the last piece waits for the hash");
    send.send(Ok(bytes.slice(299_999..))).unwrap();
    drop(send);
    let (rest, end) = so_far(&mut body).await;
    assert_eq!(([got, rest].concat(), end), (bytes.to_vec(), Some(true)));
    assert!(rig.path(&digest).exists());
    rig.restart();
    assert_eq!(whole(&rig.store().blob(&digest).await.unwrap()).await.unwrap(), bytes);
}

#[tokio::test(start_paused = true)]
async fn c16_reader_that_takes_nothing_does_not_hold_the_others_back_without_a_disk() {
    let rig = Rig::new();
    std::fs::remove_dir(rig.root().join("staged")).unwrap();
    let bytes = content(4_000_000);
    let digest = Digest::sha256(&bytes);
    let blob = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 30_000))).await.unwrap();
    let stalled = blob.body(0..u64::MAX);
    assert_eq!(whole(&blob).await.unwrap(), bytes);
    let error = stalled.collect().await.unwrap_err();
    assert!(error.to_string().contains("not taken in time"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn fetch_nobody_reads_ends_without_a_disk_and_who_comes_late_fetches_anew() {
    let rig = Rig::new();
    std::fs::remove_dir(rig.root().join("staged")).unwrap();
    let bytes = content(4_000_000);
    let digest = Digest::sha256(&bytes);
    let blob = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 30_000))).await.unwrap();
    let mut body = blob.body(0..u64::MAX);
    while http_body::Body::size_hint(&body).lower() > 1_000_000 {
        body.frame().await.unwrap().unwrap();
    }
    let late = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 30_000))).await.unwrap();
    assert_eq!(whole(&late).await.unwrap(), bytes);
    drop(body);
    let unread = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 30_000))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(whole(&unread).await.unwrap_err().to_string().contains("nobody took it"));
    assert!(rig.store().fills.is_empty());
}
