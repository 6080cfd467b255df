//! How far members have read and their devices were given messages: kept, gathered, and told to those
//! who watch a room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moim_shared::broker::Broker;
use moim_shared::gather::Gather;
use moim_shared::ids::{InstallationId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::{Event, Signal};
use moim_shared::store::cursors::{Cursors as Kept, Delivered, Moved, Read};
use moim_shared::store::{Access, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::access::{Identity, admit};
use crate::refusal::Refusal;
use crate::unkept::{Unkept, keep_last, keep_up};

/// Cursors that are moved together.
const TOGETHER: usize = 2_000;
/// How long what devices were given is gathered: of somebody who reads along, the last one counts.
const GATHERED: Duration = Duration::from_secs(1);
/// What is kept, in the log.
const WHAT: &str = "what devices were given";
/// More than these do not wait for the database. Whoever is not among them says so again with the
/// next message.
const WAITING: usize = 200_000;
/// People whom one signal tells of.
const TOLD: usize = 100;

/// A device of a member in a room.
type Key = (RoomId, UserId, Option<InstallationId>);

/// Cursors of all rooms.
pub struct Cursors {
    /// Where a room ends, and who is told.
    broker: Arc<dyn Broker>,
    /// Where they are kept.
    kept: Arc<dyn Kept>,
    /// Who is let in by a grant.
    store: Arc<dyn Store>,
    reads: Gather<Read, Result<Option<Moved>, StoreError>>,
    /// What devices were given and is not kept yet.
    given: Mutex<Unkept<Key, Position>>,
    came: Notify,
}

impl Cursors {
    /// Cursors that are kept in `kept`.
    pub fn new(broker: Arc<dyn Broker>, kept: Arc<dyn Kept>, store: Arc<dyn Store>) -> Self {
        Self {
            broker,
            kept,
            store,
            reads: Gather::new(TOGETHER),
            given: Mutex::new(Unkept::new(WAITING)),
            came: Notify::new(),
        }
    }

    /// Somebody has read up to `position`, or to the room's end if that comes first, on that device
    /// if it named one. What stands from now on, which is never less than before.
    pub async fn read_up_to(
        &self,
        room: &RoomId,
        who: &Identity,
        device: Option<InstallationId>,
        position: Position,
    ) -> Result<Position, Refusal> {
        let position = self.within(room, position).await?;
        let read = Read { room: room.clone(), user: who.user.clone(), position, device };
        let moved = match self.moved(read.clone()).await? {
            None if self.is_let_in(room, who).await? => self.moved(read).await?,
            moved => moved,
        };
        let moved = moved.ok_or_else(Refusal::not_a_member)?;
        if let Moved::On(position) = moved {
            let own = self.broker.signal(Signal::Own(who.user.clone(), room.clone()));
            let read = self.tell(room, Event::Read { user: who.user.clone(), position });
            let (own, ()) = tokio::join!(own, read);
            if let Err(error) = own {
                tracing::debug!(room.id = %room, %error, "no inbox was told of a cursor");
            }
        }
        Ok(moved.stands())
    }

    /// A device was given messages up to `position`, or to the room's end, as its app says.
    pub async fn delivered_up_to(
        &self,
        room: &RoomId,
        who: &Identity,
        device: Option<InstallationId>,
        position: Position,
    ) -> Result<(), Refusal> {
        let position = self.within(room, position).await?;
        let access = self.store.access(room, &who.user).await;
        let known = match access.map_err(|error| away(room, &error))? {
            Access::None => self.is_let_in(room, who).await?,
            Access::Member | Access::Muted { .. } => true,
            Access::Banned => return Err(Refusal::banned()),
        };
        if !known {
            return Err(Refusal::not_a_member());
        }
        let (room, user) = (room.clone(), who.user.clone());
        let one = Delivered { room: room.clone(), user, device, position };
        self.keep(vec![one]).await.map_err(|error| away(&room, &error))
    }

    /// What the devices of some hundred members were given of a room, in no order; what they show
    /// now is there within seconds.
    pub async fn delivered_of(
        &self,
        room: &RoomId,
        users: &[UserId],
    ) -> Result<Vec<Delivered>, StoreError> {
        self.kept.delivered_of(room, users).await
    }

    /// A device was given messages up to `position`, as its session shows. Kept soon.
    pub fn delivered(
        &self,
        room: &RoomId,
        user: &UserId,
        device: Option<&InstallationId>,
        position: Position,
    ) {
        let key = (room.clone(), user.clone(), device.cloned());
        if self.given.lock().put(key, position) {
            self.came.notify_one();
        }
    }

    /// Keeps what devices were given, until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        keep_up(&self.came, GATHERED, WHAT, || self.keep_some()).await;
    }

    /// Keeps all that waits, at most for `bound`: before the process ends.
    pub async fn keep_last(&self, bound: Duration) {
        keep_last(bound, WHAT, self.keep_some()).await;
    }

    async fn keep_some(&self) -> Result<(), StoreError> {
        loop {
            let some = self.given.lock().some(TOGETHER);
            if some.is_empty() {
                return Ok(());
            }
            let delivered = some.iter().map(|((room, user, device), position)| Delivered {
                room: room.clone(),
                user: user.clone(),
                device: device.clone(),
                position: *position,
            });
            self.keep(delivered.collect()).await?;
            self.given.lock().kept(&some);
        }
    }

    /// Keeps these, and tells of those that are new.
    async fn keep(&self, delivered: Vec<Delivered>) -> Result<(), StoreError> {
        let new = self.kept.delivered_move(delivered.clone()).await?;
        let mut rooms: BTreeMap<RoomId, BTreeMap<UserId, Position>> = BTreeMap::new();
        for (one, _) in delivered.into_iter().zip(new).filter(|(_, new)| *new) {
            let stands = rooms.entry(one.room).or_default().entry(one.user).or_default();
            *stands = (*stands).max(one.position);
        }
        for (room, users) in rooms {
            let users: Vec<(UserId, Position)> = users.into_iter().collect();
            for some in users.chunks(TOLD) {
                self.tell(&room, Event::Delivered { users: some.to_vec() }).await;
            }
        }
        Ok(())
    }

    async fn within(&self, room: &RoomId, position: Position) -> Result<Position, Refusal> {
        let head = self.broker.head(room).await.map_err(|error| away(room, &error))?;
        Ok(position.min(head))
    }

    async fn tell(&self, room: &RoomId, event: Event) {
        if let Err(error) = self.broker.signal(Signal::Event(room.clone(), event)).await {
            // Kept all the same; who missed it sees it with the members.
            tracing::debug!(room.id = %room, %error, "nobody was told of a cursor");
        }
    }

    async fn moved(&self, read: Read) -> Result<Option<Moved>, Refusal> {
        let room = read.room.clone();
        let moved = self.reads.ask(read, |reads| move_all(self.kept.clone(), reads)).await;
        // Whoever moved it for all of them is gone.
        moved.ok_or_else(Refusal::unavailable)?.map_err(|error| away(&room, &error))
    }

    async fn is_let_in(&self, room: &RoomId, who: &Identity) -> Result<bool, Refusal> {
        if !who.grant.covers(room) {
            return Ok(false);
        }
        let access = admit(&*self.store, &*self.broker, room, who)
            .await
            .map_err(|error| away(room, &error))?;
        Ok(matches!(access, Access::Member | Access::Muted { .. }))
    }
}

/// Moves all; of one member in a room only the furthest counts.
async fn move_all(kept: Arc<dyn Kept>, reads: Vec<Read>) -> Vec<Result<Option<Moved>, StoreError>> {
    let mut furthest: BTreeMap<(RoomId, UserId), Read> = BTreeMap::new();
    for read in &reads {
        let key = (read.room.clone(), read.user.clone());
        let stands = furthest.entry(key).or_insert_with(|| read.clone());
        if read.position > stands.position {
            stands.clone_from(read);
        }
    }
    let moved = match kept.read_move(furthest.values().cloned().collect()).await {
        Ok(moved) => moved,
        Err(error) => return vec![Err(error); reads.len()],
    };
    let mut moved: BTreeMap<(RoomId, UserId), Option<Moved>> =
        furthest.into_keys().zip(moved).collect();
    let answer = |read: Read| {
        let stands = moved.get_mut(&(read.room, read.user));
        Ok(stands.and_then(|stands| match *stands {
            // Told of once, by the one who went so far.
            Some(Moved::On(at)) if at == read.position => {
                stands.replace(Moved::Not(at));
                Some(Moved::On(at))
            }
            Some(moved) => Some(Moved::Not(moved.stands())),
            None => None,
        }))
    };
    reads.into_iter().map(answer).collect()
}

fn away(room: &RoomId, error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(room.id = %room, %error, "a cursor was not moved");
    Refusal::unavailable()
}
