//! The command line: `serve` (also without an argument), `config`, `migrate`, `token`, `doctor`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use moim_server::app;
use moim_server::token::{Grant, MintRequest, mint, standalone_secret};
use moim_shared::clock::now_ms;
use moim_shared::cluster;
use moim_shared::config::{Config, Mode, Span};
use moim_shared::doctor;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::process::{self, StartError, configuration, exit, print};

/// A chat server: STOMP over WebSocket, one binary, nothing acknowledged is ever lost.
///
/// Configured by MOIM_* variables and the TOML file that MOIM_CONFIG names; `config` prints all
/// keys. Exit codes: 0 clean, 1 internal, 2 usage or configuration, 3 a dependency is away,
/// 4 migration needed, 5 data unusable.
#[derive(Parser)]
#[command(name = "moim-server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server; the same as no argument.
    Serve,
    /// Prints the default configuration with comments, as a file for MOIM_CONFIG.
    Config,
    /// Brings the schema of a cluster's database up to date; safe from many nodes at once.
    Migrate,
    /// Checks the configuration and all that the server needs, a line each, and says what to do.
    ///
    /// `ok`, `WARN` (it works, and is dangerous) or `WRONG`. Exit code: 0, or that of the first
    /// that is WRONG.
    Doctor,
    /// Prints a token for development, signed with the configured secret.
    Token {
        /// The user id (`sub`).
        #[arg(long)]
        user: String,
        /// The name to be shown.
        #[arg(long)]
        name: Option<String>,
        /// Rooms that it opens without membership: ids with commas between, or `*`.
        #[arg(long, default_value = "*")]
        rooms: String,
        /// For how long it is valid, such as `24h`.
        #[arg(long, default_value = "24h")]
        ttl: Span,
    },
}

/// Parses, runs, and says why when it does not work.
pub fn run() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Serve);
    let done = match command {
        Command::Doctor => return doctor(),
        Command::Config => print(&Config::commented_default()),
        Command::Serve => configuration().and_then(|config| process::run(config, app::serve)),
        Command::Migrate => configuration().and_then(|config| migrate(&config)),
        Command::Token { user, name, rooms, ttl } => configuration().and_then(|config| {
            let token = token(&config, &user, name.as_deref(), &rooms, ttl)?;
            print(&format!("{token}\n"))
        }),
    };
    exit("moim-server", done)
}

fn doctor() -> ExitCode {
    let report = match doctor::configured() {
        Ok(config) => actix_rt::System::new().block_on(app::doctor(&config)),
        Err(report) => report,
    };
    report.exit("moim-server")
}

fn migrate(config: &Config) -> Result<(), StartError> {
    match config.mode {
        Mode::Cluster => actix_rt::System::new().block_on(cluster::migrate(config)),
        // It is done at each start.
        Mode::Standalone => print("the schema is up to date\n"),
    }
}

fn token(
    config: &Config,
    user: &str,
    name: Option<&str>,
    rooms: &str,
    ttl: Span,
) -> Result<String, StartError> {
    let usage = |error: &dyn std::fmt::Display| StartError::Usage(error.to_string());
    let user = UserId::parse(user).map_err(|error| usage(&error))?;
    let rooms = if rooms == "*" {
        Grant::All
    } else {
        let ids = rooms.split(',').map(str::trim).filter(|id| !id.is_empty()).map(RoomId::parse);
        Grant::rooms(ids.collect::<Result<Vec<_>, _>>().map_err(|error| usage(&error))?)
    };
    let secret = match &config.jwt_secret {
        Some(secret) => secret.clone(),
        None => standalone_secret(&config.data_dir).map_err(|error| {
            StartError::Data(format!("the secret in {}: {error}", config.data_dir.display()))
        })?,
    };
    let request = MintRequest {
        user: &user,
        name,
        rooms: &rooms,
        ttl: ttl.get(),
        sid: None,
        made_at_ms: None,
    };
    mint(&secret, &config.auth, &request, now_ms()).map_err(|error| usage(&error))
}
