//! What one worker of all does now and then: looks through the logs, and removes what is to be
//! removed.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::broker::{Broker, BrokerError};
use moim_shared::config::Worker;
use moim_shared::queue::amqp::AmqpQueue;
use moim_shared::store::Store;
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::purge::Purge;

/// How often it is looked for what is to be removed.
const TIDY: Duration = Duration::from_secs(30);

/// What it is done with.
pub struct Chores {
    /// The logs.
    pub broker: Arc<dyn Broker>,
    /// Where forgotten messages go.
    pub queue: Arc<AmqpQueue>,
    /// Where they are missing.
    pub store: Arc<dyn Store>,
    /// What is to be removed.
    pub purge: Purge,
    /// How often, and how old.
    pub settings: Worker,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Chores {
    /// Queues again what may have been forgotten; until it is dropped.
    pub async fn keep_sweeping(&self) {
        let every = self.settings.sweep_every.get();
        loop {
            sleep(every).await;
            match self.broker.lead("sweep", every * 3).await {
                Ok(true) => {
                    if let Err(error) = self.sweep().await {
                        tracing::warn!(%error, "the logs were not looked through");
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "nobody knows who looks through the logs"),
            }
        }
    }

    /// Whether what is not stored has been forgotten, and not only has to wait.
    async fn is_worked_off(&self) -> bool {
        let waiting = async { self.queue.depth().await.is_ok_and(|depth| depth.messages == 0) };
        self.store.ping().await.is_ok() && waiting.await
    }

    async fn sweep(&self) -> Result<(), BrokerError> {
        if !self.is_worked_off().await {
            return Ok(());
        }
        let (overdue, idle) = (self.settings.sweep_after.get(), self.settings.log_idle.get());
        let (mut cursor, mut queued, mut dropped) = (0, 0, 0);
        loop {
            let swept = self.broker.sweep(cursor, overdue, idle, &*self.queue).await?;
            self.metrics.swept(swept.queued);
            queued += swept.queued;
            dropped += swept.dropped;
            match swept.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        if queued > 0 {
            tracing::warn!(queued, "messages that may have been forgotten are queued again");
        }
        if dropped > 0 {
            tracing::debug!(dropped, "logs that nobody uses were dropped");
        }
        Ok(())
    }

    /// Removes what is to be removed; until it is dropped.
    pub async fn keep_tidy(&self) {
        loop {
            sleep(TIDY).await;
            if !self.broker.lead("tidy", TIDY * 3).await.unwrap_or(false) {
                continue;
            }
            if let Err(error) = self.purge.once().await {
                tracing::warn!(%error, "what is to be removed is there still");
            }
        }
    }
}
