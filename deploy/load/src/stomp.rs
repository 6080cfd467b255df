//! STOMP 1.2 frames as this client writes and reads them, pure. One WebSocket message is one frame;
//! two frames in one message, or a part of one, is a fault of the server and reported as such.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::failure::Failure;

/// A place in a room's order, `epoch-seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// One life of the room's log.
    pub epoch: u64,
    /// Number inside the epoch.
    pub seq: u64,
}

impl Position {
    /// Reads `epoch-seq`.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// A received frame; headers are looked up in the bytes that came.
#[derive(Debug, Clone)]
pub struct Frame {
    raw: Bytes,
    headers_at: usize,
    headers_end: usize,
    body_end: usize,
}

impl Frame {
    /// Checks that `raw` is one whole frame and remembers where its parts are.
    pub fn parse(raw: Bytes) -> Result<Self, Failure> {
        let split = raw.windows(2).position(|two| two == b"\n\n");
        let headers_end = split.ok_or(Failure::Protocol("a message without a whole frame"))?;
        let headers_at = raw.iter().position(|b| *b == b'\n').unwrap_or(headers_end) + 1;
        let mut frame = Self { raw, headers_at, headers_end, body_end: 0 };
        let body_at = headers_end + 2;
        let after_head = frame.raw.get(body_at..).unwrap_or_default();
        let length = match frame.header("content-length") {
            Some(text) => text
                .parse::<usize>()
                .map_err(|_bad| Failure::Protocol("a content-length that is no number"))?,
            None => after_head
                .iter()
                .position(|b| *b == 0)
                .ok_or(Failure::Protocol("a frame without its NUL"))?,
        };
        if after_head.get(length) != Some(&0) {
            return Err(Failure::Protocol("a frame whose NUL is not where its length says"));
        }
        if after_head.iter().skip(length + 1).any(|b| !matches!(b, b'\n' | b'\r')) {
            return Err(Failure::Protocol("two frames in one message"));
        }
        frame.body_end = body_at + length;
        Ok(frame)
    }

    /// `CONNECTED`, `MESSAGE`, …
    pub fn command(&self) -> &[u8] {
        self.raw.get(..self.headers_at - 1).unwrap_or_default()
    }

    /// What came after the headers.
    pub fn body(&self) -> &[u8] {
        self.raw.get(self.headers_end + 2..self.body_end).unwrap_or_default()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let headers = self.raw.get(self.headers_at..self.headers_end)?;
        let value = headers.split(|b| *b == b'\n').find_map(|line| {
            line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"))
        })?;
        let text = std::str::from_utf8(value).ok()?;
        Some(if text.contains('\\') { Cow::Owned(unescape(text)) } else { Cow::Borrowed(text) })
    }

    /// The `position` header.
    pub fn position(&self) -> Option<Position> {
        Position::parse(&self.header("position")?)
    }
}

/// Writes a frame. CONNECT is not escaped, as the specification says.
pub fn encode(command: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let room = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut out = Vec::with_capacity(command.len() + room + body.len() + 3);
    out.extend_from_slice(command.as_bytes());
    out.push(b'\n');
    for (name, value) in headers {
        for (part, end) in [(name, b':'), (value, b'\n')] {
            if command == "CONNECT" {
                out.extend_from_slice(part.as_bytes());
            } else {
                escape(part, &mut out);
            }
            out.push(end);
        }
    }
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
    out
}

fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b':' => out.extend_from_slice(b"\\c"),
            other => out.push(other),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('c')) => out.push(':'),
            ('\\', Some(other)) => out.push(other),
            (plain, _) => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Frame, Failure> {
        Frame::parse(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let headers = [("destination", "/topic/rooms/a"), ("odd", "a:b\\c\nd\re")];
        let frame = Frame::parse(encode("SEND", &headers, b"body").into()).unwrap();
        assert_eq!(frame.command(), b"SEND");
        assert_eq!(frame.header("odd").unwrap(), "a:b\\c\nd\re");
        assert_eq!(frame.header("destination").unwrap(), "/topic/rooms/a");
        assert_eq!(frame.header("dest"), None);
        assert_eq!(frame.body(), b"body");
    }

    #[test]
    fn a_message_tells_its_position() {
        let frame = parse("MESSAGE\nposition:17-3\ncontent-length:3\n\na\0b\0").unwrap();
        assert_eq!(frame.position(), Some(Position { epoch: 17, seq: 3 }));
        assert_eq!(frame.body(), b"a\0b");
    }

    #[test]
    fn a_frame_without_headers_is_whole() {
        assert_eq!(parse("RECEIPT\n\n\0").unwrap().command(), b"RECEIPT");
    }

    #[test]
    fn parts_and_pairs_of_frames_are_faults() {
        for bad in [
            "MESSAGE\na:b\n",
            "MESSAGE\n\nbody",
            "MESSAGE\ncontent-length:9\n\nbody\0",
            "RECEIPT\n\n\0RECEIPT\n\n\0",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse("RECEIPT\n\n\0\n\r\n").is_ok());
    }
}
