//! The contract of `Inbox`: what changed for a user.

use moim_shared::ids::{RoomId, UserId};
use moim_shared::membership::{Change, Role};
use moim_shared::position::Position;
use moim_shared::store::inbox::{Changes, Entry, MARGIN, Standing, Token};
use moim_shared::store::rooms::{RoomChange, Visibility};

use crate::make::{Database, all, at, nameless, room, user};
use crate::rooms_contract::{BAN, change, made, with};

const ADD: Change = Change::Put { role: None, muted_until: None, banned: None };

async fn changes(store: &dyn Database, who: &str, since: Option<Token>, limit: usize) -> Changes {
    store.inbox_changes(&user(who), since, limit).await.unwrap()
}

/// How it is with one room.
async fn entry(store: &dyn Database, who: &str, id: &RoomId) -> Entry {
    let pair = vec![(user(who), id.clone())];
    store.inbox_entries(pair).await.unwrap().pop().unwrap()
}

async fn standing(store: &dyn Database, who: &str, id: &RoomId) -> Standing {
    *entry(store, who, id).await.standing.unwrap()
}

fn rooms(changes: &Changes) -> Vec<&str> {
    changes.entries.iter().map(|(entry, _)| entry.room.as_str()).collect()
}

/// The clock has gone on since then, so that what comes is later.
async fn later(store: &dyn Database, than: u64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let now = changes(store, "nobody", None, 1).await.next.ms() + MARGIN.as_millis() as u64;
        if now > than {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the clock stands");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Behind everything that there is: as if no transaction were under way.
fn just_after(at: u64) -> Token {
    Token::from(Position::new(at + 1, 0))
}

pub async fn all_that_changes_a_room_for_its_members_is_a_change(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    with(store, &id, "ann", "bob", Role::Member).await;
    let mut last = entry(store, "bob", &id).await;
    assert!(last.at > 0);
    for step in 0..5 {
        later(store, last.at).await;
        let since = just_after(last.at);
        assert_eq!(rooms(&changes(store, "bob", Some(since), 10).await), [""; 0], "{step}");
        match step {
            0 => drop(store.insert(all([nameless(0, "hi")])).await.unwrap()),
            1 => drop(store.cursor_move(&id, &user("bob"), at(0)).await.unwrap()),
            2 => with(store, &id, "ann", "bob", Role::Admin).await,
            3 => {
                let name = RoomChange { name: Some(Some("New".into())), visibility: None };
                store.room_update(&id, &user("ann"), &name).await.unwrap().unwrap();
            }
            _ => drop(change(store, &id, "ann", "bob", Change::Kick).await.unwrap()),
        }
        let found = changes(store, "bob", Some(since), 10).await;
        assert_eq!(rooms(&found), ["r"], "{step}");
        let now = entry(store, "bob", &id).await;
        assert!(now.at > last.at, "{step}: {now:?} after {last:?}");
        assert_eq!(found.entries[0].0, now);
        last = now;
    }
    assert_eq!(last.standing, None);
    assert_eq!(entry(store, "eve", &id).await.at, 0, "it was never hers");
}

pub async fn an_entry_says_all_of_how_it_is(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    with(store, &id, "ann", "bob", Role::Member).await;
    let before = standing(store, "bob", &id).await;
    assert_eq!((&before.last, before.own.head, before.own.unread), (&None, Position::ZERO, 0));
    assert!(before.invited && before.began_at > 0);
    assert!(!standing(store, "ann", &id).await.invited);
    store.insert(all([nameless(0, "one"), nameless(1, &"가".repeat(500))])).await.unwrap();
    store.cursor_move(&id, &user("bob"), at(0)).await.unwrap();
    let found = standing(store, "bob", &id).await;
    let own = store.rooms_of(&user("bob"), None, 1).await.unwrap().pop().unwrap();
    assert_eq!(found.own, own);
    let last = found.last.unwrap();
    assert_eq!((last.position, last.sender), (at(1), user("mina")));
    assert_eq!(last.preview, Some("가".repeat(200)));
    for (seq, bytes, preview) in
        [(2, &b"\xff\xfe\0"[..], None), (3, b"", None), (4, b"short", Some("short"))]
    {
        let mut said = nameless(seq, "");
        (said.body, said.binary) = (bytes.to_vec().into(), true);
        store.insert(all([said])).await.unwrap();
        let last = standing(store, "bob", &id).await.last.unwrap();
        assert_eq!((last.position, last.preview.as_deref()), (at(seq), preview));
    }
}

pub async fn changes_come_in_pages_in_their_order(store: &dyn Database) {
    let mut made_rooms = Vec::new();
    for n in 0..7 {
        made_rooms.push(made(store, &format!("r{n}"), "ann", Visibility::Private).await);
    }
    // Many at one time, perhaps.
    for id in &made_rooms {
        change(store, id, "ann", "bob", ADD).await.unwrap();
    }
    for limit in [1, 2, 3, 7, 50] {
        let mut since = Token::ZERO;
        let mut found: Vec<(u64, String)> = Vec::new();
        loop {
            let page = changes(store, "bob", Some(since), limit).await;
            assert!(page.recovered);
            found.extend(page.entries.iter().map(|(it, _)| (it.at, it.room.to_string())));
            // On from any entry, too.
            if let Some((_, token)) = page.entries.first() {
                let on = changes(store, "bob", Some(*token), 50).await;
                assert!(!rooms(&on).contains(&&*found[found.len() - page.entries.len()].1));
                assert_eq!(on.entries.len(), 7 - (found.len() - page.entries.len()) - 1);
            }
            since = page.next;
            if !page.more {
                break;
            }
        }
        let times: Vec<u64> = found.iter().map(|(at, _)| *at).collect();
        assert!(times.is_sorted(), "{found:?}");
        let mut ids: Vec<&str> = found.iter().map(|(_, id)| id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["r0", "r1", "r2", "r3", "r4", "r5", "r6"]);
        assert!(!since.is_on_its_way());
    }
}

pub async fn whoever_goes_on_hears_the_last_changes_again(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    let first = changes(store, "ann", Some(Token::ZERO), 10).await;
    assert_eq!(rooms(&first), ["r"]);
    // A transaction that is not yet visible may have noted such a time.
    let at = entry(store, "ann", &id).await.at;
    assert!(first.next.ms() + MARGIN.as_millis() as u64 - 10_000 < at);
    assert_eq!(rooms(&changes(store, "ann", Some(first.next), 10).await), ["r"]);
    let now = changes(store, "ann", None, 10).await;
    assert_eq!(rooms(&now), ["r"], "what is just on its way");
}

pub async fn a_token_nobody_can_go_on_from_brings_all_rooms(store: &dyn Database) {
    made(store, "r", "ann", Visibility::Private).await;
    let gone = made(store, "gone", "ann", Visibility::Private).await;
    store.room_delete(&gone, &user("ann")).await.unwrap().unwrap();
    for token in [Token::from(Position::new(1, 0)), Token::from(Position::new(1 << 60, 0))] {
        let found = changes(store, "ann", Some(token), 10).await;
        assert_eq!((found.recovered, rooms(&found)), (false, vec!["r"]));
    }
    let all = changes(store, "ann", Some(Token::ZERO), 10).await;
    assert_eq!(
        (all.recovered, rooms(&all)),
        (true, vec!["r"]),
        "nobody forgets what it never knew"
    );
    let now = changes(store, "ann", None, 10).await;
    assert_eq!(rooms(&now).len(), 2, "{now:?}");
}

pub async fn removals_are_told_until_they_are_forgotten_and_who_comes_back_is_new(
    store: &dyn Database,
) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    change(store, &id, "ann", "bob", ADD).await.unwrap();
    let first = standing(store, "bob", &id).await.began_at;
    // A change of the membership does not begin it anew.
    with(store, &id, "ann", "bob", Role::Admin).await;
    assert_eq!(standing(store, "bob", &id).await.began_at, first);
    for lost in [Change::Kick, BAN] {
        change(store, &id, "ann", "bob", lost.clone()).await.unwrap();
        let gone = entry(store, "bob", &id).await;
        assert!(gone.standing.is_none() && gone.at >= first, "{lost:?}");
        later(store, gone.at).await;
        let back = match lost {
            Change::Kick => ADD,
            _ => Change::Put { role: None, muted_until: None, banned: Some(false) },
        };
        change(store, &id, "ann", "bob", back).await.unwrap();
        assert!(standing(store, "bob", &id).await.began_at > gone.at, "{lost:?}");
    }
    change(store, &id, "ann", "bob", Change::Kick).await.unwrap();
    let gone = entry(store, "bob", &id).await.at;
    assert_eq!(store.inbox_forget(gone, 10).await, Ok(0), "it is not before that");
    assert_eq!(store.inbox_forget(gone + 1, 10).await, Ok(1));
    assert_eq!(entry(store, "bob", &id).await.at, 0);
    assert_eq!(entry(store, "ann", &id).await.standing.unwrap().own.room.id, id);
}

pub async fn who_never_was_a_member_is_not_told_of_a_ban(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    change(store, &id, "ann", "eve", BAN).await.unwrap();
    assert_eq!(entry(store, "eve", &id).await.at, 0);
    assert_eq!(rooms(&changes(store, "eve", None, 10).await), [""; 0]);
    // Nor what comes after it.
    change(store, &id, "ann", "eve", BAN).await.unwrap();
    let again = made(store, "again", "ann", Visibility::Private).await;
    change(store, &again, "ann", "eve", BAN).await.unwrap();
    store.room_delete(&id, &user("ann")).await.unwrap().unwrap();
    assert_eq!(rooms(&changes(store, "eve", None, 10).await), [""; 0]);
    let pardon = Change::Put { role: None, muted_until: None, banned: Some(false) };
    change(store, &again, "ann", "eve", pardon).await.unwrap();
    assert!(standing(store, "eve", &again).await.began_at > 0);
    change(store, &again, "ann", "eve", BAN).await.unwrap();
    assert_eq!(rooms(&changes(store, "eve", None, 10).await), ["again"], "it was hers");
}

pub async fn many_are_asked_about_at_once_and_answered_in_their_order(store: &dyn Database) {
    let (a, b) = (made(store, "a", "ann", Visibility::Public).await, room("nowhere"));
    with(store, &a, "ann", "bob", Role::Member).await;
    let people: Vec<UserId> = ["bob", "eve", "ann"].map(user).into();
    let mut pairs: Vec<(UserId, RoomId)> =
        people.iter().map(|who| (who.clone(), a.clone())).collect();
    pairs.push((user("ann"), b));
    let found = store.inbox_entries(pairs.clone()).await.unwrap();
    let asked = found.iter().map(|entry| (entry.user.clone(), entry.room.clone()));
    assert_eq!(asked.collect::<Vec<_>>(), pairs);
    let known: Vec<bool> = found.iter().map(|entry| entry.standing.is_some()).collect();
    assert_eq!(known, [true, false, true, false]);
    assert_eq!(store.inbox_entries(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(store.inbox_rooms(&user("bob"), 10).await, Ok(vec![a]));
}
