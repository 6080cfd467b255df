//! What a change over REST does to sessions that are open.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::SERVER;
use crate::caller::Caller;
use crate::support::*;

/// A private room of ann's with bob in it, who reads it and its refusals.
async fn with_bob() -> (Caller<'static>, Client, String) {
    let id = room("live");
    let ann = Caller::of(&SERVER, "ann");
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    ann.put(&format!("/rooms/{id}/members/bob"), json!({})).await.ok(200);
    let mut bob = Client::connect_with(&SERVER, "1.2", &Token::of("bob").mint()).await;
    bob.subscribe_errors().await;
    bob.subscribe_room(&id).await;
    (ann, bob, id)
}

async fn say(ann: &Caller<'_>, id: &str, body: &str) {
    ann.post(&format!("/rooms/{id}/messages"), json!({ "body": body })).await.ok(201);
}

#[tokio::test]
async fn who_is_kicked_is_told_and_hears_nothing_more() {
    let (ann, mut bob, id) = with_bob().await;
    say(&ann, &id, "before").await;
    ann.delete(&format!("/rooms/{id}/members/bob")).await.ok(204);
    say(&ann, &id, "after").await;
    let refusal = bob.next_refusal().await.json();
    assert_eq!((&refusal["code"], &refusal["receipt"]), (&json!("not_a_member"), &json!(null)));
    bob.sync().await;
    assert_eq!(bob.bodies(1).await, ["before"]);
    assert_eq!(bob.kept(), []);
}

#[tokio::test]
async fn who_is_kicked_without_a_queue_for_errors_gets_error_and_close() {
    let (ann, bob, id) = with_bob().await;
    bob.close().await;
    let mut bob = Client::connect_with(&SERVER, "1.2", &Token::of("bob").mint()).await;
    bob.subscribe_room(&id).await;
    ann.delete(&format!("/rooms/{id}/members/bob")).await.ok(204);
    assert_eq!(bob.expect_error().await.at("code"), "not_a_member");
}

#[tokio::test]
async fn a_ban_closes_the_session_at_once() {
    let (ann, mut bob, id) = with_bob().await;
    ann.put(&format!("/rooms/{id}/members/bob"), json!({ "banned": true })).await.ok(200);
    bob.expect_close(4001).await;
    let mut again = Client::connect_with(&SERVER, "1.2", &Token::of("bob").mint()).await;
    again.subscribe_errors().await;
    again.send(to_room(&id, "x")).await;
    assert_eq!(again.next_refusal().await.json()["code"], "banned");
}

#[tokio::test]
async fn who_is_muted_goes_on_reading() {
    let (ann, mut bob, id) = with_bob().await;
    let until = json!({ "mutedUntil": 4_000_000_000_000_u64 });
    ann.put(&format!("/rooms/{id}/members/bob"), until).await.ok(200);
    bob.send(to_room(&id, "x").header("receipt", "muted")).await;
    let refusal = bob.next_refusal().await;
    assert_eq!((refusal.at("receipt-id"), &refusal.json()["code"]), ("muted", &json!("muted")));
    say(&ann, &id, "still read").await;
    assert_eq!(bob.bodies(1).await, ["still read"]);
    ann.put(&format!("/rooms/{id}/members/bob"), json!({ "mutedUntil": null })).await.ok(200);
    bob.send_room(&id, "said").await;
}

#[tokio::test]
async fn the_end_of_a_room_ends_its_subscriptions() {
    let (ann, mut bob, id) = with_bob().await;
    ann.delete(&format!("/rooms/{id}")).await.ok(204);
    assert_eq!(bob.next_refusal().await.json()["code"], "not_a_member");
    bob.send(to_room(&id, "x")).await;
    assert_eq!(bob.next_refusal().await.json()["code"], "not_a_member");
}

#[tokio::test]
async fn those_who_watch_are_told_of_members_and_cursors() {
    let (ann, mut bob, id) = with_bob().await;
    let subscribe = frame("SUBSCRIBE")
        .header("id", "events")
        .header("destination", format!("/topic/rooms/{id}/events"))
        .header("receipt", "watch");
    bob.send(subscribe).await;
    bob.receipt("watch").await;
    let told = |kind: &'static str| {
        move |frame: &Frame| {
            frame.get("subscription") == Some("events") && frame.json()["type"] == kind
        }
    };
    ann.put(&format!("/rooms/{id}/members/cho"), json!({})).await.ok(200);
    bob.wait_for(told("members")).await;
    ann.call("PATCH", &format!("/rooms/{id}"), json!({ "name": "New" })).await.ok(200);
    bob.wait_for(told("room")).await;
    let sent = ann.post(&format!("/rooms/{id}/messages"), json!({ "body": "x" })).await.ok(201);
    let cursor = json!({ "position": sent["position"] });
    ann.put(&format!("/me/rooms/{id}/cursor"), cursor).await.ok(200);
    let read = bob.wait_for(told("read")).await.json();
    assert_eq!((&read["user"], &read["position"]), (&json!("ann"), &sent["position"]));
    let given = json!({ "delivered": sent["position"], "installation": "phone" });
    ann.put(&format!("/me/rooms/{id}/cursor"), given).await.ok(200);
    let given = bob.wait_for(told("delivered")).await.json();
    assert_eq!((&given["user"], &given["position"]), (&json!("ann"), &sent["position"]));
}

/// Asks for it and resets the connection `after`.
fn ask_and_reset(start: &str, body: &str, after: Duration) {
    let mut stream = TcpStream::connect(SERVER.address).unwrap();
    let request = format!(
        "{start} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        Token::of("ann").mint(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // Finer than tokio's clock.
    std::thread::sleep(after);
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn what_is_stored_is_told_although_who_asked_is_gone() {
    let (ann, bob, id) = with_bob().await;
    bob.close().await;
    let path = format!("/rooms/{id}/members/bob");
    let mut stored = 0;
    for n in 0..80 {
        let (ban, start) = (n % 2 == 0, format!("/api/v1{path}"));
        ann.put(&path, json!({ "banned": false })).await.ok(200);
        let mut bob = Client::connect_with(&SERVER, "1.2", &Token::of("bob").mint()).await;
        bob.subscribe_room(&id).await;
        let after = Duration::from_micros(25 * n);
        if ban {
            ask_and_reset(&format!("PUT {start}"), r#"{"banned":true}"#, after);
        } else {
            ask_and_reset(&format!("DELETE {start}"), "", after);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        let members = ann.get(&format!("/rooms/{id}/members?after=ann")).await.ok(200);
        let bob_row = members["members"].get(0);
        if bob_row.is_none_or(|row| row["banned"] == true) {
            stored += 1;
            if ban {
                bob.expect_close(4001).await;
            } else {
                assert_eq!(bob.expect_error().await.at("code"), "not_a_member");
            }
        }
    }
    assert!(stored > 5, "nearly nothing was stored: {stored}");
}
