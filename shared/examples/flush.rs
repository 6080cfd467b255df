//! How many messages a second reach Postgres: through the store, and by a bare COPY of the same rows
//! into the same table, in turns.
//!
//! `cargo run --release -p moim-shared --example flush -- postgres://user@host/empty-database`
//!
//! It migrates the database and leaves its messages in it.

#![allow(clippy::unwrap_used, reason = "what fails ends it")]

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::SinkExt;
use moim_shared::clock::now_ms;
use moim_shared::envelope::Envelope;
use moim_shared::ids::{OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::Store;
use moim_shared::store::postgres::{Options, PostgresStore, migrate};
use tokio_postgres::{Client, NoTls};

const ROUNDS: u64 = 9;
const ROWS: u64 = 40_000;
const BATCH: usize = 4_000;
const ROOMS: u64 = 334;
const BODY: usize = 200;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| {
        eprintln!("the URL of an empty Postgres database is needed");
        std::process::exit(2);
    });
    migrate(&url, &Options::default()).await.unwrap();
    let store = PostgresStore::open(&url, Options::default()).await.unwrap();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);

    let (mut by_store, mut by_copy) = (Vec::new(), Vec::new());
    // Each part in epochs of its own; the first round warms both up.
    let epoch = now_ms();
    for round in 0..=ROUNDS {
        let rows = rows(epoch + 2 * round);
        let began = Instant::now();
        for batch in rows.chunks(BATCH) {
            store.insert(batch.to_vec()).await.unwrap();
        }
        let stored = began.elapsed();
        let rows = self::rows(epoch + 2 * round + 1);
        let texts: Vec<String> = rows.chunks(BATCH).map(text).collect();
        let began = Instant::now();
        for text in texts {
            copy(&client, text).await;
        }
        let copied = began.elapsed();
        if round > 0 {
            by_store.push(ROWS as f64 / stored.as_secs_f64());
            by_copy.push(ROWS as f64 / copied.as_secs_f64());
        }
    }
    let (store, copy) = (median(by_store), median(by_copy));
    println!("{ROWS} rows a round with bodies of {BODY} bytes, {BATCH} a transaction");
    println!("store {store:>9.0} rows/s");
    println!("copy  {copy:>9.0} rows/s");
    println!("ratio {:>9.2}", store / copy);
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn rows(epoch: u64) -> Vec<Arc<Envelope>> {
    let row = |n: u64| Envelope {
        room: RoomId::parse(&format!("room-{}", n % ROOMS)).unwrap(),
        position: Position::new(epoch, n / ROOMS),
        origin: OriginId::parse(&format!("{epoch}-{n}")).unwrap(),
        sender: UserId::parse(&format!("user-{}", n % 2_000)).unwrap(),
        sender_name: Some("Mina".into()),
        sent_at: epoch,
        content_type: Some("text/plain".into()),
        binary: false,
        headers: Vec::new(),
        body: format!("{n:0BODY$}").into(),
    };
    (0..ROWS).map(|n| Arc::new(row(n))).collect()
}

/// Rows in COPY's text format.
fn text(batch: &[Arc<Envelope>]) -> String {
    use std::fmt::Write;

    let mut text = String::new();
    for one in batch {
        let Envelope { room, position, origin, sender, sent_at, body, .. } = &**one;
        let Position { epoch, seq } = position;
        let hash = one.body_hash().cast_signed();
        write!(text, "{room}\t{epoch}\t{seq}\t{origin}\t{sender}\t{sent_at}\t").unwrap();
        write!(text, "text/plain\tMina\tf\t\\N\t{hash}\t\\\\x").unwrap();
        for byte in body {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

async fn copy(client: &Client, text: String) {
    let into = "COPY messages (room, epoch, seq, origin_id, sender, sent_at, content_type, \
         sender_name, is_binary, headers, body_hash, body) FROM STDIN";
    let sink = client.copy_in(into).await.unwrap();
    let mut sink = pin!(sink);
    sink.send(bytes::Bytes::from(text)).await.unwrap();
    sink.finish().await.unwrap();
}
