//! What becomes of FCM's answers, and of none.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use moim_worker::push::fcm::Options;
use moim_worker::push::{Gone, Push, PushError};

use crate::contract::notification;
use crate::fcm_double::{Answer, FcmDouble};
use crate::rig::{Rig, TOKEN};

/// An error without its text.
fn kind(error: &PushError) -> String {
    match error {
        PushError::TokenGone(gone) => format!("gone, {}", gone.name()),
        PushError::Later { after, unsure, .. } => {
            let after = after.map_or("when it suits".into(), |after| format!("{:.0?}", after));
            format!("later, {after}{}", if *unsure { ", unsure" } else { "" })
        }
        PushError::Misconfigured(_) => "misconfigured".into(),
        PushError::Refused(_) => "refused".into(),
    }
}

#[tokio::test]
async fn each_answer_says_what_is_to_be_done() {
    let payload = Answer::invalid("message.android.ttl", "Illegal duration format");
    let token = Answer::invalid("message.token", "Invalid registration token");
    for (answer, meaning) in [
        (Answer::unregistered(), "gone, unregistered"),
        (Answer::sender_id_mismatch(), "gone, other_project"),
        (Answer::invalid_token(), "gone, invalid"),
        (token, "gone, invalid"),
        (payload, "refused"),
        (Answer::invalid_somehow(), "refused"),
        (Answer::third_party_auth(), "refused"),
        (Answer::html(400), "refused"),
        (Answer::permission_denied(), "misconfigured"),
        (Answer::no_project(), "misconfigured"),
        (Answer::html(404), "misconfigured"),
        (Answer::quota_of_device(), "later, 60s"),
        (Answer::quota_of_project(), "later, 60s"),
        (Answer::quota_of_project().retry_after("7"), "later, 7s"),
        (Answer::internal(), "later, when it suits, unsure"),
        (Answer::unavailable(), "later, when it suits, unsure"),
        (Answer::unavailable().retry_after("9"), "later, 9s, unsure"),
        (Answer::html(502), "later, when it suits, unsure"),
        (Answer::html(504), "later, when it suits, unsure"),
    ] {
        let rig = Rig::start();
        rig.double.answer_for(TOKEN, answer.clone());
        let error = rig.send().await.unwrap_err();
        assert_eq!(kind(&error), meaning, "{answer:?}");
        assert_eq!(rig.double.tried(), 1, "{answer:?}");
        assert!(!error.to_string().contains("zZ9qQ1"), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_gone_is_nobody_elses_trouble() {
    let rig = Rig::start();
    rig.double.answer_for(TOKEN, Answer::unregistered());
    assert_eq!(rig.send().await, Err(PushError::TokenGone(Gone::Unregistered)));
    let sent = rig.push.send(notification("another", "r/1-1")).await.unwrap();
    assert!(sent.name.unwrap().starts_with("projects/moim-test/messages/"));
    assert_eq!((rig.double.count("r/1-1", TOKEN), rig.double.count("r/1-1", "another")), (0, 1));
}

/// In whole seconds, rounded.
fn seconds(error: PushError) -> u64 {
    match error {
        PushError::Later { after: Some(after), .. } => after.as_secs_f64().round() as u64,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pause_is_for_all_and_costs_no_calls() {
    let date = SystemTime::now() + Duration::from_secs(300);
    for time in ["300".to_owned(), httpdate::fmt_http_date(date)] {
        let rig = Rig::start();
        rig.double.answer_next([Answer::unavailable().retry_after(&time)]);
        let first = seconds(rig.send().await.unwrap_err());
        assert!((298..=300).contains(&first), "{first}");
        let other = rig.push.send(notification("another", "r/1-2")).await.unwrap_err();
        assert!(matches!(other, PushError::Later { unsure: false, .. }), "{other:?}");
        assert!((290..=300).contains(&seconds(other)));
        assert_eq!(rig.double.tried(), 1);
    }
}

#[tokio::test]
async fn after_a_pause_it_goes_on() {
    let rig = Rig::start();
    let begun = Instant::now();
    rig.double.answer_next([Answer::quota_of_project().retry_after("1")]);
    assert_eq!(seconds(rig.send().await.unwrap_err()), 1);
    rig.sends_at_last().await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(rig.double.tried(), 2);
}

#[tokio::test]
async fn those_who_wait_for_their_turn_do_not_call_into_a_pause() {
    let rig = Rig::with(Options { concurrency: 1, ..Options::default() });
    rig.double
        .answer_next([Answer::unavailable().retry_after("60").slowly(Duration::from_millis(50))]);
    let sent = join_all((0..10).map(|_| rig.send())).await;
    assert!(sent.iter().all(|sent| matches!(sent, Err(PushError::Later { .. }))), "{sent:?}");
    assert_eq!(rig.double.tried(), 1);
}

#[tokio::test]
async fn what_one_device_got_too_much_of_stops_no_other() {
    let rig = Rig::start();
    rig.double.answer_for(TOKEN, Answer::quota_of_device().retry_after("60"));
    assert_eq!(seconds(rig.send().await.unwrap_err()), 60);
    rig.push.send(notification("another", "r/1-1")).await.unwrap();
}

#[tokio::test]
async fn missing_rights_cost_one_call_until_it_is_time_to_look_again() {
    let rig = Rig::with(Options { misconfigured: Duration::from_secs(1), ..Options::default() });
    rig.double.answer_next([Answer::permission_denied()]);
    for _ in 0..5 {
        assert!(matches!(rig.send().await, Err(PushError::Misconfigured(_))));
    }
    assert_eq!(rig.double.tried(), 1);
    rig.sends_at_last().await;
    assert_eq!(rig.double.tried(), 2);
}

#[tokio::test]
async fn no_answer_in_time_leaves_it_unsure() {
    let rig = Rig::with(Options { timeout: Duration::from_secs(1), ..Options::default() });
    rig.double.answer_next([Answer::Taken.slowly(Duration::from_secs(20))]);
    let error = rig.send().await.unwrap_err();
    assert_eq!(kind(&error), "later, when it suits, unsure");
    assert!(error.to_string().contains("no answer in 1s"), "{error}");
    rig.send().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_leaves_it_unsure_and_it_was_called_once() {
    let rig = Rig::start();
    rig.double.answer_next([Answer::CutBefore, Answer::CutAfter]);
    for taken in [0, 1] {
        let error = rig.send().await.unwrap_err();
        assert_eq!(kind(&error), "later, when it suits, unsure");
        assert_eq!(rig.double.count("r/1-1", TOKEN), taken);
    }
    rig.send().await.unwrap();
    assert_eq!((rig.double.tried(), rig.double.count("r/1-1", TOKEN)), (3, 2));
}

#[tokio::test]
async fn whom_it_cannot_reach_has_surely_not_taken_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let rig = Rig::at(FcmDouble::start(), &nowhere, Options::default());
    assert_eq!(kind(&rig.send().await.unwrap_err()), "later, when it suits");
}

#[tokio::test]
async fn no_more_are_under_way_than_allowed() {
    let rig = Rig::with(Options { concurrency: 3, ..Options::default() });
    rig.double.answer(Answer::Taken.slowly(Duration::from_millis(20)));
    let sent = join_all((0..30).map(|_| rig.send())).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(rig.double.most_at_once(), 3);
}

#[tokio::test]
async fn who_stops_waiting_gives_the_turn_away() {
    let rig = Rig::with(Options { concurrency: 1, ..Options::default() });
    rig.double.answer_next([Answer::Taken.slowly(Duration::from_secs(20))]);
    tokio::select! {
        sent = rig.send() => panic!("{sent:?}"),
        () = rig.double.until("one under way", |double| double.tried() == 1) => {}
    }
    rig.send().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_may_have_a_slash_at_its_end() {
    let double = FcmDouble::start();
    let endpoint = format!("{}/", double.endpoint());
    let rig = Rig::at(double, &endpoint, Options::default());
    rig.send().await.unwrap();
}
