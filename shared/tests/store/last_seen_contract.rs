//! The contract of `LastSeen`.

use futures_util::future::join_all;
use moim_shared::ids::UserId;
use moim_shared::store::accounts::{Account, Revocation, Subject};
use moim_shared::store::last_seen::Seen;

use crate::make::{Database, user};

fn seen(id: &str, at: u64) -> Seen {
    Seen { user: user(id), at }
}

async fn of(store: &dyn Database, ids: &[&str]) -> Vec<Seen> {
    let users: Vec<UserId> = ids.iter().map(|id| user(id)).collect();
    let mut found = store.last_seen_of(&users).await.unwrap();
    found.sort();
    found
}

async fn keep(store: &dyn Database, seen: Vec<Seen>) {
    store.last_seen_move(seen).await.unwrap();
}

pub async fn a_time_is_kept_and_moves_forward_only(store: &dyn Database) {
    assert_eq!(of(store, &["mina", "jun"]).await, []);
    keep(store, vec![seen("mina", 7), seen("jun", 8)]).await;
    keep(store, vec![seen("sora", 9), seen("mina", 6)]).await;
    assert_eq!(of(store, &["mina", "nobody", "jun"]).await, [seen("jun", 8), seen("mina", 7)]);
    keep(store, vec![seen("jun", 9), seen("mina", 10)]).await;
    assert_eq!(of(store, &["mina", "jun"]).await, [seen("jun", 9), seen("mina", 10)]);
    keep(store, Vec::new()).await;
    assert_eq!(of(store, &[]).await, []);
}

pub async fn of_many_who_keep_the_same_the_newest_stands(store: &dyn Database) {
    let names: Vec<String> = (0..200).map(|n| format!("u{n}")).collect();
    let all = |at: u64| -> Vec<Seen> {
        let mut all: Vec<Seen> = names.iter().map(|name| seen(name, at)).collect();
        // In another order each time.
        let middle = (at as usize * 37) % all.len();
        all.rotate_left(middle);
        all
    };
    join_all((1..=10).map(|at| keep(store, all(at)))).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(of(store, &names).await.iter().all(|one| one.at == 10));
}

pub async fn who_ends_its_account_was_never_seen(store: &dyn Database) {
    let mina = user("mina");
    let account =
        Account { user: mina.clone(), name: None, password_hash: "hash".into(), created_at: 1 };
    store.account_create(&account).await.unwrap();
    keep(store, vec![seen("mina", 7), seen("jun", 7)]).await;
    assert_eq!(of(store, &["mina"]).await, [seen("mina", 7)]);
    let ended = Revocation { subject: Subject::User(mina.clone()), before: 1, until: 2 };
    assert!(store.account_delete(&mina, &ended).await.unwrap());
    assert_eq!(of(store, &["mina", "jun"]).await, [seen("jun", 7)]);
    // Its sessions end a moment later.
    keep(store, vec![seen("mina", 8), seen("jun", 8)]).await;
    assert_eq!(of(store, &["mina", "jun"]).await, [seen("jun", 8)]);
}
