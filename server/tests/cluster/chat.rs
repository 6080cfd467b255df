//! People who talk while things break: senders that name what they send and send it again until it
//! is acknowledged, readers that go on from where they were, each on whatever server there is.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use moim_shared::position::Position;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::ledger::{Row, ends};
use crate::rig::Cluster;
use crate::support::*;

/// SENDs that a sender has under way: whatever ends comes amid some.
const WINDOW: usize = 24;

/// How long an answer may take while a service is away: longer than a SEND is held.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long all of them may take to come to an end when nothing is broken any more, beside what
/// the database takes for a backlog.
const LAST: Duration = Duration::from_secs(90);

/// One SEND.
pub struct Sent {
    pub room: usize,
    pub body: String,
    pub receipt: Option<Position>,
}

pub struct Sender {
    pub user: String,
    rooms: Vec<String>,
    chance: StdRng,
    /// All that it sends, by its number, which is its name.
    pub sent: Vec<Sent>,
    /// How many were sent again after a connection ended.
    pub again: usize,
    /// How often a server said "later".
    pub refused: usize,
    /// When it sent something, and how long after that the RECEIPT came on the same connection.
    pub waits: Vec<(Instant, Duration)>,
}

pub struct Reader {
    pub user: String,
    pub index: usize,
    room: String,
    pub seen: Vec<Row>,
    /// Where it was told that it may lack something: after the first, up to the second.
    pub breaks: Vec<(Position, Position)>,
    /// How often it went on from a position.
    pub resumed: usize,
    /// Connections that ended without a word.
    pub cut: usize,
    /// What it was told when a connection ended.
    pub closes: Vec<(u16, String)>,
}

/// Rooms, and the people in them.
pub struct Talk {
    pub rooms: Vec<String>,
    pub senders: Vec<Sender>,
    pub readers: Vec<Reader>,
    /// How long they may take to come to an end when nothing is broken any more.
    pub last: Duration,
    nodes: watch::Receiver<Vec<SocketAddr>>,
    progress: watch::Sender<Progress>,
}

/// What everybody knows of the others.
#[derive(Default)]
struct Progress {
    receipts: usize,
    /// Who has one for which room.
    said: BTreeSet<(String, usize)>,
    refusals: usize,
    /// What was sent is all.
    stopped: bool,
    /// Where the last message of each room stands, once that is known.
    ends: Option<Vec<Position>>,
}

/// Sees how far the talk is.
#[derive(Clone)]
pub struct Watch(watch::Receiver<Progress>);

impl Watch {
    /// Waits for so many more RECEIPTs.
    pub async fn receipts(&mut self, more: usize) {
        let enough = self.0.borrow().receipts + more;
        let within = PATIENCE + Duration::from_millis(10 * more as u64);
        let reached = timeout(within, self.0.wait_for(|now| now.receipts >= enough)).await;
        assert!(reached.is_ok(), "{more} RECEIPTs more: not within {within:?}");
    }

    /// Waits until there are RECEIPTs of so many senders and rooms.
    pub async fn said(&mut self, pairs: usize) {
        let said = timeout(PATIENCE, self.0.wait_for(|now| now.said.len() >= pairs)).await;
        assert!(said.is_ok(), "{pairs} senders and rooms: not within {PATIENCE:?}");
    }

    /// Waits until somebody was told to come back later.
    pub async fn refusal(&mut self) {
        let before = self.0.borrow().refusals;
        let told = timeout(PATIENCE, self.0.wait_for(|now| now.refusals > before)).await;
        assert!(told.is_ok(), "nobody was refused within {PATIENCE:?}");
    }
}

/// However long somebody is told to stay away.
const MOST: Duration = Duration::from_secs(2);

/// How a connection ended for its client.
enum Ended {
    Done,
    /// It comes back after a while.
    Again(Duration),
}

impl Talk {
    /// So many rooms, senders that use all of them, and readers of each.
    pub fn new(
        cluster: &Cluster,
        chance: &mut StdRng,
        rooms: usize,
        senders: usize,
        readers: usize,
    ) -> Self {
        let rooms: Vec<String> = (0..rooms).map(|_| room("talk")).collect();
        let sender = |n: usize| Sender {
            user: format!("sender-{n}"),
            rooms: rooms.clone(),
            chance: StdRng::seed_from_u64(chance.random()),
            sent: Vec::new(),
            again: 0,
            refused: 0,
            waits: Vec::new(),
        };
        let senders = (0..senders).map(sender).collect();
        let reader = |n: usize| Reader {
            user: format!("reader-{n}"),
            index: n % rooms.len(),
            room: rooms[n % rooms.len()].clone(),
            seen: Vec::new(),
            breaks: Vec::new(),
            resumed: 0,
            cut: 0,
            closes: Vec::new(),
        };
        let readers = (0..rooms.len() * readers).map(reader).collect();
        let progress = watch::Sender::default();
        Self { senders, readers, last: LAST, nodes: cluster.nodes(), progress, rooms }
    }

    /// They talk while this goes on. In the end all is acknowledged, and everybody has it.
    pub async fn through<T>(
        &mut self,
        cluster: &mut Cluster,
        harm: impl AsyncFnOnce(&mut Cluster, Watch) -> T,
    ) -> T {
        let Self { senders, readers, nodes, progress, rooms, last } = self;
        let last = *last;
        progress.send_modify(|now| (now.stopped, now.ends) = (false, None));
        let watch = Watch(progress.subscribe());
        let sending = join_all(senders.iter_mut().map(|one| one.talk(nodes.clone(), progress)));
        let reading = join_all(readers.iter_mut().map(|one| one.listen(nodes.clone(), progress)));
        let (harmed, stored) = (watch::Sender::new(false), watch::Sender::new(0));
        let doing = async {
            let done = harm(cluster, watch).await;
            progress.send_modify(|now| now.stopped = true);
            harmed.send_replace(true);
            // Until it is known how much there is.
            let total = *stored.subscribe().wait_for(|total| *total > 0).await.unwrap();
            let ends = ends(&cluster.database, rooms, total, last).await;
            progress.send_modify(|now| now.ends = Some(ends));
            done
        };
        let all_sent = async {
            let totals = sending.await;
            stored.send_replace(totals.into_iter().sum());
        };
        let all = async { join(join(doing, all_sent), reading).await.0.0 };
        let ended = harmed.subscribe();
        tokio::select! {
            done = all => done,
            () = too_long(ended, last) => panic!("after {last:?} not all have all:\n{}", self.state()),
        }
    }

    /// Who is how far.
    fn state(&self) -> String {
        let sender = |one: &Sender| {
            let open = one.sent.iter().filter(|sent| sent.receipt.is_none()).count();
            let (sent, refused) = (one.sent.len(), one.refused);
            format!("{}: {sent} sent, {open} not acknowledged, {refused} refused", one.user)
        };
        let reader = |one: &Reader| {
            let last = one.seen.last().map(|row| row.position.to_string());
            format!("{} in {}: {} seen, last {last:?}", one.user, one.room, one.seen.len())
        };
        let lines = self.senders.iter().map(sender).chain(self.readers.iter().map(reader));
        let ends = self.progress.borrow().ends.clone();
        lines.collect::<Vec<_>>().join("\n") + &format!("\nends {ends:?}")
    }
}

async fn too_long(mut harmed: watch::Receiver<bool>, last: Duration) {
    let _ = harmed.wait_for(|harmed| *harmed).await;
    sleep(last).await;
}

/// A connection to some server, or a while later none.
async fn enter(
    nodes: &watch::Receiver<Vec<SocketAddr>>,
    user: &str,
    turn: usize,
) -> Option<Client> {
    let address = {
        let nodes = nodes.borrow();
        nodes.get(turn % nodes.len().max(1)).copied()
    };
    let entered = async {
        let mut client = Open::at(address?).if_it_lives().await?;
        let connect = frame("CONNECT")
            .header("accept-version", "1.2")
            .header("Authorization", format!("Bearer {}", token(user)));
        client.send(connect).await;
        match client.event_within(PATIENCE).await {
            Event::Frame(frame) if frame.command == "CONNECTED" => Some(client),
            Event::Close(..) | Event::End => None,
            other => panic!("{user}: {other:?}"),
        }
    };
    let client = entered.await;
    if client.is_none() {
        sleep(Duration::from_millis(50)).await;
    }
    client
}

/// Whether a server may say that to somebody who did nothing wrong.
#[track_caller]
fn assert_fair(user: &str, code: u16, reason: &str) {
    let fair = match code {
        1012 => reason.starts_with("retry_after_ms="),
        1002 | 4008 => true,
        _ => false,
    };
    assert!(fair, "{user}: close {code} {reason}");
}

/// What a refusal says of coming back; it has to be a temporary one.
#[track_caller]
fn later(user: &str, refusal: &Value) -> Duration {
    let code = refusal["code"].as_str().unwrap_or_default();
    assert!(matches!(code, "busy" | "unavailable" | "rate_limited"), "{user}: {refusal}");
    let ms = refusal["retryAfterMs"].as_u64();
    Duration::from_millis(ms.unwrap_or_else(|| panic!("{user}: no hint: {refusal}"))).min(MOST)
}

impl Sender {
    async fn talk(
        &mut self,
        nodes: watch::Receiver<Vec<SocketAddr>>,
        progress: &watch::Sender<Progress>,
    ) -> usize {
        let mut turn = self.chance.random_range(0..1_000);
        loop {
            turn += 1;
            let Some(client) = enter(&nodes, &self.user, turn).await else { continue };
            match self.connected(client, progress).await {
                Ended::Done => return self.sent.len(),
                Ended::Again(wait) => sleep(wait).await,
            }
        }
    }

    /// One connection's life: what has no RECEIPT yet, under the names that it had, then more.
    async fn connected(&mut self, mut client: Client, progress: &watch::Sender<Progress>) -> Ended {
        let errors = frame("SUBSCRIBE").header("id", "errors").header("destination", ERRORS);
        client.send(errors).await;
        let unanswered = (0..self.sent.len()).filter(|n| self.sent[*n].receipt.is_none());
        let mut queue: BTreeSet<usize> = unanswered.collect();
        self.again += queue.len();
        let mut under_way: HashMap<usize, Instant> = HashMap::new();
        let mut not_before = Instant::now();
        let mut stopping = progress.subscribe();
        loop {
            let stopped = stopping.borrow_and_update().stopped;
            let pausing = not_before > Instant::now();
            while !pausing && under_way.len() < WINDOW {
                let n = match queue.pop_first() {
                    Some(n) => n,
                    None if stopped => break,
                    None => self.invent(),
                };
                let sent = &self.sent[n];
                let send = to_room(&self.rooms[sent.room], &sent.body);
                client.send(send.header("origin-id", n).header("receipt", n)).await;
                under_way.insert(n, Instant::now());
            }
            if under_way.is_empty() && queue.is_empty() && stopped {
                return Ended::Done;
            }
            let event = tokio::select! {
                event = client.event_within(PATIENCE) => event,
                () = tokio::time::sleep_until(not_before.into()), if not_before > Instant::now() => continue,
            };
            match event {
                Event::Frame(frame) if frame.command == "RECEIPT" => {
                    let n: usize = frame.at("receipt-id").parse().unwrap();
                    let position = frame.at("position").parse().unwrap();
                    let before = self.sent[n].receipt.replace(position);
                    assert_eq!(before, None, "a second RECEIPT");
                    let sent = under_way.remove(&n).unwrap();
                    self.waits.push((sent, sent.elapsed()));
                    progress.send_modify(|now| {
                        now.receipts += 1;
                        now.said.insert((self.user.clone(), self.sent[n].room));
                    });
                }
                Event::Frame(frame) if frame.get("destination") == Some(ERRORS) => {
                    let refusal = frame.json();
                    let n: usize = refusal["receipt"].as_str().unwrap().parse().unwrap();
                    not_before = Instant::now() + later(&self.user, &refusal);
                    self.refused += 1;
                    progress.send_modify(|now| now.refusals += 1);
                    under_way.remove(&n).unwrap();
                    queue.insert(n);
                }
                Event::Close(code, reason) => {
                    assert_fair(&self.user, code, &reason);
                    return Ended::Again(Duration::from_millis(20));
                }
                Event::End => return Ended::Again(Duration::ZERO),
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

const ERRORS: &str = "/user/queue/errors";

impl Reader {
    async fn listen(
        &mut self,
        nodes: watch::Receiver<Vec<SocketAddr>>,
        progress: &watch::Sender<Progress>,
    ) {
        let mut turn = self.user.len() + self.index;
        loop {
            turn += 1;
            let Some(client) = enter(&nodes, &self.user, turn).await else { continue };
            match self.connected(client, progress).await {
                Ended::Done => return,
                Ended::Again(wait) => sleep(wait).await,
            }
        }
    }

    pub fn last(&self) -> Position {
        self.seen.last().map_or(Position::ZERO, |row| row.position)
    }

    /// One connection's life: on from what it has.
    async fn connected(&mut self, mut client: Client, progress: &watch::Sender<Progress>) -> Ended {
        let mut progress = progress.subscribe();
        let since = self.last();
        let subscribe = frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{}", self.room))
            .header("since", since)
            .header("receipt", "resume");
        client.send(subscribe).await;
        let mut live = false;
        let mut wait = Duration::from_millis(20);
        loop {
            let end = progress.borrow_and_update().ends.as_ref().map(|ends| ends[self.index]);
            if live && end.is_some_and(|end| self.last() >= end) {
                return Ended::Done;
            }
            let event = tokio::select! {
                // Nothing at all may be said for long.
                event = client.event_within(10 * PATIENCE) => event,
                _ = progress.changed() => continue,
            };
            match event {
                Event::Frame(frame) if frame.command == "MESSAGE" && live => {
                    let row = Row::of(&frame);
                    assert!(
                        row.position > self.last(),
                        "{}: {row:?} after {}",
                        self.user,
                        self.last()
                    );
                    self.seen.push(row);
                }
                Event::Frame(frame) if frame.command == "RECEIPT" && !live => {
                    live = true;
                    if frame.at("recovered") != "true" {
                        self.breaks.push((since, frame.at("position").parse().unwrap()));
                    }
                    self.resumed += usize::from(since != Position::ZERO);
                }
                // The close comes next.
                Event::Frame(frame) if frame.command == "ERROR" => {
                    wait = Duration::from_millis(100);
                    self.closes.push((0, frame.text().to_owned()));
                }
                Event::Close(code, reason) => {
                    assert_fair(&self.user, code, &reason);
                    self.closes.push((code, reason));
                    return Ended::Again(wait);
                }
                Event::End => {
                    self.cut += 1;
                    return Ended::Again(Duration::ZERO);
                }
                other => panic!("{}: {other:?}", self.user),
            }
        }
    }
}

/// The value under which so many percent of them are.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
