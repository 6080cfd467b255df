//! P7: one push to those who need it, by a real worker and a double of FCM.

use std::collections::HashMap;
use std::time::Duration;

use moim_shared::clock::now_ms;
use moim_shared::position::Position;
use rand::RngExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fcm_double::{Answer, FcmDouble, Taken};
use crate::rig::Cluster;
use crate::seed::{chance, seeds};
use crate::support::*;
use crate::until;

/// A cluster whose workers push to the double.
pub struct Pushing {
    fcm: FcmDouble,
    pub cluster: Cluster,
    _keys: TempDir,
}

impl Pushing {
    async fn start(servers: usize, workers: usize, grace: &str) -> Self {
        Self::with(servers, workers, grace, &[]).await
    }

    pub async fn with(servers: usize, workers: usize, grace: &str, more: &[(&str, &str)]) -> Self {
        let (fcm, keys) = (FcmDouble::start(), tempfile::tempdir().unwrap());
        let file = fcm.put_credentials(keys.path());
        let endpoint = fcm.endpoint();
        let settings = [
            ("MOIM_FCM_CREDENTIALS", file.to_str().unwrap()),
            ("MOIM_FCM_ENDPOINT", &endpoint),
            ("MOIM_PUSH_GRACE", grace),
        ];
        let settings = [&settings, more].concat();
        let cluster = Cluster::with(servers, workers, &settings).await;
        Self { fcm, cluster, _keys: keys }
    }

    /// The user's device gets pushes from now on, by the token `user-device`.
    pub fn register(&self, user: &str, device: &str) {
        let path = format!("PUT /api/v1/me/devices/{device}");
        let put = self.cluster.server(0).ask(&path).token(&Token::of(user).mint());
        let body = json!({ "platform": "android", "token": format!("{user}-{device}") });
        put.json(&body).expect(200);
    }

    /// A room of `ann`, with these members.
    pub fn room(&self, members: &[&str]) -> String {
        let (room, ann) = (room("push"), Token::of("ann").mint());
        let server = self.cluster.server(0);
        server.ask("POST /api/v1/rooms").token(&ann).json(&json!({ "id": room })).expect(201);
        for user in members {
            let path = format!("PUT /api/v1/rooms/{room}/members/{user}");
            server.ask(&path).token(&ann).json(&json!({ "role": "member" })).expect(200);
        }
        room
    }

    /// What was pushed of a kind, by token and position.
    fn pushed(&self, kind: &str) -> Vec<(String, String)> {
        let taken = self.fcm.taken();
        let of_kind = taken.iter().filter(|it| it.data["type"] == kind);
        let mut all: Vec<_> =
            of_kind.map(|it| (it.token.clone(), it.data["position"].clone())).collect();
        all.sort();
        all
    }

    /// Waits until all was stored up to the rooms' positions, and nothing of it is going to be pushed
    /// any more.
    async fn all_is_sent(&self, upto: &[(&str, &str)]) {
        let client = self.cluster.database.client().await;
        until("all is sent", Duration::from_secs(120), async || {
            for (room, position) in upto {
                let at: Position = position.parse().unwrap();
                let stored =
                    "SELECT 1 FROM room_heads WHERE room = $1 AND (epoch, seq) >= ($2, $3)";
                let (epoch, seq) = (at.epoch.cast_signed(), at.seq.cast_signed());
                if client.query_opt(stored, &[room, &epoch, &seq]).await.unwrap().is_none() {
                    return false;
                }
            }
            let left = "SELECT (SELECT count(*) FROM room_heads WHERE due_at IS NOT NULL) \
                 + (SELECT count(*) FROM rounds) \
                 + (SELECT count(*) FROM pushes WHERE next_at IS NOT NULL)";
            client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
    }
}

/// A session of the user on that device.
async fn on_device(server: &Server, user: &str, device: &str) -> Client {
    let mut client = Open::new(server).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("device", device);
    let token = Token::of(user).mint();
    client.send(connect.header("Authorization", format!("Bearer {token}"))).await;
    client.expect("CONNECTED").await;
    client
}

async fn read(client: &mut Client, room: &str, position: &str) {
    let receipt = client.next_receipt();
    let read = frame("SEND")
        .header("destination", format!("/app/rooms/{room}/read"))
        .header("receipt", &receipt)
        .body(json!({ "position": position }).to_string());
    client.send(read).await;
    client.receipt(&receipt).await;
}

#[tokio::test]
async fn each_device_of_who_sleeps_is_pushed_once_and_what_is_read_on_one_goes_on_the_other() {
    let pushing = Pushing::start(2, 1, "3s").await;
    let room = pushing.room(&["bob"]);
    for (user, device) in [("ann", "phone"), ("bob", "phone"), ("bob", "tablet")] {
        pushing.register(user, device);
    }
    let (first, second) = (pushing.cluster.server(0), pushing.cluster.server(1));
    let mut ann = on_device(first, "ann", "laptop").await;
    let asleep = ann.send_room(&room, "good night").await;
    pushing.all_is_sent(&[(&room, &asleep)]).await;
    let of_both = ["bob-phone", "bob-tablet"].map(|token| (token.to_owned(), asleep.clone()));
    assert_eq!(pushing.pushed("message"), of_both, "and not who said it");
    let pushed = pushing.fcm.taken().remove(0).data;
    assert_eq!((&*pushed["text"], &*pushed["unread"]), ("ann: good night", "1"));

    // One of them is awake, on whichever node.
    let mut phone = on_device(first, "bob", "phone").await;
    let mut tablet = on_device(second, "bob", "tablet").await;
    phone.subscribe_room_with(&room, |it| it.header("ack", "client").header("since", "0-0")).await;
    let message = phone.next_message().await;
    read(&mut phone, &room, &asleep).await;
    let sent = |pushing: &Pushing| pushing.pushed("read").len() == 1;
    until("a push that it was read", DEADLINE, async || sent(&pushing)).await;
    assert_eq!(pushing.pushed("read"), [("bob-tablet".to_owned(), asleep.clone())]);

    let awake = ann.send_room(&room, "good morning").await;
    let got = phone.next_message().await;
    assert_ne!(got.at("ack"), message.at("ack"));
    phone.send(frame("ACK").header("id", got.at("ack")).header("receipt", "acked")).await;
    phone.receipt("acked").await;
    pushing.all_is_sent(&[(&room, &awake)]).await;
    assert_eq!(pushing.pushed("message"), of_both, "one of his devices has it");

    // What is read there is not shown anywhere.
    tablet.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    read(&mut tablet, &room, &awake).await;
    pushing.all_is_sent(&[]).await;
    assert_eq!(pushing.pushed("read").len(), 1);
    pushing.cluster.end().await;
}

#[tokio::test]
async fn a_device_that_is_told_by_its_inbox_gets_no_push_and_neither_do_the_others() {
    let pushing = Pushing::start(2, 1, "3s").await;
    let room = pushing.room(&["bob", "cho"]);
    for (user, device) in [("bob", "phone"), ("bob", "tablet"), ("cho", "phone")] {
        pushing.register(user, device);
    }
    let mut phone = on_device(pushing.cluster.server(1), "bob", "phone").await;
    phone.subscribe("in", "/user/queue/inbox").await;
    let mut ann = on_device(pushing.cluster.server(0), "ann", "laptop").await;
    let position = ann.send_room(&room, "hello").await;
    let told = phone.wait_for(|frame| frame.get("room") == Some(&room)).await;
    assert_eq!(told.json()["head"], position);
    phone.sync().await;
    pushing.all_is_sent(&[(&room, &position)]).await;
    assert_eq!(pushing.pushed("message"), [("cho-phone".to_owned(), position)]);
    pushing.cluster.end().await;
}

#[tokio::test]
async fn of_a_burst_a_device_is_told_once_and_a_muted_one_never() {
    let pushing = Pushing::start(1, 2, "1s").await;
    let room = pushing.room(&["bob", "cho"]);
    pushing.register("bob", "phone");
    pushing.register("cho", "phone");
    let path = "PUT /api/v1/me/devices/phone";
    let muted = json!({ "platform": "android", "token": "cho-phone", "mutedRooms": [room] });
    let server = pushing.cluster.server(0);
    server.ask(path).token(&Token::of("cho").mint()).json(&muted).expect(200);
    let mut ann = on_device(server, "ann", "laptop").await;
    let first = ann.send_room(&room, "1").await;
    ann.send_room(&room, "2").await;
    let last = ann.send_room(&room, "3").await;
    pushing.all_is_sent(&[(&room, &last)]).await;
    assert_eq!(pushing.pushed("message"), [("bob-phone".to_owned(), last)]);
    let data = &pushing.fcm.taken()[0].data;
    assert_eq!((&data["firstPosition"], &*data["unread"]), (&first, "3"));
    pushing.cluster.end().await;
}

#[tokio::test]
async fn while_fcm_wants_a_pause_pushes_wait_and_only_a_token_of_no_use_goes() {
    let pushing = Pushing::start(1, 1, "0s").await;
    let room = pushing.room(&["bob", "cho", "dan"]);
    for user in ["bob", "cho", "dan"] {
        pushing.register(user, "phone");
    }
    pushing.fcm.answer_for("cho-phone", Answer::unregistered());
    pushing.fcm.answer_for("dan-phone", Answer::html(503));
    pushing.fcm.answer_next([Answer::quota_of_project().retry_after("2")]);
    let server = pushing.cluster.server(0);
    let mut ann = on_device(server, "ann", "laptop").await;
    let position = ann.send_room(&room, "hello").await;
    pushing.fcm.until("dan was tried", |fcm| tried(fcm, "dan-phone") > 0).await;
    pushing.fcm.answer_for("dan-phone", Answer::Taken);
    pushing.all_is_sent(&[(&room, &position)]).await;
    let both = ["bob-phone", "dan-phone"].map(|token| (token.to_owned(), position.clone()));
    assert_eq!(pushing.pushed("message"), both);
    let tokens = |user: &str| {
        let ask = server.ask("GET /api/v1/me/devices").token(&Token::of(user).mint());
        ask.expect(200)["devices"][0]["hasToken"].clone()
    };
    assert_eq!(["bob", "cho", "dan"].map(tokens), [true, false, true].map(Value::from));
    pushing.cluster.end().await;
}

fn tried(fcm: &FcmDouble, token: &str) -> usize {
    fcm.bodies().iter().filter(|body| body["message"]["token"] == token).count()
}

/// Rooms, and members of each, who all have a phone: so many pushes.
const ROOMS: usize = 10;
const MEMBERS: usize = 1_000;
/// How often a worker is killed.
const KILLS: usize = 4;
/// Calls that a worker has under way at most.
const UNDER_WAY: usize = 100;

#[tokio::test]
async fn kills_of_workers_amid_ten_thousand_pushes_lose_none_and_double_only_what_was_under_way() {
    for seed in seeds() {
        let mut chance = chance(seed);
        let mut pushing = Pushing::start(1, 2, "0s").await;
        let rooms: Vec<String> = (0..ROOMS).map(|_| pushing.room(&[])).collect();
        let client = pushing.cluster.database.client().await;
        let crowd = format!(
            "INSERT INTO members (room, user_id, source, joined_at) \
             SELECT room, 'user-' || n, 'joined', 1 \
             FROM unnest($1::TEXT[]) AS room, generate_series(1, {MEMBERS}) AS n"
        );
        client.execute(&crowd, &[&rooms]).await.unwrap();
        let phones = format!(
            "INSERT INTO devices (user_id, installation, token, token_hash, platform, muted, \
             preview, seen_at, muted_rooms) SELECT 'user-' || n, 'phone', 'token-' || n, n, \
             'android', FALSE, TRUE, {}, '' FROM generate_series(1, {MEMBERS}) AS n",
            now_ms()
        );
        client.execute(&phones, &[]).await.unwrap();

        let mut ann = on_device(pushing.cluster.server(0), "ann", "laptop").await;
        let mut said = Vec::new();
        for room in &rooms {
            let position = ann.send_room(room, "wake up").await;
            said.push((room.as_str(), position));
        }
        for kill in 0..KILLS {
            let part = ROOMS * MEMBERS / KILLS;
            let moment = kill * part + chance.random_range(1..part);
            let so_many = || pushing.fcm.taken().len() >= moment;
            until("amid pushes", Duration::from_secs(60), async || so_many()).await;
            let worker = chance.random_range(0..2);
            pushing.cluster.kill_worker(worker);
            pushing.cluster.start_worker(worker).await;
        }
        let upto: Vec<(&str, &str)> = said.iter().map(|(room, at)| (*room, at.as_str())).collect();
        pushing.all_is_sent(&upto).await;

        let mut counts: HashMap<(String, String), Vec<Taken>> = HashMap::new();
        for taken in pushing.fcm.taken() {
            let key = (taken.data["id"].clone(), taken.token.clone());
            counts.entry(key).or_default().push(taken);
        }
        for (room, position) in &said {
            for user in 1..=MEMBERS {
                let key = (format!("{room}/{position}"), format!("token-{user}"));
                if counts.contains_key(&key) {
                    continue;
                }
                let kept = "SELECT state, reason, attempts FROM pushes \
                     WHERE room = $1 AND user_id = 'user-' || $2::TEXT";
                let kept = client.query_opt(kept, &[room, &user.to_string()]).await.unwrap();
                let kept = kept.map(|row| -> (String, Option<String>, i64) {
                    (row.get(0), row.get(1), row.get(2))
                });
                panic!("{key:?} is missing, of which is kept: {kept:?}");
            }
        }
        assert_eq!(counts.len(), ROOMS * MEMBERS);
        let doubled: Vec<_> = counts.values().filter(|taken| taken.len() > 1).collect();
        println!("{} of {} came twice", doubled.len(), counts.len());
        assert!(doubled.len() <= KILLS * UNDER_WAY, "{}", doubled.len());
        for taken in doubled {
            let shown_by =
                |taken: &Taken| (taken.data["id"].clone(), taken.data["position"].clone());
            assert!(taken.iter().all(|one| shown_by(one) == shown_by(&taken[0])), "{taken:?}");
        }
        pushing.cluster.end().await;
    }
}
