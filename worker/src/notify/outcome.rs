//! What becomes of a push, by what the provider said.

use std::time::Duration;

use moim_shared::store::pushes::{DuePush, End};

use crate::push::{PushError, Sent};

/// The first wait and the longest one, as FCM asks for
/// (<https://firebase.google.com/docs/cloud-messaging/scale-fcm>).
const WAIT: Duration = Duration::from_secs(10);
const WAIT_MOST: Duration = Duration::from_secs(600);
/// While nobody can be reached: somebody has to mend it.
const WAIT_MISCONFIGURED: Duration = Duration::from_secs(60);
/// Older ones are of no use to anybody.
const AGE_MOST: u64 = 24 * 3_600_000;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// The token is of no use.
    pub(super) remove: bool,
}

/// What becomes of `due`, at `now` in ms since 1970. `trusted`: a token that is said to be of no use
/// is so.
pub(super) fn outcome(
    due: &DuePush,
    said: &Result<Sent, PushError>,
    trusted: bool,
    now: u64,
) -> Outcome {
    let again = |after: Duration, why: &str| {
        let left = AGE_MOST.saturating_sub(now.saturating_sub(due.created_at));
        let end = if left > 0 {
            End::Again { after: after.mul_f64(1.0 + rand::random::<f64>() / 4.0), why: why.into() }
        } else {
            End::Failed(format!("given up: {why}"))
        };
        Outcome { end, remove: false }
    };
    match said {
        Ok(_) => Outcome { end: End::Sent, remove: false },
        Err(PushError::TokenGone(gone)) if trusted => {
            Outcome { end: End::Failed(gone.name().into()), remove: true }
        }
        Err(error @ PushError::TokenGone(_)) => again(WAIT_MOST, &error.to_string()),
        Err(PushError::Later { after, why, .. }) => {
            let doubled = WAIT.saturating_mul(1 << due.attempts.saturating_sub(1).min(16));
            again(after.unwrap_or_else(|| doubled.min(WAIT_MOST)), why)
        }
        Err(PushError::Misconfigured(why)) => again(WAIT_MISCONFIGURED, why),
        Err(PushError::Refused(why)) => Outcome { end: End::Failed(why.clone()), remove: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::compose::tests::due;
    use crate::push::Gone;

    fn of(attempts: u32, age: u64, said: Result<Sent, PushError>, trusted: bool) -> Outcome {
        let due = DuePush { attempts, created_at: 1_000, ..due() };
        outcome(&due, &said, trusted, 1_000 + age)
    }

    fn later(after: Option<u64>) -> Result<Sent, PushError> {
        let after = after.map(Duration::from_secs);
        Err(PushError::Later { after, unsure: true, why: "busy".into() })
    }

    fn wait(outcome: &Outcome) -> u64 {
        match &outcome.end {
            End::Again { after, .. } => after.as_secs(),
            end => panic!("{end:?}"),
        }
    }

    #[test]
    fn waits_double_from_ten_seconds_to_ten_minutes_with_a_quarter_of_chance() {
        for (attempts, least) in [(1, 10), (2, 20), (3, 40), (7, 600), (99, 600)] {
            let wait = wait(&of(attempts, 0, later(None), true));
            assert!((least..=least + least / 4).contains(&wait), "{wait} after {attempts}");
        }
    }

    #[test]
    fn what_the_provider_asks_for_is_not_undercut() {
        for attempts in [1, 9] {
            assert!((77..=97).contains(&wait(&of(attempts, 0, later(Some(77)), true))));
        }
    }

    #[test]
    fn a_day_later_it_is_given_up() {
        let failed = of(3, AGE_MOST, later(None), true);
        assert_eq!(failed.end, End::Failed("given up: busy".into()));
        assert!(!failed.remove);
    }

    #[test]
    fn only_a_token_that_is_said_and_believed_to_be_of_no_use_goes() {
        let gone = |gone| Err(PushError::TokenGone(gone));
        let removed = of(1, 0, gone(Gone::Unregistered), true);
        assert_eq!(removed, Outcome { end: End::Failed("unregistered".into()), remove: true });
        assert!(!of(1, 0, gone(Gone::OtherProject), false).remove);
        assert!(wait(&of(1, 0, gone(Gone::OtherProject), false)) >= 600);
        for error in [
            PushError::Refused("too long".into()),
            PushError::Misconfigured("no rights".into()),
            PushError::Later { after: None, unsure: false, why: String::new() },
        ] {
            assert!(!of(1, 0, Err(error), true).remove);
        }
    }
}
