//! Stock clients, as apps ship them, against the real binary. The first test installs them; see
//! `clients/install`. Each script of `clients` says `ok - SENTENCE` for what it saw, and ends with
//! the first that does not hold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

#[path = "clients/script.rs"]
mod script;

use std::time::Duration;

use script::{Script, installed};
use support::{Port, Server, token};

/// All that a script has to see.
const CLIENT: Duration = Duration::from_secs(150);
const BROWSER: Duration = Duration::from_secs(300);

/// Runs a client with what it is told: the server, a token, a room and an open topic.
fn chats(command: &[&str]) {
    let server = Server::start();
    let base = format!("http://{}", server.address);
    let arguments = [base.as_str(), &token("mina"), "clients", "/topic/chat.general"];
    Script::run(&[command, &arguments].concat()).ends_well(CLIENT, |ask| panic!("asks {ask:?}"));
}

/// Runs a client that asks for its server to be killed, and started again where it was.
fn survives(within: Duration, open_topics: bool, run: impl FnOnce(&str) -> Script) {
    let (port, open_topics) = (Port::reserve(), open_topics.to_string());
    let listen = port.address().to_string();
    let variables =
        [("MOIM_LISTEN", &*listen), ("MOIM_OPEN_TOPICS", &*open_topics), ("MOIM_PUSH_GRACE", "1s")];
    let mut server = Some(Server::with(&variables));
    let script = run(&format!("http://{}", port.address()));
    script.ends_well(within, |ask| match ask {
        "kill" => server.as_ref().unwrap().kill(),
        "restart" => {
            // Shown when the test fails, like the next one's.
            println!("{}", server.as_ref().unwrap().log);
            server = server.take().map(Server::restart);
        }
        other => panic!("asks {other:?}"),
    });
}

fn node(script: &str) {
    chats(&["node", &installed(script)]);
}

#[test]
fn stompjs_sends_and_receives_in_order() {
    node("stompjs.mjs");
}

#[test]
fn stompjs_gets_what_its_own_suite_asks_of_a_server() {
    node("stompjs_suite.mjs");
}

#[test]
fn webstomp_client_sends_and_receives_in_order() {
    node("webstomp.mjs");
}

#[test]
fn stompit_sends_and_receives_in_order() {
    node("stompit.mjs");
}

#[test]
fn stomp_py_sends_and_receives_in_order() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/stomp_py.py");
    chats(&[&installed("venv/bin/python"), script]);
}

#[test]
fn an_android_app_on_okhttp_sends_and_receives_in_order() {
    let classes = installed("java");
    chats(&["java", "-cp", &format!("{classes}:{classes}/*"), "Android"]);
}

#[test]
fn stompjs_misses_nothing_while_the_server_is_killed() {
    let script = installed("stompjs_restart.mjs");
    survives(CLIENT, true, |base| {
        let arguments = ["node", &script, base, &token("mina"), "clients", "/topic/chat.general"];
        Script::run(&arguments)
    });
}

#[test]
fn a_browser_chats_while_the_server_is_killed() {
    // As in a cluster, where nobody tells a page what was pushed.
    browser("browser.mjs", false);
}

#[test]
fn a_browser_shows_what_became_of_messages_and_agrees_with_its_users_other_windows() {
    browser("windows.mjs", true);
}

fn browser(script: &str, open_topics: bool) {
    let (script, pictures) = (installed(script), installed("pictures"));
    survives(BROWSER, open_topics, |base| Script::run(&["node", &script, base, &pictures]));
}
