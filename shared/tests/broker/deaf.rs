//! A bus that is cut, or falls silent while everything else goes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moim_shared::broker::Unheard;
use moim_shared::redis::{Links, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::redis::Redis;
use crate::rig::{Limits, Node, eventually, several};

/// Stands in front of Redis and harms the connections that listen.
struct Front {
    address: SocketAddr,
    /// Nothing comes back from them.
    muted: Arc<AtomicBool>,
    /// They are cut.
    cut: watch::Sender<()>,
}

impl Front {
    async fn of(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (muted, cut) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(()));
        let (silent, cuts) = (muted.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(between(client, redis, silent.clone(), cuts.subscribe()));
            }
        });
        Self { address, muted, cut }
    }

    fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::SeqCst);
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}

async fn between(
    client: TcpStream,
    redis: SocketAddr,
    muted: Arc<AtomicBool>,
    mut cut: watch::Receiver<()>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_redis, mut to_redis) = TcpStream::connect(redis).await.unwrap().into_split();
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut listens = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                listens |= up[..length].windows(9).any(|part| part == b"SUBSCRIBE");
                if to_redis.write_all(&up[..length]).await.is_err() {
                    return;
                }
            }
            read = from_redis.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                let silent = listens && muted.load(Ordering::SeqCst);
                if !silent && to_client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
            _ = cut.changed(), if listens => return,
        }
    }
}

/// A node with a room that hears well, behind a front.
async fn node() -> (Redis, Front, Node) {
    let mut factory = Redis::new(Limits::PLENTY);
    let url = Redis::url();
    let place = url.rsplit('@').next().unwrap().trim_start_matches("redis://");
    let front = Front::of(place.trim_end_matches('/').parse().unwrap()).await;
    let target = Target::parse(&url.replace(place, &format!("{}/", front.address))).unwrap();
    factory.links = Arc::new(Links::new(target).unwrap());
    let node = Node::new(&factory);
    node.open("r").await;
    eventually(|| node.broker.hearing().is_ok()).await;
    (factory, front, node)
}

/// It found out that it may have missed something, and is told again.
async fn is_told_again(factory: Redis, node: Node) {
    eventually(|| node.told_missed("r") > 0 && node.told_missed_signals() > 0).await;
    let said = node.say("r", several("r", 1)).await;
    eventually(|| node.told("r").last().is_some_and(|told| told.upto == said[0].position)).await;
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ear_whose_connection_is_cut_hears_again_and_says_that_it_missed_some() {
    let (factory, front, node) = node().await;
    front.cut();
    is_told_again(factory, node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_nothing_says_that_it_is_deaf_and_heals_itself() {
    let (factory, front, node) = node().await;
    front.mute(true);
    // It is found out of one of its connections first, which need not be the room's.
    node.say("r", several("r", 1)).await;
    eventually(|| node.broker.hearing() == Err(Unheard::Deaf)).await;
    front.mute(false);
    eventually(|| node.broker.hearing().is_ok()).await;
    is_told_again(factory, node).await;
}

/// As a Redis whose access list does not let it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_listen_is_deaf_too() {
    let (factory, front, node) = node().await;
    front.mute(true);
    front.cut();
    eventually(|| node.broker.hearing() == Err(Unheard::Deaf)).await;
    front.mute(false);
    eventually(|| node.broker.hearing().is_ok()).await;
    is_told_again(factory, node).await;
}
