//! What SQLite makes of every statement about rooms and people: a walk of an index, never of a table.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_types::Text;
use parking_lot::Mutex;

use super::file::Database;
use super::rows::{
    accounts, cursors, devices, inbox, last_seen, logins, members, purge, pushes, revocations,
    rooms, rounds,
};
use super::write::Writer;
use super::{heads, moves};
use crate::envelope::Envelope;
use crate::ids::{InstallationId, OriginId, RoomId, UserId};
use crate::membership::{Change, Member, Role};
use crate::position::Position;
use crate::push_token::PushToken;
use crate::store::accounts::{Account, Login, NewRefresh, Revocation, Subject};
use crate::store::cursors::{Delivered, Read};
use crate::store::devices::{Device, Platform};
use crate::store::heads::Head;
use crate::store::inbox::Token;
use crate::store::last_seen::Seen;
use crate::store::pushes::{DuePush, End, Ended, NewPush};
use crate::store::rooms::{NewRoom, RoomChange, Visibility};

/// A step of a plan.
#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// Asks everything once of a database with the rows that it needs to come to each statement.
fn everything(writer: &mut Writer) -> QueryResult<()> {
    let (ann, bob) = (user("ann"), user("bob"));
    let id = RoomId::parse("r").unwrap();
    let two = [Member::new(ann.clone(), None, 1), Member::new(bob.clone(), None, 2)];
    let room = NewRoom { id: id.clone(), name: None, visibility: Visibility::Public };
    rooms::create(&mut writer.conn, &room, &two[0], 1)?;
    rooms::direct(&mut writer.conn, &RoomId::parse("dm~1").unwrap(), &two, 1)?;
    rooms::update(&mut writer.conn, &id, &ann, &RoomChange::default())?.unwrap();
    rooms::visible(&mut writer.conn, &ann, Some(&id), 10)?;
    let put = Change::Put { role: Some(Role::Admin), muted_until: None, banned: None };
    members::change(&mut writer.conn, &id, &ann, &bob, &put, 1)?.unwrap();
    let mute = Change::Put { role: None, muted_until: Some(Some(9)), banned: None };
    members::change(&mut writer.conn, &id, &ann, &bob, &mute, 1)?.unwrap();
    members::change(&mut writer.conn, &id, &ann, &bob, &Change::Kick, 1)?.unwrap();
    members::change(&mut writer.conn, &id, &ann, &bob, &put, 1)?.unwrap();
    members::reader(&mut writer.conn, &id, &ann)?;
    members::list(&mut writer.conn, &id, Some(&ann), 10)?;
    let (room, user, position) = (id.clone(), bob.clone(), Position::new(5, 5));
    let read = Read { room: room.clone(), user: user.clone(), position, device: None };
    moves::move_reads(&mut writer.conn, &[read])?;
    let given = Delivered { room, user, device: None, position };
    moves::move_delivered(&mut writer.conn, &[given])?;
    cursors::delivered_of(&mut writer.conn, &id, std::slice::from_ref(&bob))?;
    let seen = Seen { user: bob.clone(), at: 1 };
    moves::move_last_seen(&mut writer.conn, &[seen])?;
    last_seen::of(&mut writer.conn, std::slice::from_ref(&bob))?;
    cursors::rooms_of(&mut writer.conn, &bob, None, 10)?;
    of_inboxes(writer, &id, &bob)?;
    of_pushes(writer, &id, &bob)?;
    members::came(&mut writer.conn, &bob)?;
    members::has_come(&mut writer.conn, &id, &bob, "joined")?;
    members::vanish(&mut writer.conn, &ann, 10, 1)?;
    let account =
        Account { user: bob.clone(), name: None, password_hash: "x".into(), created_at: 1 };
    accounts::create(&mut writer.conn, &account)?;
    accounts::rename(&mut writer.conn, &bob, None)?;
    accounts::is_taken(&mut writer.conn, &bob)?;
    let login = Login { user: bob.clone(), id: "l".into() };
    let refresh = |n| NewRefresh { hash: [n; 32], expires_at: 100 };
    logins::begin(&mut writer.conn, &login, "x", &refresh(1), 3, 9)?;
    logins::rotate(&mut writer.conn, &[1; 32], &refresh(2), 10, 10, 9)?;
    logins::of(&mut writer.conn, &[1; 32])?;
    logins::end_of(&mut writer.conn, &[1; 32], 9)?;
    let revocation = Revocation { subject: Subject::User(bob.clone()), before: 1, until: 9 };
    of_devices(writer, &bob)?;
    accounts::set_password(&mut writer.conn, &bob, "x", "y", &revocation)?;
    accounts::delete(&mut writer.conn, &bob, &revocation)?;
    revocations::all(&mut writer.conn, 1)?;
    revocations::forget_expired(&mut writer.conn, 1)?;
    logins::forget_expired(&mut writer.conn, 1)?;
    rooms::delete(&mut writer.conn, &id, &bob, 9)?.unwrap();
    purge::unpurged(&mut writer.conn, 10)?;
    purge::part(&mut writer.conn, &id, 10)?;
    purge::end(&mut writer.conn, &id)
}

fn of_pushes(writer: &mut Writer, room: &RoomId, user: &UserId) -> QueryResult<()> {
    let lease = Duration::from_secs(9);
    let phone = InstallationId::parse("phone").unwrap();
    let device = Device {
        installation: phone.clone(),
        token: Some(PushToken::parse("t").unwrap()),
        platform: Platform::Web,
        locale: None,
        time_zone: None,
        muted: false,
        preview: true,
        quiet_hours: None,
        muted_rooms: Vec::new(),
        seen_at: 1,
    };
    devices::put(&mut writer.conn, user, &device, 2)?;
    let at = Position::new(6, 6);
    let said = Envelope {
        room: room.clone(),
        position: at,
        origin: OriginId::parse("x").unwrap(),
        sender: self::user("ann"),
        sender_name: None,
        sent_at: 1,
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    };
    writer.insert(&said)?;
    let head = Head { upto: at, from: Some(at) };
    for _ in 0..2 {
        heads::move_on(&mut writer.conn, &[(room.as_str(), head)].into(), Some(0))?;
    }
    for _ in 0..2 {
        let rounds = rounds::claim(&mut writer.conn, lease, 9, 0)?;
        for round in rounds {
            let after = Some(user).filter(|_| round.after.is_some());
            rounds::page(&mut writer.conn, room, (at, at), after, 9)?;
            let push = NewPush {
                user: user.clone(),
                device: phone.clone(),
                position: Position::new(6, 6),
                unwanted: None,
            };
            rounds::keep(&mut writer.conn, &round, &[push], Some(user), lease)?;
            rounds::keep(&mut writer.conn, &round, &[], None, lease)?;
        }
    }
    pushes::claim(&mut writer.conn, 7, lease, 9)?;
    let due = pushes::due(&mut writer.conn, 7)?;
    let ended = |due: &DuePush| Ended { id: due.id, lease: due.lease, end: End::Sent };
    pushes::done(&mut writer.conn, &due.iter().map(ended).collect::<Vec<_>>())?;
    assert_eq!(due.len(), 1);
    pushes::catch_up(&mut writer.conn, lease, 9)?;
    pushes::cancel(&mut writer.conn, room.as_str(), user.as_str(), (9, 9), "")?;
    pushes::of(&mut writer.conn, room, at, None, Some(user))?;
    pushes::forget(&mut writer.conn, 1, 9).map(drop)
}

fn of_inboxes(writer: &mut Writer, room: &RoomId, user: &UserId) -> QueryResult<()> {
    inbox::rooms(&mut writer.conn, user, 10)?;
    inbox::changes(&mut writer.conn, user, Some(Token::ZERO), 10)?;
    inbox::changes(&mut writer.conn, user, None, 10)?;
    inbox::entries(&mut writer.conn, &[(user.clone(), room.clone())])?;
    inbox::forget(&mut writer.conn, 1, 10).map(drop)
}

fn of_devices(writer: &mut Writer, user: &UserId) -> QueryResult<()> {
    let token = PushToken::parse("t").unwrap();
    let device = |n: u64| Device {
        installation: InstallationId::parse(&format!("phone-{n}")).unwrap(),
        token: Some(token.clone()),
        platform: Platform::Web,
        locale: None,
        time_zone: None,
        muted: false,
        preview: true,
        quiet_hours: None,
        muted_rooms: Vec::new(),
        seen_at: n,
    };
    for n in [1, 2, 3] {
        devices::put(&mut writer.conn, user, &device(n), 2)?;
    }
    let phone = device(3).installation;
    devices::of(&mut writer.conn, user)?;
    devices::of_users(&mut writer.conn, &[user.clone(), self::user("ann")])?;
    devices::is_unseen(&mut writer.conn, user, &phone, 9)?;
    devices::seen(&mut writer.conn, user, &phone, 9)?;
    devices::token_gone(&mut writer.conn, user, &phone, &token)?;
    devices::forget_tokens(&mut writer.conn, 10, 10)?;
    devices::delete(&mut writer.conn, user, &phone)
}

#[test]
fn every_statement_about_rooms_and_people_walks_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::prepare(&dir.path().join("moim.db")).unwrap();
    let mut writer = Writer::new(database.writer().unwrap());
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let notes = asked.clone();
    writer.conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            notes.lock().push(query.to_string());
        }
    });
    everything(&mut writer).unwrap();
    let asked = std::mem::take(&mut *asked.lock());
    let mut seen = 0;
    for sql in asked.iter().filter(|sql| !sql.starts_with("BEGIN") && !sql.starts_with("COMMIT")) {
        let plan: Vec<Step> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(&mut writer.conn).unwrap();
        seen += 1;
        for Step { detail } in plan {
            // Of a subquery's own rows there are no more than its limit.
            let limited =
                detail.contains("subquery") || ["SCAN counted", "SCAN page"].contains(&&*detail);
            // What is asked about is one row.
            let limited = limited || detail == "SCAN CONSTANT ROW" || detail == "SCAN given";
            let walks = detail.starts_with("SCAN") && !limited;
            assert!(!walks && !detail.contains("TEMP B-TREE"), "{detail}: {sql}");
        }
    }
    assert!(seen > 40, "{seen} statements were looked at");
}
