//! One's own devices: what a client says of them, and when they end.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::caller::Caller;
use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Devices of somebody that no other test has.
fn somebody(name: &str) -> Caller<'static> {
    Caller::of(&SERVER, &room(name))
}

async fn put(who: &Caller<'_>, installation: &str, body: Value) -> Value {
    who.put(&format!("/me/devices/{installation}"), body).await.ok(200)
}

async fn list(who: &Caller<'_>) -> Vec<Value> {
    who.get("/me/devices").await.ok(200)["devices"].as_array().unwrap().clone()
}

/// The installations, and whether they have a token.
async fn known(who: &Caller<'_>) -> Vec<(String, bool)> {
    let device = |it: Value| {
        (it["installation"].as_str().unwrap().to_owned(), it["hasToken"].as_bool().unwrap())
    };
    list(who).await.into_iter().map(device).collect()
}

fn with_token(token: &str) -> Value {
    json!({ "platform": "android", "token": token })
}

#[tokio::test]
async fn a_device_is_as_it_was_put_last_and_never_shows_its_token() {
    let ann = somebody("ann");
    assert_eq!(list(&ann).await, [] as [Value; 0]);
    let before = now_ms();
    let full = json!({
        "token": "fcm:APA91b-secret",
        "platform": "android",
        "locale": "ko-KR",
        "timeZone": "asia/seoul",
        "muted": true,
        "preview": false,
        "quietHours": { "from": "22:00", "to": "07:00" },
        "mutedRooms": ["b", "a", "b"],
    });
    let shown = put(&ann, "phone", full).await;
    let seen_at = shown["seenAt"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&seen_at));
    let expected = json!({
        "installation": "phone",
        "hasToken": true,
        "platform": "android",
        "locale": "ko-KR",
        "timeZone": "Asia/Seoul",
        "muted": true,
        "preview": false,
        "quietHours": { "from": "22:00", "to": "07:00" },
        "mutedRooms": ["a", "b"],
        "seenAt": seen_at,
    });
    assert_eq!(shown, expected);
    assert!(!ann.get("/me/devices").await.body.contains("APA91b"));
    assert_eq!(list(&ann).await, [expected]);

    let bare = put(&ann, "phone", json!({ "platform": "web" })).await;
    let expected = json!({
        "installation": "phone",
        "hasToken": false,
        "platform": "web",
        "muted": false,
        "preview": true,
        "mutedRooms": [],
        "seenAt": bare["seenAt"],
    });
    assert_eq!(bare, expected, "what is not said is as if it was never said");
    let nothing = json!({
        "platform": "ios", "token": null, "locale": null, "timeZone": null, "quietHours": null,
    });
    let shown = put(&ann, "phone", nothing).await;
    assert_eq!((shown.get("quietHours"), &shown["hasToken"]), (None, &json!(false)));
    assert_eq!(list(&ann).await, [shown]);
}

#[tokio::test]
async fn a_device_is_its_users_own_and_goes_when_it_is_deleted() {
    let (ann, bob) = (somebody("ann"), somebody("bob"));
    for who in [&ann, &bob] {
        put(who, "phone", json!({ "platform": "ios" })).await;
    }
    put(&ann, "tablet", json!({ "platform": "web" })).await;
    for _ in 0..2 {
        ann.delete("/me/devices/phone").await.ok(204);
        assert_eq!(known(&ann).await, [("tablet".into(), false)]);
    }
    assert_eq!(known(&bob).await, [("phone".into(), false)]);
}

#[tokio::test]
async fn a_token_goes_to_who_puts_it_last() {
    let (ann, bob, token) = (somebody("ann"), somebody("bob"), room("token"));
    put(&ann, "old", with_token(&token)).await;
    put(&ann, "new", with_token(&token)).await;
    assert_eq!(known(&ann).await, [("new".into(), true), ("old".into(), false)]);
    put(&bob, "new", with_token(&token)).await;
    assert_eq!(known(&ann).await, [("new".into(), false), ("old".into(), false)]);
    assert_eq!(known(&bob).await, [("new".into(), true)]);
}

#[tokio::test]
async fn the_twenty_first_device_takes_the_place_of_the_oldest() {
    let ann = somebody("ann");
    for n in 0..20 {
        put(&ann, &format!("d{n:02}"), json!({ "platform": "web" })).await;
    }
    // Seen again, and the next one is the oldest. Times are of a ms.
    tokio::task::spawn_blocking(|| {
        let start = now_ms();
        while now_ms() == start {}
    })
    .await
    .unwrap();
    put(&ann, "d00", json!({ "platform": "web" })).await;
    put(&ann, "new", json!({ "platform": "web" })).await;
    let left: Vec<String> = known(&ann).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(left.len(), 20);
    assert!(left.contains(&"d00".into()) && left.contains(&"new".into()), "{left:?}");
}

#[tokio::test]
async fn what_no_device_is_is_refused() {
    let ann = somebody("ann");
    let quiet = |from: Value, to: Value| json!({ "quietHours": { "from": from, "to": to } });
    let bad = [
        json!({ "platform": null }),
        json!({ "platform": "symbian" }),
        json!({ "platform": 1 }),
        json!({ "token": "" }),
        json!({ "token": "a b" }),
        json!({ "token": "ä" }),
        json!({ "token": "a\n" }),
        json!({ "token": 7 }),
        json!({ "token": "x".repeat(4_097) }),
        json!({ "locale": "" }),
        json!({ "locale": "ko_KR" }),
        json!({ "locale": "한국어" }),
        json!({ "locale": 5 }),
        json!({ "locale": format!("de{}", "-abcdefgh".repeat(7)) }),
        json!({ "timeZone": "" }),
        json!({ "timeZone": "+09:00" }),
        json!({ "timeZone": 9 }),
        json!({ "muted": "yes" }),
        json!({ "muted": null }),
        json!({ "preview": 1 }),
        json!({ "preview": null }),
        json!({ "quietHours": "22:00-07:00" }),
        json!({ "quietHours": {} }),
        json!({ "quietHours": { "from": "22:00" } }),
        json!({ "quietHours": { "from": "22:00", "to": "07:00", "days": [] } }),
        quiet(json!("24:00"), json!("07:00")),
        quiet(json!("22:00"), json!("7:00")),
        quiet(json!("22:00"), json!("07:60")),
        quiet(json!("22:00:00"), json!("07:00")),
        quiet(json!(22), json!(7)),
        quiet(json!(null), json!("07:00")),
        json!({ "mutedRooms": null }),
        json!({ "mutedRooms": "lobby" }),
        json!({ "mutedRooms": ["a b"] }),
        json!({ "mutedRooms": ["a/b"] }),
        json!({ "mutedRooms": [7] }),
        json!({ "mutedRooms": vec!["a"; 1_001] }),
        json!({ "seenAt": 1 }),
        json!({ "installation": "phone" }),
    ];
    for mut body in bad {
        if body.get("platform").is_none() {
            body["platform"] = json!("android");
        }
        ann.put("/me/devices/phone", body).await.refused(400, "bad_request");
    }
    ann.put("/me/devices/phone", json!({})).await.refused(400, "bad_request");
    let mars = json!({ "platform": "android", "timeZone": "Mars/Olympus" });
    let problem = ann.put("/me/devices/phone", mars).await.refused(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap().contains("time zone"), "{problem}");
    assert_eq!(known(&ann).await, []);
}

#[tokio::test]
async fn all_that_is_allowed_fits() {
    let ann = somebody("ann");
    let rooms: Vec<String> = (0..1_000).map(|n| format!("{n:064}")).collect();
    let most = json!({
        "token": format!("{:x<4096}", room("token")),
        "platform": "android",
        "locale": format!("abcdefgh{}", "-abcdefg".repeat(7)),
        "timeZone": "America/Argentina/ComodRivadavia",
        "mutedRooms": rooms,
    });
    let body = serde_json::to_string_pretty(&most).unwrap();
    let installation = "~".repeat(128);
    let path = format!("/me/devices/{installation}");
    let shown = ann.json("PUT", &path, &body).await.ok(200);
    assert_eq!(shown["mutedRooms"], most["mutedRooms"]);
    assert_eq!(known(&ann).await, [(installation, true)]);
}

#[tokio::test]
async fn an_installation_is_what_its_path_says() {
    let ann = somebody("ann");
    let body = json!({ "platform": "android" });
    for (segment, installation) in
        [("fid:a=1", "fid:a=1"), ("a%20b", ""), ("a%5Cb%3Fc%25", "a\\b?c%"), ("%7Ba%7D", "{a}")]
    {
        let answer = ann.put(&format!("/me/devices/{segment}"), body.clone()).await;
        if installation.is_empty() {
            answer.refused(400, "bad_request");
            continue;
        }
        assert_eq!(answer.ok(200)["installation"], installation);
        ann.delete(&format!("/me/devices/{segment}")).await.ok(204);
    }
    for bad in ["a%2Fb", "%00", "%ED%8F%B0", "%ff", &"x".repeat(129)] {
        for method in ["PUT", "DELETE"] {
            let answer = ann.call(method, &format!("/me/devices/{bad}"), body.clone()).await;
            answer.refused(400, "bad_request");
        }
    }
    for none in ["..", "%2e", "%2E%2E"] {
        let answer = ann.put(&format!("/me/devices/{none}"), body.clone()).await;
        assert!(matches!(answer.status, 400 | 404 | 405), "{answer:?}");
    }
    assert_eq!(known(&ann).await, []);
}

#[tokio::test]
async fn a_log_out_takes_the_device_along_that_it_names() {
    let ann = Person::new(&SERVER, "ann");
    let by_token = |who: &Person| Caller::with(&SERVER, &who.access);
    let leave = |who: &Person, installation: Value| {
        let asked = json!({ "refreshToken": who.refresh, "installation": installation });
        SERVER.ask("POST /api/v1/auth/logout").json(&asked)
    };
    for id in ["phone", "tablet", "watch"] {
        put(&by_token(&ann), id, with_token(&room(id))).await;
    }
    let (phone, tablet, watch) = (ann.again(&SERVER), ann.again(&SERVER), ann.again(&SERVER));
    for bad in [json!("a b"), json!(""), json!(7)] {
        leave(&phone, bad).refused(400, "bad_request");
    }
    phone.me(&SERVER).expect(200);
    leave(&phone, json!("phone")).expect(204);
    phone.is_out(&SERVER);
    let left = [("tablet".to_owned(), true), ("watch".to_owned(), true)];
    assert_eq!(known(&by_token(&ann)).await, left);
    // Who is logged out already has nothing to say of devices, and who names none keeps them all.
    leave(&phone, json!("tablet")).expect(204);
    leave(&tablet, Value::Null).expect(204);
    log_out(&SERVER, &watch.refresh).expect(204);
    assert_eq!(known(&by_token(&ann)).await, left);
}

#[tokio::test]
async fn nothing_is_pushed_any_more_to_where_all_log_ins_ended() {
    const OPERATOR: &str = "a-token-for-operators";
    let server = Server::with(&[MANY_TRIES, ("MOIM_ADMIN_TOKEN", OPERATOR)]);
    let ann = Person::new(&server, "ann");
    let guest = room("guest");
    put(&Caller::with(&server, &ann.access), "phone", with_token("a")).await;
    put(&Caller::of(&server, &guest), "phone", with_token("b")).await;

    let asked = json!({ "currentPassword": PASSWORD, "newPassword": "another horse" });
    let change = server.ask("PUT /api/v1/me/password").token(&ann.access).json(&asked);
    let ann = Person::of(&change.expect(200));
    let by_token = Caller::with(&server, &ann.access);
    assert_eq!(known(&by_token).await, []);
    put(&by_token, "phone", with_token("a")).await;

    for user in [&ann.user, &guest] {
        let asked = json!({ "user": user });
        server.ask("POST /admin/v1/revocations").token(OPERATOR).json(&asked).expect(204);
    }
    let ann = ann.with_password(&server, "another horse");
    let by_token = Caller::with(&server, &ann.access);
    assert_eq!(known(&by_token).await, []);
    assert_eq!(devices(&server, &guest), 0, "also of who has no account here");

    put(&by_token, "phone", with_token("a")).await;
    assert_eq!(devices(&server, &ann.user), 1);
    let asked = json!({ "password": "another horse" });
    server.ask("DELETE /api/v1/me").token(&ann.access).json(&asked).expect(204);
    assert_eq!(devices(&server, &ann.user), 0);
}

#[tokio::test]
async fn devices_outlive_a_restart_and_connecting_shows_that_they_live() {
    let server = Server::start();
    put(&Caller::of(&server, "ann"), "phone", with_token("t")).await;
    let server = server.restart();
    let ann = Caller::of(&server, "ann");
    assert_eq!(known(&ann).await, [("phone".into(), true)]);
    let before = now_ms();
    let long_ago = format!("UPDATE devices SET seen_at = {}", before - 2 * 86_400_000);
    change(&server, &long_ago);
    let mut client = Open::new(&server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("device", "phone");
    client.send(connect.header("Authorization", format!("Bearer {}", token("ann")))).await;
    client.expect("CONNECTED").await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while list(&ann).await[0]["seenAt"].as_u64().unwrap() < before {
        assert!(tokio::time::Instant::now() < deadline, "nobody noted that it was seen");
    }
    // A name that no device can have is told so.
    let mut client = Open::new(&server).open().await;
    client.send(frame("CONNECT").header("accept-version", "1.2").header("device", "a b")).await;
    assert_eq!(client.expect_error().await.at("code"), "bad_request");
}

#[tokio::test]
async fn a_device_that_was_not_seen_for_long_loses_its_token() {
    let server = Server::start();
    let ann = Caller::of(&server, "ann");
    put(&ann, "old", with_token("a")).await;
    put(&ann, "new", with_token("b")).await;
    let long_ago = now_ms() - 271 * 86_400_000;
    change(&server, &format!("UPDATE devices SET seen_at = {long_ago} WHERE installation = 'old'"));
    // It looks at the start.
    let server = server.restart();
    let ann = Caller::of(&server, "ann");
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while known(&ann).await != [("new".into(), true), ("old".into(), false)] {
        assert!(tokio::time::Instant::now() < deadline, "it has its token still");
    }
}

/// Rows of the user.
fn devices(server: &Server, user: &str) -> usize {
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    #[derive(QueryableByName)]
    struct Installation {
        #[diesel(sql_type = Text)]
        #[expect(dead_code, reason = "they are counted")]
        installation: String,
    }
    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    let found: Vec<Installation> =
        diesel::sql_query("SELECT installation FROM devices WHERE user_id = ?")
            .bind::<Text, _>(user)
            .load(&mut conn)
            .unwrap();
    found.len()
}

/// Does what nobody can ask a server for.
fn change(server: &Server, sql: &str) {
    use diesel::prelude::*;

    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    diesel::sql_query("PRAGMA busy_timeout = 5000").execute(&mut conn).unwrap();
    diesel::sql_query(sql).execute(&mut conn).unwrap();
}
