//! The open topics of this node: names that anybody may use, nothing of which is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use moim_shared::signal::{Flash, Topic};
use parking_lot::Mutex;

use crate::flash::{Reader, tell};
use crate::outbox::{Outbox, Subscription};

const SHARDS: usize = 16;

/// See the module. A topic is there while somebody reads it.
#[derive(Default)]
pub struct Topics {
    shards: [Mutex<HashMap<Topic, Vec<Reader>>>; SHARDS],
    hasher: RandomState,
}

impl Topics {
    /// The subscription reads the topic from now on.
    pub fn subscribe(&self, topic: &Topic, outbox: Arc<Outbox>, subscription: Arc<Subscription>) {
        let mut shard = self.shard(topic).lock();
        shard.entry(topic.clone()).or_default().push(Reader::new(outbox, subscription));
    }

    /// Lets go of subscriptions that have ended. True when nobody is left.
    pub fn tidy(&self, topic: &Topic) -> bool {
        let mut shard = self.shard(topic).lock();
        let Some(readers) = shard.get_mut(topic) else { return true };
        readers.retain(|reader| !reader.is_gone());
        if readers.is_empty() {
            shard.remove(topic);
            return true;
        }
        false
    }

    /// Gives the message to the topic's readers, in one order for all of them; how many took it.
    pub fn tell(&self, topic: &Topic, flash: &Flash) -> u64 {
        let mut shard = self.shard(topic).lock();
        let Some(readers) = shard.get_mut(topic) else { return 0 };
        tell(&mut readers.iter_mut().collect::<Vec<_>>(), flash)
    }

    fn shard(&self, topic: &Topic) -> &Mutex<HashMap<Topic, Vec<Reader>>> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }
}
