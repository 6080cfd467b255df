//! Pushes as rows.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

use super::rooms::unreadable;
use super::rounds::{Waiting, by_user, ms, new_lease};
use super::row::{position, signed, unsigned};
use super::turns::{NOT_TAKEN, NOW, UNREAD_ANYWHERE};
use super::{Body, Conn};
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;
use crate::push_token::PushToken;
use crate::store::pushes::{
    BADGE_MOST, DuePush, End, Ended, Kind, NewPush, PREVIEW_BYTES, PushRecord, Said, State,
};
use crate::store::schema::pushes;

const WAITING: &str = State::Waiting.as_str();
const CALLING: &str = State::Calling.as_str();

/// Takes out what waits for the devices that something new of the room is kept for.
pub fn take_waiting<'a>(
    conn: &mut Conn,
    room: &RoomId,
    new: &'a [NewPush],
) -> QueryResult<Waiting<'a>> {
    let mut earliest = Waiting::new();
    let users = by_user(new);
    let waiting = pushes::table
        .filter(pushes::room.eq(room.as_str()))
        .filter(pushes::user_id.eq_any(users.keys().copied()))
        .filter(pushes::kind.eq(Kind::Message.as_str()))
        .filter(pushes::state.eq(WAITING));
    type Row = (i64, String, String, (i64, i64), (i64, i64));
    let rows: Vec<Row> = waiting
        .select((
            pushes::id,
            pushes::user_id,
            pushes::device,
            (pushes::epoch, pushes::seq),
            (pushes::from_epoch, pushes::from_seq),
        ))
        .load(conn)?;
    let mut gone = Vec::new();
    for (id, user, device, at, from) in rows {
        let of_user = users.get(user.as_str()).into_iter().flatten();
        let mut newer = of_user.filter(|push| {
            push.unwanted.is_none()
                && push.device.as_str() == device
                && push.position > position(at)
        });
        if let Some(push) = newer.next() {
            let key = (push.user.as_str(), push.device.as_str());
            let first = earliest.entry(key).or_insert(position(from));
            *first = (*first).min(position(from));
            gone.push(id);
        }
    }
    if !gone.is_empty() {
        // Whoever has taken one meanwhile sends it, and notes that at nothing.
        diesel::delete(pushes::table.filter(pushes::id.eq_any(gone))).execute(conn)?;
    }
    Ok(earliest)
}

/// Keeps one; one that is there already stays as it is.
pub fn add(conn: &mut Conn, room: &RoomId, push: &NewPush, from: Position) -> QueryResult<()> {
    let add = format!(
        "INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, from_seq, state, \
         reason, created_at, ended_at, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {NOW}, \
         CASE WHEN $10 IS NULL THEN NULL ELSE {NOW} END, \
         CASE WHEN $10 IS NULL THEN {NOW} ELSE NULL END) ON CONFLICT DO NOTHING"
    );
    let reason = push.unwanted.map(|why| why.as_str());
    diesel::sql_query(add)
        .bind::<Text, _>(room.as_str())
        .bind::<Text, _>(push.user.as_str())
        .bind::<Text, _>(push.device.as_str())
        .bind::<Text, _>(Kind::Message.as_str())
        .bind::<BigInt, _>(signed(push.position.epoch))
        .bind::<BigInt, _>(signed(push.position.seq))
        .bind::<BigInt, _>(signed(from.epoch))
        .bind::<BigInt, _>(signed(from.seq))
        .bind::<Text, _>(if reason.is_some() { State::Suppressed.as_str() } else { WAITING })
        .bind::<Nullable<Text>, _>(reason)
        .execute(conn)
        .map(drop)
}

/// Takes what is due.
pub fn claim(conn: &mut Conn, lease: Duration, most: usize) -> QueryResult<Vec<DuePush>> {
    let token = new_lease();
    let take = format!(
        "UPDATE pushes SET lease = $1, state = '{CALLING}', attempts = attempts + 1, \
         next_at = {NOW} + $2 WHERE id IN (SELECT id FROM pushes \
         WHERE next_at IS NOT NULL AND next_at <= {NOW} ORDER BY next_at LIMIT $3 {NOT_TAKEN})"
    );
    let taken = diesel::sql_query(take)
        .bind::<BigInt, _>(token)
        .bind::<BigInt, _>(ms(lease))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)?;
    if taken == 0 {
        return Ok(Vec::new());
    }
    let look = include_str!("pushes_due.sql").replace("{UNREAD_ANYWHERE}", UNREAD_ANYWHERE);
    let rows: Vec<Row> = diesel::sql_query(look)
        .bind::<Integer, _>(i32::try_from(PREVIEW_BYTES).unwrap_or(i32::MAX))
        .bind::<BigInt, _>(i64::from(BADGE_MOST))
        .bind::<BigInt, _>(token)
        .load(conn)?;
    rows.into_iter().map(|row| row.due(token)).collect()
}

/// A line of `pushes_due.sql`.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Nullable<Text>)]
    room_name: Option<String>,
    #[diesel(sql_type = Bool)]
    direct: bool,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    device: String,
    #[diesel(sql_type = Nullable<Text>)]
    token: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    locale: Option<String>,
    #[diesel(sql_type = Bool)]
    preview: bool,
    #[diesel(sql_type = Bool)]
    is_member: bool,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    from_epoch: i64,
    #[diesel(sql_type = BigInt)]
    from_seq: i64,
    #[diesel(sql_type = BigInt)]
    read_epoch: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = BigInt)]
    delivered_epoch: i64,
    #[diesel(sql_type = BigInt)]
    delivered_seq: i64,
    #[diesel(sql_type = Nullable<Text>)]
    sender: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    sender_name: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    sent_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    content_type: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_binary: Option<bool>,
    #[diesel(sql_type = Nullable<Binary>)]
    body: Option<Body>,
    #[diesel(sql_type = BigInt)]
    unread: i64,
    #[diesel(sql_type = BigInt)]
    badge: i64,
}

impl Row {
    fn due(self, lease: i64) -> QueryResult<DuePush> {
        let kind = match &*self.kind {
            "message" => Kind::Message,
            "read" => Kind::Read,
            _ => return Err(unreadable("a push of no kind")),
        };
        let token = self.token.as_deref().map(PushToken::parse);
        let count = |n: i64| u32::try_from(n).unwrap_or(BADGE_MOST);
        let said = self.sender.zip(self.sent_at).zip(self.body);
        let said = said.map(|((sender, sent_at), body)| Said {
            sender,
            sender_name: self.sender_name,
            sent_at: unsigned(sent_at),
            content_type: self.content_type,
            body: body.0.to_vec(),
            binary: self.is_binary.unwrap_or(true),
        });
        Ok(DuePush {
            id: self.id,
            lease,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            created_at: unsigned(self.created_at),
            kind,
            room: RoomId::parse(&self.room).map_err(unreadable)?,
            room_name: self.room_name,
            direct: self.direct,
            user: UserId::parse(&self.user_id).map_err(unreadable)?,
            device: InstallationId::parse(&self.device).map_err(unreadable)?,
            token: token.transpose().map_err(unreadable)?,
            locale: self.locale,
            preview: self.preview,
            is_member: self.is_member,
            position: position((self.epoch, self.seq)),
            from: position((self.from_epoch, self.from_seq)),
            read: position((self.read_epoch, self.read_seq)),
            delivered: position((self.delivered_epoch, self.delivered_seq)),
            said,
            unread: count(self.unread),
            badge: count(self.badge),
        })
    }
}

/// Notes what became of them.
pub fn done(conn: &mut Conn, ended: &[Ended]) -> QueryResult<()> {
    let note = format!(
        "UPDATE pushes SET state = $1, reason = $2, lease = NULL, \
         ended_at = CASE WHEN $3 IS NULL THEN {NOW} ELSE NULL END, next_at = {NOW} + $3 \
         WHERE id = $4 AND lease = $5"
    );
    for Ended { id, lease, end } in ended {
        let (state, reason, after) = match end {
            End::Sent => (State::Sent, None, None),
            End::Again { after, why } => (State::Waiting, Some(why.as_str()), Some(ms(*after))),
            End::Failed(why) => (State::Failed, Some(why.as_str()), None),
            End::Unwanted(why) => (State::Suppressed, Some(why.as_str()), None),
        };
        diesel::sql_query(&note)
            .bind::<Text, _>(state.as_str())
            .bind::<Nullable<Text>, _>(reason)
            .bind::<Nullable<BigInt>, _>(after)
            .bind::<BigInt, _>(*id)
            .bind::<BigInt, _>(*lease)
            .execute(conn)?;
    }
    Ok(())
}

/// The statements that have devices told of what was read elsewhere. `shown`: which pushes they show,
/// and up to where their members have read.
const READ_LATE: &str = "SELECT pushes.room AS room, pushes.user_id AS user_id, \
     cursors.epoch AS epoch, cursors.seq AS seq FROM pushes \
     JOIN cursors ON cursors.room = pushes.room AND cursors.user_id = pushes.user_id \
     WHERE pushes.state = 'sent' AND pushes.kind = 'message' AND pushes.cancelled = FALSE \
     AND pushes.ended_at > {NOW} - $1 AND (pushes.epoch, pushes.seq) <= (cursors.epoch, cursors.seq) \
     LIMIT $2";

#[derive(QueryableByName)]
struct ReadLate {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Has devices told of what was read while it was sent to them.
pub fn catch_up(conn: &mut Conn, span: Duration, most: usize) -> QueryResult<usize> {
    let late: Vec<ReadLate> = diesel::sql_query(READ_LATE.replace("{NOW}", NOW))
        .bind::<BigInt, _>(ms(span))
        .bind::<BigInt, _>(signed(most as u64))
        .load(conn)?;
    let mut told = 0;
    for read in late {
        told += cancel(conn, &read.room, &read.user_id, (read.epoch, read.seq), "")?;
    }
    Ok(told)
}

/// SQLite numbers its parameters as they come.
const SHOWN: &str = "(epoch, seq) <= ($1, $2) AND room = $3 AND user_id = $4 AND state = 'sent' \
     AND kind = 'message' AND cancelled = FALSE";

/// Has the member's devices that show something of the room up to there told that it was read; but
/// not the one that it was read on. Says how many.
pub fn cancel(
    conn: &mut Conn,
    room: &str,
    user: &str,
    (epoch, seq): (i64, i64),
    reader: &str,
) -> QueryResult<usize> {
    let tell = format!(
        "INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, from_seq, state, \
         created_at, next_at) SELECT room, user_id, device, 'read', $1, $2, $1, $2, \
         '{WAITING}', {NOW}, {NOW} FROM pushes WHERE {SHOWN} AND device <> $5 \
         ON CONFLICT DO NOTHING"
    );
    let told = diesel::sql_query(tell)
        .bind::<BigInt, _>(epoch)
        .bind::<BigInt, _>(seq)
        .bind::<Text, _>(room)
        .bind::<Text, _>(user)
        .bind::<Text, _>(reader)
        .execute(conn)?;
    diesel::sql_query(format!("UPDATE pushes SET cancelled = TRUE WHERE {SHOWN}"))
        .bind::<BigInt, _>(epoch)
        .bind::<BigInt, _>(seq)
        .bind::<Text, _>(room)
        .bind::<Text, _>(user)
        .execute(conn)?;
    Ok(told)
}

const OF: &str = "SELECT user_id, device, epoch, seq, state, reason, attempts, created_at, \
     ended_at, cancelled FROM pushes WHERE room = $1 AND kind = 'message' \
     AND (epoch, seq) >= ($2, $3) AND (from_epoch, from_seq) <= ($2, $3) \
     AND user_id > $4 AND user_id <= $5";

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    device: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    ended_at: Option<i64>,
    #[diesel(sql_type = Bool)]
    cancelled: bool,
}

/// What was told of the message at `at`.
pub fn of(
    conn: &mut Conn,
    room: &RoomId,
    at: Position,
    after: Option<&UserId>,
    upto: Option<&UserId>,
) -> QueryResult<Vec<PushRecord>> {
    // Behind every id of a user, which is printable ASCII.
    let last = upto.map_or("\x7f", UserId::as_str);
    let rows: Vec<RecordRow> = diesel::sql_query(OF)
        .bind::<Text, _>(room.as_str())
        .bind::<BigInt, _>(signed(at.epoch))
        .bind::<BigInt, _>(signed(at.seq))
        .bind::<Text, _>(after.map_or("", UserId::as_str))
        .bind::<Text, _>(last)
        .load(conn)?;
    let record = |row: RecordRow| {
        QueryResult::Ok(PushRecord {
            user: UserId::parse(&row.user_id).map_err(unreadable)?,
            device: InstallationId::parse(&row.device).map_err(unreadable)?,
            position: position((row.epoch, row.seq)),
            state: State::named(&row.state).ok_or_else(|| unreadable("a state that is none"))?,
            reason: row.reason,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            created_at: unsigned(row.created_at),
            ended_at: row.ended_at.map(unsigned),
            cancelled: row.cancelled,
        })
    };
    let mut records = rows.into_iter().map(record).collect::<QueryResult<Vec<_>>>()?;
    records.sort_unstable_by(|one, other| {
        (&one.user, &one.device, one.position).cmp(&(&other.user, &other.device, other.position))
    });
    Ok(records)
}

/// Forgets old ones.
pub fn forget(conn: &mut Conn, before: u64, most: usize) -> QueryResult<usize> {
    let forget = "DELETE FROM pushes WHERE id IN \
         (SELECT id FROM pushes WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
    diesel::sql_query(forget)
        .bind::<BigInt, _>(signed(before))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)
}
