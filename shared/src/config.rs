//! Configuration: read once at start, into types, and handed to those who need it.
//!
//! Defaults, then the TOML file that `MOIM_CONFIG` names, then `MOIM_*` variables, where `__`
//! stands between a section and its key (`MOIM_LIMITS__SEND_RATE`). What is unknown or not allowed
//! is refused, all of it at once. Only keys that are honoured exist.

mod base_url;
mod check;
mod file;
mod jwks;
mod limits;
mod names;
mod networks;
mod origins;
mod reader;
mod render;
mod secret;
mod settings;
mod source;
mod templates;
#[cfg(test)]
mod tests;
mod units;
mod value;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use base_url::BaseUrl;
pub use jwks::Jwks;
pub use limits::Limits;
pub use networks::Networks;
pub use origins::Origins;
pub use secret::{AdminToken, Secret, ServiceUrl};
pub use source::{ProcessEnv, Source};
pub use templates::{Form, Pattern, Pointer, SendTemplate, SubscribeTemplate, Templates, room_of};
pub use units::{Size, Span, UnitError};

use crate::ids::{ClusterName, NodeId};
use reader::{Given, Reader};
use settings::{Settings, settings};

settings! {
    /// All that can be configured.
    Config in "" {
        /// How Moim runs: `standalone` is one process with everything in it, `cluster` any number of
        /// servers and workers over Redis, RabbitMQ and Postgres.
        mode: Mode = Mode::Standalone;
        /// Where Redis 7 is, in a cluster: `redis://`, `redis+sentinel://host,host/name`,
        /// `redis+cluster://host,host`; with `rediss` in front, TLS.
        redis_url: Option<ServiceUrl> = None, like "\"redis://:password@redis:6379\"";
        /// Where RabbitMQ is, in a cluster: `amqp://` or `amqps://`.
        amqp_url: Option<ServiceUrl> = None, like "\"amqp://moim:password@rabbitmq:5672/%2f\"";
        /// Where Postgres is, in a cluster: `postgres://`, with `?sslmode=require` for TLS.
        database_url: Option<ServiceUrl> = None, like "\"postgres://moim:password@postgres/moim\"";
        /// Connections to Postgres of this process.
        database_connections: usize = 8, within 3..=500;
        /// What the names of this cluster begin with in Redis and RabbitMQ, where others are too.
        cluster: ClusterName = ClusterName::default();
        /// Where a worker serves `/livez`, `/readyz` and `/metrics`.
        worker_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8090));
        /// Where clients connect. 127.0.0.1 is this machine alone, 0.0.0.0 is every network.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        /// The certificate that clients are shown, with those between it and a root: a PEM file.
        /// With it and its key, `listen` speaks TLS. Both are read again when they change.
        tls_cert: Option<PathBuf> = None, like "\"/etc/moim/tls.crt\"";
        /// The key of that certificate: a PEM file.
        tls_key: Option<PathBuf> = None, like "\"/etc/moim/tls.key\"";
        /// Where `/metrics` and `/admin` are served. Left out: beside everything else.
        admin_listen: Option<SocketAddr> = None, like "\"127.0.0.1:9090\"";
        /// What `/admin` asks for (`Authorization: Bearer …`). Left out, there is no `/admin`; but
        /// standalone on this machine alone makes one at each start and prints it.
        admin_token: Option<AdminToken> = None, like "\"a long random text\"";
        /// The directory of the database and of what the server makes for itself.
        data_dir: PathBuf = "./data".into();
        /// The name of this process, unlike that of any other. Left out: made at start.
        node_id: Option<NodeId> = None, like "\"node-1\"";
        /// The secret that signs tokens (HS256), taken as its UTF-8 bytes. Left out, standalone
        /// makes one and keeps it in the data directory.
        jwt_secret: Option<Secret> = None, like "\"put 32 bytes or more here\"";
        /// The secret before that one: its tokens are still good. For rotation.
        jwt_secret_previous: Option<Secret> = None, like "\"put 32 bytes or more here\"";
        /// Public keys of others whose tokens are taken too (RS, PS, ES, EdDSA): a JWKS in a file,
        /// or at a URL. Over `http://` whoever stands in between can let anybody in.
        jwks: Option<Jwks> = None, like "\"https://id.example.org/jwks.json\"";
        /// Web origins that may connect besides the server's own host and port; `*` is all.
        /// Clients that send no Origin, which is all but browsers, always may.
        origins: Origins = Origins::default();
        /// Proxies in front of the server: addresses and networks whose `X-Forwarded-For`, `-Proto`
        /// and `-Host` are believed. Nobody else's are.
        trusted_proxies: Networks = Networks::default(), like "[\"10.0.0.0/8\"]";
        /// Whether `/topic/…` and `/queue/…` are open to every user: names of which nothing is
        /// kept. Left out: yes in standalone.
        open_topics: Option<bool> = None, like "true";
        /// Whether a client may connect without saying who it is, for open topics only.
        anonymous: bool = false;
        /// Destinations and bodies of apps written for another server, such as
        /// `{ send = "/pub/chat/message", room = "/roomId", body = "/message" }` and
        /// `{ subscribe = "/sub/chat/room/{room}", message = { text = "{body}" } }`.
        templates: Templates = Templates::default();
        /// How long messages are kept. Off: for ever. The last one of a room stays in any case.
        retention: Option<Span> = None, within Span::secs(1)..=Span::hours(876_000);
        /// The key file of the service account that pushes go out with, by Firebase Cloud Messaging
        /// (FCM): JSON, from the Firebase console. Read again whenever a new access token is due.
        fcm_credentials: Option<PathBuf> = None, like "\"/etc/moim/fcm.json\"";
        /// Where FCM is. Another place than Google's is for tests: `http://` shows whoever stands
        /// in between what is pushed. Access tokens come from where the key file says.
        fcm_endpoint: BaseUrl = BaseUrl::fcm();
        /// How long a device has to get a message by itself before it is pushed to.
        push_grace: Span = Span::secs(5), within Span::secs(0)..=Span::mins(10);
        /// How long somebody who stopped reading a room is still there for the others: who comes
        /// back by then was never gone.
        presence_grace: Span = Span::secs(5), within Span::secs(0)..=Span::mins(10);
        /// Over how long a server that is told to stop tells its clients to come back. Left out: 20s
        /// in a cluster, where others take them.
        drain_spread: Option<Span> = None, within Span::secs(0)..=Span::mins(10), like "\"20s\"";
        /// How long a process may take to end that is told to stop.
        drain_bound: Span = Span::secs(45), within Span::secs(1)..=Span::hours(1);
        /// Where an OpenTelemetry collector takes traces: OTLP over HTTP. Left out: nowhere.
        otlp_endpoint: Option<BaseUrl> = None, like "\"http://collector:4318\"";
        /// One in so many messages is traced. The same for all processes of a cluster.
        otlp_one_in: u32 = 100, within 1..=1_000_000_000;
        /// Threads that serve connections. Left out: one for each core.
        workers: Option<usize> = None, within 1..=1_024, like "4";
    }
    with {
        /// Accounts of this server: people who log in with a password.
        accounts: Accounts;
        /// How tokens are judged.
        auth: Auth;
        /// What is logged, and how.
        log: Log;
        /// Bounds for clients, rooms and the node.
        limits: Limits;
        /// What workers do.
        worker: Worker;
    }
}

settings! {
    /// What workers do.
    Worker in "worker" {
        /// Messages that are written with one transaction, about.
        batch: usize = 2_000, within 1..=20_000;
        /// Transactions side by side.
        lanes: usize = 2, within 1..=64;
        /// How often the logs are looked through for messages that may have been forgotten.
        sweep_every: Span = Span::secs(10), within Span::millis(100)..=Span::hours(1);
        /// How old a message is that is not known to be stored when it is queued again.
        sweep_after: Span = Span::secs(30), within Span::secs(1)..=Span::hours(24);
        /// How long nothing was said in a room whose log is dropped from Redis.
        log_idle: Span = Span::hours(1), within Span::secs(1)..=Span::hours(720);
    }
}

settings! {
    /// How tokens are judged.
    Auth in "auth" {
        /// What the `aud` of a token must be or contain. Left out: not looked at.
        audience: Option<String> = None, like "\"moim\"";
        /// What the `iss` of a token must be. Left out: not looked at.
        issuer: Option<String> = None, like "\"https://id.example.org\"";
        /// How far clocks may differ when `exp` and `nbf` are judged.
        skew: Span = Span::secs(60), within Span::secs(0)..=Span::mins(10);
        /// How often the URL of `jwks` is fetched. A key that is not known yet is asked for at once.
        jwks_refresh: Span = Span::mins(5), within Span::secs(1)..=Span::hours(24);
        /// Close a session when its token expires. Otherwise it lives until it ends by itself.
        close_on_exp: bool = false;
    }
}

settings! {
    /// What is logged, and how.
    Log in "log" {
        /// The least level, for all and by module: `info`, or `info,moim=debug`.
        filter: String = "info,actix_server=warn,actix_http=off,lapin=off,tokio_postgres=warn".into(), env "MOIM_LOG";
        /// `pretty` for people, `json` for machines: one object a line.
        format: LogFormat = LogFormat::Pretty;
    }
}

settings! {
    /// Accounts of this server: people who log in with a password.
    Accounts in "accounts" {
        /// Whether there are any.
        enabled: bool = true;
        /// Whether anybody may make one. Left out: yes, unless `jwks` is set, since then people
        /// come from elsewhere. Say `false` if they come with tokens that you sign with
        /// `jwt_secret`: anybody could take a name of one who has not come yet.
        registration: Option<bool> = None, like "false";
        /// How long an access token is good. It cannot be taken back where it was noted down, but
        /// ends at once with a log-out.
        access_ttl: Span = Span::mins(15), within Span::secs(1)..=Span::hours(24);
        /// How long a refresh token is good that is not used.
        refresh_ttl: Span = Span::hours(720), within Span::secs(1)..=Span::hours(8_760);
        /// Characters that a password has at least.
        password_min: usize = 8, within 1..=128;
        /// Wrong passwords for one account before each further one has to wait, longer each time.
        tries: u32 = 10, within 1..=1_000_000;
        /// Wrong passwords of one address in 5 minutes, but for accounts that logged in from there.
        tries_address: u32 = 50, within 1..=1_000_000;
        /// New accounts of one address in 5 minutes.
        made_address: u32 = 500, within 1..=1_000_000;
    }
}

/// How a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One process with everything in it, and SQLite.
    Standalone,
    /// Servers and workers over Redis, RabbitMQ and Postgres.
    Cluster,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// All that is wrong with a configuration, one line for each. Its text is for the operator; no
/// secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the configuration: defaults, the file that `MOIM_CONFIG` names, `env`.
    pub fn load(env: &dyn Source) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        collect(env, &mut reader);
        if let Some(path) = reader.env.remove(names::CONFIG) {
            match file::read(Path::new(&path.text)) {
                Ok(keys) => reader.file = keys,
                Err(problem) => reader.problems.push(problem),
            }
        }
        Self::build(reader)
    }

    fn build(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self::read(&mut reader);
        reader.refuse_unknown();
        if reader.problems.is_empty() {
            reader.problems = check::contradictions(&config);
        }
        if reader.problems.is_empty() { Ok(config) } else { Err(ConfigError(reader.problems)) }
    }

    /// A TOML file with every key, what it means, its variable and its default.
    pub fn commented_default() -> String {
        let mut reader = Reader::default();
        let _ = Self::read(&mut reader);
        render::toml(&reader.known)
    }
}

/// Takes what is ours from the environment.
fn collect(env: &dyn Source, reader: &mut Reader) {
    for (name, value) in env.variables() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("MOIM_")) else { continue };
        let Ok(text) = value.into_string() else {
            reader.problems.push(format!("`{name}` is not UTF-8"));
            continue;
        };
        if !names::is_foreign(name, &text) {
            reader.env.insert(name.into(), Given { text, ..Given::default() });
        }
    }
}

impl Mode {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Standalone, Self::Cluster].into_iter().find(|mode| mode.name() == name)
    }
}

impl LogFormat {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Pretty, Self::Json].into_iter().find(|format| format.name() == name)
    }
}

impl ConfigError {
    /// The lines, in no promised order.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
