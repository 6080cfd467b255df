//! How header names and values look on the wire, version by version (STOMP 1.2, "Value
//! Encoding"). Works on single strings; knows no frames.

use std::borrow::Cow;

use memchr::memchr;

use super::version::Version;

/// Stands for an octet that the session's version cannot express. Visible, and no white space,
/// since clients trip over that.
const INEXPRESSIBLE: u8 = b'?';

/// Which octets are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// 1.0, and CONNECT and CONNECTED in every version.
    None,
    /// `\n`, `\c`, `\\`.
    V1_1,
    /// `\r` as well.
    V1_2,
}

impl From<Version> for Escapes {
    fn from(version: Version) -> Self {
        match version {
            Version::V1_0 => Self::None,
            Version::V1_1 => Self::V1_1,
            Version::V1_2 => Self::V1_2,
        }
    }
}

impl Escapes {
    /// What an octet becomes, or `None` if it stays what it is.
    ///
    /// A CR goes out as it is in 1.1, where it is an octet like others. Where nothing is escaped
    /// it does not: those frames are read with CR LF as a line end.
    const fn escape(self, octet: u8) -> Option<&'static [u8]> {
        match (octet, self) {
            (b'\n', Self::V1_1 | Self::V1_2) => Some(b"\\n"),
            (b':', Self::V1_1 | Self::V1_2) => Some(b"\\c"),
            (b'\\', Self::V1_1 | Self::V1_2) => Some(b"\\\\"),
            (b'\r', Self::V1_2) => Some(b"\\r"),
            (b'\0', _) | (b'\n' | b'\r', Self::None) => Some(&[INEXPRESSIBLE]),
            _ => None,
        }
    }

    /// Appends a header value.
    pub(super) fn value_into(self, value: &str, out: &mut Vec<u8>) {
        let mut rest = value.as_bytes();
        // Most values need nothing. Without an early exit the compiler looks at many at once.
        if !rest.iter().fold(false, |any, octet| any | is_special(*octet)) {
            out.extend_from_slice(rest);
            return;
        }
        while let Some((at, escaped)) =
            rest.iter().enumerate().find_map(|(at, octet)| Some((at, self.escape(*octet)?)))
        {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(escaped);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
    }

    /// Appends a header name. As a value, but that a `:` would end it where nothing is escaped.
    pub(super) fn name_into(self, name: &str, out: &mut Vec<u8>) {
        let start = out.len();
        self.value_into(name, out);
        if self == Self::None {
            for octet in &mut out[start..] {
                if *octet == b':' {
                    *octet = INEXPRESSIBLE;
                }
            }
        }
    }

    /// Takes the escapes out of a name or value; `None` if one of them is not defined.
    pub(super) fn unescape(self, text: &str) -> Option<Cow<'_, str>> {
        if self == Self::None {
            return Some(Cow::Borrowed(text));
        }
        let Some(first) = memchr(b'\\', text.as_bytes()) else {
            return Some(Cow::Borrowed(text));
        };
        let mut plain = String::with_capacity(text.len());
        let (mut rest, mut at) = (text, first);
        loop {
            plain.push_str(&rest[..at]);
            plain.push(match (rest.as_bytes().get(at + 1)?, self) {
                (b'n', _) => '\n',
                (b'c', _) => ':',
                (b'\\', _) => '\\',
                (b'r', Self::V1_2) => '\r',
                _ => return None,
            });
            rest = &rest[at + 2..];
            match memchr(b'\\', rest.as_bytes()) {
                Some(next) => at = next,
                None => break,
            }
        }
        plain.push_str(rest);
        Some(Cow::Owned(plain))
    }
}

/// Whether some version changes the octet. Written without branches.
const fn is_special(octet: u8) -> bool {
    (octet == b'\0') | (octet == b'\n') | (octet == b'\r') | (octet == b':') | (octet == b'\\')
}

/// Appends `value` to `out` as a header value of that version has to look.
///
/// What the version cannot express becomes `?`, so that no value can end its line or its frame:
/// NUL always, LF and CR in 1.0. Not for CONNECTED, which is never escaped; [`FrameWriter`]
/// knows that.
///
/// [`FrameWriter`]: super::FrameWriter
pub fn escape_into(version: Version, value: &str, out: &mut Vec<u8>) {
    Escapes::from(version).value_into(value, out);
}

/// Whether a header of one client may be forwarded to another one, on a session of that version.
///
/// One Android parser stops for good at a header that is empty or holds white space or a raw
/// colon, so that one sender could deafen a room. Safe is what is not empty, stays itself after a
/// round trip, and whose wire form holds no white space (of any alphabet), no control character,
/// and, in 1.0, nothing that later versions would escape, since there it would go out raw.
#[must_use]
pub fn is_safe_header(version: Version, name: &str, value: &str) -> bool {
    let escapes = Escapes::from(version);
    let safe = |text: &str| !text.is_empty() && text.chars().all(|c| is_safe_char(escapes, c));
    safe(name) && safe(value)
}

fn is_safe_char(escapes: Escapes, c: char) -> bool {
    match (c, escapes) {
        ('\n' | ':' | '\\', _) => escapes != Escapes::None,
        ('\r', _) => escapes == Escapes::V1_2,
        // Not white space to Rust, but to Unicode before 6.3 and to JavaScript.
        ('\u{180E}' | '\u{FEFF}', _) => false,
        _ => !c.is_whitespace() && !c.is_control(),
    }
}
