//! What every process of Moim does alike: it logs, listens to signals, and says by its exit code why
//! it does not run.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Log, LogFormat, ProcessEnv};
use crate::store::StoreError;

/// Why a process does not run, by exit code.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// 1: it is our fault.
    #[error("{0}")]
    Internal(String),
    /// 2: what it was told does not work.
    #[error("{0}")]
    Usage(String),
    /// 3: something that it needs is away.
    #[error("{0}")]
    Away(String),
    /// 4: the database has another schema.
    #[error("{0}")]
    Migration(String),
    /// 5: the data cannot be used as it is.
    #[error("{0}")]
    Data(String),
}

impl StartError {
    /// The exit code of the process.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::Usage(_) => 2,
            Self::Away(_) => 3,
            Self::Migration(_) => 4,
            Self::Data(_) => 5,
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => Self::Away(error.to_string()),
            StoreError::Misconfigured(_) => Self::Usage(error.to_string()),
            StoreError::Migration(_) => Self::Migration(error.to_string()),
            StoreError::Unusable(_) => Self::Data(error.to_string()),
            StoreError::Refused(_) => Self::Internal(error.to_string()),
        }
    }
}

/// The configuration of this process, from its environment.
pub fn configuration() -> Result<Config, StartError> {
    Config::load(&ProcessEnv).map_err(|error| StartError::Usage(error.to_string()))
}

/// Says on standard error why `name` did not run, and by the exit code.
pub fn exit(name: &str, done: Result<(), StartError>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{name}: {error}");
            ExitCode::from(error.code())
        }
    }
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), StartError> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| StartError::Internal(format!("cannot print: {error}")))
}

/// Logs to standard error from now on.
pub fn log_to_stderr(settings: &Log) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| StartError::Usage(format!("MOIM_LOG: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Pretty => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// What tells the process to stop: SIGTERM, SIGINT.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Heard from now on. The first process of a container hears none before.
    pub fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(no_signal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(no_signal)?,
        })
    }

    /// Waits until the process is told to stop. A second time ends it at once.
    pub async fn told(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("told to stop twice, ending at once");
            std::process::exit(0);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Signals are not heard.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn no_signal(error: std::io::Error) -> StartError {
    StartError::Internal(format!("signals cannot be heard: {error}"))
}
