//! Where the rows are. A URL has a password in it, so nothing here prints one.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A server's SQLite file or a cluster's Postgres.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A standalone server's `moim.db`.
    Sqlite(PathBuf),
    /// `postgres://…`, as it was given.
    Postgres(String),
}

impl FromStr for Database {
    // A refusal would be printed with what was refused; a bad URL is told without it, later.
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let is_url = ["postgres://", "postgresql://"].iter().any(|head| text.starts_with(head));
        Ok(if is_url { Self::Postgres(text.to_owned()) } else { Self::Sqlite(text.into()) })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => f.debug_tuple("Sqlite").field(file).finish(),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_postgres_and_anything_else_a_file() {
        let url: Database = "postgres://moim:geheim@db/moim".parse().unwrap();
        assert!(matches!(url, Database::Postgres(_)));
        assert!(!format!("{url:?}").contains("geheim"));
        assert_eq!("./data/moim.db".parse(), Ok(Database::Sqlite("./data/moim.db".into())));
    }
}
