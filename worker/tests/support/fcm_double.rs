//! A local double of Firebase Cloud Messaging: an HTTP server that gives access tokens and takes
//! pushes as Google's documentation has it, strictly, and otherwise behaves as it is told.
//!
//! Load it with `#[path]`. It serves HTTP/1.1, and HTTP/2 to whom knows that beforehand, from a
//! thread of its own that ends with the process.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "fcm_double/answer.rs"]
mod answer;
#[path = "fcm_double/oauth.rs"]
pub mod oauth;
#[path = "fcm_double/serve.rs"]
mod serve;
#[path = "fcm_double/shape.rs"]
pub mod shape;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

pub use self::answer::Answer;
pub use self::oauth::Grants;

/// Nothing takes longer that is going to happen.
const DEADLINE: Duration = Duration::from_secs(10);

/// A push that was taken: it is on its way to the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub token: String,
    pub data: BTreeMap<String, String>,
    /// What Android is told besides, or `null`.
    pub android: Value,
}

/// See the module.
#[derive(Clone)]
pub struct FcmDouble {
    pub address: SocketAddr,
    state: Arc<State>,
}

/// What the server works with.
struct State {
    project: String,
    address: SocketAddr,
    inner: Mutex<Inner>,
    /// Changes when something came or went.
    changed: watch::Sender<()>,
}

struct Inner {
    /// For whom no other is given.
    general: Answer,
    by_token: HashMap<String, Answer>,
    /// Before any other.
    turns: VecDeque<Answer>,
    grants: Grants,
    lives: Duration,
    /// Access tokens and their ends.
    good: HashMap<String, Instant>,
    grants_asked: usize,
    /// Bodies of all sends, also of those that were not taken.
    bodies: Vec<Value>,
    taken: Vec<Taken>,
    under_way: usize,
    most_at_once: usize,
}

impl FcmDouble {
    /// Takes everything, at a port of its own, as the project `moim-test`.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            project: "moim-test".into(),
            address,
            inner: Mutex::new(Inner {
                general: Answer::Taken,
                by_token: HashMap::new(),
                turns: VecDeque::new(),
                grants: Grants::Good,
                lives: Duration::from_secs(3_599),
                good: HashMap::new(),
                grants_asked: 0,
                bodies: Vec::new(),
                taken: Vec::new(),
                under_way: 0,
                most_at_once: 0,
            }),
            changed: watch::Sender::new(()),
        });
        serve::start(listener, state.clone());
        Self { address, state }
    }

    /// What `MOIM_FCM_ENDPOINT` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key file of a service account that may send here.
    pub fn credentials(&self) -> Value {
        oauth::credentials(&self.state.project, &oauth::token_uri(self.address))
    }

    /// Writes it into the directory: what `MOIM_FCM_CREDENTIALS` is to be.
    pub fn put_credentials(&self, directory: &Path) -> PathBuf {
        let path = directory.join("fcm.json");
        std::fs::write(&path, self.credentials().to_string()).unwrap();
        path
    }

    /// Answers all so from now on, but those with an answer of their own.
    pub fn answer(&self, answer: Answer) {
        self.inner().general = answer;
    }

    /// Answers sends to this token so from now on.
    pub fn answer_for(&self, token: &str, answer: Answer) {
        self.inner().by_token.insert(token.into(), answer);
    }

    /// Answers the next ones so, each once, whomever they are for.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner().turns.extend(answers);
    }

    /// Gives access tokens so from now on.
    pub fn grant(&self, grants: Grants) {
        self.inner().grants = grants;
    }

    /// Access tokens that are given from now on live so long.
    pub fn tokens_live(&self, lives: Duration) {
        self.inner().lives = lives;
    }

    /// No access token that was given is good any more.
    pub fn end_tokens(&self) {
        self.inner().good.clear();
    }

    /// How often an access token was asked for.
    pub fn grants_asked(&self) -> usize {
        self.inner().grants_asked
    }

    /// How often a send was tried.
    pub fn tried(&self) -> usize {
        self.inner().bodies.len()
    }

    /// The bodies of all sends, also of those that were not taken. No JSON is `null`.
    pub fn bodies(&self) -> Vec<Value> {
        self.inner().bodies.clone()
    }

    /// What was taken, in this order.
    pub fn taken(&self) -> Vec<Taken> {
        self.inner().taken.clone()
    }

    /// How often the device with this token was pushed the message whose data has this `id`.
    pub fn count(&self, id: &str, token: &str) -> usize {
        let inner = self.inner();
        let is_it = |taken: &&Taken| {
            taken.token == token && taken.data.get("id").is_some_and(|named| named == id)
        };
        inner.taken.iter().filter(is_it).count()
    }

    /// The most sends that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.inner().most_at_once
    }

    /// Waits until `holds`, which is asked again whenever something came or was answered.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut changed = self.state.changed.subscribe();
        let waiting = async {
            while !holds(self) {
                changed.changed().await.unwrap();
            }
        };
        let came = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(came.is_ok(), "not {what}: {:?}", self.taken());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.inner()
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}
