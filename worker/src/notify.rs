//! Tells devices of messages that their users did not get.
//!
//! ```text
//! a room is due ─▶ round ─▶ page of members ─▶ decide ─▶ pushes (kept) ─▶ compose ─▶ Push ─▶ noted
//! ```
//!
//! Everything between two arrows stands in the database ([`Pushes`]), and each step is taken under a
//! lease: whoever dies has its part taken by another, from the last page that was kept and the last
//! call that was noted. So none is missing, and only a call whose outcome nobody noted comes twice,
//! with the same data.
//!
//! Who is told, of what and why not is decided by pure functions: [`decide`](mod@decide) from what
//! members have when a message is due, [`compose`](mod@compose) from what they have when it goes
//! out, [`outcome`](mod@outcome) from what the provider said.

mod compose;
mod decide;
mod fuse;
mod outcome;
mod words;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use moim_shared::backoff::Backoff;
use moim_shared::clock::now_ms;
use moim_shared::store::StoreError;
use moim_shared::store::devices::Devices;
use moim_shared::store::pushes::{DuePush, End, Ended, Pushes, Round};
use moim_shared::task::keep_running;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::compose::compose;
use self::decide::decide;
use self::fuse::Fuse;
use self::outcome::{Outcome, outcome};
use crate::metrics::Metrics;
use crate::push::{Push, PushError, Sent};

/// How long a round or a push is somebody's.
const LEASE: Duration = Duration::from_secs(30);
/// How long a call may take; well below the lease, so that its outcome can be noted.
const CALL: Duration = Duration::from_secs(20);
/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked for what was read while it was sent, and how far back.
const CATCH_UP: Duration = Duration::from_secs(5);
const CAUGHT_UP: Duration = Duration::from_secs(300);
/// Rounds that are taken, and worked on, at once.
const ROUNDS: usize = 32;
const ROUNDS_AT_ONCE: usize = 4;
/// Members of a page.
const PAGE: usize = 500;
/// Those who send, and the pushes that each sends at once: together what a provider is called with
/// at once ([`crate::push::fcm::Options::concurrency`]), as one that waits for its turn ages.
const SENDERS: usize = 4;
const WAVE: usize = 25;

/// See the module.
pub struct Notify {
    /// What is due, and what became of it.
    pub pushes: Arc<dyn Pushes>,
    /// Where tokens go that are of no use.
    pub devices: Arc<dyn Devices>,
    /// What wakes devices.
    pub push: Arc<dyn Push>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// A [`Notify`] at work.
#[derive(Debug)]
pub struct Notifying {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Notifying {
    /// Takes nothing more, and waits until what it has is sent and noted, at most `bound`. What is
    /// left then another takes when its lease is over.
    pub async fn end(self, bound: Duration) {
        // Nobody is left to be told when all have ended.
        let _ = self.stop.send(true);
        let until = Instant::now() + bound;
        for mut task in self.tasks {
            if timeout_at(until, &mut task).await.is_err() {
                task.abort();
                tracing::warn!("pushes under way were not noted in time and may come twice");
            }
        }
    }
}

/// What the tasks share.
struct Shared {
    notify: Notify,
    fuse: Mutex<Fuse>,
    stop: watch::Receiver<bool>,
}

impl Notify {
    /// Begins to work, on the calling runtime.
    pub fn start(self) -> Notifying {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared { notify: self, fuse: Mutex::default(), stop: stopped });
        let task = |name: &'static str, run: fn(Arc<Shared>) -> LocalRun| {
            let shared = shared.clone();
            tokio::task::spawn_local(async move {
                keep_running(name, || run(shared.clone())).await;
            })
        };
        let mut tasks = vec![
            task("rounds of pushes", |shared| Box::pin(shared.look_for_rounds())),
            task("pushes of what was read", |shared| Box::pin(shared.look_for_late_reads())),
        ];
        for _ in 0..SENDERS {
            tasks.push(task("pushes", |shared| Box::pin(shared.send_on())));
        }
        Notifying { stop, tasks }
    }
}

type LocalRun = std::pin::Pin<Box<dyn Future<Output = ()>>>;

impl Shared {
    /// Until it is told to stop: does `work` again and again, at once while there is more to do, else
    /// after `look`; and with growing waits while the database is away.
    async fn keep<F>(&self, what: &str, look: Duration, work: impl Fn() -> F)
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        let mut stop = self.stop.clone();
        let mut backoff = Backoff::new(LOOK, Duration::from_secs(10));
        while !*stop.borrow() {
            let wait = match work().await {
                Ok(more) => {
                    backoff.reset();
                    if more { Duration::ZERO } else { look }
                }
                Err(error) => {
                    if backoff.tries() == 0 {
                        tracing::warn!(%error, "{what} wait for the database");
                    }
                    backoff.wait()
                }
            };
            if !wait.is_zero() {
                // Whether it was told to stop, or the time is over: it looks.
                let _ = timeout(wait, stop.changed()).await;
            }
        }
    }

    async fn look_for_rounds(self: Arc<Self>) {
        let look = async || {
            let rounds = self.notify.pushes.rounds_claim(LEASE, ROUNDS).await?;
            let full = rounds.len() >= ROUNDS;
            let mut done =
                stream::iter(rounds).map(|round| self.walk(round)).buffer_unordered(ROUNDS_AT_ONCE);
            let mut worst = Ok(());
            while let Some(walked) = done.next().await {
                worst = worst.and(walked);
            }
            worst.map(|()| full)
        };
        self.keep("pushes that are due", LOOK, look).await;
    }

    /// Looks through the members of a round.
    async fn walk(&self, mut round: Round) -> Result<(), StoreError> {
        let pushes = &self.notify.pushes;
        loop {
            let page = pushes.round_page(&round, PAGE).await?;
            let now = now_ms();
            let decided = page.candidates.iter().flat_map(|one| decide(one, &page.news, now));
            let next = page.next.clone();
            let kept = pushes.round_keep(&round, decided.collect(), next, LEASE).await?;
            match page.next {
                Some(next) if kept => round.after = Some(next),
                _ => return Ok(()),
            }
        }
    }

    async fn look_for_late_reads(self: Arc<Self>) {
        let look = async || {
            self.notify.pushes.pushes_catch_up(CAUGHT_UP).await?;
            Ok(false)
        };
        self.keep("pushes of what was read", CATCH_UP, look).await;
    }

    async fn send_on(self: Arc<Self>) {
        let wave = async || {
            let claimed = Instant::now();
            let due = self.notify.pushes.pushes_claim(LEASE, WAVE).await?;
            if due.is_empty() {
                return Ok(false);
            }
            let full = due.len() >= WAVE;
            let ended = join_all(due.iter().map(|push| self.send(push))).await;
            self.note(ended, claimed + LEASE).await?;
            Ok(full)
        };
        self.keep("pushes", LOOK, wave).await;
    }

    async fn send(&self, due: &DuePush) -> Ended {
        let end = match compose(due) {
            Err(unwanted) => End::Unwanted(unwanted),
            Ok(notification) => {
                let said = self.call(notification).await;
                let trusted = self.fuse.lock().trusts(&said);
                let Outcome { end, remove } = outcome(due, &said, trusted, now_ms());
                if remove {
                    self.remove_token(due).await;
                }
                end
            }
        };
        self.notify.metrics.pushed(&end, now_ms().saturating_sub(due.created_at));
        Ended { id: due.id, lease: due.lease, end }
    }

    async fn call(&self, notification: crate::push::Notification) -> Result<Sent, PushError> {
        let said = timeout(CALL, self.notify.push.send(notification)).await;
        said.unwrap_or_else(|_late| {
            let why = format!("no answer within {CALL:?}");
            Err(PushError::Later { after: None, unsure: true, why })
        })
    }

    async fn remove_token(&self, due: &DuePush) {
        let Some(token) = &due.token else { return };
        match self.notify.devices.device_token_gone(&due.user, &due.device, token).await {
            Ok(removed) => {
                tracing::info!(removed, "a device's token is of no use and is not kept");
            }
            // The next message for it finds the same.
            Err(error) => tracing::warn!(%error, "a token that is of no use is kept still"),
        }
    }

    /// Notes what became of a wave. Until `until` nobody else has it, and it is tried again.
    async fn note(&self, ended: Vec<Ended>, until: Instant) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            match self.notify.pushes.pushes_done(ended.clone()).await {
                Err(error) if error.retryable() && Instant::now() < until => {
                    sleep(backoff.wait()).await;
                }
                done => return done,
            }
        }
    }
}
