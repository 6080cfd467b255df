//! P1: a RECEIPT comes after the commit, and so does the delivery; without a commit there is an
//! honest answer, and the node serves again by itself.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use crate::support::*;
use crate::table::{Other, Row, Table, assert_dense};
use crate::until;

fn named(room: &str, n: usize) -> Frame {
    to_room(room, format!("message {n}")).header("origin-id", n).header("receipt", n)
}

fn status(server: &Server) -> String {
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200, "a node whose database is away keeps its links: {ready:?}");
    ready.json()["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn while_the_database_is_held_there_is_no_receipt_and_no_delivery() {
    const COUNT: usize = 20;
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    let mut bob = Client::connect(&server, "bob").await;
    ann.send_room("room", "before").await;
    bob.subscribe_room("room").await;

    let mut other = Other::open(&server.database());
    other.hold();
    for n in 0..COUNT {
        ann.send(named("room", n)).await;
    }
    let quiet = Duration::from_millis(700);
    let (ann_quiet, bob_quiet) = tokio::join!(ann.silent_for(quiet), bob.silent_for(quiet));
    assert!(ann_quiet, "a RECEIPT before the commit");
    assert!(bob_quiet, "a delivery before the commit");
    other.release();

    for n in 0..COUNT {
        let position = ann.receipt(&n.to_string()).await.at("position").to_owned();
        let message = bob.next_message().await;
        assert_eq!(
            (message.text(), message.at("position")),
            (&*format!("message {n}"), &*position)
        );
    }
    bob.sync().await;
    assert_eq!(bob.kept(), []);
}

#[tokio::test]
async fn held_beyond_the_deadline_sends_are_refused_with_a_hint_and_the_node_comes_back() {
    const COUNT: usize = 10;
    let server = Server::with(&[("MOIM_LIMITS__SEND_DEADLINE", "500ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut cho = Client::connect(&server, "cho").await;
    ann.subscribe_errors().await;
    ann.send_room("room", "before").await;
    bob.send_room("room", "before too").await;
    cho.subscribe_room("room").await;

    let mut other = Other::open(&server.database());
    other.hold();
    for n in 0..COUNT {
        ann.send(named("room", n)).await;
    }
    bob.send(named("room", 0)).await;
    let mut refused = BTreeSet::new();
    for _ in 0..COUNT {
        let refusal = ann.next_refusal().await;
        refused.insert(refusal.at("receipt-id").parse::<usize>().unwrap());
        let body = refusal.json();
        assert!(["unavailable", "busy"].contains(&body["code"].as_str().unwrap()), "{body}");
        assert!(body["retryAfterMs"].as_u64().unwrap() > 0, "{body}");
    }
    assert_eq!(refused, (0..COUNT).collect());
    let error = bob.expect_error().await;
    assert_eq!((error.at("receipt-id"), error.at("code")), ("0", "unavailable"));
    assert!(error.at("retry-after-ms").parse::<u64>().unwrap() > 0);
    until("degraded", Duration::from_secs(10), || status(&server) == "degraded").await;
    // A new user is not let in without the database either, and is told so.
    let mut dan = Client::connect(&server, "dan").await;
    dan.subscribe_errors().await;
    dan.send(named("room", 0)).await;
    assert_eq!(dan.next_refusal().await.json()["code"], "unavailable");
    other.release();

    until("healthy again", Duration::from_secs(10), || status(&server) == "ok").await;
    let mut bob = Client::connect(&server, "bob").await;
    for n in 0..COUNT {
        ann.send(named("room", n)).await;
    }
    bob.send(named("room", 0)).await;
    let mut stored = Vec::new();
    for n in 0..COUNT {
        stored.push(ann.receipt(&n.to_string()).await.at("position").to_owned());
    }
    bob.receipt("0").await;
    let mut seen = Vec::new();
    for _ in 0..=COUNT {
        seen.push(Row::of(&cho.next_message().await));
    }
    cho.sync().await;
    assert_eq!(cho.kept(), [], "each once, however often it was sent");
    let of_ann: Vec<_> = seen.iter().filter(|row| row.sender == "ann").collect();
    for (n, row) in of_ann.iter().enumerate() {
        assert_eq!(
            (row.body.clone(), row.position.to_string()),
            (format!("message {n}"), stored[n].clone())
        );
    }
    assert_eq!(of_ann.len(), COUNT);
}

#[tokio::test]
async fn what_waits_for_a_held_database_is_bounded_and_held_not_refused() {
    const COUNT: usize = 1_500;
    const LENGTH: usize = 20_000;
    const BOUND: f64 = (8 << 20) as f64;
    let server = Server::with(&[("MOIM_LIMITS__SEND_DEADLINE", "30s")]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.send_room("room", "before").await;
    let mut other = Other::open(&server.database());
    other.hold();
    let body = "x".repeat(LENGTH);
    let before = server.rss();
    // 30 MB, of which the node takes 8 MiB for one room; the rest stays where it comes from.
    let sends = (0..COUNT).map(|n| to_room("room", &body).header("receipt", n));
    let sending = ann.send_all(sends, Duration::from_secs(30));
    let pending = || server.metric("moim_pending_bytes").unwrap();
    let releasing = async {
        until("as much waits as may", Duration::from_secs(10), || {
            let waits = pending();
            assert!(waits <= BOUND, "{waits}");
            waits > BOUND * 0.99
        })
        .await;
        for _ in 0..20 {
            assert!(pending() <= BOUND);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let grown = server.rss().saturating_sub(before);
        assert!(grown < 20 << 20, "grown by {} KiB", grown / 1024);
        other.release();
    };
    tokio::join!(sending, releasing);
    for n in 0..COUNT {
        ann.receipt(&n.to_string()).await;
    }
    assert_eq!(pending(), 0.0);
}

fn limit_files(server: &Server, bytes: &str) {
    let pid = server.pid().to_string();
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
    assert!(limit.status().expect("prlimit, of util-linux").success());
}

#[tokio::test]
async fn a_full_disk_refuses_sends_acknowledges_nothing_that_is_not_stored_and_passes() {
    let server = Server::with_limited_files(&[("MOIM_LIMITS__SEND_DEADLINE", "700ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    let mut bob = Client::connect(&server, "bob").await;
    ann.subscribe_errors().await;
    bob.subscribe_room("room").await;
    let body = |n: usize| format!("{n} {}", "x".repeat(4_000));
    let send = |n: usize| to_room("room", body(n)).header("origin-id", n).header("receipt", n);
    ann.send(send(0)).await;
    ann.receipt("0").await;
    limit_files(&server, "1000000");

    let mut stored = 1;
    let refusal = loop {
        assert!(stored < 2_000, "the limit does not hold");
        ann.send(send(stored)).await;
        let answer = ann.next_frame().await;
        match answer.command.as_str() {
            "RECEIPT" => stored += 1,
            _ => break answer,
        }
    };
    let refused = refusal.json();
    assert_eq!(refused["code"], "unavailable");
    assert!(refused["retryAfterMs"].as_u64().unwrap() > 0, "{refused}");
    until("degraded", Duration::from_secs(10), || status(&server) == "degraded").await;
    let told = server.get("/readyz").body;
    assert!(told.contains("moim.db"), "an operator is told which file: {told}");
    // What was acknowledged was delivered, and nothing else.
    for n in 0..stored {
        assert_eq!(bob.next_message().await.text(), body(n));
    }
    bob.sync().await;
    assert_eq!(bob.kept(), []);

    limit_files(&server, "unlimited");
    until("healthy again", Duration::from_secs(10), || status(&server) == "ok").await;
    ann.send(send(stored)).await;
    ann.receipt(&stored.to_string()).await;
    assert_eq!(bob.next_message().await.text(), body(stored));
    assert_eq!(server.terminate(), Some(0));
    let rows = Table::open(&server.database()).rows("room").await;
    assert_dense(&rows);
    let bodies: Vec<_> = rows.into_iter().map(|row| row.body).collect();
    assert_eq!(bodies, (0..=stored).map(body).collect::<Vec<_>>());
}
