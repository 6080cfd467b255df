//! What a change of memberships does to those who are in already.

use super::*;

fn change(state: &mut State, version: u64, accesses: &[(&Client, Access)]) -> Vec<Effect> {
    let users = rechecked(&state.on_members_changed(version));
    let known = users.iter().map(|user| {
        let found = accesses.iter().find(|(client, _)| client.who.user == *user);
        found.map_or(Access::Member, |(_, access)| *access)
    });
    let known = known.collect();
    state.on_rechecked(users, Ok(known))
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
fn a_ban_ends_the_session() {
    let mut state = opened(at(3));
    let eve = Client::live("eve", &mut state);
    change(&mut state, 1, &[(&eve, Access::Banned)]);
    assert_eq!(eve.outbox.take_end(), Some(crate::outbox::CloseReason::REVOKED));
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
fn whoever_asks_meanwhile_waits_for_the_answer() {
    let mut state = opened(at(3));
    let mut mina = Client::live("mina", &mut state);
    let users = rechecked(&state.on_members_changed(1));
    assert!(mina.send(&mut state, "a").is_empty());
    assert!(state.start_batch(Pressure::Free).is_none());
    // Changed again before the answer came, which may not know of it.
    assert!(state.on_members_changed(2).is_empty());
    let again = state.on_rechecked(users, Ok(vec![Access::Member]));
    assert!(state.start_batch(Pressure::Free).is_none());
    state.on_rechecked(rechecked(&again), Ok(vec![Access::Member]));
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
    assert!(mina.reader.all().is_empty());
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let mut state = opened(at(3));
    let mina = Client::live("mina", &mut state);
    let users = rechecked(&state.on_members_changed(1));
    let away = moim_shared::store::StoreError::Unavailable("asked to be".into());
    let again = state.on_rechecked(users.clone(), Err(away));
    assert!(matches!(&again[..], [Effect::Recheck { wait, .. }] if !wait.is_zero()));
    mina.send(&mut state, "a");
    state.on_rechecked(users, Ok(vec![Access::Member]));
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
}
