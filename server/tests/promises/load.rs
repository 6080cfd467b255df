//! Senders that name what they send and send again what was not answered, and readers that resume:
//! what survives any end of the server, and how to tell.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;
use moim_shared::position::Position;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::support::*;
use crate::table::{Row, Table, assert_dense};

/// SENDs that a sender has under way: an end of the server always comes amid some.
const WINDOW: usize = 24;

/// For a server that starts over, beside others.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Kill,
    Terminate,
}

/// One SEND.
struct Sent {
    room: usize,
    body: String,
    receipt: Option<Position>,
}

struct Sender {
    user: String,
    rooms: Vec<String>,
    chance: StdRng,
    /// All that it sends, by its number, which is its name.
    sent: Vec<Sent>,
    again: u64,
}

/// How a connection ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done,
    Cut,
    Told(u16, String),
}

/// What everybody knows of the others.
struct Progress {
    receipts: watch::Sender<u64>,
    /// How many messages each room is going to have; known in the end.
    totals: watch::Sender<Option<Vec<usize>>>,
}

impl Sender {
    /// One connection's life: what has no RECEIPT yet, under the names that it had, then more.
    async fn run(&mut self, server: &Server, progress: &Progress, more: usize) -> Ended {
        let mut client = Client::connect(server, &self.user).await;
        let unanswered = |sent: &[Sent]| -> VecDeque<usize> {
            (0..sent.len()).filter(|n| sent[*n].receipt.is_none()).collect()
        };
        let mut queue = unanswered(&self.sent);
        self.again += queue.len() as u64;
        let last = self.sent.len() + more;
        let mut under_way = 0;
        loop {
            while under_way < WINDOW {
                let n = match queue.pop_front() {
                    Some(n) => n,
                    None if self.sent.len() < last => self.invent(),
                    None => break,
                };
                let sent = &self.sent[n];
                let send = to_room(&self.rooms[sent.room], &sent.body);
                client.send(send.header("origin-id", n).header("receipt", n)).await;
                under_way += 1;
            }
            if under_way == 0 {
                return Ended::Done;
            }
            match client.event_within(PATIENCE).await {
                Event::Frame(frame) if frame.command == "RECEIPT" => {
                    let n: usize = frame.at("receipt-id").parse().unwrap();
                    let position = frame.at("position").parse().unwrap();
                    let before = self.sent[n].receipt.replace(position);
                    assert_eq!(before, None, "a second RECEIPT");
                    under_way -= 1;
                    progress.receipts.send_modify(|receipts| *receipts += 1);
                }
                Event::Close(code, reason) => return Ended::Told(code, reason),
                Event::End => return Ended::Cut,
                other => panic!("{}: {other:?}", self.user),
            }
        }
    }

    fn invent(&mut self) -> usize {
        let n = self.sent.len();
        let room = self.chance.random_range(0..self.rooms.len());
        let body = format!("{} {n} {}", self.user, "x".repeat(self.chance.random_range(0..600)));
        self.sent.push(Sent { room, body, receipt: None });
        n
    }
}

struct Reader {
    user: String,
    index: usize,
    room: String,
    seen: Vec<Row>,
    resumed: u32,
}

impl Reader {
    /// One connection's life: on from what it has.
    async fn run(&mut self, server: &Server, progress: &Progress) -> Ended {
        let mut totals = progress.totals.subscribe();
        let mut client = Client::connect(server, &self.user).await;
        let since = self.seen.last().map_or(Position::ZERO, |row| row.position);
        let subscribe = frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{}", self.room))
            .header("since", since)
            .header("receipt", "resume");
        client.send(subscribe).await;
        let mut resumed = false;
        loop {
            let all = totals.borrow_and_update().as_ref().map(|totals| totals[self.index]);
            if resumed && all.is_some_and(|all| self.seen.len() >= all) {
                client.sync().await;
                assert_eq!(client.kept(), [], "more than was sent");
                return Ended::Done;
            }
            let event = tokio::select! {
                event = client.event_within(PATIENCE) => event,
                _ = totals.changed() => continue,
            };
            match event {
                Event::Frame(frame) if frame.command == "MESSAGE" && resumed => {
                    self.seen.push(Row::of(&frame));
                }
                Event::Frame(frame) if frame.command == "RECEIPT" && !resumed => {
                    assert_eq!(frame.at("recovered"), "true", "{since} in {}", self.room);
                    resumed = true;
                    self.resumed += u32::from(since != Position::ZERO);
                }
                Event::Close(code, reason) => return Ended::Told(code, reason),
                Event::End => return Ended::Cut,
                other => panic!("{}: {other:?}", self.user),
            }
        }
    }
}

/// Ends the server again and again amid sends, and looks at what is left.
pub async fn survives(mut chance: StdRng, end: End, times: usize, settings: &[(&str, &str)]) {
    let mut server = Server::with(settings);
    let rooms: Vec<String> = (0..3).map(|n| format!("room-{n}")).collect();
    let mut senders: Vec<Sender> = (0..4)
        .map(|n| Sender {
            user: format!("sender-{n}"),
            rooms: rooms.clone(),
            chance: StdRng::seed_from_u64(chance.random()),
            sent: Vec::new(),
            again: 0,
        })
        .collect();
    let mut readers: Vec<Reader> = (0..rooms.len() * 2)
        .map(|n| Reader {
            user: format!("reader-{n}"),
            index: n % rooms.len(),
            room: rooms[n % rooms.len()].clone(),
            seen: Vec::new(),
            resumed: 0,
        })
        .collect();
    let progress = Progress { receipts: watch::channel(0).0, totals: watch::channel(None).0 };

    for _ in 0..times {
        let enough = *progress.receipts.borrow() + chance.random_range(20..400);
        let wait = Duration::from_micros(chance.random_range(0..15_000));
        // Some readers stay away for a while.
        let away: HashSet<usize> =
            (0..readers.len()).filter(|_| chance.random_ratio(1, 4)).collect();
        let ending = async {
            progress.receipts.subscribe().wait_for(|now| *now >= enough).await.unwrap();
            sleep(wait).await;
            match end {
                End::Kill => server.kill(),
                End::Terminate => server.signal(Signal::SIGTERM),
            }
        };
        let sending = senders.iter_mut().map(|one| one.run(&server, &progress, usize::MAX / 2));
        let reading = readers.iter_mut().enumerate().filter(|(n, _)| !away.contains(n));
        let reading = reading.map(|(_, one)| one.run(&server, &progress));
        let (_, ended, read) = tokio::join!(ending, join_all(sending), join_all(reading));
        if end == End::Terminate {
            let code = server.ended(Duration::from_secs(10)).code();
            assert_eq!(code, Some(0));
        }
        for ended in ended.iter().chain(&read) {
            match (end, ended) {
                (End::Kill, Ended::Cut) => {}
                (End::Terminate, Ended::Told(1012, reason)) => {
                    assert!(reason.starts_with("retry_after_ms="), "{reason}");
                }
                _ => panic!("{end:?} brought {ended:?}"),
            }
        }
        server = server.restart();
    }

    let finishing = async {
        let last = join_all(senders.iter_mut().map(|one| one.run(&server, &progress, 20))).await;
        assert!(last.iter().all(|ended| *ended == Ended::Done), "{last:?}");
        let in_room = |room| {
            let all = senders.iter().flat_map(|sender| &sender.sent);
            all.filter(|sent| sent.room == room).count()
        };
        progress.totals.send_replace(Some((0..rooms.len()).map(in_room).collect()));
    };
    let reading = join_all(readers.iter_mut().map(|one| one.run(&server, &progress)));
    let ((), read) = tokio::join!(finishing, reading);
    assert!(read.iter().all(|ended| *ended == Ended::Done), "{read:?}");
    assert!(senders.iter().any(|sender| sender.again > 0), "no end came amid sends");
    assert!(readers.iter().any(|reader| reader.resumed > 0), "nobody resumed");
    assert_eq!(server.terminate(), Some(0));

    let table = Table::open(&server.database());
    for (index, room) in rooms.iter().enumerate() {
        let rows = table.rows(room).await;
        assert_dense(&rows);
        assert_all_there(&rows, index, &senders);
        for reader in readers.iter().filter(|reader| reader.index == index) {
            assert_same(&reader.seen, &rows, &reader.user);
        }
    }
}

/// Every message of every sender once, where its RECEIPT says, in the sender's order, and no other.
fn assert_all_there(rows: &[Row], room: usize, senders: &[Sender]) {
    let mut at: HashMap<(&str, usize), &Row> = HashMap::new();
    for row in rows {
        let number = row.origin.as_deref().unwrap().parse().unwrap();
        let name = (row.sender.as_str(), number);
        assert_eq!(at.insert(name, row), None, "twice");
    }
    for sender in senders {
        let mut before = None;
        for (n, sent) in sender.sent.iter().enumerate().filter(|(_, sent)| sent.room == room) {
            let row = at.remove(&(sender.user.as_str(), n));
            let row = row.unwrap_or_else(|| panic!("{} {n} has a RECEIPT and no row", sender.user));
            assert_eq!(Some(row.position), sent.receipt, "{} {n}", sender.user);
            assert_eq!(row.body, sent.body);
            assert!(before < Some(row.position), "{} {n} is out of order", sender.user);
            before = Some(row.position);
        }
    }
    assert!(at.is_empty(), "nobody sent these: {:?}", at.keys());
}

fn assert_same(seen: &[Row], rows: &[Row], who: &str) {
    for (n, (seen, row)) in seen.iter().zip(rows).enumerate() {
        assert_eq!(seen, row, "{who}: message {n}");
    }
    assert_eq!(seen.len(), rows.len(), "{who}");
}
