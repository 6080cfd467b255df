//! Presence in Redis: a hash for each node, which ends with the node's lease.
//!
//! A node is the only one who writes its hash, from a map that it keeps. The hash says which process
//! wrote it: when Redis lost it, or a process before left it under the same name, or a write failed,
//! it is written anew with the next renewal. What a dead node left ends as a whole. Asking about a user asks
//! for its field in the hash of every node that lives, of which there are few.

mod signs;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::redis::{Pipeline, cmd};
use futures_util::future::try_join_all;
use parking_lot::Mutex;

use self::signs::Signs;
use super::{Entry, Presence, PresenceError};
use crate::BoxFuture;
use crate::clock::now_ms;
use crate::ids::{InstallationId, NodeId, UserId};
use crate::redis::{Links, RedisAway};

/// The field that says which process wrote the hash. No user has an empty id.
const WRITER: &str = "";
/// The field of a node that hears what others say, as the one above no user.
const HEARS: &str = "\0hears";

/// Fields that one command writes.
const FIELDS: usize = 1_000;

type Mine = HashMap<NodeId, HashMap<UserId, Vec<Entry>>>;

/// The presence in Redis.
pub struct RedisPresence {
    links: Arc<Links>,
    prefix: String,
    lease: Duration,
    /// Tells this process's hashes from those of another one.
    voice: String,
    /// A write failed since all was written.
    unsure: AtomicBool,
    /// How often somebody came or left.
    moves: AtomicU64,
    /// The sessions of the nodes that this process speaks for: of one, but in tests.
    mine: Mutex<Mine>,
    signs: Mutex<Signs>,
}

impl RedisPresence {
    /// Entries of a node vanish `lease` after it was last heard of. All keys begin with `prefix`.
    pub fn new(links: Arc<Links>, prefix: &str, lease: Duration) -> Self {
        Self {
            links,
            prefix: format!("{prefix}:presence"),
            lease,
            voice: NodeId::random().to_string(),
            unsure: AtomicBool::new(false),
            moves: AtomicU64::new(0),
            mine: Mutex::default(),
            signs: Mutex::default(),
        }
    }

    fn key(&self, node: &NodeId) -> String {
        format!("{}:{{{node}}}", self.prefix)
    }

    /// The nodes, by the end of their leases in ms since 1970.
    fn nodes_key(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    /// Writes what is known of the user on the node.
    async fn write(&self, node: &NodeId, user: &UserId) -> Result<(), PresenceError> {
        let known = || {
            let mine = self.mine.lock();
            mine.get(node).and_then(|users| users.get(user)).map(|entries| encode(entries))
        };
        let key = self.key(node);
        let mut field = known();
        loop {
            let command = match &field {
                Some(field) => cmd("HSET").arg(&key).arg(user.as_str()).arg(field).clone(),
                None => cmd("HDEL").arg(&key).arg(user.as_str()).clone(),
            };
            let _: u64 = self.links.command(&key, &command).await?;
            // Of two that write side by side the older may come last.
            let now = known();
            if now == field {
                return self.prolong(node).await;
            }
            field = now;
        }
    }

    /// The lease begins anew.
    async fn prolong(&self, node: &NodeId) -> Result<(), PresenceError> {
        let (key, nodes) = (self.key(node), self.nodes_key());
        let lease = self.lease.as_millis() as u64;
        let mut add = cmd("ZADD");
        add.arg(&nodes).arg(now_ms() + lease).arg(node.as_str());
        let _: u64 = self.links.command(&nodes, &add).await?;
        let _: u64 = self.links.command(&key, cmd("PEXPIRE").arg(&key).arg(lease)).await?;
        Ok(())
    }

    /// Whether the hash is what this process wrote.
    async fn is_mine(&self, node: &NodeId) -> Result<bool, PresenceError> {
        let key = self.key(node);
        let writer: Option<String> =
            self.links.command(&key, cmd("HGET").arg(&key).arg(WRITER)).await?;
        Ok(writer.as_deref() == Some(&*self.voice) && !self.unsure.load(Ordering::Relaxed))
    }

    async fn write_all(&self, node: &NodeId) -> Result<(), PresenceError> {
        self.unsure.store(false, Ordering::Relaxed);
        let moves = self.moves.load(Ordering::SeqCst);
        let key = self.key(node);
        let mut fields: Vec<(String, String)> = {
            let mine = self.mine.lock();
            let users = mine.get(node).into_iter().flatten();
            users.map(|(user, entries)| (user.to_string(), encode(entries))).collect()
        };
        fields.push((WRITER.to_owned(), self.voice.clone()));
        let _: u64 = self.links.command(&key, cmd("DEL").arg(&key)).await?;
        for part in fields.chunks(FIELDS) {
            let mut set = cmd("HSET");
            set.arg(&key).arg(part);
            let _: u64 = self.links.command(&key, &set).await?;
        }
        if self.moves.load(Ordering::SeqCst) != moves {
            // What was written may be older than what was written meanwhile.
            self.unsure.store(true, Ordering::Relaxed);
        }
        self.prolong(node).await
    }

    /// Writes it; one that failed is made good with the next renewal.
    async fn write_or_note(&self, node: &NodeId, user: &UserId) -> Result<(), PresenceError> {
        self.moves.fetch_add(1, Ordering::SeqCst);
        let written = self.write(node, user).await;
        if written.is_err() {
            self.unsure.store(true, Ordering::Relaxed);
        }
        written
    }

    async fn nodes_that_live(&self) -> Result<Vec<NodeId>, PresenceError> {
        let nodes = self.nodes_key();
        let now = now_ms();
        // A lease longer than they end: whoever asks may have a clock that goes before.
        let old = now.saturating_sub(self.lease.as_millis() as u64);
        let mut ask = Pipeline::new();
        ask.zrembyscore(&nodes, 0, old).ignore().zrange(&nodes, 0, -1);
        let (found,): (Vec<String>,) =
            self.links.run(&nodes, async |mut link| ask.query_async(&mut link).await).await?;
        Ok(found.iter().filter_map(|node| NodeId::parse(node).ok()).collect())
    }
}

impl From<RedisAway> for PresenceError {
    fn from(away: RedisAway) -> Self {
        Self(away.to_string())
    }
}

/// `session device`, a line each; a device without a name has none. Then `away session`, which an
/// older program skips.
fn encode(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let device = entry.device.as_ref().map_or("", InstallationId::as_str);
        format!("{} {device}", entry.session)
    };
    let away = entries.iter().filter(|entry| entry.away);
    let away = away.map(|entry| format!("{AWAY} {}", entry.session));
    entries.iter().map(line).chain(away).collect::<Vec<_>>().join("\n")
}

const AWAY: &str = "away";

fn decode(node: &NodeId, field: &str) -> Vec<Entry> {
    let words = || field.lines().filter_map(|line| line.split_once(' '));
    let away: Vec<u64> = words()
        .filter_map(|(word, session)| (word == AWAY).then(|| session.parse().ok())?)
        .collect();
    let entry = |(session, device): (&str, &str)| {
        let session = session.parse().ok()?;
        let (node, device) = (node.clone(), InstallationId::parse(device).ok());
        Some(Entry { node, session, device, away: away.contains(&session) })
    };
    words().filter_map(entry).collect()
}

impl Presence for RedisPresence {
    fn arrived<'a>(
        &'a self,
        user: &'a UserId,
        entry: Entry,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        Box::pin(async move {
            let node = entry.node.clone();
            {
                let mut mine = self.mine.lock();
                let users = mine.entry(node.clone()).or_default();
                let entries = users.entry(user.clone()).or_insert_with(|| Vec::with_capacity(1));
                entries.retain(|known| known.session != entry.session);
                entries.push(entry);
            }
            self.write_or_note(&node, user).await
        })
    }

    fn left<'a>(
        &'a self,
        user: &'a UserId,
        node: &'a NodeId,
        session: u64,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        Box::pin(async move {
            {
                let mut mine = self.mine.lock();
                let Some(users) = mine.get_mut(node) else { return Ok(()) };
                let Some(entries) = users.get_mut(user) else { return Ok(()) };
                entries.retain(|known| known.session != session);
                if entries.is_empty() {
                    users.remove(user);
                }
            }
            self.write_or_note(node, user).await
        })
    }

    fn sessions_of<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Vec<Entry>>, PresenceError>> {
        Box::pin(async move {
            if users.is_empty() {
                return Ok(Vec::new());
            }
            let nodes = self.nodes_that_live().await?;
            // Side by side: a pipeline cannot go over the servers of a Redis Cluster.
            let of_nodes = nodes.iter().map(|node| async {
                let key = self.key(node);
                let mut ask = cmd("HMGET");
                ask.arg(&key);
                for user in users {
                    ask.arg(user.as_str());
                }
                let fields: Vec<Option<String>> = self.links.command(&key, &ask).await?;
                Ok::<_, PresenceError>(fields)
            });
            let of_nodes = try_join_all(of_nodes).await?;
            let mut found = vec![Vec::new(); users.len()];
            for (node, fields) in nodes.iter().zip(of_nodes) {
                for (entries, field) in found.iter_mut().zip(fields) {
                    entries.extend(decode(node, &field.unwrap_or_default()));
                }
            }
            Ok(found)
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeId>, PresenceError>> {
        Box::pin(async move {
            let nodes = self.nodes_key();
            let mut ask = cmd("ZRANGE");
            ask.arg(&nodes).arg(0).arg(-1).arg("WITHSCORES");
            let found: Vec<(String, String)> = self.links.command(&nodes, &ask).await?;
            Ok(self.signs.lock().look(found, Instant::now(), self.lease))
        })
    }

    fn renew<'a>(
        &'a self,
        node: &'a NodeId,
        hears: bool,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        Box::pin(async move {
            self.prolong(node).await?;
            if !self.is_mine(node).await? {
                let written = self.write_all(node).await;
                if written.is_err() {
                    self.unsure.store(true, Ordering::Relaxed);
                    return written;
                }
            }
            let key = self.key(node);
            let command = match hears {
                true => cmd("HSET").arg(&key).arg(HEARS).arg(1).clone(),
                false => cmd("HDEL").arg(&key).arg(HEARS).clone(),
            };
            let _: u64 = self.links.command(&key, &command).await?;
            Ok(())
        })
    }

    fn others_hear<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Result<bool, PresenceError>> {
        Box::pin(async move {
            for other in self.nodes().await?.iter().filter(|other| *other != node) {
                let key = self.key(other);
                let asked = cmd("HEXISTS").arg(&key).arg(HEARS).clone();
                if self.links.command::<u64>(&key, &asked).await? > 0 {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
