//! The scripts, and what they answer.

use std::sync::LazyLock;

use ::redis::{Script, ScriptInvocation, Value};
use bytes::Bytes;

use super::keys::Keys;
use crate::broker::BrokerError;
use crate::ids::RoomId;
use crate::position::Position;
use crate::redis::{Links, RedisAway};

macro_rules! scripts {
    ($($name:ident: $file:literal;)*) => { $(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("scripts/prelude.lua"),
                include_str!(concat!("scripts/", $file))
            ))
        });
    )* };
}

scripts! {
    APPEND: "append.lua";
    OPEN: "open.lua";
    BIRTH: "birth.lua";
    READ: "read.lua";
    READ_BACK: "read_back.lua";
    DURABLE: "durable.lua";
    MEMBERS: "members.lua";
    CLOSE: "close.lua";
    OPEN_ENDS: "open_ends.lua";
    SKIP: "skip.lua";
}

/// The script with the keys of a room.
pub(super) fn of_room<'a>(script: &'a Script, keys: &Keys, room: &RoomId) -> ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    for key in keys.room(room) {
        invocation.key(key);
    }
    invocation
}

/// Runs it on the connection of its room. By its hash; Redis gets the text when it does not know it.
pub(super) async fn run(
    links: &Links,
    room: &RoomId,
    invocation: &ScriptInvocation<'_>,
) -> Result<Answer, RedisAway> {
    let value = links.run(room, async |mut link| invocation.invoke_async(&mut link).await).await?;
    Answer::of(value)
}

/// What a script answered: a word, and what it is about.
#[derive(Debug)]
pub(super) struct Answer {
    word: String,
    rest: std::vec::IntoIter<Value>,
}

impl Answer {
    fn of(value: Value) -> Result<Self, RedisAway> {
        match value {
            Value::Array(parts) => {
                let mut rest = parts.into_iter();
                let word = rest.next().ok_or_else(odd).and_then(text)?;
                Ok(Self { word, rest })
            }
            single => Ok(Self { word: text(single)?, rest: Vec::new().into_iter() }),
        }
    }

    pub(super) fn word(&self) -> &str {
        &self.word
    }

    pub(super) fn text(&mut self) -> Result<String, RedisAway> {
        self.rest.next().ok_or_else(odd).and_then(text)
    }

    pub(super) fn number(&mut self) -> Result<u64, RedisAway> {
        self.text()?.parse().map_err(|_not| odd())
    }

    pub(super) fn position(&mut self) -> Result<Position, RedisAway> {
        self.text()?.parse().map_err(|_not| odd())
    }

    /// Positions and what stands there.
    pub(super) fn entries(&mut self) -> Result<Vec<(Position, Bytes)>, RedisAway> {
        let Some(Value::Array(parts)) = self.rest.next() else { return Err(odd()) };
        let mut parts = parts.into_iter();
        let mut entries = Vec::with_capacity(parts.len() / 2);
        while let (Some(position), Some(bytes)) = (parts.next(), parts.next()) {
            let position = text(position)?.parse().map_err(|_not| odd())?;
            let Value::BulkString(bytes) = bytes else { return Err(odd()) };
            entries.push((position, bytes.into()));
        }
        Ok(entries)
    }
}

fn text(value: Value) -> Result<String, RedisAway> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_not| odd()),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(odd()),
    }
}

/// An answer that no script of this version gives.
pub(super) fn odd() -> RedisAway {
    RedisAway("a script answered something that it never says".into())
}

impl From<RedisAway> for BrokerError {
    fn from(away: RedisAway) -> Self {
        Self::Unavailable(away.to_string())
    }
}
