//! The jobs, one file each. A job is idempotent: it may see the same delivery again.

mod persist_messages;

pub use persist_messages::PersistMessages;
