//! The beginning of a log's life.
//!
//! When a part of a log is missing, or another Redis wrote it than the one that answers (a restart,
//! a failover to a replica that may lack its end), a life is over and the next one begins in a
//! larger epoch. Whoever opens the room does it, one at a time, in this order:
//!
//! 1. wait until what the lost life had handed to the queue has reached the database ([`settle`],
//!    bounded: what comes later is sent again under the new epoch by whoever finds it),
//! 2. say to the database that the new epoch begins ([`Store::begin_epoch`]): from then on nothing
//!    is added to those before it,
//! 3. ask where they end: the new log continues exactly there,
//! 4. begin it in Redis, if the lock is still ours.
//!
//! So a subscriber that was anywhere in front of the new epoch is given everything from the
//! database and then the log, and every epoch that was ever used is known to the database.
//!
//! [`settle`]: super::Options::settle
//! [`Store::begin_epoch`]: crate::store::Store::begin_epoch

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::redis::cmd;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::script::{self, Call, of_room};
use super::{Inner, name_of};
use crate::backoff::Backoff;
use crate::broker::{BrokerError, Head};
use crate::gather::Gather;
use crate::ids::{NodeId, RoomId};
use crate::position::Position;
use crate::redis::RedisAway;
use crate::store::{Store, StoreError};

/// How long whoever begins a life is waited for, and holds the lock.
const LOCK: Duration = Duration::from_secs(15);
/// Lives that one process begins at once.
const AT_ONCE: usize = 256;
/// How often it is looked whether that is done.
const LOOK: Duration = Duration::from_millis(25);

/// Names that are remembered from the database.
const RECALLED: usize = 1_000;

/// Epochs that one transaction begins at most.
const EPOCHS: usize = 1_000;

/// What a process does when it begins lives.
pub(super) struct Births {
    turns: Semaphore,
    /// Logs that were lost and begun anew since that was last said.
    lost: AtomicUsize,
    /// Nobody inserts while epochs begin, and after a loss all rooms begin one.
    epochs: Gather<(RoomId, u64), Result<(), StoreError>>,
}

impl Default for Births {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            lost: AtomicUsize::new(0),
            epochs: Gather::new(EPOCHS),
        }
    }
}

impl Births {
    /// How many logs were lost and begun anew since this was last asked.
    pub(super) fn take_lost(&self) -> usize {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// [`Store::begin_epoch`], together with all that ask meanwhile.
    async fn begin(&self, store: &dyn Store, room: &RoomId, epoch: u64) -> Result<(), StoreError> {
        let all = |epochs: Vec<(RoomId, u64)>| async move {
            let begun = store.begin_epochs(&epochs).await;
            vec![begun; epochs.len()]
        };
        let begun = self.epochs.ask((room.clone(), epoch), all).await;
        begun.unwrap_or_else(|| Err(StoreError::Unavailable("try again".into())))
    }
}

/// Whether something is there of a life that was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost(pub(super) bool);

impl Inner {
    /// Where the log stands, which lives when this returns.
    pub(super) async fn head_or_birth(&self, room: &RoomId) -> Result<Head, BrokerError> {
        let deadline = Instant::now() + LOCK;
        let lost = match self.standing(room).await? {
            Ok(head) => return Ok(head),
            // Who has it open knows that there was one, though nothing is left of it.
            Err(birth) => Lost(birth.0 || self.has_open(room)),
        };
        // All rooms at once, and holding nothing.
        sleep(self.until_settled(lost).await?).await;
        let mut backoff = Backoff::new(LOOK, LOOK * 20);
        while Instant::now() < deadline {
            self.begin_life(room, &mut backoff).await?;
            if let Ok(head) = self.standing(room).await? {
                return Ok(head);
            }
        }
        Err(BrokerError::Unavailable(format!("somebody else has been opening {room} for long")))
    }

    fn has_open(&self, room: &RoomId) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.watched.is_opened(room))
    }

    /// Begins a life, or waits a moment for somebody else who does.
    async fn begin_life(&self, room: &RoomId, backoff: &mut Backoff) -> Result<(), BrokerError> {
        // Before the lock, which is to be held for a moment only.
        let turn = self.births.turns.acquire().await;
        let token = NodeId::random();
        let mut lock = cmd("SET");
        lock.arg(self.keys.birth(room)).arg(token.as_str());
        lock.arg("NX").arg("PX").arg(LOCK.as_millis() as u64);
        let held: Option<String> = self.links.command(room, &lock).await?;
        if held.is_none() {
            drop(turn);
            sleep(backoff.wait()).await;
            return Ok(());
        }
        // Whoever had the lock before may have begun it since we looked; to say to the database that
        // another epoch begins would close the one that lives.
        let begun = match self.standing(room).await {
            Ok(Ok(_alive)) => Ok(()),
            Ok(Err(lost)) => self.begin_locked(room, lost, token.as_str()).await,
            Err(error) => Err(error),
        };
        let mut unlock = Call::new(&script::UNLOCK);
        unlock.key(self.keys.birth(room)).arg(token.as_str());
        // It ends by itself too.
        let _ = script::run(&self.links, room, &unlock).await;
        begun
    }

    async fn begin_locked(
        &self,
        room: &RoomId,
        lost: Lost,
        token: &str,
    ) -> Result<(), BrokerError> {
        let away = |error: StoreError| BrokerError::Unavailable(error.to_string());
        let now = self.now().await?;
        let known = self.store.epochs(room).await.map_err(away)?;
        let mut epoch = known.last().map_or(now, |last| now.max(last.epoch + 1));
        loop {
            self.births.begin(&*self.store, room, epoch).await.map_err(away)?;
            let before = self.store.head(room).await.map_err(away)?.unwrap_or(Position::ZERO);
            let oldest = now.saturating_sub(self.options.names_age.as_millis() as u64);
            let most = self.options.names.min(RECALLED);
            let mut names = self.store.names(room, most, oldest).await.map_err(away)?;
            names.sort_by_key(|name| name.position);
            let mut birth = of_room(&script::BIRTH, &self.keys, room);
            birth.key(self.keys.birth(room)).key(self.keys.asides(room));
            birth.arg(epoch).arg(before.to_string()).arg(token);
            for known in &names {
                birth
                    .arg(name_of(&known.sender, &known.origin))
                    .arg(known.position.to_string())
                    .arg(known.body_hash)
                    .arg(known.sent_at);
            }
            let answer = script::run(&self.links, room, &birth).await?;
            match answer.word().parse::<u64>() {
                // What is left of the log has a larger epoch than the clock and the database.
                Ok(old) => epoch = old + 1,
                Err(_word) => {
                    // Whoever dies in between leaves it to the next who opens the room.
                    self.note(room).await?;
                    // After a loss it is all rooms: said together.
                    self.births.lost.fetch_add(usize::from(lost.0), Ordering::Relaxed);
                    let word = answer.word();
                    tracing::debug!(room.id = %room, epoch, lost = lost.0, "a log is {word}");
                    return Ok(());
                }
            }
        }
    }

    /// The room has a log: whoever looks through all of them finds it.
    async fn note(&self, room: &RoomId) -> Result<(), RedisAway> {
        let rooms = self.keys.rooms();
        let mut add = cmd("SADD");
        add.arg(&rooms).arg(room.as_str());
        let _added: u64 = self.links.command(&rooms, &add).await?;
        Ok(())
    }

    /// How long the messages of a lost life may still be on their way. This Redis may be new: then
    /// whatever was in front of it was lost a moment ago.
    pub(super) async fn until_settled(&self, lost: Lost) -> Result<Duration, RedisAway> {
        let now = self.now().await?;
        let key = self.keys.known_since();
        let mut note = cmd("SET");
        note.arg(&key).arg(now).arg("NX");
        let _new: Option<String> = self.links.command(&key, &note).await?;
        let since: Option<u64> = self.links.command(&key, cmd("GET").arg(&key)).await?;
        let age = now.saturating_sub(since.unwrap_or(now));
        let known_for = if lost.0 { Duration::ZERO } else { Duration::from_millis(age) };
        Ok(self.options.settle.saturating_sub(known_for))
    }

    /// The clock that all nodes share, in ms since 1970.
    async fn now(&self) -> Result<u64, RedisAway> {
        let (seconds, micros): (u64, u64) =
            self.links.command(self.keys.known_since(), &cmd("TIME")).await?;
        Ok(seconds * 1_000 + micros / 1_000)
    }
}
