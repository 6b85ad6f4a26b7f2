//! The command line: what people and pipelines type, and what they read.
//!
//! Each subcommand is a file or a folder of its own, with an `Arguments` that says what can be typed and a `run` that
//! answers an [`Exit`]. Standard output is the answer, for the next program; standard error is for the person.

mod ahead;
mod answer;
mod bundles;
mod exit;
mod explain;
mod flags;
mod judge;
mod lens;
mod places;
mod policy;
mod reference;
mod report;
mod seen;
mod serve;
mod streams;
mod text;
mod trust;
mod verify;
mod verify_bundle;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::exit::Exit;
use self::text::line;

/// Serves container images only when their digest carries the signature and the SBOM a policy asks for.
///
/// Exit codes of every command: 0 admitted or done; 1 refused or failed; 2 it could not be told; 3 imported, and something is lost;
/// 64 a command line or a configuration that cannot be used.
#[derive(Debug, Parser)]
#[command(name = "pullgate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(Box<explain::Arguments>),
    #[command(subcommand)]
    Policy(policy::Command),
    Serve(serve::Arguments),
    // By far the most flags, and on the heap: the others should not carry their room.
    Verify(Box<verify::Arguments>),
    VerifyBundle(verify_bundle::Arguments),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let _ = plain(&error).print();
            return Exit::Usage.into();
        }
        Err(help) => {
            let _ = help.print();
            return Exit::Done.into();
        }
    };
    let exit = match arguments.command {
        Command::Explain(arguments) => arguments.run(),
        Command::Policy(command) => command.run(),
        Command::Serve(arguments) => arguments.run(),
        Command::Verify(arguments) => arguments.run(),
        Command::VerifyBundle(arguments) => arguments.run(),
    };
    exit.into()
}

/// The same about the same arguments, each of them on one line: a pipeline may have put there what others wrote. Behind clap's own
/// words, of several lines, they cannot be told apart any more.
fn plain(error: &clap::Error) -> clap::Error {
    let typed = std::env::args_os().map(|argument| line(&argument.to_string_lossy()));
    match Arguments::try_parse_from(typed) {
        Err(plain) if plain.use_stderr() => plain,
        // What was wrong is what was escaped.
        Ok(_) | Err(_) => clap::Error::raw(error.kind(), line(error.to_string().trim_start_matches("error: ").trim_end()) + "\n"),
    }
}

/// Runs a command's work on this thread. Verification has threads of its own, and a command has nothing else to do.
fn runtime<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    crate::gate::register_early();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A read from a disk that hangs must not keep the process. Nor is there anything to put away: the process ends, and the
    // kernel closes its connections faster than each of their owners would.
    std::mem::forget(runtime);
    Ok(done)
}
