//! One's own rooms, and how far one has read.

use serde_json::{Value, json};

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Server, Token, room};

#[tokio::test]
async fn ones_own_rooms_say_what_is_unread() {
    let server = Server::start();
    let (ann, bob) = (Caller::of(&server, "ann"), Caller::of(&server, "bob"));
    for id in ["a", "b", "c"] {
        ann.post("/rooms", json!({ "id": id, "visibility": "public" })).await.ok(201);
    }
    for id in ["a", "c"] {
        bob.post(&format!("/rooms/{id}/join"), json!({})).await.ok(200);
    }
    let mut said: Vec<Value> = Vec::new();
    for _ in 0..105 {
        let stored = ann.post("/rooms/c/messages", json!({ "body": "x" })).await.ok(201);
        said.push(stored["position"].clone());
    }
    let own = async || bob.get("/me/rooms").await.ok(200);
    let rooms = own().await;
    let [a, c] = &rooms["rooms"].as_array().unwrap()[..] else { panic!("{rooms}") };
    assert_eq!(
        (&a["room"]["id"], &a["role"], &a["unread"]),
        (&json!("a"), &json!("member"), &json!(0))
    );
    assert_eq!((&a["head"], &a["read"]), (&json!("0-0"), &json!("0-0")));
    assert_eq!(c["room"], ann.get("/rooms/c").await.ok(200));
    assert_eq!((&c["head"], &c["unread"]), (&said[104], &json!(100)), "which means 99+");
    bob.put("/me/rooms/c/cursor", json!({ "position": said[98] })).await.ok(200);
    let rooms = own().await;
    let c = &rooms["rooms"][1];
    assert_eq!((&c["read"], &c["unread"]), (&said[98], &json!(6)));
    let first = bob.get("/me/rooms?limit=1").await.ok(200);
    assert_eq!((&first["next"], first["rooms"].as_array().unwrap().len()), (&json!("a"), 1));
    let rest = bob.get("/me/rooms?limit=1&after=a").await.ok(200);
    assert_eq!((&rest["next"], &rest["rooms"][0]["room"]["id"]), (&Value::Null, &json!("c")));
    let members = ann.get("/rooms/c/members").await.ok(200);
    assert_eq!(members["members"][1]["read"], said[98]);
    ann.put("/rooms/c/members/bob", json!({ "banned": true })).await.ok(200);
    assert_eq!(own().await["rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cursor_moves_forward_and_not_past_the_end() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("cursor"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let mut said = Vec::new();
    for _ in 0..3 {
        let stored = ann.post(&format!("/rooms/{id}/messages"), json!({ "body": "x" })).await;
        said.push(stored.ok(201)["position"].clone());
    }
    let path = format!("/me/rooms/{id}/cursor");
    let to = async |position: &Value| {
        ann.put(&path, json!({ "position": position })).await.ok(200)["position"].clone()
    };
    assert_eq!(to(&said[1]).await, said[1]);
    assert_eq!(to(&said[0]).await, said[1]);
    assert_eq!(to(&json!("0-0")).await, said[1]);
    assert_eq!(to(&json!(format!("{}-0", u64::MAX))).await, said[2]);
    let eve = Caller::of(&SERVER, "eve");
    eve.put(&path, json!({ "position": said[0] })).await.refused(403, "not_a_member");
    let nowhere = eve.put("/me/rooms/nowhere/cursor", json!({ "position": "0-0" })).await;
    nowhere.refused(404, "unknown_destination");
    let granted = Caller::with(&SERVER, &Token::of("eve").rooms(&[&id]).mint());
    granted.put(&path, json!({ "position": said[0] })).await.ok(200);
    for bad in [
        json!({}),
        json!({ "position": 1 }),
        json!({ "position": "x" }),
        json!({ "position": null }),
        json!({ "delivered": null }),
        json!({ "delivered": "1" }),
        json!({ "installation": "phone" }),
        json!({ "position": said[0], "installation": "a/b" }),
    ] {
        ann.put(&path, bad).await.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn a_device_says_what_it_was_given_and_members_see_the_furthest() {
    let (ann, bob, id) = (Caller::of(&SERVER, "ann"), Caller::of(&SERVER, "bob"), room("given"));
    ann.post("/rooms", json!({ "id": id, "visibility": "public" })).await.ok(201);
    bob.post(&format!("/rooms/{id}/join"), json!({})).await.ok(200);
    let mut said = Vec::new();
    for _ in 0..3 {
        let stored = ann.post(&format!("/rooms/{id}/messages"), json!({ "body": "x" })).await;
        said.push(stored.ok(201)["position"].clone());
    }
    let path = format!("/me/rooms/{id}/cursor");
    let shown = async || {
        let members = ann.get(&format!("/rooms/{id}/members")).await.ok(200);
        let bob = &members["members"][1];
        assert_eq!(bob["user"], "bob");
        (bob["delivered"].clone(), bob["read"].clone())
    };
    let nothing = json!("0-0");
    assert_eq!(shown().await, (nothing.clone(), nothing.clone()));

    let phone = bob.put(&path, json!({ "delivered": said[1], "installation": "phone" })).await;
    let stands = json!({ "position": nothing, "delivered": said[1] });
    assert_eq!(phone.ok(200), stands, "and nothing is read");
    assert_eq!(shown().await, (said[1].clone(), nothing.clone()));
    let phone = bob.put(&path, json!({ "delivered": said[0], "installation": "phone" })).await;
    assert_eq!(phone.ok(200), stands, "never back");
    let nameless = bob.put(&path, json!({ "delivered": said[0] })).await.ok(200);
    assert_eq!(nameless, json!({ "position": nothing, "delivered": said[0] }), "its own cursor");
    assert_eq!(shown().await, (said[1].clone(), nothing), "of all devices the furthest");

    let end = format!("{}-0", u64::MAX);
    let both = json!({ "position": said[0], "delivered": end, "installation": "tablet" });
    let both = bob.put(&path, both).await.ok(200);
    assert_eq!(both, json!({ "position": said[0], "delivered": said[2] }), "and not past the end");
    assert_eq!(shown().await, (said[2].clone(), said[0].clone()));
    assert_eq!(bob.put(&path, json!({ "position": said[0] })).await.ok(200).get("delivered"), None);
    let eve = Caller::of(&SERVER, "eve");
    eve.put(&path, json!({ "delivered": said[0] })).await.refused(403, "not_a_member");
}
