//! A queue in RabbitMQ: what is confirmed lies on the disks of a quorum queue.
//!
//! Two connections, each kept by one task that comes back by itself: `publisher`, which gathers
//! what many rooms publish into few AMQP messages and answers each when its message is confirmed,
//! and `consumer`, which exists once somebody receives. They are apart because RabbitMQ stops
//! reading from a connection that publishes when it runs out of memory or disk: acknowledgements,
//! which make room, must still get through.

mod address;
mod consumer;
mod flight;
mod keeper;
mod link;
pub(crate) mod look;
mod publisher;
mod shelf;
mod topology;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub use self::address::{Address, AddressError};
use self::consumer::Consumer;
use self::link::LinkError;
use self::publisher::Publisher;
use self::shelf::Shelf;
use self::topology::Topology;
use self::waiting::Waiting;
use super::{Delivery, Pressure, Queue, QueueError};
use crate::BoxFuture;
use crate::envelope::Envelope;

/// How the queue is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where RabbitMQ is.
    pub address: Address,
    /// The certificate authority of an `amqps` address, as PEM; without it those that the
    /// system trusts.
    pub ca: Option<String>,
    /// What all names in RabbitMQ begin with. Two clusters on one broker have two.
    pub prefix: String,
    /// Bytes that the queue in RabbitMQ holds at most; beyond it publishes are refused.
    pub queue_bytes: u64,
    /// Bytes in this process, waiting or unconfirmed, from which on the queue is full.
    pub bound: usize,
    /// Bytes of one AMQP message, about.
    pub message_bytes: usize,
    /// Envelopes of one AMQP message, about.
    pub message_count: usize,
    /// AMQP messages that may be unconfirmed at once. What comes meanwhile is gathered.
    pub window: usize,
    /// How long a publish waits for its confirm before it is refused.
    pub confirm_within: Duration,
    /// How long a try to connect may take.
    pub connect_within: Duration,
    /// AMQP messages that this process holds unacknowledged at most.
    pub prefetch: u16,
    /// How long a delivery may lie here untaken before all go back to RabbitMQ. Must be well below
    /// its `consumer_timeout` (30 minutes).
    pub hold: Duration,
    /// How long a parcel of a newer version is kept from coming again at once.
    pub newer_pause: Duration,
    /// After how long a consumer that got nothing begins anew: RabbitMQ may have lost sight of it.
    pub renew_after: Duration,
    /// How long after [`Queue::close`] confirms and acknowledgements are waited for.
    pub close_within: Duration,
}

impl Options {
    /// The usual ones, for a broker at `address`.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            ca: None,
            prefix: "moim".into(),
            queue_bytes: 1 << 30,
            bound: 64 << 20,
            message_bytes: 256 << 10,
            message_count: 2_000,
            window: 4,
            confirm_within: Duration::from_secs(10),
            connect_within: Duration::from_secs(5),
            prefetch: 64,
            hold: Duration::from_secs(300),
            newer_pause: Duration::from_secs(5),
            renew_after: Duration::from_secs(30),
            close_within: Duration::from_secs(10),
        }
    }
}

/// The queue in RabbitMQ.
pub struct AmqpQueue {
    options: Arc<Options>,
    topology: Arc<Topology>,
    waiting: Arc<Waiting>,
    shelf: Arc<Shelf>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What this process has to do with RabbitMQ at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Publishes that are in no AMQP message yet.
    pub waiting: usize,
    /// Bytes of publishes that are not confirmed, waiting ones too.
    pub bytes: usize,
    /// AMQP messages without a confirm.
    pub unconfirmed: usize,
    /// AMQP messages sent since the start.
    pub sent: u64,
    /// Deliveries that wait here for a consumer.
    pub held: usize,
    /// The publisher's connection stands.
    pub connected: bool,
    /// RabbitMQ takes nothing: its memory or disk is running out.
    pub blocked: bool,
}

/// What lies in RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// AMQP messages that no consumer holds.
    pub messages: u32,
    /// AMQP messages that were put aside with a reason.
    pub dead: u32,
}

impl AmqpQueue {
    /// Starts to connect. Its tasks run on the Tokio runtime that this is called on, until they
    /// have done what [`Queue::close`] leaves them to do.
    pub fn start(options: Options) -> Self {
        let options = Arc::new(options);
        let topology = Arc::new(Topology::new(&options));
        let waiting = Arc::new(Waiting::new(options.clone()));
        let shelf = Arc::new(Shelf::new(options.hold, waiting.clone()));
        let publisher = Publisher::new(options.clone(), topology.clone(), waiting.clone());
        let consumer = Consumer::new(options.clone(), topology.clone(), shelf.clone());
        let consumed = waiting.clone();
        let tasks = vec![
            tokio::spawn(publisher.run()),
            tokio::spawn(async move {
                consumer.run().await;
                // Until then it may have had something to bury.
                consumed.no_more_burials();
            }),
        ];
        Self { options, topology, waiting, shelf, tasks: Mutex::new(tasks) }
    }

    /// Waits until both connections are closed, after [`Queue::close`] and when no consumer takes
    /// deliveries any more; those that it still holds may be settled. Takes little more than
    /// [`Options::close_within`]. What is not acknowledged until then comes again, elsewhere.
    pub async fn ended(&self) {
        self.shelf.abandon();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the queue died");
            }
        }
    }

    /// For metrics. Costs nothing.
    pub fn numbers(&self) -> Numbers {
        self.waiting.numbers(self.shelf.len())
    }

    /// Asks RabbitMQ how much it has, over the publisher's connection.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let Some(channels) = self.waiting.channels() else {
            return Err(QueueError::Refused("no connection to RabbitMQ".into()));
        };
        let depth = async {
            let channel = channels.open().await?;
            let depth = self.topology.depth(&channel).await;
            // A refused question has closed it already.
            let _ = channel.close(200, "OK".into()).await;
            depth.map_err(LinkError::from)
        };
        match tokio::time::timeout(self.options.connect_within, depth).await {
            Ok(Ok(depth)) => Ok(depth),
            Ok(Err(error)) => Err(QueueError::Refused(error.to_string())),
            Err(_elapsed) => Err(QueueError::Refused("RabbitMQ does not answer".into())),
        }
    }
}

impl Queue for AmqpQueue {
    fn publish(&self, envelopes: Vec<Arc<Envelope>>) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.waiting.publish(envelopes))
    }

    fn pressure(&self) -> Pressure {
        if self.waiting.full(Instant::now()) { Pressure::Full } else { Pressure::Free }
    }

    fn waiting_bytes(&self) -> usize {
        self.numbers().bytes
    }

    fn trouble(&self) -> Option<&'static str> {
        let numbers = self.numbers();
        match (numbers.connected, numbers.blocked, self.pressure()) {
            (false, _, _) => Some("not connected"),
            (true, true, _) => Some("RabbitMQ takes nothing: it is short of memory or disk"),
            (true, false, Pressure::Full) => Some("it is full"),
            (true, false, Pressure::Free) => None,
        }
    }

    fn receive(&self) -> BoxFuture<'_, Option<Delivery>> {
        Box::pin(self.shelf.receive())
    }

    fn try_receive(&self) -> Option<Delivery> {
        self.shelf.try_receive()
    }

    fn close(&self) {
        self.waiting.close();
        self.shelf.close();
    }

    fn is_closed(&self) -> bool {
        self.shelf.closed()
    }
}

impl Drop for AmqpQueue {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for AmqpQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpQueue")
            .field("address", &self.options.address)
            .field("prefix", &self.options.prefix)
            .field("numbers", &self.numbers())
            .finish()
    }
}
