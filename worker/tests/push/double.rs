//! The double itself: it takes nothing that FCM does not.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::fcm_double::{Answer, oauth, shape};

const URI: &str = "http://127.0.0.1:1/token";

#[test]
fn a_good_message_is_taken() {
    let message = json!({ "message": {
        "token": "t", "data": { "k": "v" },
        "android": { "priority": "high", "ttl": "86400s", "collapse_key": "sync" },
    } });
    let taken = shape::check(message.to_string().as_bytes()).unwrap();
    assert_eq!((&*taken.token, &*taken.data["k"]), ("t", "v"));
    for ttl in ["0s", "3.5s", "2419200s"] {
        let message = json!({ "message": { "token": "t", "android": { "ttl": ttl } } });
        assert!(shape::check(message.to_string().as_bytes()).is_ok(), "{ttl}");
    }
}

#[test]
fn a_message_of_another_form_is_an_invalid_argument() {
    let too_large = "x".repeat(4_096);
    for message in [
        json!({ "token": "t", "priority": "high" }),
        json!({ "data": {} }),
        json!({ "token": "t", "topic": "x" }),
        json!({ "token": 1 }),
        json!({ "token": "t", "data": { "k": 1 } }),
        json!({ "token": "t", "data": { "from": "x" } }),
        json!({ "token": "t", "data": { "google.x": "x" } }),
        json!({ "token": "t", "data": { "k": too_large } }),
        json!({ "token": "t", "android": { "ttl": 60 } }),
        json!({ "token": "t", "android": { "ttl": "60" } }),
        json!({ "token": "t", "android": { "ttl": "2419201s" } }),
        json!({ "token": "t", "android": { "ttl": "-1s" } }),
        json!({ "token": "t", "android": { "priority": "urgent" } }),
        json!({ "token": "t", "android": { "collapseKey": "x" } }),
        json!({ "token": "t", "android": { "direct_boot_ok": "true" } }),
    ] {
        assert!(is_invalid(&json!({ "message": message })), "{message}");
    }
    let good = json!({ "token": "t" });
    assert!(!is_invalid(&json!({ "message": good })));
    for request in [good.clone(), json!({ "message": good, "more": 1 }), json!([]), Value::Null] {
        assert!(is_invalid(&request), "{request}");
    }
}

fn is_invalid(message: &Value) -> bool {
    matches!(
        shape::check(message.to_string().as_bytes()),
        Err(Answer::Error { status: 400, body, .. }) if body.contains("INVALID_ARGUMENT")
    )
}

#[test]
fn an_assertion_is_good_as_a_whole_or_not_at_all() {
    let claims = oauth::claims(URI);
    let good = oauth::sign(Algorithm::RS256, &claims);
    assert_eq!(oauth::check_assertion(&good, URI), Ok(()));
    let now = claims["iat"].as_u64().unwrap();
    for (claim, value) in [
        ("iss", json!("somebody@else")),
        ("scope", json!("https://www.googleapis.com/auth/cloud-platform")),
        ("aud", json!("https://oauth2.googleapis.com/token")),
        ("iat", Value::Null),
        ("iat", json!(now - 300)),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 3_700)),
    ] {
        let mut claims = claims.clone();
        claims[claim] = value;
        let assertion = oauth::sign(Algorithm::RS256, &claims);
        assert!(oauth::check_assertion(&assertion, URI).is_err(), "{claims}");
    }
    assert!(oauth::check_assertion(&format!("{good}=="), URI).is_err());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature: String = signature.chars().rev().collect();
    assert!(oauth::check_assertion(&format!("{signed}.{signature}"), URI).is_err());
    for other in [Algorithm::HS256, Algorithm::PS256] {
        assert!(oauth::check_assertion(&oauth::sign(other, &claims), URI).is_err());
    }
}
