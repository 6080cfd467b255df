//! What changed in one's rooms, in one request.

use serde_json::{Value, json};

use crate::SERVER;
use crate::caller::Caller;
use crate::support::room;

async fn made(owner: &Caller<'_>, id: &str, member: &str) {
    owner.post("/rooms", json!({ "id": id })).await.ok(201);
    owner.put(&format!("/rooms/{id}/members/{member}"), json!({})).await.ok(200);
}

fn ids(page: &Value) -> Vec<&str> {
    let all = page["changes"].as_array().unwrap();
    all.iter().map(|change| change["room"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn from_nothing_all_rooms_come_in_pages_those_first_that_changed_first() {
    let names = (room("ann"), room("bob"));
    let (ann, bob) = (Caller::of(&SERVER, &names.0), Caller::of(&SERVER, &names.1));
    let rooms: Vec<String> = (0..5).map(|n| room(&format!("page{n}"))).collect();
    for id in &rooms {
        made(&ann, id, &names.1).await;
    }
    // What changed last is last.
    ann.post(&format!("/rooms/{}/messages", rooms[0]), json!({ "body": "x" })).await.ok(201);
    let mut path = "/me/changes?limit=2".to_owned();
    let mut found = Vec::new();
    loop {
        let page = bob.get(&path).await.ok(200);
        assert_eq!(page["recovered"], true);
        found.extend(ids(&page).into_iter().map(str::to_owned));
        path = format!("/me/changes?limit=2&since={}", page["next"].as_str().unwrap());
        if page["more"] == false {
            break;
        }
        assert_eq!(ids(&page).len(), 2);
    }
    let expected: Vec<&String> = rooms[1..].iter().chain([&rooms[0]]).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    // And what changes from then on.
    ann.post(&format!("/rooms/{}/messages", rooms[3]), json!({ "body": "new" })).await.ok(201);
    ann.delete(&format!("/rooms/{}/members/{}", rooms[4], names.1)).await.ok(204);
    let all = bob.get(&path.replace("limit=2", "limit=200")).await.ok(200);
    let last =
        |id: &str| all["changes"].as_array().unwrap().iter().find(|it| it["room"]["id"] == id);
    assert_eq!(last(&rooms[3]).unwrap()["last"]["body"], "new");
    assert_eq!(last(&rooms[4]).unwrap()["type"], "removal");
    assert_eq!(all["more"], false);
}

#[tokio::test]
async fn a_change_says_how_the_room_is_as_the_list_of_rooms_does() {
    let names = (room("ann"), room("bob"));
    let (ann, bob) = (Caller::of(&SERVER, &names.0), Caller::of(&SERVER, &names.1));
    let before = bob.get("/me/changes").await.ok(200);
    assert_eq!(ids(&before), [""; 0]);
    let id = room("change");
    made(&ann, &id, &names.1).await;
    let binary = json!({ "bodyBase64": "/wD/", "contentType": "image/x" });
    ann.post(&format!("/rooms/{id}/messages"), binary).await.ok(201);
    let since = format!("/me/changes?since={}", before["next"].as_str().unwrap());
    let page = bob.get(&since).await.ok(200);
    let change = &page["changes"][0];
    assert_eq!(change["type"], "invitation");
    let own = &bob.get("/me/rooms").await.ok(200)["rooms"][0];
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&change[name], value, "{name}");
    }
    let last = &change["last"];
    assert_eq!((&last["position"], &last["sender"]), (&own["head"], &json!(names.0)));
    assert_eq!((&last["contentType"], last.get("body")), (&json!("image/x"), None));
    // Nobody else's.
    let eve = Caller::of(&SERVER, &room("eve"));
    assert_eq!(ids(&eve.get("/me/changes").await.ok(200)), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_brings_everything_and_nonsense_is_refused() {
    let names = (room("ann"), room("bob"));
    let (ann, bob) = (Caller::of(&SERVER, &names.0), Caller::of(&SERVER, &names.1));
    let id = room("everything");
    made(&ann, &id, &names.1).await;
    for lost in ["1000-0", "9999999999999-0"] {
        let page = bob.get(&format!("/me/changes?since={lost}")).await.ok(200);
        assert_eq!((&page["recovered"], ids(&page)), (&json!(false), vec![&*id]));
        assert_eq!(page["changes"][0]["type"], "room");
    }
    for bad in ["since=x", "since=1", "limit=0", "limit=201", "before=0-0"] {
        bob.get(&format!("/me/changes?{bad}")).await.refused(400, "bad_request");
    }
    Caller::nobody(&SERVER).get("/me/changes").await.refused(401, "bad_request");
}
