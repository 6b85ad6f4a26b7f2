//! The command line: what people and pipelines type, and what they read.
//!
//! Each subcommand is a file or a folder of its own, with an `Arguments` that says what can be typed and a `run` that
//! answers an [`Exit`]. Standard output is the answer, for the next program; standard error is for the person.

mod exit;
mod policy;
mod serve;
mod text;
mod verify_bundle;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::exit::Exit;

/// Serves container images only when their digest carries the signature and the SBOM a policy asks for.
///
/// Exit codes of every command: 0 admitted or done; 1 refused or failed; 2 it could not be told; 64 a command line or a
/// configuration that cannot be used.
#[derive(Debug, Parser)]
#[command(name = "pullgate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    #[command(subcommand)]
    Policy(policy::Command),
    VerifyBundle(verify_bundle::Arguments),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let exit = match arguments.command {
        Command::Policy(command) => command.run(),
        Command::Serve(arguments) => arguments.run(),
        Command::VerifyBundle(arguments) => arguments.run(),
    };
    exit.into()
}
