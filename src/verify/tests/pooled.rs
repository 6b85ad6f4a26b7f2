//! The pool: bounds, panics, and that it changes no outcome.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

use super::*;

/// Blocks until released, counting how many run at once.
#[derive(Debug)]
struct Held {
    running: AtomicUsize,
    most: AtomicUsize,
    release: Arc<Semaphore>,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { running: 0.into(), most: 0.into(), release: Arc::new(Semaphore::new(0)) })
    }
}

impl Verifier for Held {
    fn verify(&self, _: &Digest, _: &Content) -> Result<Vec<Verified>, VerifyError> {
        self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::runtime::Handle::current().block_on(self.release.acquire()).unwrap().forget();
        self.running.fetch_sub(1, Ordering::SeqCst);
        Err(VerifyError::Log("scripted".into()))
    }

    fn epoch(&self) -> Epoch {
        Epoch(Digest::sha256(b""))
    }
}

#[derive(Debug)]
struct Panics;

impl Verifier for Panics {
    fn verify(&self, _: &Digest, _: &Content) -> Result<Vec<Verified>, VerifyError> {
        panic!("a parser's bug")
    }

    fn epoch(&self) -> Epoch {
        Epoch(Digest::sha256(b""))
    }
}

fn small() -> Content {
    Content::Bundle("{}".into())
}

#[tokio::test]
async fn pool_gives_the_verifiers_answer() {
    let pool = Pool::new(2, 100);
    let verifier: Arc<dyn Verifier> = Arc::new(Sigstore::from_trusted_root(&trusted_root()).unwrap());
    for piece in recorded() {
        let direct = verifier.verify(&piece.subject, &piece.content);
        let pooled = pool.verify(Arc::clone(&verifier), piece.subject, piece.content).await.unwrap();
        let told = |facts: Vec<Verified>| facts.iter().map(fact).collect::<Vec<_>>();
        assert_eq!(direct.map(told).ok(), pooled.map(told).ok());
    }
}

#[tokio::test]
async fn b12_a_panic_is_caught_is_no_verdict_and_the_pool_lives() {
    let pool = Pool::new(1, 0);
    for _ in 0..3 {
        let outcome = pool.verify(Arc::new(Panics), Digest::sha256(b"x"), small()).await;
        assert_eq!(outcome.unwrap_err(), PoolError::Panicked);
    }
    let verifier: Arc<dyn Verifier> = Arc::new(Sigstore::from_trusted_root(&trusted_root()).unwrap());
    let piece = pieces("acme/app").remove(0);
    assert!(pool.verify(verifier, piece.subject, piece.content).await.unwrap().is_ok());
}

#[tokio::test]
async fn h5_so_many_run_so_many_wait_and_the_next_is_told_at_once() {
    let pool = Arc::new(Pool::new(2, 3));
    let held = Held::new();
    let ask = || {
        let (pool, held) = (Arc::clone(&pool), Arc::clone(&held));
        async move { pool.verify(held, Digest::sha256(b"x"), small()).await }
    };
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(ask())).collect();
    for future in &mut waiting {
        assert!(futures_util::poll!(future).is_pending());
    }
    assert_eq!(ask().await.unwrap_err(), PoolError::Busy);
    // One who gives up waiting makes room.
    drop(waiting.pop());
    let mut sixth = Box::pin(ask());
    assert!(futures_util::poll!(&mut sixth).is_pending());
    while held.running.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    held.release.add_permits(100);
    for future in waiting.into_iter().chain([sixth]) {
        assert!(future.await.unwrap().is_err());
    }
    assert_eq!(held.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a9_bytes_under_way_are_bounded_and_the_largest_runs_alone() {
    let pool = Pool::new(8, 8);
    let held = Held::new();
    let large = || Content::Bundle(vec![b' '; 150 << 20].into());
    let mut running: Vec<_> =
        (0..3).map(|_| Box::pin(pool.verify(Arc::clone(&held) as _, Digest::sha256(b"x"), large()))).collect();
    for future in &mut running {
        assert!(futures_util::poll!(future).is_pending());
    }
    while held.running.load(Ordering::SeqCst) < 1 {
        tokio::task::yield_now().await;
    }
    held.release.add_permits(3);
    for future in running {
        assert!(future.await.unwrap().is_err());
    }
    assert_eq!(held.most.load(Ordering::SeqCst), 1, "two of 150 MiB that are held weigh more than the budget");
}
