//! One connection of the rate test: subscribes to its room and works there (`rate_work`). In a test
//! whose sessions resume it comes back when it is closed, at the next node, as a client behind a
//! balancer would.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::answers::ERRORS;
use super::pending::Pending;
use super::rate_work::Work;
use super::room::Room;
use super::waits::Waits;
use crate::client::{ANSWER, Session};
use crate::failure::Failure;
use crate::nodes::Nodes;
use crate::stats::{Recorder, Step};

/// The id of the subscription to the room.
const ROOM: &str = "0";
/// A session that worked this long was well.
const WELL: Duration = Duration::from_secs(5);
/// Sessions that resume have to find out that a node is dead although its sockets are not.
const HEART_BEAT: &str = "4000,4000";

/// When a connection sends.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    /// At `first` after the start and then `every`.
    Clock {
        /// This connection's offset.
        first: Duration,
        /// From one of its sends to the next.
        every: Duration,
    },
    /// As long as fewer than this many wait for their RECEIPT.
    Window(usize),
}

/// Where the test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened.
    Gathering,
    /// Sends are due from the first instant until the second.
    Sending(Instant, Instant),
    /// Enough.
    Over,
}

/// What all connections share.
#[derive(Debug)]
pub struct Plan {
    /// Where the connections go.
    pub nodes: Nodes,
    /// Whether they come back when they are closed.
    pub resume: bool,
    /// What is sent.
    pub body: Vec<u8>,
    /// Sends that a room may see.
    pub room_sends: usize,
    /// Where samples go.
    pub stats: Recorder,
    /// Bounds the connections that are being opened.
    pub opening: Semaphore,
}

/// One connection.
pub struct Member {
    /// The shared plan.
    pub plan: Arc<Plan>,
    /// Its room.
    pub room: Arc<Room>,
    /// Place in the room.
    pub member: usize,
    /// Number among all connections.
    pub index: usize,
    /// Its token.
    pub token: String,
    /// When it sends.
    pub turn: Turn,
    /// Where the test is.
    pub phase: watch::Receiver<Phase>,
    /// Told when it is subscribed, or failed.
    pub gathered: Arc<Semaphore>,
}

impl Member {
    /// The connection's whole life, or that of all its connections.
    pub async fn run(self) {
        let mut phase = self.phase.clone();
        let over = async move { _ = phase.wait_for(|phase| *phase == Phase::Over).await };
        tokio::pin!(over);
        let mut work = Work { sent: 0, pending: Pending::default(), waits: Waits::new(self.index) };
        for attempt in 0.. {
            let entered = tokio::select! {
                entered = self.enter(attempt) => entered,
                () = &mut over => return,
            };
            if attempt == 0 {
                self.gathered.add_permits(1);
            }
            let began = Instant::now();
            // A failure to enter is in the statistics already.
            let failure = match entered {
                Ok(session) => match self.stay(session, &mut work).await {
                    Ok(()) => return,
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            if !self.plan.resume {
                return;
            }
            if began.elapsed() > WELL {
                work.waits.reset();
            }
            work.pending.cut(Instant::now());
            tokio::select! {
                () = sleep(work.waits.after(&failure)) => {}
                () = &mut over => return,
            }
        }
    }

    async fn stay(&self, mut session: Session, work: &mut Work) -> Result<(), Failure> {
        let stats = &self.plan.stats;
        if let Err(failure) = self.work(&mut session, work).await {
            stats.lock().fail("SESSION", &failure);
            return Err(failure);
        }
        if let Err(failure) = session.close(|frame| self.note(frame)).await {
            stats.lock().fail(Step::Close.name(), &failure);
        }
        Ok(())
    }

    async fn enter(&self, attempt: usize) -> Result<Session, Failure> {
        let plan = &self.plan;
        let _turn = plan.opening.acquire().await;
        let from = Instant::now();
        let target = plan.nodes.at(self.room.place(self.member) + attempt);
        let opened = Session::open(target, self.index).await;
        let mut session = plan.stats.outcome(Step::Open, from, opened)?;
        let from = Instant::now();
        let heart_beat = if plan.resume { HEART_BEAT } else { "0,0" };
        let connected = session.connect(&self.token, heart_beat).await;
        plan.stats.outcome(Step::Connect, from, connected)?;
        let from = Instant::now();
        let subscribed = self.subscribe(&mut session, attempt > 0).await;
        plan.stats.outcome(Step::Subscribe, from, subscribed)?;
        Ok(session)
    }

    async fn subscribe(&self, session: &mut Session, again: bool) -> Result<(), Failure> {
        let headers = [("id", ERRORS), ("destination", "/user/queue/errors"), ("receipt", ERRORS)];
        session.send("SUBSCRIBE", &headers, b"")?;
        let topic = self.room.topic();
        let mut headers = vec![("id", ROOM), ("destination", topic.as_str()), ("receipt", ROOM)];
        let since = self.room.ledger().last_of(self.member).to_string();
        if again {
            headers.push(("since", since.as_str()));
        }
        session.send("SUBSCRIBE", &headers, b"")?;
        let recovered = session
            .until(ANSWER, "RECEIPT", |frame| {
                (frame.header("receipt-id").as_deref() == Some(ROOM))
                    .then(|| frame.header("recovered").as_deref() != Some("false"))
            })
            .await?;
        if again {
            self.room.ledger().resumed(self.member, recovered);
        }
        Ok(())
    }
}
