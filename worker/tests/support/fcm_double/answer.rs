//! What FCM answers.

use std::time::Duration;

use serde_json::{Value, json};

/// How a send goes that has the right form and an access token.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is taken.
    Taken,
    /// It is not, for this reason.
    Error { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// So, after a while.
    Slow(Duration, Box<Self>),
    /// The connection is cut, and it was not taken.
    CutBefore,
    /// The connection is cut, but it was taken.
    CutAfter,
}

impl Answer {
    /// A status with a body that does not come from FCM itself.
    pub fn html(status: u16) -> Self {
        let body = format!("<!DOCTYPE html>\n<html lang=en>\n<title>Error {status}!!1</title>");
        Self::Error { status, headers: vec![("content-type", "text/html".into())], body }
    }

    /// 404: the app was removed, or has another token.
    pub fn unregistered() -> Self {
        Self::fcm(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
    }

    /// 403: the token is of another project.
    pub fn sender_id_mismatch() -> Self {
        Self::fcm(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
    }

    /// 400: it is no token.
    pub fn invalid_token() -> Self {
        let text = "The registration token is not a valid FCM registration token";
        Self::fcm(400, "INVALID_ARGUMENT", text, "INVALID_ARGUMENT")
    }

    /// 400: this field of the message is not taken.
    pub fn invalid(field: &str, text: &str) -> Self {
        let violation = json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": field, "description": text }],
        });
        Self::error(400, "INVALID_ARGUMENT", text, &[violation, fcm_error("INVALID_ARGUMENT")])
    }

    /// 400, as for data that is too large: it is not said what is wrong.
    pub fn invalid_somehow() -> Self {
        Self::error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", &[])
    }

    /// 401: the access token is unknown, or expired.
    pub fn unauthenticated() -> Self {
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_EXPIRED",
            "domain": "googleapis.com",
        });
        let text = "Request had invalid authentication credentials.";
        Self::error(401, "UNAUTHENTICATED", text, &[info])
    }

    /// 401: the project has no key for the provider of this device.
    pub fn third_party_auth() -> Self {
        let text = "Auth error from APNS or Web Push Service";
        Self::fcm(401, "UNAUTHENTICATED", text, "THIRD_PARTY_AUTH_ERROR")
    }

    /// 403: the service account may not send.
    pub fn permission_denied() -> Self {
        let text = "Permission 'cloudmessaging.messages.create' denied on resource";
        Self::error(403, "PERMISSION_DENIED", text, &[])
    }

    /// 404: there is no such project.
    pub fn no_project() -> Self {
        Self::error(404, "NOT_FOUND", "Requested entity was not found.", &[])
    }

    /// 429: of the project there were too many.
    pub fn quota_of_project() -> Self {
        Self::quota("project:moim-test", "Message rate exceeded for the project.")
    }

    /// 429: of this device there were too many.
    pub fn quota_of_device() -> Self {
        Self::quota("device", "Device message rate exceeded.")
    }

    /// 500.
    pub fn internal() -> Self {
        Self::fcm(500, "INTERNAL", "Internal error encountered.", "INTERNAL")
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::fcm(503, "UNAVAILABLE", "The service is currently unavailable.", "UNAVAILABLE")
    }

    /// And says when to come again: in seconds, or as a date.
    pub fn retry_after(self, time: &str) -> Self {
        match self {
            Self::Error { status, mut headers, body } => {
                headers.push(("retry-after", time.into()));
                Self::Error { status, headers, body }
            }
            other => panic!("not an error: {other:?}"),
        }
    }

    /// The same after so long.
    pub fn slowly(self, time: Duration) -> Self {
        Self::Slow(time, Box::new(self))
    }

    fn quota(subject: &str, text: &str) -> Self {
        let failure = json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{ "subject": subject, "description": text }],
        });
        Self::error(429, "RESOURCE_EXHAUSTED", text, &[failure, fcm_error("QUOTA_EXCEEDED")])
    }

    fn fcm(status: u16, canonical: &str, text: &str, code: &str) -> Self {
        Self::error(status, canonical, text, &[fcm_error(code)])
    }

    fn error(status: u16, canonical: &str, text: &str, details: &[Value]) -> Self {
        let mut error = json!({ "code": status, "message": text, "status": canonical });
        if !details.is_empty() {
            error["details"] = details.into();
        }
        let headers = vec![("content-type", "application/json; charset=UTF-8".into())];
        Self::Error { status, headers, body: json!({ "error": error }).to_string() }
    }
}

fn fcm_error(code: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": code,
    })
}
