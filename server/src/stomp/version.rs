//! The versions of the protocol and their negotiation. Decides nothing about a session.

use std::fmt;

/// A version of STOMP, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// No escaping; white space around header names and values is padding.
    V1_0,
    /// Escapes `\n`, `\c` and `\\`; lines end in LF.
    V1_1,
    /// Escapes `\r` too; lines may end in CR LF.
    V1_2,
}

impl Version {
    /// Every version, ascending.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// Its place in [`Version::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::V1_0 => 0,
            Self::V1_1 => 1,
            Self::V1_2 => 2,
        }
    }

    /// The version as `accept-version` and `version` have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The WebSocket sub-protocol of the version.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }

    /// The highest version in the value of an `accept-version` header, whatever its order;
    /// unknown ones and blanks are passed over. `None` if there is none in common.
    ///
    /// A CONNECT without the header means 1.0, which is for the caller to say.
    #[must_use]
    pub fn highest(accept_version: &str) -> Option<Self> {
        Self::highest_by(accept_version, Self::as_str)
    }

    /// The highest version in a `Sec-WebSocket-Protocol` list, whatever its order: some clients
    /// offer ascending, and the first one offered would then be the lowest.
    #[must_use]
    pub fn highest_subprotocol(offered: &str) -> Option<Self> {
        Self::highest_by(offered, Self::subprotocol)
    }

    fn highest_by(list: &str, name: fn(Self) -> &'static str) -> Option<Self> {
        list.split(',')
            .filter_map(|item| Self::ALL.into_iter().find(|v| name(*v) == item.trim()))
            .max()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
