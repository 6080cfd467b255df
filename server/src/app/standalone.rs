//! One process without any service: in-process broker, queue and presence, SQLite, and the
//! worker's jobs inside.

use std::sync::Arc;

use moim_shared::broker::memory::{Bounds, MemoryBroker};
use moim_shared::config::Config;
use moim_shared::presence::memory::MemoryPresence;
use moim_shared::process::StartError;
use moim_shared::queue::memory::MemoryQueue;
use moim_shared::store::Store;
use moim_shared::store::pushes::Pushes;
use moim_shared::store::sqlite::SqliteStore;
use moim_worker::jobs::PersistMessages;
use moim_worker::notify::Notify;
use moim_worker::runner;

use super::shown::ShownPush;
use super::{Backends, PRESENCE_LEASE};
use crate::relay::Relay;
use crate::token::standalone_secret;

pub(super) fn backends(config: &Config, relay: Arc<Relay>) -> Result<Backends, StartError> {
    let database = Arc::new(SqliteStore::open(&config.data_dir.join("moim.db"))?);
    let store: Arc<dyn Store> = database.clone();
    let secret = match &config.jwt_secret {
        Some(secret) => secret.clone(),
        None => standalone_secret(&config.data_dir).map_err(|error| {
            StartError::Data(format!("the secret in {}: {error}", config.data_dir.display()))
        })?,
    };
    let limits = &config.limits;
    let bounds = Bounds {
        keep: limits.hot_log_keep,
        keep_bytes: limits.hot_log_bytes.get(),
        names: limits.names_max,
        names_age: limits.names_age.get(),
    };
    let broker = Arc::new(MemoryBroker::new(store.clone(), relay, bounds));
    database.tell_devices(config.push_grace.get());
    let queue = Arc::new(MemoryQueue::new(limits.queue_max_bytes.get()));
    let job = Arc::new(PersistMessages::new(store.clone(), broker.clone(), queue.clone()));
    let persist = runner::start(job, queue.clone(), runner::Options::default());
    let push = match moim_worker::app::push(config)? {
        Some(push) => push,
        None => Arc::new(ShownPush::new(broker.clone())),
    };
    let notify = Notify {
        pushes: database.clone(),
        devices: database.clone(),
        push,
        metrics: Arc::default(),
    };
    Ok(Backends {
        broker,
        queue,
        presence: Arc::new(MemoryPresence::new(PRESENCE_LEASE)),
        store,
        rooms: database.clone(),
        cursors: database.clone(),
        accounts: database.clone(),
        devices: database.clone(),
        inbox: database.clone(),
        pushes: database.clone(),
        last_seen: database,
        open_topics: true,
        secret,
        // Closed and empty, its jobs end.
        queue_ended: Box::pin(std::future::ready(())),
        jobs: vec![persist],
        notify: Some(notify),
    })
}
