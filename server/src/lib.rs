//! The chat server of Moim.
pub mod stomp;
