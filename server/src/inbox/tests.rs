//! What the state decides, without a runtime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::Channel;
use moim_shared::store::inbox::Token;

use super::PAIRS;
use super::hints::Pair;
use super::reader::Recipient;
use super::state::{HINTS, SOON, State};
use crate::outbox::tests::BOUNDS;
use crate::outbox::{AckMode, Outbox, Subscription};
use crate::stomp::Version;

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

fn recipient(id: &str) -> Recipient {
    let subscription =
        Subscription::new(0, None, "/user/queue/inbox", AckMode::Auto, Version::V1_2);
    Recipient {
        user: user(id),
        outbox: Arc::new(Outbox::new(1, BOUNDS, None)),
        subscription: Arc::new(subscription),
        _seat: None,
    }
}

const COVERED: Token = Token::ZERO;

/// Somebody who reads and is in that room.
fn reads(state: &mut State, id: &str, its: &str, now: Instant) -> u64 {
    state.sit(&user(id));
    state.has_room(&user(id), &room(its));
    state.add_reader(recipient(id), COVERED, now + SOON)
}

/// Some of the hints that there are now.
fn hints(state: &mut State, most: usize) -> Vec<Pair> {
    state.begin_round();
    state.take_hints(most)
}

/// Channels that were begun and ended since it was asked, all heard.
fn turned(state: &mut State) -> (Vec<Channel>, Vec<Channel>) {
    let (begin, end) = state.turned(100);
    for channel in &begin {
        assert!(state.now_heard(channel.clone(), Instant::now()));
    }
    (begin, end)
}

#[test]
fn a_channel_is_wanted_from_the_first_whom_it_concerns_to_the_last() {
    let (mut state, now) = (State::default(), Instant::now());
    reads(&mut state, "ann", "r", now);
    reads(&mut state, "bob", "r", now);
    assert_eq!(state.hears_all(&user("ann"), 0), None);
    let (begin, end) = turned(&mut state);
    assert_eq!((begin.len(), end.len()), (3, 0), "two users and a room");
    for id in ["ann", "bob"] {
        assert_eq!(state.hears_all(&user(id), 0), Some(true));
    }
    state.rise(&user("ann"));
    assert_eq!(turned(&mut state), (vec![], vec![Channel::User(user("ann"))]));
    assert!(state.room_changed(&room("r")));
    state.rise(&user("bob"));
    assert_eq!(turned(&mut state).1.len(), 2);
    assert!(!state.room_changed(&room("r")), "it concerns nobody");
    // Wanted and not, in between.
    reads(&mut state, "ann", "r", now);
    state.rise(&user("ann"));
    assert_eq!(turned(&mut state), (vec![], vec![]));
}

#[test]
fn a_channel_that_cannot_be_heard_is_the_trouble_of_those_who_want_it() {
    let (mut state, now) = (State::default(), Instant::now());
    reads(&mut state, "ann", "r", now);
    reads(&mut state, "bob", "s", now);
    let (broken, before) = (Channel::Inbox(room("s")), state.troubles);
    for channel in state.turned(100).0 {
        match channel == broken {
            true => state.not_heard(channel),
            false => assert!(state.now_heard(channel, now)),
        }
    }
    assert_eq!(state.hears_all(&user("ann"), before), Some(true));
    assert_eq!(state.hears_all(&user("bob"), before), Some(false));
    // Who comes later waits for the next try.
    assert_eq!(state.hears_all(&user("bob"), state.troubles), None);
    assert_eq!(state.turned(100), (vec![], vec![]));
    state.try_again();
    assert_eq!(turned(&mut state), (vec![broken.clone()], vec![]));
    assert_eq!(state.hears_all(&user("bob"), before), Some(true));
    // What nobody wants any more is not tried.
    state.not_heard(broken);
    state.rise(&user("bob"));
    assert_eq!(turned(&mut state).0, []);
    state.try_again();
    assert!(!state.has_turned());
}

#[test]
fn what_changes_in_a_room_concerns_those_in_it_who_read() {
    let (mut state, now) = (State::default(), Instant::now());
    reads(&mut state, "ann", "r", now);
    reads(&mut state, "bob", "s", now);
    state.sit(&user("eve"));
    state.has_room(&user("eve"), &room("r"));
    turned(&mut state);
    hints(&mut state, 100);
    for _ in 0..3 {
        state.room_changed(&room("r"));
    }
    assert!(!state.own_changed(user("nobody"), room("r"), now));
    assert!(state.own_changed(user("bob"), room("t"), now));
    let mut found = hints(&mut state, 100);
    found.sort();
    assert_eq!(found, [(user("ann"), room("r")), (user("bob"), room("t"))]);
    assert!(!state.has_hints());
    // They could not be followed, and one has gone meanwhile.
    state.rise(&user("bob"));
    state.give_back(found, now);
    assert_eq!(hints(&mut state, 100), [(user("ann"), room("r"))]);
}

#[test]
fn more_hints_than_are_kept_become_a_look() {
    let (mut state, now) = (State::default(), Instant::now());
    let ann = reads(&mut state, "ann", "r", now);
    for n in 0..HINTS {
        state.own_changed(user("ann"), room(&n.to_string()), now);
    }
    assert_eq!(state.due(now, now + SOON), None);
    state.own_changed(user("ann"), room("one-more"), now);
    assert_eq!(state.due(now, now + SOON), Some(ann));
    assert_eq!(hints(&mut state, HINTS * 2).len(), HINTS);
}

#[test]
fn nobody_waits_longer_for_others_that_are_hinted_at_all_the_time() {
    let (mut state, now) = (State::default(), Instant::now());
    let people: Vec<String> = (0..PAIRS * 3).map(|n| format!("u{n}")).collect();
    for id in &people {
        reads(&mut state, id, "crowd", now);
    }
    reads(&mut state, "ann", "quiet", now);
    let loud: Vec<RoomId> = (0..10).map(|n| room(&format!("loud{n}"))).collect();
    for id in &loud {
        state.has_room(&user("ann"), id);
    }
    let mark = |state: &mut State| {
        state.room_changed(&room("crowd"));
        for id in &loud {
            state.room_changed(id);
            state.own_changed(user("u0"), id.clone(), now);
        }
    };
    mark(&mut state);
    state.room_changed(&room("quiet"));
    state.own_changed(user("u1"), room("own"), now);
    state.own_changed(user("u1"), room("crowd"), now);
    // Marked again after each page, and all is told in one round nevertheless.
    state.begin_round();
    let mut pages = Vec::new();
    while state.is_in_round() {
        pages.push(state.take_hints(PAIRS));
        mark(&mut state);
        assert!(pages.len() < 10, "it never ends");
    }
    assert!(pages.iter().all(|page| page.len() <= PAIRS));
    for page in &pages {
        let different: std::collections::HashSet<&Pair> = page.iter().collect();
        assert_eq!(different.len(), page.len(), "a pair stands in a page twice");
    }
    let told: std::collections::HashSet<Pair> = pages.into_iter().flatten().collect();
    assert_eq!(told.len(), people.len() + 10 + 10 + 1 + 1);
    assert!(told.contains(&(user("ann"), room("quiet"))));
    assert!(told.contains(&(user("u1"), room("own"))));
    assert!(state.has_hints(), "what was marked meanwhile comes next");
}

#[test]
fn each_reader_is_looked_at_soon_now_and_then_and_when_something_was_missed() {
    let (mut state, now) = (State::default(), Instant::now());
    let ann = reads(&mut state, "ann", "r", now);
    let bob = reads(&mut state, "bob", "r", now);
    assert_eq!(state.next_look(), Some(now + SOON));
    let soon = now + SOON;
    assert_eq!(state.due(soon, soon + SOON), Some(ann));
    let covered = Token::from(Position::new(5, 0));
    state.looked(ann, covered, true, soon);
    assert_eq!(state.reader(ann).unwrap().covered, covered);
    assert!([ann, bob].contains(&state.due(soon, soon + SOON).unwrap()), "there is more");
    for number in [ann, bob] {
        state.looked(number, covered, false, soon);
    }
    let next = state.next_look().unwrap();
    assert!(next > soon + Duration::from_secs(200) && next < soon + Duration::from_secs(400));
    state.look_at_all(soon);
    let due = [state.due(soon, next), state.due(soon, next)];
    assert!(due.contains(&Some(ann)) && due.contains(&Some(bob)));
    assert_eq!(state.due(soon, next), None);
}

#[test]
fn what_looks_cover_need_not_be_remembered() {
    let (mut state, now) = (State::default(), Instant::now());
    let ann = reads(&mut state, "ann", "r", now);
    let told = &mut state.reader(ann).unwrap().told;
    told.insert(room("old"), (99, 1));
    told.insert(room("young"), (100, 1));
    state.looked(ann, Token::from(Position::new(100, 0)), false, now);
    let told = &state.reader(ann).unwrap().told;
    assert!(told.contains_key(&room("young")) && told.len() == 1);
}

#[test]
fn a_reader_that_leaves_is_looked_at_no_more() {
    let (mut state, now) = (State::default(), Instant::now());
    let ann = reads(&mut state, "ann", "r", now);
    let subscription = state.reader(ann).unwrap().to.subscription.clone();
    assert!(state.take_reader(&user("bob"), &subscription).is_none());
    assert!(state.take_reader(&user("ann"), &subscription).is_some());
    assert!(state.take_reader(&user("ann"), &subscription).is_none());
    assert_eq!(state.next_look(), None);
    assert!(state.readers_of(&user("ann")).is_empty());
}
