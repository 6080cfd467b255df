//! What waits to be kept in the database: of each key its newest value, so many keys at most. And how
//! it is kept: gathered, and again until that succeeds.
//!
//! What is being kept goes on waiting until that has succeeded: whoever keeps it may fail, or be
//! stopped in the middle of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use moim_shared::backoff::Backoff;
use moim_shared::store::StoreError;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// See the module.
#[derive(Debug)]
pub struct Unkept<K, V> {
    values: HashMap<K, V>,
    most: usize,
}

impl<K: Clone + Eq + Hash, V: Copy + Ord> Unkept<K, V> {
    /// Nothing yet, and never more than `most` keys.
    pub fn new(most: usize) -> Self {
        Self { values: HashMap::new(), most }
    }

    /// The value of `key`, if it has none that is greater. False: there is no room for it.
    pub fn put(&mut self, key: K, value: V) -> bool {
        if self.values.len() >= self.most && !self.values.contains_key(&key) {
            return false;
        }
        let stands = self.values.entry(key).or_insert(value);
        *stands = value.max(*stands);
        true
    }

    /// What waits for `key`.
    pub fn get(&self, key: &K) -> Option<V> {
        self.values.get(key).copied()
    }

    /// At most so many of them, in no order. They wait on.
    pub fn some(&self, count: usize) -> Vec<(K, V)> {
        self.values.iter().take(count).map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// These are kept, and do not wait any more; those that became greater meanwhile do.
    pub fn kept(&mut self, some: &[(K, V)]) {
        for (key, value) in some {
            if self.values.get(key).is_some_and(|stands| stands <= value) {
                self.values.remove(key);
            }
        }
    }
}

/// Has `keep` keep `what` came, `gathered` after the first of it, until it is dropped.
pub async fn keep_up<F>(came: &Notify, gathered: Duration, what: &str, keep: impl Fn() -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut backoff = Backoff::new(gathered, gathered * 10);
    loop {
        came.notified().await;
        sleep(gathered).await;
        while let Err(error) = keep().await {
            if backoff.tries() == 0 {
                tracing::warn!(%error, "{what} is not kept yet, trying on");
            }
            sleep(backoff.wait()).await;
        }
        backoff.reset();
    }
}

/// Has `keep` keep `what` waits, at most for `bound`: before the process ends.
pub async fn keep_last<F>(bound: Duration, what: &str, keep: F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    match timeout(bound, keep).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "{what} was not kept"),
        Err(_late) => tracing::warn!("{what} was not kept in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_only_grows_and_there_is_no_room_for_too_many_keys() {
        let mut unkept = Unkept::new(2);
        assert!([6, 7, 5].into_iter().all(|value| unkept.put("a", value)));
        assert_eq!(unkept.get(&"a"), Some(7));
        assert!(unkept.put("b", 1) && !unkept.put("c", 1) && unkept.put("a", 8));
    }

    #[test]
    fn what_is_being_kept_waits_until_it_is_kept() {
        let mut unkept = Unkept::new(9);
        assert!(["a", "b", "c"].into_iter().all(|key| unkept.put(key, 1)));
        assert_eq!(unkept.some(2).len(), 2);
        let all = unkept.some(9);
        assert_eq!(all.len(), 3, "they are still there");
        unkept.put("b", 2);
        unkept.kept(&all);
        assert_eq!(unkept.some(9), [("b", 2)], "it grew meanwhile");
    }
}
