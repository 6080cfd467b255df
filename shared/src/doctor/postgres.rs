//! Postgres: there, ours, durable, on time, and with connections for us.

use super::{Verdict, apart, clock, of_store, version};
use crate::config::{Config, ServiceUrl};
use crate::process::StartError;
use crate::store::postgres::Options;
use crate::store::postgres::look::{Looked, look};

/// The oldest that has what the tables need (keys on tables partitioned by hash), and the oldest
/// that its makers still care for.
const OLDEST: [u32; 1] = [11];
const KEPT: [u32; 1] = [14];

pub(super) async fn postgres(config: &Config) -> Vec<Verdict> {
    let url = config.database_url.as_ref().map_or("", ServiceUrl::as_str);
    match look(url, &Options::default()).await {
        Ok(looked) => judge(&looked, config.database_connections),
        Err(error) => vec![of_store(error)],
    }
}

fn judge(looked: &Looked, connections: usize) -> Vec<Verdict> {
    let Looked { at, server, between, missing, unknown, closed } = looked;
    let mut verdicts = Vec::new();
    let numbers = version(&server.version);
    if numbers < OLDEST.to_vec() {
        let too_old =
            format!("{at} is Postgres {}, too old: put a newer one there", server.version);
        verdicts.push(Verdict::usage(too_old));
    } else if numbers < KEPT.to_vec() {
        verdicts.push(Verdict::Risky(format!(
            "{at} is Postgres {}, which gets no corrections any more: put a newer one there",
            server.version
        )));
    }
    if server.standby {
        verdicts.push(Verdict::away(format!(
            "{at} takes no writes: it is a standby, or read-only by its settings; name the primary \
             server in MOIM_DATABASE_URL"
        )));
    }
    if let Some(newer) = unknown {
        verdicts.push(Verdict::Wrong(StartError::Migration(format!(
            "{at} has migration {newer}, which this program does not know; start the newer program \
             that wrote it"
        ))));
    } else if let Some(first) = missing.first() {
        let more = missing.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let create = if server.may_create { "" } else { ", as a user who may create tables there" };
        let lacks =
            format!("{at} lacks migration {first}{more}; run `moim-server migrate`{create}");
        verdicts.push(Verdict::Wrong(StartError::Migration(lacks)));
    }
    if !closed.is_empty() {
        let tables = closed.join(", ");
        verdicts.push(Verdict::Wrong(StartError::Data(format!(
            "{at} does not let this user read and write {tables}; let it own the tables, or GRANT \
             SELECT, INSERT, UPDATE, DELETE on them"
        ))));
    }
    let theirs = u64::try_from(server.clock_ms).unwrap_or(0);
    let apart = apart(between.0, theirs, between.1);
    verdicts.extend(clock("that of Postgres", apart));
    let settings = [
        ("fsync", &server.fsync, "a crash may destroy the database"),
        ("full_page_writes", &server.full_page_writes, "a crash may destroy the database"),
        ("synchronous_commit", &server.synchronous_commit, "a crash loses acknowledged messages"),
    ];
    for (name, value, harm) in settings {
        if value == "off" {
            verdicts.push(Verdict::Risky(format!("{name} of {at} is off: {harm}; set it to on")));
        }
    }
    let free = (server.most - server.used).max(0);
    if usize::try_from(free).is_ok_and(|free| free < connections) {
        verdicts.push(Verdict::Risky(format!(
            "{at} has {free} of {} connections left, and a process takes {connections}: raise its \
             max_connections, or lower MOIM_DATABASE_CONNECTIONS",
            server.most
        )));
    }
    if verdicts.iter().all(|verdict| !matches!(verdict, Verdict::Wrong(_))) {
        let said = format!(
            "{} at {at}, migrated, {free} of {} connections free (a process takes {connections}), \
             clock {} ms apart",
            server.version.split(' ').next().unwrap_or_default(),
            server.most,
            apart.unsigned_abs()
        );
        verdicts.insert(0, Verdict::Fine(said));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;
    use crate::store::postgres::look::Server;

    fn good() -> Looked {
        Looked {
            at: "here:1/moim".into(),
            server: Server {
                version: "15.6 (Debian 15.6-0+deb12u1)".into(),
                standby: false,
                fsync: "on".into(),
                full_page_writes: "on".into(),
                synchronous_commit: "on".into(),
                most: 97,
                used: 5,
                clock_ms: 1_000,
                may_create: true,
            },
            between: (990, 1_010),
            missing: Vec::new(),
            unknown: None,
            closed: Vec::new(),
        }
    }

    fn said(change: impl FnOnce(&mut Looked)) -> (u8, String) {
        let mut looked = good();
        change(&mut looked);
        let report = Report::only("postgres", judge(&looked, 8));
        (report.code(), report.to_string())
    }

    #[test]
    fn a_good_one_is_told_in_a_line() {
        let line = "ok     postgres  15.6 at here:1/moim, migrated, 92 of 97 connections free (a \
            process takes 8), clock 0 ms apart\n";
        assert_eq!(said(|_| ()), (0, line.to_owned()));
    }

    type Change = fn(&mut Looked);

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        let wrong: [(Change, u8, &str); 9] = [
            (|it| it.server.version = "10.23".into(), 2, "too old"),
            (|it| it.server.standby = true, 3, "name the primary"),
            (
                |it| it.missing = vec!["1".into()],
                4,
                "lacks migration 1; run `moim-server migrate`\n",
            ),
            (|it| it.missing = vec!["1".into(), "2".into()], 4, "migration 1 and 1 more"),
            (
                |it| {
                    it.missing = vec!["1".into()];
                    it.server.may_create = false;
                },
                4,
                "as a user who may create tables",
            ),
            (|it| it.unknown = Some("9".into()), 4, "newer program"),
            (|it| it.closed = vec!["rooms".into()], 5, "read and write rooms; "),
            (|it| it.server.clock_ms = 300_000, 2, "clock is 299 s behind that of Postgres"),
            (|it| it.server.clock_ms = 20_000, 2, "take each other for gone"),
        ];
        for (change, code, says) in wrong {
            let (found, text) = said(change);
            assert!(text.starts_with("WRONG ") && text.contains(says), "{text}");
            assert_eq!((found, text.lines().count()), (code, 1), "{text}");
        }
    }

    #[test]
    fn what_is_dangerous_is_told_beside_what_is_well() {
        let risky: [(Change, &str); 6] = [
            (|it| it.server.version = "13.9".into(), "no corrections"),
            (|it| it.server.fsync = "off".into(), "fsync of"),
            (|it| it.server.full_page_writes = "off".into(), "full_page_writes of"),
            (|it| it.server.synchronous_commit = "off".into(), "loses acknowledged"),
            (|it| it.server.used = 90, "has 7 of 97 connections left"),
            (|it| it.server.clock_ms = 5_000, "clock is 4 s behind"),
        ];
        for (change, says) in risky {
            let (code, text) = said(change);
            assert!(text.starts_with("ok ") && text.contains("\nWARN "), "{text}");
            assert!(code == 0 && text.contains(says), "{text}");
        }
        assert_eq!(said(|it| it.server.synchronous_commit = "local".into()).1.lines().count(), 1);
    }
}
