//! Redis: there, new enough, on time, and letting a broker do its work.

use ::redis::{Value, cmd};

use super::{Verdict, apart, clock, version};
use crate::broker::redis::trial::{Tried, trial};
use crate::clock::now_ms;
use crate::config::{Config, ServiceUrl};
use crate::process::StartError;
use crate::redis::{Links, RedisAway, Target};

/// The oldest that will do.
const OLDEST: [u32; 2] = [7, 0];

/// The part of its memory from which on a Redis that evicts nothing is nearly full.
const NEARLY_FULL: f64 = 0.9;

/// What one server tells of itself.
#[derive(Debug, Clone, Default)]
struct Told {
    version: String,
    replica: bool,
    loading: bool,
    in_cluster: bool,
    policy: String,
    memory: u64,
    memory_most: u64,
    aof: bool,
    /// How far its clock is ahead of ours, in ms.
    apart: Option<i64>,
}

pub(super) async fn redis(config: &Config) -> Vec<Verdict> {
    let url = config.redis_url.as_ref().map_or("", ServiceUrl::as_str);
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return vec![Verdict::usage(format!("{error}; correct MOIM_REDIS_URL"))],
    };
    let (at, prefix) = (target.to_string(), config.cluster.as_str());
    let cluster = target.is_cluster();
    let links = match Links::new(target) {
        Ok(links) => links,
        Err(error) => return vec![Verdict::Wrong(StartError::Internal(error.to_string()))],
    };
    let told = match ask(&links).await {
        Ok(told) => told,
        Err(error) => return vec![away(&at, prefix, &error.0)],
    };
    let mut verdicts = judge(&at, cluster, &told);
    if verdicts.iter().all(|verdict| !matches!(verdict, Verdict::Wrong(_))) {
        let tried = trial(&links, prefix).await;
        verdicts.extend(allowed(&at, prefix, tried));
    }
    // What is well comes first, and is not said of what is not.
    let wrong = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Wrong(_)));
    if !wrong {
        verdicts.insert(0, Verdict::Fine(well(&at, &told)));
    }
    verdicts
}

/// `INFO` of every server.
async fn ask(links: &Links) -> Result<Vec<Told>, RedisAway> {
    let before = now_ms();
    let answer: Value = links.command("", &cmd("INFO")).await?;
    let after = now_ms();
    let all = match answer {
        Value::Map(all) => all.into_iter().map(|(_, info)| info).collect(),
        one => vec![one],
    };
    let told: Vec<Told> =
        all.iter().filter_map(text).map(|info| read(&info, before, after)).collect();
    if told.is_empty() { Err(RedisAway("it tells nothing of itself".into())) } else { Ok(told) }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn read(info: &str, before: u64, after: u64) -> Told {
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let number = |name| field(name).and_then(|value| value.parse::<u64>().ok());
    Told {
        version: field("redis_version").unwrap_or_default().into(),
        replica: field("role") == Some("slave"),
        loading: field("loading") == Some("1"),
        in_cluster: field("cluster_enabled") == Some("1"),
        policy: field("maxmemory_policy").unwrap_or_default().into(),
        memory: number("used_memory").unwrap_or_default(),
        memory_most: number("maxmemory").unwrap_or_default(),
        aof: field("aof_enabled") == Some("1"),
        apart: number("server_time_usec").map(|theirs| apart(before, theirs / 1_000, after)),
    }
}

fn well(at: &str, told: &[Told]) -> String {
    let mut versions: Vec<&str> = told.iter().map(|one| &*one.version).collect();
    versions.sort_unstable();
    versions.dedup();
    let aof = if told.iter().all(|one| one.aof) {
        "AOF on"
    } else {
        "AOF off (after its restart rooms go on from the database, in seconds)"
    };
    let furthest = told.iter().filter_map(|one| one.apart).map(i64::unsigned_abs).max();
    let clock = furthest.map_or(String::new(), |ms| format!(", clock {ms} ms apart"));
    let servers = if told.len() > 1 { format!(", {} masters", told.len()) } else { String::new() };
    format!("{} at {at}{servers}, {aof}{clock}", versions.join(" and "))
}

/// What is to be said of the servers.
fn judge(at: &str, cluster: bool, told: &[Told]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for one in told {
        if version(&one.version) < OLDEST.to_vec() {
            verdicts.push(Verdict::usage(format!(
                "{at} is Redis {}, too old: put Redis 7.0 or newer there, or name one in \
                 MOIM_REDIS_URL",
                one.version
            )));
        }
        if one.loading {
            let loads = format!("{at} loads its data: wait until it has");
            verdicts.push(Verdict::away(loads));
        } else if one.replica {
            verdicts.push(Verdict::usage(format!(
                "{at} is a replica, which takes no writes: name the master, or its Sentinels as \
                 redis+sentinel://host,host/name"
            )));
        }
        if one.in_cluster && !cluster {
            verdicts.push(Verdict::usage(format!(
                "{at} is a part of a Redis Cluster: say redis+cluster://host,host"
            )));
        }
        verdicts.extend(one.apart.and_then(|ms| clock("that of Redis", ms)));
        if !matches!(&*one.policy, "" | "noeviction") {
            let now = if one.memory_most > 0 { "it throws" } else { "with a maxmemory it throws" };
            verdicts.push(Verdict::Risky(format!(
                "maxmemory-policy of {at} is {}: {now} rooms away that are in use; set it to \
                 noeviction",
                one.policy
            )));
        }
        let most = one.memory_most;
        if most > 0 && one.memory as f64 > most as f64 * NEARLY_FULL {
            verdicts.push(Verdict::Risky(format!(
                "{at} uses {} of {} MiB: when they are full SENDs are refused; raise its maxmemory",
                one.memory >> 20,
                most >> 20
            )));
        }
    }
    verdicts
}

/// What is to be said of what was tried.
fn allowed(at: &str, prefix: &str, tried: Result<Tried, RedisAway>) -> Vec<Verdict> {
    let grant = grant(prefix);
    let Tried { refused, unheard } = match tried {
        Ok(tried) => tried,
        Err(error) => return vec![away(at, prefix, &error.0)],
    };
    let mut verdicts = Vec::new();
    if let Some(first) = refused.first() {
        let commands: Vec<_> =
            refused.iter().map(|one| one.split(':').next().unwrap_or_default()).collect();
        let all = commands.join(", ");
        let refuses = format!("{at} refuses {all} ({first})");
        verdicts.push(if is_right(first) {
            Verdict::usage(format!("{refuses}; {grant}"))
        } else {
            Verdict::away(format!("{refuses}; see what Redis says of itself there"))
        });
    }
    if let Some(why) = unheard {
        let says = format!("{at} does not let this program hear what is published: {why}");
        verdicts.push(Verdict::usage(format!("{says}; {grant}")));
    }
    verdicts
}

/// Whether Redis refuses for a right that the user lacks; else it is full, or lacks replicas. In its
/// words, outside of a script and inside.
fn is_right(why: &str) -> bool {
    ["NOPERM", "NoPerm", "The user executing the script"].iter().any(|words| why.contains(words))
}

/// How a user gets what a process needs, and no more.
fn grant(prefix: &str) -> String {
    format!(
        "let the user of MOIM_REDIS_URL do it: ACL SETUSER … ~{prefix}:* &{prefix}:* +@all -@admin \
         -@dangerous +info"
    )
}

/// What it means that it does not answer as it should.
fn away(at: &str, prefix: &str, why: &str) -> Verdict {
    // The pool's words say nothing.
    let why = why.strip_prefix("Error occurred while creating a new object: ").unwrap_or(why);
    let has = |words: &[&str]| words.iter().any(|word| why.to_lowercase().contains(word));
    let told = |advice: &str| format!("{at}: {why}; {advice}");
    if has(&["authentication", "wrongpass", "noauth", "invalid password"]) {
        Verdict::usage(told("correct user and password in MOIM_REDIS_URL"))
    } else if has(&["noperm"]) {
        Verdict::usage(told(&grant(prefix)))
    } else if has(&["certificate", "unknownissuer"]) {
        Verdict::usage(told("name the file of its issuer in SSL_CERT_FILE"))
    } else if has(&["cluster support disabled"]) {
        Verdict::usage(told("it is no Redis Cluster: say redis://"))
    } else {
        Verdict::away(told("check that it runs and that the way to it is open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nserver_time_usec:1700000000500000\r\n\
        # Memory\r\nused_memory:1000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
        # Persistence\r\nloading:0\r\naof_enabled:1\r\nrole:master\r\ncluster_enabled:0\r\n";

    fn told(changes: &[(&str, &str)]) -> Told {
        let mut info = INFO.to_owned();
        for (key, value) in changes {
            let line = info.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap();
            info = info.replace(line, &format!("{key}:{value}"));
        }
        read(&info, 1_700_000_000_400, 1_700_000_000_600)
    }

    fn said(changes: &[(&str, &str)]) -> (u8, String) {
        let report = Report::only("redis", judge("here:1", false, &[told(changes)]));
        (report.code(), report.to_string())
    }

    #[test]
    fn a_good_one_is_told_in_a_line() {
        assert_eq!(said(&[]), (0, String::new()));
        let well = well("redis:6379", &[told(&[])]);
        assert_eq!(well, "7.0.15 at redis:6379, AOF on, clock 0 ms apart");
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        for (changes, code, says) in [
            (&[("redis_version", "6.2.14")][..], 2, "is Redis 6.2.14, too old"),
            (&[("role", "slave")], 2, "a replica"),
            (&[("loading", "1"), ("role", "slave")], 3, "loads its data"),
            (&[("cluster_enabled", "1")], 2, "redis+cluster://"),
            (&[("server_time_usec", "1700000300600000")], 2, "clock is 300 s behind"),
            (&[("server_time_usec", "1699999997000000")], 0, "WARN   redis     this machine's"),
            (&[("maxmemory_policy", "allkeys-lru")], 0, "WARN   redis     maxmemory-policy"),
            (&[("maxmemory", "1001")], 0, "raise its maxmemory"),
        ] {
            let (found, text) = said(changes);
            assert!(text.contains(says), "{changes:?}: {text}");
            assert_eq!(found, code, "{changes:?}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        assert_eq!(said(&[("redis_version", "7.4.0-rc1")]).0, 0);
    }

    #[test]
    fn what_is_refused_is_named_and_why_nothing_is_heard() {
        let code = |tried| {
            let report = Report::only("redis", allowed("here:1", "moim", tried));
            (report.code(), report.to_string())
        };
        assert_eq!(code(Ok(Tried::default())), (0, String::new()));
        let refused = vec!["XADD: NOPERM …".into(), "SET: NOPERM …".into()];
        let (exit, text) = code(Ok(Tried { refused, unheard: None }));
        assert!(exit == 2 && text.contains("refuses XADD, SET (XADD: NOPERM …)"), "{text}");
        let unheard = Some("what is published is not heard".into());
        let (exit, text) = code(Ok(Tried { refused: Vec::new(), unheard }));
        assert!(exit == 2 && text.contains("not heard"), "{text}");
        let (exit, text) = code(Err(RedisAway("NoPerm: User ann … 'evalsha'".into())));
        assert!(exit == 2 && text.contains("~moim:*"), "{text}");
        assert_eq!(code(Err(RedisAway("broken pipe".into()))).0, 3);
    }

    #[test]
    fn a_wrong_password_is_a_fault_of_the_configuration_and_silence_is_not() {
        let code = |why| Report::only("redis", vec![away("here:1", "moim", why)]).code();
        assert_eq!(code("Password authentication failed - AuthenticationFailed"), 2);
        assert_eq!(code("NOAUTH: Authentication required."), 2);
        assert_eq!(code("WRONGPASS: invalid username-password pair"), 2);
        assert_eq!(code("invalid peer certificate: UnknownIssuer"), 2);
        assert_eq!(code("Connection refused (os error 111)"), 3);
    }
}
