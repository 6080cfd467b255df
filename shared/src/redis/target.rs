//! What a URL of Redis says, and the pools and connections for it.

use std::fmt;
use std::time::Duration;

use ::redis::aio::AsyncPushSender;
use ::redis::cluster::ClusterClientBuilder;
use ::redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError, TlsMode,
};
use deadpool_redis::{PoolConfig, Runtime, Timeouts, cluster, sentinel};

use super::{Link, RedisAway};

/// How long one connection may take to come about, and one answer.
const CONNECT: Duration = Duration::from_secs(2);
const RESPONSE: Duration = Duration::from_secs(3);

/// A URL that is none of Redis. Its text is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a URL of Redis: {0}")]
pub struct BadRedisUrl(String);

/// Where Redis is. Debug and Display show no password.
#[derive(Clone)]
pub enum Target {
    /// `redis://[user:password@]host[:port][/db]`, or `rediss://` with TLS.
    One(Box<ConnectionInfo>),
    /// `redis+sentinel://[user:password@]host:port,host:port/name[/db]`: the Sentinels, and the
    /// name of the master that they watch. The credentials are the master's; TLS is for all of them.
    Sentinel(Box<Watched>),
    /// `redis+cluster://[user:password@]host:port,host:port`: some servers of a Redis Cluster.
    Cluster(Vec<ConnectionInfo>),
}

/// A master that Sentinels know.
#[derive(Clone)]
pub struct Watched {
    sentinels: Vec<(String, u16)>,
    name: String,
    db: i64,
    login: Login,
    tls: bool,
}

#[derive(Clone, Default)]
struct Login {
    user: Option<String>,
    password: Option<String>,
}

impl Target {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, BadRedisUrl> {
        let bad = |what: &str| BadRedisUrl(what.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        match scheme {
            "redis" | "rediss" => {
                let info = url.into_connection_info();
                // Not the error's own text, which may quote the URL.
                let info = info.map_err(|error| BadRedisUrl(format!("{:?}", error.kind())))?;
                Ok(Self::One(Box::new(info)))
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let Authority { login, hosts, path } = split(rest, 26_379)?;
                let mut path = path.split('/');
                let name = path.next().filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| bad("name the master: …/<name>"))?.to_owned();
                let db = path.next().map_or(Ok(0), str::parse);
                let db = db.map_err(|_not| bad("the database after the name is a number"))?;
                let tls = scheme.starts_with("rediss");
                let watched = Watched { sentinels: hosts, name, db, login, tls };
                Ok(Self::Sentinel(Box::new(watched)))
            }
            "redis+cluster" | "rediss+cluster" => {
                let Authority { login, hosts, path } = split(rest, 6_379)?;
                if !path.is_empty() && path != "0" {
                    return Err(bad("a Redis Cluster has one database"));
                }
                let settings = login.settings();
                let tls = scheme.starts_with("rediss");
                let nodes = hosts.into_iter().map(|(host, port)| {
                    let info = address(host, port, tls).into_connection_info();
                    info.map(|info| info.set_redis_settings(settings.clone()))
                });
                let nodes: Result<_, RedisError> = nodes.collect();
                nodes.map(Self::Cluster).map_err(|error| BadRedisUrl(error.to_string()))
            }
            _ => Err(bad(
                "it begins with redis://, redis+sentinel:// or redis+cluster://, or with rediss for TLS",
            )),
        }
    }

    /// Whether keys are spread over several servers, each with its own part of pub/sub.
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// A pool of up to `size` connections.
    pub(super) fn pools(&self, size: usize) -> Result<Pools, RedisAway> {
        let away = |error: &dyn fmt::Display| RedisAway(error.to_string());
        let config = PoolConfig {
            // Twice as many: while a broken one is replaced, it may not have been dropped yet.
            max_size: size * 2,
            timeouts: Timeouts {
                wait: Some(CONNECT),
                create: Some(CONNECT),
                recycle: Some(CONNECT),
            },
            ..PoolConfig::default()
        };
        Ok(match self {
            Self::One(info) => {
                let manager =
                    deadpool_redis::Manager::new_with_config((**info).clone(), link_config())?;
                let pool = deadpool_redis::Pool::builder(manager)
                    .config(config)
                    .runtime(Runtime::Tokio1)
                    .build();
                Pools::One(pool.map_err(|error| away(&error))?)
            }
            Self::Sentinel(watched) => {
                let manager = watched.manager()?;
                let pool = sentinel::Pool::builder(manager)
                    .config(config)
                    .runtime(Runtime::Tokio1)
                    .build();
                Pools::Sentinel(pool.map_err(|error| away(&error))?)
            }
            Self::Cluster(nodes) => {
                let manager = cluster::Manager::new(nodes.clone(), false)?;
                let pool =
                    cluster::Pool::builder(manager).config(config).runtime(Runtime::Tokio1).build();
                Pools::Cluster(pool.map_err(|error| away(&error))?)
            }
        })
    }

    /// A connection outside of the pool that is told what is published; `told` must not block.
    pub async fn listener(&self, told: impl AsyncPushSender) -> Result<Link, RedisAway> {
        let link = match self {
            Self::One(info) => {
                let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
                let client = Client::open((**info).clone().set_redis_settings(settings))?;
                let config = link_config().set_push_sender(told);
                Link::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Self::Sentinel(watched) => {
                let mut client = watched.builder()?;
                client = client.set_client_to_redis_protocol(ProtocolVersion::RESP3);
                let config = link_config().set_push_sender(told);
                let mut client = client.build()?;
                Link::One(client.get_async_connection_with_config(&config).await?)
            }
            Self::Cluster(nodes) => {
                let client = ClusterClientBuilder::new(nodes.clone())
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(CONNECT)
                    .response_timeout(RESPONSE)
                    .push_sender(told)
                    .build()?;
                Link::Cluster(client.get_async_connection().await?)
            }
        };
        Ok(link)
    }
}

fn link_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(RESPONSE))
}

impl Watched {
    fn builder(&self) -> Result<SentinelClientBuilder, RedisError> {
        let sentinels =
            self.sentinels.iter().map(|(host, port)| address(host.clone(), *port, self.tls));
        let mut builder =
            SentinelClientBuilder::new(sentinels, &self.name, SentinelServerType::Master)?
                .set_client_to_redis_db(self.db);
        if let Some(user) = &self.login.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.login.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        Ok(builder)
    }

    fn manager(&self) -> Result<sentinel::Manager, RedisError> {
        let mut settings = self.login.settings();
        settings = settings.set_db(self.db);
        let sentinels: Vec<ConnectionAddr> = self
            .sentinels
            .iter()
            .map(|(host, port)| address(host.clone(), *port, self.tls))
            .collect();
        let master = sentinel::SentinelNodeConnectionInfo {
            tls_mode: self.tls.then_some(sentinel::TlsMode::Secure),
            redis_connection_info: Some(settings.into()),
        };
        sentinel::Manager::new(
            sentinels,
            self.name.clone(),
            Some(master),
            sentinel::SentinelServerType::Master,
        )
    }
}

impl Login {
    fn settings(&self) -> RedisConnectionInfo {
        let mut settings = RedisConnectionInfo::default();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings
    }
}

fn address(host: String, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// What stands behind `://`.
struct Authority<'a> {
    login: Login,
    hosts: Vec<(String, u16)>,
    path: &'a str,
}

/// Hosts without a port have `port`.
fn split(rest: &str, port: u16) -> Result<Authority<'_>, BadRedisUrl> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (login, hosts),
        None => ("", authority),
    };
    let text = |part: &str| -> Result<Option<String>, BadRedisUrl> {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
        let decoded =
            decoded.map_err(|_not| BadRedisUrl("its credentials are not UTF-8".into()))?;
        Ok((!decoded.is_empty()).then(|| decoded.into_owned()))
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let login = Login { user: text(user)?, password: text(password)? };
    let host = |host: &str| -> Result<(String, u16), BadRedisUrl> {
        let bad = || BadRedisUrl("a host is written host:port".into());
        match host.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((name, number)) if !number.ends_with(']') => {
                let name = name.trim_start_matches('[').trim_end_matches(']');
                let number = number.parse().map_err(|_not| bad())?;
                if name.is_empty() { Err(bad()) } else { Ok((name.to_owned(), number)) }
            }
            _ if !host.is_empty() => {
                Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
            }
            _ => Err(bad()),
        }
    };
    let hosts: Result<Vec<_>, _> = hosts.split(',').map(host).collect();
    Ok(Authority { login, hosts: hosts?, path })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(info) => info.addr().fmt(f),
            Self::Sentinel(watched) => write!(f, "{} of its Sentinels", watched.name),
            Self::Cluster(nodes) => {
                write!(f, "a Redis Cluster of {} and others", nodes[0].addr())
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A pool for each kind of target.
#[derive(Clone)]
pub(super) enum Pools {
    One(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

/// A connection that was taken from a pool, with its place there. Dropped, it is closed and not
/// given back: it is dropped only when it failed.
pub(super) struct Taken(Option<Place>);

enum Place {
    One(deadpool_redis::Connection),
    Sentinel(sentinel::Connection),
    Cluster(cluster::Connection),
}

impl Pools {
    pub(super) async fn take(&self) -> Result<Taken, RedisAway> {
        let away = |error: &dyn fmt::Display| RedisAway(error.to_string());
        let place = match self {
            Self::One(pool) => pool.get().await.map(Place::One).map_err(|error| away(&error))?,
            Self::Sentinel(pool) => {
                pool.get().await.map(Place::Sentinel).map_err(|error| away(&error))?
            }
            Self::Cluster(pool) => {
                pool.get().await.map(Place::Cluster).map_err(|error| away(&error))?
            }
        };
        Ok(Taken(Some(place)))
    }
}

impl Taken {
    pub(super) fn link(&self) -> Option<Link> {
        Some(match self.0.as_ref()? {
            Place::One(connection) => Link::One((**connection).clone()),
            Place::Sentinel(connection) => Link::One((**connection).clone()),
            Place::Cluster(connection) => Link::Cluster((**connection).clone()),
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Place::One(connection)) => drop(deadpool_redis::Connection::take(connection)),
            Some(Place::Sentinel(connection)) => drop(sentinel::Connection::take(connection)),
            Some(Place::Cluster(connection)) => drop(cluster::Connection::take(connection)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_url_is_read_and_shows_no_password() {
        let good = [
            "redis://127.0.0.1",
            "redis://:s3cret@127.0.0.1:7000/2",
            "rediss://moim:s3cret@redis.example.org:6380",
            "redis+sentinel://:s3cret@10.0.0.1,10.0.0.2:26380/moim",
            "rediss+sentinel://a:s3cret@[::1]:26379/moim/1",
            "redis+cluster://:s3cret@10.0.0.1:7000,10.0.0.2:7001",
        ];
        for url in good {
            let target = Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            let shown = format!("{target} {target:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
            assert_eq!(target.is_cluster(), url.contains("cluster"));
        }
    }

    #[test]
    fn what_is_no_url_of_redis_is_refused_without_its_password() {
        let bad = [
            "127.0.0.1:6379",
            "http://:s3cret@127.0.0.1",
            "redis://:s3cret@127.0.0.1:port",
            "redis+sentinel://:s3cret@10.0.0.1",
            "redis+sentinel://:s3cret@10.0.0.1/moim/x",
            "redis+cluster://:s3cret@10.0.0.1:x",
            "redis+cluster://:s3cret@10.0.0.1/1",
            "redis+cluster://:s3cret@",
        ];
        for url in bad {
            let error = Target::parse(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_escaped_password_is_read_as_it_is() {
        let authority = split("a%40b:p%3Aw@host", 1).unwrap();
        assert_eq!(authority.login.user.as_deref(), Some("a@b"));
        assert_eq!(authority.login.password.as_deref(), Some("p:w"));
        assert_eq!(authority.hosts, [("host".to_owned(), 1)]);
    }
}
