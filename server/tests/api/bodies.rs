//! Bodies that are odd, and methods that a path does not have.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::SERVER;
use crate::people::*;
use crate::support::*;

fn login() -> Ask {
    SERVER.ask("POST /api/v1/auth/login")
}

#[tokio::test]
async fn what_is_no_json_is_told_so() {
    for (kind, body) in [
        ("application/json", &b""[..]),
        ("application/json", b"{"),
        ("application/json", b"null"),
        ("application/json", b"[]"),
        ("application/json", b"[\"ann\",\"correct horse\"]"),
        ("application/json", b"{\"user\":\"a\",\"user\":\"b\",\"password\":\"x\"}"),
        ("application/json", b"{\"user\":\"a\",\"password\":\"\xff\"}"),
        ("application/json", b"{\"user\":\"a\",\"password\":7}"),
        ("application/json", b"{\"user\":\"a\"}"),
        ("application/json", b"{\"user\":\"a\",\"password\":\"x\"} trailing"),
        ("application/json; charset=utf-8", b"{\"user\":\"a\",\"password\":\"x\",\"more\":1}"),
    ] {
        let problem = login().body(kind, body).refused(400, "bad_request");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    login().body("application/json", deep.as_bytes()).refused(400, "bad_request");
}

#[tokio::test]
async fn what_is_of_another_kind_is_not_looked_at() {
    let body = json!({ "user": "ann", "password": PASSWORD }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"] {
        login().body(kind, body.as_bytes()).refused(415, "bad_request");
    }
    login().header("Content-Length", "0").refused(415, "bad_request");
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let huge = vec![b' '; 1 << 20];
    login().body("application/json", &huge).refused(413, "too_large");
    // Only its length is told.
    let told = login().header("Content-Type", "application/json");
    told.header("Content-Length", "1000000000000").refused(413, "too_large");
}

#[tokio::test]
async fn one_that_does_not_say_how_long_it_is_is_bounded_too() {
    let mut chunks = Vec::new();
    for _ in 0..64 {
        chunks.extend(b"400\r\n");
        chunks.extend([b' '; 0x400]);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    login().chunks("application/json", &chunks).refused(413, "too_large");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_which_it_has() {
    for (start, allowed) in [
        ("DELETE /api/v1/auth/login", "POST"),
        ("GET /api/v1/me/password", "PUT"),
        ("PUT /openapi.json", "GET, HEAD"),
    ] {
        let answer = SERVER.ask(start).header("Content-Length", "0").answer();
        assert_eq!((answer.status, answer.get("allow")), (405, Some(allowed)), "{start}");
        assert_eq!(answer.json()["code"], "bad_request");
    }
    let answer = SERVER.ask("POST /api/v1/me").header("Content-Length", "0").answer();
    let mut allowed: Vec<_> = answer.get("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "PATCH"]);
}

#[tokio::test]
async fn a_token_is_asked_for_before_the_body_is_read() {
    let asked = SERVER.ask("PATCH /api/v1/me").body("text/plain", &vec![b'x'; 1 << 20]);
    asked.refused(401, "bad_request");
}

#[tokio::test]
async fn one_that_does_not_come_is_not_waited_for_without_end() {
    let start = Instant::now();
    let ask = login().header("Content-Type", "application/json").header("Content-Length", "9");
    let answer = tokio::task::spawn_blocking(move || ask.answer()).await.unwrap();
    answer.refused(408, "bad_request");
    assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
}
