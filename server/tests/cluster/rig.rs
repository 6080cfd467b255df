//! A cluster for one test: processes of its own over names of its own in services that all tests
//! share, which only one may use at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use moim_shared::ids::NodeId;
use nix::sys::signal::Signal;
use tokio::sync::{Mutex, MutexGuard, OnceCell, watch};
use tokio::task::spawn_blocking;

use crate::postgres::TestDatabase;
use crate::services::service;
use crate::support::{Answer, Program, Server};
use crate::until;

/// The operators' token.
pub const ADMIN: &str = "an-operators-token";

/// Whose turn it is to have the services.
static TURN: Mutex<()> = Mutex::const_new(());

/// See the module.
pub struct Cluster {
    name: String,
    pub settings: Vec<(String, String)>,
    servers: Vec<Option<Server>>,
    workers: Vec<Option<Server>>,
    nodes: watch::Sender<Vec<SocketAddr>>,
    pub database: TestDatabase,
    _turn: Turn,
}

/// Holds the services for one test.
pub type Turn = MutexGuard<'static, ()>;

/// Waits for them.
pub async fn turn() -> Turn {
    TURN.lock().await
}

impl Cluster {
    pub async fn start(servers: usize, workers: usize) -> Self {
        Self::with(servers, workers, &[]).await
    }

    /// With more variables, for all processes.
    pub async fn with(servers: usize, workers: usize, settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::unstarted(settings).await;
        cluster.migrate();
        for _ in 0..servers {
            cluster.add_server().await;
        }
        for _ in 0..workers {
            cluster.add_worker().await;
        }
        cluster
    }

    /// Names and an empty database; no process.
    pub async fn unstarted(settings: &[(&str, &str)]) -> Self {
        let turn = turn().await;
        let database = TestDatabase::empty().await;
        let name = format!("test-{}", NodeId::random());
        let (redis, amqp) = (service("MOIM_TEST_REDIS_URL"), service("MOIM_TEST_AMQP_URL"));
        let own = [
            ("MOIM_MODE", "cluster"),
            ("MOIM_CLUSTER", &name),
            ("MOIM_REDIS_URL", &redis),
            ("MOIM_AMQP_URL", &amqp),
            ("MOIM_DATABASE_URL", database.url()),
            ("MOIM_ADMIN_TOKEN", ADMIN),
            ("MOIM_WORKER_LISTEN", "127.0.0.1:0"),
            ("MOIM_DRAIN_SPREAD", "500ms"),
            ("MOIM_WORKER__SWEEP_EVERY", "500ms"),
            ("MOIM_WORKER__SWEEP_AFTER", "2s"),
        ];
        let given = |(name, _): &&(&str, &str)| settings.iter().any(|(other, _)| other == name);
        let own: Vec<_> = own.iter().filter(|pair| !given(pair)).chain(settings).collect();
        let settings = own.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Self {
            name,
            settings,
            servers: Vec::new(),
            workers: Vec::new(),
            nodes: watch::channel(Vec::new()).0,
            database,
            _turn: turn,
        }
    }

    /// Makes the tables, as an operator does.
    pub fn migrate(&self) {
        let settings: Vec<_> = self.settings.iter().map(|(k, v)| (&**k, &**v)).collect();
        let output = Server::command(&["migrate"], &settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }

    /// One more server, and its number.
    pub async fn add_server(&mut self) -> usize {
        self.servers.push(None);
        self.start_server(self.servers.len() - 1).await;
        self.servers.len() - 1
    }

    pub async fn start_server(&mut self, number: usize) {
        let settings = self.settings.clone();
        let starting = spawn_blocking(move || Server::run(Program::server(), settings));
        self.servers[number] = Some(starting.await.unwrap());
        self.tell_nodes();
    }

    /// One more worker, and its number.
    pub async fn add_worker(&mut self) -> usize {
        self.workers.push(None);
        self.start_worker(self.workers.len() - 1).await;
        self.workers.len() - 1
    }

    pub async fn start_worker(&mut self, number: usize) {
        let (settings, program) = (self.settings.clone(), Program::worker(worker_binary().await));
        let starting = spawn_blocking(move || Server::run(program, settings));
        self.workers[number] = Some(starting.await.unwrap());
    }

    /// SIGKILL.
    pub fn kill_server(&mut self, number: usize) {
        let server = self.servers[number].take().unwrap();
        self.tell_nodes();
        server.kill();
    }

    /// SIGKILL.
    pub fn kill_worker(&mut self, number: usize) {
        self.workers[number].take().unwrap().kill();
    }

    /// One that is told to end by whoever has it.
    pub fn take_server(&mut self, number: usize) -> Server {
        let server = self.servers[number].take().unwrap();
        self.tell_nodes();
        server
    }

    /// The same.
    pub fn take_worker(&mut self, number: usize) -> Server {
        self.workers[number].take().unwrap()
    }

    /// SIGTERM, after which it has to end well.
    pub async fn terminate_server(&mut self, number: usize) {
        ends_well(self.take_server(number)).await;
    }

    /// SIGTERM, after which it has to end well.
    pub async fn terminate_worker(&mut self, number: usize) {
        ends_well(self.take_worker(number)).await;
    }

    /// Starts all that was ended.
    pub async fn start_missing(&mut self) {
        for number in 0..self.servers.len() {
            if self.servers[number].is_none() {
                self.start_server(number).await;
            }
        }
        for number in 0..self.workers.len() {
            if self.workers[number].is_none() {
                self.start_worker(number).await;
            }
        }
    }

    pub fn server(&self, number: usize) -> &Server {
        self.servers[number].as_ref().unwrap()
    }

    pub fn worker(&self, number: usize) -> &Server {
        self.workers[number].as_ref().unwrap()
    }

    /// What its queues and rooms are called by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For those that are started from now on; what it was.
    pub fn replace_setting(&mut self, variable: &str, value: &str) -> String {
        let found = self.settings.iter_mut().find(|(known, _)| known == variable);
        std::mem::replace(&mut found.unwrap().1, value.to_owned())
    }

    /// The numbers of servers that run.
    pub fn numbers(&self) -> Vec<usize> {
        let running = self.servers.iter().enumerate().filter(|(_, server)| server.is_some());
        running.map(|(number, _)| number).collect()
    }

    /// Those that run.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    /// Where servers are, now and later.
    pub fn nodes(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.nodes.subscribe()
    }

    fn tell_nodes(&self) {
        self.nodes.send_replace(self.servers().map(|server| server.address).collect());
    }

    /// What a server says of its state.
    pub async fn readyz(&self, number: usize) -> Answer {
        let ask = self.server(number).ask("GET /readyz");
        spawn_blocking(move || ask.answer()).await.unwrap()
    }

    /// Waits until a server is ready in that state.
    pub async fn is_ready_and(&self, number: usize, status: &str, within: Duration) {
        until(&format!("server {number} is {status}"), within, async || {
            let answer = self.readyz(number).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()["status"] == status
        })
        .await;
    }

    /// How many messages wait in RabbitMQ, and how many were put aside.
    pub async fn queued(&self) -> (u32, u32) {
        let (_connection, channel) = rabbitmq().await;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let mut counts = [0, 0];
        for (count, of) in counts.iter_mut().zip(["messages", "dead"]) {
            let name = format!("{}.{of}", self.name).into();
            let queue = channel.queue_declare(name, passive, FieldTable::default()).await.unwrap();
            *count = queue.message_count();
        }
        (counts[0], counts[1])
    }

    /// Puts bytes into the queue of messages as they are.
    pub async fn publish(&self, payload: &[u8]) {
        let (_connection, channel) = rabbitmq().await;
        let name = format!("{}.messages", self.name);
        let confirm = lapin::options::ConfirmSelectOptions::default();
        channel.confirm_select(confirm).await.unwrap();
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let published = channel
            .basic_publish(
                name.as_str().into(),
                name.as_str().into(),
                options,
                payload,
                BasicProperties::default().with_delivery_mode(2),
            )
            .await
            .unwrap();
        assert!(published.await.unwrap().is_ack());
    }

    /// Waits until something was put aside, and takes it: its bytes, and why.
    pub async fn dead_letter(&self) -> (Vec<u8>, String) {
        let (_connection, channel) = rabbitmq().await;
        let name = format!("{}.dead", self.name);
        let mut taken = None;
        until("a dead letter", Duration::from_secs(30), async || {
            let options = BasicGetOptions { no_ack: true };
            taken = channel.basic_get(name.as_str().into(), options).await.unwrap();
            taken.is_some()
        })
        .await;
        let delivery = taken.unwrap().delivery;
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let reason = headers.inner().get("x-moim-reason").and_then(AMQPValue::as_long_string);
        let reason = reason.unwrap_or_else(|| panic!("no reason: {headers:?}")).to_string();
        (delivery.data, reason)
    }

    /// All processes end well when they are told to, and nothing was put aside.
    pub async fn end(mut self) {
        assert_eq!(self.queued().await.1, 0, "messages were dead-lettered");
        for server in self.servers.iter_mut().filter_map(Option::take) {
            ends_well(server).await;
        }
        for worker in self.workers.iter_mut().filter_map(Option::take) {
            ends_well(worker).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Before their queues, which they would make again.
        self.servers.clear();
        self.workers.clear();
        let name = std::mem::take(&mut self.name);
        // The test's own runtime cannot be waited for here.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let _ = tokio::time::timeout(Duration::from_secs(10), delete_queues(&name)).await;
            });
        });
        // A test that left RabbitMQ away has said why it failed.
        let _ = deleting.join();
    }
}

async fn ends_well(server: Server) {
    server.signal(Signal::SIGTERM);
    let ended = spawn_blocking(move || (server.ended(Duration::from_secs(45)), server));
    let (status, server) = ended.await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", server.log);
}

async fn rabbitmq() -> (Connection, Channel) {
    let url = service("MOIM_TEST_AMQP_URL");
    let connecting = Connection::connect(&url, ConnectionProperties::default());
    let connection = connecting.await.expect("the RabbitMQ of the tests");
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn delete_queues(name: &str) {
    let (connection, channel) = rabbitmq().await;
    for of in ["messages", "dead"] {
        let name = format!("{name}.{of}");
        let queue = QueueDeleteOptions::default();
        let _ = channel.queue_delete(name.as_str().into(), queue).await;
        let exchange = ExchangeDeleteOptions::default();
        let _ = channel.exchange_delete(name.as_str().into(), exchange).await;
    }
    let _ = connection.close(200, "OK".into()).await;
}

/// The worker of this build.
pub async fn worker_binary() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT.get_or_init(async || built("moim-worker").await).await.clone()
}

/// The program of another package. Cargo gives a test only the binaries of its own, so it is built
/// here.
pub async fn built(package: &'static str) -> PathBuf {
    spawn_blocking(move || build(package)).await.unwrap()
}

fn build(package: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_moim-server")).parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        named => named,
    };
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--package", package, "--bin", package]);
    command.args(["--profile", profile, "--target-dir"]).arg(folder.parent().unwrap());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{package} does not build:\n{said}");
    folder.join(package)
}
