//! Accounts as rows. One that was deleted has no password.

use diesel::prelude::*;

use super::Conn;
use super::row::{signed, unsigned};
use super::{last_seen, logins, revocations};
use crate::ids::UserId;
use crate::store::accounts::{Account, Revocation};
use crate::store::rooms::Made;
use crate::store::schema::accounts;

pub fn create(conn: &mut Conn, account: &Account) -> QueryResult<Made<()>> {
    let added = diesel::insert_into(accounts::table)
        .values((
            accounts::user_id.eq(account.user.as_str()),
            accounts::name.eq(account.name.as_deref()),
            accounts::password_hash.eq(account.password_hash.as_str()),
            accounts::created_at.eq(signed(account.created_at)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(if added > 0 { Made::New(()) } else { Made::Taken })
}

/// Whether an account has the name, or had it.
pub fn is_taken(conn: &mut Conn, user: &UserId) -> QueryResult<bool> {
    let row: Option<String> =
        accounts::table.find(user.as_str()).select(accounts::user_id).first(conn).optional()?;
    Ok(row.is_some())
}

pub fn get(conn: &mut Conn, user: &UserId) -> QueryResult<Option<Account>> {
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

pub fn rename(conn: &mut Conn, user: &UserId, name: Option<&str>) -> QueryResult<bool> {
    let there = accounts::table.find(user.as_str()).filter(accounts::password_hash.is_not_null());
    let changed = diesel::update(there).set(accounts::name.eq(name)).execute(conn)?;
    Ok(changed > 0)
}

pub fn set_password(
    conn: &mut Conn,
    user: &UserId,
    old: &str,
    new: &str,
    revocation: &Revocation,
) -> QueryResult<bool> {
    let as_checked = accounts::table.find(user.as_str()).filter(accounts::password_hash.eq(old));
    let changed = diesel::update(as_checked).set(accounts::password_hash.eq(new)).execute(conn)?;
    if changed > 0 {
        logins::end_all(conn, user)?;
        revocations::put(conn, revocation)?;
    }
    Ok(changed > 0)
}

/// The row stays, so that the name stays taken, and so that nobody notes any more when it was seen.
pub fn delete(conn: &mut Conn, user: &UserId, revocation: &Revocation) -> QueryResult<bool> {
    let there = accounts::table.find(user.as_str()).filter(accounts::password_hash.is_not_null());
    let changed = diesel::update(there)
        .set((accounts::password_hash.eq(None::<&str>), accounts::name.eq(None::<&str>)))
        .execute(conn)?;
    if changed > 0 {
        logins::end_all(conn, user)?;
        last_seen::forget(conn, user)?;
        revocations::put(conn, revocation)?;
    }
    Ok(changed > 0)
}
