//! Ids are types: text from outside is checked once, at the border, and cheap to clone after it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// Text that is not the id it was given for. The text says what is allowed and is fit for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IdError(&'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` against the rule of this id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError($rule)) }
            }

            /// The id as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A room: `[A-Za-z0-9._~-]{1,64}`, case-sensitive.
    RoomId,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)),
    "a room id is 1 to 64 of A-Z a-z 0-9 . _ ~ -"
);

text_id!(
    /// A person or machine that signs in (`sub` of its token): 1 to 128 printable ASCII characters
    /// without white space, `:`, `/` and `\`.
    UserId,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b":/\\".contains(&b)),
    "a user id is 1 to 128 printable ASCII characters without white space, `:`, `/` and `\\`"
);

text_id!(
    /// The name that makes sending again safe: `[!-~]{1,128}` without `:` and `\`.
    ///
    /// A name that a node made for a SEND without one starts with `:`, which no client can say.
    OriginId,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b":\\".contains(&b)),
    "an origin-id is 1 to 128 printable ASCII characters without white space, `:` and `\\`"
);

text_id!(
    /// One running process: `[A-Za-z0-9._~-]{1,64}`.
    NodeId,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)),
    "a node id is 1 to 64 of A-Z a-z 0-9 . _ ~ -"
);

text_id!(
    /// An app on one device, under a name of its own choice: 1 to 128 printable ASCII characters
    /// without white space and `/`. `.` and `..` are none, since no path can say them.
    InstallationId,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
        && !matches!(text, "." | ".."),
    "an installation id is 1 to 128 printable ASCII characters without white space and `/`, and \
     neither `.` nor `..`"
);

text_id!(
    /// What the names of a cluster begin with in services that it shares with others:
    /// `[A-Za-z0-9._~-]{1,32}`.
    ClusterName,
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)),
    "a cluster's name is 1 to 32 of A-Z a-z 0-9 . _ ~ -"
);

impl Default for ClusterName {
    fn default() -> Self {
        Self("moim".into())
    }
}

impl RoomId {
    /// What the ids of rooms of two people begin with. Nobody chooses such an id.
    pub const DIRECT: &str = "dm~";

    /// True for an id that no path can say, or that means something else there: there is no such
    /// room, and nobody makes it.
    pub fn is_unsayable(&self) -> bool {
        matches!(&*self.0, "." | ".." | "direct")
    }

    /// True for the id of a room of two people.
    pub fn is_direct(&self) -> bool {
        self.0.starts_with(Self::DIRECT)
    }
}

impl OriginId {
    /// A name for a SEND that came without one, unlike any other of the cluster: with the node's id,
    /// which may be that of a process before, and a number of this process's own.
    pub fn made_by(node: &NodeId) -> Self {
        static LIFE: LazyLock<u64> = LazyLock::new(rand::random);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!(":{node}:{:x}:{n}", *LIFE).into())
    }

    /// A name as [`OriginId::as_str`] said it: a client's, or one that a node made.
    pub fn read(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix(':') {
            Some(made) if text.len() <= 128 && made.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Self(text.into()))
            }
            Some(_) => Err(IdError("not a name that a node made")),
            None => Self::parse(text),
        }
    }

    /// True when the client chose it.
    pub fn is_given(&self) -> bool {
        !self.0.starts_with(':')
    }
}

impl UserId {
    /// True for an id that no path can say: clients of HTTP take it for a folder.
    pub fn is_unsayable(&self) -> bool {
        matches!(&*self.0, "." | "..")
    }

    /// Somebody nobody knows, in the `session`th session of a node. No account's name starts like
    /// this.
    pub fn anonymous(node: &NodeId, session: u64) -> Self {
        Self(format!("{}{node}-{session}", Self::ANONYMOUS).into())
    }

    /// Whether it is such a name.
    pub fn is_anonymous(&self) -> bool {
        self.as_str().starts_with(Self::ANONYMOUS)
    }

    /// What those names start with.
    pub const ANONYMOUS: &str = "~anonymous-";
}

impl NodeId {
    /// A random id, for a process that was given none.
    pub fn random() -> Self {
        Self(format!("node-{:016x}", rand::random::<u64>()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_id_is_short_and_plain() {
        for good in ["a", "A.b_c~d-9", &"x".repeat(64)] {
            assert!(RoomId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ä", "..%00", &"x".repeat(65), "a\n", "a:b"] {
            assert!(RoomId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_id_may_be_an_address_but_not_a_path() {
        assert!(UserId::parse("mina@example.com").is_ok());
        for bad in ["", "a b", "a:b", "a/b", "a\\b", "미나", "a\u{7f}"] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_installation_id_is_what_a_path_can_say() {
        for good in ["a", "550e8400-e29b-41d4-a716-446655440000", "fid:x=1\\", &"x".repeat(128)] {
            assert!(InstallationId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "a\n", ".", "..", "폰", "a\u{7f}", &"x".repeat(129)] {
            assert!(InstallationId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_made_name_cannot_be_said_by_a_client() {
        let made = OriginId::made_by(&NodeId::random());
        assert!(!made.is_given());
        assert!(OriginId::parse(made.as_str()).is_err());
        assert!(OriginId::parse("4711").is_ok_and(|given| given.is_given()));
    }
}
