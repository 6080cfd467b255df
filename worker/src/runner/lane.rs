//! One lane of a job: an actor fed by the queue, one batch at a time.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture,
};
use futures_util::stream;
use moim_shared::backoff::Backoff;
use moim_shared::envelope::Envelope;
use moim_shared::queue::{Delivery, Queue};
use tokio::sync::{oneshot, watch};

use super::{Job, JobError, Options};

/// What every life of a lane starts from.
pub struct Lane<J> {
    job: Arc<J>,
    queue: Arc<dyn Queue>,
    options: Options,
    trouble: watch::Sender<Option<String>>,
}

/// How a lane ended.
pub enum End {
    /// Nothing is left to do.
    QueueClosed,
    /// It panicked.
    Died,
}

impl<J: Job> Lane<J> {
    pub fn new(
        job: Arc<J>,
        queue: Arc<dyn Queue>,
        options: Options,
        trouble: watch::Sender<Option<String>>,
    ) -> Self {
        Self { job, queue, options, trouble }
    }

    /// One life of the lane's actor, to its end.
    pub async fn run(&self) -> End {
        let (ended, wait) = oneshot::channel();
        let queue = self.queue.clone();
        let options = self.options;
        let batches = stream::unfold(queue, move |queue| async move {
            gather(&*queue, options).await.map(|batch| (batch, queue))
        });
        let (job, trouble) = (self.job.clone(), self.trouble.clone());
        LaneActor::create(|ctx| {
            ctx.add_stream(batches);
            LaneActor { job, trouble, ended: Some(ended) }
        });
        // The sender is dropped unused when the actor unwinds.
        wait.await.unwrap_or(End::Died)
    }
}

/// Waits for one delivery and takes what else waits, up to the batch's bounds.
async fn gather(queue: &dyn Queue, options: Options) -> Option<Vec<Delivery>> {
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

struct LaneActor<J> {
    job: Arc<J>,
    trouble: watch::Sender<Option<String>>,
    ended: Option<oneshot::Sender<End>>,
}

impl<J: Job> Actor for LaneActor<J> {
    type Context = Context<Self>;
}

impl<J: Job> StreamHandler<Vec<Delivery>> for LaneActor<J> {
    fn handle(&mut self, batch: Vec<Delivery>, ctx: &mut Self::Context) {
        let done = work_off(self.job.clone(), batch, self.trouble.clone());
        // The stream is not asked for the next batch before this one is done.
        ctx.wait(done.into_actor(self).map(|(), _, _| ()));
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        if let Some(ended) = self.ended.take() {
            // Its owner may have been stopped with the process.
            let _ = ended.send(End::QueueClosed);
        }
        ctx.stop();
    }
}

/// Runs the job until it is done: what is away is waited for, without a limit of tries.
async fn work_off<J: Job>(
    job: Arc<J>,
    batch: Vec<Delivery>,
    trouble: watch::Sender<Option<String>>,
) {
    let envelopes: Vec<Arc<Envelope>> =
        batch.iter().flat_map(|delivery| delivery.envelopes().iter().cloned()).collect();
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    while let Err(JobError::Away(reason)) = job.run(&envelopes).await {
        if backoff.tries() == 0 {
            let waiting = envelopes.len();
            tracing::error!(
                job = J::NAME,
                waiting,
                "`{}` cannot work, will try again: {reason}",
                J::NAME
            );
        }
        trouble.send_replace(Some(reason));
        tokio::time::sleep(backoff.wait()).await;
    }
    if backoff.tries() > 0 {
        tracing::info!(job = J::NAME, tries = backoff.tries(), "`{}` works again", J::NAME);
    }
    trouble.send_if_modified(|now| now.take().is_some());
    for delivery in batch {
        delivery.ack();
    }
}
