//! A registry that answers nobody is left alone, but for one question a second (U11).
//!
//! Retries are for blips. Without this, everyone who asks while a registry is gone waits for a time-out of its own, and
//! names that do not resolve hold a thread each. What has an answer without the registry (a stale tag, kept evidence)
//! gets it at once this way, and what has none gets its 503.

use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// So many requests in a row must have gone without an answer …
const FAILURES: u32 = 3;
/// … and for so long: more than the retries of one request take, so that these still ride out a restart.
const LASTING: Duration = Duration::from_secs(2);
/// How often somebody is let through to see whether it is back.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What is known about whether a registry answers. An answer is any status at all.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answered: Option<Instant>,
    silence: Option<Silence>,
}

/// Requests in a row without an answer.
#[derive(Debug)]
struct Silence {
    since: Instant,
    failures: u32,
    /// Once it counts as gone: when somebody was let through last.
    probed: Option<Instant>,
    why: String,
}

impl Circuit {
    /// Whether the registry is to be asked now.
    ///
    /// # Errors
    /// Why the last request had no answer, when this one need not be made. Whoever is let through counts as this second's
    /// probe even if it is cancelled.
    pub(super) async fn enter(&self) -> Result<(), String> {
        let mut state = self.0.lock().await;
        let Some(Silence { probed: Some(probed), why, .. }) = &mut state.silence else { return Ok(()) };
        if probed.elapsed() < PROBE_EVERY {
            return Err(format!("not asked again so soon after: {why}"));
        }
        *probed = Instant::now();
        Ok(())
    }

    /// An answer came.
    pub(super) async fn answered(&self, host: &str) {
        let mut state = self.0.lock().await;
        state.answered = Some(Instant::now());
        if let Some(Silence { since, probed: Some(_), .. }) = state.silence.take() {
            tracing::info!(host, seconds = since.elapsed().as_secs(), "the upstream answers again");
        }
    }

    /// A request made at `started` had no answer.
    pub(super) async fn silent(&self, host: &str, started: Instant, why: &str) {
        let mut state = self.0.lock().await;
        // What others were answered meanwhile was no silence.
        let since = state.answered.map_or(started, |answered| answered.max(started));
        let silence = state.silence.get_or_insert_with(|| Silence { since, failures: 0, probed: None, why: String::new() });
        silence.failures = silence.failures.saturating_add(1);
        why.clone_into(&mut silence.why);
        if silence.probed.is_none() && silence.failures >= FAILURES && silence.since.elapsed() >= LASTING {
            silence.probed = Some(Instant::now());
            tracing::warn!(host, why, "the upstream answers nobody; it is asked once a second until it does");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn u11_silence_must_last_and_one_a_second_is_let_through() {
        let circuit = Circuit::default();
        let started = Instant::now();
        for _ in 0..10 {
            circuit.silent("a", started, "refused").await;
        }
        assert!(circuit.enter().await.is_ok(), "a blip, however many met it");
        pass(LASTING).await;
        circuit.silent("a", started, "refused").await;
        assert!(circuit.enter().await.unwrap_err().contains("refused"));
        pass(PROBE_EVERY).await;
        assert!(circuit.enter().await.is_ok());
        assert!(circuit.enter().await.is_err(), "one only");
        circuit.answered("a").await;
        assert!(circuit.enter().await.is_ok() && circuit.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn u11_requests_that_wait_long_while_others_are_answered_are_no_silence() {
        let circuit = Circuit::default();
        let started = Instant::now();
        pass(Duration::from_secs(10)).await;
        circuit.answered("a").await;
        for _ in 0..10 {
            circuit.silent("a", started, "no answer within 10 s").await;
        }
        assert!(circuit.enter().await.is_ok());
    }
}
