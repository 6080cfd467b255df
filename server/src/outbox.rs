//! The one bounded path to a session.
//!
//! Everything that a client reads goes through its [`Outbox`], from any thread: fan-out, replies,
//! heart-beats, the close. It is bounded in bytes here and in age by the reaper; whoever overflows
//! it ends the session with "too slow, resume" and costs nobody else anything. The socket's side
//! is [`Drain`], which turns items into WebSocket messages, one whole STOMP frame in each.

mod answers;
mod close;
mod drain;
mod item;
mod line;
mod owed;
#[cfg(test)]
pub(crate) mod tests;
mod vitals;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use parking_lot::{Mutex, MutexGuard};

pub use self::close::CloseReason;
pub use self::drain::Drain;
pub use self::item::{AckMode, Subscription, Tail};
use self::item::{Entry, Item};
use self::line::{Line, Sent};
pub use self::owed::Owed;
pub use self::vitals::{Beats, Verdict, Vitals};
use crate::metrics::Refusals;
use crate::stomp::Version;

/// How much may wait for one session, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Age of the oldest.
    pub age: Duration,
    /// How long a session may be open before it said CONNECT.
    pub connect: Duration,
}

/// See the module.
pub struct Outbox {
    session: u64,
    bounds: Bounds,
    opened: Instant,
    state: Mutex<State>,
    /// Bytes queued or taken by the drain and not yet written.
    bytes: AtomicUsize,
    /// ms after `opened` at which the client was last heard, and something last written to it.
    heard: AtomicU64,
    written: AtomicU64,
    /// Since when, in ms after `opened` and one more, there are messages of which nobody knows whether
    /// they came in; 0: there are none, [`ASKED`]: a ping asks.
    unproven: AtomicU64,
    /// Whether a ping may ask.
    may_ask: AtomicBool,
    version: AtomicU8,
    ticket: AtomicU32,
    away: AtomicBool,
    /// Nothing more of the client is taken.
    deaf: AtomicBool,
    /// Answers that the client is owed.
    owed: AtomicUsize,
    /// Counts what it is refused.
    refusals: Option<Refusals>,
}

/// See [`Outbox::unproven`].
const ASKED: u64 = u64::MAX;

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// When the oldest entry that the drain took was queued, until it has written them all.
    taken: Option<u64>,
    drain: Option<Waker>,
    /// Those who wait for the outbox to have room.
    waiters: Vec<Waker>,
    errors: Option<Arc<Subscription>>,
    beats: Beats,
    connected: bool,
    closing: Option<Closing>,
    line: Line,
    errors_told: u32,
    /// Somebody's turn to put a page in has not ended.
    turn_taken: bool,
}

#[derive(Debug, Clone, Copy)]
struct Closing {
    reason: CloseReason,
    /// The reason was taken.
    told: bool,
    at: u64,
    /// The close frame was written.
    sent: bool,
    /// The client said close, or its side of the socket ended.
    heard: bool,
    /// Nothing is to be written any more.
    over: bool,
}

/// Nothing can be put into an outbox that closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl Outbox {
    /// The outbox of a session whose socket is `socket`.
    pub fn new(session: u64, bounds: Bounds, socket: Option<RawFd>) -> Self {
        Self {
            session,
            bounds,
            opened: Instant::now(),
            state: Mutex::new(State { line: Line::new(socket), ..State::default() }),
            bytes: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            written: AtomicU64::new(0),
            unproven: AtomicU64::new(0),
            may_ask: AtomicBool::new(false),
            version: AtomicU8::new(Version::V1_2 as u8),
            ticket: AtomicU32::new(0),
            away: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            owed: AtomicUsize::new(0),
            refusals: None,
        }
    }

    /// The same with refusals counted.
    #[must_use]
    pub fn counted_by(self, refusals: Refusals) -> Self {
        Self { refusals: Some(refusals), ..self }
    }

    /// The same where nothing but the connection's task may write to the socket, since it writes
    /// something else than it is given: TLS.
    #[must_use]
    pub fn without_line(mut self) -> Self {
        self.state.get_mut().line.close();
        self
    }

    /// The session's number on this node.
    pub const fn session(&self) -> u64 {
        self.session
    }

    /// What the reaper's newest entry for the session carries.
    pub fn ticket(&self) -> u32 {
        self.ticket.load(Ordering::Relaxed)
    }

    /// Makes older entries of the reaper void.
    pub fn next_ticket(&self) -> u32 {
        self.ticket.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The version that the session speaks; 1.2 before it is known.
    pub fn version(&self) -> Version {
        let number = self.version.load(Ordering::Relaxed);
        Version::ALL.into_iter().find(|version| *version as u8 == number).unwrap_or(Version::V1_2)
    }

    /// CONNECT was accepted.
    pub fn connected(&self, version: Version, beats: Beats) {
        self.version.store(version as u8, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.connected = true;
        state.beats = beats;
    }

    /// Whether CONNECT was accepted.
    pub fn is_connected(&self) -> bool {
        self.state.lock().connected
    }

    /// The session's user is not there, as its client says: what comes in is seen by nobody.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The same from now on; whether it was otherwise.
    pub fn turn_away(&self, away: bool) -> bool {
        self.away.swap(away, Ordering::Relaxed) != away
    }

    /// Refusals go to this subscription from now on, instead of ending the session.
    pub fn tell_errors(&self, subscription: Option<Arc<Subscription>>) {
        self.state.lock().errors = subscription;
    }

    /// Something came from the client.
    pub fn heard(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    /// Messages for a subscription, in order. An outbox that would overflow closes as too slow.
    ///
    /// While nothing waits they go to the socket at once, all of them in one system call.
    pub fn deliver<'a>(
        &self,
        subscription: &Arc<Subscription>,
        tails: impl Iterator<Item = &'a Arc<Tail>> + Clone,
    ) -> Result<(), Closed> {
        let mut state = self.state.lock();
        if state.closing.is_some() {
            return Err(Closed);
        }
        let mut rest = None;
        if state.line.is_clear() && state.queue.is_empty() {
            let unsaid = subscription.has_missed_some();
            let sent = with_scratch(|scratch| {
                for tail in tails.clone() {
                    item::write_message(subscription, tail, scratch);
                }
                match state.line.send(scratch) {
                    Sent::Bytes(0) if !scratch.is_empty() => {
                        // Nothing was said after all.
                        if unsaid {
                            subscription.missed_some();
                        }
                        Sent::Bytes(0)
                    }
                    Sent::Bytes(sent) => {
                        rest = Some(scratch[sent..].into());
                        Sent::Bytes(sent)
                    }
                    Sent::Broken => Sent::Broken,
                }
            });
            if sent == Sent::Broken {
                drop(state);
                self.finish();
                return Err(Closed);
            }
        }
        match rest {
            Some(rest) => {
                let rest: Box<[u8]> = rest;
                self.written.store(self.now(), Ordering::Relaxed);
                if rest.is_empty() { Ok(()) } else { self.queue(state, [Item::Rest(rest)]) }
            }
            None => {
                let message = |tail: &Arc<Tail>| Item::Message(subscription.clone(), tail.clone());
                self.queue(state, tails.map(message))
            }
        }
    }

    /// A room's messages up to here were put in for the subscription: what comes from the client
    /// when they are written shows that it has them.
    pub fn gave(&self, subscription: &Subscription, upto: Position) {
        subscription.gave(upto);
        self.wait_for_proof(subscription);
    }

    /// The same of a room whose end an inbox told. Those that acknowledge say so themselves: of
    /// them nobody would ask for it.
    pub fn told(&self, subscription: &Subscription, room: &RoomId, upto: Position) {
        if subscription.ack == AckMode::Auto {
            subscription.told(room, upto);
            self.wait_for_proof(subscription);
        }
    }

    fn wait_for_proof(&self, subscription: &Subscription) {
        if subscription.ack == AckMode::Auto && self.unproven.load(Ordering::Relaxed) == 0 {
            self.unproven.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Something came from the client: whether that shows that it has messages of which it was not
    /// known, since all is written. Asked once.
    pub fn is_proof(&self) -> bool {
        self.unproven.load(Ordering::Relaxed) != 0
            && self.bytes() == 0
            && self.unproven.swap(0, Ordering::Relaxed) != 0
    }

    /// The client is on a registered device, for which it matters soon whether messages came in: its
    /// WebSocket is asked for a sign when there is no other.
    pub fn ask_for_proof(&self) {
        self.may_ask.store(true, Ordering::Relaxed);
    }

    /// Asks the client's WebSocket for a sign.
    pub fn ping(&self) {
        self.unproven.store(ASKED, Ordering::Relaxed);
        // A session that closes is not asked.
        let _ = self.push(Item::Ping);
    }

    /// Answers a WebSocket ping.
    pub fn pong(&self, payload: &[u8]) -> Result<(), Closed> {
        self.push(Item::Pong(payload.into()))
    }

    /// A heart-beat, unless something else is on its way anyway.
    pub fn beat(&self) {
        if self.bytes.load(Ordering::Relaxed) == 0 {
            // A session that closes needs no beat.
            let _ = self.push(Item::Beat);
        }
    }

    /// Ends the session with this reason, behind what waits. The first reason stands.
    pub fn close(&self, reason: CloseReason) {
        self.close_behind(self.state.lock(), reason);
    }

    fn close_behind(&self, mut state: MutexGuard<'_, State>, reason: CloseReason) {
        if state.closing.is_none() {
            let at = self.now();
            state.closing =
                Some(Closing { reason, told: false, at, sent: false, heard: false, over: false });
            state.queue.push_back(Entry { at, item: Item::Close(reason) });
            let wake = state.wake_all();
            drop(state);
            wake.wake();
        }
    }

    /// Too slow: what waits is dropped, since the client will resume from what it has.
    pub fn overflow(&self) {
        self.overflow_locked(self.state.lock());
    }

    /// In one step: what came between the drop and the close would be read behind a gap, and the
    /// client would resume from there.
    fn overflow_locked(&self, mut state: MutexGuard<'_, State>) {
        if state.closing.is_none() {
            // The socket has the beginning of it.
            self.drop_waiting(&mut state, |item| matches!(item, Item::Rest(_)));
            self.close_behind(state, CloseReason::TOO_SLOW);
        }
    }

    /// The client said close, or ended its side without a word: then there is nobody to write to.
    pub fn peer_closed(&self, politely: bool) {
        self.close(CloseReason::BYE);
        let wake = {
            let mut state = self.state.lock();
            if let Some(closing) = &mut state.closing {
                closing.heard = true;
                closing.over |= closing.sent || !politely;
            }
            state.wake_all()
        };
        wake.wake();
    }

    /// Nothing is to be written any more; the connection ends at once.
    pub fn finish(&self) {
        self.peer_closed(false);
    }

    /// Cuts the socket, from outside: for a client that does not read, whose connection is not
    /// polled any more.
    pub fn kill(&self) {
        self.finish();
        self.state.lock().line.cut();
    }

    /// The socket is about to close.
    pub fn socket_closes(&self) {
        self.state.lock().line.gone();
    }

    /// Why the session ends, once it does; told once, to the one who counts it.
    pub fn take_end(&self) -> Option<CloseReason> {
        let mut state = self.state.lock();
        let closing = state.closing.as_mut().filter(|closing| !closing.told)?;
        closing.told = true;
        Some(closing.reason)
    }

    /// The code that it is closed with, if it is.
    pub fn close_code(&self) -> Option<u16> {
        self.state.lock().closing.map(|closing| closing.reason.code)
    }

    /// From now on nothing more of the client is taken; what it sent before goes on.
    pub fn stop_hearing(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Whether what the client sends is taken.
    pub fn hears(&self) -> bool {
        !self.deaf.load(Ordering::Relaxed) && !self.is_closing()
    }

    /// Whether the client is owed an answer.
    pub fn owes(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }

    /// Whether nothing can be put in any more.
    pub fn is_closing(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whose turn it is to put a page in: one at a time, and only while less than a quarter of the
    /// bound waits. Ready at once when the outbox closes.
    pub fn poll_turn(self: &Arc<Self>, context: &Context<'_>) -> Poll<Turn> {
        let mut state = self.state.lock();
        if state.closing.is_some() || (!state.turn_taken && self.bytes() < self.bounds.bytes / 4) {
            state.turn_taken = true;
            return Poll::Ready(Turn(self.clone()));
        }
        if !state.waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
            state.waiters.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// What the reaper judges the session by.
    pub fn vitals(&self) -> Vitals {
        let state = self.state.lock();
        let queued = state.taken.or_else(|| state.queue.front().map(|entry| entry.at));
        Vitals {
            now: self.now(),
            heard: self.heard.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            queued: if state.closing.is_some() { None } else { queued },
            unproven: match self.unproven.load(Ordering::Relaxed) {
                0 | ASKED => None,
                _ if !self.may_ask.load(Ordering::Relaxed) => None,
                since => Some(since - 1),
            },
            connected: state.connected,
            beats: state.beats,
            closing: state.closing.map(|closing| closing.at),
            age_ms: self.bounds.age.as_millis() as u64,
            connect_ms: self.bounds.connect.as_millis() as u64,
        }
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }

    fn push(&self, item: Item) -> Result<(), Closed> {
        let state = self.state.lock();
        if state.closing.is_some() {
            return Err(Closed);
        }
        self.queue(state, [item])
    }

    fn queue(
        &self,
        mut state: MutexGuard<'_, State>,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<(), Closed> {
        let at = self.now();
        for item in items {
            let weight = item.weight();
            let waits = self.bytes.load(Ordering::Relaxed);
            // What is larger than the bound passes alone.
            if waits > 0 && waits + weight > self.bounds.bytes + item.allowance() {
                self.overflow_locked(state);
                return Err(Closed);
            }
            self.bytes.fetch_add(weight, Ordering::Relaxed);
            state.queue.push_back(Entry { at, item });
        }
        let wake = state.wake_drain();
        drop(state);
        wake.wake();
        Ok(())
    }

    fn drop_waiting(&self, state: &mut State, stays: fn(&Item) -> bool) {
        let mut freed = 0;
        state.queue.retain(|Entry { item, .. }| {
            let stays = stays(item);
            freed += if stays { 0 } else { item.counted() };
            stays
        });
        state.queue.shrink_to(0);
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("session", &self.session).finish_non_exhaustive()
    }
}

impl State {
    fn wake_drain(&mut self) -> Wake {
        Wake(self.drain.take(), Vec::new())
    }

    fn wake_all(&mut self) -> Wake {
        Wake(self.drain.take(), std::mem::take(&mut self.waiters))
    }
}

/// A turn to put a page in; ends when it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Outbox>);

impl Drop for Turn {
    fn drop(&mut self) {
        let waiters = {
            let mut state = self.0.state.lock();
            state.turn_taken = false;
            std::mem::take(&mut state.waiters)
        };
        Wake(None, waiters).wake();
    }
}

thread_local! {
    /// Messages are put together here, one session after the other, so an idle session has no
    /// buffer of its own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the thread's buffer keeps between two uses.
const SCRATCH_KEPT: usize = 256 * 1024;

/// Runs `work` on the thread's buffer, which is empty.
fn with_scratch<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let done = work(scratch);
        if scratch.capacity() > SCRATCH_KEPT {
            *scratch = Vec::new();
        }
        done
    })
}

/// Wakers to be woken once the lock is released.
struct Wake(Option<Waker>, Vec<Waker>);

impl Wake {
    fn wake(self) {
        if let Some(waker) = self.0 {
            waker.wake();
        }
        for waker in self.1 {
            waker.wake();
        }
    }
}
