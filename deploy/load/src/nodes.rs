//! The nodes that a test talks to: one server, or all those of a cluster. Members of a room are
//! dealt out one by one, so that a message has to cross from node to node.

use crate::target::Target;

/// At least one target.
#[derive(Debug, Clone)]
pub struct Nodes(Vec<Target>);

impl Nodes {
    /// The targets of `--url`.
    pub fn new(targets: &[Target]) -> Result<Self, String> {
        if targets.is_empty() {
            return Err("give --url at least one address".to_owned());
        }
        Ok(Self(targets.to_vec()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Where number `place` goes; any number will do, it goes round.
    pub fn at(&self, place: usize) -> &Target {
        &self.0[place % self.0.len()]
    }

    /// The place of a member: neighbours in a room are on different nodes, and so are the same
    /// members of neighbouring rooms, the senders for instance.
    pub const fn place(room: usize, member: usize) -> usize {
        room + member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Nodes {
        let urls = ["ws://127.0.0.1:1/ws", "ws://127.0.0.1:2/ws", "ws://127.0.0.1:3/ws"];
        Nodes::new(&urls.map(|url| url.parse().unwrap())).unwrap()
    }

    #[test]
    fn members_of_one_room_are_on_all_nodes_and_so_are_the_senders_of_many() {
        let nodes = three();
        let port = |room, member| nodes.at(Nodes::place(room, member)).address.port();
        for room in 0..4 {
            let mut counts = [0; 4];
            (0..6).for_each(|member| counts[usize::from(port(room, member))] += 1);
            assert_eq!(counts, [0, 2, 2, 2], "room {room}");
        }
        let mut senders: Vec<_> = (0..3).map(|room| port(room, 5)).collect();
        senders.sort_unstable();
        assert_eq!(senders, [1, 2, 3]);
    }

    #[test]
    fn no_address_is_refused() {
        assert!(Nodes::new(&[]).unwrap_err().contains("--url"));
    }
}
