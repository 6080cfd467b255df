//! A node of a cluster: the seams over Redis, RabbitMQ and Postgres. Workers do the jobs.

use std::sync::Arc;

use moim_shared::broker::redis::RedisBroker;
use moim_shared::cluster;
use moim_shared::config::Config;
use moim_shared::presence::redis::RedisPresence;
use moim_shared::process::StartError;

use super::{Backends, PRESENCE_LEASE};
use crate::relay::Relay;

pub(super) async fn backends(config: &Config, relay: Arc<Relay>) -> Result<Backends, StartError> {
    let services = cluster::connect(config).await?;
    let internal = |error: &dyn std::fmt::Display| StartError::Internal(error.to_string());
    let (links, store, queue) = (services.links, services.store, services.queue);
    let prefix = config.cluster.as_str();
    let presence = RedisPresence::new(links.clone(), prefix, PRESENCE_LEASE);
    let broker = RedisBroker::new(links, store.clone(), relay, services.broker)
        .map_err(|error| internal(&error))?;
    let secret = config.jwt_secret.clone();
    Ok(Backends {
        broker: Arc::new(broker),
        queue: queue.clone(),
        presence: Arc::new(presence),
        store: store.clone(),
        rooms: store.clone(),
        cursors: store.clone(),
        accounts: store.clone(),
        devices: store.clone(),
        inbox: store.clone(),
        pushes: store.clone(),
        last_seen: store,
        open_topics: false,
        // The configuration was refused without it.
        secret: secret.ok_or_else(|| StartError::Usage("`jwt_secret` is not set".into()))?,
        queue_ended: Box::pin(async move { queue.ended().await }),
        jobs: Vec::new(),
        notify: None,
    })
}
