//! What happens in a room besides its messages, as `/topic/rooms/{room}/events` shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use moim_shared::clock::now_ms;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::Event;
use serde_json::{Value, json};

use crate::outbox::Tail;
use crate::stomp::{FrameWriter, Version};

/// What a watcher is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// Something happened.
    Event(&'a Event),
    /// Who is there, as far as there is room for them; and how many they are.
    Here(&'a [Person], usize),
    /// The memberships are not what they were.
    Members,
    /// Somebody has read so far.
    Read(&'a UserId, Position),
    /// A device of somebody was given messages so far.
    Delivered(&'a UserId, Position),
}

/// Somebody, with the name for people.
pub type Person = (UserId, Option<String>);

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
        // Told of each by itself, gathered.
        Told::Event(Event::Read { .. } | Event::Delivered { .. }) => Value::Null,
        // Those who watch are told who is there instead.
        Told::Event(Event::Crowd) => json!({ "type": "here", "users": [], "count": 0 }),
        Told::Event(Event::Changed) => json!({ "type": "room" }),
        Told::Event(Event::Typing { user, name, typing }) => {
            let mut event = person(&(user.clone(), name.clone()));
            event["type"] = "typing".into();
            event["typing"] = (*typing).into();
            event
        }
        Told::Read(user, position) => cursor("read", user, *position),
        Told::Delivered(user, position) => cursor("delivered", user, *position),
        Told::Event(Event::Presence { arrived, departed }) => {
            let arrived: Vec<Value> = arrived.iter().map(person).collect();
            let departed: Vec<Value> =
                departed.iter().map(|user| json!({ "user": user.as_str() })).collect();
            json!({ "type": "presence", "arrived": arrived, "departed": departed })
        }
    }
}

fn cursor(kind: &str, user: &UserId, position: Position) -> Value {
    json!({ "type": kind, "user": user.as_str(), "position": position.to_string() })
}

fn person((user, name): &Person) -> Value {
    match name {
        Some(name) => json!({ "user": user.as_str(), "name": name }),
        None => json!({ "user": user.as_str() }),
    }
}
