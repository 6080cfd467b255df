//! CONNECT with the name and the password of an account.

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

fn connect(user: &str, password: &str) -> Frame {
    frame("CONNECT")
        .header("accept-version", "1.2")
        .header("login", user)
        .header("passcode", password)
}

#[tokio::test]
async fn an_account_connects_with_login_and_passcode() {
    let ann = Person::new(&SERVER, "ann");
    let mut client = Open::new(&SERVER).open().await;
    client.send(connect(&ann.user, PASSWORD)).await;
    assert_eq!(client.expect("CONNECTED").await.at("user-name"), ann.user);
    client.sync().await;
}

#[tokio::test]
async fn what_comes_behind_connect_waits_for_it_in_order() {
    let ann = Person::new(&SERVER, "ann");
    let mut client = Open::new(&SERVER).open().await;
    let errors = frame("SUBSCRIBE")
        .header("id", "errors")
        .header("destination", "/user/queue/errors")
        .header("receipt", "r-1");
    let leave = frame("UNSUBSCRIBE").header("id", "nothing").header("receipt", "r-2");
    // In one message and in messages of their own.
    let together = [connect(&ann.user, PASSWORD).bytes(), errors.bytes()].concat();
    client.send_text(&String::from_utf8(together).unwrap()).await;
    client.send(leave).await;
    client.expect("CONNECTED").await;
    assert_eq!(client.expect("RECEIPT").await.at("receipt-id"), "r-1");
    assert_eq!(client.expect("RECEIPT").await.at("receipt-id"), "r-2");
}

#[tokio::test]
async fn a_wrong_passcode_is_an_error_and_the_end() {
    let ann = Person::new(&SERVER, "ann");
    for (user, password) in [
        (ann.user.as_str(), "wrong horse"),
        ("nobody", PASSWORD),
        ("no:body", PASSWORD),
        (&ann.user, ""),
    ] {
        let mut client = Open::new(&SERVER).open().await;
        client.send(connect(user, password).header("receipt", "r")).await;
        let error = client.expect_error().await;
        assert_eq!((error.at("code"), error.at("receipt-id")), ("bad_request", "r"));
    }
}

#[tokio::test]
async fn a_token_as_passcode_needs_no_account() {
    let mut client = Open::new(&SERVER).open().await;
    client.send(connect("whoever", &token("bob"))).await;
    assert_eq!(client.expect("CONNECTED").await.at("user-name"), "bob");
}

#[tokio::test]
async fn guesses_are_counted_with_those_on_rest() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_ACCOUNTS__TRIES", "4")]);
    let ann = Person::new(&server, "ann");
    for _ in 0..2 {
        log_in(&server, &ann.user, "wrong horse").refused(401, "bad_request");
        let mut client = Open::new(&server).open().await;
        client.send(connect(&ann.user, "wrong horse")).await;
        client.expect_error().await;
    }
    log_in(&server, &ann.user, PASSWORD).refused(429, "rate_limited");
    let mut client = Open::new(&server).open().await;
    client.send(connect(&ann.user, PASSWORD)).await;
    assert_eq!(client.expect_error().await.at("code"), "rate_limited");
}
