//! What the manifests say of the code, held against it: variables, ports, routes, commands, metrics.

use std::collections::{BTreeMap, BTreeSet};

use moim_shared::config::{Config, Span};
use moim_shared::health::Report;
use moim_shared::store::Load;
use serde_json::Value;

use crate::model::{Manifests, Pod, list, pairs, text, title};

/// What is served, where: `deploy/image-check` asks for each of them.
pub const ROUTES: [(&str, &str, &str); 6] = [
    ("server", "http", "/livez"),
    ("server", "http", "/readyz"),
    ("server", "metrics", "/metrics"),
    ("worker", "metrics", "/livez"),
    ("worker", "metrics", "/readyz"),
    ("worker", "metrics", "/metrics"),
];

/// The name of a metric's sample, as queries have it.
pub type Samples = BTreeSet<String>;

/// All that servers and workers tell.
pub fn samples() -> Samples {
    let server = moim_server::metrics::Metrics::new();
    let worker = moim_worker::metrics::Metrics::default();
    // What is known only of a process that runs.
    let report = Report { status: "ok", dependencies: [("store", "ok".to_owned())].into() };
    let load = Load { lane: "read", connections: 4, used: 0, waiting: 0, late: 0 };
    server.standing.set(&report, &[load]);
    worker.standing.set(&report, &[load]);
    let types = [server.text().unwrap(), worker.text().unwrap()].concat();
    let types = types.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let suffixes = |kind: &str| match kind {
        "counter" => vec!["_total"],
        "histogram" => vec!["_bucket", "_sum", "_count"],
        "gauge" => vec![""],
        other => panic!("{other} is new here"),
    };
    let all = types.flat_map(|(name, kind)| {
        suffixes(kind).into_iter().map(move |suffix| format!("{name}{suffix}"))
    });
    all.collect()
}

/// Every `MOIM_*` that the text names and the configuration does not.
pub fn unknown_variables(yaml: &str) -> Vec<String> {
    let default = Config::commented_default();
    let known = default.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(": "));
    let known: BTreeSet<_> = known.map(|(name, _)| name).chain(["MOIM_CONFIG"]).collect();
    let words = yaml.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named: BTreeSet<_> = words.filter(|word| word.starts_with("MOIM_")).collect();
    let unknown = named.into_iter().filter(|name| !known.contains(name));
    unknown.map(|name| format!("the configuration has no {name}")).collect()
}

/// What does not hold of Moim's own pods, in the environment that they get.
pub fn mistaken_pods(manifests: &Manifests) -> Vec<String> {
    let pods = manifests.pods();
    let ours = pods.iter().filter_map(|pod| Some((pod, pod.component()?)));
    ours.flat_map(|(pod, component)| {
        let mut wrong = Vec::new();
        for container in pod.containers() {
            wrong.extend(mistaken(manifests, pod, component, container));
        }
        wrong.into_iter().map(move |what| format!("{}: {what}", pod.owner))
    })
    .collect()
}

fn mistaken(
    manifests: &Manifests,
    pod: &Pod<'_>,
    component: &str,
    container: &Value,
) -> Vec<String> {
    let environment = match environment(manifests, container) {
        Ok(environment) => environment,
        Err(wrong) => return vec![wrong],
    };
    let config = match Config::load(&environment) {
        Ok(config) => config,
        Err(error) => return vec![error.to_string()],
    };
    let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
    let served = match component {
        "server" => {
            [("http", Some(config.listen.port())), ("metrics", port(config.admin_listen))].into()
        }
        "worker" => BTreeMap::from([("metrics", Some(config.worker_listen.port()))]),
        _ => BTreeMap::new(),
    };
    let mut wrong = Vec::new();
    let said: BTreeMap<_, _> = list(&container["ports"])
        .map(|port| (text(&port["name"]), port["containerPort"].as_u64()))
        .collect();
    let served_numbers: BTreeMap<_, _> =
        served.iter().map(|(name, port)| (*name, port.map(u64::from))).collect();
    if said != served_numbers {
        wrong.push(format!("has the ports {said:?}, and serves at {served_numbers:?}"));
    }
    for kind in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[kind]["httpGet"];
        let route = (component, text(&get["port"]), text(&get["path"]));
        let wanted = if kind == "readinessProbe" { "/readyz" } else { "/livez" };
        if component != "migrate" && !(ROUTES.contains(&route) && route.2 == wanted) {
            wrong.push(format!("its {kind} asks {route:?}"));
        }
    }
    let drain = environment.get("MOIM_DRAIN_BOUND").and_then(|bound| bound.parse::<Span>().ok());
    let drain = drain.map_or(0, |bound| bound.get().as_secs());
    let grace = pod.spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let stop = pre_stop(container);
    if component != "migrate" && (drain == 0 || grace < stop + drain) {
        wrong.push(format!("{grace} s are less than its preStop ({stop} s) and drain ({drain} s)"));
    }
    wrong
}

/// Rollouts that end one server while another one still sends its people away: a Deployment does
/// not wait for pods that end.
pub fn hasty_rollouts(manifests: &Manifests) -> Vec<String> {
    let servers = manifests.of_kind("Deployment").filter(|one| {
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "server"
    });
    servers
        .filter_map(|one| {
            let container = &one["spec"]["template"]["spec"]["containers"][0];
            let environment = environment(manifests, container).ok()?;
            let spread: Span = environment.get("MOIM_DRAIN_SPREAD")?.parse().ok()?;
            let leaving = pre_stop(container) + spread.get().as_secs();
            let ready = one["spec"]["minReadySeconds"].as_u64().unwrap_or(0);
            let title = title(one);
            (ready < leaving)
                .then(|| format!("{title}: counts after {ready} s, others leave for {leaving} s"))
        })
        .collect()
}

/// Seconds.
fn pre_stop(container: &Value) -> u64 {
    let command = list(&container["lifecycle"]["preStop"]["exec"]["command"]).map(text);
    match command.collect::<Vec<_>>()[..] {
        [] => 0,
        ["sleep", seconds] => seconds.parse().unwrap(),
        ref other => panic!("how long does {other:?} take?"),
    }
}

/// The variables of a container: those of its ConfigMaps, then its own. What a Secret holds that
/// operators make is made up.
fn environment(
    manifests: &Manifests,
    container: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for from in list(&container["envFrom"]) {
        let name = &from["configMapRef"]["name"];
        let map = manifests.named("ConfigMap", name).ok_or(format!("no ConfigMap {name}"))?;
        all.extend(pairs(&map["data"]));
    }
    for one in list(&container["env"]) {
        let value = match one.get("valueFrom") {
            None => text(&one["value"]).to_owned(),
            Some(from) if from.get("secretKeyRef").is_some() => made_up(text(&one["name"])),
            Some(from) if from["fieldRef"]["fieldPath"] == "metadata.name" => "a-pod".to_owned(),
            Some(other) => return Err(format!("what is {other}?")),
        };
        all.insert(text(&one["name"]).to_owned(), value);
    }
    Ok(all)
}

fn made_up(name: &str) -> String {
    let value = match name {
        "MOIM_REDIS_URL" => "redis://redis.example.org:6379",
        "MOIM_AMQP_URL" => "amqp://moim:moim@rabbitmq.example.org:5672/%2f",
        "MOIM_DATABASE_URL" => "postgres://moim:moim@postgres.example.org/moim",
        _ => "32-bytes-or-more-of-printable-text",
    };
    value.to_owned()
}

/// Every image's first argument: `server migrate`.
pub fn commands(manifests: &Manifests) -> BTreeSet<(String, String)> {
    let pods = manifests.pods();
    let ours = pods.iter().filter(|pod| pod.component().is_some());
    let commands = ours.flat_map(|pod| {
        pod.containers().map(|container| {
            assert!(container.get("command").is_none(), "{}: the image's own", pod.owner);
            let image = text(&container["image"]).rsplit('/').next().unwrap();
            let binary = image.split(':').next().unwrap();
            let arguments: Vec<_> = list(&container["args"]).map(text).collect();
            let [argument] = arguments[..] else { panic!("{}: {arguments:?}", pod.owner) };
            (binary.to_owned(), argument.to_owned())
        })
    });
    commands.collect()
}

/// What queries ask for that nobody tells.
pub fn unknown_metrics(manifests: &Manifests, samples: &Samples) -> Vec<String> {
    let rules: Vec<_> = manifests
        .of_kind("PrometheusRule")
        .flat_map(|one| list(&one["spec"]["groups"]).flat_map(|group| list(&group["rules"])))
        .collect();
    let recorded: BTreeSet<_> = rules.iter().map(|rule| text(&rule["record"])).collect();
    let jobs: BTreeSet<_> =
        manifests.of_kind("Service").map(|one| text(&one["metadata"]["name"])).collect();
    let scaled = manifests.of_kind("ScaledObject").flat_map(|one| {
        let triggers = list(&one["spec"]["triggers"]);
        triggers.map(move |trigger| (title(one), text(&trigger["metadata"]["query"])))
    });
    let alerts = rules.iter().map(|rule| {
        (format!("{}{}", text(&rule["alert"]), text(&rule["record"])), text(&rule["expr"]))
    });
    let mut wrong = Vec::new();
    for (whose, query) in scaled.chain(alerts) {
        for name in words(query).filter(|word| word.starts_with("moim_")) {
            if !samples.contains(name) {
                wrong.push(format!("{whose} asks for {name}, which nobody tells"));
            }
        }
        for name in words(query).filter(|word| word.starts_with("moim:")) {
            if !recorded.contains(name) {
                wrong.push(format!("{whose} asks for {name}, which is not recorded"));
            }
        }
        let mut strings = query.split('"').skip(1).step_by(2).flat_map(|value| value.split('|'));
        if let Some(job) = strings.find(|job| job.starts_with("moim-") && !jobs.contains(job)) {
            wrong.push(format!("{whose} asks for the job {job}, and no Service has that name"));
        }
    }
    wrong
}

/// Queues whose length is asked for and that are none of a cluster by its default name.
pub fn unknown_queues(manifests: &Manifests) -> Vec<String> {
    const TOPOLOGY: &str = include_str!("../../../shared/src/queue/amqp/topology.rs");
    let scaled = manifests.of_kind("ScaledObject").flat_map(|one| list(&one["spec"]["triggers"]));
    let asked = scaled.filter_map(|trigger| trigger["metadata"]["queueName"].as_str());
    let cluster = Config::default().cluster.to_string();
    let unknown = asked.filter(|queue| match queue.strip_prefix(&cluster) {
        Some(rest) => !TOPOLOGY.contains(&format!("\"{{}}{rest}\"")),
        None => true,
    });
    unknown.map(|queue| format!("there is no queue {queue}")).collect()
}

/// The names of a query, without what stands in strings.
fn words(query: &str) -> impl Iterator<Item = &str> {
    let outside = query.split('"').step_by(2);
    outside.flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))))
}
