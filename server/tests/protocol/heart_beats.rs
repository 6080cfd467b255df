//! Heart-beats both ways, and what happens to those who fall silent.

use std::time::{Duration, Instant};

use crate::SERVER;
use crate::support::*;

async fn with_beats(version: &str, asked: &str) -> (Client, String) {
    let mut client = Open::new(&SERVER).open().await;
    let connect = frame("CONNECT")
        .header("accept-version", version)
        .header("passcode", token("ann"))
        .header("heart-beat", asked);
    client.send(connect).await;
    let agreed = client.expect("CONNECTED").await.at("heart-beat").to_owned();
    (client, agreed)
}

#[tokio::test]
async fn a_client_gets_the_beats_that_it_asks_for_but_not_below_100_ms() {
    for (asked, agreed) in [
        ("0,0", "0,0"),
        ("10000,20000", "20000,10000"),
        ("0,5000", "5000,0"),
        ("5000,0", "0,5000"),
        ("1,1", "100,100"),
        ("99,100", "100,100"),
        ("10000, 10000", "10000,10000"),
    ] {
        assert_eq!(with_beats("1.2", asked).await.1, agreed, "{asked}");
    }
}

#[tokio::test]
async fn a_malformed_heart_beat_is_an_error() {
    for bad in ["", "1000", "a,b", "-1,0", "1,2,3", "1.5,0"] {
        let mut client = Open::new(&SERVER).open().await;
        let connect =
            frame("CONNECT").header("accept-version", "1.2").header("passcode", token("ann"));
        client.send(connect.header("heart-beat", bad)).await;
        assert_eq!(client.expect_error().await.at("code"), "bad_request", "{bad}");
    }
}

#[tokio::test]
async fn beats_come_within_their_interval_and_not_all_the_time() {
    let interval = Duration::from_millis(400);
    let (mut ann, _) = with_beats("1.2", "0,400").await;
    let mut last = Instant::now();
    for _ in 0..4 {
        assert_eq!(ann.event().await, Event::Beat, "a beat is one LF in a text message");
        let gap = last.elapsed();
        // The first clients to give up do so 100 ms after the interval.
        assert!(gap <= interval + Duration::from_millis(100), "{gap:?}");
        assert!(gap >= interval / 2, "{gap:?}");
        last = Instant::now();
    }
}

#[tokio::test]
async fn who_asks_for_no_beats_gets_none() {
    for asked in [Some("0,0"), Some("100,0"), None] {
        let mut quiet = match asked {
            Some(asked) => with_beats("1.2", asked).await.0,
            None => Client::connect(&SERVER, "bob").await,
        };
        // Its beats are the clock.
        let (mut ann, _) = with_beats("1.2", "0,100").await;
        for _ in 0..6 {
            assert_eq!(ann.event().await, Event::Beat);
            if asked == Some("100,0") {
                quiet.send_text("\n").await;
            }
        }
        quiet.send(frame("BEGIN").header("transaction", "t").header("receipt", "r")).await;
        let Event::Frame(receipt) = quiet.event().await else { panic!("a beat, with {asked:?}") };
        assert_eq!(receipt.at("receipt-id"), "r");
    }
}

#[tokio::test]
async fn a_silent_client_is_closed_between_the_second_and_third_interval() {
    let (mut ann, _) = with_beats("1.2", "500,0").await;
    let began = Instant::now();
    ann.expect_close(4000).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(950), "{took:?}");
    assert!(took <= Duration::from_millis(1_750), "{took:?}");
}

#[tokio::test]
async fn beats_of_a_client_may_be_lf_or_crlf_in_every_version_and_keep_it() {
    for version in ["1.0", "1.1", "1.2"] {
        for beat in ["\n", "\r\n"] {
            let (mut ann, _) = with_beats(version, "150,100").await;
            // Beats of the server are the clock: ten of them are more than three intervals.
            for _ in 0..10 {
                assert_eq!(ann.event().await, Event::Beat, "{version} {beat:?}");
                ann.send_text(beat).await;
            }
            ann.sync().await;
        }
    }
}

#[tokio::test]
async fn beats_without_an_agreement_are_taken() {
    let room = room("unasked");
    let (mut ann, _) = with_beats("1.1", "0,0").await;
    for beat in ["\r\n", "\n", "\n\n\r\n"] {
        ann.send_text(beat).await;
    }
    ann.subscribe_room(&room).await;
    ann.send_text("\r\n").await;
    ann.send_room(&room, "hello").await;
}

#[tokio::test]
async fn without_beats_a_silent_client_stays_unless_told_otherwise() {
    let server = Server::with(&[("MOIM_LIMITS__IDLE_TIMEOUT", "300ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.expect_close(4000).await;
}
