//! WebSocket framing of a client (RFC 6455), pure: bytes in, bytes out, no socket.
//! Only what a load test needs: no extensions, no TLS, and a fixed handshake key, so that the
//! server's answer to it can be checked without a hash.

use bytes::{Buf, BufMut, BytesMut};

use crate::failure::Failure;

/// A part of a message that began in an earlier frame.
pub const CONTINUATION: u8 = 0x0;
/// UTF-8.
pub const TEXT: u8 = 0x1;
/// Any bytes.
pub const BINARY: u8 = 0x2;
/// The end of the connection.
pub const CLOSE: u8 = 0x8;
/// Asks for a PONG.
pub const PING: u8 = 0x9;
/// Answers a PING.
pub const PONG: u8 = 0xA;

/// The longest frame that is taken from a server.
pub const MAX_PAYLOAD: usize = 16 << 20;
const MAX_HANDSHAKE: usize = 16 << 10;
/// Key and answer of the example in RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame's head as a server writes it: never masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Last frame of its message.
    pub fin: bool,
    /// What the payload is.
    pub opcode: u8,
    /// Bytes of the head itself.
    pub length: usize,
    /// Bytes that follow it.
    pub payload: usize,
}

/// Reads a frame's head; none when more bytes are needed.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err(Failure::Protocol("a masked frame from the server"));
    }
    if first & 0x70 != 0 {
        return Err(Failure::Protocol("a frame with an extension that was not agreed"));
    }
    let (length, payload) = match (second & 0x7F, rest) {
        (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, u64::from(short)),
    };
    match usize::try_from(payload) {
        Ok(payload) if payload <= MAX_PAYLOAD => {
            Ok(Some(Head { fin: first & 0x80 != 0, opcode: first & 0x0F, length, payload }))
        }
        _ => Err(Failure::Protocol("a frame above 16 MiB")),
    }
}

/// Appends one whole frame as a client writes it, masked.
pub fn encode(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut BytesMut) {
    out.reserve(payload.len() + 14);
    put_head(opcode, payload.len(), 0x80, out);
    out.put_slice(&mask);
    let start = out.len();
    out.put_slice(payload);
    for (byte, key) in out.iter_mut().skip(start).zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends one whole binary frame of zeros as a server would write it, `total` bytes with its head.
pub fn encode_server_filler(total: usize, out: &mut BytesMut) {
    let head =
        [2, 4, 10].into_iter().find(|head| head_length(total.saturating_sub(*head)) == *head);
    let payload = total.saturating_sub(head.unwrap_or(4));
    put_head(BINARY, payload, 0, out);
    out.put_bytes(0, payload);
}

fn head_length(payload: usize) -> usize {
    match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

fn put_head(opcode: u8, payload: usize, mask_bit: u8, out: &mut BytesMut) {
    out.put_u8(0x80 | opcode);
    match head_length(payload) {
        2 => out.put_u8(mask_bit | payload as u8),
        4 => {
            out.put_u8(mask_bit | 126);
            out.put_u16(payload as u16);
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(payload as u64);
        }
    }
}

/// The upgrade's request.
pub fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
    )
}

/// Takes the upgrade's answer off `bytes`; false when more of it is needed.
pub fn take_answer(bytes: &mut BytesMut) -> Result<bool, Failure> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HANDSHAKE {
            Err(Failure::Handshake("an answer above 16 KiB".to_owned()))
        } else {
            Ok(false)
        };
    };
    let answer = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let mut lines = answer.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(Failure::Handshake(status.to_owned()));
    }
    let accepted = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
    });
    if !accepted {
        return Err(Failure::Handshake("a wrong Sec-WebSocket-Accept".to_owned()));
    }
    bytes.advance(end + 4);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_at_every_length() {
        for total in [2, 20, 127, 128, 130, 300, 65_539, 65_545, 65_546, 70_000] {
            let mut out = BytesMut::new();
            encode_server_filler(total, &mut out);
            let head = head(&out).unwrap().unwrap();
            assert_eq!(head.length + head.payload, out.len());
            assert!(out.len().abs_diff(total) <= 6, "{total} became {}", out.len());
        }
    }

    #[test]
    fn a_part_of_a_head_asks_for_more() {
        let mut out = BytesMut::new();
        encode_server_filler(70_000, &mut out);
        for end in 0..10 {
            assert_eq!(head(&out[..end]), Ok(None));
        }
    }

    #[test]
    fn a_masked_frame_from_a_server_is_refused() {
        let mut out = BytesMut::new();
        encode(TEXT, b"hello", [1, 2, 3, 4], &mut out);
        assert!(head(&out).is_err());
    }

    #[test]
    fn an_answer_without_the_right_accept_is_refused() {
        let mut wrong = BytesMut::from("HTTP/1.1 101 ok\r\nSec-WebSocket-Accept: no\r\n\r\n");
        assert!(take_answer(&mut wrong).is_err());
        let mut right = BytesMut::from(
            format!("HTTP/1.1 101 ok\r\nsec-websocket-accept: {ACCEPT}\r\n\r\nrest").as_str(),
        );
        assert_eq!(take_answer(&mut right), Ok(true));
        assert_eq!(&right[..], b"rest");
    }
}
