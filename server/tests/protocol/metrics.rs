//! `/metrics` says what clients saw.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::*;

/// Refusals by their code, without those that never were.
fn refusals(server: &Server) -> BTreeMap<String, u64> {
    let text = server.get("/metrics").body;
    let refusal = |line: &str| {
        let (reason, count) =
            line.strip_prefix("moim_refusals_total{reason=\"")?.split_once("\"} ")?;
        Some((reason.to_owned(), count.parse().unwrap()))
    };
    text.lines().filter_map(refusal).filter(|(_, count)| *count > 0).collect()
}

/// What clients were told.
#[derive(Default)]
struct Told(BTreeMap<String, u64>);

impl Told {
    fn add(&mut self, code: &str) {
        *self.0.entry(code.to_owned()).or_default() += 1;
    }

    /// A frame that is refused so often, once for itself and once for each that hangs on it.
    async fn by(&mut self, client: &mut Client, frame: Frame, times: usize) {
        client.send(frame).await;
        for _ in 0..times {
            self.add(client.next_refusal().await.json()["code"].as_str().unwrap());
        }
    }

    fn with(&mut self, answer: &Answer) -> String {
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        self.add(&code);
        code
    }
}

#[tokio::test]
async fn each_refusal_that_a_client_is_told_counts_once() {
    let server =
        Server::with(&[("MOIM_LIMITS__SEND_RATE", "1"), ("MOIM_LIMITS__SEND_BURST", "30")]);
    let token = Token::of("ann").rooms(&["here"]).mint();
    let mut ann = Client::connect_with(&server, "1.2", &token).await;
    ann.subscribe_errors().await;
    ann.subscribe_room("here").await;
    ann.send_room("here", "x").await;
    let mut told = Told::default();

    let subscribe =
        |to: &str| frame("SUBSCRIBE").header("id", format!("to {to}")).header("destination", to);
    for to in ["/topic/rooms/a", "/topic/rooms/b", "/topic/rooms/c/events", "/nowhere"] {
        told.by(&mut ann, subscribe(to), 1).await;
    }
    let send = |to: &str, body: &str| frame("SEND").header("destination", to).body(body);
    for (to, body) in [
        ("/app/rooms/there", "x"),
        ("/app/rooms/there", "y"),
        ("/app/rooms/there/typing", ""),
        ("/app/rooms/here/typing", "{"),
        ("/app/rooms/there/read", r#"{"position":"1-1"}"#),
        ("/app/presence", "?"),
        ("/nowhere", "x"),
    ] {
        told.by(&mut ann, send(to, body), 1).await;
    }
    // A part of a transaction is told itself, and so is the COMMIT that asked for a RECEIPT.
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    ann.send(to_room("here", "x").header("transaction", "t")).await;
    ann.send(to_room("there", "x").header("transaction", "t")).await;
    told.by(&mut ann, frame("COMMIT").header("transaction", "t").header("receipt", "t"), 2).await;
    assert_eq!(ann.bodies(2).await, ["x", "x"]);

    let post = |room: &str| {
        let ask = server.ask(&format!("POST /api/v1/rooms/{room}/messages")).token(&token);
        ask.json(&serde_json::json!({ "body": "x" })).answer()
    };
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| code != "rate_limited") {
        codes.push(told.with(&post("there")));
    }
    assert!(codes.len() > 1, "{codes:?}");
    // One that the room refuses.
    let rooms = server.ask("POST /api/v1/rooms").token(&Token::of("bob").mint());
    rooms.json(&serde_json::json!({ "id": "made", "visibility": "public" })).expect(201);
    let named = |body: &str| {
        let ask = server.ask("POST /api/v1/rooms/made/messages").token(&Token::of("bob").mint());
        ask.header("Idempotency-Key", "one").json(&serde_json::json!({ "body": body })).answer()
    };
    named("x").ok(201);
    assert_eq!(told.with(&named("y")), "name_reused");
    told.with(&server.ask("POST /api/v1/rooms/here/messages").answer());
    told.with(&server.ask("PATCH /api/v1/rooms").token(&token).answer());
    told.with(&server.get("/nowhere"));
    told.with(&server.get("/ws"));
    told.with(&Wire::connect(&server).await.upgrade("/ws/other", "").await);

    // One that ends the session is told as well, and one that nobody hears is not.
    ann.send(frame("SUBSCRIBE").header("destination", "/topic/rooms/here")).await;
    ann.send(to_room("there", "x")).await;
    told.add(ann.expect_error().await.at("code"));
    assert_eq!(refusals(&server), told.0);
}

#[tokio::test]
async fn subscriptions_are_those_that_were_not_refused_and_have_not_ended() {
    let server = Server::start();
    let token = Token::of("ann").rooms(&["room"]).mint();
    let mut ann = Client::connect_with(&server, "1.2", &token).await;
    ann.subscribe_errors().await;
    ann.subscribe_room("room").await;
    ann.subscribe("topic", "/topic/open").await;
    assert_eq!(server.metric("moim_subscriptions").unwrap(), 3.0);
    let other = frame("SUBSCRIBE").header("id", "other");
    ann.send(other.header("destination", "/topic/rooms/other")).await;
    ann.next_refusal().await;
    assert_eq!(server.metric("moim_subscriptions").unwrap(), 3.0);
    ann.send(frame("UNSUBSCRIBE").header("id", "topic")).await;
    ann.sync().await;
    assert_eq!(server.metric("moim_subscriptions").unwrap(), 2.0);
    ann.close().await;
    let gone = Instant::now() + DEADLINE;
    while server.metric("moim_subscriptions").unwrap() != 0.0 {
        assert!(Instant::now() < gone, "a session that has ended is counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_time_of_a_send_has_that_for_which_it_was_held() {
    let server = Server::with(&[("MOIM_LIMITS__SEND_RATE", "4"), ("MOIM_LIMITS__SEND_BURST", "1")]);
    let mut ann = Client::connect(&server, "ann").await;
    for n in 0..4 {
        ann.send(to_room("room", "x").header("receipt", n)).await;
    }
    for n in 0..4 {
        ann.receipt(&n.to_string()).await;
    }
    assert_eq!(server.metric("moim_send_stored_seconds_count").unwrap(), 4.0);
    // Three were held for a quarter of a second each.
    let sum = server.metric("moim_send_stored_seconds_sum").unwrap();
    assert!((0.7..10.0).contains(&sum), "{sum}");
}
