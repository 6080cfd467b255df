//! What is done to the services behind a cluster.

use std::process::Command;

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

    pub async fn pause(&self, name: &str) {
        self.ctl("pause", name).await;
    }

    pub async fn resume(&self, name: &str) {
        self.ctl("resume", name).await;
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
