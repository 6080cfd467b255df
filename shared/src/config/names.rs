//! Names of keys: of variables, of what is not ours, and the nearest to a mistaken one.

/// The variable that names the file.
pub(super) const CONFIG: &str = "MOIM_CONFIG";

/// `limits.send_rate` is `MOIM_LIMITS__SEND_RATE` in the environment.
pub(super) fn env_of(path: &str) -> String {
    format!("MOIM_{}", path.replace('.', "__").to_ascii_uppercase())
}

/// What `deploy/cluster` tells the commands that it runs.
const OF_CLUSTER: [&str; 5] =
    ["MOIM_URL", "MOIM_URLS", "MOIM_WORKER_URLS", "MOIM_CLUSTER_DIR", "MOIM_CLUSTER_READY"];

/// True for a variable that looks like configuration and is none of it.
pub(super) fn is_foreign(name: &str, value: &str) -> bool {
    name.starts_with("MOIM_TEST_")
        || name.starts_with("MOIM_LOAD_")
        || OF_CLUSTER.contains(&name)
        || is_injected_by_kubernetes(name, value)
}

/// Kubernetes tells every container of the services around it: `MOIM_SERVER_SERVICE_HOST`,
/// `MOIM_SERVER_PORT=tcp://…`, `MOIM_SERVER_PORT_8080_TCP_ADDR` for a service `moim-server`.
fn is_injected_by_kubernetes(name: &str, value: &str) -> bool {
    // A service called `moim` gives `MOIM_PORT`, which a person may also write, with a number.
    let bare = name == "MOIM_PORT" && !value.contains("://");
    name.contains("_SERVICE_") || name.contains("_PORT_") || (name.ends_with("_PORT") && !bare)
}

/// The known name that differs least, by letters. Its part after `separator` alone counts as well,
/// since to forget the section is the usual mistake.
pub(super) fn nearest<'a>(
    name: &str,
    separator: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let bare = name.strip_prefix("MOIM_").unwrap_or(name);
    let distance = |candidate: &str| {
        let whole = strsim::damerau_levenshtein(name, candidate);
        match candidate.rsplit_once(separator) {
            Some((_, key)) => whole.min(1 + strsim::damerau_levenshtein(bare, key)),
            None => whole,
        }
    };
    known.min_by_key(|candidate| distance(candidate))
}

pub(super) fn unknown(name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("unknown key `{name}`: did you mean `{nearest}`?"),
        None => format!("unknown key `{name}`"),
    }
}
