//! The runner: what is delivered is done, or comes again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moim_shared::BoxFuture;
use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::queue::memory::MemoryQueue;
use moim_shared::queue::{Queue, QueueError};
use moim_worker::runner::{self, Job, JobError, Options, Running};
use tokio::sync::{Semaphore, mpsc};

const PATIENCE: Duration = Duration::from_secs(10);

fn message(body: u32) -> Arc<Envelope> {
    Arc::new(Envelope {
        room: RoomId::parse("r").unwrap(),
        position: Position::ZERO,
        origin: OriginId::made_by(&NodeId::random()),
        sender: UserId::parse("mina").unwrap(),
        sender_name: None,
        sent_at: 1_767_225_600_000,
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: body.to_string().into(),
    })
}

fn bodies(envelopes: &[Arc<Envelope>]) -> Vec<u32> {
    let number = |envelope: &Arc<Envelope>| std::str::from_utf8(&envelope.body).unwrap().parse();
    envelopes.iter().map(|envelope| number(envelope).unwrap()).collect()
}

/// How a run goes.
enum Turn {
    Works,
    IsAway,
    Panics,
    /// Those with these bodies can never be done.
    Poison(&'static [u32]),
}

/// A job that tells each batch and then does as it is told; out of turns, it works.
struct Scripted {
    turns: parking::Turns,
    seen: mpsc::UnboundedSender<Vec<u32>>,
    /// One run needs one permit.
    go: Semaphore,
    ready: AtomicBool,
    asked: mpsc::UnboundedSender<()>,
}

mod parking {
    //! A script behind a lock.
    use super::{Turn, VecDeque};
    use std::sync::{Mutex, PoisonError};

    pub struct Turns(Mutex<VecDeque<Turn>>);

    impl Turns {
        pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
            Self(Mutex::new(turns.into_iter().collect()))
        }

        pub fn next(&self) -> Turn {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.pop_front().unwrap_or(Turn::Works)
        }
    }
}

impl Job for Scripted {
    const NAME: &'static str = "scripted";

    fn run<'a>(&'a self, envelopes: &'a [Arc<Envelope>]) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            let _ = self.seen.send(bodies(envelopes));
            self.go.acquire().await.unwrap().forget();
            match self.turns.next() {
                Turn::Works => Ok(()),
                Turn::IsAway => Err(JobError::Away("asked to be".into())),
                Turn::Panics => panic!("asked to"),
                Turn::Poison(poison) => {
                    let places = bodies(envelopes).into_iter().enumerate();
                    let dead = places.filter(|(_, body)| poison.contains(body));
                    Err(JobError::Poison(dead.map(|(at, body)| (at, body.to_string())).collect()))
                }
            }
        })
    }

    fn is_ready(&self) -> BoxFuture<'_, bool> {
        let _ = self.asked.send(());
        Box::pin(std::future::ready(self.ready.load(Ordering::Relaxed)))
    }
}

struct Rig {
    queue: Arc<MemoryQueue>,
    job: Arc<Scripted>,
    seen: mpsc::UnboundedReceiver<Vec<u32>>,
    asked: mpsc::UnboundedReceiver<()>,
    running: Running,
}

type Confirm = tokio::task::JoinHandle<Result<(), QueueError>>;

impl Rig {
    fn start(options: Options, turns: impl IntoIterator<Item = Turn>) -> Self {
        let queue = Arc::new(MemoryQueue::new(1 << 20));
        let (tell, seen) = mpsc::unbounded_channel();
        let (ask, asked) = mpsc::unbounded_channel();
        let job = Arc::new(Scripted {
            turns: parking::Turns::new(turns),
            seen: tell,
            go: Semaphore::new(0),
            ready: AtomicBool::new(false),
            asked: ask,
        });
        let running = runner::start(job.clone(), queue.clone(), options);
        Self { queue, job, seen, asked, running }
    }

    /// Publishes one parcel; it waits in the queue when this returns.
    async fn publish(&self, body: u32) -> Confirm {
        let before = self.queue.bytes();
        let queue = self.queue.clone();
        let confirm = tokio::spawn(async move { queue.publish(vec![message(body)]).await });
        while self.queue.bytes() == before && !confirm.is_finished() {
            tokio::task::yield_now().await;
        }
        confirm
    }

    async fn seen(&mut self) -> Vec<u32> {
        within(self.seen.recv()).await.unwrap()
    }

    fn let_run(&self, times: usize) {
        self.job.go.add_permits(times);
    }

    async fn end(self) {
        self.queue.close();
        self.job.go.add_permits(1_000);
        assert!(self.running.ended(PATIENCE).await);
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never came")
}

async fn confirmed(confirms: Vec<Confirm>) {
    for confirm in confirms {
        assert_eq!(within(confirm).await.unwrap(), Ok(()));
    }
}

fn one_lane() -> Options {
    Options { lanes: 1, ..Options::default() }
}

#[actix_rt::test]
async fn what_waits_while_a_batch_is_under_way_is_the_next_batch() {
    let mut rig = Rig::start(one_lane(), []);
    let mut confirms = vec![rig.publish(0).await];
    assert_eq!(rig.seen().await, [0]);
    for body in 1..=5 {
        confirms.push(rig.publish(body).await);
    }
    assert!(!confirms[0].is_finished(), "nothing is acknowledged before it is done");
    rig.let_run(1);
    assert_eq!(rig.seen().await, [1, 2, 3, 4, 5]);
    rig.let_run(1);
    confirmed(confirms).await;
    rig.end().await;
}

#[actix_rt::test]
async fn a_batch_is_bounded_in_messages_and_in_bytes() {
    let bytes = message(0).weight() * 2;
    for options in
        [Options { batch: 2, ..one_lane() }, Options { batch_bytes: bytes, ..one_lane() }]
    {
        let mut rig = Rig::start(options, []);
        let mut confirms = vec![rig.publish(0).await];
        assert_eq!(rig.seen().await, [0]);
        for body in 1..=5 {
            confirms.push(rig.publish(body).await);
        }
        rig.let_run(6);
        let batches = [rig.seen().await, rig.seen().await, rig.seen().await];
        assert_eq!(batches, [vec![1, 2], vec![3, 4], vec![5]]);
        confirmed(confirms).await;
        rig.end().await;
    }
}

#[actix_rt::test]
async fn a_job_that_is_away_is_tried_again_with_the_same_batch_until_it_works() {
    let mut rig = Rig::start(one_lane(), [Turn::IsAway, Turn::IsAway]);
    let mut trouble = rig.running.trouble();
    let confirm = rig.publish(0).await;
    assert_eq!(rig.seen().await, [0]);
    let other = rig.publish(1).await;
    rig.let_run(1);
    within(trouble.changed()).await.unwrap();
    assert_eq!(trouble.borrow_and_update().as_deref(), Some("asked to be"));
    assert_eq!(rig.seen().await, [0], "the same, and nothing else meanwhile");
    rig.let_run(1);
    assert_eq!(rig.seen().await, [0]);
    assert!(!confirm.is_finished() && !other.is_finished(), "nothing is acknowledged meanwhile");
    rig.let_run(1);
    confirmed(vec![confirm]).await;
    within(trouble.wait_for(Option::is_none)).await.unwrap();
    assert_eq!(rig.seen().await, [1]);
    rig.end().await;
    confirmed(vec![other]).await;
}

#[actix_rt::test]
async fn what_is_away_for_long_gets_its_batch_taken_from_it_until_it_is_ready() {
    let options = Options { hold: Duration::ZERO, ..one_lane() };
    let mut rig = Rig::start(options, [Turn::IsAway]);
    let confirm = rig.publish(0).await;
    assert_eq!(rig.seen().await, [0]);
    rig.let_run(1);
    for _ in 0..2 {
        within(rig.asked.recv()).await.unwrap();
    }
    let back = rig.queue.try_receive().unwrap();
    assert_eq!(bodies(back.envelopes()), [0], "it is in the queue, and nothing is tried");
    drop(back);
    assert!(rig.seen.try_recv().is_err());
    assert_eq!(rig.running.trouble().borrow().as_deref(), Some("asked to be"));
    rig.job.ready.store(true, Ordering::Relaxed);
    assert_eq!(rig.seen().await, [0]);
    rig.let_run(1);
    confirmed(vec![confirm]).await;
    within(rig.running.trouble().wait_for(Option::is_none)).await.unwrap();
    rig.end().await;
}

#[actix_rt::test]
async fn poison_is_buried_and_the_rest_of_the_batch_is_done() {
    let mut rig = Rig::start(one_lane(), [Turn::Works, Turn::Poison(&[2])]);
    let mut confirms = vec![rig.publish(0).await];
    assert_eq!(rig.seen().await, [0]);
    for body in 1..=3 {
        confirms.push(rig.publish(body).await);
    }
    rig.let_run(2);
    assert_eq!(rig.seen().await, [1, 2, 3]);
    let poison = confirms.remove(2);
    confirmed(confirms).await;
    assert_eq!(within(poison).await.unwrap(), Err(QueueError::Buried("2".into())));
    assert_eq!(rig.queue.bytes(), 0);
    rig.end().await;
}

#[actix_rt::test]
async fn a_job_that_is_away_at_the_end_gives_its_batch_back_and_ends() {
    let away = (0..100).map(|_| Turn::IsAway);
    for hold in [Duration::ZERO, PATIENCE * 10] {
        let options = Options { hold, last_tries: Duration::from_millis(10), ..one_lane() };
        let mut rig = Rig::start(options, away.clone());
        let _confirm = rig.publish(0).await;
        rig.seen().await;
        rig.let_run(100);
        within(rig.running.trouble().wait_for(Option::is_some)).await.unwrap();
        rig.queue.close();
        assert!(rig.running.ended(PATIENCE).await);
        assert_eq!(bodies(rig.queue.try_receive().unwrap().envelopes()), [0]);
    }
}

#[actix_rt::test]
async fn a_job_that_panics_is_started_again_and_its_batch_comes_back_in_order() {
    let mut rig = Rig::start(one_lane(), [Turn::Works, Turn::Panics]);
    let mut confirms = vec![rig.publish(0).await];
    assert_eq!(rig.seen().await, [0]);
    for body in 1..=3 {
        confirms.push(rig.publish(body).await);
    }
    rig.let_run(2);
    assert_eq!(rig.seen().await, [1, 2, 3]);
    assert_eq!(rig.seen().await, [1, 2, 3], "after the panic, as it was");
    assert!(!confirms[1].is_finished());
    rig.let_run(1);
    confirmed(confirms).await;
    rig.end().await;
}

#[actix_rt::test]
async fn a_closed_queue_is_worked_off_and_then_every_lane_ends() {
    let mut rig = Rig::start(Options { lanes: 3, ..Options::default() }, [Turn::Panics]);
    let mut confirms = vec![rig.publish(0).await];
    assert_eq!(rig.seen().await, [0]);
    confirms.push(rig.publish(1).await);
    assert_eq!(rig.seen().await, [1], "lanes work side by side");
    rig.queue.close();
    rig.let_run(10);
    confirmed(confirms).await;
    assert!(rig.running.ended(PATIENCE).await);
}

#[actix_rt::test]
async fn a_lane_that_does_not_end_is_not_waited_for_beyond_the_bound() {
    let mut rig = Rig::start(one_lane(), []);
    let _confirm = rig.publish(0).await;
    rig.seen().await;
    rig.queue.close();
    assert!(!rig.running.ended(Duration::from_millis(20)).await);
}
