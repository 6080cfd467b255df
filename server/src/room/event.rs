//! What happens in a room besides its messages, as `/topic/rooms/{room}/events` shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use moim_shared::clock::now_ms;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::{Moves, Person};
use serde_json::{Value, json};

use crate::outbox::Tail;
use crate::stomp::{FrameWriter, Version};

/// What a watcher is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// Who is there, as far as there is room for them; and how many they are.
    Here(&'a [Person], usize),
    /// Who came, went, or is otherwise.
    Moves(&'a Moves),
    /// Somebody types, or does not any more.
    Typing(&'a UserId, Option<&'a str>, bool),
    /// The memberships are not what they were.
    Members,
    /// The room's name or visibility is another.
    Changed,
    /// Somebody has read so far.
    Read(&'a UserId, Position),
    /// A device of somebody was given messages so far.
    Delivered(&'a UserId, Position),
}

/// The event for one version.
pub fn encode(told: &Told<'_>, room: &RoomId, version: Version) -> Tail {
    // Unique for the room, its next lives too.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let body = json_of(told).to_string();
    let mut bytes = Vec::with_capacity(128 + body.len());
    FrameWriter::tail(&mut bytes, version)
        .header("message-id", &format!("{room}/events-{}-{number}", now_ms()))
        .header("room", room.as_str())
        .header("content-type", "application/json;charset=UTF-8")
        .body(body.as_bytes());
    Tail::new(bytes, false, format!("0-{number}"))
}

fn json_of(told: &Told<'_>) -> Value {
    match told {
        Told::Members => json!({ "type": "members" }),
        Told::Here(people, count) => {
            let users: Vec<Value> = people.iter().map(person).collect();
            json!({ "type": "here", "users": users, "count": count })
        }
        Told::Moves(Moves { arrived, departed, away, back, .. }) => json!({
            "type": "presence",
            "arrived": arrived.iter().map(person).collect::<Vec<_>>(),
            "departed": departed.iter().map(departure).collect::<Vec<_>>(),
            "away": away.iter().map(user).collect::<Vec<_>>(),
            "back": back.iter().map(user).collect::<Vec<_>>(),
        }),
        Told::Changed => json!({ "type": "room" }),
        Told::Typing(who, name, typing) => {
            let mut event = called(who, *name);
            event["type"] = "typing".into();
            event["typing"] = (*typing).into();
            event
        }
        Told::Read(user, position) => cursor("read", user, *position),
        Told::Delivered(user, position) => cursor("delivered", user, *position),
    }
}

fn cursor(kind: &str, user: &UserId, position: Position) -> Value {
    json!({ "type": kind, "user": user.as_str(), "position": position.to_string() })
}

fn user(user: &UserId) -> Value {
    json!({ "user": user.as_str() })
}

fn called(who: &UserId, name: Option<&str>) -> Value {
    let mut called = user(who);
    if let Some(name) = name {
        called["name"] = name.into();
    }
    called
}

fn person(Person { user, name, away }: &Person) -> Value {
    let mut person = called(user, name.as_deref());
    if *away {
        person["away"] = true.into();
    }
    person
}

fn departure((who, last_seen): &(UserId, Option<u64>)) -> Value {
    let mut departure = user(who);
    if let Some(ms) = last_seen {
        departure["lastSeen"] = (*ms).into();
    }
    departure
}
