//! TLS as a client sees it, with certificates that are made on the spot.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

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
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
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

    /// Shows it, and speaks plainly to whatever listens at `behind`; the address, which ends with
    /// the runtime. A client of Postgres first asks for TLS, as it does there.
    pub async fn in_front_of(&self, behind: SocketAddr) -> SocketAddr {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(unwrap_tls(acceptor.clone(), client, behind));
            }
        });
        address
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

async fn unwrap_tls(
    acceptor: TlsAcceptor,
    mut client: TcpStream,
    to: SocketAddr,
) -> io::Result<()> {
    /// "SSLRequest" of Postgres' protocol.
    const ASKS: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    let mut start = [0; 8];
    if client.peek(&mut start).await? == start.len() && start == ASKS {
        client.read_exact(&mut start).await?;
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    let mut service = TcpStream::connect(to).await?;
    tokio::io::copy_bidirectional(&mut client, &mut service).await?;
    Ok(())
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
