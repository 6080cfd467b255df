//! Tokens that end before their time, on REST and STOMP alike.

use std::time::Duration;

use crate::SERVER;
use crate::people::*;
use crate::support::*;

/// CONNECT with that token has to be refused.
async fn is_refused_by_stomp(server: &Server, token: &str) {
    let mut client = Open::new(server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2");
    client.send(connect.header("Authorization", format!("Bearer {token}"))).await;
    assert_eq!(client.expect_error().await.at("code"), "expired");
}

#[tokio::test]
async fn a_log_out_ends_its_tokens_and_sessions_and_no_others() {
    let ann = Person::new(&SERVER, "ann");
    let phone = ann.again(&SERVER);
    let mut of_phone = phone.session(&SERVER).await;
    let mut of_ann = ann.session(&SERVER).await;
    log_out(&SERVER, &phone.refresh).expect(204);
    of_phone.expect_close(4001).await;
    phone.is_out(&SERVER);
    is_refused_by_stomp(&SERVER, &phone.access).await;
    phone.refresh(&SERVER).refused(401, "bad_request");
    ann.me(&SERVER).expect(200);
    of_ann.sync().await;
    // Once more is as well.
    log_out(&SERVER, &phone.refresh).expect(204);
}

#[tokio::test]
async fn expired_and_foreign_tokens_are_told_apart() {
    let minute = Duration::from_secs(60);
    let late = Token::of("ann").ttl(minute).made_ago(3 * minute).mint();
    SERVER.ask("GET /api/v1/me").token(&late).refused(401, "expired");
    let foreign = Token::of("ann").secret("another secret, of more than 32 bytes!!").mint();
    for bad in [foreign.as_str(), "", "x", "a.b.c", &"x".repeat(20_000)[..]] {
        SERVER.ask("GET /api/v1/me").token(bad).refused(401, "bad_request");
    }
    SERVER.ask("GET /api/v1/me").refused(401, "bad_request");
    let basic = SERVER.ask("GET /api/v1/me").header("Authorization", "Basic YTpi");
    basic.refused(401, "bad_request");
    let mine = Token::of("ann").mint();
    SERVER.ask("GET /api/v1/me").header("authorization", &format!("bearer {mine}")).expect(200);
}
