//! A Postgres database for one test, on the server of `MOIM_TEST_DATABASE_URL`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moim_shared::store::postgres::{Options, migrate};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, Error, NoTls};

/// What the names of test databases begin with; the process that made one comes next.
const PREFIX: &str = "moim_test_";

/// A database of its own. It ends with this.
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// One with the tables of this program.
    pub async fn migrated() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(async || {
            sweep().await;
            let template = Self::create("template1").await;
            migrate(&template.url, &Options::default()).await.unwrap();
            let name = template.name.clone();
            // The next process removes it.
            std::mem::forget(template);
            name
        });
        Self::create(template.await).await
    }

    /// One without tables.
    pub async fn empty() -> Self {
        Self::create("template1").await
    }

    async fn create(template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{n}", std::process::id());
        let admin = admin("postgres").await;
        let deadline = Instant::now() + Duration::from_secs(30);
        // A connection to the template that was closed may be there a moment longer.
        while let Err(error) =
            admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await
        {
            assert!(Instant::now() < deadline, "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { url: with_name(&server(), &name), name }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A stranger's connection to it.
    pub async fn client(&self) -> Client {
        admin(&self.name).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // The test's own runtime cannot be waited for here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                admin("postgres").await.batch_execute(&drop).await
            })
        });
        // A test that failed has said why; its database is swept later.
        let _: Result<Result<(), Error>, _> = dropping.join();
    }
}

/// The URL of the server, with whatever database it names.
fn server() -> String {
    std::env::var("MOIM_TEST_DATABASE_URL").expect(
        "MOIM_TEST_DATABASE_URL is not set: run the tests through `deploy/services`, or set it",
    )
}

fn with_name(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let scheme = base.find("://").map_or(0, |at| at + 3);
    let host = base[scheme..].find('/').map_or(base, |at| &base[..scheme + at]);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{host}/{name}{mark}{query}")
}

async fn admin(name: &str) -> Client {
    let config: Config = with_name(&server(), name).parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.expect("the server of the tests");
    tokio::spawn(connection);
    client
}

/// Removes what processes left that are there no more.
async fn sweep() {
    let admin = admin("postgres").await;
    let left = format!("SELECT datname FROM pg_database WHERE datname LIKE '{PREFIX}%'");
    for row in admin.query(&left, &[]).await.unwrap() {
        let name: String = row.get(0);
        let process = name[PREFIX.len()..].split('_').next().unwrap_or_default();
        if !std::path::Path::new("/proc").join(process).exists() {
            // Another process may sweep, too.
            let _ =
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
    }
}
