//! Runs a job on what a queue delivers.
//!
//! A job has a few *lanes*, each an actor that takes a batch, runs the job on it and acknowledges
//! it. While one batch is under way the next one gathers in the queue, so batches grow with load.
//! A lane that dies is started again; its batch goes back to the queue by itself.
//!
//! What a job needs may be away for an hour. The lane keeps its batch and tries again, and nothing
//! is counted against it; but not for longer than a broker lets anybody hold deliveries. Then they
//! go back, once, and the lane takes nothing until the job says that it can work.

mod lane;

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use moim_shared::BoxFuture;
use moim_shared::backoff::Backoff;
use moim_shared::envelope::Envelope;
use moim_shared::queue::Queue;
use tokio::sync::{oneshot, watch};

use self::lane::{End, Lane};

/// Something to be done with what a queue delivers. Idempotent.
pub trait Job: Send + Sync + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;

    /// Does it for all of `envelopes`, for all but those that it names, or for none.
    fn run<'a>(&'a self, envelopes: &'a [Arc<Envelope>]) -> BoxFuture<'a, Result<(), JobError>>;

    /// Whether it can work, as far as can be told. Asked again and again after it was away for
    /// longer than [`Options::hold`].
    fn is_ready(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Why a job was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// What it needs is away. It is tried again with the same batch until it is back; nothing else
    /// is taken meanwhile, and no try is counted.
    #[error("{0}")]
    Away(String),
    /// It is done for all others; for those at these places it can never be done, for this reason.
    /// They are buried.
    #[error("it can never be done for {} of them", .0.len())]
    Poison(Vec<(usize, String)>),
}

/// How much a lane takes at once.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lanes side by side.
    pub lanes: usize,
    /// Messages of a batch, about.
    pub batch: usize,
    /// Bytes of a batch, about.
    pub batch_bytes: usize,
    /// How long a batch is kept while the job is away. Well below what the queue allows (RabbitMQ:
    /// 30 minutes).
    pub hold: Duration,
    /// How long a job that is away is tried again after the queue was closed.
    pub last_tries: Duration,
}

impl Default for Options {
    /// Two lanes, so that one prepares while the other waits for the disk.
    fn default() -> Self {
        Self {
            lanes: 2,
            batch: 2_000,
            batch_bytes: 4 << 20,
            hold: Duration::from_secs(600),
            last_tries: Duration::from_secs(1),
        }
    }
}

/// A job that runs until its queue is closed and empty.
#[derive(Debug)]
pub struct Running {
    arbiter: Arbiter,
    lanes: Vec<oneshot::Receiver<()>>,
    trouble: watch::Receiver<Option<String>>,
}

impl Running {
    /// What the job waits for at the moment, if it cannot work.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Waits until every lane has ended, at most `bound`. Close the queue first. False when the
    /// bound came first. What a lane could not do goes back to the queue.
    pub async fn ended(self, bound: Duration) -> bool {
        let all = async {
            for lane in self.lanes {
                // A lane's owner that is gone has ended too.
                let _ = lane.await;
            }
        };
        let ended = tokio::time::timeout(bound, all).await.is_ok();
        self.arbiter.stop();
        ended
    }
}

/// Starts `job` on a thread of its own.
pub fn start<J: Job>(job: Arc<J>, queue: Arc<dyn Queue>, options: Options) -> Running {
    let arbiter = Arbiter::new();
    let (trouble, seen) = watch::channel(None);
    let lanes = (0..options.lanes.max(1))
        .map(|_| {
            let (ended, wait) = oneshot::channel();
            let lane = Lane::new(job.clone(), queue.clone(), options, trouble.clone());
            arbiter.spawn(async move {
                keep_running(lane).await;
                // Nobody waits for it before the process ends.
                let _ = ended.send(());
            });
            wait
        })
        .collect();
    Running { arbiter, lanes, trouble: seen }
}

/// Owns one lane: starts it again when it dies, with growing waits.
async fn keep_running<J: Job>(lane: Lane<J>) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        match lane.run().await {
            End::Stopped => return,
            End::Died => {
                tracing::error!(job = J::NAME, "a lane died and is started again");
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}
