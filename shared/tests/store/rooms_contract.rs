//! The contract of `Rooms`: rooms and lists of them.

use moim_shared::ids::{RoomId, UserId};
use moim_shared::membership::{Change, Denied, Member, Role};
use moim_shared::position::Position;
use moim_shared::store::Access;
use moim_shared::store::rooms::{
    Made, NewRoom, OwnRoom, RoomChange, RoomInfo, UNREAD_MOST, Visibility,
};

use crate::make::{Database, all, at, named, nameless, room, user};

/// A plain member that came at 1.
pub fn plain(id: &str) -> Member {
    Member::new(user(id), None, 1)
}

/// The user's row.
pub async fn row(store: &dyn Database, id: &RoomId, user: &UserId) -> Option<Member> {
    let reader = store.member_get(id, user).await.unwrap();
    reader.map(|reader| reader.member)
}

/// A room of that owner.
pub async fn made(store: &dyn Database, id: &str, owner: &str, visibility: Visibility) -> RoomId {
    let new = NewRoom { id: room(id), name: None, visibility };
    let made = store.room_create(&new, &plain(owner)).await.unwrap();
    assert!(matches!(made, Made::New(_)), "{made:?}");
    room(id)
}

/// Has somebody in, with that role.
pub async fn with(store: &dyn Database, id: &RoomId, owner: &str, target: &str, role: Role) {
    let put = Change::Put { role: Some(role), muted_until: None, banned: None };
    change(store, id, owner, target, put).await.unwrap();
}

pub async fn change(
    store: &dyn Database,
    id: &RoomId,
    actor: &str,
    target: &str,
    change: Change,
) -> Result<Option<Member>, Denied> {
    store.member_change(id, &user(actor), &user(target), change).await.unwrap()
}

pub const BAN: Change = Change::Put { role: None, muted_until: None, banned: Some(true) };

fn ids(rooms: &[RoomInfo]) -> Vec<&str> {
    rooms.iter().map(|info| info.id.as_str()).collect()
}

pub async fn a_room_that_is_made_has_its_owner_and_its_id_is_taken(store: &dyn Database) {
    let new =
        NewRoom { id: room("r"), name: Some("방 ☂".into()), visibility: Visibility::Public };
    assert_eq!(store.room_get(&new.id).await.unwrap(), None);
    let ann = Member { name: Some("Ann".into()), ..plain("ann") };
    let Made::New(info) = store.room_create(&new, &ann).await.unwrap() else { panic!() };
    assert_eq!((&info.id, &info.name, info.visibility), (&new.id, &new.name, new.visibility));
    assert!(!info.direct && info.created_at > 0);
    assert_eq!(store.room_get(&new.id).await.unwrap(), Some(info));
    let owner = row(store, &new.id, &user("ann")).await;
    assert_eq!(owner, Some(Member { role: Role::Owner, ..ann }));
    assert_eq!(store.access(&new.id, &user("ann")).await.unwrap(), Access::Member);
    assert_eq!(store.room_create(&new, &plain("bob")).await.unwrap(), Made::Taken);
    assert_eq!(row(store, &new.id, &user("bob")).await, None);
}

pub async fn of_many_who_make_a_room_at_once_one_does(store: &dyn Database) {
    let new = NewRoom { id: room("r"), name: None, visibility: Visibility::Private };
    let people: Vec<Member> = (0..20).map(|n| plain(&format!("u{n}"))).collect();
    let asked = people.iter().map(|member| store.room_create(&new, member));
    let made = futures_util::future::join_all(asked).await;
    let new_ones = made.iter().filter(|made| matches!(made, Ok(Made::New(_)))).count();
    let taken = made.iter().filter(|made| matches!(made, Ok(Made::Taken))).count();
    assert_eq!((new_ones, taken), (1, 19));
    assert_eq!(store.members_list(&new.id, None, 100).await.unwrap().len(), 1);
}

pub async fn a_direct_room_is_the_same_for_both_and_brings_back_who_left(store: &dyn Database) {
    let id = room("dm~1");
    let (one, other) = ([plain("ann"), plain("bob")], [plain("bob"), plain("ann")]);
    let Made::New(info) = store.room_direct(&id, &one).await.unwrap() else { panic!() };
    assert!(info.direct && info.visibility == Visibility::Private && info.name.is_none());
    assert_eq!(store.room_direct(&id, &other).await.unwrap(), Made::There(info.clone()));
    change(store, &id, "bob", "bob", Change::Leave).await.unwrap();
    assert_eq!(store.access(&id, &user("bob")).await.unwrap(), Access::None);
    assert_eq!(store.room_direct(&id, &one).await.unwrap(), Made::There(info));
    assert_eq!(store.access(&id, &user("bob")).await.unwrap(), Access::Member);
    assert_eq!(store.members_list(&id, None, 10).await.unwrap().len(), 2);
}

pub async fn a_direct_room_brings_back_nobody_who_is_banned(store: &dyn Database) {
    let id = room("dm~1");
    let two = [Member { role: Role::Owner, ..plain("ann") }, plain("bob")];
    store.room_direct(&id, &two).await.unwrap();
    change(store, &id, "ann", "bob", BAN).await.unwrap();
    assert!(matches!(store.room_direct(&id, &two).await.unwrap(), Made::There(_)));
    assert_eq!(store.access(&id, &user("bob")).await.unwrap(), Access::Banned);
}

pub async fn an_id_of_another_kind_is_taken_for_a_direct_room(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    let two = [plain("bob"), plain("cat")];
    assert_eq!(store.room_direct(&id, &two).await.unwrap(), Made::Taken);
    assert_eq!(store.access(&id, &user("bob")).await.unwrap(), Access::None);
}

pub async fn admins_name_a_room_and_owners_open_it(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    with(store, &id, "ann", "bob", Role::Admin).await;
    with(store, &id, "ann", "cat", Role::Member).await;
    let name = RoomChange { name: Some(Some("Tea".into())), visibility: None };
    let open = RoomChange { name: Some(None), visibility: Some(Visibility::Public) };
    for (actor, change, denied) in [
        ("cat", &name, Denied::NotAllowed),
        ("bob", &open, Denied::NotAllowed),
        ("dan", &name, Denied::NotAMember),
    ] {
        assert_eq!(store.room_update(&id, &user(actor), change).await.unwrap(), Err(denied));
    }
    let named = store.room_update(&id, &user("bob"), &name).await.unwrap().unwrap();
    assert_eq!((named.name.as_deref(), named.visibility), (Some("Tea"), Visibility::Private));
    assert_eq!(store.room_get(&id).await.unwrap(), Some(named.clone()));
    let same = store.room_update(&id, &user("ann"), &RoomChange::default()).await.unwrap();
    assert_eq!(same, Ok(named));
    let opened = store.room_update(&id, &user("ann"), &open).await.unwrap().unwrap();
    assert_eq!((opened.name.clone(), opened.visibility), (None, Visibility::Public));
    assert_eq!(store.room_get(&id).await.unwrap(), Some(opened));
    change(store, &id, "ann", "bob", BAN).await.unwrap();
    let banned = store.room_update(&id, &user("bob"), &name).await.unwrap();
    assert_eq!(banned, Err(Denied::Banned));
    let nowhere = store.room_update(&room("s"), &user("ann"), &name).await.unwrap();
    assert_eq!(nowhere, Err(Denied::NoRoom));
}

pub async fn a_direct_room_can_be_neither_named_nor_opened(store: &dyn Database) {
    let id = room("dm~1");
    let two = [Member { role: Role::Owner, ..plain("ann") }, plain("bob")];
    store.room_direct(&id, &two).await.unwrap();
    let open = RoomChange { name: None, visibility: Some(Visibility::Public) };
    let done = store.room_update(&id, &user("ann"), &open).await.unwrap();
    assert_eq!(done, Err(Denied::NotAllowed));
    let joined = change(store, &id, "eve", "eve", Change::Join { name: None }).await;
    assert_eq!(joined, Err(Denied::NotAMember));
}

pub async fn a_deleted_room_is_there_for_nobody(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    with(store, &id, "ann", "bob", Role::Admin).await;
    let (ann, bob) = (user("ann"), user("bob"));
    store.insert(all([nameless(0, "x")])).await.unwrap();
    store.cursor_move(&id, &ann, at(0)).await.unwrap();
    let by_admin = store.room_delete(&id, &bob).await.unwrap();
    assert_eq!(by_admin, Err(Denied::NotAllowed));
    assert_eq!(store.room_delete(&id, &user("eve")).await.unwrap(), Err(Denied::NotAMember));
    assert_eq!(store.room_delete(&id, &ann).await.unwrap(), Ok(()));

    assert_eq!(store.room_delete(&id, &ann).await.unwrap(), Err(Denied::NoRoom));
    assert_eq!(store.room_get(&id).await.unwrap(), None);
    let changed = store.room_update(&id, &ann, &RoomChange::default()).await.unwrap();
    assert_eq!(changed, Err(Denied::NoRoom));
    assert_eq!(store.rooms_visible(&ann, None, 10).await.unwrap(), []);
    assert_eq!(store.rooms_of(&ann, None, 10).await.unwrap(), []);
    assert_eq!(row(store, &id, &bob).await, None);
    assert_eq!(store.members_list(&id, None, 10).await.unwrap(), []);
    let joined = change(store, &id, "eve", "eve", Change::Join { name: None }).await;
    assert_eq!(joined, Err(Denied::NoRoom));
    assert_eq!(store.cursor_move(&id, &ann, at(1)).await.unwrap(), None);
    assert_eq!(store.access(&id, &ann).await.unwrap(), Access::None);
    assert_eq!(store.admit(&id, &ann, None).await.unwrap(), Access::None);
    let new = NewRoom { id: id.clone(), name: None, visibility: Visibility::Private };
    assert_eq!(store.room_create(&new, &plain("ann")).await.unwrap(), Made::Taken);
    let two = [plain("ann"), plain("bob")];
    assert_eq!(store.room_direct(&id, &two).await.unwrap(), Made::Taken);
    assert_eq!(store.access(&id, &ann).await.unwrap(), Access::None);
}

pub async fn a_deleted_room_is_purged_in_parts_and_no_other(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    let kept = made(store, "s", "ann", Visibility::Private).await;
    let mut sent: Vec<_> = (0..25).map(|seq| named(seq, &format!("n{seq}"), "x")).collect();
    sent.push(named(25, "n0", "x"));
    let mut other = nameless(0, "x");
    other.room = kept.clone();
    sent.push(other);
    store.insert(all(sent)).await.unwrap();
    assert_eq!(store.room_purge(&id, 10).await.unwrap(), 0, "it is not deleted");
    assert_eq!(store.rooms_unpurged(10).await.unwrap(), []);
    store.room_delete(&id, &user("ann")).await.unwrap().unwrap();
    let mut removed = 0;
    loop {
        assert_eq!(store.rooms_unpurged(10).await.unwrap(), std::slice::from_ref(&id));
        let part = store.room_purge(&id, 10).await.unwrap();
        assert!(part <= 10);
        removed += part;
        if part == 0 {
            break;
        }
    }
    assert_eq!(removed, 26, "messages and marks");
    assert_eq!(store.rooms_unpurged(10).await.unwrap(), []);
    assert_eq!(store.head(&id).await.unwrap(), None);
    assert_eq!(store.epochs(&id).await.unwrap(), []);
    assert_eq!(store.head(&kept).await.unwrap(), Some(at(0)));
    // One that was on its way when the room ended.
    store.insert(all([nameless(30, "x")])).await.unwrap();
    assert_eq!(store.rooms_unpurged(10).await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(store.room_purge(&id, 10).await.unwrap(), 1);
    assert_eq!(store.room_purge(&room("never"), 10).await.unwrap(), 0);
}

pub async fn public_rooms_and_ones_own_are_visible_in_pages(store: &dyn Database) {
    for (id, owner, visibility) in [
        ("a", "ann", Visibility::Public),
        ("b", "ann", Visibility::Private),
        ("c", "bob", Visibility::Public),
        ("d", "bob", Visibility::Private),
        ("e", "bob", Visibility::Private),
        ("Z", "ann", Visibility::Public),
    ] {
        made(store, id, owner, visibility).await;
    }
    change(store, &room("b"), "ann", "bob", BAN).await.unwrap();
    change(store, &room("a"), "ann", "bob", BAN).await.unwrap();
    for (who, expected) in [
        ("ann", vec!["Z", "a", "b", "c"]),
        ("bob", vec!["Z", "a", "c", "d", "e"]),
        ("eve", vec!["Z", "a", "c"]),
    ] {
        for limit in 1..8 {
            let mut seen: Vec<RoomInfo> = Vec::new();
            loop {
                let after = seen.last().map(|info| info.id.clone());
                let who = user(who);
                let page = store.rooms_visible(&who, after.as_ref(), limit).await.unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            assert_eq!(ids(&seen), expected, "{who} in pages of {limit}");
        }
    }
}

pub async fn ones_own_rooms_come_in_pages_with_where_one_stands(store: &dyn Database) {
    for id in ["a", "b", "r", "x"] {
        made(store, id, "ann", Visibility::Public).await;
    }
    made(store, "c", "bob", Visibility::Public).await;
    with(store, &room("r"), "ann", "bob", Role::Admin).await;
    change(store, &room("x"), "ann", "bob", BAN).await.unwrap();
    store.insert(all([named(0, "n", "x"), nameless(1, "y"), nameless(2, "z")])).await.unwrap();
    store.insert(all([named(5, "n", "x")])).await.unwrap();
    let bob = user("bob");
    let own = store.rooms_of(&bob, None, 10).await.unwrap();
    let places = |own: &[OwnRoom]| -> Vec<_> {
        own.iter().map(|own| (own.room.id.to_string(), own.head, own.read, own.unread)).collect()
    };
    let empty = ("c".to_owned(), Position::ZERO, Position::ZERO, 0);
    assert_eq!(
        places(&own),
        [empty.clone(), ("r".to_owned(), at(5), Position::ZERO, 3)],
        "a mark moves the head and is not unread",
    );
    let own_row = row(store, &room("r"), &bob).await;
    assert_eq!(own.last().map(|own| own.member.clone()), own_row);
    assert_eq!(own.last().map(|own| own.room.clone()), store.room_get(&room("r")).await.unwrap());
    for (read, unread) in [(0, 2), (1, 1), (5, 0)] {
        store.cursor_move(&room("r"), &bob, at(read)).await.unwrap();
        let page = store.rooms_of(&bob, Some(&room("c")), 10).await.unwrap();
        assert_eq!(places(&page), [("r".to_owned(), at(5), at(read), unread)]);
    }
    assert_eq!(places(&store.rooms_of(&bob, None, 1).await.unwrap()), [empty]);
    assert_eq!(store.rooms_of(&bob, Some(&room("r")), 10).await.unwrap(), []);
    assert_eq!(store.rooms_of(&user("ann"), None, 10).await.unwrap().len(), 4);
}

pub async fn unread_ends_at_its_bound(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    let most = u64::from(UNREAD_MOST);
    store.insert(all((0..most + 50).map(|seq| nameless(seq, "x")))).await.unwrap();
    let unread = async || store.rooms_of(&user("ann"), None, 1).await.unwrap()[0].unread;
    assert_eq!(unread().await, UNREAD_MOST);
    store.cursor_move(&id, &user("ann"), at(60)).await.unwrap();
    assert_eq!(u64::from(unread().await), most - 11);
}

pub async fn no_grant_makes_a_room_that_no_path_can_say(store: &dyn Database) {
    for unsayable in [".", "..", "direct"] {
        let id = room(unsayable);
        assert_eq!(store.admit(&id, &user("eve"), None).await.unwrap(), Access::None);
        assert_eq!(store.room_get(&id).await.unwrap(), None);
    }
}

pub async fn no_grant_opens_a_room_of_two_people(store: &dyn Database) {
    let (id, eve) = (room("dm~1"), user("eve"));
    assert_eq!(store.admit(&id, &eve, None).await.unwrap(), Access::None, "nor makes one");
    assert_eq!(store.room_get(&id).await.unwrap(), None);
    store.room_direct(&id, &[plain("ann"), plain("bob")]).await.unwrap();
    assert_eq!(store.admit(&id, &eve, None).await.unwrap(), Access::None);
    assert_eq!(store.admit(&id, &user("ann"), None).await.unwrap(), Access::Member);
}

pub async fn a_room_that_a_grant_made_has_no_owner(store: &dyn Database) {
    let (id, ann) = (room("r"), user("ann"));
    assert_eq!(store.admit(&id, &ann, Some("Ann")).await.unwrap(), Access::Member);
    let member = row(store, &id, &ann).await.unwrap();
    assert_eq!((member.role, member.name.as_deref()), (Role::Member, Some("Ann")));
    let info = store.room_get(&id).await.unwrap().unwrap();
    assert_eq!((info.visibility, info.direct), (Visibility::Private, false));
    let new = NewRoom { id: id.clone(), name: None, visibility: Visibility::Public };
    assert_eq!(store.room_create(&new, &plain("ann")).await.unwrap(), Made::Taken);
    assert_eq!(change(store, &id, "ann", "ann", Change::Leave).await, Ok(None));
}
