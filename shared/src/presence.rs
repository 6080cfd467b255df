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
    /// Its user is not there, as the session said.
    pub away: bool,
}

/// How somebody is there, whatever it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// One session at least is active.
    Online,
    /// There are sessions, and none of them is active.
    Away,
    /// There is none.
    Offline,
}

impl Status {
    /// What a user's live sessions make of it.
    pub fn of(sessions: &[Entry]) -> Self {
        match sessions {
            [] => Self::Offline,
            sessions if sessions.iter().all(|entry| entry.away) => Self::Away,
            _ => Self::Online,
        }
    }
}

/// Presence could not be asked or told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("presence is away: {0}")]
pub struct PresenceError(pub String);

/// Who is connected where, by leases of nodes: entries of a node whose lease ran out are gone.
pub trait Presence: Send + Sync + 'static {
    /// The session is there, and as the entry says. Saying it twice is harmless.
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

    /// The live sessions on all nodes of each of some hundred users, in no order: for all of them
    /// together it asks as often as for one.
    fn sessions_of<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Vec<Entry>>, PresenceError>>;

    /// [`Presence::sessions_of`] of one.
    fn sessions<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Entry>, PresenceError>> {
        Box::pin(async move {
            let found = self.sessions_of(std::slice::from_ref(user)).await?;
            Ok(found.into_iter().next().unwrap_or_default())
        })
    }

    /// The nodes that live, this one too, in no order. To be asked several times in a lease: one of
    /// which nothing was heard for so long is not among them, whatever the clocks of others say.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeId>, PresenceError>>;

    /// The node lives: its entries stay for the lease from now on. To be called several times in
    /// a lease. `hears`: whether it is told what others say, and takes their sessions.
    fn renew<'a>(
        &'a self,
        node: &'a NodeId,
        hears: bool,
    ) -> BoxFuture<'a, Result<(), PresenceError>>;

    /// Whether a node that lives, and is not this one, said with its last renewal that it hears.
    fn others_hear<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Result<bool, PresenceError>>;
}
