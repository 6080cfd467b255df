//! The contract of `Presence`: each function is one of its sentences, for any adapter that knows
//! nobody yet. Those that wait for the end of a lease want a short one.

use std::time::{Duration, Instant};

use moim_shared::ids::{InstallationId, NodeId, UserId};
use moim_shared::presence::{Entry, Presence, Status};

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn node(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

fn entry(node_id: &str, session: u64) -> Entry {
    Entry { node: node(node_id), session, device: None, away: false }
}

async fn arrived(presence: &dyn Presence, who: &str, entry: Entry) {
    presence.arrived(&user(who), entry).await.unwrap();
}

async fn left(presence: &dyn Presence, who: &str, node_id: &str, session: u64) {
    presence.left(&user(who), &node(node_id), session).await.unwrap();
}

/// Who is there, in an order to compare with.
async fn sessions(presence: &dyn Presence, who: &str) -> Vec<Entry> {
    let mut sessions = presence.sessions(&user(who)).await.unwrap();
    sessions.sort_by_key(|entry| (entry.node.clone(), entry.session));
    sessions
}

pub async fn who_arrived_is_there_until_it_left(presence: &dyn Presence) {
    assert!(sessions(presence, "mina").await.is_empty());
    let phone = Entry { device: InstallationId::parse("phone-1").ok(), ..entry("a", 1) };
    arrived(presence, "mina", phone.clone()).await;
    assert_eq!(sessions(presence, "mina").await, [phone]);
    left(presence, "mina", "a", 1).await;
    assert!(sessions(presence, "mina").await.is_empty());
}

pub async fn saying_it_twice_is_harmless(presence: &dyn Presence) {
    for _ in 0..2 {
        arrived(presence, "mina", entry("a", 1)).await;
    }
    assert_eq!(sessions(presence, "mina").await, [entry("a", 1)]);
    for _ in 0..2 {
        left(presence, "mina", "a", 1).await;
    }
    assert!(sessions(presence, "mina").await.is_empty());
    left(presence, "nobody", "nowhere", 7).await;
}

pub async fn a_user_may_have_several_sessions_on_several_nodes(presence: &dyn Presence) {
    let all = [entry("a", 1), entry("a", 2), entry("b", 1)];
    for one in all.clone() {
        arrived(presence, "mina", one).await;
    }
    assert_eq!(sessions(presence, "mina").await, all);
    left(presence, "mina", "a", 1).await;
    assert_eq!(sessions(presence, "mina").await, all[1..], "b's session 1 is another one");
}

pub async fn users_do_not_see_each_others_sessions(presence: &dyn Presence) {
    arrived(presence, "mina", entry("a", 1)).await;
    arrived(presence, "jun", entry("a", 2)).await;
    left(presence, "jun", "a", 1).await;
    assert_eq!(sessions(presence, "mina").await, [entry("a", 1)]);
    assert_eq!(sessions(presence, "jun").await, [entry("a", 2)]);
}

pub async fn a_node_that_is_silent_for_its_lease_takes_its_entries_with_it(
    presence: &dyn Presence,
) {
    arrived(presence, "mina", entry("dead", 1)).await;
    arrived(presence, "mina", entry("alive", 2)).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    // `alive` is renewed far longer than `dead`'s lease lasts.
    while sessions(presence, "mina").await.contains(&entry("dead", 1)) {
        assert!(Instant::now() < deadline, "the lease never ends");
        presence.renew(&node("alive"), true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    presence.renew(&node("alive"), true).await.unwrap();
    assert_eq!(sessions(presence, "mina").await, [entry("alive", 2)]);
}

pub async fn many_users_are_asked_about_at_once_and_answered_in_their_order(
    presence: &dyn Presence,
) {
    let users: Vec<UserId> = (0..300).map(|n| user(&format!("u{n}"))).collect();
    for n in (0..300).step_by(3) {
        arrived(presence, &format!("u{n}"), entry("a", n)).await;
        arrived(presence, &format!("u{n}"), entry("b", n)).await;
    }
    let found = presence.sessions_of(&users).await.unwrap();
    assert_eq!(found.len(), users.len());
    for (n, mut entries) in (0..).zip(found) {
        entries.sort_by_key(|entry| entry.node.clone());
        let expected = if n % 3 == 0 { vec![entry("a", n), entry("b", n)] } else { Vec::new() };
        assert_eq!(entries, expected, "u{n}");
    }
    assert!(presence.sessions_of(&[]).await.unwrap().is_empty());
}

pub async fn who_is_away_with_every_session_is_away(presence: &dyn Presence) {
    let status = async || Status::of(&sessions(presence, "mina").await);
    assert_eq!(status().await, Status::Offline);
    let phone = InstallationId::parse("phone-1").ok();
    let away = |entry: Entry| Entry { away: true, device: phone.clone(), ..entry };
    arrived(presence, "mina", away(entry("a", 1))).await;
    assert_eq!(status().await, Status::Away);
    arrived(presence, "mina", entry("b", 1)).await;
    assert_eq!(status().await, Status::Online);
    arrived(presence, "mina", away(entry("b", 1))).await;
    assert_eq!(status().await, Status::Away, "what was said last counts");
    assert_eq!(sessions(presence, "mina").await, [away(entry("a", 1)), away(entry("b", 1))]);
    arrived(presence, "mina", entry("a", 1)).await;
    assert_eq!(status().await, Status::Online);
    left(presence, "mina", "a", 1).await;
    assert_eq!(status().await, Status::Away);
}

async fn nodes(presence: &dyn Presence) -> Vec<NodeId> {
    let mut nodes = presence.nodes().await.unwrap();
    nodes.sort();
    nodes
}

pub async fn nodes_that_live_are_known(presence: &dyn Presence) {
    assert_eq!(nodes(presence).await, []);
    presence.renew(&node("b"), true).await.unwrap();
    presence.renew(&node("a"), true).await.unwrap();
    assert_eq!(nodes(presence).await, [node("a"), node("b")]);
}

pub async fn whether_others_hear_is_known(presence: &dyn Presence) {
    let others_hear = async |of| presence.others_hear(&node(of)).await.unwrap();
    presence.renew(&node("a"), true).await.unwrap();
    assert!(!others_hear("a").await, "it is no other");
    presence.renew(&node("b"), false).await.unwrap();
    assert_eq!((others_hear("a").await, others_hear("b").await), (false, true));
    presence.renew(&node("b"), true).await.unwrap();
    presence.renew(&node("a"), false).await.unwrap();
    assert_eq!((others_hear("a").await, others_hear("b").await), (true, false));
}

pub async fn a_node_that_is_silent_for_its_lease_does_not_live(presence: &dyn Presence) {
    presence.renew(&node("dead"), true).await.unwrap();
    presence.renew(&node("alive"), true).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // `alive` is renewed far longer than `dead`'s lease lasts.
    while nodes(presence).await.contains(&node("dead")) {
        assert!(Instant::now() < deadline, "the lease never ends");
        presence.renew(&node("alive"), true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    presence.renew(&node("alive"), true).await.unwrap();
    assert_eq!(nodes(presence).await, [node("alive")]);
    presence.renew(&node("dead"), true).await.unwrap();
    assert_eq!(nodes(presence).await, [node("alive"), node("dead")], "it said so again");
}
