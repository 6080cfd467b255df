//! Revocations as rows.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::excluded;

use super::Conn;
use super::rooms::unreadable;
use super::row::{signed, unsigned};
use crate::ids::UserId;
use crate::store::accounts::{Revocation, Subject};
use crate::store::schema::revocations;

/// `kind:id`, as the subject stands in its row.
fn text(subject: &Subject) -> String {
    match subject {
        Subject::User(user) => format!("user:{user}"),
        Subject::Login(id) => format!("login:{id}"),
        Subject::Token(id) => format!("token:{id}"),
    }
}

/// What [`text`] was given.
fn subject(text: &str) -> QueryResult<Subject> {
    match text.split_once(':') {
        Some(("user", user)) => UserId::parse(user).map(Subject::User).map_err(unreadable),
        Some(("login", id)) => Ok(Subject::Login(id.into())),
        Some(("token", id)) => Ok(Subject::Token(id.into())),
        _ => Err(unreadable("a subject that is none")),
    }
}

/// Expired ones that one call removes.
const FORGOTTEN: i64 = 10_000;

pub fn put(conn: &mut Conn, revocation: &Revocation) -> QueryResult<()> {
    let key = text(&revocation.subject);
    let stands: Option<(i64, i64)> = revocations::table
        .find(&key)
        .select((revocations::before, revocations::until))
        .first(conn)
        .optional()?;
    let (before, until) = stands.unwrap_or_default();
    diesel::insert_into(revocations::table)
        .values((
            revocations::subject.eq(&key),
            revocations::before.eq(before.max(signed(revocation.before))),
            revocations::until.eq(until.max(signed(revocation.until))),
        ))
        .on_conflict(revocations::subject)
        .do_update()
        .set((
            revocations::before.eq(excluded(revocations::before)),
            revocations::until.eq(excluded(revocations::until)),
        ))
        .execute(conn)
        .map(drop)
}

pub fn all(conn: &mut Conn, now: u64) -> QueryResult<Vec<Revocation>> {
    let rows: Vec<(String, i64, i64)> = revocations::table
        .filter(revocations::until.gt(signed(now)))
        .select((revocations::subject, revocations::before, revocations::until))
        .load(conn)?;
    let revocation = |(key, before, until): (String, i64, i64)| {
        QueryResult::Ok(Revocation {
            subject: subject(&key)?,
            before: unsigned(before),
            until: unsigned(until),
        })
    };
    rows.into_iter().map(revocation).collect()
}

const EXPIRED: &str = "DELETE FROM revocations WHERE subject IN \
     (SELECT subject FROM revocations WHERE until <= $1 LIMIT $2)";

pub fn forget_expired(conn: &mut Conn, now: u64) -> QueryResult<()> {
    diesel::sql_query(EXPIRED)
        .bind::<BigInt, _>(signed(now))
        .bind::<BigInt, _>(FORGOTTEN)
        .execute(conn)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_comes_back_whatever_its_id_is() {
        let user = UserId::parse("mina@example.com").unwrap();
        for known in
            [Subject::User(user), Subject::Login("a:b".into()), Subject::Token(String::new())]
        {
            assert_eq!(subject(&text(&known)).unwrap(), known);
        }
        assert!(subject("nobody:a").is_err());
    }
}
