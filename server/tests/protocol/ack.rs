//! ACK and NACK, version by version.

use crate::SERVER;
use crate::support::*;

/// A client of that version, and the message that it was sent in that mode.
async fn delivered(version: &str, ack: &str) -> (Client, Frame) {
    let room = room("ack");
    let mut ann = Client::connect_with(&SERVER, version, &token("ann")).await;
    ann.subscribe_room_with(&room, |frame| frame.header("ack", ack)).await;
    ann.send_room(&room, "hello").await;
    let message = ann.next_message().await;
    (ann, message)
}

/// ACK or NACK as that version says it.
fn answer(command: &str, version: &str, message: &Frame) -> Frame {
    match version {
        "1.2" => frame(command).header("id", message.at("ack")),
        _ => frame(command)
            .header("message-id", message.at("message-id"))
            .header("subscription", message.at("subscription")),
    }
}

#[tokio::test]
async fn in_1_2_messages_to_be_acknowledged_have_an_ack_header_and_others_none() {
    for (version, ack, has) in [
        ("1.2", "auto", false),
        ("1.2", "client", true),
        ("1.2", "client-individual", true),
        ("1.1", "client", false),
        ("1.0", "client", false),
    ] {
        let (_, message) = delivered(version, ack).await;
        assert_eq!(message.get("ack").is_some(), has, "{version} {ack}");
    }
}

#[tokio::test]
async fn ack_and_nack_are_taken_and_change_nothing_that_is_delivered() {
    for version in ["1.0", "1.1", "1.2"] {
        for ack in ["client", "client-individual"] {
            for command in ["ACK", "NACK"] {
                if version == "1.0" && (ack != "client" || command == "NACK") {
                    continue;
                }
                let (mut ann, message) = delivered(version, ack).await;
                ann.send(answer(command, version, &message).header("receipt", "r")).await;
                assert_eq!(
                    ann.expect("RECEIPT").await.at("receipt-id"),
                    "r",
                    "{version} {command}"
                );
                ann.sync().await;
                assert_eq!(ann.kept(), [], "{version} {command}");
            }
        }
    }
}

#[tokio::test]
async fn an_ack_that_names_no_message_is_an_error() {
    for (version, bad) in [
        ("1.2", frame("ACK")),
        ("1.2", frame("NACK")),
        ("1.2", frame("ACK").header("id", "nonsense")),
        ("1.2", frame("NACK").header("id", "1/2/3")),
        ("1.2", frame("ACK").header("message-id", "m").header("subscription", "s")),
        ("1.1", frame("ACK").header("message-id", "m")),
        ("1.1", frame("ACK").header("subscription", "s")),
        ("1.1", frame("NACK").header("id", "0/1-1")),
        ("1.0", frame("ACK").header("id", "0/1-1")),
        ("1.0", frame("NACK").header("message-id", "m")),
    ] {
        let (mut ann, _) = delivered(version, "client").await;
        let shown = format!("{version} {bad:?}");
        ann.send(bad.header("receipt", "r")).await;
        assert_eq!(ann.expect_error().await.at("receipt-id"), "r", "{shown}");
    }
}

#[tokio::test]
async fn what_acknowledges_by_itself_takes_no_ack() {
    let (mut ann, message) = delivered("1.1", "auto").await;
    ann.send(answer("ACK", "1.1", &message)).await;
    ann.expect_error().await;
    let (mut ann, message) = delivered("1.2", "auto").await;
    ann.send(frame("ACK").header("id", format!("0/{}", message.at("position")))).await;
    ann.expect_error().await;
}

#[tokio::test]
async fn an_ack_behind_its_unsubscribe_is_no_error() {
    for version in ["1.1", "1.2"] {
        let (mut ann, message) = delivered(version, "client").await;
        ann.send(frame("UNSUBSCRIBE").header("id", message.at("subscription"))).await;
        ann.send(answer("ACK", version, &message).header("receipt", "r")).await;
        ann.receipt("r").await;
    }
}

#[tokio::test]
async fn client_individual_is_unknown_to_1_0() {
    let mut ann = Client::connect_with(&SERVER, "1.0", &token("ann")).await;
    let subscribe = frame("SUBSCRIBE").header("destination", "/topic/rooms/x");
    ann.send(subscribe.header("ack", "client-individual")).await;
    ann.expect_error().await;
}

#[tokio::test]
async fn in_a_transaction_an_ack_waits_for_commit() {
    let (mut ann, message) = delivered("1.2", "client").await;
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    ann.send(answer("ACK", "1.2", &message).header("transaction", "t").header("receipt", "ack"))
        .await;
    ann.sync().await;
    assert_eq!(ann.kept(), []);
    ann.send(frame("COMMIT").header("transaction", "t").header("receipt", "commit")).await;
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), "ack");
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), "commit");
    ann.send(answer("NACK", "1.2", &message).header("transaction", "none")).await;
    ann.expect_error().await;
}

#[tokio::test]
async fn refusals_can_be_acknowledged_like_messages() {
    let mut ann = Client::connect_with(&SERVER, "1.2", &Token::of("ann").mint()).await;
    let subscribe =
        frame("SUBSCRIBE").header("id", "e").header("destination", "/user/queue/errors");
    ann.send(subscribe.header("ack", "client")).await;
    ann.send(to_room("elsewhere", "x")).await;
    let refusal = ann.next_refusal().await;
    assert_eq!(refusal.get("recovered"), None);
    ann.send(frame("ACK").header("id", refusal.at("ack")).header("receipt", "r")).await;
    ann.receipt("r").await;
}
