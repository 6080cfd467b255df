//! What a server needs, checked.

use std::future::ready;
use std::path::Path;

use moim_shared::clock::now_ms;
use moim_shared::config::{Config, Jwks, Mode, ProcessEnv};
use moim_shared::doctor::{self, Check, Disk, Listens, Report, Verdict, aside};
use moim_shared::process::StartError;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use super::listen::open_tls;
use crate::http;
use crate::token::{Looked, Unread, look, look_at_secret};

/// File descriptors that a server needs beside its connections.
const FILES: u64 = 256;

/// A certificate that ends sooner is to be renewed.
const SOON_DAYS: i64 = 14;

/// Checks all of it.
pub async fn doctor(config: &Config) -> Report {
    let mut checks: Vec<Check<'_>> =
        vec![("config", Box::pin(ready(doctor::taken(config, &ProcessEnv))))];
    match config.mode {
        Mode::Cluster => checks.extend(doctor::cluster(config)),
        Mode::Standalone => checks.push(("data", Box::pin(data(config)))),
    }
    checks.push(("listen", Box::pin(ready(listen(config)))));
    checks.push(("files", Box::pin(ready(files(config)))));
    match open_tls(config) {
        Ok(None) => {}
        found => checks.push(("tls", Box::pin(ready(vec![tls(found)])))),
    }
    if let Some(jwks) = &config.jwks {
        checks.push(("jwks", Box::pin(keys(jwks))));
    }
    if config.mode == Mode::Standalone && config.fcm_credentials.is_some() {
        checks.push(("fcm", Box::pin(moim_worker::doctor::fcm(config))));
    }
    if let Some(endpoint) = &config.otlp_endpoint {
        checks.push(("traces", Box::pin(doctor::traces(endpoint))));
    }
    Report::of(checks).await
}

async fn data(config: &Config) -> Vec<Verdict> {
    let (folder, own) = (config.data_dir.clone(), config.jwt_secret.is_none());
    let looked = aside(move || {
        let mut verdicts = doctor::data(&folder, disk(&folder));
        if own && let Err(error) = look_at_secret(&folder) {
            let secret = format!("the secret in {}: {error}", folder.display());
            verdicts.push(Verdict::Wrong(StartError::Data(secret)));
        }
        verdicts
    });
    looked.await.unwrap_or_else(|error| vec![Verdict::Wrong(error)])
}

/// The disk of a folder that may not be there yet.
fn disk(folder: &Path) -> Option<Disk> {
    let folder = std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|one| one.exists())?;
    let disk = statvfs(there).ok()?;
    Some(Disk { free: disk.blocks_available() * disk.fragment_size() })
}

fn listen(config: &Config) -> Vec<Verdict> {
    let public = Listens { address: config.listen, key: "MOIM_LISTEN" };
    let admin = config.admin_listen;
    let admin = admin.map(|address| Listens { address, key: "MOIM_ADMIN_LISTEN" });
    doctor::listens(&[Some(public), admin].into_iter().flatten().collect::<Vec<_>>())
}

fn files(config: &Config) -> Vec<Verdict> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    vec![limit.map_or_else(
        |error| Verdict::Risky(format!("how many this process may open is not known: {error}")),
        // What it begins with is raised to that.
        |(_, may)| enough(may, config.limits.connections_max as u64),
    )]
}

fn enough(may: u64, connections: u64) -> Verdict {
    let needs = connections + FILES;
    if may >= needs {
        return Verdict::Fine(format!("{may} may be open, {connections} of them connections"));
    }
    Verdict::Risky(format!(
        "{may} may be open, and limits.connections_max is {connections}: those beyond are not \
         accepted; allow {needs} (ulimit -Hn, LimitNOFILE), or lower MOIM_LIMITS__CONNECTIONS_MAX"
    ))
}

fn tls(found: Result<Option<http::Tls>, StartError>) -> Verdict {
    match found {
        Ok(tls) => ends(tls.and_then(|tls| tls.ends()), now_ms() / 1_000),
        Err(error) => Verdict::Wrong(error),
    }
}

/// What it means that the certificate ends then, in seconds since 1970.
fn ends(end: Option<u64>, now: u64) -> Verdict {
    const DAY: i64 = 86_400;
    let Some(end) = end else { return Verdict::Fine("the certificate can be used".into()) };
    let left = end.cast_signed() - now.cast_signed();
    if left <= 0 {
        let days = -left / DAY;
        let told = format!("the certificate ended {days} days ago, clients refuse it: renew it");
        Verdict::usage(told)
    } else if left < SOON_DAYS * DAY {
        Verdict::Risky(format!("the certificate ends in {} days: renew it", left / DAY))
    } else {
        Verdict::Fine(format!("the certificate is good for {} days", left / DAY))
    }
}

async fn keys(jwks: &Jwks) -> Vec<Verdict> {
    let (shown, jwks) = (jwks.to_string(), jwks.clone());
    match aside(move || look(&jwks)).await {
        Ok(looked) => usable(&shown, looked),
        Err(error) => vec![Verdict::Wrong(error)],
    }
}

fn usable(shown: &str, looked: Result<Looked, Unread>) -> Vec<Verdict> {
    let wrong = |error| vec![Verdict::Wrong(error)];
    let looked = match looked {
        Ok(looked) => looked,
        Err(Unread::Away(why)) => {
            let advice = "check that the way to it is open (tokens of its keys are refused)";
            return wrong(StartError::Away(format!("{shown}: {why}; {advice}")));
        }
        Err(Unread::Bad(why)) => {
            return wrong(StartError::Usage(format!("{shown}: {why}; correct MOIM_JWKS")));
        }
    };
    let skipped = looked.skipped.join(", ");
    if looked.keys == 0 {
        return wrong(StartError::Usage(format!(
            "{shown}: no key in it can be used ({skipped}); correct MOIM_JWKS"
        )));
    }
    let mut verdicts = vec![Verdict::Fine(format!("{} keys at {shown}", looked.keys))];
    if !skipped.is_empty() {
        verdicts.push(Verdict::Risky(format!("{shown}: not used: {skipped}")));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdicts: Vec<Verdict>) -> (u8, String) {
        let report = Report::only("x", verdicts);
        (report.code(), report.to_string())
    }

    #[test]
    fn fewer_files_than_connections_are_told() {
        assert!(said(vec![enough(16_256, 16_000)]).1.starts_with("ok "));
        let (code, text) = said(vec![enough(1_024, 16_000)]);
        assert!(code == 0 && text.starts_with("WARN ") && text.contains("allow 16256"), "{text}");
    }

    #[test]
    fn a_certificate_is_to_be_renewed_before_its_end() {
        let day = 86_400;
        for (end, code, says) in [
            (None, 0, "can be used"),
            (Some(120 * day), 0, "ok     x         the certificate is good for 20 days"),
            (Some(113 * day), 0, "WARN   x         the certificate ends in 13 days"),
            (Some(90 * day), 2, "ended 10 days ago"),
        ] {
            let (found, text) = said(vec![ends(end, 100 * day)]);
            assert!(found == code && text.contains(says), "{text}");
        }
    }

    #[test]
    fn keys_that_are_away_are_not_keys_that_are_wrong() {
        let code = |looked| said(usable("https://id.example", looked));
        let looked = |keys, skipped: &[&str]| Looked {
            keys,
            skipped: skipped.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(code(Ok(looked(2, &[]))).0, 0);
        assert!(code(Ok(looked(1, &["key 0"]))).1.contains("WARN "));
        assert_eq!(code(Ok(looked(0, &["key 0"]))).0, 2);
        assert_eq!(code(Err(Unread::Away("no route".into()))).0, 3);
        assert_eq!(code(Err(Unread::Bad("no JSON".into()))).0, 2);
    }
}
