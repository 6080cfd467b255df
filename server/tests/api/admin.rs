//! What operators may do, and who is one.

use serde_json::json;

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

const ADMIN: &str = "an operator's token";

fn revoke(server: &Server, token: &str, asked: &serde_json::Value) -> Ask {
    server.ask("POST /admin/v1/revocations").token(token).json(asked)
}

/// The one that was printed at the start.
fn printed(server: &Server) -> String {
    let line = server.log.wait_for(DEADLINE, |line| line.contains("admin token: ")).unwrap();
    line.split("admin token: ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn on_this_machine_alone_a_token_is_made_and_printed() {
    let admin = printed(&SERVER);
    assert!(admin.len() >= 32, "{admin}");
    revoke(&SERVER, &admin, &json!({ "user": room("nobody") })).expect(204);
    for wrong in ["", "x", &admin[1..], &format!("{admin}x"), &token("ann")] {
        revoke(&SERVER, wrong, &json!({ "user": "nobody" })).refused(401, "bad_request");
    }
}

#[tokio::test]
async fn the_configured_token_counts_and_no_other_is_made() {
    let server = Server::with(&[("MOIM_ADMIN_TOKEN", &ADMIN.replace(' ', "-"))]);
    revoke(&server, &ADMIN.replace(' ', "-"), &json!({ "user": "nobody" })).expect(204);
    revoke(&server, "another", &json!({ "user": "nobody" })).refused(401, "bad_request");
    assert!(!server.log.text().contains("admin token: "));
}

#[tokio::test]
async fn where_others_can_come_there_is_none_without_a_token() {
    let server = Server::with(&[("MOIM_LISTEN", "0.0.0.0:0")]);
    let address = ([127, 0, 0, 1], server.port()).into();
    let asked = json!({ "user": "nobody" });
    revoke(&server, "", &asked).at(address).refused(404, "unknown_destination");
    assert!(!server.log.text().contains("admin token: "));
}

#[tokio::test]
async fn on_an_address_of_its_own_it_is_not_where_clients_come() {
    let server = Server::with(&[("MOIM_ADMIN_LISTEN", "127.0.0.1:0")]);
    let admin = printed(&server);
    let asked = json!({ "user": "nobody" });
    revoke(&server, &admin, &asked).refused(404, "unknown_destination");
    let document = server.get("/openapi.json").json();
    assert!(document["paths"].get("/admin/v1/revocations").is_none());
}

#[tokio::test]
async fn a_users_tokens_and_log_ins_end_and_new_ones_are_good() {
    let server = Server::with(&[MANY_TRIES]);
    let admin = printed(&server);
    let ann = Person::new(&server, "ann");
    let foreign = token(&ann.user);
    let mut sessions =
        [ann.session(&server).await, Client::connect_with(&server, "1.2", &foreign).await];
    let mut other = Client::connect(&server, "bob").await;
    revoke(&server, &admin, &json!({ "user": ann.user })).expect(204);
    for session in &mut sessions {
        session.expect_close(4001).await;
    }
    ann.is_out(&server);
    server.ask("GET /api/v1/me").token(&foreign).refused(401, "expired");
    other.sync().await;
    // Who has a stolen refresh token gets nothing for it, and who knows the password is back.
    ann.refresh(&server).refused(401, "bad_request");
    ann.again(&server).session(&server).await.sync().await;
    let server = server.restart();
    ann.is_out(&server);
}

#[tokio::test]
async fn one_token_ends_alone() {
    let admin = printed(&SERVER);
    let user = room("ann");
    let with_id = |id: &str| {
        forged(jsonwebtoken::Algorithm::HS256, &json!({ "sub": user, "jti": id, "iat": 1 }))
    };
    let (one, other) = (with_id("t-1"), with_id("t-2"));
    let mut session = Client::connect_with(&SERVER, "1.2", &one).await;
    revoke(&SERVER, &admin, &json!({ "jti": "t-1" })).expect(204);
    session.expect_close(4001).await;
    SERVER.ask("GET /api/v1/me").token(&one).refused(401, "expired");
    SERVER.ask("GET /api/v1/me").token(&other).expect(200);
}

#[tokio::test]
async fn it_is_one_or_the_other() {
    let admin = printed(&SERVER);
    for bad in [
        json!({}),
        json!([]),
        json!({ "user": "a b" }),
        json!({ "jti": "" }),
        json!({ "user": "ann", "jti": "t" }),
        json!({ "user": "ann", "more": 1 }),
    ] {
        revoke(&SERVER, &admin, &bad).refused(400, "bad_request");
    }
}
