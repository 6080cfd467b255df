//! What an answer of FCM means. The table is that of
//! <https://firebase.google.com/docs/cloud-messaging/error-codes>.
//!
//! FCM says its own code in a detail of the error (`FcmError`); the canonical status beside it is
//! another one. Answers that do not come from FCM itself may be HTML, or nothing. Hence: FCM's code
//! if there is one, else the HTTP status.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::web::Answer;
use crate::push::{Gone, PushError, Sent};

/// What FCM asks for where it names no time after "too many".
const TOO_MANY: Duration = Duration::from_secs(60);

/// A longer pause is not believed, a shorter one is none.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3_600)];

/// Characters of FCM's text that are passed on.
const TEXT_MAX: usize = 200;

/// It was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub error: PushError,
    pub scope: Scope,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// This message, or its device.
    Message,
    /// All messages of the project.
    Project,
    /// The access token: a new one may help.
    Access,
}

/// Says what `answer`, which came at `now`, means.
pub(super) fn judge(answer: &Answer, now: SystemTime) -> Result<Sent, Fault> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Ok(Sent { name: body["name"].as_str().map(str::to_owned) });
    }
    let said = Said { body: &body["error"] };
    let why = said.why(answer.status);
    let message = |error| Fault { error, scope: Scope::Message };
    let gone = |gone| message(PushError::TokenGone(gone));
    let project = |error| Fault { error, scope: Scope::Project };
    let pause = pause(&answer.headers, now);
    Err(match (said.code(), answer.status) {
        (Some("UNREGISTERED"), _) => gone(Gone::Unregistered),
        (Some("SENDER_ID_MISMATCH"), _) => gone(Gone::OtherProject),
        // Of a device that is not reached through Google, without the key of who reaches it. The
        // others are not concerned.
        (Some("THIRD_PARTY_AUTH_ERROR"), _) => message(PushError::Refused(why)),
        (_, StatusCode::BAD_REQUEST) if said.token_is_bad() => gone(Gone::Invalid),
        (Some("QUOTA_EXCEEDED"), _) | (_, StatusCode::TOO_MANY_REQUESTS) => Fault {
            scope: said.quota(pause.is_some()),
            error: PushError::Later { after: Some(pause.unwrap_or(TOO_MANY)), unsure: false, why },
        },
        (_, StatusCode::UNAUTHORIZED) => {
            Fault { error: PushError::Misconfigured(why), scope: Scope::Access }
        }
        (_, StatusCode::REQUEST_TIMEOUT) => {
            message(PushError::Later { after: pause, unsure: true, why })
        }
        (_, status) if status.is_server_error() => Fault {
            scope: if pause.is_some() { Scope::Project } else { Scope::Message },
            // "Could not process the request in time" is among what FCM says so.
            error: PushError::Later { after: pause, unsure: true, why },
        },
        // Without a code of FCM these are not about the token: rights, a project or API that is not
        // there, an endpoint that is another server, or has moved.
        (_, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
            project(PushError::Misconfigured(why))
        }
        (_, status) if !status.is_client_error() => project(PushError::Misconfigured(why)),
        _ => message(PushError::Refused(why)),
    })
}

/// An error as FCM describes it, or nothing.
struct Said<'a> {
    body: &'a Value,
}

impl<'a> Said<'a> {
    fn details(&self) -> impl Iterator<Item = &'a Value> {
        self.body["details"].as_array().into_iter().flatten()
    }

    fn text(&self) -> &'a str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// FCM's own code.
    fn code(&self) -> Option<&'a str> {
        self.details().find_map(|detail| detail["errorCode"].as_str())
    }

    /// The fields of the request that are not taken, if that is said.
    fn violations(&self) -> Option<impl Iterator<Item = &'a str>> {
        let list = self.details().find_map(|detail| detail["fieldViolations"].as_array())?;
        Some(list.iter().map(|one| one["field"].as_str().unwrap_or_default()))
    }

    /// Whether a bad request is so because of the token. FCM says the same of a payload that it does
    /// not take; so a token goes only where it is named, lest a mistake of ours costs all tokens.
    fn token_is_bad(&self) -> bool {
        match self.violations() {
            Some(mut violations) => violations.any(|field| field == "message.token"),
            None => {
                self.code() == Some("INVALID_ARGUMENT")
                    && self.text().contains("registration token")
            }
        }
    }

    /// Whose quota is used up. A pause is asked of all, unless it is said that it is one device's.
    fn quota(&self, pause: bool) -> Scope {
        let violations = self.details().filter_map(|detail| detail["violations"].as_array());
        let about: String = violations
            .flatten()
            .flat_map(|one| [&one["subject"], &one["description"]])
            .filter_map(|text| text.as_str())
            .collect();
        let about = about.to_ascii_lowercase();
        if about.contains("device") || !(pause || about.contains("project")) {
            Scope::Message
        } else {
            Scope::Project
        }
    }

    /// For people. Of a field that is not taken only the name: FCM's text quotes what was in it.
    fn why(&self, status: StatusCode) -> String {
        let mut why = status.as_u16().to_string();
        if let Some(name) = self.code().or(self.body["status"].as_str()) {
            why = format!("{why} {name}");
        }
        let field = self.violations().and_then(|mut all| all.next());
        let text = field.unwrap_or_else(|| self.text());
        if !text.is_empty() {
            let text: String = text.chars().take(TEXT_MAX).collect();
            why = format!("{why}: {text}");
        }
        why.replace(char::is_control, " ")
    }
}

/// `Retry-After`, in seconds or as a date. A date is compared with the answer's own, since our clock
/// may differ.
pub(super) fn pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = |text: &str| httpdate::parse_http_date(text).ok();
            let sent = headers.get(DATE).and_then(|text| date(text.to_str().ok()?));
            date(text)?.duration_since(sent.unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.clamp(PAUSE[0], PAUSE[1]))
}

#[cfg(test)]
mod tests;
