//! The contract of `Rooms`: memberships and cursors.

use moim_shared::ids::{InstallationId, RoomId, UserId};
use moim_shared::membership::{Change, Denied, Member, Role};
use moim_shared::position::Position;
use moim_shared::store::Access;
use moim_shared::store::accounts::Account;
use moim_shared::store::cursors::{Delivered, Moved, Read};
use moim_shared::store::rooms::Visibility;

use crate::make::{Database, at, room, user};
use crate::rooms_contract::{BAN, change, made, plain, row, with};

const ADD: Change = Change::Put { role: None, muted_until: None, banned: None };

pub async fn who_is_put_in_is_called_as_its_account_is(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    let account = Account {
        user: user("bob"),
        name: Some("Bob".into()),
        password_hash: "x".into(),
        created_at: 1,
    };
    store.account_create(&account).await.unwrap();
    let bob = change(store, &id, "ann", "bob", ADD).await.unwrap().unwrap();
    assert_eq!(bob.name.as_deref(), Some("Bob"));
    let cat = change(store, &id, "ann", "cat", ADD).await.unwrap().unwrap();
    assert_eq!(cat.name, None, "nobody here knows it");
    let join = Change::Join { name: Some("Dan".into()) };
    let dan = change(store, &id, "dan", "dan", join).await.unwrap().unwrap();
    assert_eq!(dan.name.as_deref(), Some("Dan"));
    for member in [bob, cat, dan] {
        assert_eq!(row(store, &id, &member.user).await, Some(member));
    }
}

pub async fn what_is_so_already_is_answered_with_the_row(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    let join = || Change::Join { name: None };
    let first = change(store, &id, "bob", "bob", join()).await.unwrap();
    assert_eq!(change(store, &id, "bob", "bob", join()).await.unwrap(), first);
    assert_eq!(change(store, &id, "ann", "bob", ADD).await.unwrap(), first);
    change(store, &id, "ann", "bob", BAN).await.unwrap();
    let banned = change(store, &id, "ann", "bob", Change::Kick).await.unwrap();
    assert!(banned.is_some_and(|bob| bob.banned), "a kick is no pardon");
}

pub async fn a_change_binds_what_may_be_done(store: &dyn Database) {
    let (id, bob) = (made(store, "r", "ann", Visibility::Private).await, user("bob"));
    let access = async || store.access(&id, &bob).await.unwrap();
    let put = |muted_until, banned| Change::Put { role: None, muted_until, banned };
    for (wish, expected) in [
        (ADD, Access::Member),
        (put(Some(Some(99)), None), Access::Muted { until: 99 }),
        (put(Some(Some(u64::MAX)), None), Access::Muted { until: i64::MAX as u64 }),
        (put(Some(None), None), Access::Member),
        (BAN, Access::Banned),
        (put(None, Some(false)), Access::Member),
        (Change::Kick, Access::None),
    ] {
        change(store, &id, "ann", "bob", wish.clone()).await.unwrap();
        assert_eq!(access().await, expected, "{wish:?}");
    }
    assert_eq!(change(store, &id, "ann", "bob", Change::Kick).await, Err(Denied::NoMember));
}

pub async fn a_change_that_is_denied_changes_nothing(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    with(store, &id, "ann", "bob", Role::Admin).await;
    with(store, &id, "ann", "cat", Role::Admin).await;
    let before = store.members_list(&id, None, 10).await.unwrap();
    for (actor, target, wish, denied) in [
        ("bob", "cat", Change::Kick, Denied::NotAllowed),
        ("bob", "ann", BAN, Denied::NotAllowed),
        ("ann", "ann", Change::Leave, Denied::LastOwner),
        ("ann", "ann", Change::Kick, Denied::Oneself),
        ("eve", "eve", Change::Join { name: None }, Denied::NotAMember),
        ("eve", "eve", Change::Leave, Denied::NotAMember),
        ("eve", "bob", Change::Kick, Denied::NotAMember),
    ] {
        assert_eq!(change(store, &id, actor, target, wish).await, Err(denied));
    }
    assert_eq!(store.members_list(&id, None, 10).await.unwrap(), before);
    assert_eq!(change(store, &room("s"), "ann", "bob", ADD).await, Err(Denied::NoRoom));
}

pub async fn of_two_last_owners_who_leave_at_once_one_stays(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    with(store, &id, "ann", "bob", Role::Owner).await;
    let leave = |who| change(store, &id, who, who, Change::Leave);
    let (ann, bob) = tokio::join!(leave("ann"), leave("bob"));
    assert_eq!(ann.is_ok(), bob.is_err());
    assert_eq!(ann.err().or(bob.err()), Some(Denied::LastOwner));
}

pub async fn members_come_in_pages_with_how_far_they_read(store: &dyn Database) {
    let id = made(store, "r", "m5", Visibility::Public).await;
    for who in ["m1", "m3", "M9", "m7"] {
        with(store, &id, "m5", who, Role::Member).await;
    }
    store.cursor_move(&id, &user("m3"), at(4)).await.unwrap();
    change(store, &id, "m5", "m7", BAN).await.unwrap();
    let all = store.members_list(&id, None, 100).await.unwrap();
    let users: Vec<_> = all.iter().map(|reader| reader.member.user.to_string()).collect();
    assert_eq!(users, ["M9", "m1", "m3", "m5", "m7"], "banned ones too");
    let read: Vec<_> = all.iter().map(|reader| reader.read).collect();
    let zero = Position::ZERO;
    assert_eq!(read, [zero, zero, at(4), zero, zero]);
    let one = store.member_get(&id, &user("m3")).await.unwrap();
    assert_eq!(one.as_ref(), Some(&all[2]));
    assert!(all[4].member.banned && all[3].member.role == Role::Owner);
    for limit in 1..7 {
        let mut seen = Vec::new();
        while let Ok(page) = {
            let after =
                seen.last().map(|reader: &moim_shared::store::rooms::Reader| &reader.member.user);
            store.members_list(&id, after, limit).await
        } && !page.is_empty()
        {
            assert!(page.len() <= limit);
            seen.extend(page);
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
}

pub async fn who_vanishes_leaves_every_room_and_an_owner_in_it(store: &dyn Database) {
    let with_admin = made(store, "a", "ann", Visibility::Private).await;
    with(store, &with_admin, "ann", "bob", Role::Member).await;
    with(store, &with_admin, "ann", "cat", Role::Admin).await;
    let plain_only = made(store, "b", "ann", Visibility::Private).await;
    for who in ["zoe", "bob", "eve"] {
        with(store, &plain_only, "ann", who, Role::Member).await;
        // Who came first is to be seen.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    change(store, &plain_only, "ann", "zoe", BAN).await.unwrap();
    let two_owners = made(store, "c", "ann", Visibility::Private).await;
    with(store, &two_owners, "ann", "bob", Role::Owner).await;
    with(store, &two_owners, "ann", "cat", Role::Admin).await;
    let alone = made(store, "d", "ann", Visibility::Private).await;
    let banned = made(store, "e", "bob", Visibility::Public).await;
    change(store, &banned, "bob", "ann", BAN).await.unwrap();
    store.room_direct(&room("dm~1"), &[plain("ann"), plain("bob")]).await.unwrap();

    let left = store.member_vanish(&user("ann")).await.unwrap();
    assert_eq!(
        left,
        [with_admin.clone(), plain_only.clone(), two_owners.clone(), alone, room("dm~1")]
    );
    let role = async |id, who| -> Option<Role> {
        row(store, id, &user(who)).await.map(|member: Member| member.role)
    };
    assert_eq!(role(&with_admin, "cat").await, Some(Role::Owner));
    assert_eq!(role(&with_admin, "bob").await, Some(Role::Member));
    assert_eq!(role(&plain_only, "bob").await, Some(Role::Owner), "who is banned is no heir");
    assert_eq!(role(&plain_only, "eve").await, Some(Role::Member));
    assert_eq!(role(&two_owners, "cat").await, Some(Role::Admin));
    assert_eq!(store.access(&banned, &user("ann")).await.unwrap(), Access::Banned, "bans stay");
    assert_eq!(store.rooms_of(&user("ann"), None, 10).await.unwrap(), []);
    assert_eq!(store.member_vanish(&user("ann")).await.unwrap(), []);
}

pub async fn a_cursor_moves_forward_only_and_for_members_only(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Private).await;
    let to = async |read| {
        let moved = store.cursor_move(&id, &user("ann"), read).await.unwrap();
        moved.map(|moved| moved.stands())
    };
    for (read, stands) in [
        (Position::ZERO, Position::ZERO),
        (at(3), at(3)),
        (at(1), at(3)),
        (at(3), at(3)),
        (Position::ZERO, at(3)),
    ] {
        assert_eq!(to(read).await, Some(stands));
    }
    let far = to(Position::new(u64::MAX, u64::MAX)).await.unwrap();
    assert!(far > at(3));
    assert_eq!(to(Position::new(u64::MAX, u64::MAX)).await, Some(far));
    assert_eq!(store.cursor_move(&id, &user("eve"), at(1)).await.unwrap(), None);
    with(store, &id, "ann", "bob", Role::Member).await;
    change(store, &id, "ann", "bob", BAN).await.unwrap();
    assert_eq!(store.cursor_move(&id, &user("bob"), at(1)).await.unwrap(), None);
}

pub async fn who_leaves_takes_its_cursor_along(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    let join = || Change::Join { name: None };
    change(store, &id, "bob", "bob", join()).await.unwrap();
    store.cursor_move(&id, &user("bob"), at(7)).await.unwrap();
    assert_eq!(change(store, &id, "bob", "bob", Change::Leave).await, Ok(None));
    change(store, &id, "bob", "bob", join()).await.unwrap();
    let own = store.rooms_of(&user("bob"), None, 1).await.unwrap();
    assert_eq!(own[0].read, Position::ZERO);
}

pub async fn who_went_muted_comes_back_muted(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    let bob = user("bob");
    let mute = |until| Change::Put { role: None, muted_until: Some(until), banned: None };
    let far = 4_000_000_000_000;
    let muted = Access::Muted { until: far };
    let join = || Change::Join { name: None };
    change(store, &id, "ann", "bob", mute(Some(far))).await.unwrap();
    for (by, going) in [("bob", Change::Leave), ("ann", Change::Kick)] {
        let go = async || change(store, &id, by, "bob", going.clone()).await.unwrap();
        assert_eq!(go().await, None);
        change(store, &id, "bob", "bob", join()).await.unwrap();
        assert_eq!(store.access(&id, &bob).await.unwrap(), muted, "joined");
        go().await;
        assert_eq!(store.admit(&id, &bob, None).await.unwrap(), muted, "by a grant");
        go().await;
        change(store, &id, "ann", "bob", ADD).await.unwrap();
        assert_eq!(store.access(&id, &bob).await.unwrap(), muted, "put in");
    }
    store.member_vanish(&bob).await.unwrap();
    assert_eq!(store.admit(&id, &bob, None).await.unwrap(), muted, "its account ended");
    // It is kept once: a pardon after it came back is one for good.
    change(store, &id, "ann", "bob", mute(None)).await.unwrap();
    change(store, &id, "bob", "bob", Change::Leave).await.unwrap();
    assert_eq!(store.admit(&id, &bob, None).await.unwrap(), Access::Member);
    // One that is over is not kept.
    change(store, &id, "ann", "bob", mute(Some(1))).await.unwrap();
    change(store, &id, "bob", "bob", Change::Leave).await.unwrap();
    let back = change(store, &id, "bob", "bob", join()).await.unwrap();
    assert_eq!(back.unwrap().muted_until, None);
}

pub async fn changes_are_kept_until_they_were_told(store: &dyn Database) {
    let (id, other) = (
        made(store, "r", "ann", Visibility::Public).await,
        made(store, "s", "ann", Visibility::Private).await,
    );
    let untold = async |room: Option<&RoomId>| store.members_untold(room, 10).await.unwrap();
    assert_eq!(untold(Some(&id)).await, [], "nobody had a node know anything before");
    let join = || Change::Join { name: None };
    change(store, &id, "bob", "bob", join()).await.unwrap();
    change(store, &id, "bob", "bob", join()).await.unwrap();
    assert_eq!(untold(Some(&id)).await.len(), 1, "what is so already is no change");
    change(store, &id, "eve", "bob", Change::Kick).await.unwrap_err();
    change(store, &id, "ann", "bob", BAN).await.unwrap();
    change(store, &other, "ann", "bob", ADD).await.unwrap();
    change(store, &other, "ann", "bob", Change::Kick).await.unwrap();
    store.member_vanish(&user("cat")).await.unwrap();

    let of_room = untold(Some(&id)).await;
    let whose: Vec<_> = of_room.iter().map(|change| change.user.clone()).collect();
    assert_eq!(whose, [Some(user("bob")), Some(user("bob"))]);
    let told = store.members_told(vec![of_room[0].id]);
    told.await.unwrap();
    assert_eq!(untold(Some(&id)).await, of_room[1..], "one that came in between stays");
    store.room_delete(&id, &user("ann")).await.unwrap().unwrap();
    assert_eq!(untold(Some(&id)).await.last().unwrap().user, None, "everybody's");

    let all = untold(None).await;
    assert_eq!(
        all.iter().map(|change| &change.room).collect::<Vec<_>>(),
        [&id, &other, &other, &id]
    );
    assert_eq!(store.members_untold(None, 2).await.unwrap(), all[..2]);
    store.members_told(all.iter().map(|change| change.id).collect()).await.unwrap();
    assert_eq!(untold(None).await, []);

    // Who becomes the owner when the last one goes.
    let passed = made(store, "t", "ann", Visibility::Public).await;
    change(store, &passed, "dan", "dan", join()).await.unwrap();
    store.member_vanish(&user("ann")).await.unwrap();
    let whose: Vec<_> = untold(Some(&passed)).await.into_iter().map(|it| it.user).collect();
    assert_eq!(whose, ["dan", "ann", "dan"].map(|id| Some(user(id))));
}

/// As many as there are, in one call.
pub async fn cursors_move_together(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    let other = made(store, "s", "ann", Visibility::Public).await;
    change(store, &id, "bob", "bob", Change::Join { name: None }).await.unwrap();
    let read = |room: &RoomId, who, position| Read {
        room: room.clone(),
        user: user(who),
        position,
        device: None,
    };
    let moved = store.read_move(vec![
        read(&other, "ann", at(3)),
        read(&id, "eve", at(3)),
        read(&id, "bob", at(4)),
        read(&id, "ann", Position::ZERO),
    ]);
    let (on, not) = (|seq| Some(Moved::On(at(seq))), |at| Some(Moved::Not(at)));
    assert_eq!(moved.await.unwrap(), [on(3), None, on(4), not(Position::ZERO)]);
    let moved = store.read_move(vec![
        read(&id, "ann", at(1)),
        read(&id, "bob", at(2)),
        read(&other, "ann", at(3)),
    ]);
    assert_eq!(moved.await.unwrap(), [on(1), not(at(4)), not(at(3))]);
    assert_eq!(store.read_move(Vec::new()).await.unwrap(), []);
}

pub async fn each_device_has_a_cursor_for_what_it_was_given(store: &dyn Database) {
    let id = made(store, "r", "ann", Visibility::Public).await;
    change(store, &id, "bob", "bob", Change::Join { name: None }).await.unwrap();
    let given = |who, device: Option<&str>, position| Delivered {
        room: id.clone(),
        user: user(who),
        device: device.map(|device| InstallationId::parse(device).unwrap()),
        position,
    };
    let new = store.delivered_move(vec![
        given("ann", Some("phone"), at(2)),
        given("ann", None, at(5)),
        given("bob", Some("phone"), at(1)),
        given("eve", Some("phone"), at(1)),
    ]);
    assert_eq!(new.await.unwrap(), [true, true, true, false], "eve is no member");
    let new = store.delivered_move(vec![
        given("ann", Some("phone"), at(2)),
        given("ann", Some("tablet"), at(2)),
        given("bob", Some("phone"), at(3)),
    ]);
    assert_eq!(new.await.unwrap(), [false, true, true]);
    let of = async |users: &[&str]| {
        let users: Vec<UserId> = users.iter().map(|it| user(it)).collect();
        let mut all = store.delivered_of(&id, &users).await.unwrap();
        all.sort_unstable();
        all
    };
    let anns = [
        given("ann", None, at(5)),
        given("ann", Some("phone"), at(2)),
        given("ann", Some("tablet"), at(2)),
    ];
    assert_eq!(of(&["ann", "eve"]).await, anns);
    assert_eq!(of(&["bob"]).await, [given("bob", Some("phone"), at(3))]);
    change(store, &id, "ann", "bob", Change::Kick).await.unwrap();
    assert_eq!(of(&["bob"]).await, [], "who goes takes them along");
    store.room_delete(&id, &user("ann")).await.unwrap().unwrap();
    assert_eq!(of(&["ann"]).await, []);
}
