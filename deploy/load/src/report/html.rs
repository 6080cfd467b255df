//! The report as one page that needs nothing else: no script, no font, no address.

use std::fmt::Write;
use std::path::Path;

use super::svg::{self, Line, Range};
use super::{RunReport, table};
use crate::stats::{Stats, Step};

const STYLE: &str = include_str!("page.css");

/// Writes the page of all runs to `file`.
pub fn write(file: &Path, runs: &[RunReport]) -> Result<(), String> {
    std::fs::write(file, page(runs))
        .map_err(|error| format!("cannot write the report {}: {error}", file.display()))
}

fn page(runs: &[RunReport]) -> String {
    let mut out = format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width,initial-scale=1'>\
         <title>Moim load test</title><style>{STYLE}</style></head><body>\
         <h1>Moim load test</h1><p>moim-load {}</p>",
        env!("CARGO_PKG_VERSION")
    );
    for run in runs {
        section(run, &mut out);
    }
    out.push_str("</body></html>\n");
    out
}

fn section(run: &RunReport, out: &mut String) {
    let _ = write!(out, "<h2>{}</h2>", escape(&run.title));
    for note in &run.notes {
        let _ = write!(out, "<p>{}</p>", escape(note));
    }
    if run.receipts {
        out.push_str(if run.is_clean() {
            "<p class='good'>✓ clean: nothing lost, doubled, out of order or refused</p>"
        } else {
            "<p class='bad'>✗ not clean: see below the table</p>"
        });
    }
    let lines = run.account_lines();
    let stats = run.stats.lock();
    grid(&stats, out);
    out.push_str("<ul>");
    for line in lines {
        let _ = write!(out, "<li>{}</li>", escape(&line));
    }
    out.push_str("</ul>");
    charts(&stats, out);
}

fn grid(stats: &Stats, out: &mut String) {
    out.push_str("<div class='wide'><table><thead><tr>");
    for column in table::COLUMNS {
        let _ = write!(out, "<th>{column}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in table::rows(stats) {
        let total = row.first().is_some_and(|name| name == "TOTAL");
        out.push_str(if total { "<tr class='total'>" } else { "<tr>" });
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(&cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div><p>times in ms</p>");
}

fn charts(stats: &Stats, out: &mut String) {
    let percentile = |name, quantile: f64| Line {
        name,
        values: stats
            .seconds
            .iter()
            .map(|second| {
                let delivery = &second.delivery;
                let ms = delivery.value_at_quantile(quantile) as f64 / 1000.0;
                (!delivery.is_empty()).then_some(ms)
            })
            .collect(),
    };
    let count = |name, of: fn(&crate::stats::Second) -> u64| Line {
        name,
        values: stats.seconds.iter().map(|second| Some(of(second) as f64)).collect(),
    };
    out.push_str(&svg::lines(
        "SEND to delivery",
        "ms",
        &[percentile("p50", 0.50), percentile("p95", 0.95), percentile("p99", 0.99)],
    ));
    out.push_str(&svg::lines(
        "Throughput",
        "per second",
        &[
            count("operations", |second| second.operations),
            count("deliveries", |second| second.delivery.len()),
            count("errors", |second| second.errors),
        ],
    ));
    let measured = Step::ALL.into_iter().filter(|step| !stats.of(*step).micros.is_empty());
    let rows: Vec<_> = measured
        .map(|step| {
            let micros = &stats.of(step).micros;
            let at = |quantile: f64| micros.value_at_quantile(quantile) as f64 / 1000.0;
            let (min, max) = (micros.min() as f64 / 1000.0, micros.max() as f64 / 1000.0);
            Range { name: step.name(), values: [min, at(0.50), at(0.95), at(0.99), max] }
        })
        .collect();
    out.push_str(&svg::ranges("Time per step", &rows));
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::ledger::Account;
    use crate::stats::Recorder;

    #[test]
    fn what_a_server_says_cannot_become_markup() {
        let stats = Recorder::new();
        let at = stats.lock().started;
        let evil = Failure::Error("<script>alert('x')</script>".to_owned());
        stats.lock().add(Step::Connect, at, at, Some(&evil));
        let page = page(&[RunReport {
            title: "a & b".to_owned(),
            notes: vec!["<b>".to_owned()],
            receipts: true,
            resume: false,
            reached: None,
            account: Account::default(),
            rows: None,
            stats,
        }]);
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("a &amp; b"));
        assert!(page.contains("not clean"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}
