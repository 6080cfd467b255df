//! What a run has to tell, for the terminal and for a page.

pub mod html;
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
    /// What became of the messages.
    pub account: Account,
    /// What the database says, if it was asked, or why it cannot be.
    pub rows: Option<Result<RowsCheck, String>>,
    /// What the steps took.
    pub stats: Recorder,
}

impl RunReport {
    /// Nothing failed, lost, doubled, out of order, unacknowledged or missing.
    pub fn is_clean(&self) -> bool {
        let stored = match &self.rows {
            None => true,
            Some(Ok(rows)) => rows.missing + rows.doubled == 0,
            Some(Err(_)) => false,
        };
        let acknowledged = !self.receipts || self.account.sent == self.account.acknowledged;
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
        lines.extend(self.rows.as_ref().map(|rows| match rows {
            Ok(rows) => format!(
                "rows: {} stored, {} missing, {} doubled",
                rows.stored, rows.missing, rows.doubled
            ),
            Err(refusal) => format!("rows: {refusal}"),
        }));
        let stats = self.stats.lock();
        if stats.failures.total() == 0 {
            lines.push("refused: nothing".to_owned());
        }
        lines.extend(
            stats.failures.iter().map(|(kind, count)| format!("refused: {count} × {kind}")),
        );
        lines
    }
}
