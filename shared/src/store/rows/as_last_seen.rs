//! [`LastSeen`] through the lanes.

use super::{Adapter, last_seen, move_last_seen};
use crate::BoxFuture;
use crate::ids::UserId;
use crate::store::StoreError;
use crate::store::last_seen::{LastSeen, Seen};

impl LastSeen for Adapter {
    fn last_seen_move(&self, seen: Vec<Seen>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write((seen.len(), 0), move |conn| move_last_seen(conn, &seen)))
    }

    fn last_seen_of<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Seen>, StoreError>> {
        let users = users.to_vec();
        Box::pin(self.read(move |conn| last_seen::of(conn, &users)))
    }
}
