//! The client's side of an outbox: takes what the drain writes and reads it as WebSocket messages
//! with one whole STOMP frame in each.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::outbox::{Drain, Outbox};

/// A WebSocket message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Frame(Frame),
    Beat,
    Pong(Vec<u8>),
    Close(u16, String),
}

/// A STOMP frame, its headers as they are on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub binary: bool,
}

impl Frame {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn parse(bytes: &[u8], binary: bool) -> Self {
        let blank = bytes.windows(2).position(|two| two == b"\n\n").expect("an end of the headers");
        let head = std::str::from_utf8(&bytes[..blank]).unwrap();
        let (body, nul) = bytes[blank + 2..].split_at(bytes.len() - blank - 3);
        assert_eq!(nul, b"\0", "one whole frame in one message");
        let mut lines = head.split('\n');
        let command = lines.next().unwrap().to_owned();
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self { command, headers: lines.map(pair).collect(), body: body.to_vec(), binary }
    }
}

/// Reads an outbox empty.
pub struct Reader {
    drain: Drain,
    rest: Vec<u8>,
    pub ended: bool,
}

impl Reader {
    pub fn new(outbox: Arc<Outbox>) -> Self {
        Self { drain: Drain::new(outbox), rest: Vec::new(), ended: false }
    }

    /// The bytes that wait.
    pub fn bytes(&mut self) -> Vec<u8> {
        self.some_bytes(usize::MAX)
    }

    /// The bytes that wait, for a socket that takes so many of them.
    pub fn some_bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let polled = self.drain.poll(&mut Context::from_waker(Waker::noop()), |offered, _| {
            let count = offered.len().min(most - bytes.len());
            bytes.extend_from_slice(&offered[..count]);
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        });
        self.ended |= matches!(polled, Poll::Ready(Ok(())));
        bytes
    }

    /// Everything that waits.
    pub fn all(&mut self) -> Vec<Read> {
        let bytes = self.bytes();
        self.rest.extend(bytes);
        let mut read = Vec::new();
        let mut at = 0;
        while let Some((first, payload, next)) = message(&self.rest, at) {
            read.push(match first {
                0x81 if payload == b"\n" => Read::Beat,
                0x81 => Read::Frame(Frame::parse(payload, false)),
                0x82 => Read::Frame(Frame::parse(payload, true)),
                0x88 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    Read::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap())
                }
                0x8a => Read::Pong(payload.to_vec()),
                other => panic!("not a message of ours: {other:#x}"),
            });
            at = next;
        }
        self.rest.drain(..at);
        assert!(self.rest.is_empty(), "the last message is not whole");
        read
    }

    /// The frames that wait; there is nothing else.
    pub fn frames(&mut self) -> Vec<Frame> {
        let frame = |read| match read {
            Read::Frame(frame) => frame,
            other => panic!("not a frame: {other:?}"),
        };
        self.all().into_iter().map(frame).collect()
    }

    /// The only frame that waits.
    pub fn frame(&mut self) -> Frame {
        let mut frames = self.frames();
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }
}

/// First byte, payload and end of the message at `at`, if it is whole (RFC 6455, section 5.2).
fn message(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let (first, short) = (*bytes.get(at)?, *bytes.get(at + 1)?);
    assert_eq!(short & 0x80, 0, "a server does not mask");
    let (start, length) = match short {
        126 => {
            let long = bytes.get(at + 2..at + 4)?.try_into().unwrap();
            let length = u16::from_be_bytes(long) as usize;
            assert!(length > 125, "the shortest form");
            (at + 4, length)
        }
        127 => {
            let long = bytes.get(at + 2..at + 10)?.try_into().unwrap();
            let length = u64::from_be_bytes(long) as usize;
            assert!(length > 65_535, "the shortest form");
            (at + 10, length)
        }
        length => (at + 2, length as usize),
    };
    bytes.get(start..start + length).map(|payload| (first, payload, start + length))
}
