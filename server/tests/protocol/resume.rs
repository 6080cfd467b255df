//! `since`: everything after a position, once, in order; or an honest no.

use std::time::Duration;

use crate::SERVER;
use crate::support::*;

#[tokio::test]
async fn the_receipt_comes_first_then_the_replay_then_live_without_a_double() {
    const COUNT: usize = 600;
    let room = room("resume");
    let mut bob = Client::connect(&SERVER, "bob").await;
    let mut since = String::new();
    for n in 0..20 {
        let position = bob.send_room(&room, &n.to_string()).await;
        if n == 4 {
            since = position;
        }
    }
    let live = (20..COUNT).map(|n| to_room(&room, n.to_string()));
    let flood = bob.send_all(live, Duration::from_secs(20));
    let resume = async {
        let mut ann = Client::connect(&SERVER, "ann").await;
        let subscribe = frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{room}"))
            .header("since", &since)
            .header("receipt", "r");
        ann.send(subscribe).await;
        let receipt = ann.expect("RECEIPT").await;
        assert_eq!(receipt.at("recovered"), "true");
        let head: u64 = receipt.at("position").split_once('-').unwrap().1.parse().unwrap();
        assert!(head >= 19, "{head}");
        for n in 5..COUNT {
            let message = ann.expect("MESSAGE").await;
            assert_eq!(message.text(), n.to_string());
            assert!(message.at("position").ends_with(&format!("-{n}")));
        }
        ann.sync().await;
        assert_eq!(ann.kept(), []);
    };
    tokio::join!(flood, resume);
}

#[tokio::test]
async fn since_0_0_is_from_the_start() {
    let room = room("start");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let empty = ann.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    assert_eq!((empty.at("position"), empty.at("recovered")), ("0-0", "true"));
    let mut last = String::new();
    for n in 0..5 {
        last = ann.send_room(&room, &n.to_string()).await;
    }
    assert_eq!(ann.bodies(5).await, ["0", "1", "2", "3", "4"]);
    let mut bob = Client::connect(&SERVER, "bob").await;
    let receipt = bob.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    assert_eq!((receipt.at("position"), receipt.at("recovered")), (last.as_str(), "true"));
    assert_eq!(bob.bodies(5).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn since_the_head_gives_only_what_comes() {
    let room = room("head");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let head = ann.send_room(&room, "old").await;
    let receipt = ann.subscribe_room_with(&room, |frame| frame.header("since", &head)).await;
    assert_eq!((receipt.at("position"), receipt.at("recovered")), (head.as_str(), "true"));
    ann.send_room(&room, "new").await;
    assert_eq!(ann.bodies(1).await, ["new"]);
}

#[tokio::test]
async fn a_malformed_since_is_refused() {
    let room = room("malformed");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    for bad in ["", "x", "1", "1-", "-1", "1-2-3", "+1-2", "1-+2", "1-99999999999999999999", "$"] {
        let subscribe = frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{room}"))
            .header("since", bad)
            .header("receipt", "r");
        ann.send(subscribe).await;
        assert_eq!(ann.next_refusal().await.json()["code"], "bad_request", "{bad}");
    }
}

/// Positions of a room that nobody can resume from: ahead of its head, and of other epochs.
fn unknown(head: &str) -> Vec<String> {
    let (epoch, seq) = head.split_once('-').unwrap();
    let (epoch, seq): (u64, u64) = (epoch.parse().unwrap(), seq.parse().unwrap());
    vec![
        format!("{epoch}-{}", seq + 1),
        format!("{}-0", epoch + 1),
        format!("{}-0", epoch - 1),
        "1-0".into(),
        format!("{}-{}", u64::MAX, u64::MAX),
    ]
}

#[tokio::test]
async fn a_future_or_unknown_since_is_recovered_false_and_live_only() {
    let room = room("unknown");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send_room(&room, "old").await;
    let mut head = ann.send_room(&room, "older").await;
    for since in unknown(&head) {
        let mut bob = Client::connect(&SERVER, "bob").await;
        let receipt = bob.subscribe_room_with(&room, |frame| frame.header("since", &since)).await;
        assert_eq!(receipt.at("recovered"), "false", "{since}");
        assert_eq!(receipt.at("position"), head, "{since}");
        head = ann.send_room(&room, "live").await;
        let message = bob.next_message().await;
        assert_eq!((message.text(), message.at("position")), ("live", head.as_str()), "{since}");
        assert_eq!(message.get("recovered"), None);
    }
}

#[tokio::test]
async fn without_a_receipt_the_next_message_says_recovered_false_once() {
    let room = room("unsaid");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let head = ann.send_room(&room, "old").await;
    let mut bob = Client::connect(&SERVER, "bob").await;
    let subscribe = frame("SUBSCRIBE")
        .header("id", "0")
        .header("destination", format!("/topic/rooms/{room}"))
        .header("since", format!("{head}9"));
    bob.send(subscribe).await;
    bob.send_room(&room, "one").await;
    bob.send_room(&room, "two").await;
    let (one, two) = (bob.next_message().await, bob.next_message().await);
    assert_eq!((one.text(), one.get("recovered")), ("one", Some("false")));
    assert_eq!((two.text(), two.get("recovered")), ("two", None));
}

#[tokio::test]
async fn a_resume_reaches_back_behind_what_is_in_memory_and_across_a_restart() {
    const COUNT: usize = 60;
    let server = Server::with(&[("MOIM_LIMITS__HOT_LOG_KEEP", "5")]);
    let mut ann = Client::connect(&server, "ann").await;
    let mut positions = Vec::new();
    for n in 0..COUNT {
        positions.push(ann.send_room("deep", &n.to_string()).await);
    }
    let expected: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    let mut bob = Client::connect(&server, "bob").await;
    bob.subscribe_room_with("deep", |frame| frame.header("since", &positions[9])).await;
    assert_eq!(bob.bodies(COUNT - 10).await, expected[10..]);

    let server = server.restart();
    let mut bob = Client::connect(&server, "bob").await;
    let receipt =
        bob.subscribe_room_with("deep", |frame| frame.header("since", &positions[29])).await;
    assert_eq!(receipt.at("recovered"), "true");
    assert_eq!(receipt.at("position"), positions[COUNT - 1]);
    assert_eq!(bob.bodies(COUNT - 30).await, expected[30..]);
    let new = bob.send_room("deep", "new").await;
    assert!(!positions.contains(&new), "a position is used twice");
    assert_eq!(bob.bodies(1).await, ["new"]);
    let mut cho = Client::connect(&server, "cho").await;
    cho.subscribe_room_with("deep", |frame| frame.header("history", 3)).await;
    assert_eq!(cho.bodies(3).await, ["58", "59", "new"]);
    let mut dan = Client::connect(&server, "dan").await;
    let receipt =
        dan.subscribe_room_with("deep", |frame| frame.header("since", &positions[58])).await;
    assert_eq!(receipt.at("recovered"), "true");
    assert_eq!(dan.bodies(2).await, ["59", "new"]);
}
