//! How long a session that lost its connection waits before it comes back: longer each time, and
//! never as long as its neighbours.

use std::time::Duration;

use crate::failure::Failure;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// The longest that a server may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// The waits of one session.
#[derive(Debug)]
pub struct Waits {
    attempt: u32,
    state: u64,
}

impl Waits {
    /// Of session `index`.
    pub const fn new(index: usize) -> Self {
        Self { attempt: 0, state: index as u64 }
    }

    /// The session was well for a while.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The next wait after `failure`; at least what a server asked for when it closed.
    pub fn after(&mut self, failure: &Failure) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempt.min(10)).min(LONGEST);
        self.attempt += 1;
        asked(failure) + self.jitter(full)
    }

    /// Between the half of `full` and all of it.
    pub fn jitter(&mut self, full: Duration) -> Duration {
        // splitmix64
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        full.mul_f64(0.5 + (mixed >> 11) as f64 / (1_u64 << 54) as f64)
    }
}

fn asked(failure: &Failure) -> Duration {
    let Failure::Closed { reason, .. } = failure else { return Duration::ZERO };
    let ms = reason.split_once("retry_after_ms=").and_then(|(_, ms)| ms.parse().ok());
    Duration::from_millis(ms.unwrap_or(0)).min(ASKED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_bounded_and_differ_between_sessions() {
        let failure = Failure::Socket("connection refused".to_owned());
        let waits = |index| {
            let mut waits = Waits::new(index);
            std::iter::repeat_with(move || waits.after(&failure)).take(12).collect::<Vec<_>>()
        };
        let mut full = FIRST;
        for wait in waits(1) {
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        assert_ne!(Waits::new(1).jitter(LONGEST), Waits::new(2).jitter(LONGEST));
    }

    #[test]
    fn a_server_that_says_when_is_obeyed() {
        let reason = "retry_after_ms=1500".to_owned();
        let closed = Failure::Closed { code: Some(1012), reason };
        assert!(Waits::new(1).after(&closed) >= Duration::from_millis(1500));
    }
}
