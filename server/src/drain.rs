//! A node that goes, or that alone does not hear the others, sends its sessions away: one after the
//! other, so that those who come back do so over a span of time whatever their clients make of the
//! reason; and each when what it sent is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tokio::time::sleep;

use crate::outbox::{CloseReason, Outbox};
use crate::reaper::Reaper;
use crate::session::SessionContext;

/// How often it is looked whose turn it is.
const LOOK: Duration = Duration::from_millis(10);
/// How long a session may wait for its answers.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Clients that read the reason come back within so many ms.
const COME_BACK: u16 = 500;
/// How long a node that is deaf waits for its hearing: mostly another connection is enough.
const DEAF: Duration = Duration::from_secs(5);
/// How often it is looked whether it is.
const LISTEN: Duration = Duration::from_secs(1);

/// Sends sessions to the other nodes while this one alone does not hear what is said, until it is
/// dropped.
pub async fn keep_hearing(sessions: Arc<SessionContext>, spread: Duration) {
    let mut since: Option<Instant> = None;
    loop {
        sleep(LISTEN).await;
        let deaf = sessions.hub.is_deaf_alone();
        since = since.filter(|_| deaf).or_else(|| deaf.then(Instant::now));
        if since.is_some_and(|since| since.elapsed() >= DEAF) {
            let here = staying(&sessions.reaper);
            if !here.is_empty() {
                let count = here.len();
                tracing::warn!(
                    sessions = count,
                    "this node is deaf: it sends its sessions to others"
                );
                let until = Instant::now() + spread + PATIENCE;
                close_all(here, spread, until, || sessions.hub.is_deaf_alone()).await;
            }
        }
    }
}

/// Sends all sessions away over `spread`, and is done by `until`.
pub async fn send_away(reaper: &Reaper, spread: Duration, until: Instant) {
    let end = Instant::now() + spread;
    loop {
        // Some may have come meanwhile.
        let here = staying(reaper);
        if here.is_empty() || Instant::now() >= until {
            break;
        }
        let left = end.saturating_duration_since(Instant::now());
        close_all(here, left, until, || true).await;
        sleep(LOOK).await;
    }
    // With those who come meanwhile.
    reaper.close_all(CloseReason::COME_BACK);
}

/// The sessions that do not close yet.
fn staying(reaper: &Reaper) -> Vec<Arc<Outbox>> {
    reaper.sessions().into_iter().filter(|outbox| !outbox.is_closing()).collect()
}

/// `goes_on`: whether more are to go.
async fn close_all(
    mut here: Vec<Arc<Outbox>>,
    spread: Duration,
    until: Instant,
    goes_on: impl Fn() -> bool,
) {
    here.shuffle(&mut rand::rng());
    let (began, count) = (Instant::now(), here.len());
    let mut going: Vec<(Instant, Arc<Outbox>)> = Vec::new();
    while !(here.is_empty() && going.is_empty()) && Instant::now() < until {
        if !goes_on() {
            here.clear();
        }
        let now = Instant::now();
        let stay = count - turned(count, now - began, spread);
        for outbox in here.drain(stay.min(here.len())..) {
            outbox.stop_hearing();
            going.push((now, outbox));
        }
        going.retain(|(since, outbox)| {
            let waits = outbox.owes() && !outbox.is_closing() && now - *since < PATIENCE;
            if !waits {
                go(outbox);
            }
            waits
        });
        sleep(LOOK).await;
    }
    // Who hears nothing any more must not stay.
    going.iter().for_each(|(_, outbox)| go(outbox));
}

fn go(outbox: &Outbox) {
    outbox.close(CloseReason::come_back(rand::random_range(0..COME_BACK)));
}

/// How many of `count` it was the turn of.
fn turned(count: usize, elapsed: Duration, spread: Duration) -> usize {
    if elapsed >= spread {
        return count;
    }
    count.min(1 + (count as f64 * elapsed.div_duration_f64(spread)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_evenly_and_all_have_had_theirs_at_the_end() {
        let (count, spread) = (1_000, Duration::from_secs(20));
        let at = |ms| turned(count, Duration::from_millis(ms), spread);
        assert_eq!((at(0), at(10), at(5_000), at(19_999)), (1, 1, 251, 1_000));
        assert_eq!((at(20_000), at(90_000)), (1_000, 1_000));
        assert_eq!(turned(7, Duration::ZERO, Duration::ZERO), 7);
        assert_eq!(turned(0, Duration::ZERO, spread), 0);
    }
}
