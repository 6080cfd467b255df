//! `moim-load origin`: builds the rooms and users of each run, lets them go, and judges.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gate::Gate;
use super::room::{self, Room};
use super::user::{Plan, User};
use crate::Verdict;
use crate::args::{self, Receipts};
use crate::ledger::Rule;
use crate::nodes::Nodes;
use crate::progress::Progress;
use crate::report::{self, RunReport};
use crate::rows::Database;
use crate::stats::{Recorder, Step};
use crate::system;
use crate::token::Mint;

/// Runs every size in every variant that was asked for.
pub async fn run(args: args::Origin) -> Result<Verdict, String> {
    let mint = args.server.mint()?;
    let most = args.users.iter().copied().max().unwrap_or_default();
    system::allow_files(most as usize)?;
    let nodes = args.server.nodes()?;
    let database = args.report.database(&args.server);
    let variants: &[bool] = match args.receipts {
        Receipts::On => &[true],
        Receipts::Off => &[false],
        Receipts::Both => &[false, true],
    };
    let mut reports = Vec::new();
    for users in &args.users {
        for receipts in variants {
            let report =
                one_run(&args, &nodes, &mint, *users as usize, *receipts, &database).await?;
            report::tell(&report, args.report.json)?;
            reports.push(report);
        }
    }
    if let Some(file) = &args.report.html {
        report::html::write(file, &reports)?;
    }
    // The plan as written loses by its own making; only the plan with receipts is judged.
    Ok(Verdict::of(reports.iter().filter(|report| report.receipts).all(RunReport::is_clean)))
}

async fn one_run(
    args: &args::Origin,
    nodes: &Nodes,
    mint: &Mint,
    users: usize,
    receipts: bool,
    database: &Option<Database>,
) -> Result<RunReport, String> {
    let run = crate::run_name();
    let stats = Recorder::new();
    let plan = Arc::new(Plan {
        nodes: nodes.clone(),
        receipts,
        keep: args.keep,
        iterations: args.iterations as usize,
        pace: if receipts { Duration::from_millis(args.pace.into()) } else { Duration::ZERO },
        read_timeout: Duration::from_secs(args.read_timeout.into()),
        body: vec![b'm'; args.body as usize],
        stats: stats.clone(),
    });
    let (rooms, people) = people(&plan, mint, &run, users, args.room as usize)?;
    let _progress = Progress::show(line(stats.clone(), users, receipts));
    let start = Instant::now();
    let ramp_up = Duration::from_secs(args.ramp_up.into());
    let mut tasks = JoinSet::new();
    for user in people {
        let arrival = start + ramp_up.mul_f64(user.index as f64 / users as f64);
        tasks.spawn(user.run(arrival));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| format!("a user's task failed: {error}"))?;
    }
    let rows = match database {
        Some(at) => {
            Some(room::check_rows(at, args.report.flush_wait, &run, &rooms, receipts).await)
        }
        None => None,
    };
    let account = room::account(&rooms, receipts);
    Ok(RunReport {
        title: title(users, receipts, args),
        notes: notes(receipts, args, rooms.len(), account.sent, &stats),
        receipts,
        resume: false,
        reached: None,
        account,
        rows,
        stats,
    })
}

type People = (Vec<Arc<Room>>, Vec<User>);

fn people(
    plan: &Arc<Plan>,
    mint: &Mint,
    run: &str,
    users: usize,
    size: usize,
) -> Result<People, String> {
    let (mut rooms, mut people) = (Vec::new(), Vec::with_capacity(users));
    for (number, first) in (0..users).step_by(size).enumerate() {
        let members = size.min(users - first);
        let room =
            Arc::new(Room::new(run, number, members, 1, Rule::Strict).on(plan.nodes.count()));
        let gate = Arc::new(Gate::new(members, plan.iterations));
        for member in 0..members {
            let index = first + member;
            people.push(User {
                plan: Arc::clone(plan),
                room: Arc::clone(&room),
                gate: Arc::clone(&gate),
                member,
                index,
                // The last to arrive sends, so that the others are there as far as can be.
                sends: member + 1 == members,
                token: mint.token(&format!("{run}-u{index}"), &room.name)?,
                unread: Vec::new(),
            });
        }
        rooms.push(room);
    }
    Ok((rooms, people))
}

fn title(users: usize, receipts: bool, args: &args::Origin) -> String {
    let variant = if receipts { "with receipts" } else { "as written" };
    let kept = if args.keep { ", sessions kept" } else { "" };
    format!("{users} users, {variant}{kept}")
}

fn notes(
    receipts: bool,
    args: &args::Origin,
    rooms: usize,
    sent: u64,
    stats: &Recorder,
) -> Vec<String> {
    let mut notes = vec![format!(
        "{rooms} rooms of {}, one of whom sends; {} iterations; ramp-up {} s; body {} bytes; {} \
         node(s)",
        args.room,
        args.iterations,
        args.ramp_up,
        args.body,
        args.server.url.len()
    )];
    if receipts {
        let span = stats.lock().of(Step::Send).span;
        let seconds = span.map_or(0.0, |(from, to)| (to - from).as_secs_f64());
        notes.push(format!(
            "SUBSCRIBE, SEND, UNSUBSCRIBE and DISCONNECT wait for their RECEIPT; the members of a \
             room keep step; a SEND is due every {} ms a room; {:.0} SENDs/s were reached",
            args.pace,
            if seconds > 0.0 { sent as f64 / seconds } else { 0.0 },
        ));
    } else {
        notes.push(
            "nobody waits for anybody: a SUBSCRIBE still under way when its room's message is sent \
             reads as a loss here, so this table has no target"
                .to_owned(),
        );
    }
    notes.push(
        "READ is the wait of one member; DELIVERY is from SEND to the message at one receiver, \
         ACROSS the same for receivers on another node"
            .to_owned(),
    );
    notes
}

fn line(stats: Recorder, users: usize, receipts: bool) -> impl Fn() -> String {
    let variant = if receipts { "with receipts" } else { "as written" };
    move || {
        let stats = stats.lock();
        let (iterations, delivery) = (stats.of(Step::Close).micros.len(), stats.of(Step::Delivery));
        format!(
            "{users} users {variant}: {iterations} iterations done, {} deliveries, p99 {:.1} ms, \
             {} errors",
            delivery.micros.len(),
            delivery.micros.value_at_quantile(0.99) as f64 / 1000.0,
            stats.failures.total(),
        )
    }
}
