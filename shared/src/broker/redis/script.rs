//! The scripts, and what they answer.

use std::sync::LazyLock;

use ::redis::{ErrorKind, ServerErrorKind, ToRedisArgs, Value, cmd};
use bytes::Bytes;

use super::keys::Keys;
use crate::broker::BrokerError;
use crate::ids::RoomId;
use crate::position::Position;
use crate::redis::{Links, RedisAway};

/// A script that Redis may know by its hash.
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: ::redis::Script::new(text).get_hash().to_owned() }
    }
}

macro_rules! scripts {
    ($($name:ident: $($file:literal),*;)*) => { $(
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!(concat!("scripts/", $file))),*)));
    )*
        /// What they all say.
        #[cfg(test)]
        pub(super) fn texts() -> Vec<&'static str> {
            vec![$($name.text),*]
        }
    };
}

scripts! {
    APPEND: "prelude.lua", "append.lua";
    OPEN: "prelude.lua", "open.lua";
    BIRTH: "prelude.lua", "birth.lua";
    READ: "prelude.lua", "read.lua";
    READ_BACK: "prelude.lua", "read_back.lua";
    DURABLE: "prelude.lua", "durable.lua";
    MEMBERS: "prelude.lua", "members.lua";
    CLOSE: "prelude.lua", "close.lua";
    OPEN_ENDS: "prelude.lua", "open_ends.lua";
    SKIP: "prelude.lua", "skip.lua";
    TRIAL: "trial.lua";
    UNLOCK: "unlock.lua";
}

/// A script with its keys, which share a slot, and its arguments.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Call {
    pub(super) const fn new(script: &'static Script) -> Self {
        Self { script, keys: Vec::new(), args: Vec::new() }
    }

    pub(super) fn key(&mut self, key: String) -> &mut Self {
        self.keys.push(key);
        self
    }

    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    fn command(&self, verb: &str, script: &str) -> ::redis::Cmd {
        let mut command = cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&*self.keys).arg(&*self.args);
        command
    }
}

/// The script with the keys of a room.
pub(super) fn of_room(script: &'static Script, keys: &Keys, room: &RoomId) -> Call {
    Call { script, keys: keys.room(room).into(), args: Vec::new() }
}

/// Runs it on the connection of its room. By its hash; a Redis that does not know it gets the text,
/// which goes where the keys are. (`Script::invoke_async` loads it at every server of a cluster, and
/// fails when one of them is away.)
pub(super) async fn run(links: &Links, room: &RoomId, call: &Call) -> Result<Answer, RedisAway> {
    let value = links.run(room, async |mut link| {
        let by_hash = call.command("EVALSHA", &call.script.hash).query_async(&mut link).await;
        match by_hash {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call.command("EVAL", call.script.text).query_async(&mut link).await
            }
            done => done,
        }
    });
    Answer::of(value.await?)
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
