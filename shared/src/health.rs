//! Whether a process can serve, and the state of what it depends on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::BoxFuture;

/// How long a probe may take: those who ask wait for a second, and would take a process for dead
/// whose database is slow.
const PATIENCE: Duration = Duration::from_millis(400);

/// How long a report is good. A flood of questions does not become one of the database.
const FRESH: Duration = Duration::from_millis(250);

/// What a probe found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is away. The process stays ready: every other one would go at the same time, and the
    /// links with them.
    Away(String),
    /// This process alone cannot serve.
    Unfit(String),
}

impl<T: ToString> From<T> for Trouble {
    fn from(why: T) -> Self {
        Self::Away(why.to_string())
    }
}

/// Looks at one dependency; an error says what is wrong.
pub type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), Trouble>> + Send + Sync>;

/// See the module.
#[derive(Default)]
pub struct Health {
    draining: AtomicBool,
    probes: Mutex<Vec<(&'static str, Arc<Probe>)>>,
    /// The last report, and when it was made: whoever asks often does not ask the dependencies so.
    last: tokio::sync::Mutex<Option<(Instant, Report)>>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ok`, `degraded` (something is away), `unfit` or `draining`.
    pub status: &'static str,
    /// `ok`, or what is wrong, for each dependency.
    pub dependencies: BTreeMap<&'static str, String>,
}

impl Report {
    /// Whether new clients may come here.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ok" | "degraded")
    }
}

impl Health {
    /// Adds a dependency.
    pub fn watch(&self, name: &'static str, probe: Probe) {
        self.probes.lock().push((name, Arc::new(probe)));
    }

    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How it is with all of it.
    pub async fn report(&self) -> Report {
        let mut last = self.last.lock().await;
        let fresh = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH);
        let mut report = match fresh {
            Some((_, report)) => report.clone(),
            None => {
                let report = self.look().await;
                *last = Some((Instant::now(), report.clone()));
                report
            }
        };
        drop(last);
        if self.is_draining() {
            report.status = "draining";
        }
        report
    }

    /// Asks all dependencies at once.
    async fn look(&self) -> Report {
        let probes = self.probes.lock().clone();
        let asked = probes.into_iter().map(|(name, probe)| async move {
            let late = |_| Err(format!("no answer within {} ms", PATIENCE.as_millis()).into());
            (name, tokio::time::timeout(PATIENCE, probe()).await.unwrap_or_else(late))
        });
        let mut status = "ok";
        let mut dependencies = BTreeMap::new();
        for (name, state) in futures_util::future::join_all(asked).await {
            let state = match state {
                Ok(()) => "ok".to_owned(),
                Err(Trouble::Away(why)) => {
                    status = if status == "ok" { "degraded" } else { status };
                    why
                }
                Err(Trouble::Unfit(why)) => {
                    status = "unfit";
                    why
                }
            };
            dependencies.insert(name, state);
        }
        Report { status, dependencies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(state: Result<(), Trouble>) -> Probe {
        Box::new(move || Box::pin(std::future::ready(state.clone())))
    }

    #[tokio::test]
    async fn what_is_away_leaves_a_process_ready_and_what_it_alone_lacks_does_not() {
        let health = Health::default();
        assert_eq!(health.look().await.status, "ok");
        health.watch("store", probe(Err("gone".into())));
        let report = health.look().await;
        assert_eq!((report.status, report.is_ready()), ("degraded", true));
        assert_eq!(report.dependencies["store"], "gone");
        health.watch("bus", probe(Err(Trouble::Unfit("deaf".into()))));
        let report = health.look().await;
        assert_eq!((report.status, report.is_ready()), ("unfit", false));
        health.drain();
        assert_eq!(health.report().await.status, "draining");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_away() {
        let health = Health::default();
        health.watch("store", Box::new(|| Box::pin(std::future::pending())));
        let report = health.look().await;
        assert_eq!(report.dependencies["store"], "no answer within 400 ms");
    }

    #[tokio::test]
    async fn who_asks_often_asks_the_dependencies_once() {
        let health = Health::default();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        let probe = move || -> BoxFuture<'static, Result<(), Trouble>> {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(())
            })
        };
        health.watch("store", Box::new(probe));
        let reports = futures_util::future::join_all((0..100).map(|_| health.report())).await;
        assert!(reports.iter().all(|report| report.status == "ok"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        health.drain();
        assert_eq!(health.report().await.status, "draining");
    }
}
