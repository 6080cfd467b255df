//! What makes a change of memberships bind the next SEND, on every node: whoever makes one tells it
//! at once, and one of all looks for those that were not told, since a node died in between or the
//! broker was away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use moim_shared::broker::{Broker, BrokerError};
use moim_shared::ids::{RoomId, UserId};
use moim_shared::signal::Signal;
use moim_shared::store::StoreError;
use moim_shared::store::rooms::{MemberChange, Rooms};
use tokio::time::sleep;

/// How often it is looked for changes that were not told.
const LOOK: Duration = Duration::from_secs(2);
/// Changes that are told together.
const CHANGES: usize = 512;
/// Users who are told at once.
const SIGNALS: usize = 64;

/// See the module.
#[derive(Clone)]
pub struct Telling {
    /// Where the changes are.
    pub rooms: Arc<dyn Rooms>,
    /// Whom they are told to.
    pub broker: Arc<dyn Broker>,
}

/// Why something was not told; it is later.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// The changes are not known.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody could be told.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Telling {
    /// Tells of the room's changes. They are made already, so an error concerns nobody who made one.
    pub async fn of(&self, room: &RoomId) {
        if let Err(error) = self.tell(Some(room)).await {
            tracing::warn!(room.id = %room, %error, "a change of members is not told yet");
        }
    }

    /// Tells what was not told, as long as this process is the one that does; until it is dropped.
    pub async fn keep_telling(self) {
        let mut troubled = false;
        loop {
            sleep(LOOK).await;
            match self.broker.lead("tell", LOOK * 5).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::debug!(%error, "nobody knows who tells of members");
                    continue;
                }
            }
            // Said once: the database may be away for an hour.
            match (self.tell(None).await, std::mem::take(&mut troubled)) {
                (Ok(()), false) => {}
                (Ok(()), true) => tracing::info!("changes of members are told again"),
                (Err(error), known) => {
                    troubled = true;
                    if !known {
                        tracing::warn!(%error, "changes of members are not told yet, trying on");
                    }
                }
            }
        }
    }

    /// All of the room, or of all rooms.
    async fn tell(&self, room: Option<&RoomId>) -> Result<(), Untold> {
        loop {
            let changes = self.rooms.members_untold(room, CHANGES).await?;
            let last = changes.len() < CHANGES;
            let mut told = Vec::with_capacity(changes.len());
            let mut worst = Ok(());
            for (room, (users, ids)) in by_room(changes) {
                // One whose part of the broker is away holds up no other.
                match self.broker.members_changed(&room, users.as_deref().unwrap_or_default()).await
                {
                    Ok(_version) => {}
                    Err(error) => {
                        worst = Err(error);
                        continue;
                    }
                }
                match self.tell_inboxes(&room, users).await {
                    Ok(()) => told.extend(ids),
                    Err(error) => worst = Err(error),
                }
            }
            if !told.is_empty() {
                self.rooms.members_told(told).await?;
            }
            worst?;
            if last {
                return Ok(());
            }
        }
    }
}

impl Telling {
    /// Tells the inboxes of those whose memberships changed.
    async fn tell_inboxes(
        &self,
        room: &RoomId,
        users: Option<Vec<UserId>>,
    ) -> Result<(), BrokerError> {
        let Some(users) = users else {
            return self.broker.signal(Signal::Inbox(room.clone())).await;
        };
        let all = users.into_iter().map(|user| self.broker.signal(Signal::Own(user, room.clone())));
        let mut all = stream::iter(all).buffer_unordered(SIGNALS);
        let mut worst = Ok(());
        while let Some(told) = all.next().await {
            worst = worst.and(told);
        }
        worst
    }
}

/// Whose memberships changed in each room; `None`: everybody's.
fn by_room(changes: Vec<MemberChange>) -> BTreeMap<RoomId, (Option<Vec<UserId>>, Vec<i64>)> {
    let mut rooms = BTreeMap::new();
    for MemberChange { id, room, user } in changes {
        let (users, ids) = rooms.entry(room).or_insert_with(|| (Some(Vec::new()), Vec::new()));
        match (users.as_mut(), user) {
            (Some(users), Some(user)) if !users.contains(&user) => users.push(user),
            (Some(_), Some(_)) | (None, _) => {}
            (Some(_), None) => *users = None,
        }
        ids.push(id);
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_everybody_stands_above_those_of_some() {
        let room = |id| RoomId::parse(id).unwrap();
        let user = |id| Some(UserId::parse(id).unwrap());
        let change = |id, of, user| MemberChange { id, room: room(of), user };
        let by = by_room(vec![
            change(1, "a", user("mina")),
            change(2, "b", user("mina")),
            change(3, "a", user("jun")),
            change(4, "a", user("mina")),
            change(5, "b", None),
            change(6, "b", user("jun")),
        ]);
        let of = |id| by.get(&room(id)).cloned().unwrap();
        assert_eq!(
            of("a"),
            (Some(vec![user("mina").unwrap(), user("jun").unwrap()]), vec![1, 3, 4])
        );
        assert_eq!(of("b"), (None, vec![2, 5, 6]));
    }
}
