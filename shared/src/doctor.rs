//! What `doctor` says: each check finds facts, thinly, and judges them, purely.
//!
//! **Invariant**: every check runs, also when another one is wrong, and ends within its deadline.
//! Nothing secret is in what is said: addresses come from those who know how to show them.

mod cluster;
mod data;
mod listen;
mod postgres;
mod rabbitmq;
mod redis;
mod traces;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use tokio::sync::oneshot;

pub use self::cluster::cluster;
pub use self::data::{Disk, data};
pub use self::listen::{Listens, listens};
pub use self::traces::traces;
use crate::config::{Config, ProcessEnv, Source};
use crate::process::{StartError, print};
use crate::store::StoreError;

/// How long one check may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Clocks that differ by more are worth a word: times of messages are those of nodes, and a grace is
/// a few seconds.
const CLOCK_RISKY_MS: u64 = 2_000;
/// And by more than a node's lease in the cluster, nodes that live are taken for gone. (Tokens end a
/// minute late, by `auth.skew`.)
const CLOCK_WRONG_MS: u64 = 10_000;

/// What a check found.
#[derive(Debug)]
pub enum Verdict {
    /// It is as it should be.
    Fine(String),
    /// It works, and is dangerous.
    Risky(String),
    /// With the exit code of a process that does not run for it.
    Wrong(StartError),
}

impl Verdict {
    /// What the process was told is wrong.
    pub const fn usage(text: String) -> Self {
        Self::Wrong(StartError::Usage(text))
    }

    /// Something is not there.
    pub const fn away(text: String) -> Self {
        Self::Wrong(StartError::Away(text))
    }
}

/// A check on its way, by its name.
pub type Check<'a> = (&'static str, LocalBoxFuture<'a, Vec<Verdict>>);

/// What all of them found.
#[derive(Debug, Default)]
pub struct Report(Vec<(&'static str, Verdict)>);

impl Report {
    /// Runs the checks side by side; what they say keeps their order.
    pub async fn of(checks: Vec<Check<'_>>) -> Self {
        Self::within(WITHIN, checks).await
    }

    async fn within(bound: Duration, checks: Vec<Check<'_>>) -> Self {
        let bounded = checks.into_iter().map(|(name, check)| async move {
            let found = tokio::time::timeout(bound, check).await.unwrap_or_else(|_late| {
                let late = format!("no answer within {bound:?}");
                vec![Verdict::Wrong(StartError::Away(late))]
            });
            found.into_iter().map(move |verdict| (name, verdict))
        });
        Self(join_all(bounded).await.into_iter().flatten().collect())
    }

    /// Where there is only one thing to say.
    pub fn only(name: &'static str, verdicts: Vec<Verdict>) -> Self {
        Self(verdicts.into_iter().map(|verdict| (name, verdict)).collect())
    }

    /// 0, or the exit code of the first that is wrong.
    pub fn code(&self) -> u8 {
        let wrong = self.0.iter().find_map(|(_, verdict)| match verdict {
            Verdict::Wrong(error) => Some(error.code()),
            Verdict::Fine(_) | Verdict::Risky(_) => None,
        });
        wrong.unwrap_or(0)
    }

    /// Prints it, and ends as it says.
    pub fn exit(&self, name: &str) -> ExitCode {
        match print(&self.to_string()) {
            Ok(()) => ExitCode::from(self.code()),
            failed => crate::process::exit(name, failed),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in &self.0 {
            let (level, text) = match verdict {
                Verdict::Fine(text) => ("ok", text.clone()),
                Verdict::Risky(text) => ("WARN", text.clone()),
                Verdict::Wrong(error) => ("WRONG", error.to_string()),
            };
            writeln!(f, "{level:<5}  {name:<8}  {}", one_line(&text))?;
        }
        Ok(())
    }
}

/// What others wrote may have lines, and worse.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ").replace(char::is_control, " ")
}

/// Does what blocks on a thread of its own, which the end of the process does not wait for.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    let failed = |why: &dyn fmt::Display| StartError::Internal(format!("no check: {why}"));
    let (reply, answer) = oneshot::channel();
    let run = move || drop(reply.send(work()));
    let started = std::thread::Builder::new().name("doctor".into()).spawn(run);
    started.map_err(|error| failed(&error))?;
    answer.await.map_err(|_gone| failed(&"its thread failed"))
}

/// The configuration of this process, or what is wrong with it; then nothing else can be looked at.
pub fn configured() -> Result<Config, Report> {
    Config::load(&ProcessEnv).map_err(|error| {
        let wrong = |problem: &String| Verdict::Wrong(StartError::Usage(problem.clone()));
        Report::only("config", error.problems().iter().map(wrong).collect())
    })
}

/// What there is to be said of a configuration that was taken.
pub fn taken(config: &Config, env: &dyn Source) -> Vec<Verdict> {
    let file = env.variables().into_iter().find(|(name, _)| name == "MOIM_CONFIG");
    let file = file.map(|(_, path)| format!(" and {}", path.display())).unwrap_or_default();
    let mode = config.mode.name();
    vec![Verdict::Fine(format!("{mode}, from the environment{file}"))]
}

/// A database's error, which has its address in front.
fn of_store(error: StoreError) -> Verdict {
    Verdict::Wrong(match error {
        StoreError::Unavailable(why) => StartError::Away(why),
        StoreError::Misconfigured(why) => StartError::Usage(why),
        StoreError::Migration(why) => StartError::Migration(why),
        StoreError::Unusable(why) => StartError::Data(why),
        StoreError::Refused(why) => StartError::Internal(why),
    })
}

/// How far another clock is from ours, in ms, at least: it was read between two looks at ours.
/// Negative when it is behind.
fn apart(before: u64, theirs: u64, after: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (before, theirs, after) = (signed(before), signed(theirs), signed(after));
    (theirs - after).max(0) + (theirs - before).min(0)
}

/// What it means that `whose` clock is so far from ours.
fn clock(whose: &str, apart: i64) -> Option<Verdict> {
    let far = apart.unsigned_abs();
    let way = if apart > 0 { "behind" } else { "ahead of" };
    let said = format!("this machine's clock is {} {way} {whose}", span(far));
    if far > CLOCK_WRONG_MS {
        let harm = "nodes take each other for gone, and tokens end at wrong times";
        let told = format!("{said}: {harm}; set the clocks by NTP, on both");
        Some(Verdict::Wrong(StartError::Usage(told)))
    } else if far > CLOCK_RISKY_MS {
        let harm = "messages have wrong times";
        Some(Verdict::Risky(format!("{said}: {harm}; set the clocks by NTP, on both")))
    } else {
        None
    }
}

fn span(ms: u64) -> String {
    match ms {
        0..2_000 => format!("{ms} ms"),
        2_000..600_000 => format!("{} s", (ms + 500) / 1_000),
        _ => format!("{} min", (ms + 30_000) / 60_000),
    }
}

/// `major.minor` and so on, as far as there are numbers.
fn version(text: &str) -> Vec<u32> {
    let numbers = text.split(['.', '-', '+', ' ', '~']);
    numbers.map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(code: fn(String) -> StartError) -> Verdict {
        Verdict::Wrong(code("why".into()))
    }

    #[test]
    fn the_first_that_is_wrong_has_the_exit_code_and_a_warning_has_none() {
        let report = |verdicts| Report::only("x", verdicts).code();
        assert_eq!(report(vec![Verdict::Fine("a".into()), Verdict::Risky("b".into())]), 0);
        assert_eq!(report(vec![Verdict::Risky("b".into()), wrong(StartError::Away)]), 3);
        assert_eq!(report(vec![wrong(StartError::Migration), wrong(StartError::Usage)]), 4);
    }

    #[test]
    fn a_verdict_is_a_line_whatever_is_in_it() {
        let verdicts = vec![
            Verdict::Fine("7.0.15".into()),
            Verdict::Wrong(StartError::Usage("one\n  two\u{1b}[31m\n".into())),
        ];
        let text = Report::only("redis", verdicts).to_string();
        assert_eq!(text, "ok     redis     7.0.15\nWRONG  redis     one; two [31m\n");
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_away_and_the_others_are_heard() {
        let checks: Vec<Check<'_>> = vec![
            ("a", Box::pin(std::future::pending())),
            ("b", Box::pin(async { vec![Verdict::Fine("well".into())] })),
        ];
        let report = Report::within(Duration::from_millis(10), checks).await;
        let text = report.to_string();
        assert!(text.contains("no answer within 10ms") && text.contains("well"), "{text}");
        assert_eq!(report.code(), 3);
    }

    #[test]
    fn a_clock_that_was_read_on_the_way_is_not_apart() {
        assert_eq!(apart(1_000, 1_500, 2_000), 0);
        assert_eq!(apart(1_000, 2_300, 2_000), 300);
        assert_eq!(apart(1_000, 600, 2_000), -400);
    }

    #[test]
    fn a_clock_is_risky_from_seconds_on_and_wrong_where_nodes_lose_each_other() {
        assert!(clock("that of x", 2_000).is_none());
        for (ms, code, says) in [
            (-2_001, None, "2 s ahead of"),
            (10_000, None, "10 s behind"),
            (10_001, Some(2), "10 s behind"),
            (-300_000, Some(2), "300 s ahead of"),
        ] {
            let report = Report::only("x", clock("that of x", ms).into_iter().collect());
            assert_eq!(report.code(), code.unwrap_or(0), "{ms}");
            assert!(report.to_string().contains(says), "{report}");
        }
    }

    #[test]
    fn a_version_is_its_numbers() {
        assert_eq!(version("3.10.8"), [3, 10, 8]);
        assert_eq!(version("15.6 (Debian 15.6-0+deb12u1)"), [15, 6]);
        assert!(version("3.10.8") >= vec![3, 10] && version("3.9.1") < vec![3, 10]);
        assert!(version("4.0.0-rc.1") > vec![3, 13]);
        assert!(version("").is_empty());
    }
}
