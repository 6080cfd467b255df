//! Values that are right alone and wrong together.

use std::fmt::Display;

use super::{Config, Mode};

/// What does not fit together, a line for each. Keys go by their paths: they may come from the
/// file, the environment or a default.
pub(super) fn contradictions(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    sizes(config, &mut found);
    if config.jwt_secret_previous.is_some() && config.jwt_secret.is_none() {
        found.push("`jwt_secret_previous` is set, but `jwt_secret` is not".into());
    }
    match (&config.tls_cert, &config.tls_key) {
        (Some(_), None) => found.push("`tls_cert` is set, but `tls_key` is not".into()),
        (None, Some(_)) => found.push("`tls_key` is set, but `tls_cert` is not".into()),
        _ => {}
    }
    let urls = [
        ("redis_url", &config.redis_url),
        ("amqp_url", &config.amqp_url),
        ("database_url", &config.database_url),
    ];
    for (name, url) in urls {
        match (config.mode, url) {
            (Mode::Cluster, None) => {
                found.push(format!("`mode` is `cluster`, but `{name}` is not set"));
            }
            (Mode::Standalone, Some(_)) => {
                found.push(format!("`{name}` is set, but `mode` is not `cluster`"));
            }
            _ => {}
        }
    }
    if config.mode == Mode::Cluster && config.jwt_secret.is_none() {
        found.push(
            "`mode` is `cluster`, but `jwt_secret` is not set: all nodes sign with the same".into(),
        );
    }
    let public = config.listen;
    if config.admin_listen.is_some_and(|admin| admin == public && admin.port() != 0) {
        found.push(format!(
            "`admin_listen` and `listen` are both `{public}`: leave `admin_listen` out to serve \
             all on one address"
        ));
    }
    found
}

fn sizes(config: &Config, found: &mut Vec<String>) {
    let limits = &config.limits;
    let body = Named("body_max", limits.body_max);
    let message = Named("message_max", limits.message_max);
    let room = Named("room_pending_bytes", limits.room_pending_bytes);
    let first_is_larger = [
        (message, body),
        (Named("outbox_bytes", limits.outbox_bytes), message),
        (Named("transaction_bytes", limits.transaction_bytes), body),
        (room, body),
        (Named("node_pending_bytes", limits.node_pending_bytes), room),
        (Named("queue_max_bytes", limits.queue_max_bytes), body),
    ];
    for (large, small) in first_is_larger {
        not_less(large, small, found);
    }
}

/// A limit and its key.
#[derive(Clone, Copy)]
struct Named<T>(&'static str, T);

fn not_less<T: PartialOrd + Display>(large: Named<T>, small: Named<T>, found: &mut Vec<String>) {
    if large.1 < small.1 {
        let Named(large, amount) = large;
        let Named(small, least) = small;
        found.push(format!(
            "`limits.{large}` ({amount}) must not be less than `limits.{small}` ({least})"
        ));
    }
}
