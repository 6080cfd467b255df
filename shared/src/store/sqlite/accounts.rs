//! Accounts as rows. One that was deleted has no password.

use diesel::prelude::*;

use super::row::{signed, unsigned};
use super::write::Writer;
use super::{logins, revocations};
use crate::ids::UserId;
use crate::store::accounts::{Account, Revocation};
use crate::store::rooms::Made;
use crate::store::schema::accounts;

pub(super) fn create(writer: &mut Writer, account: &Account) -> QueryResult<Made<()>> {
    let added = diesel::insert_into(accounts::table)
        .values((
            accounts::user_id.eq(account.user.as_str()),
            accounts::name.eq(account.name.as_deref()),
            accounts::password_hash.eq(account.password_hash.as_str()),
            accounts::created_at.eq(signed(account.created_at)),
        ))
        .on_conflict_do_nothing()
        .execute(&mut writer.conn)?;
    Ok(if added > 0 { Made::New(()) } else { Made::Taken })
}

/// Whether an account has the name, or had it.
pub(super) fn is_taken(conn: &mut SqliteConnection, user: &UserId) -> QueryResult<bool> {
    let row: Option<String> =
        accounts::table.find(user.as_str()).select(accounts::user_id).first(conn).optional()?;
    Ok(row.is_some())
}

pub(super) fn get(conn: &mut SqliteConnection, user: &UserId) -> QueryResult<Option<Account>> {
    let row: Option<(Option<String>, Option<String>, i64)> = accounts::table
        .find(user.as_str())
        .select((accounts::name, accounts::password_hash, accounts::created_at))
        .first(conn)
        .optional()?;
    Ok(row.and_then(|(name, password_hash, created_at)| {
        Some(Account {
            user: user.clone(),
            name,
            password_hash: password_hash?,
            created_at: unsigned(created_at),
        })
    }))
}

pub(super) fn rename(writer: &mut Writer, user: &UserId, name: Option<&str>) -> QueryResult<bool> {
    let there = accounts::table.find(user.as_str()).filter(accounts::password_hash.is_not_null());
    let changed = diesel::update(there).set(accounts::name.eq(name)).execute(&mut writer.conn)?;
    Ok(changed > 0)
}

pub(super) fn set_password(
    writer: &mut Writer,
    user: &UserId,
    old: &str,
    new: &str,
    revocation: &Revocation,
) -> QueryResult<bool> {
    let as_checked = accounts::table.find(user.as_str()).filter(accounts::password_hash.eq(old));
    let changed = diesel::update(as_checked)
        .set(accounts::password_hash.eq(new))
        .execute(&mut writer.conn)?;
    if changed > 0 {
        logins::end_all(&mut writer.conn, user)?;
        revocations::put(&mut writer.conn, revocation)?;
    }
    Ok(changed > 0)
}

/// The row stays, so that the name stays taken.
pub(super) fn delete(
    writer: &mut Writer,
    user: &UserId,
    revocation: &Revocation,
) -> QueryResult<bool> {
    let there = accounts::table.find(user.as_str()).filter(accounts::password_hash.is_not_null());
    let changed = diesel::update(there)
        .set((accounts::password_hash.eq(None::<&str>), accounts::name.eq(None::<&str>)))
        .execute(&mut writer.conn)?;
    if changed > 0 {
        logins::end_all(&mut writer.conn, user)?;
        revocations::put(&mut writer.conn, revocation)?;
    }
    Ok(changed > 0)
}
