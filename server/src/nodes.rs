//! Which nodes live, and whether this one alone does not hear what is said: says how it is with it,
//! and looks how it is with the others.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moim_shared::broker::{Broker, Unheard};
use moim_shared::ids::NodeId;
use moim_shared::presence::Presence;
use parking_lot::RwLock;
use tokio::time::timeout;

use crate::hub::Hub;

/// Nodes that are remembered to have died.
const DEAD_MOST: usize = 1_000;

/// How often it is looked whether this one hears.
const LISTEN: Duration = Duration::from_millis(250);

/// How long telling that this one goes may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether it answers and this node hears nothing of it.
pub fn is_deaf(broker: &dyn Broker) -> bool {
    matches!(broker.hearing(), Err(Unheard::Deaf))
}

/// What is known of the runs of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Those who live, this one too; none before that was asked.
    pub live: HashSet<NodeId>,
    /// Those who lived once and do not any more.
    pub dead: HashSet<NodeId>,
    /// How often some came back of whom this was thought.
    pub returned: u64,
}

impl Known {
    /// With those who live now; `None`: they are the same.
    fn next(&self, live: Vec<NodeId>) -> Option<Self> {
        let live: HashSet<NodeId> = live.into_iter().collect();
        if live == self.live {
            return None;
        }
        let died = self.live.difference(&live).cloned();
        let mut dead = self.dead.clone();
        if dead.len() >= DEAD_MOST {
            dead.clear();
        }
        let before = dead.len();
        dead.retain(|node| !live.contains(node));
        let returned = self.returned + u64::from(dead.len() < before);
        dead.extend(died);
        Some(Self { live, dead, returned })
    }
}

/// See the module.
pub struct Nodes {
    presence: Arc<dyn Presence>,
    run: NodeId,
    lease: Duration,
    known: RwLock<Arc<Known>>,
    deaf_alone: AtomicBool,
    /// This one goes, and takes nobody.
    leaves: AtomicBool,
}

impl Nodes {
    /// `run` is this one; `lease` is what `presence` was made with.
    pub fn new(presence: Arc<dyn Presence>, run: NodeId, lease: Duration) -> Self {
        let (known, deaf_alone, leaves) =
            (RwLock::default(), AtomicBool::new(false), AtomicBool::new(false));
        Self { presence, run, lease, known, deaf_alone, leaves }
    }

    /// Whether this one does not hear what is said, and others do. When none does, people are as well
    /// off here as anywhere.
    pub fn is_deaf_alone(&self) -> bool {
        self.deaf_alone.load(Ordering::Relaxed)
    }

    /// Tells the others not to count on this one any more, since it goes.
    pub async fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
        let told = timeout(FAREWELL, self.presence.renew(&self.run, false)).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::debug!("the other nodes were not told that this one goes");
        }
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        self.known.read().clone()
    }

    /// Says and looks several times in a lease, and tells the rooms of `hub` what is new, until it is
    /// dropped.
    pub async fn keep_up(self: Arc<Self>, hub: Arc<Hub>, broker: Arc<dyn Broker>) {
        loop {
            let deaf = is_deaf(&*broker);
            let hears = || broker.hearing().is_ok() && !self.leaves.load(Ordering::Relaxed);
            let told = hears();
            let mut renewed = self.presence.renew(&self.run, told).await;
            // What leaving tells must not be taken back by what was on its way.
            if told && !hears() {
                renewed = self.presence.renew(&self.run, false).await;
            }
            if let Err(error) = renewed {
                tracing::warn!(%error, "presence was not told that this node lives");
            }
            let alone = deaf && self.presence.others_hear(&self.run).await.unwrap_or(false);
            self.deaf_alone.store(alone, Ordering::Relaxed);
            match self.presence.nodes().await {
                Ok(live) => {
                    let known = self.known().next(live);
                    if let Some(known) = known {
                        *self.known.write() = Arc::new(known);
                        hub.nodes_changed();
                    }
                }
                Err(error) => tracing::debug!(%error, "nobody knows which nodes live"),
            }
            // That it turned deaf, or hears again, is said at once.
            let next = Instant::now() + self.lease / 4;
            while Instant::now() < next && is_deaf(&*broker) == deaf {
                tokio::time::sleep(LISTEN.min(self.lease / 4)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| NodeId::parse(name).unwrap()).collect()
    }

    #[test]
    fn who_died_is_known_until_it_comes_back() {
        let first = Known::default().next(nodes(&["a", "b"])).unwrap();
        assert!(first.dead.is_empty() && first.next(nodes(&["b", "a"])).is_none());
        let second = first.next(nodes(&["a", "c"])).unwrap();
        assert_eq!((&second.dead, second.returned), (&nodes(&["b"]).into_iter().collect(), 0));
        let third = second.next(nodes(&["a", "b"])).unwrap();
        assert_eq!((&third.dead, third.returned), (&nodes(&["c"]).into_iter().collect(), 1));
    }
}
