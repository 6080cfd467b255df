//! Envelopes for tests.

use std::sync::Arc;

use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::Store;
use moim_shared::store::accounts::Accounts;
use moim_shared::store::cursors::Cursors;
use moim_shared::store::devices::Devices;
use moim_shared::store::inbox::Inbox;
use moim_shared::store::last_seen::LastSeen;
use moim_shared::store::pushes::Pushes;
use moim_shared::store::rooms::Rooms;

pub const EPOCH: u64 = 1_767_225_600_000;

pub fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn at(seq: u64) -> Position {
    Position::new(EPOCH, seq)
}

/// A message of Mina's in room `r`.
pub fn nameless(seq: u64, body: &str) -> Envelope {
    Envelope {
        room: room("r"),
        position: at(seq),
        origin: OriginId::made_by(&NodeId::random()),
        sender: user("mina"),
        sender_name: None,
        sent_at: EPOCH.saturating_add(seq),
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: body.to_owned().into(),
    }
}

pub fn named(seq: u64, name: &str, body: &str) -> Envelope {
    Envelope { origin: OriginId::parse(name).unwrap(), ..nameless(seq, body) }
}

pub fn all(envelopes: impl IntoIterator<Item = Envelope>) -> Vec<Arc<Envelope>> {
    envelopes.into_iter().map(Arc::new).collect()
}

/// A database as a whole.
pub trait Database:
    Store + Rooms + Accounts + Devices + Cursors + Inbox + LastSeen + Pushes
{
}

impl<T: Store + Rooms + Accounts + Devices + Cursors + Inbox + LastSeen + Pushes> Database for T {}
