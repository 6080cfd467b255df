//! [`Accounts`] through the lanes.

use super::{Adapter, accounts, logins, members, revocations};
use crate::BoxFuture;
use crate::ids::UserId;
use crate::store::StoreError;
use crate::store::accounts::{
    Account, Accounts, Login, NewRefresh, Revocation, Rotation, TokenHash,
};
use crate::store::rooms::Made;

impl Accounts for Adapter {
    fn account_create<'a>(
        &'a self,
        account: &'a Account,
    ) -> BoxFuture<'a, Result<Made<()>, StoreError>> {
        let account = account.clone();
        Box::pin(self.write((1, 0), move |conn| accounts::create(conn, &account)))
    }

    fn is_somebody<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<bool, StoreError>> {
        let user = user.clone();
        Box::pin(
            self.read(move |conn| {
                Ok(accounts::is_taken(conn, &user)? || members::came(conn, &user)?)
            }),
        )
    }

    fn account_get<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Option<Account>, StoreError>> {
        let user = user.clone();
        Box::pin(self.read(move |conn| accounts::get(conn, &user)))
    }

    fn account_rename<'a>(
        &'a self,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (user, name) = (user.clone(), name.map(str::to_owned));
        Box::pin(self.write((1, 0), move |conn| accounts::rename(conn, &user, name.as_deref())))
    }

    fn account_set_password<'a>(
        &'a self,
        user: &'a UserId,
        old: &'a str,
        new: &'a str,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (user, old, new) = (user.clone(), old.to_owned(), new.to_owned());
        let revocation = revocation.clone();
        Box::pin(self.write((2, 0), move |conn| {
            accounts::set_password(conn, &user, &old, &new, &revocation)
        }))
    }

    fn account_delete<'a>(
        &'a self,
        user: &'a UserId,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (user, revocation) = (user.clone(), revocation.clone());
        Box::pin(self.write((2, 0), move |conn| accounts::delete(conn, &user, &revocation)))
    }

    fn login_begin<'a>(
        &'a self,
        login: &'a Login,
        checked: &'a str,
        refresh: &'a NewRefresh,
        most: usize,
        until: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<Login>>, StoreError>> {
        let (login, checked, refresh) = (login.clone(), checked.to_owned(), refresh.clone());
        Box::pin(self.write((1, 0), move |conn| {
            logins::begin(conn, &login, &checked, &refresh, most, until)
        }))
    }

    fn login_rotate<'a>(
        &'a self,
        old: &'a TokenHash,
        new: &'a NewRefresh,
        now: u64,
        grace: u64,
        until: u64,
    ) -> BoxFuture<'a, Result<Rotation, StoreError>> {
        let (old, new) = (*old, new.clone());
        Box::pin(
            self.write((1, 0), move |conn| logins::rotate(conn, &old, &new, now, grace, until)),
        )
    }

    fn login_of<'a>(
        &'a self,
        refresh: &'a TokenHash,
    ) -> BoxFuture<'a, Result<Option<Login>, StoreError>> {
        let refresh = *refresh;
        Box::pin(self.read(move |conn| logins::of(conn, &refresh)))
    }

    fn login_end<'a>(
        &'a self,
        refresh: &'a TokenHash,
        until: u64,
    ) -> BoxFuture<'a, Result<Option<Login>, StoreError>> {
        let refresh = *refresh;
        Box::pin(self.write((1, 0), move |conn| logins::end_of(conn, &refresh, until)))
    }

    fn logins_end<'a>(
        &'a self,
        user: &'a UserId,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (user, revocation) = (user.clone(), revocation.clone());
        Box::pin(self.write((2, 0), move |conn| {
            logins::end_all(conn, &user)?;
            revocations::put(conn, &revocation)
        }))
    }

    fn revocation_put<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let revocation = revocation.clone();
        Box::pin(self.write((1, 0), move |conn| revocations::put(conn, &revocation)))
    }

    fn revocations<'a>(&'a self, now: u64) -> BoxFuture<'a, Result<Vec<Revocation>, StoreError>> {
        Box::pin(self.read(move |conn| revocations::all(conn, now)))
    }

    fn forget_expired<'a>(&'a self, now: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write((1, 0), move |conn| {
            logins::forget_expired(conn, now)?;
            revocations::forget_expired(conn, now)
        }))
    }
}
