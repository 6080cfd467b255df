//! The `moim-worker` command: `serve` (also without an argument), `config`, `migrate`, `doctor`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use moim_shared::cluster;
use moim_shared::config::Config;
use moim_shared::doctor;
use moim_shared::process::{self, StartError, configuration, exit, print};
use moim_worker::app;

/// A worker of a chat cluster: writes behind what servers acknowledged.
///
/// Configured like a server, by MOIM_* variables and the TOML file that MOIM_CONFIG names. Exit
/// codes: 0 clean, 1 internal, 2 usage or configuration, 3 a dependency is away, 4 migration
/// needed, 5 data unusable.
#[derive(Parser)]
#[command(name = "moim-worker", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Works; the same as no argument.
    Serve,
    /// Prints the default configuration with comments, as a file for MOIM_CONFIG.
    Config,
    /// Brings the database's schema up to date; safe from many processes at once.
    Migrate,
    /// Checks the configuration and all that the worker needs, a line each, and says what to do.
    ///
    /// `ok`, `WARN` (it works, and is dangerous) or `WRONG`. Exit code: 0, or that of the first
    /// that is WRONG.
    Doctor,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command.unwrap_or(Command::Serve) {
        Command::Doctor => return doctor(),
        Command::Config => print(&Config::commented_default()),
        Command::Serve => configuration().and_then(|config| process::run(config, app::serve)),
        Command::Migrate => configuration().and_then(|config| migrate(&config)),
    };
    exit("moim-worker", done)
}

fn doctor() -> ExitCode {
    let report = match doctor::configured() {
        Ok(config) => actix_rt::System::new().block_on(moim_worker::doctor::doctor(&config)),
        Err(report) => report,
    };
    report.exit("moim-worker")
}

fn migrate(config: &Config) -> Result<(), StartError> {
    actix_rt::System::new().block_on(cluster::migrate(config))
}
