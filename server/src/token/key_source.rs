//! Keeps the public keys of others fresh: from a file that may change, or from a URL that may be
//! away. A thread of its own looks; whoever checks a token takes the keys that are there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::config::Jwks;
use moim_shared::https;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use super::jwks::Keys;

/// The largest key set that is read.
const BYTES_MAX: u64 = 256 << 10;

/// A fetch that takes longer has failed.
const FETCH: Duration = Duration::from_secs(5);

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Keys that nobody knows make it look at once, but no more often than this: they may be made up.
const ASKED: Duration = Duration::from_secs(10);

/// How long somebody with such a key waits for the look.
const PATIENCE: Duration = Duration::from_secs(2);

/// After a failure it tries again after the first of these, up to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Owner of the thread; dropping it ends the thread.
pub struct KeySource {
    shared: Arc<Shared>,
    looks: watch::Receiver<u64>,
}

/// The keys as they are, and whether they can be relied on.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub keys: Arc<Keys>,
    /// The last look failed, or there was none yet: a key that is not here may be a good one.
    pub trouble: Option<Arc<str>>,
}

struct Shared {
    origin: Origin,
    refresh: Duration,
    known: RwLock<Known>,
    asked: Mutex<Asked>,
    changed: Condvar,
    /// Looks that ended.
    looks: watch::Sender<u64>,
}

#[derive(Default)]
struct Asked {
    now: bool,
    /// Nobody may ask again before.
    next: Option<Instant>,
    stopped: bool,
}

enum Origin {
    File(PathBuf),
    Url(String, ureq::Agent),
}

impl KeySource {
    /// Starts to look. A file has to be there and to hold keys; a URL may be away. The error says
    /// what is wrong.
    pub fn start(jwks: &Jwks, refresh: Duration) -> Result<Self, String> {
        let origin = Origin::new(jwks);
        let mut known = Known { trouble: Some("not fetched yet".into()), ..Known::default() };
        if let Origin::File(path) = &origin {
            let about = |error| format!("`jwks` ({}): {error}", path.display());
            known = Known::of(&origin.text().map_err(about)?).map_err(about)?;
            if known.keys.len() == 0 {
                return Err(about("no key in it can be used".into()));
            }
        }
        let (sender, looks) = watch::channel(0);
        let shared = Arc::new(Shared {
            origin,
            refresh,
            known: RwLock::new(known),
            asked: Mutex::default(),
            changed: Condvar::new(),
            looks: sender,
        });
        let looker = shared.clone();
        std::thread::Builder::new()
            .name("jwks".into())
            .spawn(move || looker.run())
            .map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Self { shared, looks })
    }

    pub(super) fn known(&self) -> Known {
        self.shared.known.read().clone()
    }

    /// What is wrong, if something is: for probes.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.shared.trouble()
    }

    /// Has it look now, unless that was asked for a moment ago. True when it has looked.
    pub(super) async fn look(&self) -> bool {
        let mut looks = self.looks.clone();
        let before = *looks.borrow_and_update();
        if !self.shared.ask() {
            return false;
        }
        let ended = looks.wait_for(|now| *now > before);
        matches!(tokio::time::timeout(PATIENCE, ended).await, Ok(Ok(_)))
    }
}

impl Drop for KeySource {
    fn drop(&mut self) {
        self.shared.asked.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

/// What a look at a key set finds.
pub struct Looked {
    /// Keys that are of use.
    pub keys: usize,
    /// Keys that are not, and why.
    pub skipped: Vec<String>,
}

/// Why there are no keys.
pub enum Unread {
    /// They cannot be had.
    Away(String),
    /// What is there is no key set, or not the right place.
    Bad(String),
}

/// Looks once, and keeps nothing. It blocks.
pub fn look(jwks: &Jwks) -> Result<Looked, Unread> {
    let text = Origin::new(jwks).text().map_err(|error| match jwks {
        Jwks::File(_) => Unread::Bad(error),
        Jwks::Url(_) => Unread::Away(error),
    })?;
    let read = Keys::read(&text).map_err(Unread::Bad)?;
    Ok(Looked { keys: read.keys.len(), skipped: read.skipped })
}

impl Shared {
    /// False when somebody asked, and was answered, a moment ago.
    fn ask(&self) -> bool {
        let mut asked = self.asked.lock();
        if asked.now {
            return true;
        }
        let now = Instant::now();
        if asked.next.is_some_and(|next| now < next) {
            return false;
        }
        *asked = Asked { now: true, next: Some(now + ASKED), ..*asked };
        self.changed.notify_one();
        true
    }

    fn run(&self) {
        let mut failures = 0;
        let mut seen = None;
        let mut wait = self.origin.wait_at_first();
        while self.wait(wait) {
            let looked = self.look(&mut seen);
            self.asked.lock().now = false;
            self.looks.send_modify(|looks| *looks += 1);
            failures = if looked { 0 } else { failures + 1 };
            let regular = self.origin.wait(self.refresh);
            wait = if looked { regular } else { backoff(failures).min(regular) };
            wait = wait.mul_f64(rand::random_range(0.9..1.1));
        }
    }

    /// Waits for so long, or until somebody asks. False when it is over.
    fn wait(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        let mut asked = self.asked.lock();
        while !asked.now && !asked.stopped {
            if self.changed.wait_until(&mut asked, until).timed_out() {
                break;
            }
        }
        !asked.stopped
    }

    /// Takes what is new. The keys before it stay while there is nothing better. True when it
    /// could look.
    fn look(&self, seen: &mut Option<String>) -> bool {
        match self.origin.text() {
            Ok(text) if seen.as_ref() == Some(&text) && self.trouble().is_none() => true,
            Ok(text) => {
                let settled = self.settle(&text);
                *seen = Some(text);
                settled
            }
            Err(error) => self.fails(&error),
        }
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.known.read().trouble.clone()
    }

    fn settle(&self, text: &str) -> bool {
        match Known::of(text) {
            Ok(known) => {
                tracing::info!(keys = known.keys.len(), "JWKS read");
                *self.known.write() = known;
                true
            }
            Err(error) => self.fails(&error),
        }
    }

    /// Told when it begins, and when it is another trouble.
    fn fails(&self, error: &str) -> bool {
        let mut known = self.known.write();
        if known.trouble.as_deref() != Some(error) {
            let keys = known.keys.len();
            tracing::warn!(keys, "the JWKS cannot be had, what was had before stays: {error}");
            known.trouble = Some(error.into());
        }
        false
    }
}

impl Known {
    fn of(text: &str) -> Result<Self, String> {
        let read = Keys::read(text)?;
        for skipped in &read.skipped {
            tracing::warn!("JWKS: not used: {skipped}");
        }
        Ok(Self { keys: Arc::new(read.keys), trouble: None })
    }
}

impl Origin {
    fn new(jwks: &Jwks) -> Self {
        match jwks {
            Jwks::File(path) => Self::File(path.clone()),
            Jwks::Url(url) => Self::Url(url.clone(), https::agent(url, FETCH)),
        }
    }

    fn text(&self) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
                let fits = text.len() as u64 <= BYTES_MAX;
                if fits { Ok(text) } else { Err(format!("it is larger than {BYTES_MAX} bytes")) }
            }
            Self::Url(url, agent) => agent
                .get(url)
                .header("accept", "application/json")
                .call()
                .and_then(|mut answer| {
                    answer.body_mut().with_config().limit(BYTES_MAX).read_to_string()
                })
                .map_err(|error| error.to_string()),
        }
    }

    const fn wait_at_first(&self) -> Duration {
        match self {
            Self::File(_) => LOOK,
            Self::Url(..) => Duration::ZERO,
        }
    }

    const fn wait(&self, refresh: Duration) -> Duration {
        match self {
            Self::File(_) => LOOK,
            Self::Url(..) => refresh,
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let (first, last) = RETRY;
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(last)
}
