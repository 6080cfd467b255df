//! The composition root: the only place that knows all concrete types and the mode.

mod cluster;
mod doctor;
mod listen;
mod people;
mod shown;
mod standalone;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use actix_web::web;
use moim_shared::BoxFuture;
use moim_shared::broker::{Broker, Unheard};
use moim_shared::clock::now_ms;
use moim_shared::config::{Config, Mode, Secret};
use moim_shared::health::{Health, Trouble};
use moim_shared::ids::NodeId;
use moim_shared::presence::Presence;
use moim_shared::process::{StartError, Stop};
use moim_shared::queue::Queue;
use moim_shared::store::accounts::Accounts;
use moim_shared::store::devices::Devices;
use moim_shared::store::inbox::Inbox;
use moim_shared::store::pushes::Pushes;
use moim_shared::store::rooms::Rooms;
use moim_shared::store::{self, Store};
use moim_shared::task::keep_running;
use moim_shared::trace::Traces;
use moim_worker::notify;
use moim_worker::purge::Purge;
use moim_worker::runner::Running;
use moim_worker::telling::Telling;
use tokio::sync::Notify;

pub use self::doctor::doctor;
use crate::drain;
use crate::http::api::{Rates, change_json};
use crate::http::{Api, Routes};
use crate::hub::Hub;
use crate::inbox::Inboxes;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::outbox;
use crate::reaper::Reaper;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::room::{self, Cursors, History, RoomContext};
use crate::seen::LastSeen;
use crate::session::{Destinations, SessionContext};
use crate::token::{KeySource, Revoked, Verifier};
use crate::topics::Topics;

/// What stands behind a node: the seams, with their adapters chosen.
struct Backends {
    broker: Arc<dyn Broker>,
    queue: Arc<dyn Queue>,
    presence: Arc<dyn Presence>,
    store: Arc<dyn Store>,
    rooms: Arc<dyn Rooms>,
    cursors: Arc<dyn store::cursors::Cursors>,
    accounts: Arc<dyn Accounts>,
    devices: Arc<dyn Devices>,
    inbox: Arc<dyn Inbox>,
    pushes: Arc<dyn Pushes>,
    last_seen: Arc<dyn store::last_seen::LastSeen>,
    /// Whether topics are open when the configuration does not say.
    open_topics: bool,
    secret: Secret,
    /// Waits until what the queue still does is done.
    queue_ended: BoxFuture<'static, ()>,
    /// Jobs that run inside this process.
    jobs: Vec<Running>,
    /// What tells devices, if it runs inside this process.
    notify: Option<notify::Notify>,
}

/// Runs the server until it is told to stop (SIGTERM, SIGINT).
pub async fn serve(config: Config) -> Result<(), StartError> {
    let stop = Stop::listen()?;
    let relay = Arc::new(Relay::default());
    let backends = match config.mode {
        Mode::Standalone => standalone::backends(&config, relay.clone())?,
        Mode::Cluster => cluster::backends(&config, relay.clone()).await?,
    };
    let node = config.node_id.clone().unwrap_or_else(NodeId::random);
    // A name that was given has run before.
    let run = if config.node_id.is_some() { NodeId::random() } else { node.clone() };
    let nodes = Arc::new(Nodes::new(backends.presence.clone(), run.clone(), PRESENCE_LEASE));
    let traces = Traces::start(&config, "moim-server").map_err(StartError::Usage)?;
    let metrics = Arc::new(Metrics::new().traced(traces));
    let health = Arc::new(Health::default());
    watch(&health, &backends, nodes.clone());

    let limits = &config.limits;
    let rooms = Arc::new(RoomContext {
        history: History { broker: backends.broker.clone(), store: backends.store.clone() },
        queue: backends.queue.clone(),
        bounds: room::Bounds {
            batch_bytes: 1 << 20,
            batch: 1_024,
            // Several pages fit, so that a reader that keeps up is never too slow.
            page_bytes: (256 << 10).min(limits.outbox_bytes.get() / 8),
            log_max: limits.hot_log_max as u64,
        },
        idle: limits.room_idle.get(),
        metrics: metrics.clone(),
        nodes: nodes.clone(),
        place: room::Place {
            run: run.clone(),
            alone: config.mode == Mode::Standalone,
            grace: config.presence_grace.get(),
            clock: (Instant::now(), now_ms()),
        },
    });
    let hub = Hub::new(
        rooms,
        limits.room_pending_bytes.get(),
        limits.node_pending_bytes.get(),
        actix_rt::Arbiter::current(),
    );
    let topics = Arc::new(Topics::default());
    let registry = Arc::new(Registry::default());
    let revoked = Arc::new(Revoked::default());
    let inboxes = Inboxes::new(
        backends.broker.clone(),
        backends.inbox.clone(),
        change_json,
        limits.outbox_bytes.get(),
    );
    relay.connect(&hub, topics.clone(), registry.clone(), revoked.clone(), &inboxes);
    let telling = Telling { rooms: backends.rooms.clone(), broker: backends.broker.clone() };
    let people =
        people::people(&config, &backends, &telling, revoked.clone(), registry.clone()).await?;
    let reaper = Reaper::start(metrics.clone())
        .map_err(|error| StartError::Internal(format!("a thread cannot be started: {error}")))?;
    let secrets = [&backends.secret].into_iter().chain(config.jwt_secret_previous.as_ref());
    let verifier = verifier(&config, secrets)?.with_revoked(revoked);
    let cursors = Arc::new(Cursors::new(
        backends.broker.clone(),
        backends.cursors.clone(),
        backends.store.clone(),
    ));
    let seen = Arc::new(LastSeen::new(backends.last_seen.clone()));
    let sessions = Arc::new(SessionContext {
        node: node.clone(),
        run,
        hub: hub.clone(),
        topics,
        registry: registry.clone(),
        inboxes: inboxes.clone(),
        broker: backends.broker.clone(),
        cursors: cursors.clone(),
        destinations: Destinations::new(
            config.open_topics.unwrap_or(backends.open_topics),
            config.templates.clone(),
        ),
        anonymous: config.anonymous,
        presence: backends.presence.clone(),
        seen: seen.clone(),
        devices: backends.devices.clone(),
        verifier,
        logins: people.logins.clone(),
        limits: limits.into(),
        outbox: outbox::Bounds {
            bytes: limits.outbox_bytes.get(),
            age: limits.outbox_age.get(),
            connect: limits.connect_timeout.get(),
        },
        reaper,
        metrics: metrics.clone(),
        close_on_exp: config.auth.close_on_exp.then(|| config.auth.skew.get()),
        sessions: AtomicU64::new(1),
    });
    let purge = Arc::new(Notify::new());
    let chores = match config.mode {
        Mode::Standalone => {
            let tidy = Purge {
                rooms: backends.rooms.clone(),
                store: backends.store.clone(),
                devices: backends.devices.clone(),
                inbox: backends.inbox.clone(),
                pushes: backends.pushes.clone(),
                retention: config.retention.map(|span| span.get()),
            };
            let telling = telling.clone();
            vec![
                actix_rt::spawn(tidy.keep_tidy(purge.clone())),
                actix_rt::spawn(telling.keep_telling()),
            ]
        }
        // A worker does it.
        Mode::Cluster => Vec::new(),
    };
    let api = web::Data::new(Api {
        rooms: backends.rooms.clone(),
        inbox: backends.inbox.clone(),
        devices: backends.devices.clone(),
        pushes: backends.pushes.clone(),
        telling,
        logins: people.logins,
        registration: people.registration,
        ends: people.ends.clone(),
        admin_token: people.admin_token,
        store: backends.store.clone(),
        history: History { broker: backends.broker.clone(), store: backends.store.clone() },
        broker: backends.broker.clone(),
        hub: hub.clone(),
        sessions: sessions.clone(),
        limits: limits.clone(),
        rates: Rates::new(limits.send_rate, limits.send_burst, Instant::now()),
        purge,
    });
    if config.jwks.is_some() {
        watch_keys(&health, sessions.clone());
    }
    let routes = web::Data::new(Routes {
        sessions: sessions.clone(),
        origins: config.origins.clone(),
        connections_max: limits.connections_max,
        health: health.clone(),
        metrics: metrics.clone(),
        queue: backends.queue.clone(),
        store: backends.store.clone(),
    });
    let notifying = backends.notify.map(notify::Notify::start);
    let lease = actix_rt::spawn({
        let (nodes, hub, broker) = (nodes.clone(), hub.clone(), backends.broker.clone());
        async move {
            keep_running("keep the lease", || nodes.clone().keep_up(hub.clone(), broker.clone()))
                .await;
        }
    });
    let spread = drain_spread(&config);
    let hearing = actix_rt::spawn({
        let sessions = sessions.clone();
        async move {
            keep_running("move when deaf", || drain::keep_hearing(sessions.clone(), spread)).await;
        }
    });
    let revocations = actix_rt::spawn(people.ends.keep_up());
    let keeping = actix_rt::spawn({
        let cursors = cursors.clone();
        async move { keep_running("keep cursors", || cursors.clone().keep_up()).await }
    });
    let keeping_seen = actix_rt::spawn({
        let seen = seen.clone();
        async move { keep_running("keep last seen", || seen.clone().keep_up()).await }
    });
    let listening = actix_rt::spawn({
        let inboxes = inboxes.clone();
        async move {
            keep_running("listen for inboxes", || inboxes.clone().keep_listening()).await;
        }
    });
    let telling_inboxes = actix_rt::spawn(async move {
        keep_running("tell inboxes", || inboxes.clone().keep_telling()).await;
    });

    let tls = listen::tls(&config)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (servers, address) = listen::listen(&config, &routes, api, tls)?;
    let handles: Vec<_> = servers.iter().map(actix_server::Server::handle).collect();
    for server in servers {
        actix_rt::spawn(server);
    }
    tracing::info!(node.id = %node, mode = config.mode.name(),
        "moim {} listens on {scheme}://{address} (WebSocket at /ws)", env!("CARGO_PKG_VERSION"));

    stop.told().await;
    let until = Instant::now() + config.drain_bound.get();
    tracing::info!(connections = metrics.connections.get(), "stopping");
    health.drain();
    hearing.abort();
    nodes.leave().await;
    let closed = Instant::now() + closing_bound(&config);
    drain::send_away(&sessions.reaper, spread, closed).await;
    let end = async {
        let quiet = || {
            let here = metrics.connections.get() + metrics.requests.get();
            here == 0 && hub.pending_bytes() == 0
        };
        // A request whose body never comes must not take the time of what follows.
        let left = until.saturating_duration_since(Instant::now());
        wait_until(drain::PATIENCE.min(left / 2), quiet).await;
        lease.abort();
        keeping.abort();
        listening.abort();
        telling_inboxes.abort();
        cursors.keep_last(Duration::from_secs(2)).await;
        keeping_seen.abort();
        // Those who did not go in time are gone with this process.
        let users = registry.users();
        users.iter().filter(|user| !user.is_anonymous()).for_each(|user| seen.note(user));
        seen.keep_last(Duration::from_secs(2)).await;
        revocations.abort();
        for chore in chores {
            chore.abort();
        }
        if let Some(notifying) = notifying {
            notifying.end(Duration::from_secs(10)).await;
        }
        hub.close();
        backends.queue.close();
        backends.queue_ended.await;
        for job in backends.jobs {
            if !job.ended(Duration::from_secs(10)).await {
                tracing::error!("a job did not end in time; what it held was not acknowledged");
            }
        }
        for handle in handles {
            handle.stop(false).await;
        }
        match tokio::time::timeout(Duration::from_secs(5), backends.store.tidy()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database was not tidied up; nothing is lost");
            }
            Err(_) => tracing::warn!("the database was not tidied up in time; nothing is lost"),
        }
    };
    if tokio::time::timeout_at(until.into(), end).await.is_err() {
        tracing::error!("not everything ended within drain_bound; nothing acknowledged is lost");
    }
    metrics.traces.end(until);
    tracing::info!("stopped");
    Ok(())
}

/// What closing sessions may take of `drain_bound`; what comes after it has the rest.
fn closing_bound(config: &Config) -> Duration {
    config.drain_bound.get() * 2 / 3
}

/// Over how long sessions are sent away. Alone, there is no other node for them.
fn drain_spread(config: &Config) -> Duration {
    let spread = match (config.drain_spread, config.mode) {
        (Some(span), _) => span.get(),
        (None, Mode::Cluster) => Duration::from_secs(20),
        (None, Mode::Standalone) => Duration::ZERO,
    };
    let most = closing_bound(config).saturating_sub(drain::PATIENCE);
    if spread > most {
        tracing::warn!(?spread, ?most, "`drain_bound` leaves less than `drain_spread`: raise it");
    }
    spread.min(most)
}

/// What `/readyz` looks at.
fn watch(health: &Health, backends: &Backends, nodes: Arc<Nodes>) {
    let store = backends.store.clone();
    health.watch(
        "store",
        Box::new(move || {
            let store = store.clone();
            Box::pin(async move { Ok(store.ping().await?) })
        }),
    );
    let broker = backends.broker.clone();
    health.watch(
        "broker",
        Box::new(move || {
            let heard = broker.hearing().map_err(|unheard| match unheard {
                Unheard::Deaf if nodes.is_deaf_alone() => Trouble::Unfit(unheard.to_string()),
                Unheard::Away(_) | Unheard::Deaf => Trouble::from(unheard),
            });
            Box::pin(std::future::ready(heard))
        }),
    );
    let queue = backends.queue.clone();
    health.watch(
        "queue",
        Box::new(move || {
            let state = queue.trouble().map_or(Ok(()), |why| Err(why.into()));
            Box::pin(std::future::ready(state))
        }),
    );
    for job in &backends.jobs {
        let trouble = job.trouble();
        health.watch(
            "jobs",
            Box::new(move || {
                let trouble = trouble.borrow().clone();
                Box::pin(std::future::ready(trouble.map_or(Ok(()), |why| Err(why.into()))))
            }),
        );
    }
}

/// Takes what our secrets signed, and the keys of others.
fn verifier<'a>(
    config: &Config,
    secrets: impl IntoIterator<Item = &'a Secret>,
) -> Result<Verifier, StartError> {
    let verifier = Verifier::new(secrets, &config.auth);
    let Some(jwks) = &config.jwks else { return Ok(verifier) };
    let keys = KeySource::start(jwks, config.auth.jwks_refresh.get());
    keys.map(|keys| verifier.with_keys(keys)).map_err(StartError::Usage)
}

fn watch_keys(health: &Health, sessions: Arc<SessionContext>) {
    health.watch(
        "jwks",
        Box::new(move || {
            // What exactly is in the log: strangers ask here, and it may name hosts inside.
            let trouble = sessions.verifier.keys_trouble();
            let state = trouble.map_or(Ok(()), |_| Err("away".into()));
            Box::pin(std::future::ready(state))
        }),
    );
}

/// How long entries of this node stay when it is gone.
pub(crate) const PRESENCE_LEASE: Duration = Duration::from_secs(10);

async fn wait_until(bound: Duration, done: impl Fn() -> bool) {
    let end = Instant::now() + bound;
    while !done() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
