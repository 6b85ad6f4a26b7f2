//! Many clients, one cold blob.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use pullgate::oci::Digest;

use crate::support::{
    client::{get, open},
    gate::{Gate, HOST, Setup, eventually},
    registry::Registry,
};

const MIB: usize = 1024 * 1024;

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
pub fn bytes(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

async fn world(layer: &Bytes) -> (std::sync::Arc<Registry>, Gate, String) {
    let registry = Registry::start(true).await;
    let manifest = registry.push("bulk/app", "v1", std::slice::from_ref(layer));
    let gate = Gate::start(&Setup::url(registry.addr).bulk()).await;
    let answer = get(gate.addr, &format!("/v2/bulk/app/manifests/{manifest}?ns={HOST}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (registry, gate, format!("/v2/bulk/app/blobs/{}?ns={HOST}", Digest::sha256(layer)))
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_two_hundred_clients_cost_one_upstream_get() {
    let layer = bytes(1, 64 * MIB);
    let (registry, gate, path) = world(&layer).await;
    let clients = (0..200).map(|_| {
        let (addr, path, layer) = (gate.addr, path.clone(), layer.clone());
        tokio::spawn(async move {
            let response = open(addr, Method::GET, &path, &[]).await.unwrap();
            assert_eq!(response.status(), 200);
            let mut body = response.into_body();
            let mut at = 0;
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(layer[at..].starts_with(&piece), "wrong bytes at {at}");
                at += piece.len();
            }
            assert_eq!(at, layer.len());
        })
    });
    for client in futures_util::future::join_all(clients).await {
        client.unwrap();
    }
    assert_eq!(registry.blob_gets.load(Ordering::SeqCst), 1);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_bytes_reach_the_client_while_the_upstream_still_sends() {
    let layer = bytes(2, 16 * MIB);
    let (registry, gate, path) = world(&layer).await;
    registry.blob_rate.store(8 * MIB as u64, Ordering::SeqCst);
    let mut body = open(gate.addr, Method::GET, &path, &[]).await.unwrap().into_body();
    let mut got = 0;
    while got < MIB {
        got += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    let sent = registry.blob_bytes.load(Ordering::SeqCst);
    assert!(sent < 8 * MIB as u64, "the upstream had sent {sent} bytes before the client had its first MiB");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c16_a_first_client_that_hangs_up_cancels_nobody() {
    let layer = bytes(3, 8 * MIB);
    let wanted = Digest::sha256(&layer);
    let (registry, gate, path) = world(&layer).await;
    registry.blob_rate.store(16 * MIB as u64, Ordering::SeqCst);
    let mut first = open(gate.addr, Method::GET, &path, &[]).await.unwrap().into_body();
    first.frame().await.unwrap().unwrap();
    drop(first);
    let second = get(gate.addr, &path).await;
    assert_eq!(Digest::sha256(second.bytes()), wanted);
    assert_eq!(registry.blob_gets.load(Ordering::SeqCst), 1);

    // And with nobody left at all, the fill still ends: the next answer comes with the upstream gone.
    let layer = bytes(4, 4 * MIB);
    let manifest = registry.push("bulk/app", "v2", std::slice::from_ref(&layer));
    get(gate.addr, &format!("/v2/bulk/app/manifests/{manifest}?ns={HOST}")).await;
    let path = format!("/v2/bulk/app/blobs/{}?ns={HOST}", Digest::sha256(&layer));
    let all = registry.blob_bytes.load(Ordering::SeqCst) + 4 * MIB as u64;
    let mut only = open(gate.addr, Method::GET, &path, &[]).await.unwrap().into_body();
    only.frame().await.unwrap().unwrap();
    drop(only);
    eventually("the upstream has sent it all", || registry.blob_bytes.load(Ordering::SeqCst) >= all).await;
    let started = Instant::now();
    registry.gone.store(true, Ordering::SeqCst);
    let after = get(gate.addr, &path).await;
    assert_eq!(after.bytes(), &layer);
    assert!(started.elapsed() < Duration::from_secs(5));
    gate.stop().await;
}
