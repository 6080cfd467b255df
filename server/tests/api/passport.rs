//! Where a message has been, as operators are told.

use serde_json::{Value, json};

use crate::support::*;

const ADMIN: &str = "an-operators-token";

fn passport(server: &Server, path: &str) -> Ask {
    server.ask(&format!("GET /admin/v1/messages/{path}/passport")).token(ADMIN)
}

fn register(server: &Server, user: &str, device: &Value) {
    let ask = server.ask("PUT /api/v1/me/devices/phone").token(&token(user));
    ask.json(device).expect(200);
}

/// By user: what became of it on the phone.
fn fates(passport: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let members = passport["members"].as_array().unwrap().iter();
    let of_phone = |member: &Value| {
        let devices = member["devices"].as_array().unwrap();
        let phone = devices.iter().find(|device| device["installation"] == "phone")?;
        Some((text(&member["user"]), text(&phone["state"]), text(&phone["why"])))
    };
    members.filter_map(of_phone).collect()
}

#[tokio::test]
async fn a_message_says_where_it_has_been_and_on_which_devices() {
    let server = Server::with(&[("MOIM_PUSH_GRACE", "0s"), ("MOIM_ADMIN_TOKEN", ADMIN)]);
    let room = room("passport");
    for user in ["ann", "bob", "cho"] {
        register(&server, user, &json!({ "platform": "android", "token": format!("{user}-t") }));
    }
    let muted = json!({ "platform": "ios", "token": "dan-t", "muted": true });
    register(&server, "dan", &muted);
    let mut ann = Client::connect(&server, "ann").await;
    for user in ["bob", "cho", "dan"] {
        Client::connect(&server, user).await.subscribe_room(&room).await;
    }
    let cho = server.ask(&format!("PUT /api/v1/me/rooms/{room}/cursor")).token(&token("cho"));
    let position =
        ann.send_room_with(&room, "where am I?", |frame| frame.header("origin-id", "mine")).await;
    let path = format!("{room}/{position}");
    // The look at who is to be told comes after the RECEIPT.
    let end = std::time::Instant::now() + DEADLINE;
    let told = loop {
        let told = passport(&server, &path).expect(200);
        if fates(&told).iter().any(|(_, state, _)| state == "pushed") {
            break told;
        }
        assert!(std::time::Instant::now() < end, "{told}");
        tokio::task::yield_now().await;
    };
    assert_eq!(told["id"], path);
    assert_eq!((&told["stored"], &told["confirmed"]), (&json!(true), &json!(true)));
    assert_eq!((&told["sender"], &told["originId"]), (&json!("ann"), &json!("mine")));
    let fate = |user: &str| {
        let all = fates(&told).into_iter();
        all.filter(|(of, ..)| of == user).map(|(_, state, why)| (state, why)).next().unwrap()
    };
    assert_eq!(fate("ann"), ("suppressed".into(), "sender".into()));
    assert_eq!(fate("dan"), ("suppressed".into(), "device_muted".into()));
    let encoded = passport(&server, &path.replace('/', "%2F")).expect(200);
    assert_eq!(encoded["accepted"], told["accepted"]);

    cho.json(&json!({ "position": position })).expect(200);
    let page = passport(&server, &path);
    assert_eq!(page.expect(200)["members"][2]["read"], position);
    let first = server
        .ask(&format!("GET /admin/v1/messages/{path}/passport?limit=1"))
        .token(ADMIN)
        .expect(200);
    assert_eq!((first["members"].as_array().unwrap().len(), &first["next"]), (1, &json!("ann")));
}

#[tokio::test]
async fn a_message_that_there_is_not_has_no_passport_and_others_see_none() {
    let server = Server::with(&[("MOIM_ADMIN_TOKEN", ADMIN)]);
    let room = room("passport");
    let position = Client::connect(&server, "ann").await.send_room(&room, "hello").await;
    passport(&server, &format!("{room}/1-1")).refused(404, "unknown_destination");
    passport(&server, "nowhere/1-1").refused(404, "unknown_destination");
    passport(&server, "nowhere").refused(400, "bad_request");
    let path = format!("GET /admin/v1/messages/{room}/{position}/passport");
    server.ask(&path).token(&token("ann")).refused(401, "bad_request");
}
