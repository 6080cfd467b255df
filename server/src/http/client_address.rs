//! Who asks: the client behind the proxies that are trusted. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use moim_shared::config::Networks;

/// The client of a request, as far as anybody who is trusted says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it is.
    pub address: IpAddr,
    /// It came by TLS.
    pub secure: bool,
    /// The host and port that it asked for.
    pub host: Option<String>,
}

/// What a listener knows about those who come. The application carries it, behind an `Arc`.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Whose `X-Forwarded-*` are believed.
    pub proxies: Networks,
    /// The listener speaks TLS itself.
    pub secure: bool,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The client of a request to the application.
pub fn client_of(request: &HttpRequest) -> Client {
    let trust = request.app_data::<Arc<Trust>>().cloned().unwrap_or_default();
    trust.client(request.peer_addr(), request.headers())
}

impl Trust {
    /// The client of a request with these headers, which came from `peer`.
    ///
    /// A proxy adds to the right of what it was given, so the list is read from there: the first
    /// hop that is no trusted proxy is the client. What it says itself, further left, may be a lie.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Client {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let host = last(headers, &header::HOST);
        if !self.proxies.contains(peer) {
            return Client { address: peer, secure: self.secure, host: host.map(Into::into) };
        }
        let mut address = peer;
        let hops = headers.get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
        // What is no address says nothing, and neither does anything left of it.
        for hop in hops.iter().rev().map_while(|hop| parse(hop.trim())) {
            address = hop;
            if !self.proxies.contains(hop) {
                break;
            }
        }
        let secure = last(headers, &FORWARDED_PROTO)
            .map_or(self.secure, |scheme| matches!(scheme, "https" | "wss"));
        let host = last(headers, &FORWARDED_HOST).or(host).map(Into::into);
        Client { address, secure, host }
    }
}

/// What the nearest one said.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).last()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// An address, perhaps with a port, IPv6 perhaps in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse().map(|hop: SocketAddr| hop.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, headers: &[(HeaderName, &str)]) -> Client {
        let proxies = Networks::parse("10.0.0.0/8, fd00::/8").unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Trust { proxies, secure: false }.client(Some(peer.parse().unwrap()), &map)
    }

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|hops| (FORWARDED_FOR, *hops)).collect();
        client(peer, &headers).address.to_string()
    }

    #[test]
    fn a_strangers_headers_are_not_believed() {
        let lies = [
            (FORWARDED_FOR, "1.1.1.1"),
            (FORWARDED_PROTO, "https"),
            (FORWARDED_HOST, "bank.example"),
            (header::HOST, "chat.example"),
        ];
        let address = [192, 0, 2, 1].into();
        let honest = Client { address, secure: false, host: Some("chat.example".into()) };
        assert_eq!(client("192.0.2.1:5000", &lies), honest);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let said = [
            (FORWARDED_FOR, "192.0.2.1"),
            (FORWARDED_PROTO, "https"),
            (FORWARDED_HOST, "chat.example"),
            (header::HOST, "10.0.0.7:8080"),
        ];
        let address = [192, 0, 2, 1].into();
        let told = Client { address, secure: true, host: Some("chat.example".into()) };
        assert_eq!(client("10.0.0.1:5000", &said), told);
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
        assert_eq!(address("10.0.0.1:5", &["1.1.1.1, 192.0.2.1"]), "192.0.2.1", "a lie before it");
        assert_eq!(address("10.0.0.1:5", &["1.1.1.1, 192.0.2.1, 10.0.0.2, 10.0.0.3"]), "192.0.2.1");
        assert_eq!(address("10.0.0.1:5", &["1.1.1.1", "192.0.2.1", "10.0.0.2"]), "192.0.2.1");
        let many = vec!["10.0.0.2"; 1_000].join(",");
        assert_eq!(address("10.0.0.1:5", &[&format!("1.1.1.1,192.0.2.1,{many}")]), "192.0.2.1");
    }

    #[test]
    fn inside_the_proxies_own_network_the_farthest_is_the_client() {
        assert_eq!(address("10.0.0.1:5", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(address("10.0.0.1:5", &[]), "10.0.0.1");
    }

    #[test]
    fn garbage_and_what_is_left_of_it_say_nothing() {
        assert_eq!(address("10.0.0.1:5", &["1.1.1.1, unknown"]), "10.0.0.1");
        assert_eq!(address("10.0.0.1:5", &["1.1.1.1, unknown, 10.0.0.2"]), "10.0.0.2");
        for garbage in ["", ",", "_hidden", "999.1.1.1", "1.1.1.1.", "[::1", "\u{fc}", "a b"] {
            assert_eq!(address("10.0.0.1:5", &[garbage]), "10.0.0.1", "{garbage}");
        }
    }

    #[test]
    fn addresses_come_in_every_form() {
        for (form, expected) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(address("10.0.0.1:5", &[form]), expected, "{form}");
        }
        assert_eq!(address("[fd00::1]:5", &["2001:db8::1, fd00::2"]), "2001:db8::1");
        assert_eq!(address("[::ffff:10.0.0.1]:5", &["192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn of_several_schemes_and_hosts_the_nearest_proxys_counts() {
        let said = [
            (FORWARDED_PROTO, "https, http"),
            (FORWARDED_HOST, "lie.example"),
            (FORWARDED_HOST, "chat.example"),
        ];
        let told = client("10.0.0.1:5", &said);
        assert_eq!((told.secure, told.host.as_deref()), (false, Some("chat.example")));
    }
}
