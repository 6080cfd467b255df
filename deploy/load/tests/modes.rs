//! `moim-load rate`, `idle` and `fanout` against the small server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "also in helpers of tests")]

mod support;

use support::{Fault, Server, load, text};

const RATE: [&str; 9] =
    ["rate", "--rate", "40", "--rooms", "2", "--members", "2", "--seconds", "1"];

#[tokio::test]
async fn a_fixed_rate_is_sent_and_accounted_for() {
    let server = Server::start(Fault::None).await;
    let output = server.load(&RATE).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("40 sent, 40 acknowledged, 80 deliveries; 0 lost"), "{text}");
    assert!(text.contains("rows: 40 stored, 0 missing"), "{text}");
}

#[tokio::test]
async fn messages_that_overtake_each_other_are_disorder() {
    let server = Server::start(Fault::SwapPairs).await;
    let output = server.load(&RATE).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    // Half of the 40 come late, at two receivers each.
    assert!(text.contains("0 lost, 0 doubled, 40 out of order"), "{text}");
}

#[tokio::test]
async fn a_refusal_that_does_not_end_the_session_is_counted_by_its_code() {
    let server = Server::start(Fault::RefuseSend).await;
    let output =
        server.load(&["rate", "--max", "--rooms", "1", "--members", "1", "--seconds", "1"]);
    let output = output.await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("1 × SEND: refused: rate_limited"), "{text}");
}

#[tokio::test]
async fn the_most_durable_sends_are_found_without_a_fault() {
    let server = Server::start(Fault::None).await;
    let arguments = ["rate", "--max", "--rooms", "2", "--members", "2", "--seconds", "1"];
    let output = server.load(&[&arguments[..], &["--window", "8"]].concat()).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let line = text.lines().find(|line| line.contains("durable SENDs/s:")).unwrap();
    let number = line.split("durable SENDs/s: ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(number.parse::<u64>().unwrap() > 0, "{line}");
}

#[tokio::test]
async fn idle_sessions_stay_and_their_memory_is_told() {
    let server = Server::start(Fault::None).await;
    let own = std::process::id().to_string();
    let arguments = ["idle", "--connections", "40", "--seconds", "1", "--heart-beat", "1000,1000"];
    let output = server.load(&[&arguments[..], &["--pid", &own]].concat()).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("40 open after 1 s") && text.contains("KiB per session"), "{text}");
}

#[tokio::test]
async fn a_fan_out_is_measured_both_ways() {
    let server = Server::start(Fault::None).await;
    let own = std::process::id().to_string();
    let arguments = [
        "fanout",
        "--subscribers",
        "10",
        "--messages",
        "20",
        "--rounds",
        "3",
        "--seconds",
        "1",
        "--pid",
        &own,
    ];
    let output = server.load(&arguments).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("ratio") && text.contains("ns of CPU per send of the same"), "{text}");
    assert!(text.contains("deliveries/s") && text.contains("0 deliveries lost"), "{text}");
}

#[tokio::test]
async fn unbatched_without_a_process_says_what_to_give() {
    let server = Server::start(Fault::None).await;
    let output = server.load(&["fanout", "--measure", "unbatched"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("--pid"));
}

#[tokio::test]
async fn too_many_sends_for_the_ledger_are_refused_before_anything_runs() {
    let output =
        load(&["rate", "--secret", support::SECRET, "--rate", "200000", "--seconds", "600"]);
    let output = output.await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("SENDs"), "{}", text(&output));
}

#[tokio::test]
async fn tokens_for_jmeter_are_a_line_a_user_and_one_of_each_room_sends() {
    let output = load(&["tokens", "--secret", support::SECRET, "--users", "8"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let sends: Vec<_> = text.lines().map(|line| line.split(',').nth(2).unwrap()).collect();
    let sending: Vec<_> = (0..8).filter(|user| sends[*user] == "true").collect();
    assert_eq!((sends.len(), sending), (8, vec![5, 7]));
}

#[tokio::test]
async fn a_fan_out_that_is_refused_is_a_fault_of_the_server() {
    let server = Server::start(Fault::RefuseSecond).await;
    let arguments = ["fanout", "--measure", "saturated", "--subscribers", "3", "--seconds", "1"];
    let output = server.load(&arguments).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("ERROR not_a_member"), "{}", text(&output));
}
