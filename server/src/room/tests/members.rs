//! What a change of memberships does to those who are in already.

use moim_shared::broker::BrokerError;

use super::*;

/// Everybody's changed, and this is what the store says.
fn change(state: &mut State, version: u64, accesses: &[(&Client, Access)]) -> Vec<Effect> {
    let users = rechecked(&state.on_members_changed(&changed(version, &[])));
    let known = users.iter().map(|user| {
        let found = accesses.iter().find(|(client, _)| client.who.user == *user);
        found.map_or(Access::Member, |(_, access)| *access)
    });
    let known = known.collect();
    state.on_rechecked(users, version, Ok(known))
}

#[test]
fn who_was_put_out_gets_nothing_more_and_is_told_so() {
    let mut state = opened(at(3));
    let (mut mina, mut eve) = (Client::live("mina", &mut state), Client::live("eve", &mut state));
    change(&mut state, 1, &[(&eve, Access::None)]);
    state.on_published(&published(4, 4));
    assert_eq!(mina.shown(), [at(4)]);
    assert_eq!(eve.refusals(), [(String::new(), "not_a_member".into())]);
    assert!(!eve.outbox.is_closing(), "it may be in other rooms");
}

#[test]
fn a_ban_ends_the_session_of_readers_and_of_those_who_only_watch() {
    let mut state = opened(at(3));
    let eve = Client::live("eve", &mut state);
    let watcher = Client::new("joe");
    let (join, _) = watcher.join(Start::Live, None);
    let effects = state.on_ask(Ask::Watch(join));
    watcher.let_in(&mut state, effects);
    change(&mut state, 1, &[(&eve, Access::Banned), (&watcher, Access::Banned)]);
    for client in [eve, watcher] {
        assert_eq!(client.outbox.take_end(), Some(crate::outbox::CloseReason::REVOKED));
    }
}

#[test]
fn a_muted_member_reads_and_does_not_send_until_then() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    change(&mut state, 1, &[(&mina, Access::Muted { until: EPOCH + 1 })]);
    assert!(mina.send(&mut state, "a").is_empty());
    assert_eq!(mina.refusals(), [("a".into(), "muted".into())]);
    state.on_published(&published(4, 4));
    assert_eq!(mina.shown(), [at(4)]);
    state.on_ask(Ask::Post(Post { sent_at: EPOCH + 1, ..mina.post("b") }));
    assert_eq!(names(&next_batch(&mut state)), ["b"]);
}

#[test]
fn nobody_waits_for_a_change_of_somebody_else() {
    let mut state = opened(at(3));
    let (mut mina, mut jun) = (Client::live("mina", &mut state), Client::live("jun", &mut state));
    mina.send_in(&mut state, "m1");
    jun.send_in(&mut state, "j1");
    let effects = state.on_members_changed(&changed(1, &[&jun]));
    assert_eq!(rechecked(&effects), [jun.who.user.clone()]);
    mina.send_in(&mut state, "m2");
    jun.send(&mut state, "j2");
    let batch = next_batch(&mut state);
    assert_eq!((batch.members, names(&batch)), (1, vec!["m1", "m2"]));
    // Others change while it is asked: that does not make the answer void.
    assert!(state.on_members_changed(&changed(2, &[&mina])).is_empty());
    let more = state.on_rechecked(rechecked(&effects), 1, Ok(vec![Access::Member]));
    state.on_appended(Ok(placed(&batch, 4)));
    confirmed(&mut state, Ok(()));
    assert_eq!(names(&next_batch(&mut state)), ["j1", "j2"]);
    state.on_rechecked(rechecked(&more), 2, Ok(vec![Access::None]));
    let told = mina.reader.frames().pop().unwrap();
    assert!(told.body.windows(12).any(|text| text == b"not_a_member"), "{told:?}");
    assert!(jun.reader.all().iter().all(|read| !matches!(read, Read::Close(..))));
}

#[test]
fn an_answer_from_before_a_second_change_is_asked_for_again() {
    let mut state = opened(at(3));
    let mina = Client::live("mina", &mut state);
    let users = rechecked(&state.on_members_changed(&changed(1, &[&mina])));
    assert!(state.on_members_changed(&changed(2, &[&mina])).is_empty());
    mina.send(&mut state, "a");
    let again = state.on_rechecked(users, 1, Ok(vec![Access::Member]));
    assert!(start(&mut state, Pressure::Free).is_none());
    state.on_rechecked(rechecked(&again), 2, Ok(vec![Access::Member]));
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
}

#[test]
fn a_version_that_was_skipped_may_be_anybodys() {
    let mut state = opened(at(3));
    let (mina, jun) = (Client::live("mina", &mut state), Client::live("jun", &mut state));
    let effects = state.on_members_changed(&changed(2, &[&jun]));
    assert_eq!(rechecked(&effects), [jun.who.user.clone(), mina.who.user.clone()]);
}

#[test]
fn who_was_put_out_while_its_start_was_found_out_does_not_come_in() {
    let mut state = opened(at(9));
    let mut eve = Client::new("eve");
    let (effects, subscription) = eve.subscribe(&mut state, Start::Last(2));
    let Ok([Effect::Begin { join }]) = <[Effect; 1]>::try_from(effects) else { panic!() };
    change(&mut state, 1, &[(&eve, Access::None)]);
    let effects = state.on_begun(join, Ok((true, at(7))));
    let [Effect::Admit { who, .. }] = &effects[..] else { panic!("{effects:?}") };
    state.on_admitted(who, Ok(Access::None));
    assert!(subscription.is_ended());
    assert_eq!(eve.refusals(), [("join".into(), "not_a_member".into())]);
}

#[test]
fn who_was_put_out_as_the_room_died_does_not_survive_it() {
    let mut state = opened(at(3));
    let mut eve = Client::live("eve", &mut state);
    let survivors = state.survivors();
    let mut state = State::new(room(), BOUNDS, place(), survivors);
    let users = rechecked(&state.on_opened(Ok(head(at(3)))));
    assert_eq!(users, [eve.who.user.clone()]);
    state.on_rechecked(users, 0, Ok(vec![Access::None]));
    assert_eq!(eve.refusals(), [(String::new(), "not_a_member".into())]);
}

#[test]
fn a_change_that_was_told_before_the_room_was_open_counts() {
    let mut state = State::new(room(), BOUNDS, place(), Vec::new());
    let mina = Client::new("mina");
    assert!(state.on_members_changed(&changed(4, &[&mina])).is_empty());
    assert!(state.on_opened(Ok(head(at(3)))).is_empty(), "nobody is known yet");
    assert_eq!(state.members(), 4);
}

#[test]
fn a_subscription_that_ended_on_its_way_in_gets_its_answer_and_nothing_else() {
    for watch in [false, true] {
        let mut state = opened(at(3));
        let mut mina = Client::new("mina");
        let (join, subscription) = mina.join(Start::Live, Some("in"));
        let ask = if watch { Ask::Watch(join) } else { Ask::Join(join) };
        let effects = state.on_ask(ask);
        subscription.end();
        mina.let_in(&mut state, effects);
        let frame = mina.reader.frame();
        assert_eq!((&*frame.command, frame.get("receipt-id")), ("RECEIPT", Some("in")));
        state.on_published(&published(4, 4));
        assert!(mina.reader.all().is_empty() && state.is_idle());
    }
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let mut state = opened(at(3));
    let mina = Client::live("mina", &mut state);
    let users = rechecked(&state.on_members_changed(&changed(1, &[&mina])));
    let away = moim_shared::store::StoreError::Unavailable("asked to be".into());
    let again = state.on_rechecked(users.clone(), 1, Err(away));
    assert!(matches!(&again[..], [Effect::Recheck { wait, .. }] if !wait.is_zero()));
    mina.send(&mut state, "a");
    state.on_rechecked(users, 1, Ok(vec![Access::Member]));
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
}

/// It was in flight when the change was told, and the broker refused it for that.
#[test]
fn what_was_in_flight_when_memberships_changed_stays_in_front_of_what_came_after_it() {
    let mut state = opened(at(3));
    let mina = Client::live("mina", &mut state);
    mina.send_in(&mut state, "a");
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
    let effects = state.on_members_changed(&changed(1, &[&mina]));
    mina.send(&mut state, "b");
    let refused = state.on_appended(Err(BrokerError::MembersChanged { now: 1 }));
    assert!(refused.is_empty(), "{refused:?}");
    let users = rechecked(&effects);
    let known = vec![Access::Member; users.len()];
    state.on_rechecked(users, 1, Ok(known));
    assert_eq!(names(&next_batch(&mut state)), ["a", "b"]);
}
