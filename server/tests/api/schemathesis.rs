//! Thousands of requests made up from the OpenAPI document, good ones and bad ones: no answer may be
//! another than the document says, and none a fault of the server.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::MANY_TRIES;
use crate::people::PASSWORD;
use crate::script::Script;
use crate::support::*;

const INSTALL: Duration = Duration::from_secs(900);
/// It ends by itself long before.
const RUN: Duration = Duration::from_secs(300);

/// Always the same requests, as far as the answers are the same.
const SEED: &str = "1";
const SECONDS: &str = "70";

#[test]
fn no_request_gets_an_answer_that_the_document_does_not_know() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/schemathesis");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let (install, target) = (here.join("install"), folder.to_str().unwrap());
    Script::run(&[install.to_str().unwrap(), target]).ends_well(INSTALL, |_| ());

    let server = Server::with(&[MANY_TRIES]);
    let asked = json!({ "user": "ann", "password": PASSWORD });
    server.ask("POST /api/v1/auth/register").json(&asked).expect(201);
    let document = format!("http://{}/openapi.json", server.address);
    let validated = folder.join("openapi.json");
    std::fs::write(&validated, server.get("/openapi.json").body).unwrap();
    let program = |name: &str| folder.join("venv/bin").join(name).to_str().unwrap().to_owned();
    let validator = program("openapi-spec-validator");
    Script::run(&[&validator, validated.to_str().unwrap()]).ends_well(RUN, |_| ());

    // It looks for its configuration where it runs, and leaves things there.
    for name in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(here.join(name), folder.join(name)).unwrap();
    }
    let inside = ["sh", "-c", "cd \"$0\" && exec \"$@\"", target];
    let schemathesis = program("schemathesis");
    let token = format!("Authorization: Bearer {}", token("ann"));
    let run = [&schemathesis, "--no-color", "run", &document, "--header", &token];
    let bounds = ["--seed", SEED, "--max-examples", "30", "--max-time", SECONDS];
    let more = ["--continue-on-failure", "--generation-database", "none"];
    Script::run(&[&inside[..], &run, &bounds, &more].concat()).ends_well(RUN, |_| ());
    // Nothing of it brought the server down, or to say that it is at fault.
    server.ask("GET /api/v1/me").token(&crate::support::token("ann")).expect(200);
    assert!(!server.log.text().contains("by our own fault"));
}
