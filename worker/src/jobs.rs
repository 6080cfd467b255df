//! The jobs, one file each. A job is idempotent: it may see the same delivery again.

mod persist_messages;
mod resend;

pub use persist_messages::PersistMessages;
