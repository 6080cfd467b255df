//! P5, P9: whatever others do, a pair that behaves is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::*;

/// What every RECEIPT and every message may take, on a machine that builds beside it.
const WITHIN: Duration = Duration::from_secs(2);
/// For how long the others do what they do, and how often the pair exchanges something then.
const ROUNDS: usize = 60;

async fn connected(server: &Server, user: &str) -> Wire {
    let mut wire = Wire::with_receive_buffer(server, 4_096).await;
    assert_eq!(wire.upgrade("/ws", "").await.status, 101);
    let connect = frame("CONNECT").header("accept-version", "1.2").header("passcode", token(user));
    wire.send(Opcode::Binary, &connect.bytes()).await;
    assert!(wire.next().await.text().starts_with("CONNECTED"));
    wire
}

fn frames(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    let encoded = |frame: Frame| encode(Opcode::Binary, &frame.bytes(), true, true);
    frames.into_iter().flat_map(encoded).collect()
}

/// Sends as fast as it can, with RECEIPTs that it never reads, and comes back when it is closed.
async fn floods(server: Arc<Server>, user: &str) {
    let sends = (0..50).map(|n| to_room("theirs", "x".repeat(500)).header("receipt", n));
    let sends = frames(sends);
    loop {
        let mut wire = connected(&server, user).await;
        while wire.try_write(&sends, Duration::from_secs(1)).await {}
    }
}

/// Starts a frame and gives a byte of it now and then.
async fn dribbles(server: Arc<Server>) {
    loop {
        let mut wire = connected(&server, "dribbler").await;
        for byte in frames([to_room("theirs", "y".repeat(100))]) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !wire.try_write(&[byte], Duration::from_secs(1)).await {
                break;
            }
        }
    }
}

/// Subscribes as often as it may, to the room that is flooded, and reads nothing.
async fn subscribes(server: Arc<Server>) {
    let subscribe =
        |n| frame("SUBSCRIBE").header("id", n).header("destination", "/topic/rooms/theirs");
    let all = frames((0..256).map(subscribe));
    loop {
        let mut wire = connected(&server, "subscriber").await;
        while wire.try_write(&all, Duration::from_secs(1)).await {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Asks for all that there is, again and again, and never reads it.
async fn never_reads(server: Arc<Server>) {
    let all = frames((0..20).map(|n| {
        let subscribe = frame("SUBSCRIBE").header("id", n).header("since", "0-0");
        subscribe.header("destination", "/topic/rooms/theirs")
    }));
    loop {
        let mut wire = connected(&server, "sleeper").await;
        if wire.try_write(&all, Duration::from_secs(1)).await {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Sends what nobody understands, on every layer.
async fn talks_garbage(server: Arc<Server>) {
    let garbage: Vec<u8> =
        (0..4_096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    loop {
        let mut wire = Wire::connect(&server).await;
        wire.try_write(&garbage, Duration::from_secs(1)).await;
        let mut wire = Wire::connect(&server).await;
        if wire.upgrade("/ws", "").await.status == 101 {
            wire.try_write(&garbage, Duration::from_secs(1)).await;
        }
        let mut wire = connected(&server, "gibberish").await;
        let text = encode(Opcode::Binary, &garbage, true, true);
        wire.try_write(&text, Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_misbehave_cost_a_pair_that_behaves_nothing() {
    let server = Arc::new(Server::start());
    let mut ann = Client::connect(&server, "ann").await;
    let mut bob = Client::connect(&server, "bob").await;
    ann.subscribe_room("ours").await;
    bob.subscribe_room("ours").await;
    let mut others = JoinSet::new();
    others.spawn(floods(server.clone(), "flooder"));
    others.spawn(dribbles(server.clone()));
    others.spawn(subscribes(server.clone()));
    others.spawn(never_reads(server.clone()));
    others.spawn(talks_garbage(server.clone()));

    let mut worst = Duration::ZERO;
    for n in 0..ROUNDS {
        let began = Instant::now();
        let body = n.to_string();
        ann.send_room("ours", &body).await;
        assert_eq!(bob.bodies(1).await[0], body);
        assert_eq!(ann.bodies(1).await[0], body);
        let took = began.elapsed();
        worst = worst.max(took);
        assert!(took < WITHIN, "round {n} took {took:?}");
        assert!(others.try_join_next().is_none(), "one of the others gave up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the slowest of {ROUNDS} rounds took {worst:?}");
    others.shutdown().await;
    // Memory is bounded, whatever they asked for: 5 clients, a room, and what SQLite keeps.
    let rss = server.rss() >> 20;
    assert!(rss < 300, "{rss} MiB");
}
