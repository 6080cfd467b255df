//! What callers want published, until the publisher takes it; and whether more may come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::link::Channels;
use super::{Numbers, Options};
use crate::envelope::Envelope;
use crate::queue::{Dead, QueueError};
use crate::wire;

/// How often it is looked for what waits too long while there is no connection.
const LOOK: Duration = Duration::from_millis(250);

/// After RabbitMQ refused, new sends are held back until it took something, but not for longer
/// than this: if nobody has anything to try again with, somebody new must find out.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// How much longer than its consumers the publisher lives after a close: they may bury.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Characters of a reason, at most: it travels in a header.
const REASON_MAX: usize = 1_000;

/// Who waits for a publish.
type Answer = oneshot::Sender<Result<(), QueueError>>;

/// Between callers and the publisher.
pub(super) struct Waiting {
    options: Arc<Options>,
    state: Mutex<State>,
    arrived: Notify,
    /// Published and neither confirmed nor refused.
    bytes: AtomicUsize,
    unconfirmed: AtomicUsize,
    sent: AtomicU64,
}

struct State {
    parcels: VecDeque<Parcel>,
    burials: VecDeque<Message>,
    closed: Option<Instant>,
    burials_over: bool,
    away: Option<Instant>,
    blocked: bool,
    refused: Option<Instant>,
    channels: Option<Channels>,
}

/// What one caller published.
struct Parcel {
    envelopes: Vec<Arc<Envelope>>,
    weight: usize,
    due: Instant,
    answer: Answer,
}

/// An AMQP message to be.
pub(super) struct Message {
    pub payload: Vec<u8>,
    /// Why it goes to the dead, if it does.
    pub reason: Option<String>,
    weight: usize,
    answers: Vec<Answer>,
}

impl Message {
    /// Tells everybody who waits for it, once.
    pub fn answer(&mut self, result: &Result<(), QueueError>) {
        for answer in self.answers.drain(..) {
            // A caller that no longer waits needs no answer.
            let _ = answer.send(result.clone());
        }
    }
}

impl Waiting {
    pub fn new(options: Arc<Options>) -> Self {
        let state = State {
            parcels: VecDeque::new(),
            burials: VecDeque::new(),
            closed: None,
            burials_over: false,
            away: Some(Instant::now()),
            blocked: false,
            refused: None,
            channels: None,
        };
        Self {
            options,
            state: Mutex::new(state),
            arrived: Notify::new(),
            bytes: AtomicUsize::new(0),
            unconfirmed: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        }
    }

    /// Takes envelopes, whatever the bound; the future waits for their confirm.
    pub fn publish(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> impl Future<Output = Result<(), QueueError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let taken = {
            let mut state = self.state.lock();
            let taken = state.closed.is_none();
            if taken {
                let weight = envelopes.iter().map(|envelope| envelope.weight()).sum();
                self.bytes.fetch_add(weight, Ordering::Relaxed);
                let due = Instant::now() + self.options.confirm_within;
                state.parcels.push_back(Parcel { envelopes, weight, due, answer });
            }
            taken
        };
        self.arrived.notify_one();
        async move {
            if !taken {
                return Err(QueueError::Closed);
            }
            answered.await.map_err(|_gone| QueueError::Closed)?
        }
    }

    /// Puts envelopes aside, each with its reason; also while the queue is closing.
    pub async fn bury(&self, dead: Vec<Dead>) -> Result<(), QueueError> {
        let waits: Vec<_> = dead
            .into_iter()
            .map(|dead| self.bury_bytes(wire::encode_parcel(&[dead.envelope]), dead.reason))
            .collect();
        for wait in waits {
            wait.await?;
        }
        Ok(())
    }

    /// Puts bytes aside as they are.
    pub fn bury_bytes(
        &self,
        payload: Vec<u8>,
        reason: String,
    ) -> impl Future<Output = Result<(), QueueError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if !state.burials_over {
                let weight = payload.len();
                self.bytes.fetch_add(weight, Ordering::Relaxed);
                let reason = Some(reason.chars().take(REASON_MAX).collect());
                let message = Message { payload, reason, weight, answers: vec![answer] };
                state.burials.push_back(message);
            }
        }
        self.arrived.notify_one();
        async move { answered.await.map_err(|_gone| QueueError::Closed)? }
    }

    /// The next AMQP message: what waits, put together up to the bounds; one parcel at least.
    pub fn gather(&self) -> Option<Message> {
        let mut state = self.state.lock();
        if let Some(burial) = state.burials.pop_front() {
            return Some(burial);
        }
        let first = state.parcels.pop_front()?;
        let (mut envelopes, mut weight) = (first.envelopes, first.weight);
        let mut answers = vec![first.answer];
        while let Some(next) = state.parcels.front() {
            let fits = weight + next.weight <= self.options.message_bytes
                && envelopes.len() + next.envelopes.len() <= self.options.message_count;
            let Some(next) = fits.then(|| state.parcels.pop_front()).flatten() else { break };
            envelopes.extend(next.envelopes);
            weight += next.weight;
            answers.push(next.answer);
        }
        drop(state);
        Some(Message { payload: wire::encode_parcel(&envelopes), reason: None, weight, answers })
    }

    /// Resolves when something may have come to be gathered, or when there may be nothing left.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// A message is under way.
    pub fn sending(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.unconfirmed.fetch_add(1, Ordering::Relaxed);
    }

    /// A message has come to its end.
    pub fn done(&self, mut message: Message, result: &Result<(), QueueError>) {
        self.unconfirmed.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(message.weight, Ordering::Relaxed);
        message.answer(result);
    }

    /// RabbitMQ took something, or refused it.
    pub fn took(&self, taken: bool) {
        self.state.lock().refused = (!taken).then(Instant::now);
    }

    /// The connection stands, or is gone.
    pub fn connected(&self, channels: Option<Channels>) {
        let mut state = self.state.lock();
        state.away = match channels {
            Some(_) => None,
            None => state.away.or_else(|| Some(Instant::now())),
        };
        state.channels = channels;
        state.blocked = false;
    }

    /// RabbitMQ takes nothing, or takes again.
    pub fn blocked(&self, blocked: bool) {
        self.state.lock().blocked = blocked;
    }

    /// Whether new sends are to be held back.
    pub fn full(&self, now: Instant) -> bool {
        let past = |since: Option<Instant>, bound| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= bound)
        };
        let state = self.state.lock();
        self.bytes.load(Ordering::Relaxed) >= self.options.bound
            || state.blocked
            || state.refused.is_some() && !past(state.refused, REFUSED_FOR)
    }

    /// Refuses what waited for too long.
    pub fn refuse_overdue(&self, now: Instant) {
        let mut state = self.state.lock();
        let reason = if state.blocked { "RabbitMQ is blocked" } else { "RabbitMQ is away" };
        while state.parcels.front().is_some_and(|parcel| parcel.due <= now) {
            if let Some(parcel) = state.parcels.pop_front() {
                self.bytes.fetch_sub(parcel.weight, Ordering::Relaxed);
                // A caller that no longer waits needs no answer.
                let _ = parcel.answer.send(Err(QueueError::Refused(reason.into())));
            }
        }
        // Who buries waits anyway, but not for ever.
        if state.away.is_some_and(|since| now - since >= self.options.confirm_within) {
            for mut burial in state.burials.drain(..) {
                self.bytes.fetch_sub(burial.weight, Ordering::Relaxed);
                burial.answer(&Err(QueueError::Refused(reason.into())));
            }
        }
    }

    /// Looks after what waits while there is no connection, until nothing more can come.
    pub async fn without_connection(&self) {
        while !self.over(Instant::now()) {
            let _ = tokio::time::timeout(LOOK, self.arrived()).await;
            self.refuse_overdue(Instant::now());
        }
    }

    /// Whether it is closed and nothing waits or can come, or it has waited long enough.
    pub fn over(&self, now: Instant) -> bool {
        let empty = {
            let state = self.state.lock();
            state.parcels.is_empty() && state.burials.is_empty() && state.burials_over
        };
        self.closed() && empty || self.late(now)
    }

    /// Whether it is closed for so long that what is under way is given up.
    pub fn late(&self, now: Instant) -> bool {
        let bound = self.options.close_within + CLOSE_GRACE;
        let closed = self.state.lock().closed;
        closed.is_some_and(|closed| now.saturating_duration_since(closed) >= bound)
    }

    fn closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }

    /// No more publishes.
    pub fn close(&self) {
        self.state.lock().closed.get_or_insert_with(Instant::now);
        self.arrived.notify_one();
    }

    /// The consumers have ended.
    pub fn no_more_burials(&self) {
        self.state.lock().burials_over = true;
        self.arrived.notify_one();
    }

    /// Nobody publishes any more: what still waits learns it.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed.get_or_insert_with(Instant::now);
        state.burials_over = true;
        state.parcels.clear();
        state.burials.clear();
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// For questions beside the publishing.
    pub fn channels(&self) -> Option<Channels> {
        self.state.lock().channels.clone()
    }

    pub fn numbers(&self, held: usize) -> Numbers {
        let state = self.state.lock();
        Numbers {
            waiting: state.parcels.len(),
            bytes: self.bytes.load(Ordering::Relaxed),
            unconfirmed: self.unconfirmed.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            held,
            connected: state.channels.is_some(),
            blocked: state.blocked,
        }
    }
}
