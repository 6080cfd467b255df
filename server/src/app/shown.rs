//! Where nothing is pushed, what would be is recorded, and shown to its user: on the page, and to
//! whoever writes an app.

use std::sync::Arc;

use bytes::Bytes;
use moim_shared::BoxFuture;
use moim_shared::broker::Broker;
use moim_shared::clock::now_ms;
use moim_shared::ids::UserId;
use moim_shared::signal::{Flash, Signal, Topic};
use moim_worker::push::recording::RecordingPush;
use moim_worker::push::{Notification, Push, PushError, Sent};

use crate::session::PUSHES;

/// See the module.
pub(super) struct ShownPush {
    recording: RecordingPush,
    broker: Arc<dyn Broker>,
}

impl ShownPush {
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { recording: RecordingPush::default(), broker }
    }
}

impl Push for ShownPush {
    fn send(&self, notification: Notification) -> BoxFuture<'_, Result<Sent, PushError>> {
        Box::pin(async move {
            let shown = signal(&notification);
            let sent = self.recording.send(notification).await?;
            if let Some(signal) = shown
                && let Err(error) = self.broker.signal(signal).await
            {
                tracing::debug!(%error, "a push was not shown");
            }
            Ok(sent)
        })
    }
}

/// The data of a push as a message to its user's queue.
fn signal(notification: &Notification) -> Option<Signal> {
    let user = UserId::parse(notification.data.get("user")?).ok()?;
    let flash = Flash {
        sender: user.clone(),
        sender_name: None,
        sent_at: now_ms(),
        content_type: Some("application/json;charset=UTF-8".into()),
        binary: false,
        headers: Vec::new(),
        body: Bytes::from(serde_json::to_vec(&notification.data).ok()?),
    };
    Some(Signal::User(user, Topic::parse(PUSHES).ok()?, Arc::new(flash)))
}
