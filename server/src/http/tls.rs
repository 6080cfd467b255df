//! TLS for those who connect: a certificate that is read again when its files change, and
//! handshakes that are bounded in time and number.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::Acceptor;

use super::Problem;
use super::expiry;
use super::io::Io;
use crate::refusal::{Code, Refusal};

/// A handshake that is not done after this never will be.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes under way at once. One counts from the end of the client's first message on: who
/// says less takes no place.
const HANDSHAKES: usize = 1_024;

/// And those of one address, so that nobody takes all of them.
const HANDSHAKES_OF_ONE: usize = 64;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);

/// See the module.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    /// What the files held when they were last looked at, good or not.
    seen: Mutex<Files>,
    current: Mutex<Arc<ServerConfig>>,
    handshakes: Semaphore,
    /// Those of who has some, or waits for them.
    of_one: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

#[derive(PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// With the certificate and key of these PEM files. The error says what to do.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, String> {
        let files = Files::read(cert, key)?;
        let current = Mutex::new(Arc::new(files.config(cert, key)?));
        Ok(Self {
            cert: cert.into(),
            key: key.into(),
            seen: Mutex::new(files),
            current,
            handshakes: Semaphore::new(HANDSHAKES),
            of_one: Mutex::default(),
        })
    }

    /// When the certificate ends, in seconds since 1970, as far as that can be read.
    pub fn ends(&self) -> Option<u64> {
        let seen = self.seen.lock();
        let first = CertificateDer::pem_slice_iter(&seen.cert).next()?.ok()?;
        expiry::not_after(&first)
    }

    /// Takes what is new in the files, from now on until the process ends. `told` says that they
    /// are to be looked at without waiting.
    pub async fn keep_fresh(self: Arc<Self>, mut told: impl AsyncFnMut()) {
        loop {
            // Either is a reason to look.
            let _ = tokio::time::timeout(LOOK, told()).await;
            match self.look() {
                Ok(false) => {}
                Ok(true) => tracing::info!(cert = %self.cert.display(), "a new certificate"),
                Err(error) => tracing::error!("the certificate before it stays in use: {error}"),
            }
        }
    }

    /// True when there was something new. What is wrong is told once.
    fn look(&self) -> Result<bool, String> {
        let files = Files::read(&self.cert, &self.key)?;
        let mut seen = self.seen.lock();
        if *seen == files {
            return Ok(false);
        }
        let made = files.config(&self.cert, &self.key);
        *seen = files;
        *self.current.lock() = Arc::new(made?);
        Ok(true)
    }

    /// Shakes hands with who has connected.
    pub async fn accept(&self, mut stream: TcpStream) -> io::Result<Io> {
        let end = Instant::now() + HANDSHAKE;
        let bounded = timeout_at(end, async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // RFC 8446, section 5.1: a handshake begins with 22, and a method of HTTP with a letter.
            if first[0].is_ascii_uppercase() {
                refuse_plain(&mut stream).await?;
                return Err(io::Error::other("HTTP without TLS"));
            }
            let address = stream.peer_addr()?.ip();
            let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let share = Share::of(self, block(address));
            // One's own first: who waits for it keeps no place from others.
            let _own = share.own.acquire().await.map_err(io::Error::other)?;
            let _place = self.handshakes.acquire().await.map_err(io::Error::other)?;
            let config = self.current.lock().clone();
            let stream = hello.into_stream(config).await?;
            Ok(Io::Tls(Box::new(stream.into())))
        });
        bounded.await.unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)))
    }
}

/// What an address has of the handshakes, as long as anybody holds it.
struct Share<'a> {
    tls: &'a Tls,
    address: IpAddr,
    own: Arc<Semaphore>,
}

impl<'a> Share<'a> {
    fn of(tls: &'a Tls, address: IpAddr) -> Self {
        let mut all = tls.of_one.lock();
        let own = all.entry(address).or_insert_with(|| Semaphore::new(HANDSHAKES_OF_ONE).into());
        Self { tls, address, own: own.clone() }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut all = self.tls.of_one.lock();
        // The map's and this one.
        if Arc::strong_count(&self.own) == 2 {
            all.remove(&self.address);
        }
    }
}

/// What somebody has for certain: an IPv6 network of 64 bits is given to each.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
        address => address,
    }
}

/// Says to who speaks plain HTTP here that it has to be https.
async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    // What was sent is read, as far as it is there: a socket that closes before would be reset, and
    // the answer lost.
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    let refusal = Refusal::new(Code::BadRequest, "this port speaks TLS: use https or wss");
    let body = Problem::new(StatusCode::BAD_REQUEST, refusal).body();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        super::problem::CONTENT_TYPE,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let read =
            |name, path: &Path| std::fs::read(path).map_err(|error| about(name, path, &error));
        Ok(Self { cert: read("tls_cert", cert)?, key: read("tls_key", key)? })
    }

    /// What TLS needs of them. The paths are only for messages.
    fn config(&self, cert: &Path, key: &Path) -> Result<ServerConfig, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| about("tls_cert", cert, &error))?;
        if chain.is_empty() {
            return Err(about("tls_cert", cert, &"there is no certificate in it, in PEM"));
        }
        // Its own text may quote the file.
        let secret = PrivateKeyDer::from_pem_slice(&self.key).or(Err(about(
            "tls_key",
            key,
            &"there is no private key in it, in PEM",
        )))?;
        let both = |error: &dyn Display| {
            format!("`tls_cert` ({}) and `tls_key` ({}): {error}", cert.display(), key.display())
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| both(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| both(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Phones come back often: a ticket saves them half of the handshake.
        config.ticketer = ring::Ticketer::new().map_err(|error| both(&error))?;
        Ok(config)
    }
}

fn about(key: &str, path: &Path, error: &dyn Display) -> String {
    format!("`{key}` ({}): {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, in PEM.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn an_ipv6_network_is_one_and_a_share_goes_with_the_last_who_holds_it() {
        let of = |text: &str| block(text.parse().unwrap());
        assert_eq!(of("2001:db8::1:2"), of("2001:db8::3"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        let directory = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let made = made();
        std::fs::write(&cert, made.0).unwrap();
        std::fs::write(&key, made.1).unwrap();
        let tls = Tls::open(&cert, &key).unwrap();
        let first = Share::of(&tls, of("192.0.2.1"));
        let second = Share::of(&tls, of("192.0.2.1"));
        assert!(Arc::ptr_eq(&first.own, &second.own));
        drop(first);
        assert_eq!(tls.of_one.lock().len(), 1);
        drop(second);
        assert!(tls.of_one.lock().is_empty());
    }

    #[test]
    fn new_files_are_taken_and_bad_ones_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
        let (first, second) = (made(), made());
        write(&cert, &first.0);
        write(&key, &first.1);
        let tls = Tls::open(&cert, &key).unwrap();
        assert_eq!(tls.look(), Ok(false), "nothing new");
        let before = tls.current.lock().clone();
        // Halfway through a change the two do not belong together.
        write(&cert, &second.0);
        assert!(tls.look().unwrap_err().contains("tls_key"));
        assert_eq!(tls.look(), Ok(false), "it was told");
        assert!(Arc::ptr_eq(&before, &tls.current.lock()), "the old one stays");
        write(&key, &second.1);
        assert_eq!(tls.look(), Ok(true));
        assert!(!Arc::ptr_eq(&before, &tls.current.lock()));
        std::fs::remove_file(&key).unwrap();
        assert!(tls.look().unwrap_err().contains("key.pem"));
    }

    #[test]
    fn files_without_what_they_should_hold_are_refused_by_key_and_name() {
        let directory = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let open = |in_cert: &str, in_key: &str| {
            std::fs::write(&cert, in_cert).unwrap();
            std::fs::write(&key, in_key).unwrap();
            Tls::open(&cert, &key).map(drop).unwrap_err()
        };
        let (good_cert, good_key) = made();
        for (in_cert, in_key, told) in [
            ("", good_key.as_str(), "`tls_cert`"),
            (&good_key, &good_key, "`tls_cert`"),
            (&good_cert, "", "`tls_key`"),
            (&good_cert, &good_cert, "`tls_key`"),
            (&good_cert, &made().1, "`tls_key`"),
        ] {
            let error = open(in_cert, in_key);
            assert!(error.contains(told) && error.contains(".pem"), "{error}");
        }
    }
}
