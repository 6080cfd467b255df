//! A thread's way to the database: a connection that is made again when it was lost, and work that
//! is tried again when another transaction came in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::result::Error;
use parking_lot::Mutex;

use super::address::Address;
use super::fault::{self, Kind};
use super::session::Session;
use super::{Conn, Options};
use crate::backoff::Backoff;
use crate::store::StoreError;

/// For how long work is tried again when others come in between.
const PATIENCE: Duration = Duration::from_secs(8);
/// How much longer than one statement an attempt may take.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// How often work is tried again when its connection was lost, and when nobody knows what is wrong
/// with it.
const LOST: u32 = 2;
const UNCLEAR: u32 = 3;

/// Only who may set it gets errors in English; others have what their database says.
pub(super) const ENGLISH: &str = "DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false); \
    EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

/// The database server, for all threads.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) options: Options,
    /// While it is away only one look at it is taken in a while; the others hear what that one saw.
    away: Mutex<(Backoff, Option<(Instant, StoreError)>)>,
}

impl Server {
    pub(super) fn new(address: Address, options: Options) -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        Self { address, options, away: Mutex::new((backoff, None)) }
    }

    fn connect(&self, setup: &str) -> Result<Session, StoreError> {
        if let (_, Some((until, error))) = &*self.away.lock()
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let statement = self.options.statement_timeout.as_millis();
        let setup = format!(
            "{ENGLISH}; SET statement_timeout = {statement}; \
             SET idle_in_transaction_session_timeout = {statement}; SET jit = off; {setup}"
        );
        let opened = Session::open(&self.address, self.options.connect_timeout, &setup);
        let (backoff, away) = &mut *self.away.lock();
        match &opened {
            Ok(_) => {
                backoff.reset();
                *away = None;
            }
            Err(error) => *away = Some((Instant::now() + backoff.wait(), error.clone())),
        }
        opened
    }
}

/// See the module.
pub(super) struct Link {
    server: Arc<Server>,
    setup: &'static str,
    session: Option<Session>,
}

/// How a transaction is begun, and what it may do twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction {
    pub(super) begin: &'static str,
    /// Carried out twice it has the same outcome and the same answer.
    pub(super) idempotent: bool,
}

/// An attempt that failed.
struct Failed {
    error: Error,
    /// It may have been carried out all the same.
    unknown: bool,
}

impl Link {
    /// Connections of this link are prepared with `setup`.
    pub(super) const fn new(server: Arc<Server>, setup: &'static str) -> Self {
        Self { server, setup, session: None }
    }

    /// Says good-bye.
    pub(super) fn close(self) {
        if let Some(session) = self.session {
            session.close();
        }
    }

    /// Asks something that changes nothing.
    pub(super) fn read<T>(
        &mut self,
        mut ask: impl FnMut(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        self.run(|conn| ask(conn).map_err(|error| Failed { error, unknown: false }))
    }

    /// All of `work` or nothing of it.
    pub(super) fn transact<T>(
        &mut self,
        transaction: Transaction,
        mut work: impl FnMut(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        self.run(|conn| {
            let known = |error| Failed { error, unknown: false };
            conn.batch_execute(transaction.begin).map_err(known)?;
            let done = work(conn).map_err(known)?;
            let unknown = !transaction.idempotent;
            conn.batch_execute("COMMIT").map_err(|error| Failed { error, unknown })?;
            Ok(done)
        })
    }

    fn run<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Conn) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let end = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(100));
        let mut lost = 0;
        loop {
            let mut session = match self.session.take() {
                Some(session) => session,
                None => self.server.connect(self.setup)?,
            };
            session.begin(self.server.options.statement_timeout + GRACE);
            let outcome = attempt(&mut session.conn);
            session.end();
            let Failed { error, unknown } = match outcome {
                Ok(done) => {
                    self.session = Some(session);
                    return Ok(done);
                }
                Err(failed) => failed,
            };
            let kind = if session.is_gone() { Kind::Lost } else { fault::kind(&error) };
            let again = match kind {
                // If the server has gone for good, the next connection is not made.
                Kind::Lost => lost < LOST && !unknown,
                Kind::Conflict => Instant::now() < end,
                Kind::Unclear => backoff.tries() < UNCLEAR,
                Kind::Final => false,
            };
            // Whatever state a failure left it in, nobody else shall find it so.
            let kept =
                kind != Kind::Lost && again && session.conn.batch_execute("ROLLBACK").is_ok();
            if kept {
                self.session = Some(session);
            } else {
                session.close();
            }
            if !again {
                let error = match kind {
                    Kind::Lost => fault::of_lost(&self.server.address.shown, &error),
                    _ => fault::of_statement(&self.server.address.shown, &error),
                };
                tracing::warn!("the database: {error}");
                return Err(error);
            }
            match kind {
                Kind::Lost => lost += 1,
                _ => std::thread::sleep(backoff.wait()),
            }
        }
    }
}
