//! Who is let in, by which token.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::SERVER;
use crate::support::*;

/// CONNECT with that token, and what comes back.
async fn answer(server: &Server, token: &str) -> Frame {
    let mut client = Open::new(server).open().await;
    let connect = frame("CONNECT")
        .header("accept-version", "1.2")
        .header("Authorization", format!("Bearer {token}"));
    client.send(connect).await;
    let answer = client.next_frame().await;
    if answer.command == "ERROR" {
        client.expect_close(1002).await;
        assert!(!format!("{answer:?}").contains(token), "the ERROR shows the token");
    }
    answer
}

#[tokio::test]
async fn the_first_token_found_counts() {
    let [ann, bob, cho, dan] = ["ann", "bob", "cho", "dan"].map(token);
    for (first, expected) in ["ann", "bob", "cho", "dan"].into_iter().enumerate() {
        let path = if first <= 2 { format!("/ws?access_token={cho}") } else { "/ws".into() };
        let open = Open::new(&SERVER).path(path);
        let open =
            if first <= 1 { open.header("Authorization", format!("Bearer {bob}")) } else { open };
        let mut client = open.open().await;
        let connect = frame("CONNECT")
            .header("accept-version", "1.2")
            .header("login", "ignored")
            .header("passcode", &dan);
        let connect = if first == 0 {
            connect.header("Authorization", format!("Bearer {ann}"))
        } else {
            connect
        };
        client.send(connect).await;
        assert_eq!(client.expect("CONNECTED").await.at("user-name"), expected);
    }
}

#[tokio::test]
async fn a_wrong_token_is_not_made_good_by_one_that_comes_later() {
    let mut client =
        Open::new(&SERVER).path(format!("/ws?access_token={}", token("ann"))).open().await;
    let connect = frame("CONNECT")
        .header("accept-version", "1.2")
        .header("Authorization", "Bearer wrong")
        .header("passcode", token("ann"));
    client.send(connect).await;
    client.expect_error().await;
}

#[tokio::test]
async fn without_a_token_nobody_gets_in() {
    let mut client = Open::new(&SERVER).open().await;
    client.send(frame("CONNECT").header("accept-version", "1.2").header("login", "ann")).await;
    assert_eq!(client.expect_error().await.at("code"), "bad_request");
}

#[tokio::test]
async fn the_headers_name_and_scheme_may_be_in_any_case() {
    for (name, scheme) in [("Authorization", "bearer "), ("authorization", "BEARER ")] {
        let mut client = Open::new(&SERVER).open().await;
        let value = format!("{scheme}{}", token("ann"));
        client.send(frame("CONNECT").header("accept-version", "1.2").header(name, value)).await;
        client.expect("CONNECTED").await;
    }
}

#[tokio::test]
async fn forged_and_broken_tokens_are_refused() {
    let good = token("ann");
    let (claims, signature) = {
        let mut parts = good.split('.').skip(1);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let other =
        Token::of("ann").all_rooms().secret("another secret, of more than 32 bytes!!").mint();
    let mut flipped = good.clone();
    let last = flipped.len() - 10;
    flipped.replace_range(last..=last, if &flipped[last..=last] == "A" { "B" } else { "A" });
    for (what, bad) in [
        ("garbage", "garbage".into()),
        ("another secret", other),
        ("a changed signature", flipped),
        ("alg none", format!("{none}.{claims}.")),
        ("alg none with a signature", format!("{none}.{claims}.{signature}")),
        ("HS384", forged(Algorithm::HS384, &json!({}))),
        ("HS512", forged(Algorithm::HS512, &json!({}))),
        ("no exp", forged(Algorithm::HS256, &json!({ "exp": null }))),
        ("no sub", forged(Algorithm::HS256, &json!({ "sub": null }))),
        ("a sub with a space", forged(Algorithm::HS256, &json!({ "sub": "a b" }))),
        ("a sub with a colon", forged(Algorithm::HS256, &json!({ "sub": "a:b" }))),
        ("a sub with a slash", forged(Algorithm::HS256, &json!({ "sub": "a/b" }))),
        ("a sub too long", forged(Algorithm::HS256, &json!({ "sub": "x".repeat(129) }))),
        ("a newline in the name", forged(Algorithm::HS256, &json!({ "name": "a\nb" }))),
        ("rooms of another kind", forged(Algorithm::HS256, &json!({ "rooms": 7 }))),
        ("not yet valid", forged(Algorithm::HS256, &json!({ "nbf": 32_503_680_000_u64 }))),
    ] {
        let answer = answer(&SERVER, &bad).await;
        assert_eq!(answer.command, "ERROR", "{what}");
        assert_eq!(answer.at("code"), "bad_request", "{what}");
    }
    assert_eq!(answer(&SERVER, &forged(Algorithm::HS256, &json!({}))).await.command, "CONNECTED");
}

#[tokio::test]
async fn an_expired_token_is_refused_after_a_minute_of_skew() {
    let minute = Duration::from_secs(60);
    let late = Token::of("ann").ttl(minute).made_ago(minute + Duration::from_secs(30)).mint();
    assert_eq!(answer(&SERVER, &late).await.command, "CONNECTED");
    let too_late =
        Token::of("ann").ttl(minute).made_ago(2 * minute + Duration::from_secs(5)).mint();
    assert_eq!(answer(&SERVER, &too_late).await.at("code"), "expired");
}

#[tokio::test]
async fn a_token_in_the_query_is_never_logged() {
    let server = Server::with(&[("MOIM_LOG", "trace")]);
    let good = token("ann");
    let mut client = Open::new(&server).path(format!("/ws?access_token={good}&x=1")).open().await;
    client.send(frame("CONNECT").header("accept-version", "1.2")).await;
    client.expect("CONNECTED").await;
    let wrong = "wrong-and-secret";
    let mut client = Open::new(&server).path(format!("/ws?access_token={wrong}")).open().await;
    client.send(frame("CONNECT").header("accept-version", "1.2")).await;
    client.expect_error().await;
    server.get(&format!("/ws?access_token={wrong}&access_token={wrong}"));
    server.get(&format!("/nowhere?access_token={wrong}"));
    assert_eq!(server.terminate(), Some(0));
    // Nothing is what is looked for: this waits for the log's end.
    assert_eq!(server.log.wait_for(DEADLINE, |_| false), None);
    let log = server.log.text();
    assert!(log.contains("listens on"), "there is a log");
    let signature = good.rsplit('.').next().unwrap();
    assert!(!log.contains(wrong) && !log.contains(signature), "{log}");
}

#[tokio::test]
async fn two_secrets_are_good_at_once_and_audience_and_issuer_are_asked_for() {
    const OLD: &str = "the secret before, of more than 32 bytes";
    let server = Server::with(&[
        ("MOIM_JWT_SECRET_PREVIOUS", OLD),
        ("MOIM_AUTH__AUDIENCE", "moim"),
        ("MOIM_AUTH__ISSUER", "https://id.example.org"),
    ]);
    let rightly = || Token::of("ann").audience("moim").issuer("https://id.example.org");
    assert_eq!(answer(&server, &rightly().mint()).await.command, "CONNECTED");
    assert_eq!(answer(&server, &rightly().secret(OLD).mint()).await.command, "CONNECTED");
    for wrong in [
        Token::of("ann"),
        Token::of("ann").audience("moim"),
        rightly().audience("other"),
        rightly().issuer("https://evil.example"),
    ] {
        assert_eq!(answer(&server, &wrong.mint()).await.command, "ERROR");
    }
}

#[tokio::test]
async fn a_session_outlives_its_token() {
    let server = Server::with(&[("MOIM_AUTH__SKEW", "0s")]);
    let short = Token::of("ann").all_rooms().ttl(Duration::from_millis(500)).mint();
    let mut client = Client::connect_with(&server, "1.2", &short).await;
    let end = Instant::now() + DEADLINE;
    while answer(&server, &short).await.command == "CONNECTED" {
        assert!(Instant::now() < end, "the token never expires");
    }
    client.send_room("after", "still here").await;
}

#[tokio::test]
async fn with_close_on_exp_a_session_ends_with_its_token() {
    let server = Server::with(&[("MOIM_AUTH__SKEW", "0s"), ("MOIM_AUTH__CLOSE_ON_EXP", "true")]);
    let short = Token::of("ann").all_rooms().ttl(Duration::from_millis(500)).mint();
    let mut client = Client::connect_with(&server, "1.2", &short).await;
    client.expect_close(4001).await;
}
