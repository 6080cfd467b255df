//! Writes messages behind: one transaction for all that wait, then the broker learns what is
//! durable, then the delivery is acknowledged. A crash in between repeats it, which changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use moim_shared::BoxFuture;
use moim_shared::broker::{Broker, Durable};
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::store::{Store, Stored};

use crate::runner::{Job, JobError};

/// See the module.
pub struct PersistMessages {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
}

impl PersistMessages {
    /// Writes into `store` and tells `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>) -> Self {
        Self { store, broker }
    }

    async fn tell_broker(&self, envelopes: &[Arc<Envelope>], stored: &[Stored]) {
        let mut rooms: HashMap<&RoomId, Vec<Durable>> = HashMap::new();
        for (envelope, stored) in envelopes.iter().zip(stored) {
            let shown = match stored {
                Stored::New | Stored::Again => true,
                Stored::Duplicate { .. } => false,
                // Nothing of it is durable.
                Stored::Late => continue,
            };
            let durable = Durable { position: envelope.position, shown };
            rooms.entry(&envelope.room).or_default().push(durable);
        }
        for (room, durable) in rooms {
            if let Err(error) = self.broker.mark_durable(room, &durable).await {
                // The rows are safe; only the hot log stays longer than it must.
                tracing::warn!(room.id = %room, %error, "the broker did not learn what is durable");
            }
        }
    }
}

impl Job for PersistMessages {
    const NAME: &'static str = "persist_messages";

    fn run<'a>(&'a self, envelopes: &'a [Arc<Envelope>]) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            let stored = self.store.insert(envelopes.to_vec()).await;
            let stored = stored.map_err(|error| JobError::Away(error.to_string()))?;
            self.tell_broker(envelopes, &stored).await;
            Ok(())
        })
    }
}
