//! What every HTTP answer has in common, and what pages of other origins may do.

use crate::SERVER;
use crate::support::*;

#[track_caller]
fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.get("content-type"), Some("application/problem+json"));
    let document = answer.json();
    assert_eq!((&document["status"], &document["code"]), (&status.into(), &code.into()));
    assert_eq!(document["type"], "about:blank");
    for text in ["title", "detail"] {
        assert!(document[text].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body_and_other_methods_are_told_which_there_are() {
    let (get, head) = (SERVER.ask("GET /openapi.json"), SERVER.ask("HEAD /openapi.json"));
    let (get, head) = (get.answer(), head.answer());
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for header in ["content-type", "content-length", "cache-control"] {
        assert_eq!(head.get(header), get.get(header), "{header}");
    }
    assert_eq!(head.get("content-length"), Some(get.body.len().to_string().as_str()));
    for path in ["/", "/page/style.css", "/livez", "/readyz", "/metrics", "/docs"] {
        let head = SERVER.ask(&format!("HEAD {path}")).answer();
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert!(head.get("content-length").is_some_and(|length| length != "0"), "{path}");
        let post = SERVER.ask(&format!("POST {path}")).header("Content-Length", "0").answer();
        let mut allowed: Vec<_> = post.get("allow").unwrap_or_default().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!((post.status, &allowed[..]), (405, &["GET", "HEAD"][..]), "{path}");
    }
    assert_eq!(SERVER.ask("HEAD /page/nowhere").answer().status, 404);
}

#[tokio::test]
async fn what_is_refused_is_a_problem_document() {
    is_problem(&SERVER.get("/nowhere"), 404, "unknown_destination");
    is_problem(&SERVER.get("/api/v1/nowhere"), 404, "unknown_destination");
    let host = SERVER.address;
    let post = SERVER.request(&format!("POST /livez HTTP/1.1\r\nHost: {host}\r\n"));
    is_problem(&post, 405, "bad_request");
    is_problem(&SERVER.get("/ws"), 426, "bad_request");
    assert_eq!(SERVER.get("/ws").get("upgrade"), Some("websocket"));
    let mut wire = Wire::connect(&SERVER).await;
    is_problem(&wire.upgrade("/nowhere", "").await, 404, "unknown_destination");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_from_harm() {
    let mut wire = Wire::connect(&SERVER).await;
    let refused = wire.upgrade("/ws", "Origin: https://evil.example\r\n").await;
    let answers = ["/livez", "/metrics", "/nowhere", "/ws"].map(|path| SERVER.get(path));
    for answer in answers.iter().chain([&refused]) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.get(name), Some(value), "{name} in {answer:?}");
        }
        assert!(answer.get("permissions-policy").is_some());
        assert_eq!(answer.get("strict-transport-security"), None, "this was no TLS");
    }
    assert_eq!(SERVER.get("/api/v1/any").get("cache-control"), Some("no-store"));
}

fn asked(server: &Server, method: &str, path: &str, more: &str) -> Answer {
    server.request(&format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{more}", server.address))
}

#[tokio::test]
async fn pages_of_listed_origins_may_use_the_api() {
    let server = Server::with(&[("MOIM_ORIGINS", "https://app.example.org")]);
    let good = "Origin: https://app.example.org\r\n";
    let method = "Access-Control-Request-Method: PATCH\r\n";
    let preflight = asked(&server, "OPTIONS", "/api/v1/me", &format!("{good}{method}"));
    assert_eq!(preflight.status, 204, "{preflight:?}");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.org"),
        ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"),
        ("access-control-allow-headers", "authorization, content-type, idempotency-key"),
        ("access-control-max-age", "3600"),
        ("vary", "origin"),
    ] {
        assert_eq!(preflight.get(name), Some(value), "{name}");
    }
    assert_eq!(preflight.get("access-control-allow-credentials"), None);
    for path in ["/api/v1/me", "/openapi.json"] {
        let read = asked(&server, "GET", path, good);
        assert_eq!(read.get("access-control-allow-origin"), Some("https://app.example.org"));
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not() {
    let server = Server::with(&[("MOIM_ORIGINS", "https://app.example.org")]);
    let bad = "Origin: https://evil.example\r\n";
    let method = "Access-Control-Request-Method: GET\r\n";
    let preflight = asked(&server, "OPTIONS", "/api/v1/me", &format!("{bad}{method}"));
    is_problem(&preflight, 403, "bad_request");
    let read = asked(&server, "GET", "/api/v1/me", bad);
    for answer in [preflight, read] {
        assert_eq!(answer.get("access-control-allow-origin"), None);
        assert_eq!(answer.get("vary"), Some("origin"), "a cache would mix them up");
    }
    // Nothing else is for pages at all.
    let good = "Origin: https://app.example.org\r\n";
    assert_eq!(asked(&server, "GET", "/livez", good).get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed() {
    let said = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: chat.example.org\r\n";
    let origin = "Origin: https://chat.example.org\r\n";
    let server = Server::with(&[("MOIM_TRUSTED_PROXIES", "127.0.0.1")]);
    let answer = asked(&server, "GET", "/livez", said);
    assert_eq!(answer.get("strict-transport-security"), Some("max-age=31536000"));
    let mut wire = Wire::connect(&server).await;
    assert_eq!(wire.upgrade("/ws", &format!("{said}{origin}")).await.status, 101);

    let answer = asked(&SERVER, "GET", "/livez", said);
    assert_eq!(answer.get("strict-transport-security"), None);
    let mut wire = Wire::connect(&SERVER).await;
    assert_eq!(wire.upgrade("/ws", &format!("{said}{origin}")).await.status, 403);
}
