//! A session: one STOMP connection of one client.
//!
//! `protocol` decides what a frame asks for (pure), `actor` carries it out. What goes back to
//! the client goes through its [`crate::outbox`].

mod actor;
mod bucket;
mod connect;
mod destination;
mod draft;
mod inbound;
mod protocol;
mod subscriptions;
mod transaction;

pub use self::actor::{Actor, SessionContext, start};
pub use self::bucket::Bucket;
pub use self::connect::{Upgrade, bearer};
pub use self::destination::{Destinations, PUSHES};

use moim_shared::config::Limits as Configured;

/// What one session may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    send_rate: u32,
    send_burst: u32,
    subscriptions: usize,
    history_max: usize,
    message_max: usize,
    send_deadline: std::time::Duration,
    heart_beat_min_ms: u64,
    idle_ms: u64,
    transactions: usize,
    transaction_frames: usize,
    transaction_bytes: usize,
    frames: crate::stomp::Limits,
}

impl From<&Configured> for Limits {
    fn from(limits: &Configured) -> Self {
        Self {
            send_rate: limits.send_rate,
            send_burst: limits.send_burst,
            subscriptions: limits.subscriptions,
            history_max: limits.history_max,
            message_max: limits.message_max.get(),
            send_deadline: limits.send_deadline.get(),
            heart_beat_min_ms: limits.heart_beat_min.as_millis(),
            idle_ms: limits.idle_timeout.map_or(0, |span| span.as_millis()),
            transactions: limits.transactions,
            transaction_frames: limits.transaction_frames,
            transaction_bytes: limits.transaction_bytes.get(),
            frames: crate::stomp::Limits {
                headers: limits.headers_max,
                header_bytes: limits.headers_bytes.get(),
                body_bytes: limits.body_max.get(),
            },
        }
    }
}
