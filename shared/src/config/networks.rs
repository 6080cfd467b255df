//! Networks by their addresses. Pure: an address in, a yes or no out.

use std::net::IpAddr;

use ipnet::IpNet;

/// Some networks, perhaps none. A single address is a network of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// True when the address is in one of them. An IPv4 address that came over an IPv6 socket is
    /// the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Reads a comma-separated list; the error names the first entry that is no network.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let single = || entry.parse::<IpAddr>().map(|one| IpNet::from(one.to_canonical()));
            let network = entry.parse::<IpNet>().or_else(|_| single());
            network.ok().ok_or_else(|| format!("`{entry}` is no address or network"))
        };
        entries.map(network).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, address: &str) -> bool {
        Networks::parse(list).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_its_network_and_in_no_other() {
        assert!(holds("10.0.0.0/8", "10.9.8.7"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("10.0.0.0/8, fd00::/8", "fd12::1"));
        assert!(holds("::1", "::1") && !holds("::1", "127.0.0.1"));
        assert!(!holds("", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_itself() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("::ffff:10.1.2.3", "10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for bad in ["10.0.0.0/33", "10.0.0", "proxy.example.org", "10.0.0.1:80", "::/129", "*"] {
            let list = format!("127.0.0.1,{bad}");
            assert!(Networks::parse(&list).unwrap_err().contains(bad), "{bad}");
        }
    }
}
