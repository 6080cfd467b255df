//! What went wrong, from Postgres' words to [`StoreError`].
//!
//! Diesel hides the SQLSTATE of a statement's error but for a few kinds, so its text is read, which
//! every connection asks for in English.

use std::error::Error as _;

use diesel::result::{DatabaseErrorKind, Error};
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection is of no use any more.
    Lost,
    /// Another transaction came in between: the same one again will do.
    Conflict,
    /// Nobody knows. A few more tries tell a conflict from a wrong statement.
    Unclear,
    /// None of these.
    Final,
}

/// It may pass by itself.
const AWAY: [(&str, &str); 16] = [
    ("terminating connection", "it was restarted or somebody ended the connection"),
    ("the database system is", "wait until it has started"),
    ("too many clients", "raise max_connections, or run fewer nodes"),
    ("too many connections", "raise the connection limit, or run fewer nodes"),
    ("remaining connection slots", "raise max_connections, or run fewer nodes"),
    ("statement timeout", "look at what else keeps it busy"),
    ("lock timeout", "look for a transaction that was left open"),
    ("idle-in-transaction timeout", "look at what keeps this process busy"),
    ("user request", "somebody cancelled it"),
    ("conflict with recovery", "name the primary server, not a standby"),
    ("No space left on device", "free some disk space"),
    ("could not extend file", "free some disk space"),
    ("could not write", "look at its disk"),
    ("could not open file", "look at its disk"),
    ("out of memory", "give it more memory"),
    ("out of shared memory", "raise max_locks_per_transaction"),
];

/// The kind of a statement's error.
pub(super) fn kind(error: &Error) -> Kind {
    match error {
        Error::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::SerializationFailure => Kind::Conflict,
            // A name that came in between, seen by its index before it is seen as a conflict.
            DatabaseErrorKind::UniqueViolation => Kind::Unclear,
            // A standby, or a primary that became one: another connection may lead elsewhere.
            DatabaseErrorKind::ReadOnlyTransaction => Kind::Final,
            DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
                Kind::Lost
            }
            DatabaseErrorKind::Unknown => match info.message() {
                text if text.contains("deadlock detected") => Kind::Conflict,
                text if text.contains("terminating connection") => Kind::Lost,
                text if advice(text).is_some() => Kind::Final,
                _ => Kind::Unclear,
            },
            _ => Kind::Final,
        },
        // What stood in the way of a row went away meanwhile.
        Error::NotFound => Kind::Conflict,
        Error::BrokenTransactionManager => Kind::Lost,
        _ => Kind::Final,
    }
}

fn advice(text: &str) -> Option<&'static str> {
    AWAY.iter().find(|(words, _)| text.contains(words)).map(|(_, advice)| *advice)
}

/// A statement's error for those who asked.
pub(super) fn of_statement(shown: &str, error: &Error) -> StoreError {
    let text = error.to_string();
    if let Some(advice) = advice(&text) {
        return StoreError::Unavailable(format!("{shown}: {text}; {advice}"));
    }
    match error {
        Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => StoreError::Unavailable(
            format!("{shown}: {text}; it is a standby: name the primary server"),
        ),
        // Rows are written by this program alone, so one that cannot be read was changed outside.
        Error::DeserializationError(cause) => StoreError::Unusable(format!(
            "{shown}: a row is not as it was written: {cause}; correct it, or put a backup in its \
             place"
        )),
        _ if text.contains("permission denied") => StoreError::Unusable(format!(
            "{shown}: {text}; let this user own the tables, or grant it their use"
        )),
        _ if text.contains("relation") && text.contains("does not exist") => {
            StoreError::Migration(format!("{shown}: {text}; run `moim-server migrate`"))
        }
        _ => match kind(error) {
            Kind::Lost => StoreError::Unavailable(format!("{shown}: {text}; try again")),
            Kind::Conflict => StoreError::Unavailable(format!(
                "{shown}: {text}, again and again; look at what else writes so much"
            )),
            Kind::Unclear | Kind::Final => StoreError::Refused(format!("{shown}: {text}")),
        },
    }
}

/// A statement's error when its connection went with it.
pub(super) fn of_lost(shown: &str, error: &Error) -> StoreError {
    StoreError::Unavailable(format!("{shown}: the connection was lost: {error}; try again"))
}

/// Why there is no connection.
pub(super) fn of_connection(shown: &str, error: &tokio_postgres::Error) -> StoreError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    let wrong = |advice: &str| StoreError::Misconfigured(format!("{shown}: {text}; {advice}"));
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            wrong(
                "correct user and password in MOIM_DATABASE_URL, or let the user in by pg_hba.conf",
            )
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => wrong("create the database, or name another one"),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => wrong("grant it to this user"),
        _ if text.contains("certificate") => wrong(
            "name the file of its issuer in sslrootcert or SSL_CERT_FILE, or say sslmode=disable",
        ),
        _ if text.contains("does not support TLS") => wrong("say sslmode=disable"),
        _ if text.contains("password missing") => wrong("put the password into MOIM_DATABASE_URL"),
        _ => {
            let advice =
                advice(&text).unwrap_or("check that it runs and that the way to it is open");
            StoreError::Unavailable(format!("{shown}: {text}; {advice}"))
        }
    }
}
