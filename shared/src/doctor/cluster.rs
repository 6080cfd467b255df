//! The three services of a cluster.

use super::{Check, postgres, rabbitmq, redis};
use crate::config::Config;

/// A check for each.
pub fn cluster(config: &Config) -> Vec<Check<'_>> {
    vec![
        ("redis", Box::pin(redis::redis(config))),
        ("rabbitmq", Box::pin(rabbitmq::rabbitmq(config))),
        ("postgres", Box::pin(postgres::postgres(config))),
    ]
}
