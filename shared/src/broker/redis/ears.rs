//! All ears of a process, each for a part of the channels.
//!
//! In one turn of its loop Redis writes 64 KiB to a connection (`NET_MAX_WRITES_PER_EVENT` in its
//! `server.h`) and a turn is long while it has much to do: a single ear would hear all of it late.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::ear::{Ear, Hearing};
use super::keys::Keys;
use crate::ids::NodeId;
use crate::redis::{Links, RedisAway};

/// How many.
const EARS: usize = 4;

/// See the module.
pub(super) struct Ears([Arc<Ear>; EARS]);

impl Ears {
    /// Ears of the process with that voice, which always hear what is said on the channel `always`.
    pub(super) fn new(links: &Arc<Links>, keys: &Keys, voice: &NodeId, always: &str) -> Self {
        Self(std::array::from_fn(|number| {
            let wanted = (number_of(always) == number).then(|| always.to_owned());
            Arc::new(Ear::new(links.clone(), keys.canary(voice, number), wanted))
        }))
    }

    /// Each with its number.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, &Arc<Ear>)> {
        self.0.iter().enumerate()
    }

    /// See [`Ear::hear`].
    pub(super) async fn hear(&self, channel: String) -> Result<(), RedisAway> {
        self.0[number_of(&channel)].hear(channel).await
    }

    /// Whether what is said there cannot be heard for now, and Redis answers.
    pub(super) fn are_deaf_to(&self, channel: &str) -> bool {
        self.0[number_of(channel)].hearing() == Hearing::Deaf
    }

    /// See [`Ear::leave`].
    pub(super) fn leave(&self, channel: &str) {
        self.0[number_of(channel)].leave(channel);
    }

    /// Whoever hears what is said there does not hear all of it.
    pub(super) fn doubt(&self, channel: &str) {
        self.0[number_of(channel)].doubt();
    }

    /// How long the one that heard nothing for longest did not.
    pub(super) fn silence(&self) -> Duration {
        self.0.iter().map(|ear| ear.silence()).max().unwrap_or_default()
    }

    /// Whether all of them hear; the worst of them.
    pub(super) fn hearing(&self) -> Hearing {
        let all = self.0.iter().map(|ear| ear.hearing());
        all.max_by_key(Hearing::severity).unwrap_or(Hearing::Well)
    }
}

/// Which of them hears what is said there.
pub(super) fn number_of(channel: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    channel.hash(&mut hasher);
    hasher.finish() as usize % EARS
}
