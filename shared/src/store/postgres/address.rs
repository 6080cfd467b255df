//! Where the database is, and how it is spoken to.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::store::StoreError;

/// How long the network may be silent while an answer is waited for.
const SILENCE: Duration = Duration::from_secs(10);

/// A URL that was understood.
pub(super) struct Address {
    /// With the password, so it is never shown.
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
    /// Host, port and database, for people.
    pub(super) shown: String,
}

impl Address {
    /// Reads a URL as libpq does. Certificates are always verified: `verify-ca` and `verify-full` are
    /// `require`. `sslrootcert` names a file of roots to trust instead of the system's.
    pub(super) fn parse(url: &str, connect: Duration) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unreadable(""));
        }
        let (plain, roots) = without_roots(url);
        let mut config: tokio_postgres::Config =
            plain.parse().map_err(|error| unreadable(&option_of(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(unreadable(": it names no host"));
        }
        if config.get_application_name().is_none() {
            config.application_name("moim");
        }
        config
            .connect_timeout(connect)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE / 2)
            .keepalives_interval(SILENCE / 5)
            .keepalives_retries(3);
        let shown = show(&config);
        Ok(Self { config, tls: tls(roots.as_deref())?, shown })
    }
}

/// The URL without what tokio-postgres does not know, and the file of roots.
fn without_roots(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut roots = None;
    let mut plain = base.to_owned();
    let mut mark = '?';
    for option in query.split('&') {
        let pair = form_urlencoded::parse(option.as_bytes()).next();
        let option = match &pair {
            Some((key, file)) if key == "sslrootcert" => {
                roots = Some(file.to_string());
                continue;
            }
            Some((key, mode)) if key == "sslmode" && mode.starts_with("verify-") => {
                "sslmode=require"
            }
            _ => option,
        };
        plain.push(mark);
        plain.push_str(option);
        mark = '&';
    }
    (plain, roots)
}

/// The option that is wrong, from an error whose other words may be those of the URL.
fn option_of(error: &tokio_postgres::Error) -> String {
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let known = why.starts_with("invalid value for option") || why.starts_with("unknown option");
    if known { format!(": {why}") } else { String::new() }
}

fn unreadable(why: &str) -> StoreError {
    StoreError::Misconfigured(format!(
        "its URL cannot be read{why}; it looks like postgres://user:password@host:5432/moim"
    ))
}

fn show(config: &tokio_postgres::Config) -> String {
    let ports = config.get_ports();
    let mut shown = String::new();
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let hosts: Vec<String> = hosts.collect();
    let hosts = if hosts.is_empty() {
        config.get_hostaddrs().iter().map(ToString::to_string).collect()
    } else {
        hosts
    };
    for (n, host) in hosts.iter().enumerate() {
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(shown, "{comma}{host}:{port}");
    }
    let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
    let _ = write!(shown, "/{name}");
    shown
}

fn tls(roots: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let mut store = RootCertStore::empty();
    match roots {
        None => drop(store.add_parsable_certificates(crate::roots::roots().iter().cloned())),
        Some(file) => {
            let unusable = |why: &dyn std::fmt::Display| {
                StoreError::Misconfigured(format!(
                    "{file}: {why}; name a PEM file of certificates in sslrootcert"
                ))
            };
            let certificates = CertificateDer::pem_file_iter(Path::new(file));
            for certificate in certificates.map_err(|error| unusable(&error))? {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                store.add(certificate).map_err(|error| unusable(&error))?;
            }
            if store.is_empty() {
                return Err(unusable(&"it holds no certificate"));
            }
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Misconfigured(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::SslMode;

    fn parse(url: &str) -> Result<Address, StoreError> {
        Address::parse(url, Duration::from_secs(1))
    }

    #[test]
    fn what_is_shown_of_a_url_is_not_its_password() {
        let address = parse("postgres://ann:secret@db.example:5433/moim").unwrap();
        assert_eq!(address.shown, "db.example:5433/moim");
        for wrong in [
            "postgres://ann:secret@db:99999/moim",
            "postgres://ann:secret@db/moim?secret=1&sslmode=secret",
            "postgres://ann:secret@",
            "ann:secret@db",
            "host=db password=secret",
        ] {
            let error = parse(wrong).err().expect(wrong).to_string();
            let told = error.replace("unknown option `secret`", "");
            assert!(!told.contains("secret") && error.contains("postgres://user"), "{error}");
        }
    }

    #[test]
    fn tls_is_as_the_url_says() {
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?sslmode=require", SslMode::Require),
            ("?application_name=a&sslmode=verify-full", SslMode::Require),
        ] {
            let address = parse(&format!("postgres://db/moim{query}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), mode, "{query}");
        }
        let error = parse("postgres://db/moim?sslrootcert=%2Fnowhere&sslmode=require").err();
        assert!(matches!(&error, Some(StoreError::Misconfigured(why)) if why.contains("/nowhere")));
    }
}
