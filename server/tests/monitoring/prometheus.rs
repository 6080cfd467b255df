//! A Prometheus of its own for a test, over processes of this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use form_urlencoded::byte_serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Answer;

const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/run");
/// How long it may think.
const ANSWER: Duration = Duration::from_secs(30);

/// See the module.
pub struct Prometheus {
    process: Child,
    /// Ends it when this test is gone.
    watchdog: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// As an operator starts it, but that it looks every second.
    pub fn start(servers: &[SocketAddr], workers: &[SocketAddr]) -> Self {
        let urls = |of: &[SocketAddr]| {
            of.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(",")
        };
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(RUN)
            .arg(folder.path())
            .env("MOIM_URLS", urls(servers))
            .env("MOIM_WORKER_URLS", urls(workers))
            .env("PROMETHEUS_LISTEN", "127.0.0.1:0")
            .env("SCRAPE_EVERY", "1s")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\""])
            .arg(process.id().to_string())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (mut said, mut address) = (String::new(), None);
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| {
            said.push_str(&line);
            said.push('\n');
            if let Some((_, place)) = line.split_once("\"Listening on\" address=") {
                address = place.split(' ').next().and_then(|place| place.parse().ok());
            }
            line.contains("Server is ready")
        });
        let address = address.filter(|_| is_ready);
        let address = address.unwrap_or_else(|| panic!("Prometheus does not start:\n{said}"));
        // Somebody has to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, watchdog, address, _folder: folder }
    }

    /// The samples that a query comes to now.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let data = self.get("query", &[("query", query)]);
        data["result"].as_array().unwrap_or_else(|| panic!("{query}: {data}")).clone()
    }

    /// Whether somebody has such a series.
    #[track_caller]
    pub fn has(&self, selector: &str) -> bool {
        !self.get("series", &[("match[]", selector)]).as_array().unwrap().is_empty()
    }

    /// All names of metrics.
    pub fn names(&self) -> Vec<String> {
        serde_json::from_value(self.get("label/__name__/values", &[])).unwrap()
    }

    /// All rules, as it reads them.
    pub fn rules(&self) -> Vec<Value> {
        let data = self.get("rules", &[]);
        let groups = data["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    #[track_caller]
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let path = format!("/api/v1/{path}?{}", parameters.join("&"));
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        // Of this version so that it does not answer in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut answer = Answer::parse(&text).json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Either may have ended already. The dog first: later the number may be another's.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
