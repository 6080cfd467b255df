//! The end of what deleted rooms said. It is told when there is something to do and looks by itself
//! too: a room whose purge a crash ended, and messages that were on their way when a room ended.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::store::StoreError;
use moim_shared::store::rooms::Rooms;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Rows that one transaction removes.
const ROWS: usize = 5_000;
/// Between two of them, so that everybody else's writes come first.
const PAUSE: Duration = Duration::from_millis(20);
/// Rooms that are looked for at once.
const ROOMS: usize = 16;
/// How often it looks by itself.
const LOOK: Duration = Duration::from_secs(600);

/// Runs until it is dropped.
pub async fn run(rooms: Arc<dyn Rooms>, told: Arc<Notify>) {
    loop {
        if let Err(error) = purge(&*rooms).await {
            tracing::warn!(%error, "deleted rooms are not purged yet");
        }
        // Whether it was told or the time is over: it looks.
        let _ = timeout(LOOK, told.notified()).await;
    }
}

/// Purges all rooms that were deleted.
pub async fn purge(rooms: &dyn Rooms) -> Result<(), StoreError> {
    loop {
        let deleted = rooms.rooms_unpurged(ROOMS).await?;
        for room in &deleted {
            let mut removed = 0;
            loop {
                match rooms.room_purge(room, ROWS).await? {
                    0 => break,
                    part => removed += part,
                }
                sleep(PAUSE).await;
            }
            tracing::info!(room.id = %room, removed, "room `{room}` is purged");
        }
        if deleted.len() < ROOMS {
            return Ok(());
        }
    }
}
