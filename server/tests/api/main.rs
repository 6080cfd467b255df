//! The REST API over real sockets, against a real server process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod caller;

mod bad_input;
mod direct;
mod members;
mod messages;
mod own;
mod pages;
mod rooms;

use support::{Shared, room};

/// Tests with nothing special to ask of a server share this one.
static SERVER: Shared = Shared::new(&[]);
