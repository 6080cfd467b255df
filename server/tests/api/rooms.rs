//! Rooms: made, seen, changed, deleted, listed.

use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Client, DEADLINE, Server, Token, room};

#[tokio::test]
async fn a_room_is_made_seen_changed_and_deleted_by_its_owner() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("made"));
    let made = ann.post("/rooms", json!({ "id": id, "name": "  Tea ☕ " })).await;
    assert_eq!(made.get("location"), Some(format!("/api/v1/rooms/{id}").as_str()));
    let made = made.ok(201);
    assert_eq!((&made["id"], &made["name"]), (&json!(id), &json!("Tea ☕")));
    assert_eq!((&made["visibility"], &made["direct"]), (&json!("private"), &json!(false)));
    assert!(made["createdAt"].as_u64().is_some_and(|at| at > 1_700_000_000_000));
    let path = format!("/rooms/{id}");
    assert_eq!(ann.get(&path).await.ok(200), made);

    let opened = ann.call("PATCH", &path, json!({ "visibility": "public" })).await.ok(200);
    assert_eq!((&opened["name"], &opened["visibility"]), (&json!("Tea ☕"), &json!("public")));
    let nameless = ann.call("PATCH", &path, json!({ "name": null })).await.ok(200);
    assert!(nameless.get("name").is_none());
    assert_eq!(ann.call("PATCH", &path, json!({})).await.ok(200), nameless);
    assert_eq!(ann.get(&path).await.ok(200), nameless);

    ann.delete(&path).await.ok(204);
    ann.get(&path).await.refused(404, "unknown_destination");
    ann.delete(&path).await.refused(404, "unknown_destination");
    ann.call("PATCH", &path, json!({})).await.refused(404, "unknown_destination");
    ann.post("/rooms", json!({ "id": id })).await.refused(409, "name_reused");
}

#[tokio::test]
async fn a_room_without_an_id_is_given_one_of_its_own() {
    let ann = Caller::of(&SERVER, "ann");
    let one = ann.post("/rooms", json!({})).await.ok(201);
    let other = ann.post("/rooms", json!({})).await.ok(201);
    assert_ne!(one["id"], other["id"]);
    assert_eq!(ann.get(&format!("/rooms/{}", one["id"].as_str().unwrap())).await.ok(200), one);
}

#[tokio::test]
async fn of_many_who_make_a_room_at_once_one_does() {
    let id = room("race");
    let callers: Vec<_> = (0..12).map(|n| Caller::of(&SERVER, &format!("racer{n}"))).collect();
    let body = json!({ "id": id });
    let answers = join_all(callers.iter().map(|caller| caller.post("/rooms", body.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let taken = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, taken), (1, 11));
}

#[tokio::test]
async fn a_room_of_others_is_seen_when_it_is_public_and_changed_by_nobody_else() {
    let (ann, bob) = (Caller::of(&SERVER, "ann"), Caller::of(&SERVER, "bob"));
    let (open, shut) = (room("open"), room("shut"));
    ann.post("/rooms", json!({ "id": open, "visibility": "public" })).await.ok(201);
    ann.post("/rooms", json!({ "id": shut })).await.ok(201);
    bob.get(&format!("/rooms/{open}")).await.ok(200);
    bob.get(&format!("/rooms/{shut}")).await.refused(403, "not_a_member");
    bob.get("/rooms/nowhere").await.refused(404, "unknown_destination");
    for path in [format!("/rooms/{open}"), format!("/rooms/{shut}")] {
        bob.call("PATCH", &path, json!({ "name": "mine" })).await.refused(403, "not_a_member");
        bob.delete(&path).await.refused(403, "not_a_member");
    }
    let granted = Caller::with(&SERVER, &Token::of("eve").rooms(&[&shut]).mint());
    granted.get(&format!("/rooms/{shut}")).await.ok(200);
    let members = ann.get(&format!("/rooms/{shut}/members")).await.ok(200);
    assert_eq!(members["members"].as_array().unwrap().len(), 1, "to look is not to come in");
}

#[tokio::test]
async fn the_list_has_public_rooms_and_ones_own_in_pages() {
    let server = Server::start();
    let (ann, bob) = (Caller::of(&server, "ann"), Caller::of(&server, "bob"));
    let mut ids = Vec::new();
    for n in 0..7 {
        let visibility = if n % 2 == 0 { "public" } else { "private" };
        let body = json!({ "id": format!("r{n}"), "visibility": visibility });
        ann.post("/rooms", body).await.ok(201);
        ids.push(format!("r{n}"));
    }
    bob.post("/rooms", json!({ "id": "own" })).await.ok(201);
    assert_eq!(all(&ann, "/rooms", "rooms", 2).await, ids);
    assert_eq!(all(&bob, "/rooms", "rooms", 3).await, ["own", "r0", "r2", "r4", "r6"]);
    assert!(ann.get("/rooms").await.ok(200).get("next").is_none());
    for bad in ["limit=0", "limit=201", "limit=x", "limit=-1", "after=a%20b", "limit=1&x=1"] {
        ann.get(&format!("/rooms?{bad}")).await.refused(400, "bad_request");
    }
}

/// The ids of all pages.
async fn all(caller: &Caller<'_>, path: &str, list: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = caller.get(&format!("{path}?limit={limit}{after}")).await.ok(200);
        let items = page[list].as_array().unwrap();
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::Null => return ids,
            next => after = format!("&after={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test]
async fn a_deleted_rooms_messages_go_with_it() {
    let server = Server::start();
    let ann = Caller::of(&server, "ann");
    ann.post("/rooms", json!({ "id": "r" })).await.ok(201);
    for n in 0..20 {
        ann.post("/rooms/r/messages", json!({ "body": n.to_string() })).await.ok(201);
    }
    ann.delete("/rooms/r").await.ok(204);
    ann.get("/rooms/r/messages").await.refused(404, "unknown_destination");
    ann.post("/rooms/r/messages", json!({ "body": "x" })).await.refused(404, "unknown_destination");
    let mut client = Client::connect(&server, "ann").await;
    client.subscribe_errors().await;
    client.send(crate::support::to_room("r", "x").header("receipt", "1")).await;
    assert!(client.next_refusal().await.text().contains("not_a_member"), "no grant opens it");
    let end = Instant::now() + DEADLINE;
    while rows(&server) > 0 {
        assert!(Instant::now() < end, "they are never purged");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn rows(server: &Server) -> i64 {
    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    let count = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM epochs) AS n";
    diesel::sql_query(count).get_result::<Count>(&mut conn).unwrap().n
}
