//! Access tokens: asked for once, renewed in time, and what becomes of sends when there is none.

use std::time::Duration;

use futures_util::future::join_all;
use moim_worker::push::PushError;
use moim_worker::push::fcm::Options;

use crate::fcm_double::{Answer, FcmDouble, Grants};
use crate::rig::Rig;

async fn fifty(rig: &Rig) {
    let sent = join_all((0..50).map(|_| rig.send())).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
}

#[tokio::test]
async fn fifty_sends_at_once_ask_for_one_access_token() {
    let rig = Rig::start();
    assert_eq!(rig.double.grants_asked(), 0, "nobody is called before there is something to send");
    fifty(&rig).await;
    fifty(&rig).await;
    assert_eq!((rig.double.grants_asked(), rig.double.taken().len()), (1, 100));
}

#[tokio::test]
async fn an_access_token_is_renewed_before_it_ends() {
    let rig = Rig::start();
    rig.double.tokens_live(Duration::from_secs(1));
    let sending = async {
        while rig.double.grants_asked() < 3 {
            rig.send().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), sending).await.expect("never renewed");
}

#[tokio::test]
async fn when_access_tokens_end_early_one_is_asked_for_and_all_is_sent() {
    let rig = Rig::start();
    fifty(&rig).await;
    rig.double.end_tokens();
    fifty(&rig).await;
    assert_eq!((rig.double.grants_asked(), rig.double.taken().len()), (2, 100));
}

#[tokio::test]
async fn two_access_tokens_that_are_not_taken_are_enough() {
    let rig = Rig::start();
    rig.double.answer(Answer::unauthenticated());
    for _ in 0..5 {
        let error = rig.send().await.unwrap_err();
        assert!(matches!(&error, PushError::Misconfigured(why) if why.contains("401")), "{error}");
    }
    assert_eq!((rig.double.grants_asked(), rig.double.tried()), (2, 2));
}

#[tokio::test]
async fn an_account_that_gets_no_access_token_reaches_nobody() {
    let rig = Rig::with(Options { misconfigured: Duration::from_secs(1), ..Options::default() });
    let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    rig.double.grant(Grants::Refused(400, body.into()));
    let sent = join_all((0..20).map(|_| rig.send())).await;
    for error in sent.into_iter().map(Result::unwrap_err) {
        let PushError::Misconfigured(why) = error else { panic!("{error:?}") };
        assert!(why.contains("invalid_grant: Invalid JWT Signature."), "{why}");
    }
    assert_eq!((rig.double.grants_asked(), rig.double.tried()), (1, 0));
    rig.double.grant(Grants::Good);
    rig.sends_at_last().await;
}

#[tokio::test]
async fn while_access_tokens_are_not_to_be_had_nothing_is_unsure() {
    let options = Options { timeout: Duration::from_secs(2), ..Options::default() };
    let with = async |grants: Grants| {
        let rig = Rig::with(options);
        rig.double.grant(grants.clone());
        let error = rig.send().await.unwrap_err();
        assert!(matches!(error, PushError::Later { unsure: false, .. }), "{grants:?}: {error:?}");
        rig.double.grant(Grants::Good);
        rig.sends_at_last().await;
        assert_eq!(rig.double.grants_asked(), 2, "{grants:?}");
    };
    let all = [
        Grants::Refused(503, "<html>".into()),
        Grants::Refused(429, String::new()),
        Grants::Cut,
        Grants::Slow(Duration::from_secs(20)),
    ];
    join_all(all.map(with)).await;
}

#[tokio::test]
async fn an_answer_without_an_access_token_is_an_error_and_not_told() {
    let rig = Rig::start();
    rig.double.grant(Grants::Refused(200, r#"{"acess_token":"ya29.secret"}"#.into()));
    let error = rig.send().await.unwrap_err().to_string();
    assert!(error.contains("without an access token") && !error.contains("ya29"), "{error}");
}

#[tokio::test]
async fn a_key_file_that_is_replaced_is_used_and_half_a_file_is_not() {
    let rig = Rig::start();
    rig.send().await.unwrap();
    let text = std::fs::read_to_string(&rig.file).unwrap();
    std::fs::write(&rig.file, &text[..text.len() / 2]).unwrap();
    rig.double.end_tokens();
    rig.send().await.unwrap();
    assert_eq!(rig.double.grants_asked(), 2);

    let other = FcmDouble::start();
    std::fs::write(&rig.file, other.credentials().to_string()).unwrap();
    rig.double.end_tokens();
    let error = rig.send().await.unwrap_err();
    assert!(matches!(error, PushError::Misconfigured(_)), "tokens of another: {error}");
    assert_eq!((rig.double.grants_asked(), other.grants_asked()), (2, 1));
}
