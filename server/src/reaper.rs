//! Looks after sessions from outside.
//!
//! A session whose client does not read is not polled any more, and neither are its own timers. So
//! heart-beats, silence, age and the end of a close are watched here, on a thread of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::metrics::Metrics;
use crate::outbox::{CloseReason, Outbox, Verdict};

/// Owner of the thread; dropping it ends the thread.
pub struct Reaper {
    shared: Arc<Shared>,
}

struct Shared {
    watched: Mutex<Watched>,
    changed: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Watched {
    due: BinaryHeap<Reverse<Due>>,
    stopped: bool,
    /// Every session is to be closed.
    closing: Option<CloseReason>,
}

struct Due {
    at: Instant,
    /// An older one than the session's is void: it was watched anew.
    ticket: u32,
    outbox: Weak<Outbox>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { watched: Mutex::default(), changed: Condvar::new(), metrics });
        let watcher = shared.clone();
        std::thread::Builder::new().name("reaper".into()).spawn(move || {
            watcher.run();
        })?;
        Ok(Self { shared })
    }

    /// Looks at the session soon, and from then on for its whole life. To be called again when
    /// its heart-beats were agreed: a shorter interval counts at once.
    pub fn watch(&self, outbox: &Arc<Outbox>) {
        let ticket = outbox.next_ticket();
        let at = Instant::now() + look(outbox);
        self.shared.put(Due { at, ticket, outbox: Arc::downgrade(outbox) });
    }
}

impl Reaper {
    /// The sessions that there are, but for those that are just being looked at.
    pub fn sessions(&self) -> Vec<Arc<Outbox>> {
        let watched = self.shared.watched.lock();
        let newest = |Reverse(due): &Reverse<Due>| {
            due.outbox.upgrade().filter(|outbox| outbox.ticket() == due.ticket)
        };
        watched.due.iter().filter_map(newest).collect()
    }

    /// Closes every session, also those that come after this.
    pub fn close_all(&self, reason: CloseReason) {
        let all: Vec<Weak<Outbox>> = {
            let mut watched = self.shared.watched.lock();
            watched.closing = Some(reason);
            watched.due.iter().map(|Reverse(due)| due.outbox.clone()).collect()
        };
        for outbox in all.iter().filter_map(Weak::upgrade) {
            outbox.close(reason);
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.shared.watched.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn put(&self, due: Due) {
        let mut watched = self.watched.lock();
        let closing = watched.closing.and_then(|reason| Some((reason, due.outbox.upgrade()?)));
        let sooner = watched.due.peek().is_none_or(|Reverse(first)| due.at < first.at);
        watched.due.push(Reverse(due));
        if sooner {
            self.changed.notify_one();
        }
        drop(watched);
        if let Some((reason, outbox)) = closing {
            outbox.close(reason);
        }
    }

    fn run(&self) {
        let mut ripe = Vec::new();
        loop {
            {
                let mut watched = self.watched.lock();
                let now = Instant::now();
                loop {
                    if watched.stopped {
                        return;
                    }
                    let Some(Reverse(first)) = watched.due.peek() else {
                        self.changed.wait(&mut watched);
                        continue;
                    };
                    if first.at <= now {
                        break;
                    }
                    let until = first.at;
                    self.changed.wait_until(&mut watched, until);
                    if Instant::now() >= until {
                        break;
                    }
                }
                let now = Instant::now();
                while watched.due.peek().is_some_and(|Reverse(first)| first.at <= now) {
                    ripe.extend(watched.due.pop());
                }
            }
            for Reverse(Due { ticket, outbox, .. }) in ripe.drain(..) {
                let alive = outbox.upgrade().filter(|alive| alive.ticket() == ticket);
                let Some(alive) = alive else { continue };
                // A look at one session that panics must not leave the others unwatched.
                let looked = catch_unwind(AssertUnwindSafe(|| {
                    let again = look(&alive);
                    self.metrics.ended(&alive);
                    again
                }));
                let again = looked.unwrap_or_else(|_| {
                    tracing::error!(session.id = alive.session(), "the reaper panicked, going on");
                    AFTER_PANIC
                });
                self.put(Due { at: Instant::now() + again, ticket, outbox });
            }
        }
    }
}

/// Does what the session's numbers ask for, and says when to look again.
fn look(outbox: &Outbox) -> Duration {
    match outbox.vitals().verdict() {
        Verdict::Alive { again_in } => return Duration::from_millis(again_in.max(1)),
        Verdict::Beat => outbox.beat(),
        Verdict::Ping => outbox.ping(),
        Verdict::Idle => outbox.close(CloseReason::IDLE),
        Verdict::Slow => outbox.overflow(),
        Verdict::Cut => outbox.kill(),
    }
    AFTER_ACTING
}

const AFTER_PANIC: Duration = Duration::from_secs(1);

/// When to look again at a session that something was done about: the beat has been written by
/// then, or the close begun.
const AFTER_ACTING: Duration = Duration::from_millis(20);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
