//! A body as SQLite keeps it: text that is one, so that it is readable in any SQLite shell.

use bytes::Bytes;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::ValidGrouping;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::{Sqlite, SqliteType, SqliteValue};

use super::rows::row::NewRow;
use crate::envelope::Envelope;
use crate::store::schema::messages;

/// A body to be written: TEXT when it is one, else BLOB.
///
/// An expression and not a value, since diesel binds every value of a column as one type.
#[derive(Debug, Clone, Copy, ValidGrouping)]
pub enum NewBody<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The body of an envelope.
pub fn body_of(envelope: &Envelope) -> NewBody<'_> {
    let bytes: &[u8] = &envelope.body;
    match std::str::from_utf8(bytes) {
        // SQLite keeps a NUL in a text, but most programs end there.
        Ok(text) if !envelope.binary && !bytes.contains(&0) => NewBody::Text(text),
        _ => NewBody::Bytes(bytes),
    }
}

impl QueryId for NewBody<'_> {
    // The statement is the same for both, so it is prepared once.
    type QueryId = NewBody<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Expression for NewBody<'_> {
    type SqlType = Binary;
}

impl<QS: ?Sized> AppearsOnTable<QS> for NewBody<'_> {}

impl QueryFragment<Sqlite> for NewBody<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        match *self {
            Self::Text(text) => pass.push_bind_param::<Text, str>(text),
            Self::Bytes(bytes) => pass.push_bind_param::<Binary, [u8]>(bytes),
        }
    }
}

/// A body that was read, whichever way it was stored.
#[derive(Debug, FromSqlRow)]
pub struct Body(pub Bytes);

impl FromSql<Binary, Sqlite> for Body {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let bytes = match value.value_type() {
            // Read as what it is, or SQLite would convert a copy of it.
            Some(SqliteType::Text) => value.read_text().as_bytes(),
            _ => value.read_blob(),
        };
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// Adds a row; false when a row is there, or one with its name.
pub fn add(conn: &mut SqliteConnection, row: NewRow<'_>) -> QueryResult<bool> {
    // `or ignore`, as diesel walks a row with `on conflict` several times more.
    let added = diesel::insert_or_ignore_into(messages::table).values(row).execute(conn)?;
    Ok(added > 0)
}
