//! What clients rely on, claim by claim, against the real binary over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod ack;
mod android;
mod bad_input;
mod close;
mod connect;
mod delivered;
mod envelope;
mod errors;
mod events;
mod heart_beats;
mod http;
mod http_answers;
mod inbox;
mod limits;
mod members;
mod metrics;
mod names;
mod process;
mod public_keys;
mod resume;
mod send;
mod split;
mod subscribe;
mod tls;
mod tokens;
mod topics;
mod transactions;

use support::Shared;

/// With the defaults; tests that need other settings start a server of their own.
static SERVER: Shared = Shared::new(&[]);
