//! How long to wait before trying again: exponential, capped, with full jitter, so that many who
//! failed together do not come back together.

use std::time::Duration;

/// A growing wait. [`Backoff::reset`] after a success.
#[derive(Debug, Clone)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits between `least` and, doubling each time, `most`.
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, tries: 0 }
    }

    /// The next wait: half of it certain, half of it chance.
    pub fn wait(&mut self) -> Duration {
        let whole = self.least.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    /// Starts over.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }

    /// How often [`Backoff::wait`] was asked since the last reset.
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_no_further() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        for step in [10, 20, 40, 80, 100, 100] {
            let wait = backoff.wait();
            let whole = Duration::from_millis(step);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(10));
    }
}
