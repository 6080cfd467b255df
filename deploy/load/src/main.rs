//! The load test that Moim grew from, as a tool: a peer from outside, which shares no code with the
//! server. A mode is a file; `client` speaks, `ledger` counts, `stats` measures, `report` tells.

mod args;
mod client;
mod failure;
mod fanout;
mod idle;
mod ledger;
mod nodes;
mod plan;
mod progress;
mod report;
mod rows;
mod stats;
mod stomp;
mod system;
mod target;
mod token;
mod ws;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Mode};

/// How a test ended that could run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to complain about.
    Clean,
    /// Something was lost, doubled, out of order, refused or not stored.
    Faulty,
}

impl Verdict {
    /// Clean if `clean`.
    pub fn of(clean: bool) -> Self {
        if clean { Self::Clean } else { Self::Faulty }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread: the other core is the server's.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async { tokio::spawn(run(cli)).await }),
        Err(error) => {
            eprintln!("moim-load: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(Ok(Verdict::Clean)) => ExitCode::SUCCESS,
        Ok(Ok(Verdict::Faulty)) => ExitCode::FAILURE,
        Ok(Err(refusal)) => {
            eprintln!("moim-load: {refusal}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("moim-load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<Verdict, String> {
    match cli.mode {
        Mode::Origin(args) => plan::origin::run(args).await,
        Mode::Rate(args) => plan::rate::run(args).await,
        Mode::Idle(args) => idle::run(args).await,
        Mode::Fanout(args) => fanout::run(args).await,
        Mode::Tokens(args) => tokens(&args),
    }
}

fn tokens(args: &args::Tokens) -> Result<Verdict, String> {
    let mint = args.server.mint()?;
    let run = run_name();
    for index in 0..args.users {
        let room = format!("{run}-{}", index / args.room);
        let sends = (index + 1) % args.room == 0 || index + 1 == args.users;
        println!("{},{room},{sends}", mint.token(&format!("{run}-u{index}"), &room)?);
    }
    Ok(Verdict::Clean)
}

/// A name for this run that no earlier run had: rooms and users are made from it.
pub fn run_name() -> String {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("load-{:x}-{:x}", since.as_millis(), std::process::id())
}
