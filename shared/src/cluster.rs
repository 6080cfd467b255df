//! The services of a cluster as the configuration says, for servers and workers alike.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::redis::Options as BrokerOptions;
use crate::config::{Config, ServiceUrl};
use crate::process::{StartError, print};
use crate::queue::amqp::{Address, AmqpQueue, Options as QueueOptions};
use crate::redis::{Links, Target};
use crate::store::postgres::{Options as StoreOptions, PostgresStore, migrate as migrate_to};

/// How long the messages of a log that Redis lost may take to reach the database.
const SETTLE: Duration = Duration::from_secs(2);

/// How often a node compares the heads of its rooms with what it was told.
const LOOK: Duration = Duration::from_secs(2);

/// The three services, and what the broker needs beside them.
pub struct Services {
    /// Redis, for broker and presence.
    pub links: Arc<Links>,
    /// RabbitMQ.
    pub queue: Arc<AmqpQueue>,
    /// Postgres.
    pub store: Arc<PostgresStore>,
    /// How the broker uses Redis.
    pub broker: BrokerOptions,
}

/// Connects to Postgres, which must be there and have our schema; Redis and RabbitMQ may come
/// later.
pub async fn connect(config: &Config) -> Result<Services, StartError> {
    let usage = |key: &str, error: &dyn Display| StartError::Usage(format!("`{key}`: {error}"));
    let target = Target::parse(url(config.redis_url.as_ref(), "redis_url")?);
    let target = target.map_err(|error| usage("redis_url", &error))?;
    let links = Links::new(target).map_err(|error| StartError::Internal(error.to_string()))?;
    let address = url(config.amqp_url.as_ref(), "amqp_url")?.parse::<Address>();
    let address = address.map_err(|error| usage("amqp_url", &error))?;
    let limits = &config.limits;
    let options =
        StoreOptions { connections: config.database_connections, ..StoreOptions::default() };
    let store =
        PostgresStore::open(url(config.database_url.as_ref(), "database_url")?, options).await?;
    let queue = AmqpQueue::start(queue_options(config, address));
    let broker = BrokerOptions {
        prefix: config.cluster.to_string(),
        keep: limits.hot_log_keep,
        keep_bytes: limits.hot_log_bytes.get(),
        longest: limits.hot_log_max,
        names: limits.names_max,
        names_age: limits.names_age.get(),
        settle: SETTLE,
        look: LOOK,
    };
    Ok(Services { links: Arc::new(links), queue: Arc::new(queue), store: Arc::new(store), broker })
}

/// How RabbitMQ is used.
pub(crate) fn queue_options(config: &Config, address: Address) -> QueueOptions {
    QueueOptions {
        prefix: config.cluster.to_string(),
        queue_bytes: config.limits.queue_max_bytes.get() as u64,
        bound: config.limits.node_pending_bytes.get(),
        ..QueueOptions::new(address)
    }
}

/// Brings the database's schema up to this program's, and prints what was done, a line each.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let url = url(config.database_url.as_ref(), "database_url")?;
    let done = migrate_to(url, &StoreOptions::default()).await?;
    if done.is_empty() {
        return print("the schema is up to date\n");
    }
    done.iter().try_for_each(|one| print(&format!("migrated: {one}\n")))
}

/// Whoever is without it was refused with the configuration.
fn url<'a>(url: Option<&'a ServiceUrl>, key: &str) -> Result<&'a str, StartError> {
    let missing = || StartError::Usage(format!("`{key}` is not set"));
    url.map(ServiceUrl::as_str).ok_or_else(missing)
}
