//! The REST API, claim by claim, against the real binary over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod admin;
mod bad_input;
mod bodies;
mod caller;
mod changes;
mod devices;
mod direct;
mod document;
mod live;
mod login;
mod members;
mod messages;
mod own;
mod pages;
mod passport;
mod people;
mod races;
mod refresh;
mod revoked;
mod rooms;
mod schemathesis;
#[path = "../clients/script.rs"]
#[allow(dead_code, reason = "of the installed clients it uses none")]
mod script;
mod stomp;
mod throttle;

use support::Shared;

/// All tests come from one address, and some of them say a wrong password.
const MANY_TRIES: (&str, &str) = ("MOIM_ACCOUNTS__TRIES_ADDRESS", "100000");

/// With the defaults but for that; tests that need other settings start a server of their own.
static SERVER: Shared = Shared::new(&[MANY_TRIES]);
