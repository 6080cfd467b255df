//! The contract of `Pushes`.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use moim_shared::clock::now_ms;
use moim_shared::envelope::Envelope;
use moim_shared::ids::InstallationId;
use moim_shared::position::Position;
use moim_shared::push_token::PushToken;
use moim_shared::quiet::{QuietHours, Zone};
use moim_shared::store::cursors::{Delivered, Read};
use moim_shared::store::devices::{Device, Platform};
use moim_shared::store::pushes::{
    DuePush, End, Ended, Kind, NewPush, News, PushRecord, Round, State, Target, Unwanted,
};

use crate::make::{Database, EPOCH, all, at, room, user};

const LONG: Duration = Duration::from_secs(60);

fn app(id: &str) -> InstallationId {
    InstallationId::parse(id).unwrap()
}

fn device(id: &str, token: Option<&str>) -> Device {
    Device {
        installation: app(id),
        token: token.map(|token| PushToken::parse(token).unwrap()),
        platform: Platform::Android,
        locale: Some("ko".into()),
        time_zone: None,
        muted: false,
        preview: true,
        quiet_hours: None,
        muted_rooms: Vec::new(),
        seen_at: EPOCH,
    }
}

async fn put(store: &dyn Database, id: &str, device: &Device) {
    store.device_put(&user(id), device).await.unwrap();
}

/// Members of `r`, each with a phone.
async fn members(store: &dyn Database, users: &[&str]) {
    for id in users {
        store.admit(&room("r"), &user(id), None).await.unwrap();
        put(store, id, &device("phone", Some(&format!("{id}-phone")))).await;
    }
    store.tell_devices(Duration::ZERO);
}

async fn say(store: &dyn Database, envelopes: impl IntoIterator<Item = Envelope>) {
    store.insert(all(envelopes)).await.unwrap();
}

/// A message of Mina's in room `r`, of now: an old one would have had to wait for the database.
fn nameless(seq: u64, body: &str) -> Envelope {
    Envelope { sent_at: now_ms(), ..crate::make::nameless(seq, body) }
}

async fn claim(store: &dyn Database) -> Vec<Round> {
    store.rounds_claim(LONG, 10).await.unwrap()
}

fn push(who: &str, device: &str, seq: u64) -> NewPush {
    NewPush { user: user(who), device: app(device), position: at(seq), unwanted: None }
}

/// The only round that is due, with this kept, and done.
async fn keep(store: &dyn Database, pushes: Vec<NewPush>) {
    let rounds = claim(store).await;
    assert_eq!(rounds.len(), 1, "{rounds:?}");
    assert!(store.round_keep(&rounds[0], pushes, None, LONG).await.unwrap());
}

async fn due(store: &dyn Database) -> Vec<DuePush> {
    store.pushes_claim(LONG, 100).await.unwrap()
}

async fn end(store: &dyn Database, due: &[DuePush], end: End) {
    let ended = |push: &DuePush| Ended { id: push.id, lease: push.lease, end: end.clone() };
    store.pushes_done(due.iter().map(ended).collect()).await.unwrap();
}

fn places(due: &[DuePush]) -> Vec<(&str, &str, &str, u64)> {
    let mut all: Vec<_> = due
        .iter()
        .map(|it| {
            (it.kind.as_str(), it.user.as_str(), it.target.installation.as_str(), it.position.seq)
        })
        .collect();
    all.sort_unstable();
    all
}

pub async fn what_is_stored_is_due_once_in_rooms_with_devices(store: &dyn Database) {
    members(store, &["ann"]).await;
    store.admit(&room("empty"), &user("eve"), None).await.unwrap();
    let elsewhere = Envelope { room: room("empty"), ..nameless(1, "x") };
    say(store, [nameless(3, "x"), nameless(4, "y"), elsewhere]).await;
    say(store, [nameless(2, "late"), nameless(4, "y")]).await;
    let rounds = claim(store).await;
    let known: Vec<_> = rounds.iter().map(|it| (it.room.as_str(), it.from, it.upto)).collect();
    assert_eq!(known, [("r", at(2), at(4))], "a burst is one round; nobody is in the other room");
    assert_eq!(claim(store).await, [], "it is somebody's");
    say(store, [nameless(5, "z")]).await;
    let next = claim(store).await;
    assert_eq!((next[0].from, next[0].upto), (at(5), at(5)));
    say(store, [nameless(5, "z")]).await;
    assert_eq!(claim(store).await, [], "it was there already");
}

pub async fn every_message_of_a_burst_has_its_grace(store: &dyn Database) {
    members(store, &["ann"]).await;
    say(store, [nameless(1, "x")]).await;
    store.tell_devices(LONG);
    say(store, [nameless(2, "x")]).await;
    assert_eq!(claim(store).await, [], "the first one is due, and waits for the second");
    store.tell_devices(Duration::ZERO);
    say(store, [nameless(3, "x")]).await;
    let due = claim(store).await;
    assert_eq!((due.len(), due[0].from), (1, at(3)), "what came after that does not wait");
}

pub async fn what_waited_for_the_database_waits_for_what_was_given_of_it_too(store: &dyn Database) {
    members(store, &["ann"]).await;
    say(store, [crate::make::nameless(1, "of long ago")]).await;
    assert_eq!(claim(store).await, []);
}

pub async fn before_devices_are_told_nothing_becomes_due(store: &dyn Database) {
    store.admit(&room("r"), &user("ann"), None).await.unwrap();
    put(store, "ann", &device("phone", Some("t"))).await;
    say(store, [nameless(1, "x")]).await;
    assert_eq!(claim(store).await, []);
    store.tell_devices(LONG);
    say(store, [nameless(2, "x")]).await;
    assert_eq!(claim(store).await, [], "the grace is not over");
    store.tell_devices(Duration::ZERO);
    say(store, [nameless(3, "x")]).await;
    assert_eq!(claim(store).await, [], "it is told with those before, when they are");
}

pub async fn a_round_goes_on_where_its_last_page_was_kept(store: &dyn Database) {
    members(store, &["ann", "bob", "eve"]).await;
    store.admit(&room("r"), &user("cid"), None).await.unwrap();
    put(store, "bob", &device("tablet", Some("bob-tablet"))).await;
    put(store, "eve", &device("old", None)).await;
    say(store, [nameless(1, "x")]).await;
    let round = store.rounds_claim(LONG, 10).await.unwrap().remove(0);
    let page = store.round_page(&round, 2).await.unwrap();
    let users: Vec<_> = page.candidates.iter().map(|one| one.user.as_str()).collect();
    assert_eq!((users, page.next.clone()), (vec!["ann", "bob"], Some(user("bob"))));
    assert_eq!(page.candidates[1].targets.len(), 2);
    let first = vec![push("ann", "phone", 1)];
    let kept = store.round_keep(&round, first.clone(), page.next, Duration::ZERO).await;
    assert!(kept.unwrap());

    // Whoever had it is gone.
    let round = store.rounds_claim(LONG, 10).await.unwrap().remove(0);
    assert_eq!(round.after, Some(user("bob")));
    let page = store.round_page(&round, 2).await.unwrap();
    let targets = &page.candidates[0].targets;
    assert_eq!((page.candidates.len(), targets.len(), page.next), (1, 1, None), "eve's phone");
    assert!(store.round_keep(&round, first, None, LONG).await.unwrap());
    assert_eq!(claim(store).await, []);
    assert_eq!(places(&due(store).await), [("message", "ann", "phone", 1)], "kept twice, once");
}

pub async fn of_two_who_have_a_round_the_later_one_keeps(store: &dyn Database) {
    members(store, &["ann"]).await;
    say(store, [nameless(1, "x")]).await;
    let slow = store.rounds_claim(Duration::ZERO, 10).await.unwrap().remove(0);
    let quick = store.rounds_claim(LONG, 10).await.unwrap().remove(0);
    assert_eq!((slow.id, slow.upto), (quick.id, quick.upto));
    assert!(!store.round_keep(&slow, vec![push("ann", "phone", 1)], None, LONG).await.unwrap());
    assert_eq!(due(store).await, []);
    assert!(store.round_keep(&quick, vec![push("ann", "phone", 1)], None, LONG).await.unwrap());
    assert_eq!(due(store).await.len(), 1);
}

pub async fn a_page_says_what_a_member_has_and_its_devices_want(store: &dyn Database) {
    members(store, &["ann", "joon"]).await;
    let hours = QuietHours::parse("22:00-07:00").unwrap();
    let tablet = Device {
        muted: true,
        muted_rooms: vec![room("R"), room("r~r"), room("r")],
        quiet_hours: Some(hours),
        time_zone: Some(Zone::parse("Asia/Seoul").unwrap()),
        ..device("tablet", Some("x"))
    };
    put(store, "ann", &tablet).await;
    put(store, "ann", &Device { muted_rooms: vec![room("R")], ..device("tv", Some("y")) }).await;
    let joons = Envelope { sender: user("joon"), ..nameless(3, "x") };
    say(store, [nameless(1, "x"), nameless(2, "x"), joons]).await;
    let read = Read { room: room("r"), user: user("ann"), position: at(1), device: None };
    store.read_move(vec![read]).await.unwrap();
    let given =
        |device, seq| Delivered { room: room("r"), user: user("ann"), device, position: at(seq) };
    store.delivered_move(vec![given(None, 2), given(Some(app("tv")), 1)]).await.unwrap();

    let round = claim(store).await.remove(0);
    let page = store.round_page(&round, 10).await.unwrap();
    let news = |seq, by| News { position: at(seq), sender: user(by) };
    assert_eq!(page.news, [news(3, "joon"), news(2, "mina")], "the last one, and of another");
    let ann = &page.candidates[0];
    assert_eq!((ann.read, ann.delivered), (at(1), at(2)), "as far as any of its devices");
    let target = |id: &str| Target {
        installation: app(id),
        muted: false,
        room_muted: false,
        quiet_hours: None,
        time_zone: None,
    };
    let tablet = Target {
        muted: true,
        room_muted: true,
        quiet_hours: Some(hours),
        time_zone: Some(Zone::parse("Asia/Seoul").unwrap()),
        ..target("tablet")
    };
    assert_eq!(ann.targets, [target("phone"), tablet, target("tv")], "a room is not its case");
    let joon = &page.candidates[1];
    assert_eq!((joon.read, joon.delivered), (Position::ZERO, Position::ZERO));
}

pub async fn a_push_is_sent_with_what_is_known_then_and_once(store: &dyn Database) {
    members(store, &["ann"]).await;
    let said = Envelope {
        sender_name: Some("Mina".into()),
        content_type: Some("text/plain".into()),
        ..nameless(2, &"방".repeat(2_000))
    };
    say(store, [nameless(1, "x"), said.clone()]).await;
    keep(store, vec![push("ann", "phone", 2)]).await;
    store.admit(&room("other"), &user("ann"), None).await.unwrap();
    say(store, [Envelope { room: room("other"), ..nameless(1, "x") }]).await;
    let moved = Read { room: room("r"), user: user("ann"), position: at(1), device: None };
    store.read_move(vec![moved]).await.unwrap();

    let pushes = due(store).await;
    assert_eq!(pushes.len(), 1);
    let it = &pushes[0];
    assert_eq!((it.kind, it.attempts, it.position, it.from), (Kind::Message, 1, at(2), at(1)));
    assert_eq!(it.token.as_ref().map(PushToken::expose), Some("ann-phone"));
    assert_eq!((it.locale.as_deref(), it.preview, it.is_member), (Some("ko"), true, true));
    assert_eq!((it.read, it.delivered, it.unread, it.badge), (at(1), Position::ZERO, 1, 2));
    let known = it.said.as_ref().unwrap();
    assert_eq!((&*known.sender, known.sender_name.as_deref()), ("mina", Some("Mina")));
    assert_eq!((known.sent_at, known.binary), (said.sent_at, false));
    let length = known.body.len();
    assert!(said.body.starts_with(&known.body) && (2_000..=8_192).contains(&length), "{length}");

    assert_eq!(due(store).await, [], "it is somebody's");
    end(store, &pushes, End::Sent).await;
    assert_eq!(due(store).await, []);
}

pub async fn whoever_lets_a_push_lie_loses_it_to_others(store: &dyn Database) {
    members(store, &["ann", "bob"]).await;
    say(store, [nameless(1, "x")]).await;
    keep(store, vec![push("ann", "phone", 1), push("bob", "phone", 1)]).await;
    let slow = store.pushes_claim(Duration::ZERO, 100).await.unwrap();
    let quick = due(store).await;
    assert_eq!((slow.len(), quick.len()), (2, 2));
    assert!(quick.iter().all(|it| it.attempts == 2));
    end(store, &slow, End::Failed("late".into())).await;
    let known = store.pushes_of(&room("r"), at(1), None, None).await.unwrap();
    let states: Vec<State> = known.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::Calling; 2], "what the slow one says is not noted");
    let again = End::Again { after: Duration::ZERO, why: "busy".into() };
    end(store, &quick[..1], again).await;
    let third = due(store).await;
    assert_eq!((third.len(), third[0].attempts), (1, 3));
    end(store, &third, End::Again { after: LONG, why: "busy".into() }).await;
    assert_eq!(due(store).await, []);
}

pub async fn what_waits_is_told_with_what_came_after(store: &dyn Database) {
    members(store, &["ann", "bob"]).await;
    say(store, [nameless(1, "x")]).await;
    keep(store, vec![push("ann", "phone", 1), push("bob", "phone", 1)]).await;
    say(store, [nameless(2, "x")]).await;
    keep(store, vec![push("ann", "phone", 2)]).await;
    let pushes = due(store).await;
    let expected = [("message", "ann", "phone", 2), ("message", "bob", "phone", 1)];
    assert_eq!(places(&pushes), expected);
    let anns = pushes.iter().find(|it| it.user == user("ann")).unwrap();
    assert_eq!(anns.from, at(1));
    assert_eq!(anns.attempts, 1);
    let later = End::Again { after: Duration::ZERO, why: "unsure".into() };
    end(store, &pushes, later).await;
    say(store, [nameless(4, "x")]).await;
    keep(store, vec![push("ann", "phone", 4)]).await;
    let pushes = due(store).await;
    let expected = [("message", "ann", "phone", 4), ("message", "bob", "phone", 1)];
    assert_eq!(places(&pushes), expected);
    assert!(pushes.iter().all(|it| it.attempts == 2), "it may have been seen already");
    // What is on its way is not called back.
    say(store, [nameless(5, "x")]).await;
    keep(store, vec![push("ann", "phone", 5)]).await;
    end(store, &pushes, End::Sent).await;
    let next = due(store).await;
    assert_eq!((places(&next), next[0].from), (vec![("message", "ann", "phone", 5)], at(5)));
}

pub async fn other_devices_that_were_told_are_told_that_it_was_read(store: &dyn Database) {
    members(store, &["ann", "bob"]).await;
    put(store, "ann", &device("tablet", Some("ann-tablet"))).await;
    put(store, "ann", &device("tv", Some("ann-tv"))).await;
    say(store, [nameless(1, "x"), nameless(2, "y")]).await;
    let of_two = [("ann", "phone"), ("ann", "tablet"), ("bob", "phone")];
    keep(store, of_two.iter().map(|(who, device)| push(who, device, 2)).collect()).await;
    let told = due(store).await;
    end(store, &told, End::Sent).await;
    let read = async |device: Option<&str>, seq| {
        let device = device.map(app);
        let read = Read { room: room("r"), user: user("ann"), position: at(seq), device };
        store.read_move(vec![read]).await.unwrap();
        due(store).await
    };
    assert_eq!(read(Some("phone"), 1).await, [], "the message is unread still");
    let silent = read(Some("phone"), 2).await;
    assert_eq!(places(&silent), [("read", "ann", "tablet", 2)], "not where it was read");
    assert_eq!((silent[0].unread, silent[0].badge, silent[0].read), (0, 0, at(2)));
    assert_eq!(read(None, 3).await, [], "once");
}

pub async fn what_was_read_while_it_was_sent_is_told_too(store: &dyn Database) {
    members(store, &["ann"]).await;
    say(store, [nameless(1, "x")]).await;
    keep(store, vec![push("ann", "phone", 1)]).await;
    let under_way = due(store).await;
    let read = Read { room: room("r"), user: user("ann"), position: at(1), device: None };
    store.read_move(vec![read]).await.unwrap();
    assert_eq!(store.pushes_catch_up(LONG).await.unwrap(), 0);
    end(store, &under_way, End::Sent).await;
    assert_eq!(due(store).await, []);
    assert_eq!(store.pushes_catch_up(LONG).await.unwrap(), 1);
    assert_eq!(places(&due(store).await), [("read", "ann", "phone", 1)]);
    assert_eq!(store.pushes_catch_up(LONG).await.unwrap(), 0);
}

pub async fn what_is_shown_after_it_was_told_that_it_was_read_is_told_again(store: &dyn Database) {
    members(store, &["ann"]).await;
    say(store, [nameless(1, "x")]).await;
    keep(store, vec![push("ann", "phone", 1)]).await;
    let first = due(store).await;
    end(store, &first, End::Sent).await;
    say(store, [nameless(2, "x")]).await;
    keep(store, vec![push("ann", "phone", 2)]).await;
    let under_way = due(store).await;
    let read = Read { room: room("r"), user: user("ann"), position: at(5), device: None };
    store.read_move(vec![read]).await.unwrap();
    let told = due(store).await;
    assert_eq!(places(&told), [("read", "ann", "phone", 5)]);
    end(store, &told, End::Sent).await;
    end(store, &under_way, End::Sent).await;
    assert_eq!(store.pushes_catch_up(LONG).await.unwrap(), 1);
    assert_eq!(places(&due(store).await), [("read", "ann", "phone", 5)]);
}

pub async fn what_was_told_of_a_message_is_known_until_it_is_forgotten(store: &dyn Database) {
    members(store, &["ann", "bob"]).await;
    say(store, [nameless(1, "x"), nameless(2, "y"), nameless(3, "z")]).await;
    let muted = NewPush { unwanted: Some(Unwanted::QuietHours), ..push("bob", "phone", 3) };
    keep(store, vec![push("ann", "phone", 3), muted]).await;
    let pushes = due(store).await;
    assert_eq!(places(&pushes), [("message", "ann", "phone", 3)]);
    end(store, &pushes, End::Failed("too long".into())).await;
    let of = async |seq| store.pushes_of(&room("r"), at(seq), None, None).await.unwrap();
    for seq in 1..=3 {
        let known = of(seq).await;
        let short = |it: &PushRecord| (it.user.to_string(), it.state, it.reason.clone());
        let known: Vec<_> = known.iter().map(short).collect();
        let expected =
            [("ann", State::Failed, "too long"), ("bob", State::Suppressed, "quiet_hours")];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b, Some(c.to_owned())));
        assert_eq!(known, expected);
    }
    assert_eq!(of(4).await, []);
    let (ann, bob) = (user("ann"), user("bob"));
    let part = store.pushes_of(&room("r"), at(3), Some(&ann), Some(&bob)).await.unwrap();
    assert!(part.iter().all(|it| it.user == bob) && part.len() == 1, "{part:?}");
    assert_eq!(store.pushes_of(&room("r"), at(3), Some(&bob), None).await.unwrap(), []);
    let ended = of(3).await[0].ended_at.unwrap();
    assert_eq!(store.pushes_forget(ended + 60_000, 1).await.unwrap(), 1, "in parts");
    assert_eq!(store.pushes_forget(0, 10).await.unwrap(), 0);
    assert_eq!(of(3).await.len(), 1);
}

pub async fn of_many_who_claim_at_once_each_push_is_one_s(store: &dyn Database) {
    let users: Vec<String> = (0..60).map(|n| format!("u{n}")).collect();
    members(store, &users.iter().map(String::as_str).collect::<Vec<_>>()).await;
    say(store, [nameless(1, "x")]).await;
    keep(store, users.iter().map(|id| push(id, "phone", 1)).collect()).await;
    let claimed = join_all((0..12).map(|_| store.pushes_claim(LONG, 5))).await;
    let ids: Vec<i64> = claimed.into_iter().flat_map(Result::unwrap).map(|it| it.id).collect();
    assert_eq!(ids.len(), ids.iter().collect::<HashSet<_>>().len());
    assert!(ids.len() >= 55, "{}", ids.len());
}
