//! AMQP messages that were sent and are not confirmed.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation};

use super::link::LinkError;
use super::topology::{REASON, Topology};
use super::waiting::{Message, Waiting};
use crate::queue::QueueError;

/// On disk, not in memory only.
const PERSISTENT: u8 = 2;

/// What is under way on one channel.
pub(super) struct Flight {
    channel: Channel,
    topology: Arc<Topology>,
    waiting: Arc<Waiting>,
    /// In the order of sending.
    messages: Vec<Sent>,
    next: u64,
    /// Those that came back to us and whose confirm was not seen yet.
    returned: HashSet<u64>,
    moved: Instant,
}

struct Sent {
    number: u64,
    message: Message,
    at: Instant,
    confirm: Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>,
}

/// What became of a message.
pub(super) struct Outcome {
    pub message: Message,
    pub landing: Landing,
}

/// How a message ended.
pub(super) enum Landing {
    /// It is in the queue.
    Confirmed,
    /// RabbitMQ has no room for it, or no leader for its queue.
    Refused,
    /// RabbitMQ knows no queue for it. Confirmed nevertheless, in its way.
    Returned,
    /// It may be in the queue or not.
    Failed(LinkError),
}

impl Flight {
    pub fn new(channel: Channel, topology: Arc<Topology>, waiting: Arc<Waiting>) -> Self {
        Self {
            channel,
            topology,
            waiting,
            messages: Vec::new(),
            next: 0,
            returned: HashSet::new(),
            moved: Instant::now(),
        }
    }

    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Sends when [`Flight::landed`] is awaited next.
    pub fn send(&mut self, mut message: Message) {
        let number = self.next;
        self.next += 1;
        let payload = std::mem::take(&mut message.payload);
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/x-protobuf".into())
            .with_message_id(number.to_string().into());
        let name = match &message.reason {
            None => &self.topology.messages,
            Some(reason) => {
                let mut headers = FieldTable::default();
                let reason = LongString::from(reason.as_str());
                headers.insert(REASON.into(), AMQPValue::LongString(reason));
                properties = properties.with_headers(headers);
                &self.topology.dead
            }
        };
        let (exchange, key) = (name.as_str().into(), name.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let channel = self.channel.clone();
        let confirm = Box::pin(async move {
            channel.basic_publish(exchange, key, options, &payload, properties).await?.await
        });
        self.waiting.sending();
        self.messages.push(Sent { number, message, at: Instant::now(), confirm });
    }

    /// Waits until some have landed.
    pub async fn landed(&mut self) -> Vec<Outcome> {
        poll_fn(|context| self.poll_landed(context)).await
    }

    /// A message that came back is told with the next confirm, which need not be its own; but
    /// always with one that was there when its own was. So everything that is there is looked at
    /// before anything is believed, and the returned one is known by its number.
    fn poll_landed(&mut self, context: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        let mut landed = Vec::new();
        loop {
            let before = landed.len();
            self.poll_each(context, &mut landed);
            if landed.len() == before {
                break;
            }
        }
        if landed.is_empty() {
            return Poll::Pending;
        }
        self.moved = Instant::now();
        let outcome = |(sent, confirm): (Sent, lapin::Result<Confirmation>)| {
            let came_back = self.returned.remove(&sent.number);
            let landing = match confirm {
                Ok(Confirmation::Ack(_)) if came_back => Landing::Returned,
                Ok(Confirmation::Ack(_)) => Landing::Confirmed,
                Ok(Confirmation::Nack(_)) => Landing::Refused,
                Ok(Confirmation::NotRequested) => {
                    Landing::Failed(LinkError("the channel confirms nothing".into()))
                }
                Err(error) => Landing::Failed(error.into()),
            };
            Outcome { message: sent.message, landing }
        };
        Poll::Ready(landed.into_iter().map(outcome).collect())
    }

    fn poll_each(
        &mut self,
        context: &mut Context<'_>,
        landed: &mut Vec<(Sent, lapin::Result<Confirmation>)>,
    ) {
        let mut place = 0;
        while let Some(sent) = self.messages.get_mut(place) {
            let Poll::Ready(confirm) = sent.confirm.as_mut().poll(context) else {
                place += 1;
                continue;
            };
            if let Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) =
                &confirm
            {
                let number = returned.properties.message_id().as_ref();
                self.returned.extend(number.and_then(|number| number.as_str().parse::<u64>().ok()));
            }
            landed.push((self.messages.remove(place), confirm));
        }
    }

    /// The time under a block does not count.
    pub fn unblocked(&mut self) {
        self.moved = Instant::now();
    }

    /// Answers those who waited for longer than `within`. True when nothing at all has landed for
    /// that long.
    pub fn refuse_overdue(&mut self, now: Instant, within: Duration) -> bool {
        let overdue = |since: Instant| now.saturating_duration_since(since) >= within;
        let mut any = false;
        for sent in self.messages.iter_mut().filter(|sent| overdue(sent.at)) {
            any = true;
            let reason = format!("no confirm within {within:?}");
            sent.message.answer(&Err(QueueError::Refused(reason)));
        }
        any && overdue(self.moved)
    }

    /// Gives all up.
    pub fn refuse(&mut self, error: &LinkError) {
        let reason = format!("RabbitMQ was lost before its confirm: {error}");
        for sent in self.messages.drain(..) {
            self.waiting.done(sent.message, &Err(QueueError::Refused(reason.clone())));
        }
    }
}
