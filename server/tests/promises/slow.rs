//! P5: a reader that stops hurts nobody. It is dropped at a bound, and resumes without a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::position::Position;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::reader::{Reader, numbered};
use crate::support::*;
use crate::until;

const MIB: u64 = 1 << 20;

/// Sends numbered messages, with a few under way, and gives back the position of the last.
async fn send(
    ann: &mut Client,
    room: &str,
    numbers: std::ops::Range<usize>,
    length: usize,
) -> Position {
    let last = numbers.end - 1;
    for n in numbers.clone() {
        ann.send(to_room(room, numbered(n, length)).header("receipt", n)).await;
    }
    let mut position = None;
    for n in numbers {
        position = Some(ann.receipt(&n.to_string()).await.at("position").parse().unwrap());
    }
    position.unwrap_or_else(|| panic!("nothing sent up to {last}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stops_reading_among_sixty_costs_a_bound_and_resumes_without_a_gap() {
    const READERS: usize = 59;
    const LENGTH: usize = 60_000;
    const COUNT: usize = 512;
    /// 480 kB, so that nobody who reads comes near the bound.
    const BURST: usize = 8;
    /// One outbox (4 MiB), and what else moves meanwhile: a burst in 59 outboxes and sockets'
    /// buffers of 64 KiB each, batches, pages of SQLite's caches. The messages are 30 MB.
    const BUDGET: u64 = 4 * MIB + 16 * MIB;

    let server = Arc::new(Server::start());
    let mut ann = Client::connect(&server, "ann").await;
    // Caches and the hot logs' memory fill up first.
    for burst in 0..COUNT / BURST {
        send(&mut ann, "warm", burst * BURST..(burst + 1) * BURST, LENGTH).await;
    }
    let mut stopped = Reader::subscribe(&server, "stopped", "room", Position::ZERO, 0).await;
    let mut progress = Vec::new();
    let mut readers = Vec::new();
    for n in 0..READERS {
        let user = format!("reader-{n}");
        let mut reader = Reader::subscribe(&server, &user, "room", Position::ZERO, 0).await;
        let (tell, told) = watch::channel(0);
        progress.push(told);
        readers.push(tokio::spawn(async move {
            while reader.next < COUNT {
                let more = reader.read(MIB as usize).await;
                assert!(
                    more && reader.close.is_none(),
                    "{user} ended at {}: {:?}",
                    reader.next,
                    reader.close
                );
                tell.send_replace(reader.next);
            }
            reader
        }));
    }
    let before = server.rss();
    let mut most = before;
    let mut slowest = Duration::ZERO;
    let mut last = Position::ZERO;
    for burst in 0..COUNT / BURST {
        let began = Instant::now();
        let upto = (burst + 1) * BURST;
        last = send(&mut ann, "room", burst * BURST..upto, LENGTH).await;
        for told in &mut progress {
            let there = timeout(DEADLINE, told.wait_for(|next| *next >= upto)).await;
            there.expect("a reader that reads waits").expect("a reader ended");
        }
        slowest = slowest.max(began.elapsed());
        most = most.max(server.rss());
    }
    let grown = most - before;
    println!(
        "slowest burst {slowest:?}, {} MiB before, grown by {} KiB",
        before / MIB,
        grown / 1024
    );
    assert!(grown < BUDGET, "grown by {} KiB", grown / 1024);
    for reader in readers {
        assert_eq!(reader.await.unwrap().last, last);
    }

    // It is told, and if it does not hear, cut: itself and the 59 are no longer there then.
    until("the stopped one is cut", Duration::from_secs(10), || {
        server.metric("moim_connections") == Some(1.0)
    })
    .await;
    stopped.read_to_end().await;
    assert!(stopped.next < COUNT, "it was to miss something");
    let (since, next) = (stopped.last, stopped.next);
    let mut back = Reader::subscribe(&server, "stopped", "room", since, next).await;
    back.read_up_to(COUNT - 1).await;
    assert_eq!(back.last, last);
}

#[tokio::test]
async fn one_that_stops_reading_is_told_4008_by_age_alone_and_resumes() {
    const LENGTH: usize = 2_500;
    // What the kernel does not hold, and far below the bound in bytes.
    const COUNT: usize = 500;
    let server = Server::with(&[("MOIM_LIMITS__OUTBOX_AGE", "500ms")]);
    let mut stopped = Reader::subscribe(&server, "stopped", "room", Position::ZERO, 0).await;
    let mut good = Reader::subscribe(&server, "good", "room", Position::ZERO, 0).await;
    let mut ann = Client::connect(&server, "ann").await;
    let sending = async { send(&mut ann, "room", 0..COUNT, LENGTH).await };
    let (last, ()) = tokio::join!(sending, good.read_up_to(COUNT - 1));
    until("the reader is found to be slow", Duration::from_secs(5), || {
        server.metric("moim_drops_total{reason=\"too_slow\"}") == Some(1.0)
    })
    .await;
    stopped.read_to_end().await;
    assert_eq!(stopped.close, Some(4008));
    assert!(stopped.next < COUNT);
    let mut back = Reader::subscribe(&server, "stopped", "room", stopped.last, stopped.next).await;
    back.read_up_to(COUNT - 1).await;
    assert_eq!(back.last, last);
    send(&mut ann, "room", COUNT..COUNT + 1, LENGTH).await;
    back.read_up_to(COUNT).await;
    good.read_up_to(COUNT).await;
}

#[tokio::test]
async fn one_that_reads_slowly_but_steadily_below_the_bounds_is_not_closed() {
    const LENGTH: usize = 8_000;
    const COUNT: usize = 400;
    /// Sent and not yet read: what the sockets do not hold of it waits in the outbox.
    const AHEAD: usize = 1_000_000;
    /// 500 kB/s: what waits in the outbox is 1.3 s old at most.
    const PACE: (usize, Duration) = (10_000, Duration::from_millis(20));
    let server = Server::with(&[("MOIM_LIMITS__OUTBOX_AGE", "2s")]);
    let mut slow = Reader::subscribe(&server, "slow", "room", Position::ZERO, 0).await;
    let mut ann = Client::connect(&server, "ann").await;
    let (tell, mut told) = watch::channel(0);
    let sending = async {
        for n in 0..COUNT {
            let ready = told.wait_for(|read| (n + 1) * LENGTH < read + AHEAD);
            timeout(DEADLINE, ready).await.expect("it stopped reading").unwrap();
            send(&mut ann, "room", n..n + 1, LENGTH).await;
        }
    };
    let reading = async {
        let mut pace = interval(PACE.1);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while slow.next < COUNT {
            pace.tick().await;
            let more = timeout(DEADLINE, slow.read(PACE.0)).await.expect("nothing comes");
            assert!(more && slow.close.is_none(), "closed at {}: {:?}", slow.next, slow.close);
            tell.send_replace(slow.bytes);
        }
    };
    tokio::join!(sending, reading);
}
