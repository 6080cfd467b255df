//! Bytes to frames, over any split of the stream.
//!
//! Knows no socket: it is given bytes, gives back frames, and says when it waits for more. It
//! holds no more than the limits and the last push, and looks at no octet of a body twice.

use std::borrow::Cow;
use std::{fmt, mem};

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use memchr::{memchr, memchr2};

use super::escape::Escapes;
use super::frame::{Command, Frame, Headers};
use super::version::Version;

/// What a frame may weigh (STOMP 1.2, "Size Limits").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Headers of one frame, repeated ones included.
    pub headers: usize,
    /// Octets up to the body: command line, headers, blank line and line ends together.
    pub header_bytes: usize,
    /// Octets of the body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers: 64, header_bytes: 16 * 1024, body_bytes: 1024 * 1024 }
    }
}

/// What the stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole frame.
    Frame(Frame),
    /// Line ends outside of frames: a sign of life, however many there are.
    Heartbeat,
}

/// Why a stream cannot be read on. The texts are fit for a client's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The first line is no command; commands are case-sensitive.
    #[error("unknown command")]
    UnknownCommand,
    /// A line between command and blank line has no `:`.
    #[error("header without a colon")]
    HeaderWithoutColon,
    /// There is nothing in front of the `:`.
    #[error("header without a name")]
    EmptyHeaderName,
    /// A `\` that starts no escape of the session's version.
    #[error("undefined escape in a header")]
    BadEscape,
    /// Command or headers are not UTF-8.
    #[error("headers are not UTF-8")]
    NotUtf8,
    /// The frame ends before its blank line.
    #[error("NUL before the end of the headers")]
    NulInHeader,
    /// More headers than allowed.
    #[error("more than {limit} headers")]
    TooManyHeaders {
        /// How many are allowed.
        limit: usize,
    },
    /// Command and headers are longer than allowed.
    #[error("headers larger than {limit} bytes")]
    HeadersTooLarge {
        /// How many octets are allowed.
        limit: usize,
    },
    /// The body is, or is announced as, longer than allowed.
    #[error("body larger than {limit} bytes")]
    BodyTooLarge {
        /// How many octets are allowed.
        limit: usize,
    },
    /// `content-length` is not a number.
    #[error("content-length is not a number")]
    BadContentLength,
    /// What follows `content-length` octets of body is not a NUL.
    #[error("no NUL where content-length says the body ends")]
    MissingNul,
    /// Only SEND, MESSAGE and ERROR have a body.
    #[error("this command has no body")]
    BodyNotAllowed,
}

impl DecodeErrorKind {
    /// Whether a limit was passed, rather than the grammar broken.
    #[must_use]
    pub const fn too_large(self) -> bool {
        matches!(
            self,
            Self::TooManyHeaders { .. } | Self::HeadersTooLarge { .. } | Self::BodyTooLarge { .. }
        )
    }
}

/// A stream cannot be read on. The client is owed an ERROR and the connection's end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The `receipt` header of the bad frame, as far as it could be read, for the `receipt-id`
    /// of the ERROR.
    pub receipt: Option<String>,
}

/// Reads one direction of one connection.
///
/// Bytes go in with [`push`](Self::push); then [`next`](Self::next) is called until it gives
/// `None`. The [`version`](Self::version) may be set between two frames of one push, since the
/// second is not looked at before it is asked for.
///
/// Read as the versions say, and more kindly where real clients need it:
///
/// - Line ends in front of a frame are skipped, in every version also `\r\n`.
/// - A `:` in a value may be raw, since some clients escape nothing.
/// - A CR before the LF belongs to the line end in 1.2 and before the negotiation, and in every
///   version on the command line and the blank line. In 1.1 it otherwise belongs to the value.
/// - White space around names and values is cut off in 1.0 only; a CONNECT without
///   `accept-version` is one of 1.0.
/// - A body of nothing but line ends, on a frame that must not have one, is dropped.
///
/// Headers and body are slices of what was received. What is kept of them keeps alive at most
/// about double their frame's size, or 1 KiB, whatever else came in the same push. An idle
/// decoder holds nothing on the heap.
pub struct Decoder {
    buffer: Buffer,
    limits: Limits,
    version: Option<Version>,
    /// Whether line ends may still be told as a heart-beat of the last push.
    beat: bool,
    state: State,
}

enum State {
    /// Between frames, or in the lines of one.
    Lines(Lines),
    /// The lines are read, the body is not complete. Rare: most frames come whole.
    Body(Box<Head>),
    /// Nothing comes any more.
    Dead(Box<DecodeError>),
}

impl Default for State {
    fn default() -> Self {
        Self::Lines(Lines::default())
    }
}

impl Decoder {
    /// A decoder that expects CONNECT: nothing is unescaped until the version is known.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: Buffer::default(),
            limits,
            version: None,
            beat: false,
            state: State::default(),
        }
    }

    /// Reads frames that were not yet asked for as that version says.
    pub fn version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Sets other limits for frames that did not yet begin, as for a client that has logged in.
    pub fn limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes in a piece of the stream, of any size. After an error it is dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.awake() {
            self.buffer.push(bytes);
        }
    }

    /// Like [`push`](Self::push), without a copy if nothing is buffered and nobody else holds
    /// the bytes. What is kept of their frames may then keep alive all the memory that `bytes`
    /// was cut from: good for large pieces, bad for small ones out of a socket's buffer.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        if self.awake() {
            self.buffer.push_bytes(bytes);
        }
    }

    fn awake(&mut self) -> bool {
        self.beat = true;
        !matches!(self.state, State::Dead(_))
    }

    /// The octets that wait for the rest of their frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.bytes.len()
    }

    /// The octets of memory behind the buffer.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.buffer.allocation()
    }

    /// The next frame, or at most once per push a heart-beat; `None` waits for more bytes.
    ///
    /// # Errors
    ///
    /// What cannot be read, or would pass a limit, as soon as that is certain. From then on the
    /// decoder is dead: what it held is freed, and every call gives the same error.
    #[expect(clippy::should_implement_trait, reason = "it may go on after None")]
    pub fn next(&mut self) -> Result<Option<Incoming>, DecodeError> {
        let step = match mem::take(&mut self.state) {
            State::Lines(lines) => self.read_lines(lines),
            State::Body(head) => self.read_body(head),
            State::Dead(error) => Err(*error),
        };
        match &step {
            Ok(Some(_)) => {}
            Ok(None) => self.buffer.settle(),
            Err(error) => {
                self.buffer = Buffer::default();
                self.state = State::Dead(Box::new(error.clone()));
            }
        }
        step
    }

    fn read_lines(&mut self, mut lines: Lines) -> Result<Option<Incoming>, DecodeError> {
        if lines.scanned == 0 && self.skip_line_ends() && mem::take(&mut self.beat) {
            return Ok(Some(Incoming::Heartbeat));
        }
        let end = match lines.find_end(&self.buffer.bytes, self.limits) {
            Ok(Some(end)) => end,
            Ok(None) => {
                self.state = State::Lines(lines);
                return Ok(None);
            }
            Err(kind) => {
                let receipt = receipt_in(&self.buffer.bytes[..lines.line], self.version);
                return Err(DecodeError { kind, receipt });
            }
        };
        let block = self.buffer.take(end);
        let mut head = parse_head(&block, lines.count - 1, self.version, self.limits)
            .map_err(|kind| DecodeError { kind, receipt: receipt_in(&block, self.version) })?;
        match head.find_body_end(&self.buffer.bytes, self.limits)? {
            Some(end) => Ok(Some(self.finish(head, end))),
            None => {
                self.state = State::Body(Box::new(head));
                Ok(None)
            }
        }
    }

    fn read_body(&mut self, mut head: Box<Head>) -> Result<Option<Incoming>, DecodeError> {
        match head.find_body_end(&self.buffer.bytes, self.limits)? {
            Some(end) => Ok(Some(self.finish(*head, end))),
            None => {
                self.state = State::Body(head);
                Ok(None)
            }
        }
    }

    /// Whether there was an LF. A CR may have lost its LF to the next push, so that it is
    /// skipped, but tells nothing.
    fn skip_line_ends(&mut self) -> bool {
        let bytes = &self.buffer.bytes;
        let run = bytes.iter().position(|octet| !is_line_end(*octet)).unwrap_or(bytes.len());
        let any = memchr(b'\n', &bytes[..run]).is_some();
        self.buffer.skip(run);
        any
    }

    /// The frame of a head whose body, and the NUL behind it, is all there.
    fn finish(&mut self, head: Head, body_end: usize) -> Incoming {
        let body = if head.command.may_have_body() {
            self.buffer.take(body_end)
        } else {
            self.buffer.skip(body_end);
            Bytes::new()
        };
        self.buffer.skip(1);
        Incoming::Frame(Frame { command: head.command, headers: head.headers, body })
    }
}

/// Shows no content: it may be tokens and passcodes.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("version", &self.version)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

/// What was received and not yet given back.
#[derive(Default)]
struct Buffer {
    bytes: BytesMut,
    /// Octets that `bytes` has given away and whose memory it still shares.
    taken: usize,
}

/// An allocation of up to this size may be kept alive by the smallest slice of it.
const SHARED_WHATEVER: usize = 1024;

impl Buffer {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            *self = Self { bytes: BytesMut::from(bytes), taken: 0 };
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn push_bytes(&mut self, bytes: Bytes) {
        if !self.bytes.is_empty() {
            return self.push(&bytes);
        }
        match bytes.try_into_mut() {
            Ok(bytes) => *self = Self { bytes, taken: 0 },
            Err(shared) => self.push(&shared),
        }
    }

    /// Cuts off the first octets: a slice if they are most of the allocation, else a copy, so
    /// that one small message that somebody keeps does not keep a large push alive.
    fn take(&mut self, octets: usize) -> Bytes {
        let allocation = self.allocation();
        self.taken += octets;
        if allocation <= SHARED_WHATEVER || octets >= allocation / 2 {
            return self.bytes.split_to(octets).freeze();
        }
        let copy = Bytes::copy_from_slice(&self.bytes[..octets]);
        self.bytes.advance(octets);
        copy
    }

    fn allocation(&self) -> usize {
        self.taken + self.bytes.capacity()
    }

    fn skip(&mut self, octets: usize) {
        self.taken += octets;
        self.bytes.advance(octets);
    }

    /// Before a wait: gives memory back that only given away octets need.
    fn settle(&mut self) {
        if self.taken > 0 || self.bytes.is_empty() {
            *self = Self { bytes: BytesMut::from(&self.bytes[..]), taken: 0 };
        }
    }
}

/// How far the lines of an incomplete frame were read.
#[derive(Default)]
struct Lines {
    /// Complete lines, with the command.
    count: usize,
    /// Where the line that is not complete starts.
    line: usize,
    /// Where no line end was found so far.
    scanned: usize,
}

impl Lines {
    /// The offset behind the blank line, if that is there yet.
    fn find_end(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<usize>, DecodeErrorKind> {
        let window = &bytes[..bytes.len().min(limits.header_bytes)];
        while let Some(found) = memchr2(b'\n', b'\0', &window[self.scanned..]) {
            let at = self.scanned + found;
            if window[at] == b'\0' {
                return Err(DecodeErrorKind::NulInHeader);
            }
            let line = &window[self.line..at];
            (self.line, self.scanned) = (at + 1, at + 1);
            if matches!(line, b"" | b"\r") {
                return Ok(Some(at + 1));
            }
            self.count += 1;
            if self.count - 1 > limits.headers {
                return Err(DecodeErrorKind::TooManyHeaders { limit: limits.headers });
            }
        }
        self.scanned = window.len();
        if bytes.len() > limits.header_bytes {
            return Err(DecodeErrorKind::HeadersTooLarge { limit: limits.header_bytes });
        }
        Ok(None)
    }
}

/// A frame up to its blank line.
struct Head {
    command: Command,
    headers: Headers,
    content_length: Option<usize>,
    /// Where, without a content-length, no end of the body was found so far.
    scanned: usize,
}

impl Head {
    /// The length of the body, if that and the NUL are there yet.
    fn find_body_end(
        &mut self,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, DecodeError> {
        let end = match self.content_length {
            Some(length) => match bytes.get(length) {
                None => Ok(None),
                Some(b'\0') => Ok(Some(length)),
                Some(_) => Err(DecodeErrorKind::MissingNul),
            },
            None => self.scan_for_nul(bytes, limits.body_bytes),
        };
        end.map_err(|kind| DecodeError {
            kind,
            receipt: self.headers.get("receipt").map(str::to_owned),
        })
    }

    fn scan_for_nul(
        &mut self,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Option<usize>, DecodeErrorKind> {
        let window = &bytes[..bytes.len().min(limit.saturating_add(1))];
        let rest = &window[self.scanned..];
        let found = if self.command.may_have_body() {
            memchr(b'\0', rest)
        } else {
            let found = rest.iter().position(|octet| !is_line_end(*octet));
            if found.is_some_and(|at| rest[at] != b'\0') {
                return Err(DecodeErrorKind::BodyNotAllowed);
            }
            found
        };
        if let Some(found) = found {
            return Ok(Some(self.scanned + found));
        }
        self.scanned = window.len();
        if window.len() > limit {
            return Err(DecodeErrorKind::BodyTooLarge { limit });
        }
        Ok(None)
    }
}

fn parse_head(
    block: &Bytes,
    headers: usize,
    version: Option<Version>,
    limits: Limits,
) -> Result<Head, DecodeErrorKind> {
    let Ok(block) = ByteString::try_from(block.clone()) else {
        return Err(DecodeErrorKind::NotUtf8);
    };
    let (first, mut rest) = cut_line(&block).ok_or(DecodeErrorKind::UnknownCommand)?;
    let command =
        Command::parse(without_cr(first).as_bytes()).ok_or(DecodeErrorKind::UnknownCommand)?;
    let mut rules = Rules::new(version, Some(command));
    if memchr(b'\\', block.as_bytes()).is_none() {
        rules.escapes = Escapes::None; // one look instead of two for each header
    }
    let mut parsed = Headers::with_capacity(headers);
    // The last line of the block is the blank one.
    while let Some((line, tail)) = cut_line(rest).filter(|(_, tail)| !tail.is_empty()) {
        let (name, value) = rules.header(line)?;
        let shared = |text| match text {
            Cow::Borrowed(text) => block.slice_ref(text),
            Cow::Owned(text) => ByteString::from(text),
        };
        parsed.push(shared(name), shared(value));
        rest = tail;
    }
    // Before the negotiation only the frame itself can say that it is of 1.0.
    if version.is_none()
        && matches!(command, Command::Connect | Command::Stomp)
        && parsed.get_shared("accept-version").is_none()
    {
        parsed.trim();
        if parsed.iter().any(|(name, _)| name.is_empty()) {
            return Err(DecodeErrorKind::EmptyHeaderName);
        }
    }
    let content_length = content_length(command, &parsed, limits)?;
    Ok(Head { command, headers: parsed, content_length, scanned: 0 })
}

fn content_length(
    command: Command,
    headers: &Headers,
    limits: Limits,
) -> Result<Option<usize>, DecodeErrorKind> {
    let Some(value) = headers.get("content-length").map(str::trim_ascii) else { return Ok(None) };
    if value.is_empty() || !value.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(DecodeErrorKind::BadContentLength);
    }
    // Digits that do not parse are too many.
    let length = value.parse().unwrap_or(usize::MAX);
    if length > 0 && !command.may_have_body() {
        return Err(DecodeErrorKind::BodyNotAllowed);
    }
    if length > limits.body_bytes {
        return Err(DecodeErrorKind::BodyTooLarge { limit: limits.body_bytes });
    }
    Ok(Some(length))
}

/// How the header lines of one frame are to be read.
#[derive(Clone, Copy)]
struct Rules {
    escapes: Escapes,
    /// White space around names and values is padding (1.0).
    padded: bool,
    /// A CR before the LF is part of the line end (1.2, and before the negotiation).
    cr_lf: bool,
}

impl Rules {
    fn new(version: Option<Version>, command: Option<Command>) -> Self {
        let escaped = command.is_none_or(Command::is_escaped);
        Self {
            escapes: version.filter(|_| escaped).map_or(Escapes::None, Escapes::from),
            padded: version == Some(Version::V1_0),
            cr_lf: matches!(version, None | Some(Version::V1_2)),
        }
    }

    fn header(self, line: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), DecodeErrorKind> {
        let line = if self.cr_lf { without_cr(line) } else { line };
        let colon = memchr(b':', line.as_bytes()).ok_or(DecodeErrorKind::HeaderWithoutColon)?;
        let (mut name, mut value) = (&line[..colon], &line[colon + 1..]);
        if self.padded {
            (name, value) = (name.trim(), value.trim());
        }
        if name.is_empty() {
            return Err(DecodeErrorKind::EmptyHeaderName);
        }
        let unescape = |text| self.escapes.unescape(text).ok_or(DecodeErrorKind::BadEscape);
        Ok((unescape(name)?, unescape(value)?))
    }
}

/// The `receipt` header in lines of which some cannot be read.
fn receipt_in(lines: &[u8], version: Option<Version>) -> Option<String> {
    let mut lines = lines.split(|octet| *octet == b'\n');
    let command = lines.next()?;
    let rules = Rules::new(version, Command::parse(command.strip_suffix(b"\r").unwrap_or(command)));
    lines.find_map(|line| {
        let (name, value) = rules.header(std::str::from_utf8(line).ok()?).ok()?;
        (name == "receipt").then(|| value.into_owned())
    })
}

/// The text up to the first LF, and that behind it.
fn cut_line(text: &str) -> Option<(&str, &str)> {
    let end = memchr(b'\n', text.as_bytes())?;
    Some((&text[..end], &text[end + 1..]))
}

fn without_cr(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

const fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}
