//! What makes a change of memberships bind the next SEND, on every node.

use std::time::Duration;

use moim_shared::backoff::Backoff;
use moim_shared::ids::RoomId;

use super::Api;

/// Tries, after which a room finds it out when it is opened the next time.
const TRIES: u32 = 6;

/// Tells the broker. The change is stored already, so a broker that is away is told later, and who
/// asked for the change is not kept waiting.
pub async fn members_changed(api: &Api, room: &RoomId) {
    let Err(error) = api.broker.members_changed(room).await else { return };
    tracing::warn!(room.id = %room, %error, "a change of members is not told yet");
    let (broker, room) = (api.broker.clone(), room.clone());
    actix_web::rt::spawn(async move {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while backoff.tries() < TRIES {
            tokio::time::sleep(backoff.wait()).await;
            if broker.members_changed(&room).await.is_ok() {
                return;
            }
        }
        tracing::error!(room.id = %room, "a change of members was never told");
    });
}
