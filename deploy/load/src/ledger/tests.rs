use super::*;

fn at(seq: u64) -> Option<Position> {
    Some(Position { epoch: 1, seq })
}

fn room_with_two_sends() -> RoomLedger {
    let mut room = RoomLedger::new(2, 1, Rule::Strict);
    for number in 0..2 {
        room.sent(number, Instant::now(), 2);
        room.acked(number, at(number as u64));
    }
    room
}

#[test]
fn what_came_once_in_order_everywhere_is_clean() {
    let mut room = room_with_two_sends();
    for member in 0..2 {
        for number in 0..2 {
            assert!(room.received(member, number, at(number as u64)).is_some());
        }
    }
    let account = room.account(true);
    assert!(account.is_clean(), "{account:?}");
    assert_eq!((account.sent, account.acknowledged, account.delivered), (2, 2, 4));
    assert!(room.is_complete());
}

#[test]
fn loss_doubles_and_disorder_are_told_apart() {
    let mut room = room_with_two_sends();
    room.received(0, 1, at(1));
    room.received(0, 0, at(0)); // late
    room.received(0, 0, at(0)); // double
    room.received(1, 0, at(0)); // and 1 never comes
    let account = room.account(true);
    assert_eq!((account.lost, account.doubled, account.disordered), (1, 1, 1));
    assert_eq!((account.conflicting, account.foreign), (0, 0));
}

#[test]
fn a_send_without_receipt_is_no_loss_when_receipts_were_asked() {
    let mut room = RoomLedger::new(1, 1, Rule::Strict);
    room.sent(0, Instant::now(), 1);
    assert_eq!(room.account(true).lost, 0);
    assert_eq!(room.account(false).lost, 1);
}

#[test]
fn two_positions_of_one_message_conflict() {
    let mut room = room_with_two_sends();
    room.received(0, 0, at(7));
    assert_eq!(room.account(true).conflicting, 1);
}

#[test]
fn a_message_that_nobody_sent_is_foreign() {
    let mut room = room_with_two_sends();
    assert!(room.received(0, 9, at(9)).is_none());
    assert_eq!(room.account(true).foreign, 1);
}

fn resuming_room() -> RoomLedger {
    let mut room = RoomLedger::new(2, 1, Rule::Resuming);
    for number in 0..3 {
        room.sent(number, Instant::now(), 2);
    }
    room
}

#[test]
fn the_same_position_twice_is_a_double_and_a_later_one_is_shown_again() {
    let mut room = resuming_room();
    for seq in [0, 0, 5] {
        room.received(0, 0, at(seq));
    }
    let account = room.account(true);
    assert_eq!((account.doubled, account.shown_again, account.moved), (1, 1, 1));
    assert_eq!((account.delivered, account.disordered, account.conflicting), (1, 0, 0));
}

#[test]
fn two_messages_at_one_position_conflict_whoever_saw_them() {
    let mut room = resuming_room();
    room.received(0, 0, at(7));
    room.received(1, 1, at(7));
    assert_eq!(room.account(true).conflicting, 1);
}

#[test]
fn a_receiver_that_was_told_of_a_gap_lost_nothing_before_it() {
    let mut room = resuming_room();
    for number in 0..2 {
        room.acked(number, at(number as u64));
        room.received(0, number, at(number as u64));
    }
    assert_eq!(room.account(true).lost, 2);
    room.resumed(1, false);
    room.sent(9, Instant::now() + std::time::Duration::from_secs(1), 2);
    room.acked(9, at(9));
    let account = room.account(true);
    // Of what came after the gap nothing may be missing.
    assert_eq!((account.lost, account.missed, account.unrecovered), (2, 2, 1));
}

#[test]
fn a_member_that_comes_back_asks_for_what_is_after_its_last() {
    let mut room = resuming_room();
    assert_eq!(room.last_of(0), Position::default());
    room.received(0, 0, at(4));
    room.resumed(0, true);
    assert_eq!(Some(room.last_of(0)), at(4));
    assert_eq!(room.account(true).recovered, 1);
}

#[test]
fn a_send_that_is_taken_later_than_the_next_is_in_order_when_positions_rise() {
    let mut room = resuming_room();
    room.received(0, 1, at(1));
    room.received(0, 0, at(2));
    assert_eq!(room.account(true).disordered, 0);
    room.received(0, 2, at(0));
    assert_eq!(room.account(true).disordered, 1);
}
