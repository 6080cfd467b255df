//! Log-ins that come while the account changes: what was checked before the change ends with it.

use std::time::Duration;

use serde_json::json;

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

const ROUNDS: usize = 4;
const AT_ONCE: usize = 12;

/// CONNECTs with the first password, spread over the time that a change takes. Those who are
/// refused are none.
async fn old_passwords(server: &Server, user: &str) -> Vec<Client> {
    let log_in = async |n: usize| {
        let mut client = Open::new(server).open().await;
        tokio::time::sleep(Duration::from_millis(8 * n as u64)).await;
        let connect = frame("CONNECT").header("accept-version", "1.2");
        client.send(connect.header("login", user).header("passcode", PASSWORD)).await;
        let answer = client.next_frame().await;
        (answer.command == "CONNECTED").then_some(client)
    };
    let all = futures_util::future::join_all((0..AT_ONCE).map(log_in)).await;
    all.into_iter().flatten().collect()
}

/// Runs a blocking request beside it.
async fn beside<T>(ask: Ask, other: impl Future<Output = T>) -> (Answer, T) {
    let ask = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(20));
        ask.answer()
    });
    let other = other.await;
    (ask.await.unwrap(), other)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_outlives_the_password_that_it_was_let_in_by() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_ACCOUNTS__TRIES", "100000")]);
    for _ in 0..ROUNDS {
        let ann = Person::new(&server, "ann");
        let asked = json!({ "currentPassword": PASSWORD, "newPassword": "another horse" });
        let change = server.ask("PUT /api/v1/me/password").token(&ann.access).json(&asked);
        let (changed, sessions) = beside(change, old_passwords(&server, &ann.user)).await;
        let now = Person::of(&changed.ok(200));
        for mut session in sessions {
            session.expect_close(4001).await;
        }
        now.me(&server).expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_outlives_the_account_that_it_was_let_in_by() {
    let server = Server::with(&[MANY_TRIES, ("MOIM_ACCOUNTS__TRIES", "100000")]);
    for _ in 0..ROUNDS {
        let ann = Person::new(&server, "ann");
        let asked = json!({ "password": PASSWORD });
        let delete = server.ask("DELETE /api/v1/me").token(&ann.access).json(&asked);
        let (deleted, sessions) = beside(delete, old_passwords(&server, &ann.user)).await;
        deleted.ok(204);
        for mut session in sessions {
            session.expect_close(4001).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refresh_outlives_the_password_of_its_log_in() {
    for _ in 0..ROUNDS {
        let ann = Person::new(&SERVER, "ann");
        let phone = ann.again(&SERVER);
        let asked = json!({ "currentPassword": PASSWORD, "newPassword": "another horse" });
        let change = SERVER.ask("PUT /api/v1/me/password").token(&ann.access).json(&asked);
        let renewing = async {
            let ask = move || {
                let mut given = vec![phone];
                // Until the change ends it.
                while let answer = given[given.len() - 1].refresh(&SERVER).answer()
                    && answer.status == 200
                {
                    given.push(Person::of(&answer.ok(200)));
                }
                given
            };
            tokio::task::spawn_blocking(ask).await.unwrap()
        };
        let (changed, given) = beside(change, renewing).await;
        changed.ok(200);
        for old in given {
            old.is_out(&SERVER);
        }
    }
}
