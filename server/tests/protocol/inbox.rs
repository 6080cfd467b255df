//! `/user/queue/inbox`: one subscription for all of a user's rooms.

use serde_json::{Value, json};

use crate::SERVER;
use crate::support::*;

const INBOX: &str = "/user/queue/inbox";

/// Asks the server as that user.
fn asks(user: &str, start: &str, body: &Value) -> Ask {
    SERVER.ask(start).token(&Token::of(user).mint()).json(body)
}

/// A room of `owner` with these in it.
fn made(owner: &str, name: &str, members: &[&str]) -> String {
    let id = room(name);
    asks(owner, "POST /api/v1/rooms", &json!({ "id": id })).expect(201);
    for member in members {
        asks(owner, &format!("PUT /api/v1/rooms/{id}/members/{member}"), &json!({})).expect(200);
    }
    id
}

fn say(user: &str, room: &str, body: &str) -> String {
    let said = asks(user, &format!("POST /api/v1/rooms/{room}/messages"), &json!({ "body": body }));
    said.expect(201)["position"].as_str().unwrap().to_owned()
}

async fn connected(user: &str) -> Client {
    Client::connect_with(&SERVER, "1.2", &Token::of(user).mint()).await
}

/// Somebody who reads its inbox from now on.
async fn reader(user: &str) -> Client {
    let mut client = connected(user).await;
    let receipt = client.subscribe("in", INBOX).await;
    assert_eq!(receipt.at("recovered"), "true");
    client
}

async fn since(user: &str, position: &str) -> (Client, Frame) {
    let mut client = connected(user).await;
    let with = |frame: Frame| frame.header("since", position);
    let receipt = client.subscribe_with("in", INBOX, with).await;
    (client, receipt)
}

/// The next that is told of a room and is as wanted.
async fn told_until(client: &mut Client, room: &str, wanted: impl Fn(&Value) -> bool) -> Frame {
    loop {
        let frame = client.next_message().await;
        let told = frame.json();
        if told["room"]["id"] == room && wanted(&told) {
            return frame;
        }
    }
}

async fn told(client: &mut Client, room: &str) -> Value {
    told_until(client, room, |_| true).await.json()
}

#[tokio::test]
async fn a_message_in_any_room_is_told_with_what_is_unread_and_how_it_begins() {
    let (ann, bob) = (room("ann"), room("bob"));
    let (one, two) = (made(&ann, "one", &[&bob]), made(&ann, "two", &[&bob]));
    let mut inbox = reader(&bob).await;
    let first = say(&ann, &one, "hello");
    let frame = inbox.next_message().await;
    assert_eq!((frame.at("destination"), frame.at("subscription")), (INBOX, "in"));
    assert_eq!(
        (frame.at("room"), frame.at("content-type")),
        (&*one, "application/json;charset=UTF-8")
    );
    assert!(frame.get("message-id").is_some() && frame.get("position").is_some());
    let told_one = frame.json();
    assert_eq!(
        (&told_one["type"], &told_one["role"], &told_one["unread"], &told_one["read"]),
        (&json!("room"), &json!("member"), &json!(1), &json!("0-0"))
    );
    assert_eq!((&told_one["head"], &told_one["last"]["position"]), (&json!(first), &json!(first)));
    assert_eq!(
        (&told_one["last"]["sender"], &told_one["last"]["body"]),
        (&json!(ann), &json!("hello"))
    );
    let long = "가".repeat(300);
    let second = say(&ann, &two, &long);
    let told_two = told_until(&mut inbox, &two, |told| told["head"] == second).await.json();
    assert_eq!(told_two["last"]["body"], json!("가".repeat(200)));
    // As `/me/rooms` has it.
    let rooms = asks(&bob, "GET /api/v1/me/rooms", &Value::Null).expect(200);
    let own = rooms["rooms"].as_array().unwrap().iter().find(|own| own["room"]["id"] == two);
    for (name, value) in own.unwrap().as_object().unwrap() {
        assert_eq!(&told_two[name], value, "{name}");
    }
}

#[tokio::test]
async fn without_since_it_tells_what_comes_and_from_zero_all_that_there_is() {
    let (ann, bob) = (room("ann"), room("bob"));
    let (old, young) = (made(&ann, "old", &[&bob]), made(&ann, "young", &[&bob]));
    let said = say(&ann, &old, "long ago");
    let mut inbox = reader(&bob).await;
    let new = say(&ann, &young, "now");
    let first = inbox.next_message().await.json();
    assert_eq!((&first["room"]["id"], &first["head"]), (&json!(young), &json!(new)));
    let (mut all, receipt) = since(&bob, "0-0").await;
    assert_eq!((receipt.at("recovered"), receipt.at("position")), ("true", "0-0"));
    let rooms = [all.next_message().await.json(), all.next_message().await.json()];
    let heads = rooms.each_ref().map(|told| (&told["type"], &told["room"]["id"], &told["head"]));
    let is = json!("room");
    assert_eq!(heads, [(&is, &json!(old), &json!(said)), (&is, &json!(young), &json!(new))]);
    all.sync().await;
    assert_eq!(all.kept(), []);
}

#[tokio::test]
async fn who_comes_back_is_told_what_changed_meanwhile() {
    let (ann, bob) = (room("ann"), room("bob"));
    let rooms: Vec<String> = (0..5).map(|n| made(&ann, &format!("back{n}"), &[&bob])).collect();
    let mut inbox = reader(&bob).await;
    say(&ann, &rooms[0], "seen");
    let seen = inbox.next_message().await.at("position").to_owned();
    inbox.close().await;
    let meanwhile = say(&ann, &rooms[1], "meanwhile");
    asks(&ann, &format!("DELETE /api/v1/rooms/{}/members/{bob}", rooms[2]), &Value::Null)
        .expect(204);
    asks(&ann, &format!("PATCH /api/v1/rooms/{}", rooms[3]), &json!({ "name": "New" })).expect(200);
    let (mut inbox, receipt) = since(&bob, &seen).await;
    assert_eq!((receipt.at("recovered"), receipt.at("position")), ("true", &*seen));
    let mut found = std::collections::HashMap::new();
    let mut last = String::new();
    // Those of just before may be told again.
    while !(1..=3).all(|n| found.contains_key(&rooms[n])) {
        let frame = inbox.next_message().await;
        last = frame.at("position").to_owned();
        let told = frame.json();
        found.insert(told["room"]["id"].as_str().unwrap().to_owned(), told);
    }
    assert_eq!(found[&rooms[1]]["head"], meanwhile);
    assert_eq!(found[&rooms[2]]["type"], "removal");
    assert_eq!(found[&rooms[3]]["room"]["name"], "New");
    // On from the middle or the end of that.
    let (mut inbox, _) = since(&bob, &last).await;
    let next = say(&ann, &rooms[4], "next");
    told_until(&mut inbox, &rooms[4], |told| told["head"] == next).await;
}

#[tokio::test]
async fn a_room_that_somebody_is_put_into_is_an_invitation_until_something_is_said_in_it() {
    let (ann, bob) = (room("ann"), room("bob"));
    let mut inbox = reader(&bob).await;
    let id = made(&ann, "invited", &[&bob]);
    let invitation = told(&mut inbox, &id).await;
    assert_eq!((&invitation["type"], &invitation["unread"]), (&json!("invitation"), &json!(0)));
    assert!(invitation["joinedAt"].as_u64().unwrap() > 0);
    // It is listened to from now on.
    let said = say(&ann, &id, "welcome");
    let welcome = told(&mut inbox, &id).await;
    assert_eq!((&welcome["type"], &welcome["head"]), (&json!("room"), &json!(said)));
    // Whoever comes by itself needs no invitation.
    let own = made(&bob, "own", &[]);
    assert_eq!(told(&mut inbox, &own).await["type"], "room");
    let direct = asks(&ann, "POST /api/v1/rooms/direct", &json!({ "user": bob })).answer().json();
    let direct = direct["id"].as_str().unwrap();
    assert_eq!(told(&mut inbox, direct).await["type"], "invitation");
}

#[tokio::test]
async fn what_a_token_opens_is_told_on_the_users_other_devices() {
    let (ann, id) = (room("ann"), room("granted"));
    let mut inbox = reader(&ann).await;
    let mut other = Client::connect(&SERVER, &ann).await;
    other.subscribe_room(&id).await;
    let came = told(&mut inbox, &id).await;
    assert_eq!((&came["type"], &came["role"]), (&json!("room"), &json!("member")));
    let said = other.send_room(&id, "from my other device").await;
    told_until(&mut inbox, &id, |told| told["head"] == said).await;
}

#[tokio::test]
async fn a_room_that_is_lost_is_told_and_nothing_of_it_after_that() {
    let (ann, bob) = (room("ann"), room("bob"));
    let kicked = made(&ann, "kicked", &[&bob]);
    let banned = made(&ann, "banned", &[&bob]);
    let left = made(&ann, "left", &[&bob]);
    let ended = made(&ann, "ended", &[&bob]);
    let stays = made(&ann, "stays", &[&bob]);
    let mut inbox = reader(&bob).await;
    let member = |room: &str| format!("/api/v1/rooms/{room}/members/{bob}");
    asks(&ann, &format!("DELETE {}", member(&kicked)), &Value::Null).expect(204);
    assert_removal(&told(&mut inbox, &kicked).await, &kicked);
    asks(&bob, &format!("POST /api/v1/rooms/{left}/leave"), &json!({})).answer();
    assert_removal(&told(&mut inbox, &left).await, &left);
    asks(&ann, &format!("DELETE /api/v1/rooms/{ended}"), &Value::Null).expect(204);
    assert_removal(&told(&mut inbox, &ended).await, &ended);
    say(&ann, &kicked, "behind his back");
    say(&ann, &stays, "for him");
    assert_eq!(inbox.next_message().await.json()["room"]["id"], stays);
    // A ban ends the session; it is told to who comes back.
    let before = inbox.subscribe("again", INBOX).await.at("position").to_owned();
    asks(&ann, &format!("PUT {}", member(&banned)), &json!({ "banned": true })).expect(200);
    let (mut inbox, _) = since(&bob, &before).await;
    assert_removal(&told(&mut inbox, &banned).await, &banned);
}

fn assert_removal(told: &Value, room: &str) {
    assert_eq!((&told["type"], &told["room"]), (&json!("removal"), &json!({ "id": room })));
    assert!(told["at"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn what_is_read_on_one_device_is_read_on_the_others() {
    let (ann, bob) = (room("ann"), room("bob"));
    let id = made(&ann, "read", &[&bob]);
    let (first, last) = (say(&ann, &id, "one"), say(&ann, &id, "two"));
    let (mut phone, mut tablet) = (reader(&bob).await, reader(&bob).await);
    let path = format!("PUT /api/v1/me/rooms/{id}/cursor");
    asks(&bob, &path, &json!({ "position": first })).expect(200);
    for device in [&mut phone, &mut tablet] {
        let told = told(device, &id).await;
        assert_eq!((&told["read"], &told["unread"]), (&json!(first), &json!(1)));
    }
    let read = frame("SEND")
        .header("destination", format!("/app/rooms/{id}/read"))
        .body(json!({ "position": last }).to_string());
    phone.send(read).await;
    for device in [&mut phone, &mut tablet] {
        let told = told(device, &id).await;
        assert_eq!((&told["read"], &told["unread"]), (&json!(last), &json!(0)));
    }
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_is_said_so_and_everything_is_told() {
    let (ann, bob) = (room("ann"), room("bob"));
    let id = made(&ann, "all", &[&bob]);
    for lost in ["1000-0", "99999999999999-0"] {
        let (mut inbox, receipt) = since(&bob, lost).await;
        assert_eq!((receipt.at("recovered"), receipt.at("position")), ("false", "0-0"), "{lost}");
        let told = told(&mut inbox, &id).await;
        assert_eq!(told["type"], "room", "from nothing everything is new");
    }
    // Without a RECEIPT the next message says so.
    let mut inbox = connected(&bob).await;
    let subscribe = frame("SUBSCRIBE").header("id", "in").header("destination", INBOX);
    inbox.send(subscribe.header("since", "1000-0")).await;
    assert_eq!(inbox.next_message().await.at("recovered"), "false");
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_to_it_is_refused() {
    let mut bob = connected(&room("bob")).await;
    bob.subscribe_errors().await;
    let subscribe = || frame("SUBSCRIBE").header("id", "in").header("destination", INBOX);
    for (frame, code) in [
        (subscribe().header("since", "yesterday"), "bad_request"),
        (subscribe().header("history", "10"), "bad_request"),
        (subscribe().header("envelope", "json"), "bad_request"),
        (frame("SEND").header("destination", INBOX).body("x"), "unknown_destination"),
    ] {
        bob.send(frame).await;
        assert_eq!(bob.next_refusal().await.json()["code"], code);
    }
    // Nothing is left of them.
    bob.subscribe("in", INBOX).await;
}

#[tokio::test]
async fn who_ends_its_subscription_is_told_nothing_more_and_may_begin_another() {
    let (ann, bob) = (room("ann"), room("bob"));
    let id = made(&ann, "ends", &[&bob]);
    let mut inbox = reader(&bob).await;
    inbox.send(frame("UNSUBSCRIBE").header("id", "in")).await;
    inbox.sync().await;
    say(&ann, &id, "unheard");
    inbox.subscribe("second", INBOX).await;
    let said = say(&ann, &id, "heard");
    let frame = told_until(&mut inbox, &id, |told| told["head"] == said).await;
    assert_eq!(frame.at("subscription"), "second");
}

/// However the connection is cut, what the last message says is where to go on.
#[tokio::test]
async fn whoever_goes_on_from_its_last_message_misses_no_room() {
    let (ann, bob) = (room("ann"), room("bob"));
    let rooms: Vec<String> = (0..8).map(|n| made(&ann, &format!("gap{n}"), &[&bob])).collect();
    let mut heads = std::collections::HashMap::new();
    let mut at = "0-0".to_owned();
    for round in 0..10 {
        let (mut inbox, _) = since(&bob, &at).await;
        let mut said = std::collections::HashMap::new();
        for n in 0..3 {
            let room = &rooms[(round * 3 + n) % rooms.len()];
            said.insert(room.clone(), say(&ann, room, "x"));
        }
        // Cut after as many messages as it happens.
        for _ in 0..=round % 3 {
            let frame = inbox.next_message().await;
            let told = frame.json();
            heads.insert(told["room"]["id"].clone(), told["head"].clone());
            at = frame.at("position").to_owned();
        }
        drop(inbox);
    }
    let own = asks(&bob, "GET /api/v1/me/rooms", &Value::Null).expect(200);
    let (mut inbox, _) = since(&bob, &at).await;
    for own in own["rooms"].as_array().unwrap() {
        let id = &own["room"]["id"];
        while heads.get(id) != Some(&own["head"]) {
            let told = inbox.next_message().await.json();
            heads.insert(told["room"]["id"].clone(), told["head"].clone());
        }
    }
}
