//! The command line. What is allowed is decided here, so that the rest may trust it.

mod common;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::common::{Report, Server};
use self::common::{heart_beat, time};

/// Load tests for a Moim server, from outside, over STOMP and WebSocket.
///
/// Every mode makes its own rooms and users, signs their tokens with the server's secret
/// (--data-dir is enough for a server on this machine), and leaves the server as it was, except
/// for the messages.
///
/// Exit codes: 0 done and clean, 1 something was lost, doubled, out of order or refused, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "moim-load", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// The four tests, and what JMeter needs for the first.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// The load test that Moim grew from: rooms of 6, one of whom sends, 10 times
    Origin(Origin),
    /// A fixed rate of SENDs, or with --max the most that get their RECEIPT
    Rate(Rate),
    /// Sessions that do nothing, and the memory that each costs the server
    Idle(Idle),
    /// One room with many subscribers: CPU per delivery, and deliveries per second
    Fanout(Fanout),
    /// Print users for moim-load.jmx, one a line: token, room, whether this one sends
    Tokens(Tokens),
}

/// `moim-load tokens`.
#[derive(Debug, Args)]
pub struct Tokens {
    /// Server and secret.
    #[command(flatten)]
    pub server: Server,
    /// Users
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub users: u32,
    /// Members of a room; the last of them sends
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub room: u32,
}

/// Which of the two variants of the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Receipts {
    /// With receipts and in step
    On,
    /// As written: nobody waits for anybody
    Off,
    /// As written, then with receipts
    Both,
}

/// `moim-load origin`.
#[derive(Debug, Args)]
pub struct Origin {
    /// Server and secret.
    #[command(flatten)]
    pub server: Server,
    /// Users of each run, one table each
    #[arg(long, value_delimiter = ',', default_value = "30,100,1000,2000",
          value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub users: Vec<u32>,
    /// Seconds over which the users arrive, evenly
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub ramp_up: u32,
    /// Times that each user opens, connects, subscribes, sends or reads, unsubscribes and closes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub iterations: u32,
    /// Members of a room; the last of them sends
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub room: u32,
    /// With receipts, or as written, or one after the other
    #[arg(long, value_enum, default_value = "both")]
    pub receipts: Receipts,
    /// With receipts: milliseconds from one SEND of a room to its next; 500 is 2 SENDs/s a room
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub pace: u32,
    /// Open and subscribe once and stay, instead of in every iteration
    #[arg(long)]
    pub keep: bool,
    /// Seconds that READ waits
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub read_timeout: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub body: u32,
    /// Rows and report.
    #[command(flatten)]
    pub report: Report,
}

/// `moim-load rate`.
#[derive(Debug, Args)]
pub struct Rate {
    /// Server and secret.
    #[command(flatten)]
    pub server: Server,
    /// SENDs per second over all rooms, on a clock that waits for nobody
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub rate: u32,
    /// Find the most SENDs/s that get their RECEIPT, instead of --rate
    #[arg(long, conflicts_with = "rate")]
    pub max: bool,
    /// With --max: SENDs of a connection that wait for their RECEIPT
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub window: u32,
    /// Rooms
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Members of each room; all subscribe, and send in turn
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub members: u32,
    /// Sessions that subscribe to the first room and then read nothing
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub stopped: u32,
    /// Sessions that are closed come back, ask for what they missed, and send again what has no
    /// RECEIPT: for a cluster whose parts are harmed meanwhile
    #[arg(long)]
    pub resume: bool,
    /// How long late RECEIPTs and messages are waited for [default: 15s, with --resume 60s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub patience: Option<Duration>,
    /// Seconds of sending, or until SIGINT
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub body: u32,
    /// Rows and report.
    #[command(flatten)]
    pub report: Report,
}

/// `moim-load idle`.
#[derive(Debug, Args)]
pub struct Idle {
    /// Server and secret.
    #[command(flatten)]
    pub server: Server,
    /// Sessions to open
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub connections: u32,
    /// Sessions that subscribe to the same room
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub room: u32,
    /// Sessions that are being opened at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub at_once: u32,
    /// Seconds to hold them
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub seconds: u32,
    /// The CONNECT header: what we send and want, in ms
    #[arg(long, default_value = "0,0", value_parser = heart_beat)]
    pub heart_beat: String,
    /// The server's processes, to print their memory together
    #[arg(long, value_delimiter = ',')]
    pub pid: Vec<i32>,
}

/// `moim-load fanout`.
#[derive(Debug, Args)]
pub struct Fanout {
    /// Server and secret.
    #[command(flatten)]
    pub server: Server,
    /// What to measure
    #[arg(long, value_enum, default_value = "both")]
    pub measure: Measure,
    /// Subscribers of the one room
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub subscribers: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub body: u32,
    /// Unbatched: messages of a round
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub messages: u32,
    /// Unbatched: rounds, each of the server and then of the bare loop
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Saturated: seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Saturated: SENDs that wait for their RECEIPT, of each sender
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub window: u32,
    /// Saturated: connections that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub senders: u32,
    /// The server's processes, for their CPU time together (unbatched needs it)
    #[arg(long, value_delimiter = ',')]
    pub pid: Vec<i32>,
}

/// The two measures of a fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Each message alone: CPU time per delivery beside a bare send() loop
    Unbatched,
    /// As fast as the server takes them: deliveries per second
    Saturated,
    /// One after the other
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn nodes_are_given_one_by_one_or_with_commas() {
        let (a, b, c) = ("ws://127.0.0.1:1/ws", "ws://127.0.0.1:2/ws", "ws://127.0.0.1:3/ws");
        for list in [vec![a.to_owned(), b.to_owned(), c.to_owned()], vec![[a, b, c].join(",")]] {
            let flags = list.iter().flat_map(|url| ["--url", url]);
            let cli = Cli::parse_from(["moim-load", "idle"].into_iter().chain(flags));
            let Mode::Idle(idle) = cli.mode else { panic!("another mode") };
            assert_eq!(idle.server.nodes().unwrap().count(), 3);
        }
    }

    #[test]
    fn the_origin_has_the_users_of_the_first_test() {
        let cli = Cli::parse_from(["moim-load", "origin"]);
        let Mode::Origin(origin) = cli.mode else { panic!("another mode") };
        assert_eq!(origin.users, [30, 100, 1000, 2000]);
    }
}
