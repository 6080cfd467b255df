//! Wrong passwords by the thousand.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::MANY_TRIES;
use crate::people::*;
use crate::support::*;

#[tokio::test]
async fn a_thousand_wrong_passwords_cost_little_and_shut_out_nobody_who_is_known() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_TRUSTED_PROXIES", "127.0.0.1")]);
    let ann = Person::new(&server, "ann");
    let from = |address: &str, password: &str| {
        log_in(&server, &ann.user, password).header("X-Forwarded-For", address)
    };
    from("192.0.2.1", PASSWORD).expect(200);
    let begun = Instant::now();
    let mut looked_at = 0;
    for n in 0..1_000 {
        let answer = from(&format!("198.51.100.{}", n % 250), "wrong horse").answer();
        match answer.status {
            401 => looked_at += 1,
            429 => assert!(answer.get("retry-after").unwrap().parse::<u64>().unwrap() >= 1),
            other => panic!("{other}"),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(looked_at, 10);
    // From a new address nobody gets in now, from the known one the owner does.
    from("203.0.113.1", PASSWORD).refused(429, "rate_limited");
    from("192.0.2.1", PASSWORD).expect(200);
    // Other accounts are not concerned, and a refresh needs no password.
    Person::new(&server, "bob").again(&server);
    ann.refresh(&server).expect(200);
}

#[tokio::test]
async fn an_address_has_a_number_of_tries_whatever_the_account() {
    let server = Server::with(&[("MOIM_ACCOUNTS__TRIES_ADDRESS", "5")]);
    let tries = (0..20).map(|n| log_in(&server, &format!("user-{n}"), "wrong horse"));
    let statuses: Vec<u16> = tries.map(|asked| asked.answer().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    // Who makes an account, or made it here, has guessed nothing.
    let ann = Person::new(&server, "ann");
    ann.again(&server);
    log_in(&server, "bob", "wrong horse").refused(429, "rate_limited");
}

#[tokio::test]
async fn new_accounts_count_for_their_address() {
    let server = Server::with(&[("MOIM_ACCOUNTS__MADE_ADDRESS", "3")]);
    let register = |n: usize| {
        let asked = json!({ "user": format!("user-{n}"), "password": PASSWORD });
        server.ask("POST /api/v1/auth/register").json(&asked)
    };
    for n in 0..3 {
        register(n).expect(201);
    }
    register(3).refused(429, "rate_limited");
}

#[tokio::test]
async fn the_password_behind_a_token_is_guarded_too() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_ACCOUNTS__TRIES", "3")]);
    let ann = Person::new(&server, "ann");
    let guess = || {
        let asked = json!({ "currentPassword": "wrong horse", "newPassword": "another horse" });
        server.ask("PUT /api/v1/me/password").token(&ann.access).json(&asked)
    };
    for _ in 0..3 {
        guess().refused(401, "bad_request");
    }
    guess().refused(429, "rate_limited");
}
