//! The task that fetches deliveries, once somebody wants them, and tells RabbitMQ what became of
//! each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};

use super::Options;
use super::keeper::Keeper;
use super::link::{Link, LinkError, News, bounded};
use super::shelf::{Settled, Shelf};
use super::topology::Topology;
use crate::BoxFuture;
use crate::wire::{self, WireError};

/// How often it looks for what has been here for too long, at most.
const TICK: Duration = Duration::from_millis(500);

/// How long something is kept that could not be put aside, before it is given back.
const BURY_PAUSE: Duration = Duration::from_secs(1);

/// How often a parcel of a newer version is worth a line in the log.
const NEWER_LOG: Duration = Duration::from_secs(60);

/// The consumer.
pub(super) struct Consumer {
    options: Arc<Options>,
    topology: Arc<Topology>,
    shelf: Arc<Shelf>,
    keeper: Keeper,
    newer_told: Option<Instant>,
}

/// How a connection ended.
enum End {
    /// The queue is closed and nothing is out.
    Over,
    /// Nobody took what was here.
    GivenBack,
    /// Nothing came for a while. RabbitMQ 3.10 moves a consumer whose queue is deleted and made
    /// again at once to the new queue, and swallows what that one delivers: a new channel hears.
    Quiet,
    Lost(LinkError),
}

/// Deliveries that no consumer sees, and what is to be told about them in the end.
type Asides = FuturesUnordered<BoxFuture<'static, (Acker, Settled)>>;

impl Consumer {
    pub fn new(options: Arc<Options>, topology: Arc<Topology>, shelf: Arc<Shelf>) -> Self {
        let keeper = Keeper::new(options.clone(), topology.clone(), "consumer");
        Self { options, topology, shelf, keeper, newer_told: None }
    }

    pub async fn run(mut self) {
        loop {
            while !self.shelf.wanted() {
                if self.shelf.closed() {
                    return;
                }
                self.shelf.asked().await;
            }
            let shelf = self.shelf.clone();
            let closing = async {
                while !shelf.closed() {
                    shelf.asked().await;
                }
            };
            let (mut link, channel) = tokio::select! {
                opened = self.keeper.open() => opened,
                () = closing => return,
            };
            let end = match self.consume_for_long(&mut link, channel).await {
                Ok(end) => end,
                Err(error) => End::Lost(error),
            };
            // First, so that nothing of it is acknowledged that RabbitMQ delivers again.
            self.shelf.forget();
            match end {
                End::Over => return link.close().await,
                End::GivenBack => self.shelf.rest(),
                End::Quiet => {}
                End::Lost(error) => self.keeper.lose(&error),
            }
            link.close().await;
        }
    }

    /// Consumes on one channel after the other, as long as it is only quiet.
    async fn consume_for_long(
        &mut self,
        link: &mut Link,
        mut channel: Channel,
    ) -> Result<End, LinkError> {
        loop {
            let end = self.consume(link, &channel).await?;
            if !matches!(end, End::Quiet) {
                return Ok(end);
            }
            let within = self.options.connect_within;
            bounded(within, channel.close(200, "OK".into())).await?;
            channel = bounded(within, link.channels().open()).await?;
            // When it is missing, it is made with the next connection.
            bounded(within, self.topology.ready(&channel)).await?;
        }
    }

    async fn consume(&mut self, link: &mut Link, channel: &Channel) -> Result<End, LinkError> {
        let within = self.options.connect_within;
        let qos = channel.basic_qos(self.options.prefetch, BasicQosOptions::default());
        bounded(within, qos).await?;
        let queue = self.topology.messages.as_str().into();
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(queue, "".into(), options, FieldTable::default());
        let mut deliveries = bounded(within, consuming).await?;
        let mut asides = Asides::new();
        let mut tick = tokio::time::interval(TICK.min(self.options.hold / 2));
        let mut renew = tokio::time::interval(self.options.renew_after);
        let mut heard = true;
        loop {
            let settled = self.shelf.take_settled();
            if !settled.is_empty() {
                link.meanwhile(channel, within, tell(settled)).await?;
            }
            if self.shelf.over(Instant::now(), self.options.close_within) {
                return Ok(End::Over);
            }
            tokio::select! {
                delivery = deliveries.next(), if !self.shelf.closed() => match delivery {
                    Some(delivery) => {
                        heard = true;
                        self.take(delivery?, &asides);
                    }
                    None => return Err(LinkError("RabbitMQ ended it: the queue is gone".into())),
                },
                Some(aside) = asides.next(), if !asides.is_empty() => {
                    link.meanwhile(channel, within, tell(vec![aside])).await?;
                }
                () = self.shelf.asked() => {}
                _ = renew.tick() => {
                    let quiet = !std::mem::take(&mut heard);
                    if quiet && asides.is_empty() && self.shelf.is_empty() {
                        return Ok(End::Quiet);
                    }
                }
                news = link.news(channel) => if let News::Lost(error) = news {
                    return Err(error);
                },
                _ = tick.tick() => {
                    if self.shelf.stale(Instant::now()) {
                        let role = "consumer";
                        tracing::info!(role, "nobody takes the deliveries, they go back");
                        return Ok(End::GivenBack);
                    }
                }
            }
        }
    }

    fn take(&mut self, delivery: lapin::message::Delivery, asides: &Asides) {
        let lapin::message::Delivery { data, delivery_tag, acker, .. } = delivery;
        let bytes = bytes::Bytes::from(data);
        match wire::decode_parcel(bytes.clone()) {
            Ok(envelopes) => self.shelf.put(envelopes, delivery_tag, acker),
            Err(WireError::Malformed(reason)) => {
                let size = bytes.len();
                tracing::error!(size, reason, "a message of the queue cannot be read: put aside");
                let buried = self.shelf.bury_bytes(bytes.into(), reason);
                asides.push(
                    async move {
                        if let Err(error) = buried.await {
                            tracing::warn!(%error, "it cannot be put aside either, and goes back");
                            tokio::time::sleep(BURY_PAUSE).await;
                            return (acker, Settled::Back);
                        }
                        (acker, Settled::Done)
                    }
                    .boxed(),
                );
            }
            Err(error @ WireError::TooNew(_)) => {
                if self.newer_told.is_none_or(|told| told.elapsed() >= NEWER_LOG) {
                    self.newer_told = Some(Instant::now());
                    tracing::warn!(%error, "left to a newer worker: bring this one up to date");
                }
                let pause = self.options.newer_pause;
                asides.push(
                    async move {
                        tokio::time::sleep(pause).await;
                        (acker, Settled::Back)
                    }
                    .boxed(),
                );
            }
        }
    }
}

/// Tells RabbitMQ in order; waits until it is on its way.
async fn tell(settled: Vec<(Acker, Settled)>) -> lapin::Result<()> {
    let told = settled.into_iter().map(|(acker, settled)| async move {
        match settled {
            Settled::Done => acker.ack(BasicAckOptions::default()).await,
            Settled::Back => acker.nack(BasicNackOptions { requeue: true, multiple: false }).await,
        }
    });
    for told in join_all(told).await {
        told?;
    }
    Ok(())
}
