//! Which channels the node listens to for its inboxes: one task says so to the broker, so that each is
//! begun and ended once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use moim_shared::backoff::Backoff;
use moim_shared::ids::UserId;
use tokio::time::sleep;

use super::{Inboxes, ROOMS_MOST};
use crate::refusal::Refusal;

/// Channels that are begun at once.
const AT_ONCE: usize = 256;

impl Inboxes {
    /// Listens to what is wanted and to nothing else, until it is dropped.
    pub async fn keep_listening(self: Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let (begin, end) = self.state.lock().turned(AT_ONCE);
            if begin.is_empty() && end.is_empty() {
                self.wanted.notified().await;
                continue;
            }
            for channel in end {
                self.broker.ignore(&channel);
            }
            let broker = &self.broker;
            let all = stream::iter(begin).map(|channel| async move {
                let heard = broker.listen(&channel).await;
                (channel, heard)
            });
            let mut all = std::pin::pin!(all.buffer_unordered(AT_ONCE));
            let mut trouble = None;
            while let Some((channel, heard)) = all.next().await {
                let mut state = self.state.lock();
                match heard {
                    Ok(()) if state.now_heard(channel.clone(), Instant::now()) => {}
                    Ok(()) => self.broker.ignore(&channel),
                    Err(error) => {
                        self.broker.ignore(&channel);
                        state.not_heard(channel);
                        trouble = Some(error);
                    }
                }
            }
            self.heard.notify_waiters();
            self.work.notify_one();
            match trouble {
                None => backoff.reset(),
                Some(error) => {
                    if backoff.tries() == 0 {
                        tracing::warn!(%error, "what inboxes are to show is not heard, trying on");
                    }
                    sleep(backoff.wait()).await;
                }
            }
        }
    }

    /// Whatever changes for the user is heard when this returns.
    pub(super) async fn hear(&self, user: &UserId) -> Result<(), Refusal> {
        let Some(ready) = self.state.lock().ready(user) else {
            return Err(Refusal::unavailable());
        };
        let mut ready = ready.lock().await;
        if *ready {
            return Ok(());
        }
        // Its own channel first: a membership that begins after the question is heard of there.
        self.all_heard(user).await?;
        let rooms = {
            let _turn = self.asking.acquire().await.map_err(|_closed| Refusal::unavailable())?;
            self.kept.inbox_rooms(user, ROOMS_MOST).await
        };
        let rooms = rooms.map_err(|error| {
            tracing::warn!(user.id = %user, %error, "an inbox cannot be read");
            Refusal::unavailable()
        })?;
        {
            let mut state = self.state.lock();
            for room in &rooms {
                state.has_room(user, room);
            }
        }
        self.all_heard(user).await?;
        *ready = true;
        Ok(())
    }

    /// Until all that the user wants is heard.
    async fn all_heard(&self, user: &UserId) -> Result<(), Refusal> {
        self.wanted.notify_one();
        let before = self.state.lock().troubles;
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            // From here on it is told.
            heard.as_mut().enable();
            {
                let state = self.state.lock();
                if state.hears_all(user) {
                    return Ok(());
                }
                if state.troubles != before {
                    return Err(Refusal::unavailable());
                }
            }
            heard.await;
        }
    }
}
