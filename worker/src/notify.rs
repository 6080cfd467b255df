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
//! Who is told, of what and why not is decided by pure functions: `decide` from what members have
//! when a message is due, `compose` from what they have when it goes out, `outcome` from what the
//! provider said.

mod compose;
mod decide;
mod fuse;
mod outcome;
mod words;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use moim_shared::backoff::Backoff;
use moim_shared::clock::now_ms;
use moim_shared::ids::{InstallationId, UserId};
use moim_shared::push_token::PushToken;
use moim_shared::store::StoreError;
use moim_shared::store::devices::Devices;
use moim_shared::store::pushes::{DuePush, End, Ended, Pushes, Round, Unwanted};
use moim_shared::task::keep_running;
use moim_shared::trace::Step;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

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
/// Rounds that are taken and worked on at once.
const ROUNDS: usize = 4;
/// Members of a page.
const PAGE: usize = 500;
/// Calls under way at once, as many as a provider is called with
/// ([`crate::push::fcm::Options::concurrency`]): one that waits for its turn ages.
const CALLS: usize = 100;
/// Pushes that are taken, and that are noted, together; and how long those that have ended wait for
/// others.
const TOGETHER: usize = 25;
const GATHERED: Duration = Duration::from_millis(100);
/// How long it is tried to note what became of calls; others take them after that.
const NOTED: Duration = Duration::from_secs(5);

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
        let tasks = vec![
            task("rounds of pushes", |shared| Box::pin(shared.look_for_rounds())),
            task("pushes of what was read", |shared| Box::pin(shared.look_for_late_reads())),
            task("pushes", |shared| Box::pin(shared.send_on())),
        ];
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
                stream::iter(rounds).map(|round| self.walk(round)).buffer_unordered(ROUNDS);
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
        while !*self.stop.borrow() {
            let page = pushes.round_page(&round, PAGE).await?;
            let now = now_ms();
            let decided = page.candidates.iter().flat_map(|one| decide(one, &page.news, now));
            let next = page.next.clone();
            let kept = pushes.round_keep(&round, decided.collect(), next, LEASE).await?;
            match page.next {
                Some(next) if kept => round.after = Some(next),
                _ => break,
            }
        }
        Ok(())
    }

    async fn look_for_late_reads(self: Arc<Self>) {
        let look = async || Ok(self.notify.pushes.pushes_catch_up(CAUGHT_UP).await? > 0);
        self.keep("pushes of what was read", CATCH_UP, look).await;
    }

    /// Sends what is due, many at once, and notes what became of it in small groups: one that is slow
    /// keeps neither others from going out nor their ends from being noted.
    async fn send_on(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        let mut calls = FuturesUnordered::new();
        let mut ended = Vec::new();
        let mut next_look = Instant::now();
        let mut next_note = None;
        let mut backoff = Backoff::new(LOOK, Duration::from_secs(10));
        loop {
            let now = Instant::now();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if ended.len() >= TOGETHER || is_due(next_note) {
                self.note(std::mem::take(&mut ended)).await;
                next_note = None;
                continue;
            }
            let stopping = *stop.borrow();
            if stopping && calls.is_empty() && ended.is_empty() {
                return;
            }
            let takes = !stopping && calls.len() + TOGETHER <= CALLS;
            if takes && next_look <= now {
                let wait = match self.take(CALLS - calls.len()).await {
                    Ok((due, wait)) => {
                        backoff.reset();
                        calls.extend(due.into_iter().map(|due| self.clone().send(due)));
                        wait
                    }
                    Err(error) => {
                        if backoff.tries() == 0 {
                            tracing::warn!(%error, "pushes wait for the database");
                        }
                        backoff.wait()
                    }
                };
                next_look = Instant::now() + wait;
                continue;
            }
            let wake = [next_note, takes.then_some(next_look)].into_iter().flatten().min();
            let wake = wake.unwrap_or_else(|| now + CALL);
            tokio::select! {
                Some(end) = calls.next() => {
                    ended.push(end);
                    next_note.get_or_insert(Instant::now() + GATHERED);
                }
                () = sleep_until(wake) => {}
                // Whether it was told to stop, or nobody is left who could: it looks.
                _ = stop.changed(), if !stopping => {}
            }
        }
    }

    /// Takes what is due, and says when to look again.
    async fn take(&self, most: usize) -> Result<(Vec<DuePush>, Duration), StoreError> {
        if let Some(rest) = self.notify.push.rests() {
            return Ok((Vec::new(), rest.min(CALL)));
        }
        let due = self.notify.pushes.pushes_claim(LEASE, most).await?;
        let wait = if due.len() < most { LOOK } else { Duration::ZERO };
        Ok((due, wait))
    }

    async fn send(self: Arc<Self>, due: DuePush) -> Done {
        let now = now_ms();
        let (end, remove) = match compose(&due, now) {
            // An earlier call may have been taken, and what it shows is to be taken back.
            Err(Unwanted::Read) if due.attempts > 1 => (End::Sent, false),
            Err(unwanted) => (End::Unwanted(unwanted), false),
            Ok(notification) => {
                let from = SystemTime::now();
                let said = self.call(notification).await;
                let (traces, to) = (&self.notify.metrics.traces, SystemTime::now());
                traces.step(Step::Push, &due.room, due.position, from, to);
                let trusted = self.fuse.lock().trusts(&said);
                let Outcome { end, remove } = outcome(&due, &said, trusted, now_ms());
                (end, remove)
            }
        };
        self.notify.metrics.pushed(&end, now_ms().saturating_sub(due.created_at));
        let useless = due.token.filter(|_| remove);
        let useless = useless.map(|token| (due.user, due.target.installation, token));
        Done { ended: Ended { id: due.id, lease: due.lease, end }, useless }
    }

    async fn call(&self, notification: crate::push::Notification) -> Result<Sent, PushError> {
        let said = timeout(CALL, self.notify.push.send(notification)).await;
        said.unwrap_or_else(|_late| {
            let why = format!("no answer within {CALL:?}");
            Err(PushError::Later { after: None, unsure: true, why })
        })
    }

    /// Notes what became of some, and removes tokens of no use. What cannot be noted others take.
    async fn note(&self, done: Vec<Done>) {
        let until = Instant::now() + NOTED;
        let (ended, useless): (Vec<Ended>, Vec<_>) =
            done.into_iter().map(|done| (done.ended, done.useless)).unzip();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            match self.notify.pushes.pushes_done(ended.clone()).await {
                Err(error) if error.retryable() && Instant::now() < until => {
                    sleep(backoff.wait()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, pushes = ended.len(),
                        "what became of pushes is not noted; they may come twice");
                    break;
                }
                Ok(()) => break,
            }
        }
        for (user, installation, token) in useless.into_iter().flatten() {
            match self.notify.devices.device_token_gone(&user, &installation, &token).await {
                Ok(removed) => {
                    tracing::info!(removed, "a device's token is of no use and is not kept");
                }
                // The next message for it finds the same.
                Err(error) => tracing::warn!(%error, "a token that is of no use is kept still"),
            }
        }
    }
}

/// What a call came to.
struct Done {
    ended: Ended,
    /// A token of no use, and whose it is.
    useless: Option<(UserId, InstallationId, PushToken)>,
}
