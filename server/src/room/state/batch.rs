//! The way of SENDs into the order: one batch at the broker; what arrives meanwhile is the next one.
//! It also waits for the queue to confirm the one before, so that batches grow with load, but not for
//! long: a queue that is away delays RECEIPTs, not what people see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::broker::{Batch, BrokerError, Placed};
use moim_shared::envelope::Envelope;
use moim_shared::position::Position;
use moim_shared::queue::{Pressure, QueueError};

use super::{Effect, State};
use crate::refusal::Refusal;
use crate::room::post::{Post, Reply};

/// How long the next batch waits for the queue to confirm the one before.
const CONFIRM: Duration = Duration::from_millis(50);

/// The batch at the broker. It has no places yet. Said again, it is the same batch.
#[derive(Debug)]
pub struct Appending {
    id: BatchId,
    posts: Vec<Post>,
}

/// A batch at the queue. Each has its place; those whose time ran out were answered already.
#[derive(Debug)]
pub struct Confirming {
    number: u64,
    began: Instant,
    envelopes: Vec<Arc<Envelope>>,
    replies: Vec<(Position, Instant, Option<Reply>)>,
}

/// What a batch is, beside its messages: as what it was checked, and under which number it is said.
#[derive(Debug, Clone, Copy)]
pub struct BatchId {
    number: u64,
    began: Instant,
    epoch: u64,
    members: u64,
    /// Some of it may have a place already, in a life of the log that was lost since.
    name_all: bool,
}

impl State {
    /// Starts the next batch, if none is under way and the queue takes more.
    ///
    /// Admission stands here, before the broker: from here on a SEND is delayed, never refused.
    pub fn start_batch(&mut self, pressure: Pressure, now: Instant) -> Option<Effect> {
        let unconfirmed = |batch: &Confirming| now.saturating_duration_since(batch.began) < CONFIRM;
        if !self.open
            || self.appending.is_some()
            || self.confirming.back().is_some_and(unconfirmed)
            || self.pending.is_empty()
            || pressure == Pressure::Full
        {
            return None;
        }
        let mut bytes = 0;
        let mut posts = Vec::new();
        while let Some(post) = self.pending.front() {
            bytes += post.weight();
            let full = bytes > self.bounds.batch_bytes || posts.len() >= self.bounds.batch;
            if full && !posts.is_empty() {
                break;
            }
            posts.extend(self.pending.pop_front());
        }
        let id = BatchId {
            number: Batch::next_number(),
            began: now,
            epoch: self.epoch,
            members: self.members,
            name_all: posts.iter().any(|post| post.unsure),
        };
        Some(self.append(id, posts, Duration::ZERO))
    }

    fn append(&mut self, id: BatchId, posts: Vec<Post>, wait: Duration) -> Effect {
        let BatchId { number, epoch, members, name_all, .. } = id;
        let envelopes = posts.iter().map(|post| post.envelope(&self.room)).collect();
        let (room, speaker) = (self.room.clone(), self.speaker);
        let batch = Batch { room, epoch, members, speaker, number, name_all, envelopes };
        self.appending = Some(Appending { id, posts });
        Effect::Append { batch, wait }
    }

    /// The broker answered.
    pub fn on_appended(&mut self, appended: Result<Vec<Placed>, BrokerError>) -> Vec<Effect> {
        let Some(Appending { id, mut posts }) = self.appending.take() else {
            return Vec::new();
        };
        match appended {
            Ok(placed) => {
                self.backoff.reset();
                self.on_placed(id, posts, placed)
            }
            Err(BrokerError::EpochRolled) => {
                self.open = false;
                self.put_back(posts);
                // Let in again: what they were checked against says nothing about the next life.
                let mut effects = self.recheck_pending();
                effects.push(Effect::Open { wait: Duration::ZERO });
                effects
            }
            Err(BrokerError::MembersChanged { now: version }) => {
                let known = version <= self.members;
                self.put_back(posts);
                if known { self.recheck_pending() } else { self.recheck_all(version) }
            }
            Err(error @ BrokerError::Unavailable(_)) => {
                if self.backoff.tries() == 0 {
                    tracing::warn!(room.id = %self.room, %error, "the broker does not append");
                }
                for post in &mut posts {
                    post.unsure = true;
                }
                let wait = self.backoff.wait();
                vec![self.append(id, posts, wait)]
            }
        }
    }

    fn put_back(&mut self, posts: Vec<Post>) {
        // Whoever was told that nobody knows does not wait for it any more.
        for post in posts.into_iter().rev().filter(|post| !post.reply.is_answered()) {
            self.pending.push_front(post);
        }
    }

    fn on_placed(&mut self, id: BatchId, posts: Vec<Post>, placed: Vec<Placed>) -> Vec<Effect> {
        let mut envelopes = Vec::with_capacity(posts.len());
        let mut replies = Vec::with_capacity(posts.len());
        for (post, placed) in posts.into_iter().zip(placed) {
            let Post { reply, deadline, .. } = post;
            match placed {
                Placed::New(envelope) => {
                    replies.push((envelope.position, deadline, Some(reply)));
                    envelopes.push(envelope);
                }
                // Queued and confirmed again: the first one's confirm may never have come.
                Placed::Duplicate { position, pending: Some(envelope) } => {
                    replies.push((position, deadline, Some(reply.again())));
                    envelopes.push(envelope);
                }
                Placed::Duplicate { position, pending: None } => {
                    reply.again().stored(&self.room, position);
                }
                Placed::NameReused => reply.refused(&Refusal::name_reused()),
            }
        }
        if envelopes.is_empty() {
            return Vec::new();
        }
        let BatchId { number, began, .. } = id;
        let batch = Confirming { number, began, envelopes: envelopes.clone(), replies };
        self.confirming.push_back(batch);
        vec![Effect::Enqueue { number, envelopes, wait: Duration::ZERO }]
    }

    /// The number of the batch that waits for the queue longest.
    #[cfg(test)]
    pub fn unconfirmed(&self) -> Option<u64> {
        self.confirming.front().map(|batch| batch.number)
    }

    /// The queue answered for the batch of that number.
    pub fn on_confirmed(&mut self, number: u64, confirmed: Result<(), QueueError>) -> Vec<Effect> {
        let found = self.confirming.iter().position(|batch| batch.number == number);
        let Some(index) = found else { return Vec::new() };
        if let Err(error) = &confirmed
            && error.retryable()
        {
            if self.backoff.tries() == 0 {
                tracing::warn!(room.id = %self.room, %error, "the queue does not confirm");
            }
            let envelopes = self.confirming[index].envelopes.clone();
            return vec![Effect::Enqueue { number, envelopes, wait: self.backoff.wait() }];
        }
        let batch = self.confirming.remove(index);
        // Else the process ends. The replies say that nobody knows.
        if confirmed.is_ok() {
            self.backoff.reset();
            for (position, _, reply) in batch.into_iter().flat_map(|batch| batch.replies) {
                if let Some(reply) = reply {
                    reply.stored(&self.room, position);
                }
            }
        }
        Vec::new()
    }

    /// Refuses what was held too long; what has a place goes on without its sender.
    pub(super) fn expire_posts(&mut self, now: Instant) {
        while self.pending.front().is_some_and(|post| post.deadline <= now) {
            if let Some(post) = self.pending.pop_front() {
                let stuck = self.appending.is_some() || !self.confirming.is_empty();
                let refusal = if stuck { Refusal::unavailable() } else { Refusal::busy() };
                post.reply.refused(&refusal);
            }
        }
        for batch in &mut self.confirming {
            for (_, deadline, reply) in &mut batch.replies {
                if *deadline <= now
                    && let Some(reply) = reply.take()
                {
                    reply.refused(&Refusal::unconfirmed());
                }
            }
        }
        for post in self.appending.iter_mut().flat_map(|batch| &mut batch.posts) {
            if post.deadline <= now {
                post.reply.expire();
            }
        }
    }
}
