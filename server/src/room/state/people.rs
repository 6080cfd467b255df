//! Who reads the room, on this node and on the others: counted here, told to the other nodes, and
//! shown to those who watch. Pure.
//!
//! Somebody is there once, whatever it reads the room with and on how many nodes. One that stops
//! reading stays until its grace ends. What the other nodes say is known while somebody watches, and
//! asked for when that begins; a node answers with all names while they are few, with some of them
//! and their number when they are a crowd.

mod heard;
mod others;
mod said;
mod shown;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::{NodeId, RoomId, UserId};
use moim_shared::signal::{Event, Moves, Person};

use self::others::Others;
use crate::nodes::Known;
use crate::room::access::Identity;

/// People who are told of by name at once.
pub const NAMES_MOST: usize = 100;

/// Subscriptions that ended and still count. Past it the oldest do not any more.
const LEAVING_MOST: usize = 20_000;

/// How often a crowd is told of: to other nodes, and to those who watch.
const SAID: Duration = Duration::from_millis(500);
const SHOWN: Duration = Duration::from_secs(1);

/// How long those who begin to watch wait for what other nodes say.
const ANSWERED: Duration = Duration::from_millis(800);

/// Nodes that do not answer for so long have nobody there.
const SILENT: Duration = Duration::from_secs(3);

/// Over so long rooms spread what they say when all of them have reason to.
const SPREAD: Duration = Duration::from_secs(1);

/// What was not told for a failure is told again after that.
const AGAIN: Duration = Duration::from_secs(1);

/// What a room knows of the node that it is on.
#[derive(Debug, Clone)]
pub struct Place {
    /// This run of the node, whose name no other run has.
    pub run: NodeId,
    /// There never is another node.
    pub alone: bool,
    /// How long who stopped reading still counts.
    pub grace: Duration,
    /// Some moment, and the same in ms since 1970.
    pub clock: (Instant, u64),
}

/// When something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    No,
    Now,
    /// In this room's turn, of a second in which all rooms do it.
    InTurn,
    At(Instant),
}

/// Whether the other nodes said who is there on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// They did, or nobody wants to know.
    No,
    /// They were asked since the last tick.
    Now,
    At(Instant),
}

/// Somebody who reads the room here, or did so until a moment ago.
#[derive(Debug)]
struct Reader {
    name: Option<String>,
    /// Subscriptions, with those that ended a moment ago.
    count: usize,
    /// Those of them whose sessions are away.
    away: usize,
    /// What the other nodes were told: whether it is away; `None`: nothing.
    told: Option<bool>,
    /// When it was last seen, in ms since 1970, if it is gone.
    last_seen: Option<u64>,
}

/// What those who watch were shown of somebody.
#[derive(Debug)]
struct Shown {
    was: Option<bool>,
    last_seen: Option<u64>,
}

/// What those who watch are to be shown.
#[derive(Debug)]
pub enum Show {
    /// Who came, went, or is otherwise.
    Moves(Moves),
    /// All of them.
    All,
}

/// What was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// Who is here.
    People,
    /// The question who is there.
    Question,
    /// Something that nobody misses.
    Other,
}

/// See the module.
#[derive(Debug)]
pub struct People {
    place: Place,
    turn: Duration,
    known: Arc<Known>,
    here: HashMap<UserId, Reader>,
    /// Subscriptions that ended since the last tick, and whether their sessions were away.
    left: Vec<(UserId, bool)>,
    /// Those before them, and until when they count.
    leaving: VecDeque<(Instant, UserId, bool)>,
    /// Those of whom the other nodes may know something else.
    moved: HashSet<UserId>,
    /// Who is here is to be said anew, all of it.
    say_all: Due,
    said_all: Option<Instant>,
    watched: bool,
    others: Others,
    /// How many are there on all nodes whose names are known.
    named: usize,
    /// Those of whom those who watch may have been shown something else.
    changed: HashMap<UserId, Shown>,
    /// All are to be shown anew.
    show_all: bool,
    shown_all: Option<Instant>,
    ask: Due,
    asked: Asked,
    /// What a node said does not fit to what it said before.
    odd: bool,
}

impl Due {
    fn is_due(&mut self, now: Instant, turn: Duration) -> bool {
        match *self {
            Self::No => false,
            Self::Now => true,
            Self::InTurn => {
                *self = Self::At(now + turn);
                false
            }
            Self::At(at) => at <= now,
        }
    }
}

impl Reader {
    const fn is_away(&self) -> bool {
        self.away >= self.count
    }
}

impl Untold {
    /// What the event is.
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::Presence(_) | Event::Here(_) => Self::People,
            Event::WhoIsHere { .. } => Self::Question,
            _ => Self::Other,
        }
    }
}

impl People {
    /// Nobody yet.
    pub fn new(room: &RoomId, place: Place) -> Self {
        let mut hasher = DefaultHasher::new();
        (room.as_str(), place.run.as_str()).hash(&mut hasher);
        Self::nobody(place, SPREAD.mul_f64((hasher.finish() % 1_000) as f64 / 1_000.0))
    }

    fn nobody(place: Place, turn: Duration) -> Self {
        Self {
            place,
            turn,
            known: Arc::default(),
            here: HashMap::new(),
            left: Vec::new(),
            leaving: VecDeque::new(),
            moved: HashSet::new(),
            say_all: Due::No,
            said_all: None,
            watched: false,
            others: Others::default(),
            named: 0,
            changed: HashMap::new(),
            show_all: false,
            shown_all: None,
            ask: Due::No,
            asked: Asked::No,
            odd: false,
        }
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        *self = Self::nobody(self.place.clone(), self.turn);
    }

    /// When the next grace ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.leaving.front().map(|(until, ..)| *until)
    }

    /// Whether the next tick has something to look at.
    pub fn is_moving(&self) -> bool {
        !self.left.is_empty()
            || !self.moved.is_empty()
            || self.say_all != Due::No
            || !self.changed.is_empty()
            || self.show_all
            || self.ask != Due::No
            || self.asked != Asked::No
            || self.odd
    }

    /// A subscription of somebody begins.
    pub fn came(&mut self, who: &Identity, away: bool) {
        let was = self.status(&who.user);
        let fresh =
            || Reader { name: who.name.clone(), count: 0, away: 0, told: None, last_seen: None };
        let reader = self.here.entry(who.user.clone()).or_insert_with(fresh);
        reader.count += 1;
        reader.away += usize::from(away);
        self.moved.insert(who.user.clone());
        self.note(&who.user, was, None);
    }

    /// One is over, and counts until its grace ends.
    pub fn left(&mut self, user: &UserId, away: bool) {
        self.left.push((user.clone(), away));
    }

    /// One was ended by others, and counts no more.
    pub fn put_out(&mut self, user: &UserId, away: bool) {
        self.drop_one(user, away, None);
    }

    /// The session of one turned away or back.
    pub fn turned(&mut self, user: &UserId, away: bool) {
        let was = self.status(user);
        let Some(reader) = self.here.get_mut(user) else { return };
        reader.away = if away { reader.away + 1 } else { reader.away.saturating_sub(1) };
        self.moved.insert(user.clone());
        self.note(user, was, None);
    }

    fn drop_one(&mut self, user: &UserId, away: bool, last_seen: Option<u64>) {
        let was = self.status(user);
        let Some(reader) = self.here.get_mut(user) else { return };
        reader.count = reader.count.saturating_sub(1);
        reader.away = reader.away.saturating_sub(usize::from(away));
        reader.last_seen = last_seen;
        self.moved.insert(user.clone());
        self.note(user, was, last_seen);
    }

    /// Whether it is there at all, and away.
    fn status(&self, user: &UserId) -> Option<bool> {
        let here = self.here.get(user).filter(|reader| reader.count > 0).map(Reader::is_away);
        match (here, self.others.status(user)) {
            (Some(here), Some(there)) => Some(here && there),
            (here, there) => here.or(there),
        }
    }

    fn person(&self, user: &UserId, away: bool) -> Person {
        let here = self.here.get(user).and_then(|reader| reader.name.clone());
        let name = here.or_else(|| self.others.name(user));
        Person { user: user.clone(), name, away }
    }

    /// Notes what became of somebody who was like that.
    fn note(&mut self, user: &UserId, was: Option<bool>, last_seen: Option<u64>) {
        let is = self.status(user);
        self.named = (self.named + usize::from(is.is_some())) - usize::from(was.is_some());
        if self.watched && was != is {
            let shown = Shown { was, last_seen: None };
            let shown = self.changed.entry(user.clone()).or_insert(shown);
            shown.last_seen = shown.last_seen.max(last_seen);
        }
    }

    fn end_graces(&mut self, now: Instant) {
        let until = now + self.place.grace;
        self.leaving.extend(self.left.drain(..).map(|(user, away)| (until, user, away)));
        while let Some((until, user, away)) = self.leaving.pop_front_if(|(until, ..)| *until <= now)
        {
            let seen = self.wall_clock(until - self.place.grace);
            self.drop_one(&user, away, Some(seen));
        }
        while self.leaving.len() > LEAVING_MOST
            && let Some((_, user, away)) = self.leaving.pop_front()
        {
            self.drop_one(&user, away, None);
        }
    }

    fn wall_clock(&self, at: Instant) -> u64 {
        let (then, ms) = self.place.clock;
        ms + at.saturating_duration_since(then).as_millis() as u64
    }

    /// What other nodes are to be told.
    pub fn tick(&mut self, now: Instant) -> Vec<Event> {
        self.end_graces(now);
        let mut events: Vec<Event> = self.say(now).into_iter().collect();
        events.extend(self.look_at_others(now));
        events
    }
}
