//! The bound on what waits: bytes of sends that were taken and are not answered yet, for a room
//! and for the node. It stands before the mailbox, which counts messages and not bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound in bytes.
#[derive(Debug)]
pub struct Gate {
    bound: usize,
    used: AtomicUsize,
    /// The bound of the node, which its rooms share.
    outer: Option<Arc<Gate>>,
}

impl Gate {
    /// A gate of its own.
    pub const fn new(bound: usize) -> Self {
        Self { bound, used: AtomicUsize::new(0), outer: None }
    }

    /// A gate inside of another.
    pub const fn inside(outer: Arc<Gate>, bound: usize) -> Self {
        Self { bound, used: AtomicUsize::new(0), outer: Some(outer) }
    }

    /// Room for `bytes`, until the permit is dropped. What is larger than the bound passes an
    /// empty gate, so that nothing waits for ever.
    pub fn enter(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        if !self.take(bytes) {
            return None;
        }
        if let Some(outer) = &self.outer
            && !outer.take(bytes)
        {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(Permit { gate: self.clone(), bytes })
    }

    /// Bytes inside.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| (used == 0 || used + bytes <= self.bound).then_some(used + bytes);
        self.used.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Room inside a gate.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.give(self.bytes);
        if let Some(outer) = &self.gate.outer {
            outer.give(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_full_at_its_bound_and_free_again_after() {
        let gate = Arc::new(Gate::new(100));
        let first = gate.enter(60);
        assert!(first.is_some());
        assert!(gate.enter(60).is_none());
        drop(first);
        assert!(gate.enter(60).is_some_and(|_| true));
        assert_eq!(gate.used(), 0);
    }

    #[test]
    fn what_is_larger_than_the_gate_passes_alone() {
        let gate = Arc::new(Gate::new(100));
        let large = gate.enter(1_000);
        assert!(large.is_some());
        assert!(gate.enter(1).is_none());
    }

    #[test]
    fn the_node_bounds_all_its_rooms_together() {
        let node = Arc::new(Gate::new(100));
        let one = Arc::new(Gate::inside(node.clone(), 80));
        let two = Arc::new(Gate::inside(node.clone(), 80));
        let permit = one.enter(70);
        assert!(two.enter(70).is_none());
        assert_eq!((one.used(), two.used(), node.used()), (70, 0, 70));
        drop(permit);
        assert_eq!(node.used(), 0);
    }
}
