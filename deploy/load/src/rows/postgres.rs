//! The rows of a cluster, in Postgres.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use super::{Copies, end_of};

/// For connecting and for each question.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection that only reads.
pub struct Reader {
    client: Client,
    place: String,
    task: JoinHandle<()>,
}

impl Reader {
    /// Connects.
    pub async fn open(url: &str) -> Result<Self, String> {
        // The parser's own words may repeat parts of the URL, so they are not passed on.
        let config = url.parse::<Config>().ok().ok_or(
            "cannot read rows: --database has a URL that is not \
             postgres://user:password@host:port/name",
        )?;
        let place = place(&config);
        let connected = timeout(ANSWER, config.connect(NoTls)).await;
        let (client, connection) =
            connected.map_err(|late| told(&place, &late))?.map_err(|error| told(&place, &error))?;
        // How it ends is told by the question that is then not answered.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, place, task })
    }

    /// Rows with a name, in rooms that begin with `prefix`.
    pub async fn count(&self, prefix: &str) -> Result<u64, String> {
        let question = "SELECT COUNT(*) FROM messages \
                        WHERE room >= $1 AND room < $2 AND origin_id IS NOT NULL";
        let end = end_of(prefix);
        let asked = timeout(ANSWER, self.client.query_one(question, &[&prefix, &end])).await;
        let row = asked.map_err(|late| self.told(&late))?.map_err(|error| self.told(&error))?;
        Ok(row.try_get::<_, i64>(0).map_err(|error| self.told(&error))?.unsigned_abs())
    }

    /// Their names, and how often each stands.
    pub async fn named(&self, prefix: &str) -> Result<Copies, String> {
        let question = "SELECT origin_id, COUNT(*) FROM messages \
                        WHERE room >= $1 AND room < $2 AND origin_id IS NOT NULL \
                        GROUP BY room, origin_id";
        let end = end_of(prefix);
        let asked = timeout(ANSWER, self.client.query(question, &[&prefix, &end])).await;
        let rows = asked.map_err(|late| self.told(&late))?.map_err(|error| self.told(&error))?;
        let named = rows.iter().map(|row| {
            let (name, copies) = (row.try_get::<_, String>(0)?, row.try_get::<_, i64>(1)?);
            Ok((name, copies.unsigned_abs()))
        });
        named.collect::<Result<_, tokio_postgres::Error>>().map_err(|error| self.told(&error))
    }

    fn told(&self, error: &dyn std::error::Error) -> String {
        told(&self.place, error)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where it is, without who asks.
fn place(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("Postgres at {host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

fn told(place: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("cannot read {place}: {error}");
    if let Some(cause) = error.source() {
        text.push_str(&format!(": {cause}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_that_is_away_is_told_by_its_place_and_never_by_its_password() {
        let url = "postgres://moim:geheim@127.0.0.1:1/moim";
        let refusal = Reader::open(url).await.err().unwrap();
        assert!(refusal.contains("127.0.0.1:1/moim") && !refusal.contains("geheim"), "{refusal}");
        let bad = Reader::open("postgres://moim:geheim@127.0.0.1:x/moim").await.err().unwrap();
        assert!(bad.contains("--database") && !bad.contains("geheim"), "{bad}");
    }
}
