//! Asking again: how often, how soon, and when not to.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{HeaderMap, header::RETRY_AFTER};
use tokio::time::Instant;

use super::UpstreamError;

/// How often something is asked at most, the first time included.
pub(super) const ATTEMPTS: usize = 3;
/// No attempt begins later than this after the first: the client behind us waits, and containerd gives up at 30 s.
pub(super) const BUDGET: Duration = Duration::from_secs(5);
/// No `Retry-After` is believed beyond this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Why an attempt failed, and what that says about another.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would fare no better.
    Final(UpstreamError),
    /// Another attempt may help, after a while.
    Later(UpstreamError),
    /// The connection had been idle and was closed under the request: another attempt will help, at once.
    Stale(UpstreamError),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        if error.is_retryable() { Self::Later(error) } else { Self::Final(error) }
    }
}

/// Runs `attempt` until it succeeds or fails for good, at most [`ATTEMPTS`] times within [`BUDGET`], waiting
/// exponentially longer in between (with jitter, so that a herd does not return as one) or as long as `Retry-After` says.
/// A stale connection costs one more attempt, once.
pub(super) async fn retried<T, F, Fut>(mut attempt: F) -> Result<T, UpstreamError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    let started = Instant::now();
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(ATTEMPTS - 1)
        .with_jitter()
        .build();
    let mut stale = false;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Stale(_)) if !stale => {
                stale = true;
                continue;
            }
            Err(Failure::Later(error) | Failure::Stale(error)) => error,
        };
        let Some(mut delay) = delays.next() else { return Err(error) };
        if let UpstreamError::Throttled { retry_after: Some(asked), .. } = &error {
            delay = delay.max(*asked);
        }
        if started.elapsed() + delay > BUDGET {
            return Err(error);
        }
        tracing::debug!(%error, ?delay, "asking the upstream again");
        tokio::time::sleep(delay).await;
    }
}

/// What `Retry-After` says, as seconds or as a date, at most an hour.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(asked.min(MAX_RETRY_AFTER))
}
