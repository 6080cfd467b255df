//! Installing once what the manifests are checked with, and running it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::model::Manifests;

/// Both have to render the same.
pub const KUBECTLS: [&str; 2] = ["kubectl-1.20", "kubectl-new"];
/// The oldest schemas that there are and that know `autoscaling/v2`, and the newest.
const KUBERNETES: [&str; 2] = ["1.25.0", "1.37.0"];
/// Seconds. The first run on a machine may bring Node.js and Python.
const INSTALL: &str = "1800";
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifests");
pub const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A file of what was installed.
fn installed(name: &str) -> PathBuf {
    static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manifests");
    let outcome = OUTCOME.get_or_init(|| {
        let mut install = Command::new("timeout");
        install.args([INSTALL, &format!("{SCRIPTS}/install")]).arg(&folder);
        run(install, "").map(drop)
    });
    if let Err(problem) = outcome {
        panic!("what checks the manifests could not be installed: {problem}");
    }
    folder.join(name)
}

/// What a command says, given this; or what it says that is wrong.
pub fn run(mut command: Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may say much before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It may end without having read.
    let _ = writer.join().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// An overlay as kubectl says it.
pub fn rendered(kubectl: &str, overlay: &str) -> String {
    let mut command = Command::new(installed(kubectl));
    command.args(["kustomize", &format!("{REPOSITORY}/k8s/overlays/{overlay}")]);
    run(command, "").unwrap_or_else(|problem| panic!("{kubectl}, {overlay}: {problem}"))
}

/// YAML as resources.
pub fn parsed(yaml: &str) -> Manifests {
    let mut command = Command::new(installed("venv/bin/python"));
    command.arg(format!("{SCRIPTS}/documents.py"));
    let json = run(command, yaml).unwrap_or_else(|problem| panic!("{problem}:\n{yaml}"));
    Manifests(serde_json::from_str(&json).unwrap())
}

/// Where the schemas do not agree.
pub fn invalid(manifests: &Manifests) -> Vec<String> {
    let custom = |one: &&Value| {
        let group = one["apiVersion"].as_str().unwrap().split('/').next().unwrap();
        group.contains('.') && !group.ends_with(".k8s.io")
    };
    let (custom, own): (Vec<_>, Vec<_>) = manifests.0.iter().partition(custom);
    let mut schemas = Command::new(installed("venv/bin/python"));
    schemas.arg(format!("{SCRIPTS}/schemas.py")).args(KUBERNETES);
    let mut types = Command::new("node");
    types.arg(installed("custom.mjs"));
    let found = [(schemas, own), (types, custom)].map(|(command, resources)| {
        run(command, &serde_json::to_string(&resources).unwrap()).err()
    });
    found.into_iter().flatten().collect()
}
