//! The tests that send in rooms and account for every message.

pub mod gate;
pub mod origin;
pub mod rate;
pub mod rate_member;
pub mod room;
pub mod user;
