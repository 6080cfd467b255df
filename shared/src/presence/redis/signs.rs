//! Which nodes live, by what is seen of them: pure, the clock is passed in.
//!
//! A node that lives says again and again until when. Whether it still says so is seen from here,
//! by this machine's clock: those of others may go before or after it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::NodeId;

/// What was seen of all nodes.
#[derive(Debug, Default)]
pub(super) struct Signs {
    nodes: HashMap<NodeId, Sign>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Sign {
    /// What it said last, as it stands in Redis.
    said: String,
    /// When that was new.
    at: Instant,
    /// It stands there still.
    stands: bool,
}

impl Signs {
    /// Those who live, by what all `nodes` say now.
    pub(super) fn look(
        &mut self,
        nodes: Vec<(String, String)>,
        now: Instant,
        lease: Duration,
    ) -> Vec<NodeId> {
        // While nobody looked, or Redis was away, nobody can be blamed for saying nothing.
        let looked = self.looked.replace(now);
        if looked.is_none_or(|at| now.saturating_duration_since(at) > lease / 2) {
            self.nodes.values_mut().for_each(|sign| sign.at = now);
        }
        self.nodes.values_mut().for_each(|sign| sign.stands = false);
        for (node, said) in nodes {
            let Ok(node) = NodeId::parse(&node) else { continue };
            match self.nodes.get_mut(&node) {
                Some(sign) if sign.said == said => sign.stands = true,
                _ => _ = self.nodes.insert(node, Sign { said, at: now, stands: true }),
            }
        }
        let is_alive = |sign: &Sign| now.saturating_duration_since(sign.at) < lease;
        // What a dead one said last is no sign of life, as long as it stands there.
        self.nodes.retain(|_, sign| sign.stands || is_alive(sign));
        let alive = self.nodes.iter().filter(|(_, sign)| is_alive(sign));
        alive.map(|(node, _)| node.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn look(signs: &mut Signs, at: Instant, said: &[(&str, u64)]) -> Vec<String> {
        let said = said.iter().map(|(node, until)| ((*node).into(), until.to_string())).collect();
        let mut alive: Vec<String> =
            signs.look(said, at, LEASE).iter().map(ToString::to_string).collect();
        alive.sort();
        alive
    }

    #[test]
    fn a_node_that_says_nothing_new_for_a_lease_is_dead_whatever_its_clock_says() {
        let (mut signs, begin) = (Signs::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        for secs in (0..10).step_by(2) {
            // The clock of `b` is a year before ours.
            let alive = look(&mut signs, at(secs), &[("a", secs), ("b", 31_536_000)]);
            assert_eq!(alive, ["a", "b"], "after {secs} s");
        }
        assert_eq!(look(&mut signs, at(10), &[("a", 10), ("b", 31_536_000)]), ["a"]);
        assert_eq!(
            look(&mut signs, at(12), &[("a", 12), ("b", 7)]),
            ["a", "b"],
            "it says it again"
        );
    }

    #[test]
    fn nobody_dies_while_redis_is_away_or_since_it_lost_all() {
        let (mut signs, begin) = (Signs::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        look(&mut signs, at(0), &[("a", 1), ("b", 1)]);
        assert_eq!(look(&mut signs, at(60), &[]), ["a", "b"]);
        assert_eq!(look(&mut signs, at(62), &[("a", 2)]), ["a", "b"]);
        for secs in (64..70).step_by(2) {
            look(&mut signs, at(secs), &[("a", secs)]);
        }
        assert_eq!(look(&mut signs, at(70), &[("a", 70)]), ["a"]);
    }
}
