//! Files changed, cut, replaced or planted under us; the disk that fails; who else wants the directory.

use std::{fs, io, os::unix::fs::PermissionsExt as _};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn flip(path: &std::path::Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[tokio::test(start_paused = true)]
async fn c5_bit_flip_on_the_disk_breaks_the_first_read_after_a_start_and_is_fetched_anew() {
    for (at, mapped) in [(0, true), (1_500_000, true), (2_999_999, true), (0, false), (2_999_999, false)] {
        let mut rig = Rig::new();
        let bytes = content(3_000_000);
        let digest = rig.keep(&bytes).await;
        flip(&rig.path(&digest), at);
        rig.restart();
        if !mapped {
            rig.store().never_map();
        }
        let blob = rig.store().blob(&digest).await.unwrap();
        let (got, end) = so_far(&mut blob.body(0..3_000_000)).await;
        assert_eq!(end, Some(false));
        assert!(got.len() < bytes.len());
        assert!(rig.store().blob(&digest).await.is_none(), "what is damaged is removed");
        assert_eq!(rig.keep(&bytes).await, digest);
    }
}

#[tokio::test]
async fn c5_file_cut_before_the_start_is_removed_though_nobody_reads_it() {
    let mut rig = Rig::new();
    let digest = rig.keep(&content(300_000)).await;
    fs::OpenOptions::new().write(true).open(rig.path(&digest)).unwrap().set_len(1000).unwrap();
    rig.restart();
    // Who asked sees that the size is not the one the manifest names, and gives up.
    assert_eq!(rig.store().blob(&digest).await.unwrap().size(), Some(1000));
    for _ in 0..1000 {
        if rig.store().blob(&digest).await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it stays");
}

#[tokio::test(start_paused = true)]
async fn c5_range_of_a_file_not_hashed_since_the_start_waits_for_the_whole_hash() {
    let mut rig = Rig::new();
    let bytes = content(3_000_000);
    let digest = rig.keep(&bytes).await;
    flip(&rig.path(&digest), 500);
    rig.restart();
    let blob = rig.store().blob(&digest).await.unwrap();
    let (got, end) = so_far(&mut blob.body(0..1000)).await;
    assert_eq!((got.len(), end), (0, Some(false)));
}

#[tokio::test]
async fn c5_file_changed_in_place_or_replaced_is_hashed_again() {
    let rig = Rig::new();
    let bytes = content(300_000);
    let digest = rig.keep(&bytes).await;
    let path = rig.path(&digest);
    // Replaced by other bytes of the same length.
    let mut other = bytes.to_vec();
    other[100] ^= 1;
    let beside = rig.directory.path().join("other");
    fs::write(&beside, &other).unwrap();
    fs::rename(&beside, &path).unwrap();
    assert!(whole(&rig.store().blob(&digest).await.unwrap()).await.is_err());
    // Written to; the next pull finds it, breaks, and the one after fetches.
    rig.keep(&bytes).await;
    flip(&path, 100);
    fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::now() + Duration::from_secs(1)).unwrap();
    assert!(whole(&rig.store().blob(&digest).await.unwrap()).await.is_err());
    rig.keep(&bytes).await;
    // Replaced by the right bytes: hashed, and good.
    fs::write(&beside, &bytes).unwrap();
    fs::rename(&beside, &path).unwrap();
    assert_eq!(whole(&rig.store().blob(&digest).await.unwrap()).await.unwrap(), bytes);
}

#[tokio::test]
async fn damage_of_a_file_in_whose_place_a_good_one_lies_takes_nothing_of_that() {
    let rig = Rig::new();
    let bytes = content(10_000);
    let digest = rig.keep(&bytes).await;
    let before = rig.store().size();
    fs::write(rig.root().join("other"), &bytes).unwrap();
    let other = crate::store::fs::Stamp::of(&fs::metadata(rig.root().join("other")).unwrap());
    rig.store().shelf.discard(&digest, &other);
    assert!(rig.path(&digest).exists());
    assert_eq!((before > 0, rig.store().size()), (true, before), "it is counted still");
}

#[tokio::test]
async fn c5_file_cut_short_within_its_last_page_while_it_is_sent_does_not_end_cleanly() {
    let rig = Rig::new();
    let bytes = content(300_000);
    let digest = rig.keep(&bytes).await;
    let blob = rig.store().blob(&digest).await.unwrap();
    let body = blob.body(0..300_000);
    // The rest of the last page reads as zeros: no fault, wrong bytes.
    fs::OpenOptions::new().write(true).open(rig.path(&digest)).unwrap().set_len(299_990).unwrap();
    assert!(body.collect().await.is_err());
    assert!(rig.store().blob(&digest).await.is_none());
}

/// Sends over a socket as the server does: the kernel reads the map, not this process.
async fn send(mut body: crate::body::Body) -> (u64, bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    let received = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        let mut sum = 0;
        while let Ok(read @ 1..) = client.read(&mut buffer).await {
            sum += read as u64;
        }
        sum
    });
    let mut clean = true;
    while let Some(frame) = body.frame().await {
        let sent = match frame {
            Ok(frame) => server.write_all(frame.data_ref().unwrap()).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if sent.is_err() {
            clean = false;
            break;
        }
    }
    drop(server);
    (received.await.unwrap(), clean)
}

#[tokio::test]
async fn c5_file_truncated_under_its_map_is_an_error_on_the_socket_not_a_signal() {
    let rig = Rig::new();
    let bytes = content(12 << 20);
    let digest = rig.keep(&bytes).await;
    let len = bytes.len() as u64;
    let truncate = || fs::OpenOptions::new().write(true).open(rig.path(&digest)).unwrap().set_len(5000).unwrap();
    let open = async || rig.store().blob(&digest).await.unwrap().body(0..len);
    assert_eq!(send(open().await).await, (len, true));

    // Before its window is populated: the store sees it.
    let body = open().await;
    // (The whole read above left its windows fresh: a start forgets that.)
    let opened = fs::File::open(rig.path(&digest)).unwrap();
    let map = mapped::Map::new(&opened, len).unwrap();
    truncate();
    assert!(map.populate(8 << 20).is_err(), "EFAULT as an error");
    // After: the kernel sees it in the write.
    let (received, clean) = send(body).await;
    assert!(!clean && received < len, "{received}");
    // And the process lives to fetch it again.
    fs::remove_file(rig.path(&digest)).unwrap();
    rig.keep(&bytes).await;
}

#[tokio::test]
async fn c5_links_fifos_and_directories_in_place_of_files_are_not_read() {
    let rig = Rig::new();
    let bytes = content(50_000);
    let digest = Digest::sha256(&bytes);
    let path = rig.path(&digest);
    let elsewhere = rig.directory.path().join("elsewhere");
    fs::write(&elsewhere, &bytes).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let gone = async || rig.store().blob(&digest).await.is_none() && rig.store().read(&digest, 1 << 20).await.is_none();

    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(gone().await, "a link is not followed, though the right bytes are behind it");
    assert_eq!(rig.keep(&bytes).await, digest);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    fs::remove_file(&path).unwrap();

    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(gone().await, "a FIFO does not hang");
    assert_eq!(rig.keep(&bytes).await, digest);
    fs::remove_file(&path).unwrap();

    // Not ours to remove. The blob is served all the same, only not kept (C2).
    fs::create_dir(&path).unwrap();
    assert!(gone().await);
    assert_eq!(rig.keep(&bytes).await, digest);
    assert!(path.is_dir());
}

#[tokio::test]
async fn c5_staged_link_is_not_written_through() {
    let rig = Rig::new();
    let target = rig.directory.path().join("target");
    fs::write(&target, "precious").unwrap();
    for number in 0..10 {
        let staged = rig.root().join(format!("staged/{}-{number}", std::process::id()));
        std::os::unix::fs::symlink(&target, staged).unwrap();
    }
    let bytes = content(10);
    let _ = rig.store().write(&Digest::sha256(&bytes), &bytes).await;
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn c5_second_process_is_refused_while_the_first_lives() {
    let rig = Rig::new();
    let again = || Store::open(Config { path: rig.root(), max_size: 1 << 20 });
    let error = again().unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path } if *path == rig.root()));
    assert!(error.to_string().contains("in use"));
    let root = rig.root();
    let Rig { store, directory } = rig;
    drop(store);
    Store::open(Config { path: root, max_size: 1 << 20 }).unwrap();
    drop(directory);
}

#[test]
fn directories_and_files_are_ours_alone() {
    let rig = Rig::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = content(10);
    let digest = Digest::sha256(&bytes);
    runtime.block_on(rig.store().write(&digest, &bytes)).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&rig.root()), 0o700);
    assert_eq!(mode(rig.path(&digest).parent().unwrap()), 0o700);
    assert_eq!(mode(&rig.path(&digest)), 0o600);
    assert_eq!(mode(&rig.root().join("lock")), 0o600);
}

#[test]
fn c5_link_in_place_of_a_directory_of_ours_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("/tmp", root.join("blobs")).unwrap();
    let error = Store::open(Config { path: root.clone(), max_size: 1 << 20 }).unwrap_err();
    assert!(error.to_string().contains("blobs"), "{error}");
    // A root that is a link is the operator's choice.
    fs::remove_file(root.join("blobs")).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    Store::open(Config { path: link, max_size: 1 << 20 }).unwrap();
}

#[tokio::test]
async fn c6_planted_hint_without_its_checksum_or_under_another_key_is_absent() {
    let rig = Rig::new();
    let store = rig.store();
    let path = |key| store.shelf.layout.hint(HintKind::Tag, key);
    fs::write(path("planted"), "sha256:00").unwrap();
    assert_eq!(store.hint(HintKind::Tag, "planted").await, None);
    store.set_hint(HintKind::Tag, "one", b"value").await.unwrap();
    fs::copy(path("one"), path("two")).unwrap();
    assert_eq!(store.hint(HintKind::Tag, "two").await, None);
    flip(&path("one"), 67);
    assert_eq!(store.hint(HintKind::Tag, "one").await, None);
    assert!(store.set_hint(HintKind::Tag, "long", &vec![0; (1 << 20) + 1]).await.is_err());
}

#[tokio::test]
async fn h7_bodies_dropped_at_every_point_leave_no_descriptor_behind() {
    let rig = Rig::new();
    let bytes = content(1 << 20);
    let digest = rig.keep(&bytes).await;
    let open = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(rig.root().join("blobs"))))
    };
    let before = open().count();
    for round in 0..300_u64 {
        let blob = rig.store().blob(&digest).await.unwrap();
        let mut body = blob.body(round..1 << 20);
        if round % 3 > 0 {
            let _ = body.frame().now_or_never();
        }
        if round % 3 > 1 {
            let _ = body.frame().await;
        }
    }
    // What a blocking thread still holds goes with its work.
    for _ in 0..200 {
        if open().count() <= before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} descriptors, {before} before", open().count());
}

#[test]
fn a_reader_cut_off_by_the_end_of_the_runtime_does_not_cost_the_file() {
    for mapped in [true, false] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (rig, digest, blob) = runtime.block_on(async {
            let mut rig = Rig::new();
            let digest = rig.keep(&content(6_000_000)).await;
            rig.restart();
            if !mapped {
                rig.store().never_map();
            }
            let blob = rig.store().blob(&digest).await.unwrap();
            // Hashed now, and of its two windows only the first was read.
            read(&blob, 0..1000).await.unwrap();
            (rig, digest, blob)
        });
        let handle = runtime.handle().clone();
        runtime.shutdown_timeout(Duration::from_secs(5));
        let _within = handle.enter();
        let cut_off = read(&blob, 5_000_000..6_000_000).now_or_never().expect("nothing is left to wait for");
        assert!(cut_off.is_err());
        assert!(rig.path(&digest).exists(), "a good file was thrown out");
    }
}
