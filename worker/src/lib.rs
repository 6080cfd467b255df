//! Background jobs of Moim: a runner that names no job, and one file for each job.
//!
//! **Invariant**: nothing here knows STOMP. The server touches this crate in its composition root
//! only, to run the same jobs inside standalone.

pub mod jobs;
pub mod runner;
