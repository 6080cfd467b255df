//! A run as one line of JSON, for programs. Counts are numbers, times ms.

use std::collections::BTreeMap;

use serde::Serialize;

use super::RunReport;
use crate::failure::Tally;
use crate::ledger::Account;
use crate::stats::{Samples, Step};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    title: &'a str,
    clean: bool,
    #[serde(flatten)]
    account: Account,
    unacknowledged: u64,
    receipts_per_second: Option<f64>,
    rows: Option<Rows>,
    rows_refusal: Option<&'a str>,
    failures: BTreeMap<&'a str, u64>,
    interruptions: BTreeMap<&'a str, u64>,
    steps: BTreeMap<&'static str, Times>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    stored: u64,
    missing: u64,
    doubled: u64,
    flush_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    samples: u64,
    errors: u64,
    average: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
    per_second: f64,
}

/// The line, without its end.
pub fn line(report: &RunReport) -> Result<String, String> {
    let clean = report.is_clean();
    let stats = report.stats.lock();
    let rows = report.rows.as_ref();
    let line = Line {
        title: &report.title,
        clean,
        account: report.account,
        unacknowledged: report.account.unacknowledged(),
        receipts_per_second: report.reached,
        rows: rows.and_then(|rows| rows.as_ref().ok()).map(|rows| Rows {
            stored: rows.stored,
            missing: rows.missing,
            doubled: rows.doubled,
            flush_ms: rows.flush.map(|flush| flush.as_millis() as u64),
        }),
        rows_refusal: rows.and_then(|rows| rows.as_ref().err()).map(String::as_str),
        failures: kinds(&stats.failures),
        interruptions: kinds(&stats.interruptions),
        steps: Step::ALL
            .into_iter()
            .filter(|step| !stats.of(*step).micros.is_empty())
            .map(|step| (step.name(), times(stats.of(step))))
            .collect(),
    };
    serde_json::to_string(&line).map_err(|error| format!("cannot write the report: {error}"))
}

fn kinds(tally: &Tally) -> BTreeMap<&str, u64> {
    tally.iter().collect()
}

fn times(samples: &Samples) -> Times {
    let micros = &samples.micros;
    let at = |quantile: f64| micros.value_at_quantile(quantile) as f64 / 1000.0;
    Times {
        samples: micros.len(),
        errors: samples.errors,
        average: micros.mean() / 1000.0,
        p50: at(0.50),
        p95: at(0.95),
        p99: at(0.99),
        max: micros.max() as f64 / 1000.0,
        per_second: samples.throughput(),
    }
}
