//! The table that JMeter prints, with the percentiles that it hides.

use std::fmt::Write;

use super::RunReport;
use crate::stats::{Samples, Stats, Step};

/// Column names; the first is a word, the others numbers.
pub const COLUMNS: [&str; 10] =
    ["step", "samples", "average", "min", "p50", "p95", "p99", "max", "error %", "per s"];

/// The rows of a run, TOTAL before DELIVERY; times in ms.
pub fn rows(stats: &Stats) -> Vec<[String; 10]> {
    let mut rows: Vec<_> = Step::ALL
        .into_iter()
        .filter(|step| step.is_operation() && !stats.of(*step).micros.is_empty())
        .map(|step| row(step.name(), stats.of(step)))
        .collect();
    rows.push(row("TOTAL", &stats.total()));
    rows.push(row(Step::Delivery.name(), stats.of(Step::Delivery)));
    let across = stats.of(Step::Across);
    rows.extend((!across.micros.is_empty()).then(|| row(Step::Across.name(), across)));
    rows
}

fn row(name: &str, samples: &Samples) -> [String; 10] {
    let micros = &samples.micros;
    let ms = |micros: f64| format!("{:.2}", micros / 1000.0);
    let at = |quantile: f64| ms(micros.value_at_quantile(quantile) as f64);
    let extreme = |value: u64| if micros.is_empty() { ms(0.0) } else { ms(value as f64) };
    [
        name.to_owned(),
        micros.len().to_string(),
        ms(if micros.is_empty() { 0.0 } else { micros.mean() }),
        extreme(micros.min()),
        at(0.50),
        at(0.95),
        at(0.99),
        extreme(micros.max()),
        format!("{:.2}", samples.error_percent()),
        format!("{:.1}", samples.throughput()),
    ]
}

/// The whole run as text.
pub fn print(report: &RunReport) -> String {
    let mut out = format!("\n{} (times in ms)\n", report.title);
    for note in &report.notes {
        let _ = writeln!(out, "  {note}");
    }
    let _ = write!(out, "\n{}", grid(&rows(&report.stats.lock())));
    for line in report.account_lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn grid(rows: &[[String; 10]]) -> String {
    let mut out = String::new();
    let header = COLUMNS.map(str::to_owned);
    for row in std::iter::once(&header).chain(rows) {
        let mut cells = row.iter();
        let _ = write!(out, "  {:<11}", cells.next().map_or("", String::as_str));
        for cell in cells {
            let _ = write!(out, " {cell:>10}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_row_has_its_numbers_under_the_heads() {
        let mut stats = Stats::new();
        let from = stats.started;
        for micros in [500, 1_000, 1_500] {
            stats.add(Step::Send, from, from + Duration::from_micros(micros), None);
        }
        let text = grid(&rows(&stats));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4); // head, SEND, TOTAL, DELIVERY
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        let send: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(send[..3], ["SEND", "3", "1.00"]);
        assert_eq!(send[8], "0.00");
        assert_eq!(send[9], "2000.0");
    }
}
