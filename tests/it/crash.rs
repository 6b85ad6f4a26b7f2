//! `kill -9` at random moments: what a client had is served again with the upstream gone, and nothing wrong ever is.

use std::{net::SocketAddr, path::Path, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use hyper::Method;
use pullgate::oci::Digest;
use tempfile::TempDir;

use crate::{
    herd::bytes,
    support::{
        client::{get, send},
        gate::{HOST, Process, Setup, eventually},
        layout::cases,
        registry::Registry,
    },
};

/// Lanes side by side, each with a store of its own that lives through all its rounds.
const LANES: u64 = 4;
const ROUNDS: u64 = 25;
/// More than a manifest, a hint or a config takes: a staged file of this length is part of a layer.
const A_PIECE: u64 = 16 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn c3_a_hundred_kills_lose_nothing_a_client_had_and_serve_nothing_wrong() {
    let lanes: Vec<_> = (0..LANES).map(|at| tokio::spawn(lane(at))).collect();
    let (mut partial, mut served) = (0, 0);
    for lane in lanes {
        let (partials, serves) = lane.await.unwrap();
        partial += partials;
        served += serves;
    }
    println!("{partial} kills met a partial file, {served} blobs were served again");
    assert!(partial >= 30, "only {partial} of {} kills met a partial staged file", LANES * ROUNDS);
    assert!(served >= 30, "only {served} blobs were served again: the test proves nothing");
}

/// How many kills met a partial file, and how many blobs were served again.
async fn lane(lane: u64) -> (usize, usize) {
    let registry = Registry::recorded(true).await;
    registry.blob_rate.store(8 * 1024 * 1024, Ordering::SeqCst);
    let folder = TempDir::new().unwrap();
    let config = Setup::url(registry.addr).bulk().write(folder.path());
    let refused = cases().cases.into_iter().find(|case| case.repository == "acme/unsigned").unwrap();
    let refused = format!("/v2/{}/manifests/{}?ns={HOST}", refused.repository, refused.digest);
    let (mut partial, mut served) = (0, 0);
    for round in (0..ROUNDS).map(|round| lane * ROUNDS + round) {
        let layers: Vec<Bytes> = (0..3).map(|at| bytes(round * 10 + at + 100, 100_000 + (at as usize) * 700_000)).collect();
        let repository = format!("bulk/r{round}");
        let manifest = registry.push(&repository, "v1", &layers);
        registry.gone.store(false, Ordering::SeqCst);
        let mut gate = Process::start(&config);
        let pull = tokio::spawn(pull(gate.addr, format!("/v2/{repository}/manifests/{manifest}?ns={HOST}"), layers.clone()));
        // Anywhere from before the manifest to after the last blob, in steps that follow no pattern of the pull's; every
        // second time counted from the first staged byte, so that a slow machine meets partial files too.
        if round % 2 == 0 {
            eventually("a file is staged, or the pull is over", || staged(folder.path(), A_PIECE) || pull.is_finished()).await;
        }
        tokio::time::sleep(Duration::from_millis((round * 7919 + 31) % if round % 2 == 0 { 150 } else { 300 })).await;
        gate.kill();
        let had = pull.await.unwrap();
        partial += usize::from(staged(folder.path(), A_PIECE));
        registry.gone.store(true, Ordering::SeqCst);

        let gate = Process::start(&config);
        assert!(!staged(folder.path(), 0), "round {round}: leftovers are swept at start");
        let again = layers.iter().map(|layer| {
            let path = format!("/v2/{repository}/blobs/{}?ns={HOST}", Digest::sha256(layer));
            async move { (layer, get(gate.addr, &path).await) }
        });
        let (again, refused) = tokio::join!(futures_util::future::join_all(again), get(gate.addr, &refused));
        for (layer, answer) in again {
            if had.contains(layer) {
                assert_eq!(answer.status, 200, "round {round}: a blob a client had is gone: {:?}", answer.body);
                served += 1;
            }
            if answer.status == 200 {
                assert_eq!(answer.bytes(), layer, "round {round}: wrong bytes");
            }
        }
        assert_ne!(refused.status, 200, "round {round}: refused content was served");
    }
    (partial, served)
}

/// Pulls an image and answers the layers that arrived whole.
async fn pull(addr: SocketAddr, manifest: String, layers: Vec<Bytes>) -> Vec<Bytes> {
    let repository = manifest.split("/manifests/").next().unwrap();
    if !send(addr, Method::GET, &manifest, &[]).await.is_ok_and(|answer| answer.status == 200 && answer.body.is_ok()) {
        return Vec::new();
    }
    let pulls = layers.into_iter().map(|layer| {
        let path = format!("{repository}/blobs/{}?ns={HOST}", Digest::sha256(&layer));
        async move {
            let answer = send(addr, Method::GET, &path, &[]).await.ok()?;
            (answer.status == 200 && answer.body.as_ref() == Ok(&layer)).then_some(layer)
        }
    });
    futures_util::future::join_all(pulls).await.into_iter().flatten().collect()
}

/// Whether the store holds staged files of more than `least` bytes.
fn staged(folder: &Path, least: u64) -> bool {
    let entries = std::fs::read_dir(folder.join("store/staged")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).any(|file| file.len() >= least)
}
