//! The SENDs of one connection that wait for their RECEIPT: on their way, or to be sent again.
//! Pure, so that what is sent again and when can be tested without a server.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// Numbers of sends; each is on its way or due again.
#[derive(Debug, Default)]
pub struct Pending {
    under_way: BTreeSet<usize>,
    again: BTreeSet<(Instant, usize)>,
}

impl Pending {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.under_way.len() + self.again.len()
    }

    /// Send `number` went out.
    pub fn went(&mut self, number: usize) {
        self.under_way.insert(number);
    }

    /// Send `number` is done with; false when it was not on its way.
    pub fn done(&mut self, number: usize) -> bool {
        self.under_way.remove(&number)
    }

    /// Send `number` was refused for a while: it is due again at `at`.
    pub fn refused(&mut self, number: usize, at: Instant) {
        if self.under_way.remove(&number) {
            self.again.insert((at, number));
        }
    }

    /// The connection is gone: all that waits is due again, in order.
    pub fn cut(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.again).into_iter().map(|(_, number)| number);
        self.again = waiting.chain(std::mem::take(&mut self.under_way)).map(|n| (now, n)).collect();
    }

    /// Takes one that is due again, as on its way.
    pub fn take_due(&mut self, now: Instant) -> Option<usize> {
        let (_, number) = self.again.first().copied().filter(|(at, _)| *at <= now)?;
        self.again.pop_first();
        self.under_way.insert(number);
        Some(number)
    }

    /// When the next is due again.
    pub fn next(&self) -> Option<Instant> {
        self.again.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn after_a_cut_all_that_waits_goes_out_again_in_order() {
        let now = Instant::now();
        let mut pending = Pending::default();
        [5, 3, 4].into_iter().for_each(|number| pending.went(number));
        assert!(pending.done(4) && !pending.done(4));
        pending.refused(3, now + Duration::from_secs(9));
        pending.cut(now);
        let again: Vec<_> = std::iter::from_fn(|| pending.take_due(now)).collect();
        assert_eq!((again, pending.len()), (vec![3, 5], 2));
    }

    #[test]
    fn a_refused_send_waits_its_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut pending = Pending::default();
        pending.went(1);
        pending.refused(1, later);
        pending.refused(2, later); // not ours
        assert_eq!((pending.take_due(now), pending.next()), (None, Some(later)));
        assert_eq!((pending.take_due(later), pending.len()), (Some(1), 1));
    }
}
