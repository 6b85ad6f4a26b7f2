//! `kill -9` at random moments: what a client had is served again with the upstream gone, and nothing wrong ever is.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use hyper::Method;
use pullgate::oci::Digest;
use tempfile::TempDir;

use crate::{
    herd::bytes,
    support::{
        client::{get, send},
        gate::{HOST, Process, Setup},
        layout::cases,
        registry::Registry,
    },
};

const ROUNDS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn c3_a_hundred_kills_lose_nothing_a_client_had_and_serve_nothing_wrong() {
    let registry = Registry::recorded(true).await;
    registry.blob_rate.store(24 * 1024 * 1024, Ordering::SeqCst);
    let folder = TempDir::new().unwrap();
    let config = Setup::url(registry.addr).bulk().write(folder.path());
    let refused = cases().cases.into_iter().find(|case| case.repository == "acme/unsigned").unwrap();
    let (mut partial, mut served) = (0, 0);
    for round in 0..ROUNDS {
        let layers: Vec<Bytes> = (0..3).map(|at| bytes(round * 10 + at + 100, 256 * 1024 + (at as usize) * 300_000)).collect();
        let repository = format!("bulk/r{round}");
        let manifest = registry.push(&repository, "v1", &layers);
        registry.gone.store(false, Ordering::SeqCst);
        let mut gate = Process::start(&config);
        let pull = {
            let (addr, repository, layers) = (gate.addr, repository.clone(), layers.clone());
            tokio::spawn(async move {
                let mut had = Vec::new();
                let manifest = format!("/v2/{repository}/manifests/{manifest}?ns={HOST}");
                if send(addr, Method::GET, &manifest, &[]).await.is_ok_and(|answer| answer.status == 200 && answer.body.is_ok()) {
                    let pulls = layers.iter().map(|layer| {
                        let path = format!("/v2/{repository}/blobs/{}?ns={HOST}", Digest::sha256(layer));
                        async move {
                            let answer = send(addr, Method::GET, &path, &[]).await.ok()?;
                            (answer.status == 200 && answer.body.as_ref() == Ok(layer)).then(|| layer.clone())
                        }
                    });
                    had = futures_util::future::join_all(pulls).await.into_iter().flatten().collect();
                }
                had
            })
        };
        // Anywhere from before the manifest to after the last blob, in steps a generator chose.
        let moment = (round * 7919 + 31) % 110;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        gate.kill();
        let had = pull.await.unwrap();
        partial += usize::from(staged(folder.path()));
        registry.gone.store(true, Ordering::SeqCst);

        let gate = Process::start(&config);
        assert!(!staged(folder.path()), "round {round}: leftovers are swept at start");
        for layer in &layers {
            let path = format!("/v2/{repository}/blobs/{}?ns={HOST}", Digest::sha256(layer));
            let answer = get(gate.addr, &path).await;
            if had.contains(layer) {
                assert_eq!(answer.status, 200, "round {round}: a blob a client had is gone: {:?}", answer.body);
                served += 1;
            }
            if answer.status == 200 {
                assert_eq!(answer.bytes(), layer, "round {round}: wrong bytes");
            }
        }
        let answer = get(gate.addr, &format!("/v2/{}/manifests/{}?ns={HOST}", refused.repository, refused.digest)).await;
        assert_ne!(answer.status, 200, "round {round}: refused content was served");
    }
    assert!(partial >= 30, "only {partial} of {ROUNDS} kills met a partial staged file");
    assert!(served >= 30, "only {served} blobs were served again: the test proves nothing");
}

/// Whether the store holds staged files.
fn staged(folder: &Path) -> bool {
    std::fs::read_dir(folder.join("store/staged")).is_ok_and(|mut entries| entries.next().is_some())
}
