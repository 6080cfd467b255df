//! A way to the broker that can be cut and stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub struct Proxy {
    address: SocketAddr,
    stopped: watch::Sender<bool>,
    cut: Arc<Notify>,
    accepts: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stopped, stop) = watch::channel(false);
        let cut = Arc::new(Notify::new());
        let cuts = cut.clone();
        let accepts = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let (cut, stop) = (cuts.clone(), stop.clone());
                tokio::spawn(async move {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = cut.notified() => {}
                        () = pass(from_client, to_server, stop.clone()) => {}
                        () = pass(from_server, to_client, stop) => {}
                    }
                });
            }
        });
        Self { address, stopped, cut, accepts }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection that there is.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Passes nothing on, in either direction.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub fn go_on(&self) {
        self.stopped.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
        self.cut();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut stop: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if stop.wait_for(|stopped| !stopped).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
