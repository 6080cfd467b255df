//! The OpenAPI document and the page that shows it.

use serde_json::Value;

use crate::SERVER;
use crate::support::*;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document() -> Value {
    let answer = SERVER.get("/openapi.json");
    assert_eq!((answer.status, answer.get("content-type")), (200, Some("application/json")));
    answer.json()
}

/// Every operation, by its path and method.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let named = |method: &&str| item.get(*method).map(|it| ((*method).to_owned(), it.clone()));
        METHODS.iter().filter_map(named).map(|(method, it)| (path.clone(), method, it))
    });
    operations.collect()
}

#[tokio::test]
async fn it_is_one() {
    let text = SERVER.get("/openapi.json").body;
    let spec = oas3::from_json(&text).unwrap();
    assert!(spec.validate_version().is_ok());
    assert_eq!(spec.info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(document()["servers"], serde_json::json!([{ "url": "/" }]));
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn it_lists_exactly_the_routes_that_there_are() {
    let document = document();
    let operations = operations(&document);
    for path in document["paths"].as_object().unwrap().keys() {
        let here = path.replace("{room}", "lobby").replace("{user}", "ann");
        let here = here.replace("{installation}", "phone");
        for method in METHODS.iter().chain(&["head", "options"]) {
            let start = format!("{} {here}", method.to_uppercase());
            let answer = SERVER.ask(&start).header("Content-Length", "0").answer();
            let known = operations.iter().any(|(own, its, _)| own == path && its == method);
            assert_eq!(answer.status != 405, known, "{start}: {answer:?}");
            if known {
                assert!([401, 415].contains(&answer.status), "{start}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_says_what_it_may_answer_and_who_may_ask() {
    let document = document();
    let mut ids = Vec::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
        assert!(operation["summary"].is_string(), "{name}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        assert!(responses.contains_key("503"), "{name}");
        let open = operation["security"] == serde_json::json!([{}]);
        let logs_in = path == "/api/v1/auth/login" || path == "/api/v1/auth/refresh";
        assert_eq!(responses.contains_key("401"), !open || logs_in, "{name}");
        for (status, response) in responses {
            if status.starts_with(['4', '5']) {
                let reference = response["$ref"].as_str().unwrap();
                let response = document.pointer(&reference[1..]).unwrap();
                let content = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(content, "#/components/schemas/Problem", "{name} {status}");
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "two operations have one id");
}

#[tokio::test]
async fn it_states_the_limits_as_they_are() {
    let server = Server::with(&[("MOIM_LIMITS__SEND_RATE", "321")]);
    let document = server.get("/openapi.json").json();
    let description = document["info"]["description"].as_str().unwrap();
    for limit in ["321 SENDs", "2000", "256 subscriptions", "1MiB", "1228KiB", "4MiB", "30s"] {
        assert!(description.contains(limit), "no `{limit}` in {description}");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    for path in ["/docs", "/docs/"] {
        let page = SERVER.get(path);
        assert_eq!(page.status, 200);
        assert!(page.get("content-type").unwrap().starts_with("text/html"));
        let policy = page.get("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{policy}");
        let parts = page.body.split(['"']).filter(|part| part.starts_with('/'));
        let mut count = 0;
        for part in parts {
            assert!(part.starts_with("/docs/"), "{part}");
            assert_eq!(SERVER.get(part).status, 200, "{part}");
            count += 1;
        }
        assert_eq!(count, 7, "{}", page.body);
        assert!(!page.body.contains("://") && !page.body.contains("<script>"));
    }
    assert!(SERVER.get("/docs/swagger-initializer.js").body.contains("\"/openapi.json\""));
    assert_eq!(SERVER.get("/docs/../Cargo.toml").status, 404);
    assert_eq!(SERVER.get("/docs/nothing").status, 404);
}
