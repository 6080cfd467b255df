//! A connection that hears what is published. It is captive: nothing else uses it.
//!
//! Pub/sub is told at most once and may fall silent while everything looks well. So the ear
//! speaks to itself through the other connections (a *canary*): when Redis takes what it says and
//! it hears nothing at all for [`DEAF`], it gets another connection. (Under load its own voice may
//! come late, behind all that it hears.) Whenever it has a new one, what
//! was said meanwhile is found in the logs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::redis::{Cmd, PushInfo, PushKind, Value, cmd};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::told::CANARY;
use crate::backoff::Backoff;
use crate::redis::{ANSWER, Link, Links, RedisAway};

/// How often the ear speaks to itself.
const SPEAKS: Duration = Duration::from_millis(500);
/// It is deaf when it heard nothing for so long, although Redis took what it said.
const DEAF: Duration = Duration::from_secs(3);
/// How soon it tries again what may have been an accident.
const AGAIN: Duration = Duration::from_millis(100);
/// Channels of a cluster that are begun to be heard at once.
const AT_ONCE: usize = 64;
/// Channels that one command begins or ends to hear.
const CHANNELS: usize = 250;

/// Whether what is published is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It is.
    Well,
    /// Redis does not let the ear listen, or is away.
    Away(String),
    /// Redis answers, but says nothing.
    Deaf,
}

impl Hearing {
    /// The more, the worse.
    pub(super) const fn severity(&self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Away(_) => 1,
            Self::Deaf => 2,
        }
    }
}

/// Who is told. Called inside the connection's own task: it must not block.
pub(super) trait Listener: Send + Sync + 'static {
    /// Something came over a channel.
    fn heard(&self, channel: &str, message: Bytes);
    /// What was said in between was not heard.
    fn missed_some(&self);
}

/// See the module.
pub(super) struct Ear {
    links: Arc<Links>,
    /// Where it hears itself.
    canary: String,
    desk: Mutex<Desk>,
    changed: Notify,
    /// It was found out that it does not hear all.
    doubted: Notify,
    /// When it last heard something, in ms after `born`.
    heard: AtomicU64,
    born: Instant,
    hearing: Mutex<Hearing>,
}

#[derive(Default)]
struct Desk {
    /// Channels, by how many want them.
    wanted: HashMap<String, usize>,
    /// Those that changed since the connection was last told.
    changed: HashSet<String>,
    waiting: HashMap<String, Vec<oneshot::Sender<()>>>,
}

impl Ear {
    /// Hears itself, and what is said on these channels.
    pub(super) fn new(
        links: Arc<Links>,
        canary: String,
        wanted: impl IntoIterator<Item = String>,
    ) -> Self {
        let wanted =
            wanted.into_iter().chain([canary.clone()]).map(|channel| (channel, 1)).collect();
        let desk = Desk { wanted, ..Desk::default() };
        Self {
            links,
            canary,
            desk: Mutex::new(desk),
            changed: Notify::new(),
            doubted: Notify::new(),
            heard: AtomicU64::new(0),
            born: Instant::now(),
            hearing: Mutex::new(Hearing::Away("not connected yet".into())),
        }
    }

    /// Whether it hears.
    pub(super) fn hearing(&self) -> Hearing {
        self.hearing.lock().clone()
    }

    /// One more wants the channel, which is heard when this returns. After an error too it is
    /// wanted, until [`Ear::leave`].
    pub(super) async fn hear(&self, channel: String) -> Result<(), RedisAway> {
        let (heard, wait) = oneshot::channel();
        {
            let mut desk = self.desk.lock();
            *desk.wanted.entry(channel.clone()).or_default() += 1;
            desk.changed.insert(channel.clone());
            desk.waiting.entry(channel.clone()).or_default().push(heard);
        }
        self.changed.notify_one();
        let deaf = self.hearing() == Hearing::Deaf;
        if !deaf && matches!(timeout(ANSWER, wait).await, Ok(Ok(()))) {
            return Ok(());
        }
        Err(RedisAway(format!("its channels cannot be heard: {:?}", self.hearing())))
    }

    /// One less wants it.
    pub(super) fn leave(&self, channel: &str) {
        let mut desk = self.desk.lock();
        let Some(count) = desk.wanted.get_mut(channel) else { return };
        *count -= 1;
        if *count == 0 {
            desk.wanted.remove(channel);
            desk.waiting.remove(channel);
            desk.changed.insert(channel.to_owned());
            drop(desk);
            self.changed.notify_one();
        }
    }

    /// It does not hear all that is said: it gets another connection.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Listens until it is dropped.
    pub(super) async fn listen(self: Arc<Self>, listener: Arc<dyn Listener>) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let (mut first, mut suspected) = (true, false);
        loop {
            // Of this connection alone: the one before may still be closing.
            let gone = Arc::new(Notify::new());
            let ended = match self.connect(&listener, gone.clone()).await {
                Ok(link) => self.serve(link, &gone, &listener, &mut first, &mut backoff).await,
                Err(error) => Hearing::Away(error.0),
            };
            let why = format!("{ended:?}");
            // Once, it may be Redis that just came back.
            let suspect = self.seems_deaf(&ended).await;
            let ended = if suspect && suspected { Hearing::Deaf } else { ended };
            let at_once = suspect && !suspected;
            suspected = suspect;
            if matches!(ended, Hearing::Deaf) && !matches!(self.hearing(), Hearing::Deaf) {
                tracing::error!("this node is deaf: Redis answers, and it is told nothing: {why}");
            } else if backoff.tries() == 0 {
                tracing::warn!("what other nodes say is not heard ({ended:?}), trying on");
            }
            // Rooms may be open that nothing was heard for, also when it never heard at all.
            first &= ended != Hearing::Deaf;
            *self.hearing.lock() = ended;
            tokio::time::sleep(if at_once { AGAIN } else { backoff.wait() }).await;
        }
    }

    /// A Redis that answers others and does not let the ear listen is not away.
    async fn seems_deaf(&self, ended: &Hearing) -> bool {
        matches!(ended, Hearing::Away(_))
            && self.silence() > DEAF
            && self.links.ping().await.is_ok()
    }

    async fn connect(
        self: &Arc<Self>,
        listener: &Arc<dyn Listener>,
        gone: Arc<Notify>,
    ) -> Result<Link, RedisAway> {
        let (ear, listener) = (self.clone(), listener.clone());
        let told = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
            // A slot that moved to another server takes its channels along.
            let moved = push.kind == PushKind::SUnsubscribe && ear.wants(&push);
            if moved || push.kind == PushKind::Disconnection {
                gone.notify_one();
            } else {
                ear.told(push, &*listener);
            }
            Ok(())
        };
        let link = timeout(ANSWER, self.links.target().listener(told)).await;
        link.unwrap_or_else(|_late| Err(RedisAway("no connection in time".into())))
    }

    /// Whether it is about a channel that is still wanted.
    fn wants(&self, push: &PushInfo) -> bool {
        let Some(Value::BulkString(channel)) = push.data.first() else { return false };
        let channel = std::str::from_utf8(channel).unwrap_or_default();
        self.desk.lock().wanted.contains_key(channel)
    }

    fn told(&self, push: PushInfo, listener: &dyn Listener) {
        if !matches!(push.kind, PushKind::Message | PushKind::SMessage) {
            return;
        }
        let mut data = push.data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(message))) =
            (data.next(), data.next())
        else {
            return;
        };
        let Ok(channel) = std::str::from_utf8(&channel) else { return };
        self.heard.store(self.now(), Ordering::Relaxed);
        if channel != self.canary {
            listener.heard(channel, message.into());
        }
    }

    /// Until the connection is of no use any more.
    async fn serve(
        &self,
        mut link: Link,
        gone: &Notify,
        listener: &Arc<dyn Listener>,
        first: &mut bool,
        backoff: &mut Backoff,
    ) -> Hearing {
        let mut heard_channels = HashSet::new();
        {
            let mut desk = self.desk.lock();
            desk.changed = desk.wanted.keys().cloned().collect();
        }
        if let Err(error) = self.catch_up(&mut link, &mut heard_channels).await {
            return Hearing::Away(error.0);
        }
        let again = !std::mem::take(first);
        if again {
            listener.missed_some();
        }
        let begun = self.now();
        let mut canary = interval(SPEAKS);
        canary.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Since when Redis takes what the ear says.
        let mut speaking: Option<Instant> = None;
        loop {
            tokio::select! {
                () = gone.notified() => {
                    return Hearing::Away("the connection was closed".into());
                }
                () = self.doubted.notified() => {
                    return Hearing::Away("it does not hear all that is said".into());
                }
                () = self.changed.notified() => {
                    if let Err(error) = self.catch_up(&mut link, &mut heard_channels).await {
                        return Hearing::Away(error.0);
                    }
                }
                _ = canary.tick() => {
                    if self.has_changes()
                        && let Err(error) = self.catch_up(&mut link, &mut heard_channels).await
                    {
                        return Hearing::Away(error.0);
                    }
                    let said: Result<u64, _> =
                        self.links.command(&self.canary, &self.say_to_itself()).await;
                    speaking = match said {
                        Ok(_) => speaking.or_else(|| Some(Instant::now())),
                        Err(error) => {
                            *self.hearing.lock() = Hearing::Away(error.0);
                            None
                        }
                    };
                    let heard = self.heard.load(Ordering::Relaxed);
                    let silent = Duration::from_millis(self.now().saturating_sub(heard.max(begun)));
                    let spoken = speaking.map(|since| since.elapsed());
                    if heard > begun && silent < DEAF && spoken.is_some() {
                        backoff.reset();
                        let before = std::mem::replace(&mut *self.hearing.lock(), Hearing::Well);
                        if again && before != Hearing::Well {
                            tracing::info!(channels = heard_channels.len(),
                                "what other nodes say is heard again");
                        }
                    }
                    if silent > DEAF && spoken.is_some_and(|spoken| spoken > DEAF) {
                        return Hearing::Deaf;
                    }
                }
            }
        }
    }

    /// For how long it heard nothing.
    pub(super) fn silence(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.heard.load(Ordering::Relaxed)))
    }

    /// In ms since it was made.
    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    fn say_to_itself(&self) -> Cmd {
        let verb = if self.links.target().is_cluster() { "SPUBLISH" } else { "PUBLISH" };
        let mut command = cmd(verb);
        command.arg(&self.canary).arg(CANARY);
        command
    }

    fn has_changes(&self) -> bool {
        !self.desk.lock().changed.is_empty()
    }

    /// Hears what is wanted and nothing else.
    async fn catch_up(
        &self,
        link: &mut Link,
        heard: &mut HashSet<String>,
    ) -> Result<(), RedisAway> {
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        {
            let mut desk = self.desk.lock();
            for channel in std::mem::take(&mut desk.changed) {
                match (desk.wanted.contains_key(&channel), heard.contains(&channel)) {
                    (true, false) => begin.push(channel),
                    (false, true) => end.push(channel),
                    (true, true) => desk.answer(&channel),
                    (false, false) => {}
                }
            }
        }
        for part in begin.chunks(CHANNELS) {
            let begun = subscribe(link, part).await?;
            let mut desk = self.desk.lock();
            for channel in part {
                if begun.contains(channel) {
                    desk.answer(channel);
                    heard.insert(channel.clone());
                } else {
                    // The server that has it is away: again with the next canary.
                    desk.changed.insert(channel.clone());
                }
            }
        }
        for part in end.chunks(CHANNELS) {
            unsubscribe(link, part).await?;
            for channel in part {
                heard.remove(channel);
            }
        }
        Ok(())
    }
}

impl Desk {
    /// The channel is heard.
    fn answer(&mut self, channel: &str) {
        for waiting in self.waiting.remove(channel).unwrap_or_default() {
            // Whoever waited may have gone.
            let _ = waiting.send(());
        }
    }
}

/// Those of the channels that are heard now: of a cluster one server may be away, and the others not.
pub(super) async fn subscribe(
    link: &Link,
    channels: &[String],
) -> Result<HashSet<String>, RedisAway> {
    match link {
        Link::One(link) => {
            link.clone().subscribe(channels).await?;
            Ok(channels.iter().cloned().collect())
        }
        // Each is at the server that has its slot.
        Link::Cluster(link) => {
            let link = link.clone();
            let each = stream::iter(channels.to_vec()).map(move |channel| {
                let mut link = link.clone();
                async move {
                    let begun = timeout(ANSWER, link.ssubscribe(&channel)).await;
                    begun.is_ok_and(|begun| begun.is_ok()).then_some(channel)
                }
            });
            let begun: HashSet<String> =
                each.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
            if begun.is_empty() {
                return Err(RedisAway("none of its channels can be heard".into()));
            }
            Ok(begun)
        }
    }
}

async fn unsubscribe(link: &mut Link, channels: &[String]) -> Result<(), RedisAway> {
    match link {
        Link::One(link) => link.unsubscribe(channels).await?,
        Link::Cluster(link) => {
            for channel in channels {
                link.sunsubscribe(channel).await?;
            }
        }
    }
    Ok(())
}
