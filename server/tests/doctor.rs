//! `moim-server doctor` and `moim-worker doctor` against real services: each fault is named, with the
//! exit code that it has.
//!
//! The services are those of `MOIM_TEST_REDIS_URL`, `MOIM_TEST_AMQP_URL` and
//! `MOIM_TEST_DATABASE_URL`; the tests change settings of theirs, so they go one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../worker/tests/support/fcm_double.rs"]
mod fcm_double;
#[path = "doctor/old_redis.rs"]
mod old_redis;
#[path = "../../shared/tests/support/postgres.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod postgres;
#[path = "cluster/rig.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod rig;
#[path = "cluster/services.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod services;
mod support;

use std::process::Output;
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

use fcm_double::FcmDouble;
use old_redis::{OldRedis, faketime};
use rig::{Cluster, worker_binary};
use services::{Topology, redis, service};
use support::{Port, Program, SECRET, Server};

/// Waits until something is so that nobody tells of.
async fn until(what: &str, within: Duration, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    while !so().await {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a doctor said.
struct Said {
    code: i32,
    text: String,
}

impl Said {
    fn of(output: &Output, settings: &[(&str, &str)]) -> Self {
        let (out, err) = (&output.stdout, &output.stderr);
        let [text, errors] = [out, err].map(|it| String::from_utf8_lossy(it).into_owned());
        assert_eq!(errors, "", "{text}");
        for secret in settings.iter().filter_map(|(_, value)| password(value)).chain([SECRET]) {
            assert!(!text.contains(secret), "`{secret}` is in: {text}");
        }
        print!("{text}");
        Self { code: output.status.code().unwrap(), text }
    }

    /// Exits so, and says so on the line of that check.
    #[track_caller]
    fn is(&self, code: i32, level: &str, check: &str, says: &str) -> &Self {
        let line = format!("{level:<5}  {check:<8}  ");
        let found = self.text.lines().any(|it| it.starts_with(&line) && it.contains(says));
        assert!(found, "no `{line}… {says}` in:\n{}", self.text);
        assert_eq!(self.code, code, "{}", self.text);
        self
    }

    /// The others are well.
    #[track_caller]
    fn with_well(&self, checks: &[&str]) -> &Self {
        for check in checks {
            let line = format!("ok     {check:<8}  ");
            assert!(self.text.lines().any(|it| it.starts_with(&line)), "{check}:\n{}", self.text);
        }
        self
    }
}

/// What stands between a URL's user and its host.
fn password(url: &str) -> Option<&str> {
    let (login, _) = url.split_once("://")?.1.rsplit_once('@')?;
    login.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty())
}

fn with_password(url: &str, other: &str) -> String {
    url.replace(&format!(":{}@", password(url).unwrap()), &format!(":{other}@"))
}

/// The settings of a cluster, with some changed.
fn settings<'a>(cluster: &'a Cluster, changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let given = |name: &str| changed.iter().any(|(other, _)| *other == name);
    let own = cluster.settings.iter().filter(|(name, _)| !given(name));
    own.map(|(name, value)| (&**name, &**value)).chain(changed.iter().copied()).collect()
}

/// What the server's says.
fn doctor(cluster: &Cluster, changed: &[(&str, &str)]) -> Said {
    doctor_of(&Program::server(), cluster, changed)
}

fn doctor_of(program: &Program, cluster: &Cluster, changed: &[(&str, &str)]) -> Said {
    let settings = settings(cluster, changed);
    Said::of(&program.command(&["doctor"], &settings), &settings)
}

async fn migrated() -> Cluster {
    let cluster = Cluster::unstarted(&[]).await;
    cluster.migrate();
    cluster
}

const SERVICES: [&str; 3] = ["redis", "rabbitmq", "postgres"];

#[tokio::test]
async fn all_is_well_before_and_after_a_cluster_starts() {
    let mut cluster = migrated().await;
    let fresh = doctor(&cluster, &[]);
    fresh.is(0, "ok", "rabbitmq", "its queues are made at a start").with_well(&SERVICES);
    fresh.is(0, "ok", "redis", "AOF on").is(0, "ok", "postgres", "migrated");
    let left: Vec<String> = redis(&["KEYS", "*doctor*"]).await;
    assert_eq!(left, [""; 0], "nothing stays behind");

    cluster.add_server().await;
    cluster.add_worker().await;
    let taken = cluster.server(0).address.to_string();
    let said = doctor(&cluster, &[("MOIM_LISTEN", &taken)]);
    said.is(0, "WARN", "listen", "in use").with_well(&SERVICES);
    said.is(0, "ok", "rabbitmq", "its queues are there");
    let worker = Program::worker(worker_binary().await);
    let said = doctor_of(&worker, &cluster, &[]);
    said.is(0, "ok", "fcm", "off").with_well(&SERVICES);
    cluster.end().await;
}

#[tokio::test]
async fn a_redis_cluster_and_sentinels_are_looked_at() {
    let cluster = migrated().await;
    for topology in ["redis-cluster", "redis-sentinel"] {
        let redis = Topology::start(topology).await;
        let said = doctor(&cluster, &[("MOIM_REDIS_URL", &redis.url)]);
        said.is(0, "ok", "redis", "AOF").with_well(&SERVICES);
        let wrong = with_password(&redis.url, "geheim");
        let said = doctor(&cluster, &[("MOIM_REDIS_URL", &wrong)]);
        said.is(2, "WRONG", "redis", "MOIM_REDIS_URL");
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_with_its_variable_and_the_rest_is_looked_at() {
    let cluster = migrated().await;
    let keys = ["MOIM_REDIS_URL", "MOIM_AMQP_URL", "MOIM_DATABASE_URL"];
    for (key, service) in keys.into_iter().zip(SERVICES) {
        let (_, url) = cluster.settings.iter().find(|(name, _)| name == key).unwrap();
        let wrong = with_password(url, "geheim");
        let others: Vec<_> = SERVICES.into_iter().filter(|other| *other != service).collect();
        let said = doctor(&cluster, &[(key, &wrong)]);
        said.is(2, "WRONG", service, key).with_well(&others);
    }
    // As for a server that starts.
    let (_, url) = cluster.settings.iter().find(|(name, _)| name == keys[2]).unwrap();
    let wrong = with_password(url, "geheim");
    let output = Server::command(&[], &settings(&cluster, &[(keys[2], &wrong)]));
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_virtual_host_and_a_database_that_are_not_there_are_named() {
    let cluster = migrated().await;
    let amqp = format!("{}nowhere", service("MOIM_TEST_AMQP_URL").trim_end_matches("%2f"));
    doctor(&cluster, &[("MOIM_AMQP_URL", &amqp)]).is(2, "WRONG", "rabbitmq", "nowhere");
    let database = format!("{}_not", cluster.database.url());
    let said = doctor(&cluster, &[("MOIM_DATABASE_URL", &database)]);
    said.is(2, "WRONG", "postgres", "create the database");
}

#[tokio::test]
async fn missing_migrations_are_exit_4_and_a_newer_one_too() {
    let cluster = Cluster::unstarted(&[]).await;
    let said = doctor(&cluster, &[]);
    said.is(4, "WRONG", "postgres", "run `moim-server migrate`").with_well(&["redis", "rabbitmq"]);
    cluster.migrate();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    cluster.database.client().await.batch_execute(newer).await.unwrap();
    doctor(&cluster, &[]).is(4, "WRONG", "postgres", "20990101000000");
}

#[tokio::test]
async fn a_redis_that_is_too_old_is_named() {
    let cluster = migrated().await;
    let old = OldRedis::start().await;
    let said = doctor(&cluster, &[("MOIM_REDIS_URL", &old.url())]);
    said.is(2, "WRONG", "redis", "is Redis 6.2.14, too old").with_well(&["rabbitmq", "postgres"]);
}

#[tokio::test]
async fn services_that_are_away_are_exit_3() {
    let cluster = migrated().await;
    let nobody = Port::reserve();
    let amqp = format!("amqp://ann:geheim@{}/%2f", nobody.address());
    let said = doctor(&cluster, &[("MOIM_AMQP_URL", &amqp)]);
    said.is(3, "WRONG", "rabbitmq", "check that it runs").with_well(&["redis", "postgres"]);
    let redis = format!("redis://:geheim@{}", nobody.address());
    let database = format!("postgres://ann:geheim@{}/moim", nobody.address());
    let said = doctor(&cluster, &[("MOIM_REDIS_URL", &redis), ("MOIM_DATABASE_URL", &database)]);
    said.is(3, "WRONG", "redis", "check that it runs");
    said.is(3, "WRONG", "postgres", "check that it runs").with_well(&["rabbitmq"]);
}

#[tokio::test]
async fn a_clock_that_is_five_minutes_off_is_wrong() {
    let cluster = migrated().await;
    let program = Program::server().by(faketime());
    let said = doctor_of(&program, &cluster, &[]);
    for service in ["Redis", "Postgres"] {
        let clock = format!(" s ahead of that of {service}");
        said.is(2, "WRONG", &service.to_lowercase(), &clock);
        let seconds = said.text.split(&clock).next().unwrap().rsplit(' ').next().unwrap();
        // Whoever answers late seems to be less behind.
        assert!((290..=300).contains(&seconds.parse::<u32>().unwrap()), "{}", said.text);
    }
    said.with_well(&["rabbitmq"]);
}

#[tokio::test]
async fn queues_of_another_kind_are_wrong_and_of_another_size_a_warning() {
    let mut cluster = migrated().await;
    let name = cluster.settings.iter().find(|(name, _)| name == "MOIM_CLUSTER").unwrap().1.clone();
    let url = service("MOIM_TEST_AMQP_URL");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = format!("{name}.messages");
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let said = doctor(&cluster, &[]);
    said.is(5, "WRONG", "rabbitmq", &format!("queue {queue} is none")).with_well(&["redis"]);
    channel.queue_delete(queue.as_str().into(), Default::default()).await.unwrap();
    cluster.add_server().await;
    cluster.is_ready_and(0, "ok", Duration::from_secs(20)).await;
    let said = doctor(&cluster, &[("MOIM_LIMITS__QUEUE_MAX_BYTES", "100MiB")]);
    said.is(0, "WARN", "rabbitmq", "limits.queue_max_bytes is 104857600").with_well(&SERVICES);
}

#[tokio::test]
async fn what_redis_does_not_allow_and_what_it_throws_away_is_named() {
    let cluster = migrated().await;
    let url = service("MOIM_TEST_REDIS_URL");
    let name = url.rsplit_once('@').unwrap().1;
    let user = format!("redis://doctor:geheim@{name}");
    let grants = ["ACL", "SETUSER", "doctor", "reset", "on", ">geheim", "~*", "+@all"];
    let _: () = redis(&[&grants[..], &["&*", "-xadd"]].concat()).await;
    let said = doctor(&cluster, &[("MOIM_REDIS_URL", &user)]);
    said.is(2, "WRONG", "redis", "refuses XADD");
    let _: () = redis(&[&grants[..], &["-xadd", "+xadd"]].concat()).await;
    let said = doctor(&cluster, &[("MOIM_REDIS_URL", &user)]);
    said.is(2, "WRONG", "redis", "hear what is published").is(2, "WRONG", "redis", "PUBLISH");
    // What is advised is enough.
    let advised = said.text.split_once("ACL SETUSER … ").unwrap().1.lines().next().unwrap();
    let fresh = ["ACL", "SETUSER", "doctor", "reset", "on", ">geheim"];
    let all: Vec<&str> = fresh.into_iter().chain(advised.split(' ')).collect();
    let _: () = redis(&all).await;
    doctor(&cluster, &[("MOIM_REDIS_URL", &user)]).is(0, "ok", "redis", "AOF");
    let _: () = redis(&[&all[..], &["-evalsha"]].concat()).await;
    let said = doctor(&cluster, &[("MOIM_REDIS_URL", &user)]);
    said.is(2, "WRONG", "redis", "evalsha");
    let _: u32 = redis(&["ACL", "DELUSER", "doctor"]).await;

    let _: () = redis(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let said = doctor(&cluster, &[]);
    let _: () = redis(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    said.is(0, "WARN", "redis", "allkeys-lru").with_well(&SERVICES);
}

#[tokio::test]
async fn a_database_that_loses_what_it_said_or_lets_nobody_write_is_named() {
    let cluster = migrated().await;
    let client = cluster.database.client().await;
    let name: String = client.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
    let off = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    client.batch_execute(&off).await.unwrap();
    let said = doctor(&cluster, &[("MOIM_DATABASE_CONNECTIONS", "500")]);
    said.is(0, "WARN", "postgres", "synchronous_commit").with_well(&SERVICES);
    said.is(0, "WARN", "postgres", "MOIM_DATABASE_CONNECTIONS");
    client.batch_execute("REVOKE INSERT ON messages, rooms FROM CURRENT_USER").await.unwrap();
    doctor(&cluster, &[]).is(5, "WRONG", "postgres", "read and write messages, rooms");
}

#[tokio::test]
async fn a_worker_wants_a_cluster_and_a_key_that_is_one() {
    let cluster = migrated().await;
    let worker = Program::worker(worker_binary().await);
    let (double, folder) = (FcmDouble::start(), tempfile::tempdir().unwrap());
    let credentials = double.put_credentials(folder.path());
    let fcm = [
        ("MOIM_FCM_CREDENTIALS", credentials.to_str().unwrap()),
        ("MOIM_FCM_ENDPOINT", &*double.endpoint()),
    ];
    let said = doctor_of(&worker, &cluster, &fcm);
    said.is(0, "ok", "fcm", "project moim-test").with_well(&SERVICES);
    double.grant(fcm_double::Grants::Refused(400, r#"{"error":"invalid_grant"}"#.into()));
    doctor_of(&worker, &cluster, &fcm).is(2, "WRONG", "fcm", "MOIM_FCM_CREDENTIALS");
    std::fs::write(&credentials, "{\"type\":\"service_account\"").unwrap();
    let said = doctor_of(&worker, &cluster, &fcm);
    said.is(2, "WRONG", "fcm", "fcm.json").with_well(&SERVICES);
    let output = worker.command(&["doctor"], &[]);
    Said::of(&output, &[]).is(2, "WRONG", "config", "MOIM_MODE=cluster");
}

#[test]
fn standalone_is_well_or_says_what_is_wrong_with_its_directory() {
    let doctor =
        |changed: &[(&str, &str)]| Said::of(&Server::command(&["doctor"], changed), changed);
    let well = doctor(&[]);
    well.is(0, "ok", "data", "can be written to").with_well(&["config", "listen"]);
    // As root everything is writable, but nothing is in a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = doctor(&[("MOIM_DATA_DIR", file.path().to_str().unwrap())]);
    said.is(5, "WRONG", "data", "MOIM_DATA_DIR").with_well(&["config", "listen"]);
    let said = doctor(&[("MOIM_TLS_CERT", "/nowhere.pem"), ("MOIM_TLS_KEY", "/nowhere.key")]);
    said.is(2, "WRONG", "tls", "/nowhere.pem").with_well(&["data"]);
    doctor(&[("MOIM_JWKS", "/nowhere.json")]).is(2, "WRONG", "jwks", "/nowhere.json");
    let said = doctor(&[("MOIM_LISTN", "1"), ("MOIM_JWT_SECRET", "short")]);
    said.is(2, "WRONG", "config", "MOIM_LISTEN").is(2, "WRONG", "config", "MOIM_JWT_SECRET");

    let server = Server::start();
    let folder = server.data_dir().to_str().unwrap().to_owned();
    let (listen, limit) = (server.address.to_string(), "MOIM_LIMITS__CONNECTIONS_MAX");
    let busy = [("MOIM_DATA_DIR", &*folder), ("MOIM_LISTEN", &listen), (limit, "1000000")];
    let said = doctor(&busy);
    said.is(0, "ok", "data", "up to date").is(0, "WARN", "listen", "in use");
    said.is(0, "WARN", "files", "ulimit -Hn");
    assert_eq!(server.terminate(), Some(0), "the server did not notice");
}
