//! A key file that cannot be used, and what its operator is told.

use moim_shared::config::BaseUrl;
use moim_worker::push::fcm::{FcmPush, Options};
use serde_json::{Value, json};

use crate::fcm_double::FcmDouble;

/// What is said of a file with this text.
fn told(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fcm.json");
    std::fs::write(&path, text).unwrap();
    let endpoint = BaseUrl::fcm();
    let error = FcmPush::open(&path, &endpoint, Options::default()).err().expect("it was taken");
    let told = error.to_string();
    assert!(told.contains(path.to_str().unwrap()), "{told}");
    told
}

fn without(name: &str) -> Value {
    with(name, Value::Null)
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut file = FcmDouble::start().credentials();
    file[name] = value.into();
    file
}

#[test]
fn it_says_what_is_wrong_and_where_a_good_one_comes_from() {
    for (text, wrong) in [
        (String::new(), "not JSON (line 1"),
        ("-----BEGIN PRIVATE KEY-----".into(), "not JSON (line 1"),
        ("[]".into(), "`type` is not `service_account`"),
        (json!({ "type": "authorized_user" }).to_string(), "`type` is not `service_account`"),
        (json!({ "project_info": {} }).to_string(), "google-services.json"),
        (without("project_id").to_string(), "no `project_id`"),
        (without("client_email").to_string(), "no `client_email`"),
        (without("private_key").to_string(), "no `private_key`"),
        (with("private_key", " ").to_string(), "no `private_key`"),
    ] {
        let told = told(&text);
        assert!(told.contains(wrong) && told.contains("Firebase console"), "{told}");
    }
    for (file, wrong) in [
        (with("project_id", "a/b"), "`project_id` is no project's"),
        (with("token_uri", "oauth2.googleapis.com/token"), "`token_uri` is not an http"),
        (with("token_uri", "file:///etc/passwd"), "`token_uri` is not an http"),
    ] {
        let told = told(&file.to_string());
        assert!(told.contains(wrong), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = "/nowhere/fcm.json".as_ref();
    let error = FcmPush::open(path, &BaseUrl::fcm(), Options::default()).err().unwrap().to_string();
    assert!(error.contains("`/nowhere/fcm.json`") && error.contains("No such file"), "{error}");
}

#[test]
fn nothing_of_a_key_is_told() {
    let good = FcmDouble::start().credentials()["private_key"].as_str().unwrap().to_owned();
    let cut = good.lines().nth(5).unwrap();
    for key in [
        good.replace('\n', " "),
        good.replace(cut, "AAAA"),
        cut.into(),
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n".into(),
    ] {
        let told = told(&with("private_key", key.clone()).to_string());
        assert!(told.contains("`private_key`"), "{told}");
        let secret = |line: &&str| line.len() > 20 && !line.starts_with('-');
        assert!(!good.lines().filter(secret).any(|line| told.contains(line)), "{told}");
    }
}

#[test]
fn a_token_uri_that_is_left_out_is_googles() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fcm.json");
    std::fs::write(&path, without("token_uri").to_string()).unwrap();
    assert!(FcmPush::open(&path, &BaseUrl::fcm(), Options::default()).is_ok());
}
