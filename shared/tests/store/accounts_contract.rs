//! The contract of `Accounts`.

use moim_shared::membership::{Change, Member, Role};
use moim_shared::store::Access;
use moim_shared::store::accounts::{
    Account, Login, NewRefresh, Revocation, Rotation, Subject, TokenHash,
};
use moim_shared::store::rooms::{Made, NewRoom, Visibility};

use crate::make::{Database, at, room, user};

const GRACE: u64 = 60;
const LATER: u64 = 100_000_000;

fn account(id: &str) -> Account {
    Account {
        user: user(id),
        name: Some("미나".into()),
        password_hash: "$argon2id$1".into(),
        created_at: 7,
    }
}

fn hash(n: u32) -> TokenHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    hash
}

fn refresh(n: u32) -> NewRefresh {
    NewRefresh { hash: hash(n), expires_at: LATER + u64::from(n) }
}

fn login(id: &str, login: &str) -> Login {
    Login { user: user(id), id: login.into() }
}

async fn begin(store: &dyn Database, id: &str, n: u32) -> Login {
    let login = login("mina", id);
    let begun = store.login_begin(&login, "$argon2id$1", &refresh(n), 5, LATER).await.unwrap();
    assert_eq!(begun, Some(Vec::new()));
    login
}

fn of_mina() -> Revocation {
    Revocation { subject: Subject::User(user("mina")), before: 8, until: LATER }
}

async fn rotate(store: &dyn Database, old: u32, new: u32, now: u64) -> Rotation {
    store.login_rotate(&hash(old), &refresh(new), now, GRACE, LATER).await.unwrap()
}

pub async fn a_name_is_given_out_once_for_ever(store: &dyn Database) {
    assert_eq!(store.account_create(&account("mina")).await.unwrap(), Made::New(()));
    let other = Account { password_hash: "other".into(), ..account("mina") };
    assert_eq!(store.account_create(&other).await.unwrap(), Made::Taken);
    assert_eq!(store.account_get(&user("mina")).await.unwrap(), Some(account("mina")));
    assert!(store.account_delete(&user("mina"), &of_mina()).await.unwrap());
    assert_eq!(store.account_create(&other).await.unwrap(), Made::Taken);
    assert_eq!(store.account_get(&user("mina")).await.unwrap(), None);
    assert_eq!(store.account_create(&account("Mina")).await.unwrap(), Made::New(()));
}

pub async fn an_account_is_read_back_and_renamed_until_it_is_deleted(store: &dyn Database) {
    let mina = user("mina");
    assert_eq!(store.account_get(&mina).await.unwrap(), None);
    assert!(!store.account_rename(&mina, Some("M")).await.unwrap());
    store.account_create(&account("mina")).await.unwrap();
    for name in [Some("M"), None] {
        assert!(store.account_rename(&mina, name).await.unwrap());
        let known = store.account_get(&mina).await.unwrap().unwrap();
        assert_eq!(known, Account { name: name.map(str::to_owned), ..account("mina") });
    }
    assert!(store.account_delete(&mina, &of_mina()).await.unwrap());
    assert!(!store.account_delete(&mina, &of_mina()).await.unwrap());
    assert!(!store.account_rename(&mina, Some("M")).await.unwrap());
    assert!(!store.account_set_password(&mina, "$argon2id$1", "new", &of_mina()).await.unwrap());
}

pub async fn a_name_is_somebodys_who_came_and_nobodys_whom_others_put_in(store: &dyn Database) {
    let somebody = async |id| store.is_somebody(&user(id)).await.unwrap();
    assert!(!somebody("mina").await);
    store.account_create(&account("mina")).await.unwrap();
    assert!(somebody("mina").await);
    store.account_delete(&user("mina"), &of_mina()).await.unwrap();
    assert!(somebody("mina").await, "for ever");

    let founder = Member::new(user("ann"), None, 1);
    let new = NewRoom { id: room("r"), name: None, visibility: Visibility::Public };
    store.room_create(&new, &founder).await.unwrap();
    let put = Change::Put { role: Some(Role::Member), muted_until: None, banned: None };
    for id in ["joins", "comes", "reads", "never"] {
        store
            .member_change(&room("r"), &user("ann"), &user(id), put.clone())
            .await
            .unwrap()
            .unwrap();
        assert!(!somebody(id).await, "{id}");
    }
    let joins = user("joins");
    let join = Change::Join { name: None };
    store.member_change(&room("r"), &joins, &joins, join).await.unwrap().unwrap();
    store.admit(&room("r"), &user("comes"), None).await.unwrap();
    store.cursor_move(&room("r"), &user("reads"), at(1)).await.unwrap();
    let two = [Member::new(user("asks"), None, 1), Member::new(user("asked"), None, 1)];
    store.room_direct(&room("dm~1"), &two).await.unwrap();
    let comes_later = store.admit(&room("dm~1"), &user("asked"), None).await.unwrap();
    assert_eq!(comes_later, Access::Member);
    let others = [Member::new(user("asks"), None, 1), Member::new(user("never"), None, 1)];
    store.room_direct(&room("dm~2"), &others).await.unwrap();
    for (id, came) in [
        ("ann", true),
        ("joins", true),
        ("comes", true),
        ("reads", true),
        ("never", false),
        ("asks", true),
        ("asked", true),
    ] {
        assert_eq!(somebody(id).await, came, "{id}");
    }
}

pub async fn a_password_is_changed_by_who_knows_it_and_ends_all_log_ins(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    begin(store, "one", 1).await;
    begin(store, "two", 2).await;
    let mina = user("mina");
    let change =
        async |old| store.account_set_password(&mina, old, "new", &of_mina()).await.unwrap();
    assert!(!change("wrong").await);
    assert_eq!(store.revocations(0).await.unwrap(), []);
    assert!(matches!(rotate(store, 1, 3, 1).await, Rotation::Rotated(_)));
    assert!(change("$argon2id$1").await);
    assert!(!change("$argon2id$1").await, "it is another one by now");
    assert_eq!(store.revocations(0).await.unwrap(), [of_mina()]);
    for token in [1, 2, 3] {
        assert_eq!(rotate(store, token, 9, 1).await, Rotation::Refused);
    }
}

pub async fn a_log_in_begins_only_under_the_password_that_stands(store: &dyn Database) {
    let one = login("mina", "one");
    let begin = async |checked, n| {
        store.login_begin(&one, checked, &refresh(n), 5, LATER).await.unwrap().is_some()
    };
    assert!(!begin("$argon2id$1", 1).await, "no account");
    store.account_create(&account("mina")).await.unwrap();
    store.account_set_password(&user("mina"), "$argon2id$1", "new", &of_mina()).await.unwrap();
    assert!(!begin("$argon2id$1", 2).await);
    assert_eq!(rotate(store, 2, 9, 1).await, Rotation::Refused);
    assert!(begin("new", 3).await);
    assert_eq!(rotate(store, 3, 9, 1).await, Rotation::Rotated(one.clone()));
    assert!(store.account_delete(&user("mina"), &of_mina()).await.unwrap());
    assert_eq!(rotate(store, 9, 10, 1).await, Rotation::Refused);
    assert!(!begin("new", 4).await);
}

pub async fn log_ins_that_end_first_give_way(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    store.account_create(&account("juno")).await.unwrap();
    for (id, n) in [("a", 10), ("b", 30), ("c", 20)] {
        begin(store, id, n).await;
    }
    rotate(store, 10, 40, 1).await; // `a` ends last now
    let juno = login("juno", "a");
    store.login_begin(&juno, "$argon2id$1", &refresh(5), 5, LATER).await.unwrap();
    let late = login("mina", "d");
    let begun = store.login_begin(&late, "$argon2id$1", &refresh(15), 2, LATER).await.unwrap();
    assert_eq!(begun, Some(vec![login("mina", "c")]));
    assert_eq!(store.revocations(0).await.unwrap(), [Revocation::of_login("c", LATER)]);
    for (token, known) in [(20, false), (40, true), (30, true), (15, true), (5, true)] {
        let rotated = rotate(store, token, token + 100, 2).await;
        assert_eq!(matches!(rotated, Rotation::Rotated(_)), known, "{token}: {rotated:?}");
    }
}

pub async fn a_rotated_token_works_for_the_grace_and_then_ends_the_log_in(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    let one = begin(store, "one", 1).await;
    let two = begin(store, "two", 2).await;
    assert_eq!(rotate(store, 1, 11, 100).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 1, 12, 130).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 1, 13, 160).await, Rotation::Rotated(one.clone()), "since the first");
    assert_eq!(rotate(store, 13, 14, 161).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 1, 15, 161).await, Rotation::Reused(one));
    assert_eq!(store.revocations(0).await.unwrap(), [Revocation::of_login("one", LATER)]);
    for token in [1, 11, 12, 13, 14, 15] {
        assert_eq!(rotate(store, token, 99, 162).await, Rotation::Refused, "{token}");
    }
    assert_eq!(rotate(store, 2, 22, 162).await, Rotation::Rotated(two), "another one goes on");
}

pub async fn a_token_past_its_time_or_unknown_is_refused(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    begin(store, "one", 1).await;
    assert_eq!(rotate(store, 7, 8, 1).await, Rotation::Refused);
    assert_eq!(rotate(store, 1, 8, LATER + 1).await, Rotation::Refused);
    assert_eq!(rotate(store, 8, 9, 1).await, Rotation::Refused, "nothing was given out");
    assert!(matches!(rotate(store, 1, 2, LATER).await, Rotation::Rotated(_)));
}

pub async fn of_one_log_in_the_last_few_tokens_are_known(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    begin(store, "one", 1).await;
    let other = begin(store, "other", 0).await;
    let end = change_often(store, 1, 200, 100_000).await + GRACE + 1;
    assert_eq!(rotate(store, 1, 900, end).await, Rotation::Refused, "long forgotten");
    assert!(matches!(rotate(store, 200, 201, end).await, Rotation::Rotated(_)));
    assert!(matches!(rotate(store, 199, 901, end).await, Rotation::Reused(_)));
    assert_eq!(rotate(store, 0, 902, end).await, Rotation::Rotated(other));
}

/// Changes one token after another, that many ms apart; the time when that is done.
async fn change_often(store: &dyn Database, first: u32, last: u32, each: u64) -> u64 {
    let mut now = 0;
    for n in first..last {
        now += each;
        let rotated = rotate(store, n, n + 1, now).await;
        assert!(matches!(rotated, Rotation::Rotated(_)), "{n}: {rotated:?}");
    }
    now
}

pub async fn however_often_a_thief_changes_it_a_token_is_known_for_an_hour(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    let one = begin(store, "one", 1).await;
    let end = change_often(store, 1, 100, 1_000).await;
    assert_eq!(rotate(store, 1, 900, end).await, Rotation::Reused(one));
    assert_eq!(rotate(store, 100, 901, end).await, Rotation::Refused);
}

pub async fn a_log_in_is_not_renewed_without_end_within_an_hour(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    let one = begin(store, "one", 1).await;
    let end = change_often(store, 1, 129, 1_000).await;
    let again = 1_000 + 3_600_000;
    assert_eq!(rotate(store, 129, 900, end).await, Rotation::TooMany { until: again });
    assert!(matches!(rotate(store, 129, 900, again - 1).await, Rotation::TooMany { .. }));
    assert_eq!(rotate(store, 129, 900, again).await, Rotation::Rotated(one));
}

pub async fn of_two_that_came_of_one_token_only_one_lives_on(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    let one = begin(store, "one", 1).await;
    assert_eq!(rotate(store, 1, 11, 100).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 1, 12, 110).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 12, 13, 1_000).await, Rotation::Rotated(one.clone()));
    assert_eq!(rotate(store, 11, 14, 1_001).await, Rotation::Reused(one));
    assert_eq!(rotate(store, 13, 15, 1_002).await, Rotation::Refused);
}

pub async fn a_log_in_ends_with_any_of_its_tokens(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    let one = begin(store, "one", 1).await;
    let two = begin(store, "two", 2).await;
    rotate(store, 1, 11, 1).await;
    assert_eq!(store.login_end(&hash(9), LATER).await.unwrap(), None);
    assert_eq!(store.login_of(&hash(9)).await.unwrap(), None);
    assert_eq!(store.login_of(&hash(1)).await.unwrap(), Some(one.clone()));
    assert_eq!(store.login_end(&hash(1), LATER).await.unwrap(), Some(one));
    assert_eq!(store.login_end(&hash(1), LATER).await.unwrap(), None);
    assert_eq!(store.login_of(&hash(11)).await.unwrap(), None);
    assert_eq!(store.revocations(0).await.unwrap(), [Revocation::of_login("one", LATER)]);
    assert_eq!(rotate(store, 11, 12, 2).await, Rotation::Refused);
    assert_eq!(rotate(store, 2, 22, 2).await, Rotation::Rotated(two));
}

pub async fn all_log_ins_of_a_user_end_with_its_tokens(store: &dyn Database) {
    store.account_create(&account("mina")).await.unwrap();
    store.account_create(&account("juno")).await.unwrap();
    begin(store, "one", 1).await;
    begin(store, "two", 2).await;
    let juno = login("juno", "three");
    store.login_begin(&juno, "$argon2id$1", &refresh(3), 5, LATER).await.unwrap();
    store.logins_end(&user("mina"), &of_mina()).await.unwrap();
    assert_eq!(store.revocations(0).await.unwrap(), [of_mina()]);
    for (token, of) in [(1, None), (2, None), (3, Some(juno))] {
        assert_eq!(store.login_of(&hash(token)).await.unwrap(), of);
    }
}

pub async fn revocations_grow_and_are_forgotten_after_their_time(store: &dyn Database) {
    let of =
        |subject: &Subject, before, until| Revocation { subject: subject.clone(), before, until };
    let subjects =
        [Subject::User(user("a")), Subject::Login("a".into()), Subject::Token("a:b".into())];
    for (subject, until) in subjects.iter().zip([50, 60, 70]) {
        store.revocation_put(&of(subject, 10, until)).await.unwrap();
        store.revocation_put(&of(subject, 20, until - 5)).await.unwrap();
        store.revocation_put(&of(subject, 5, until - 9)).await.unwrap();
    }
    let at = async |now| {
        store.forget_expired(now).await.unwrap();
        let mut known = store.revocations(now).await.unwrap();
        known.sort_by_key(|known| known.until);
        known
    };
    let expected: Vec<_> =
        subjects.iter().zip([50, 60, 70]).map(|(subject, until)| of(subject, 20, until)).collect();
    assert_eq!(at(49).await, expected);
    assert_eq!(at(60).await, expected[2..]);
    assert_eq!(at(0).await, expected[2..], "the others are gone");
    store.account_create(&account("mina")).await.unwrap();
    begin(store, "one", 1).await;
    at(LATER).await;
    assert!(matches!(rotate(store, 1, 2, 1).await, Rotation::Rotated(_)));
    at(LATER + 1).await;
    assert_eq!(rotate(store, 1, 3, 1).await, Rotation::Refused, "past its time, and forgotten");
}
