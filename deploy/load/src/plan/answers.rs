//! What a server says to a SEND: a RECEIPT, or a refusal on `/user/queue/errors`.

use std::time::Duration;

use crate::failure::Failure;
use crate::stomp::Frame;

/// The id of the subscription to `/user/queue/errors`.
pub const ERRORS: &str = "errors";

/// Why a SEND was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The send, as its `receipt` named it.
    pub number: Option<usize>,
    /// The code, as a failure.
    pub failure: Failure,
    /// How long to wait before sending again.
    pub wait: Duration,
}

/// The number that a `receipt-id` names.
pub fn number(frame: &Frame) -> Option<usize> {
    frame.header("receipt-id").and_then(|id| id.parse().ok())
}

/// The refusal that a MESSAGE is, if it is one.
pub fn refusal(frame: &Frame) -> Option<Refusal> {
    (frame.header("subscription").as_deref() == Some(ERRORS)).then(|| {
        let body = std::str::from_utf8(frame.body()).unwrap_or_default();
        Refusal {
            number: number(frame),
            failure: Failure::Refused(code(body).to_owned()),
            wait: Duration::from_millis(retry_after(body)),
        }
    })
}

/// The `code` of a refusal's JSON; codes are plain words.
fn code(body: &str) -> &str {
    let after = body.split_once("\"code\"").map_or("", |(_, after)| after);
    after.split('"').nth(1).unwrap_or("no code")
}

fn retry_after(body: &str) -> u64 {
    let after = body.split_once("\"retryAfterMs\"").map_or("", |(_, after)| after);
    let digits = after.trim_start_matches([':', ' ']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_and_tells_when_to_come_again() {
        let body = r#"{"receipt":"7","code":"rate_limited","detail":"x","retryAfterMs":250}"#;
        let frame = format!("MESSAGE\nsubscription:errors\nreceipt-id:7\n\n{body}\0");
        let refusal = refusal(&Frame::parse(frame.into()).unwrap()).unwrap();
        assert_eq!(refusal.number, Some(7));
        assert_eq!(refusal.failure, Failure::Refused("rate_limited".to_owned()));
        assert_eq!(refusal.wait, Duration::from_millis(250));
        assert_eq!((code(r#"{"code" : "busy"}"#), code("nothing")), ("busy", "no code"));
        assert_eq!(retry_after(r#"{"retryAfterMs": null}"#), 0);
    }

    #[test]
    fn another_message_is_no_refusal() {
        let frame = Frame::parse("MESSAGE\nsubscription:0\n\n{}\0".into()).unwrap();
        assert_eq!(refusal(&frame), None);
    }
}
