//! The way of messages to subscribers: live ones share what was encoded once; who is behind is
//! brought up to where the room stands.

use std::sync::Arc;

use moim_shared::broker::Published;
use moim_shared::envelope::Envelope;
use moim_shared::position::Position;

use super::{Effect, State};
use crate::outbox::{CloseReason, Closed, Outbox, Subscription};
use crate::room::access::Identity;
use crate::room::history::{HistoryError, Page};
use crate::room::join::Survivor;
use crate::room::message::Tails;

/// Somebody who reads the room here.
#[derive(Debug)]
pub struct Subscriber {
    key: u64,
    who: Arc<Identity>,
    subscription: Arc<Subscription>,
    outbox: Arc<Outbox>,
    /// What it was given.
    at: Position,
    /// It is being brought up to the room.
    replaying: bool,
    /// Its session was away when that was last looked at.
    away: bool,
}

/// Somebody whose subscription is over.
#[derive(Debug)]
pub struct Gone {
    pub who: Arc<Identity>,
    pub outbox: Arc<Outbox>,
    pub subscription: Arc<Subscription>,
}

/// How far a hole is filled.
#[derive(Debug)]
pub struct Filling {
    /// Up to here at least.
    wanted: Position,
    /// To the end of the log, wherever that is.
    whole: bool,
    /// The room was told of more since the page was asked for, which may not have it.
    again: bool,
}

impl Subscriber {
    pub fn into_survivor(self) -> Survivor {
        let Self { who, outbox, subscription, at, .. } = self;
        Survivor { who, outbox, subscription, at: Some(at) }
    }

    pub const fn who(&self) -> &Arc<Identity> {
        &self.who
    }

    /// Whether there is nobody to give anything to.
    pub fn is_gone(&self) -> bool {
        self.subscription.is_ended() || self.outbox.is_closing()
    }

    /// Whether its session was away when that was last looked at.
    pub const fn was_away(&self) -> bool {
        self.away
    }

    pub fn into_gone(self) -> Gone {
        Gone { who: self.who, outbox: self.outbox, subscription: self.subscription }
    }

    /// Gives it what of `messages` it does not have.
    fn give(&mut self, messages: &mut [(Position, Tails<'_>)]) -> Result<u64, Closed> {
        if self.subscription.is_ended() {
            return Err(Closed);
        }
        let missing = messages.partition_point(|(position, _)| *position <= self.at);
        let messages = &mut messages[missing..];
        let Some(last) = messages.last().map(|(position, _)| *position) else { return Ok(0) };
        for (_, tails) in messages.iter_mut() {
            tails.make(&self.subscription);
        }
        let tails = messages.iter().filter_map(|(_, tails)| tails.made(&self.subscription));
        self.outbox.deliver(&self.subscription, tails)?;
        self.outbox.gave(&self.subscription, last);
        self.at = last;
        Ok(messages.len() as u64)
    }
}

fn with_tails(envelopes: &[Arc<Envelope>]) -> Vec<(Position, Tails<'_>)> {
    envelopes.iter().map(|envelope| (envelope.position, Tails::new(envelope))).collect()
}

impl State {
    pub(super) fn add_subscriber(&mut self, key: u64, survivor: Survivor, replaying: bool) {
        let Survivor { who, outbox, subscription, at } = survivor;
        let at = at.unwrap_or(self.at);
        let away = outbox.is_away();
        self.life.people.came(&who, away);
        self.subscribers.push(Subscriber { key, who, subscription, outbox, at, replaying, away });
    }

    pub(super) fn has_live_subscribers(&self) -> bool {
        self.subscribers.iter().any(|subscriber| !subscriber.replaying)
    }

    /// Messages became visible.
    pub fn on_published(&mut self, published: &Published) -> Vec<Effect> {
        if !self.open {
            self.seen = self.seen.max(published.upto);
            return Vec::new();
        }
        if published.upto <= self.at {
            return Vec::new();
        }
        if self.filling.is_some() || published.after > self.at {
            return self.fill(published.upto);
        }
        self.fan_out(&published.envelopes, published.upto);
        Vec::new()
    }

    /// Messages may have become visible that the room was not told of.
    pub fn on_missed(&mut self) -> Vec<Effect> {
        if !self.open {
            return Vec::new();
        }
        let effects = self.fill(self.at);
        if let Some(filling) = &mut self.filling {
            filling.whole = true;
        }
        effects
    }

    /// Reads what is missing up to `wanted` at least.
    pub(super) fn fill(&mut self, wanted: Position) -> Vec<Effect> {
        if let Some(filling) = &mut self.filling {
            filling.wanted = filling.wanted.max(wanted);
            filling.again = true;
            return Vec::new();
        }
        self.filling = Some(Filling { wanted, whole: false, again: false });
        vec![Effect::Fill { after: self.at }]
    }

    /// What was missing is here.
    pub fn on_filled(&mut self, filled: Result<Page, HistoryError>) -> Vec<Effect> {
        let page = match filled {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(room.id = %self.room, %error,
                    "room `{}` cannot read what it missed; its subscribers have to resume",
                    self.room);
                return self.end_live();
            }
        };
        let progress = page.upto > self.at;
        if progress {
            self.counts.holes += 1;
            self.fan_out(&page.envelopes, page.upto);
        }
        if let Some(filling) = &mut self.filling
            && (std::mem::take(&mut filling.again) || progress)
            && (filling.whole || filling.wanted > self.at)
        {
            return vec![Effect::Fill { after: self.at }];
        }
        self.filling = None;
        Vec::new()
    }

    /// A gap that cannot be filled is never silent: who is in front of it resumes by a new link.
    fn end_live(&mut self) -> Vec<Effect> {
        self.filling = None;
        for subscriber in self.subscribers.extract_if(.., |subscriber| !subscriber.replaying) {
            subscriber.outbox.close(CloseReason::COME_BACK);
            self.life.people.left(&subscriber.who.user, subscriber.away);
        }
        self.open = false;
        vec![Effect::Open { wait: self.backoff.wait() }]
    }

    fn fan_out(&mut self, envelopes: &[Arc<Envelope>], upto: Position) {
        let mut messages = with_tails(envelopes);
        let mut delivered = 0;
        let people = &mut self.life.people;
        self.subscribers.retain_mut(|subscriber| {
            if subscriber.replaying {
                return true;
            }
            match subscriber.give(&mut messages) {
                Ok(given) => {
                    delivered += given;
                    subscriber.at = subscriber.at.max(upto);
                    true
                }
                Err(Closed) => {
                    people.left(&subscriber.who.user, subscriber.away);
                    false
                }
            }
        });
        if delivered > 0 {
            self.counts.delivered += delivered;
            let given = envelopes.iter().map(|envelope| (envelope.position, envelope.sent_at));
            self.counts.given.extend(given);
        }
        self.at = upto;
    }

    /// A page for a subscriber that is behind.
    pub fn on_replayed(&mut self, key: u64, replayed: Result<Page, HistoryError>) -> Vec<Effect> {
        self.replays = self.replays.saturating_sub(1);
        let found = self.subscribers.iter().position(|subscriber| subscriber.key == key);
        let Some(index) = found else { return Vec::new() };
        let subscriber = &mut self.subscribers[index];
        let given = match &replayed {
            Ok(page) if page.upto > subscriber.at => {
                let given = subscriber.give(&mut with_tails(&page.envelopes));
                subscriber.at = subscriber.at.max(page.upto);
                given
            }
            // Nothing more to be had although the room stands further: not a silent gap.
            Ok(_) | Err(_) => {
                tracing::error!(room.id = %self.room, page = ?replayed.map(|page| page.upto),
                    "a subscriber of room `{}` cannot be given what it missed", self.room);
                subscriber.outbox.close(CloseReason::COME_BACK);
                Err(Closed)
            }
        };
        let Ok(given) = given else {
            let gone = self.subscribers.swap_remove(index);
            self.life.people.left(&gone.who.user, gone.away);
            return Vec::new();
        };
        self.counts.delivered += given;
        subscriber.replaying = subscriber.at < self.at;
        if subscriber.replaying {
            let outbox = subscriber.outbox.clone();
            self.replays += 1;
            vec![Effect::Replay { key, after: subscriber.at, outbox }]
        } else {
            Vec::new()
        }
    }

    /// Lets go of those who left, and sees who turned away or back.
    pub(super) fn forget_ended(&mut self) {
        let people = &mut self.life.people;
        self.subscribers.retain_mut(|subscriber| {
            let gone = subscriber.is_gone();
            let away = subscriber.outbox.is_away();
            if gone {
                people.left(&subscriber.who.user, subscriber.away);
            } else if away != std::mem::replace(&mut subscriber.away, away) {
                people.turned(&subscriber.who.user, away);
            }
            !gone
        });
        self.life.forget_ended();
    }
}
