//! RabbitMQ: there, new enough, not short of anything, and with queues as we declare them.

use super::{Verdict, version};
use crate::cluster::queue_options;
use crate::config::{Config, ServiceUrl};
use crate::process::StartError;
use crate::queue::amqp::look::{Looked, Stands, Unseen, look};

/// The oldest that will do: quorum queues whose dead letters are not lost on their way.
const OLDEST: [u32; 2] = [3, 10];

pub(super) async fn rabbitmq(config: &Config) -> Vec<Verdict> {
    let url = config.amqp_url.as_ref().map_or("", ServiceUrl::as_str);
    let address = match url.parse() {
        Ok(address) => address,
        Err(error) => return vec![Verdict::usage(format!("{error}; correct MOIM_AMQP_URL"))],
    };
    let options = queue_options(config, address);
    let at = options.address.to_string();
    judge(&at, &options.prefix, options.queue_bytes, Box::pin(look(&options)).await)
}

fn judge(at: &str, prefix: &str, bytes: u64, looked: Result<Looked, Unseen>) -> Vec<Verdict> {
    let looked = match looked {
        Ok(looked) => looked,
        Err(Unseen(why)) => return vec![unseen(at, &why)],
    };
    let mut verdicts = Vec::new();
    let numbers = looked.version.as_deref().map(version).unwrap_or_default();
    if !numbers.is_empty() && numbers < OLDEST.to_vec() {
        verdicts.push(Verdict::usage(format!(
            "{at} is RabbitMQ {}, too old: put 3.10 or newer there, or name one in MOIM_AMQP_URL",
            looked.version.as_deref().unwrap_or_default()
        )));
    }
    if let Some(why) = &looked.refused {
        verdicts.push(Verdict::usage(format!(
            "{at} does not let this user work: {}; let it configure, write and read (rabbitmqctl \
             set_permissions -p VHOST USER '^{prefix}\\.' '^{prefix}\\.' '^{prefix}\\.')",
            plain(why)
        )));
    }
    if let Some(why) = &looked.blocked {
        verdicts.push(Verdict::Risky(format!(
            "{at} takes nothing now: {why}; SENDs wait and are refused then: give it memory or \
             disk (rabbitmq-diagnostics alarms)"
        )));
    }
    let mut new = false;
    for (name, stands) in &looked.queues {
        match stands {
            Stands::Missing => new = true,
            Stands::Fits => {}
            Stands::OtherBound(other) => verdicts.push(Verdict::Risky(format!(
                "queue {name} holds {other} bytes, and limits.queue_max_bytes is {bytes}: that of \
                 the queue stays; to change it, drain and delete the queue; a start makes it again"
            ))),
            Stands::Otherwise(why) => {
                let other = format!(
                    "queue {name} is none that this program can use: {}; drain and delete it (a \
                     start makes it again), or choose another MOIM_CLUSTER",
                    plain(why)
                );
                verdicts.push(Verdict::Wrong(StartError::Data(other)));
            }
        }
    }
    if verdicts.iter().all(|verdict| !matches!(verdict, Verdict::Wrong(_))) {
        let version = looked.version.as_deref().unwrap_or("of no version that it tells");
        let queues = if new { "its queues are made at a start" } else { "its queues are there" };
        verdicts.insert(0, Verdict::Fine(format!("{version} at {at}, {queues}")));
    }
    verdicts
}

/// Its own words, without those in front of them.
fn plain(why: &str) -> &str {
    let behind = |mark| why.split_once(mark).and_then(|(_, behind)| behind.split_once(": "));
    let own = behind("AMQP soft error: ").or_else(|| behind("AMQP hard error: "));
    own.map_or(why, |(_, own)| own)
}

/// What it means that nothing is known.
fn unseen(at: &str, why: &str) -> Verdict {
    let why = plain(why);
    let has = |words: &[&str]| words.iter().any(|word| why.to_lowercase().contains(word));
    let told = |advice: &str| format!("{at}: {why}; {advice}");
    if has(&["access_refused", "access-refused", "login was refused"]) {
        Verdict::usage(told("correct user and password in MOIM_AMQP_URL"))
    } else if has(&["vhost", "not_allowed", "not-allowed"]) {
        Verdict::usage(told(
            "make the virtual host and let the user in (rabbitmqctl add_vhost, set_permissions), \
             or correct it in MOIM_AMQP_URL (`%2f` is `/`)",
        ))
    } else if has(&["certificate", "unknownissuer"]) {
        Verdict::usage(told("name the file of its issuer in SSL_CERT_FILE"))
    } else {
        Verdict::away(told("check that it runs and that the way to it is open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;

    fn said(looked: Result<Looked, Unseen>) -> (u8, String) {
        let report = Report::only("rabbitmq", judge("amqp://ann@here:1", "moim", 7, looked));
        (report.code(), report.to_string())
    }

    fn good(queues: Stands) -> Looked {
        Looked {
            version: Some("3.10.8".into()),
            queues: vec![("moim.dead".into(), Stands::Fits), ("moim.messages".into(), queues)],
            ..Looked::default()
        }
    }

    #[test]
    fn a_good_one_says_whether_the_queues_are_there() {
        let (code, text) = said(Ok(good(Stands::Fits)));
        let at = "ok     rabbitmq  3.10.8 at amqp://ann@here:1";
        assert_eq!((code, text), (0, format!("{at}, its queues are there\n")));
        let (code, text) = said(Ok(good(Stands::Missing)));
        assert_eq!((code, text), (0, format!("{at}, its queues are made at a start\n")));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        let good = || good(Stands::Fits);
        for (looked, code, says) in [
            (Looked { version: Some("3.9.29".into()), ..good() }, 2, "RabbitMQ 3.9.29, too old"),
            (Looked { refused: Some("ACCESS_REFUSED".into()), ..good() }, 2, "set_permissions"),
            (Looked { blocked: Some("low on memory".into()), ..good() }, 0, "WARN "),
            (
                self::good(Stands::OtherBound(5)),
                0,
                "holds 5 bytes, and limits.queue_max_bytes is 7",
            ),
            (self::good(Stands::Otherwise("inequivalent".into())), 5, "moim.messages is none"),
        ] {
            let (found, text) = said(Ok(looked));
            assert_eq!(found, code, "{text}");
            assert!(text.contains(says), "{text}");
        }
        assert_eq!(said(Ok(Looked { version: None, ..good() })).0, 0);
    }

    #[test]
    fn who_is_not_let_in_was_told_the_wrong_thing_and_silence_is_away() {
        let code = |why: &str| said(Err(Unseen(why.into()))).0;
        assert_eq!(code("ACCESS_REFUSED - Login was refused using PLAIN"), 2);
        let told = "protocol error: AMQP soft error: ACCESS-REFUSED: ACCESS_REFUSED - Login was";
        assert_eq!(plain(told), "ACCESS_REFUSED - Login was");
        assert_eq!(code("NOT_ALLOWED - vhost chat not found"), 2);
        assert_eq!(code("invalid peer certificate: UnknownIssuer"), 2);
        assert_eq!(code("Connection refused (os error 111)"), 3);
    }
}
