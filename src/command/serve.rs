//! `pullgate serve`: from signals to a gate that drains.

use std::{path::PathBuf, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, streams::tell};
use crate::{
    app::{self, StartError},
    telemetry::log,
};

/// Serve pulls, until SIGTERM. SIGHUP, or a changed file, reads the configuration again.
///
/// Exit codes: 0 ended and drained; 1 failed, or told twice to end; 64 a configuration that cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What the log on standard error looks like.
    #[arg(long, value_enum, default_value_t)]
    log_format: log::Format,
}

impl Arguments {
    /// Serves until told to end.
    pub(super) fn run(self) -> Exit {
        let log = log::init(self.log_format);
        let served = run(self.config);
        drop(log);
        served.unwrap_or_else(|error| {
            tell(&error);
            if error.is_configuration() { Exit::Usage } else { Exit::Refused }
        })
    }
}

fn run(config: PathBuf) -> Result<Exit, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::System)?;
    let served = runtime.block_on(serve(config));
    // A read from a disk that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: PathBuf) -> Result<Exit, StartError> {
    // Before anything that takes time, so that no signal meets the default of ending at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(StartError::System)?;

    let running = tokio::select! {
        started = app::start_from(config) => started?,
        _ = terminate.recv() => return Ok(Exit::Done),
        _ = interrupt.recv() => return Ok(Exit::Done),
    };
    loop {
        tokio::select! {
            _ = hang_up.recv() => running.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tokio::select! {
        _ = running.shutdown() => return Ok(Exit::Done),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("told twice to end: open requests are cut off");
    Ok(Exit::Refused)
}
