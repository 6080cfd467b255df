//! One user of the origin test: opens, connects, subscribes, sends or only reads, unsubscribes and
//! closes, as often as the plan says. Each step is a sample; a failed step ends the iteration.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::gate::Gate;
use super::room::Room;
use crate::client::{ANSWER, Session};
use crate::failure::Failure;
use crate::nodes::Nodes;
use crate::stats::{Recorder, Step};
use crate::stomp::Frame;

/// What all users of a run share.
#[derive(Debug)]
pub struct Plan {
    /// Where the users go.
    pub nodes: Nodes,
    /// Ask for receipts and keep step; otherwise the plan as written.
    pub receipts: bool,
    /// Stay between iterations.
    pub keep: bool,
    /// How often.
    pub iterations: usize,
    /// From one SEND of a room to its next.
    pub pace: Duration,
    /// How long READ waits.
    pub read_timeout: Duration,
    /// What is sent.
    pub body: Vec<u8>,
    /// Where samples go.
    pub stats: Recorder,
}

/// One of them.
pub struct User {
    /// The shared plan.
    pub plan: Arc<Plan>,
    /// The user's room.
    pub room: Arc<Room>,
    /// The room's gate.
    pub gate: Arc<Gate>,
    /// Place in the room.
    pub member: usize,
    /// Number among all users.
    pub index: usize,
    /// True for the one of the room who sends.
    pub sends: bool,
    /// The user's token.
    pub token: String,
    /// Numbers of the sends that came in this session and were not read yet.
    pub unread: Vec<usize>,
}

impl User {
    /// The user's whole life, beginning at `start`.
    pub async fn run(mut self, start: Instant) {
        sleep_until(start).await;
        let plan = Arc::clone(&self.plan);
        let gate = Arc::clone(&self.gate);
        let mut kept = None;
        for iteration in 0..plan.iterations {
            if let Some(opened) = gate.first_opened() {
                sleep_until(opened + plan.pace * iteration as u32).await;
            }
            let place = gate.place(iteration);
            let session = match kept.take() {
                Some(session) => Ok(session),
                None => self.enter().await,
            };
            let Ok(mut session) = session else { continue };
            let ready = if plan.receipts { place.wait().await } else { self.room.members };
            // A failure is in the statistics already; the next iteration begins anew.
            if self.exchange(&mut session, iteration, ready).await.is_err() {
                continue;
            }
            if plan.keep && iteration + 1 < plan.iterations {
                kept = Some(session);
            } else {
                let _ = self.leave(session).await;
            }
        }
    }

    async fn enter(&mut self) -> Result<Session, Failure> {
        let plan = Arc::clone(&self.plan);
        let stats = &plan.stats;
        self.unread.clear();
        let from = Instant::now();
        let target = plan.nodes.at(self.room.place(self.member));
        let opened = Session::open(target, self.index).await;
        let mut session = stats.outcome(Step::Open, from, opened)?;
        let from = Instant::now();
        let connected = session.connect(&self.token, "0,0").await;
        stats.outcome(Step::Connect, from, connected)?;
        let from = Instant::now();
        let topic = self.room.topic();
        let headers = [("id", "0"), ("destination", topic.as_str())];
        let subscribed = self.ask(&mut session, "SUBSCRIBE", &headers, b"").await;
        stats.outcome(Step::Subscribe, from, subscribed)?;
        Ok(session)
    }

    async fn exchange(
        &mut self,
        session: &mut Session,
        iteration: usize,
        ready: usize,
    ) -> Result<(), Failure> {
        let plan = Arc::clone(&self.plan);
        if self.sends {
            let from = Instant::now();
            self.room.ledger().sent(iteration, from, ready);
            let (app, name) = (self.room.app(), self.room.origin_id(iteration));
            let headers = [
                ("destination", app.as_str()),
                ("content-type", "text/plain"),
                ("origin-id", name.as_str()),
            ];
            let sent = self.ask(session, "SEND", &headers, &plan.body).await;
            if let (Ok(Some(receipt)), true) = (&sent, plan.receipts) {
                self.room.ledger().acked(iteration, receipt.position());
            }
            plan.stats.outcome(Step::Send, from, sent)?;
        }
        let from = Instant::now();
        let read = self.read(session, iteration).await;
        plan.stats.outcome(Step::Read, from, read)
    }

    /// Waits for the message of this iteration; as written, any message will do.
    async fn read(&mut self, session: &mut Session, iteration: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + self.plan.read_timeout;
        loop {
            let wanted =
                |number: &usize| if self.plan.receipts { *number == iteration } else { true };
            if let Some(at) = self.unread.iter().position(wanted) {
                self.unread.remove(at);
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            session.until(left, "message", |frame| self.note(frame)).await?;
        }
    }

    async fn leave(&mut self, mut session: Session) -> Result<(), Failure> {
        let plan = Arc::clone(&self.plan);
        let from = Instant::now();
        let left = self.ask(&mut session, "UNSUBSCRIBE", &[("id", "0")], b"").await;
        plan.stats.outcome(Step::Unsubscribe, from, left)?;
        let from = Instant::now();
        let mut closed = self.ask(&mut session, "DISCONNECT", &[], b"").await.map(|_receipt| ());
        if closed.is_ok() {
            closed = session.close(|frame| _ = self.note(frame)).await;
        }
        plan.stats.outcome(Step::Close, from, closed)
    }

    /// Sends a frame; with receipts, waits for its RECEIPT and gives it back.
    async fn ask(
        &mut self,
        session: &mut Session,
        command: &'static str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Option<Frame>, Failure> {
        if !self.plan.receipts {
            return session.send(command, headers, body).map(|()| None);
        }
        let mut with_receipt = headers.to_vec();
        with_receipt.push(("receipt", command));
        session.send(command, &with_receipt, body)?;
        let is_ours = |frame: &Frame| {
            frame.command() == b"RECEIPT" && frame.header("receipt-id").as_deref() == Some(command)
        };
        let receipt = session.until(ANSWER, "RECEIPT", |frame| {
            self.note(frame);
            is_ours(frame).then(|| frame.clone())
        });
        receipt.await.map(Some)
    }

    fn note(&mut self, frame: &Frame) -> Option<()> {
        if frame.command() != b"MESSAGE" {
            return None;
        }
        let number = self.room.note(self.member, frame, &self.plan.stats)?;
        self.unread.push(number);
        Some(())
    }
}
