//! P7: nothing drifts. What is unread is the same wherever it is asked, whatever happened before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use moim_shared::position::Position;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedMutRandom;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use crate::rig::Cluster;
use crate::seed::{chance, seeds};
use crate::support::*;
use crate::until;

const ACTIONS: usize = 200;
/// After so many, everybody is asked.
const ASKED: usize = 20;
const SERVERS: usize = 3;
const WORKERS: usize = 2;
/// How long all may take to be told: a worker that was killed gives its part back late.
const SOON: Duration = Duration::from_secs(60);
/// Whose devices they are.
const BOB: &str = "bob";

/// By room: the last position that is read, and the messages behind it.
type Standing = BTreeMap<String, (String, usize)>;

/// What was said in a room, and how far it was read.
struct Known {
    id: String,
    said: Vec<String>,
    /// So many of them.
    read: usize,
}

/// A device of Bob's that reads his inbox, on some node.
struct Device {
    name: &'static str,
    node: usize,
    client: Option<Client>,
    /// What it has seen, which an app keeps on disk.
    since: String,
    seen: Standing,
}

impl Device {
    fn new(name: &'static str) -> Self {
        Self { name, node: 0, client: None, since: "0-0".into(), seen: Standing::new() }
    }

    async fn connect(&mut self, cluster: &Cluster, node: usize) {
        let mut client = Open::new(cluster.server(node)).open().await;
        let connect = frame("CONNECT").header("accept-version", "1.2").header("device", self.name);
        let token = Token::of(BOB).mint();
        client.send(connect.header("Authorization", format!("Bearer {token}"))).await;
        client.expect("CONNECTED").await;
        let since = self.since.clone();
        let resume = |frame: Frame| frame.header("since", since);
        let receipt = client.subscribe_with("in", "/user/queue/inbox", resume).await;
        assert_eq!(receipt.at("recovered"), "true");
        (self.client, self.node) = (Some(client), node);
    }

    /// Waits until it has been told what there is.
    async fn agrees(&mut self, expected: &Standing) {
        let end = Instant::now() + SOON;
        while self.seen != *expected {
            let next = self.client.as_mut().unwrap().next_frame_within(SOON * 2);
            let Ok(frame) = timeout_at(end.into(), next).await else {
                panic!("{} has seen {:?}, and there is {expected:?}", self.name, self.seen);
            };
            assert_eq!(frame.command, "MESSAGE");
            self.since = frame.at("position").to_owned();
            let told = frame.json();
            self.seen.insert(room_of(&told), standing(&told));
        }
    }
}

fn room_of(told: &Value) -> String {
    told["room"]["id"].as_str().unwrap().to_owned()
}

/// How far it is read, and what is unread.
fn standing(told: &Value) -> (String, usize) {
    let unread = told["unread"].as_u64().unwrap();
    (told["read"].as_str().unwrap().to_owned(), usize::try_from(unread).unwrap())
}

struct Story {
    cluster: Cluster,
    chance: StdRng,
    rooms: Vec<Known>,
    devices: [Device; 2],
    /// Names of SENDs.
    next: usize,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let cluster = Cluster::start(SERVERS, WORKERS).await;
        let ann = Token::of("ann").mint();
        let rooms = (0..3).map(|_| {
            let (id, server) = (room("agree"), cluster.server(0));
            let made = server.ask("POST /api/v1/rooms").token(&ann).json(&json!({ "id": id }));
            made.expect(201);
            let put = format!("PUT /api/v1/rooms/{id}/members/{BOB}");
            server.ask(&put).token(&ann).json(&json!({})).expect(200);
            Known { id, said: Vec::new(), read: 0 }
        });
        let rooms = rooms.collect();
        let mut devices = [Device::new("phone"), Device::new("tablet")];
        for (node, device) in devices.iter_mut().enumerate() {
            device.connect(&cluster, node).await;
        }
        Self { cluster, chance: chance(seed), rooms, devices, next: 0 }
    }

    /// Something that anybody may do at any moment.
    async fn act(&mut self, number: usize) {
        match self.chance.random_range(0..100) {
            0..50 => self.say().await,
            50..80 => self.read().await,
            80..94 => self.reconnect().await,
            94..97 => self.restart_server(number).await,
            _ => self.restart_worker(number).await,
        }
    }

    fn some_node(&mut self) -> usize {
        self.chance.random_range(0..SERVERS)
    }

    /// Ann says something by some node.
    async fn say(&mut self) {
        let (node, index) = (self.some_node(), self.chance.random_range(0..self.rooms.len()));
        self.next += 1;
        let room = &mut self.rooms[index];
        let path = format!("POST /api/v1/rooms/{}/messages", room.id);
        let name = format!("ann-{}", self.next);
        // A node that the cluster just lost may have had the room: the same name is one message.
        let mut said = None;
        until("it is said", SOON, async || {
            let ask = self.cluster.server(node).ask(&path).token(&Token::of("ann").mint());
            let ask = ask.header("Idempotency-Key", &name).json(&json!({ "body": name }));
            let answer = tokio::task::spawn_blocking(move || ask.answer()).await.unwrap();
            said = (answer.status / 100 == 2).then(|| answer.json()["position"].clone());
            said.is_some()
        })
        .await;
        room.said.push(said.unwrap().as_str().unwrap().to_owned());
    }

    /// Bob reads some of what there is, on one of his devices.
    async fn read(&mut self) {
        let index = self.chance.random_range(0..self.rooms.len());
        let room = &mut self.rooms[index];
        if room.said.is_empty() {
            return;
        }
        let upto = self.chance.random_range(0..room.said.len());
        let client = self.devices.choose_mut(&mut self.chance).and_then(|it| it.client.as_mut());
        let (client, receipt) = (client.unwrap(), format!("read-{}", self.next));
        self.next += 1;
        let read = frame("SEND")
            .header("destination", format!("/app/rooms/{}/read", room.id))
            .header("receipt", &receipt)
            .body(json!({ "position": room.said[upto] }).to_string());
        client.send(read).await;
        client.receipt(&receipt).await;
        room.read = room.read.max(upto + 1);
    }

    /// A device loses its network and comes back on some node.
    async fn reconnect(&mut self) {
        let node = self.some_node();
        let device = self.devices.choose_mut(&mut self.chance).unwrap();
        device.client = None;
        device.connect(&self.cluster, node).await;
    }

    async fn restart_server(&mut self, number: usize) {
        let node = self.some_node();
        println!("action {number}: server {node} ends");
        if self.chance.random() {
            self.cluster.kill_server(node);
        } else {
            self.cluster.terminate_server(node).await;
        }
        let away: Vec<usize> = (0..2).filter(|n| self.devices[*n].node == node).collect();
        for index in away {
            self.devices[index].client = None;
            let other = (node + 1 + self.chance.random_range(0..SERVERS - 1)) % SERVERS;
            self.devices[index].connect(&self.cluster, other).await;
        }
        self.cluster.start_missing().await;
    }

    async fn restart_worker(&mut self, number: usize) {
        let worker = self.chance.random_range(0..WORKERS);
        println!("action {number}: worker {worker} ends");
        self.cluster.kill_worker(worker);
        self.cluster.start_missing().await;
    }

    /// What everybody has to say.
    fn expected(&self) -> Standing {
        let of = |room: &Known| {
            let last = room.read.checked_sub(1).map(|last| room.said[last].clone());
            let read = last.unwrap_or_else(|| Position::ZERO.to_string());
            (room.id.clone(), (read, room.said.len() - room.read))
        };
        self.rooms.iter().map(of).collect()
    }

    /// Both devices, and every node by both of its answers, say the same.
    async fn all_agree(&mut self) {
        let expected = self.expected();
        for node in 0..SERVERS {
            for (path, list) in [("/me/rooms", "rooms"), ("/me/changes?since=0-0", "changes")] {
                let what = format!("{path} of node {node}");
                until(&what, SOON, async || {
                    let ask = self.cluster.server(node).ask(&format!("GET /api/v1{path}"));
                    let told = ask.token(&Token::of(BOB).mint()).expect(200);
                    let told = told[list].as_array().unwrap();
                    let told: Standing =
                        told.iter().map(|it| (room_of(it), standing(it))).collect();
                    told == expected
                })
                .await;
            }
        }
        for device in &mut self.devices {
            device.agrees(&expected).await;
        }
    }
}

#[tokio::test]
async fn unread_is_the_same_everywhere_through_two_hundred_actions_and_restarts() {
    for seed in seeds() {
        let mut story = Story::begin(seed).await;
        for number in 1..=ACTIONS {
            story.act(number).await;
            if number % ASKED == 0 {
                story.all_agree().await;
            }
        }
        story.cluster.end().await;
    }
}
