//! RabbitMQ for a test: names of its own, which are gone at the end, and a second way in.

use std::sync::Arc;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ExchangeDeleteOptions,
    QueueDeleteOptions,
};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use moim_shared::ids::NodeId;
use moim_shared::queue::Queue;
use moim_shared::queue::amqp::{AmqpQueue, Options};

use super::contract::{BOUND, within};
use super::proxy::Proxy;

/// Everything is declared when it has started.
pub struct Rig {
    pub options: Options,
    queue: Arc<AmqpQueue>,
    operator: Operator,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options();
        change(&mut options);
        let operator = Operator::start(&options.prefix).await;
        let queue = Arc::new(AmqpQueue::start(options.clone()));
        let rig = Self { options, queue, operator };
        // A queue that two connections make at once refuses at first, and not every test retries.
        rig.until(|rig| rig.amqp().numbers().connected).await;
        rig
    }

    /// One whose connections go through a proxy.
    pub async fn behind_a_proxy(change: impl FnOnce(&mut Options)) -> (Self, Proxy) {
        let (before, host, after) = url_parts();
        let proxy = Proxy::to(host).await;
        let address = format!("{before}{}{after}", proxy.address()).parse().unwrap();
        let rig = Self::with(|options| {
            options.address = address;
            // A connection that is cut while it is made is seen by its silence only.
            options.connect_within = std::time::Duration::from_secs(1);
            change(options);
        });
        (rig.await, proxy)
    }

    pub fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    pub fn amqp(&self) -> &AmqpQueue {
        &self.queue
    }

    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Waits until something is so. The adapter has no events for it.
    pub async fn until(&self, so: impl Fn(&Self) -> bool) {
        within(async {
            while !so(self) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    pub async fn end(self) {
        self.queue.close();
        within(self.queue.ended()).await;
        self.operator.delete_all().await;
    }
}

fn url() -> String {
    std::env::var("MOIM_TEST_AMQP_URL").unwrap_or_else(|_| {
        panic!("MOIM_TEST_AMQP_URL is not set: run the tests through `deploy/services`, or set it")
    })
}

/// What stands before the host and port, these, and what stands behind.
fn url_parts() -> (String, String, String) {
    let url = url();
    let start = url.rfind('@').map_or_else(|| url.find("://").unwrap() + 3, |at| at + 1);
    let end = url[start..].find('/').map_or(url.len(), |length| start + length);
    (url[..start].into(), url[start..end].into(), url[end..].into())
}

fn options() -> Options {
    let mut options = Options::new(url().parse().unwrap());
    options.prefix = format!("moim-test-{}", NodeId::random());
    options.bound = BOUND;
    options
}

/// One who looks into the broker beside the adapter.
pub struct Operator {
    channel: Channel,
    _connection: Connection,
    prefix: String,
}

impl Operator {
    async fn start(prefix: &str) -> Self {
        let url = url();
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = within(connecting).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { channel, _connection: connection, prefix: prefix.into() }
    }

    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    pub fn name(&self, of: &str) -> String {
        format!("{}.{of}", self.prefix)
    }

    pub async fn delete(&self, of: &str) {
        let name = self.name(of).into();
        self.channel.queue_delete(name, QueueDeleteOptions::default()).await.unwrap();
    }

    /// Publishes bytes as they are.
    pub async fn publish(&self, of: &str, payload: &[u8]) {
        let name = self.name(of);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default();
        let (exchange, key) = (name.as_str().into(), name.as_str().into());
        let publishing =
            self.channel.basic_publish(exchange, key, options, payload, properties).await;
        publishing.unwrap().await.unwrap();
    }

    /// Takes one message: its payload and the reason that it carries.
    pub async fn get(&self, of: &str) -> (Vec<u8>, Option<String>) {
        let get = async {
            loop {
                let options = BasicGetOptions::default();
                let got = self.channel.basic_get(self.name(of).into(), options).await.unwrap();
                if let Some(got) = got {
                    return got.delivery;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let delivery = within(get).await;
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let reason = headers.inner().get("x-moim-reason").map(|value| match value {
            AMQPValue::LongString(text) => text.to_string(),
            other => panic!("{other:?}"),
        });
        (delivery.data, reason)
    }

    async fn delete_all(&self) {
        for of in ["messages", "dead"] {
            self.delete(of).await;
            let options = ExchangeDeleteOptions::default();
            self.channel.exchange_delete(self.name(of).into(), options).await.unwrap();
        }
    }
}
