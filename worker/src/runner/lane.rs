//! One lane of a job: an actor fed by the queue, one batch at a time.

mod batch;

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture,
};
use futures_util::stream;
use moim_shared::queue::{Delivery, Queue};
use tokio::sync::{oneshot, watch};

use self::batch::{Work, gather};
use super::{Job, Options};

/// What every life of a lane starts from.
pub struct Lane<J> {
    job: Arc<J>,
    queue: Arc<dyn Queue>,
    options: Options,
    trouble: watch::Sender<Option<String>>,
}

/// How a lane ended.
pub enum End {
    /// The queue is closed and nothing is left that can be done.
    Stopped,
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
        let work = Work {
            job: self.job.clone(),
            queue: self.queue.clone(),
            options,
            trouble: self.trouble.clone(),
        };
        LaneActor::create(|ctx| {
            ctx.add_stream(batches);
            LaneActor { work, ended: Some(ended) }
        });
        // The sender is dropped unused when the actor unwinds.
        wait.await.unwrap_or(End::Died)
    }
}

struct LaneActor<J> {
    work: Work<J>,
    ended: Option<oneshot::Sender<End>>,
}

impl<J: Job> LaneActor<J> {
    fn stop(&mut self, ctx: &mut Context<Self>) {
        if let Some(ended) = self.ended.take() {
            // Its owner may have been stopped with the process.
            let _ = ended.send(End::Stopped);
        }
        ctx.stop();
    }
}

impl<J: Job> Actor for LaneActor<J> {
    type Context = Context<Self>;
}

impl<J: Job> StreamHandler<Vec<Delivery>> for LaneActor<J> {
    fn handle(&mut self, batch: Vec<Delivery>, ctx: &mut Self::Context) {
        let done = self.work.clone().work_off(batch);
        // The stream is not asked for the next batch before this one is done.
        ctx.wait(done.into_actor(self).map(|goes_on, lane, ctx| {
            if !goes_on {
                lane.stop(ctx);
            }
        }));
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.stop(ctx);
    }
}
