//! The end of what deleted rooms said, of messages that are older than they are kept, of tokens of
//! devices that nobody has seen for long, and of what is known of old pushes and of rooms that people
//! have no more. It is told when there is something to do and looks by itself too: a room whose purge a crash ended, and messages that were on their way when a room
//! ended.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::clock::now_ms;
use moim_shared::store::devices::Devices;
use moim_shared::store::inbox::{Inbox, REMOVALS_KEPT};
use moim_shared::store::pushes::Pushes;
use moim_shared::store::rooms::Rooms;
use moim_shared::store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Rows that one transaction removes.
const ROWS: usize = 5_000;
/// Between two of them, so that everybody else's writes come first.
const PAUSE: Duration = Duration::from_millis(20);
/// Rooms that are looked for at once.
const ROOMS: usize = 16;
/// Devices that are looked at at once.
const DEVICES: usize = 500;
/// A device that was not seen for this long has no token any more. As long as FCM keeps one
/// (<https://firebase.google.com/docs/cloud-messaging/manage-tokens>).
const UNSEEN: Duration = Duration::from_secs(270 * 86_400);
/// How long it is known what was told of a message.
const PUSHES: Duration = Duration::from_secs(7 * 86_400);
/// How often it looks by itself.
const LOOK: Duration = Duration::from_secs(600);

/// What is removed, and how long messages are kept, if not for ever.
#[derive(Clone)]
pub struct Purge {
    /// Rooms that were deleted.
    pub rooms: Arc<dyn Rooms>,
    /// Messages.
    pub store: Arc<dyn Store>,
    /// Tokens of devices that nobody has seen for long.
    pub devices: Arc<dyn Devices>,
    /// What was somebody's room.
    pub inbox: Arc<dyn Inbox>,
    /// What was told of messages.
    pub pushes: Arc<dyn Pushes>,
    /// From when they were sent.
    pub retention: Option<Duration>,
}

impl Purge {
    /// Runs until it is dropped; looks when it is told, too.
    pub async fn keep_tidy(self, told: Arc<Notify>) {
        loop {
            if let Err(error) = self.once().await {
                tracing::warn!(%error, "what is to be removed is there still");
            }
            // Whether it was told or the time is over: it looks.
            let _ = timeout(LOOK, told.notified()).await;
        }
    }

    /// Removes all that is to be removed now.
    pub async fn once(&self) -> Result<(), StoreError> {
        purge(&*self.rooms).await?;
        forget_tokens(&*self.devices).await?;
        forget_removals(&*self.inbox).await?;
        forget_pushes(&*self.pushes).await?;
        let Some(retention) = self.retention else { return Ok(()) };
        let before = now_ms().saturating_sub(retention.as_millis() as u64);
        let (mut after, mut removed) = (None, 0);
        loop {
            let part = self.store.expire(after.as_ref(), before, ROWS).await?;
            removed += part.removed;
            if part.done {
                break;
            }
            after = part.after;
            sleep(PAUSE).await;
        }
        if removed > 0 {
            tracing::info!(removed, "messages older than they are kept were removed");
        }
        Ok(())
    }
}

async fn forget_tokens(devices: &dyn Devices) -> Result<(), StoreError> {
    let before = now_ms().saturating_sub(UNSEEN.as_millis() as u64);
    let mut forgotten = 0;
    loop {
        let part = devices.device_tokens_forget(before, DEVICES).await?;
        forgotten += part;
        if part < DEVICES {
            break;
        }
        sleep(PAUSE).await;
    }
    if forgotten > 0 {
        tracing::info!(forgotten, "devices that were not seen for long get no more pushes");
    }
    Ok(())
}

async fn forget_removals(inbox: &dyn Inbox) -> Result<(), StoreError> {
    // Whoever asks for what changed since a time just within may take a while.
    let kept = REMOVALS_KEPT + Duration::from_secs(86_400);
    let before = now_ms().saturating_sub(kept.as_millis() as u64);
    while inbox.inbox_forget(before, ROWS).await? == ROWS {
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn forget_pushes(pushes: &dyn Pushes) -> Result<(), StoreError> {
    let before = now_ms().saturating_sub(PUSHES.as_millis() as u64);
    while pushes.pushes_forget(before, ROWS).await? == ROWS {
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn purge(rooms: &dyn Rooms) -> Result<(), StoreError> {
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
