//! Keeps the members of a room in step: nobody goes on before all have arrived, as at JMeter's
//! synchronizing timer. A member that failed on the way arrives too, so that nobody waits for it.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a member waits for the others.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    all: usize,
    ready: usize,
}

/// One gate per room, used once in each iteration.
#[derive(Debug)]
pub struct Gate {
    members: usize,
    arrived: watch::Sender<Vec<Arrived>>,
    first_opened: OnceLock<Instant>,
}

impl Gate {
    /// A gate for `members` and a number of iterations.
    pub fn new(members: usize, iterations: usize) -> Self {
        let (arrived, _) = watch::channel(vec![Arrived::default(); iterations]);
        Self { members, arrived, first_opened: OnceLock::new() }
    }

    /// A member's place in an iteration; dropping it arrives as failed.
    pub fn place(&self, iteration: usize) -> Place<'_> {
        Place { gate: self, iteration, told: false }
    }

    /// When the gate opened the first time.
    pub fn first_opened(&self) -> Option<Instant> {
        self.first_opened.get().copied()
    }

    fn arrive(&self, iteration: usize, ready: bool) {
        self.arrived.send_modify(|iterations| {
            if let Some(arrived) = iterations.get_mut(iteration) {
                arrived.all += 1;
                arrived.ready += usize::from(ready);
                if arrived.all == self.members {
                    self.first_opened.get_or_init(Instant::now);
                }
            }
        });
    }
}

/// See [`Gate::place`].
#[derive(Debug)]
pub struct Place<'a> {
    gate: &'a Gate,
    iteration: usize,
    told: bool,
}

impl Place<'_> {
    /// Arrives, waits for the others, and tells how many of them are ready.
    pub async fn wait(mut self) -> usize {
        let mut arrived = self.gate.arrived.subscribe();
        self.told = true;
        self.gate.arrive(self.iteration, true);
        let here = |all: &Vec<Arrived>| all.get(self.iteration).copied().unwrap_or_default();
        let _ = timeout(PATIENCE, arrived.wait_for(|all| here(all).all >= self.gate.members)).await;
        here(&self.gate.arrived.borrow()).ready
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.gate.arrive(self.iteration, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_passes_before_all_are_there_and_a_failed_member_holds_nobody() {
        let gate = Gate::new(3, 1);
        let (first, second, ()) =
            tokio::join!(gate.place(0).wait(), gate.place(0).wait(), async { drop(gate.place(0)) });
        assert_eq!((first, second), (2, 2));
        assert!(gate.first_opened().is_some());
    }
}
