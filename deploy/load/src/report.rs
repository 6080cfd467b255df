//! What a run has to tell, for the terminal and for a page.

pub mod html;
pub mod json;
pub mod svg;
pub mod table;

use crate::ledger::Account;
use crate::rows::RowsCheck;
use crate::stats::Recorder;

/// One run.
#[derive(Debug)]
pub struct RunReport {
    /// What was run.
    pub title: String,
    /// How to read it.
    pub notes: Vec<String>,
    /// Whether receipts were asked, so that losses are the server's.
    pub receipts: bool,
    /// Whether sessions came back when they were closed.
    pub resume: bool,
    /// RECEIPTs per second, where that was measured.
    pub reached: Option<f64>,
    /// What became of the messages.
    pub account: Account,
    /// What the database says, if it was asked, or why it cannot be.
    pub rows: Option<Result<RowsCheck, String>>,
    /// What the steps took.
    pub stats: Recorder,
}

impl RunReport {
    /// Nothing failed, lost, doubled, out of order, unacknowledged or missing. Where sessions come
    /// back, a send without RECEIPT promised nothing.
    pub fn is_clean(&self) -> bool {
        let stored = match &self.rows {
            None => true,
            Some(Ok(rows)) => rows.missing + rows.doubled == 0,
            Some(Err(_)) => false,
        };
        let asked = self.receipts && !self.resume;
        let acknowledged = !asked || self.account.unacknowledged() == 0;
        self.account.is_clean() && acknowledged && stored && self.stats.lock().failures.total() == 0
    }

    /// The account in words, one line each.
    pub fn account_lines(&self) -> Vec<String> {
        let account = &self.account;
        let acknowledged = if self.receipts {
            format!("{} acknowledged, ", account.acknowledged)
        } else {
            String::new()
        };
        let mut lines = vec![format!(
            "messages: {} sent, {acknowledged}{} deliveries; {} lost, {} doubled, {} out of order, \
             {} with conflicting positions, {} foreign",
            account.sent,
            account.delivered,
            account.lost,
            account.doubled,
            account.disordered,
            account.conflicting,
            account.foreign,
        )];
        if self.resume {
            lines.push(format!(
                "come back: {} times with recovered:true, {} with recovered:false, {} missed by \
                 those; {} shown again at a later position, of {} names with a second one",
                account.recovered,
                account.unrecovered,
                account.missed,
                account.shown_again,
                account.moved,
            ));
        }
        lines.extend(self.rows.as_ref().map(|rows| match rows {
            Ok(rows) => rows_line(rows),
            Err(refusal) => format!("rows: {refusal}"),
        }));
        let stats = self.stats.lock();
        if stats.failures.total() == 0 {
            lines.push("refused: nothing".to_owned());
        }
        lines.extend(
            stats.failures.iter().map(|(kind, count)| format!("refused: {count} × {kind}")),
        );
        let interruptions = stats.interruptions.iter();
        lines.extend(interruptions.map(|(kind, count)| format!("interrupted: {count} × {kind}")));
        lines
    }
}

fn rows_line(rows: &RowsCheck) -> String {
    let flush = match rows.flush {
        Some(flush) if rows.missing == 0 => {
            format!("; all there at most {} ms after the last RECEIPT", flush.as_millis())
        }
        Some(flush) => format!("; given up {} s after the last RECEIPT", flush.as_secs()),
        None => String::new(),
    };
    format!(
        "rows: {} stored, {} missing, {} doubled{flush}",
        rows.stored, rows.missing, rows.doubled
    )
}

/// Tells the run: the table, or a line of JSON and the table on stderr.
pub fn tell(report: &RunReport, as_json: bool) -> Result<(), String> {
    let table = table::print(report);
    if as_json {
        eprint!("{table}");
        println!("{}", json::line(report)?);
    } else {
        print!("{table}");
    }
    Ok(())
}
