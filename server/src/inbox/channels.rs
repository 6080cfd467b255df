//! Which channels the node listens to for its inboxes: one task says so to the broker, so that each is
//! begun and ended once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use moim_shared::backoff::Backoff;
use moim_shared::broker::BrokerError;
use moim_shared::ids::UserId;
use moim_shared::signal::Channel;
use tokio::time::timeout_at;

use super::{Inboxes, ROOMS_MOST};
use crate::refusal::Refusal;

/// Channels that are begun at once.
const AT_ONCE: usize = 256;

impl Inboxes {
    /// Listens to what is wanted and to nothing else, until it is dropped.
    pub async fn keep_listening(self: Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        // Those that cannot be heard are tried again then; the others do not wait for that.
        let mut again: Option<Instant> = None;
        loop {
            if again.is_some_and(|at| at <= Instant::now()) {
                again = None;
                self.state.lock().try_again();
            }
            let (begin, end) = self.state.lock().turned(AT_ONCE);
            if begin.is_empty() && end.is_empty() {
                let more = self.state.lock().has_turned();
                match again {
                    _ if more => {}
                    // Whether something came or the time is over: it looks.
                    Some(at) => _ = timeout_at(at.into(), self.wanted.notified()).await,
                    None => self.wanted.notified().await,
                }
                continue;
            }
            for channel in end {
                self.broker.ignore(&channel);
            }
            let trouble = self.begin(begin).await;
            self.heard.notify_waiters();
            self.work.notify_one();
            match trouble {
                Some(error) => {
                    if backoff.tries() == 0 {
                        tracing::warn!(%error, "what inboxes are to show is not heard, trying on");
                    }
                    again.get_or_insert_with(|| Instant::now() + backoff.wait());
                }
                None if again.is_none() => backoff.reset(),
                None => {}
            }
        }
    }

    /// Listens to these; one of those errors that came of it.
    async fn begin(&self, channels: Vec<Channel>) -> Option<BrokerError> {
        let all = stream::iter(channels).map(|channel| async move {
            let heard = self.broker.listen(&channel).await;
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
        trouble
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
            // Not locked for longer than that.
            let hears = self.state.lock().hears_all(user, before);
            match hears {
                Some(true) => return Ok(()),
                Some(false) => return Err(Refusal::unavailable()),
                None => {}
            }
            heard.await;
        }
    }
}
