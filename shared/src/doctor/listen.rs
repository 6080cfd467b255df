//! Whether an address can be listened on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Verdict;

/// An address, and the variable that names it.
#[derive(Debug, Clone, Copy)]
pub struct Listens {
    /// Where.
    pub address: SocketAddr,
    /// `MOIM_LISTEN` and its like.
    pub key: &'static str,
}

/// Listens there for a moment.
pub fn listens(all: &[Listens]) -> Vec<Verdict> {
    let tried = |it: &Listens| {
        let bound = TcpListener::bind(it.address);
        judge(*it, bound.map(drop).map_err(|error| (error.kind(), error.to_string())))
    };
    all.iter().map(tried).collect()
}

fn judge(it: Listens, bound: Result<(), (ErrorKind, String)>) -> Verdict {
    let Listens { address, key } = it;
    match bound {
        Ok(()) => Verdict::Fine(format!("{address} is free ({key})")),
        Err((ErrorKind::AddrInUse, _)) => Verdict::Risky(format!(
            "{address} is in use: well if this program runs here already; else choose another \
             with {key}"
        )),
        Err((_, error)) => Verdict::usage(format!(
            "cannot listen on {address}: {error}; choose another with {key}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;

    #[test]
    fn an_address_is_free_or_in_use_or_none_of_ours() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let all = [
            Listens { address: "127.0.0.1:0".parse().unwrap(), key: "MOIM_A" },
            Listens { address: taken.local_addr().unwrap(), key: "MOIM_B" },
            // Of the documentation's network, so nobody's.
            Listens { address: "192.0.2.1:80".parse().unwrap(), key: "MOIM_C" },
        ];
        let report = Report::only("listen", listens(&all));
        let text = report.to_string();
        let levels: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(levels, ["ok", "WARN", "WRONG"], "{text}");
        assert!(text.lines().nth(1).unwrap().contains("MOIM_B"), "{text}");
        assert_eq!(report.code(), 2, "as a server says that cannot listen");
    }
}
