//! What people do with their accounts: another name, another password, the end.

use serde_json::json;

use crate::people::*;
use crate::support::*;
use crate::{MANY_TRIES, SERVER};

fn change_password(server: &Server, who: &Person, current: &str, new: &str) -> Ask {
    let asked = json!({ "currentPassword": current, "newPassword": new });
    server.ask("PUT /api/v1/me/password").token(&who.access).json(&asked)
}

fn delete(server: &Server, who: &Person, password: &str) -> Ask {
    server.ask("DELETE /api/v1/me").token(&who.access).json(&json!({ "password": password }))
}

#[tokio::test]
async fn a_name_can_be_changed_and_taken_away() {
    let ann = Person::new(&SERVER, "ann");
    let rename = |name: serde_json::Value| {
        SERVER.ask("PATCH /api/v1/me").token(&ann.access).json(&json!({ "name": name }))
    };
    assert_eq!(rename(json!("Ann B.")).expect(200)["name"], "Ann B.");
    assert_eq!(ann.me(&SERVER).expect(200)["name"], "Ann B.");
    for none in [json!("  "), json!(null)] {
        assert_eq!(rename(none).expect(200).get("name"), None);
    }
    rename(json!("a\u{7}b")).refused(400, "bad_request");
    rename(json!(7)).refused(400, "bad_request");
    let nothing = SERVER.ask("PATCH /api/v1/me").token(&ann.access).json(&json!({}));
    nothing.refused(400, "bad_request");
}

#[tokio::test]
async fn who_has_no_account_has_nothing_to_change() {
    let guest =
        Person { user: room("guest"), access: token(&room("guest")), refresh: String::new() };
    assert_eq!(guest.me(&SERVER).expect(200).get("createdAt"), None);
    let rename = SERVER.ask("PATCH /api/v1/me").token(&guest.access);
    rename.json(&json!({ "name": "x" })).refused(404, "unknown_destination");
    delete(&SERVER, &guest, PASSWORD).refused(404, "unknown_destination");
    change_password(&SERVER, &guest, PASSWORD, PASSWORD).refused(404, "unknown_destination");
}

#[tokio::test]
async fn another_password_ends_every_log_in_but_the_one_it_gives() {
    let ann = Person::new(&SERVER, "ann");
    let phone = ann.again(&SERVER);
    let mut session = phone.session(&SERVER).await;
    let mut by_password = Open::new(&SERVER).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2");
    by_password.send(connect.header("login", &ann.user).header("passcode", PASSWORD)).await;
    by_password.expect("CONNECTED").await;

    let changed = change_password(&SERVER, &ann, PASSWORD, "another horse").expect(200);
    let new = Person::of(&changed);
    session.expect_close(4001).await;
    by_password.expect_close(4001).await;
    for old in [&ann, &phone] {
        old.is_out(&SERVER);
        old.refresh(&SERVER).refused(401, "bad_request");
    }
    log_in(&SERVER, &ann.user, PASSWORD).refused(401, "bad_request");
    // In the same second.
    new.me(&SERVER).expect(200);
    new.session(&SERVER).await.sync().await;
    let elsewhere = new.with_password(&SERVER, "another horse");
    elsewhere.me(&SERVER).expect(200);
    Person::of(&new.refresh(&SERVER).expect(200)).me(&SERVER).expect(200);
}

#[tokio::test]
async fn many_changes_within_a_second_leave_the_last_one_good() {
    let ann = Person::new(&SERVER, "ann");
    let mut now = ann.again(&SERVER);
    for n in 0..8 {
        let (old, new) = (format!("password {n}"), format!("password {}", n + 1));
        let old = if n == 0 { PASSWORD } else { &old };
        let next = Person::of(&change_password(&SERVER, &now, old, &new).expect(200));
        now.is_out(&SERVER);
        next.me(&SERVER).expect(200);
        now = next;
    }
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_into_a_good_one() {
    let ann = Person::new(&SERVER, "ann");
    change_password(&SERVER, &ann, "wrong horse", "another horse").refused(401, "bad_request");
    change_password(&SERVER, &ann, PASSWORD, "short").refused(400, "bad_request");
    ann.me(&SERVER).expect(200);
    ann.refresh(&SERVER).expect(200);
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_everything_but_its_name() {
    let server = Server::with(&[MANY_TRIES]);
    let ann = Person::new(&server, "ann");
    let phone = ann.again(&server);
    let mut session = phone.session(&server).await;
    // A member by the grant of another token.
    Client::connect(&server, &ann.user).await.send_room("lobby", "hello").await;
    delete(&server, &ann, "wrong horse").refused(401, "bad_request");
    ann.me(&server).expect(200);

    assert_eq!(delete(&server, &ann, PASSWORD).expect(204), serde_json::Value::Null);
    session.expect_close(4001).await;
    for old in [&ann, &phone] {
        old.is_out(&server);
        old.refresh(&server).refused(401, "bad_request");
    }
    log_in(&server, &ann.user, PASSWORD).refused(401, "bad_request");
    let asked = json!({ "user": ann.user, "password": PASSWORD });
    server.ask("POST /api/v1/auth/register").json(&asked).refused(409, "name_reused");
    assert_eq!(memberships(&server, &ann.user), 0);
    let server = server.restart();
    ann.is_out(&server);
    server.ask("POST /api/v1/auth/register").json(&asked).refused(409, "name_reused");
}

fn memberships(server: &Server, user: &str) -> i64 {
    use diesel::prelude::*;
    use diesel::sql_types::{BigInt, Text};

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let mut conn = SqliteConnection::establish(server.database().to_str().unwrap()).unwrap();
    let counted: Count =
        diesel::sql_query("SELECT COUNT(*) AS count FROM members WHERE user_id = ?")
            .bind::<Text, _>(user)
            .get_result(&mut conn)
            .unwrap();
    counted.count
}
