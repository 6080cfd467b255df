//! Refresh tokens: for one use, and a copy of one is found out.

use std::time::Duration;

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

#[tokio::test]
async fn a_refresh_brings_new_tokens_of_the_same_log_in() {
    let ann = Person::new(&SERVER, "ann");
    let next = Person::of(&ann.refresh(&SERVER).expect(200));
    assert_ne!(next.refresh, ann.refresh);
    next.me(&SERVER).expect(200);
    ann.me(&SERVER).expect(200);
    let last = Person::of(&next.refresh(&SERVER).expect(200));
    // One log-in: its end is the end of all of them.
    log_out(&SERVER, &last.refresh).expect(204);
    for old in [&ann, &next, &last] {
        old.is_out(&SERVER);
    }
}

#[tokio::test]
async fn the_old_token_works_again_while_its_answer_may_have_been_lost() {
    let ann = Person::new(&SERVER, "ann");
    for _ in 0..3 {
        let next = Person::of(&ann.refresh(&SERVER).expect(200));
        next.me(&SERVER).expect(200);
        next.refresh(&SERVER).expect(200);
    }
}

#[tokio::test]
async fn a_token_that_comes_back_later_ends_the_log_in() {
    let server = Server::with(&[MANY_TRIES]);
    let ann = Person::new(&server, "ann");
    let elsewhere = ann.again(&server);
    let next = Person::of(&ann.refresh(&server).expect(200));
    let mut session = next.session(&server).await;
    let mut other = elsewhere.session(&server).await;
    passes(&server, Duration::from_secs(61));
    ann.refresh(&server).refused(401, "bad_request");
    session.expect_close(4001).await;
    next.is_out(&server);
    next.refresh(&server).refused(401, "bad_request");
    // Others of the same user are not concerned.
    elsewhere.me(&server).expect(200);
    other.sync().await;
}

/// As if the tokens had been changed that much earlier.
fn passes(server: &Server, time: Duration) {
    use diesel::prelude::*;

    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    diesel::sql_query("UPDATE refresh_tokens SET rotated_at = rotated_at - ?")
        .bind::<diesel::sql_types::BigInt, _>(i64::try_from(time.as_millis()).unwrap())
        .execute(&mut conn)
        .unwrap();
}

#[tokio::test]
async fn it_ends_by_itself() {
    let server = Server::with(&[
        MANY_TRIES,
        ("MOIM_ACCOUNTS__REFRESH_TTL", "1s"),
        ("MOIM_ACCOUNTS__ACCESS_TTL", "1s"),
        ("MOIM_AUTH__SKEW", "0s"),
    ]);
    let ann = Person::new(&server, "ann");
    let end = std::time::Instant::now() + DEADLINE;
    while ann.me(&server).answer().status == 200 {
        assert!(std::time::Instant::now() < end, "the token never expires");
    }
    ann.me(&server).refused(401, "expired");
    ann.refresh(&server).refused(401, "bad_request");
}

#[tokio::test]
async fn what_is_none_is_told_and_changes_nothing() {
    let ann = Person::new(&SERVER, "ann");
    let stranger = "A".repeat(43);
    refresh(&SERVER, &stranger).refused(401, "bad_request");
    for malformed in ["", "x", &ann.access, &format!("{}=", &ann.refresh[1..])] {
        refresh(&SERVER, malformed).refused(400, "bad_request");
        log_out(&SERVER, malformed).refused(400, "bad_request");
    }
    log_out(&SERVER, &stranger).expect(204);
    ann.me(&SERVER).expect(200);
}

#[tokio::test]
async fn a_user_has_at_most_fifty_log_ins() {
    let first = Person::new(&SERVER, "ann");
    let others: Vec<_> = (0..50).map(|_| first.again(&SERVER)).collect();
    first.refresh(&SERVER).refused(401, "bad_request");
    first.is_out(&SERVER);
    others.first().unwrap().refresh(&SERVER).expect(200);
    others.last().unwrap().refresh(&SERVER).expect(200);
}
