//! What a connection of the rate test does once it is subscribed: sends when its turn comes, and
//! takes whatever arrives. On a fixed rate a SEND is timed from when it was due, not from when it
//! could go out, so that a server that stalls is not flattered.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::answers::{self, Refusal};
use super::pending::Pending;
use super::rate_member::{Member, Phase, Turn};
use super::waits::Waits;
use crate::client::Session;
use crate::failure::Failure;
use crate::stats::Step;
use crate::stomp::Frame;

/// Sends of a connection that resumes which wait at most, so that an outage does not pile them up.
const MAX_PENDING: usize = 256;
/// The shortest wait before a refused send goes out again.
const AGAIN: Duration = Duration::from_millis(200);
/// Our own heart-beat, a little early.
const BEAT: Duration = Duration::from_secs(3);
/// A server that said it would beat every 4 s and is quiet for this long is dead.
const SILENCE: Duration = Duration::from_secs(10);

/// What of a connection's work outlives the connection.
pub struct Work {
    /// Sends that were begun.
    pub sent: usize,
    /// Those of them that wait for their RECEIPT.
    pub pending: Pending,
    /// Waits before it comes back, and before a send is tried again.
    pub waits: Waits,
}

impl Member {
    /// Works until the test is over, or the connection.
    pub async fn work(&self, session: &mut Session, work: &mut Work) -> Result<(), Failure> {
        let mut phases = self.phase.clone();
        let mut beat = Instant::now() + BEAT;
        loop {
            let phase = *phases.borrow_and_update();
            let due = match phase {
                Phase::Over => return Ok(()),
                Phase::Gathering => None,
                Phase::Sending(from, until) => self.send_due(session, work, from, until)?,
            };
            let wake = if self.plan.resume {
                keep_alive(session, &mut beat)?;
                Some(due.map_or(beat, |due| due.min(beat)))
            } else {
                due
            };
            tokio::select! {
                frame = session.next() => {
                    let mut frame = Some(frame?);
                    while let Some(here) = frame {
                        self.take(&here, work);
                        frame = session.buffered()?;
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                changed = phases.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends all that is due, again or for the first time; gives back when the next will be.
    fn send_due(
        &self,
        session: &mut Session,
        work: &mut Work,
        from: Instant,
        until: Instant,
    ) -> Result<Option<Instant>, Failure> {
        while let Some(number) = work.pending.take_due(Instant::now()) {
            self.queue(session, number)?;
        }
        let mut wake = None;
        loop {
            let now = Instant::now();
            let due = match self.turn {
                Turn::Clock { .. } if self.plan.resume && work.pending.len() >= MAX_PENDING => {
                    break;
                }
                Turn::Clock { first, every } => from + first + every.mul_f64(work.sent as f64),
                Turn::Window(window) if work.pending.len() < window => now,
                Turn::Window(_) => break,
            };
            let number = work.sent * self.room.members + self.member;
            if due >= until || number >= self.plan.room_sends {
                break;
            }
            if due > now {
                wake = Some(due);
                break;
            }
            self.room.ledger().sent(number, due, self.room.members);
            work.sent += 1;
            work.pending.went(number);
            self.queue(session, number)?;
        }
        session.flush()?;
        Ok(wake.into_iter().chain(work.pending.next()).min())
    }

    fn queue(&self, session: &mut Session, number: usize) -> Result<(), Failure> {
        let (app, name) = (self.room.app(), self.room.origin_id(number));
        let receipt = number.to_string();
        let headers = [
            ("destination", app.as_str()),
            ("content-type", "text/plain"),
            ("origin-id", name.as_str()),
            ("receipt", receipt.as_str()),
        ];
        session.queue("SEND", &headers, &self.plan.body)
    }

    fn take(&self, frame: &Frame, work: &mut Work) {
        if frame.command() != b"RECEIPT" {
            return match answers::refusal(frame) {
                Some(refusal) => self.refused(&refusal, work),
                None => self.note(frame),
            };
        }
        let Some(number) = answers::number(frame) else { return };
        work.pending.done(number);
        let due = self.room.ledger().acked(number, frame.position());
        if let Some(due) = due {
            self.plan.stats.lock().add(Step::Send, due, Instant::now(), None);
        }
    }

    fn refused(&self, refusal: &Refusal, work: &mut Work) {
        let now = Instant::now();
        self.plan.stats.lock().add(Step::Send, now, now, Some(&refusal.failure));
        let Some(number) = refusal.number else { return };
        if self.plan.resume && refusal.failure.passes() {
            work.pending.refused(number, now + refusal.wait + work.waits.jitter(AGAIN));
        } else {
            work.pending.done(number);
        }
    }

    /// Takes a MESSAGE of the room.
    pub fn note(&self, frame: &Frame) {
        if frame.command() != b"MESSAGE" || answers::refusal(frame).is_some() {
            return;
        }
        if self.plan.resume && frame.header("recovered").as_deref() == Some("false") {
            self.room.ledger().gap(self.member);
        }
        self.room.note(self.member, frame, &self.plan.stats);
    }
}

fn keep_alive(session: &mut Session, beat: &mut Instant) -> Result<(), Failure> {
    let now = Instant::now();
    if session.heard().elapsed() > SILENCE {
        return Err(Failure::Timeout("heart-beat"));
    }
    if now >= *beat {
        session.beat()?;
        *beat = now + BEAT;
    }
    Ok(())
}
