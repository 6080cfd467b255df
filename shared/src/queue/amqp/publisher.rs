//! The task that publishes: a few AMQP messages unconfirmed at a time, what comes meanwhile is
//! gathered into the next one, so that messages grow with load and an idle queue waits for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::ConfirmSelectOptions;
use tokio::time::MissedTickBehavior;

use super::Options;
use super::flight::{Flight, Landing, Outcome};
use super::keeper::Keeper;
use super::link::{Channels, Link, LinkError, News, bounded};
use super::topology::Topology;
use super::waiting::Waiting;
use crate::queue::QueueError;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// The publisher.
pub(super) struct Publisher {
    options: Arc<Options>,
    topology: Arc<Topology>,
    waiting: Arc<Waiting>,
    keeper: Keeper,
}

/// How a connection ended.
enum End {
    /// The queue is closed and nothing is left.
    Over,
    Lost(LinkError),
}

impl Publisher {
    pub fn new(options: Arc<Options>, topology: Arc<Topology>, waiting: Arc<Waiting>) -> Self {
        let keeper = Keeper::new(options.clone(), topology.clone(), "publisher");
        Self { options, topology, waiting, keeper }
    }

    pub async fn run(mut self) {
        loop {
            let (mut link, channel) = tokio::select! {
                opened = self.keeper.open() => opened,
                () = self.waiting.without_connection() => return,
            };
            let mut flight = Flight::new(channel, self.topology.clone(), self.waiting.clone());
            let end = self.publish(&mut link, &mut flight).await;
            self.waiting.connected(None);
            match end {
                End::Over => {
                    flight.refuse(&LinkError("the queue was closed".into()));
                    link.close().await;
                    return;
                }
                End::Lost(error) => {
                    flight.refuse(&error);
                    self.keeper.lose(&error);
                    link.close().await;
                }
            }
        }
    }

    async fn publish(&self, link: &mut Link, flight: &mut Flight) -> End {
        let confirm = flight.channel().confirm_select(ConfirmSelectOptions::default());
        if let Err(error) = bounded(self.options.connect_within, confirm).await {
            return End::Lost(error);
        }
        self.waiting.connected(Some(link.channels().clone()));
        let channel = flight.channel().clone();
        let mut blocked = false;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let may_send = |flight: &Flight| !blocked && flight.len() < self.options.window;
            while may_send(flight)
                && let Some(message) = self.waiting.gather()
            {
                flight.send(message);
            }
            let now = Instant::now();
            if flight.len() == 0 && self.waiting.over(now) || self.waiting.late(now) {
                return End::Over;
            }
            tokio::select! {
                () = self.waiting.arrived(), if may_send(flight) => {}
                outcomes = flight.landed(), if flight.len() > 0 => {
                    if let Err(error) = self.settle(link.channels(), outcomes).await {
                        return End::Lost(error);
                    }
                }
                news = link.news(&channel) => match news {
                    News::Blocked(reason) => {
                        blocked = true;
                        self.waiting.blocked(true);
                        tracing::warn!(reason, "RabbitMQ is blocked: it takes nothing for now");
                    }
                    News::Unblocked => {
                        blocked = false;
                        self.waiting.blocked(false);
                        flight.unblocked();
                        tracing::info!("RabbitMQ takes again");
                    }
                    News::Lost(error) => return End::Lost(error),
                },
                _ = tick.tick() => {
                    if let Some(end) = self.look_around(flight, blocked) {
                        return end;
                    }
                }
            }
        }
    }

    async fn settle(&self, channels: &Channels, outcomes: Vec<Outcome>) -> Result<(), LinkError> {
        let (mut returned, mut lost) = (false, None);
        for Outcome { message, landing } in outcomes {
            let result = match landing {
                Landing::Confirmed => {
                    self.waiting.took(true);
                    Ok(())
                }
                Landing::Refused => {
                    self.waiting.took(false);
                    Err("the queue in RabbitMQ is full, or has no leader".to_owned())
                }
                Landing::Returned => {
                    returned = true;
                    Err("its queue in RabbitMQ is missing, and is being made again".to_owned())
                }
                Landing::Failed(error) => Err(lost.insert(error).to_string()),
            };
            self.waiting.done(message, &result.map_err(QueueError::Refused));
        }
        if let Some(error) = lost {
            return Err(error);
        }
        if returned {
            tracing::warn!(queue = %self.topology.messages, "the queue is missing in RabbitMQ");
            let again = self.topology.declare_again(channels);
            bounded(self.options.connect_within, again).await?;
        }
        Ok(())
    }

    fn look_around(&self, flight: &mut Flight, blocked: bool) -> Option<End> {
        let now = Instant::now();
        self.waiting.refuse_overdue(now);
        if flight.refuse_overdue(now, self.options.confirm_within) && !blocked {
            let within = self.options.confirm_within;
            return Some(End::Lost(LinkError(format!("no confirm within {within:?}"))));
        }
        None
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.waiting.abandon();
    }
}
