//! Passwords and their hashes (argon2id), on threads of their own: each costs tens of milliseconds
//! and 19 MiB, and a crowd that logs in must not make those wait who chat.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// As OWASP advises: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Passwords that may wait. At 20 ms each the last one of a burst is reached within its patience.
const WAITING: usize = 256;

/// Whoever waits longer than this is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hash of a password that nobody knows: who has no account takes as long as who has one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$As6S0wukjspXImUubdvRyQ\
    $5bHC3h9fGfdM5/royls4UZUQL/7dS8vbH+S2oeCQWSE";

/// A password as somebody typed it. Debug shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// More wait than is allowed, or for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// See the module. Dropping it ends its threads.
pub struct Hasher {
    queue: SyncSender<Job>,
}

struct Job {
    password: Password,
    work: Work,
    until: Instant,
}

enum Work {
    Hash(oneshot::Sender<Option<String>>),
    Verify(String, oneshot::Sender<bool>),
}

impl Password {
    /// The text as it is.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// How many characters it has.
    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Hasher {
    /// Starts half as many threads as there are cores.
    pub fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with((cores / 2).max(1), WAITING)
    }

    fn with(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = jobs.clone();
            std::thread::Builder::new().name("passwords".into()).spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// The hash of a new password, in the PHC string format.
    pub async fn hash(&self, password: Password) -> Result<String, Crowded> {
        let (reply, answer) = oneshot::channel();
        self.give(password, Work::Hash(reply))?;
        within(answer).await?.ok_or(Crowded)
    }

    /// Whether it is the password of the hash. It takes as long without a hash, and is not.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Crowded> {
        let known = hash.is_some();
        let (reply, answer) = oneshot::channel();
        self.give(password, Work::Verify(hash.unwrap_or_else(|| NOBODY.into()), reply))?;
        Ok(within(answer).await? && known)
    }

    fn give(&self, password: Password, work: Work) -> Result<(), Crowded> {
        let job = Job { password, work, until: Instant::now() + PATIENCE };
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Crowded,
        })
    }
}

async fn within<T>(answer: oneshot::Receiver<T>) -> Result<T, Crowded> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        // Too late, or its thread died of it.
        Ok(Err(_)) | Err(_) => Err(Crowded),
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let argon2 = argon2();
    loop {
        let Ok(Job { password, work, until }) = jobs.lock().recv() else { return };
        // Nobody waits for it any more.
        if Instant::now() >= until {
            continue;
        }
        let password = password.0.as_bytes();
        match work {
            Work::Hash(reply) if !reply.is_closed() => {
                let hash = argon2.hash_password(password).ok().map(|hash| hash.to_string());
                let _ = reply.send(hash);
            }
            Work::Verify(hash, reply) if !reply.is_closed() => {
                let verified = PasswordHash::new(&hash)
                    .is_ok_and(|hash| argon2.verify_password(password, &hash).is_ok());
                let _ = reply.send(verified);
            }
            Work::Hash(_) | Work::Verify(..) => {}
        }
    }
}

fn argon2() -> Argon2<'static> {
    // These are within what the algorithm allows; the default is the same but for a later version.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.into())
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let hasher = Hasher::with(1, 4).unwrap();
        let hash = hasher.hash(password("swordfish")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(hasher.verify(password("swordfish"), Some(hash.clone())).await, Ok(true));
        assert_eq!(hasher.verify(password("Swordfish"), Some(hash.clone())).await, Ok(false));
        assert_ne!(hasher.hash(password("swordfish")).await.unwrap(), hash, "salted");
    }

    #[tokio::test]
    async fn nobody_is_never_let_in_and_costs_the_same() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        let theirs = Params::try_from(&parsed).unwrap();
        let ours = argon2().params().clone();
        assert_eq!(
            (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()),
            (ours.m_cost(), ours.t_cost(), ours.p_cost())
        );
        let hasher = Hasher::with(1, 4).unwrap();
        assert_eq!(hasher.verify(password(""), None).await, Ok(false));
        assert_eq!(hasher.verify(password("x"), Some("no hash".into())).await, Ok(false));
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_so_at_once() {
        let hasher = Hasher::with(1, 2).unwrap();
        let crowd = (0..20).map(|_| hasher.verify(password("x"), None));
        let begun = Instant::now();
        let answers = futures_util::future::join_all(crowd).await;
        let turned_away = answers.iter().filter(|answer| **answer == Err(Crowded)).count();
        assert!((10..20).contains(&turned_away), "{turned_away}");
        assert!(begun.elapsed() < PATIENCE);
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", password("swordfish")), "***");
    }
}
