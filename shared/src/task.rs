//! Tasks that are to run as long as their process does.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::backoff::Backoff;

/// Runs what `begin` makes, and again when it panics, with growing waits. Ends when it ends.
pub async fn keep_running<F: Future<Output = ()>>(name: &str, begin: impl Fn() -> F) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
        tracing::error!(task = name, "`{name}` panicked and begins again");
        tokio::time::sleep(backoff.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_begins_again_and_one_that_ends_does_not() {
        let begun = Cell::new(0);
        let begin = async || {
            begun.set(begun.get() + 1);
            assert!(begun.get() > 2, "as asked");
        };
        keep_running("test", begin).await;
        assert_eq!(begun.get(), 3);
    }
}
