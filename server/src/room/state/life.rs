//! Who is there, who types, and who watches that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use moim_shared::position::Position;
use moim_shared::signal::Event;

use super::fanout::Gone;
use super::{Effect, State};
use crate::outbox::{Outbox, Subscription, Tail};
use crate::room::access::Identity;
use crate::room::answer::Answer;
use crate::room::event::{Person, Told, encode};
use crate::room::gate::Permit;
use crate::room::join::{Join, Survivor};
use crate::stomp::Version;

/// Somebody begins or stops to type.
#[derive(Debug)]
pub struct Typing {
    /// Who.
    pub who: Arc<Identity>,
    /// Whether.
    pub typing: bool,
    /// When it was said.
    pub at: Instant,
    /// The same in ms since 1970.
    pub sent_at: u64,
    /// The answer.
    pub answer: Answer,
    /// Until when it may be held.
    pub deadline: Instant,
    /// Its room in the gate.
    pub permit: Option<Permit>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Life {
    watchers: Vec<Watcher>,
    typing: HashMap<UserId, Keys>,
    people: HashMap<UserId, Presence>,
    /// How many of them are there.
    present: usize,
    /// Those of them who came or went since the others were last told.
    moved: HashSet<UserId>,
    /// How far people have read, and were given messages, as those who watch are to be told next.
    reads: HashMap<UserId, Position>,
    delivered: HashMap<UserId, Position>,
    /// Memberships changed since that.
    members: bool,
}

#[derive(Debug)]
struct Watcher {
    who: Arc<Identity>,
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
}

/// Somebody who reads the room here, or did so until a moment ago.
#[derive(Debug)]
struct Presence {
    name: Option<String>,
    /// Subscriptions.
    readers: usize,
    /// The others were told that it is there.
    told: bool,
}

/// Somebody whose keys move, or did so until a moment ago.
#[derive(Debug)]
struct Keys {
    name: Option<String>,
    typing: bool,
    /// What the others were told last.
    shown: bool,
    /// Until when it types, if nothing more is heard.
    until: Instant,
    /// When the others were last told that it types.
    told: Instant,
}

/// Who says nothing more for so long does not type any more.
const TYPING: Duration = Duration::from_secs(6);

/// The others are told again at most that often.
const TYPING_TOLD: Duration = Duration::from_secs(1);

/// More than these at once are not told of: nobody reads so many names.
const TYPING_MOST: usize = 100;

/// People that a watcher is told of by name at once.
const NAMES_MOST: usize = 100;

impl Watcher {
    fn is_gone(&self) -> bool {
        self.subscription.is_ended() || self.outbox.is_closing()
    }
}

impl Life {
    /// Whether a tick has something to look at.
    pub fn is_moving(&self) -> bool {
        !self.moved.is_empty()
            || !self.typing.is_empty()
            || !self.reads.is_empty()
            || !self.delivered.is_empty()
            || self.members
    }

    /// Somebody reads the room from now on.
    pub fn came(&mut self, who: &Identity) {
        let fresh = || Presence { name: who.name.clone(), readers: 0, told: false };
        let presence = self.people.entry(who.user.clone()).or_insert_with(fresh);
        presence.readers += 1;
        if presence.readers == 1 {
            self.present += 1;
            self.moved.insert(who.user.clone());
        }
    }

    /// One of its subscriptions is over.
    pub fn left(&mut self, user: &UserId) {
        let Some(presence) = self.people.get_mut(user) else { return };
        presence.readers = presence.readers.saturating_sub(1);
        if presence.readers == 0 {
            self.present = self.present.saturating_sub(1);
            self.moved.insert(user.clone());
        }
    }

    /// Those who watch are to be told that memberships changed.
    pub const fn members_changed(&mut self) {
        self.members = true;
    }

    /// Whether nobody watches.
    pub const fn is_unwatched(&self) -> bool {
        self.watchers.is_empty()
    }

    pub fn forget_ended(&mut self) {
        self.watchers.retain(|watcher| !watcher.is_gone());
    }

    /// Those who watch.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.watchers.iter().map(|watcher| &watcher.who.user)
    }

    /// Takes out those who may not watch any more.
    pub fn evict(&mut self, out: impl Fn(&UserId) -> bool) -> impl Iterator<Item = Gone> {
        let gone = self.watchers.extract_if(.., move |watcher| out(&watcher.who.user));
        gone.map(|Watcher { who, outbox, subscription }| Gone { who, outbox, subscription })
    }

    pub fn into_survivors(self) -> impl Iterator<Item = Survivor> {
        self.watchers.into_iter().map(|Watcher { who, outbox, subscription }| Survivor {
            who,
            outbox,
            subscription,
            at: None,
        })
    }

    /// Who is there, as far as there is room for them.
    fn here(&self) -> Vec<Person> {
        let there = self.people.iter().filter(|(_, presence)| presence.readers > 0);
        there.take(NAMES_MOST).map(|(user, it)| (user.clone(), it.name.clone())).collect()
    }

    /// Who came and who went since the last time.
    fn take_moved(&mut self) -> Option<Event> {
        let (mut arrived, mut departed) = (Vec::new(), Vec::new());
        for user in self.moved.drain() {
            let Some(presence) = self.people.get_mut(&user) else { continue };
            match (
                presence.readers > 0,
                std::mem::replace(&mut presence.told, presence.readers > 0),
            ) {
                (true, false) => arrived.push((user, presence.name.clone())),
                (false, true) => {
                    self.people.remove(&user);
                    departed.push(user);
                }
                (false, false) => _ = self.people.remove(&user),
                (true, true) => {}
            }
        }
        if arrived.len() + departed.len() > NAMES_MOST {
            return Some(Event::Crowd);
        }
        let nobody = arrived.is_empty() && departed.is_empty();
        (!nobody).then_some(Event::Presence { arrived, departed })
    }

    /// Whether the others are to be told at once.
    fn keys_move(&mut self, who: &Identity, typing: bool, at: Instant) -> bool {
        let most = self.typing.len() >= TYPING_MOST;
        let Some(keys) = self.typing.get_mut(&who.user) else {
            let new = typing && !most;
            if new {
                let (name, until) = (who.name.clone(), at + TYPING);
                let keys = Keys { name, typing, shown: true, until, told: at };
                self.typing.insert(who.user.clone(), keys);
            }
            return new;
        };
        keys.typing = typing;
        keys.until = at + TYPING;
        keys.is_due(at)
    }
}

impl Keys {
    /// Whether the others are to be told of it as it is now: of its end at once, of the rest once a
    /// second.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = if self.typing {
            now.saturating_duration_since(self.told) >= TYPING_TOLD
        } else {
            self.shown
        };
        if due {
            self.shown = self.typing;
            self.told = if self.typing { now } else { self.told };
        }
        due
    }

    /// What a tick makes of it.
    fn tick(&mut self, now: Instant) -> bool {
        self.typing &= self.until > now;
        self.typing != self.shown && self.is_due(now)
    }

    fn is_over(&self, now: Instant) -> bool {
        !self.typing && !self.shown && now.saturating_duration_since(self.told) >= TYPING_TOLD
    }
}

/// Takes out as many as are told of at once: of a crowd the others come with the next tick, each with
/// its newest.
fn some(cursors: &mut HashMap<UserId, Position>) -> Vec<(UserId, Position)> {
    let mut left = NAMES_MOST;
    let more = cursors.extract_if(|_, _| {
        left = left.saturating_sub(1);
        left > 0
    });
    more.collect()
}

impl State {
    /// A subscription to the room's events.
    pub(super) fn on_watch(&mut self, mut join: Join) -> Vec<Effect> {
        join.accept(self.at, true);
        let (who, outbox) = (join.who.clone(), join.outbox.clone());
        self.watch(who, outbox, join.subscription.clone());
        Vec::new()
    }

    pub(super) fn watch(
        &mut self,
        who: Arc<Identity>,
        outbox: Arc<Outbox>,
        subscription: Arc<Subscription>,
    ) {
        let told = Told::Here(&self.life.here(), self.life.present);
        let tail = Arc::new(encode(&told, &self.room, subscription.version));
        if outbox.deliver(&subscription, std::iter::once(&tail)).is_ok() {
            self.life.watchers.push(Watcher { who, outbox, subscription });
        }
    }

    /// Something happened; it may have been on another node.
    pub fn on_event(&mut self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Crowd => self.tell_here(),
            // Gathered: of somebody who scrolls, the last one counts.
            Event::Read { user, position } if !self.life.watchers.is_empty() => {
                self.life.reads.insert(user.clone(), *position);
            }
            Event::Delivered { users } if !self.life.watchers.is_empty() => {
                for (user, position) in users {
                    let stands = self.life.delivered.entry(user.clone()).or_default();
                    *stands = (*stands).max(*position);
                }
            }
            Event::Read { .. } | Event::Delivered { .. } => {}
            event => self.tell(&Told::Event(event)),
        }
        Vec::new()
    }

    /// Events were missed: those who watch start over.
    pub fn on_events_missed(&mut self) -> Vec<Effect> {
        self.tell_here();
        Vec::new()
    }

    fn tell_here(&mut self) {
        let (here, count) = (self.life.here(), self.life.present);
        self.tell(&Told::Here(&here, count));
    }

    pub(super) fn tell(&mut self, told: &Told<'_>) {
        let room = &self.room;
        let mut tails: [Option<Arc<Tail>>; Version::ALL.len()] = [const { None }; 3];
        self.life.watchers.retain(|watcher| {
            let version = watcher.subscription.version;
            let tail =
                tails[version.index()].get_or_insert_with(|| Arc::new(encode(told, room, version)));
            let tail = std::iter::once(&*tail);
            !watcher.is_gone() && watcher.outbox.deliver(&watcher.subscription, tail).is_ok()
        });
    }

    pub(super) fn on_typing(&mut self, typing: Typing) -> Vec<Effect> {
        let Typing { who, typing, at, answer, .. } = typing;
        let told = self.life.keys_move(&who, typing, at);
        answer.done();
        let event = Event::Typing { user: who.user.clone(), name: who.name.clone(), typing };
        told.then_some(Effect::Signal(event)).into_iter().collect()
    }

    /// Says what nobody said: who does not type any more, who came and went, that memberships
    /// changed.
    pub(super) fn live_on(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.life.typing.retain(|user, keys| {
            if keys.tick(now) {
                let (user, name, typing) = (user.clone(), keys.name.clone(), keys.typing);
                effects.push(Effect::Signal(Event::Typing { user, name, typing }));
            }
            !keys.is_over(now)
        });
        effects.extend(self.life.take_moved().map(Effect::Signal));
        for (user, position) in some(&mut self.life.reads) {
            self.tell(&Told::Read(&user, position));
        }
        for (user, position) in some(&mut self.life.delivered) {
            self.tell(&Told::Delivered(&user, position));
        }
        // Each node was told by itself.
        if std::mem::take(&mut self.life.members) {
            self.tell(&Told::Members);
        }
        effects
    }
}
