//! Fills and reads.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn c15_200_clients_of_a_cold_blob_make_one_fetch_and_all_get_it() {
    let rig = Rig::new();
    let bytes = content(3_000_000);
    let digest = Digest::sha256(&bytes);
    let opens = Arc::new(AtomicUsize::new(0));
    let asks = (0..200).map(|_| {
        let (store, bytes, opens) = (Arc::clone(rig.store()), bytes.clone(), Arc::clone(&opens));
        tokio::spawn(async move {
            let open = move || {
                opens.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok(pieces(&bytes, 30_000)))
            };
            whole(&store.pull(&fetch(&digest), open).await.unwrap()).await.unwrap()
        })
    });
    for ask in futures_util::future::join_all(asks).await {
        assert_eq!(ask.unwrap(), bytes);
    }
    assert_eq!(opens.load(Ordering::SeqCst), 1);
    assert!(rig.store().fills.is_empty());
    assert_eq!(std::fs::read(rig.path(&digest)).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_fill_that_ends_while_another_client_is_looking_is_not_repeated() {
    let rig = Rig::new();
    for round in 0..20 {
        let bytes = content(100 + round);
        let digest = Digest::sha256(&bytes);
        let opens = Arc::new(AtomicUsize::new(0));
        let asks = (0..100).map(|_| {
            let (store, bytes, opens) = (Arc::clone(rig.store()), bytes.clone(), Arc::clone(&opens));
            let open = move || {
                opens.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok(pieces(&bytes, 50)))
            };
            tokio::spawn(async move { store.pull(&fetch(&digest), open).await.unwrap() })
        });
        futures_util::future::join_all(asks).await;
        assert_eq!(opens.load(Ordering::SeqCst), 1);
    }
}

/// Each has a fetch of its own; what the first published stays, is counted once, and outlives one that lies.
#[tokio::test]
async fn blob_fetched_from_several_places_at_once_is_kept_once() {
    let bytes = content(300_000);
    let digest = Digest::sha256(&bytes);
    let here = fetch(&digest);
    let others = [Fetch { host: "quay.io".parse().unwrap(), ..here.clone() }, Fetch { listed: 300_001, ..here.clone() }];
    for other in others {
        let rig = Rig::new();
        let ((first, source), (second, other_source)) = (fed(Some(300_000)), fed(Some(300_000)));
        let blob = rig.store().pull(&here, opener(source)).await.unwrap();
        let another = rig.store().pull(&other, opener(other_source)).await.unwrap();
        let follower = rig.store().pull(&other, || async { panic!("a third fetch") }).await.unwrap();
        second.send(Ok(bytes.slice(..100_000))).unwrap();
        assert_eq!(read(&follower, 0..50_000).await.unwrap(), bytes[..50_000]);
        let (third, lies) = fed(Some(300_000));
        let liar = Fetch { host: "liar.test".parse().unwrap(), ..here.clone() };
        let lie = rig.store().pull(&liar, opener(lies)).await.unwrap();
        first.send(Ok(bytes.clone())).unwrap();
        drop(first);
        assert_eq!(whole(&blob).await.unwrap(), bytes);
        let file = || (std::fs::metadata(rig.path(&digest)).unwrap().ino(), rig.store().size());
        let published = file();
        second.send(Ok(bytes.slice(100_000..))).unwrap();
        drop(second);
        for blob in [&another, &follower] {
            assert_eq!(whole(blob).await.unwrap(), bytes);
        }
        third.send(Ok(vec![b'x'; 300_000].into())).unwrap();
        drop(third);
        assert!(whole(&lie).await.is_err());
        assert_eq!(file(), published);
        assert_eq!(whole(&rig.store().blob(&digest).await.unwrap()).await.unwrap(), bytes);
        drop((blob, another, follower, lie));
        assert!(rig.store().fills.is_empty());
        assert_eq!(std::fs::read_dir(rig.root().join("staged")).unwrap().count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_reach_the_client_before_the_upstream_has_sent_the_rest() {
    let rig = Rig::new();
    let bytes = content(8 << 20);
    let (send, source) = fed(Some(bytes.len() as u64));
    let digest = Digest::sha256(&bytes);
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    assert_eq!(blob.size(), Some(8 << 20));
    let mut body = blob.body(0..8 << 20);
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(8 << 20));
    send.send(Ok(bytes.slice(..1 << 20))).unwrap();
    assert_eq!(so_far(&mut body).await, (bytes[..1 << 20].to_vec(), None));
    send.send(Ok(bytes.slice(1 << 20..))).unwrap();
    drop(send);
    assert_eq!(so_far(&mut body).await, (bytes[1 << 20..].to_vec(), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn c14_last_piece_waits_for_the_hash_and_a_mismatch_breaks_the_body() {
    for (announced, len) in [(true, 300_000), (false, 300_000), (true, 10), (false, 10), (true, 5 << 20)] {
        let rig = Rig::new();
        let bytes = content(len);
        let digest = Digest::sha256(b"something else");
        let (send, source) = fed(announced.then_some(len as u64));
        let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
        let mut body = blob.body(0..u64::MAX);
        send.send(Ok(bytes.clone())).unwrap();
        let (first, end) = so_far(&mut body).await;
        assert!(end.is_none() && first.len() < len, "the end was given before the hash was known");
        drop(send);
        let (rest, end) = so_far(&mut body).await;
        assert_eq!(end, Some(false), "announced {announced}, {len} bytes");
        assert!(first.len() + rest.len() < len);
        assert!(rig.store().blob(&digest).await.is_none());
        assert_eq!(std::fs::read_dir(rig.root().join("staged")).unwrap().count(), 0);
        // And the next to ask starts anew.
        let again = content(1000);
        let (open, wanted) = (opener(pieces(&again, 100)), Digest::sha256(&again));
        assert_eq!(whole(&rig.store().pull(&fetch(&wanted), open).await.unwrap()).await.unwrap(), again);
    }
}

#[tokio::test(start_paused = true)]
async fn c14_unannounced_body_longer_than_what_was_asked_for_does_not_end_cleanly_before_the_hash() {
    let rig = Rig::new();
    let bytes = content(900_000);
    let (send, source) = fed(None);
    let blob = rig.store().pull(&fetch(&Digest::sha256(&bytes[..500_000])), opener(source)).await.unwrap();
    let mut body = blob.body(0..500_000);
    send.send(Ok(bytes)).unwrap();
    let (got, end) = so_far(&mut body).await;
    assert!(end.is_none() && got.len() < 500_000, "{}", got.len());
    drop(send);
    assert_eq!(so_far(&mut body).await, (Vec::new(), Some(false)));
}

#[tokio::test]
async fn c14_empty_body_under_another_digest_is_an_error_not_an_empty_blob() {
    let rig = Rig::new();
    let digest = Digest::sha256(b"not empty");
    let source = || Source { size: Some(0), named: false, pieces: stream::empty().boxed() };
    assert!(rig.store().pull(&fetch(&digest), opener(source())).await.is_err());
    let empty = Digest::sha256(b"");
    assert_eq!(whole(&rig.store().pull(&fetch(&empty), opener(source())).await.unwrap()).await.unwrap(), "");
    assert_eq!(whole(&rig.store().blob(&empty).await.unwrap()).await.unwrap(), "");
}

#[tokio::test]
async fn u10_body_longer_or_shorter_than_announced_breaks() {
    let rig = Rig::new();
    let bytes = content(1 << 20);
    let digest = Digest::sha256(&bytes);
    for announced in [(1 << 20) - 1, (1 << 20) + 1, 1 << 50] {
        let source = Source { size: Some(announced), ..pieces(&bytes, 100_000) };
        let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
        assert!(whole(&blob).await.is_err(), "{announced}");
        assert!(rig.store().blob(&digest).await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn c16_fill_survives_the_client_that_started_it() {
    let rig = Rig::new();
    let bytes = content(1 << 20);
    let digest = Digest::sha256(&bytes);
    let (send, source) = fed(Some(1 << 20));
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    let mut body = blob.body(0..1 << 20);
    send.send(Ok(bytes.slice(..500_000))).unwrap();
    so_far(&mut body).await;
    drop((body, blob));
    let follower = rig.store().pull(&fetch(&digest), || async { panic!("a second fetch") }).await.unwrap();
    let part = read(&follower, 100..400_000).await.unwrap();
    assert_eq!(part, bytes[100..400_000], "a range is served as soon as its bytes are there");
    send.send(Ok(bytes.slice(500_000..))).unwrap();
    drop(send);
    assert_eq!(whole(&follower).await.unwrap(), bytes);
}

#[tokio::test]
async fn c16_failure_at_90_percent_reaches_all_followers_and_the_next_starts_anew() {
    let rig = Rig::new();
    let bytes = content(1 << 20);
    let digest = Digest::sha256(&bytes);
    let (send, source) = fed(Some(1 << 20));
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    let followers: Vec<_> = (0..10).map(|_| blob.body(0..1 << 20)).collect();
    send.send(Ok(bytes.slice(..900_000))).unwrap();
    send.send(Err(Arc::new(std::io::Error::other("reset")))).unwrap();
    for follower in followers {
        let error = follower.collect().await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }
    assert_eq!(rig.keep(&bytes).await, digest);
}

#[tokio::test]
async fn what_the_opener_says_is_what_all_are_told() {
    let rig = Rig::new();
    let digest = Digest::sha256(b"x");
    let gone = || async { Err::<Source, FetchError>(Arc::new(std::io::Error::from(std::io::ErrorKind::NotFound))) };
    let here = fetch(&digest);
    let (one, two) = tokio::join!(rig.store().pull(&here, gone), rig.store().pull(&here, gone));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound);
    }
    let lost = rig.store().pull(&fetch(&digest), || async { panic!("as if") }).await.unwrap_err();
    assert!(matches!(lost.downcast_ref(), Some(FillError::Lost)));
    assert!(rig.store().fills.is_empty());
}

#[tokio::test(start_paused = true)]
async fn silent_upstream_breaks_the_bodies() {
    let rig = Rig::new();
    let (send, source) = fed(Some(10));
    let blob = rig.store().pull(&fetch(&Digest::sha256(b"x")), opener(source)).await.unwrap();
    send.send(Ok(Bytes::from_static(b"12345"))).unwrap();
    let error = whole(&blob).await.unwrap_err();
    assert!(error.to_string().contains("silent"), "{error}");
}

#[tokio::test]
async fn blobs_of_unannounced_length_are_taken_in() {
    let rig = Rig::new();
    let bytes = content(700_001);
    let digest = Digest::sha256(&bytes);
    let source = Source { size: None, ..pieces(&bytes, 5_000) };
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    assert_eq!(whole(&blob).await.unwrap(), bytes);
    assert_eq!(blob.size(), Some(700_001));
    assert_eq!(rig.store().blob(&digest).await.unwrap().size(), Some(700_001));
}

#[tokio::test]
async fn source_is_not_asked_again_after_its_end() {
    let rig = Rig::new();
    for (len, piece) in [(700_001, 5_000), (10, 10)] {
        let bytes = content(len);
        // An unfold panics when it is.
        let rest = stream::unfold(bytes.clone(), move |mut rest| async move {
            let next = rest.split_to(rest.len().min(piece));
            (!next.is_empty()).then_some((Ok(next), rest))
        });
        let source = Source { size: Some(len as u64), named: false, pieces: rest.boxed() };
        let blob = rig.store().pull(&fetch(&Digest::sha256(&bytes)), opener(source)).await.unwrap();
        assert_eq!(whole(&blob).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn sha512_blobs_are_taken_in() {
    let rig = Rig::new();
    let bytes = content(100_000);
    let digest = Digest::of(crate::oci::Algorithm::Sha512, &bytes);
    let blob = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 7_000))).await.unwrap();
    assert_eq!(whole(&blob).await.unwrap(), bytes);
    assert_eq!(whole(&rig.store().blob(&digest).await.unwrap()).await.unwrap(), bytes);
}

#[tokio::test]
async fn h6_every_range_of_growing_published_and_unmapped_blobs_is_its_slice() {
    let mut rig = Rig::new();
    let bytes = content(1_300_000);
    let len = bytes.len() as u64;
    let digest = Digest::sha256(&bytes);
    let growing = rig.store().pull(&fetch(&digest), opener(pieces(&bytes, 50_000))).await.unwrap();
    let edges = [0, 1, 4095, 4096, 65_535, 65_536, 524_287, 524_288, 524_289, len - 65_537, len - 65_536, len - 1, len, len + 1];
    let check = async |blob: &Blob| {
        for start in edges {
            for end in edges.into_iter().filter(|end| *end >= start) {
                let wanted = &bytes[start.min(len) as usize..end.min(len) as usize];
                let body = blob.body(start..end);
                assert_eq!(http_body::Body::size_hint(&body).exact(), Some(wanted.len() as u64), "{start}..{end}");
                assert!(body.collect().await.unwrap().to_bytes() == wanted, "{start}..{end}");
            }
        }
    };
    check(&growing).await;
    check(&rig.store().blob(&digest).await.unwrap()).await;
    rig.restart();
    check(&rig.store().blob(&digest).await.unwrap()).await;
    rig.restart();
    rig.store().never_map();
    check(&rig.store().blob(&digest).await.unwrap()).await;
}

#[tokio::test]
async fn part_of_a_window_is_brought_into_memory_off_the_async_threads_too() {
    let mut rig = Rig::new();
    let digest = rig.keep(&content(6_000_000)).await;
    rig.restart();
    let blob = rig.store().blob(&digest).await.unwrap();
    for (range, then) in [(0..1000, [true, false]), (5_000_000..5_000_100, [true, true])] {
        read(&blob, range).await.unwrap();
        let fresh = [0, 5_000_000].map(|at| blob.opened.map.as_ref().unwrap().is_fresh(at));
        assert_eq!(fresh, then);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_breaks_off_before_the_first_byte_is_told_of_and_one_that_does_after_it_is_not() {
    let rig = Rig::new();
    let bytes = content(300_000);
    let broken = || Arc::new(io::Error::other("as if")) as FetchError;
    for (before, told) in [(&bytes[..0], true), (&bytes[..1], false)] {
        let (send, source) = fed(Some(bytes.len() as u64));
        let blob = rig.store().pull(&fetch(&Digest::sha256(&bytes)), opener(source)).await.unwrap();
        let begun = blob.begun();
        let feed = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !before.is_empty() {
                send.send(Ok(Bytes::copy_from_slice(before))).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            send.send(Err(broken())).unwrap();
        };
        let (begun, ()) = tokio::join!(begun, feed);
        assert_eq!(begun.is_err_and(|error| error.is::<io::Error>()), told, "the upstream's own error");
        assert!(whole(&blob).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn x11_a_blob_is_named_by_another_algorithm_once_it_is_whole_and_right() {
    let mut rig = Rig::new();
    let bytes = content(300_000);
    let (digest, other) = (Digest::sha256(&bytes), Digest::of(Algorithm::Sha512, &bytes));
    // As it grows.
    let (send, source) = fed(Some(bytes.len() as u64));
    let blob = rig.store().pull(&fetch(&digest), opener(source)).await.unwrap();
    send.send(Ok(bytes.slice(..200_000))).unwrap();
    let feed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        send.send(Ok(bytes.slice(200_000..))).unwrap();
        drop(send);
    };
    let (named, ()) = tokio::join!(blob.named_by(Algorithm::Sha512), feed);
    assert_eq!(named.unwrap(), other);
    // From the store; and one that is damaged there has no name.
    rig.restart();
    assert_eq!(rig.store().blob(&digest).await.unwrap().named_by(Algorithm::Sha512).await.unwrap(), other);
    std::fs::write(rig.path(&digest), vec![b'x'; 300_000]).unwrap();
    rig.restart();
    let damaged = rig.store().blob(&digest).await.unwrap();
    assert!(damaged.named_by(Algorithm::Sha512).await.is_err());
    // Nor one that comes to nothing.
    let (send, source) = fed(Some(10));
    let blob = rig.store().pull(&fetch(&Digest::sha256(b"0123456789")), opener(source)).await.unwrap();
    drop(send);
    assert!(blob.named_by(Algorithm::Sha512).await.is_err());
}
