//! One connection on one thread, driven while the thread works with it.
//!
//! **Invariant**: whatever is asked of a session ends. A server that does not answer in time, and
//! did not end the statement itself, is taken for gone.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::BlockOn;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Connection;
use tokio_postgres::tls::TlsStream;

use super::Conn;
use super::address::Address;
use super::fault;
use crate::store::StoreError;

/// A connection says good-bye within this.
const GOODBYE: Duration = Duration::from_millis(200);
/// How exactly the end of a session's time is seen.
const TICK: Duration = Duration::from_secs(1);

thread_local! {
    /// Beside diesel's own choice, which has no clock.
    static RUNTIME: io::Result<Runtime> = Builder::new_current_thread().enable_all().build();
}

/// Drives futures on the thread that waits for them.
pub struct OnThisThread;

impl BlockOn for OnThisThread {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        RUNTIME.with(|runtime| match runtime {
            Ok(runtime) => runtime.block_on(future),
            Err(error) => unreachable!("no connection is made without a runtime: {error}"),
        })
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// An open connection.
pub(super) struct Session {
    pub(super) conn: Conn,
    /// When what is asked must have been answered.
    until: Arc<Mutex<Option<Instant>>>,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects within `within` and prepares the connection with these statements.
    pub(super) fn open(
        address: &Address,
        within: Duration,
        setup: &str,
    ) -> Result<Self, StoreError> {
        RUNTIME.with(|runtime| match runtime {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Unavailable(format!("no runtime: {error}"))),
        })?;
        let opening = Box::pin(async { timeout(within, Self::connect(address)).await });
        let mut session = OnThisThread.block_on(opening).unwrap_or_else(|_elapsed| {
            Err(StoreError::Unavailable(format!(
                "{}: no answer within {within:?}; check that it runs and that the way to it is open",
                address.shown
            )))
        })?;
        session.begin(within);
        let ready = session.conn.batch_execute(setup);
        session.end();
        match ready {
            Ok(()) => Ok(session),
            Err(error) => {
                session.close();
                Err(fault::of_statement(&address.shown, &error))
            }
        }
    }

    async fn connect(address: &Address) -> Result<Self, StoreError> {
        let connected = address.config.connect(address.tls.clone()).await;
        let (client, connection) =
            connected.map_err(|error| fault::of_connection(&address.shown, &error))?;
        let until = Arc::new(Mutex::new(None));
        let driver = tokio::spawn(drive(connection, until.clone()));
        let conn = AsyncPgConnection::try_from(client).await.map_err(|error| {
            StoreError::Unavailable(format!("{}: {error}; try again", address.shown))
        })?;
        Ok(Self { conn: Conn::from(conn), until, driver })
    }

    /// From now on there is so much time.
    pub(super) fn begin(&self, time: Duration) {
        *self.until.lock() = Some(Instant::now() + time);
    }

    /// It was answered.
    pub(super) fn end(&self) {
        *self.until.lock() = None;
    }

    /// Whether the other end has gone; it may also be seen a moment later.
    pub(super) fn is_gone(&self) -> bool {
        // What came while nobody looked.
        OnThisThread.block_on(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        self.driver.is_finished()
    }

    /// Ends it without leaving anything behind.
    pub(super) fn close(self) {
        let Self { conn, mut driver, .. } = self;
        drop(conn);
        OnThisThread.block_on(async {
            if timeout(GOODBYE, &mut driver).await.is_err() {
                driver.abort();
                let _ = driver.await;
            }
        });
    }
}

/// Moves bytes until the connection ends, or its time does.
async fn drive<S: TlsStream + Unpin>(
    connection: Connection<tokio_postgres::Socket, S>,
    until: Arc<Mutex<Option<Instant>>>,
) {
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!("a connection to the database ended: {error}");
                }
                return;
            }
            () = tokio::time::sleep(TICK) => {
                if until.lock().is_some_and(|until| until < Instant::now()) {
                    tracing::warn!("the database does not answer; its connection is given up");
                    return;
                }
            }
        }
    }
}
