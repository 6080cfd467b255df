//! How fast each user may send over the API: a bucket for everybody who sent lately. Bounded, and the
//! clock is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use parking_lot::Mutex;

use crate::session::Bucket;

/// Buckets of one generation.
const MOST: usize = 32_768;

/// See the module.
pub struct Rates {
    rate: u32,
    burst: u32,
    generations: Mutex<Generations>,
}

struct Generations {
    young: HashMap<UserId, Bucket>,
    /// Who sent in none of two generations has a full bucket again, and needs none.
    old: HashMap<UserId, Bucket>,
    began: Instant,
}

impl Rates {
    /// So many a second for each user, with bursts.
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { rate, burst, generations: Mutex::new(Generations { young, old, began: now }) }
    }

    /// Counts one of the user, or says how long it takes until it may.
    pub fn take(&self, user: &UserId, now: Instant) -> Result<(), Duration> {
        let mut generations = self.generations.lock();
        let Generations { young, old, began } = &mut *generations;
        let fills = Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.rate));
        if young.len() >= MOST || now.saturating_duration_since(*began) >= fills {
            (*old, *began) = (std::mem::take(young), now);
        }
        if let Some(bucket) = young.get_mut(user) {
            return bucket.take(now);
        }
        let known = old.remove(user);
        let mut bucket = known.unwrap_or_else(|| Bucket::new(self.rate, self.burst, now));
        let taken = bucket.take(now);
        young.insert(user.clone(), bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("u{n}")).unwrap()
    }

    #[test]
    fn each_user_has_a_rate_of_its_own_that_outlives_a_generation() {
        let start = Instant::now();
        let rates = Rates::new(10, 20, start);
        assert!((0..20).all(|_| rates.take(&user(1), start).is_ok()));
        assert!(rates.take(&user(1), start).is_err());
        assert!(rates.take(&user(2), start).is_ok());
        let later = start + Duration::from_secs(2);
        assert!((0..20).all(|_| rates.take(&user(1), later).is_ok()));
        assert!(rates.take(&user(1), later).is_err(), "not twenty more for a generation's end");
    }

    #[test]
    fn many_users_are_forgotten_and_never_kept_without_end() {
        let now = Instant::now();
        let rates = Rates::new(1, 1, now);
        for n in 0..3 * MOST {
            assert!(rates.take(&user(n), now).is_ok());
        }
        let generations = rates.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST);
    }
}
