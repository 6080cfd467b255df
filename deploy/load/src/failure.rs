//! What can go wrong between this tool and the server, in the words that the tables print.
//! A failure's text is its kind: numbers in it are folded, so that a thousand refusals are one line.

use std::collections::BTreeMap;
use std::fmt;

/// Kinds kept apart; the rest are counted under one name.
const MAX_KINDS: usize = 64;
const MAX_TEXT: usize = 120;
const OTHERS: &str = "other kinds";

/// One operation that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// TCP could not be opened, or broke.
    Socket(String),
    /// The upgrade to WebSocket was refused.
    Handshake(String),
    /// An ERROR frame, with its `message` header.
    Error(String),
    /// A refusal on `/user/queue/errors`, with its code.
    Refused(String),
    /// The server closed.
    Closed {
        /// WebSocket close code; none when TCP ended without a close frame.
        code: Option<u16>,
        /// The reason that came with it.
        reason: String,
    },
    /// The answer did not come in time.
    Timeout(&'static str),
    /// The server sent what the protocol does not allow.
    Protocol(&'static str),
    /// The server stopped reading and our send buffer is full.
    SendBufferFull,
}

impl Failure {
    /// A failure of the socket, by the kind of the I/O error.
    pub fn socket(error: &std::io::Error) -> Self {
        Self::Socket(error.kind().to_string())
    }

    /// True for what a client may wait out: it comes back, or sends again.
    pub fn passes(&self) -> bool {
        match self {
            Self::Refused(code) => ["busy", "unavailable", "rate_limited"].contains(&code.as_str()),
            Self::Protocol(_) => false,
            _ => true,
        }
    }

    /// True for the closes that a finished session ends with; 1005 is a close frame without a code.
    pub fn is_goodbye(&self) -> bool {
        matches!(self, Self::Closed { code: Some(1000 | 1005) | None, .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(kind) => write!(f, "socket: {kind}"),
            Self::Handshake(status) => write!(f, "upgrade refused: {status}"),
            Self::Error(message) => write!(f, "ERROR {message}"),
            Self::Refused(code) => write!(f, "refused: {code}"),
            Self::Closed { code: None, .. } => f.write_str("connection ended without a close"),
            Self::Closed { code: Some(code), reason } if reason.is_empty() => {
                write!(f, "closed with {code}")
            }
            Self::Closed { code: Some(code), reason } => {
                write!(f, "closed with {code}: {}", fold_numbers(reason))
            }
            Self::Timeout(what) => write!(f, "timeout: no {what}"),
            Self::Protocol(what) => write!(f, "protocol: {what}"),
            Self::SendBufferFull => f.write_str("the server does not read: send buffer full"),
        }
    }
}

impl std::error::Error for Failure {}

/// How often each kind of failure was seen.
#[derive(Debug, Default, Clone)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts one failure of `step`.
    pub fn add(&mut self, step: &str, failure: &Failure) {
        let mut kind = format!("{step}: {failure}");
        if let Some((cut, _)) = kind.char_indices().nth(MAX_TEXT) {
            kind.truncate(cut);
        }
        if self.0.len() >= MAX_KINDS && !self.0.contains_key(&kind) {
            kind = OTHERS.to_owned();
        }
        *self.0.entry(kind).or_default() += 1;
    }

    /// All kinds with their counts, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }

    /// Failures of every kind together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

fn fold_numbers(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut in_number = false;
    for c in text.chars() {
        if !c.is_ascii_digit() {
            folded.push(c);
        } else if !in_number {
            folded.push('N');
        }
        in_number = c.is_ascii_digit();
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_differ_in_numbers_are_one_kind() {
        let mut tally = Tally::default();
        for wait in [17, 420] {
            let reason = format!("retry_after_ms={wait}");
            tally.add("READ", &Failure::Closed { code: Some(1012), reason });
        }
        let kinds: Vec<_> = tally.iter().collect();
        assert_eq!(kinds, [("READ: closed with 1012: retry_after_ms=N", 2)]);
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let mut tally = Tally::default();
        for n in 0..1_000_u32 {
            tally.add("SEND", &Failure::Error(format!("no {}", "x".repeat(n as usize % 100))));
        }
        assert!(tally.iter().count() <= MAX_KINDS + 1);
        assert_eq!(tally.total(), 1_000);
    }
}
