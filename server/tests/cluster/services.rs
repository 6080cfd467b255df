//! What is done to the services behind a cluster.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{Client, FromRedisValue, cmd};
use tokio::task::spawn_blocking;

/// The script that keeps services for tests.
pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/services");

/// The value of a `MOIM_TEST_*` variable.
#[track_caller]
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests through `deploy/services run`, or set it")
    })
}

/// Services that `deploy/services` keeps, all in one folder.
#[derive(Clone)]
pub struct Services(String);

impl Services {
    /// Those of the environment.
    pub fn here() -> Self {
        Self(service("MOIM_TEST_SERVICES_DIR"))
    }

    /// Those of a folder.
    pub const fn of(folder: String) -> Self {
        Self(folder)
    }

    pub async fn stop(&self, name: &str) {
        self.ctl("stop", name).await;
    }

    pub async fn start(&self, name: &str) {
        self.ctl("start", name).await;
    }

    pub async fn restart(&self, name: &str) {
        self.ctl("restart", name).await;
    }

    pub async fn kill(&self, name: &str) {
        self.ctl("kill", name).await;
    }

    /// It answers nobody and closes nothing.
    pub async fn pause(&self, name: &str) {
        self.ctl("pause", name).await;
    }

    pub async fn resume(&self, name: &str) {
        self.ctl("resume", name).await;
    }

    /// Where one of them is that is a Redis.
    pub fn redis_url(&self, name: &str) -> String {
        let read = |file| std::fs::read_to_string(format!("{}/{name}/{file}", self.0)).unwrap();
        format!("redis://:{}@127.0.0.1:{}", read("secret").trim(), read("port").trim())
    }

    /// Done when this returns.
    async fn ctl(&self, verb: &'static str, name: &str) {
        let (folder, name) = (self.0.clone(), name.to_owned());
        let done = spawn_blocking(move || {
            let mut command = Command::new(SCRIPT);
            command.args(["ctl", verb, &name]).env("MOIM_TEST_SERVICES_DIR", folder);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{verb} {name}: {said}");
        });
        done.await.unwrap();
    }
}

/// One command to the Redis of the environment.
pub async fn redis<T: FromRedisValue>(words: &[&str]) -> T {
    redis_at(&service("MOIM_TEST_REDIS_URL"), words).await
}

/// One command to the Redis at `url`.
pub async fn redis_at<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let mut link = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut link).await.unwrap()
}

/// Services of another topology, for one test. They end with this, and with this process.
pub struct Topology {
    keeper: Child,
    pub services: Services,
    /// Of the Redis.
    pub url: String,
}

impl Topology {
    /// `redis-sentinel` or `redis-cluster`.
    pub async fn start(topology: &'static str) -> Self {
        spawn_blocking(move || Self::begin(topology)).await.unwrap()
    }

    fn begin(topology: &str) -> Self {
        let mut command = Command::new(SCRIPT);
        command.args(["--parent", &std::process::id().to_string(), topology]);
        let mut keeper = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(keeper.stdout.take().unwrap()).lines();
        // It ends with the last one, or when it fails.
        let said: HashMap<String, String> = said
            .filter_map(|line| {
                line.ok()?.split_once('=').map(|(key, value)| (key.into(), value.into()))
            })
            .collect();
        assert_eq!(said.get("MOIM_TEST_READY").map(String::as_str), Some("1"), "{said:?}");
        let at = |name: &str| said[name].clone();
        let services = Services::of(at("MOIM_TEST_SERVICES_DIR"));
        Self { keeper, services, url: at("MOIM_TEST_REDIS_URL") }
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        let id = Pid::from_raw(self.keeper.id().try_into().unwrap());
        // It may be gone already.
        let _ = kill(id, Signal::SIGTERM);
        let _ = self.keeper.wait();
    }
}
