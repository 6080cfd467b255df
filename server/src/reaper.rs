//! Looks after sessions from outside.
//!
//! A session whose client does not read is not polled any more, and neither are its own timers. So
//! heart-beats, silence, age and the end of a close are watched here, on a thread of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
}

struct Due {
    at: Instant,
    outbox: Weak<Outbox>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { watched: Mutex::default(), changed: Condvar::new(), metrics });
        let watcher = shared.clone();
        std::thread::Builder::new().name("reaper".into()).spawn(move || {
            // A look at one session that panics must not leave the others unwatched.
            while std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watcher.run())).is_err()
            {
                tracing::error!("the reaper panicked and goes on");
            }
        })?;
        Ok(Self { shared })
    }

    /// Looks at the session soon, and from then on for its whole life. To be called again when
    /// its heart-beats were agreed: a shorter interval counts at once.
    pub fn watch(&self, outbox: &Arc<Outbox>) {
        let at = Instant::now() + self.shared.look(outbox);
        self.shared.put(at, Arc::downgrade(outbox));
    }
}

impl Reaper {
    /// Closes every session.
    pub fn close_all(&self, reason: CloseReason) {
        let all: Vec<Weak<Outbox>> = {
            let watched = self.shared.watched.lock();
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
    fn put(&self, at: Instant, outbox: Weak<Outbox>) {
        let mut watched = self.watched.lock();
        let sooner = watched.due.peek().is_none_or(|Reverse(first)| at < first.at);
        watched.due.push(Reverse(Due { at, outbox }));
        if sooner {
            self.changed.notify_one();
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
            for Reverse(Due { outbox, .. }) in ripe.drain(..) {
                let Some(alive) = outbox.upgrade() else { continue };
                let again = self.look(&alive);
                self.put(Instant::now() + again, outbox);
            }
        }
    }

    /// Does what the session's numbers ask for, and says when to look again.
    fn look(&self, outbox: &Outbox) -> Duration {
        match outbox.vitals().verdict() {
            Verdict::Alive { again_in } => return Duration::from_millis(again_in.max(1)),
            Verdict::Beat => outbox.beat(),
            Verdict::Idle => {
                self.metrics.dropped("idle");
                outbox.close(CloseReason::IDLE);
            }
            Verdict::Slow => {
                self.metrics.dropped("too_slow");
                tracing::warn!(
                    session.id = outbox.session(),
                    "a session does not read, closing it"
                );
                outbox.overflow();
            }
            Verdict::Cut => outbox.kill(),
        }
        AFTER_ACTING
    }
}

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
