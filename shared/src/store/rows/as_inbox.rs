//! [`Inbox`] through the lanes.

use super::{Adapter, inbox};
use crate::BoxFuture;
use crate::ids::{RoomId, UserId};
use crate::store::StoreError;
use crate::store::inbox::{Changes, Entry, Inbox, Token};

impl Inbox for Adapter {
    fn inbox_rooms<'a>(
        &'a self,
        user: &'a UserId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<RoomId>, StoreError>> {
        let user = user.clone();
        Box::pin(self.read(move |conn| inbox::rooms(conn, &user, limit)))
    }

    fn inbox_changes<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<Token>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Changes, StoreError>> {
        let user = user.clone();
        Box::pin(self.read(move |conn| inbox::changes(conn, &user, since, limit)))
    }

    fn inbox_entries(
        &self,
        pairs: Vec<(UserId, RoomId)>,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.read(move |conn| inbox::entries(conn, &pairs)))
    }

    fn inbox_forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.write((most, 0), move |conn| inbox::forget(conn, before, most)))
    }
}
