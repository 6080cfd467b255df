//! One connection to RabbitMQ.
//!
//! Coming back is ours and not lapin's: its own recovery would keep confirms and deliveries of a
//! connection that is gone undecided, and a room waits for an answer.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{Stream, StreamExt};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event};
use parking_lot::Mutex;
use tokio::net::lookup_host;

use super::Options;

/// How long a proper end of a connection may take before it is cut.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How often a silent connection is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Why a connection or a channel is of no use. For logs and callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct LinkError(pub String);

impl From<lapin::Error> for LinkError {
    fn from(error: lapin::Error) -> Self {
        Self(error.to_string())
    }
}

/// A connection. Dropping it cuts it.
pub(super) struct Link {
    channels: Channels,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    _cut: Cut,
}

/// Opens channels on a connection, which may be gone by then.
#[derive(Clone)]
pub(super) struct Channels {
    connection: Arc<Connection>,
}

/// What a connection tells by itself.
pub(super) enum News {
    /// RabbitMQ takes nothing any more, for this reason.
    Blocked(String),
    /// It takes again.
    Unblocked,
    /// The connection or its channel is of no use any more.
    Lost(LinkError),
}

impl Link {
    /// Connects, once, as `name` in RabbitMQ's lists.
    pub async fn open(options: &Options, name: &str) -> Result<Self, LinkError> {
        match tokio::time::timeout(options.connect_within, Self::connect(options, name)).await {
            Ok(opened) => opened,
            Err(_elapsed) => {
                let within = options.connect_within;
                Err(LinkError(format!("no connection within {within:?}")))
            }
        }
    }

    async fn connect(options: &Options, name: &str) -> Result<Self, LinkError> {
        let cut = Cut::default();
        let (socket, to) = (cut.0.clone(), options.clone());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        // As lapin would, but for the second handle: a connection whose peer has gone silent ends
        // when we say so and not when TCP gives up.
        let connection = Connection::connector(
            options.address.uri().clone(),
            lapin::runtime::default_runtime()?,
            async move |_uri: AMQPUri, runtime| {
                let reach = async |found| AsyncTcpStream::connect(&runtime, found).await;
                let stream = dial(&to, reach, |stream| match stream {
                    AsyncTcpStream::Plain(plain) => socket.lock().keep(plain.get_ref().as_fd()),
                    _sealed => Ok(()),
                });
                Ok(stream.await?)
            },
            properties,
        )
        .await?;
        let events = Box::pin(connection.events_listener());
        Ok(Self { channels: Channels { connection: Arc::new(connection) }, events, _cut: cut })
    }

    pub const fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Waits for what the connection tells; `channel` is the one that it is used for.
    pub async fn news(&mut self, channel: &Channel) -> News {
        loop {
            let event = tokio::time::timeout(GLANCE, self.events.next()).await;
            match event {
                Ok(Some(Event::ConnectionBlocked(reason))) => return News::Blocked(reason),
                Ok(Some(Event::ConnectionUnblocked)) => return News::Unblocked,
                // It may be about another channel, on which something was asked.
                Ok(Some(Event::Error(error))) if !self.stands(channel) => {
                    return News::Lost(error.into());
                }
                Ok(Some(_other)) => {}
                Ok(None) => return News::Lost(LinkError("the connection ended".into())),
                Err(_elapsed) if self.stands(channel) => {}
                Err(_elapsed) => return News::Lost(LinkError("the connection ended".into())),
            }
        }
    }

    /// `future`, unless the connection is lost before or it takes longer than `within`.
    pub async fn meanwhile<T>(
        &mut self,
        channel: &Channel,
        within: Duration,
        future: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, LinkError> {
        let lost = async {
            loop {
                if let News::Lost(error) = self.news(channel).await {
                    return error;
                }
            }
        };
        tokio::select! {
            result = bounded(within, future) => result,
            error = lost => Err(error),
        }
    }

    /// Whether it and its channel stand, as far as it knows.
    fn stands(&self, channel: &Channel) -> bool {
        self.channels.connection.status().connected() && channel.status().connected()
    }

    /// Ends it as the protocol wants, or cuts it when there is no answer.
    pub async fn close(self) {
        let connection = &self.channels.connection;
        // It is over either way.
        let _ = tokio::time::timeout(CLOSE_WITHIN, connection.close(200, "OK".into())).await;
    }
}

impl Channels {
    /// A new channel.
    pub async fn open(&self) -> Result<Channel, LinkError> {
        Ok(self.connection.create_channel().await?)
    }
}

/// Reaches RabbitMQ by `reach`, and shakes hands where its address wants TLS. `seen` is shown the
/// socket before that.
pub(super) async fn dial<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    options: &Options,
    reach: impl AsyncFnOnce(Vec<SocketAddr>) -> io::Result<AsyncTcpStream<S>>,
    seen: impl FnOnce(&AsyncTcpStream<S>) -> io::Result<()>,
) -> io::Result<AsyncTcpStream<S>> {
    let place = &options.address.uri().authority;
    let dial = async {
        let found = lookup_host((place.host.as_str(), place.port)).await?;
        reach(found.collect()).await
    };
    let stream = tokio::time::timeout(options.connect_within, dial).await??;
    seen(&stream)?;
    if !options.address.tls() {
        return Ok(stream);
    }
    let ca = OwnedTLSConfig { cert_chain: options.ca.clone(), identity: None };
    stream.into_tls(&place.host, ca.as_ref()).await
}

/// Ends a socket that others hold, at its drop at the latest.
#[derive(Default)]
struct Cut(Arc<Mutex<Socket>>);

#[derive(Default)]
struct Socket {
    stream: Option<TcpStream>,
    cut: bool,
}

impl Socket {
    fn keep(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.cut {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream = Some(socket.try_clone_to_owned()?.into());
        Ok(())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let mut socket = self.0.lock();
        socket.cut = true;
        if let Some(stream) = socket.stream.take() {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// `future`, but not for longer than `within`.
pub(super) async fn bounded<T, E: Into<LinkError>>(
    within: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(within, future).await {
        Ok(result) => result.map_err(Into::into),
        Err(_elapsed) => Err(LinkError("RabbitMQ does not answer".into())),
    }
}
