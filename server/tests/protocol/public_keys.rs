//! Tokens that others signed, with keys that come from a server of theirs.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use moim_shared::clock::now_ms;
use serde_json::{Value, json};

use crate::support::*;

fn claims(more: Value) -> Value {
    let mut claims = json!({ "sub": "ann", "rooms": "*", "exp": now_ms() / 1_000 + 600 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn keys(signers: &[&Signer]) -> Serves {
    Serves::Text(jwks(&signers.iter().map(|it| it.jwk(json!({}))).collect::<Vec<_>>()))
}

/// What CONNECT with a token of that signer brings: `CONNECTED` or the code of the ERROR.
async fn connect(server: &Server, signer: &Signer) -> String {
    let mut client = Open::new(server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2");
    client.send(connect.header("passcode", signer.sign(&claims(json!({}))))).await;
    let answer = client.next_frame().await;
    if answer.command == "ERROR" { answer.at("code").to_owned() } else { answer.command }
}

fn ready(server: &Server) -> Value {
    server.get("/readyz").json()
}

async fn until_keys_are(server: &Server, good: bool) -> String {
    let end = Instant::now() + 3 * DEADLINE;
    loop {
        let state = ready(server)["dependencies"]["jwks"].as_str().unwrap().to_owned();
        assert!(["ok", "away"].contains(&state.as_str()), "strangers read this: {state}");
        if (state == "ok") == good {
            return state;
        }
        assert!(Instant::now() < end, "jwks: {state}\n{}", server.log);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keys_of_each_kind_let_in_and_the_secret_still_does() {
    let signers: Vec<_> =
        [("r", Algorithm::RS256), ("e", Algorithm::ES256), ("d", Algorithm::EdDSA)]
            .map(|(id, algorithm)| Signer::new(id, algorithm))
            .into();
    let others = JwksServer::start(keys(&signers.iter().collect::<Vec<_>>()));
    let server = Server::with(&[("MOIM_JWKS", &others.url())]);
    for signer in &signers {
        assert_eq!(connect(&server, signer).await, "CONNECTED", "{:?}", signer.algorithm);
    }
    let mut bob = Client::connect(&server, "bob").await;
    bob.send_room("room", "hello").await;
    assert_eq!(ready(&server)["dependencies"]["jwks"], "ok");
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_frames_behind_connect_keep_their_order() {
    let [old, new] = ["old", "new"].map(|id| Signer::new(id, Algorithm::ES256));
    let others = JwksServer::start(keys(&[&old]));
    let server = Server::with(&[("MOIM_JWKS", &others.url())]);
    until_keys_are(&server, true).await;
    others.serve(keys(&[&old, &new]));
    let mut client = Open::new(&server).open().await;
    let token = new.sign(&claims(json!({})));
    let connect = frame("CONNECT").header("accept-version", "1.2").header("passcode", token);
    let subscribe = frame("SUBSCRIBE")
        .header("id", "0")
        .header("destination", "/topic/rooms/room")
        .header("receipt", "in");
    let all = [connect, subscribe, to_room("room", "1"), to_room("room", "2")];
    // In one message, and one more behind it.
    let bytes: Vec<u8> = all.iter().flat_map(Frame::bytes).collect();
    client.send_text(&String::from_utf8(bytes).unwrap()).await;
    client.send(to_room("room", "3")).await;
    client.expect("CONNECTED").await;
    client.receipt("in").await;
    assert_eq!(client.bodies(3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn keys_that_nobody_knows_are_asked_for_once_and_then_not_for_a_while() {
    let [known, unknown] = ["known", "unknown"].map(|id| Signer::new(id, Algorithm::ES256));
    let others = JwksServer::start(keys(&[&known]));
    let server = Server::with(&[("MOIM_JWKS", &others.url())]);
    until_keys_are(&server, true).await;
    assert_eq!(others.asked(), 1);
    assert_eq!(connect(&server, &unknown).await, "bad_request", "it was looked for");
    for _ in 0..20 {
        // It may be there by now, and nobody looks.
        assert_eq!(connect(&server, &unknown).await, "unavailable");
    }
    assert_eq!(others.asked(), 2);
    assert_eq!(connect(&server, &known).await, "CONNECTED");
}

#[tokio::test]
async fn many_with_a_new_key_are_all_let_in_by_one_look() {
    let [old, new] = ["old", "new"].map(|id| Signer::new(id, Algorithm::ES256));
    let others = JwksServer::start(keys(&[&old]));
    let server = Server::with(&[("MOIM_JWKS", &others.url())]);
    until_keys_are(&server, true).await;
    others.serve(keys(&[&new]));
    let all = (0..20).map(|_| connect(&server, &new));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer == "CONNECTED"), "{answers:?}");
    assert_eq!(others.asked(), 2);
    assert_eq!(connect(&server, &old).await, "unavailable", "it was taken away");
}

#[tokio::test]
async fn a_server_that_is_away_or_talks_nonsense_changes_nothing() {
    let signer = Signer::new("a", Algorithm::ES256);
    let others = JwksServer::start(keys(&[&signer]));
    let server = Server::with(&[("MOIM_JWKS", &others.url()), ("MOIM_AUTH__JWKS_REFRESH", "1s")]);
    for serves in [
        Serves::Nothing,
        Serves::Status(500),
        Serves::Text("nonsense".into()),
        Serves::Text(" ".repeat(300 << 10)),
        Serves::Slowly,
    ] {
        until_keys_are(&server, true).await;
        others.serve(serves);
        assert_ne!(until_keys_are(&server, false).await, "ok");
        assert_eq!(ready(&server)["status"], "degraded");
        assert_eq!(connect(&server, &signer).await, "CONNECTED", "what it had stays");
        others.serve(keys(&[&signer]));
    }
}

#[tokio::test]
async fn keys_by_https_need_a_certificate_that_is_trusted() {
    let files = tempfile::tempdir().unwrap();
    let [cert, key] = Certificate::new().put(files.path()).map(|path| path.display().to_string());
    let others = Server::with(&[("MOIM_TLS_CERT", &cert), ("MOIM_TLS_KEY", &key)]);
    let url = format!("https://localhost:{}/jwks.json", others.port());
    let server = Server::with(&[("MOIM_JWKS", &url)]);
    let told = server.log.wait_for(DEADLINE, |line| line.contains("the JWKS cannot be had"));
    assert!(told.as_ref().is_some_and(|line| line.contains("certificate")), "{told:?}");
    Client::connect(&server, "bob").await;
}

#[tokio::test]
async fn until_the_first_keys_came_a_client_is_told_to_try_again() {
    let signer = Signer::new("a", Algorithm::ES256);
    let others = JwksServer::start(Serves::Nothing);
    let server = Server::with(&[("MOIM_JWKS", &others.url())]);
    let mut client = Open::new(&server).open().await;
    let connect_frame = frame("CONNECT").header("accept-version", "1.2");
    client.send(connect_frame.header("passcode", signer.sign(&claims(json!({}))))).await;
    let error = client.expect_error().await;
    assert_eq!(error.at("code"), "unavailable");
    assert!(error.get("retry-after-ms").is_some(), "{error:?}");
    // The secret does without.
    Client::connect(&server, "bob").await;
    others.serve(keys(&[&signer]));
    until_keys_are(&server, true).await;
    assert_eq!(connect(&server, &signer).await, "CONNECTED");
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let [old, new] = ["old", "new"].map(|id| Signer::new(id, Algorithm::ES256));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, jwks(&[old.jwk(json!({}))])).unwrap();
    let server = Server::with(&[("MOIM_JWKS", path.to_str().unwrap())]);
    assert_eq!(connect(&server, &old).await, "CONNECTED");
    std::fs::write(&path, jwks(&[new.jwk(json!({}))])).unwrap();
    assert_eq!(connect(&server, &new).await, "CONNECTED");
    std::fs::write(&path, "half a fi").unwrap();
    until_keys_are(&server, false).await;
    assert_eq!(connect(&server, &new).await, "CONNECTED");
}

#[test]
fn a_file_that_does_not_do_is_exit_2_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let path = path.to_str().unwrap();
    for text in [None, Some("nonsense"), Some(r#"{"keys":[]}"#)] {
        if let Some(text) = text {
            std::fs::write(path, text).unwrap();
        }
        let output = Server::command(&[], &[("MOIM_JWKS", path)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(path) && said.contains("jwks"), "{said}");
    }
}
