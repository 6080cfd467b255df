//! Pushes as rows.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

use super::rooms::unreadable;
use super::rounds::{TargetRow, Waiting, by_user, ms};
use super::row::{position, signed, unsigned};
use super::turns::{NOT_TAKEN, NOW, ONCE, UNREAD_ANYWHERE, add_pushes};
use super::{Body, Conn};
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;
use crate::push_token::PushToken;
use crate::store::pushes::{
    BADGE_MOST, DuePush, End, Ended, Kind, NewPush, PREVIEW_BYTES, PushRecord, Round, Said, State,
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
    let mut before = Waiting::new();
    let users = by_user(new);
    // As it stands in the index of these.
    let waiting = || diesel::dsl::sql::<Bool>("state = 'waiting' AND kind = 'message'");
    type Row = (i64, String, String, (i64, i64), (i64, i64), i64);
    let rows: Vec<Row> = pushes::table
        .filter(pushes::room.eq(room.as_str()))
        .filter(pushes::user_id.eq_any(users.keys().copied()))
        .filter(waiting())
        .select((
            pushes::id,
            pushes::user_id,
            pushes::device,
            (pushes::epoch, pushes::seq),
            (pushes::from_epoch, pushes::from_seq),
            pushes::attempts,
        ))
        .load(conn)?;
    let mut gone = Vec::new();
    for (id, user, device, at, from, attempts) in rows {
        let of_user = users.get(user.as_str()).into_iter().flatten();
        let mut newer = of_user.filter(|push| {
            push.unwanted.is_none()
                && push.device.as_str() == device
                && push.position > position(at)
        });
        if let Some(push) = newer.next() {
            let key = (push.user.as_str(), push.device.as_str());
            let first = before.entry(key).or_insert((position(from), 0));
            *first = (first.0.min(position(from)), first.1.max(attempts));
            gone.push(id);
        }
    }
    if !gone.is_empty() {
        // One that somebody has taken meanwhile goes out by itself.
        let gone = pushes::table.filter(pushes::id.eq_any(gone)).filter(waiting());
        diesel::delete(gone).execute(conn)?;
    }
    Ok(before)
}

/// A push of a message to be kept.
#[derive(Debug)]
pub struct NewRow<'a> {
    pub user: &'a str,
    pub device: &'a str,
    pub at: (i64, i64),
    pub from: (i64, i64),
    pub reason: Option<&'a str>,
    pub attempts: i64,
}

/// Keeps those of a round; one that is there already stays as it is.
pub fn add(
    conn: &mut Conn,
    round: &Round,
    new: &[NewPush],
    before: &Waiting<'_>,
) -> QueryResult<()> {
    let row = |push: &'_ NewPush| -> (Position, i64) {
        let known = before.get(&(push.user.as_str(), push.device.as_str()));
        known.map_or((round.from, 0), |(from, attempts)| (round.from.min(*from), *attempts))
    };
    let rows = new.iter().map(|push| {
        let (from, attempts) = row(push);
        NewRow {
            user: push.user.as_str(),
            device: push.device.as_str(),
            at: (signed(push.position.epoch), signed(push.position.seq)),
            from: (signed(from.epoch), signed(from.seq)),
            reason: push.unwanted.map(|why| why.as_str()),
            attempts,
        }
    });
    add_pushes(conn, round.room.as_str(), &rows.collect::<Vec<_>>())
}

/// Takes what is due under this lease; how many.
pub fn claim(conn: &mut Conn, token: i64, lease: Duration, most: usize) -> QueryResult<usize> {
    let take = format!(
        "UPDATE pushes SET lease = $1, state = '{CALLING}', attempts = attempts + 1, \
         next_at = {NOW} + $2 WHERE id IN (SELECT id FROM pushes \
         WHERE next_at IS NOT NULL AND next_at <= {NOW} ORDER BY next_at LIMIT $3 {NOT_TAKEN})"
    );
    diesel::sql_query(take)
        .bind::<BigInt, _>(token)
        .bind::<BigInt, _>(ms(lease))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)
}

/// What is known of those that were taken under this lease.
pub fn due(conn: &mut Conn, token: i64) -> QueryResult<Vec<DuePush>> {
    let look = include_str!("pushes_due.sql").replace("{UNREAD_ANYWHERE}", UNREAD_ANYWHERE);
    let rows: Vec<Row> = diesel::sql_query(look)
        .bind::<Integer, _>(i32::try_from(PREVIEW_BYTES).unwrap_or(i32::MAX))
        .bind::<BigInt, _>(i64::from(BADGE_MOST))
        .bind::<BigInt, _>(token)
        .load(conn)?;
    let readable = |row: Row| {
        let id = row.id;
        let due = row.due(token);
        // It holds up no others, and comes again in case another program can read it.
        due.inspect_err(|error| tracing::error!(push.id = id, %error, "a push cannot be read")).ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
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
    #[diesel(embed)]
    target: TargetRow,
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
            token: token.transpose().map_err(unreadable)?,
            locale: self.locale,
            preview: self.preview,
            target: self.target.target()?,
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

/// Has devices told of what was read while it was sent to them; how many pushes were looked at.
pub fn catch_up(conn: &mut Conn, span: Duration, most: usize) -> QueryResult<usize> {
    let late: Vec<ReadLate> = diesel::sql_query(READ_LATE.replace("{NOW}", NOW))
        .bind::<BigInt, _>(ms(span))
        .bind::<BigInt, _>(signed(most as u64))
        .load(conn)?;
    let each: BTreeMap<(&str, &str), (i64, i64)> =
        late.iter().map(|read| ((&*read.room, &*read.user_id), (read.epoch, read.seq))).collect();
    for ((room, user), read) in each {
        cancel(conn, room, user, read, "")?;
    }
    Ok(late.len())
}

/// What was told of a place is told again when something before it was shown after that.
pub const READ_AGAIN: &str = "ON CONFLICT (room, user_id, device, kind, epoch, seq) DO UPDATE \
     SET state = 'waiting', next_at = {NOW}, ended_at = NULL, lease = NULL \
     WHERE pushes.next_at IS NULL";

/// SQLite numbers its parameters as they come.
const SHOWN: &str = "(epoch, seq) <= ($1, $2) AND room = $3 AND user_id = $4 AND state = 'sent' \
     AND kind = 'message' AND cancelled = FALSE";

/// Has the member's devices that show something of the room up to there told that it was read; but
/// not the one that it was read on.
pub fn cancel(
    conn: &mut Conn,
    room: &str,
    user: &str,
    (epoch, seq): (i64, i64),
    reader: &str,
) -> QueryResult<()> {
    let tell = format!(
        "INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, from_seq, state, \
         created_at, next_at) SELECT room, user_id, device, 'read', $1, $2, $1, $2, \
         '{WAITING}', {NOW}, {NOW} FROM pushes WHERE {SHOWN} AND device <> $5 \
         {ONCE} {READ_AGAIN}",
        READ_AGAIN = READ_AGAIN.replace("{NOW}", NOW)
    );
    diesel::sql_query(tell)
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
        .execute(conn)
        .map(drop)
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
