//! A time in which nobody is called, and what is answered instead.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::push::PushError;

/// See the module. At first there is none.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    until: Instant,
    why: PushError,
}

impl Pause {
    /// From `now` on for this time. One that lasts longer stays. Whether there was none.
    pub fn hold(&self, now: Instant, time: Duration, why: &PushError) -> bool {
        let until = now + time;
        let mut held = self.0.lock();
        let is_first = held.as_ref().is_none_or(|held| held.until <= now);
        if held.as_ref().is_none_or(|held| held.until < until) {
            *held = Some(Held { until, why: why.clone() });
        }
        is_first
    }

    /// How long it lasts from `now` on, if there is one.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let until = self.0.lock().as_ref()?.until;
        Some(until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// The error while it lasts.
    pub fn check(&self, now: Instant) -> Result<(), PushError> {
        let mut held = self.0.lock();
        let Some(Held { until, why }) = held.as_ref() else { return Ok(()) };
        let rest = until.saturating_duration_since(now);
        if rest.is_zero() {
            *held = None;
            return Ok(());
        }
        Err(match why {
            PushError::Later { why, .. } => {
                PushError::Later { after: Some(rest), unsure: false, why: why.clone() }
            }
            other => other.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> PushError {
        let after = Some(Duration::from_secs(seconds));
        PushError::Later { after, unsure: true, why: "busy".into() }
    }

    #[test]
    fn while_it_lasts_the_rest_of_it_is_told_and_nothing_is_unsure() {
        let (pause, now) = (Pause::default(), Instant::now());
        assert_eq!(pause.check(now), Ok(()));
        assert!(pause.hold(now, Duration::from_secs(60), &later(60)));
        let rest = pause.check(now + Duration::from_secs(20));
        let told = Some(Duration::from_secs(40));
        assert_eq!(rest, Err(PushError::Later { after: told, unsure: false, why: "busy".into() }));
        assert_eq!(pause.check(now + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn a_shorter_one_does_not_end_a_longer_one() {
        let (pause, now) = (Pause::default(), Instant::now());
        assert!(pause.hold(now, Duration::from_secs(60), &later(60)));
        assert!(!pause.hold(now, Duration::from_secs(1), &PushError::Misconfigured("no".into())));
        assert!(pause.check(now + Duration::from_secs(30)).is_err());
    }
}
