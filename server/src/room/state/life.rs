//! Who is there, who types, and who watches that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use moim_shared::signal::Event;

use super::{Effect, State};
use crate::outbox::{Outbox, Subscription, Tail};
use crate::room::access::Identity;
use crate::room::answer::Answer;
use crate::room::event::{Person, Told, encode};
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
}

/// See the module.
#[derive(Debug, Default)]
pub struct Life {
    watchers: Vec<Watcher>,
    typing: HashMap<UserId, Keys>,
    /// Who was told of as being there.
    here: BTreeMap<UserId, Option<String>>,
    /// Subscribers came or went since that.
    changed: bool,
    told: u64,
}

#[derive(Debug)]
struct Watcher {
    who: Arc<Identity>,
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
}

/// Somebody whose keys move.
#[derive(Debug)]
struct Keys {
    name: Option<String>,
    /// Until when, if nothing more is heard.
    until: Instant,
    /// When the others were last told.
    told: Instant,
}

/// Who says nothing more for so long does not type any more.
const TYPING: Duration = Duration::from_secs(6);

/// The others are told again at most that often.
const TYPING_TOLD: Duration = Duration::from_secs(1);

/// More than these at once are not told of: nobody reads so many names.
const TYPING_MOST: usize = 100;

/// People that a watcher is told by name at its start.
const HERE_MOST: usize = 100;

impl Watcher {
    fn is_gone(&self) -> bool {
        self.subscription.is_ended() || self.outbox.is_closing()
    }
}

impl Life {
    /// Whether a tick has something to look at.
    pub fn is_moving(&self) -> bool {
        self.changed || !self.typing.is_empty()
    }

    /// Subscribers came or went.
    pub const fn stir(&mut self) {
        self.changed = true;
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
    pub fn evict(
        &mut self,
        out: impl Fn(&UserId) -> bool,
    ) -> Vec<(Arc<Outbox>, Arc<Subscription>)> {
        let gone = self.watchers.extract_if(.., |watcher| out(&watcher.who.user));
        gone.map(|watcher| (watcher.outbox, watcher.subscription)).collect()
    }

    pub fn into_survivors(self) -> impl Iterator<Item = Survivor> {
        self.watchers.into_iter().map(|Watcher { who, outbox, subscription }| Survivor {
            who,
            outbox,
            subscription,
            at: None,
        })
    }
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
        let here: Vec<Person> = self.present().into_iter().collect();
        let shown = &here[..here.len().min(HERE_MOST)];
        self.life.told += 1;
        let told = Told::Here(shown, here.len());
        let tail = Arc::new(encode(&told, &self.room, subscription.version, self.life.told));
        if outbox.deliver(&subscription, std::iter::once(&tail)).is_ok() {
            self.life.watchers.push(Watcher { who, outbox, subscription });
        }
    }

    /// Something happened; it may have been on another node.
    pub fn on_event(&mut self, event: &Event) -> Vec<Effect> {
        self.tell(&Told::Event(event));
        Vec::new()
    }

    pub(super) fn tell(&mut self, told: &Told<'_>) {
        if self.life.watchers.is_empty() {
            return;
        }
        self.life.told += 1;
        let (room, number) = (&self.room, self.life.told);
        let mut tails: [Option<Arc<Tail>>; Version::ALL.len()] = [const { None }; 3];
        self.life.watchers.retain(|watcher| {
            let version = watcher.subscription.version;
            let tail = tails[version.index()]
                .get_or_insert_with(|| Arc::new(encode(told, room, version, number)));
            let tail = std::iter::once(&*tail);
            !watcher.is_gone() && watcher.outbox.deliver(&watcher.subscription, tail).is_ok()
        });
    }

    pub(super) fn on_typing(&mut self, typing: Typing) -> Vec<Effect> {
        let Typing { who, typing, at, answer, .. } = typing;
        let user = who.user.clone();
        let told = if typing {
            self.keys_move(&who, at)
        } else {
            self.life.typing.remove(&user).is_some()
        };
        answer.done();
        let event = Event::Typing { user, name: who.name.clone(), typing };
        told.then_some(Effect::Signal(event)).into_iter().collect()
    }

    /// Whether the others are to be told.
    fn keys_move(&mut self, who: &Identity, at: Instant) -> bool {
        let typing = &mut self.life.typing;
        let until = at + TYPING;
        if let Some(keys) = typing.get_mut(&who.user) {
            keys.until = until;
            let again = at.saturating_duration_since(keys.told) >= TYPING_TOLD;
            keys.told = if again { at } else { keys.told };
            return again;
        }
        let room_left = typing.len() < TYPING_MOST;
        if room_left {
            typing.insert(who.user.clone(), Keys { name: who.name.clone(), until, told: at });
        }
        room_left
    }

    /// Ends what nobody said the end of, and says who came and went since the last time.
    pub(super) fn live_on(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self
            .life
            .typing
            .extract_if(|_, keys| keys.until <= now)
            .map(|(user, keys)| {
                Effect::Signal(Event::Typing { user, name: keys.name, typing: false })
            })
            .collect();
        if !std::mem::take(&mut self.life.changed) {
            return effects;
        }
        let here = self.present();
        let before = std::mem::take(&mut self.life.here);
        let came = |(user, _): &(&UserId, &Option<String>)| !before.contains_key(*user);
        let arrived: Vec<Person> =
            here.iter().filter(came).map(|(user, name)| (user.clone(), name.clone())).collect();
        let departed: Vec<UserId> =
            before.into_keys().filter(|user| !here.contains_key(user)).collect();
        self.life.here = here;
        if !arrived.is_empty() || !departed.is_empty() {
            effects.push(Effect::Signal(Event::Presence { arrived, departed }));
        }
        effects
    }

    /// Those who read the room here.
    fn present(&self) -> BTreeMap<UserId, Option<String>> {
        let live = self.subscribers.iter().filter(|subscriber| !subscriber.is_gone());
        live.map(|it| (it.who().user.clone(), it.who().name.clone())).collect()
    }
}
