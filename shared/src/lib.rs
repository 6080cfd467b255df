//! Vocabulary and seams of Moim.
//!
//! Ids, [`Position`](position::Position), [`Envelope`](envelope::Envelope) and configuration, and
//! the four seams between a node and the world, each beside its adapters: [`broker`] (one order
//! per room), [`queue`] (what must still reach the database), [`store`] (the truth) and
//! [`presence`] (who is connected where).
//!
//! **Invariant**: nothing here knows STOMP, HTTP or sessions.

pub mod backoff;
pub mod broker;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod doctor;
pub mod envelope;
pub mod gather;
pub mod health;
pub mod https;
pub mod ids;
pub mod membership;
pub mod metrics;
pub mod position;
pub mod presence;
pub mod process;
pub mod push_token;
pub mod queue;
pub mod quiet;
pub mod redis;
pub mod roots;
pub mod signal;
pub mod store;
pub mod task;
pub mod trace;
pub mod wire;

/// A boxed future that seams return, so that adapters can be chosen at start-up.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
