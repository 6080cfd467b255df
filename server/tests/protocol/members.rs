//! Who may read and write a room.

use crate::SERVER;
use crate::support::*;

async fn with(user: &str, rooms: &[&str]) -> Client {
    let token = Token::of(user).rooms(rooms).mint();
    let mut client = Client::connect_with(&SERVER, "1.2", &token).await;
    client.subscribe_errors().await;
    client
}

/// Whether the user may do that in the room.
async fn may(client: &mut Client, command: &str, room: &str) -> bool {
    let receipt = client.next_receipt();
    let asked = frame(command)
        .header("id", &receipt)
        .header("destination", format!("/topic/rooms/{room}"))
        .header("receipt", &receipt);
    client.send(asked).await;
    let answer = client.wait_for(|frame| frame.get("receipt-id") == Some(&receipt)).await;
    if answer.command == "MESSAGE" {
        assert_eq!(answer.json()["code"], "not_a_member");
    }
    answer.command == "RECEIPT"
}

#[tokio::test]
async fn without_grant_and_membership_a_room_is_closed_to_subscribe_and_send() {
    let room = room("closed");
    let mut reader = Client::connect(&SERVER, "reader").await;
    reader.subscribe_room(&room).await;
    let mut ann = with("ann", &[]).await;
    assert!(!may(&mut ann, "SUBSCRIBE", &room).await);
    assert!(!may(&mut ann, "SEND", &room).await);
    reader.send_room(&room, "only this").await;
    assert_eq!(reader.bodies(1).await, ["only this"]);
    ann.sync().await;
    assert_eq!(ann.kept(), [], "a refused subscription gets nothing");
}

#[tokio::test]
async fn a_list_of_rooms_opens_these_and_no_others() {
    let (one, two, three) = (room("Listed"), room("listed"), room("unlisted"));
    let mut ann = with("ann", &[&one, &two]).await;
    for room in [&one, &two] {
        assert!(may(&mut ann, "SUBSCRIBE", room).await && may(&mut ann, "SEND", room).await);
    }
    for closed in
        [&three, &one.to_lowercase(), &format!("{one}x"), &one[..one.len() - 1].to_owned()]
    {
        assert!(!may(&mut ann, "SUBSCRIBE", closed).await, "{closed}");
        assert!(!may(&mut ann, "SEND", closed).await, "{closed}");
    }
}

#[tokio::test]
async fn who_came_in_by_a_grant_is_a_member_and_comes_in_later_without_one() {
    for command in ["SUBSCRIBE", "SEND"] {
        let room = room("member");
        let mut bob = with("bob", &[]).await;
        assert!(!may(&mut bob, "SEND", &room).await);
        let mut granted = with("bob", &[&room]).await;
        assert!(may(&mut granted, command, &room).await);
        let mut later = with("bob", &[]).await;
        assert!(may(&mut later, "SUBSCRIBE", &room).await);
        assert!(may(&mut later, "SEND", &room).await);
        let mut other = with("cho", &[]).await;
        assert!(!may(&mut other, "SUBSCRIBE", &room).await);
    }
}

#[tokio::test]
async fn a_membership_by_grant_survives_a_restart() {
    let server = Server::start();
    let granted = Token::of("ann").rooms(&["room"]).mint();
    let mut ann = Client::connect_with(&server, "1.2", &granted).await;
    ann.subscribe_room("room").await;
    let server = server.restart();
    let mut ann = Client::connect_with(&server, "1.2", &Token::of("ann").mint()).await;
    ann.subscribe_room("room").await;
    ann.send_room("room", "hello").await;
}

#[tokio::test]
async fn room_ids_are_case_sensitive() {
    let room = room("Case");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    ann.send_room(&room.to_lowercase(), "elsewhere").await;
    ann.send_room(&room, "here").await;
    assert_eq!(ann.bodies(1).await, ["here"]);
}

#[tokio::test]
async fn a_refused_id_may_be_used_again() {
    let room = room("again");
    let mut ann = with("ann", &[&room]).await;
    for destination in ["elsewhere", &room] {
        let subscribe = frame("SUBSCRIBE")
            .header("id", "same")
            .header("destination", format!("/topic/rooms/{destination}"))
            .header("receipt", destination);
        ann.send(subscribe).await;
        ann.wait_for(|frame| frame.get("receipt-id") == Some(destination)).await;
    }
    ann.send_room(&room, "hello").await;
    assert_eq!(ann.next_message().await.at("subscription"), "same");
}
