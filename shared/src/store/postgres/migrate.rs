//! The schema: who brings it up to date, and what must hold before it is used.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::sync::oneshot;

use super::address::Address;
use super::session::Session;
use super::{Conn, Options, fault};
use crate::store::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long a migration may take, with waiting for another one.
const MOST: Duration = Duration::from_secs(60 * 60);

/// Brings the schema up to date, and tells which migrations that took. Safe from many processes at
/// once. On a thread and a connection of its own, as diesel's harness blocks.
pub async fn migrate(url: &str, options: &Options) -> Result<Vec<String>, StoreError> {
    let address = Address::parse(url, options.connect_timeout)?;
    let within = options.connect_timeout;
    let (reply, answer) = oneshot::channel();
    let work = move || {
        let _ = reply.send(run(&address, within));
    };
    std::thread::Builder::new()
        .name("store-migrate".into())
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(format!("no thread to migrate: {error}")))?;
    answer.await.unwrap_or_else(|_gone| {
        Err(StoreError::Unavailable("the thread that migrates failed".into()))
    })
}

fn run(address: &Address, within: Duration) -> Result<Vec<String>, StoreError> {
    let mut session = Session::open(address, within, "SET lock_timeout = 0")?;
    session.begin(MOST);
    let done = run_with(&mut session.conn, address);
    // Its end also ends the lock.
    session.close();
    done
}

fn run_with(conn: &mut Conn, address: &Address) -> Result<Vec<String>, StoreError> {
    let fault = |error: &diesel::result::Error| fault::of_statement(&address.shown, error);
    // Ours alone: "moim" and a number.
    let time = MOST.as_millis();
    let lock = format!("SET statement_timeout = {time}; SELECT pg_advisory_lock(1836018029, 2)");
    conn.batch_execute(&lock).map_err(|error| fault(&error))?;
    let applied = applied(conn).map_err(|error| fault(&error))?;
    if let Some(version) = unknown(&applied, address)? {
        return Err(newer(&version, address));
    }
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Migration(format!("{}: a migration failed: {error}", address.shown))
    };
    let done = conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(done.iter().map(ToString::to_string).collect())
}

/// What this program knows.
pub(super) fn known(address: &Address) -> Result<BTreeSet<String>, StoreError> {
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(|error| StoreError::Migration(format!("{}: {error}", address.shown)))?;
    Ok(known.iter().map(|one| one.name().version().to_string()).collect())
}

pub(super) fn unknown(
    applied: &BTreeSet<String>,
    address: &Address,
) -> Result<Option<String>, StoreError> {
    Ok(applied.difference(&known(address)?).next().cloned())
}

fn newer(version: &str, address: &Address) -> StoreError {
    StoreError::Migration(format!(
        "{} has migration {version}, which this program does not know; start the newer program \
         that wrote it",
        address.shown
    ))
}

/// Whether the schema is this program's, from what [`applied`] found.
pub(super) fn check(applied: &BTreeSet<String>, address: &Address) -> Result<(), StoreError> {
    if let Some(missing) = known(address)?.difference(applied).next() {
        return Err(StoreError::Migration(format!(
            "{} lacks migration {missing}; run `moim-server migrate`",
            address.shown
        )));
    }
    match unknown(applied, address)? {
        Some(version) => Err(newer(&version, address)),
        None => Ok(()),
    }
}

/// The migrations that the database has. Unlike diesel's own question it makes no table.
pub(super) fn applied(conn: &mut Conn) -> QueryResult<BTreeSet<String>> {
    #[derive(QueryableByName)]
    struct There {
        #[diesel(sql_type = Bool)]
        there: bool,
    }
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let there = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS there";
    let there: There = diesel::sql_query(there).get_result(conn)?;
    if !there.there {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<Version> =
        diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(conn)?;
    Ok(versions.into_iter().map(|version| version.version).collect())
}
