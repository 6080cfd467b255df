//! A TCP connection to the server, for what a proper WebSocket library cannot say: byte by byte,
//! unmasked, half a handshake, not reading.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Answer, DEADLINE, Server};

/// What a WebSocket frame is (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

/// One WebSocket frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Raw {
    pub fn is(&self, opcode: Opcode) -> bool {
        self.opcode == opcode as u8
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The code of a close frame.
    #[track_caller]
    pub fn code(&self) -> u16 {
        assert!(self.is(Opcode::Close), "no close: {self:?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}

/// See the module.
pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    /// Connected, with nothing said.
    pub async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// The same with a small receive buffer, for a client that will not read.
    pub async fn with_receive_buffer(server: &Server, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        let stream = socket.connect(server.address).await.unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Upgraded to a WebSocket.
    pub async fn upgraded(server: &Server) -> Self {
        let mut wire = Self::connect(server).await;
        let answer = wire.upgrade("/ws", "").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        wire
    }

    /// Asks for the upgrade, with more header lines.
    pub async fn upgrade(&mut self, path: &str, more: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n",
            self.stream.peer_addr().unwrap()
        );
        self.write(request.as_bytes()).await;
        self.answer().await
    }

    /// Reads an HTTP answer up to its blank line, and its body if its length is told.
    pub async fn answer(&mut self) -> Answer {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.received[..end + 4]).into_owned();
                let length = Answer::parse(&head).get("content-length").map(str::parse::<usize>);
                let whole = end + 4 + length.and_then(Result::ok).unwrap_or(0);
                if self.received.len() >= whole {
                    let text = self.received.drain(..whole).collect::<Vec<_>>();
                    return Answer::parse(&String::from_utf8_lossy(&text));
                }
            }
            assert!(self.more().await, "the server hung up: {:?}", self.shown());
        }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.expect("writing stalls").unwrap();
    }

    /// Writes as much as the server takes; false when it took nothing for a while or is gone.
    pub async fn try_write(&mut self, bytes: &[u8], within: std::time::Duration) -> bool {
        matches!(timeout(within, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Writes one WebSocket frame.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.write(&encode(opcode, payload, true, true)).await;
    }

    /// A text message.
    pub async fn text(&mut self, text: &str) {
        self.send(Opcode::Text, text.as_bytes()).await;
    }

    /// The next WebSocket frame; `None` when the connection has ended.
    pub async fn read(&mut self) -> Option<Raw> {
        loop {
            if let Some(raw) = self.take() {
                return Some(raw);
            }
            if !self.more().await {
                assert!(self.received.is_empty(), "ended inside a frame: {:?}", self.shown());
                return None;
            }
        }
    }

    /// The next one that is no heart-beat; it has to be there.
    pub async fn next(&mut self) -> Raw {
        loop {
            let raw = self.read().await.expect("the connection ended");
            if raw.payload != b"\n" {
                return raw;
            }
        }
    }

    /// Ends this side of the connection.
    pub async fn shutdown(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The connection itself, and what came and was not read.
    pub fn into_stream(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.received)
    }

    async fn more(&mut self) -> bool {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.received)).await;
        match read.unwrap_or_else(|_| panic!("nothing comes; so far: {:?}", self.shown())) {
            Ok(read) => read > 0,
            // Reset, for what the server did not read any more.
            Err(_) => false,
        }
    }

    fn take(&mut self) -> Option<Raw> {
        let [first, second, rest @ ..] = &self.received[..] else { return None };
        assert_eq!(first & 0xf0, 0x80, "a part of a message, or an extension");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (head, length) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            (126 | 127, _) => return None,
            (short, _) => (2, u64::from(short)),
        };
        let end = head + usize::try_from(length).unwrap();
        if self.received.len() < end {
            return None;
        }
        let opcode = first & 0x0f;
        let payload = self.received.drain(..end).skip(head).collect();
        Some(Raw { opcode, payload })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.received[..self.received.len().min(600)]).into_owned()
    }
}

/// A WebSocket frame of a client, masked or (which is forbidden) not.
pub fn encode(opcode: Opcode, payload: &[u8], last: bool, masked: bool) -> Vec<u8> {
    let mut bytes = vec![opcode as u8 | if last { 0x80 } else { 0 }];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => bytes.push(mask | short as u8),
        middle @ 126..65_536 => {
            bytes.push(mask | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(mask | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let key = if masked { [0x12, 0x34, 0x56, 0x78] } else { [0; 4] };
    if masked {
        bytes.extend(key);
    }
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
