//! Installing the clients once, and running a script of theirs with a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The first run on a machine may bring a JDK and a browser.
const INSTALL: Duration = Duration::from_secs(1_800);
/// How often a silent one is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A file of the installed clients.
pub fn installed(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients"));
    let outcome = OUTCOME.get_or_init(|| {
        let install = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/install");
        Script::run(&[install, folder.to_str().unwrap()]).until_end(INSTALL, |_| ())
    });
    if let Err(problem) = outcome {
        panic!("the clients could not be installed: {problem}");
    }
    folder.join(name).to_str().unwrap().to_owned()
}

/// A process under way, in a group of its own, with all that it said. Nothing of it outlives this.
pub struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    pub fn run(command: &[&str]) -> Self {
        let browser = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients/browser");
        let child = Command::new(command[0])
            .args(&command[1..])
            .env("CHROMIUM", browser)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", command[0]));
        let (sender, lines) = channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    /// Waits for its end, which has to be a success. A line `ASK x` is a wish: it is fulfilled and
    /// then answered with `DONE`.
    #[track_caller]
    pub fn ends_well(self, within: Duration, fulfil: impl FnMut(&str)) {
        if let Err(problem) = self.until_end(within, fulfil) {
            panic!("{problem}");
        }
    }

    /// The same, with what went wrong.
    pub fn until_end(
        mut self,
        within: Duration,
        mut fulfil: impl FnMut(&str),
    ) -> Result<(), String> {
        let end = Instant::now() + within;
        let mut said = String::new();
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    if let Some(wish) = line.strip_prefix("ASK ") {
                        fulfil(wish);
                        self.answer();
                    }
                }
                // Both streams are at their end.
                Err(RecvTimeoutError::Disconnected) => break,
                // What it left behind may hold its streams.
                Err(RecvTimeoutError::Timeout) if self.child.try_wait().unwrap().is_some() => {
                    self.end();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= end {
                return Err(format!("not done after {within:?}:\n{said}"));
            }
        }
        let status = self.child.wait().unwrap();
        if !status.success() {
            return Err(format!("{status}:\n{said}"));
        }
        print!("{said}");
        Ok(())
    }

    /// Also of what it started.
    fn end(&mut self) {
        let group = Pid::from_raw(self.child.id().try_into().unwrap());
        // It may be gone.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }

    fn answer(&mut self) {
        // It may have ended meanwhile, which its status tells.
        let _ = self.child.stdin.as_mut().unwrap().write_all(b"DONE\n");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(from: impl Read + Send + 'static, into: Sender<String>) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if into.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}
