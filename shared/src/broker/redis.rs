//! A broker in Redis 7: a stream for each room, one script for each batch, pub/sub to tell.
//!
//! Redis may lose all of it. Then, and whenever the Redis that answers is not the one that wrote a
//! log, the log begins another life (`birth` tells how). Messages are visible once they have a place.

mod birth;
mod ear;
mod ears;
mod keys;
mod script;
mod sweep;
mod told;
pub(crate) mod trial;
mod watch;

use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::cmd;
use bytes::Bytes;
use tokio::task::AbortHandle;

use self::birth::Births;
use self::ear::{Hearing, Listener};
use self::ears::Ears;
use self::keys::Keys;
use self::script::{Answer, odd, of_room, run};
use self::told::Told;
use self::watch::Watched;
use super::{
    Batch, Broker, BrokerError, Durable, Feed, Head, LogPage, LogTail, Placed, Published, Swept,
    Unheard,
};
use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::ids::{NodeId, OriginId, RoomId, UserId};
use crate::position::Position;
use crate::queue::Queue;
use crate::redis::{Links, RedisAway};
use crate::signal::{Channel, Signal};
use crate::store::Store;
use crate::task::keep_running;

/// What a log keeps, and how long things may take.
#[derive(Debug, Clone)]
pub struct Options {
    /// What all keys and channels begin with.
    pub prefix: String,
    /// Messages kept below the durable mark.
    pub keep: usize,
    /// Bytes kept below the durable mark.
    pub keep_bytes: usize,
    /// Messages that a log holds at most, durable or not.
    pub longest: usize,
    /// Names remembered for each room.
    pub names: usize,
    /// For how long a name is remembered.
    pub names_age: Duration,
    /// How long the messages of a life that was lost may take to reach the database, before the
    /// next one begins.
    pub settle: Duration,
    /// How often heads are compared with what was told.
    pub look: Duration,
}

/// Messages of one answer to a reader, at most.
const PAGE: usize = 2_000;

/// The broker in Redis.
pub struct RedisBroker {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

struct Inner {
    links: Arc<Links>,
    keys: Keys,
    store: Arc<dyn Store>,
    options: Options,
    /// Tells this process's batches from those of all others, and from those of another life of it.
    voice: NodeId,
    births: Births,
    /// None in a process that has no rooms.
    listening: Option<Listening>,
}

struct Listening {
    feed: Arc<dyn Feed>,
    ears: Ears,
    watched: Watched,
}

impl RedisBroker {
    /// A broker that tells `feed`.
    pub fn new(
        links: Arc<Links>,
        store: Arc<dyn Store>,
        feed: Arc<dyn Feed>,
        options: Options,
    ) -> Result<Self, RedisAway> {
        let keys = Keys::new(&options.prefix);
        let voice = NodeId::random();
        let ears = Ears::new(&links, &keys, &voice, &keys.channel(&Channel::Nodes));
        let listening = Some(Listening { feed, ears, watched: Watched::default() });
        let inner = Arc::new(Inner::new(links, store, options, voice, listening));
        let handle = inner.links.handle()?;
        let weak = Arc::downgrade(&inner);
        let mut tasks = Vec::new();
        for (number, ear) in inner.listening.iter().flat_map(|listening| listening.ears.each()) {
            let (ear, listener) =
                (ear.clone(), Arc::new(Voice { broker: weak.clone(), ear: number }));
            let hear = move || ear.clone().listen(listener.clone());
            tasks.push(handle.spawn(keep_running("hear other nodes", hear)).abort_handle());
        }
        let eyes = move || watch::look(weak.clone());
        tasks.push(handle.spawn(keep_running("compare heads", eyes)).abort_handle());
        Ok(Self { inner, tasks })
    }

    /// A broker for a process that opens no rooms to be told of them: a worker.
    pub fn deaf(links: Arc<Links>, store: Arc<dyn Store>, options: Options) -> Self {
        let inner = Inner::new(links, store, options, NodeId::random(), None);
        Self { inner: Arc::new(inner), tasks: Vec::new() }
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Whom an ear tells: the broker, which may be gone before the connection is.
struct Voice {
    broker: Weak<Inner>,
    ear: usize,
}

impl Listener for Voice {
    fn heard(&self, channel: &str, message: Bytes) {
        if let Some(inner) = self.broker.upgrade() {
            inner.heard(channel, message);
        }
    }

    fn missed_some(&self) {
        if let Some(inner) = self.broker.upgrade()
            && let Some(Listening { feed, watched, .. }) = &inner.listening
        {
            let of_ear = |room: &RoomId| ears::number_of(&inner.channel(room)) == self.ear;
            for room in watched.rooms().into_iter().filter(of_ear) {
                feed.missed(&room);
            }
            feed.missed_signals();
        }
    }
}

impl Inner {
    fn new(
        links: Arc<Links>,
        store: Arc<dyn Store>,
        options: Options,
        voice: NodeId,
        listening: Option<Listening>,
    ) -> Self {
        let keys = Keys::new(&options.prefix);
        Self { links, keys, store, options, voice, births: Births::default(), listening }
    }

    fn heard(&self, channel: &str, message: Bytes) {
        let Some(Listening { feed, watched, .. }) = &self.listening else { return };
        let room = self.keys.room_of(channel).and_then(|room| RoomId::parse(room).ok());
        // It may have been closed a moment ago.
        if room.as_ref().is_some_and(|room| !watched.is_watched(room)) {
            return;
        }
        match (Told::read(message, room.as_ref()), room) {
            (Ok(Told::Published { after, envelopes }), Some(room)) => {
                let Some(last) = envelopes.last() else { return };
                let upto = last.position;
                watched.told(&room, upto);
                feed.published(Published { room, after, upto, envelopes: envelopes.into() });
            }
            // It said so without a log, which has the versions.
            (Ok(Told::Members(changed)), Some(room)) if changed.version == 0 => feed.missed(&room),
            (Ok(Told::Members(changed)), Some(room)) => {
                watched.told_members(&room, changed.version);
                feed.members_changed(&room, changed);
            }
            (Ok(Told::Signal(signal)), _) => feed.signalled(signal),
            // No log has signals: there is nothing to be read again.
            (Ok(Told::Unknown), room) => {
                tracing::debug!(
                    room.id = room.map(tracing::field::display),
                    "a signal of a newer program is ignored"
                );
            }
            (Ok(_), _) => {}
            // The log is the truth: what this was is found there.
            (Err(error), Some(room)) => {
                tracing::warn!(room.id = %room, %error, "reading it from the log");
                feed.missed(&room);
            }
            (Err(error), None) => tracing::warn!(%error, "it is dropped"),
        }
    }

    fn publish_verb(&self) -> &'static str {
        if self.links.target().is_cluster() { "SPUBLISH" } else { "PUBLISH" }
    }

    fn channel(&self, room: &RoomId) -> String {
        self.keys.channel(&Channel::Room(room.clone()))
    }

    async fn open(&self, room: &RoomId) -> Result<Head, BrokerError> {
        if let Some(Listening { ears, watched, .. }) = &self.listening
            && watched.begin(room)
            && let Err(error) = ears.hear(self.channel(room)).await
            // Else the log is read again and again, until it is heard.
            && !ears.are_deaf_to(&self.channel(room))
        {
            if watched.end(room) {
                ears.leave(&self.channel(room));
            }
            return Err(error.into());
        }
        let head = self.head_or_birth(room).await?;
        if let Some(Listening { watched, .. }) = &self.listening {
            watched.opened(room, head);
        }
        Ok(head)
    }

    /// Where the log stands, if it lives; else whether something was lost.
    async fn standing(&self, room: &RoomId) -> Result<Result<Head, birth::Lost>, BrokerError> {
        let open = of_room(&script::OPEN, &self.keys, room);
        let mut answer = run(&self.links, room, &open).await?;
        match answer.word() {
            "alive" => {
                let epoch = answer.number()?;
                let next = answer.number()?;
                let before = answer.position()?;
                let members = answer.number()?;
                let position = next.checked_sub(1).map_or(before, |seq| Position::new(epoch, seq));
                Ok(Ok(Head { position, epoch, members }))
            }
            word => Ok(Err(birth::Lost(word == "lost"))),
        }
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Placed>, BrokerError> {
        let options = &self.options;
        let mut append = of_room(&script::APPEND, &self.keys, &batch.room);
        append
            .key(self.channel(&batch.room))
            .arg(batch.epoch)
            .arg(batch.members)
            .arg(format!("{}.{}", self.voice, batch.speaker))
            .arg(batch.number)
            .arg(options.names)
            .arg(options.names_age.as_millis() as u64)
            .arg(options.longest)
            .arg(self.publish_verb());
        for envelope in &batch.envelopes {
            let named = batch.name_all || envelope.origin.is_given();
            append
                .arg(if named {
                    name_of(&envelope.sender, &envelope.origin)
                } else {
                    String::new()
                })
                .arg(if named { envelope.body_hash() } else { 0 })
                .arg(crate::wire::encode(envelope));
        }
        let answer = run(&self.links, &batch.room, &append).await?;
        placed(batch, answer)
    }

    async fn read(
        &self,
        room: &RoomId,
        after: Position,
        bytes: usize,
    ) -> Result<LogPage, BrokerError> {
        let mut read = of_room(&script::READ, &self.keys, room);
        read.arg(after.epoch).arg(after.seq).arg(bytes).arg(PAGE);
        let mut answer = run(&self.links, room, &read).await?;
        let word = answer.word().to_owned();
        if word == "gone" {
            return Err(BrokerError::EpochRolled);
        }
        let (durable, base, upto) = (answer.position()?, answer.position()?, answer.position()?);
        if word == "short" {
            return Ok(LogPage { envelopes: Vec::new(), upto: None, durable, base });
        }
        let mut page = LogPage { envelopes: Vec::new(), upto: Some(upto), durable, base };
        let mut weight = 0;
        for (position, bytes_read) in answer.entries()? {
            let envelope = message(bytes_read, room, position)?;
            weight += envelope.weight();
            if weight > bytes && !page.envelopes.is_empty() {
                page.upto = page.envelopes.last().map(|last| last.position);
                break;
            }
            page.envelopes.push(envelope);
        }
        Ok(page)
    }

    async fn read_back(
        &self,
        room: &RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> Result<LogTail, BrokerError> {
        let mut read = of_room(&script::READ_BACK, &self.keys, room);
        match before {
            Some(before) => read.arg(before.epoch).arg(before.seq),
            None => read.arg("").arg(""),
        };
        read.arg(limit.clamp(1, PAGE)).arg(bytes);
        let mut answer = run(&self.links, room, &read).await?;
        if answer.word() == "gone" {
            // The database has all of it, or will.
            return Ok(LogTail::default());
        }
        let after = answer.position()?;
        let mut tail = LogTail { envelopes: Vec::new(), after: Some(after) };
        let mut weight = 0;
        for (position, bytes_read) in answer.entries()? {
            let envelope = message(bytes_read, room, position)?;
            weight += envelope.weight();
            if weight > bytes && !tail.envelopes.is_empty() {
                tail.after = Some(position);
                break;
            }
            tail.envelopes.push(envelope);
        }
        tail.envelopes.reverse();
        Ok(tail)
    }

    async fn mark_durable(&self, room: &RoomId, durable: &[Durable]) -> Result<(), BrokerError> {
        let mut epochs: Vec<u64> = durable.iter().map(|mark| mark.position.epoch).collect();
        epochs.sort_unstable();
        epochs.dedup();
        let hint = Signal::Inbox(room.clone());
        let (channel, last) = (self.keys.channel(&hint.channel()), epochs.last().copied());
        for epoch in epochs {
            let mut script = of_room(&script::DURABLE, &self.keys, room);
            let told = if Some(epoch) == last { told::signal(&hint) } else { Vec::new() };
            script.key(channel.clone());
            script.arg(epoch).arg(self.options.keep).arg(self.options.keep_bytes);
            script.arg(self.publish_verb()).arg(told);
            for mark in durable.iter().filter(|mark| mark.position.epoch == epoch) {
                script.arg(mark.position.seq).arg(u8::from(mark.shown));
            }
            run(&self.links, room, &script).await?;
        }
        Ok(())
    }

    async fn members_changed(&self, room: &RoomId, users: &[UserId]) -> Result<u64, BrokerError> {
        let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let mut script = of_room(&script::MEMBERS, &self.keys, room);
        script.key(self.channel(room)).arg(self.publish_verb()).arg(users.join("\n"));
        let answer = run(&self.links, room, &script).await?;
        answer.word().parse().map_err(|_not| odd().into())
    }

    async fn signal(&self, signal: Signal) -> Result<(), BrokerError> {
        let channel = self.keys.channel(&signal.channel());
        let mut publish = cmd(self.publish_verb());
        publish.arg(&channel).arg(told::signal(&signal));
        let _heard: u64 = self.links.command(&channel, &publish).await?;
        Ok(())
    }
}

/// A sender's name for a message, as the scripts know it. Neither part holds a space.
fn name_of(sender: &UserId, origin: &OriginId) -> String {
    format!("{sender} {origin}")
}

/// A message of a log. One that cannot be read was written by another program.
fn message(bytes: Bytes, room: &RoomId, position: Position) -> Result<Arc<Envelope>, BrokerError> {
    told::placed(bytes, room, position)
        .map_err(|error| BrokerError::Unavailable(format!("{room} at {position}: {error}")))
}

fn placed(batch: Batch, mut answer: Answer) -> Result<Vec<Placed>, BrokerError> {
    match answer.word() {
        "gone" | "rolled" => return Err(BrokerError::EpochRolled),
        "members" => return Err(BrokerError::MembersChanged { now: answer.number()? }),
        "stale" => return Err(BrokerError::Unavailable("a later batch has its place".into())),
        _ => {}
    }
    let first = answer.number()?;
    let places = answer.text()?;
    let mut pending = std::collections::HashMap::new();
    for (position, bytes) in answer.entries()? {
        let first =
            if bytes.is_empty() { None } else { Some(message(bytes, &batch.room, position)?) };
        pending.insert(position, first);
    }
    let mut at = Position::new(batch.epoch, first);
    let mut placed = Vec::with_capacity(batch.envelopes.len());
    for (envelope, place) in batch.envelopes.into_iter().zip(places.split(' ')) {
        placed.push(match place.split_at_checked(1) {
            Some(("n", _)) => {
                let new = Placed::New(Arc::new(Envelope { position: at, ..envelope }));
                at = at.next();
                new
            }
            Some(("d", position)) => {
                let position = position.parse().map_err(|_not| odd())?;
                let pending = pending.get(&position).map(|first| match first {
                    Some(first) => first.clone(),
                    // The log was cut there: the body is the same, and it has to be safe.
                    None => Arc::new(Envelope { position, ..envelope }),
                });
                Placed::Duplicate { position, pending }
            }
            Some(("r", _)) => Placed::NameReused,
            _ => return Err(odd().into()),
        });
    }
    Ok(placed)
}

impl Broker for RedisBroker {
    fn open<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Head, BrokerError>> {
        Box::pin(self.inner.open(room))
    }

    fn close(&self, room: &RoomId) {
        if let Some(Listening { ears, watched, .. }) = &self.inner.listening
            && watched.end(room)
        {
            ears.leave(&self.inner.channel(room));
        }
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Placed>, BrokerError>> {
        Box::pin(self.inner.append(batch))
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Position, BrokerError>> {
        Box::pin(async move {
            if let Ok(head) = self.inner.standing(room).await? {
                return Ok(head.position);
            }
            let head = self.inner.store.head(room).await;
            let head = head.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
            Ok(head.unwrap_or(Position::ZERO))
        })
    }

    fn read<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogPage, BrokerError>> {
        Box::pin(self.inner.read(room, after, bytes))
    }

    fn read_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogTail, BrokerError>> {
        Box::pin(self.inner.read_back(room, before, limit, bytes))
    }

    fn mark_durable<'a>(
        &'a self,
        room: &'a RoomId,
        durable: &'a [Durable],
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.inner.mark_durable(room, durable))
    }

    fn end_epoch<'a>(
        &'a self,
        room: &'a RoomId,
        epoch: u64,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            let mut close = of_room(&script::CLOSE, &self.inner.keys, room);
            close.key(self.inner.channel(room)).arg(epoch);
            run(&self.inner.links, room, &close).await?;
            Ok(())
        })
    }

    fn sweep<'a>(
        &'a self,
        cursor: u64,
        overdue: Duration,
        idle: Duration,
        queue: &'a dyn Queue,
    ) -> BoxFuture<'a, Result<Swept, BrokerError>> {
        Box::pin(self.inner.sweep(cursor, overdue, idle, queue))
    }

    fn lead<'a>(
        &'a self,
        what: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, BrokerError>> {
        Box::pin(self.inner.lead(what, lease))
    }

    fn hearing(&self) -> Result<(), Unheard> {
        let Some(Listening { ears, .. }) = &self.inner.listening else { return Ok(()) };
        match ears.hearing() {
            Hearing::Well => Ok(()),
            Hearing::Away(why) => Err(Unheard::Away(why)),
            Hearing::Deaf => Err(Unheard::Deaf),
        }
    }

    fn silence(&self) -> Duration {
        let listening = self.inner.listening.as_ref();
        listening.map_or(Duration::ZERO, |listening| listening.ears.silence())
    }

    fn members_changed<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<u64, BrokerError>> {
        Box::pin(self.inner.members_changed(room, users))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(self.inner.signal(signal))
    }

    fn listen<'a>(&'a self, channel: &'a Channel) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            let Some(Listening { ears, .. }) = &self.inner.listening else { return Ok(()) };
            Ok(ears.hear(self.inner.keys.channel(channel)).await?)
        })
    }

    fn ignore(&self, channel: &Channel) {
        if let Some(Listening { ears, .. }) = &self.inner.listening {
            ears.leave(&self.inner.keys.channel(channel));
        }
    }
}
