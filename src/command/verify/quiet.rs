//! Registries that want to be left alone for a while, which one image learns and all others of the registry obey.

use dashmap::DashMap;
use tokio::time::Instant;

use crate::oci::Host;

/// Until when each of them wants that.
#[derive(Debug, Default)]
pub(super) struct Quiet(DashMap<Host, Instant>);

impl Quiet {
    /// Keeps what `host` said.
    pub(super) fn keep(&self, host: &Host, until: Option<Instant>) {
        if let Some(until) = until {
            self.0.entry(host.clone()).and_modify(|kept| *kept = until.max(*kept)).or_insert(until);
        }
    }

    /// Until when `host` wants to be left alone, if that is still to come.
    pub(super) fn until(&self, host: &Host) -> Option<Instant> {
        self.0.get(host).map(|until| *until).filter(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_that_a_registry_said_counts_for_all_its_images_and_for_no_other() {
        let (quiet, now) = (Quiet::default(), Instant::now());
        let [one, other] = ["one.test", "other.test"].map(|host| host.parse::<Host>().unwrap());
        quiet.keep(&one, None);
        assert_eq!(quiet.until(&one), None);
        for seconds in [30, 6] {
            quiet.keep(&one, Some(now + Duration::from_secs(seconds)));
            assert_eq!(quiet.until(&one), Some(now + Duration::from_secs(30)));
        }
        assert_eq!(quiet.until(&other), None);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(quiet.until(&one), None);
    }
}
