//! Where the server is, and how to get many connections to it: source addresses are spread over
//! 127.0.0.x when it is on this machine, since one pair of addresses has some 28,000 ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use tokio::net::{TcpSocket, TcpStream};

use crate::failure::Failure;

/// Source addresses used on loopback.
const SPREAD: usize = 16;

/// A `ws://host:port/path`, resolved once.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the `Host` header says.
    pub host: String,
    /// What is asked for.
    pub path: String,
    /// Where it is.
    pub address: SocketAddr,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let Some(rest) = url.strip_prefix("ws://") else {
            return Err("give a plain ws://host:port/path; TLS is not built in, so test the \
                        listener behind the proxy"
                .to_owned());
        };
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let with_port =
            if host.parse::<SocketAddr>().is_ok() || host.rsplit_once(':').is_some_and(is_port) {
                host.to_owned()
            } else {
                format!("{host}:80")
            };
        let address = with_port
            .to_socket_addrs()
            .map_err(|error| format!("cannot resolve {with_port}: {error}"))?
            .next()
            .ok_or_else(|| format!("{with_port} has no address"))?;
        Ok(Self { host: host.to_owned(), path: path.to_owned(), address })
    }
}

fn is_port((_, port): (&str, &str)) -> bool {
    port.parse::<u16>().is_ok()
}

impl Target {
    /// Opens TCP; connections of different `index` may come from different addresses.
    pub async fn dial(&self, index: usize) -> Result<TcpStream, Failure> {
        self.try_dial(index).await.map_err(|error| Failure::socket(&error))
    }

    async fn try_dial(&self, index: usize) -> std::io::Result<TcpStream> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let IpAddr::V4(Ipv4Addr::LOCALHOST) = self.address.ip() {
            let source = Ipv4Addr::new(127, 0, 0, 1 + (index % SPREAD) as u8);
            socket.bind(SocketAddr::from((source, 0)))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_port_and_path() {
        let target: Target = "ws://127.0.0.1:8080/ws".parse().unwrap();
        assert_eq!(target.host, "127.0.0.1:8080");
        assert_eq!(target.path, "/ws");
        assert_eq!(target.address.port(), 8080);
        let bare: Target = "ws://127.0.0.1".parse().unwrap();
        assert_eq!((bare.path.as_str(), bare.address.port()), ("/", 80));
    }

    #[test]
    fn tls_is_refused_with_a_way_out() {
        let refusal = "wss://chat.example/ws".parse::<Target>().unwrap_err();
        assert!(refusal.contains("ws://host:port/path"));
    }
}
