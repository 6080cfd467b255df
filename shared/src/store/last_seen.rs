//! When people were last there: the only thing of presence that is kept.

use super::StoreError;
use crate::BoxFuture;
use crate::ids::UserId;

/// Somebody was there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Who.
    pub user: UserId,
    /// When, in ms since 1970.
    pub at: u64,
}

/// Many at once, as a node that ends takes thousands with it.
pub trait LastSeen: Send + Sync + 'static {
    /// These were there; each is in the list once. A time only moves forward, and none is kept of
    /// whose account was deleted.
    fn last_seen_move(&self, seen: Vec<Seen>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// When some hundred users were last there, those of whom it is known, in no order.
    fn last_seen_of<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Seen>, StoreError>>;
}
