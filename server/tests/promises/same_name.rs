//! P2: one name is one message, however it is sent.

use crate::support::*;
use crate::table::{Table, assert_dense};

#[tokio::test]
async fn two_sessions_that_send_the_same_name_at_once_send_one_message() {
    const ROUNDS: usize = 50;
    let server = Server::start();
    let mut phone = Client::connect(&server, "ann").await;
    let mut tablet = Client::connect(&server, "ann").await;
    let mut reader = Client::connect(&server, "bob").await;
    reader.subscribe_room("room").await;
    for n in 0..ROUNDS {
        let named = |frame: Frame| frame.header("origin-id", n);
        let body = format!("message {n}");
        let (one, two) = tokio::join!(
            phone.send_room_with("room", &body, named),
            tablet.send_room_with("room", &body, named),
        );
        assert_eq!(one, two);
        let message = reader.next_message().await;
        assert_eq!((message.text(), message.at("position")), (&*body, &*one));
    }
    reader.sync().await;
    assert_eq!(reader.kept(), []);
    assert_eq!(server.terminate(), Some(0));
    let rows = Table::open(&server.database()).rows("room").await;
    assert_dense(&rows);
    assert_eq!(rows.len(), ROUNDS);
}
