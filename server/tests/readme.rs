//! What the README says, held against the code: its tour is run word for word, and its tables name
//! what there is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use moim_server::outbox::CloseReason;
use moim_server::refusal::Code;
use moim_shared::config::Config;
use moim_shared::health::Report;
use moim_shared::store::Load;
use support::Server;

const README: &str = include_str!("../../README.md");

/// The text under a heading, up to the next one of its level.
fn section(heading: &str) -> &'static str {
    let level = heading.split(' ').next().unwrap();
    let (_, text) = README.split_once(&format!("\n{heading}\n")).expect(heading);
    text.split(&format!("\n{level} ")).next().unwrap()
}

/// The code blocks of a language.
fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// What stands in a row between backticks; a row is known by its first cell.
fn named(text: &'static str, row: &str) -> BTreeSet<&'static str> {
    let line = text.lines().find(|line| line.starts_with(&format!("| {row} |"))).expect(row);
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_tour_works_word_for_word() {
    let server = Server::start();
    let tour = blocks(section("## Five minutes"), "sh").concat();
    let here = format!("http://{}/api/v1", server.address);
    let script = tour.replace("http://127.0.0.1:8080/api/v1", &here);
    assert_ne!(script, tour);
    let output = Command::new("bash").args(["-euc", &script]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [room, joined, first, again, history, own] = &answers[..] else { panic!("{said}") };
    assert_eq!((&room["id"], &joined["user"]), (&"lobby".into(), &"joon".into()));
    assert_eq!(first["position"], again["position"], "still one message");
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["body"], "hello, Joon");
    assert_eq!(own["rooms"][0]["unread"], 1);
}

#[test]
fn the_templates_of_the_example_are_taken() {
    let [example] = blocks(section("## An existing Android app"), "toml")[..] else { panic!() };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), example).unwrap();
    let config = Config::load(&[("MOIM_CONFIG", file.path().to_str().unwrap())]).unwrap();
    assert_eq!((config.templates.sends.len(), config.templates.subscribes.len()), (1, 1));
}

#[test]
fn the_tables_name_every_code() {
    let codes = section("### Codes and limits");
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(named(codes, "refusals"), all);
    assert!(named(codes, "HTTP").is_subset(&all));
    let close = codes.lines().find(|line| line.starts_with("| close |")).unwrap();
    for reason in CloseReason::ALL {
        assert!(close.contains(&format!("{} ", reason.code)), "{reason:?}");
    }
}

/// The metrics that a process shows, as Prometheus names them.
fn metrics(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let name = |line: &str| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, _) => name.to_owned(),
    };
    types.map(name).collect()
}

#[test]
fn the_tables_name_every_metric() {
    let server = moim_server::metrics::Metrics::new();
    let worker = moim_worker::metrics::Metrics::default();
    let report = Report { status: "ok", dependencies: [("store", "ok".to_owned())].into() };
    let load = Load { lane: "read", connections: 4, used: 0, waiting: 0, late: 0 };
    server.standing.set(&report, &[load]);
    worker.standing.set(&report, &[load]);
    let (server, worker) = (server.text().unwrap(), worker.text().unwrap());
    let all: BTreeSet<String> = metrics(&server).union(&metrics(&worker)).cloned().collect();
    let text = section("### Metrics");
    let named = |start: &str| -> Vec<&str> {
        text.split('`').skip(1).step_by(2).filter(|name| name.starts_with(start)).collect()
    };
    let mut told: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("| `moim_"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    for common in [&["draining"], &named("dependency_")[..], &named("store_pool_")].concat() {
        told.extend(["moim", "moim_worker"].map(|process| format!("{process}_{common}")));
    }
    // The label stands beside its metric.
    told.retain(|name| !name.ends_with("_dependency"));
    assert_eq!(told, all);
}

#[test]
fn the_tests_of_every_promise_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let is_there = |name: &str| {
        let path = top.join(name);
        path.is_dir() || path.with_extension("rs").is_file()
    };
    let mut count = 0;
    for row in section("## What it promises").lines().filter(|line| line.starts_with("| P")) {
        // `suite`: `module`, `module`; `path`
        for group in row.rsplit('|').nth(1).unwrap().split("; ") {
            let (suite, names) = group.split_once(": ").unwrap_or(("", group));
            let suite = suite.trim().trim_matches('`');
            for name in names.split('`').skip(1).step_by(2) {
                let folders = ["server/src", "server/tests", "."];
                let known = match suite {
                    "" => folders.iter().any(|folder| is_there(&format!("{folder}/{name}"))),
                    _ => is_there(&format!("server/tests/{suite}/{name}")),
                };
                assert!(known, "{suite} {name}: {row}");
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn the_limits_are_those_of_the_configuration() {
    let config = Config::commented_default();
    let (_, limits) = config.split_once("\n[limits]\n").unwrap();
    let rows =
        section("### Codes and limits").lines().filter(|line| line.starts_with("| `limits."));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let key = cells[1].trim_matches('`').strip_prefix("limits.").unwrap();
        let line = limits.lines().find(|line| line.starts_with(&format!("{key} = "))).expect(key);
        assert_eq!(line.split(" = ").nth(1).unwrap().trim_matches('"'), cells[2], "{key}");
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn the_rest_table_names_every_route_and_no_other() {
    let server = Server::start();
    let document = server.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let served: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            let path = path.strip_prefix("/api/v1").unwrap_or(path);
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let told: BTreeSet<String> = section("### REST")
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.split_once(" /").is_some_and(|(method, _)| method.len() < 7))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, served);
}

#[test]
fn every_variable_that_it_names_is_a_key() {
    let config = Config::commented_default();
    let named = README.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    let named = named.filter(|word| word.starts_with("MOIM_") && !word.ends_with('_'));
    for variable in named.filter(|word| !word.starts_with("MOIM_TEST_") && *word != "MOIM_CONFIG") {
        assert!(config.contains(&format!("# {variable}: ")), "{variable}");
    }
}
