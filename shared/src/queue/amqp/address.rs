//! Where RabbitMQ is, and who we are to it.

use std::fmt;
use std::str::FromStr;

use lapin::uri::{AMQPScheme, AMQPUri};

/// Seconds between signs of life, unless the address says so (`?heartbeat=`). A silent connection
/// is given up after two of them.
const HEARTBEAT: u16 = 10;

/// `amqp://user:password@host:port/vhost`, or `amqps` for TLS. Without a virtual host it is `/`.
/// Its `Debug` and `Display` keep the password to themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: AMQPUri,
}

/// Not an address of RabbitMQ. What was given is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address of RabbitMQ is `amqp://user:password@host:port/vhost`, or `amqps` for TLS")]
pub struct AddressError;

impl Address {
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    pub(super) fn tls(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut uri: AMQPUri = text.parse().map_err(|_tells_what_was_given| AddressError)?;
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        // The parser knows no IPv6 and would take `localhost` instead.
        let authority = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(v6) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            uri.authority.host = v6.0.to_owned();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self { uri })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        let v6 = authority.host.contains(':');
        let (open, close) = if v6 { ("[", "]") } else { ("", "") };
        write!(
            f,
            "{}://{}@{open}{}{close}:{} (virtual host `{}`)",
            self.uri.scheme,
            authority.userinfo.username,
            authority.host,
            authority.port,
            self.uri.vhost
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Address>().unwrap().to_string()
    }

    #[test]
    fn nothing_shows_the_password() {
        let text = "amqps://mina:geheim@mq.example.org/chat";
        let address: Address = text.parse().unwrap();
        assert!(address.tls());
        assert_eq!(address.uri().authority.userinfo.password, "geheim");
        let expected = "amqps://mina@mq.example.org:5671 (virtual host `chat`)";
        assert_eq!(address.to_string(), expected);
        assert_eq!(format!("{address:?}"), expected);
        let bad = "amqx://mina:geheim@host".parse::<Address>().unwrap_err();
        assert!(!format!("{bad} {bad:?}").contains("geheim"));
    }

    #[test]
    fn what_is_left_out_is_what_rabbitmq_has_at_first() {
        for text in ["amqp://h", "amqp://h/", "amqp://h:5672/%2f", "amqp://guest:guest@h"] {
            assert_eq!(shown(text), "amqp://guest@h:5672 (virtual host `/`)", "{text}");
        }
    }

    #[test]
    fn an_ip_address_is_a_host() {
        assert_eq!(shown("amqp://[::1]:7/v"), "amqp://guest@[::1]:7 (virtual host `v`)");
        assert_eq!(shown("amqp://a:b@10.0.0.1"), "amqp://a@10.0.0.1:5672 (virtual host `/`)");
    }
}
