//! A STOMP client that says what a test wants said, and takes nothing for granted: each WebSocket
//! message that comes has to be a heart-beat or exactly one frame, with headers for every client.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Boxed, DEADLINE, Frame, Log, Server, encrypted, frame, token};

/// How a client opens its WebSocket.
pub struct Open {
    address: SocketAddr,
    log: Log,
    path: String,
    headers: Vec<(String, String)>,
    tls: Option<TlsConnector>,
    receive_buffer: Option<u32>,
}

impl Open {
    pub fn new(server: &Server) -> Self {
        Self { log: server.log.clone(), ..Self::at(server.address) }
    }

    /// Where something else than a [`Server`] listens.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            log: Log::default(),
            path: "/ws".into(),
            headers: Vec::new(),
            tls: None,
            receive_buffer: None,
        }
    }

    /// Path and query.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// By TLS.
    pub fn tls(mut self, connector: &TlsConnector) -> Self {
        self.tls = Some(connector.clone());
        self
    }

    /// With a receive buffer of so many bytes, for a client that will not read.
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sub-protocols, as they stand in the header.
    pub fn protocols(self, offered: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", offered)
    }

    /// Opens it; nothing of STOMP is said.
    pub async fn open(self) -> Client {
        self.answered().await.unwrap_or_else(|status| panic!("the upgrade was answered {status}"))
    }

    /// The same where it may be refused, with an HTTP status.
    pub async fn answered(self) -> Result<Client, u16> {
        let url = format!("ws://{}{}", self.address, self.path);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = self.connect().await.unwrap();
        let opened = timeout(DEADLINE, client_async(request, stream)).await;
        match opened.expect("no answer to the upgrade") {
            Ok((socket, response)) => Ok(Client::new(socket, &response, self.log)),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            // The library insists on a protocol when it offered some; the answer is what counts.
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// The same where the server may end at any moment.
    pub async fn if_it_lives(self) -> Option<Client> {
        let request = format!("ws://{}{}", self.address, self.path).into_client_request().unwrap();
        let opening = async {
            let stream = self.connect().await.ok()?;
            client_async(request, stream).await.ok()
        };
        let (socket, response) = timeout(DEADLINE, opening).await.ok()??;
        Some(Client::new(socket, &response, self.log))
    }
}

impl Open {
    async fn connect(&self) -> std::io::Result<Boxed> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream: TcpStream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(connector) => encrypted(connector, stream).await?,
        })
    }
}

/// What comes from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Frame(Frame),
    Beat,
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection ended.
    End,
}

/// See the module.
pub struct Client {
    socket: WebSocketStream<Boxed>,
    /// The sub-protocol that the server chose.
    pub protocol: Option<String>,
    log: Log,
    /// Came while something else was waited for.
    aside: VecDeque<Frame>,
    transcript: VecDeque<String>,
    receipts: u32,
}

impl Client {
    fn new<T>(socket: WebSocketStream<Boxed>, response: &Response<T>, log: Log) -> Self {
        let protocol = response.headers().get("sec-websocket-protocol");
        Self {
            socket,
            protocol: protocol.map(|value| value.to_str().unwrap().to_owned()),
            log,
            aside: VecDeque::new(),
            transcript: VecDeque::new(),
            receipts: 0,
        }
    }

    /// Connected as that user, with a token for every room, in STOMP 1.2.
    pub async fn connect(server: &Server, user: &str) -> Self {
        Self::connect_with(server, "1.2", &token(user)).await
    }

    /// Connected with that token and these versions.
    pub async fn connect_with(server: &Server, versions: &str, token: &str) -> Self {
        let mut client = Open::new(server).open().await;
        client.log_in(versions, token).await;
        client
    }

    /// CONNECT, and the CONNECTED that it has to bring.
    pub async fn log_in(&mut self, versions: &str, token: &str) -> Frame {
        let connect = frame("CONNECT")
            .header("accept-version", versions)
            .header("Authorization", format!("Bearer {token}"));
        self.send(connect).await;
        self.expect("CONNECTED").await
    }

    // What goes out.

    /// Sends a frame in a message of its own.
    pub async fn send(&mut self, frame: Frame) {
        let message = if frame.binary {
            Message::binary(frame.bytes())
        } else {
            Message::text(String::from_utf8(frame.bytes()).expect("text; or call `binary`"))
        };
        self.message(message).await;
    }

    /// Sends text as it stands.
    pub async fn send_text(&mut self, text: &str) {
        self.message(Message::text(text)).await;
    }

    /// Sends bytes in a binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.message(Message::binary(bytes.to_vec())).await;
    }

    /// Sends any WebSocket message.
    pub async fn message(&mut self, message: Message) {
        self.note(">", &message.to_string());
        let sent = timeout(DEADLINE, self.socket.send(message)).await.expect("sending stalls");
        if let Err(error) = sent {
            self.note("!", &error.to_string());
        }
    }

    /// Sends frames together, as fast as the server takes them.
    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>, within: Duration) {
        let messages = frames
            .into_iter()
            .map(|frame| Ok(Message::text(String::from_utf8(frame.bytes()).expect("text"))));
        let mut messages = futures_util::stream::iter(messages);
        let sent = timeout(within, self.socket.send_all(&mut messages)).await;
        sent.expect("sending stalls").unwrap();
    }

    // What comes in.

    /// The next thing.
    #[track_caller]
    pub fn event(&mut self) -> impl Future<Output = Event> {
        self.event_within(DEADLINE)
    }

    /// The next thing, for which longer may be waited.
    pub async fn event_within(&mut self, within: Duration) -> Event {
        let Ok(event) = timeout(within, self.read()).await else {
            panic!("nothing came within {within:?}\n{}", self.shown());
        };
        event
    }

    /// Whether nothing comes for so long. A frame that has to be there afterwards says more: use
    /// this only where silence itself is the claim.
    pub async fn silent_for(&mut self, span: Duration) -> bool {
        self.aside.is_empty() && timeout(span, self.read()).await.is_err()
    }

    /// The next frame, whatever it is.
    pub async fn next_frame(&mut self) -> Frame {
        self.next_frame_within(DEADLINE).await
    }

    /// The same, for which longer may be waited.
    pub async fn next_frame_within(&mut self, within: Duration) -> Frame {
        if let Some(frame) = self.aside.pop_front() {
            return frame;
        }
        self.incoming(within).await
    }

    /// The next frame, which has to be one of this command.
    pub async fn expect(&mut self, command: &str) -> Frame {
        let frame = self.next_frame().await;
        assert!(frame.command == command, "{command} expected, {frame:?} came\n{}", self.shown());
        frame
    }

    /// The RECEIPT with this id. MESSAGEs that come before it are kept for later.
    pub async fn receipt(&mut self, id: &str) -> Frame {
        self.wait_for(|frame| frame.command == "RECEIPT" && frame.get("receipt-id") == Some(id))
            .await
    }

    /// The next MESSAGE. RECEIPTs that come before it are kept for later.
    pub async fn next_message(&mut self) -> Frame {
        self.wait_for(|frame| frame.command == "MESSAGE").await
    }

    /// The bodies of the next so many messages.
    pub async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            bodies.push(self.next_message().await.text().to_owned());
        }
        bodies
    }

    /// The first frame that is wanted; others are kept for later, but an ERROR fails.
    pub async fn wait_for(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(index) = self.aside.iter().position(&wanted) {
            return self.aside.remove(index).unwrap();
        }
        loop {
            let frame = self.incoming(DEADLINE).await;
            if wanted(&frame) {
                return frame;
            }
            assert!(frame.command != "ERROR", "{frame:?} came\n{}", self.shown());
            self.aside.push_back(frame);
        }
    }

    /// ERROR has to come next, and then the close 1002.
    pub async fn expect_error(&mut self) -> Frame {
        let error = self.expect("ERROR").await;
        error.at("message");
        self.expect_close(1002).await;
        error
    }

    /// The close has to come next, but for heart-beats, and then the end of the connection.
    pub async fn expect_close(&mut self, code: u16) -> String {
        self.expect_close_within(code, DEADLINE).await
    }

    pub async fn expect_close_within(&mut self, code: u16, within: Duration) -> String {
        loop {
            match self.event_within(within).await {
                Event::Beat => {}
                Event::Close(came, reason) if came == code => {
                    let end = self.event().await;
                    assert_eq!(end, Event::End, "after the close\n{}", self.shown());
                    return reason;
                }
                other => panic!("close {code} expected, {other:?} came\n{}", self.shown()),
            }
        }
    }

    // What tests do most.

    /// Subscribes to a room and waits for the RECEIPT. The subscription's id is the room's.
    pub async fn subscribe_room(&mut self, room: &str) -> Frame {
        self.subscribe_room_with(room, |frame| frame).await
    }

    /// The same with more headers.
    pub async fn subscribe_room_with(
        &mut self,
        room: &str,
        more: impl FnOnce(Frame) -> Frame,
    ) -> Frame {
        self.subscribe_with(room, &format!("/topic/rooms/{room}"), more).await
    }

    /// Subscribes, and waits for the RECEIPT.
    pub async fn subscribe(&mut self, id: &str, destination: &str) -> Frame {
        self.subscribe_with(id, destination, |frame| frame).await
    }

    /// The same with more headers.
    pub async fn subscribe_with(
        &mut self,
        id: &str,
        destination: &str,
        more: impl FnOnce(Frame) -> Frame,
    ) -> Frame {
        let receipt = self.next_receipt();
        let subscribe = frame("SUBSCRIBE")
            .header("id", id)
            .header("destination", destination)
            .header("receipt", &receipt);
        self.send(more(subscribe)).await;
        self.receipt(&receipt).await
    }

    /// Sends to a room, waits for the RECEIPT and gives back the position.
    pub async fn send_room(&mut self, room: &str, body: &str) -> String {
        self.send_room_with(room, body, |frame| frame).await
    }

    /// The same with more headers.
    pub async fn send_room_with(
        &mut self,
        room: &str,
        body: &str,
        more: impl FnOnce(Frame) -> Frame,
    ) -> String {
        let receipt = self.next_receipt();
        let send = to_room(room, body).header("receipt", &receipt);
        self.send(more(send)).await;
        self.receipt(&receipt).await.at("position").to_owned()
    }

    /// Asks for something that brings a RECEIPT and nothing else, so that all that came before is
    /// done: what is not there after this was not sent.
    pub async fn sync(&mut self) {
        let receipt = self.next_receipt();
        self.send(frame("UNSUBSCRIBE").header("id", "nobody").header("receipt", &receipt)).await;
        self.receipt(&receipt).await;
    }

    /// Frames that came meanwhile and nobody asked for.
    pub fn kept(&self) -> Vec<Frame> {
        self.aside.iter().cloned().collect()
    }

    /// Subscribes to `/user/queue/errors`, with the id `errors`.
    pub async fn subscribe_errors(&mut self) {
        self.subscribe("errors", "/user/queue/errors").await;
    }

    /// The next message of `/user/queue/errors`.
    pub async fn next_refusal(&mut self) -> Frame {
        self.wait_for(|frame| frame.get("destination") == Some("/user/queue/errors")).await
    }

    /// Says close 1000 and waits for the answer.
    pub async fn close(mut self) {
        self.message(Message::Close(Some(tungstenite::protocol::CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        })))
        .await;
        self.expect_close(1000).await;
    }

    pub fn next_receipt(&mut self) -> String {
        self.receipts += 1;
        format!("r-{}", self.receipts)
    }

    async fn incoming(&mut self, within: Duration) -> Frame {
        loop {
            match self.event_within(within).await {
                Event::Frame(frame) => return frame,
                Event::Beat => {}
                other => panic!("a frame expected, {other:?} came\n{}", self.shown()),
            }
        }
    }

    async fn read(&mut self) -> Event {
        let (bytes, binary) = match self.socket.next().await {
            Some(Ok(Message::Text(text))) => (text.as_bytes().to_vec(), false),
            Some(Ok(Message::Binary(bytes))) => (bytes.to_vec(), true),
            Some(Ok(Message::Close(close))) => {
                let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                let (code, reason) = close.unwrap_or((1005, String::new()));
                self.note("<", &format!("close {code} {reason}"));
                return Event::Close(code, reason);
            }
            Some(Ok(Message::Pong(payload))) => return Event::Pong(payload.to_vec()),
            // The library answers it.
            Some(Ok(Message::Ping(_))) => return Box::pin(self.read()).await,
            Some(Ok(other)) => panic!("{other:?} came\n{}", self.shown()),
            None => return Event::End,
            Some(Err(error)) => {
                self.note("<", &error.to_string());
                return Event::End;
            }
        };
        if bytes == b"\n" && !binary {
            return Event::Beat;
        }
        self.note("<", &String::from_utf8_lossy(&bytes));
        let frame = Frame::parse(&bytes, binary);
        Event::Frame(frame.unwrap_or_else(|problem| panic!("{problem}\n{}", self.shown())))
    }

    fn note(&mut self, direction: &str, text: &str) {
        let shown: String = text.chars().take(300).collect();
        self.transcript.push_back(format!("{direction} {shown:?}"));
        if self.transcript.len() > 30 {
            self.transcript.pop_front();
        }
    }

    /// What was said last, and what the server told its operator.
    fn shown(&self) -> String {
        self.log.show();
        let lines: Vec<&str> = self.transcript.iter().map(String::as_str).collect();
        format!("--- said on this connection ---\n{}", lines.join("\n"))
    }
}

/// A SEND to a room.
pub fn to_room(room: &str, body: impl AsRef<[u8]>) -> Frame {
    frame("SEND").header("destination", format!("/app/rooms/{room}")).body(body)
}
