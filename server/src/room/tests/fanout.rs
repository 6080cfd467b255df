//! Messages on their way to subscribers.

use moim_shared::broker::BrokerError;
use moim_shared::store::StoreError;

use super::*;
use crate::room::history::HistoryError;

fn fill(effects: &[Effect]) -> Position {
    match effects {
        [Effect::Fill { after }] => *after,
        other => panic!("{other:?}"),
    }
}

fn replay(effects: &[Effect]) -> (u64, Position) {
    match effects {
        [Effect::Replay { key, after, .. }] => (*key, *after),
        other => panic!("{other:?}"),
    }
}

fn away() -> HistoryError {
    HistoryError::Broker(BrokerError::Unavailable("asked to be".into()))
}

fn closed(client: &mut Client) -> Option<u16> {
    match client.reader.all()[..] {
        [.., Read::Close(code, _)] => Some(code),
        _ => None,
    }
}

#[test]
fn what_is_published_is_delivered_in_order_and_twice_is_harmless() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    for part in [published(4, 5), published(4, 5), published(6, 6), published(5, 5)] {
        assert!(state.on_published(&part).is_empty());
    }
    assert_eq!(mina.shown(), [at(4), at(5), at(6)]);
    assert_eq!((state.at(), state.counts().delivered), (at(6), 3));
}

#[test]
fn a_number_without_a_message_moves_the_room_all_the_same() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    let marks = Published { envelopes: messages([4]).into(), ..published(4, 6) };
    state.on_published(&marks);
    state.on_published(&published(7, 7));
    assert_eq!(mina.shown(), [at(4), at(7)]);
}

#[test]
fn a_hole_is_filled_and_everything_comes_once_in_order() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    assert_eq!(fill(&state.on_published(&published(6, 6))), at(3));
    assert!(state.on_published(&published(7, 8)).is_empty(), "one fill at a time");
    assert!(mina.shown().is_empty());
    assert_eq!(fill(&state.on_filled(Ok(page(4, 6)))), at(6), "not all of it yet");
    assert!(state.on_filled(Ok(page(7, 9))).is_empty());
    state.on_published(&published(9, 9));
    state.on_published(&published(10, 10));
    assert_eq!(mina.shown(), (4..=10).map(at).collect::<Vec<_>>());
}

#[test]
fn what_the_room_was_not_told_of_is_found_by_reading() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    assert_eq!(fill(&state.on_missed()), at(3));
    assert_eq!(fill(&state.on_filled(Ok(page(4, 5)))), at(5), "until there is nothing more");
    let nothing = || Page { envelopes: Vec::new(), upto: at(5) };
    assert!(state.on_filled(Ok(nothing())).is_empty());
    assert_eq!(mina.shown(), [at(4), at(5)]);
    assert_eq!(fill(&state.on_missed()), at(5));
    // Told while a page was on its way that was read before it.
    assert!(state.on_published(&published(6, 6)).is_empty());
    assert_eq!(fill(&state.on_filled(Ok(nothing()))), at(5));
    state.on_filled(Ok(page(6, 6)));
    assert_eq!(mina.shown(), [at(6)]);
}

#[test]
fn what_is_published_before_the_room_is_open_is_not_lost() {
    let mut state = State::new(room(), BOUNDS, place(), Vec::new());
    let mut mina = Client::new("mina");
    let (join, _) = mina.join(Start::Live, Some("join"));
    assert!(state.on_ask(Ask::Join(join)).is_empty());
    assert!(state.on_published(&published(4, 4)).is_empty());
    // The answer was on its way when 4 was told.
    let effects = state.on_opened(Ok(head(at(3))));
    let [Effect::Fill { after }, Effect::Admit { who, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(*after, at(3));
    state.on_admitted(who, Ok(Access::Member));
    state.on_filled(Ok(page(4, 4)));
    state.on_published(&published(5, 5));
    assert_eq!(mina.reader.frames()[0].get("position"), Some(&*at(3).to_string()));
    assert!(mina.shown().is_empty());
}

#[test]
fn a_live_subscription_starts_behind_its_receipt() {
    let mut state = opened(at(3));
    let mut mina = Client::new("mina");
    let (effects, _) = mina.subscribe(&mut state, Start::Live);
    assert!(effects.is_empty());
    state.on_published(&published(4, 4));
    let frames = mina.reader.frames();
    assert_eq!(frames[0].command, "RECEIPT");
    assert_eq!(frames[0].get("recovered"), Some("true"));
    assert_eq!(positions(&frames), [at(3), at(4)]);
}

#[test]
fn a_subscription_since_a_position_is_replayed_and_then_live() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (effects, _) = mina.subscribe(&mut state, Start::Since(at(2)));
    let (key, after) = replay(&effects);
    assert_eq!(after, at(2));
    assert_eq!(mina.reader.frame().get("recovered"), Some("true"));
    state.on_published(&published(10, 10)); // in the middle of the replay
    let (_, after) = replay(&state.on_replayed(key, Ok(page(3, 7))));
    assert_eq!(after, at(7));
    assert!(state.on_replayed(key, Ok(page(8, 11))).is_empty(), "the log was in front of the room");
    state.on_published(&published(11, 11));
    state.on_published(&published(12, 12));
    assert_eq!(mina.shown(), (3..=12).map(at).collect::<Vec<_>>());
}

#[test]
fn the_last_messages_are_replayed_from_where_the_store_says() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (mut effects, _) = mina.subscribe(&mut state, Start::Last(2));
    let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
    let (key, after) = replay(&state.on_begun(join, Ok((true, at(7)))));
    assert_eq!(after, at(7));
    mina.reader.frame();
    state.on_replayed(key, Ok(page(8, 9)));
    assert_eq!(mina.shown(), [at(8), at(9)]);
}

#[test]
fn a_store_that_is_in_front_of_the_room_hides_nothing() {
    let mut state = opened(at(5));
    let mut mina = Client::new("mina");
    let (mut effects, _) = mina.subscribe(&mut state, Start::Last(1));
    let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
    // Rows 6 to 8 are committed and not visible yet: the last one stands after 7.
    assert!(state.on_begun(join, Ok((true, at(7)))).is_empty());
    mina.reader.frame();
    state.on_published(&published(6, 8));
    assert_eq!(mina.shown(), [at(6), at(7), at(8)]);
}

#[test]
fn a_start_that_is_unknown_is_not_recovered_and_live_only() {
    for since in [at(99), Position::new(EPOCH + 1, 0), Position::new(EPOCH - 5, 3)] {
        let mut state = opened(at(9));
        let mut mina = Client::new("mina");
        let (mut effects, _) = mina.subscribe(&mut state, Start::Since(since));
        let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
        assert!(state.on_begun(join, Ok((false, at(9)))).is_empty());
        assert_eq!(mina.reader.frame().get("recovered"), Some("false"));
        state.on_published(&published(10, 10));
        assert_eq!(mina.shown(), [at(10)]);
    }
}

#[test]
fn a_start_that_another_node_gave_out_is_recovered_and_shown_nothing_twice() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (mut effects, _) = mina.subscribe(&mut state, Start::Since(at(11)));
    let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
    assert!(state.on_begun(join, Ok((true, at(11)))).is_empty());
    let receipt = mina.reader.frame();
    assert_eq!(receipt.get("recovered"), Some("true"));
    assert_eq!(receipt.get("position"), Some(&*at(11).to_string()));
    state.on_published(&published(10, 12));
    assert_eq!(mina.shown(), [at(12)]);
}

#[test]
fn without_a_receipt_the_next_message_says_what_was_missed() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (join, _) = mina.join(Start::Since(at(99)), None);
    let effects = state.on_ask(Ask::Join(join));
    let mut effects = mina.let_in(&mut state, effects);
    let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
    assert!(state.on_begun(join, Ok((false, at(9)))).is_empty());
    state.on_published(&published(10, 11));
    let frames = mina.reader.frames();
    let said: Vec<_> = frames.iter().map(|frame| frame.get("recovered")).collect();
    assert_eq!(said, [Some("false"), None]);
}

#[test]
fn a_start_that_cannot_be_found_out_is_refused() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (mut effects, subscription) = mina.subscribe(&mut state, Start::Last(2));
    let Some(Effect::Begin { join }) = effects.pop() else { panic!("{effects:?}") };
    state.on_begun(join, Err(StoreError::Unavailable("asked to be".into())));
    assert_eq!(mina.refusals(), [("join".into(), "unavailable".into())]);
    assert!(subscription.is_ended());
}

#[test]
fn who_overflows_is_dropped_and_nobody_else_notices() {
    let mut state = opened(at(0));
    let mut slow = Client::with("slow", Grant::None, 1_500);
    slow.subscribe(&mut state, Start::Live);
    let mut quick = Client::live("quick", &mut state);
    for seq in 1..=20 {
        state.on_published(&published(seq, seq));
        assert_eq!(quick.shown(), [at(seq)]);
    }
    assert_eq!(closed(&mut slow), Some(4008));
    assert_eq!(state.survivors().len(), 1);
}

#[test]
fn an_ended_subscription_gets_nothing_more() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let (_, subscription) = mina.subscribe(&mut state, Start::Live);
    mina.reader.frame();
    subscription.end();
    state.on_published(&published(1, 1));
    assert!(mina.shown().is_empty());
    state.on_tick(Instant::now());
    assert!(state.is_idle());
}

#[test]
fn a_hole_that_cannot_be_filled_ends_who_stands_in_front_of_it() {
    let mut state = opened(at(3));
    let mut live = Client::live("live", &mut state);
    let mut behind = Client::new("behind");
    let (effects, _) = behind.subscribe(&mut state, Start::Since(at(1)));
    let (key, _) = replay(&effects);
    behind.reader.frame();
    fill(&state.on_published(&published(6, 6)));
    let effects = state.on_filled(Err(away()));
    assert!(matches!(effects[..], [Effect::Open { .. }]));
    assert_eq!(closed(&mut live), Some(1012));
    let effects = state.on_opened(Ok(head(at(6))));
    assert!(effects.is_empty(), "{effects:?}");
    assert!(state.on_replayed(key, Ok(page(2, 6))).is_empty());
    state.on_published(&published(7, 7));
    assert_eq!(behind.shown(), (2..=7).map(at).collect::<Vec<_>>());
}

#[test]
fn a_replay_that_cannot_go_on_ends_its_subscriber_alone() {
    let nothing = || Page { envelopes: Vec::new(), upto: at(2) };
    for answer in [Err(away()), Ok(nothing())] {
        let mut state = opened(at(9));
        let mut other = Client::live("other", &mut state);
        let mut mina = Client::new("mina");
        let (effects, _) = mina.subscribe(&mut state, Start::Since(at(2)));
        let (key, _) = replay(&effects);
        assert!(state.on_replayed(key, answer).is_empty());
        assert_eq!(closed(&mut mina), Some(1012));
        state.on_published(&published(10, 10));
        assert_eq!(other.shown(), [at(10)]);
    }
}

#[test]
fn a_room_born_again_goes_on_where_each_subscriber_stood() {
    let mut state = opened(at(5));
    let mut live = Client::live("live", &mut state);
    let mut behind = Client::new("behind");
    behind.subscribe(&mut state, Start::Since(at(2)));
    behind.reader.frame();
    state.on_published(&published(6, 6));
    let survivors: Vec<Survivor> = state.survivors();
    assert!(!state.is_idle(), "a page is being read");
    assert!(state.on_replayed(1, Ok(page(3, 4))).is_empty());
    assert!(state.is_idle());
    let mut state = State::new(room(), BOUNDS, place(), survivors);
    assert!(!state.is_idle());
    let effects = state.on_opened(Ok(head(at(8))));
    assert_eq!(effects.len(), 3);
    for effect in effects {
        match effect {
            Effect::Replay { key, after, .. } => {
                state.on_replayed(key, Ok(page(after.seq + 1, 8)));
            }
            // Whether they still may.
            Effect::Recheck { users, version, .. } => {
                let all = vec![Access::Member; users.len()];
                assert!(state.on_rechecked(users, version, Ok(all)).is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    state.on_published(&published(9, 9));
    assert_eq!(live.shown(), (6..=9).map(at).collect::<Vec<_>>());
    assert_eq!(behind.shown(), (3..=9).map(at).collect::<Vec<_>>());
}
