//! Each row of the table, with bodies as FCM and what stands in front of it send them.

use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;

const NOW: SystemTime = UNIX_EPOCH;

const HTML: &str = "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 502 (Server Error)!!1</title>";

fn judged(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Sent, Fault> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        map.insert(name, value.parse().unwrap());
    }
    let status = StatusCode::from_u16(status).unwrap();
    judge(&Answer { status, headers: map, body: body.to_owned().into() }, NOW)
}

fn fault(status: u16, headers: &[(&str, &str)], body: &str) -> Fault {
    judged(status, headers, body).expect_err("it was taken")
}

/// An error with FCM's own code, and more details.
fn error(status: u16, canonical: &str, text: &str, code: Option<&str>, more: &[Value]) -> String {
    let mut details = more.to_vec();
    if let Some(code) = code {
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        details.push(json!({ "@type": kind, "errorCode": code }));
    }
    let mut error = json!({ "code": status, "message": text, "status": canonical });
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({ "error": error }).to_string()
}

fn violation(field: &str, text: &str) -> Value {
    let kind = "type.googleapis.com/google.rpc.BadRequest";
    json!({ "@type": kind, "fieldViolations": [{ "field": field, "description": text }] })
}

fn quota(subject: &str, text: &str) -> Value {
    let kind = "type.googleapis.com/google.rpc.QuotaFailure";
    json!({ "@type": kind, "violations": [{ "subject": subject, "description": text }] })
}

fn gone(gone: Gone) -> Fault {
    Fault { error: PushError::TokenGone(gone), scope: Scope::Message }
}

fn is_refused(fault: &Fault) -> bool {
    matches!(fault, Fault { error: PushError::Refused(_), scope: Scope::Message })
}

fn is_misconfigured(fault: &Fault, scope: Scope) -> bool {
    matches!(fault.error, PushError::Misconfigured(_)) && fault.scope == scope
}

/// When, and whether it may have been taken.
fn later(fault: &Fault) -> (Option<u64>, bool, Scope) {
    match &fault.error {
        PushError::Later { after, unsure, .. } => {
            (after.map(|d| d.as_secs()), *unsure, fault.scope)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_success_is_taken_whatever_its_body() {
    let name = "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96";
    let sent = judged(200, &[], &json!({ "name": name }).to_string()).unwrap();
    assert_eq!(sent.name.as_deref(), Some(name));
    for body in ["", "{}", HTML] {
        assert_eq!(judged(200, &[], body), Ok(Sent { name: None }), "{body}");
    }
}

#[test]
fn a_token_that_is_not_registered_any_more_is_gone() {
    let text = "Requested entity was not found.";
    let body = error(404, "NOT_FOUND", text, Some("UNREGISTERED"), &[]);
    assert_eq!(fault(404, &[], &body), gone(Gone::Unregistered));
}

#[test]
fn a_token_of_another_project_is_gone() {
    let body =
        error(403, "PERMISSION_DENIED", "SenderId mismatch", Some("SENDER_ID_MISMATCH"), &[]);
    assert_eq!(fault(403, &[], &body), gone(Gone::OtherProject));
}

#[test]
fn a_token_that_is_none_is_gone() {
    let text = "The registration token is not a valid FCM registration token";
    let documented = error(400, "INVALID_ARGUMENT", text, Some("INVALID_ARGUMENT"), &[]);
    assert_eq!(fault(400, &[], &documented), gone(Gone::Invalid));
    let more = [violation("message.token", "Invalid registration token")];
    for code in [Some("INVALID_ARGUMENT"), None] {
        let seen =
            error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", code, &more);
        assert_eq!(fault(400, &[], &seen), gone(Gone::Invalid));
    }
}

#[test]
fn a_payload_that_is_not_taken_costs_no_token() {
    let text = "Request contains an invalid argument.";
    for (text, code, more) in [
        // Too large.
        (text, None, vec![]),
        (text, Some("INVALID_ARGUMENT"), vec![]),
        (
            "Recipient of the message is not set.",
            Some("INVALID_ARGUMENT"),
            vec![violation("message", "Recipient of the message is not set.")],
        ),
        (
            "Invalid value at 'message.android.ttl'",
            None,
            vec![violation("message.android.ttl", "Illegal duration format")],
        ),
        // The field counts, and not the words.
        (
            "not a registration token",
            Some("INVALID_ARGUMENT"),
            vec![violation("message.data", "x")],
        ),
    ] {
        let fault = fault(400, &[], &error(400, "INVALID_ARGUMENT", text, code, &more));
        assert!(is_refused(&fault), "{fault:?}");
    }
    for status in [400, 405, 413, 418] {
        assert!(is_refused(&fault(status, &[], HTML)), "{status}");
    }
}

#[test]
fn what_was_in_a_field_is_not_told() {
    let text = "Invalid value at 'message.data[0].value' (TYPE_STRING), 12345";
    let body =
        error(400, "INVALID_ARGUMENT", text, None, &[violation("message.data[0].value", text)]);
    let told = fault(400, &[], &body).error.to_string();
    assert!(told.contains("400 INVALID_ARGUMENT: message.data[0].value"), "{told}");
    assert!(!told.contains("12345"), "{told}");
}

#[test]
fn an_access_token_that_is_not_taken_may_be_an_old_one() {
    let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_EXPIRED", "domain": "googleapis.com" });
    let text = "Request had invalid authentication credentials.";
    for body in [
        error(401, "UNAUTHENTICATED", text, None, &[info]),
        error(401, "UNAUTHENTICATED", text, None, &[]),
        HTML.into(),
        String::new(),
    ] {
        assert!(is_misconfigured(&fault(401, &[], &body), Scope::Access), "{body}");
    }
}

#[test]
fn a_device_that_needs_the_key_of_another_provider_concerns_no_other() {
    let text = "Auth error from APNS or Web Push Service";
    let body = error(401, "UNAUTHENTICATED", text, Some("THIRD_PARTY_AUTH_ERROR"), &[]);
    assert!(is_refused(&fault(401, &[], &body)));
}

#[test]
fn missing_rights_and_projects_are_nobodys_token() {
    let denied = "Permission 'cloudmessaging.messages.create' denied on resource";
    let off = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED" });
    for (status, body) in [
        (403, error(403, "PERMISSION_DENIED", denied, None, &[])),
        (403, error(403, "PERMISSION_DENIED", "Firebase Cloud Messaging API is off", None, &[off])),
        (404, error(404, "NOT_FOUND", "Requested entity was not found.", None, &[])),
        (403, HTML.into()),
        (404, HTML.into()),
        (404, String::new()),
        (301, HTML.into()),
    ] {
        assert!(is_misconfigured(&fault(status, &[], &body), Scope::Project), "{status} {body}");
    }
}

#[test]
fn a_quota_is_one_devices_or_everybodys() {
    let said = |more: &[Value], headers: &[(&str, &str)]| {
        let text = "Quota exceeded";
        let body = error(429, "RESOURCE_EXHAUSTED", text, Some("QUOTA_EXCEEDED"), more);
        later(&fault(429, headers, &body))
    };
    let wait = [("retry-after", "30")];
    let device = [quota("device", "Device message rate exceeded.")];
    let project = quota("project:1234", "Message rate exceeded.");
    assert_eq!(said(&[], &[]), (Some(60), false, Scope::Message));
    assert_eq!(said(&[], &wait), (Some(30), false, Scope::Project));
    assert_eq!(said(&device, &[]), (Some(60), false, Scope::Message));
    assert_eq!(said(&device, &wait), (Some(30), false, Scope::Message));
    assert_eq!(said(&[project], &[]), (Some(60), false, Scope::Project));
    assert_eq!(later(&fault(429, &wait, HTML)), (Some(30), false, Scope::Project));
    assert_eq!(later(&fault(429, &[], "")), (Some(60), false, Scope::Message));
}

#[test]
fn what_fails_at_fcm_may_have_been_taken() {
    let internal = error(500, "INTERNAL", "Internal error encountered.", Some("INTERNAL"), &[]);
    let busy = error(
        503,
        "UNAVAILABLE",
        "The service is currently unavailable.",
        Some("UNAVAILABLE"),
        &[],
    );
    for (status, body) in [(500, &internal), (503, &busy)] {
        assert_eq!(later(&fault(status, &[], body)), (None, true, Scope::Message));
    }
    let wait = [("retry-after", "120")];
    assert_eq!(later(&fault(503, &wait, &busy)), (Some(120), true, Scope::Project));
    for status in [500, 502, 503, 504, 599] {
        assert_eq!(later(&fault(status, &[], HTML)), (None, true, Scope::Message));
    }
    let unspecified = error(500, "UNKNOWN", "?", Some("UNSPECIFIED_ERROR"), &[]);
    assert_eq!(later(&fault(500, &[], &unspecified)), (None, true, Scope::Message));
    assert_eq!(later(&fault(408, &[], "")), (None, true, Scope::Message));
}

#[test]
fn codes_that_are_new_count_by_their_status() {
    let body = error(400, "FAILED_PRECONDITION", "?", Some("MADE_UP"), &[]);
    assert!(is_refused(&fault(400, &[], &body)));
    let body = error(503, "UNAVAILABLE", "?", Some("MADE_UP"), &[]);
    assert_eq!(later(&fault(503, &[], &body)), (None, true, Scope::Message));
}

#[test]
fn bodies_of_any_shape_are_read() {
    for body in [
        "[]",
        "null",
        "1",
        r#"{"error":"x"}"#,
        r#"{"error":{"details":{}}}"#,
        r#"{"error":{"details":[1,{"fieldViolations":[1,{}]},{"errorCode":7}],"message":5}}"#,
    ] {
        assert!(is_refused(&fault(400, &[], body)), "{body}");
    }
}

#[test]
fn a_pause_is_in_seconds_or_a_date_and_within_bounds() {
    let wait = |headers: &[(&str, &str)]| later(&fault(503, headers, "")).0;
    let date = |time| ("date", time);
    let until = ("retry-after", "Wed, 25 Nov 2026 03:00:30 GMT");
    assert_eq!(wait(&[("retry-after", " 7 ")]), Some(7));
    assert_eq!(wait(&[until, date("Wed, 25 Nov 2026 03:00:00 GMT")]), Some(30));
    assert_eq!(wait(&[until, date("Wed, 25 Nov 2026 03:00:31 GMT")]), Some(1));
    assert_eq!(wait(&[until]), Some(3_600), "long after this clock's now");
    assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 1970 00:00:20 GMT")]), Some(20));
    assert_eq!(wait(&[("retry-after", "0")]), Some(1));
    assert_eq!(wait(&[("retry-after", "86400")]), Some(3_600));
    for odd in ["soon", "-1", "1.5", ""] {
        assert_eq!(wait(&[("retry-after", odd)]), None, "{odd}");
    }
}
