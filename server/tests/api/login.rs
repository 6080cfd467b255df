//! Making an account and logging in.

use serde_json::json;

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

fn register(server: &Server, asked: &serde_json::Value) -> Ask {
    server.ask("POST /api/v1/auth/register").json(asked)
}

#[tokio::test]
async fn who_makes_an_account_is_logged_in_and_can_log_in_again() {
    let user = room("ann@example.org");
    let asked = json!({ "user": user, "password": PASSWORD, "name": "  Ann  " });
    let made = register(&SERVER, &asked).expect(201);
    assert_eq!((&made["user"], &made["expiresIn"]), (&json!(user), &json!(900)));
    let me = Person::of(&made).me(&SERVER).expect(200);
    assert_eq!((&me["user"], &me["name"]), (&json!(user), &json!("Ann")));
    assert!(me["createdAt"].as_u64().unwrap() > 1_700_000_000_000);
    let again = Person::of(&log_in(&SERVER, &user, PASSWORD).expect(200));
    assert_eq!(again.me(&SERVER).expect(200), me);
}

#[tokio::test]
async fn the_access_token_says_the_name_in_stomp_too() {
    let user = room("ann");
    let asked = json!({ "user": user, "password": PASSWORD, "name": "Ann" });
    let ann = Person::of(&register(&SERVER, &asked).expect(201));
    let mut session = ann.session(&SERVER).await;
    let mut reader = Client::connect(&SERVER, "reader").await;
    let room = room("lobby");
    reader.subscribe_room(&room).await;
    // An account opens no room by itself.
    session.subscribe_errors().await;
    session.send(to_room(&room, "hello").header("receipt", "r")).await;
    assert!(session.next_refusal().await.text().contains("not_a_member"));
}

#[tokio::test]
async fn a_taken_name_stays_taken_and_is_told() {
    let ann = Person::new(&SERVER, "ann");
    let asked = json!({ "user": ann.user, "password": "another one" });
    register(&SERVER, &asked).refused(409, "name_reused");
    ann.again(&SERVER);
}

#[tokio::test]
async fn the_name_of_somebody_whom_a_token_brought_is_not_free() {
    let user = room("guest");
    let mut guest = Client::connect(&SERVER, &user).await;
    guest.send_room(&room("lobby"), "I was here").await;
    let asked = json!({ "user": user, "password": PASSWORD });
    register(&SERVER, &asked).refused(409, "name_reused");
}

#[tokio::test]
async fn names_and_passwords_have_rules() {
    let long = "x".repeat(129);
    for (user, password, name) in [
        ("", PASSWORD, None),
        ("a b", PASSWORD, None),
        ("a:b", PASSWORD, None),
        ("a/b", PASSWORD, None),
        ("~nobody", PASSWORD, None),
        (&*long, PASSWORD, None),
        ("ann", "7 chars", None),
        ("ann", "", None),
        ("ann", &*long, None),
        ("ann", PASSWORD, Some("a\nb")),
        ("ann", PASSWORD, Some("a\u{202e}b")),
        ("ann", PASSWORD, Some(&*long)),
    ] {
        let asked = json!({ "user": user, "password": password, "name": name });
        let problem = register(&SERVER, &asked).refused(400, "bad_request");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{asked}");
    }
    // As characters, not as bytes.
    let asked = json!({ "user": room("mina"), "password": "비밀번호는비밀이다" });
    register(&SERVER, &asked).expect(201);
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_name_are_told_alike() {
    let ann = Person::new(&SERVER, "ann");
    let wrong = log_in(&SERVER, &ann.user, "wrong horse").refused(401, "bad_request");
    let nobody = log_in(&SERVER, &room("nobody"), "wrong horse").refused(401, "bad_request");
    assert_eq!(wrong, nobody);
    log_in(&SERVER, &ann.user, &"x".repeat(1_000)).refused(401, "bad_request");
    log_in(&SERVER, &ann.user.to_uppercase(), PASSWORD).refused(401, "bad_request");
    ann.again(&SERVER);
}

#[tokio::test]
async fn accounts_outlive_a_restart_and_tokens_do_too() {
    let server = Server::with(&[MANY_TRIES]);
    let ann = Person::new(&server, "ann");
    let gone = ann.again(&server);
    log_out(&server, &gone.refresh).expect(204);
    let server = server.restart();
    ann.me(&server).expect(200);
    ann.refresh(&server).expect(200);
    gone.is_out(&server);
}

#[tokio::test]
async fn passwords_and_tokens_are_neither_kept_nor_logged() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_LOG", "trace")]);
    let ann = Person::new(&server, "ann");
    log_in(&server, &ann.user, "wrong horse").refused(401, "bad_request");
    ann.refresh(&server).expect(200);
    assert_eq!(server.terminate(), Some(0));
    let database = std::fs::read(server.database()).unwrap();
    let log = server.log.text();
    for secret in [PASSWORD, "wrong horse", &ann.refresh, ann.access.rsplit('.').next().unwrap()] {
        let in_database = database.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!in_database && !log.contains(secret), "{secret} is somewhere");
    }
}

#[tokio::test]
async fn registration_can_be_closed() {
    let server = Server::with(&[("MOIM_ACCOUNTS__REGISTRATION", "false")]);
    let asked = json!({ "user": "ann", "password": PASSWORD });
    register(&server, &asked).refused(403, "bad_request");
    log_in(&server, "ann", PASSWORD).refused(401, "bad_request");
}

#[tokio::test]
async fn who_takes_people_from_elsewhere_registers_nobody_unless_told_to() {
    let key = Signer::new("k", jsonwebtoken::Algorithm::ES256);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, jwks(&[key.jwk(json!({}))])).unwrap();
    let keys = ("MOIM_JWKS", path.to_str().unwrap());
    let asked = json!({ "user": "ann", "password": PASSWORD });
    register(&Server::with(&[keys]), &asked).refused(403, "bad_request");
    let open = Server::with(&[keys, ("MOIM_ACCOUNTS__REGISTRATION", "true")]);
    register(&open, &asked).expect(201);
}

#[tokio::test]
async fn who_signs_tokens_is_warned_unless_it_is_said_whether_anybody_registers() {
    const WARNING: &str = "anybody may make an account under a name that your tokens use";
    assert!(Server::with(&[]).log.text().contains(WARNING));
    for said in ["true", "false"] {
        let server = Server::with(&[("MOIM_ACCOUNTS__REGISTRATION", said)]);
        assert!(!server.log.text().contains(WARNING), "{said}");
    }
}

#[tokio::test]
async fn without_accounts_their_routes_are_not_there() {
    let server = Server::with(&[("MOIM_ACCOUNTS__ENABLED", "false")]);
    let asked = json!({ "user": "ann", "password": PASSWORD });
    register(&server, &asked).refused(404, "unknown_destination");
    log_in(&server, "ann", PASSWORD).refused(404, "unknown_destination");
    let mine = Token::of("ann").name("Ann").mint();
    let me = server.ask("GET /api/v1/me").token(&mine).expect(200);
    assert_eq!(me, json!({ "user": "ann", "name": "Ann" }));
    let document = server.get("/openapi.json").json();
    assert!(document["paths"].get("/api/v1/auth/login").is_none());
}

#[tokio::test]
async fn the_shortest_password_can_be_chosen_and_is_told() {
    let server = Server::with(&[("MOIM_ACCOUNTS__PASSWORD_MIN", "14")]);
    let asked = json!({ "user": "ann", "password": PASSWORD });
    register(&server, &asked).refused(400, "bad_request");
    let document = server.get("/openapi.json").json();
    let password = &document["components"]["schemas"]["Registration"]["properties"]["password"];
    assert_eq!(password["minLength"], 14);
    assert_eq!(password["maxLength"], 128);
}
