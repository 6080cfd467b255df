//! A frame: command, headers, body. Knows nothing of how it looks on the wire.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

/// The commands of clients and servers. Case-sensitive on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Opens a session.
    Connect,
    /// The same as CONNECT; stomp.py sends it.
    Stomp,
    /// A message to a destination.
    Send,
    /// Asks for the messages of a destination.
    Subscribe,
    /// Ends a subscription.
    Unsubscribe,
    /// Says that a message was consumed.
    Ack,
    /// Says that a message was not consumed; unknown to 1.0.
    Nack,
    /// Opens a transaction.
    Begin,
    /// Carries a transaction out.
    Commit,
    /// Drops a transaction.
    Abort,
    /// Says good-bye.
    Disconnect,
    /// Server: the session is open.
    Connected,
    /// Server: a message of a subscription.
    Message,
    /// Server: the frame that asked for it was carried out.
    Receipt,
    /// Server: something went wrong, and the connection ends.
    Error,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
        Self::Connected,
        Self::Message,
        Self::Receipt,
        Self::Error,
    ];

    /// The command as it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// The command of a frame's first line.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        Some(match line {
            b"SEND" => Self::Send,
            b"ACK" => Self::Ack,
            b"NACK" => Self::Nack,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"CONNECT" => Self::Connect,
            b"STOMP" => Self::Stomp,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"DISCONNECT" => Self::Disconnect,
            b"CONNECTED" => Self::Connected,
            b"MESSAGE" => Self::Message,
            b"RECEIPT" => Self::Receipt,
            b"ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// Whether the frame may have a body (STOMP 1.2, "Body").
    #[must_use]
    pub const fn may_have_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether headers are escaped where the version escapes. Those of CONNECT and CONNECTED
    /// never are, to stay readable for 1.0 (STOMP 1.2, "Value Encoding").
    #[must_use]
    pub const fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The headers of a frame, unescaped, in the order of the wire, repeated ones included.
///
/// A value that came off the wire is a slice of the received bytes and keeps them alive; see
/// [`Decoder`](super::Decoder) for how much that is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(ByteString, ByteString)>);

impl Headers {
    /// No headers; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn with_capacity(headers: usize) -> Self {
        Self(Vec::with_capacity(headers))
    }

    /// The value of a header. The first of repeated ones wins (STOMP 1.2, "Repeated Header
    /// Entries").
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_shared(name).map(|value| &**value)
    }

    /// Like [`get`](Self::get), as a string that can be kept without copying it.
    #[must_use]
    pub fn get_shared(&self, name: &str) -> Option<&ByteString> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, value)| value)
    }

    /// Names and values, repeated ones included.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (&str, &str)> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) {
        self.0.push((name.into(), value.into()));
    }

    /// The number of headers, repeated ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cuts white space off both ends of every name and value.
    pub(super) fn trim(&mut self) {
        for text in self.0.iter_mut().flat_map(|(name, value)| [name, value]) {
            let trimmed = text.trim();
            if trimmed.len() < text.len() {
                *text = text.slice_ref(trimmed);
            }
        }
    }
}

/// Shows the names only: values may be tokens and passcodes, and this may end up in a log.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<N: Into<ByteString>, V: Into<ByteString>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A frame, as it came or as it is to go.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is for.
    pub command: Command,
    /// Its headers, unescaped.
    pub headers: Headers,
    /// Its body, without the NUL; empty if it has none.
    pub body: Bytes,
}

/// Shows the size of the body instead of the body.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
