//! What one process of all does for the logs: queues again what may have been forgotten, and drops
//! what nobody needs.

use std::sync::Arc;
use std::time::Duration;

use ::redis::cmd;
use futures_util::{StreamExt, stream};

use super::script::{self, of_room};
use super::{Inner, message};
use crate::broker::{BrokerError, Swept};
use crate::clock::now_ms;
use crate::envelope::Envelope;
use crate::ids::RoomId;
use crate::position::Position;
use crate::queue::Queue;
use crate::redis::RedisAway;

/// Rooms that are looked at with one call.
const ROOMS: usize = 256;
/// At once.
const AT_ONCE: usize = 16;
/// Messages of one room that are queued with one call, and about how many bytes.
const MESSAGES: usize = 512;
const BYTES: usize = 4 << 20;
/// Bytes that are handed to the queue together, about.
const PARCEL: usize = 256 << 10;

impl Inner {
    pub(super) async fn lead(&self, what: &str, lease: Duration) -> Result<bool, BrokerError> {
        let key = self.keys.leader(what);
        let ms = lease.as_millis() as u64;
        let mut take = cmd("SET");
        take.arg(&key).arg(self.voice.as_str()).arg("NX").arg("PX").arg(ms);
        let taken: Option<String> = self.links.command(&key, &take).await?;
        if taken.is_some() {
            return Ok(true);
        }
        let holder: Option<String> = self.links.command(&key, cmd("GET").arg(&key)).await?;
        if holder.as_deref() != Some(self.voice.as_str()) {
            return Ok(false);
        }
        // Between the two it may have ended; then this prolongs somebody else's, and both lead for
        // a moment, which does no harm: all that a leader does may be done twice.
        let _: u64 = self.links.command(&key, cmd("PEXPIRE").arg(&key).arg(ms)).await?;
        Ok(true)
    }

    pub(super) async fn sweep(
        &self,
        cursor: u64,
        overdue: Duration,
        idle: Duration,
        queue: &dyn Queue,
    ) -> Result<Swept, BrokerError> {
        let rooms = self.keys.rooms();
        let mut scan = cmd("SSCAN");
        scan.arg(&rooms).arg(cursor).arg("COUNT").arg(ROOMS);
        let (next, found): (u64, Vec<String>) = self.links.command(&rooms, &scan).await?;
        let found: Vec<RoomId> = found.iter().filter_map(|room| RoomId::parse(room).ok()).collect();
        let mut looks = stream::iter(found)
            .map(|room| async move { self.sweep_room(&room, overdue, idle, queue).await })
            .buffer_unordered(AT_ONCE);
        let mut swept = Swept { next: (next != 0).then_some(next), ..Swept::default() };
        let mut failed = Vec::new();
        while let Some(done) = looks.next().await {
            // One room that cannot be read, or a queue that is full, stops no other.
            match done {
                Ok(Swept { queued, dropped, .. }) => {
                    swept.queued += queued;
                    swept.dropped += dropped;
                }
                Err(error) => failed.push(error),
            }
        }
        if let Some(error) = failed.first() {
            tracing::warn!(%error, logs = failed.len(), "some logs were not looked through");
        }
        Ok(swept)
    }

    async fn sweep_room(
        &self,
        room: &RoomId,
        overdue: Duration,
        idle: Duration,
        queue: &dyn Queue,
    ) -> Result<Swept, BrokerError> {
        let mut swept = Swept::default();
        swept.queued += self.sweep_asides(room, queue).await?;
        let mut ends = of_room(&script::OPEN_ENDS, &self.keys, room);
        ends.arg(MESSAGES).arg(BYTES);
        let mut answer = script::run(&self.links, room, &ends).await?;
        if answer.word() != "alive" {
            return Ok(swept);
        }
        let (epoch, next, durable) = (answer.number()?, answer.number()?, answer.number()?);
        let from = answer.number()?;
        if durable < from {
            // Nothing waits in the queue any more, so what is missing there never comes.
            let mut skip = of_room(&script::SKIP, &self.keys, room);
            skip.arg(epoch).arg(from);
            script::run(&self.links, room, &skip).await?;
        }
        if durable == next {
            swept.dropped += usize::from(self.drop_idle(room, epoch, idle).await?);
            return Ok(swept);
        }
        let before = now_ms().saturating_sub(overdue.as_millis() as u64);
        let mut late: Vec<Arc<Envelope>> = Vec::new();
        for (position, bytes) in answer.entries()? {
            let envelope = message(bytes, room, position)?;
            if envelope.sent_at <= before {
                late.push(envelope);
            }
        }
        swept.queued += hand_over(queue, late).await?;
        Ok(swept)
    }

    /// What is left of lives that ended: all of it that is not known to be durable.
    async fn sweep_asides(&self, room: &RoomId, queue: &dyn Queue) -> Result<usize, BrokerError> {
        let asides = self.keys.asides(room);
        let lives: Vec<(u64, u64)> = self.links.command(room, cmd("HGETALL").arg(&asides)).await?;
        let mut queued = 0;
        for (epoch, durable) in lives {
            let log = self.keys.aside(room, epoch);
            let mut from = durable;
            loop {
                let mut range = cmd("XRANGE");
                range.arg(&log).arg(format!("{epoch}-{from}")).arg("+");
                range.arg("COUNT").arg(MESSAGES);
                let entries: Vec<(String, Vec<Vec<u8>>)> = self.links.command(room, &range).await?;
                let Some((last, _)) = entries.last() else { break };
                from = last.parse::<Position>().map_err(|_not| script::odd())?.seq + 1;
                let mut left = Vec::with_capacity(entries.len());
                for (position, mut fields) in entries {
                    let position = position.parse().map_err(|_not| script::odd())?;
                    let bytes = fields.pop().ok_or_else(script::odd)?;
                    left.push(message(bytes.into(), room, position)?);
                }
                queued += hand_over(queue, left).await?;
            }
            let _: u64 = self.links.command(room, cmd("DEL").arg(&log)).await?;
            let _: u64 = self.links.command(room, cmd("HDEL").arg(&asides).arg(epoch)).await?;
        }
        Ok(queued)
    }

    /// Drops a log of which the database has everything.
    async fn drop_idle(
        &self,
        room: &RoomId,
        epoch: u64,
        idle: Duration,
    ) -> Result<bool, RedisAway> {
        let mut close = of_room(&script::CLOSE, &self.keys, room);
        close.key(self.channel(room)).arg(epoch).arg(idle.as_millis() as u64);
        close.arg(if self.links.target().is_cluster() { "SHARDNUMSUB" } else { "NUMSUB" });
        if script::run(&self.links, room, &close).await?.word() != "1" {
            return Ok(false);
        }
        let rooms = self.keys.rooms();
        let _: u64 = self.links.command(&rooms, cmd("SREM").arg(&rooms).arg(room.as_str())).await?;
        // Somebody may have begun another life in between.
        if self.standing(room).await.is_ok_and(|standing| standing.is_ok()) {
            let _: u64 =
                self.links.command(&rooms, cmd("SADD").arg(&rooms).arg(room.as_str())).await?;
        }
        Ok(true)
    }
}

/// In parcels of a size that the queue takes.
async fn hand_over(queue: &dyn Queue, late: Vec<Arc<Envelope>>) -> Result<usize, BrokerError> {
    let count = late.len();
    let (mut parcel, mut bytes) = (Vec::new(), 0);
    let mut late = late.into_iter().peekable();
    while let Some(envelope) = late.next() {
        bytes += envelope.weight();
        parcel.push(envelope);
        if bytes >= PARCEL || late.peek().is_none() {
            let taken = queue.publish(std::mem::take(&mut parcel)).await;
            taken.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
            bytes = 0;
        }
    }
    Ok(count)
}
