//! Numbers that all processes have: whether what they depend on is there, and how busy their ways to
//! the database are.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::health::Report;
use crate::store::Load;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dependency {
    dependency: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: &'static str,
}

/// See the module. Set when they are read.
#[derive(Debug, Default)]
pub struct Standing {
    draining: Gauge,
    up: Family<Dependency, Gauge>,
    connections: Family<Lane, Gauge>,
    used: Family<Lane, Gauge>,
    waiting: Family<Lane, Gauge>,
    late: Family<Lane, Counter>,
}

impl Standing {
    /// All of them, shown by `registry`.
    pub fn registered(registry: &mut Registry) -> Self {
        let all = Self::default();
        let mut gauge = |name: &str, help: &str, gauge: &Family<Lane, Gauge>| {
            registry.register(name, help, gauge.clone());
        };
        gauge(
            "store_pool_connections",
            "Connections to the database that there may be",
            &all.connections,
        );
        gauge("store_pool_used", "Connections to the database that are in use", &all.used);
        gauge("store_pool_waiting", "Calls that wait for a connection", &all.waiting);
        registry.register(
            "store_pool_timeouts",
            "Calls to the database that got no answer in their caller's time",
            all.late.clone(),
        );
        registry.register(
            "draining",
            "Whether the process is on its way out",
            all.draining.clone(),
        );
        registry.register("dependency_up", "What `/readyz` says of each", all.up.clone());
        all
    }

    /// As it is now.
    pub fn set(&self, report: &Report, loads: &[Load]) {
        self.draining.set(i64::from(report.status == "draining"));
        for (dependency, state) in &report.dependencies {
            self.up.get_or_create(&Dependency { dependency }).set(i64::from(state == "ok"));
        }
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        for load in loads {
            let lane = Lane { lane: load.lane };
            self.connections.get_or_create(&lane).set(number(load.connections));
            self.used.get_or_create(&lane).set(number(load.used));
            self.waiting.get_or_create(&lane).set(number(load.waiting));
            // Of two who look at once none counts what the other does.
            let late = self.late.get_or_create(&lane);
            late.inner().fetch_max(load.late, Ordering::Relaxed);
        }
    }
}
