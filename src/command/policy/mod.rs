//! `pullgate policy …`: policies as files, before anything is judged by them.

mod check;
mod import;
mod init;
mod parcel;
mod record;
mod signer;
mod suite;
mod tag;
mod test;

use clap::Subcommand;

use super::Exit;

/// Check, test and begin policies, and import those of other systems.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Check(check::Arguments),
    Import(import::Arguments),
    Init(Box<init::Arguments>),
    /// What tags may mean.
    #[command(subcommand)]
    Tag(tag::Command),
    Test(Box<test::Arguments>),
}

impl Command {
    /// Does what was asked.
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Check(arguments) => arguments.run(),
            Self::Import(arguments) => arguments.run(),
            Self::Init(arguments) => arguments.run(),
            Self::Tag(command) => command.run(),
            Self::Test(arguments) => arguments.run(),
        }
    }
}
