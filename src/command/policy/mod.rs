//! `pullgate policy …`: policies as files, before anything is judged by them.

mod check;

use clap::Subcommand;

use super::Exit;

/// Check policies.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Check(check::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Check(arguments) => arguments.run(),
        }
    }
}
