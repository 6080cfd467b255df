//! What every process of Moim does alike: it logs, listens to signals, and says by its exit code why
//! it does not run.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
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

/// Logs, and runs `serve` until it is done.
pub fn run<S>(config: Config, serve: impl FnOnce(Config) -> S) -> Result<(), StartError>
where
    S: Future<Output = Result<(), StartError>>,
{
    log_to_stderr(&config.log)?;
    if let Err(error) = allow_files() {
        tracing::warn!(%error, "no more files than before may be open");
    }
    let system = actix_rt::System::new();
    let done = system.block_on(serve(config));
    // Its end would wait for threads that still wait for others, such as a resolver of names.
    std::mem::forget(system);
    done
}

/// As many open files as the system grants: every connection is one, and what a process begins with
/// is often 1,024.
fn allow_files() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
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
fn log_to_stderr(settings: &Log) -> Result<(), StartError> {
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

/// What tells the process to stop: SIGTERM, SIGINT. The second one ends it at once, and so does the
/// first before it is up.
pub struct Stop {
    told: Arc<Notify>,
    up: Arc<AtomicBool>,
}

impl Stop {
    /// Heard from now on; the first process of a container hears none before. On a thread of its own,
    /// so whatever the others wait for.
    pub fn listen() -> Result<Self, StartError> {
        let stop = Self { told: Arc::default(), up: Arc::default() };
        let (told, up) = (stop.told.clone(), stop.up.clone());
        let runtime =
            runtime::Builder::new_current_thread().enable_io().build().map_err(no_signal)?;
        let (mut terminate, mut interrupt) = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).map_err(no_signal);
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
        };
        let hear = async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            next().await;
            if !up.load(Ordering::Acquire) {
                end_at_once(|| tracing::info!("told to stop before it was up"));
            }
            told.notify_one();
            next().await;
            end_at_once(|| tracing::warn!("told to stop twice, ending at once"));
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(move || runtime.block_on(hear)).map_err(no_signal)?;
        Ok(stop)
    }

    /// The process is up. Waits until it is told to stop.
    pub async fn told(&self) {
        self.up.store(true, Ordering::Release);
        self.told.notified().await;
    }
}

/// Ends the process, with a word if that can be said: standard error may be a pipe that nobody reads.
fn end_at_once(say: impl FnOnce() + Send + 'static) -> ! {
    let (said, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        say();
        said.send(())
    });
    // Either is an end.
    let _ = wait.recv_timeout(Duration::from_millis(200));
    std::process::exit(0)
}

/// Signals are not heard.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn no_signal(error: std::io::Error) -> StartError {
    StartError::Internal(format!("signals cannot be heard: {error}"))
}
