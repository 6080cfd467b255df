//! The seam that knows who is connected where.

pub mod memory;
pub mod redis;

use crate::BoxFuture;
use crate::ids::{InstallationId, NodeId, UserId};

/// One live session of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The node that holds the socket.
    pub node: NodeId,
    /// The session's number on that node.
    pub session: u64,
    /// The registered device, when the session named one.
    pub device: Option<InstallationId>,
}

/// Presence could not be asked or told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("presence is away: {0}")]
pub struct PresenceError(pub String);

/// Who is connected where, by leases of nodes: entries of a node whose lease ran out are gone.
pub trait Presence: Send + Sync + 'static {
    /// The session is there. Saying it twice is harmless.
    fn arrived<'a>(
        &'a self,
        user: &'a UserId,
        entry: Entry,
    ) -> BoxFuture<'a, Result<(), PresenceError>>;

    /// The session is gone. Saying it of an unknown one is harmless.
    fn left<'a>(
        &'a self,
        user: &'a UserId,
        node: &'a NodeId,
        session: u64,
    ) -> BoxFuture<'a, Result<(), PresenceError>>;

    /// The user's live sessions on all nodes, in no order.
    fn sessions<'a>(&'a self, user: &'a UserId)
    -> BoxFuture<'a, Result<Vec<Entry>, PresenceError>>;

    /// The node lives: its entries stay for the lease from now on. To be called several times in
    /// a lease.
    fn renew<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Result<(), PresenceError>>;
}
