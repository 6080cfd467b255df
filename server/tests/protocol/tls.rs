//! TLS: what works without it works with it, and what goes wrong with it costs nobody else.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::*;

struct Encrypted {
    server: Server,
    files: tempfile::TempDir,
    connector: TlsConnector,
}

impl Encrypted {
    fn with(settings: &[(&str, &str)]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let certificate = Certificate::new();
        let [cert, key] = certificate.put(files.path()).map(|path| path.display().to_string());
        let tls = [("MOIM_TLS_CERT", cert.as_str()), ("MOIM_TLS_KEY", key.as_str())];
        let server = Server::with(&[&tls, settings].concat());
        Self { server, files, connector: certificate.connector() }
    }

    async fn get(&self, path: &str) -> Answer {
        get_encrypted(&self.server, &self.connector, path).await.unwrap()
    }

    fn open(&self) -> Open {
        Open::new(&self.server).tls(&self.connector)
    }

    async fn connect(&self, user: &str) -> Client {
        let mut client = self.open().open().await;
        client.log_in("1.2", &token(user)).await;
        client
    }
}

#[tokio::test]
async fn https_is_served_and_says_to_come_that_way_again() {
    let it = Encrypted::with(&[]);
    let alive = it.get("/livez").await;
    assert_eq!((alive.status, &alive.json()["status"]), (200, &"ok".into()));
    assert_eq!(alive.get("strict-transport-security"), Some("max-age=31536000"));
    assert_eq!(it.get("/nowhere").await.status, 404);
    assert!(it.server.log.text().contains("listens on https://"));
}

#[tokio::test]
async fn messages_go_both_ways_in_order_and_the_session_ends_as_it_should() {
    let it = Encrypted::with(&[]);
    let mut ann = it.connect("ann").await;
    ann.subscribe_room("room").await;
    ann.send_all((0..100).map(|n| to_room("room", n.to_string())), DEADLINE).await;
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(ann.bodies(100).await, expected);
    ann.close().await;
    let mut bob = it.connect("bob").await;
    bob.send(frame("DISCONNECT").header("receipt", "bye")).await;
    bob.receipt("bye").await;
    bob.expect_close(1000).await;
}

#[tokio::test]
async fn the_largest_body_goes_both_ways() {
    let it = Encrypted::with(&[]);
    let mut ann = it.connect("ann").await;
    ann.subscribe_room("room").await;
    let body: String = (0..1 << 20).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    ann.send_room("room", &body).await;
    assert!(ann.next_message().await.text() == body, "it came changed");
    // What TLS holds back is not left behind by what comes next, or by nothing coming next.
    ann.send_room("room", "small").await;
    assert_eq!(ann.bodies(1).await, ["small"]);
}

#[tokio::test]
async fn a_page_of_the_same_host_may_connect() {
    let it = Encrypted::with(&[]);
    let own = format!("https://{}", it.server.address);
    assert!(it.open().header("Origin", own).answered().await.is_ok());
    assert_eq!(
        it.open().header("Origin", "https://evil.example").answered().await.err(),
        Some(403)
    );
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_and_the_others_get_everything() {
    const COUNT: usize = 400;
    let it = Encrypted::with(&[
        ("MOIM_LIMITS__BODY_MAX", "32KiB"),
        ("MOIM_LIMITS__MESSAGE_MAX", "64KiB"),
        ("MOIM_LIMITS__OUTBOX_BYTES", "128KiB"),
    ]);
    let mut slow = it.open().receive_buffer(8 * 1024).open().await;
    slow.log_in("1.2", &token("slow")).await;
    slow.subscribe_room("room").await;
    let mut bob = it.connect("bob").await;
    bob.subscribe_room("room").await;
    let mut ann = it.connect("ann").await;
    let body = "x".repeat(16 * 1024);
    for _ in 0..COUNT {
        ann.send_room("room", &body).await;
        assert_eq!(bob.next_message().await.body.len(), body.len());
    }
    // It still does not read, and is gone all the same.
    let end = Instant::now() + 2 * DEADLINE;
    while !it.get("/metrics").await.body.contains("moim_connections 2\n") {
        assert!(Instant::now() < end, "it is not cut");
    }
    let mut whole = 0;
    while let Event::Frame(_) = slow.event().await {
        whole += 1;
    }
    assert!(whole < COUNT, "it missed nothing");
}

#[tokio::test]
async fn who_never_shakes_hands_holds_nobody_up_and_is_let_go() {
    let it = Encrypted::with(&[]);
    let mut silent = Vec::new();
    for n in 0..50 {
        let mut stream = TcpStream::connect(it.server.address).await.unwrap();
        if n % 2 == 0 {
            // The head of a handshake whose rest never comes.
            stream.write_all(&[22, 3, 1, 1, 0]).await.unwrap();
        }
        silent.push(stream);
    }
    assert_eq!(it.get("/livez").await.status, 200);
    for mut stream in silent {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest));
        assert!(end.await.is_ok(), "it is still connected");
    }
}

#[tokio::test]
async fn many_who_begin_to_shake_hands_keep_nobody_out() {
    let it = Encrypted::with(&[]);
    let mut begun = Vec::new();
    for _ in 0..1_100 {
        let mut stream = TcpStream::connect(it.server.address).await.unwrap();
        stream.write_all(&[22]).await.unwrap();
        begun.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(it.get("/livez").await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_and_the_connection_closes() {
    let it = Encrypted::with(&[]);
    let answer = it.server.get("/livez");
    assert_eq!(answer.status, 400);
    assert!(answer.json()["detail"].as_str().unwrap().contains("https"), "{answer:?}");
    let mut stream = TcpStream::connect(it.server.address).await.unwrap();
    stream.write_all(b"\0\x01garbage").await.unwrap();
    let mut rest = Vec::new();
    // An alert perhaps, and then the end.
    let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok() && rest.len() < 100, "{rest:?}");
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let it = Encrypted::with(&[]);
    let mut ann = it.connect("ann").await;
    let second = Certificate::new();
    std::fs::write(it.files.path().join("tls.crt"), "nonsense").unwrap();
    it.server.signal(Signal::SIGHUP);
    let told = it.server.log.wait_for(DEADLINE, |line| line.contains("stays in use"));
    assert!(told.is_some_and(|line| line.contains("tls.crt")));
    assert_eq!(it.get("/livez").await.status, 200);
    second.put(it.files.path());
    it.server.signal(Signal::SIGHUP);
    assert!(it.server.log.wait_for(DEADLINE, |line| line.contains("a new certificate")).is_some());
    assert!(get_encrypted(&it.server, &it.connector, "/livez").await.is_err(), "still the old one");
    let answer = get_encrypted(&it.server, &second.connector(), "/livez").await;
    assert_eq!(answer.unwrap().status, 200);
    // Who is connected stays.
    ann.send_room("room", "still here").await;
}

#[test]
fn files_that_do_not_do_are_exit_2_and_named() {
    let files = tempfile::tempdir().unwrap();
    let [cert, key] = Certificate::new().put(files.path());
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let other = tempfile::tempdir().unwrap();
    let [_, other] = Certificate::new().put(other.path());
    for (cert, key, says) in [
        (cert, "/nowhere/tls.key", "/nowhere/tls.key"),
        (cert, other.to_str().unwrap(), "tls_key"),
        (key, key, "tls_cert"),
        (cert, "", "`tls_key` is not"),
    ] {
        let settings = [("MOIM_TLS_CERT", cert), ("MOIM_TLS_KEY", key)];
        let output = Server::command(&[], &settings);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(says), "{says} is not in {text}");
    }
}
