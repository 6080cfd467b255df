//! Pages of messages, both ways.

use serde_json::{Value, json};

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Client, Server, Token, room, to_room};

/// The positions of all messages, in order, read in pages in one direction.
async fn all(
    ann: &Caller<'_>,
    path: &str,
    parameter: &str,
    start: &str,
    limit: usize,
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let mut from = start.to_owned();
    loop {
        let page = ann.get(&format!("{path}?limit={limit}{from}")).await.ok(200);
        assert_eq!(page["recovered"], true, "{page}");
        let messages = page["messages"].as_array().unwrap();
        assert!(messages.len() <= limit);
        let places =
            messages.iter().map(|message| message["position"].as_str().unwrap().to_owned());
        if parameter == "after" {
            seen.extend(places);
        } else {
            seen.splice(..0, places);
        }
        match &page["next"] {
            Value::Null => return seen,
            next => from = format!("&{parameter}={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test]
async fn both_ways_show_450_messages_over_restarts_without_a_hole_or_a_double() {
    // A short log, so that most of it is in the database and some of it is not.
    let mut server = Server::with(&[("MOIM_LIMITS__HOT_LOG_KEEP", "40")]);
    let token = Token::of("ann").mint();
    Caller::with(&server, &token).post("/rooms", json!({ "id": "r" })).await.ok(201);
    let mut said = Vec::new();
    for life in 0..3 {
        if life > 0 {
            server = server.restart();
        }
        let mut client = Client::connect_with(&server, "1.2", &token).await;
        let sends = (0..150).map(|n| to_room("r", "x").header("receipt", n.to_string()));
        client.send_all(sends, crate::support::DEADLINE).await;
        for n in 0..150 {
            said.push(client.receipt(&n.to_string()).await.at("position").to_owned());
        }
        let ann = Caller::with(&server, &token);
        for limit in [7, 200] {
            let path = "/rooms/r/messages";
            assert_eq!(all(&ann, path, "after", "&after=0-0", limit).await, said);
            assert_eq!(all(&ann, path, "before", "", limit).await, said);
            let middle = &said[said.len() / 2];
            let (older, newer) = (format!("&before={middle}"), format!("&after={middle}"));
            assert_eq!(all(&ann, path, "before", &older, limit).await, said[..said.len() / 2]);
            assert_eq!(all(&ann, path, "after", &newer, limit).await, said[said.len() / 2 + 1..]);
        }
    }
    // With nothing of it in memory.
    let server = server.restart();
    let ann = Caller::with(&server, &token);
    assert_eq!(all(&ann, "/rooms/r/messages", "before", "", 100).await, said);
    assert_eq!(all(&ann, "/rooms/r/messages", "after", "&after=0-0", 100).await, said);
}

#[tokio::test]
async fn who_reads_while_others_speak_misses_nothing_either_way() {
    const COUNT: usize = 600;
    let server = Server::with(&[("MOIM_LIMITS__HOT_LOG_KEEP", "20")]);
    let (ann, path) = (Caller::of(&server, "ann"), "/rooms/r/messages");
    ann.post("/rooms", json!({ "id": "r" })).await.ok(201);
    let mut client = Client::connect_with(&server, "1.2", &Token::of("ann").mint()).await;
    let speak = async {
        // In small parts, so that the log grows and is trimmed between the pages.
        for part in 0..COUNT / 20 {
            let names = (part * 20..).take(20).map(|n| n.to_string());
            let names: Vec<_> = names.collect();
            let sends = names.iter().map(|name| to_room("r", "x").header("receipt", name));
            client.send_all(sends, crate::support::DEADLINE).await;
            for name in &names {
                client.receipt(name).await;
            }
        }
    };
    let forth = async {
        let (mut seen, mut after) = (0, "0-0".to_owned());
        while seen < COUNT {
            let page = ann.get(&format!("{path}?limit=30&after={after}")).await.ok(200);
            for message in page["messages"].as_array().unwrap() {
                after = message["position"].as_str().unwrap().to_owned();
                assert_eq!(number(&after), seen);
                seen += 1;
            }
        }
    };
    let back = async {
        let mut seen = Vec::new();
        while seen.len() < COUNT {
            seen = all(&ann, path, "before", "", 30).await;
            let numbers: Vec<_> = seen.iter().map(|place| number(place)).collect();
            assert_eq!(numbers, (0..seen.len()).collect::<Vec<_>>());
        }
    };
    tokio::join!(speak, forth, back);
}

/// Which message of its epoch a position is.
fn number(position: &str) -> usize {
    position.split_once('-').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn the_latest_come_when_nothing_is_said_and_ends_are_told() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("latest"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let path = format!("/rooms/{id}/messages");
    let empty = ann.get(&path).await.ok(200);
    assert_eq!(empty, json!({ "messages": [], "next": null, "recovered": true }));
    let mut said = Vec::new();
    for n in 0..60 {
        let stored = ann.post(&path, json!({ "body": n.to_string() })).await.ok(201);
        said.push(stored["position"].as_str().unwrap().to_owned());
    }
    let page = ann.get(&path).await.ok(200);
    assert_eq!(page["messages"].as_array().unwrap().len(), 50, "when nobody says how many");
    assert_eq!(page["messages"][49]["body"], "59");
    assert_eq!(page["next"], page["messages"][0]["position"]);
    let whole = ann.get(&format!("{path}?limit=60")).await.ok(200);
    assert_eq!(whole["next"], Value::Null, "exactly all of them");
    let forth = ann.get(&format!("{path}?after=0-0&limit=60")).await.ok(200);
    assert_eq!(forth["next"], Value::Null);
    let last = &said[59];
    let none = ann.get(&format!("{path}?after={last}")).await.ok(200);
    assert_eq!(none, json!({ "messages": [], "next": null, "recovered": true }));
    let first = ann.get(&format!("{path}?before={}", said[0])).await.ok(200);
    assert_eq!(first, json!({ "messages": [], "next": null, "recovered": true }));
}

#[tokio::test]
async fn what_cannot_be_accounted_for_is_told() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("unknown"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let path = format!("/rooms/{id}/messages");
    let stored = ann.post(&path, json!({ "body": "x" })).await.ok(201);
    let page = ann.get(&format!("{path}?after=5-7")).await.ok(200);
    assert_eq!(
        (&page["recovered"], page["messages"].as_array().unwrap().len()),
        (&json!(false), 1)
    );
    let far = format!("{}-0", u64::MAX);
    let future = ann.get(&format!("{path}?after={far}")).await.ok(200);
    assert_eq!(future, json!({ "messages": [], "next": null, "recovered": false }));
    let before = ann.get(&format!("{path}?before={far}")).await.ok(200);
    assert_eq!(before["messages"][0]["position"], stored["position"]);
}

#[tokio::test]
async fn a_page_is_bounded_by_bytes_too() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("large"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let path = format!("/rooms/{id}/messages");
    let mut said = Vec::new();
    for _ in 0..8 {
        let stored = ann.post(&path, json!({ "body": "x".repeat(400_000) })).await.ok(201);
        said.push(stored["position"].as_str().unwrap().to_owned());
    }
    for (parameter, start) in [("before", ""), ("after", "&after=0-0")] {
        let page = ann.get(&format!("{path}?limit=200{start}")).await.ok(200);
        assert!(page["messages"].as_array().unwrap().len() <= 3, "about 1 MiB");
        assert_eq!(all(&ann, &path, parameter, start, 200).await, said);
    }
}

#[tokio::test]
async fn a_page_that_nobody_can_ask_for_is_refused() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("asked"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    for bad in [
        "before=1-1&after=1-1",
        "before=",
        "after=x",
        "after=1",
        "after=-1-1",
        "after=99999999999999999999-0",
        "after=1-1%00",
        "limit=0",
        "limit=201",
        "limit=1e9",
        "limit=99999999999999999999999",
        "limit=1&limit=2",
        "since=1-1",
    ] {
        ann.get(&format!("/rooms/{id}/messages?{bad}")).await.refused(400, "bad_request");
    }
}
