//! Rooms that are due, and the looks through their members.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::rooms::unreadable;
use super::row::{position, signed};
use super::turns::{NOT_TAKEN, NOW, reachable, take_heads};
use super::{Conn, cursors, pushes};
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;
use crate::quiet::{QuietHours, Zone};
use crate::store::pushes::{Candidate, NewPush, News, Round, RoundPage, Target};
use crate::store::schema::{room_heads, rounds};

/// A room that is due.
#[derive(Debug, QueryableByName)]
pub struct Due {
    #[diesel(sql_type = Text)]
    pub room: String,
    #[diesel(sql_type = BigInt)]
    pub from_epoch: i64,
    #[diesel(sql_type = BigInt)]
    pub from_seq: i64,
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = BigInt)]
    pub stored_at: i64,
}

/// What is read of a head that is due.
pub const DUE_HEAD: &str = "SELECT room, from_epoch, from_seq, epoch, seq, stored_at \
     FROM room_heads WHERE due_at IS NOT NULL AND due_at <= {NOW} AND";

pub fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Whoever has this number has what it is written at.
pub fn new_lease() -> i64 {
    // The largest is left out, as nothing else is special about any.
    i64::from_ne_bytes(rand::random::<[u8; 8]>())
}

/// Rooms that become rounds with one look, and the looks of one call.
const DUE: usize = 100;
const LOOKS: usize = 10;

/// Makes rounds of the rooms that are due, and takes rounds that nobody works on. Every message has
/// had the `grace` (ms) by then.
pub fn claim(conn: &mut Conn, lease: Duration, most: usize, grace: i64) -> QueryResult<Vec<Round>> {
    // Those with nobody to be told keep no others waiting.
    for _ in 0..LOOKS {
        if begin_due(conn, grace)? < DUE {
            break;
        }
    }
    let token = new_lease();
    let take = format!(
        "UPDATE rounds SET lease = $1, leased_until = {NOW} + $2 WHERE id IN \
         (SELECT id FROM rounds WHERE leased_until <= {NOW} ORDER BY leased_until \
         LIMIT $3 {NOT_TAKEN})"
    );
    let taken = diesel::sql_query(take)
        .bind::<BigInt, _>(token)
        .bind::<BigInt, _>(ms(lease))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)?;
    if taken == 0 {
        return Ok(Vec::new());
    }
    type Row = (i64, String, (i64, i64), (i64, i64), String);
    let rows: Vec<Row> = rounds::table
        .filter(rounds::lease.eq(token))
        .select((
            rounds::id,
            rounds::room,
            (rounds::from_epoch, rounds::from_seq),
            (rounds::upto_epoch, rounds::upto_seq),
            rounds::after_user,
        ))
        .load(conn)?;
    let round = |(id, room, from, upto, after): Row| {
        let after = (!after.is_empty()).then(|| UserId::parse(&after));
        QueryResult::Ok(Round {
            id,
            lease: token,
            room: RoomId::parse(&room).map_err(unreadable)?,
            from: position(from),
            upto: position(upto),
            after: after.transpose().map_err(unreadable)?,
        })
    };
    rows.into_iter().map(round).collect()
}

/// How many were due.
fn begin_due(conn: &mut Conn, grace: i64) -> QueryResult<usize> {
    let due: Vec<String> = room_heads::table
        .filter(due_now())
        .order(room_heads::due_at)
        .limit(signed(DUE as u64))
        .select(room_heads::room)
        .load(conn)?;
    if due.is_empty() {
        return Ok(0);
    }
    let names: Vec<&str> = due.iter().map(String::as_str).collect();
    // Most rooms of most chats have nobody to be told. Asked before the heads are taken, for which
    // inserts would wait.
    let reachable = reachable(conn, &names)?;
    let taken = take_due(conn, &names)?;
    for due in taken.iter().filter(|due| reachable.contains(&due.room)) {
        diesel::insert_into(rounds::table)
            .values((
                rounds::room.eq(&due.room),
                rounds::from_epoch.eq(due.from_epoch),
                rounds::from_seq.eq(due.from_seq),
                rounds::upto_epoch.eq(due.epoch),
                rounds::upto_seq.eq(due.seq),
                rounds::after_user.eq(""),
                // The last of them came later than the first, for which it is due.
                rounds::leased_until.eq(due.stored_at.saturating_add(grace)),
            ))
            .execute(conn)?;
    }
    Ok(due.len())
}

type IsDue = diesel::expression::SqlLiteral<diesel::sql_types::Bool>;

fn due_now() -> IsDue {
    diesel::dsl::sql(&format!("due_at IS NOT NULL AND due_at <= {NOW}"))
}

/// Takes those of the rooms that are due still, and that nobody else takes.
fn take_due(conn: &mut Conn, names: &[&str]) -> QueryResult<Vec<Due>> {
    let taken = take_heads(conn, names)?;
    let names: Vec<&str> = taken.iter().map(|due| due.room.as_str()).collect();
    diesel::update(room_heads::table.filter(room_heads::room.eq_any(&names)))
        .set((
            room_heads::from_epoch.eq(None::<i64>),
            room_heads::from_seq.eq(None::<i64>),
            room_heads::due_at.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(taken)
}

/// A device of a member, with what the member has.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = BigInt)]
    read_epoch: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(embed)]
    target: TargetRow,
}

/// A device, and what it wants to hear.
#[derive(QueryableByName)]
pub struct TargetRow {
    #[diesel(sql_type = Text)]
    installation: String,
    #[diesel(sql_type = Bool)]
    muted: bool,
    #[diesel(sql_type = Bool)]
    room_muted: bool,
    #[diesel(sql_type = Nullable<Text>)]
    quiet_hours: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    time_zone: Option<String>,
}

impl TargetRow {
    pub fn target(&self) -> QueryResult<Target> {
        let hours = self.quiet_hours.as_deref().map(QuietHours::parse);
        Ok(Target {
            installation: InstallationId::parse(&self.installation).map_err(unreadable)?,
            muted: self.muted,
            room_muted: self.room_muted,
            quiet_hours: hours.transpose().map_err(unreadable)?,
            // Another process may know more of them; then they are hours of UTC here.
            time_zone: self.time_zone.as_deref().and_then(|name| Zone::parse(name).ok()),
        })
    }
}

/// Members first, so that a page has all devices of each. A device may have muted more rooms than a
/// page can carry: only whether it is this one is read.
const PAGE: &str = "SELECT page.user_id, page.read_epoch, page.read_seq, \
     devices.installation, devices.muted, \
     replace(' ' || devices.muted_rooms || ' ', ' ' || $1 || ' ', '') \
     <> ' ' || devices.muted_rooms || ' ' AS room_muted, devices.quiet_hours, devices.time_zone \
     FROM (SELECT members.user_id, coalesce(cursors.epoch, 0) AS read_epoch, \
     coalesce(cursors.seq, 0) AS read_seq \
     FROM members \
     LEFT JOIN cursors ON cursors.room = members.room AND cursors.user_id = members.user_id \
     WHERE members.room = $1 AND members.user_id > $2 AND members.banned = FALSE \
     AND EXISTS (SELECT 1 FROM devices WHERE devices.user_id = members.user_id \
     AND devices.token IS NOT NULL) ORDER BY members.user_id LIMIT $3) AS page \
     JOIN devices ON devices.user_id = page.user_id WHERE devices.token IS NOT NULL";

pub fn page(
    conn: &mut Conn,
    room: &RoomId,
    (from, upto): (Position, Position),
    after: Option<&UserId>,
    most: usize,
) -> QueryResult<RoundPage> {
    let news = news(conn, room, from, upto)?;
    if news.is_empty() {
        return Ok(RoundPage::default());
    }
    let rows: Vec<Row> = diesel::sql_query(PAGE)
        .bind::<Text, _>(room.as_str())
        .bind::<Text, _>(after.map_or("", UserId::as_str))
        .bind::<BigInt, _>(signed(most as u64))
        .load(conn)?;
    let mut members: BTreeMap<&str, Candidate> = BTreeMap::new();
    for row in &rows {
        let target = row.target.target()?;
        if let Some(known) = members.get_mut(row.user_id.as_str()) {
            known.targets.push(target);
            continue;
        }
        let member = Candidate {
            user: UserId::parse(&row.user_id).map_err(unreadable)?,
            read: position((row.read_epoch, row.read_seq)),
            delivered: Position::ZERO,
            targets: vec![target],
        };
        members.insert(&row.user_id, member);
    }
    let users: Vec<UserId> = members.values().map(|member| member.user.clone()).collect();
    for given in cursors::delivered_of(conn, room, &users)? {
        if let Some(member) = members.get_mut(given.user.as_str()) {
            member.delivered = member.delivered.max(given.position);
        }
    }
    let mut candidates: Vec<Candidate> = members.into_values().collect();
    for member in &mut candidates {
        member.targets.sort_unstable_by(|one, other| one.installation.cmp(&other.installation));
    }
    let more = candidates.len() >= most;
    let next = candidates.last().filter(|_| more).map(|last| last.user.clone());
    Ok(RoundPage { news, candidates, next })
}

/// The last message, and the last one of anybody else.
fn news(conn: &mut Conn, room: &RoomId, from: Position, upto: Position) -> QueryResult<Vec<News>> {
    let mut news: Vec<News> = Vec::new();
    for _ in 0..2 {
        let but = news.first().map_or("", |last| last.sender.as_str());
        let found: Option<Place> = diesel::sql_query(LAST)
            .bind::<Text, _>(room.as_str())
            .bind::<BigInt, _>(signed(from.epoch))
            .bind::<BigInt, _>(signed(from.seq))
            .bind::<BigInt, _>(signed(upto.epoch))
            .bind::<BigInt, _>(signed(upto.seq))
            .bind::<Text, _>(but)
            .get_result(conn)
            .optional()?;
        let Some(found) = found else { break };
        let sender = UserId::parse(&found.sender).map_err(unreadable)?;
        news.push(News { position: position((found.epoch, found.seq)), sender });
    }
    Ok(news)
}

const LAST: &str = "SELECT epoch, seq, sender FROM messages WHERE room = $1 \
     AND (epoch, seq) >= ($2, $3) AND (epoch, seq) <= ($4, $5) AND sender <> $6 \
     ORDER BY epoch DESC, seq DESC LIMIT 1";

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    sender: String,
}

/// Keeps what a page came to, and moves its round on. False: it is somebody else's.
pub fn keep(
    conn: &mut Conn,
    round: &Round,
    new: &[NewPush],
    next: Option<&UserId>,
    lease: Duration,
) -> QueryResult<bool> {
    let mine = rounds::table.filter(rounds::id.eq(round.id)).filter(rounds::lease.eq(round.lease));
    let moved = match next {
        None => diesel::delete(mine).execute(conn)?,
        Some(user) => {
            let on = format!(
                "UPDATE rounds SET after_user = $1, leased_until = {NOW} + $2 \
                 WHERE id = $3 AND lease = $4"
            );
            diesel::sql_query(on)
                .bind::<Text, _>(user.as_str())
                .bind::<BigInt, _>(ms(lease))
                .bind::<BigInt, _>(round.id)
                .bind::<BigInt, _>(round.lease)
                .execute(conn)?
        }
    };
    if moved == 0 {
        return Ok(false);
    }
    let waiting = pushes::take_waiting(conn, &round.room, new)?;
    pushes::add(conn, round, new, &waiting)?;
    Ok(true)
}

/// What waited for a device: where its first message stands, and how often it was tried.
pub type Waiting<'a> = HashMap<(&'a str, &'a str), (Position, i64)>;

/// The pushes of a page by their users.
pub fn by_user(new: &[NewPush]) -> BTreeMap<&str, Vec<&NewPush>> {
    let mut users: BTreeMap<&str, Vec<&NewPush>> = BTreeMap::new();
    for push in new {
        users.entry(push.user.as_str()).or_default().push(push);
    }
    users
}
