//! Who comes in, and in which order.

use moim_shared::broker::BrokerError;
use moim_shared::store::StoreError;

use super::*;

fn admit(effects: &[Effect]) -> Arc<Identity> {
    match effects {
        [Effect::Admit { who, .. }] => who.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_senders_order_is_kept_while_its_access_is_found_out() {
    let mut state = opened(at(0));
    let mina = Client::new("mina");
    let who = admit(&mina.send(&mut state, "a"));
    assert!(mina.send(&mut state, "b").is_empty(), "asked once");
    assert!(start(&mut state, Pressure::Free).is_none());
    state.on_admitted(&who, Ok(Access::Member));
    mina.send_in(&mut state, "c");
    assert_eq!(names(&next_batch(&mut state)), ["a", "b", "c"]);
}

#[test]
fn a_senders_order_is_kept_while_the_room_opens() {
    let mut state = State::new(room(), BOUNDS, place(), Vec::new());
    let mina = Client::new("mina");
    for name in ["a", "b"] {
        assert!(mina.send(&mut state, name).is_empty());
    }
    let away = state.on_opened(Err(BrokerError::Unavailable("asked to be".into())));
    assert!(matches!(away[..], [Effect::Open { wait }] if !wait.is_zero()));
    let who = admit(&state.on_opened(Ok(head(at(0)))));
    state.on_admitted(&who, Ok(Access::Member));
    assert_eq!(names(&next_batch(&mut state)), ["a", "b"]);
}

#[test]
fn who_is_not_a_member_is_refused_and_not_remembered() {
    let mut state = opened(at(0));
    let mut eve = Client::new("eve");
    let who = admit(&eve.send(&mut state, "a"));
    state.on_admitted(&who, Ok(Access::None));
    assert_eq!(eve.refusals(), [("a".into(), "not_a_member".into())]);
    let (join, subscription) = eve.join(Start::Live, Some("j"));
    let who = admit(&state.on_ask(Ask::Join(join)));
    state.on_admitted(&who, Ok(Access::None));
    assert_eq!(eve.refusals(), [("j".into(), "not_a_member".into())]);
    assert!(subscription.is_ended());
    assert!(state.is_idle());
}

#[test]
fn a_ban_stands_above_a_grant() {
    let mut state = opened(at(0));
    let mut eve = Client::with("eve", Grant::All, OUTBOX.bytes);
    let who = admit(&eve.send(&mut state, "a"));
    state.on_admitted(&who, Ok(Access::Banned));
    assert_eq!(eve.refusals(), [("a".into(), "banned".into())]);
    assert!(start(&mut state, Pressure::Free).is_none());
}

#[test]
fn a_session_with_a_grant_is_not_refused_for_another_without() {
    let mut state = opened(at(0));
    let mut plain = Client::new("mina");
    let mut granted = Client::with("mina", Grant::All, OUTBOX.bytes);
    let who = admit(&plain.send(&mut state, "a"));
    granted.send(&mut state, "b");
    let who = admit(&state.on_admitted(&who, Ok(Access::None)));
    assert_eq!(who.grant, Grant::All);
    state.on_admitted(&who, Ok(Access::Member));
    assert_eq!(plain.refusals(), [("a".into(), "not_a_member".into())]);
    assert_eq!(names(&next_batch(&mut state)), ["b"]);
    assert!(granted.reader.all().is_empty());
}

#[test]
fn a_store_that_is_away_is_asked_again_until_the_deadline() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let who = admit(&mina.send(&mut state, "a"));
    let away = || Err(StoreError::Unavailable("asked to be".into()));
    let who = admit(&state.on_admitted(&who, away()));
    state.on_tick(Instant::now() + Duration::from_secs(7_200));
    assert_eq!(mina.refusals(), [("a".into(), "unavailable".into())]);
    assert!(state.on_admitted(&who, away()).is_empty(), "nobody waits for it any more");
    assert!(state.is_idle());
}

#[test]
fn a_subscription_that_is_dropped_on_its_way_is_refused() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    let (effects, subscription) = mina.subscribe(&mut state, Start::Last(2));
    drop((state, effects)); // the room panicked while the store was asked
    assert_eq!(mina.refusals(), [("join".into(), "unavailable".into())]);
    assert!(subscription.is_ended());
}

#[test]
fn whoever_was_on_the_way_into_a_room_that_died_is_told() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    mina.send(&mut state, "a");
    assert!(state.survivors().is_empty());
    assert_eq!(mina.refusals(), [("a".into(), "unavailable".into())]);
}
