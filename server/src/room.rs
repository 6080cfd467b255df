//! A room: one actor on this node for each room that somebody here uses.
//!
//! `state` decides (pure, clock passed in), `actor` carries out. A room never awaits a client:
//! it puts into outboxes, which are bounded, and drops who overflows. It never names a session.

mod access;
mod actor;
mod answer;
mod cursor;
mod event;
mod gate;
mod history;
mod join;
mod message;
mod missed;
mod post;
mod recovery;
mod state;
#[cfg(test)]
mod tests;

pub use self::access::{Identity, admit};
pub use self::actor::{Owner, Room, RoomContext};
pub use self::answer::Answer;
pub use self::cursor::Cursors;
pub use self::gate::{Gate, Permit};
pub use self::history::{History, HistoryError, Part, Reading};
pub use self::join::{Join, Start, Survivor};
pub use self::missed::Missed;
pub use self::post::{Commit, OVERHEAD as POST_OVERHEAD, Post, Reply, text_bytes};
pub use self::state::{Ask, Bounds, Place, Typing};

use moim_shared::broker::{MembersChanged, Published};
use moim_shared::signal::Event;

/// What a room can be asked from outside, beside [`Join`] and [`Post`].
#[derive(Debug)]
pub enum Notice {
    /// The broker made messages visible.
    Published(Published),
    /// Memberships changed.
    MembersChanged(MembersChanged),
    /// Nobody knows what the broker could not tell.
    Missed,
    /// Something happened in the room, here or on another node.
    Event(Event),
    /// Other nodes live than before.
    Nodes,
    /// A subscription was ended; it already receives nothing. Or its session turned away or back.
    Left,
}
