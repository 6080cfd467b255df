//! The sessions of this node by their users: for what is sent to a user, and for the end of tokens.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use moim_shared::ids::UserId;
use moim_shared::signal::{Flash, Topic};
use moim_shared::store::accounts::{Revocation, Subject};
use parking_lot::Mutex;

use crate::flash::{Reader, tell};
use crate::outbox::{CloseReason, Outbox, Subscription};
use crate::token::Proof;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<UserId, Vec<Present>>>;

/// See the module.
#[derive(Default)]
pub struct Registry {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

struct Present {
    outbox: Arc<Outbox>,
    proof: Proof,
    /// What of the user's queues it reads; most sessions read none.
    queues: Vec<(Topic, Reader)>,
}

fn are_away(sessions: &[Present]) -> bool {
    sessions.iter().all(|present| present.outbox.is_away())
}

impl Registry {
    /// A session of `user` is there, by that proof.
    pub fn enter(&self, user: &UserId, proof: Proof, outbox: Arc<Outbox>) {
        let mut shard = self.shard(user).lock();
        // Most people have one session: no room for more until there are more.
        let sessions = shard.entry(user.clone()).or_insert_with(|| Vec::with_capacity(1));
        sessions.push(Present { outbox, proof, queues: Vec::new() });
    }

    /// The session has ended. Whether the user is not there since then: it was the last active one
    /// here. Who was away was not there since it turned away.
    pub fn leave(&self, user: &UserId, session: u64) -> bool {
        let mut shard = self.shard(user).lock();
        let Some(sessions) = shard.get_mut(user) else { return false };
        let was_there = !are_away(sessions);
        sessions.retain(|present| present.outbox.session() != session);
        let was_last = was_there && are_away(sessions);
        if sessions.is_empty() {
            shard.remove(user);
        }
        was_last
    }

    /// Whether no session that the user has here is active.
    pub fn is_away(&self, user: &UserId) -> bool {
        self.shard(user).lock().get(user).is_none_or(|sessions| are_away(sessions))
    }

    /// Those with an active session here.
    pub fn users(&self) -> Vec<UserId> {
        let mut users = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let there = shard.iter().filter(|(_, sessions)| !are_away(sessions));
            users.extend(there.map(|(user, _)| user.clone()));
        }
        users
    }

    /// The session reads `/user/queue/{queue}` from now on.
    pub fn subscribe(
        &self,
        user: &UserId,
        queue: Topic,
        outbox: &Arc<Outbox>,
        subscription: Arc<Subscription>,
    ) {
        let mut shard = self.shard(user).lock();
        let sessions = shard.get_mut(user).map(Vec::as_mut_slice).unwrap_or_default();
        for present in sessions {
            if present.outbox.session() == outbox.session() {
                let reader = Reader::new(outbox.clone(), subscription.clone());
                present.queues.push((queue.clone(), reader));
            }
        }
    }

    /// The subscription reads nothing of the user's any more.
    pub fn unsubscribe(&self, user: &UserId, subscription: &Arc<Subscription>) {
        let mut shard = self.shard(user).lock();
        for present in shard.get_mut(user).map(Vec::as_mut_slice).unwrap_or_default() {
            present.queues.retain(|(_, reader)| !reader.is(subscription));
        }
    }

    /// Gives the message to those sessions of the user that read the queue.
    pub fn tell(&self, user: &UserId, queue: &Topic, flash: &Flash) -> u64 {
        let mut shard = self.shard(user).lock();
        let Some(sessions) = shard.get_mut(user) else { return 0 };
        let mut told = 0;
        for present in sessions {
            let mut readers: Vec<&mut Reader> = present
                .queues
                .iter_mut()
                .filter_map(|(name, reader)| (name == queue).then_some(reader))
                .collect();
            told += tell(&mut readers, flash);
        }
        told
    }

    /// Closes the sessions whose tokens have ended; how many.
    pub fn revoke(&self, revocation: &Revocation) -> usize {
        let mut ended = Vec::new();
        let mut look = |sessions: &Vec<Present>, user: &UserId| {
            let revoked = |present: &&Present| present.proof.is_revoked_by(user, revocation);
            ended.extend(sessions.iter().filter(revoked).map(|present| present.outbox.clone()));
        };
        match &revocation.subject {
            Subject::User(user) => {
                if let Some(sessions) = self.shard(user).lock().get(user) {
                    look(sessions, user);
                }
            }
            // Rare: everybody is looked at, a shard at a time.
            Subject::Login(_) | Subject::Token(_) => {
                for shard in &self.shards {
                    shard.lock().iter().for_each(|(user, sessions)| look(sessions, user));
                }
            }
        }
        for outbox in &ended {
            outbox.close(CloseReason::REVOKED);
        }
        ended.len()
    }

    fn shard(&self, user: &UserId) -> &Shard {
        &self.shards[self.hasher.hash_one(user) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::tests::BOUNDS;

    #[test]
    fn somebody_is_gone_with_its_last_active_session_and_not_with_those_that_were_away() {
        let registry = Registry::default();
        let user = UserId::parse("mina").unwrap();
        let enter = |session| {
            let outbox = Arc::new(Outbox::new(session, BOUNDS, None));
            registry.enter(&user, Proof::default(), outbox.clone());
            outbox
        };
        let [one, _, three] = [1, 2, 3].map(enter);
        assert!(!registry.leave(&user, 2), "two more are active");
        one.turn_away(true);
        assert!(registry.leave(&user, 3), "the other one is away");
        assert!(!registry.leave(&user, 1), "it was last seen when it turned away");
        assert!(!registry.leave(&user, three.session()), "it is gone");
        enter(4);
        assert!(registry.leave(&user, 4));
        assert!(registry.users().is_empty());
    }
}
