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
    /// Those that are just being looked at, until they are due again.
    looked_at: Vec<Due>,
    stopped: bool,
    /// Every session is to be closed.
    closing: Option<CloseReason>,
}

#[derive(Clone)]
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
        let at = Instant::now() + look(outbox);
        self.shared.put(at, outbox);
    }
}

impl Reaper {
    /// The sessions that there are.
    pub fn sessions(&self) -> Vec<Arc<Outbox>> {
        let watched = self.shared.watched.lock();
        let newest =
            |due: &Due| due.outbox.upgrade().filter(|outbox| outbox.ticket() == due.ticket);
        watched.all().filter_map(newest).collect()
    }

    /// Closes every session, also those that come after this.
    pub fn close_all(&self, reason: CloseReason) {
        let all: Vec<Weak<Outbox>> = {
            let mut watched = self.shared.watched.lock();
            watched.closing = Some(reason);
            watched.all().map(|due| due.outbox.clone()).collect()
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

impl Watched {
    fn all(&self) -> impl Iterator<Item = &Due> {
        self.due.iter().map(|Reverse(due)| due).chain(&self.looked_at)
    }
}

impl Shared {
    fn put(&self, at: Instant, outbox: &Arc<Outbox>) {
        let mut watched = self.watched.lock();
        let sooner = watched.due.peek().is_none_or(|Reverse(first)| at < first.at);
        // In one step: in between the session would be in no list.
        let ticket = outbox.next_ticket();
        watched.due.push(Reverse(Due { at, ticket, outbox: Arc::downgrade(outbox) }));
        if sooner {
            self.changed.notify_one();
        }
        let closing = watched.closing;
        drop(watched);
        if let Some(reason) = closing {
            outbox.close(reason);
        }
    }

    fn run(&self) {
        let mut ripe: Vec<Due> = Vec::new();
        loop {
            {
                let mut watched = self.watched.lock();
                watched.looked_at.clear();
                watched.due.extend(ripe.drain(..).map(Reverse));
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
                    ripe.extend(watched.due.pop().map(|Reverse(due)| due));
                }
                watched.looked_at.extend(ripe.iter().cloned());
            }
            ripe.retain_mut(|due| {
                let alive = due.outbox.upgrade().filter(|alive| alive.ticket() == due.ticket);
                let Some(alive) = alive else { return false };
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
                due.at = Instant::now() + again;
                true
            });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Beats;
    use crate::outbox::tests::BOUNDS;
    use crate::stomp::Version;

    #[test]
    fn a_session_is_in_the_list_also_while_it_is_looked_at_and_watched_anew() {
        let reaper = Reaper::start(Arc::new(Metrics::new())).unwrap();
        // Nobody reads what they are owed, so that they are looked at all the time.
        let beats = Beats { out_ms: 1, ..Beats::default() };
        let sessions: Vec<Arc<Outbox>> =
            (0..200).map(|number| Arc::new(Outbox::new(number, BOUNDS, None))).collect();
        for outbox in &sessions {
            outbox.connected(Version::V1_2, beats);
            reaper.watch(outbox);
        }
        let until = Instant::now() + Duration::from_millis(500);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for outbox in sessions.iter().cycle() {
                    reaper.watch(outbox);
                    if Instant::now() > until {
                        break;
                    }
                    std::thread::yield_now();
                }
            });
            while Instant::now() < until {
                assert_eq!(reaper.sessions().len(), sessions.len());
            }
        });
        reaper.close_all(CloseReason::COME_BACK);
        assert!(sessions.iter().all(|outbox| outbox.is_closing()));
    }
}
