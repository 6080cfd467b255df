//! A body as Postgres keeps it: bytes.

use bytes::Bytes;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::Binary;

use super::Conn;
use super::rows::row::NewRow;
use crate::envelope::Envelope;
use crate::store::schema::messages;

/// A body to be written.
pub type NewBody<'a> = &'a [u8];

/// The body of an envelope.
pub fn body_of(envelope: &Envelope) -> NewBody<'_> {
    &envelope.body
}

/// A body that was read.
#[derive(Debug, FromSqlRow)]
pub struct Body(pub Bytes);

impl FromSql<Binary, Pg> for Body {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Bytes::copy_from_slice(value.as_bytes())))
    }
}

/// Adds a row; false when a row is there, or one with its name.
pub fn add(conn: &mut Conn, row: NewRow<'_>) -> QueryResult<bool> {
    let added =
        diesel::insert_into(messages::table).values(row).on_conflict_do_nothing().execute(conn)?;
    Ok(added > 0)
}
