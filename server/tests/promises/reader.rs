//! A subscriber that reads from its socket what and when a test says, and checks that numbered
//! messages come whole, once and in order.

use std::io;

use moim_shared::position::Position;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::*;

/// What the kernel holds for a reader that does not read.
const RECEIVE_BUFFER: u32 = 8 * 1024;

/// See the module.
pub struct Reader {
    stream: TcpStream,
    received: Vec<u8>,
    /// Parsed of `received`.
    parsed: usize,
    /// The number that the next message has to have.
    pub next: usize,
    pub last: Position,
    /// Read from the socket.
    pub bytes: usize,
    /// The close that came.
    pub close: Option<u16>,
}

/// A body that says which it is.
pub fn numbered(n: usize, length: usize) -> String {
    let mut body = format!("{n} ");
    body.extend(std::iter::repeat_n('.', length - body.len()));
    body
}

impl Reader {
    /// Subscribed after `since`, behind which message `next` stands.
    pub async fn subscribe(
        server: &Server,
        user: &str,
        room: &str,
        since: Position,
        next: usize,
    ) -> Self {
        let mut wire = Wire::with_receive_buffer(server, RECEIVE_BUFFER).await;
        assert_eq!(wire.upgrade("/ws", "").await.status, 101);
        let connect = frame("CONNECT").header("accept-version", "1.2");
        wire.send(Opcode::Binary, &connect.header("passcode", token(user)).bytes()).await;
        assert!(wire.next().await.text().starts_with("CONNECTED"));
        let subscribe = frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{room}"))
            .header("since", since)
            .header("receipt", "r");
        wire.send(Opcode::Binary, &subscribe.bytes()).await;
        let receipt = Frame::parse(&wire.next().await.payload, false).unwrap();
        assert_eq!((&*receipt.command, receipt.at("recovered")), ("RECEIPT", "true"));
        let (stream, received) = wire.into_stream();
        Self { stream, received, parsed: 0, next, last: since, bytes: 0, close: None }
    }

    /// Reads so much at most; false when the connection has ended.
    pub async fn read(&mut self, most: usize) -> bool {
        let mut part = (&mut self.stream).take(most as u64);
        let read = match part.read_buf(&mut self.received).await {
            Ok(read) => read,
            // Cut while something of ours was on its way.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.bytes += read;
        while self.parse() {}
        if self.parsed > 1 << 20 || self.parsed == self.received.len() {
            self.received.drain(..self.parsed);
            self.parsed = 0;
        }
        read > 0
    }

    /// Reads until message `n` is there.
    pub async fn read_up_to(&mut self, n: usize) {
        while self.next <= n {
            let more = tokio::time::timeout(DEADLINE, self.read(1 << 20)).await;
            let more = more.unwrap_or_else(|_| panic!("message {} does not come", self.next));
            assert!(more && self.close.is_none(), "closed at {}: {:?}", self.next, self.close);
        }
    }

    /// Reads until the connection ends.
    pub async fn read_to_end(&mut self) {
        while tokio::time::timeout(DEADLINE, self.read(1 << 20)).await.expect("it does not end") {}
    }

    fn parse(&mut self) -> bool {
        let bytes = &self.received[self.parsed..];
        let [first, length, rest @ ..] = bytes else { return false };
        let (head, length) = match (*length, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [0, 0, 0, 0, a, b, c, d, ..]) => {
                (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize)
            }
            (126 | 127, _) => return false,
            (short, _) => (2, usize::from(short)),
        };
        let Some(payload) = bytes.get(head..head + length) else { return false };
        self.parsed += head + length;
        if first & 0x0f == Opcode::Close as u8 {
            self.close = Some(u16::from_be_bytes([payload[0], payload[1]]));
            return true;
        }
        assert_eq!(self.close, None, "something came behind the close");
        let message = Frame::parse(payload, false).unwrap();
        let body = message.text();
        assert_eq!(message.command, "MESSAGE");
        assert_eq!(body.split(' ').next(), Some(&*self.next.to_string()), "a gap or a double");
        assert!(body.ends_with('.'), "cut off");
        let position = message.at("position").parse().unwrap();
        assert!(position > self.last, "{position} after {}", self.last);
        self.last = position;
        self.next += 1;
        true
    }
}
