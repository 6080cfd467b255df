//! P8 as an operator sees it: servers and workers are replaced, and their number is changed, while
//! people chat through nginx. Pods begin and end as the manifests say: by their readiness probe,
//! with their preStop, within their grace.
//!
//! `MOIM_TEST_USERS` says how many people chat; from 2,000 on sessions are sent away over as long as
//! the manifests say.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moim_shared::config::Span;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::model::{Manifests, list, pairs, text, title};
use crate::rendered::{KUBECTLS, parsed, rendered};
use crate::rig::{Cluster, built};
use crate::support::*;
use crate::until;

/// How long people chat at most; they end when all is done.
const LONGEST: u64 = 900;
/// For a pod to be ready.
const READY: Duration = Duration::from_secs(60);
/// For nginx, which may have to be installed.
const INSTALLED: Duration = Duration::from_secs(300);

/// How a pod begins and ends.
#[derive(Clone)]
struct Lifecycle {
    startup: String,
    readiness: String,
    liveness: String,
    period: Duration,
    /// From being ready until the next one goes.
    stands: Duration,
    /// Over how long it sends its sessions away, if it has any.
    spread: Option<Duration>,
    pre_stop: Vec<String>,
    grace: Duration,
}

impl Lifecycle {
    fn of(manifests: &Manifests, component: &str) -> Self {
        let pods = manifests.pods();
        let pod = pods.iter().find(|pod| pod.component() == Some(component)).unwrap();
        let mut deployments = manifests.of_kind("Deployment");
        let deployment = deployments.find(|one| title(one) == pod.owner).unwrap();
        let container = &pod.spec["containers"][0];
        let readiness = &container["readinessProbe"];
        let path = |probe: &str| text(&container[probe]["httpGet"]["path"]).to_owned();
        let seconds = |value: &Value| Duration::from_secs(value.as_u64().unwrap());
        let pre_stop = list(&container["lifecycle"]["preStop"]["exec"]["command"]);
        Self {
            startup: path("startupProbe"),
            readiness: path("readinessProbe"),
            liveness: path("livenessProbe"),
            period: seconds(&readiness["periodSeconds"]),
            stands: seconds(&deployment["spec"]["minReadySeconds"]),
            spread: None,
            pre_stop: pre_stop.map(|word| text(word).to_owned()).collect(),
            grace: seconds(&pod.spec["terminationGracePeriodSeconds"]),
        }
    }

    /// The pod is ready, and counts.
    async fn is_available(&self, server: &Server) {
        self.is_ready(server).await;
        sleep(self.stands).await;
    }

    async fn is_ready(&self, server: &Server) {
        for path in [&self.startup, &self.readiness] {
            let end = Instant::now() + READY;
            while !answers(server, path).await {
                assert!(Instant::now() < end, "{path} says no for {READY:?}");
                sleep(self.period).await;
            }
        }
    }

    /// Ends it as a pod is ended; it must not take as long as it may.
    async fn end(self, server: Server) {
        let begun = Instant::now();
        if let [program, arguments @ ..] = &self.pre_stop[..] {
            let mut command = Command::new(program);
            command.args(arguments);
            let status = spawn_blocking(move || command.status()).await.unwrap().unwrap();
            assert!(status.success(), "preStop failed");
        }
        let before = self.spread.map(|_| sessions(&server));
        server.signal(Signal::SIGTERM);
        // A few are too few to be half there.
        if let (Some(spread), Some(before @ 8..)) = (self.spread, before) {
            sleep(spread / 2).await;
            assert!(answers(&server, &self.liveness).await, "it would be killed");
            let still = sessions(&server);
            let some = 0 < still && still < before;
            assert!(some, "after half of {spread:?} {still} of {before} are still there");
        }
        let left = self.grace.saturating_sub(begun.elapsed());
        let ended = spawn_blocking(move || (server.ended(left).code(), server));
        let (code, server) = ended.await.unwrap();
        assert_eq!(code, Some(0), "{}", server.log);
    }
}

/// Whether a probe is content.
async fn answers(server: &Server, path: &str) -> bool {
    let ask = server.ask(&format!("GET {path}"));
    spawn_blocking(move || ask.answer()).await.unwrap().status == 200
}

/// How many sessions it has.
fn sessions(server: &Server) -> u32 {
    server.metric("moim_sessions").unwrap() as u32
}

/// nginx in front of the servers, as the repository configures it.
struct Front {
    folder: TempDir,
    port: u16,
    nginx: Child,
    _own: Port,
}

impl Front {
    async fn start(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = Port::reserve();
        let port = own.address().port();
        configure(&folder, port, cluster);
        let nginx = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/nginx"))
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .args(["-e", "stderr", "-g", "daemon off;"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let front = Self { folder, port, nginx, _own: own };
        until("the front answers", INSTALLED, async || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        front
    }

    /// Those servers take what comes from now on.
    fn serves(&self, cluster: &Cluster) {
        configure(&self.folder, self.port, cluster);
        kill(pid(&self.nginx), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = kill(pid(&self.nginx), Signal::SIGTERM);
        let _ = self.nginx.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn configure(folder: &TempDir, port: u16, cluster: &Cluster) {
    let template = include_str!("../../../deploy/nginx.conf.template");
    let servers: String = cluster
        .servers()
        .map(|server| format!("server {} fail_timeout=2s;\n", server.address))
        .collect();
    let run = folder.path().join("run");
    std::fs::create_dir_all(&run).unwrap();
    let text = template
        .replace("${front_listen}", &format!("127.0.0.1:{port}"))
        .replace("${front_run}", run.to_str().unwrap())
        .replace("${front_servers}", &servers);
    std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
}

/// People who chat through the front for a time, and come back when they are sent away.
struct Load {
    process: Child,
    report: PathBuf,
    _folder: TempDir,
}

impl Load {
    async fn start(cluster: &Cluster, front: &Front, users: u32) -> Self {
        let program = built("moim-load").await;
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report");
        let rooms = users / 6;
        let process = Command::new(program)
            .args(["rate", "--resume", "--json", "--members", "6"])
            // Two a second in each room.
            .args(["--rooms", &rooms.to_string(), "--rate", &(2 * rooms).to_string()])
            .args(["--seconds", &LONGEST.to_string(), "--secret", SECRET])
            .args(["--url", &format!("ws://127.0.0.1:{}/ws", front.port)])
            .args(["--database", cluster.database.url()])
            .stdout(std::fs::File::create(&report).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, report, _folder: folder }
    }

    /// Ends it, and looks at what it came to: nothing failed but links that were closed by servers
    /// that went, and those were all resumed.
    async fn ended(mut self, gone: u32) {
        assert!(self.process.try_wait().unwrap().is_none(), "nobody chatted at the end of it");
        kill(pid(&self.process), Signal::SIGINT).unwrap();
        let ended = spawn_blocking(move || (self.process.wait().unwrap(), self));
        let (status, load) = ended.await.unwrap();
        let report = std::fs::read_to_string(&load.report).unwrap();
        eprintln!("{report}");
        assert!(status.success(), "something was lost, doubled or out of order");
        let report: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
        let none = ["unacknowledged", "unrecovered", "missed", "shownAgain", "moved"];
        for name in none {
            assert_eq!(report[name], 0, "{name}");
        }
        let count = |name: &str| report[name].as_u64().unwrap();
        assert!(count("acknowledged") > 0 && count("recovered") >= gone.into());
        let kinds = report["interruptions"].as_object().unwrap().keys();
        let others: Vec<&String> = kinds.filter(|kind| !kind.contains("1012")).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Servers and workers, as two Deployments have them.
struct Deployments {
    cluster: Cluster,
    front: Front,
    server: Lifecycle,
    worker: Lifecycle,
    ending: JoinSet<()>,
    /// Sessions of servers that went.
    gone: u32,
}

impl Deployments {
    async fn one_more_server(&mut self) -> usize {
        let number = self.cluster.add_server().await;
        self.server.is_ready(self.cluster.server(number)).await;
        self.front.serves(&self.cluster);
        number
    }

    /// All at once, as when a number is lowered. Nothing waits for them.
    fn fewer_servers(&mut self, numbers: &[usize]) {
        for number in numbers {
            let server = self.cluster.take_server(*number);
            self.gone += sessions(&server);
            self.ending.spawn(self.server.clone().end(server));
        }
        self.front.serves(&self.cluster);
    }

    async fn everybody_chats(&self, users: u32) {
        until("everybody is there", READY, async || {
            self.cluster.servers().map(sessions).sum::<u32>() >= users / 6 * 6
        })
        .await;
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.ending.join_next().await {
            ended.unwrap();
        }
    }

    fn numbers(&self) -> Vec<usize> {
        self.cluster.numbers()
    }
}

#[tokio::test]
async fn all_are_replaced_and_their_number_is_changed_while_people_chat() {
    let manifests = parsed(&rendered(KUBECTLS[0], "prod"));
    let configuration = manifests.of_kind("ConfigMap").next().unwrap();
    let variables = pairs(&configuration["data"]);
    let users = std::env::var("MOIM_TEST_USERS").map_or(240, |text| text.parse().unwrap());
    let usual: Span = variables["MOIM_DRAIN_SPREAD"].parse().unwrap();
    let spread = if users < 2_000 { Duration::from_secs(3) } else { usual.get() };
    let lifecycle = |component| Lifecycle::of(&manifests, component);
    let (mut server, worker) = (lifecycle("server"), lifecycle("worker"));
    server.stands = server.stands.saturating_sub(usual.get() - spread);
    server.spread = Some(spread);
    let spread = format!("{}s", spread.as_secs());
    let settings =
        [("MOIM_DRAIN_SPREAD", &*spread), ("MOIM_DRAIN_BOUND", &variables["MOIM_DRAIN_BOUND"])];
    let cluster = Cluster::with(3, 2, &settings).await;
    let front = Front::start(&cluster).await;
    let load = Load::start(&cluster, &front, users).await;
    let ending = JoinSet::new();
    let mut all = Deployments { cluster, front, server, worker, ending, gone: 0 };
    all.everybody_chats(users).await;
    for number in 0..2 {
        let new = all.cluster.add_worker().await;
        all.worker.is_available(all.cluster.worker(new)).await;
        let old = all.cluster.take_worker(number);
        all.ending.spawn(all.worker.clone().end(old));
    }
    for number in 0..3 {
        let new = all.one_more_server().await;
        all.server.is_available(all.cluster.server(new)).await;
        all.fewer_servers(&[number]);
    }
    all.all_ended().await;
    let two_of_three = all.numbers();
    all.fewer_servers(&two_of_three[..1]);
    all.all_ended().await;
    for _ in 0..3 {
        all.one_more_server().await;
    }
    let five = all.numbers();
    all.fewer_servers(&five[..3]);
    all.all_ended().await;
    all.everybody_chats(users).await;
    load.ended(all.gone).await;
    all.cluster.end().await;
}
