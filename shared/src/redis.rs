//! The way to Redis: one server, a master that Sentinels know, or a Redis Cluster.
//!
//! Commands share a few connections, each taken from a pool of `deadpool-redis` and used by many at
//! once, since the pool asks a connection whether it lives each time that one is taken. One that
//! failed is thrown away. **Invariant**: every call ends within [`ANSWER`].

mod target;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster_async::ClusterConnection;
use ::redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Value};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::time::timeout;

pub use self::target::{BadRedisUrl, Target};
use self::target::{Pools, Taken};

/// How long a command may take, all its tries to connect included.
pub const ANSWER: Duration = Duration::from_secs(5);

/// Connections that commands share.
const LINKS: usize = 4;

/// Redis did not do what it was asked. Whether it did it all the same is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis: {0}")]
pub struct RedisAway(pub String);

impl From<RedisError> for RedisAway {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// A connection that many may use at once.
#[derive(Clone)]
pub enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To all servers of a Redis Cluster.
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(link) => link.req_packed_commands(cmd, offset, count),
            Self::Cluster(link) => link.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// A place for a connection, and how many it has had.
#[derive(Default)]
struct Slot {
    taken: Option<Taken>,
    life: u64,
}

impl Slot {
    /// The connection of that life is of no use.
    fn forget(&mut self, life: u64) {
        if self.life == life {
            self.taken = None;
        }
    }
}

/// The connections of a process.
pub struct Links {
    target: Target,
    pools: Pools,
    slots: [Mutex<Slot>; LINKS],
    /// Sockets are served here, whichever thread asks: callers' runtimes come and go.
    runtime: Option<Runtime>,
}

impl Links {
    /// Connections to `target`, made when they are needed.
    pub fn new(target: Target) -> Result<Self, RedisAway> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("moim-redis")
            .enable_all()
            .build()
            .map_err(|error| RedisAway(format!("no thread for connections: {error}")))?;
        let pools = target.pools(LINKS)?;
        Ok(Self { target, pools, slots: Default::default(), runtime: Some(runtime) })
    }

    /// What they lead to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Where tasks run that belong to the connections.
    pub fn handle(&self) -> Result<Handle, RedisAway> {
        let runtime = self.runtime.as_ref().map(Runtime::handle).cloned();
        runtime.ok_or_else(|| RedisAway("its connections are closed".into()))
    }

    /// Runs `work` on the connection of `key`: those of one key go in order, as long as it lives.
    pub async fn run<T, F>(
        &self,
        key: impl Hash,
        work: impl FnOnce(Link) -> F,
    ) -> Result<T, RedisAway>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let slot = &self.slots[hasher.finish() as usize % LINKS];
        let mut used = None;
        let done = timeout(ANSWER, async {
            let (link, life) = self.link(slot).await?;
            used = Some(life);
            work(link).await.map_err(|error| {
                if is_the_links_fault(&error) {
                    slot.lock().forget(life);
                }
                RedisAway::from(error)
            })
        });
        let done = done.await;
        done.unwrap_or_else(|_late| {
            // It may hang: whoever comes next gets another one.
            if let Some(life) = used {
                slot.lock().forget(life);
            }
            Err(RedisAway(format!("no answer within {} s", ANSWER.as_secs())))
        })
    }

    /// One command.
    pub async fn command<T: FromRedisValue>(
        &self,
        key: impl Hash,
        command: &Cmd,
    ) -> Result<T, RedisAway> {
        self.run(key, async |mut link| command.query_async(&mut link).await).await
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), RedisAway> {
        self.command("", &::redis::cmd("PING")).await
    }

    async fn link(&self, slot: &Mutex<Slot>) -> Result<(Link, u64), RedisAway> {
        {
            let slot = slot.lock();
            if let Some(link) = slot.taken.as_ref().and_then(Taken::link) {
                return Ok((link, slot.life));
            }
        }
        let pools = self.pools.clone();
        // On its own runtime: the connection's task lives where it is made.
        let taken = self.handle()?.spawn(async move { pools.take().await });
        let taken = taken.await.map_err(|error| RedisAway(error.to_string()))??;
        let link = taken.link().ok_or_else(|| RedisAway("the connection is gone".into()))?;
        let mut slot = slot.lock();
        // Of two that came at once the later stays, and the other one ends with its last user.
        slot.taken = Some(taken);
        slot.life += 1;
        Ok((link, slot.life))
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // Not by waiting: the last one may be dropped on a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server that is a replica by now, or loads its data, answers; another may do better.
fn is_the_links_fault(error: &RedisError) -> bool {
    use ::redis::{ErrorKind, ServerErrorKind};
    let refused = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        )
    );
    refused || error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout()
}
