//! Background jobs of Moim: a runner that names no job, one file for each job, and the process that
//! runs them in a cluster.
//!
//! **Invariant**: nothing here knows STOMP. The server touches this crate in its composition root
//! only, to run the same jobs inside standalone.

pub mod app;
pub mod chores;
pub mod doctor;
mod http;
pub mod jobs;
pub mod metrics;
pub mod notify;
pub mod purge;
pub mod push;
pub mod runner;
pub mod telling;
