//! The rules, dashboards and runbook of `deploy`, held against what processes say: a real Prometheus
//! scrapes a real cluster and answers every query of a panel and a rule.
//!
//! Each selector has to find something. So what has labels begins at zero, too: of a count that
//! comes into being with its first event `increase` does not see that one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../shared/tests/support/postgres.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod postgres;
#[path = "monitoring/prometheus.rs"]
mod prometheus;
#[path = "cluster/rig.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod rig;
#[path = "cluster/services.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod services;
mod support;

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use prometheus::Prometheus;
use rig::{Cluster, worker_binary};
use serde_json::Value;
use support::{Program, Server};
use tokio::task::spawn_blocking;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const RUNBOOK: &str = include_str!("../../deploy/RUNBOOK.md");

/// Waits until something is so that nobody tells of.
async fn until(what: &str, within: Duration, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    while !so().await {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A query of a panel, and the labels that its legend names.
struct Query {
    place: String,
    text: String,
    labels: Vec<String>,
}

fn panels() -> Vec<Query> {
    let folder = format!("{TOP}/deploy/grafana");
    let files = read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut queries = Vec::new();
    for path in files.filter(|path| path.extension().is_some_and(|kind| kind == "json")) {
        let dashboard: Value = serde_json::from_str(&read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{}: {}", path.display(), panel["title"]);
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = target["expr"].as_str().unwrap();
                for selector in selectors(text) {
                    let scoped = selector.contains(r#"{namespace=~"$namespace""#);
                    assert!(scoped, "{place}: {selector} of every cluster");
                }
                let text = text.replace("$__rate_interval", "1m");
                let text = text.replace("$instance", ".*").replace("$namespace", ".*");
                assert!(!text.contains('$'), "a variable that nobody fills in: {text}");
                let legend = target["legendFormat"].as_str().unwrap();
                let labels = legend.split("{{").skip(1);
                let labels = labels.map(|rest| rest.split("}}").next().unwrap().into()).collect();
                queries.push(Query { place: place.clone(), text, labels });
            }
        }
    }
    assert!(queries.len() > 60, "{}", queries.len());
    queries
}

/// What a query asks for by name, with its labels.
fn selectors(query: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(start) = query[at..].find(is_name).map(|start| at + start) {
        let rest = &query[start..];
        let name = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let labels = match rest[name..].strip_prefix('{') {
            Some(labels) => labels.find('}').unwrap() + 2,
            None => 0,
        };
        at = start + name + labels;
        if rest.starts_with("moim") || (labels > 0 && rest.starts_with("up{")) {
            found.insert(&query[start..at]);
        }
    }
    found
}

/// A metric by the name that it is registered with, whichever part of a histogram it is.
fn metric(selector: &str) -> &str {
    let name = selector.split('{').next().unwrap();
    let of_histogram =
        ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    of_histogram.unwrap_or(name)
}

#[test]
fn selectors_are_found_with_their_labels() {
    let query =
        r#"sum by (le) (rate(moim_a_bucket{x="1", y=~"a|b"}[1m])) > moim:b:p99 or up{job="c"}"#;
    let found: Vec<_> = selectors(query).into_iter().collect();
    assert_eq!(found, [r#"moim:b:p99"#, r#"moim_a_bucket{x="1", y=~"a|b"}"#, r#"up{job="c"}"#]);
    assert_eq!(metric(found[1]), "moim_a");
}

#[test]
fn rules_fire_for_what_they_are_made_for() {
    let output = Command::new(format!("{TOP}/deploy/prometheus/check")).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The sources of all crates, with strings over several lines put together.
fn sources(folder: &Path, into: &mut String) {
    for entry in read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = read_to_string(&path).unwrap();
            let mut parts = text.split("\\\n");
            into.push_str(parts.next().unwrap());
            parts.for_each(|part| into.push_str(part.trim_start()));
        }
    }
}

#[test]
fn the_runbook_quotes_lines_that_are_logged() {
    let mut code = String::new();
    for of in ["shared", "server", "worker"] {
        sources(&Path::new(TOP).join(of).join("src"), &mut code);
    }
    let quoted: Vec<_> = RUNBOOK.split("`log: ").skip(1).collect();
    assert!(quoted.len() > 10, "{}", quoted.len());
    for line in quoted {
        let line = line.split('`').next().unwrap().replace('\n', " ");
        // What is filled in at run time is three dots there.
        for part in line.split('…').map(str::trim) {
            assert!(code.contains(part), "nothing logs {part:?}");
        }
    }
}

#[tokio::test]
async fn every_query_of_a_panel_and_a_rule_finds_what_it_asks_for() {
    let cluster = Cluster::start(2, 0).await;
    let (program, settings) = (Program::worker(worker_binary().await), cluster.settings.clone());
    let worker = spawn_blocking(move || Server::run(program, settings)).await.unwrap();
    let servers: Vec<_> = cluster.servers().map(|server| server.address).collect();
    let prometheus =
        spawn_blocking(move || Prometheus::start(&servers, &[worker.address])).await.unwrap();

    // A rate asks for two samples.
    for (scraped, count) in [("moim_deliveries_total", 2.0), ("moim_worker_rows_total", 1.0)] {
        until(scraped, Duration::from_secs(60), async || {
            let found = prometheus.query(&format!("count(rate({scraped}[1m]))"));
            found.first().is_some_and(|sample| value(sample) == count)
        })
        .await;
    }
    let recorded = rules_hold(&prometheus).await;
    let shown = panels_hold(&prometheus, &recorded);
    let unseen: Vec<_> = prometheus
        .names()
        .into_iter()
        .filter(|name| name.starts_with("moim_") && !shown.contains(metric(name)))
        .collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}

fn value(sample: &Value) -> f64 {
    sample["value"][1].as_str().unwrap().parse().unwrap()
}

/// Looks at all rules; which names they record.
async fn rules_hold(prometheus: &Prometheus) -> BTreeSet<String> {
    let mut rules = Vec::new();
    until("all rules were evaluated", Duration::from_secs(60), async || {
        rules = prometheus.rules();
        rules.iter().all(|rule| rule["health"] != "unknown")
    })
    .await;
    let named = |rule: &Value| rule["name"].as_str().unwrap().to_owned();
    let (alerts, records): (Vec<_>, Vec<_>) =
        rules.iter().partition(|rule| rule["type"] == "alerting");
    let recorded: BTreeSet<String> = records.into_iter().map(named).collect();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        finds_all(prometheus, rule["query"].as_str().unwrap(), &recorded, &named(rule));
    }
    let headings = RUNBOOK.lines().filter_map(|line| line.strip_prefix("### Moim"));
    let headings: BTreeSet<String> = headings.map(|name| format!("Moim{name}")).collect();
    assert_eq!(
        headings,
        alerts.iter().map(|alert| named(alert)).collect(),
        "the runbook's entries"
    );
    for alert in alerts {
        let entry = format!("deploy/RUNBOOK.md#{}", named(alert).to_lowercase());
        assert_eq!(alert["annotations"]["runbook"], *entry);
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].is_string(), "{alert}");
        }
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(matches!(severity, "critical" | "warning"), "{alert}");
    }
    recorded
}

/// Looks at all panels; which metrics they show.
fn panels_hold(prometheus: &Prometheus, recorded: &BTreeSet<String>) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for query in panels() {
        finds_all(prometheus, &query.text, recorded, &query.place);
        let found = prometheus.query(&query.text);
        assert!(!found.is_empty(), "{}: nothing comes of {}", query.place, query.text);
        for label in &query.labels {
            let has = |sample: &Value| sample["metric"][label].is_string();
            assert!(found.iter().all(has), "{}: `{label}` is in its legend only", query.place);
        }
        shown.extend(selectors(&query.text).into_iter().map(|selector| metric(selector).into()));
    }
    shown
}

/// Nothing that it names is missing.
fn finds_all(prometheus: &Prometheus, query: &str, recorded: &BTreeSet<String>, place: &str) {
    for selector in selectors(query) {
        let is_there = recorded.contains(selector) || prometheus.has(selector);
        assert!(is_there, "{place}: no process says {selector}");
    }
}
