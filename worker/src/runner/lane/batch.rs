//! A batch: how it is gathered and what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::backoff::Backoff;
use moim_shared::envelope::Envelope;
use moim_shared::queue::{Dead, Delivery, Queue};
use tokio::sync::watch;

use crate::runner::{Job, JobError, Options};

/// How soon a waiting lane sees that the queue was closed.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a lane waits after poison could not be buried: it comes again at once.
const BURY_PAUSE: Duration = Duration::from_secs(1);

/// Waits for one delivery and takes what else waits, up to the batch's bounds.
pub async fn gather(queue: &dyn Queue, options: Options) -> Option<Vec<Delivery>> {
    let first = queue.receive().await?;
    let size = |delivery: &Delivery| -> (usize, usize) {
        let bytes = delivery.envelopes().iter().map(|envelope| envelope.weight()).sum();
        (delivery.envelopes().len(), bytes)
    };
    let (mut count, mut bytes) = size(&first);
    let mut batch = vec![first];
    while count < options.batch && bytes < options.batch_bytes {
        let Some(delivery) = queue.try_receive() else { break };
        let (more, more_bytes) = size(&delivery);
        count += more;
        bytes += more_bytes;
        batch.push(delivery);
    }
    Some(batch)
}

/// What working off a batch needs.
pub struct Work<J> {
    pub job: Arc<J>,
    pub queue: Arc<dyn Queue>,
    pub options: Options,
    pub trouble: watch::Sender<Option<String>>,
}

impl<J> Clone for Work<J> {
    fn clone(&self) -> Self {
        Self {
            job: self.job.clone(),
            queue: self.queue.clone(),
            options: self.options,
            trouble: self.trouble.clone(),
        }
    }
}

impl<J: Job> Work<J> {
    /// Runs the job until it is done, or has been away for too long. False when the lane shall
    /// end.
    pub async fn work_off(self, batch: Vec<Delivery>) -> bool {
        let envelopes: Vec<Arc<Envelope>> =
            batch.iter().flat_map(|delivery| delivery.envelopes().iter().cloned()).collect();
        let since = Instant::now();
        let mut backoff = backoff();
        let mut closed = None;
        let poison = loop {
            let reason = match self.job.run(&envelopes).await {
                Ok(()) => break Vec::new(),
                Err(JobError::Poison(poison)) => break poison,
                Err(JobError::Away(reason)) => reason,
            };
            if backoff.tries() == 0 {
                let waiting = envelopes.len();
                let name = J::NAME;
                tracing::error!(
                    job = name,
                    waiting,
                    "`{name}` cannot work, will try again: {reason}"
                );
            }
            self.trouble.send_replace(Some(reason));
            if self.queue.is_closed()
                && closed.get_or_insert_with(Instant::now).elapsed() >= self.options.last_tries
            {
                let waiting = envelopes.len();
                tracing::warn!(job = J::NAME, waiting, "not done at the end: back to the queue");
                return false;
            }
            if since.elapsed() >= self.options.hold {
                drop(batch);
                return self.rest().await;
            }
            self.pause(backoff.wait()).await;
        };
        if backoff.tries() > 0 {
            tracing::info!(job = J::NAME, tries = backoff.tries(), "`{}` works again", J::NAME);
        }
        self.trouble.send_if_modified(|now| now.take().is_some());
        settle::<J>(batch, poison).await;
        true
    }

    /// The batch is back in the queue: waits until the job can work.
    async fn rest(&self) -> bool {
        tracing::warn!(job = J::NAME, "away for long: its deliveries go back until it can work");
        let mut backoff = backoff();
        while !self.queue.is_closed() {
            if self.job.is_ready().await {
                return true;
            }
            self.pause(backoff.wait()).await;
        }
        false
    }

    /// Waits, unless the queue is closed or, once that is so, only for a glance.
    async fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(GLANCE)).await;
            if left <= GLANCE || self.queue.is_closed() {
                return;
            }
        }
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(2))
}

/// Acknowledges the batch, but for what is poison: that is buried.
async fn settle<J: Job>(batch: Vec<Delivery>, poison: Vec<(usize, String)>) {
    let mut start = 0;
    for delivery in batch {
        let end = start + delivery.envelopes().len();
        let dead: Vec<Dead> = poison
            .iter()
            .filter(|(place, _)| (start..end).contains(place))
            .filter_map(|(place, reason)| {
                let envelope = delivery.envelopes().get(place - start)?.clone();
                Some(Dead { envelope, reason: reason.clone() })
            })
            .collect();
        start = end;
        if dead.is_empty() {
            delivery.ack();
        } else if let Err(error) = delivery.bury(dead).await {
            tracing::error!(job = J::NAME, %error, "poison was not buried: it comes again");
            tokio::time::sleep(BURY_PAUSE).await;
        }
    }
}
