//! StompProtocolAndroid as it is: no sub-protocol, no host, no escaping, no lengths, CR LF as a
//! heart-beat, close 1000 as the only good-bye. Its parser stops for good at a header that
//! `([^:\s]+)\s*:\s*([^:\s]+)` does not take; the test client checks that on every frame.

use crate::SERVER;
use crate::support::*;

async fn connected(token: &str) -> Client {
    let mut client = Open::new(&SERVER).path("/ws/websocket").open().await;
    client
        .send_text(&format!(
            "CONNECT\naccept-version:1.1,1.2\nheart-beat:0,0\nAuthorization:Bearer {token}\n\n\0"
        ))
        .await;
    let connected = client.expect("CONNECTED").await;
    assert_eq!((connected.at("version"), connected.at("heart-beat")), ("1.2", "0,0"));
    client
}

#[tokio::test]
async fn an_android_app_chats() {
    let room = room("android");
    let topic = format!("/topic/rooms/{room}");
    let mut ann = connected(&token("ann")).await;
    let id = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    ann.send_text(&format!("SUBSCRIBE\nid:{id}\ndestination:{topic}\nack:auto\n\n\0")).await;
    ann.send_text("\r\n").await;
    ann.send_text(&format!("SEND\ndestination:/app/rooms/{room}\n\n{{\"text\":\"hi\"}}\0")).await;
    let message = ann.expect("MESSAGE").await;
    assert_eq!((message.at("destination"), message.at("subscription")), (topic.as_str(), id));
    assert_eq!((message.text(), message.binary), ("{\"text\":\"hi\"}", false));
    // `setLegacyWhitespace`
    ann.send_text(&format!("SEND\ndestination:{topic}\n\nhello\n\n\0")).await;
    assert_eq!(ann.expect("MESSAGE").await.text(), "hello\n\n");
    ann.send_text(&format!("UNSUBSCRIBE\nid:{id}\n\n\0")).await;
    ann.send_text("\r\n").await;
    ann.close().await;
}

#[tokio::test]
async fn no_sender_can_deafen_the_others() {
    let room = room("hostile");
    let mut readers = vec![connected(&token("reader")).await];
    for version in ["1.0", "1.1", "1.2"] {
        readers.push(Client::connect_with(&SERVER, version, &token("reader")).await);
    }
    for reader in &mut readers {
        reader.subscribe_room(&room).await;
    }
    let name = "Ann: \"Lee\"\u{a0}\u{3000}é %";
    let token = Token::of("ann!#$%&'*+-=?^_`{|}~@example.com").name(name).all_rooms().mint();
    let spaces =
        ["a b", "a\tb", " ", "", " a", "a ", "a\u{a0}b", "a\u{3000}b", "a\u{b}b", "a\u{c}b"];
    let escapes = [r"a\nb", r"a\cb", r"\c", r"a\\b", r"\n", r"a\r\nb"];
    for version in ["1.0", "1.1", "1.2"] {
        let mut ann = Client::connect_with(&SERVER, version, &token).await;
        let mut sends = Vec::new();
        for value in spaces.iter().chain(&escapes) {
            if version == "1.1" && value.contains(r"\r") {
                continue; // undefined there
            }
            sends.push(to_room(&room, "x").header("custom", value));
            sends.push(to_room(&room, "x").header("content-type", value));
            if !value.trim().is_empty() {
                sends.push(to_room(&room, "x").header(value, "custom"));
            }
        }
        sends.push(to_room(&room, "x").header("custom", "raw:colon"));
        sends.push(to_room(&room, "x").header("content-type", "raw:colon"));
        sends.push(to_room(&room, "x").header("content-type", "application/json; charset=UTF-8"));
        for send in sends {
            let shown = format!("{version} {send:?}");
            ann.send(send.header("receipt", "r")).await;
            ann.receipt("r").await;
            for reader in &mut readers {
                let message = reader.next_message().await;
                assert_eq!(message.text(), "x", "{shown}");
                assert_eq!(message.at("sender"), "ann!#$%&'*+-=?^_`{|}~@example.com");
                let name = message.at("sender-name");
                assert_eq!(name, "Ann%3A%20%22Lee%22%C2%A0%E3%80%80%C3%A9%20%25");
            }
        }
    }
}

#[tokio::test]
async fn refusals_are_fit_for_android_too() {
    let mut ann = connected(&Token::of("ann").mint()).await;
    ann.send_text("SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nack:auto\n\n\0").await;
    ann.send_text("SEND\ndestination:/app/rooms/elsewhere\n\nx\0").await;
    assert_eq!(ann.expect("MESSAGE").await.at("destination"), "/user/queue/errors");
}
