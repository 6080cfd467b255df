//! Open topics and the queues of users: told, and not kept.

use crate::SERVER;
use crate::support::*;

fn send(destination: &str, body: &str) -> Frame {
    frame("SEND").header("destination", destination).body(body)
}

async fn sent(client: &mut Client, frame: Frame) {
    let receipt = client.next_receipt();
    client.send(frame.header("receipt", &receipt)).await;
    client.receipt(&receipt).await;
}

/// The code of the refusal that a frame brings.
async fn refused(client: &mut Client, frame: Frame) -> String {
    client.send(frame).await;
    client.next_refusal().await.json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_topic_reaches_all_its_subscribers_in_the_order_of_each_sender() {
    let topic = format!("/topic/{}", room("chat.general"));
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    ann.subscribe("a", &topic).await;
    bob.subscribe("b", &topic).await;
    for number in 0..100 {
        ann.send(send(&topic, &number.to_string())).await;
    }
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(ann.bodies(100).await, numbers);
    let first = bob.next_message().await;
    assert_eq!((first.at("destination"), first.at("subscription")), (&*topic, "b"));
    assert_eq!((first.at("sender"), first.text()), ("ann", "0"));
    assert!(first.get("message-id").is_some() && first.get("position").is_none());
    assert_eq!(bob.bodies(99).await, numbers[1..]);
}

#[tokio::test]
async fn a_topic_and_a_queue_of_one_name_are_two_and_nothing_is_kept() {
    let name = room("two");
    let (topic, queue) = (format!("/topic/{name}"), format!("/queue/{name}"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    sent(&mut ann, send(&topic, "nobody hears this")).await;
    ann.subscribe("t", &topic).await;
    ann.subscribe("q", &queue).await;
    sent(&mut ann, send(&queue, "to the queue")).await;
    sent(&mut ann, send(&topic, "to the topic")).await;
    let (first, second) = (ann.next_message().await, ann.next_message().await);
    assert_eq!((first.at("subscription"), first.text()), ("q", "to the queue"));
    assert_eq!((second.at("subscription"), second.text()), ("t", "to the topic"));
}

#[tokio::test]
async fn who_left_a_topic_hears_nothing_more_of_it() {
    let topic = format!("/topic/{}", room("left"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe("a", &topic).await;
    ann.send(frame("UNSUBSCRIBE").header("id", "a")).await;
    sent(&mut ann, send(&topic, "x")).await;
    ann.sync().await;
    assert_eq!(ann.kept(), []);
}

#[tokio::test]
async fn headers_types_and_bytes_go_through_a_topic() {
    let topic = format!("/topic/{}", room("bytes"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe("a", &topic).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let binary = send(&topic, "").body(&bytes).with_length().binary();
    sent(&mut ann, binary.header("app", "a\\cb").header("content-type", "image/x")).await;
    let message = ann.next_message().await;
    assert!(message.binary && message.body == bytes);
    assert_eq!((message.at("app"), message.at("content-type")), ("a\\cb", "image/x"));
}

#[tokio::test]
async fn a_transaction_holds_what_goes_to_a_topic() {
    let topic = format!("/topic/{}", room("tx"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe("a", &topic).await;
    for (name, end) in [("no", "ABORT"), ("yes", "COMMIT")] {
        ann.send(frame("BEGIN").header("transaction", name)).await;
        ann.send(send(&topic, name).header("transaction", name)).await;
        let receipt = ann.next_receipt();
        ann.send(frame(end).header("transaction", name).header("receipt", &receipt)).await;
        ann.receipt(&receipt).await;
    }
    ann.sync().await;
    assert_eq!(ann.kept().len(), 1);
    assert_eq!(ann.bodies(1).await, ["yes"]);
}

#[tokio::test]
async fn what_is_sent_to_a_user_reaches_all_its_sessions_and_nobody_else() {
    let ann = room("ann");
    let (mut one, mut two) =
        (Client::connect(&SERVER, &ann).await, Client::connect(&SERVER, &ann).await);
    let mut bob = Client::connect(&SERVER, "bob").await;
    for client in [&mut one, &mut two, &mut bob] {
        client.subscribe("n", "/user/queue/news").await;
        client.subscribe("o", "/user/queue/other").await;
    }
    sent(&mut bob, send(&format!("/user/{ann}/queue/news"), "hello")).await;
    for client in [&mut one, &mut two] {
        let message = client.next_message().await;
        assert_eq!((message.at("destination"), message.text()), ("/user/queue/news", "hello"));
        assert_eq!((message.at("sender"), message.at("subscription")), ("bob", "n"));
    }
    for client in [&mut one, &mut two, &mut bob] {
        client.sync().await;
        assert_eq!(client.kept(), []);
    }
}

#[tokio::test]
async fn patterns_and_the_servers_own_queues_are_refused() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    let subscribe =
        |destination: &str| frame("SUBSCRIBE").header("id", "x").header("destination", destination);
    for (frame, code) in [
        (subscribe("/topic/a*"), "bad_request"),
        (subscribe("/topic/#"), "bad_request"),
        (subscribe("/topic/a").header("envelope", "json"), "bad_request"),
        (subscribe("/topic/rooms"), "unknown_destination"),
        (subscribe("/exchange/x"), "unknown_destination"),
        (subscribe("/user/bob/queue/news"), "unknown_destination"),
        (send("/user/bob/queue/errors", "x"), "unknown_destination"),
        (send("/user/bob/queue/inbox", "x"), "unknown_destination"),
        (send("/user/queue/news", "x"), "unknown_destination"),
        (send("/user/a:b/queue/news", "x"), "bad_request"),
        (send("/topic/a b", "x"), "bad_request"),
    ] {
        let shown = format!("{frame:?}");
        assert_eq!(refused(&mut ann, frame).await, code, "{shown}");
    }
}

#[tokio::test]
async fn a_switch_closes_topics_and_queues_of_users() {
    let server = Server::with(&[("MOIM_OPEN_TOPICS", "false")]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_errors().await;
    for destination in ["/topic/x", "/queue/x", "/user/ann/queue/x"] {
        let code = refused(&mut ann, send(destination, "x")).await;
        assert_eq!(code, "unknown_destination", "{destination}");
    }
}

#[tokio::test]
async fn a_stranger_uses_open_topics_and_nothing_else() {
    let server = Server::with(&[("MOIM_ANONYMOUS", "true")]);
    let mut stranger = Open::new(&server).open().await;
    stranger.send(frame("CONNECT").header("accept-version", "1.2")).await;
    let connected = stranger.expect("CONNECTED").await;
    assert!(connected.at("user-name").starts_with("~anonymous-"));
    stranger.subscribe_errors().await;
    stranger.subscribe("t", "/topic/hall").await;
    sent(&mut stranger, send("/topic/hall", "hello")).await;
    assert_eq!(stranger.bodies(1).await, ["hello"]);
    let in_room = |command: &str| {
        frame(command).header("id", "r").header("destination", "/topic/rooms/lobby")
    };
    for frame in [
        in_room("SUBSCRIBE"),
        in_room("SEND"),
        in_room("SUBSCRIBE").header("destination", "/topic/rooms/lobby/events"),
        send("/app/rooms/lobby/typing", ""),
        send("/user/ann/queue/x", "x"),
        frame("SUBSCRIBE").header("id", "q").header("destination", "/user/queue/x"),
    ] {
        assert_eq!(refused(&mut stranger, frame).await, "not_a_member");
    }
}

#[tokio::test]
async fn without_the_switch_a_stranger_stays_outside() {
    let mut stranger = Open::new(&SERVER).open().await;
    stranger.send(frame("CONNECT").header("accept-version", "1.2")).await;
    stranger.expect_error().await;
}
