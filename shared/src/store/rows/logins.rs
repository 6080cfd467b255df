//! Log-ins: the refresh tokens that each of them gave out, as rows.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::rooms::unreadable;
use super::row::{signed, unsigned};
use super::{devices, revocations};
use crate::ids::UserId;
use crate::store::accounts::{Login, NewRefresh, Revocation, Rotation, TokenHash};
use crate::store::schema::{accounts, refresh_tokens};

/// Tokens of one log-in that are known in any case: those that were changed for others tell of a
/// theft.
const TOKENS: usize = 32;

/// How long they are known however many there are, in ms, or a thief would change one until the
/// stolen one is forgotten.
const KNOWN: u64 = 3_600_000;

/// Tokens of one log-in that were changed within that time. As many are not needed.
const CHANGED: usize = 128;

/// Rows past their time that one call removes.
const FORGOTTEN: i64 = 10_000;

pub fn begin(
    conn: &mut Conn,
    login: &Login,
    checked: &str,
    refresh: &NewRefresh,
    most: usize,
    until: u64,
) -> QueryResult<Option<Vec<Login>>> {
    let stands: Option<Option<String>> = accounts::table
        .find(login.user.as_str())
        .select(accounts::password_hash)
        .first(conn)
        .optional()?;
    if stands.flatten().as_deref() != Some(checked) {
        return Ok(None);
    }
    let gone = make_room(conn, &login.user, most, until)?;
    add(conn, login, refresh)?;
    Ok(Some(gone))
}

/// Leaves the user `most` log-ins: those that end last. The others are told.
fn make_room(conn: &mut Conn, user: &UserId, most: usize, until: u64) -> QueryResult<Vec<Login>> {
    let tokens: Vec<(String, i64)> = refresh_tokens::table
        .filter(refresh_tokens::user_id.eq(user.as_str()))
        .select((refresh_tokens::login, refresh_tokens::expires_at))
        .load(conn)?;
    let mut ends = HashMap::<String, i64>::new();
    for (login, expires_at) in tokens {
        let end = ends.entry(login).or_insert(expires_at);
        *end = (*end).max(expires_at);
    }
    let mut logins: Vec<(i64, String)> = ends.into_iter().map(|(id, end)| (end, id)).collect();
    logins.sort_unstable_by(|a, b| b.cmp(a));
    let gone = logins.into_iter().skip(most).map(|(_, id)| Login { user: user.clone(), id });
    let gone: Vec<Login> = gone.collect();
    for login in &gone {
        end(conn, login, until)?;
    }
    Ok(gone)
}

fn add(conn: &mut Conn, login: &Login, refresh: &NewRefresh) -> QueryResult<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::hash.eq(&refresh.hash[..]),
            refresh_tokens::user_id.eq(login.user.as_str()),
            refresh_tokens::login.eq(&login.id),
            refresh_tokens::expires_at.eq(signed(refresh.expires_at)),
        ))
        .execute(conn)?;
    Ok(())
}

/// A row that was read: whose it is, when it ends, and when it was changed for another.
struct Token {
    login: Login,
    expires_at: u64,
    rotated_at: Option<u64>,
}

fn find(conn: &mut Conn, hash: &TokenHash) -> QueryResult<Option<Token>> {
    let row: Option<(String, String, i64, Option<i64>)> = refresh_tokens::table
        .find(&hash[..])
        .select((
            refresh_tokens::user_id,
            refresh_tokens::login,
            refresh_tokens::expires_at,
            refresh_tokens::rotated_at,
        ))
        .first(conn)
        .optional()?;
    let Some((user, id, expires_at, rotated_at)) = row else { return Ok(None) };
    Ok(Some(Token {
        login: Login { user: UserId::parse(&user).map_err(unreadable)?, id },
        expires_at: unsigned(expires_at),
        rotated_at: rotated_at.map(unsigned),
    }))
}

/// The log-in that the token belongs to.
pub fn of(conn: &mut Conn, hash: &TokenHash) -> QueryResult<Option<Login>> {
    Ok(find(conn, hash)?.map(|token| token.login))
}

pub fn rotate(
    conn: &mut Conn,
    old: &TokenHash,
    new: &NewRefresh,
    now: u64,
    grace: u64,
    until: u64,
) -> QueryResult<Rotation> {
    let Some(token) = find(conn, old)?.filter(|token| token.expires_at > now) else {
        return Ok(Rotation::Refused);
    };
    if token.rotated_at.is_some_and(|at| at.saturating_add(grace) < now) {
        end(conn, &token.login, until)?;
        return Ok(Rotation::Reused(token.login));
    }
    if let Some(until) = forget_oldest(conn, &token.login, now)? {
        return Ok(Rotation::TooMany { until });
    }
    // All that have not been: of two that came of one, the other is somebody's copy. For each, the
    // first time counts, or it would live as long as it is used.
    let current = refresh_tokens::table
        .filter(refresh_tokens::user_id.eq(token.login.user.as_str()))
        .filter(refresh_tokens::login.eq(&token.login.id))
        .filter(refresh_tokens::rotated_at.is_null());
    diesel::update(current).set(refresh_tokens::rotated_at.eq(signed(now))).execute(conn)?;
    add(conn, &token.login, new)?;
    Ok(Rotation::Rotated(token.login))
}

/// Of the tokens that were changed for others, forgets the oldest that are not needed any more.
/// Given a time, there are too many until then.
fn forget_oldest(conn: &mut Conn, login: &Login, now: u64) -> QueryResult<Option<u64>> {
    let mut tokens: Vec<(Option<i64>, Vec<u8>)> = refresh_tokens::table
        .filter(refresh_tokens::user_id.eq(login.user.as_str()))
        .filter(refresh_tokens::login.eq(&login.id))
        .filter(refresh_tokens::rotated_at.is_not_null())
        .select((refresh_tokens::rotated_at, refresh_tokens::hash))
        .load(conn)?;
    tokens.sort_unstable_by(|a, b| b.cmp(a));
    let known_until = |at: Option<i64>| unsigned(at.unwrap_or_default()).saturating_add(KNOWN);
    if let Some((at, _)) = tokens.get(CHANGED - 1)
        && known_until(*at) > now
    {
        return Ok(Some(known_until(*at)));
    }
    for (at, hash) in tokens.into_iter().skip(TOKENS - 2) {
        if known_until(at) <= now {
            diesel::delete(refresh_tokens::table.find(hash)).execute(conn)?;
        }
    }
    Ok(None)
}

/// Ends the log-in that the token belongs to.
pub fn end_of(conn: &mut Conn, hash: &TokenHash, until: u64) -> QueryResult<Option<Login>> {
    let Some(token) = find(conn, hash)? else { return Ok(None) };
    end(conn, &token.login, until)?;
    Ok(Some(token.login))
}

/// With its access tokens: in one transaction, or they would be good again after a restart.
fn end(conn: &mut Conn, login: &Login, until: u64) -> QueryResult<()> {
    let tokens = refresh_tokens::table
        .filter(refresh_tokens::user_id.eq(login.user.as_str()))
        .filter(refresh_tokens::login.eq(&login.id));
    diesel::delete(tokens).execute(conn)?;
    revocations::put(conn, &Revocation::of_login(&login.id, until))
}

/// Ends all log-ins of a user. Nothing is pushed to where it was logged in, either.
pub fn end_all(conn: &mut Conn, user: &UserId) -> QueryResult<()> {
    let tokens = refresh_tokens::table.filter(refresh_tokens::user_id.eq(user.as_str()));
    diesel::delete(tokens).execute(conn)?;
    devices::delete_all(conn, user)
}

const EXPIRED: &str = "DELETE FROM refresh_tokens WHERE hash IN \
     (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 LIMIT $2)";

/// Removes tokens past their time.
pub fn forget_expired(conn: &mut Conn, now: u64) -> QueryResult<()> {
    diesel::sql_query(EXPIRED)
        .bind::<BigInt, _>(signed(now))
        .bind::<BigInt, _>(FORGOTTEN)
        .execute(conn)
        .map(drop)
}
