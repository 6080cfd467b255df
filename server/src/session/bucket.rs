//! A token bucket: so many a second, with bursts. Pure; the clock is passed in.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    filled: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { rate: rate.into(), burst: burst.into(), filled: burst.into(), at: now }
    }

    /// Takes one, or says how long it takes until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.filled = passed.mul_add(self.rate, self.filled).min(self.burst);
        if self.filled >= 1.0 {
            self.filled -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.filled) / self.rate))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        assert!((0..3).all(|_| bucket.take(start).is_ok()));
        let wait = bucket.take(start).expect_err("the bucket is empty");
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(bucket.take(start + Duration::from_millis(101)).is_ok());
        assert!(bucket.take(start + Duration::from_millis(102)).is_err());
    }
}
