//! SENDs on their way into the order.

use moim_shared::broker::BrokerError;
use moim_shared::queue::QueueError;

use super::*;

fn receipts(frames: &[Frame]) -> Vec<(&str, Position)> {
    let receipt = |frame: &Frame| frame.get("position").unwrap().parse().unwrap();
    frames.iter().map(|frame| (frame.get("receipt-id").unwrap(), receipt(frame))).collect()
}

#[test]
fn a_receipt_comes_after_the_confirm_and_not_before() {
    let mut state = opened(at(4));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let batch = next_batch(&mut state);
    assert_eq!((batch.epoch, names(&batch)), (EPOCH, vec!["a"]));
    assert!(mina.reader.all().is_empty());
    let effects = state.on_appended(Ok(placed(&batch, 5)));
    let [Effect::Enqueue { envelopes, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(envelopes[0].position, at(5));
    assert!(mina.reader.all().is_empty(), "placed is not durable");
    assert!(confirmed(&mut state, Ok(())).is_empty());
    let frames = mina.reader.frames();
    assert_eq!(receipts(&frames), [("a", at(5))]);
    assert!(!state.holds_something());
    assert_eq!(mina.gate.used(), 0);
}

#[test]
fn one_batch_is_under_way_and_the_next_one_gathers() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let first = next_batch(&mut state);
    mina.send_in(&mut state, "b");
    mina.send_in(&mut state, "c");
    assert!(start(&mut state, Pressure::Free).is_none());
    state.on_appended(Ok(placed(&first, 1)));
    assert!(start(&mut state, Pressure::Free).is_none(), "it is not confirmed yet");
    confirmed(&mut state, Ok(()));
    assert_eq!(names(&next_batch(&mut state)), ["b", "c"]);
    assert_eq!(mina.reader.frames().len(), 1);
}

#[test]
fn a_queue_that_is_away_delays_receipts_and_not_what_is_shown() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let first = next_batch(&mut state);
    state.on_appended(Ok(placed(&first, 1)));
    mina.send_in(&mut state, "b");
    let later = Instant::now() + Duration::from_secs(1);
    let second = appended(state.start_batch(Pressure::Free, later).into_iter().collect());
    assert_eq!(names(&second), ["b"]);
    let effects = state.on_appended(Ok(placed(&second, 2)));
    let [Effect::Enqueue { number, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(mina.reader.all().is_empty());
    // Whichever is confirmed first.
    state.on_confirmed(number, Ok(()));
    assert_eq!(receipts(&mina.reader.frames()), [("b", at(2))]);
    confirmed(&mut state, Ok(()));
    assert_eq!(receipts(&mina.reader.frames()), [("a", at(1))]);
    assert!(!state.holds_something());
}

#[test]
fn a_batch_is_bounded_in_messages_and_in_bytes() {
    let mut state = opened(at(0));
    let mina = Client::new("mina");
    for name in ["a", "b", "c", "d"] {
        mina.send_in(&mut state, name);
    }
    let batch = next_batch(&mut state);
    assert_eq!(names(&batch), ["a", "b", "c"]);
    state.on_appended(Ok(placed(&batch, 1)));
    confirmed(&mut state, Ok(()));
    let mut large = mina.post("large");
    large.body = vec![b'x'; BOUNDS.batch_bytes * 2].into();
    state.on_ask(Ask::Post(large));
    assert_eq!(names(&next_batch(&mut state)), ["d"]);
    state.on_appended(Ok(Vec::new()));
    assert_eq!(names(&next_batch(&mut state)), ["large"], "alone, but it goes");
}

#[test]
fn a_full_queue_holds_sends_back_before_they_have_a_place() {
    let mut state = opened(at(0));
    let mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    assert!(start(&mut state, Pressure::Full).is_none());
    assert_eq!(names(&next_batch(&mut state)), ["a"]);
}

#[test]
fn a_duplicate_that_is_not_durable_is_confirmed_again_and_a_durable_one_is_answered_at_once() {
    let mut state = opened(at(9));
    let mut mina = Client::new("mina");
    for name in ["pending", "durable", "reused"] {
        mina.send_in(&mut state, name);
    }
    next_batch(&mut state);
    let effects = state.on_appended(Ok(vec![
        Placed::Duplicate { position: at(8), pending: Some(message(at(8))) },
        Placed::Duplicate { position: at(3), pending: None },
        Placed::NameReused,
    ]));
    let [Effect::Enqueue { envelopes, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(envelopes.len(), 1);
    let frames = mina.reader.frames();
    assert_eq!(receipts(&frames[..1]), [("durable", at(3))]);
    assert_eq!(frames[1].get("receipt-id"), Some("reused"));
    confirmed(&mut state, Ok(()));
    assert_eq!(receipts(&mina.reader.frames()), [("pending", at(8))]);
}

#[test]
fn changed_memberships_are_asked_about_again_before_anything_is_placed() {
    let mut state = opened(at(0));
    let (mut mina, mut jun) = (Client::new("mina"), Client::new("jun"));
    mina.send_in(&mut state, "m1");
    jun.send_in(&mut state, "j1");
    next_batch(&mut state);
    mina.send_in(&mut state, "m2");
    let effects = state.on_appended(Err(BrokerError::MembersChanged { now: 7 }));
    let users = rechecked(&effects);
    assert_eq!(users, [jun.who.user.clone(), mina.who.user.clone()]);
    assert!(start(&mut state, Pressure::Free).is_none());
    let asked = state.on_rechecked(users, 7, Ok(vec![Access::Banned, Access::Member]));
    let [Effect::Admit { who, .. }] = &asked[..] else { panic!("{asked:?}") };
    state.on_admitted(who, Ok(Access::Banned));
    assert_eq!(jun.refusals(), [("j1".into(), "banned".into())]);
    let batch = next_batch(&mut state);
    assert_eq!((batch.members, names(&batch)), (7, vec!["m1", "m2"]));
    assert!(mina.reader.all().is_empty());
}

#[test]
fn an_answer_from_before_the_change_lets_nobody_in() {
    let mut state = opened(at(0));
    let (mut mina, jun) = (Client::new("mina"), Client::new("jun"));
    jun.send_in(&mut state, "j1");
    next_batch(&mut state);
    let asked = mina.send(&mut state, "m1");
    let [Effect::Admit { who, .. }] = &asked[..] else { panic!("{asked:?}") };
    let effects = state.on_appended(Err(BrokerError::MembersChanged { now: 1 }));
    // Read before the ban, told after it.
    let again = state.on_admitted(who, Ok(Access::Member));
    assert!(matches!(again[..], [Effect::Admit { .. }]), "{again:?}");
    state.on_admitted(who, Ok(Access::Banned));
    assert_eq!(mina.refusals(), [("m1".into(), "banned".into())]);
    state.on_rechecked(rechecked(&effects), 1, Ok(vec![Access::Member, Access::Banned]));
    assert_eq!(names(&next_batch(&mut state)), ["j1"]);
}

#[test]
fn another_epoch_is_opened_and_the_batch_goes_there() {
    let mut state = opened(at(3));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let first = next_batch(&mut state);
    mina.send_in(&mut state, "b");
    let effects = state.on_appended(Err(BrokerError::EpochRolled));
    assert!(matches!(effects[..], [Effect::Open { .. }]));
    assert!(start(&mut state, Pressure::Free).is_none());
    state.on_opened(Ok(Head { epoch: EPOCH + 5, ..head(at(3)) }));
    let again = next_batch(&mut state);
    assert_eq!((again.epoch, names(&again)), (EPOCH + 5, vec!["a", "b"]));
    assert_eq!(again.envelopes[0], first.envelopes[0]);
    assert!(mina.reader.all().is_empty());
}

#[test]
fn an_epoch_that_opens_with_other_memberships_asks_about_what_waits() {
    let mut state = opened(at(3));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    next_batch(&mut state);
    state.on_appended(Err(BrokerError::EpochRolled));
    mina.send(&mut state, "b");
    let opened = Head { epoch: EPOCH + 5, members: 2, ..head(at(3)) };
    let effects = state.on_opened(Ok(opened));
    let users = rechecked(&effects);
    assert!(start(&mut state, Pressure::Free).is_none());
    let asked = state.on_rechecked(users, 2, Ok(vec![Access::Banned]));
    let [Effect::Admit { who, .. }] = &asked[..] else { panic!("{asked:?}") };
    state.on_admitted(who, Ok(Access::Banned));
    let banned = |name: &str| (name.to_owned(), "banned".to_owned());
    assert_eq!(mina.refusals(), [banned("a"), banned("b")]);
}

#[test]
fn a_broker_that_is_away_is_given_the_same_batch_again() {
    let mut state = opened(at(0));
    let mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let first = next_batch(&mut state);
    mina.send_in(&mut state, "b");
    for _ in 0..3 {
        let away = BrokerError::Unavailable("asked to be".into());
        let effects = state.on_appended(Err(away));
        assert!(matches!(effects[..], [Effect::Append { wait, .. }] if !wait.is_zero()));
        assert_eq!(appended(effects).envelopes, first.envelopes, "nobody knows what became of it");
    }
}

#[test]
fn a_queue_that_refuses_is_given_the_same_again_and_a_closed_one_means_that_nobody_knows() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    mina.send_in(&mut state, "a");
    let batch = next_batch(&mut state);
    state.on_appended(Ok(placed(&batch, 1)));
    let effects = confirmed(&mut state, Err(QueueError::Refused("asked to".into())));
    assert!(matches!(&effects[..], [Effect::Enqueue { envelopes, .. }] if envelopes.len() == 1));
    assert!(mina.reader.all().is_empty());
    assert!(confirmed(&mut state, Err(QueueError::Closed)).is_empty());
    assert_eq!(mina.refusals(), [("a".into(), "unavailable".into())]);
}

#[test]
fn what_waits_too_long_is_refused_and_never_placed() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let late = Instant::now() + Duration::from_secs(7_200);
    mina.send_in(&mut state, "full");
    state.on_tick(Instant::now());
    assert!(mina.reader.all().is_empty());
    state.on_tick(late);
    assert_eq!(mina.refusals(), [("full".into(), "busy".into())]);
    assert!(start(&mut state, Pressure::Free).is_none());
    assert_eq!(mina.gate.used(), 0);
}

#[test]
fn what_is_placed_goes_on_without_its_sender() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let late = Instant::now() + Duration::from_secs(7_200);
    mina.send_in(&mut state, "a");
    let batch = next_batch(&mut state);
    mina.send_in(&mut state, "behind");
    state.on_appended(Ok(placed(&batch, 1)));
    state.on_tick(late);
    let unavailable = |name: &str| (name.to_owned(), "unavailable".to_owned());
    assert_eq!(mina.refusals(), [unavailable("behind"), unavailable("a")]);
    state.on_tick(late);
    let effects = confirmed(&mut state, Err(QueueError::Refused("asked to".into())));
    assert!(matches!(effects[..], [Effect::Enqueue { .. }]), "{effects:?}");
    confirmed(&mut state, Ok(()));
    assert!(mina.reader.all().is_empty(), "answered once");
}

#[test]
fn a_send_is_answered_in_time_while_the_broker_is_away() {
    let mut state = opened(at(0));
    let mut mina = Client::new("mina");
    let late = Instant::now() + Duration::from_secs(7_200);
    mina.send_in(&mut state, "a");
    let batch = next_batch(&mut state);
    state.on_tick(late);
    assert_eq!(mina.refusals(), [("a".into(), "unavailable".into())]);
    state.on_tick(late);
    let effects = state.on_appended(Ok(placed(&batch, 1)));
    assert!(matches!(effects[..], [Effect::Enqueue { .. }]), "the batch goes on: {effects:?}");
    confirmed(&mut state, Ok(()));
    assert!(mina.reader.all().is_empty(), "answered once");
}

#[test]
fn a_reply_that_is_dropped_says_that_nobody_knows() {
    let mut mina = Client::new("mina");
    drop(mina.reply("a", None));
    let frame = mina.reader.frame();
    let body: serde_json::Value = serde_json::from_slice(&frame.body).unwrap();
    assert_eq!((&body["receipt"], &body["code"]), (&"a".into(), &"unavailable".into()));
    assert!(body["detail"].as_str().unwrap().contains("may still be stored"));
    assert_eq!(mina.gate.used(), 0);
}

#[test]
fn a_commit_is_answered_after_its_last_part() {
    let mut mina = Client::new("mina");
    let commit = Arc::new(Commit::new(mina.outbox.clone(), Some("tx".into())));
    let parts = ["a", "b"].map(|name| mina.reply(name, Some(commit.clone())));
    drop(commit);
    let [first, second] = parts;
    second.stored(&room(), at(2));
    assert_eq!(receipts(&mina.reader.frames()), [("b", at(2))]);
    first.stored(&room(), at(1));
    let frames = mina.reader.frames();
    let order: Vec<_> = frames.iter().map(|frame| frame.get("receipt-id").unwrap()).collect();
    assert_eq!(order, ["a", "tx"]);
}

#[test]
fn a_commit_with_a_refused_part_is_refused_with_its_reason() {
    let mut mina = Client::new("mina");
    let commit = Arc::new(Commit::new(mina.outbox.clone(), Some("tx".into())));
    let parts = ["a", "b"].map(|name| mina.reply(name, Some(commit.clone())));
    drop(commit);
    let [first, second] = parts;
    first.refused(&crate::refusal::Refusal::banned());
    second.stored(&room(), at(1));
    let frames = mina.reader.frames();
    let said: Vec<_> =
        frames.iter().map(|frame| (&*frame.command, frame.get("receipt-id"))).collect();
    assert_eq!(said, [("MESSAGE", Some("a")), ("RECEIPT", Some("b")), ("MESSAGE", Some("tx"))]);
    let body: serde_json::Value = serde_json::from_slice(&frames[2].body).unwrap();
    assert_eq!(body["code"], "banned");
}
