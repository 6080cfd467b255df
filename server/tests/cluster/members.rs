//! P9: what is decided on one node binds on the others.

use moim_shared::ids::{RoomId, UserId};
use moim_shared::membership::Change;
use moim_shared::store::postgres::{Options, PostgresStore};
use moim_shared::store::rooms::Rooms;
use serde_json::{Value, json};

use crate::rig::{ADMIN, Cluster};
use crate::support::*;

/// Far from now.
const LATE: u64 = 4_000_000_000_000;

/// A room of `ann`, made at the first node; `bob`, a member, reads it at the second.
async fn bob_reads(cluster: &Cluster) -> (String, Client) {
    let room = room("bound");
    ann(cluster, "POST /api/v1/rooms").json(&json!({ "id": room })).expect(201);
    let member = json!({ "role": "member" });
    ann(cluster, &format!("PUT /api/v1/rooms/{room}/members/bob")).json(&member).expect(200);
    let token = Token::of("bob").mint();
    let mut bob = Client::connect_with(cluster.server(1), "1.2", &token).await;
    bob.subscribe_errors().await;
    bob.subscribe_room(&room).await;
    bob.send_room(&room, "hello").await;
    assert_eq!(bob.bodies(1).await, ["hello"]);
    (room, bob)
}

/// `ann` asks the first node.
fn ann(cluster: &Cluster, start: &str) -> Ask {
    cluster.server(0).ask(start).token(&Token::of("ann").mint())
}

/// What the next SEND is refused with.
async fn refused(bob: &mut Client, room: &str) -> Value {
    bob.send(to_room(room, "still there?").header("receipt", "still")).await;
    bob.next_refusal().await.json()["code"].clone()
}

#[tokio::test]
async fn a_ban_a_kick_and_a_mute_on_one_node_bind_on_another() {
    let cluster = Cluster::start(2, 1).await;
    // The next SEND at once, and no later one.
    let (room, mut bob) = bob_reads(&cluster).await;
    let path = format!("/api/v1/rooms/{room}/members/bob");
    ann(&cluster, &format!("PUT {path}")).json(&json!({ "mutedUntil": LATE })).expect(200);
    assert_eq!(refused(&mut bob, &room).await, "muted");
    ann(&cluster, &format!("PUT {path}")).json(&json!({ "mutedUntil": null })).expect(200);
    bob.send_room(&room, "again").await;
    assert_eq!(bob.bodies(1).await, ["again"]);

    ann(&cluster, &format!("DELETE {path}")).expect(204);
    assert_eq!(refused(&mut bob, &room).await, "not_a_member");

    let (room, mut bob) = bob_reads(&cluster).await;
    let path = format!("/api/v1/rooms/{room}/members/bob");
    ann(&cluster, &format!("PUT {path}")).json(&json!({ "banned": true })).expect(200);
    bob.expect_close(4001).await;
    // A grant does not help.
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    bob.subscribe_errors().await;
    assert_eq!(refused(&mut bob, &room).await, "banned");
    cluster.end().await;
}

/// As a node does that is killed in between.
#[tokio::test]
async fn a_ban_whose_node_told_nobody_binds_within_seconds() {
    let cluster = Cluster::start(2, 1).await;
    let (room, mut bob) = bob_reads(&cluster).await;
    let store = PostgresStore::open(cluster.database.url(), Options::default()).await.unwrap();
    let (ann, him) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
    let ban = Change::Put { role: None, muted_until: None, banned: Some(true) };
    let id = RoomId::parse(&room).unwrap();
    store.member_change(&id, &ann, &him, ban).await.unwrap().unwrap();
    bob.expect_close(4001).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_kicked_reader_on_another_node_gets_nothing_more() {
    let cluster = Cluster::start(2, 1).await;
    let (room, mut bob) = bob_reads(&cluster).await;
    ann(&cluster, &format!("DELETE /api/v1/rooms/{room}/members/bob")).expect(204);
    // Told or not: what is said from now on is not for him.
    let told = bob.wait_for(|frame| frame.get("destination") == Some("/user/queue/errors"));
    let code = told.await.json()["code"].clone();
    assert_eq!(code, "not_a_member");
    let mut other = Client::connect(cluster.server(0), "other").await;
    other.send_room(&room, "a secret").await;
    let mut beside = Client::connect(cluster.server(1), "beside").await;
    // When somebody beside him has it, he would.
    beside.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    assert_eq!(beside.bodies(2).await, ["hello", "a secret"]);
    bob.sync().await;
    assert_eq!(bob.kept(), []);
    cluster.end().await;
}

#[tokio::test]
async fn a_revocation_and_a_log_out_on_one_node_end_sessions_on_another() {
    let cluster = Cluster::start(2, 1).await;
    let (first, second) = (cluster.server(0), cluster.server(1));
    let mut bob = Client::connect(second, "bob").await;
    let mut cho = Client::connect(second, "cho").await;
    let revoke = first.ask("POST /admin/v1/revocations").token(ADMIN);
    revoke.json(&json!({ "user": "bob" })).expect(204);
    bob.expect_close(4001).await;
    cho.sync().await;

    let account = json!({ "user": room("dan"), "password": "correct horse" });
    let dan = first.ask("POST /api/v1/auth/register").json(&account).expect(201);
    let access = dan["accessToken"].as_str().unwrap();
    let mut session = Client::connect_with(second, "1.2", access).await;
    session.sync().await;
    let out = json!({ "refreshToken": dan["refreshToken"] });
    first.ask("POST /api/v1/auth/logout").json(&out).expect(204);
    session.expect_close(4001).await;
    second.ask("GET /api/v1/me").token(access).refused(401, "expired");
    cho.sync().await;
    cluster.end().await;
}

#[tokio::test]
async fn a_node_that_starts_later_knows_what_was_revoked() {
    let mut cluster = Cluster::start(1, 0).await;
    let old = token("bob");
    let revoke = cluster.server(0).ask("POST /admin/v1/revocations").token(ADMIN);
    revoke.json(&json!({ "user": "bob" })).expect(204);
    let later = cluster.add_server().await;
    cluster.server(later).ask("GET /api/v1/me").token(&old).refused(401, "expired");
    cluster.end().await;
}
