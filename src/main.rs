//! The `pullgate` command.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use pullgate::{
    app::{self, StartError},
    telemetry::log,
};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for a command line or a configuration that cannot be used (`EX_USAGE`).
const USAGE: u8 = 64;

/// Serves container images only when their digest carries the signature and the SBOM a policy asks for.
#[derive(Debug, Parser)]
#[command(name = "pullgate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pulls, until SIGTERM. SIGHUP, or a changed file, reads the configuration again.
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What the log on standard error looks like.
        #[arg(long, value_enum, default_value_t)]
        log_format: log::Format,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Serve { config, log_format } => {
            let log = log::init(log_format);
            let served = run(config);
            drop(log);
            served.unwrap_or_else(|error| {
                eprintln!("{error}");
                ExitCode::from(if error.is_configuration() { USAGE } else { 1 })
            })
        }
    }
}

fn run(config: PathBuf) -> Result<ExitCode, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::System)?;
    let served = runtime.block_on(serve(config));
    // A read from a disk that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: PathBuf) -> Result<ExitCode, StartError> {
    // Before anything that takes time, so that no signal meets the default of ending at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(StartError::System)?;

    let running = tokio::select! {
        started = app::start_from(config) => started?,
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    loop {
        tokio::select! {
            _ = hang_up.recv() => running.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tokio::select! {
        _ = running.shutdown() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("told twice to end: open requests are cut off");
    Ok(ExitCode::FAILURE)
}
