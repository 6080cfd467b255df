//! [`Devices`] through the lanes.

use super::{Adapter, devices};
use crate::BoxFuture;
use crate::ids::{InstallationId, UserId};
use crate::push_token::PushToken;
use crate::store::StoreError;
use crate::store::devices::{DEVICES_MOST, Device, Devices, SEEN_EVERY};

impl Devices for Adapter {
    fn device_put<'a>(
        &'a self,
        user: &'a UserId,
        device: &'a Device,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (user, device) = (user.clone(), device.clone());
        Box::pin(self.write((2, 0), move |conn| devices::put(conn, &user, &device, DEVICES_MOST)))
    }

    fn device_delete<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (user, installation) = (user.clone(), installation.clone());
        Box::pin(self.write((1, 0), move |conn| devices::delete(conn, &user, &installation)))
    }

    fn devices_delete<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<(), StoreError>> {
        let user = user.clone();
        Box::pin(self.write((1, 0), move |conn| devices::delete_all(conn, &user)))
    }

    fn devices_of<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Device>, StoreError>> {
        let user = user.clone();
        Box::pin(self.read(move |conn| devices::of(conn, &user)))
    }

    fn devices_of_users<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<(UserId, Device)>, StoreError>> {
        let users = users.to_vec();
        Box::pin(self.read(move |conn| devices::of_users(conn, &users)))
    }

    fn device_token_gone<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
        token: &'a PushToken,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (user, installation, token) = (user.clone(), installation.clone(), token.clone());
        Box::pin(
            self.write((1, 0), move |conn| devices::token_gone(conn, &user, &installation, &token)),
        )
    }

    fn device_seen<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
        now: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let before = now.saturating_sub(SEEN_EVERY);
        Box::pin(async move {
            // When a node starts all of its devices connect, and few of them need a turn to write.
            let (whose, which) = (user.clone(), installation.clone());
            let unseen =
                self.read(move |conn| devices::is_unseen(conn, &whose, &which, before)).await?;
            if !unseen {
                return Ok(());
            }
            let (user, installation) = (user.clone(), installation.clone());
            self.write((1, 0), move |conn| devices::seen(conn, &user, &installation, now)).await
        })
    }

    fn device_tokens_forget(
        &self,
        before: u64,
        most: usize,
    ) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.write((most, 0), move |conn| devices::forget_tokens(conn, before, most)))
    }
}
