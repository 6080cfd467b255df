//! The *restricted* Pod Security Standard as it is published (kubernetes.io, Pod Security
//! Standards), with all of *baseline* in it.

use serde_json::Value;

use crate::model::{Pod, list, text};

/// A rule, and whether a pod keeps it.
type Rule = (&'static str, fn(&Pod<'_>) -> bool);

const RULES: &[Rule] = &[
    // Baseline.
    ("no HostProcess", |pod| {
        contexts(pod).all(|context| context["windowsOptions"]["hostProcess"] != true)
    }),
    ("no namespaces of the host", |pod| {
        ["hostNetwork", "hostPID", "hostIPC"].iter().all(|name| pod.spec[*name] != true)
    }),
    ("no privileged containers", |pod| {
        pod.containers().all(|container| container["securityContext"]["privileged"] != true)
    }),
    ("no hostPath", |pod| {
        list(&pod.spec["volumes"]).all(|volume| volume.get("hostPath").is_none())
    }),
    ("no ports of the host", |pod| {
        let mut ports = pod.containers().flat_map(|container| list(&container["ports"]));
        ports.all(|port| port["hostPort"].as_u64().unwrap_or(0) == 0)
    }),
    ("no host named by probes and handlers", |pod| {
        pod.containers().all(|container| {
            let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
            let handlers = ["postStart", "preStop"].map(|name| &container["lifecycle"][name]);
            let mut all = probes.iter().map(|name| &container[*name]).chain(handlers);
            all.all(|one| {
                text(&one["httpGet"]["host"]).is_empty()
                    && text(&one["tcpSocket"]["host"]).is_empty()
            })
        })
    }),
    ("AppArmor as it is, or of the runtime", |pod| {
        contexts(pod).all(|context| context["appArmorProfile"]["type"] != "Unconfined")
    }),
    ("SELinux with a type for containers", |pod| {
        let types =
            ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
        contexts(pod).map(|context| &context["seLinuxOptions"]).all(|options| {
            types.contains(&text(&options["type"]))
                && options.get("user").is_none()
                && options.get("role").is_none()
        })
    }),
    ("/proc masked as it is", |pod| {
        pod.containers().all(|container| {
            ["", "Default"].contains(&text(&container["securityContext"]["procMount"]))
        })
    }),
    ("safe sysctls only", |pod| {
        let safe = [
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        ];
        list(&pod.spec["securityContext"]["sysctls"]).all(|one| safe.contains(&text(&one["name"])))
    }),
    // Restricted.
    ("volumes of harmless types", |pod| {
        let harmless = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        list(&pod.spec["volumes"]).all(|volume| {
            let mut keys = volume.as_object().unwrap().keys();
            keys.all(|key| key == "name" || harmless.contains(&key.as_str()))
        })
    }),
    ("no privilege escalation", |pod| {
        pod.containers()
            .all(|container| container["securityContext"]["allowPrivilegeEscalation"] == false)
    }),
    ("not as root", |pod| each(pod, "runAsNonRoot", |value| *value == true)),
    ("not as user 0", |pod| contexts(pod).all(|context| context["runAsUser"] != 0)),
    ("seccomp of the runtime, or one's own", |pod| {
        each(pod, "seccompProfile", |profile| {
            ["RuntimeDefault", "Localhost"].contains(&text(&profile["type"]))
        })
    }),
    ("all capabilities dropped, NET_BIND_SERVICE at most added", |pod| {
        pod.containers().map(|one| &one["securityContext"]["capabilities"]).all(|capabilities| {
            list(&capabilities["drop"]).any(|one| one == "ALL")
                && list(&capabilities["add"]).all(|one| one == "NET_BIND_SERVICE")
        })
    }),
];

/// The rules that a pod breaks.
pub fn broken(pod: &Pod<'_>) -> Vec<String> {
    let broken = RULES.iter().filter(|(_, keeps)| !keeps(pod));
    broken.map(|(rule, _)| format!("{}: {rule}", pod.owner)).collect()
}

/// The security contexts of the pod and of each container.
fn contexts<'a>(pod: &'a Pod<'_>) -> impl Iterator<Item = &'a Value> {
    let of = |one: &'a Value| &one["securityContext"];
    std::iter::once(of(pod.spec)).chain(pod.containers().map(of))
}

/// What each container says, or the pod for it.
fn each(pod: &Pod<'_>, name: &str, good: fn(&Value) -> bool) -> bool {
    let of_pod = &pod.spec["securityContext"][name];
    pod.containers().all(|container| good(container["securityContext"].get(name).unwrap_or(of_pod)))
}
