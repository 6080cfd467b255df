//! Keeps one connection: opens it again and again, and says so once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Channel;

use super::Options;
use super::link::{Link, LinkError};
use super::topology::Topology;
use crate::backoff::Backoff;

/// A connection that lived this long was a good one: the next try waits little again.
const STEADY: Duration = Duration::from_secs(5);

/// The one who opens a connection, with everything declared.
pub(super) struct Keeper {
    options: Arc<Options>,
    topology: Arc<Topology>,
    role: &'static str,
    backoff: Backoff,
    opened: Option<Instant>,
    lost: Option<Instant>,
}

impl Keeper {
    /// `role` is for logs and for RabbitMQ's lists.
    pub fn new(options: Arc<Options>, topology: Arc<Topology>, role: &'static str) -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        Self { options, topology, role, backoff, opened: None, lost: None }
    }

    /// Tries until it stands.
    pub async fn open(&mut self) -> (Link, Channel) {
        loop {
            if self.lost.is_some() {
                tokio::time::sleep(self.backoff.wait()).await;
            }
            match self.try_open().await {
                Ok(opened) => {
                    let (role, address) = (self.role, &self.options.address);
                    match self.lost.take() {
                        Some(lost) => {
                            let away = lost.elapsed();
                            tracing::info!(role, ?away, "RabbitMQ at {address} is back");
                        }
                        None => tracing::info!(role, "connected to RabbitMQ at {address}"),
                    }
                    self.opened = Some(Instant::now());
                    return opened;
                }
                Err(error) => self.lose(&error),
            }
        }
    }

    async fn try_open(&self) -> Result<(Link, Channel), LinkError> {
        let name = format!("{} {}", self.options.prefix, self.role);
        let link = Link::open(&self.options, &name).await?;
        let declared = self.topology.open(link.channels());
        match tokio::time::timeout(self.options.connect_within, declared).await {
            Ok(Ok(channel)) => Ok((link, channel)),
            Ok(Err(error)) => {
                link.close().await;
                Err(error)
            }
            Err(_elapsed) => Err(LinkError("RabbitMQ does not answer to declarations".into())),
        }
    }

    /// What was opened is of no use any more.
    pub fn lose(&mut self, error: &LinkError) {
        if self.opened.take().is_some_and(|opened| opened.elapsed() >= STEADY) {
            self.backoff.reset();
        }
        let (role, address) = (self.role, &self.options.address);
        if self.lost.is_none() {
            self.lost = Some(Instant::now());
            tracing::warn!(role, %error, "RabbitMQ at {address} is away, connecting again");
        } else {
            tracing::debug!(role, %error, "RabbitMQ at {address} is still away");
        }
    }
}
