//! What `doctor` wants to know of a Postgres server. It changes nothing.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use tokio::sync::oneshot;

use super::address::Address;
use super::session::Session;
use super::{Conn, Options, fault, migrate};
use crate::clock::now_ms;
use crate::store::StoreError;
use crate::store::schema::TABLES;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Host, port and database.
    pub at: String,
    pub server: Server,
    /// Our clock before and after [`Server::clock_ms`] was read.
    pub between: (u64, u64),
    /// Migrations that are still to be done.
    pub missing: Vec<String>,
    /// One that this program does not know.
    pub unknown: Option<String>,
    /// Tables that this user may not read and write.
    pub closed: Vec<String>,
}

/// What it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Server {
    #[diesel(sql_type = Text)]
    pub version: String,
    #[diesel(sql_type = Bool)]
    pub standby: bool,
    #[diesel(sql_type = Text)]
    pub fsync: String,
    #[diesel(sql_type = Text)]
    pub full_page_writes: String,
    #[diesel(sql_type = Text)]
    pub synchronous_commit: String,
    /// Connections that this user may have, with those that others have.
    #[diesel(sql_type = BigInt)]
    pub most: i64,
    /// Connections that there are, but for this one.
    #[diesel(sql_type = BigInt)]
    pub used: i64,
    #[diesel(sql_type = BigInt)]
    pub clock_ms: i64,
    #[diesel(sql_type = Bool)]
    pub may_create: bool,
}

const SERVER: &str = "SELECT current_setting('server_version') AS version, \
    pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS standby, \
    current_setting('fsync') AS fsync, \
    current_setting('full_page_writes') AS full_page_writes, \
    current_setting('synchronous_commit') AS synchronous_commit, \
    current_setting('max_connections')::bigint \
      - current_setting('superuser_reserved_connections')::bigint \
      - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS most, \
    (SELECT coalesce(sum(numbackends), 1)::bigint - 1 FROM pg_stat_database) AS used, \
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms, \
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create";

/// Looks, on a thread and a connection of its own, within `options`.
pub(crate) async fn look(url: &str, options: &Options) -> Result<Looked, StoreError> {
    let address = Address::parse(url, options.connect_timeout)?;
    let (connect, ask) = (options.connect_timeout, options.statement_timeout);
    let (reply, answer) = oneshot::channel();
    let work = move || drop(reply.send(run(&address, connect, ask)));
    std::thread::Builder::new()
        .name("store-look".into())
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(format!("no thread to look: {error}")))?;
    answer
        .await
        .unwrap_or_else(|_gone| Err(StoreError::Unavailable("the thread that looks failed".into())))
}

fn run(address: &Address, connect: Duration, ask: Duration) -> Result<Looked, StoreError> {
    let mut session = Session::open(address, connect, super::link::ENGLISH)?;
    session.begin(ask);
    let found = with(&mut session.conn, address);
    session.close();
    found
}

fn with(conn: &mut Conn, address: &Address) -> Result<Looked, StoreError> {
    let fault = |error| fault::of_statement(&address.shown, &error);
    let before = now_ms();
    let server: Server = diesel::sql_query(SERVER).get_result(conn).map_err(fault)?;
    let between = (before, now_ms());
    let applied = migrate::applied(conn).map_err(fault)?;
    let missing = migrate::known(address)?.difference(&applied).cloned().collect();
    let unknown = migrate::unknown(&applied, address)?;
    let closed = closed(conn).map_err(fault)?;
    Ok(Looked { at: address.shown.clone(), server, between, missing, unknown, closed })
}

fn closed(conn: &mut Conn) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Closed {
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
    }
    let ask = "SELECT name FROM unnest($1) AS name WHERE to_regclass(name) IS NOT NULL AND NOT ( \
        has_table_privilege(to_regclass(name), 'SELECT') AND \
        has_table_privilege(to_regclass(name), 'INSERT') AND \
        has_table_privilege(to_regclass(name), 'UPDATE') AND \
        has_table_privilege(to_regclass(name), 'DELETE'))";
    let closed: Vec<Closed> =
        diesel::sql_query(ask).bind::<Array<Text>, _>(&TABLES[..]).load(conn)?;
    Ok(closed.into_iter().filter_map(|closed| closed.name).collect())
}
