//! What a worker needs, checked.

use std::future::ready;
use std::sync::Arc;

use moim_shared::config::{Config, ProcessEnv};
use moim_shared::doctor::{self, Check, Listens, Report, Verdict};
use moim_shared::process::StartError;

use crate::app;
use crate::push::PushError;

/// Checks all of it.
pub async fn doctor(config: &Config) -> Report {
    if let Err(error) = app::in_cluster(config) {
        return Report::only("config", vec![Verdict::Wrong(error)]);
    }
    let listens = [Listens { address: config.worker_listen, key: "MOIM_WORKER_LISTEN" }];
    let mut checks: Vec<Check<'_>> =
        vec![("config", Box::pin(ready(doctor::taken(config, &ProcessEnv))))];
    checks.extend(doctor::cluster(config));
    checks.push(("listen", Box::pin(ready(doctor::listens(&listens)))));
    checks.push(("fcm", Box::pin(fcm(config))));
    if let Some(endpoint) = &config.otlp_endpoint {
        checks.push(("traces", Box::pin(doctor::traces(endpoint))));
    }
    Report::of(checks).await
}

/// FCM: the key file, and whether it is good for an access token. Nothing is sent.
pub async fn fcm(config: &Config) -> Vec<Verdict> {
    let push = match app::open_fcm(config) {
        Ok(Some(push)) => push,
        Ok(None) => {
            let off = "off: nobody is pushed to (MOIM_FCM_CREDENTIALS is not set)";
            return vec![Verdict::Fine(off.into())];
        }
        Err(error) => return vec![Verdict::Wrong(error)],
    };
    vec![judge(push.may_send().await)]
}

fn judge(may_send: Result<Arc<str>, PushError>) -> Verdict {
    match may_send {
        Ok(project) => Verdict::Fine(format!("access tokens are given, project {project}")),
        Err(PushError::Later { why, .. }) => Verdict::Wrong(StartError::Away(format!(
            "{why}; check that the way to it is open (pushes wait meanwhile)"
        ))),
        Err(error) => Verdict::Wrong(StartError::Usage(format!(
            "{error}; put a new key into MOIM_FCM_CREDENTIALS (Firebase console, Project settings, \
             Service accounts)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(may_send: Result<Arc<str>, PushError>) -> (u8, String) {
        let report = Report::only("fcm", vec![judge(may_send)]);
        (report.code(), report.to_string())
    }

    #[test]
    fn a_server_of_tokens_that_is_away_is_not_a_wrong_key() {
        assert_eq!(said(Ok("moim".into())).0, 0);
        let later = PushError::Later { after: None, unsure: false, why: "no route".into() };
        assert_eq!(said(Err(later)).0, 3);
        let (code, text) = said(Err(PushError::Misconfigured("invalid_grant".into())));
        assert!(code == 2 && text.contains("MOIM_FCM_CREDENTIALS"), "{text}");
    }
}
