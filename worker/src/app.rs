//! The composition root of a worker.

use std::sync::Arc;
use std::time::Instant;

use moim_shared::broker::redis::RedisBroker;
use moim_shared::cluster;
use moim_shared::config::{Config, Mode};
use moim_shared::health::{Health, Trouble};
use moim_shared::process::{StartError, Stop};
use moim_shared::queue::Queue;
use moim_shared::queue::amqp::AmqpQueue;
use moim_shared::redis::Links;
use moim_shared::store::Store;
use moim_shared::store::postgres::PostgresStore;
use moim_shared::store::pushes::Pushes;
use moim_shared::task::keep_running;
use moim_shared::trace::Traces;
use tokio::time::timeout_at;

use crate::chores::Chores;
use crate::http::{self, Asked};
use crate::jobs::PersistMessages;
use crate::metrics::Metrics;
use crate::notify::Notify;
use crate::purge::Purge;
use crate::push::Push;
use crate::push::fcm::{self, FcmPush};
use crate::runner::{self, Running};
use crate::telling::Telling;

/// Works until it is told to stop (SIGTERM, SIGINT).
pub async fn serve(config: Config) -> Result<(), StartError> {
    let stop = Stop::listen()?;
    in_cluster(&config)?;
    let push = push(&config)?;
    let services = cluster::connect(&config).await?;
    let (links, store, queue) = (services.links, services.store, services.queue);
    if push.is_some() {
        // Before anything is stored.
        store.tell_devices(config.push_grace.get());
    }
    let broker = Arc::new(RedisBroker::deaf(links.clone(), store.clone(), services.broker));
    let traces = Traces::start(&config, "moim-worker").map_err(StartError::Usage)?;
    let metrics = Arc::new(Metrics::default().traced(traces));
    let job = PersistMessages::new(store.clone(), broker.clone(), queue.clone());
    let options = runner::Options {
        lanes: config.worker.lanes,
        batch: config.worker.batch,
        ..runner::Options::default()
    };
    let job = Arc::new(job.counted_by(metrics.clone()));
    let persist = runner::start(job, queue.clone(), options);
    let chores = Arc::new(Chores {
        broker: broker.clone(),
        queue: queue.clone(),
        store: store.clone(),
        purge: Purge {
            rooms: store.clone(),
            store: store.clone(),
            devices: store.clone(),
            inbox: store.clone(),
            pushes: store.clone(),
            retention: config.retention.map(|span| span.get()),
        },
        settings: config.worker.clone(),
        metrics: metrics.clone(),
    });
    let health = Arc::new(Health::default());
    watch(&health, links, &store, &queue, &persist);
    let asked = Asked {
        health: health.clone(),
        metrics: metrics.clone(),
        queue: queue.clone(),
        store: store.clone(),
    };
    let (http, address) = http::serve(config.worker_listen, asked)?;
    let sweeping = actix_rt::spawn({
        let chores = chores.clone();
        async move { keep_running("sweep", || chores.keep_sweeping()).await }
    });
    let tidying = actix_rt::spawn(async move { keep_running("tidy", || chores.keep_tidy()).await });
    let telling = Telling { rooms: store.clone(), broker: broker.clone() };
    let telling = actix_rt::spawn(async move {
        keep_running("tell of members", move || telling.clone().keep_telling()).await;
    });
    let notifying = push.map(|push| {
        let (pushes, devices) = (store.clone(), store.clone());
        Notify { pushes, devices, push, metrics: metrics.clone() }.start()
    });
    tracing::info!(
        "moim worker {} works, and answers on http://{address}",
        env!("CARGO_PKG_VERSION")
    );

    stop.told().await;
    tracing::info!("stopping");
    health.drain();
    sweeping.abort();
    tidying.abort();
    telling.abort();
    let bound = config.drain_bound.get();
    let until = Instant::now() + bound;
    // Noting what is given back comes after it.
    let last = bound.mul_f64(0.6);
    let persisted = async {
        queue.close();
        if !persist.ended(last).await {
            tracing::warn!("a batch did not end in time; another worker takes it");
        }
    };
    let told = async {
        if let Some(notifying) = notifying {
            notifying.end(last).await;
        }
    };
    let end = async {
        tokio::join!(persisted, told);
        queue.ended().await;
        http.stop(false).await;
    };
    if timeout_at(until.into(), end).await.is_err() {
        tracing::error!("not everything ended within drain_bound; others take what is left");
    }
    metrics.traces.end(until);
    tracing::info!("stopped");
    Ok(())
}

/// A worker is a part of one.
pub(crate) fn in_cluster(config: &Config) -> Result<(), StartError> {
    if config.mode == Mode::Cluster {
        return Ok(());
    }
    Err(StartError::Usage(
        "a worker belongs to a cluster: set MOIM_MODE=cluster; standalone has its own".into(),
    ))
}

/// What wakes devices, if that is configured.
pub fn push(config: &Config) -> Result<Option<Arc<dyn Push>>, StartError> {
    let push = open_fcm(config)?;
    Ok(push.map(|push| -> Arc<dyn Push> { Arc::new(push) }))
}

/// FCM, if it is configured. Nobody is called yet.
pub(crate) fn open_fcm(config: &Config) -> Result<Option<FcmPush>, StartError> {
    let Some(credentials) = &config.fcm_credentials else { return Ok(None) };
    FcmPush::open(credentials, &config.fcm_endpoint, fcm::Options::default())
        .map(Some)
        .map_err(|error| StartError::Usage(format!("`fcm_credentials`: {error}")))
}

/// What `/readyz` looks at.
fn watch(
    health: &Health,
    links: Arc<Links>,
    store: &Arc<PostgresStore>,
    queue: &Arc<AmqpQueue>,
    persist: &Running,
) {
    health.watch(
        "broker",
        Box::new(move || {
            let links = links.clone();
            Box::pin(async move { Ok(links.ping().await?) })
        }),
    );
    let store = store.clone();
    health.watch(
        "store",
        Box::new(move || {
            let store = store.clone();
            Box::pin(async move { Ok(store.ping().await?) })
        }),
    );
    let queue = queue.clone();
    health.watch(
        "queue",
        Box::new(move || {
            let state = queue.trouble().map_or(Ok(()), |why| Err(why.into()));
            Box::pin(std::future::ready(state))
        }),
    );
    let trouble = persist.trouble();
    health.watch(
        "jobs",
        Box::new(move || {
            let trouble = trouble.borrow().clone();
            let state = trouble.map_or(Ok(()), |why| Err(Trouble::Away(why)));
            Box::pin(std::future::ready(state))
        }),
    );
}
