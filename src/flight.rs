//! Single flight: many ask, one works. The work runs in a task of its own, so a client that hangs up cancels nobody's
//! answer; if the task is lost (a panic), every waiter is told, and the next to ask works anew.

use std::{future::Future, hash::Hash, sync::Arc};

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

/// Work in flight by key. `V` is cheap to clone.
#[derive(Debug)]
pub struct Flight<K: Eq + Hash, V> {
    running: Arc<DashMap<K, watch::Receiver<Option<V>>>>,
}

/// The task that worked for everybody is gone without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task that was to answer is gone")]
pub struct LeaderLost;

impl<K: Eq + Hash, V> Default for Flight<K, V> {
    fn default() -> Self {
        Self { running: Arc::default() }
    }
}

impl<K, V> Flight<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer of `work`, run once for all who ask for `key` while it runs.
    ///
    /// # Errors
    /// [`LeaderLost`] if the work panicked.
    pub async fn run<F, Fut>(&self, key: K, work: F) -> Result<V, LeaderLost>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let mut answer = match self.running.entry(key.clone()) {
            Entry::Occupied(running) => running.get().clone(),
            Entry::Vacant(vacant) => {
                let (tell, answer) = watch::channel(None);
                vacant.insert(answer.clone());
                let work = work();
                let landing = Landing { running: Arc::clone(&self.running), key };
                tokio::spawn(async move {
                    let value = work.await;
                    // Off the map before the answer is told, so that who comes after asks anew.
                    drop(landing);
                    let _ = tell.send(Some(value));
                });
                answer
            }
        };
        // An error means the sender was dropped without an answer: the task panicked.
        let value = answer.wait_for(Option::is_some).await.map_err(|_| LeaderLost)?;
        value.clone().ok_or(LeaderLost)
    }

    /// How many keys are being worked on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing is being worked on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

/// Takes the key off the map however the task ends.
struct Landing<K: Eq + Hash, V> {
    running: Arc<DashMap<K, watch::Receiver<Option<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.running.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_ask_and_one_works() {
        let flight = Arc::new(Flight::<u8, usize>::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let asks = (0..100).map(|_| {
            let (flight, runs) = (Arc::clone(&flight), Arc::clone(&runs));
            tokio::spawn(async move {
                flight
                    .run(1, || async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        runs.fetch_add(1, Ordering::SeqCst)
                    })
                    .await
            })
        });
        for ask in futures_util::future::join_all(asks).await {
            assert_eq!(ask.unwrap(), Ok(0));
        }
        assert!(flight.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn c16_work_survives_the_client_that_started_it() {
        let flight = Arc::new(Flight::<u8, &str>::default());
        let work = || async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            "done"
        };
        let hangs_up = tokio::time::timeout(Duration::from_secs(1), flight.run(1, work)).await;
        assert!(hangs_up.is_err());
        assert_eq!(flight.run(1, || async { "a second run" }).await, Ok("done"));
    }

    #[tokio::test]
    async fn a_lost_leader_is_told_and_replaced() {
        let flight = Flight::<u8, u8>::default();
        assert_eq!(flight.run(1, || async { panic!("as if") }).await, Err(LeaderLost));
        assert_eq!(flight.run(1, || async { 7 }).await, Ok(7));
    }
}
