//! What `doctor` wants to know of a RabbitMQ: its version, whether it lets this user work, and
//! whether the queues are as they are declared here. Nothing stays behind.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{AsyncTcpStream, BasicProperties, Channel, ExchangeKind};

use super::Options;
use super::link::{Link, LinkError, News, bounded, dial};
use super::topology::{Topology, other_bound};
use crate::ids::NodeId;

/// The first byte of a frame that holds a method.
const METHOD: u8 = 1;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// As its greeting says, if it does.
    pub version: Option<String>,
    /// How each queue stands.
    pub queues: Vec<(String, Stands)>,
    /// Why this user may not do what is to be done.
    pub refused: Option<String>,
    /// Why it takes nothing.
    pub blocked: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It is made at the first start.
    Missing,
    /// As it is declared here.
    Fits,
    /// But for its bound, in bytes.
    OtherBound(i64),
    /// Otherwise.
    Otherwise(String),
}

/// Why nothing more is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unseen(pub String);

impl From<LinkError> for Unseen {
    fn from(error: LinkError) -> Self {
        Self(error.0)
    }
}

/// Looks.
pub(crate) async fn look(options: &Options) -> Result<Looked, Unseen> {
    let within = options.connect_within;
    let greeting = bounded(within, Box::pin(greeting(options))).await?;
    let mut looked = Looked { version: told(&greeting, "version"), ..Looked::default() };
    let mut link = Link::open(options, &format!("{} doctor", options.prefix)).await?;
    let topology = Topology::new(options);
    for (name, arguments) in topology.queues(topology.queue_bytes) {
        let stands = bounded(within, stands(&link, &name, arguments)).await?;
        looked.queues.push((name, stands));
    }
    match attempt(&mut link, &options.prefix, within).await {
        Ok(blocked) => looked.blocked = blocked,
        Err(error) => looked.refused = Some(error.0),
    }
    link.close().await;
    Ok(looked)
}

/// The frame by which it greets whoever comes.
async fn greeting(options: &Options) -> Result<Vec<u8>, LinkError> {
    let runtime = lapin::runtime::default_runtime()?;
    let reach = async |found| AsyncTcpStream::connect(&runtime, found).await;
    let told = async {
        let mut stream = dial(options, reach, |_socket| Ok(())).await?;
        say(&mut stream, b"AMQP\x00\x00\x09\x01").await?;
        let mut head = [0; 7];
        read(&mut stream, &mut head).await?;
        if head[0] != METHOD {
            let other = "what answers there is no RabbitMQ";
            return Err(io::Error::new(ErrorKind::InvalidData, other));
        }
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]).min(64 << 10);
        let mut body = vec![0; size as usize];
        read(&mut stream, &mut body).await.map(|()| body)
    };
    told.await.map_err(|error: io::Error| LinkError(error.to_string()))
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        let said = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, text)).await?;
        text = &text[said..];
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

async fn read(stream: &mut (impl AsyncRead + Unpin), mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        let read = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, into)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        into = &mut into[read..];
    }
    Ok(())
}

/// A text of the table that the greeting has: a short name, `S`, and a long text.
fn told(greeting: &[u8], name: &str) -> Option<String> {
    let mut key = vec![u8::try_from(name.len()).ok()?];
    key.extend_from_slice(name.as_bytes());
    key.push(b'S');
    let at = greeting.windows(key.len()).position(|part| part == key)? + key.len();
    let size = u32::from_be_bytes(greeting.get(at..at + 4)?.try_into().ok()?) as usize;
    let text = greeting.get(at + 4..at + 4 + size)?;
    String::from_utf8(text.to_vec()).ok()
}

async fn stands(link: &Link, name: &str, arguments: FieldTable) -> Result<Stands, LinkError> {
    const NOT_FOUND: u16 = 404;
    const DIFFERS: u16 = 406;
    let channel = link.channels().open().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    match channel.queue_declare(name.into(), passive, FieldTable::default()).await {
        Ok(_) => {}
        Err(error) if code(&error) == Some(NOT_FOUND) => return Ok(Stands::Missing),
        Err(error) => return Err(error.into()),
    }
    // It is there, so this changes nothing: it says whether it is the same.
    let same = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await;
    let Err(error) = same else {
        let _ = channel.close(200, "OK".into()).await;
        return Ok(Stands::Fits);
    };
    match (other_bound(&error), code(&error)) {
        (Some(bound), _) => Ok(Stands::OtherBound(bound)),
        (None, Some(DIFFERS)) => Ok(Stands::Otherwise(error.to_string())),
        // Nothing is known of the queue.
        (None, _) => Err(error.into()),
    }
}

fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Makes an exchange and a queue of its own, and sends a message through them. Says why RabbitMQ
/// takes none. Both end with the connection at the latest.
async fn attempt(
    link: &mut Link,
    prefix: &str,
    within: Duration,
) -> Result<Option<String>, LinkError> {
    let channel = link.channels().open().await?;
    let name = format!("{prefix}.doctor.{}", NodeId::random());
    bounded(within, make(&channel, &name)).await?;
    let publish = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default();
    let place = || name.as_str().into();
    let published = channel.basic_publish(place(), place(), publish, b"", properties).await?;
    let taken = async {
        loop {
            match link.news(&channel).await {
                News::Blocked(reason) => return Ok(Some(reason)),
                News::Unblocked => {}
                News::Lost(error) => return Err(error),
            }
        }
    };
    let blocked = tokio::select! {
        confirmed = bounded(within, published) => confirmed.map(|_confirmed| None),
        news = taken => news,
    }?;
    if blocked.is_none() {
        let get = BasicGetOptions { no_ack: true };
        bounded(within, channel.basic_get(place(), get)).await?;
    }
    Ok(blocked)
}

async fn make(channel: &Channel, name: &str) -> lapin::Result<()> {
    let none = FieldTable::default();
    let exchange = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    let queue = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.exchange_declare(name.into(), ExchangeKind::Direct, exchange, none.clone()).await?;
    // Where another type is the usual one, it could not be exclusive.
    let mut classic = FieldTable::default();
    classic.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("classic")));
    channel.queue_declare(name.into(), queue, classic).await?;
    // The exchange goes with its last binding, and that with the queue.
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.into(), name.into(), name.into(), bind, none).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_its_version_or_does_not() {
        let mut greeting = b"\0\x0a\0\x0a\0\x09\0\0\0\x30\x07productS\0\0\0\x08RabbitMQ".to_vec();
        greeting.extend_from_slice(b"\x07versionS\0\0\0\x063.10.8\0\0\0\x05PLAIN");
        assert_eq!(told(&greeting, "version").as_deref(), Some("3.10.8"));
        assert_eq!(told(&greeting, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(told(&greeting, "platform"), None);
        let cut = greeting.len() - 12;
        assert_eq!(told(&greeting[..cut], "version"), None);
        assert_eq!(told(b"HTTP/1.1 400 Bad Request", "version"), None);
    }
}
