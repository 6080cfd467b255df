//! The tests that send in rooms and account for every message.

mod answers;
mod gate;
pub mod origin;
mod pending;
pub mod rate;
mod rate_member;
mod rate_work;
mod room;
mod user;
mod waits;
