//! `moim-load origin` against a server that does it right, and against ones that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "also in helpers of tests")]

mod support;

use support::{Fault, Server, load, text};

const SMALL: [&str; 13] = [
    "origin",
    "--users",
    "8",
    "--ramp-up",
    "0",
    "--iterations",
    "3",
    "--pace",
    "0",
    "--read-timeout",
    "2",
    "--receipts",
    "on",
];

#[tokio::test]
async fn a_faithful_server_passes_and_every_row_is_found() {
    let server = Server::start(Fault::None).await;
    let page = server.file("report.html");
    let output = server.load(&[&SMALL[..], &["--html", page.to_str().unwrap()]].concat()).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    // A room of 6 and one of 2, 3 sends in each.
    assert!(text.contains("6 sent, 6 acknowledged, 24 deliveries; 0 lost, 0 doubled"), "{text}");
    assert!(text.contains("rows: 6 stored, 0 missing, 0 doubled"), "{text}");
    assert!(text.contains("refused: nothing"), "{text}");
    for step in ["OPEN", "CONNECT", "SUBSCRIBE", "READ", "UNSUBSCRIBE", "CLOSE"] {
        let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.len() == 10 && row[0] == step).unwrap();
        assert_eq!(row[1], "24", "{row:?}");
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("✓ clean"));
}

#[tokio::test]
async fn kept_sessions_open_once() {
    let server = Server::start(Fault::None).await;
    let output = server.load(&[&SMALL[..], &["--keep"]].concat()).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let open = text.lines().find(|line| line.trim_start().starts_with("OPEN")).unwrap();
    assert_eq!(open.split_whitespace().nth(1), Some("8"), "{open}");
    assert!(text.contains("24 deliveries; 0 lost"), "{text}");
}

#[tokio::test]
async fn the_plan_as_written_is_printed_beside_it_and_not_judged() {
    let server = Server::start(Fault::LoseOne).await;
    let mut arguments = SMALL.to_vec();
    arguments[12] = "off";
    let output = server.load(&arguments).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("as written") && text.contains("has no target"), "{text}");
    assert!(!text.contains("acknowledged"), "{text}");
}

async fn faulty(fault: Fault, expected: &str) {
    let server = Server::start(fault).await;
    let output = server.load(&SMALL).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{fault:?}: {text}");
    assert!(text.contains(expected), "{fault:?} should say `{expected}`: {text}");
}

#[tokio::test]
async fn a_lost_message_is_a_loss_and_a_read_that_timed_out() {
    faulty(Fault::LoseOne, " 1 lost, 0 doubled, 0 out of order").await;
    faulty(Fault::LoseOne, "refused: 1 × READ: timeout: no message").await;
}

#[tokio::test]
async fn a_message_that_comes_twice_is_a_double_for_each_receiver() {
    let server = Server::start(Fault::DoubleOne).await;
    let output = server.load(&SMALL).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let doubled = text.contains(" 0 lost, 6 doubled") || text.contains(" 0 lost, 2 doubled");
    assert!(doubled, "{text}"); // whichever room sent first
}

#[tokio::test]
async fn positions_that_fall_are_disorder() {
    // The first of three cannot be out of order; 8 receivers see two more.
    faulty(Fault::PositionsFall, " 0 lost, 0 doubled, 16 out of order").await;
}

#[tokio::test]
async fn a_receipt_of_another_position_conflicts() {
    faulty(Fault::ReceiptsLie, "with conflicting positions").await;
}

#[tokio::test]
async fn a_row_that_is_not_there_is_missing() {
    faulty(Fault::ForgetRow, "rows: 5 stored, 1 missing, 0 doubled").await;
}

#[tokio::test]
async fn a_refusal_is_told_by_its_text() {
    faulty(Fault::RefuseSecond, "SUBSCRIBE: ERROR not_a_member").await;
}

#[tokio::test]
async fn without_a_secret_it_says_what_to_give() {
    let output = load(&["origin", "--users", "1"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("--data-dir"), "{}", text(&output));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_fault_and_not_a_crash() {
    let server = Server::start(Fault::None).await;
    let data = server.folder.path().to_str().unwrap().to_owned();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("ws://{nobody}/ws");
    let output = load(&[&SMALL[..], &["--url", &url, "--data-dir", &data]].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    assert!(text.contains("24 × OPEN: socket: connection refused"), "{text}");
}

#[tokio::test]
async fn a_database_that_cannot_be_read_does_not_hide_the_table() {
    let server = Server::start(Fault::None).await;
    let output = server.load(&[&SMALL[..], &["--database", "/nowhere/moim.db"]].concat()).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("DELIVERY") && text.contains("rows: cannot read /nowhere"), "{text}");
}
