//! Who is in a room, and who may change that.

use std::time::{Duration, Instant};

use moim_shared::clock::now_ms;
use serde_json::{Value, json};

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Client, DEADLINE, Token, frame, room};

/// A room of `ann` with these members in these roles, and its path.
async fn staffed(visibility: &str, members: &[(&str, &str)]) -> (Caller<'static>, String) {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("staffed"));
    ann.post("/rooms", json!({ "id": id, "visibility": visibility })).await.ok(201);
    let path = format!("/rooms/{id}");
    for (user, role) in members {
        ann.put(&format!("{path}/members/{user}"), json!({ "role": role })).await.ok(200);
    }
    (ann, path)
}

#[tokio::test]
async fn anybody_joins_a_public_room_once_and_leaves_it() {
    let (_, path) = staffed("public", &[]).await;
    let bob = Caller::with(&SERVER, &Token::of("newcomer").name("Bob").mint());
    bob.get(&format!("{path}/members")).await.refused(403, "not_a_member");
    let joined = bob.post(&format!("{path}/join"), json!({})).await.ok(200);
    let fixed = |field: &str| joined[field].clone();
    assert_eq!((fixed("user"), fixed("name")), (json!("newcomer"), json!("Bob")));
    assert_eq!((fixed("role"), fixed("read")), (json!("member"), json!("0-0")));
    assert_eq!((fixed("banned"), fixed("here")), (json!(false), json!(false)));
    assert!(fixed("joinedAt").is_u64() && joined.get("mutedUntil").is_none());
    assert_eq!(bob.post(&format!("{path}/join"), json!({})).await.ok(200), joined);
    bob.raw("POST", &format!("{path}/leave"), &[], b"").await.ok(204);
    bob.post(&format!("{path}/leave"), json!({})).await.refused(403, "not_a_member");
    bob.post("/rooms/nowhere/join", json!({})).await.refused(404, "unknown_destination");
    bob.post("/rooms/nowhere/leave", json!({})).await.refused(404, "unknown_destination");
}

#[tokio::test]
async fn a_private_room_is_joined_by_a_grant_only() {
    let (_, path) = staffed("private", &[]).await;
    let id = path.trim_start_matches("/rooms/");
    let bob = Caller::of(&SERVER, "bob");
    bob.post(&format!("{path}/join"), json!({})).await.refused(403, "not_a_member");
    let granted = Caller::with(&SERVER, &Token::of("bob").rooms(&[id]).mint());
    granted.post(&format!("{path}/join"), json!({})).await.ok(200);
    bob.get(&format!("{path}/members")).await.ok(200);
}

#[tokio::test]
async fn a_member_is_online_away_or_offline_with_when_it_was_last_there() {
    let (ann, path) = staffed("private", &[("p1", "member")]).await;
    let p1 = async || {
        let members = ann.get(&format!("{path}/members")).await.ok(200);
        let all = members["members"].as_array().unwrap();
        all.iter().find(|one| one["user"] == "p1").unwrap().clone()
    };
    let is = async |presence: &str| {
        until(presence, async || p1().await["presence"] == presence).await;
        p1().await
    };
    assert!(is("offline").await.get("lastSeen").is_none(), "it was never there");
    let mut phone = Client::connect_with(&SERVER, "1.2", &Token::of("p1").mint()).await;
    let mut laptop = Client::connect_with(&SERVER, "1.2", &Token::of("p1").mint()).await;
    for client in [&mut phone, &mut laptop] {
        assert_eq!(is("online").await["here"], true);
        let away = frame("SEND").header("destination", "/app/presence");
        client.send(away.body(json!({ "state": "away" }).to_string())).await;
        client.sync().await;
    }
    let away = is("away").await;
    assert_eq!((&away["here"], away.get("lastSeen")), (&json!(true), None));
    let turned = now_ms();
    phone.close().await;
    laptop.close().await;
    let offline = is("offline").await;
    assert_eq!(offline["here"], false);
    let ago = now_ms() - offline["lastSeen"].as_u64().unwrap();
    assert!(ago < 60_000, "{ago} ms ago");
    assert!(offline["lastSeen"].as_u64().unwrap() <= turned, "when it turned away");
}

/// Waits until something is so that nobody tells of.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so().await {
        assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn members_are_listed_in_pages_with_who_is_here() {
    let people = [("m1", "member"), ("m2", "admin"), ("m3", "owner"), ("m4", "member")];
    let (ann, path) = staffed("private", &people).await;
    ann.put(&format!("{path}/members/m4"), json!({ "banned": true })).await.ok(200);
    let _here = Client::connect_with(&SERVER, "1.2", &Token::of("m2").mint()).await;
    let whole = ann.get(&format!("{path}/members")).await.ok(200);
    let of = |field: &str| -> Vec<Value> {
        let members = whole["members"].as_array().unwrap();
        members.iter().map(|member| member[field].clone()).collect()
    };
    assert_eq!(of("user"), ["ann", "m1", "m2", "m3", "m4"]);
    assert_eq!(of("role"), ["owner", "member", "admin", "owner", "member"]);
    assert_eq!(of("banned"), [false, false, false, false, true]);
    assert_eq!(of("here")[2], true);
    assert_eq!(of("here")[1], false);
    assert_eq!(of("presence")[1..3], ["offline", "online"]);
    assert_eq!(of("lastSeen")[1..3], [Value::Null, Value::Null], "never seen, and there");
    let first = ann.get(&format!("{path}/members?limit=3")).await.ok(200);
    assert_eq!(first["next"], "m2");
    let rest = ann.get(&format!("{path}/members?limit=3&after=m2")).await.ok(200);
    assert_eq!(rest["members"].as_array().unwrap().len(), 2);
    assert!(rest.get("next").is_none());
    let banned = Caller::of(&SERVER, "m4");
    banned.get(&format!("{path}/members")).await.refused(403, "banned");
    banned.get(&path).await.refused(403, "banned");
}

#[tokio::test]
async fn roles_bound_who_may_do_what_to_whom() {
    let people = [("own", "owner"), ("adm", "admin"), ("ad2", "admin"), ("mem", "member")];
    let (_, path) = staffed("private", &people).await;
    let by = |user: &str| Caller::of(&SERVER, user);
    let at = |user: &str| format!("{path}/members/{user}");
    let forbidden = [
        ("mem", "new", json!({})),
        ("mem", "adm", json!({ "role": "member" })),
        ("adm", "mem", json!({ "role": "admin" })),
        ("adm", "ad2", json!({ "role": "member" })),
        ("adm", "ad2", json!({ "banned": true })),
        ("adm", "own", json!({ "mutedUntil": 4_000_000_000_000_u64 })),
        ("adm", "adm", json!({ "role": "owner" })),
    ];
    for (actor, target, body) in forbidden {
        by(actor).put(&at(target), body).await.refused(403, "bad_request");
    }
    by("eve").put(&at("eve"), json!({})).await.refused(403, "not_a_member");
    by("eve").delete(&at("mem")).await.refused(403, "not_a_member");
    by("mem").delete(&at("adm")).await.refused(403, "bad_request");
    by("adm").delete(&at("own")).await.refused(403, "bad_request");
    by("adm").delete(&at("nobody")).await.refused(404, "unknown_destination");

    by("adm").put(&at("new"), json!({})).await.ok(200);
    by("adm").put(&at("new"), json!({ "mutedUntil": 4_000_000_000_000_u64 })).await.ok(200);
    by("adm").delete(&at("new")).await.ok(204);
    let stepped = by("adm").put(&at("adm"), json!({ "role": "member" })).await.ok(200);
    assert_eq!(stepped["role"], "member");
    let raised = by("own").put(&at("mem"), json!({ "role": "admin" })).await.ok(200);
    assert_eq!(raised["role"], "admin");
    let delete = Caller::of(&SERVER, "ad2").delete(&path).await;
    delete.refused(403, "bad_request");
}

#[tokio::test]
async fn whom_no_path_can_say_is_not_put_in() {
    let (ann, path) = staffed("private", &[]).await;
    for unsayable in [".", "..", "%2e", "%2E."] {
        let put = ann.put(&format!("{path}/members/{unsayable}"), json!({})).await;
        put.refused(400, "bad_request");
    }
    for unsayable in [".", ".."] {
        let direct = ann.post("/rooms/direct", json!({ "user": unsayable })).await;
        direct.refused(400, "bad_request");
    }
    for sayable in ["...", ".a"] {
        ann.put(&format!("{path}/members/{sayable}"), json!({})).await.ok(200);
    }
}

#[tokio::test]
async fn nobody_kicks_itself_and_a_room_keeps_its_owner() {
    let (ann, path) = staffed("private", &[("bob", "member")]).await;
    let me = format!("{path}/members/ann");
    ann.delete(&me).await.refused(409, "bad_request");
    ann.put(&me, json!({ "banned": true })).await.refused(409, "bad_request");
    ann.put(&me, json!({ "mutedUntil": 4_000_000_000_000_u64 })).await.refused(409, "bad_request");
    ann.put(&me, json!({ "role": "member" })).await.refused(409, "bad_request");
    ann.post(&format!("{path}/leave"), json!({})).await.refused(409, "bad_request");
    ann.put(&format!("{path}/members/bob"), json!({ "role": "owner" })).await.ok(200);
    ann.post(&format!("{path}/leave"), json!({})).await.ok(204);
}

#[tokio::test]
async fn a_ban_shuts_out_until_it_is_taken_back() {
    let (ann, path) = staffed("public", &[("bob", "member")]).await;
    let id = path.trim_start_matches("/rooms/").to_owned();
    let (at, bob) = (format!("{path}/members/bob"), Caller::of(&SERVER, "bob"));
    ann.put(&at, json!({ "banned": true })).await.ok(200);
    ann.delete(&at).await.ok(204);
    for token in [Token::of("bob").mint(), Token::of("bob").rooms(&[&id]).mint()] {
        let bob = Caller::with(&SERVER, &token);
        bob.post(&format!("{path}/join"), json!({})).await.refused(403, "banned");
        bob.get(&format!("{path}/messages")).await.refused(403, "banned");
        let say = bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
        say.refused(403, "banned");
        bob.post(&format!("{path}/leave"), json!({})).await.refused(403, "banned");
    }
    bob.get(&path).await.ok(200);
    let pardoned = ann.put(&at, json!({ "banned": false })).await.ok(200);
    assert_eq!(pardoned["banned"], false);
    bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await.ok(201);
}

#[tokio::test]
async fn who_is_muted_reads_and_does_not_send() {
    let (ann, path) = staffed("private", &[("bob", "member")]).await;
    let (at, bob) = (format!("{path}/members/bob"), Caller::of(&SERVER, "bob"));
    let say = async || bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
    say().await.ok(201);
    let until = 4_000_000_000_000_u64;
    let muted = ann.put(&at, json!({ "mutedUntil": until })).await.ok(200);
    assert_eq!(muted["mutedUntil"], until);
    say().await.refused(403, "muted");
    bob.get(&format!("{path}/messages")).await.ok(200);
    let other = ann.put(&at, json!({ "role": "member" })).await.ok(200);
    assert_eq!(other["mutedUntil"], until, "what is left out stays");
    ann.put(&at, json!({ "role": "admin" })).await.ok(200);
    bob.put(&at, json!({ "mutedUntil": null })).await.refused(409, "bad_request");
    let free = ann.put(&at, json!({ "mutedUntil": null })).await.ok(200);
    assert!(free.get("mutedUntil").is_none());
    say().await.ok(201);
}

#[tokio::test]
async fn a_mute_is_not_shaken_off_by_leave_and_join() {
    let (ann, path) = staffed("public", &[("bob", "member")]).await;
    let id = path.trim_start_matches("/rooms/");
    let at = format!("{path}/members/bob");
    ann.put(&at, json!({ "mutedUntil": 4_000_000_000_000_u64 })).await.ok(200);
    let plain = Token::of("bob").mint();
    for token in [plain, Token::of("bob").rooms(&[id]).mint()] {
        let bob = Caller::with(&SERVER, &token);
        bob.post(&format!("{path}/leave"), json!({})).await.ok(204);
        bob.post(&format!("{path}/join"), json!({})).await.ok(200);
        let say = bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
        say.refused(403, "muted");
        bob.post(&format!("{path}/leave"), json!({})).await.ok(204);
        ann.put(&at, json!({})).await.ok(200);
    }
    let granted = Caller::with(&SERVER, &Token::of("bob").rooms(&[id]).mint());
    granted.post(&format!("{path}/leave"), json!({})).await.ok(204);
    let say = granted.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
    say.refused(403, "muted");
}

#[tokio::test]
async fn a_kick_binds_the_next_message() {
    let (ann, path) = staffed("private", &[("bob", "member")]).await;
    let bob = Caller::of(&SERVER, "bob");
    for _ in 0..5 {
        let say = bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
        say.ok(201);
        ann.delete(&format!("{path}/members/bob")).await.ok(204);
        let say = bob.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
        say.refused(403, "not_a_member");
        ann.put(&format!("{path}/members/bob"), json!({})).await.ok(200);
    }
}
