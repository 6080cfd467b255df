//! Who reads an inbox here, which rooms that concerns, and what is to be looked at. Pure: the clock is
//! passed in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::{RoomId, UserId};
use moim_shared::signal::Channel;
use moim_shared::store::inbox::{MARGIN, Token};

use super::ROOMS_MOST;
use super::enter::Enter;
use super::hints::{Hints, Pair};
use super::reader::{Reader, Recipient};
use crate::outbox::Subscription;

/// Hints that wait. When there are more, the inboxes that they concern are looked at as a whole.
pub(super) const HINTS: usize = 100_000;
/// How often each subscription is looked at, though there is no reason to.
const LOOK: Duration = Duration::from_secs(300);
/// How long after its beginning it is looked at: what was on its way then is known.
pub(super) const SOON: Duration = MARGIN.saturating_add(Duration::from_secs(5));

/// See the module.
#[derive(Default)]
pub(super) struct State {
    people: HashMap<UserId, Person>,
    /// By room, whom it concerns.
    rooms: HashMap<RoomId, HashSet<UserId>>,
    readers: HashMap<u64, Reader>,
    next: u64,
    /// What changed.
    hints: Hints,
    /// When readers are looked at.
    looks: BTreeSet<(Instant, u64)>,
    /// Who wants to read.
    entering: Vec<Enter>,
    /// Channels that became wanted or unwanted.
    turned: HashSet<Channel>,
    /// Those that are heard.
    heard: HashSet<Channel>,
    /// Those that could not be heard, and how many times one could not by then.
    unheard: HashMap<Channel, u64>,
    /// How often one could not be heard.
    pub troubles: u64,
}

/// Somebody who reads its inbox, or is about to.
#[derive(Default)]
struct Person {
    /// Subscriptions, and those that want to be one.
    seats: usize,
    /// The subscriptions.
    readers: Vec<u64>,
    /// What is listened to.
    rooms: HashSet<RoomId>,
    /// Whether its rooms are known, and heard; locked while they are asked for.
    ready: Arc<tokio::sync::Mutex<bool>>,
}

impl State {
    /// One more reads the user's inbox, or is about to.
    pub fn sit(&mut self, user: &UserId) {
        let person = self.people.entry(user.clone()).or_default();
        person.seats += 1;
        if person.seats == 1 {
            self.turned.insert(Channel::User(user.clone()));
        }
    }

    /// Whether the user's rooms are known, and heard; to be locked by who asks for them.
    pub fn ready(&self, user: &UserId) -> Option<Arc<tokio::sync::Mutex<bool>>> {
        self.people.get(user).map(|person| person.ready.clone())
    }

    /// One less does.
    pub fn rise(&mut self, user: &UserId) {
        let Some(person) = self.people.get_mut(user) else { return };
        person.seats -= 1;
        if person.seats > 0 {
            return;
        }
        let rooms = self.people.remove(user).map(|person| person.rooms).unwrap_or_default();
        for room in rooms {
            self.forget(user, &room);
        }
        self.turned.insert(Channel::User(user.clone()));
    }

    /// The user is in the room; whether that is new.
    pub fn has_room(&mut self, user: &UserId, room: &RoomId) -> bool {
        let Some(person) = self.people.get_mut(user) else { return false };
        if person.rooms.len() >= ROOMS_MOST || !person.rooms.insert(room.clone()) {
            return false;
        }
        let concerned = self.rooms.entry(room.clone()).or_default();
        concerned.insert(user.clone());
        if concerned.len() == 1 {
            self.turned.insert(Channel::Inbox(room.clone()));
        }
        true
    }

    /// The user is in the room no more; whether it was known to be.
    pub fn lost_room(&mut self, user: &UserId, room: &RoomId) -> bool {
        let known = self.people.get_mut(user).is_some_and(|person| person.rooms.remove(room));
        if known {
            self.forget(user, room);
        }
        known
    }

    fn forget(&mut self, user: &UserId, room: &RoomId) {
        let Some(concerned) = self.rooms.get_mut(room) else { return };
        concerned.remove(user);
        if concerned.is_empty() {
            self.rooms.remove(room);
            self.turned.insert(Channel::Inbox(room.clone()));
        }
    }

    /// Something changed in the room; whether that concerns anybody.
    pub fn room_changed(&mut self, room: &RoomId) -> bool {
        let concerns = self.rooms.contains_key(room);
        if concerns {
            self.hints.room(room.clone());
        }
        concerns
    }

    /// What the user has of the room changed; whether that concerns anybody.
    pub fn own_changed(&mut self, user: UserId, room: RoomId, now: Instant) -> bool {
        let concerns = self.people.contains_key(&user);
        if concerns && !self.hints.own(&user, room, HINTS) {
            self.look_at_user(&user, now);
        }
        concerns
    }

    /// Whether there are hints.
    pub fn has_hints(&self) -> bool {
        !self.hints.is_empty()
    }

    /// The hints that there are now are to be followed.
    pub fn begin_round(&mut self) {
        self.hints.begin();
    }

    /// Whether some of those that there were then are left.
    pub fn is_in_round(&self) -> bool {
        self.hints.is_in_round()
    }

    /// Some hints of the round, taken out, each once. Those who are about to read are told how it
    /// is when they do.
    pub fn take_hints(&mut self, most: usize) -> Vec<Pair> {
        let Self { people, rooms, hints, .. } = self;
        let reads = |user: &&UserId| people.get(*user).is_some_and(|it| !it.readers.is_empty());
        let concerned =
            |room: &RoomId| rooms.get(room).into_iter().flatten().filter(reads).cloned().collect();
        let mut some = hints.page(most, concerned);
        // Who was interested may have gone.
        some.retain(|(user, _)| people.contains_key(user));
        some
    }

    /// They could not be followed.
    pub fn give_back(&mut self, hints: Vec<Pair>, now: Instant) {
        for (user, room) in hints {
            self.own_changed(user, room, now);
        }
    }

    /// Whether somebody wants to read.
    pub fn has_entering(&self) -> bool {
        !self.entering.is_empty()
    }

    /// Somebody wants to read.
    pub fn want(&mut self, enter: Enter) {
        self.entering.push(enter);
    }

    /// Some who want to read, those first that came first.
    pub fn take_entering(&mut self, most: usize) -> Vec<Enter> {
        let most = self.entering.len().min(most);
        self.entering.drain(..most).collect()
    }

    /// The subscription reads from now on: it is told what changed after `covered`.
    pub fn add_reader(&mut self, to: Recipient, covered: Token, look_at: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.people.entry(to.user.clone()).or_default().readers.push(number);
        self.looks.insert((look_at, number));
        self.readers.insert(number, Reader { to, covered, told: HashMap::new(), look_at });
        number
    }

    /// The reader, taken out.
    pub fn take_reader(
        &mut self,
        user: &UserId,
        subscription: &Arc<Subscription>,
    ) -> Option<Reader> {
        let readers = &self.readers;
        let is_it = |number: &u64| {
            readers.get(number).is_some_and(|it| Arc::ptr_eq(&it.to.subscription, subscription))
        };
        let person = self.people.get_mut(user)?;
        let at = person.readers.iter().position(is_it)?;
        let number = person.readers.swap_remove(at);
        let reader = self.readers.remove(&number)?;
        self.looks.remove(&(reader.look_at, number));
        Some(reader)
    }

    /// The reader of that number.
    pub fn reader(&mut self, number: u64) -> Option<&mut Reader> {
        self.readers.get_mut(&number)
    }

    /// Those who read the user's inbox.
    pub fn readers_of(&self, user: &UserId) -> Vec<u64> {
        self.people.get(user).map(|person| person.readers.clone()).unwrap_or_default()
    }

    fn look_at_user(&mut self, user: &UserId, at: Instant) {
        for number in self.readers_of(user) {
            self.look_at(number, at);
        }
    }

    /// Looks at the reader at that time, if not before.
    fn look_at(&mut self, number: u64, at: Instant) {
        let Some(reader) = self.readers.get_mut(&number) else { return };
        if at < reader.look_at {
            self.looks.remove(&(reader.look_at, number));
            reader.look_at = at;
            self.looks.insert((at, number));
        }
    }

    /// Looks at everybody.
    pub fn look_at_all(&mut self, now: Instant) {
        let all: Vec<u64> = self.readers.keys().copied().collect();
        for number in all {
            self.look_at(number, now);
        }
    }

    /// When the next look is due.
    pub fn next_look(&self) -> Option<Instant> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// The next reader that is to be looked at. It is looked at again at `again`, if nobody says
    /// otherwise.
    pub fn due(&mut self, now: Instant, again: Instant) -> Option<u64> {
        let (at, number) = *self.looks.first().filter(|(at, _)| *at <= now)?;
        self.looks.remove(&(at, number));
        let reader = self.readers.get_mut(&number)?;
        reader.look_at = again;
        self.looks.insert((again, number));
        Some(number)
    }

    /// A look at the reader told it everything up to here.
    pub fn looked(&mut self, number: u64, covered: Token, more: bool, now: Instant) {
        let Some(reader) = self.readers.get_mut(&number) else { return };
        reader.covered = covered;
        // What is older is not seen again.
        reader.told.retain(|_, (at, _)| *at >= covered.ms());
        match more {
            true => self.look_at(number, now),
            false => self.look_later(number, now),
        }
    }

    /// Looks at the reader when there is a reason to, or after the time for that.
    pub fn look_later(&mut self, number: u64, now: Instant) {
        let Some(reader) = self.readers.get_mut(&number) else { return };
        self.looks.remove(&(reader.look_at, number));
        reader.look_at = now + LOOK.mul_f64(spread(number));
        self.looks.insert((reader.look_at, number));
    }

    /// Channels that became wanted and unwanted since it was asked, up to so many.
    pub fn turned(&mut self, most: usize) -> (Vec<Channel>, Vec<Channel>) {
        let mut left = most;
        let some = self.turned.extract_if(|_| {
            let taken = left > 0;
            left = left.saturating_sub(1);
            taken
        });
        let some: Vec<Channel> = some.collect();
        let (begin, end): (Vec<_>, Vec<_>) =
            some.into_iter().partition(|channel| self.is_wanted(channel));
        let begin = begin.into_iter().filter(|channel| !self.heard.contains(channel)).collect();
        for channel in &end {
            self.unheard.remove(channel);
        }
        let end = end.into_iter().filter(|channel| self.heard.remove(channel)).collect();
        (begin, end)
    }

    /// Whether there are more of these.
    pub fn has_turned(&self) -> bool {
        !self.turned.is_empty()
    }

    /// Those that could not be heard are tried again.
    pub fn try_again(&mut self) {
        self.turned.extend(self.unheard.keys().cloned());
    }

    fn is_wanted(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Inbox(room) => self.rooms.contains_key(room),
            Channel::User(user) => self.people.contains_key(user),
            Channel::Room(_) | Channel::Topic(_) | Channel::Nodes => false,
        }
    }

    /// The channel is heard. What was said before is looked for; whether it is still wanted.
    pub fn now_heard(&mut self, channel: Channel, now: Instant) -> bool {
        match &channel {
            Channel::Inbox(room) => _ = self.room_changed(room),
            Channel::User(user) => self.look_at_user(user, now),
            Channel::Room(_) | Channel::Topic(_) | Channel::Nodes => {}
        }
        self.unheard.remove(&channel);
        let wanted = self.is_wanted(&channel);
        if wanted {
            self.heard.insert(channel);
        }
        wanted
    }

    /// The channel could not be heard.
    pub fn not_heard(&mut self, channel: Channel) {
        self.troubles += 1;
        self.unheard.insert(channel, self.troubles);
    }

    /// Whether everything is heard that the user wants: `Some(false)` when some of it could not be
    /// since there were so many `troubles`, `None` when it is not known yet.
    pub fn hears_all(&self, user: &UserId, troubles: u64) -> Option<bool> {
        let person = self.people.get(user)?;
        let rooms = person.rooms.iter().map(|room| Channel::Inbox(room.clone()));
        let mut all = true;
        for channel in rooms.chain([Channel::User(user.clone())]) {
            if self.unheard.get(&channel).is_some_and(|at| *at > troubles) {
                return Some(false);
            }
            all &= self.heard.contains(&channel);
        }
        all.then_some(true)
    }
}

/// From nine tenths to eleven, so that those who came together do not stay together.
fn spread(number: u64) -> f64 {
    0.9 + (number % 21) as f64 / 100.0
}
