//! Writes messages behind: one transaction for all that wait, then the broker learns what is
//! durable, then the delivery is acknowledged. A crash in between repeats it, which changes nothing.
//!
//! A message that the database never takes is set apart from those around it. One whose epoch was
//! closed before it came is said again: see [`resend`](super::resend).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::{StreamExt, stream};
use moim_shared::BoxFuture;
use moim_shared::broker::{Broker, BrokerError, Durable};
use moim_shared::clock::now_ms;
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::queue::Queue;
use moim_shared::store::{Store, StoreError, Stored};
use moim_shared::trace::{self, Step};

use super::resend::say_again;
use crate::metrics::Metrics;
use crate::runner::{Job, JobError};

/// Rooms that are told something at once.
const ROOMS: usize = 64;
/// Messages that are said again with one batch.
const PART: usize = 128;

/// See the module.
pub struct PersistMessages {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    queue: Arc<dyn Queue>,
    metrics: Arc<Metrics>,
}

/// What became of each message of a batch; `Err`: why the database never takes it.
type Outcome = Vec<Result<Stored, String>>;

impl PersistMessages {
    /// Writes into `store`, tells `broker`, and hands to `queue` what was said again.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, queue: Arc<dyn Queue>) -> Self {
        Self { store, broker, queue, metrics: Arc::default() }
    }

    /// Counts there.
    #[must_use]
    pub fn counted_by(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Writes all of it, or finds the ones that cannot be written by halves.
    async fn store(&self, envelopes: &[Arc<Envelope>]) -> Result<Outcome, StoreError> {
        let mut outcome = Vec::with_capacity(envelopes.len());
        let mut parts = vec![envelopes];
        while let Some(part) = parts.pop() {
            match self.store.insert(part.to_vec()).await {
                Ok(stored) => outcome.extend(stored.into_iter().map(Ok)),
                Err(StoreError::Refused(why)) if part.len() == 1 => outcome.push(Err(why)),
                Err(StoreError::Refused(_)) => {
                    let (front, back) = part.split_at(part.len() / 2);
                    parts.push(back);
                    parts.push(front);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// Nothing is acknowledged before the broker knows: a number that it never hears of would keep
    /// the log of its room for ever.
    async fn tell_broker(
        &self,
        envelopes: &[Arc<Envelope>],
        outcome: &Outcome,
    ) -> Result<(), BrokerError> {
        let mut rooms: HashMap<RoomId, Vec<Durable>> = HashMap::new();
        for (envelope, outcome) in envelopes.iter().zip(outcome) {
            let shown = match outcome {
                Ok(Stored::New | Stored::Again) => true,
                // Of one that is never stored nobody waits for the number.
                Ok(Stored::Duplicate { .. }) | Err(_) => false,
                Ok(Stored::Late) => continue,
            };
            let durable = Durable { position: envelope.position, shown };
            rooms.entry(envelope.room.clone()).or_default().push(durable);
        }
        let mut told = stream::iter(rooms)
            .map(|(room, durable)| async move { self.broker.mark_durable(&room, &durable).await })
            .buffer_unordered(ROOMS);
        let mut worst = Ok(());
        while let Some(done) = told.next().await {
            worst = worst.and(done);
        }
        worst
    }

    /// Says again what came too late for its epoch.
    async fn say_late_again(
        &self,
        envelopes: &[Arc<Envelope>],
        outcome: &Outcome,
    ) -> Result<(), JobError> {
        let mut rooms: BTreeMap<RoomId, Vec<Arc<Envelope>>> = BTreeMap::new();
        for (envelope, outcome) in envelopes.iter().zip(outcome) {
            if matches!(outcome, Ok(Stored::Late)) {
                rooms.entry(envelope.room.clone()).or_default().push(envelope.clone());
            }
        }
        // Side by side: each may have to wait for its room to be opened.
        let mut said = stream::iter(rooms)
            .map(|(room, mut late)| async move {
                late.sort_by_key(|envelope| envelope.position);
                tracing::info!(room.id = %room, messages = late.len(),
                    "messages came after their epoch was closed and are said again");
                self.metrics.late(late.len());
                for part in late.chunks(PART) {
                    say_again(&*self.broker, &*self.queue, &room, part).await?;
                }
                Ok(())
            })
            .buffer_unordered(ROOMS);
        let mut worst = Ok(());
        while let Some(done) = said.next().await {
            worst = worst.and(done);
        }
        worst.map_err(JobError::Away)
    }

    fn count(&self, envelopes: &[Arc<Envelope>], outcome: &Outcome, took: f64) {
        let now = now_ms();
        let new = envelopes.iter().zip(outcome).filter(|(_, it)| matches!(it, Ok(Stored::New)));
        let lags = new.map(|(envelope, _)| now.saturating_sub(envelope.sent_at));
        self.metrics.stored(lags, took);
    }
}

impl Job for PersistMessages {
    const NAME: &'static str = "persist_messages";

    fn run<'a>(&'a self, envelopes: &'a [Arc<Envelope>]) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            let (began, from) = (Instant::now(), SystemTime::now());
            let outcome = self.store(envelopes).await;
            let outcome = outcome.map_err(|error| JobError::Away(error.to_string()))?;
            self.count(envelopes, &outcome, began.elapsed().as_secs_f64());
            self.metrics.traces.steps(Step::Store, envelopes, from);
            let told = self.tell_broker(envelopes, &outcome).await;
            told.map_err(|error| JobError::Away(error.to_string()))?;
            self.say_late_again(envelopes, &outcome).await?;
            let poison: Vec<(usize, String)> = outcome
                .into_iter()
                .enumerate()
                .filter_map(|(at, outcome)| outcome.err().map(|why| (at, why)))
                .collect();
            if poison.is_empty() {
                return Ok(());
            }
            self.metrics.buried(poison.len());
            for (at, why) in &poison {
                let Envelope { room, position, .. } = &*envelopes[*at];
                tracing::error!(room.id = %room, %position, trace.id = %trace::id(room, *position),
                    "a message can never be stored and is put aside: {why}");
            }
            Err(JobError::Poison(poison))
        })
    }

    fn is_ready(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { self.store.ping().await.is_ok() })
    }
}
