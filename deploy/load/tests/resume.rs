//! `moim-load rate --resume` against servers that close sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "also in helpers of tests")]

mod support;

use serde_json::Value;
use support::{Fault, Resume, Server, text};

const RATE: [&str; 11] = [
    "rate",
    "--rate",
    "60",
    "--rooms",
    "2",
    "--members",
    "2",
    "--seconds",
    "1",
    "--resume",
    "--json",
];

/// Runs it against a server that cuts every tenth sender; gives back the exit code and the line.
async fn run(resume: Resume) -> (Option<i32>, Value) {
    let server = Server::start(Fault::Cut(resume)).await;
    let output = server.load(&[&RATE[..], &["--patience", "3s"]].concat()).await;
    let line = String::from_utf8(output.stdout.clone()).unwrap();
    let value = serde_json::from_str(line.lines().last().unwrap_or_default());
    (output.status.code(), value.unwrap_or_else(|error| panic!("{error}: {}", text(&output))))
}

#[tokio::test]
async fn sessions_come_back_and_nothing_is_lost_or_doubled() {
    let (code, line) = run(Resume::Whole).await;
    assert_eq!(code, Some(0), "{line}");
    assert_eq!((&line["sent"], &line["acknowledged"]), (&60.into(), &60.into()), "{line}");
    assert_eq!(line["delivered"], 120, "{line}");
    assert_eq!((&line["rows"]["stored"], &line["rows"]["missing"]), (&60.into(), &0.into()));
    assert!(line["recovered"].as_u64() > Some(0) && line["unrecovered"] == 0, "{line}");
    let kind = "SESSION: closed with 1012: retry_after_ms=N";
    assert!(line["interruptions"][kind].as_u64() > Some(0), "{line}");
    assert!(line["steps"]["SEND"]["p99"].as_f64() > Some(0.0), "{line}");
}

#[tokio::test]
async fn what_a_server_said_will_not_come_is_missed_and_not_lost() {
    let (code, line) = run(Resume::NotRecovered).await;
    assert_eq!(code, Some(0), "{line}");
    assert!(line["unrecovered"].as_u64() > Some(0), "{line}");
    assert_eq!((&line["lost"], &line["clean"]), (&0.into(), &true.into()), "{line}");
}

#[tokio::test]
async fn what_a_server_said_would_come_and_did_not_is_lost() {
    let (code, line) = run(Resume::Lost).await;
    assert_eq!(code, Some(1), "{line}");
    assert!(line["lost"].as_u64() > Some(0) && line["missed"] == 0, "{line}");
}

#[tokio::test]
async fn one_position_twice_is_a_double() {
    let (code, line) = run(Resume::OneMore).await;
    assert_eq!(code, Some(1), "{line}");
    assert!(line["doubled"].as_u64() > Some(0) && line["shownAgain"] == 0, "{line}");
}

#[tokio::test]
async fn a_message_at_a_later_position_is_shown_again() {
    let (code, line) = run(Resume::ShownAgain).await;
    assert_eq!(code, Some(0), "{line}");
    assert!(line["shownAgain"].as_u64() > Some(0) && line["doubled"] == 0, "{line}");
}
