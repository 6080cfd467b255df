//! Tokens that others signed with keys of their own.

use jsonwebtoken::jwk::Jwk;
use moim_shared::config::Jwks;

use super::*;

#[path = "../../../tests/support/signer.rs"]
mod signer;

use signer::{Signer, jwks};

/// A judge with these keys in a file, which has a secret too.
fn judge(keys: &[Value]) -> Verifier {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, jwks(keys)).unwrap();
    let source = KeySource::start(&Jwks::File(file.path().into()), Duration::from_secs(300));
    verifier().with_keys(source.unwrap())
}

fn said(judge: &Verifier, token: &str) -> Result<String, TokenError> {
    judge.verify(token, NOW_MS).map(|claims| claims.user.to_string())
}

#[test]
fn every_algorithm_with_a_public_key_is_taken() {
    use Algorithm::*;
    for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA] {
        let signer = Signer::new("a", algorithm);
        let token = signer.sign(&claims(json!({})));
        // Whether the key names its algorithm or not.
        for more in [json!({}), json!({ "alg": null }), json!({ "use": "sig" })] {
            let judge = judge(&[signer.jwk(more)]);
            assert_eq!(said(&judge, &token).as_deref(), Ok("mina"), "{algorithm:?}");
        }
    }
}

#[test]
fn what_a_secret_signed_is_taken_beside_it() {
    let judge = judge(&[Signer::new("a", Algorithm::ES256).jwk(json!({}))]);
    assert_eq!(said(&judge, &signed(&claims(json!({})))).as_deref(), Ok("mina"));
    let stranger = signed_with(&Header::default(), &claims(json!({})), &secret('x'));
    assert_eq!(said(&judge, &stranger), Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_no_secret_and_a_secret_no_public_key() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let signer = Signer::new("a", algorithm);
        let jwk = signer.jwk(json!({}));
        let judge = judge(std::slice::from_ref(&jwk));
        // The forger knows the public key, in all its forms, and signs with it as a secret.
        let parsed: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let mut forms = vec![jwk.to_string().into_bytes()];
        forms.extend(["n", "x", "y"].map(|part| jwk[part].to_string().into_bytes()));
        if algorithm != Algorithm::RS256 {
            forms.push(DecodingKey::from_jwk(&parsed).unwrap().as_bytes().to_vec());
        }
        for form in forms {
            let header = Header { kid: Some("a".into()), ..Header::default() };
            let key = EncodingKey::from_secret(&form);
            let forged = jsonwebtoken::encode(&header, &claims(json!({})), &key).unwrap();
            assert_eq!(said(&judge, &forged), Err(TokenError::Signature));
            // The same signature under the algorithm of the key.
            let (_, rest) = forged.split_once('.').unwrap();
            let real = signer.sign(&claims(json!({})));
            let (head, _) = real.split_once('.').unwrap();
            assert_eq!(said(&judge, &format!("{head}.{rest}")), Err(TokenError::Signature));
        }
    }
}

#[test]
fn the_algorithm_is_that_of_the_key() {
    let signer = Signer::new("a", Algorithm::RS256);
    let strict = judge(&[signer.jwk(json!({}))]);
    let other = Signer::new("a", Algorithm::PS256).sign(&claims(json!({})));
    assert_eq!(said(&strict, &other), Err(TokenError::Algorithm), "the key says RS256");
    let ec = Signer::new("a", Algorithm::ES256).sign(&claims(json!({})));
    assert_eq!(said(&strict, &ec), Err(TokenError::Algorithm));
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = signed_with(&Header::new(algorithm), &claims(json!({})), &secret('a'));
        assert_eq!(said(&strict, &token), Err(TokenError::Algorithm));
    }
}

#[test]
fn the_key_is_the_one_that_is_named() {
    let [a, b] = ["a", "b"].map(|id| Signer::new(id, Algorithm::ES256));
    let both = judge(&[a.jwk(json!({})), b.jwk(json!({}))]);
    let all = claims(json!({}));
    assert_eq!(said(&both, &a.sign(&all)).as_deref(), Ok("mina"));
    assert_eq!(said(&both, &b.sign(&all)).as_deref(), Ok("mina"));
    let as_b = Header { kid: Some("b".into()), ..Header::new(Algorithm::ES256) };
    assert_eq!(said(&both, &a.sign_as(&as_b, &all)), Err(TokenError::Signature));
    let as_c = Header { kid: Some("c".into()), ..Header::new(Algorithm::ES256) };
    assert_eq!(said(&both, &a.sign_as(&as_c, &all)), Err(TokenError::UnknownKey));
    // Without a name it can only be the only one.
    let nameless = Header::new(Algorithm::ES256);
    assert_eq!(said(&both, &a.sign_as(&nameless, &all)), Err(TokenError::UnknownKey));
    let one = judge(&[a.jwk(json!({ "kid": null }))]);
    assert_eq!(said(&one, &a.sign_as(&nameless, &all)).as_deref(), Ok("mina"));
    assert_eq!(said(&one, &b.sign_as(&nameless, &all)), Err(TokenError::Signature));
}

#[test]
fn the_claims_are_judged_as_those_of_any_token() {
    let auth = Auth {
        audience: Some("moim".into()),
        issuer: Some("https://id".into()),
        ..Auth::default()
    };
    let signer = Signer::new("a", Algorithm::EdDSA);
    let judge = Verifier { auth, ..judge(&[signer.jwk(json!({}))]) };
    let ask = |changes| judge.verify(&signer.sign(&claims(changes)), NOW_MS).map(|_| ());
    let good = json!({ "aud": "moim", "iss": "https://id" });
    assert_eq!(ask(good), Ok(()));
    assert_eq!(ask(json!({ "aud": "x", "iss": "https://id" })), Err(TokenError::Audience));
    assert_eq!(ask(json!({ "aud": "moim", "iss": "https://x" })), Err(TokenError::Issuer));
    assert_eq!(ask(json!({ "exp": NOW - 61 })), Err(TokenError::Expired));
    assert_eq!(ask(json!({ "exp": null })), Err(TokenError::NoExpiry));
}

#[test]
fn keys_that_are_of_no_use_are_left_out() {
    let ec = Signer::new("a", Algorithm::ES256);
    let off_the_curve = ec.jwk(json!({ "x": "AAAA" }));
    for (bad, why) in [
        (ec.jwk(json!({ "use": "enc" })), "`use`"),
        (ec.jwk(json!({ "key_ops": ["sign"] })), "`key_ops`"),
        (ec.jwk(json!({ "alg": "ES384" })), "`alg`"),
        (ec.jwk(json!({ "alg": "HS256" })), "`alg`"),
        (ec.jwk(json!({ "crv": "P-521", "alg": null })), "curve"),
        (off_the_curve, "key"),
        (Signer::weak("a").jwk(json!({})), "2048"),
        (json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" }), "no public key"),
        (json!({ "kty": "RSA", "kid": "a" }), "no JWK"),
        (json!("a"), "no JWK"),
    ] {
        let good = Signer::new("b", Algorithm::ES256).jwk(json!({ "use": "sig" }));
        let read = jwks::Keys::read(&jwks(&[bad.clone(), good])).unwrap();
        assert_eq!(read.keys.len(), 1, "{bad}");
        assert!(read.skipped.len() == 1 && read.skipped[0].contains(why), "{:?}", read.skipped);
    }
}

#[test]
fn a_file_without_keys_is_refused_with_its_name() {
    let symmetric = jwks(&[json!({ "kty": "oct", "k": "c2VjcmV0" })]);
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10));
    for text in ["", "{", "[]", "{}", r#"{"keys":7}"#, r#"{"keys":[]}"#, &symmetric, &huge] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let jwks = Jwks::File(file.path().into());
        let error = KeySource::start(&jwks, Duration::from_secs(300)).map(drop).unwrap_err();
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
    }
    let nowhere = Jwks::File("/nowhere/jwks.json".into());
    assert!(KeySource::start(&nowhere, Duration::from_secs(300)).is_err());
}
