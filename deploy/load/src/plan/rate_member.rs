//! One connection of the rate test: subscribes to its room, sends when its turn comes, and takes
//! whatever arrives. On a fixed rate a SEND is timed from when it was due, not from when it could
//! go out, so that a server that stalls is not flattered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::room::Room;
use crate::client::{ANSWER, Session};
use crate::failure::Failure;
use crate::stats::{Recorder, Step};
use crate::stomp::Frame;
use crate::target::Target;

const ROOM: &str = "0";
const ERRORS: &str = "errors";

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
    /// The server.
    pub target: Target,
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
    /// The connection's whole life.
    pub async fn run(mut self) {
        let entered = self.enter().await;
        self.gathered.add_permits(1);
        let Ok(mut session) = entered else { return };
        if let Err(failure) = self.work(&mut session).await {
            self.plan.stats.lock().failures.add("SESSION", &failure);
            return;
        }
        let (room, stats) = (&self.room, &self.plan.stats);
        let closed = session.close(|frame| _ = note(room, self.member, frame, stats)).await;
        if let Err(failure) = closed {
            stats.lock().failures.add(Step::Close.name(), &failure);
        }
    }

    async fn enter(&self) -> Result<Session, Failure> {
        let stats = &self.plan.stats;
        let _turn = self.plan.opening.acquire().await;
        let from = Instant::now();
        let opened = Session::open(&self.plan.target, self.index).await;
        let mut session = stats.outcome(Step::Open, from, opened)?;
        let from = Instant::now();
        stats.outcome(Step::Connect, from, session.connect(&self.token, "0,0").await)?;
        let from = Instant::now();
        stats.outcome(Step::Subscribe, from, self.subscribe(&mut session).await)?;
        Ok(session)
    }

    async fn subscribe(&self, session: &mut Session) -> Result<(), Failure> {
        let topic = self.room.topic();
        for (id, destination) in [(ERRORS, "/user/queue/errors"), (ROOM, topic.as_str())] {
            let headers = [("id", id), ("destination", destination), ("receipt", id)];
            session.send("SUBSCRIBE", &headers, b"")?;
        }
        session
            .until(ANSWER, "RECEIPT", |frame| {
                (frame.header("receipt-id").as_deref() == Some(ROOM)).then_some(())
            })
            .await
    }

    async fn work(&mut self, session: &mut Session) -> Result<(), Failure> {
        let mut sent = 0;
        let mut waiting = 0_usize;
        loop {
            let phase = *self.phase.borrow_and_update();
            let wake = match phase {
                Phase::Over => return Ok(()),
                Phase::Gathering => None,
                Phase::Sending(from, until) => {
                    self.send_due(session, from, until, &mut sent, &mut waiting)?
                }
            };
            tokio::select! {
                frame = session.next() => {
                    let mut frame = Some(frame?);
                    while let Some(here) = frame {
                        waiting = waiting.saturating_sub(usize::from(self.take(&here)));
                        frame = session.buffered()?;
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                changed = self.phase.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends all that is due; gives back when the next will be.
    fn send_due(
        &self,
        session: &mut Session,
        from: Instant,
        until: Instant,
        sent: &mut usize,
        waiting: &mut usize,
    ) -> Result<Option<Instant>, Failure> {
        let mut wake = None;
        let app = self.room.app();
        loop {
            let now = Instant::now();
            let due = match self.turn {
                Turn::Clock { first, every } => from + first + every.mul_f64(*sent as f64),
                Turn::Window(window) if *waiting < window => now,
                Turn::Window(_) => break,
            };
            let number = *sent * self.room.members + self.member;
            if due >= until || number >= self.plan.room_sends {
                break;
            }
            if due > now {
                wake = Some(due);
                break;
            }
            self.room.ledger().sent(number, due, self.room.members);
            let (name, receipt) = (self.room.origin_id(number), number.to_string());
            let headers = [
                ("destination", app.as_str()),
                ("content-type", "text/plain"),
                ("origin-id", name.as_str()),
                ("receipt", receipt.as_str()),
            ];
            session.queue("SEND", &headers, &self.plan.body)?;
            *sent += 1;
            *waiting += 1;
        }
        session.flush()?;
        Ok(wake)
    }

    /// Takes a frame; true when it answers a SEND.
    fn take(&self, frame: &Frame) -> bool {
        let stats = &self.plan.stats;
        if frame.command() == b"RECEIPT" {
            let number = frame.header("receipt-id").and_then(|id| id.parse::<usize>().ok());
            let due = number.and_then(|number| self.room.ledger().acked(number, frame.position()));
            if let Some(due) = due {
                stats.lock().add(Step::Send, due, Instant::now(), None);
            }
            return due.is_some();
        }
        note(&self.room, self.member, frame, stats)
    }
}

/// Takes a MESSAGE; true when it is a refusal of a SEND.
fn note(room: &Room, member: usize, frame: &Frame, stats: &Recorder) -> bool {
    if frame.command() != b"MESSAGE" {
        return false;
    }
    if frame.header("subscription").as_deref() == Some(ERRORS) {
        let refusal = Failure::Refused(code(frame.body()).to_owned());
        let now = Instant::now();
        stats.lock().add(Step::Send, now, now, Some(&refusal));
        return true;
    }
    room.note(member, frame, stats);
    false
}

/// The `code` of a refusal's JSON; codes are plain words.
fn code(body: &[u8]) -> &str {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let after = text.split_once("\"code\"").map_or("", |(_, after)| after);
    after.split('"').nth(1).unwrap_or("no code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code() {
        assert_eq!(code(br#"{"receipt":"7","code":"rate_limited","detail":"x"}"#), "rate_limited");
        assert_eq!(code(br#"{"code" : "busy"}"#), "busy");
        assert_eq!(code(b"nothing"), "no code");
    }
}
