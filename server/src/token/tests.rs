//! Tokens from friends and from forgers.

mod public;

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use moim_shared::config::Span;
use serde_json::{Value, json};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const NOW: u64 = NOW_MS / 1_000;

fn secret(letter: char) -> Secret {
    Secret::new(letter.to_string().repeat(32)).unwrap()
}

fn verifier() -> Verifier {
    Verifier::new([&secret('a')], &Auth::default())
}

/// A token of exactly these claims, signed with the verifier's secret.
fn signed(claims: &Value) -> String {
    signed_with(&Header::default(), claims, &secret('a'))
}

fn signed_with(header: &Header, claims: &Value, secret: &Secret) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// Good claims with some of them replaced; `null` removes one.
fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "mina", "exp": NOW + 600 });
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn verdict(changes: Value) -> Result<Claims, TokenError> {
    verifier().verify(&signed(&claims(changes)), NOW_MS)
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

#[test]
fn a_good_token_says_who_until_when_and_where() {
    let said = verdict(json!({ "name": " 민아 \u{1F389} ", "rooms": ["b", "a", "b"] })).unwrap();
    assert_eq!(said.user.as_str(), "mina");
    assert_eq!(said.name.as_deref(), Some("민아 \u{1F389}"));
    assert_eq!(said.expires_at_ms, NOW_MS + 600_000);
    assert_eq!(said.grant, Grant::rooms([room("a"), room("b")]));
}

#[test]
fn a_forged_token_is_refused() {
    let good = signed(&claims(json!({})));
    let other = signed(&claims(json!({ "sub": "eve" })));
    let (head, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let swapped = format!("{head}.{signature}");
    assert_eq!(verifier().verify(&swapped, NOW_MS), Err(TokenError::Signature));

    let stranger = signed_with(&Header::default(), &claims(json!({})), &secret('x'));
    assert_eq!(verifier().verify(&stranger, NOW_MS), Err(TokenError::Signature));

    let unsigned = good.strip_suffix(signature).unwrap();
    assert_eq!(verifier().verify(unsigned, NOW_MS), Err(TokenError::Signature));
}

#[test]
fn without_secrets_nothing_is_taken() {
    let none = Verifier::new([], &Auth::default());
    assert_eq!(none.verify(&signed(&claims(json!({}))), NOW_MS), Err(TokenError::Signature));
}

#[test]
fn no_algorithm_but_hs256_is_taken() {
    // {"alg":"none"}.{"sub":"mina","exp":9999999999}. in three spellings of the signature
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtaW5hIiwiZXhwIjo5OTk5OTk5OTk5fQ";
    for signature in ["", "AAAA", "eyJ"] {
        let token = format!("{none}.{signature}");
        assert_eq!(verifier().verify(&token, NOW_MS), Err(TokenError::Algorithm));
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = signed_with(&Header::new(algorithm), &claims(json!({})), &secret('a'));
        assert_eq!(verifier().verify(&token, NOW_MS), Err(TokenError::Algorithm));
    }
    // {"alg":"RS256"} over the same claims
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtaW5hIiwiZXhwIjo5OTk5OTk5OTk5fQ.AAAA";
    assert_eq!(verifier().verify(token, NOW_MS), Err(TokenError::Algorithm));
}

#[test]
fn what_is_critical_and_not_understood_is_refused() {
    let header = Header { crit: Some(vec!["exp".into()]), ..Header::default() };
    let token = signed_with(&header, &claims(json!({})), &secret('a'));
    assert_eq!(verifier().verify(&token, NOW_MS), Err(TokenError::Malformed));
}

#[test]
fn what_is_no_jwt_is_malformed() {
    let good = signed(&claims(json!({})));
    for token in ["", ".", "..", "a.b", "a.b.c", "\u{0}.\u{0}.\u{0}", &format!("{good}.x")] {
        assert_eq!(verifier().verify(token, NOW_MS), Err(TokenError::Malformed), "{token}");
    }
    let no_object = signed(&json!(["sub", "mina"]));
    assert_eq!(verifier().verify(&no_object, NOW_MS), Err(TokenError::Malformed));
}

#[test]
fn a_token_expires_at_the_end_of_the_skew_to_the_millisecond() {
    let token = signed(&claims(json!({ "exp": NOW })));
    let end = NOW_MS + 60_000;
    assert!(verifier().verify(&token, end - 1).is_ok());
    assert_eq!(verifier().verify(&token, end), Err(TokenError::Expired));
}

#[test]
fn a_token_begins_one_skew_early_to_the_millisecond() {
    let token = signed(&claims(json!({ "nbf": NOW })));
    let begin = NOW_MS - 60_000;
    assert!(verifier().verify(&token, begin).is_ok());
    assert_eq!(verifier().verify(&token, begin - 1), Err(TokenError::NotYetValid));
}

#[test]
fn the_skew_is_the_configured_one() {
    let auth = Auth { skew: Span::secs(0), ..Auth::default() };
    let strict = Verifier::new([&secret('a')], &auth);
    let token = signed(&claims(json!({ "exp": NOW })));
    assert!(strict.verify(&token, NOW_MS - 1).is_ok());
    assert_eq!(strict.verify(&token, NOW_MS), Err(TokenError::Expired));
}

#[test]
fn exp_is_required_and_a_number() {
    assert_eq!(verdict(json!({ "exp": null })), Err(TokenError::NoExpiry));
    assert_eq!(verdict(json!({ "exp": "soon" })), Err(TokenError::Malformed));
    assert_eq!(verdict(json!({ "nbf": [] })), Err(TokenError::Malformed));
    assert_eq!(verdict(json!({ "exp": -1 })), Err(TokenError::Expired));
    let half = verdict(json!({ "exp": NOW as f64 + 0.5 })).unwrap();
    assert_eq!(half.expires_at_ms, NOW_MS + 500);
    assert!(verdict(json!({ "exp": u64::MAX })).is_ok());
    assert!(verdict(json!({ "exp": 1e300 })).is_ok());
}

#[test]
fn both_secrets_are_good_during_a_rotation() {
    let both = Verifier::new([&secret('a'), &secret('b')], &Auth::default());
    for (signer, good) in [('a', true), ('b', true), ('c', false)] {
        let token = signed_with(&Header::default(), &claims(json!({})), &secret(signer));
        assert_eq!(both.verify(&token, NOW_MS).is_ok(), good, "{signer}");
    }
}

#[test]
fn audience_and_issuer_are_asked_for_only_when_configured() {
    let auth = Auth {
        audience: Some("moim".into()),
        issuer: Some("https://id".into()),
        ..Auth::default()
    };
    let asking = Verifier::new([&secret('a')], &auth);
    let ask = |changes| asking.verify(&signed(&claims(changes)), NOW_MS).map(|_| ());
    assert_eq!(ask(json!({ "aud": "moim", "iss": "https://id" })), Ok(()));
    assert_eq!(ask(json!({ "aud": ["x", "moim"], "iss": "https://id" })), Ok(()));
    for aud in [json!(null), json!("x"), json!([]), json!(["x"]), json!(7)] {
        assert_eq!(ask(json!({ "aud": aud, "iss": "https://id" })), Err(TokenError::Audience));
    }
    for iss in [json!(null), json!("https://id/"), json!(["https://id"])] {
        assert_eq!(ask(json!({ "aud": "moim", "iss": iss })), Err(TokenError::Issuer));
    }
    assert!(verdict(json!({ "aud": "any", "iss": "any" })).is_ok());
}

#[test]
fn a_subject_is_a_user_id() {
    assert!(verdict(json!({ "sub": "mina@example.com" })).is_ok());
    let long = "x".repeat(129);
    for bad in [
        json!(null),
        json!(7),
        json!(""),
        json!("a b"),
        json!("a:b"),
        json!("a/b"),
        json!("미나"),
        json!(long),
    ] {
        assert_eq!(verdict(json!({ "sub": bad })), Err(TokenError::BadSubject), "{bad}");
    }
}

#[test]
fn a_name_is_short_text_or_nothing() {
    for nothing in [json!(null), json!(""), json!("  ")] {
        assert_eq!(verdict(json!({ "name": nothing })).unwrap().name, None);
    }
    assert!(verdict(json!({ "name": "가".repeat(128) })).is_ok());
    for bad in [json!("가".repeat(129)), json!("a\nb"), json!("a\u{0}"), json!(7), json!({})] {
        assert_eq!(verdict(json!({ "name": bad })), Err(TokenError::BadName), "{bad}");
    }
}

#[test]
fn what_nobody_sees_is_taken_out_of_the_names_of_others_and_is_in_none_of_ours() {
    for unseen in [
        '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}',
        '\u{2060}', '\u{2064}', '\u{2066}', '\u{2069}', '\u{feff}',
    ] {
        let name = format!("{unseen} Mi{unseen}na{unseen}");
        let said = verdict(json!({ "name": name })).unwrap();
        assert_eq!(said.name.as_deref(), Some("Mina"), "{unseen:?}");
        assert_eq!(verdict(json!({ "name": unseen.to_string() })).unwrap().name, None);
        assert!(said_name(Some(&name)).is_err(), "{unseen:?}");
    }
    for plain in
        ["민아", "مينا", "Ann-Marie", "\u{1F389}", "\u{1F469}\u{200d}\u{1F680}", "علی\u{200c}رضا"]
    {
        assert_eq!(said_name(Some(plain)).unwrap().as_deref(), Some(plain));
    }
}

#[test]
fn rooms_are_all_some_or_none() {
    let grant = |rooms| verdict(json!({ "rooms": rooms })).unwrap().grant;
    assert!(grant(json!("*")).covers(&room("any")));
    assert!(grant(json!(["a", "b"])).covers(&room("b")));
    assert!(!grant(json!(["a", "b"])).covers(&room("c")));
    assert_eq!(grant(json!([])), Grant::None);
    assert_eq!(grant(json!(null)), Grant::None);
    let thousand: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    assert!(grant(json!(thousand)).covers(&room("999")));
}

#[test]
fn rooms_of_the_wrong_type_are_refused() {
    let many: Vec<_> = (0..1_001).map(|n| n.to_string()).collect();
    for bad in [
        json!("a"),
        json!(""),
        json!(true),
        json!({}),
        json!([1]),
        json!(["*"]),
        json!(["a/b"]),
        json!(many),
    ] {
        assert_eq!(verdict(json!({ "rooms": bad })), Err(TokenError::BadRooms), "{bad}");
    }
}

#[test]
fn a_huge_token_is_not_looked_at() {
    let pad = |letters: usize| verdict(json!({ "pad": "x".repeat(letters) })).map(|_| ());
    assert_eq!(pad(12_000), Ok(()));
    assert_eq!(pad(13_000), Err(TokenError::TooLarge));
}

#[test]
fn no_error_shows_the_token() {
    let token = signed_with(&Header::default(), &claims(json!({})), &secret('x'));
    let error = verifier().verify(&token, NOW_MS).unwrap_err();
    for part in token.split('.') {
        assert!(!format!("{error} {error:?}").contains(part));
    }
}

#[test]
fn what_is_minted_is_taken() {
    let auth = Auth {
        audience: Some("moim".into()),
        issuer: Some("https://id".into()),
        ..Auth::default()
    };
    let user = UserId::parse("mina").unwrap();
    for rooms in [Grant::None, Grant::All, Grant::rooms([room("a")])] {
        let ttl = Duration::from_secs(60);
        let request = MintRequest {
            user: &user,
            name: Some(" Mina "),
            rooms: &rooms,
            ttl,
            sid: Some("s-1"),
            made_at_ms: None,
        };
        let token = mint(&secret('a'), &auth, &request, NOW_MS + 1).unwrap();
        let said = Verifier::new([&secret('a')], &auth).verify(&token, NOW_MS).unwrap();
        assert_eq!((said.user.as_str(), said.name.as_deref()), ("mina", Some("Mina")));
        assert_eq!(said.expires_at_ms, NOW_MS + 61_000);
        assert_eq!(said.grant, rooms);
        assert_eq!((said.sid.as_deref(), said.jti), (Some("s-1"), None));
        assert_eq!(said.issued_at_ms, Some(NOW_MS));
    }
}

#[test]
fn a_token_and_its_log_in_have_names_of_some_length() {
    let said = verdict(json!({ "jti": "t-1", "sid": "s 1" })).unwrap();
    assert_eq!((said.jti.as_deref(), said.sid.as_deref()), (Some("t-1"), Some("s 1")));
    assert!(verdict(json!({ "jti": "x".repeat(256) })).is_ok());
    for bad in [json!(""), json!("x".repeat(257)), json!(7), json!("a\nb"), json!(["a"])] {
        for claim in ["jti", "sid"] {
            assert_eq!(verdict(json!({ claim: bad })), Err(TokenError::BadId), "{claim} {bad}");
        }
    }
}

#[test]
fn when_a_token_was_made_is_told_and_not_in_the_future() {
    assert_eq!(verdict(json!({ "iat": NOW - 5 })).unwrap().issued_at_ms, Some(NOW_MS - 5_000));
    assert_eq!(verdict(json!({})).unwrap().issued_at_ms, None);
    assert!(verdict(json!({ "iat": NOW + 60 })).is_ok(), "within the skew");
    assert_eq!(verdict(json!({ "iat": NOW + 61 })), Err(TokenError::NotYetValid));
    assert_eq!(verdict(json!({ "iat": "now" })), Err(TokenError::Malformed));
}

#[test]
fn what_would_be_refused_is_not_minted() {
    let user = UserId::parse("mina").unwrap();
    let make = |name, rooms: &Grant| {
        let ttl = Duration::from_secs(60);
        let request = MintRequest { user: &user, name, rooms, ttl, sid: None, made_at_ms: None };
        mint(&secret('a'), &Auth::default(), &request, NOW_MS).map(|_| ())
    };
    let rooms = |count: usize, width: usize| {
        Grant::rooms((0..count).map(|n| room(&format!("{n:0width$}"))))
    };
    assert_eq!(make(Some("a\nb"), &Grant::None), Err(TokenError::BadName));
    assert_eq!(make(None, &rooms(1_001, 1)), Err(TokenError::BadRooms));
    assert_eq!(make(None, &rooms(1_000, 64)), Err(TokenError::TooLarge));
    assert_eq!(make(None, &rooms(1_000, 8)), Ok(()));
}
