//! What processes say when something is missing at their start.

use std::time::Duration;

use crate::rig::{Cluster, worker_binary};
use crate::services::Services;
use crate::support::*;

/// With these settings neither a server nor a worker runs.
async fn fails(cluster: &Cluster, changed: &[(&str, &str)], code: i32, says: &[&str]) {
    let given = |name: &str| changed.iter().any(|(other, _)| *other == name);
    let own = cluster.settings.iter().filter(|(name, _)| !given(name));
    let own = own.map(|(name, value)| (&**name, &**value));
    let settings: Vec<(&str, &str)> = own.chain(changed.iter().copied()).collect();
    for program in [Program::server(), Program::worker(worker_binary().await)] {
        let output = program.command(&[], &settings);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{changed:?}: {text}");
        for said in says {
            assert!(text.contains(said), "`{said}` is not in: {text}");
        }
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[tokio::test]
async fn a_cluster_without_urls_or_a_secret_is_exit_2_with_all_that_is_missing() {
    let cluster = Cluster::unstarted(&[]).await;
    let without = [
        ("MOIM_REDIS_URL", ""),
        ("MOIM_AMQP_URL", ""),
        ("MOIM_DATABASE_URL", ""),
        ("MOIM_JWT_SECRET", ""),
    ];
    fails(&cluster, &without, 2, &["redis_url", "amqp_url", "database_url", "jwt_secret"]).await;
    for (name, key) in [("MOIM_REDIS_URL", "redis_url"), ("MOIM_AMQP_URL", "amqp_url")] {
        fails(&cluster, &[(name, "http://nowhere")], 2, &[key]).await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_exit_3_and_one_without_tables_is_exit_4() {
    let cluster = Cluster::unstarted(&[]).await;
    fails(&cluster, &[], 4, &["migrate"]).await;
    let nobody = Port::reserve();
    let url = format!("postgres://moim:secret-word@{}/moim", nobody.address());
    fails(&cluster, &[("MOIM_DATABASE_URL", &url)], 3, &[&nobody.address().to_string()]).await;
    cluster.migrate();
    // Once more is harmless.
    cluster.migrate();
}

#[tokio::test]
async fn servers_and_workers_start_without_redis_and_rabbitmq_and_work_when_these_come() {
    let mut cluster = Cluster::unstarted(&[]).await;
    cluster.migrate();
    let services = Services::here();
    services.stop("redis").await;
    services.stop("rabbitmq").await;
    cluster.add_server().await;
    cluster.add_worker().await;
    cluster.is_ready_and(0, "degraded", Duration::from_secs(5)).await;
    services.start("redis").await;
    services.start("rabbitmq").await;
    cluster.is_ready_and(0, "ok", Duration::from_secs(60)).await;
    let room = room("late");
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    ann.subscribe_room(&room).await;
    ann.send_room(&room, "at last").await;
    assert_eq!(ann.bodies(1).await, ["at last"]);
    crate::ledger::ends(&cluster.database, &[room], 1, Duration::from_secs(20)).await;
    cluster.end().await;
}

/// Behind what a provider puts in front of them, with an authority of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_speak_tls_are_trusted_by_the_authorities_that_the_system_names() {
    let mut cluster = Cluster::unstarted(&[]).await;
    let (certificate, folder) = (Certificate::new(), tempfile::tempdir().unwrap());
    let [authority, _] = certificate.put(folder.path());
    for (name, scheme, ending) in [
        ("MOIM_REDIS_URL", "rediss", ""),
        ("MOIM_AMQP_URL", "amqps", ""),
        ("MOIM_DATABASE_URL", "postgres", "?sslmode=require"),
    ] {
        let (_, url) = cluster.settings.iter_mut().find(|(known, _)| known == name).unwrap();
        let (_, rest) = url.split_once("://").unwrap();
        let (start, end) = rest.split_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (place, path) = end.split_once('/').unwrap_or((end, ""));
        let front = certificate.in_front_of(place.parse().unwrap()).await;
        *url = format!("{scheme}://{start}@{front}/{path}{ending}");
    }
    fails(&cluster, &[], 2, &["SSL_CERT_FILE"]).await;
    cluster.settings.push(("SSL_CERT_FILE".into(), authority.display().to_string()));
    cluster.migrate();
    cluster.add_server().await;
    cluster.add_worker().await;
    let room = room("sealed");
    let mut mina = Client::connect(cluster.server(0), "mina").await;
    mina.subscribe_room(&room).await;
    mina.send_room(&room, "hello").await;
    assert_eq!(mina.bodies(1).await, ["hello"]);
    crate::ledger::ends(&cluster.database, &[room], 1, Duration::from_secs(20)).await;
    cluster.end().await;
}
