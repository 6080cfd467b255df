//! A server process with a data directory of its own.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::{DEADLINE, SECRET};

/// How long a start may take on a machine that builds beside it.
const START: Duration = Duration::from_secs(30);
const BINARY: &str = env!("CARGO_BIN_EXE_moim-server");

/// What runs in a process.
#[derive(Clone)]
pub struct Program {
    /// A program that becomes this one, which is its first argument.
    by: &'static [&'static str],
    binary: PathBuf,
    /// What its log says when it serves, in front of its URL.
    says: &'static str,
}

impl Program {
    pub fn server() -> Self {
        Self { by: &[], binary: BINARY.into(), says: "listens on " }
    }

    /// A worker of a cluster, which tests of that build.
    pub fn worker(binary: PathBuf) -> Self {
        Self { by: &[], binary, says: "answers on " }
    }

    /// The same, run by another program.
    #[must_use]
    pub fn by(self, by: &'static [&'static str]) -> Self {
        Self { by, ..self }
    }

    /// Runs it until it ends, in a directory without a server.
    pub fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        self.command_and(arguments, settings, |_process| {})
    }

    /// The same, and does something with the process that runs.
    pub fn command_and(
        &self,
        arguments: &[&str],
        settings: &[(&str, &str)],
        meanwhile: impl FnOnce(Pid),
    ) -> Output {
        let directory = tempfile::tempdir().unwrap();
        let mut command = command(directory.path(), &owned(settings), self);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        meanwhile(Pid::from_raw(child.id().cast_signed()));
        if wait(&mut child, START).is_none() {
            let _ = child.kill();
            panic!("`{} {arguments:?}` with {settings:?} did not end", self.binary.display());
        }
        child.wait_with_output().unwrap()
    }
}

/// See the module. Ends with its owner, and with the test process however that ends.
pub struct Server {
    directory: Arc<TempDir>,
    settings: Vec<(String, String)>,
    program: Program,
    process: Mutex<Process>,
    pub address: SocketAddr,
    pub log: Log,
}

struct Process {
    child: Child,
    /// Ends the server when this process is gone, which leaves statics undropped.
    watchdog: Child,
}

impl Server {
    /// With the defaults.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more variables.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::run(Program::server(), owned(settings))
    }

    /// Another program, or settings of any origin.
    pub fn run(program: Program, settings: Vec<(String, String)>) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), settings, program)
    }

    /// The same for one whose files are going to be limited in size: like a full disk it shall
    /// see an error, not a signal.
    pub fn with_limited_files(settings: &[(&str, &str)]) -> Self {
        let by = &["sh", "-c", "trap '' XFSZ; exec \"$0\""];
        Self::run(Program { by, ..Program::server() }, owned(settings))
    }

    /// Runs the command until it ends, in a directory without a server.
    pub fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        Program::server().command(arguments, settings)
    }

    fn on(directory: Arc<TempDir>, settings: Vec<(String, String)>, program: Program) -> Self {
        let mut child = command(directory.path(), &settings, &program).spawn().unwrap();
        let watchdog = watchdog(child.id(), directory.path());
        let log = Log::collect(child.stderr.take().unwrap());
        let serves = |line: &str| {
            line.split_once(program.says).is_some_and(|(_, url)| url.starts_with("http"))
        };
        let Some(line) = log.wait_for(START, serves) else {
            let _ = child.kill();
            panic!("the server did not start: {:?}\n{log}", child.wait());
        };
        let url = line.split(program.says).nth(1).unwrap().split([' ', '"']).next().unwrap();
        let address = url.split("://").nth(1).unwrap().parse().unwrap();
        let process = Mutex::new(Process { child, watchdog });
        Self { directory, settings, program, process, address, log }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().child.id()
    }

    /// Bytes of its memory that are in RAM.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn database(&self) -> PathBuf {
        self.data_dir().join("moim.db")
    }

    /// Ends it at once, without a word (SIGKILL).
    pub fn kill(&self) {
        self.process.lock().unwrap().end();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&self, within: Duration) -> ExitStatus {
        let status = wait(&mut self.process.lock().unwrap().child, within);
        status.unwrap_or_else(|| panic!("the server did not end\n{}", self.log))
    }

    /// Asks it to end (SIGTERM) and gives back its exit code.
    #[track_caller]
    pub fn terminate(&self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.ended(Duration::from_secs(15)).code()
    }

    /// Kills it, if it still runs, and starts another on the same data.
    #[must_use]
    pub fn restart(self) -> Self {
        let settings = self.settings.clone();
        self.restart_with(settings)
    }

    /// The same with other variables.
    #[must_use]
    pub fn restart_with(self, settings: Vec<(String, String)>) -> Self {
        self.kill();
        Self::on(self.directory.clone(), settings, self.program.clone())
    }

    /// An HTTP GET without a client library in between.
    pub fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.address))
    }

    /// One number of `/metrics`, by its name and labels as they stand there, if it is there.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200);
        let line = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// A request's lines, up to the blank one.
    pub fn request(&self, lines: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "{lines}Connection: close\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&String::from_utf8_lossy(&bytes))
    }
}

/// A port that stays a server's own while it is down: a socket that is bound to it, and does not
/// listen, keeps the system from giving it to anybody who asks for just any.
pub struct Port(Socket);

impl Port {
    /// Before the server is there; with `MOIM_LISTEN` it is given the address.
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.get_mut();
        process.unwrap_or_else(std::sync::PoisonError::into_inner).end();
        if std::thread::panicking() {
            self.log.show();
        }
    }
}

impl Process {
    fn end(&mut self) {
        // Either may have ended already. The dog first: later the number may be another's.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// Settings without a value take a default away.
fn command(data: &Path, settings: &[(String, String)], program: &Program) -> Command {
    let mut all = program.by.iter().map(OsStr::new).chain([program.binary.as_os_str()]);
    let mut command = Command::new(all.next().unwrap());
    command.args(all);
    command
        .env_clear()
        .current_dir(data)
        .env("NO_COLOR", "1")
        .env("MOIM_LISTEN", "127.0.0.1:0")
        .env("MOIM_DATA_DIR", data)
        .env("MOIM_JWT_SECRET", SECRET)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    for (name, value) in settings {
        if value.is_empty() {
            command.env_remove(name)
        } else {
            command.env(name, value)
        };
    }
    command
}

/// Waits for the end of its input, which is the end of this process.
fn watchdog(pid: u32, directory: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$0\"; rm -rf \"$1\""])
        .arg(pid.to_string())
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        // The system offers no wait with a bound.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a server said so far.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
    shown: bool,
}

impl Log {
    fn collect(from: ChildStderr) -> Self {
        let log = Self::default();
        let writer = log.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                writer.0.0.lock().unwrap().lines.push(text);
                writer.0.1.notify_all();
                line.clear();
            }
            writer.0.0.lock().unwrap().ended = true;
            writer.0.1.notify_all();
        });
        log
    }

    /// The first line, said already or to come, that is what is looked for.
    pub fn wait_for(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let (lines, changed) = &*self.0;
        let found = |lines: &Lines| lines.lines.iter().find(|line| wanted(line)).cloned();
        let waits = |lines: &mut Lines| found(lines).is_none() && !lines.ended;
        let (lines, _) = changed.wait_timeout_while(lines.lock().unwrap(), within, waits).unwrap();
        found(&lines)
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.0.0.lock().unwrap().lines.join("\n")
    }

    /// Prints it, once.
    pub fn show(&self) {
        if !std::mem::replace(&mut self.0.0.lock().unwrap().shown, true) {
            eprintln!("--- the server's log ---\n{self}");
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.0.0.lock().unwrap();
        let first = log.lines.len().saturating_sub(60);
        f.write_str(&log.lines[first..].join("\n"))
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self {
            status: status.unwrap_or_else(|| panic!("no HTTP answer: {text:?}")),
            headers: lines.filter_map(header).collect(),
            body: body.into(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}
