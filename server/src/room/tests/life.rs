//! Who types, and what those are told who watch.

use moim_shared::signal::Event;
use serde_json::{Value, json};

use super::*;
use crate::room::answer::Answer;
use crate::room::state::Typing;

/// Watches the room as a member.
pub(super) fn watch(client: &mut Client, state: &mut State) -> Value {
    let (join, _) = client.join(Start::Live, Some("watch"));
    let effects = state.on_ask(Ask::Watch(join));
    assert!(client.let_in(state, effects).is_empty());
    let mut frames = client.reader.frames().into_iter();
    assert_eq!(frames.next().unwrap().get("receipt-id"), Some("watch"));
    json_of(frames.next().unwrap())
}

fn json_of(frame: Frame) -> Value {
    serde_json::from_slice(&frame.body).unwrap()
}

pub(super) fn told(client: &mut Client) -> Vec<Value> {
    client.reader.frames().into_iter().map(json_of).collect()
}

fn keys(client: &Client, state: &mut State, typing: bool, at: Instant) -> Vec<Effect> {
    let typing = Typing {
        who: client.who.clone(),
        typing,
        at,
        sent_at: EPOCH,
        answer: Answer::new(client.outbox.clone(), None, None),
        deadline: at + Duration::from_secs(3_600),
        permit: None,
    };
    let effects = state.on_ask(Ask::Typing(typing));
    client.let_in(state, effects)
}

/// What all nodes are told, and this room with them.
fn signalled(state: &mut State, effects: Vec<Effect>) -> usize {
    let mut count = 0;
    for effect in effects {
        let Effect::Signal(event) = effect else { panic!("{effect:?}") };
        state.on_event(&event);
        count += 1;
    }
    count
}

fn tick(state: &mut State, now: Instant) -> usize {
    let effects = state.on_tick(now);
    signalled(state, effects)
}

#[test]
fn typing_is_told_once_a_second_and_ends_by_itself() {
    let mut state = opened(at(0));
    let mut watcher = Client::new("jun");
    watch(&mut watcher, &mut state);
    let (mina, now) = (Client::new("mina"), Instant::now());
    let after = |millis| now + Duration::from_millis(millis);
    for (millis, count) in [(0, 1), (400, 0), (1_000, 1), (1_999, 0)] {
        let effects = keys(&mina, &mut state, true, after(millis));
        assert_eq!(signalled(&mut state, effects), count, "at {millis} ms");
    }
    assert_eq!(tick(&mut state, after(7_998)), 0);
    assert_eq!(tick(&mut state, after(7_999)), 1);
    let typing = |typing| json!({ "type": "typing", "user": "mina", "typing": typing });
    assert_eq!(told(&mut watcher), [typing(true), typing(true), typing(false)]);
    assert!(keys(&mina, &mut state, false, after(8_000)).is_empty(), "it was over already");
}

#[test]
fn who_says_so_stops_typing_at_once() {
    let mut state = opened(at(0));
    let mut watcher = Client::new("jun");
    watch(&mut watcher, &mut state);
    let (mina, now) = (Client::new("mina"), Instant::now());
    let effects = keys(&mina, &mut state, true, now);
    assert_eq!(signalled(&mut state, effects), 1);
    let effects = keys(&mina, &mut state, false, now);
    assert_eq!(signalled(&mut state, effects), 1);
    assert_eq!(told(&mut watcher).last().unwrap()["typing"], json!(false));
}

#[test]
fn a_muted_member_does_not_type() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let typing = Typing {
        who: mina.who.clone(),
        typing: true,
        at: Instant::now(),
        sent_at: EPOCH,
        answer: Answer::new(mina.outbox.clone(), Some("t".into()), None),
        deadline: Instant::now() + Duration::from_secs(3_600),
        permit: None,
    };
    let effects = state.on_ask(Ask::Typing(typing));
    let [Effect::Admit { who, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert!(state.on_admitted(who, Ok(Access::Muted { until: EPOCH + 1 })).is_empty());
    assert_eq!(mina.refusals(), [("t".into(), "muted".into())]);
}

#[test]
fn watchers_outlive_the_room_and_keep_it_awake() {
    let mut state = opened(at(0));
    let mut watcher = Client::new("jun");
    watch(&mut watcher, &mut state);
    assert!(!state.is_idle());
    let survivors = state.survivors();
    let mut state = State::new(room(), BOUNDS, place(), survivors);
    state.on_opened(Ok(head(at(0))));
    assert_eq!(told(&mut watcher)[0]["type"], "here", "it starts over");
    let read = Event::Read { user: watcher.who.user.clone(), position: at(0) };
    state.on_event(&Event::Read { user: watcher.who.user.clone(), position: Position::ZERO });
    state.on_event(&read);
    tick(&mut state, Instant::now());
    let expected = json!({ "type": "read", "user": "jun", "position": at(0).to_string() });
    assert_eq!(told(&mut watcher)[0], expected);
    watcher.outbox.finish();
    state.on_tick(Instant::now());
    assert!(state.is_idle());
}

#[test]
fn changed_memberships_are_told_to_those_who_watch() {
    let mut state = opened(at(0));
    let mut watcher = Client::new("jun");
    watch(&mut watcher, &mut state);
    for version in 1..=3 {
        state.on_members_changed(&changed(version, &[]));
    }
    tick(&mut state, Instant::now());
    assert_eq!(told(&mut watcher), [json!({ "type": "members" })], "once for all of them");
}

#[test]
fn keys_that_go_on_and_off_are_told_no_more_often() {
    let mut state = opened(at(0));
    let mut watcher = Client::new("jun");
    watch(&mut watcher, &mut state);
    let (mina, now) = (Client::new("mina"), Instant::now());
    let after = |millis| now + Duration::from_millis(millis);
    let mut count = 0;
    for n in 0..100 {
        let effects = keys(&mina, &mut state, n % 2 == 0, after(n));
        count += signalled(&mut state, effects);
    }
    assert_eq!(count, 2, "it types, it does not");
    let effects = keys(&mina, &mut state, true, after(200));
    assert_eq!(signalled(&mut state, effects), 0);
    assert_eq!(tick(&mut state, after(1_000)), 1, "as it is by then");
    assert_eq!(told(&mut watcher).last().unwrap()["typing"], json!(true));
    assert_eq!(tick(&mut state, after(7_000)), 1);
    assert_eq!(tick(&mut state, after(9_000)), 0);
    assert!(!state.holds_something());
}

/// Watches it as one of many; what they are told is not read.
fn crowd(state: &mut State, count: usize) -> Vec<Client> {
    let one = |n: usize| {
        let mut client = Client::with(&format!("w{n}"), Grant::None, 1 << 20);
        let (join, _) = client.join(Start::Live, None);
        let effects = state.on_ask(Ask::Watch(join));
        assert!(client.let_in(state, effects).is_empty());
        client.reader.frames();
        client
    };
    (0..count).map(one).collect()
}

fn cursors(frames: &[Value], kind: &str) -> Vec<String> {
    let of = frames.iter().filter(|told| told["type"] == kind);
    of.map(|told| told["user"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn of_many_cursors_a_tick_tells_what_fits_and_the_next_ones_the_others() {
    let mut state = opened(at(0));
    let mut watchers = crowd(&mut state, 500);
    let users: Vec<UserId> = (0..50).map(|n| UserId::parse(&format!("u{n}")).unwrap()).collect();
    for user in &users {
        state.on_event(&Event::Read { user: user.clone(), position: at(1) });
    }
    let users: Vec<_> = users.into_iter().map(|user| (user, at(1))).collect();
    state.on_event(&Event::Delivered { users });
    let names = |from: usize| (from..50.min(from + 20)).map(|n| format!("u{n}"));
    for from in [0, 20, 40] {
        tick(&mut state, Instant::now());
        let expected: Vec<String> = names(from).collect();
        for watcher in &mut watchers {
            let frames = told(watcher);
            assert_eq!(cursors(&frames, "read"), expected);
            assert_eq!(cursors(&frames, "delivered"), expected);
        }
    }
    tick(&mut state, Instant::now());
    assert!(told(&mut watchers[0]).is_empty());
}

#[test]
fn a_crowd_is_told_who_reads_and_not_what_each_was_given() {
    let mut state = opened(at(0));
    let mut watchers = crowd(&mut state, 1_001);
    let user = UserId::parse("mina").unwrap();
    state.on_event(&Event::Read { user: user.clone(), position: at(1) });
    state.on_event(&Event::Delivered { users: vec![(user.clone(), at(1))] });
    tick(&mut state, Instant::now());
    let read = json!({ "type": "read", "user": "mina", "position": at(1).to_string() });
    assert_eq!(told(&mut watchers[0]), [read]);
    watchers.pop().unwrap().outbox.finish();
    state.on_tick(Instant::now());
    state.on_event(&Event::Delivered { users: vec![(user, at(1))] });
    tick(&mut state, Instant::now());
    assert_eq!(cursors(&told(&mut watchers[0]), "delivered"), ["mina"], "they are few again");
}
