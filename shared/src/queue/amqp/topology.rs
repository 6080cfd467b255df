//! Every name that is used in RabbitMQ, and how it is declared.
//!
//! | name | what |
//! |---|---|
//! | `<prefix>.messages` | the exchange and the quorum queue of what must still reach the database |
//! | `<prefix>.dead` | the exchange and the quorum queue of what never can, with its reason |
//!
//! The queue is bounded in bytes and *refuses* at its bound: with any other overflow RabbitMQ
//! confirms what it drops. The dead have no bound, since they may not be lost and have nowhere
//! else to go; they are few, and RabbitMQ's own alarm guards the disk.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::link::{Channels, LinkError};
use super::{Depth, Options};

/// How often a message may come back. Versions from 4.0 would put it aside after 20 times, though
/// it is only given back when the database is away; with a number of any size set, what comes back
/// keeps its place in front.
const DELIVERY_LIMIT: i64 = 1_000_000_000;

/// The header that says why something is among the dead.
pub(super) const REASON: &str = "x-moim-reason";

/// The names under one prefix.
#[derive(Debug)]
pub(super) struct Topology {
    /// Exchange, queue and routing key of the messages.
    pub messages: String,
    /// Exchange, queue and routing key of the dead.
    pub dead: String,
    pub queue_bytes: i64,
}

impl Topology {
    pub fn new(options: &Options) -> Self {
        Self {
            messages: format!("{}.messages", options.prefix),
            dead: format!("{}.dead", options.prefix),
            queue_bytes: i64::try_from(options.queue_bytes).unwrap_or(i64::MAX),
        }
    }

    /// A channel on which everything was found or made.
    pub async fn open(&self, channels: &Channels) -> Result<Channel, LinkError> {
        let channel = channels.open().await?;
        let Err(refused) = self.declare(&channel, self.queue_bytes).await else {
            return Ok(channel);
        };
        // It was made when `queue_bytes` was another one, and this cannot be changed in a queue
        // that exists. All the rest must be as it should: it is declared with that bound.
        let Some(stands) = other_bound(&refused) else { return Err(refused.into()) };
        let channel = channels.open().await?;
        self.declare(&channel, stands).await?;
        tracing::warn!(
            queue = %self.messages,
            bytes = stands,
            configured = self.queue_bytes,
            "the queue exists with another bound, which stays: to change it, drain and delete the \
             queue; it is made again at once"
        );
        Ok(channel)
    }

    /// Makes what is missing. A queue that exists otherwise closes the channel.
    pub async fn declare(&self, channel: &Channel, queue_bytes: i64) -> lapin::Result<()> {
        for (name, arguments) in self.queues(queue_bytes) {
            declare_one(channel, &name, arguments).await?;
        }
        Ok(())
    }

    /// The queues with their arguments, in the order in which they are made.
    pub fn queues(&self, queue_bytes: i64) -> [(String, FieldTable); 2] {
        let quorum = text("quorum");
        let dead = [("x-queue-type", quorum.clone())];
        let messages = [
            ("x-queue-type", quorum),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", AMQPValue::LongLongInt(queue_bytes)),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", text(&self.dead)),
            ("x-dead-letter-routing-key", text(&self.dead)),
            // Its default may lose what is put aside; this needs `reject-publish`.
            ("x-dead-letter-strategy", text("at-least-once")),
        ];
        [(self.dead.clone(), table(dead)), (self.messages.clone(), table(messages))]
    }

    /// The same again, with the bound that the queue has by now.
    pub async fn declare_again(&self, channels: &Channels) -> Result<(), LinkError> {
        let channel = self.open(channels).await?;
        Ok(channel.close(200, "OK".into()).await?)
    }

    /// How much is in the queues.
    pub async fn depth(&self, channel: &Channel) -> lapin::Result<Depth> {
        let messages = self.ready(channel).await?;
        Ok(Depth { messages, dead: count(channel, &self.dead).await? })
    }

    /// How many messages no consumer holds.
    pub async fn ready(&self, channel: &Channel) -> lapin::Result<u32> {
        count(channel, &self.messages).await
    }
}

async fn declare_one(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default();
    channel.exchange_declare(name.into(), ExchangeKind::Direct, durable, none.clone()).await?;
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.into(), name.into(), name.into(), bind, none).await
}

fn table<const N: usize>(arguments: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    table
}

async fn count(channel: &Channel, queue: &str) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    Ok(found.message_count())
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// The bound that the queue has, if RabbitMQ refused the declaration for that alone, as far as it
/// says.
pub(super) fn other_bound(refused: &lapin::Error) -> Option<i64> {
    const PRECONDITION_FAILED: u16 = 406;
    let ErrorKind::ProtocolError(error) = refused.kind() else { return None };
    let told = error.get_message().as_str();
    if error.get_id() != PRECONDITION_FAILED || !told.contains("'x-max-length-bytes'") {
        return None;
    }
    let (_, current) = told.split_once("current is")?;
    current.split('\'').nth(1)?.parse().ok()
}
