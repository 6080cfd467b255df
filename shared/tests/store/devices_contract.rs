//! The contract of `Devices`.

use futures_util::future::join_all;
use moim_shared::ids::{InstallationId, UserId};
use moim_shared::push_token::PushToken;
use moim_shared::quiet::{QuietHours, Zone};
use moim_shared::store::accounts::{Account, Revocation, Subject};
use moim_shared::store::devices::{DEVICES_MOST, Device, Platform, SEEN_EVERY};

use crate::make::{Database, room, user};

/// A time with days before it.
const NOW: u64 = 1_767_225_600_000;

fn app(id: &str) -> InstallationId {
    InstallationId::parse(id).unwrap()
}

fn token(text: &str) -> PushToken {
    PushToken::parse(text).unwrap()
}

/// A device about which nothing more was said, with a token.
fn device(id: &str, its: &str) -> Device {
    Device {
        installation: app(id),
        token: Some(token(its)),
        platform: Platform::Android,
        locale: None,
        time_zone: None,
        muted: false,
        preview: true,
        quiet_hours: None,
        muted_rooms: Vec::new(),
        seen_at: NOW,
    }
}

async fn put(store: &dyn Database, id: &str, device: &Device) {
    store.device_put(&user(id), device).await.unwrap();
}

async fn of(store: &dyn Database, id: &str) -> Vec<Device> {
    store.devices_of(&user(id)).await.unwrap()
}

/// The user's installations, with their tokens.
async fn tokens(store: &dyn Database, id: &str) -> Vec<(String, Option<PushToken>)> {
    let devices = of(store, id).await.into_iter();
    devices.map(|device| (device.installation.to_string(), device.token)).collect()
}

pub async fn a_device_is_read_back_as_it_was_put_last(store: &dyn Database) {
    assert_eq!(of(store, "mina").await, []);
    let full = Device {
        installation: app("fid:a=1\\"),
        token: Some(token(&"x".repeat(PushToken::MAX))),
        platform: Platform::Ios,
        locale: Some("ko-KR".into()),
        time_zone: Some(Zone::parse("Asia/Seoul").unwrap()),
        muted: true,
        preview: false,
        quiet_hours: Some(QuietHours::parse("22:00-07:00").unwrap()),
        muted_rooms: (0..1_000).map(|n| room(&format!("{n:064}"))).collect(),
        seen_at: NOW,
    };
    put(store, "mina", &full).await;
    assert_eq!(of(store, "mina").await, std::slice::from_ref(&full));
    let bare = Device { token: None, seen_at: NOW + 1, ..device("fid:a=1\\", "t") };
    put(store, "mina", &bare).await;
    put(store, "mina", &device("Another", "t")).await;
    assert_eq!(of(store, "mina").await, [device("Another", "t"), bare], "by installation");
    assert_eq!(of(store, "Mina").await, []);
}

pub async fn a_device_that_is_deleted_is_gone_and_no_other(store: &dyn Database) {
    for (id, its) in [("a", "1"), ("b", "2"), ("c", "3")] {
        put(store, "mina", &device(id, its)).await;
    }
    put(store, "bob", &device("a", "4")).await;
    for _ in 0..2 {
        store.device_delete(&user("mina"), &app("a")).await.unwrap();
        assert_eq!(of(store, "mina").await, [device("b", "2"), device("c", "3")]);
    }
    for _ in 0..2 {
        store.devices_delete(&user("mina")).await.unwrap();
        assert_eq!(of(store, "mina").await, []);
    }
    assert_eq!(of(store, "bob").await, [device("a", "4")]);
}

pub async fn a_token_belongs_to_who_put_it_last(store: &dyn Database) {
    put(store, "mina", &device("phone", "t")).await;
    put(store, "mina", &device("phone", "t")).await;
    put(store, "mina", &device("tablet", "other")).await;
    put(store, "mina", &device("new", "t")).await;
    let none = |id: &str| (id.to_owned(), None);
    let some = |id: &str, its| (id.to_owned(), Some(token(its)));
    let expected = [some("new", "t"), none("phone"), some("tablet", "other")];
    assert_eq!(tokens(store, "mina").await, expected);
    // The same app on the same phone, under another user.
    put(store, "bob", &device("new", "t")).await;
    let expected = [none("new"), none("phone"), some("tablet", "other")];
    assert_eq!(tokens(store, "mina").await, expected);
    assert_eq!(tokens(store, "bob").await, [some("new", "t")]);
}

pub async fn of_many_who_put_one_token_at_once_one_has_it(store: &dyn Database) {
    let users: Vec<UserId> = (0..12).map(|n| user(&format!("u{n}"))).collect();
    let phone = device("phone", "t");
    for put in join_all(users.iter().map(|user| store.device_put(user, &phone))).await {
        put.unwrap();
    }
    assert_eq!(store.devices_of_users(&users).await.unwrap().len(), 1);
    for one in &users {
        assert_eq!(store.devices_of(one).await.unwrap().len(), 1, "without a token it is there");
    }
}

pub async fn the_device_not_seen_for_longest_gives_way(store: &dyn Database) {
    let nth = |n: usize| Device {
        seen_at: NOW - n as u64,
        ..device(&format!("d{n:02}"), &format!("t{n}"))
    };
    for n in 0..DEVICES_MOST {
        put(store, "mina", &nth(n)).await;
    }
    put(store, "bob", &Device { seen_at: 1, ..device("d", "t") }).await;
    // Again is no more.
    put(store, "mina", &nth(DEVICES_MOST - 1)).await;
    assert_eq!(of(store, "mina").await.len(), DEVICES_MOST);
    // Also where a clock goes behind, it is not the new one that goes.
    put(store, "mina", &Device { seen_at: 1, ..device("new", "new") }).await;
    let left: Vec<String> =
        of(store, "mina").await.iter().map(|it| it.installation.to_string()).collect();
    let mut expected: Vec<String> =
        (0..DEVICES_MOST - 1).map(|n| nth(n).installation.to_string()).collect();
    expected.push("new".into());
    assert_eq!(left, expected);
    assert_eq!(of(store, "bob").await.len(), 1);
}

pub async fn devices_of_many_users_are_those_with_a_token(store: &dyn Database) {
    put(store, "mina", &device("a", "1")).await;
    put(store, "mina", &device("b", "2")).await;
    put(store, "mina", &Device { token: None, ..device("c", "x") }).await;
    put(store, "bob", &device("a", "3")).await;
    put(store, "eve", &device("a", "4")).await;
    let others = (0..500).map(|n| user(&format!("u{n}")));
    let asked: Vec<UserId> = others.chain([user("mina"), user("bob")]).collect();
    let mut found = store.devices_of_users(&asked).await.unwrap();
    found.sort_by_key(|(user, device)| (user.clone(), device.installation.clone()));
    let expected = [
        (user("bob"), device("a", "3")),
        (user("mina"), device("a", "1")),
        (user("mina"), device("b", "2")),
    ];
    assert_eq!(found, expected);
    assert_eq!(store.devices_of_users(&[]).await.unwrap(), []);
}

pub async fn a_token_that_is_gone_takes_no_newer_one_with_it(store: &dyn Database) {
    let (mina, phone) = (user("mina"), app("phone"));
    let gone = async |its| store.device_token_gone(&mina, &phone, &token(its)).await.unwrap();
    assert!(!gone("old").await, "there is no such device");
    put(store, "mina", &device("phone", "old")).await;
    put(store, "mina", &device("phone", "new")).await;
    assert!(!gone("old").await);
    assert_eq!(of(store, "mina").await, [device("phone", "new")]);
    assert!(gone("new").await);
    assert!(!gone("new").await);
    assert_eq!(of(store, "mina").await, [Device { token: None, ..device("phone", "x") }]);
    // And it is nobody's: whoever puts it has it.
    put(store, "bob", &device("phone", "new")).await;
    assert_eq!(of(store, "bob").await, [device("phone", "new")]);
}

pub async fn that_a_device_was_seen_is_noted_once_a_day(store: &dyn Database) {
    let (mina, phone) = (user("mina"), app("phone"));
    let seen = async |at| store.device_seen(&mina, &phone, at).await.unwrap();
    seen(NOW).await;
    assert_eq!(of(store, "mina").await, [], "it makes none");
    put(store, "mina", &device("phone", "t")).await;
    for (at, noted) in [
        (NOW - 5, NOW),
        (NOW + SEEN_EVERY, NOW),
        (NOW + SEEN_EVERY + 1, NOW + SEEN_EVERY + 1),
        (NOW + SEEN_EVERY + 2, NOW + SEEN_EVERY + 1),
        (0, NOW + SEEN_EVERY + 1),
    ] {
        seen(at).await;
        let expected = Device { seen_at: noted, ..device("phone", "t") };
        assert_eq!(of(store, "mina").await, [expected], "{at}");
    }
}

pub async fn tokens_of_devices_not_seen_for_long_are_forgotten_in_parts(store: &dyn Database) {
    for n in 0..5 {
        let old = Device { seen_at: NOW - 1 - n, ..device("old", &format!("t{n}")) };
        put(store, &format!("u{n}"), &old).await;
    }
    put(store, "mina", &device("phone", "t")).await;
    let forget = async |most| store.device_tokens_forget(NOW, most).await.unwrap();
    assert_eq!((forget(3).await, forget(3).await, forget(3).await), (3, 2, 0));
    for n in 0..5 {
        let expected = Device { token: None, seen_at: NOW - 1 - n, ..device("old", "x") };
        assert_eq!(of(store, &format!("u{n}")).await, [expected]);
    }
    assert_eq!(of(store, "mina").await, [device("phone", "t")]);
}

pub async fn what_ends_all_log_ins_of_a_user_ends_its_devices(store: &dyn Database) {
    let mina = user("mina");
    let ended = Revocation { subject: Subject::User(mina.clone()), before: 8, until: NOW };
    let account =
        Account { user: mina.clone(), name: None, password_hash: "old".into(), created_at: 7 };
    store.account_create(&account).await.unwrap();
    put(store, "bob", &device("phone", "b")).await;

    let phone = device("phone", "t");
    put(store, "mina", &phone).await;
    assert!(!store.account_set_password(&mina, "wrong", "new", &ended).await.unwrap());
    assert_eq!(of(store, "mina").await, std::slice::from_ref(&phone));
    assert!(store.account_set_password(&mina, "old", "new", &ended).await.unwrap());
    assert_eq!(of(store, "mina").await, []);

    put(store, "mina", &phone).await;
    store.logins_end(&mina, &ended).await.unwrap();
    assert_eq!(of(store, "mina").await, []);

    put(store, "mina", &phone).await;
    assert!(store.account_delete(&mina, &ended).await.unwrap());
    assert_eq!(of(store, "mina").await, []);
    assert_eq!(of(store, "bob").await, [device("phone", "b")]);
}
