//! P5: what is not a message hurts nobody either: cursors while the database is held, people who
//! type without end, topic readers that stop.

use std::time::{Duration, Instant};

use crate::support::*;
use crate::table::Other;
use crate::until;

#[tokio::test]
async fn a_cursor_that_the_database_does_not_take_holds_nothing_else_up() {
    let server = Server::start();
    let mut ann = Open::new(&server).open().await;
    let connect = frame("CONNECT")
        .header("accept-version", "1.2")
        .header("heart-beat", "100,0")
        .header("Authorization", format!("Bearer {}", token("ann")));
    ann.send(connect).await;
    ann.expect("CONNECTED").await;
    let position = ann.send_room("room", "x").await;
    ann.subscribe("t", "/topic/t").await;
    let mut other = Other::open(&server.database());
    other.hold();
    let read = frame("SEND")
        .header("destination", "/app/rooms/room/read")
        .header("receipt", "read")
        .body(format!("{{\"position\":\"{position}\"}}"));
    ann.send(read).await;
    // Longer than two and a half of its heart-beats: it is heard, and its frames are handled.
    let start = Instant::now();
    for n in 0.. {
        if start.elapsed() > Duration::from_millis(500) {
            break;
        }
        ann.send(frame("SEND").header("destination", "/topic/t").body(n.to_string())).await;
        assert_eq!(ann.bodies(1).await, [n.to_string()]);
        ann.sync().await;
    }
    assert!(ann.kept().is_empty(), "it is not moved yet");
    other.release();
    ann.receipt("read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_types_and_scrolls_without_end_is_told_of_now_and_then() {
    let server = Server::start();
    let mut watcher = Client::connect(&server, "bob").await;
    watcher.subscribe("e", "/topic/rooms/room/events").await;
    let mut troll = Client::connect(&server, "troll").await;
    let position = troll.send_room("room", "x").await;
    let frames = (0..1_000).map(|n| {
        let (what, body) = match n % 2 {
            0 => ("typing", format!("{{\"typing\":{}}}", n % 4 == 0)),
            _ => ("read", format!("{{\"position\":\"{position}\"}}")),
        };
        frame("SEND").header("destination", format!("/app/rooms/room/{what}")).body(body)
    });
    troll.send_all(frames, Duration::from_secs(10)).await;
    troll.sync().await;
    // What was told by now was told in front of this.
    let mut last = Client::connect(&server, "last").await;
    last.subscribe_room("room").await;
    let came = |frame: &Frame| frame.text().contains("\"arrived\":[{\"user\":\"last\"}]");
    watcher.wait_for(came).await;
    let told = watcher.kept().len();
    assert!(told < 30, "{told} events for a thousand frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_reader_that_stops_is_dropped_and_the_others_read_on() {
    const COUNT: usize = 300;
    let server = Server::start();
    let mut wire = Wire::with_receive_buffer(&server, 4 * 1024).await;
    assert_eq!(wire.upgrade("/ws", "").await.status, 101);
    let connect = frame("CONNECT")
        .header("accept-version", "1.2")
        .header("Authorization", format!("Bearer {}", token("stopped")));
    wire.send(Opcode::Text, &connect.bytes()).await;
    let subscribed = frame("SUBSCRIBE").header("id", "s").header("destination", "/topic/t");
    wire.send(Opcode::Text, &subscribed.header("receipt", "in").bytes()).await;
    wire.next().await;
    wire.next().await;
    let mut reader = Client::connect(&server, "ann").await;
    reader.subscribe("r", "/topic/t").await;
    let mut sender = Client::connect(&server, "bob").await;
    let body = "x".repeat(60_000);
    for n in 0..COUNT {
        let send = frame("SEND").header("destination", "/topic/t").body(format!("{n} {body}"));
        sender.send(send).await;
        let came = reader.next_message().await;
        assert!(came.text().starts_with(&format!("{n} ")));
    }
    let dropped = || server.log.text().contains("does not read and is closed");
    until("the stopped one is dropped", Duration::from_secs(10), dropped).await;
}
