//! The open topics of this node: names that anybody may use, nothing of which is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use moim_shared::signal::{Flash, Topic};
use parking_lot::Mutex;

use crate::flash::{Reader, tell};
use crate::outbox::{Outbox, Subscription};

const SHARDS: usize = 16;

/// The readers of one topic. A message is told to all of them under this lock, which keeps the order
/// and concerns nobody else.
type Readers = Arc<Mutex<Vec<Reader>>>;

/// See the module. A topic is there while somebody reads it.
#[derive(Default)]
pub struct Topics {
    /// Locked for a look only.
    shards: [Mutex<HashMap<Topic, Readers>>; SHARDS],
    hasher: RandomState,
}

impl Topics {
    /// The subscription reads the topic from now on.
    pub fn subscribe(&self, topic: &Topic, outbox: Arc<Outbox>, subscription: Arc<Subscription>) {
        let readers = self.shard(topic).lock().entry(topic.clone()).or_default().clone();
        readers.lock().push(Reader::new(outbox, subscription));
    }

    /// It does not any more.
    pub fn leave(&self, topic: &Topic, subscription: &Arc<Subscription>) {
        let Some(readers) = self.readers(topic) else { return };
        let empty = {
            let mut readers = readers.lock();
            readers.retain(|reader| !reader.is(subscription));
            readers.is_empty()
        };
        self.forget_if(empty, topic, readers);
    }

    /// Gives the message to the topic's readers, in one order for all of them; how many took it.
    pub fn tell(&self, topic: &Topic, flash: &Flash) -> u64 {
        let Some(readers) = self.readers(topic) else { return 0 };
        let (told, empty) = {
            let mut readers = readers.lock();
            let told = tell(&mut readers.iter_mut().collect::<Vec<_>>(), flash);
            (told, readers.is_empty())
        };
        self.forget_if(empty, topic, readers);
        told
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn readers(&self, topic: &Topic) -> Option<Readers> {
        self.shard(topic).lock().get(topic).cloned()
    }

    /// Forgets a topic without readers, unless somebody is about to be one: whoever is last does it.
    fn forget_if(&self, empty: bool, topic: &Topic, readers: Readers) {
        drop(readers);
        if !empty {
            return;
        }
        let mut shard = self.shard(topic).lock();
        let unused =
            |readers: &Readers| Arc::strong_count(readers) == 1 && readers.lock().is_empty();
        if shard.get(topic).is_some_and(unused) {
            shard.remove(topic);
        }
    }

    fn shard(&self, topic: &Topic) -> &Mutex<HashMap<Topic, Readers>> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::AckMode;
    use crate::outbox::tests::BOUNDS;
    use crate::stomp::Version;

    #[test]
    fn a_topic_that_nobody_reads_is_forgotten() {
        let topics = Topics::default();
        let topic = Topic::parse("/topic/x").unwrap();
        let reader = |number| {
            let outbox = Arc::new(Outbox::new(u64::from(number), BOUNDS, None));
            let subscription =
                Subscription::new(number, None, "/topic/x", AckMode::Auto, Version::V1_2);
            (outbox, Arc::new(subscription))
        };
        let (one, two) = (reader(1), reader(2));
        for (outbox, subscription) in [&one, &two] {
            topics.subscribe(&topic, outbox.clone(), subscription.clone());
        }
        topics.leave(&topic, &one.1);
        assert_eq!(topics.count(), 1);
        topics.leave(&topic, &two.1);
        assert_eq!(topics.count(), 0);
    }
}
