//! What the process ends with.

use std::process::ExitCode;

/// The exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: admitted, or done.
    Done,
    /// 1: refused, or failed.
    Refused,
    /// 2: it could not be told.
    Undecided,
    /// 3: done, but not all of it could be carried over: `policy import`.
    Lossy,
    /// 64: a command line or a configuration that cannot be used (`EX_USAGE`).
    Usage,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Undecided => 2,
            Self::Lossy => 3,
            Self::Usage => 64,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
