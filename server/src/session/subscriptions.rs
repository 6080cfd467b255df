//! The subscriptions of one session.

use std::sync::Arc;

use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use prometheus_client::metrics::gauge::Gauge;

use super::destination::Source;
use crate::outbox::{AckMode, Subscription};
use crate::refusal::{Code, Refusal};
use crate::shape::Shape;
use crate::stomp::Version;

/// One subscription.
#[derive(Debug)]
pub struct Entry {
    /// The client's name for it; 1.0 may have none.
    id: Option<Box<str>>,
    /// The destination as the client said it.
    destination: Box<str>,
    /// What it is to.
    pub source: Source,
    /// What others deliver to.
    pub subscription: Arc<Subscription>,
    /// Up to where it is known that messages came in.
    proved: Position,
}

/// A subscription as a SUBSCRIBE asks for it.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The client's name for it.
    pub id: Option<&'a str>,
    /// The destination as the client said it.
    pub destination: &'a str,
    /// What it is to.
    pub source: &'a Source,
    /// How it acknowledges.
    pub ack: AckMode,
    /// The session's version.
    pub version: Version,
    /// How the bodies of its messages look.
    pub shape: Shape,
}

/// See the module. Few, so a list.
#[derive(Debug, Default)]
pub struct Subscriptions {
    entries: Vec<Entry>,
    next: u32,
}

impl Subscriptions {
    /// Adds one, within `most`, which `gauge` counts as long as it has not ended.
    pub fn add(
        &mut self,
        wanted: Wanted<'_>,
        most: usize,
        gauge: &Gauge,
    ) -> Result<Arc<Subscription>, Refusal> {
        let Wanted { id, destination, source, ack, version, shape } = wanted;
        if id.is_some() && self.entries.iter().any(|entry| entry.id.as_deref() == id) {
            return Err(Refusal::new(Code::BadRequest, "a subscription has this id already"));
        }
        if self.entries.len() >= most {
            return Err(Refusal::new(Code::TooLarge, "the session has too many subscriptions"));
        }
        let subscription = Subscription::new(self.next, id, destination, ack, version);
        let subscription = Arc::new(subscription.shaped(shape).counted_by(gauge.clone()));
        self.next = self.next.wrapping_add(1);
        self.entries.push(Entry {
            id: id.map(Into::into),
            destination: destination.into(),
            source: source.clone(),
            subscription: subscription.clone(),
            proved: Position::ZERO,
        });
        Ok(subscription)
    }

    /// Takes one out: by id, or as in 1.0 by destination.
    pub fn remove(&mut self, id: Option<&str>, destination: Option<&str>) -> Option<Entry> {
        let named = |entry: &Entry| match id {
            Some(id) => entry.id.as_deref() == Some(id),
            None => destination == Some(&*entry.destination),
        };
        let index = self.entries.iter().position(named)?;
        Some(self.entries.swap_remove(index))
    }

    /// Forgets one that was refused.
    pub fn forget_ended(&mut self) {
        self.entries.retain(|entry| !entry.subscription.is_ended());
    }

    /// The one with this number.
    pub fn numbered(&self, number: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.subscription.number == number)
    }

    /// The one with this id.
    pub fn with_id(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id.as_deref() == Some(id))
    }

    /// One to this room's messages that is acknowledged.
    pub fn in_room(&self, room: &RoomId) -> Option<&Entry> {
        let acknowledged = |entry: &&Entry| entry.subscription.ack != AckMode::Auto;
        let to_room = |entry: &&Entry| matches!(&entry.source, Source::Room(to) if to == room);
        self.entries.iter().filter(acknowledged).find(to_room)
    }

    /// Rooms of which messages came in that were not known to, or their ends by an inbox: up to
    /// where, each said once. Those that acknowledge say so themselves.
    pub fn take_proved(&mut self) -> impl Iterator<Item = (RoomId, Position)> {
        let automatic = |entry: &&mut Entry| entry.subscription.ack == AckMode::Auto;
        self.entries.iter_mut().filter(automatic).flat_map(|entry| {
            let given = match &entry.source {
                Source::Room(room) => {
                    let given = entry.subscription.given();
                    let new = given > entry.proved;
                    entry.proved = entry.proved.max(given);
                    new.then(|| (room.clone(), given))
                }
                _ => None,
            };
            given.into_iter().chain(entry.subscription.take_told())
        })
    }

    /// The rooms whose messages they are to; one may come twice.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.entries.iter().filter_map(|entry| match &entry.source {
            Source::Room(room) => Some(room),
            _ => None,
        })
    }

    /// One to this source.
    pub fn to(&self, source: &Source) -> Option<Arc<Subscription>> {
        let entry = self.entries.iter().find(|entry| entry.source == *source)?;
        Some(entry.subscription.clone())
    }

    /// All of them, taken out.
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }
}
