//! Frames to bytes. Appends to a buffer of the caller and allocates nothing else.
//!
//! Always LF, never CR LF, and never white space that the caller did not put there: clients
//! exist that read nothing else.

use super::escape::Escapes;
use super::frame::{Command, Frame};
use super::version::Version;

/// Writes one frame, piece by piece: [`header`](Self::header)s first, then one of
/// [`body`](Self::body), [`end`](Self::end) and [`end_with`](Self::end_with).
///
/// A fan-out writes what all receivers share once, as a [`tail`](Self::tail), and for each of
/// them only a command line, their own headers, and that tail.
#[derive(Debug)]
#[must_use = "a frame ends with `body`, `end` or `end_with`"]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    escapes: Escapes,
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame behind whatever `out` holds.
    pub fn new(out: &'a mut Vec<u8>, command: Command, version: Version) -> Self {
        out.extend_from_slice(command.as_str().as_bytes());
        out.push(b'\n');
        let escapes = if command.is_escaped() { version.into() } else { Escapes::None };
        Self { out, escapes }
    }

    /// Starts the rest of a frame, without a command line, for [`end_with`](Self::end_with).
    /// Not for CONNECTED: what it writes is escaped as `version` says.
    pub fn tail(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, escapes: version.into() }
    }

    /// Writes a header, escaped. What the version cannot express becomes `?`, see
    /// [`escape_into`](super::escape_into).
    pub fn header(self, name: &str, value: &str) -> Self {
        self.escapes.name_into(name, self.out);
        self.out.push(b':');
        self.escapes.value_into(value, self.out);
        self.out.push(b'\n');
        self
    }

    /// Writes a header that is a number.
    pub fn header_u64(self, name: &str, value: u64) -> Self {
        self.escapes.name_into(name, self.out);
        self.out.push(b':');
        decimal_into(value, self.out);
        self.out.push(b'\n');
        self
    }

    /// Writes `content-length`, the body and the NUL: the frame is complete.
    pub fn body(self, body: &[u8]) {
        let writer = self.header_u64("content-length", body.len() as u64);
        writer.out.reserve(body.len() + 2);
        writer.out.push(b'\n');
        writer.out.extend_from_slice(body);
        writer.out.push(b'\0');
    }

    /// Ends a frame without a body and without `content-length`.
    pub fn end(self) {
        self.out.extend_from_slice(b"\n\0");
    }

    /// Ends the frame with what a [`tail`](Self::tail) of the same version has written.
    pub fn end_with(self, tail: &[u8]) {
        self.out.extend_from_slice(tail);
    }
}

impl Frame {
    /// Appends the frame to `out`.
    ///
    /// `content-length` is not copied from the headers but written behind them, and only if
    /// there is a body.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "content-length");
        let writer = headers
            .fold(FrameWriter::new(out, self.command, version), |writer, (name, value)| {
                writer.header(name, value)
            });
        if self.body.is_empty() { writer.end() } else { writer.body(&self.body) }
    }
}

fn decimal_into(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20]; // u64::MAX has 20
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
