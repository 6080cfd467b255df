//! What kubectl renders, as resources and the pods that they make.

use std::collections::BTreeMap;

use serde_json::Value;

/// All resources of an overlay.
pub struct Manifests(pub Vec<Value>);

/// A template of pods, and whose it is.
pub struct Pod<'a> {
    pub owner: String,
    pub labels: &'a Value,
    pub spec: &'a Value,
}

impl Manifests {
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |one| one["kind"] == kind)
    }

    pub fn named(&self, kind: &str, name: &Value) -> Option<&Value> {
        self.0.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == *name)
    }

    /// All there are, whatever makes them.
    pub fn pods(&self) -> Vec<Pod<'_>> {
        let pods = self.0.iter().filter_map(|one| {
            let template = match one["kind"].as_str().unwrap() {
                "Pod" => one,
                "CronJob" => &one["spec"]["jobTemplate"]["spec"]["template"],
                _ => &one["spec"]["template"],
            };
            let spec = template.get("spec").filter(|spec| spec.get("containers").is_some())?;
            Some(Pod { owner: title(one), labels: &template["metadata"]["labels"], spec })
        });
        pods.collect()
    }

    /// Those that a selector takes.
    pub fn selected(&self, selector: &Value) -> Vec<Pod<'_>> {
        self.pods().into_iter().filter(|pod| takes(selector, pod.labels)).collect()
    }
}

impl Pod<'_> {
    /// `server`, `worker` or `migrate`; nothing for what is not Moim.
    pub fn component(&self) -> Option<&str> {
        let ours = self.labels["app.kubernetes.io/name"] == "moim";
        ours.then(|| self.labels["app.kubernetes.io/component"].as_str().unwrap())
    }

    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        let kinds = ["initContainers", "containers", "ephemeralContainers"];
        kinds.into_iter().flat_map(|kind| list(&self.spec[kind]))
    }

    /// The number of a port that goes by its name or its number.
    pub fn port(&self, wanted: &Value) -> Option<u64> {
        let mut ports = self.containers().flat_map(|container| list(&container["ports"]));
        let found = ports.find(|port| port["name"] == *wanted || port["containerPort"] == *wanted);
        found.and_then(|port| port["containerPort"].as_u64())
    }
}

/// `Deployment moim-server`
pub fn title(one: &Value) -> String {
    format!("{} {}", text(&one["kind"]), text(&one["metadata"]["name"]))
}

/// A list, or nothing where there is none.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The pairs of an object of strings.
pub fn pairs(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
}

/// Whether a selector takes what has these labels. A Service's is its labels alone.
pub fn takes(selector: &Value, labels: &Value) -> bool {
    let expressions = list(&selector["matchExpressions"]);
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let wanted = if plain { selector } else { &selector["matchLabels"] };
    let mut wanted = wanted.as_object().into_iter().flatten();
    wanted.all(|(name, value)| labels[name] == *value)
        && expressions.into_iter().all(|one| {
            assert_eq!(one["operator"], "In", "only what is used is known here");
            list(&one["values"]).any(|value| labels[text(&one["key"])] == *value)
        })
}
