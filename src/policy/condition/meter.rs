//! What judging a condition may cost, counted in values looked at and bytes made.
//!
//! Counted, not timed: the same statement costs the same everywhere, so a condition that holds once holds always.

use std::cell::Cell;

/// Steps of one condition: each is a node of the expression evaluated, or as much work on a value as that costs.
pub(super) const MAX_STEPS: u64 = 5_000_000;
/// Bytes that one condition may make: texts put together, lists filtered and mapped. 16 MiB.
pub(super) const MAX_MADE: u64 = 16 << 20;

/// What is left.
#[derive(Debug)]
pub(super) struct Meter {
    steps: Cell<u64>,
    made: Cell<u64>,
}

/// Which part of it is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Spent {
    #[error("more than {MAX_MADE} bytes of lists and texts to make, all that a condition may")]
    Made,
    #[error("more than {MAX_STEPS} steps of work, all that a condition may take")]
    Steps,
}

impl Spent {
    /// What is wanted instead.
    pub(super) fn wanted(self) -> String {
        match self {
            Self::Made => format!("a condition that makes at most {MAX_MADE} bytes of lists and texts"),
            Self::Steps => format!("a condition of at most {MAX_STEPS} steps of work"),
        }
    }
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self { steps: Cell::new(MAX_STEPS), made: Cell::new(MAX_MADE) }
    }

    /// For a sentence about values that cost too much: a hundredth of it.
    pub(super) const fn to_tell() -> Self {
        Self { steps: Cell::new(MAX_STEPS / 100), made: Cell::new(MAX_MADE / 100) }
    }

    /// Takes `count` steps.
    pub(super) fn steps(&self, count: usize) -> Result<(), Spent> {
        let left = self.steps.get().checked_sub(count as u64);
        self.steps.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Spent::Steps)
    }

    /// Takes the steps of reading `bytes` of text.
    pub(super) fn text(&self, bytes: usize) -> Result<(), Spent> {
        self.steps(bytes / 32)
    }

    /// Takes `bytes` to make, and the steps of making them.
    pub(super) fn make(&self, bytes: usize) -> Result<(), Spent> {
        let left = self.made.get().checked_sub(bytes as u64);
        self.made.set(left.unwrap_or(0));
        left.ok_or(Spent::Made)?;
        self.text(bytes)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> u64 {
        MAX_STEPS - self.steps.get()
    }
}
