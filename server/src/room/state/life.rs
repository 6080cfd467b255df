//! Who watches the room: who types there, how far people have read, who is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use moim_shared::signal::Event;

use super::fanout::Gone;
use super::gathered::{Gathered, is_crowd};
use super::people::{People, Show, Untold};
use super::{Effect, State};
use crate::nodes::Known;
use crate::outbox::{Outbox, Subscription, Tail};
use crate::room::access::Identity;
use crate::room::answer::Answer;
use crate::room::event::{Told, encode};
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
#[derive(Debug)]
pub struct Life {
    watchers: Vec<Watcher>,
    typing: HashMap<UserId, Keys>,
    /// Who is there.
    pub people: People,
    /// How far people have read, and were given messages, as those who watch are to be told next.
    reads: Gathered,
    delivered: Gathered,
    /// Memberships changed since that.
    members: bool,
}

#[derive(Debug)]
struct Watcher {
    who: Arc<Identity>,
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
    /// It was told who is there.
    greeted: bool,
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

impl Watcher {
    fn is_gone(&self) -> bool {
        self.subscription.is_ended() || self.outbox.is_closing()
    }
}

impl Life {
    /// Nobody yet.
    pub fn new(people: People) -> Self {
        Self {
            watchers: Vec::new(),
            typing: HashMap::new(),
            people,
            reads: Gathered::default(),
            delivered: Gathered::default(),
            members: false,
        }
    }

    /// Whether the next tick has something to look at.
    pub fn is_moving(&self) -> bool {
        self.people.is_moving()
            || !self.typing.is_empty()
            || !self.reads.is_empty()
            || !self.delivered.is_empty()
            || self.members
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
        if self.watchers.is_empty() {
            self.people.unwatch();
        }
    }

    /// Those who watch.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.watchers.iter().map(|watcher| &watcher.who.user)
    }

    /// Takes out those who may not watch any more.
    pub fn evict(&mut self, out: impl Fn(&UserId) -> bool) -> impl Iterator<Item = Gone> {
        let gone = self.watchers.extract_if(.., move |watcher| out(&watcher.who.user));
        gone.map(|Watcher { who, outbox, subscription, .. }| Gone { who, outbox, subscription })
    }

    /// Takes out all.
    pub fn survivors(&mut self) -> impl Iterator<Item = Survivor> {
        self.people.forget();
        self.watchers.drain(..).map(|Watcher { who, outbox, subscription, .. }| Survivor {
            who,
            outbox,
            subscription,
            at: None,
        })
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

impl State {
    /// A subscription to the room's events.
    pub(super) fn on_watch(&mut self, mut join: Join) -> Vec<Effect> {
        join.accept(self.at, true);
        let (who, outbox) = (join.who.clone(), join.outbox.clone());
        self.watch(who, outbox, join.subscription.clone())
    }

    pub(super) fn watch(
        &mut self,
        who: Arc<Identity>,
        outbox: Arc<Outbox>,
        subscription: Arc<Subscription>,
    ) -> Vec<Effect> {
        self.life.watchers.push(Watcher { who, outbox, subscription, greeted: false });
        let question = self.life.people.watch();
        self.greet(None);
        question.map(Effect::Signal).into_iter().collect()
    }

    /// Tells those who began to watch who is there, once that is known.
    fn greet(&mut self, now: Option<Instant>) {
        if self.life.people.is_known(now) && self.life.watchers.iter().any(|it| !it.greeted) {
            if self.life.watchers.iter().all(|it| !it.greeted) {
                self.life.people.show_from_now();
            }
            self.tell_here(|watcher| !watcher.greeted);
            self.life.watchers.iter_mut().for_each(|watcher| watcher.greeted = true);
        }
    }

    /// Something happened; it may have been on another node.
    pub fn on_event(&mut self, event: &Event) -> Vec<Effect> {
        let watched = !self.life.watchers.is_empty();
        match event {
            Event::Here(_) | Event::Presence(_) | Event::WhoIsHere { .. } => {
                self.life.people.hear(event);
                self.greet(None);
            }
            // Gathered: of somebody who scrolls, the last one counts.
            Event::Read { user, position } if watched => {
                self.life.reads.note(user, *position);
            }
            Event::Delivered { users } if watched && !is_crowd(self.life.watchers.len()) => {
                for (user, position) in users {
                    self.life.delivered.note(user, *position);
                }
            }
            Event::Read { .. } | Event::Delivered { .. } => {}
            Event::Typing { user, name, typing } => {
                self.tell(&Told::Typing(user, name.as_deref(), *typing));
            }
            Event::Changed => self.tell(&Told::Changed),
        }
        Vec::new()
    }

    /// Events were missed: those who watch start over.
    pub fn on_events_missed(&mut self) -> Vec<Effect> {
        self.life.people.missed();
        Vec::new()
    }

    /// Other nodes live than before.
    pub fn on_nodes(&mut self, known: &Arc<Known>) -> Vec<Effect> {
        self.life.people.nodes(known);
        Vec::new()
    }

    /// An event of this room did not get out.
    pub fn on_untold(&mut self, what: Untold, now: Instant) {
        self.life.people.untold(what, now);
    }

    fn tell_here(&mut self, to: impl Fn(&Watcher) -> bool) {
        let (here, count) = self.life.people.all();
        self.tell_to(&Told::Here(&here, count), to);
    }

    pub(super) fn tell(&mut self, told: &Told<'_>) {
        self.tell_to(told, |_| true);
    }

    fn tell_to(&mut self, told: &Told<'_>, to: impl Fn(&Watcher) -> bool) {
        let room = &self.room;
        let mut tails: [Option<Arc<Tail>>; Version::ALL.len()] = [const { None }; 3];
        self.life.watchers.retain(|watcher| {
            if !to(watcher) {
                return true;
            }
            let version = watcher.subscription.version;
            let tail =
                tails[version.index()].get_or_insert_with(|| Arc::new(encode(told, room, version)));
            let tail = std::iter::once(&*tail);
            !watcher.is_gone() && watcher.outbox.deliver(&watcher.subscription, tail).is_ok()
        });
    }

    fn tell_cursors(&mut self) {
        let watchers = self.life.watchers.len();
        if watchers == 0 {
            self.life.reads.clear();
        }
        if watchers == 0 || is_crowd(watchers) {
            self.life.delivered.clear();
        }
        for (user, position) in self.life.reads.take(watchers) {
            self.tell(&Told::Read(&user, position));
        }
        for (user, position) in self.life.delivered.take(watchers) {
            self.tell(&Told::Delivered(&user, position));
        }
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
        effects.extend(self.life.people.tick(now).into_iter().map(Effect::Signal));
        match self.life.people.show(now) {
            Some(Show::Moves(moves)) => self.tell_to(&Told::Moves(&moves), |it| it.greeted),
            Some(Show::All) => self.tell_here(|it| it.greeted),
            None => {}
        }
        self.greet(Some(now));
        self.tell_cursors();
        // Each node was told by itself.
        if std::mem::take(&mut self.life.members) {
            self.tell(&Told::Members);
        }
        effects
    }
}
