//! A small STOMP-over-WebSocket server in memory that does what a load test needs, and does it wrong
//! on demand; and a way to run the tool against it.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

pub const SECRET: &str = "a secret that is long enough for a test";
const DEADLINE: Duration = Duration::from_secs(90);

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The first message does not reach the first subscriber.
    LoseOne,
    /// The first message reaches everybody twice.
    DoubleOne,
    /// Of each two messages of a room the second is delivered first.
    SwapPairs,
    /// Positions go down.
    PositionsFall,
    /// RECEIPTs name another position than the messages.
    ReceiptsLie,
    /// The first message has no row.
    ForgetRow,
    /// The second SUBSCRIBE is answered by ERROR.
    RefuseSecond,
    /// The first SEND is refused on `/user/queue/errors`.
    RefuseSend,
    /// Every tenth SEND is taken, and answered by a close instead of its RECEIPT.
    Cut(Resume),
}

/// How a server answers those who come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With all that they missed.
    Whole,
    /// With `recovered:false` and nothing.
    NotRecovered,
    /// With `recovered:true` and nothing.
    Lost,
    /// With all that they missed and one before it.
    OneMore,
    /// With the last of what they missed again, at a later position.
    ShownAgain,
}

#[derive(Clone)]
struct Logged {
    seq: u64,
    origin: String,
    body: String,
}

#[derive(Default)]
struct State {
    subscribers: HashMap<String, Vec<(u64, String, UnboundedSender<Message>)>>,
    heads: HashMap<String, u64>,
    held: HashMap<String, String>,
    log: HashMap<String, Vec<Logged>>,
    messages: u64,
    subscribes: u64,
    database: Option<SqliteConnection>,
}

pub struct Server {
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
}

struct Shared {
    fault: Fault,
    state: Mutex<State>,
}

impl Server {
    pub async fn start(fault: Fault) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut database =
            SqliteConnection::establish(folder.path().join("moim.db").to_str().unwrap()).unwrap();
        database
            .batch_execute(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE messages (room TEXT, epoch INTEGER, seq INTEGER, origin_id TEXT);",
            )
            .unwrap();
        std::fs::write(folder.path().join("jwt-secret"), format!("{SECRET}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { database: Some(database), ..State::default() };
        let shared = Arc::new(Shared { fault, state: Mutex::new(state) });
        tokio::spawn(async move {
            for id in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(Arc::clone(&shared), stream, id));
            }
        });
        Self { address, folder }
    }

    /// Runs the tool against this server until it ends.
    pub async fn load(&self, arguments: &[&str]) -> Output {
        let url = format!("ws://{}/ws", self.address);
        let data = self.folder.path().to_str().unwrap().to_owned();
        let mut all = arguments.to_vec();
        all.extend(["--url", &url, "--data-dir", &data]);
        load(&all).await
    }

    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

/// Runs the tool until it ends.
pub async fn load(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_moim-load"));
    let ended = command
        .args(arguments)
        .env_remove("MOIM_JWT_SECRET")
        .env_remove("MOIM_LOAD_DATABASE_URL")
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(DEADLINE, ended).await.expect("the tool did not end").unwrap()
}

/// What the tool printed, for assertions and for their messages.
pub fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}\n{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, id: u64) {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |request: &Request, mut response: Response| {
        assert_eq!(request.headers()["sec-websocket-protocol"], "v12.stomp");
        response.headers_mut().insert("sec-websocket-protocol", "v12.stomp".parse().unwrap());
        Ok(response)
    };
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, choose).await else { return };
    let (mut sink, mut source) = socket.split();
    let (out, mut queue) = unbounded_channel();
    let writer = tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            let last = matches!(message, Message::Close(_));
            if sink.send(message).await.is_err() || last {
                return;
            }
        }
    });
    while let Some(Ok(message)) = source.next().await {
        let Message::Text(text) = message else { continue };
        if !text.trim_end_matches('\n').is_empty() && !shared.on_frame(id, &text, &out) {
            break;
        }
    }
    for subscribers in shared.state.lock().unwrap().subscribers.values_mut() {
        subscribers.retain(|(other, _, _)| *other != id);
    }
    drop(out);
    let _ = writer.await;
}

impl Shared {
    /// Takes a frame; false when the connection is over.
    fn on_frame(&self, id: u64, text: &str, out: &UnboundedSender<Message>) -> bool {
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let command = lines.next().unwrap();
        let headers: HashMap<&str, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.replace("\\c", ":")))
            .collect();
        let say = |frame: String| _ = out.send(Message::text(frame));
        let mut state = self.state.lock().unwrap();
        let mut position = String::new();
        match command {
            "CONNECT" => {
                assert!(headers["Authorization"].starts_with("Bearer ey"));
                say("CONNECTED\nversion:1.2\nheart-beat:1000,1000\n\n\0".to_owned());
            }
            "SUBSCRIBE" => {
                state.subscribes += 1;
                if self.fault == Fault::RefuseSecond && state.subscribes == 2 {
                    say("ERROR\nmessage:not_a_member\n\n\0".to_owned());
                    let _ = out.send(Message::Close(None));
                    return false;
                }
                let subscriber = (id, headers["id"].clone(), out.clone());
                let destination = headers["destination"].clone();
                if let Some(since) = headers.get("since") {
                    let room = destination.trim_start_matches("/topic/rooms/");
                    self.replay(&mut state, room, since, &headers, out);
                    state.subscribers.entry(destination).or_default().push(subscriber);
                    return true;
                }
                state.subscribers.entry(destination).or_default().push(subscriber);
            }
            "UNSUBSCRIBE" => {
                for subscribers in state.subscribers.values_mut() {
                    subscribers.retain(|(other, _, _)| *other != id);
                }
            }
            "SEND" => {
                state.messages += 1;
                if self.fault == Fault::RefuseSend && state.messages == 1 {
                    let body = r#"{"code":"rate_limited"}"#;
                    let receipt = &headers["receipt"];
                    say(format!(
                        "MESSAGE\nsubscription:errors\nreceipt-id:{receipt}\nmessage-id:1\n\n{body}\0"
                    ));
                    return true;
                }
                position = self.publish(&mut state, &headers, body.trim_end_matches('\0'));
                if matches!(self.fault, Fault::Cut(_)) && state.messages.is_multiple_of(10) {
                    let reason = "retry_after_ms=10".into();
                    let _ =
                        out.send(Message::Close(Some(CloseFrame { code: 1012.into(), reason })));
                    return false;
                }
            }
            "DISCONNECT" => {}
            other => panic!("{other} was not expected"),
        }
        if let Some(receipt) = headers.get("receipt") {
            say(format!("RECEIPT\nreceipt-id:{receipt}\n{position}\n\0"));
        }
        if command == "DISCONNECT" {
            let _ = out.send(Message::Close(None));
            return false;
        }
        true
    }

    /// Answers a SUBSCRIBE with `since`.
    fn replay(
        &self,
        state: &mut State,
        room: &str,
        since: &str,
        headers: &HashMap<&str, String>,
        out: &UnboundedSender<Message>,
    ) {
        let Fault::Cut(resume) = self.fault else { panic!("nobody was cut") };
        let after = match since.split_once('-').unwrap() {
            ("7", seq) => seq.parse::<u64>().unwrap() + 1,
            _ => 0,
        };
        let recovered = resume != Resume::NotRecovered;
        let receipt = &headers["receipt"];
        let _ = out.send(Message::text(format!(
            "RECEIPT\nreceipt-id:{receipt}\nposition:7-0\nrecovered:{recovered}\n\n\0"
        )));
        let from = match resume {
            Resume::NotRecovered | Resume::Lost => u64::MAX,
            Resume::OneMore => after.saturating_sub(1),
            Resume::Whole | Resume::ShownAgain => after,
        };
        let log = state.log.get(room).cloned().unwrap_or_default();
        let mut missed: Vec<_> = log.into_iter().filter(|logged| logged.seq >= from).collect();
        if let (Resume::ShownAgain, Some(last)) = (resume, missed.last().cloned()) {
            let head = state.heads.get_mut(room).unwrap();
            missed.push(Logged { seq: *head, ..last });
            *head += 1;
        }
        for logged in missed {
            let (id, message) = (&headers["id"], message(room, &logged));
            let _ = out.send(Message::text(format!("MESSAGE\nsubscription:{id}\n{message}")));
        }
    }

    /// Delivers a SEND and gives back the RECEIPT's position header.
    fn publish(&self, state: &mut State, headers: &HashMap<&str, String>, body: &str) -> String {
        let room = headers["destination"].strip_prefix("/app/rooms/").unwrap().to_owned();
        let first = state.messages == 1;
        let origin = headers.get("origin-id").cloned().unwrap_or_default();
        let known = state.log.get(&room).and_then(|log| {
            log.iter().find(|logged| !origin.is_empty() && logged.origin == origin)
        });
        if let Some(known) = known {
            return format!("position:7-{}\n", known.seq);
        }
        let head = state.heads.entry(room.clone()).or_insert(0);
        let count = *head;
        *head += 1;
        let seq = if self.fault == Fault::PositionsFall { 1_000_000 - count } else { count };
        let logged = Logged { seq, origin: origin.clone(), body: body.to_owned() };
        state.log.entry(room.clone()).or_default().push(logged.clone());
        if !(origin.is_empty() || first && self.fault == Fault::ForgetRow) {
            let insert = format!("INSERT INTO messages VALUES ('{room}', 7, {seq}, '{origin}')");
            state.database.as_mut().unwrap().batch_execute(&insert).unwrap();
        }
        let message = message(&room, &logged);
        let mut batch = vec![message.clone()];
        if self.fault == Fault::SwapPairs {
            match state.held.remove(&room) {
                Some(earlier) => batch.push(earlier),
                None => {
                    state.held.insert(room.clone(), message.clone());
                    batch.clear();
                }
            }
        }
        if first && self.fault == Fault::DoubleOne {
            batch.push(message);
        }
        let topic = format!("/topic/rooms/{room}");
        let subscribers = state.subscribers.get(&topic).map_or(&[][..], Vec::as_slice);
        for (place, (_, subscription, out)) in subscribers.iter().enumerate() {
            for message in &batch {
                if !(first && place == 0 && self.fault == Fault::LoseOne) {
                    let frame = format!("MESSAGE\nsubscription:{subscription}\n{message}");
                    let _ = out.send(Message::text(frame));
                }
            }
        }
        let said = if self.fault == Fault::ReceiptsLie { seq + 500 } else { seq };
        format!("position:7-{said}\n")
    }
}

/// A MESSAGE without its first lines.
fn message(room: &str, logged: &Logged) -> String {
    let Logged { seq, origin, body } = logged;
    let name = if origin.is_empty() { String::new() } else { format!("origin-id:{origin}\n") };
    format!(
        "destination:/topic/rooms/{room}\nmessage-id:{room}/7-{seq}\nposition:7-{seq}\n{name}\
         sender:ann\ncontent-length:{}\n\n{body}\0",
        body.len()
    )
}
