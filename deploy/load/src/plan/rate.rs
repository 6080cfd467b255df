//! `moim-load rate`: all connections first, then sends on a clock (or as fast as RECEIPTs come back),
//! then a bounded wait for what is still under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::ctrl_c;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::rate_member::{Member, Phase, Plan, Turn};
use super::room::{self, Room};
use crate::Verdict;
use crate::args;
use crate::client::Session;
use crate::ledger::Rule;
use crate::nodes::Nodes;
use crate::progress::Progress;
use crate::report::{self, RunReport};
use crate::stats::{Recorder, Step};
use crate::stomp::Frame;
use crate::system;
use crate::token::Mint;

/// Sends that the ledgers of one test hold together.
const MAX_SENDS: u64 = 5_000_000;
const OPENING: usize = 64;
/// How long late RECEIPTs and messages are waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same where sessions have to come back first.
const PATIENCE_RESUMING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Runs the test.
pub async fn run(args: args::Rate) -> Result<Verdict, String> {
    let (mint, nodes) = (args.server.mint()?, args.server.nodes()?);
    let (rooms, members) = (args.rooms as usize, args.members as usize);
    let connections = rooms * members;
    system::allow_files(connections + args.stopped as usize)?;
    if !args.max && u64::from(args.rate) * u64::from(args.seconds) > MAX_SENDS {
        return Err(format!(
            "that is more than {MAX_SENDS} SENDs: fewer --seconds, or less --rate"
        ));
    }
    let run = crate::run_name();
    let stats = if args.resume { Recorder::forgiving() } else { Recorder::new() };
    let (phase, watching) = watch::channel(Phase::Gathering);
    let gathered = Arc::new(Semaphore::new(0));
    let plan = Arc::new(Plan {
        nodes: nodes.clone(),
        resume: args.resume,
        body: vec![b'm'; args.body as usize],
        room_sends: MAX_SENDS as usize / rooms,
        stats: stats.clone(),
        opening: Semaphore::new(OPENING),
    });
    let _progress = Progress::show(line(stats.clone()));
    let all: Vec<_> = (0..rooms).map(|n| Arc::new(room(&args, &nodes, &run, n))).collect();
    let mut tasks = JoinSet::new();
    for index in 0..connections {
        // Neighbours in time are in different rooms.
        let (member, number) = (index / rooms, index % rooms);
        let Some(room) = all.get(number) else { continue };
        let member = Member {
            plan: Arc::clone(&plan),
            room: Arc::clone(room),
            member,
            index,
            token: mint.token(&format!("{run}-u{index}"), &room.name)?,
            turn: turn(&args, index, connections),
            phase: watching.clone(),
            gathered: Arc::clone(&gathered),
        };
        tasks.spawn(member.run());
    }
    let _all_here = gathered.acquire_many(connections as u32).await;
    let stopped = stop_reading(&args, &nodes, &run, &mint, all.first().map(Arc::as_ref)).await?;
    let reached = send(&args, &phase, &stats).await;
    drop(stopped);
    let usual = if args.resume { PATIENCE_RESUMING } else { PATIENCE };
    settle(&all, args.patience.unwrap_or(usual)).await;
    phase.send_replace(Phase::Over);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| format!("a connection's task failed: {error}"))?;
    }
    let rows = match args.report.database(&args.server) {
        Some(at) => Some(room::check_rows(&at, args.report.flush_wait, &run, &all, true).await),
        None => None,
    };
    let report = RunReport {
        title: title(&args),
        notes: notes(&args, reached),
        receipts: true,
        resume: args.resume,
        reached: Some(reached),
        account: room::account(&all, true),
        rows,
        stats,
    };
    report::tell(&report, args.report.json)?;
    if let Some(file) = &args.report.html {
        report::html::write(file, std::slice::from_ref(&report))?;
    }
    Ok(Verdict::of(report.is_clean()))
}

fn room(args: &args::Rate, nodes: &Nodes, run: &str, number: usize) -> Room {
    let members = args.members as usize;
    if args.resume {
        // Where its members are changes, so none of them is known to be elsewhere.
        Room::new(run, number, members, members, Rule::Resuming)
    } else {
        Room::new(run, number, members, members, Rule::Strict).on(nodes.count())
    }
}

/// Sessions that are subscribed and will not read: what comes for them stays at the server.
async fn stop_reading(
    args: &args::Rate,
    nodes: &Nodes,
    run: &str,
    mint: &Mint,
    room: Option<&Room>,
) -> Result<Vec<Session>, String> {
    let mut stopped = Vec::new();
    let Some(room) = room else { return Ok(stopped) };
    for index in 0..args.stopped {
        let token = mint.token(&format!("{run}-stopped{index}"), &room.name)?;
        let failed = |failure| format!("a reader that is to stop cannot subscribe: {failure}");
        let index = (args.rooms * args.members + index) as usize;
        let mut session = Session::open(nodes.at(index), index).await.map_err(failed)?;
        session.connect(&token, "0,0").await.map_err(failed)?;
        let topic = room.topic();
        let headers = [("id", "0"), ("destination", topic.as_str()), ("receipt", "0")];
        session.send("SUBSCRIBE", &headers, b"").map_err(failed)?;
        let answered = |frame: &Frame| (frame.command() == b"RECEIPT").then_some(());
        session.until(PATIENCE, "RECEIPT", answered).await.map_err(failed)?;
        stopped.push(session);
    }
    Ok(stopped)
}

fn turn(args: &args::Rate, index: usize, connections: usize) -> Turn {
    if args.max {
        return Turn::Window(args.window as usize);
    }
    let rate = f64::from(args.rate);
    Turn::Clock {
        first: Duration::from_secs_f64(index as f64 / rate),
        every: Duration::from_secs_f64(connections as f64 / rate),
    }
}

/// Lets the sends begin and waits for their end; gives back the RECEIPTs per second in between,
/// without a first part in which connections and caches warm up.
async fn send(args: &args::Rate, phase: &watch::Sender<Phase>, stats: &Recorder) -> f64 {
    let length = Duration::from_secs(args.seconds.into());
    let from = Instant::now() + LOOK;
    let until = from + length;
    let warm = from + (length / 5).min(Duration::from_secs(5));
    phase.send_replace(Phase::Sending(from, until));
    let receipts = || {
        let stats = stats.lock();
        let samples = stats.of(Step::Send);
        (samples.micros.len() - samples.errors) as f64
    };
    sleep_until(warm).await;
    let (before, began) = (receipts(), Instant::now());
    if enough(until).await {
        phase.send_replace(Phase::Sending(from, Instant::now()));
    }
    (receipts() - before) / began.elapsed().as_secs_f64()
}

/// Waits until then, or until somebody has seen enough (SIGINT); from then on SIGINT ends the process.
async fn enough(until: Instant) -> bool {
    let enough = tokio::select! {
        () = sleep_until(until) => false,
        _ = ctrl_c() => true,
    };
    tokio::spawn(async {
        let _ = ctrl_c().await;
        std::process::exit(130);
    });
    enough
}

async fn settle(rooms: &[Arc<Room>], patience: Duration) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline && !rooms.iter().all(|room| room.ledger().is_complete()) {
        sleep(LOOK).await;
    }
}

fn title(args: &args::Rate) -> String {
    let rooms = format!("{} rooms of {}", args.rooms, args.members);
    if args.max {
        format!("durable SENDs, {rooms}, window {}", args.window)
    } else {
        let stopped = match args.stopped {
            0 => String::new(),
            count => format!(", beside {count} that read nothing"),
        };
        format!("{} SENDs/s over {rooms}{stopped}", args.rate)
    }
}

fn notes(args: &args::Rate, reached: f64) -> Vec<String> {
    let from = if args.max { "when they went out" } else { "when they were due" };
    vec![
        format!(
            "{} s; body {} bytes; {} node(s); SEND, DELIVERY and ACROSS (to another node) are timed \
             from {from}",
            args.seconds,
            args.body,
            args.server.url.len(),
        ),
        format!("durable SENDs/s: {reached:.0} (RECEIPTs per second, without the warm-up)"),
    ]
}

fn line(stats: Recorder) -> impl Fn() -> String {
    move || {
        let stats = stats.lock();
        let (send, delivery) = (stats.of(Step::Send), stats.of(Step::Delivery));
        format!(
            "{} connected, {} receipts (p99 {:.1} ms), {} deliveries (p99 {:.1} ms), {} errors",
            stats.of(Step::Subscribe).micros.len(),
            send.micros.len(),
            send.micros.value_at_quantile(0.99) as f64 / 1000.0,
            delivery.micros.len(),
            delivery.micros.value_at_quantile(0.99) as f64 / 1000.0,
            stats.failures.total(),
        )
    }
}
