//! P8: a node that goes says so, sends its people away over time, and answers what it took.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::task::spawn_blocking;

use crate::rig::Cluster;
use crate::services::{Services, redis, service};
use crate::support::*;
use crate::until;

const BRIEF: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(40);

/// Told to stop, and not ready any more.
async fn told_to_stop(cluster: &Cluster, number: usize) {
    cluster.server(number).signal(Signal::SIGTERM);
    until("it is draining", BRIEF, async || {
        let answer = cluster.readyz(number).await;
        answer.status == 503 && answer.json()["status"] == "draining"
    })
    .await;
}

async fn ended_well(cluster: &mut Cluster, number: usize, within: Duration) {
    let server = cluster.take_server(number);
    let ended = spawn_blocking(move || server.ended(within).code());
    assert_eq!(ended.await.unwrap(), Some(0));
}

#[tokio::test]
async fn people_are_sent_away_one_after_the_other_and_those_who_are_left_are_served() {
    const PEOPLE: u32 = 30;
    const SPREAD: Duration = Duration::from_secs(3);
    let mut cluster = Cluster::with(2, 1, &[("MOIM_DRAIN_SPREAD", "3s")]).await;
    let room = room("left");
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let mut client = Client::connect(cluster.server(0), &format!("user-{n}")).await;
        client.subscribe_room(&room).await;
        people.push(client);
    }
    let begun = Instant::now();
    told_to_stop(&cluster, 0).await;
    assert_eq!(Open::new(cluster.server(0)).answered().await.err(), Some(503));
    let going = people.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut said = 0;
            loop {
                let name = format!("n-{said}");
                client.send(to_room("alone", "x").header("receipt", &name)).await;
                loop {
                    match client.event_within(BRIEF).await {
                        Event::Frame(frame) if frame.get("receipt-id") == Some(&name) => break,
                        Event::Frame(_) | Event::Beat | Event::Pong(_) => {}
                        Event::Close(code, reason) => {
                            assert_eq!(code, 1012);
                            let after = reason.strip_prefix("retry_after_ms=").unwrap();
                            assert!(after.parse::<u64>().unwrap() < 1_000);
                            return (begun.elapsed(), said);
                        }
                        Event::End => panic!("the link ended without a word"),
                    }
                }
                said += 1;
            }
        })
    });
    let mut ends = Vec::new();
    for gone in going.collect::<Vec<_>>() {
        ends.push(gone.await.unwrap());
    }
    ends.sort_unstable();
    for (nth, (at, _)) in (0..PEOPLE).zip(&ends) {
        assert!(*at >= SPREAD * nth / PEOPLE, "the end {nth} came at {at:?}");
    }
    assert!(ends[PEOPLE as usize - 1].1 > ends[0].1, "the last one was not served: {ends:?}");
    ended_well(&mut cluster, 0, BRIEF).await;
    cluster.end().await;
}

#[tokio::test]
async fn who_waits_for_a_receipt_gets_it_before_it_is_sent_away() {
    let settings = [("MOIM_DRAIN_SPREAD", "0s"), ("MOIM_LIMITS__SEND_DEADLINE", "60s")];
    let mut cluster = Cluster::with(2, 1, &settings).await;
    let room = room("answered");
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    let mut zoe = Client::connect(cluster.server(0), "zoe").await;
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    bob.subscribe_room(&room).await;
    ann.send_room(&room, "before").await;
    bob.bodies(1).await;
    zoe.sync().await;
    let services = Services::here();
    services.pause("rabbitmq").await;
    for n in 0..5 {
        let receipt = n.to_string();
        ann.send(to_room(&room, &receipt).header("receipt", &receipt)).await;
    }
    assert_eq!(bob.bodies(5).await.len(), 5, "they were taken");
    told_to_stop(&cluster, 0).await;
    zoe.expect_close_within(1012, BRIEF).await;
    services.resume("rabbitmq").await;
    for n in 0..5 {
        let receipt = ann.next_frame_within(BRIEF).await;
        assert_eq!(receipt.at("receipt-id"), n.to_string());
    }
    ann.expect_close_within(1012, BRIEF).await;
    ended_well(&mut cluster, 0, BRIEF).await;
    cluster.end().await;
}

#[tokio::test]
async fn whatever_is_still_to_be_done_it_ends_within_the_bound() {
    let settings = [("MOIM_DRAIN_BOUND", "3s"), ("MOIM_LIMITS__SEND_DEADLINE", "60s")];
    let mut cluster = Cluster::with(1, 1, &settings).await;
    let room = room("bound");
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    ann.subscribe_room(&room).await;
    ann.send_room(&room, "before").await;
    ann.bodies(1).await;
    let services = Services::here();
    services.pause("rabbitmq").await;
    ann.send(to_room(&room, "taken").header("receipt", "r")).await;
    assert_eq!(ann.bodies(1).await, ["taken"]);
    cluster.server(0).signal(Signal::SIGTERM);
    let worker = cluster.take_worker(0);
    worker.signal(Signal::SIGTERM);
    ended_well(&mut cluster, 0, BRIEF).await;
    let ended = spawn_blocking(move || worker.ended(BRIEF).code());
    assert_eq!(ended.await.unwrap(), Some(0));
    services.resume("rabbitmq").await;
    // Nobody was told that it is safe, and it is there all the same.
    cluster.start_missing().await;
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    ann.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    assert_eq!(ann.bodies(2).await, ["before", "taken"]);
    cluster.end().await;
}

/// As one whose server is away.
const HANGING_RESOLVER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
typedef int resolve(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    if (name && strstr(name, "hanging.test")) {
        write(2, "resolving\n", 10);
        sleep(120);
        return EAI_AGAIN;
    }
    return ((resolve *)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, found);
}
"#;

#[tokio::test]
async fn a_resolver_of_names_that_hangs_keeps_nobody_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("resolver.c"), folder.path().join("resolver.so"));
    std::fs::write(&source, HANGING_RESOLVER).unwrap();
    let mut compile = Command::new("cc");
    let compiled = compile.args(["-shared", "-fPIC", "-w", "-o"]).args([&library, &source]);
    assert!(compiled.arg("-ldl").status().unwrap().success());
    let settings = [
        ("MOIM_AMQP_URL", "amqp://moim:secret@hanging.test"),
        ("LD_PRELOAD", library.to_str().unwrap()),
    ];
    let mut cluster = Cluster::with(1, 0, &settings).await;
    let server = cluster.server(0);
    server.log.wait_for(BRIEF, |line| line.contains("resolving")).expect("it resolves");
    server.signal(Signal::SIGTERM);
    ended_well(&mut cluster, 0, BRIEF).await;
}

#[tokio::test]
async fn a_deaf_node_takes_people_again_when_the_last_one_that_hears_goes() {
    let mut cluster = Cluster::start(1, 1).await;
    let (listener, of_all) = Listener::of(&mut cluster).await;
    // From its beginning on.
    listener.deafen().await;
    let deaf = cluster.add_server().await;
    cluster.replace_setting("MOIM_REDIS_URL", &of_all);
    until("it is deaf", LONG, async || cluster.readyz(deaf).await.status == 503).await;
    cluster.terminate_server(0).await;
    // A node that said nothing would count for 10 s and more.
    until("it takes people", Duration::from_secs(6), async || {
        cluster.readyz(deaf).await.json()["status"] == "degraded"
    })
    .await;
    let mut bob = Client::connect(cluster.server(deaf), "bob").await;
    bob.send_room(&room("alone"), "x").await;
    listener.heal().await;
    until("it hears", LONG, async || cluster.readyz(deaf).await.json()["status"] == "ok").await;
    let log = &cluster.server(deaf).log;
    log.wait_for(BRIEF, |line| line.contains("is heard again")).expect("it says so");
    cluster.end().await;
    listener.end().await;
}

/// The user of Redis that some nodes are, whose right to listen can be taken.
struct Listener(String);

impl Listener {
    /// Servers that start from now on are this one; gives what they were before.
    async fn of(cluster: &mut Cluster) -> (Self, String) {
        let user = format!("user-{}", cluster.name());
        let rights = ["on", ">secret", "~*", "&*", "+@all"];
        redis::<()>(&[&["ACL", "SETUSER", &user], &rights[..]].concat()).await;
        let url = service("MOIM_TEST_REDIS_URL");
        let own = format!("redis://{user}:secret@{}", url.rsplit_once('@').unwrap().1);
        (Self(user), cluster.replace_setting("MOIM_REDIS_URL", &own))
    }

    async fn deafen(&self) {
        redis::<()>(&["ACL", "SETUSER", &self.0, "-subscribe"]).await;
        redis::<u32>(&["CLIENT", "KILL", "USER", &self.0, "TYPE", "pubsub"]).await;
    }

    async fn heal(&self) {
        redis::<()>(&["ACL", "SETUSER", &self.0, "+subscribe"]).await;
    }

    async fn end(self) {
        redis::<u32>(&["ACL", "DELUSER", &self.0]).await;
    }
}

#[tokio::test]
async fn a_node_that_alone_is_deaf_sends_its_people_to_the_others_until_it_hears_again() {
    let mut cluster = Cluster::start(1, 1).await;
    let (listener, of_all) = Listener::of(&mut cluster).await;
    let deaf = cluster.add_server().await;
    cluster.replace_setting("MOIM_REDIS_URL", &of_all);
    let room = room("deaf");
    let mut bob = Client::connect(cluster.server(deaf), "bob").await;
    bob.subscribe_room(&room).await;
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    ann.send_room(&room, "before").await;
    assert_eq!(bob.bodies(1).await, ["before"]);
    listener.deafen().await;
    bob.expect_close_within(1012, LONG).await;
    let answer = cluster.readyz(deaf).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (503, "unfit".into()));
    assert_eq!(Open::new(cluster.server(deaf)).answered().await.err(), Some(503));
    assert!(cluster.server(deaf).log.text().contains("this node is deaf"));
    ann.sync().await;
    listener.heal().await;
    until("it hears again", LONG, async || cluster.readyz(deaf).await.status == 200).await;
    let mut bob = Client::connect(cluster.server(deaf), "bob").await;
    bob.subscribe_room(&room).await;
    ann.send_room(&room, "after").await;
    assert_eq!(bob.bodies(1).await, ["after"]);
    cluster.end().await;
    listener.end().await;
}

#[tokio::test]
async fn nodes_that_are_all_deaf_keep_their_people_and_stay_ready() {
    let mut cluster = Cluster::start(0, 1).await;
    let (listener, _) = Listener::of(&mut cluster).await;
    for _ in 0..2 {
        cluster.add_server().await;
    }
    let room = room("all-deaf");
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    bob.subscribe_room(&room).await;
    ann.send_room(&room, "before").await;
    assert_eq!(bob.bodies(1).await, ["before"]);
    listener.deafen().await;
    // Well after one that is alone would have sent them away.
    until("they have heard nothing for long", LONG, async || {
        cluster.servers().all(|server| server.metric("moim_canary_age_seconds").unwrap() > 15.0)
    })
    .await;
    for number in 0..2 {
        let answer = cluster.readyz(number).await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (200, "degraded".into()));
    }
    ann.send_room(&room, "meanwhile").await;
    assert_eq!(bob.bodies(1).await, ["meanwhile"], "read from the log");
    assert!(Open::new(cluster.server(0)).answered().await.is_ok());
    listener.heal().await;
    until("they hear again", LONG, async || {
        let mut ok = true;
        for number in 0..2 {
            ok &= cluster.readyz(number).await.json()["status"] == "ok";
        }
        ok
    })
    .await;
    cluster.end().await;
    listener.end().await;
}
