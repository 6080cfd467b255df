//! A SEND on its way through a room, and the answer that it is owed.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moim_shared::envelope::Envelope;
use moim_shared::ids::{OriginId, RoomId};
use moim_shared::position::Position;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::access::Identity;
use super::gate::Permit;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Owed};
use crate::refusal::Refusal;

/// A message that a session sends.
#[derive(Debug)]
pub struct Post {
    /// Who sends it.
    pub who: Arc<Identity>,
    /// The client's name for it, or one that the session made.
    pub origin: OriginId,
    /// When the node took it, in ms since 1970.
    pub sent_at: u64,
    /// `content-type`.
    pub content_type: Option<String>,
    /// To go out as a binary message.
    pub binary: bool,
    /// Headers that may be shown to others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Until when it may be held.
    pub deadline: Instant,
    /// Nobody knows whether it has a place: an answer of the broker was lost.
    pub unsure: bool,
    /// The answer.
    pub reply: Reply,
}

impl Post {
    /// What it counts for in gates and batches.
    pub fn weight(&self) -> usize {
        OVERHEAD + text_bytes(&self.headers, &self.content_type, &self.body)
    }

    /// What of it is placed.
    pub(super) fn envelope(&self, room: &RoomId) -> Envelope {
        Envelope {
            room: room.clone(),
            position: Position::ZERO,
            origin: self.origin.clone(),
            sender: self.who.user.clone(),
            sender_name: self.who.name.clone(),
            sent_at: self.sent_at,
            content_type: self.content_type.clone(),
            binary: self.binary,
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }
}

/// What a SEND costs beside its texts, about.
pub const OVERHEAD: usize = 512;

/// Bytes of a SEND's body and of the headers that are kept with it.
pub fn text_bytes(
    headers: &[(String, String)],
    content_type: &Option<String>,
    body: &[u8],
) -> usize {
    const HEADER: usize = 48;
    let headers: usize =
        headers.iter().map(|(name, value)| HEADER + name.len() + value.len()).sum();
    headers + content_type.as_ref().map_or(0, String::len) + body.len()
}

/// The answer to a SEND: RECEIPT, or a refusal, or when it is dropped without either (a room that
/// panicked) the truth, that nobody knows. Every SEND is answered once.
pub struct Reply {
    to: To,
    answered: bool,
    /// The message has its place since an earlier SEND of it.
    again: bool,
    /// When the SEND was read.
    began: Instant,
    metrics: Arc<Metrics>,
    _permit: Permit,
}

/// Who waits for an answer.
enum To {
    /// A session, if it asked for a RECEIPT; of a refusal it hears in any case.
    Session { outbox: Owed, receipt: Option<Box<str>>, commit: Option<Arc<Commit>> },
    /// Somebody who waits for nothing else; none once it was answered.
    Caller(Option<oneshot::Sender<Result<Position, Refusal>>>),
}

impl Reply {
    /// The answer to a SEND that was read at `began` and asked for `receipt`, as a part of `commit`
    /// or alone.
    pub fn new(
        outbox: Arc<Outbox>,
        receipt: Option<Box<str>>,
        commit: Option<Arc<Commit>>,
        began: Instant,
        metrics: Arc<Metrics>,
        permit: Permit,
    ) -> Self {
        Self::to(To::Session { outbox: Owed::new(outbox), receipt, commit }, began, metrics, permit)
    }

    /// The answer to somebody who has no session: where it will be, or why it is not.
    pub fn to_caller(
        began: Instant,
        metrics: Arc<Metrics>,
        permit: Permit,
    ) -> (Self, oneshot::Receiver<Result<Position, Refusal>>) {
        let (caller, answer) = oneshot::channel();
        (Self::to(To::Caller(Some(caller)), began, metrics, permit), answer)
    }

    fn to(to: To, began: Instant, metrics: Arc<Metrics>, permit: Permit) -> Self {
        Self { to, answered: false, again: false, began, metrics, _permit: permit }
    }

    /// The same to one whose message has its place since an earlier SEND of it.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// It is durable, and stands there.
    pub fn stored(mut self, room: &RoomId, position: Position) {
        if self.answered {
            return;
        }
        self.answered = true;
        let took = self.began.elapsed();
        self.metrics.stored(took);
        if self.again {
            self.metrics.traces.answered(self.session(), room, position);
        } else {
            self.metrics.traces.receipt(self.session(), room, position, took);
        }
        match &mut self.to {
            To::Session { outbox, receipt: Some(receipt), .. } => {
                let mut text = [0; 48];
                let position = format_into(position, &mut text);
                // A session that closes has nobody to tell.
                let _ = outbox.frame(crate::stomp::Command::Receipt, |frame| {
                    frame.header("receipt-id", receipt).header("position", position).end();
                });
            }
            To::Session { .. } => {}
            To::Caller(caller) => tell(caller, Ok(position)),
        }
    }

    /// It was refused.
    pub fn refused(mut self, refusal: &Refusal) {
        if !self.answered {
            self.refuse(refusal);
        }
    }

    /// It takes too long: the answer is that nobody knows, whatever becomes of it.
    pub fn expire(&mut self) {
        if !self.answered {
            self.refuse(&Refusal::unconfirmed());
        }
    }

    /// Whether it was answered.
    pub const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whose it is.
    fn session(&self) -> Option<u64> {
        match &self.to {
            To::Session { outbox, .. } => Some(outbox.session()),
            To::Caller(_) => None,
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.answered = true;
        tracing::debug!(
            session.id = self.session(),
            code = refusal.code.as_str(),
            "a SEND is refused"
        );
        match &mut self.to {
            To::Session { outbox, receipt, commit } => {
                outbox.refuse(receipt.as_deref(), refusal);
                if let Some(commit) = commit {
                    commit.fail(refusal);
                }
            }
            To::Caller(caller) => tell(caller, Err(refusal.clone())),
        }
    }
}

fn tell(
    caller: &mut Option<oneshot::Sender<Result<Position, Refusal>>>,
    answer: Result<Position, Refusal>,
) {
    if let Some(caller) = caller.take() {
        // Whoever waited may have gone meanwhile.
        let _ = caller.send(answer);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            self.refuse(&Refusal::unconfirmed());
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let receipt = match &self.to {
            To::Session { receipt, .. } => receipt.as_deref(),
            To::Caller(_) => None,
        };
        f.debug_struct("Reply").field("receipt", &receipt).finish_non_exhaustive()
    }
}

/// A COMMIT that waits for the answers to its SENDs: when the last of them is gone, its own goes
/// out.
pub struct Commit {
    outbox: Owed,
    receipt: Option<Box<str>>,
    failed: Mutex<Option<Refusal>>,
}

impl Commit {
    /// A COMMIT that asked for `receipt`.
    pub fn new(outbox: Arc<Outbox>, receipt: Option<Box<str>>) -> Self {
        Self { outbox: Owed::new(outbox), receipt, failed: Mutex::new(None) }
    }

    /// A part of it was refused; the first reason stands.
    pub fn fail(&self, refusal: &Refusal) {
        self.failed.lock().get_or_insert_with(|| refusal.clone());
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        let Some(receipt) = &self.receipt else { return };
        match self.failed.get_mut() {
            Some(refusal) => self.outbox.refuse(Some(receipt), refusal),
            // A session that closes has nobody to tell.
            None => drop(self.outbox.receipt(receipt)),
        }
    }
}

/// Writes a position without allocating.
fn format_into(position: Position, buffer: &mut [u8; 48]) -> &str {
    use std::io::Write;
    let mut rest = &mut buffer[..];
    // Two u64 and a dash are 41 bytes at most.
    let _ = write!(rest, "{position}");
    let left = rest.len();
    let used = buffer.len() - left;
    std::str::from_utf8(&buffer[..used]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Gate;

    fn reply() -> (Reply, oneshot::Receiver<Result<Position, Refusal>>) {
        let permit = Arc::new(Gate::new(10)).enter(1).unwrap();
        Reply::to_caller(Instant::now(), Arc::new(Metrics::new()), permit)
    }

    fn lobby() -> RoomId {
        RoomId::parse("lobby").unwrap()
    }

    #[test]
    fn a_caller_is_answered_once_also_by_a_room_that_panicked() {
        let at = Position::new(5, 1);
        let (stored, mut answer) = reply();
        stored.stored(&lobby(), at);
        assert_eq!(answer.try_recv(), Ok(Ok(at)));

        let (mut late, mut answer) = reply();
        late.expire();
        late.stored(&lobby(), at);
        assert_eq!(answer.try_recv(), Ok(Err(Refusal::unconfirmed())));

        let (dropped, mut answer) = reply();
        drop(dropped);
        assert_eq!(answer.try_recv(), Ok(Err(Refusal::unconfirmed())));
    }

    #[test]
    fn a_caller_that_has_gone_is_nobodys_trouble() {
        let (gone, answer) = reply();
        drop(answer);
        gone.stored(&lobby(), Position::new(5, 1));
    }
}
