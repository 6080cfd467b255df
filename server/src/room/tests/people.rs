//! Who is there: counted on several nodes, and shown to those who watch.

use std::collections::HashSet;

use moim_shared::signal::{Event, Moves, Person};
use serde_json::{Value, json};

use super::life::{told, watch};
use super::*;
use crate::nodes::Known;

const GRACE: Duration = Duration::from_secs(5);

/// Rooms of several nodes, each of which is told what the others say, in the order in which they say
/// it; and a clock.
struct Nodes {
    rooms: Vec<Option<State>>,
    now: Instant,
    /// What was said: by which node, and what.
    said: Vec<(usize, Event)>,
    /// Nobody hears what is said.
    deaf: bool,
    began: Instant,
}

fn run(node: usize) -> NodeId {
    NodeId::parse(&format!("node-{node}")).unwrap()
}

impl Nodes {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let mut nodes = Self { rooms: Vec::new(), now, said: Vec::new(), deaf: false, began: now };
        for node in 0..count {
            nodes.rooms.push(Some(nodes.fresh(node)));
        }
        nodes
    }

    fn fresh(&self, node: usize) -> State {
        let place =
            Place { run: run(node), alone: false, grace: GRACE, clock: (self.began, EPOCH) };
        let mut state = State::new(room(), BOUNDS, place, Vec::new());
        state.on_opened(Ok(head(at(0))));
        state
    }

    fn room(&mut self, node: usize) -> &mut State {
        self.rooms[node].as_mut().unwrap()
    }

    fn say(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Signal(event) = effect else { panic!("{effect:?}") };
            if !self.deaf {
                for room in self.rooms.iter_mut().flatten() {
                    assert!(room.on_event(&event).is_empty());
                }
            }
            self.said.push((node, event));
        }
    }

    /// All rooms look once, as every 200 ms.
    fn tick(&mut self) {
        for node in 0..self.rooms.len() {
            let now = self.now;
            let due = |look| !matches!(look, Look::At(at) if at > now);
            if let Some(room) = &mut self.rooms[node]
                && room.next_look().is_some_and(due)
            {
                let effects = room.on_tick(now);
                self.say(node, effects);
            }
        }
    }

    /// That time goes by.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(200);
            self.tick();
        }
    }

    /// How much was said since the last call.
    fn said(&mut self) -> usize {
        std::mem::take(&mut self.said).len()
    }

    fn comes(&mut self, user: &str, node: usize) -> Client {
        Client::live(user, self.room(node))
    }

    fn goes(&mut self, client: &Client, node: usize) {
        client.outbox.finish();
        self.room(node).on_left();
    }

    fn turns(&mut self, client: &Client, node: usize, away: bool) {
        client.outbox.turn_away(away);
        self.room(node).on_left();
    }

    /// Somebody watches from now on; what it is told first.
    fn watches(&mut self, user: &str, node: usize) -> (Client, Value) {
        let mut client = Client::with(user, Grant::None, 1 << 20);
        let (join, _) = client.join(Start::Live, None);
        let effects = self.room(node).on_ask(Ask::Watch(join));
        let effects = client.let_in(self.room(node), effects);
        self.say(node, effects);
        self.pass(Duration::from_secs(1));
        let mut here = told(&mut client);
        assert_eq!(here.len(), 1, "{here:?}");
        (client, sorted(here.remove(0)))
    }

    /// Only these live from now on.
    fn live(&mut self, live: &[usize], dead: &[usize], returned: u64) {
        let runs =
            |nodes: &[usize]| -> HashSet<NodeId> { nodes.iter().copied().map(run).collect() };
        let known = Arc::new(Known { live: runs(live), dead: runs(dead), returned });
        for room in self.rooms.iter_mut().flatten() {
            room.on_nodes(&known);
        }
    }
}

/// By their names, which come in no order.
fn sorted(mut here: Value) -> Value {
    if let Some(users) = here["users"].as_array_mut() {
        users.sort_by_key(|user| user["user"].to_string());
    }
    here
}

fn here(users: &[&str]) -> Value {
    let people: Vec<Value> = users.iter().map(|user| json!({ "user": user })).collect();
    json!({ "type": "here", "users": people, "count": users.len() })
}

/// An event of people who came, went, turned away and came back.
fn moves(arrived: &[&str], departed: &[Value], away: &[&str], back: &[&str]) -> Value {
    let named = |users: &[&str]| -> Vec<Value> {
        users.iter().map(|user| json!({ "user": user })).collect()
    };
    json!({
        "type": "presence", "arrived": named(arrived), "departed": departed,
        "away": named(away), "back": named(back),
    })
}

fn gone(user: &str, last_seen: u64) -> Value {
    json!({ "user": user, "lastSeen": last_seen })
}

#[test]
fn alone_a_watcher_is_told_at_once_and_nothing_goes_to_other_nodes() {
    let mut state = opened(at(0));
    let now = Instant::now();
    let mina = Client::live("mina", &mut state);
    let mut watcher = Client::new("jun");
    assert_eq!(watch(&mut watcher, &mut state), here(&["mina"]));
    let _sora = Client::live("sora", &mut state);
    mina.outbox.finish();
    state.on_left();
    assert!(state.on_tick(now).is_empty(), "nobody to tell");
    let told = told(&mut watcher);
    let [event] = &told[..] else { panic!("{told:?}") };
    assert_eq!(event["arrived"], json!([{ "user": "sora" }]));
    assert_eq!(event["departed"][0]["user"], "mina");
    assert!(!state.holds_something(), "nothing moved since");
}

#[test]
fn here_is_who_is_there_on_all_nodes_each_once() {
    let mut nodes = Nodes::new(3);
    nodes.live(&[0, 1, 2], &[], 0);
    let _people = [
        nodes.comes("ann", 0),
        nodes.comes("bob", 1),
        nodes.comes("ann", 1),
        nodes.comes("bob", 1),
        nodes.comes("cho", 2),
    ];
    nodes.pass(Duration::from_secs(1));
    let (_watcher, first) = nodes.watches("jun", 0);
    assert_eq!(first, here(&["ann", "bob", "cho"]));
    nodes.said();
    let (_another, same) = nodes.watches("kim", 0);
    assert_eq!((same, nodes.said()), (first, 0), "that is known on its node by now");
}

#[test]
fn a_person_on_two_nodes_arrives_once_and_departs_with_the_last() {
    let mut nodes = Nodes::new(3);
    let (mut watcher, _) = nodes.watches("jun", 2);
    let phone = nodes.comes("ann", 0);
    nodes.pass(Duration::from_secs(1));
    let laptop = nodes.comes("ann", 1);
    nodes.pass(Duration::from_secs(1));
    assert_eq!(told(&mut watcher), [moves(&["ann"], &[], &[], &[])]);
    nodes.goes(&phone, 0);
    nodes.pass(GRACE * 2);
    assert!(told(&mut watcher).is_empty(), "the other one is there");
    nodes.goes(&laptop, 1);
    let left = EPOCH + (nodes.now + Duration::from_millis(200) - nodes.began).as_millis() as u64;
    nodes.pass(GRACE * 2);
    assert_eq!(told(&mut watcher), [moves(&[], &[gone("ann", left)], &[], &[])]);
}

#[test]
fn who_drops_and_is_back_within_the_grace_on_any_node_was_never_gone() {
    let mut nodes = Nodes::new(3);
    let (mut watcher, _) = nodes.watches("jun", 2);
    for other in [0, 1] {
        let before = nodes.comes("ann", 0);
        nodes.pass(Duration::from_secs(1));
        told(&mut watcher);
        nodes.goes(&before, 0);
        nodes.pass(GRACE - Duration::from_secs(1));
        let after = nodes.comes("ann", other);
        nodes.pass(GRACE * 2);
        assert!(told(&mut watcher).is_empty(), "back on node {other}");
        nodes.goes(&after, other);
        nodes.pass(GRACE * 2);
        assert_eq!(told(&mut watcher)[0]["departed"][0]["user"], "ann");
    }
}

#[test]
fn a_room_has_nothing_to_look_at_before_a_grace_ends() {
    let mut nodes = Nodes::new(1);
    let mina = nodes.comes("mina", 0);
    nodes.pass(Duration::from_secs(1));
    nodes.goes(&mina, 0);
    nodes.pass(Duration::from_millis(200));
    let end = nodes.now + GRACE;
    assert_eq!(nodes.room(0).next_look(), Some(Look::At(end)));
    nodes.pass(GRACE);
    assert_eq!(nodes.room(0).next_look(), None);
}

#[test]
fn an_active_session_that_drops_turns_nobody_away_before_its_grace_ends() {
    let mut nodes = Nodes::new(2);
    let (mut watcher, _) = nodes.watches("jun", 1);
    let (phone, laptop) = (nodes.comes("ann", 0), nodes.comes("ann", 0));
    nodes.turns(&phone, 0, true);
    nodes.pass(Duration::from_secs(1));
    told(&mut watcher);
    nodes.goes(&laptop, 0);
    nodes.pass(GRACE - Duration::from_secs(1));
    assert!(told(&mut watcher).is_empty());
    nodes.pass(GRACE);
    assert_eq!(told(&mut watcher), [moves(&[], &[], &["ann"], &[])]);
}

#[test]
fn away_is_who_is_away_with_all_that_it_has() {
    let mut nodes = Nodes::new(3);
    let (phone, laptop) = (nodes.comes("ann", 0), nodes.comes("ann", 1));
    let (mut watcher, _) = nodes.watches("jun", 2);
    nodes.turns(&phone, 0, true);
    nodes.pass(Duration::from_secs(1));
    assert!(told(&mut watcher).is_empty(), "the laptop is active");
    nodes.turns(&laptop, 1, true);
    nodes.pass(Duration::from_secs(1));
    assert_eq!(told(&mut watcher), [moves(&[], &[], &["ann"], &[])]);
    let (mut late, first) = nodes.watches("kim", 0);
    assert_eq!(first["users"], json!([{ "user": "ann", "away": true }]));
    nodes.turns(&phone, 0, false);
    nodes.pass(Duration::from_secs(1));
    for client in [&mut watcher, &mut late] {
        assert_eq!(told(client), [moves(&[], &[], &[], &["ann"])]);
    }
    for away in [true, false] {
        nodes.turns(&phone, 0, away);
    }
    nodes.pass(Duration::from_secs(1));
    assert!(told(&mut watcher).is_empty(), "it is as it was");
}

#[test]
fn people_of_a_dead_node_depart_but_for_those_who_are_elsewhere_too() {
    let mut nodes = Nodes::new(3);
    nodes.live(&[0, 1, 2], &[], 0);
    let (mut watcher, _) = nodes.watches("jun", 2);
    let _people = [nodes.comes("ann", 0), nodes.comes("bob", 0), nodes.comes("bob", 1)];
    nodes.pass(Duration::from_secs(1));
    told(&mut watcher);
    nodes.rooms[0] = None;
    nodes.said();
    nodes.live(&[1, 2], &[0], 0);
    nodes.pass(Duration::from_secs(1));
    let departed = moves(&[], &[json!({ "user": "ann" })], &[], &[]);
    assert_eq!(told(&mut watcher), [departed]);
    assert_eq!(nodes.said(), 0, "nobody had to say it");
}

#[test]
fn a_node_that_was_taken_for_dead_and_comes_back_is_asked() {
    let mut nodes = Nodes::new(2);
    let _ann = nodes.comes("ann", 0);
    let (mut watcher, _) = nodes.watches("jun", 1);
    nodes.live(&[1], &[0], 0);
    nodes.pass(Duration::from_secs(1));
    assert_eq!(told(&mut watcher)[0]["departed"][0]["user"], "ann");
    nodes.live(&[0, 1], &[], 1);
    nodes.pass(Duration::from_secs(3));
    assert_eq!(told(&mut watcher), [moves(&["ann"], &[], &[], &[])]);
}

#[test]
fn what_nobody_heard_is_made_good() {
    let mut nodes = Nodes::new(2);
    let (ann, _bob) = (nodes.comes("ann", 0), nodes.comes("bob", 0));
    let (mut watcher, first) = nodes.watches("jun", 1);
    assert_eq!(first, here(&["ann", "bob"]));
    nodes.deaf = true;
    let _cho = nodes.comes("cho", 0);
    nodes.goes(&ann, 0);
    nodes.pass(GRACE * 2);
    assert!(told(&mut watcher).is_empty(), "nobody heard of it");
    nodes.deaf = false;
    nodes.room(1).on_events_missed();
    nodes.pass(GRACE);
    let told = told(&mut watcher);
    assert_eq!(sorted(told.last().unwrap().clone()), here(&["bob", "cho"]));
}

#[test]
fn a_number_that_does_not_fit_to_the_names_is_asked_about() {
    let mut nodes = Nodes::new(2);
    let _ann = nodes.comes("ann", 0);
    let (mut watcher, _) = nodes.watches("jun", 1);
    nodes.pass(GRACE);
    nodes.deaf = true;
    let _bob = nodes.comes("bob", 0);
    nodes.pass(Duration::from_secs(1));
    nodes.deaf = false;
    let _cho = nodes.comes("cho", 0);
    nodes.pass(GRACE);
    let told = told(&mut watcher);
    assert_eq!(sorted(told.last().unwrap().clone()), here(&["ann", "bob", "cho"]));
}

#[test]
fn what_could_not_be_said_is_said_again_and_no_silence_is_taken_for_an_answer() {
    let mut nodes = Nodes::new(2);
    let _ann = nodes.comes("ann", 0);
    nodes.pass(Duration::from_secs(1));
    nodes.deaf = true;
    let mut watcher = Client::new("jun");
    let (join, _) = watcher.join(Start::Live, None);
    let effects = nodes.room(1).on_ask(Ask::Watch(join));
    let effects = watcher.let_in(nodes.room(1), effects);
    let [Effect::Signal(event)] = &effects[..] else { panic!("{effects:?}") };
    let what = crate::room::state::Untold::of(event);
    let now = nodes.now;
    nodes.room(1).on_untold(what, now);
    nodes.deaf = false;
    nodes.pass(GRACE);
    let told = told(&mut watcher);
    assert_eq!(told, [here(&[]), moves(&["ann"], &[], &[], &[])], "as soon as it is known");
}

#[test]
fn who_had_no_say_in_a_room_that_nobody_has_open_any_more_is_forgotten() {
    let mut nodes = Nodes::new(2);
    let _ann = nodes.comes("ann", 0);
    let (mut watcher, _) = nodes.watches("jun", 1);
    // Its departure was not heard, and the room has left the memory of its node.
    nodes.rooms[0] = None;
    nodes.room(1).on_events_missed();
    nodes.pass(GRACE * 2);
    let told = told(&mut watcher);
    assert_eq!(told.last().unwrap()["departed"], json!([{ "user": "ann" }]));
}

#[test]
fn nothing_is_asked_while_nobody_watches_and_nothing_said_while_nobody_moves() {
    let mut nodes = Nodes::new(3);
    let _people = [nodes.comes("ann", 0), nodes.comes("bob", 1), nodes.comes("cho", 2)];
    nodes.pass(Duration::from_secs(1));
    assert_eq!(nodes.said(), 3, "that they came");
    nodes.pass(Duration::from_secs(60));
    assert_eq!(nodes.said(), 0);
    let (watcher, _) = nodes.watches("jun", 0);
    assert!(nodes.said() <= 4, "one question, and an answer of each");
    nodes.pass(Duration::from_secs(60));
    assert_eq!(nodes.said(), 0);
    assert!(nodes.rooms.iter().flatten().all(|room| !room.holds_something()));
    nodes.goes(&watcher, 0);
    nodes.pass(Duration::from_secs(10));
    assert_eq!(nodes.said(), 0, "it only watched");
}

#[test]
fn many_who_ask_at_once_are_answered_together() {
    let mut nodes = Nodes::new(2);
    let _ann = nodes.comes("ann", 0);
    nodes.pass(Duration::from_secs(5));
    nodes.said();
    for node in 0..50 {
        let question = Event::WhoIsHere { node: run(10 + node) };
        nodes.room(0).on_event(&question);
    }
    nodes.pass(Duration::from_secs(5));
    assert_eq!(nodes.said(), 1);
}

#[test]
fn nodes_that_run_an_older_program_are_believed() {
    let mut nodes = Nodes::new(1);
    let (mut watcher, _) = nodes.watches("jun", 0);
    let person =
        |user: &str| Person { user: UserId::parse(user).unwrap(), name: None, away: false };
    let came = Moves { arrived: vec![person("ann"), person("bob")], ..Moves::default() };
    nodes.room(0).on_event(&Event::Presence(came));
    nodes.pass(Duration::from_secs(1));
    let (_, first) = nodes.watches("kim", 0);
    assert_eq!(first, here(&["ann", "bob"]));
    let left = Moves { departed: vec![(person("ann").user, None)], ..Moves::default() };
    nodes.room(0).on_event(&Event::Presence(left));
    nodes.room(0).on_event(&Event::Here(None));
    nodes.pass(Duration::from_secs(2));
    assert_eq!(told(&mut watcher).last().unwrap(), &here(&["bob"]));
}

#[test]
fn of_a_crowd_the_number_is_told_and_some_names() {
    let mut nodes = Nodes::new(3);
    let crowd: Vec<Client> = (0..150).map(|n| nodes.comes(&format!("u{n}"), 0)).collect();
    let _ann = nodes.comes("ann", 1);
    nodes.pass(Duration::from_secs(1));
    let (mut watcher, first) = nodes.watches("jun", 2);
    assert_eq!((&first["count"], names(&first)), (&json!(151), 100));
    for client in &crowd[..120] {
        nodes.goes(client, 0);
    }
    nodes.pass(GRACE * 2);
    let told = told(&mut watcher);
    assert!(told.len() <= 2, "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((&last["type"], &last["count"], names(last)), (&json!("here"), &json!(31), 31));
}

fn names(here: &Value) -> usize {
    here["users"].as_array().unwrap().len()
}

#[test]
fn ten_thousand_who_come_and_go_are_told_of_in_a_bounded_number_of_events() {
    const CROWD: usize = 10_000;
    let mut nodes = Nodes::new(2);
    // One beside the crowd, and one on another node.
    let (mut watcher, _) = nodes.watches("jun", 1);
    let (mut beside, _) = nodes.watches("sora", 0);
    nodes.said();
    let mut there: Vec<Client> = Vec::new();
    let mut longest = Duration::ZERO;
    // Five seconds in which all come, five in which they come and go, and ten in which all go.
    for second in 0..20 {
        for _tick in 0..5 {
            match second {
                0..5 => {
                    for _ in 0..CROWD / 25 {
                        let user = format!("u{}", second * CROWD + there.len());
                        there.push(nodes.comes(&user, 0));
                    }
                }
                5..10 => {
                    for client in there.drain(..200).collect::<Vec<_>>() {
                        client.outbox.finish();
                        let user = client.who.user.to_string();
                        there.push(nodes.comes(&user, 0));
                    }
                }
                10..12 => there.drain(..CROWD / 10).for_each(|client| client.outbox.finish()),
                _ => {}
            }
            nodes.now += Duration::from_millis(200);
            let begun = Instant::now();
            nodes.tick();
            longest = longest.max(begun.elapsed());
        }
    }
    let said = nodes.said();
    println!("{said} signals, the longest tick {longest:?}");
    assert!(said <= 2 * 20 + 1, "{said} signals in 20 s");
    for client in [&mut watcher, &mut beside] {
        let told = told(client);
        assert!(told.len() <= 20 + 2, "{} events in 20 s", told.len());
        let largest = told.iter().map(|event| event.to_string().len()).max().unwrap();
        assert!(largest < 100 * 64, "{largest} bytes");
    }
    let (_, first) = nodes.watches("kim", 1);
    assert_eq!(first, here(&[]), "all are gone");
}

#[test]
fn an_arrival_that_was_missed_is_noticed_with_a_departure() {
    let mut nodes = Nodes::new(2);
    let ann = nodes.comes("ann", 1);
    let _bob = nodes.comes("bob", 1);
    nodes.live(&[0, 1], &[], 0);
    let (mut watcher, first) = nodes.watches("jun", 0);
    assert_eq!(first, here(&["ann", "bob"]));
    nodes.deaf = true;
    let _cho = nodes.comes("cho", 1);
    nodes.pass(Duration::from_secs(1));
    nodes.deaf = false;
    assert!(told(&mut watcher).is_empty(), "nobody heard of it");
    nodes.goes(&ann, 1);
    nodes.pass(GRACE + Duration::from_secs(3));
    let last = told(&mut watcher).pop().unwrap();
    assert_eq!(sorted(last), here(&["bob", "cho"]), "the node was asked who is there");
}

#[test]
fn people_of_an_older_program_go_when_a_node_dies_and_not_when_one_begins() {
    let mut nodes = Nodes::new(1);
    nodes.live(&[0, 1], &[7], 0);
    let mut watcher = Client::new("jun");
    let (join, _) = watcher.join(Start::Live, None);
    let effects = nodes.room(0).on_ask(Ask::Watch(join));
    watcher.let_in(nodes.room(0), effects);
    let old = Person { user: UserId::parse("old").unwrap(), name: None, away: false };
    let arrived = Moves { arrived: vec![old], ..Moves::default() };
    nodes.room(0).on_event(&Event::Presence(arrived));
    nodes.pass(Duration::from_secs(5));
    told(&mut watcher);
    nodes.live(&[0, 1, 2], &[7], 0);
    nodes.pass(Duration::from_secs(1));
    assert!(told(&mut watcher).is_empty(), "one began");
    nodes.live(&[0, 2], &[1, 7], 0);
    nodes.pass(Duration::from_secs(1));
    let told = told(&mut watcher);
    assert_eq!(told[0]["departed"], json!([{ "user": "old" }]), "one died: {told:?}");
}
