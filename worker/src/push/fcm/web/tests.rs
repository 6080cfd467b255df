//! How it speaks, to a server of this process.

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::service::service_fn;
use hyper::{Request, Response, Version, body::Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// Answers with the version of HTTP that it was asked in; under `/long` with too much, under `/bad`
/// with too much that is an error.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let long = || Bytes::from(vec![b'x'; BODY_MAX + 1]);
    let (status, body) = match request.uri().path() {
        "/long" => (200, long()),
        "/bad" => (500, long()),
        _ => (200, format!("{:?}", request.version()).into()),
    };
    Ok(Response::builder().status(status).body(Full::new(body)).unwrap())
}

/// Serves until the runtime ends.
async fn serve(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let service = service_fn(answer);
                // Clients come and go as they like.
                let _ = match tls {
                    Some(tls) => {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        server.serve_connection(TokioIo::new(stream), service).await
                    }
                    None => server.serve_connection(TokioIo::new(stream), service).await,
                };
            });
        }
    });
    address
}

async fn get(web: &Web, url: String) -> Result<Answer, Trouble> {
    web.call(Request::get(url), Bytes::new()).await
}

fn web(roots: &[CertificateDer<'static>]) -> Web {
    Web::new(roots, Duration::from_secs(10)).unwrap()
}

#[tokio::test]
async fn it_speaks_http_1_in_the_open_and_http_2_by_tls_to_whom_it_trusts() {
    let plain = serve(None).await;
    let answer = get(&web(&[]), format!("http://{plain}/")).await.unwrap();
    assert_eq!(answer.body, format!("{:?}", Version::HTTP_11));

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let port = serve(Some(TlsAcceptor::from(Arc::new(config)))).await.port();
    let url = format!("https://localhost:{port}/");
    let answer = get(&web(&[made.cert.der().clone()]), url.clone()).await.unwrap();
    assert_eq!(answer.body, format!("{:?}", Version::HTTP_2));

    let stranger = get(&web(&[]), url).await.unwrap_err();
    assert!(!stranger.unsure && stranger.why.contains("certificate"), "{stranger:?}");
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let address = serve(None).await;
    let answer = get(&web(&[]), format!("http://{address}/long")).await.unwrap();
    assert_eq!((answer.status, answer.body), (StatusCode::OK, Bytes::new()));
    let trouble = get(&web(&[]), format!("http://{address}/bad")).await.unwrap_err();
    assert!(trouble.unsure, "{trouble:?}");
}

#[tokio::test]
async fn whom_it_did_not_reach_has_seen_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let trouble = get(&web(&[]), format!("http://{address}/")).await.unwrap_err();
    assert!(!trouble.unsure && trouble.why.contains("refused"), "{trouble:?}");
}
