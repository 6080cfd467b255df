//! What several modes take: where the server is, where the rows are, and times.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::nodes::Nodes;
use crate::rows::Database;
use crate::target::Target;
use crate::token::{self, Mint};

/// Where the server is and how to get in.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// The server's WebSocket endpoint; of a cluster those of all nodes, over which the members of
    /// each room are spread (several times, or with commas between)
    #[arg(long, value_delimiter = ',', default_value = "ws://127.0.0.1:8080/ws")]
    pub url: Vec<Target>,
    /// The server's data directory: its `jwt-secret`, and `moim.db` for the rows
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The file that holds the HS256 secret
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The HS256 secret itself (others on this machine can see it; prefer a file or
    /// MOIM_JWT_SECRET in the environment)
    #[arg(long, value_name = "TEXT")]
    pub secret: Option<String>,
}

impl Server {
    /// Where the sessions go.
    pub fn nodes(&self) -> Result<Nodes, String> {
        Nodes::new(&self.url)
    }

    /// The signer of tokens.
    pub fn mint(&self) -> Result<Mint, String> {
        token::mint(self.secret.as_deref(), self.secret_file.as_ref(), self.data_dir.as_ref())
    }
}

/// Where the rows are, and how the report is given.
#[derive(Debug, Args)]
pub struct Report {
    /// Where to count the rows: the server's SQLite file, or the cluster's
    /// postgres://user:password@host:port/name [default: moim.db in --data-dir]
    #[arg(
        long,
        value_name = "FILE|URL",
        env = "MOIM_LOAD_DATABASE_URL",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub database: Option<Database>,
    /// How long rows are waited for in Postgres, which is written behind: 30s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub flush_wait: Duration,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print each run as one line of JSON, and the tables on stderr
    #[arg(long)]
    pub json: bool,
}

impl Report {
    /// The database to count rows in: the one given, or the server's own file if it is there.
    pub fn database(&self, server: &Server) -> Option<Database> {
        let own = || server.data_dir.as_ref().map(|dir| dir.join("moim.db"));
        let own = || own().filter(|file| file.exists()).map(Database::Sqlite);
        self.database.clone().or_else(own)
    }
}

/// The value of a `heart-beat` header.
pub fn heart_beat(text: &str) -> Result<String, String> {
    let good = text
        .split_once(',')
        .is_some_and(|(ours, theirs)| ours.parse::<u32>().is_ok() && theirs.parse::<u32>().is_ok());
    if good { Ok(text.to_owned()) } else { Err("give two numbers of ms, as in 10000,10000".into()) }
}

/// A number with its unit; without one, seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u32>().ok().map(u64::from);
    match (number, unit) {
        (Some(number), "ms") => Ok(Duration::from_millis(number)),
        (Some(number), "s" | "") => Ok(Duration::from_secs(number)),
        (Some(number), "m") => Ok(Duration::from_secs(60 * number)),
        _ => Err("give a number with its unit, as in 30s, 500ms or 2m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert!(time("soon").is_err());
    }
}
