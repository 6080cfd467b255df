//! The command: its arguments, exit codes and signals.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::support::*;

const SOON: Duration = Duration::from_secs(10);

fn fails(arguments: &[&str], settings: &[(&str, &str)], code: i32, says: &[&str]) {
    let output = Server::command(arguments, settings);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{settings:?}: {text}");
    for said in says {
        assert!(text.contains(said), "`{said}` is not in: {text}");
    }
}

#[test]
fn a_wrong_configuration_is_exit_2_with_all_that_is_wrong() {
    fails(
        &[],
        &[("MOIM_LISSEN", "127.0.0.1:1")],
        2,
        &["MOIM_LISSEN", "did you mean `MOIM_LISTEN`"],
    );
    fails(&[], &[("MOIM_LIMITS__SEND_RATE", "fast")], 2, &["MOIM_LIMITS__SEND_RATE"]);
    fails(&[], &[("MOIM_LIMITS__SEND_RATE", "0")], 2, &["MOIM_LIMITS__SEND_RATE"]);
    fails(&["serve"], &[("MOIM_JWT_SECRET", "short")], 2, &["MOIM_JWT_SECRET", "32"]);
    fails(&[], &[("MOIM_LIMITS__BODY_MAX", "2MiB")], 2, &["message_max", "body_max"]);
    fails(&[], &[("MOIM_LOG", "nonsense=loud=1")], 2, &["MOIM_LOG"]);
    fails(&[], &[("MOIM_CONFIG", "/nowhere/moim.toml")], 2, &["/nowhere/moim.toml"]);
    let both = [("MOIM_LISTEN", "nowhere"), ("MOIM_ORIGINS", "example.org")];
    fails(&[], &both, 2, &["MOIM_LISTEN", "MOIM_ORIGINS"]);
}

#[test]
fn a_secret_is_never_shown_in_a_complaint() {
    let output = Server::command(&[], &[("MOIM_JWT_SECRET", "s3cr3t"), ("MOIM_X", "1")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cr3t"));
}

#[test]
fn a_wrong_argument_is_exit_2() {
    fails(&["fly"], &[], 2, &["fly"]);
    fails(&["token"], &[], 2, &["--user"]);
    fails(&["token", "--user", "a b"], &[], 2, &["user id"]);
    fails(&["token", "--user", "ann", "--rooms", "a b"], &[], 2, &["room id"]);
}

#[test]
fn a_port_in_use_is_exit_2_and_says_what_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&[], &[("MOIM_LISTEN", &address)], 2, &[&address, "MOIM_LISTEN"]);
}

#[test]
fn what_kubernetes_injects_is_no_mistake() {
    let server = Server::with(&[
        ("MOIM_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("MOIM_SERVER_PORT", "tcp://10.0.0.1:8080"),
        ("MOIM_SERVER_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ]);
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn data_that_is_no_database_is_exit_5() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("moim.db"), "no database ".repeat(1_000)).unwrap();
    let path = directory.path().to_str().unwrap();
    fails(&[], &[("MOIM_DATA_DIR", path)], 5, &[path]);
}

#[tokio::test]
async fn a_token_of_the_command_line_connects() {
    let server = Server::start();
    let arguments = ["token", "--user", "zoe", "--name", "Zoe Z", "--rooms", "a, b", "--ttl", "1h"];
    let output = Server::command(&arguments, &[]);
    assert_eq!(output.status.code(), Some(0));
    let token = String::from_utf8(output.stdout).unwrap();
    let mut zoe = Client::connect_with(&server, "1.2", token.trim_end()).await;
    zoe.subscribe_errors().await;
    zoe.subscribe_room("b").await;
    zoe.send_room("b", "hello").await;
    assert_eq!(zoe.next_message().await.at("sender-name"), "Zoe%20Z");
    zoe.send(to_room("c", "x")).await;
    assert_eq!(zoe.next_refusal().await.json()["code"], "not_a_member");
}

#[tokio::test]
async fn without_a_secret_one_is_made_and_the_command_line_uses_the_same() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("MOIM_JWT_SECRET", ""), ("MOIM_DATA_DIR", data.path().to_str().unwrap())];
    let server = Server::with(&settings);
    let output = Server::command(&["token", "--user", "zoe"], &settings);
    let token = String::from_utf8(output.stdout).unwrap();
    let mut zoe = Client::connect_with(&server, "1.2", token.trim_end()).await;
    zoe.send_room("any", "hello").await;
}

#[tokio::test]
async fn config_prints_what_moim_config_takes() {
    let output = Server::command(&["config"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    for key in ["listen", "data_dir", "[limits]", "send_rate", "[auth]", "MOIM_LIMITS__SEND_RATE"] {
        assert!(printed.contains(key), "{key} is not in\n{printed}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("moim.toml");
    std::fs::write(&path, &printed).unwrap();
    let config = ("MOIM_CONFIG", path.to_str().unwrap());
    assert_eq!(Server::with(&[config]).get("/livez").status, 200);
    // The environment stands above the file, the file above the defaults.
    std::fs::write(&path, "[limits]\nheart_beat_min = \"1s\"\nsubscriptions = 1\n").unwrap();
    let server = Server::with(&[config, ("MOIM_LIMITS__SUBSCRIPTIONS", "2")]);
    let mut ann = Open::new(&server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("passcode", token("ann"));
    ann.send(connect.header("heart-beat", "0,1")).await;
    assert_eq!(ann.expect("CONNECTED").await.at("heart-beat"), "1000,0");
    ann.subscribe_room("a").await;
    ann.subscribe_room("b").await;
    std::fs::write(&path, "[limits]\nsubscription = 1\n").unwrap();
    fails(&[], &[config], 2, &["subscription", "did you mean"]);
}

#[test]
fn help_and_version_are_exit_0() {
    for argument in ["--help", "--version"] {
        let output = Server::command(&[argument], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains("moim-server"));
    }
}

#[tokio::test]
async fn told_to_stop_it_tells_its_clients_to_come_back_and_exits_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start();
        let mut ann = Client::connect(&server, "ann").await;
        ann.subscribe_room("room").await;
        let mut early = Open::new(&server).open().await;
        let position = ann.send_room("room", "stored").await;
        ann.next_message().await;
        server.signal(signal);
        for client in [&mut ann, &mut early] {
            let reason = client.expect_close(1012).await;
            let retry = reason.strip_prefix("retry_after_ms=").expect("when to come back");
            assert!(retry.parse::<u64>().is_ok(), "{reason}");
        }
        assert_eq!(server.ended(std::time::Duration::from_secs(10)).code(), Some(0));
        let server = server.restart();
        let mut ann = Client::connect(&server, "ann").await;
        let receipt = ann.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
        assert_eq!((receipt.at("position"), receipt.at("recovered")), (position.as_str(), "true"));
        assert_eq!(ann.bodies(1).await, ["stored"]);
    }
}

#[tokio::test]
async fn as_many_may_come_as_the_system_grants_files_not_as_many_as_it_begins_with() {
    let few = Program::server().by(&["sh", "-c", "ulimit -Sn 64; exec \"$0\""]);
    let server = Server::run(few, Vec::new());
    let mut people = Vec::new();
    for _ in 0..100 {
        people.push(Client::connect(&server, "ann").await);
    }
    for client in &mut people {
        client.sync().await;
    }
}

#[tokio::test]
async fn told_to_stop_twice_it_ends_at_once() {
    let server = Server::with(&[("MOIM_DRAIN_SPREAD", "30s"), ("MOIM_DRAIN_BOUND", "120s")]);
    let mut people = Vec::new();
    for _ in 0..20 {
        people.push(Client::connect(&server, "ann").await);
    }
    server.signal(Signal::SIGTERM);
    server.log.wait_for(SOON, |line| line.contains("stopping")).expect("it stops");
    server.signal(Signal::SIGINT);
    assert_eq!(server.ended(SOON).code(), Some(0));
    assert!(server.log.text().contains("told to stop twice"));
}

#[test]
fn told_to_stop_before_it_is_up_it_ends_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = format!("postgres://moim:secret@{}/moim", silent.local_addr().unwrap());
    let settings = [
        ("MOIM_MODE", "cluster"),
        ("MOIM_REDIS_URL", "redis://127.0.0.1:1"),
        ("MOIM_AMQP_URL", "amqp://127.0.0.1:1"),
        ("MOIM_DATABASE_URL", &database),
    ];
    silent.set_nonblocking(true).unwrap();
    let mut connected = None;
    let output = Program::server().command_and(&[], &settings, |process| {
        let end = Instant::now() + SOON;
        while connected.is_none() {
            assert!(Instant::now() < end, "it does not connect");
            connected = silent.accept().ok();
            std::thread::yield_now();
        }
        kill(process, Signal::SIGTERM).unwrap();
    });
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Answers to what was asked before are given, and say that the next one is for another node.
#[test]
fn requests_that_are_under_way_are_answered_before_it_ends() {
    const ASKED: usize = 6;
    let server = Server::start();
    let body = r#"{"user":"nobody","password":"not the right one"}"#;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: moim\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut asked: Vec<TcpStream> = (0..ASKED)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let end = Instant::now() + SOON;
    // With the one that asks.
    while server.metric("moim_requests").unwrap() < 3.0 {
        assert!(Instant::now() < end, "they are not under way");
    }
    server.signal(Signal::SIGTERM);
    let answers = asked.iter_mut().map(|stream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.to_ascii_lowercase()
    });
    let answers: Vec<String> = answers.collect();
    for answer in &answers {
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
    }
    assert!(answers.iter().any(|answer| answer.contains("connection: close")), "{answers:?}");
    assert_eq!(server.ended(SOON).code(), Some(0));
}

#[tokio::test]
async fn after_a_clean_stop_everything_is_in_the_one_file() {
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    for n in 0..20 {
        ann.send_room("room", &n.to_string()).await;
    }
    assert_eq!(server.terminate(), Some(0));
    let log = server.data_dir().join("moim.db-wal");
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0, "{}", log.display());
}

#[tokio::test]
async fn what_got_its_receipt_is_there_after_a_kill() {
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    let position = ann.send_room("room", "kept").await;
    server.kill();
    let server = server.restart();
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
    let message = ann.next_message().await;
    assert_eq!((message.text(), message.at("position")), ("kept", position.as_str()));
}
