//! TLS as a client sees it, with certificates that are made on the spot.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::{Answer, DEADLINE, Server};

/// A connection, plain or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub type Boxed = Box<dyn Stream>;

/// One that signed itself, for `localhost`.
pub struct Certificate {
    pub pem: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// Writes it into the directory; where it and its key are.
    pub fn put(&self, directory: &Path) -> [PathBuf; 2] {
        let paths = ["tls.crt", "tls.key"].map(|name| directory.join(name));
        for (path, text) in paths.iter().zip([&self.pem, &self.key]) {
            std::fs::write(path, text).unwrap();
        }
        paths
    }

    /// Trusts this one and no other.
    pub fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// The connection after its handshake.
pub async fn encrypted(connector: &TlsConnector, stream: TcpStream) -> io::Result<Boxed> {
    let name = ServerName::try_from("localhost").unwrap();
    let shaken = timeout(DEADLINE, connector.connect(name, stream)).await;
    Ok(Box::new(shaken.expect("no end to the handshake")?))
}

/// An HTTP GET by TLS; the error is the handshake's.
pub async fn get_encrypted(
    server: &Server,
    connector: &TlsConnector,
    path: &str,
) -> io::Result<Answer> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut stream = encrypted(connector, stream).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut text)).await.expect("no end").unwrap();
    Ok(Answer::parse(&text))
}
