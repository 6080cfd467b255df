//! When people were last there: gathered here, and kept a few seconds later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moim_shared::clock::now_ms;
use moim_shared::ids::UserId;
use moim_shared::store::StoreError;
use moim_shared::store::last_seen::{LastSeen as Kept, Seen};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::unkept::{Unkept, keep_last, keep_up};

/// People of whom it is kept together.
const TOGETHER: usize = 2_000;
/// How long it is gathered: of somebody who comes and goes, the last time counts.
const GATHERED: Duration = Duration::from_secs(3);
/// What is kept, in the log.
const WHAT: &str = "when people were last seen";
/// More than these do not wait for the database. Of those who are not among them an older time is
/// shown, or none.
const WAITING: usize = 200_000;

/// See the module.
pub struct LastSeen {
    kept: Arc<dyn Kept>,
    waiting: Mutex<Unkept<UserId, u64>>,
    came: Notify,
}

impl LastSeen {
    /// What is kept in `kept`.
    pub fn new(kept: Arc<dyn Kept>) -> Self {
        Self { kept, waiting: Mutex::new(Unkept::new(WAITING)), came: Notify::new() }
    }

    /// Somebody is not there any more. Kept soon.
    pub fn note(&self, user: &UserId) {
        if self.waiting.lock().put(user.clone(), now_ms()) {
            self.came.notify_one();
        }
    }

    /// When these were last there, those of whom it is known: as it is kept, or waits to be.
    pub async fn of(&self, users: &[UserId]) -> Result<HashMap<UserId, u64>, StoreError> {
        let mut known: HashMap<UserId, u64> = {
            let waiting = self.waiting.lock();
            users.iter().filter_map(|user| Some((user.clone(), waiting.get(user)?))).collect()
        };
        if !users.is_empty() {
            for Seen { user, at } in self.kept.last_seen_of(users).await? {
                let stands = known.entry(user).or_default();
                *stands = at.max(*stands);
            }
        }
        Ok(known)
    }

    /// Keeps what was noted, until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        keep_up(&self.came, GATHERED, WHAT, || self.keep_some()).await;
    }

    /// Keeps all that waits, at most for `bound`: before the process ends.
    pub async fn keep_last(&self, bound: Duration) {
        keep_last(bound, WHAT, self.keep_some()).await;
    }

    async fn keep_some(&self) -> Result<(), StoreError> {
        loop {
            let some = self.waiting.lock().some(TOGETHER);
            if some.is_empty() {
                return Ok(());
            }
            let seen = some.iter().map(|(user, at)| Seen { user: user.clone(), at: *at });
            self.kept.last_seen_move(seen.collect()).await?;
            self.waiting.lock().kept(&some);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use moim_shared::BoxFuture;

    use super::*;

    #[derive(Default)]
    struct Database {
        away: AtomicBool,
        /// It does not answer.
        stuck: AtomicBool,
        rows: Mutex<Vec<Seen>>,
        statements: Mutex<Vec<usize>>,
    }

    impl Kept for Database {
        fn last_seen_move(&self, seen: Vec<Seen>) -> BoxFuture<'_, Result<(), StoreError>> {
            if self.stuck.load(Ordering::Relaxed) {
                return Box::pin(std::future::pending());
            }
            let away = self.away.load(Ordering::Relaxed);
            if !away {
                self.statements.lock().push(seen.len());
                self.rows.lock().extend(seen);
            }
            let answer = if away { Err(StoreError::Unavailable("away".into())) } else { Ok(()) };
            Box::pin(std::future::ready(answer))
        }

        fn last_seen_of<'a>(
            &'a self,
            users: &'a [UserId],
        ) -> BoxFuture<'a, Result<Vec<Seen>, StoreError>> {
            let rows = self.rows.lock();
            let of = rows.iter().filter(|seen| users.contains(&seen.user)).cloned().collect();
            Box::pin(std::future::ready(Ok(of)))
        }
    }

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("u{n}")).unwrap()
    }

    #[tokio::test]
    async fn what_waits_is_known_and_kept_in_few_statements_each_user_once() {
        let database = Arc::new(Database::default());
        let seen = LastSeen::new(database.clone());
        for n in (0..5_000).chain(0..5_000) {
            seen.note(&user(n));
        }
        assert!(seen.of(&[user(7)]).await.unwrap().contains_key(&user(7)), "before it is kept");
        seen.keep_last(Duration::from_secs(60)).await;
        assert_eq!(*database.statements.lock(), [2_000, 2_000, 1_000]);
        assert!(seen.of(&[user(7)]).await.unwrap().contains_key(&user(7)), "and after that");
        assert!(seen.of(&[user(5_001)]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_could_not_be_kept_waits_on() {
        let database = Arc::new(Database::default());
        let seen = LastSeen::new(database.clone());
        database.away.store(true, Ordering::Relaxed);
        seen.note(&user(1));
        seen.keep_last(Duration::from_secs(60)).await;
        database.away.store(false, Ordering::Relaxed);
        seen.keep_last(Duration::from_secs(60)).await;
        assert_eq!(database.rows.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_was_being_kept_when_the_task_was_stopped_is_kept_at_last() {
        let database = Arc::new(Database::default());
        let seen = LastSeen::new(database.clone());
        database.stuck.store(true, Ordering::Relaxed);
        seen.note(&user(1));
        seen.keep_last(Duration::ZERO).await;
        assert!(seen.of(&[user(1)]).await.unwrap().contains_key(&user(1)), "known meanwhile");
        database.stuck.store(false, Ordering::Relaxed);
        seen.keep_last(Duration::from_secs(60)).await;
        assert_eq!(database.rows.lock().len(), 1);
    }
}
