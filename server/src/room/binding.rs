//! What makes a change of memberships bind the next SEND, on every node.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::backoff::Backoff;
use moim_shared::broker::{Broker, BrokerError};
use moim_shared::ids::{RoomId, UserId};

/// Tries: for some hours of a broker that is away. A Redis that starts over needs none: its rooms
/// begin other epochs, and everybody is looked at.
const TRIES: u32 = 5_000;

/// Tells the broker whose membership changed; none: everybody's. The change is stored already, so a
/// broker that is away is told later, and who asked for the change is not kept waiting.
pub async fn tell_of_members(broker: &Arc<dyn Broker>, room: &RoomId, users: &[UserId]) {
    let Err(error) = broker.members_changed(room, users).await else { return };
    tracing::warn!(room.id = %room, %error, "a change of members is not told yet");
    let (broker, room, users) = (broker.clone(), room.clone(), users.to_vec());
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    actix_web::rt::spawn(async move {
        if !insist(backoff, async || broker.members_changed(&room, &users).await).await {
            tracing::error!(room.id = %room, "a change of members was never told");
        }
    });
}

/// Whether one of some more tries succeeded.
async fn insist(mut backoff: Backoff, tell: impl AsyncFn() -> Result<u64, BrokerError>) -> bool {
    while backoff.tries() < TRIES {
        tokio::time::sleep(backoff.wait()).await;
        if tell().await.is_ok() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn told_after(failures: u32) -> (bool, u32) {
        let asked = Cell::new(0);
        let tell = async || {
            asked.set(asked.get() + 1);
            if asked.get() > failures {
                Ok(1)
            } else {
                Err(BrokerError::Unavailable("away".into()))
            }
        };
        let short = Backoff::new(Duration::from_micros(1), Duration::from_micros(2));
        (insist(short, tell).await, asked.get())
    }

    #[tokio::test]
    async fn a_broker_that_was_away_is_told_later_and_not_for_ever() {
        assert_eq!(told_after(0).await, (true, 1));
        assert_eq!(told_after(3).await, (true, 4));
        assert_eq!(told_after(TRIES + 1).await, (false, TRIES));
    }
}
