//! A way to the threads that may block: a bounded queue in front, an answer behind.
//!
//! **Invariant**: a call ends, whatever becomes of the thread. Waiting for a place in the queue and
//! for the answer both have a deadline, and a job that a panic took away is answered for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::store::{Load, StoreError};

/// How long a call waits for a place in a full queue.
const PLACE: Duration = Duration::from_secs(5);
/// How long it waits for its answer after that: a slow disk, never a healthy one.
const ANSWER: Duration = Duration::from_secs(30);

/// A caller that leaves before that (a session that closes, a probe) does not do so since it waits.
const LONG: Duration = Duration::from_secs(2);

/// How often it is said that there was none.
const TOLD: Duration = Duration::from_secs(10);

/// Where a job's answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The receiving end, shared by the threads of a lane.
pub(super) struct Inbox<J> {
    jobs: Mutex<mpsc::Receiver<J>>,
    /// Threads that do not wait for a job.
    busy: AtomicUsize,
}

impl<J> Inbox<J> {
    /// The next job, for a thread that has none; `None`: there is none any more.
    pub(super) fn wait(&self) -> Option<J> {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        let job = self.jobs.lock().blocking_recv();
        self.busy.fetch_add(1, Ordering::Relaxed);
        job
    }

    /// The next one, if there is one.
    pub(super) fn try_next(&self) -> Option<J> {
        self.jobs.lock().try_recv().ok()
    }
}

/// Threads that serve one bounded queue of jobs.
pub(super) struct Lane<J> {
    name: &'static str,
    jobs: Option<mpsc::Sender<J>>,
    place: Duration,
    answer: Duration,
    long: Duration,
    threads: Vec<JoinHandle<()>>,
    inbox: Arc<Inbox<J>>,
    /// How long its threads are waited for at the end; `None`: until they end.
    farewell: Option<Duration>,
    /// Calls that got none in time: in the lane's, or in their caller's.
    late: AtomicU64,
    /// When that was last said.
    told: Mutex<Option<Instant>>,
}

impl<J: Send + 'static> Lane<J> {
    /// Starts `threads` threads that run `serve`, which returns when the inbox is closed. One that
    /// panics begins again.
    pub(super) fn start<S>(
        name: &'static str,
        threads: usize,
        bound: usize,
        serve: S,
    ) -> std::io::Result<Self>
    where
        S: Fn(&Inbox<J>) + Clone + Send + 'static,
    {
        let (jobs, inbox) = mpsc::channel(bound);
        let inbox = Arc::new(Inbox { jobs: Mutex::new(inbox), busy: AtomicUsize::new(threads) });
        let (place, answer) = (PLACE, ANSWER);
        let mut lane = Self {
            name,
            jobs: Some(jobs),
            place,
            answer,
            long: LONG,
            threads: Vec::new(),
            inbox: inbox.clone(),
            farewell: None,
            late: AtomicU64::new(0),
            told: Mutex::default(),
        };
        for _ in 0..threads {
            let (serve, inbox) = (serve.clone(), inbox.clone());
            let body = move || {
                while catch_unwind(AssertUnwindSafe(|| serve(&inbox))).is_err() {
                    tracing::error!("the thread {name} panicked and begins again");
                }
            };
            lane.threads.push(std::thread::Builder::new().name(name.into()).spawn(body)?);
        }
        Ok(lane)
    }

    /// Its calls wait so long for their answers.
    #[must_use]
    pub(super) fn answers_within(mut self, answer: Duration) -> Self {
        self.answer = answer;
        self
    }

    /// At the end its threads are waited for so long, and left to themselves after that.
    #[must_use]
    pub(super) fn leaves_after(mut self, farewell: Duration) -> Self {
        self.farewell = Some(farewell);
        self
    }

    /// Hands over a job and waits for its answer.
    pub(super) async fn call<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T, StoreError> {
        let waits = Waits { lane: self, since: Instant::now() };
        let (reply, answer) = oneshot::channel();
        let answered = match self.hand_over(job(reply)).await {
            Ok(()) => match timeout(self.answer, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_gone)) => Err(self.away("failed while it worked on this")),
                Err(_elapsed) => Err(self.too_late("does not answer in time")),
            },
            Err(error) => Err(error),
        };
        // Whatever it is, it was waited for.
        std::mem::forget(waits);
        answered
    }

    /// How busy it is.
    pub(super) fn load(&self) -> Load {
        let waiting = |jobs: &mpsc::Sender<J>| jobs.max_capacity() - jobs.capacity();
        Load {
            lane: self.name.strip_prefix("store-").unwrap_or(self.name),
            connections: self.threads.len(),
            used: self.inbox.busy.load(Ordering::Relaxed),
            waiting: self.jobs.as_ref().map_or(0, waiting),
            late: self.late.load(Ordering::Relaxed),
        }
    }

    async fn hand_over(&self, job: J) -> Result<(), StoreError> {
        let Some(jobs) = &self.jobs else { return Err(self.away("has ended")) };
        let job = match jobs.try_send(job) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(job) | TrySendError::Closed(job)) => job,
        };
        match timeout(self.place, jobs.send(job)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(self.away("has ended")),
            Err(_elapsed) => Err(self.too_late("has had a full queue for too long")),
        }
    }

    fn too_late(&self, what: &str) -> StoreError {
        self.count_late();
        self.away(what)
    }

    fn count_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() >= TOLD) {
            *told = Some(Instant::now());
            let Load { lane, connections, used, waiting, .. } = self.load();
            tracing::warn!(
                lane,
                connections,
                used,
                waiting,
                "a call to the database got no answer in time: all connections are in use, or what \
                 they are used for does not end"
            );
        }
    }

    fn away(&self, what: &str) -> StoreError {
        StoreError::Unavailable(format!("the thread {} {what}", self.name))
    }
}

/// A call that waits. Dropped, it is one whose caller has less patience than the lane.
struct Waits<'a, J: Send + 'static> {
    lane: &'a Lane<J>,
    since: Instant,
}

impl<J: Send + 'static> Drop for Waits<'_, J> {
    fn drop(&mut self) {
        if self.since.elapsed() >= self.lane.long {
            self.lane.count_late();
        }
    }
}

impl<J> Drop for Lane<J> {
    /// Waits until what was handed over is done, so that the database is free after it.
    fn drop(&mut self) {
        self.jobs = None;
        let until = self.farewell.map(|farewell| Instant::now() + farewell);
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && until.is_some_and(|until| Instant::now() < until) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if until.is_some() && !thread.is_finished() {
                tracing::warn!("the thread {} is left with what it does", self.name);
            } else if thread.join().is_err() {
                tracing::error!("the thread {} ended with a panic", self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Job(bool, Reply<u8>);

    fn lane() -> Lane<Job> {
        Lane::start("test", 1, 4, |inbox: &Inbox<Job>| {
            while let Some(Job(panic, reply)) = inbox.wait() {
                assert!(!panic, "as asked");
                let _ = reply.send(Ok(7));
            }
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_panic_answers_its_caller_and_the_next_call_is_served() {
        let lane = lane();
        let lost = lane.call(|reply| Job(true, reply)).await;
        assert!(lost.is_err_and(|error| error.retryable()));
        assert_eq!(lane.call(|reply| Job(false, reply)).await, Ok(7));
    }

    #[tokio::test]
    async fn a_stuck_thread_lets_no_call_wait_for_ever() {
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let stuck = Arc::new(Mutex::new(stuck));
        let mut lane = Lane::start("test", 1, 1, move |inbox: &Inbox<Job>| {
            while inbox.wait().is_some() {
                let _ = stuck.lock().recv();
            }
        })
        .unwrap();
        (lane.place, lane.answer) = (Duration::from_millis(10), Duration::from_millis(30));
        let call = || lane.call(|reply| Job(false, reply));
        let (a, b, c) = tokio::join!(call(), call(), call());
        for answer in [a, b, c] {
            assert!(answer.is_err_and(|error| error.retryable()));
        }
        drop(release);
        // One was taken by the thread, which dropped it.
        assert_eq!(lane.load().late, 2);
    }

    #[tokio::test]
    async fn a_call_whose_caller_gives_up_first_is_counted_once_and_an_answered_one_never() {
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let stuck = Arc::new(Mutex::new(stuck));
        let mut lane = Lane::start("test", 1, 1, move |inbox: &Inbox<Job>| {
            while let Some(Job(_, reply)) = inbox.wait() {
                let _ = stuck.lock().recv();
                let _ = reply.send(Ok(7));
            }
        })
        .unwrap();
        lane.long = Duration::from_secs(60);
        let gone = timeout(Duration::from_millis(1), lane.call(|reply| Job(false, reply))).await;
        let at_once = lane.load().late;
        lane.long = Duration::from_millis(10);
        // The first keeps the thread, the second waits for it, the third for a place in the queue.
        let call = || timeout(Duration::from_millis(20), lane.call(|reply| Job(false, reply)));
        let (a, b, c) = tokio::join!(call(), call(), call());
        let late = lane.load().late;
        // First: the lane waits for its thread when something of this fails.
        drop(release);
        assert!(gone.is_err() && a.is_err() && b.is_err() && c.is_err());
        assert_eq!((at_once, late), (0, 3), "whoever leaves at once did not wait in vain");
        assert_eq!(lane.call(|reply| Job(false, reply)).await, Ok(7));
        assert_eq!(lane.load().late, 3);
    }
}
