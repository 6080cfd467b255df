//! Push that reaches nobody: it notes what would go out.
//!
//! For standalone, for tests, and for trying out an app's server side without a Firebase project.

use std::collections::VecDeque;

use moim_shared::BoxFuture;
use parking_lot::Mutex;

use super::{Notification, Push, PushError, Sent};

/// Keeps the last [`RecordingPush::KEPT`] notifications, and logs each at `info` without its token
/// and its data.
#[derive(Debug, Default)]
pub struct RecordingPush {
    recent: Mutex<VecDeque<Notification>>,
}

impl RecordingPush {
    /// How many it keeps.
    pub const KEPT: usize = 1_000;

    /// What was sent last, the oldest first.
    pub fn recent(&self) -> Vec<Notification> {
        self.recent.lock().iter().cloned().collect()
    }
}

impl Push for RecordingPush {
    fn send(&self, notification: Notification) -> BoxFuture<'_, Result<Sent, PushError>> {
        Box::pin(async move {
            notification.check()?;
            let (bytes, urgency) = (notification.data_bytes(), notification.urgency);
            tracing::info!(bytes, ?urgency, "a push was recorded, and goes to nobody");
            let mut recent = self.recent.lock();
            if recent.len() == Self::KEPT {
                recent.pop_front();
            }
            recent.push_back(notification);
            Ok(Sent { name: None })
        })
    }
}
