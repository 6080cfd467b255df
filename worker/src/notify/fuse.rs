//! Wrong credentials look to each token as if that one were wrong. So that they do not cost all
//! tokens, one of another project is believed in only while others are reached.

use std::collections::VecDeque;

use crate::push::{Gone, PushError, Sent};

/// Calls that are remembered: half as many tokens are what wrong credentials can cost.
const CALLS: usize = 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    /// Whether each of the last calls reached its device, or was of another project.
    calls: VecDeque<bool>,
}

impl Fuse {
    /// Notes what was said, and whether it is to be believed.
    pub(super) fn trusts(&mut self, said: &Result<Sent, PushError>) -> bool {
        let reached = match said {
            Ok(_) => true,
            Err(PushError::TokenGone(Gone::OtherProject)) => false,
            Err(_) => return true,
        };
        if self.calls.len() == CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back(reached);
        let good = self.calls.iter().filter(|reached| **reached).count();
        reached || good * 2 >= self.calls.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_another_project_are_believed_in_while_most_calls_reach_somebody() {
        let mut fuse = Fuse::default();
        let other = Err(PushError::TokenGone(Gone::OtherProject));
        let gone = Err(PushError::TokenGone(Gone::Unregistered));
        assert!(!fuse.trusts(&other), "nobody was ever reached");
        assert!(fuse.trusts(&gone));
        for _ in 0..3 {
            assert!(fuse.trusts(&Ok(Sent { name: None })));
        }
        assert!(fuse.trusts(&other));
        assert!(fuse.trusts(&other));
        assert!(!fuse.trusts(&other), "most are");
        assert!(fuse.trusts(&gone));
    }
}
