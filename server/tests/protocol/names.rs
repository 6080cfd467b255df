//! `origin-id`: sending again is safe.

use crate::SERVER;
use crate::support::*;

async fn named(client: &mut Client, room: &str, name: &str, body: &str) -> String {
    client.send_room_with(room, body, |send| send.header("origin-id", name)).await
}

#[tokio::test]
async fn a_retry_gets_the_first_position_and_is_not_shown_again() {
    let room = room("retry");
    let mut reader = Client::connect(&SERVER, "reader").await;
    reader.subscribe_room(&room).await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    let first = named(&mut ann, &room, "n-1", "hello").await;
    let second = named(&mut ann, &room, "n-2", "world").await;
    assert_eq!(named(&mut ann, &room, "n-1", "hello").await, first);
    let mut again = Client::connect(&SERVER, "ann").await;
    assert_eq!(named(&mut again, &room, "n-2", "world").await, second);
    again.send_room(&room, "end").await;
    assert_eq!(reader.bodies(3).await, ["hello", "world", "end"]);
    reader.sync().await;
    assert_eq!(reader.kept(), []);
}

#[tokio::test]
async fn a_retry_that_overtakes_the_first_answer_is_one_message_too() {
    let room = room("hasty");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    for receipt in ["a", "b", "c"] {
        ann.send(to_room(&room, "once").header("origin-id", "n").header("receipt", receipt)).await;
    }
    let first = ann.receipt("a").await.at("position").to_owned();
    assert_eq!(ann.receipt("b").await.at("position"), first);
    assert_eq!(ann.receipt("c").await.at("position"), first);
    ann.send_room(&room, "end").await;
    assert_eq!(ann.bodies(2).await, ["once", "end"]);
}

#[tokio::test]
async fn another_body_under_a_name_is_refused() {
    let room = room("reused");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    named(&mut ann, &room, "n", "one body").await;
    ann.send(to_room(&room, "another").header("origin-id", "n").header("receipt", "r")).await;
    let refusal = ann.next_refusal().await;
    assert_eq!(
        (refusal.json()["code"].as_str(), refusal.at("receipt-id")),
        (Some("name_reused"), "r")
    );
    named(&mut ann, &room, "n", "one body").await;
}

#[tokio::test]
async fn a_name_is_one_senders_in_one_room() {
    let (room, other) = (room("names"), room("others"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    let mut bob = Client::connect(&SERVER, "bob").await;
    ann.subscribe_room(&room).await;
    let first = named(&mut ann, &room, "n", "ann's").await;
    assert_ne!(named(&mut bob, &room, "n", "bob's").await, first);
    named(&mut ann, &other, "n", "elsewhere").await;
    assert_eq!(ann.bodies(2).await, ["ann's", "bob's"]);
}

#[tokio::test]
async fn names_are_remembered_across_a_restart() {
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    let first = named(&mut ann, "room", "n", "hello").await;
    let server = server.restart();
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_errors().await;
    ann.subscribe_room("room").await;
    assert_eq!(named(&mut ann, "room", "n", "hello").await, first);
    ann.send(to_room("room", "another").header("origin-id", "n").header("receipt", "r")).await;
    assert_eq!(ann.next_refusal().await.json()["code"], "name_reused");
    ann.sync().await;
    assert_eq!(ann.kept(), []);
}

#[tokio::test]
async fn a_name_is_128_printable_characters_at_most() {
    let room = room("bad");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    let long = "x".repeat(129);
    for bad in ["", "a b", r"a\cb", r"a\\b", "é", "a\tb", &long] {
        ann.send(to_room(&room, "x").header("origin-id", bad).header("receipt", "r")).await;
        let refusal = ann.next_refusal().await;
        assert_eq!(refusal.json()["code"], "bad_request", "{bad}");
    }
    named(&mut ann, &room, "!~/@[]{}|", "x").await;
    named(&mut ann, &room, &long[1..], "x").await;
}
