//! P5: what one client may take of memory, time and rooms, whatever it sends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::*;
use crate::until;

const MIB: u64 = 1 << 20;
/// More than that is not owed to a client that is held back.
const BUDGET: u64 = 12 * MIB;

async fn session(server: &Server) -> Wire {
    let mut wire = Wire::upgraded(server).await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("passcode", token("ann"));
    wire.send(Opcode::Binary, &connect.bytes()).await;
    assert!(wire.next().await.text().starts_with("CONNECTED"));
    wire
}

/// Clock ticks that the server's process has used.
fn ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn what_a_session_has_no_time_for_stays_in_its_socket() {
    let server = Server::start();
    let before = server.rss();
    let pings = encode(Opcode::Ping, b"are you there", true, true).repeat(10_000);
    let beats = encode(Opcode::Text, b"\n", true, true).repeat(20_000);
    for flood in [pings, beats] {
        let mut wire = session(&server).await;
        for _ in 0..200 {
            if !wire.try_write(&flood, Duration::from_secs(1)).await {
                break;
            }
            let grown = server.rss().saturating_sub(before);
            assert!(grown < BUDGET, "grown by {} KiB", grown / 1024);
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_announced_too_large_is_refused_at_its_head() {
    let server = Server::start();
    let mut wire = session(&server).await;
    let mut head = vec![0x82, 0x80 | 127];
    head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    wire.write(&head).await;
    let error = wire.next().await.text();
    assert!(error.starts_with("ERROR\n") && error.contains("code:too_large"), "{error}");
    assert_eq!(wire.next().await.code(), 1002);
}

#[tokio::test]
async fn a_frame_that_is_none_costs_no_more_than_its_answer() {
    let server = Server::start();
    let mut open = Vec::new();
    let before = ticks(&server);
    for _ in 0..4 {
        let mut wire = Wire::upgraded(&server).await;
        wire.write(&[0x83, 0x80, 0, 0, 0, 0]).await;
        assert!(wire.next().await.text().starts_with("ERROR\n"));
        assert_eq!(wire.next().await.code(), 1002);
        open.push(wire);
    }
    // They stay until they are cut, which takes two seconds.
    until("they are cut", Duration::from_secs(10), || {
        server.metric("moim_connections") == Some(0.0)
    })
    .await;
    let used = ticks(&server) - before;
    assert!(used < 100, "{used} ticks of 10 ms");
}

#[tokio::test]
async fn a_stranger_leaves_no_rooms_behind() {
    let server = Server::with(&[("MOIM_LIMITS__SEND_BURST", "300")]);
    let stranger = Token::of("stranger").rooms(&[]).mint();
    let mut client = Client::connect_with(&server, "1.2", &stranger).await;
    client.subscribe_errors().await;
    for n in 0..200 {
        let destination = format!("/topic/rooms/nowhere-{n}");
        client.send(frame("SUBSCRIBE").header("id", n).header("destination", destination)).await;
        client.next_refusal().await;
    }
    until("the rooms are gone", Duration::from_secs(10), || {
        server.metric("moim_rooms") == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn many_rooms_resumed_at_once_are_not_too_much_for_one_session() {
    const ROOMS: usize = 30;
    const EACH: usize = 60;
    let server = Arc::new(Server::start());
    let mut sends = JoinSet::new();
    for number in 0..ROOMS {
        let server = server.clone();
        sends.spawn(async move {
            let mut ann = Client::connect(&server, "ann").await;
            for _ in 0..EACH {
                ann.send_room(&format!("r{number}"), &"x".repeat(5_000)).await;
            }
        });
    }
    sends.join_all().await;
    let mut phone = Client::connect(&server, "mina").await;
    for number in 0..ROOMS {
        let subscribe = frame("SUBSCRIBE").header("id", number).header("since", "0-0");
        let destination = format!("/topic/rooms/r{number}");
        phone.send(subscribe.header("destination", destination)).await;
    }
    for _ in 0..ROOMS * EACH {
        phone.next_message().await;
    }
}

#[tokio::test]
async fn a_client_that_is_held_is_not_taken_for_silent() {
    let server = Server::with(&[
        ("MOIM_LIMITS__SEND_RATE", "1"),
        ("MOIM_LIMITS__SEND_BURST", "1"),
        ("MOIM_LIMITS__SEND_DEADLINE", "10s"),
    ]);
    let mut ann = Open::new(&server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2");
    ann.send(connect.header("passcode", token("ann")).header("heart-beat", "400,0")).await;
    ann.expect("CONNECTED").await;
    for n in 0..4 {
        ann.send(to_room("held", n.to_string()).header("receipt", n)).await;
    }
    for n in 0..4 {
        ann.receipt(&n.to_string()).await;
    }
}
