//! The rows that are the same on every database, and the seams over them.
//!
//! Compiled once below each adapter, against what that one names here: diesel has no connection
//! that is both, and a type parameter would repeat diesel's bounds at every function.

pub mod accounts;
pub mod admit;
mod as_accounts;
mod as_cursors;
mod as_devices;
mod as_inbox;
mod as_last_seen;
mod as_pushes;
mod as_rooms;
mod as_store;
pub mod changes;
pub mod cursors;
pub mod devices;
pub mod expire;
pub mod inbox;
pub mod insert;
pub mod last_seen;
pub mod logins;
pub mod members;
pub mod purge;
pub mod pushes;
pub mod read;
pub mod revocations;
pub mod rooms;
pub mod rounds;
pub mod row;

// What inboxes ask; cursors and times that move; the store, its connection and diesel's backend; a
// body as it is written and read; and the one statement that adds a message, or says that something
// stands in its way.
use super::given::{GIVEN_PAIRS, GIVEN_ROOMS, GREATEST, PREVIEW, clock, load_own, load_rooms};
use super::message::{Body, NewBody, add, body_of};
use super::moves::{move_delivered, move_last_seen, move_reads};
use super::turns;
use super::{Adapter, Conn, Db};
