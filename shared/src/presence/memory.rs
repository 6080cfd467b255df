//! Presence inside one process: a map with leases.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Entry, Presence, PresenceError};
use crate::BoxFuture;
use crate::ids::{NodeId, UserId};

/// The in-process presence.
#[derive(Debug)]
pub struct MemoryPresence {
    lease: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<UserId, Vec<Entry>>,
    /// Until when each node's entries count.
    leases: HashMap<NodeId, Instant>,
    /// Nodes that hear what others say.
    hear: HashSet<NodeId>,
}

impl MemoryPresence {
    /// Entries of a node vanish `lease` after it was last heard of.
    pub fn new(lease: Duration) -> Self {
        Self { lease, inner: Mutex::default() }
    }
}

impl Presence for MemoryPresence {
    fn arrived<'a>(
        &'a self,
        user: &'a UserId,
        entry: Entry,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        let mut inner = self.inner.lock();
        inner.leases.insert(entry.node.clone(), Instant::now() + self.lease);
        // Most people have one session: no room for more until there are more.
        let entries = inner.users.entry(user.clone()).or_insert_with(|| Vec::with_capacity(1));
        entries.retain(|known| known.node != entry.node || known.session != entry.session);
        entries.push(entry);
        Box::pin(std::future::ready(Ok(())))
    }

    fn left<'a>(
        &'a self,
        user: &'a UserId,
        node: &'a NodeId,
        session: u64,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        let mut inner = self.inner.lock();
        if let Some(entries) = inner.users.get_mut(user) {
            entries.retain(|known| known.node != *node || known.session != session);
            if entries.is_empty() {
                inner.users.remove(user);
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn sessions_of<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Vec<Entry>>, PresenceError>> {
        let inner = self.inner.lock();
        let now = Instant::now();
        let alive = |entry: &&Entry| inner.leases.get(&entry.node).is_some_and(|end| *end > now);
        let of = |user: &UserId| {
            let entries = inner.users.get(user).map(Vec::as_slice).unwrap_or_default();
            entries.iter().filter(alive).cloned().collect()
        };
        Box::pin(std::future::ready(Ok(users.iter().map(of).collect())))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeId>, PresenceError>> {
        let (inner, now) = (self.inner.lock(), Instant::now());
        let alive = inner.leases.iter().filter(|(_, end)| **end > now);
        let nodes = alive.map(|(node, _)| node.clone()).collect();
        Box::pin(std::future::ready(Ok(nodes)))
    }

    fn others_hear<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Result<bool, PresenceError>> {
        let inner = self.inner.lock();
        let now = Instant::now();
        let lives = |other: &NodeId| inner.leases.get(other).is_some_and(|end| *end > now);
        let hear = inner.hear.iter().any(|other| other != node && lives(other));
        Box::pin(std::future::ready(Ok(hear)))
    }

    fn renew<'a>(
        &'a self,
        node: &'a NodeId,
        hears: bool,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        inner.leases.insert(node.clone(), now + self.lease);
        if hears {
            inner.hear.insert(node.clone());
        } else {
            inner.hear.remove(node);
        }
        let Inner { users, leases, hear } = &mut *inner;
        if leases.values().any(|end| *end <= now) {
            leases.retain(|_, end| *end > now);
            hear.retain(|node| leases.contains_key(node));
            users.retain(|_, entries| {
                entries.retain(|entry| leases.contains_key(&entry.node));
                !entries.is_empty()
            });
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
