//! `moim-load idle`: opens sessions that only stay, answers heart-beats, and tells what each costs
//! the server in resident memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

use crate::Verdict;
use crate::args;
use crate::client::{ANSWER, Session};
use crate::failure::{Failure, Tally};
use crate::nodes::Nodes;
use crate::progress::Progress;
use crate::system;

struct Shared {
    nodes: Nodes,
    heart_beat: String,
    opening: Semaphore,
    settled: Semaphore,
    open: AtomicU64,
    over: watch::Receiver<bool>,
}

/// Runs the test.
pub async fn run(args: args::Idle) -> Result<Verdict, String> {
    let mint = args.server.mint()?;
    let connections = args.connections as usize;
    system::allow_files(connections)?;
    let before = system::resident_all(&args.pid)?;
    let run = crate::run_name();
    let (end, over) = watch::channel(false);
    let shared = Arc::new(Shared {
        nodes: args.server.nodes()?,
        heart_beat: args.heart_beat.clone(),
        opening: Semaphore::new(args.at_once as usize),
        settled: Semaphore::new(0),
        open: AtomicU64::new(0),
        over,
    });
    let _progress = Progress::show({
        let shared = Arc::clone(&shared);
        move || format!("{} sessions open", shared.open.load(Ordering::Relaxed))
    });
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for index in 0..connections {
        let (number, member) = (index / args.room as usize, index % args.room as usize);
        let room = format!("{run}-{number}");
        let place = Nodes::place(number, member);
        let token = mint.token(&format!("{run}-u{index}"), &room)?;
        tasks.spawn(stay(Arc::clone(&shared), index, place, token, room));
    }
    let _all = shared.settled.acquire_many(args.connections).await;
    let opened = shared.open.load(Ordering::Relaxed);
    let took = began.elapsed();
    let at_open = system::resident_all(&args.pid)?;
    sleep(Duration::from_secs(args.seconds.into())).await;
    let still = shared.open.load(Ordering::Relaxed);
    let after = system::resident_all(&args.pid)?;
    end.send_replace(true);
    let mut failures = Tally::default();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(|error| format!("a session's task failed: {error}"))?;
        if let Err((step, failure)) = ended {
            failures.add(step, &failure);
        }
    }
    println!("\n{connections} idle sessions, heart-beat {}", args.heart_beat);
    println!(
        "  {opened} opened in {:.1} s; {still} open after {} s",
        took.as_secs_f64(),
        args.seconds
    );
    if let (Some(before), Some(at_open), Some(after)) = (before, at_open, after) {
        println!("  resident memory of the server: {}", memory(before, at_open, after, still));
    }
    for (kind, count) in failures.iter() {
        println!("  refused: {count} × {kind}");
    }
    Ok(Verdict::of(failures.total() == 0 && still == u64::from(args.connections)))
}

fn memory(before: u64, at_open: u64, after: u64, sessions: u64) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = after.saturating_sub(before) as f64 / sessions.max(1) as f64 / 1024.0;
    format!(
        "{:.1} MiB before, {:.1} MiB when all were open, {:.1} MiB after; {each:.1} KiB per session",
        mib(before),
        mib(at_open),
        mib(after)
    )
}

type Ended = Result<(), (&'static str, Failure)>;

async fn stay(
    shared: Arc<Shared>,
    index: usize,
    place: usize,
    token: String,
    room: String,
) -> Ended {
    let entered = {
        let _turn = shared.opening.acquire().await;
        enter(&shared, index, place, &token, &room).await
    };
    if entered.is_ok() {
        shared.open.fetch_add(1, Ordering::Relaxed);
    }
    shared.settled.add_permits(1);
    drop((token, room));
    let (mut session, beat) = entered?;
    let held = hold(&shared, &mut session, beat).await;
    shared.open.fetch_sub(1, Ordering::Relaxed);
    held.map_err(|failure| ("HOLD", failure))?;
    session.close(|_frame| ()).await.map_err(|failure| ("CLOSE", failure))
}

async fn enter(
    shared: &Shared,
    index: usize,
    place: usize,
    token: &str,
    room: &str,
) -> Result<(Session, Option<Duration>), (&'static str, Failure)> {
    let target = shared.nodes.at(place);
    let mut session = Session::open(target, index).await.map_err(|failure| ("OPEN", failure))?;
    let connected =
        session.connect(token, &shared.heart_beat).await.map_err(|failure| ("CONNECT", failure))?;
    let theirs = connected.header("heart-beat").unwrap_or_default();
    let beat = agreed(&shared.heart_beat, &theirs);
    let topic = format!("/topic/rooms/{room}");
    let headers = [("id", "0"), ("destination", topic.as_str()), ("receipt", "0")];
    session.send("SUBSCRIBE", &headers, b"").map_err(|failure| ("SUBSCRIBE", failure))?;
    session
        .until(ANSWER, "RECEIPT", |frame| (frame.command() == b"RECEIPT").then_some(()))
        .await
        .map_err(|failure| ("SUBSCRIBE", failure))?;
    Ok((session, beat))
}

/// How often we beat: STOMP 1.2, "Heart-beating": the larger of what we can and they want.
fn agreed(ours: &str, theirs: &str) -> Option<Duration> {
    let can = ours.split(',').next().and_then(|ms| ms.parse::<u64>().ok())?;
    let want = theirs.split(',').nth(1).and_then(|ms| ms.parse::<u64>().ok())?;
    // A little early, so that a busy machine is not a dead client.
    (can > 0 && want > 0).then(|| Duration::from_millis(can.max(want)).mul_f64(0.9))
}

async fn hold(
    shared: &Shared,
    session: &mut Session,
    beat: Option<Duration>,
) -> Result<(), Failure> {
    let mut over = shared.over.clone();
    let mut clock = beat.map(|every| interval_at(Instant::now() + every, every));
    loop {
        let tick = async {
            match clock.as_mut() {
                Some(clock) => clock.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            frame = session.next() => drop(frame?),
            _ = tick => session.beat()?,
            _ = over.wait_for(|over| *over) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_interval_of_the_two_is_kept() {
        assert_eq!(agreed("1000,0", "0,2000"), Some(Duration::from_millis(1800)));
        assert_eq!(agreed("1000,0", "0,0"), None);
        assert_eq!(agreed("0,1000", "1000,1000"), None);
        assert_eq!(agreed("0,0", ""), None);
    }
}
