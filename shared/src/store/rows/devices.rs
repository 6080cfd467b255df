//! Devices as rows. A token is found by its hash, and then compared, as two may have one hash.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use xxhash_rust::xxh3::xxh3_64;

use super::rooms::unreadable;
use super::row::{signed, unsigned};
use super::{Conn, Db};
use crate::ids::{InstallationId, RoomId, UserId};
use crate::push_token::PushToken;
use crate::quiet::{QuietHours, Zone};
use crate::store::devices::{Device, Platform};
use crate::store::schema::devices;

/// A row to be written.
#[derive(Debug, Insertable, AsChangeset)]
#[diesel(table_name = devices, primary_key(user_id, installation))]
#[diesel(treat_none_as_default_value = false, treat_none_as_null = true)]
struct NewRow<'a> {
    user_id: &'a str,
    installation: &'a str,
    token: Option<&'a str>,
    token_hash: Option<i64>,
    platform: &'a str,
    locale: Option<&'a str>,
    time_zone: Option<&'a str>,
    muted: bool,
    preview: bool,
    quiet_hours: Option<String>,
    seen_at: i64,
    muted_rooms: String,
}

/// A row that was read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = devices, check_for_backend(Db))]
struct Row {
    installation: String,
    token: Option<String>,
    platform: String,
    locale: Option<String>,
    time_zone: Option<String>,
    muted: bool,
    preview: bool,
    quiet_hours: Option<String>,
    seen_at: i64,
    muted_rooms: String,
}

impl<'a> NewRow<'a> {
    fn of(user: &'a UserId, device: &'a Device) -> Self {
        let rooms: Vec<&str> = device.muted_rooms.iter().map(RoomId::as_str).collect();
        Self {
            user_id: user.as_str(),
            installation: device.installation.as_str(),
            token: device.token.as_ref().map(PushToken::expose),
            token_hash: device.token.as_ref().map(hash),
            platform: device.platform.as_str(),
            locale: device.locale.as_deref(),
            time_zone: device.time_zone.as_ref().map(Zone::as_str),
            muted: device.muted,
            preview: device.preview,
            quiet_hours: device.quiet_hours.map(|hours| hours.to_string()),
            seen_at: signed(device.seen_at),
            muted_rooms: rooms.join(" "),
        }
    }
}

impl Row {
    /// What it was written from.
    fn device(self) -> QueryResult<Device> {
        let rooms = self.muted_rooms.split_ascii_whitespace().map(RoomId::parse);
        let token = self.token.as_deref().map(PushToken::parse);
        let hours = self.quiet_hours.as_deref().map(QuietHours::parse);
        Ok(Device {
            installation: InstallationId::parse(&self.installation).map_err(unreadable)?,
            token: token.transpose().map_err(unreadable)?,
            platform: Platform::named(&self.platform)
                .ok_or_else(|| unreadable("a platform that is none"))?,
            locale: self.locale,
            // Another process may know more of them; then they are hours of UTC here.
            time_zone: self.time_zone.and_then(|name| Zone::parse(&name).ok()),
            muted: self.muted,
            preview: self.preview,
            quiet_hours: hours.transpose().map_err(unreadable)?,
            seen_at: unsigned(self.seen_at),
            muted_rooms: rooms.collect::<Result<_, _>>().map_err(unreadable)?,
        })
    }
}

fn hash(token: &PushToken) -> i64 {
    xxh3_64(token.expose().as_bytes()).cast_signed()
}

pub fn put(conn: &mut Conn, user: &UserId, device: &Device, most: usize) -> QueryResult<()> {
    if let Some(token) = &device.token {
        take_from_others(conn, user, &device.installation, token)?;
    }
    let row = NewRow::of(user, device);
    diesel::insert_into(devices::table)
        .values(&row)
        .on_conflict((devices::user_id, devices::installation))
        .do_update()
        .set(&row)
        .execute(conn)?;
    make_room(conn, user, &device.installation, most)
}

/// A token that came to another device, or to another user of the same one, is not theirs any more.
fn take_from_others(
    conn: &mut Conn,
    user: &UserId,
    installation: &InstallationId,
    token: &PushToken,
) -> QueryResult<()> {
    let another =
        devices::user_id.ne(user.as_str()).or(devices::installation.ne(installation.as_str()));
    let theirs = devices::table
        .filter(devices::token_hash.eq(hash(token)))
        .filter(devices::token.eq(token.expose()))
        .filter(another);
    diesel::update(theirs).set(without_token()).execute(conn).map(drop)
}

type WithoutToken = (
    diesel::dsl::Eq<devices::token, Option<&'static str>>,
    diesel::dsl::Eq<devices::token_hash, Option<i64>>,
);

fn without_token() -> WithoutToken {
    (devices::token.eq(None), devices::token_hash.eq(None))
}

/// Leaves the user `most` devices: this one, and of the others those that were seen last.
fn make_room(
    conn: &mut Conn,
    user: &UserId,
    kept: &InstallationId,
    most: usize,
) -> QueryResult<()> {
    let mut others: Vec<(i64, String)> = devices::table
        .filter(devices::user_id.eq(user.as_str()))
        .filter(devices::installation.ne(kept.as_str()))
        .select((devices::seen_at, devices::installation))
        .load(conn)?;
    others.sort_unstable_by(|a, b| b.cmp(a));
    for (_, installation) in others.into_iter().skip(most.saturating_sub(1)) {
        diesel::delete(devices::table.find((user.as_str(), installation))).execute(conn)?;
    }
    Ok(())
}

pub fn delete(conn: &mut Conn, user: &UserId, installation: &InstallationId) -> QueryResult<()> {
    let row = devices::table.find((user.as_str(), installation.as_str()));
    diesel::delete(row).execute(conn).map(drop)
}

pub fn delete_all(conn: &mut Conn, user: &UserId) -> QueryResult<()> {
    let rows = devices::table.filter(devices::user_id.eq(user.as_str()));
    diesel::delete(rows).execute(conn).map(drop)
}

pub fn of(conn: &mut Conn, user: &UserId) -> QueryResult<Vec<Device>> {
    let rows: Vec<Row> = devices::table
        .filter(devices::user_id.eq(user.as_str()))
        .order(devices::installation)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::device).collect()
}

pub fn of_users(conn: &mut Conn, users: &[UserId]) -> QueryResult<Vec<(UserId, Device)>> {
    let rows: Vec<(String, Row)> = devices::table
        .filter(devices::user_id.eq_any(users.iter().map(UserId::as_str)))
        .filter(devices::token.is_not_null())
        .select((devices::user_id, Row::as_select()))
        .load(conn)?;
    let device = |(user, row): (String, Row)| {
        QueryResult::Ok((UserId::parse(&user).map_err(unreadable)?, row.device()?))
    };
    rows.into_iter().map(device).collect()
}

pub fn token_gone(
    conn: &mut Conn,
    user: &UserId,
    installation: &InstallationId,
    token: &PushToken,
) -> QueryResult<bool> {
    let with_it = devices::table
        .find((user.as_str(), installation.as_str()))
        .filter(devices::token.eq(token.expose()));
    let changed = diesel::update(with_it).set(without_token()).execute(conn)?;
    Ok(changed > 0)
}

/// Whether there is such a device, and it was not seen since `before`.
pub fn is_unseen(
    conn: &mut Conn,
    user: &UserId,
    installation: &InstallationId,
    before: u64,
) -> QueryResult<bool> {
    let seen_at: Option<i64> = devices::table
        .find((user.as_str(), installation.as_str()))
        .select(devices::seen_at)
        .first(conn)
        .optional()?;
    Ok(seen_at.is_some_and(|at| at < signed(before)))
}

/// Of two who say so, the later one counts.
pub fn seen(
    conn: &mut Conn,
    user: &UserId,
    installation: &InstallationId,
    now: u64,
) -> QueryResult<()> {
    let row = devices::table
        .find((user.as_str(), installation.as_str()))
        .filter(devices::seen_at.lt(signed(now)));
    diesel::update(row).set(devices::seen_at.eq(signed(now))).execute(conn).map(drop)
}

const FORGET: &str = "UPDATE devices SET token = NULL, token_hash = NULL \
     WHERE (user_id, installation) IN (SELECT user_id, installation FROM devices \
     WHERE token IS NOT NULL AND seen_at < $1 LIMIT $2)";

/// Says how many tokens went.
pub fn forget_tokens(conn: &mut Conn, before: u64, most: usize) -> QueryResult<usize> {
    diesel::sql_query(FORGET)
        .bind::<BigInt, _>(signed(before))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)
}
