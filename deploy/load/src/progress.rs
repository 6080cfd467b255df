//! One line each second on stderr while a test runs: rewritten on a terminal, every tenth otherwise.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

const QUIET: u64 = 10;

/// Shows a line until dropped.
pub struct Progress(JoinHandle<()>);

impl Progress {
    /// Shows what `line` says, each second.
    pub fn show(line: impl Fn() -> String + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            let started = Instant::now();
            let terminal = std::io::stderr().is_terminal();
            let mut second = tokio::time::interval(Duration::from_secs(1));
            second.set_missed_tick_behavior(MissedTickBehavior::Skip);
            second.tick().await;
            for shown in 1_u64.. {
                second.tick().await;
                let text = format!("{:>4} s  {}", started.elapsed().as_secs(), line());
                let mut out = std::io::stderr().lock();
                // A stderr that is gone must not end the test.
                let _ = match (terminal, shown % QUIET) {
                    (true, _) => write!(out, "\r\x1b[2K{text}"),
                    (false, 0) => writeln!(out, "{text}"),
                    (false, _) => Ok(()),
                };
                let _ = out.flush();
            }
        }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
