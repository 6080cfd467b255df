//! Whether the resources fit together: selectors and what they take, references and what is there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{Manifests, list, takes, text, title};

/// What does not. `given` are the Secrets that operators make.
pub fn misfits(manifests: &Manifests, given: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, one) in manifests.0.iter().enumerate() {
        if manifests.0[..number].iter().any(|other| title(other) == title(one)) {
            wrong.push("is there twice".to_owned());
        }
        let misfits = match one["kind"].as_str().unwrap() {
            "Deployment" | "StatefulSet" => workload(manifests, one),
            "Service" => service(manifests, one),
            "Ingress" => ingress(manifests, one),
            "PodDisruptionBudget" => takes_pods(manifests, &one["spec"]["selector"]),
            "HorizontalPodAutoscaler" | "ScaledObject" => scaler(manifests, one),
            "NetworkPolicy" => policy(manifests, one),
            "ServiceMonitor" => monitor(manifests, one),
            "TriggerAuthentication" => secrets(&one["spec"], manifests, given),
            "Job" | "ConfigMap" | "Secret" | "Namespace" | "ServiceAccount" | "PrometheusRule" => {
                Vec::new()
            }
            other => panic!("{other} is new here"),
        };
        wrong.extend(misfits.into_iter().map(|what| format!("{}: {what}", title(one))));
    }
    for pod in manifests.pods() {
        let mut misfits = secrets(pod.spec, manifests, given);
        if pod.spec["enableServiceLinks"] != false {
            misfits.push("has variables of every Service".into());
        }
        if pod.spec["automountServiceAccountToken"] != false {
            misfits.push("has a token of its account".into());
        }
        for container in pod.containers() {
            let resources = &container["resources"];
            if resources["requests"].get("cpu").is_none()
                || resources["requests"].get("memory").is_none()
                || resources["limits"].get("memory").is_none()
            {
                misfits.push("does not say what it needs".into());
            }
            let read_only = container["securityContext"]["readOnlyRootFilesystem"] == true;
            if pod.component().is_some() && !read_only {
                misfits.push("may write into its root".into());
            }
        }
        if pod.component().is_some() {
            let account = &pod.spec["serviceAccountName"];
            if manifests.named("ServiceAccount", account).is_none() {
                misfits.push(format!("there is no ServiceAccount {account}"));
            }
        }
        wrong.extend(misfits.into_iter().map(|what| format!("{}: {what}", pod.owner)));
    }
    wrong
}

fn takes_pods(manifests: &Manifests, selector: &Value) -> Vec<String> {
    let none = manifests.selected(selector).is_empty();
    if none { vec![format!("its selector {selector} takes no pod")] } else { Vec::new() }
}

fn workload(manifests: &Manifests, one: &Value) -> Vec<String> {
    let labels = &one["spec"]["template"]["metadata"]["labels"];
    let mut wrong = Vec::new();
    let pod = &one["spec"]["template"]["spec"];
    let spread = list(&pod["topologySpreadConstraints"]).map(|one| &one["labelSelector"]);
    for selector in spread.chain([&one["spec"]["selector"]]) {
        if !takes(selector, labels) {
            wrong.push(format!("{selector} does not take its own pods"));
        }
    }
    let service = one["spec"].get("serviceName");
    if service.is_some_and(|name| manifests.named("Service", name).is_none()) {
        wrong.push("its Service is not there".into());
    }
    wrong
}

fn service(manifests: &Manifests, one: &Value) -> Vec<String> {
    let selector = &one["spec"]["selector"];
    let mut wrong = takes_pods(manifests, selector);
    for pod in manifests.selected(selector) {
        for port in list(&one["spec"]["ports"]) {
            if pod.port(&port["targetPort"]).is_none() {
                wrong.push(format!("{} has no port {}", pod.owner, port["targetPort"]));
            }
        }
    }
    wrong
}

fn ingress(manifests: &Manifests, one: &Value) -> Vec<String> {
    let paths = list(&one["spec"]["rules"]).flat_map(|rule| list(&rule["http"]["paths"]));
    let backends = paths.map(|path| &path["backend"]["service"]);
    let missing = backends.filter(|backend| {
        let service = manifests.named("Service", &backend["name"]);
        !service.is_some_and(|service| {
            list(&service["spec"]["ports"]).any(|port| port["name"] == backend["port"]["name"])
        })
    });
    missing.map(|backend| format!("there is no {backend}")).collect()
}

fn scaler(manifests: &Manifests, one: &Value) -> Vec<String> {
    let target = &one["spec"]["scaleTargetRef"];
    let deployment = manifests.named("Deployment", &target["name"]);
    let mut wrong = Vec::new();
    match deployment {
        None => wrong.push(format!("there is no {target}")),
        Some(deployment) if deployment["spec"].get("replicas").is_some() => {
            wrong.push("its target says how many, too".into());
        }
        Some(_) => {}
    }
    for trigger in list(&one["spec"]["triggers"]) {
        let named = trigger["authenticationRef"].get("name");
        if named.is_some_and(|name| manifests.named("TriggerAuthentication", name).is_none()) {
            wrong.push(format!("there is no TriggerAuthentication {}", named.unwrap()));
        }
    }
    wrong
}

fn policy(manifests: &Manifests, one: &Value) -> Vec<String> {
    let spec = &one["spec"];
    let mut wrong = takes_pods(manifests, &spec["podSelector"]);
    // Who is reached: those that it is for, or those that it names.
    for ingress in list(&spec["ingress"]) {
        wrong.extend(closed(manifests, &spec["podSelector"], ingress));
        let from = list(&ingress["from"]).filter_map(|peer| peer.get("podSelector"));
        wrong.extend(from.flat_map(|selector| takes_pods(manifests, selector)));
    }
    for egress in list(&spec["egress"]) {
        for selector in list(&egress["to"]).filter_map(|peer| peer.get("podSelector")) {
            wrong.extend(takes_pods(manifests, selector));
            wrong.extend(closed(manifests, selector, egress));
        }
    }
    wrong
}

/// The ports that are let through to pods which do not have them.
fn closed(manifests: &Manifests, selector: &Value, rule: &Value) -> Vec<String> {
    let pods = manifests.selected(selector);
    let ports = list(&rule["ports"])
        .filter(|port| pods.iter().any(|pod| pod.port(&port["port"]).is_none()));
    ports.map(|port| format!("lets {port} through, which is closed")).collect()
}

fn monitor(manifests: &Manifests, one: &Value) -> Vec<String> {
    let services: Vec<_> = manifests
        .of_kind("Service")
        .filter(|service| takes(&one["spec"]["selector"], &service["metadata"]["labels"]))
        .collect();
    let mut wrong = Vec::new();
    for endpoint in list(&one["spec"]["endpoints"]) {
        let having = services.iter().filter(|service| {
            list(&service["spec"]["ports"]).any(|port| port["name"] == endpoint["port"])
        });
        let scraped: BTreeSet<_> =
            having.map(|service| text(&service["metadata"]["name"])).collect();
        if scraped != BTreeSet::from(["moim-server", "moim-worker"]) {
            wrong.push(format!("scrapes {scraped:?}"));
        }
        if endpoint["path"] != "/metrics" {
            wrong.push(format!("asks for {}", endpoint["path"]));
        }
    }
    wrong
}

/// Secrets below `value` that nobody makes, and keys that are not in them.
fn secrets(value: &Value, manifests: &Manifests, given: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check =
        |name: &Value, key: Option<&Value>, optional: bool| match manifests.named("Secret", name) {
            _ if given.contains(&text(name)) || optional => {}
            None => wrong.push(format!("nobody makes the Secret {name}")),
            Some(secret) => {
                if key.is_some_and(|key| secret["data"].get(text(key)).is_none()) {
                    wrong.push(format!("the Secret {name} has no {}", key.unwrap()));
                }
            }
        };
    let variables = list(&value["containers"]).flat_map(|container| list(&container["env"]));
    for from in variables.filter_map(|one| one["valueFrom"].get("secretKeyRef")) {
        check(&from["name"], from.get("key"), from["optional"] == true);
    }
    for volume in list(&value["volumes"]).filter_map(|volume| volume.get("secret")) {
        check(&volume["secretName"], None, false);
    }
    for target in list(&value["secretTargetRef"]) {
        check(&target["name"], target.get("key"), false);
    }
    wrong
}
