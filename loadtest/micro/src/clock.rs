//! Clocks that stand still while somebody else has the processor.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a piece of work takes of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    /// Of all threads: for work that is handed from one to another. Nothing else may be going on.
    Process,
    /// Of this thread.
    Thread,
}

impl Cpu {
    /// What `work` takes, and gives.
    pub fn of<T>(self, work: impl FnOnce() -> T) -> (Duration, T) {
        let begun = self.now();
        let done = work();
        (self.now().saturating_sub(begun), done)
    }

    fn now(self) -> Duration {
        let time = clock_gettime(match self {
            Self::Process => ClockId::ProcessCPUTime,
            Self::Thread => ClockId::ThreadCPUTime,
        });
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
    }
}

/// The middle one of `samples`, which must not be empty.
#[must_use]
pub fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}
