//! Asking again: how often, how soon, and when not to.

use std::{
    future::Future,
    num::IntErrorKind,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;

use super::UpstreamError;

/// How often something is asked at most, the first time included.
pub(super) const ATTEMPTS: usize = 3;
/// No attempt begins later than this after the first: the client behind us waits, and containerd gives up at 30 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// No `Retry-After` is believed beyond this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Why an attempt failed, and what that says about another.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would fare no better.
    Final(UpstreamError),
    /// Another attempt may help, after a while.
    Later(UpstreamError),
    /// It was not asked, because it answers nobody at the moment.
    Spared(UpstreamError),
    /// The connection had been idle and was closed under the request: another attempt will help, at once.
    Stale(UpstreamError),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        if error.is_retryable() { Self::Later(error) } else { Self::Final(error) }
    }
}

/// How much asking again an upstream bears: ten times at first, then once for every ten answers it gave. So an upstream
/// that is down or throttles is not asked three times as much as one that is well (H9, U11).
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    /// What one retry costs, in answers.
    const COST: u32 = 10;
    /// What can be saved up.
    const MAX: u32 = 10 * Self::COST;

    /// Full.
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(Self::MAX))
    }

    fn deposit(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved < Self::MAX).then_some(saved + 1));
    }

    fn withdraw(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(Self::COST)).is_ok()
    }
}

/// Runs `attempt` until it succeeds or fails for good, at most [`ATTEMPTS`] times within [`PATIENCE`] and as `budget` allows, waiting
/// exponentially longer in between (with jitter, so that a herd does not return as one) or as long as `Retry-After` says.
/// A stale connection costs one more attempt, once.
pub(super) async fn retried<T, F, Fut>(budget: &Budget, mut attempt: F) -> Result<T, UpstreamError>
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
            Ok(value) => {
                budget.deposit();
                return Ok(value);
            }
            Err(Failure::Final(error)) => {
                // An answer all the same.
                budget.deposit();
                return Err(error);
            }
            Err(Failure::Spared(error)) => return Err(error),
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
        if started.elapsed() + delay > PATIENCE || !budget.withdraw() {
            return Err(error);
        }
        tracing::debug!(%error, ?delay, "asking the upstream again");
        tokio::time::sleep(delay).await;
    }
}

/// Whether an answer with this status, and this `Retry-After`, is that of a host that throttles: 503 is where it says when to come
/// back.
pub(super) fn throttles(status: StatusCode, wait: Option<Duration>) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE && wait.is_some()
}

/// What `Retry-After` says, as seconds or as a date, at most an hour.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => MAX_RETRY_AFTER,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn attempts(budget: &Budget, mut error: impl FnMut() -> Failure) -> usize {
        let mut count = 0;
        let _ = retried::<(), _, _>(budget, || {
            count += 1;
            std::future::ready(Err(error()))
        })
        .await;
        count
    }

    fn down() -> Failure {
        Failure::Later(UpstreamError::Throttled { host: "a".into(), retry_after: None })
    }

    #[tokio::test(start_paused = true)]
    async fn h9_an_upstream_that_stays_down_is_soon_asked_once_a_time_and_retries_are_earned_by_answers() {
        let budget = Budget::new();
        for expected in [3, 3, 3, 3, 3, 1, 1] {
            assert_eq!(attempts(&budget, down).await, expected);
        }
        for _ in 0..20 {
            assert_eq!(attempts(&budget, || Failure::Final(UpstreamError::NotFound)).await, 1);
        }
        assert_eq!(attempts(&budget, down).await, 3);
        assert_eq!(attempts(&budget, down).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_read_as_seconds_and_as_a_date_and_bounded() {
        let read = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("99999999999999999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("-1"), None);
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        assert!((80..=90).contains(&read(&date).unwrap().as_secs()));
    }
}
