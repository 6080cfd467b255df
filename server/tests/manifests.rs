//! The manifests of `k8s/`: rendered by the oldest and the newest kubectl, and held against the
//! schemas of Kubernetes and of its extensions, against the restricted Pod Security Standard,
//! against each other and against the code. See `manifests/install` for what is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "manifests/cited.rs"]
mod cited;
#[path = "manifests/code.rs"]
mod code;
#[path = "manifests/model.rs"]
mod model;
#[path = "../../shared/tests/support/postgres.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod postgres;
#[path = "manifests/rendered.rs"]
mod rendered;
#[path = "manifests/restricted.rs"]
mod restricted;
#[path = "manifests/shape.rs"]
mod shape;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rendered::{KUBECTLS, REPOSITORY, invalid, parsed, rendered, run};
use tokio::task::spawn_blocking;

const OVERLAYS: [&str; 2] = ["dev", "prod"];
/// What the README has operators make before they apply `prod`.
const GIVEN: [&str; 4] = ["moim-services", "moim-tokens", "moim-fcm", "moim-tls"];

/// How a PodDisruptionBudget's selector begins.
const BUDGET: &str = "maxUnavailable: 1\n  selector:\n    matchLabels:\n";

/// All that can be said against an overlay, but for its schemas.
fn complaints(yaml: &str, given: &[&str]) -> Vec<String> {
    let manifests = parsed(yaml);
    let pods = manifests.pods();
    let mut all: Vec<String> = pods.iter().flat_map(restricted::broken).collect();
    all.extend(shape::misfits(&manifests, given));
    all.extend(code::unknown_variables(yaml));
    all.extend(code::mistaken_pods(&manifests));
    all.extend(code::hasty_rollouts(&manifests));
    all.extend(code::unknown_metrics(&manifests, &code::samples()));
    all.extend(code::unknown_queues(&manifests));
    all
}

fn given(overlay: &str) -> &'static [&'static str] {
    if overlay == "prod" { &GIVEN } else { &[] }
}

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_kubectl_renders_what_the_schemas_allow() {
    for overlay in OVERLAYS {
        for kubectl in KUBECTLS {
            let manifests = parsed(&rendered(kubectl, overlay));
            assert!(manifests.0.len() > 20, "{overlay} by {kubectl}");
            none(&invalid(&manifests));
        }
    }
}

#[test]
fn what_the_schemas_do_not_allow_is_noticed() {
    let good = rendered(KUBECTLS[1], "prod");
    for (right, wrong) in [
        ("enableServiceLinks:", "enableServiceLink:"),
        ("containerPort: 8080", "containerPort: http"),
        ("pollingInterval:", "polingInterval:"),
        ("  endpoints:", "  endpoint:"),
        ("- alert: ", "- alarm: "),
    ] {
        let changed = good.replace(right, wrong);
        assert_ne!(changed, good, "{right}");
        assert!(!invalid(&parsed(&changed)).is_empty(), "{wrong} is not noticed");
    }
}

#[test]
fn every_overlay_fits_together_keeps_the_restricted_standard_and_is_what_the_code_is() {
    for overlay in OVERLAYS {
        for kubectl in KUBECTLS {
            none(&complaints(&rendered(kubectl, overlay), given(overlay)));
        }
    }
}

#[test]
fn what_is_renamed_or_given_away_is_noticed() {
    let [dev, prod] = OVERLAYS.map(|overlay| rendered(KUBECTLS[1], overlay));
    for (overlay, right, wrong, said) in [
        ("dev", "MOIM_REDIS_URL", "MOIM_REDIS_URI", "no MOIM_REDIS_URI"),
        ("prod", "MOIM_FCM_CREDENTIALS", "MOIM_FCM_CREDENTIAL", "no MOIM_FCM_CREDENTIAL"),
        ("dev", "MOIM_ADMIN_LISTEN: ", "MOIM_ADMIN_HEAR: ", "no MOIM_ADMIN_HEAR"),
        ("dev", "MOIM_DATABASE_CONNECTIONS: \"8\"", "MOIM_DATABASE_CONNECTIONS: many", "many"),
        ("dev", "MOIM_DRAIN_BOUND: 45s", "MOIM_DRAIN_BOUND: 60s", "are less than its preStop"),
        ("prod", "MOIM_DRAIN_SPREAD: 20s", "MOIM_DRAIN_SPREAD: 26s", "others leave for 31 s"),
        ("prod", "minReadySeconds: 30", "minReadySeconds: 10", "counts after 10 s"),
        ("dev", "0.0.0.0:9090", "0.0.0.0:9091", "serves at"),
        ("dev", "containerPort: 8081", "containerPort: 8082", "serves at"),
        ("prod", "path: /readyz", "path: /ready", "readinessProbe asks"),
        ("prod", "moim_connections", "moim_connection", "moim_connection, which nobody tells"),
        ("prod", "expr: moim:worker_flush_lag", "expr: moim:flush_lag", "is not recorded"),
        ("prod", "job=\"moim-worker\"", "job=\"moim-works\"", "the job moim-works"),
        ("dev", "runAsNonRoot: true", "runAsNonRoot: false", "not as root"),
        ("dev", "- ALL", "- KILL", "all capabilities dropped"),
        ("dev", "type: RuntimeDefault", "type: Unconfined", "seccomp"),
        ("dev", "emptyDir:", "hostPath:", "no hostPath"),
        ("dev", "targetPort: http", "targetPort: web", "has no port"),
        ("prod", "moim-fcm", "moim-fmc", "nobody makes"),
        ("prod", "moim.messages", "moim.message", "no queue moim.message"),
        (
            "dev",
            BUDGET,
            "maxUnavailable: 1\n  selector:\n    matchLabels:\n      a: b\n",
            "takes no pod",
        ),
    ] {
        let good = if overlay == "prod" { &prod } else { &dev };
        let changed = good.replace(right, wrong);
        assert_ne!(changed, *good, "{right}");
        let found = complaints(&changed, given(overlay)).join("\n");
        assert!(found.contains(said), "{wrong}: not {said} but\n{found}");
    }
}

#[test]
fn the_rules_of_prometheus_are_those_of_the_operator() {
    let mut script = Command::new(format!("{REPOSITORY}/k8s/rules"));
    script.current_dir(REPOSITORY);
    let file = format!("{REPOSITORY}/k8s/overlays/prod/prometheus-rule.yaml");
    let there = std::fs::read_to_string(file).unwrap();
    assert_eq!(run(script, "").unwrap(), there, "run `k8s/rules` again");
}

#[test]
fn numbers_that_are_cited_stand_in_the_readme() {
    let cited = cited::numbers(Path::new(&format!("{REPOSITORY}/k8s")));
    assert!(cited.len() > 10, "{}", cited.len());
    let readme = std::fs::read_to_string(format!("{REPOSITORY}/README.md")).unwrap();
    none(&cited::missing(&cited, &readme));
    let changed = readme.replace("67,000", "71,700");
    assert!(!cited::missing(&cited, &changed).is_empty(), "another number is not noticed");
}

#[test]
fn the_readme_tells_which_secrets_to_make() {
    let readme = std::fs::read_to_string(format!("{REPOSITORY}/k8s/README.md")).unwrap();
    for secret in GIVEN {
        assert!(readme.contains(&format!(" {secret} ")), "{secret}");
    }
}

#[test]
fn every_command_is_one_of_its_binary() {
    for overlay in OVERLAYS {
        for (binary, command) in code::commands(&parsed(&rendered(KUBECTLS[1], overlay))) {
            let mut program = Command::new(binaries().join(&binary));
            program.args([&command, "--help"]);
            run(program, "").unwrap_or_else(|said| panic!("{binary} {command}: {said}"));
        }
    }
}

#[tokio::test]
async fn the_images_can_be_made_and_run_where_nothing_can_be_written_to() {
    let database = postgres::TestDatabase::empty().await;
    let mut check = Command::new(format!("{REPOSITORY}/deploy/image-check"));
    check.env("MOIM_TEST_DATABASE_URL", database.url());
    check.arg(binaries());
    check.args(code::ROUTES.map(|(image, port, path)| format!("{image}:{port}:{path}")));
    spawn_blocking(move || run(check, "").unwrap_or_else(|said| panic!("{said}"))).await.unwrap();
}

/// The folder with both binaries of this build. Cargo gives a test only those of its own package, so
/// the worker's is built here.
fn binaries() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = Path::new(env!("CARGO_BIN_EXE_moim-server")).parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            named => named,
        };
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--package", "moim-worker", "--bin", "moim-worker"]);
        command.args(["--profile", profile, "--target-dir"]).arg(folder.parent().unwrap());
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        run(command, "").unwrap_or_else(|said| panic!("the worker does not build:\n{said}"));
        folder.to_owned()
    };
    BUILT.get_or_init(build).clone()
}
