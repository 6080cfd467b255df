//! The way of SENDs into the order: one batch in flight; what arrives meanwhile is the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::broker::{Batch, BrokerError, Placed};
use moim_shared::envelope::Envelope;
use moim_shared::position::Position;
use moim_shared::queue::{Pressure, QueueError};

use super::{Effect, State};
use crate::refusal::Refusal;
use crate::room::post::{Post, Reply};

/// The batch under way.
#[derive(Debug)]
pub enum InFlight {
    /// At the broker. It has no places yet. Said again, it is the same batch.
    Appending { id: BatchId, posts: Vec<Post> },
    /// At the queue. Each has its place; those whose time ran out were answered already.
    Confirming { envelopes: Vec<Arc<Envelope>>, replies: Vec<(Position, Instant, Option<Reply>)> },
}

/// What a batch is, beside its messages: as what it was checked, and under which number it is said.
#[derive(Debug, Clone, Copy)]
pub struct BatchId {
    number: u64,
    epoch: u64,
    members: u64,
    /// Some of it may have a place already, in a life of the log that was lost since.
    name_all: bool,
}

impl State {
    /// Starts the next batch, if none is under way and the queue takes more.
    ///
    /// Admission stands here, before the broker: from here on a SEND is delayed, never refused.
    pub fn start_batch(&mut self, pressure: Pressure) -> Option<Effect> {
        if !self.open
            || self.in_flight.is_some()
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
            epoch: self.epoch,
            members: self.members,
            name_all: posts.iter().any(|post| post.unsure),
        };
        Some(self.append(id, posts, Duration::ZERO))
    }

    fn append(&mut self, id: BatchId, posts: Vec<Post>, wait: Duration) -> Effect {
        let BatchId { number, epoch, members, name_all } = id;
        let envelopes = posts.iter().map(|post| post.envelope(&self.room)).collect();
        let (room, speaker) = (self.room.clone(), self.speaker);
        let batch = Batch { room, epoch, members, speaker, number, name_all, envelopes };
        self.in_flight = Some(InFlight::Appending { id, posts });
        Effect::Append { batch, wait }
    }

    /// The broker answered.
    pub fn on_appended(&mut self, appended: Result<Vec<Placed>, BrokerError>) -> Vec<Effect> {
        let Some(InFlight::Appending { id, mut posts }) = self.in_flight.take() else {
            return Vec::new();
        };
        match appended {
            Ok(placed) => {
                self.backoff.reset();
                self.on_placed(posts, placed)
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

    fn on_placed(&mut self, posts: Vec<Post>, placed: Vec<Placed>) -> Vec<Effect> {
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
                    replies.push((position, deadline, Some(reply)));
                    envelopes.push(envelope);
                }
                Placed::Duplicate { position, pending: None } => reply.stored(position),
                Placed::NameReused => reply.refused(&Refusal::name_reused()),
            }
        }
        if envelopes.is_empty() {
            return Vec::new();
        }
        self.in_flight = Some(InFlight::Confirming { envelopes: envelopes.clone(), replies });
        vec![Effect::Enqueue { envelopes, wait: Duration::ZERO }]
    }

    /// The queue answered.
    pub fn on_confirmed(&mut self, confirmed: Result<(), QueueError>) -> Vec<Effect> {
        let Some(InFlight::Confirming { envelopes, replies }) = self.in_flight.take() else {
            return Vec::new();
        };
        match confirmed {
            Ok(()) => {
                self.backoff.reset();
                for (position, _, reply) in replies {
                    if let Some(reply) = reply {
                        reply.stored(position);
                    }
                }
                Vec::new()
            }
            Err(error) if error.retryable() => {
                tracing::warn!(room.id = %self.room, %error, "the queue does not confirm");
                self.in_flight =
                    Some(InFlight::Confirming { envelopes: envelopes.clone(), replies });
                vec![Effect::Enqueue { envelopes, wait: self.backoff.wait() }]
            }
            // The process ends. The replies say that nobody knows.
            Err(_closed) => Vec::new(),
        }
    }

    /// Refuses what was held too long; what has a place goes on without its sender.
    pub(super) fn expire_posts(&mut self, now: Instant) {
        while self.pending.front().is_some_and(|post| post.deadline <= now) {
            if let Some(post) = self.pending.pop_front() {
                let stuck = self.in_flight.is_some();
                let refusal = if stuck { Refusal::unavailable() } else { Refusal::busy() };
                post.reply.refused(&refusal);
            }
        }
        match &mut self.in_flight {
            Some(InFlight::Confirming { replies, .. }) => {
                for (_, deadline, reply) in replies {
                    if *deadline <= now
                        && let Some(reply) = reply.take()
                    {
                        reply.refused(&Refusal::unconfirmed());
                    }
                }
            }
            Some(InFlight::Appending { posts, .. }) => {
                for post in posts.iter_mut().filter(|post| post.deadline <= now) {
                    post.reply.expire();
                }
            }
            None => {}
        }
    }
}
