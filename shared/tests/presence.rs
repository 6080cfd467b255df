//! What every presence must do (`presence/contract.rs`), asked of the in-process one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "presence/contract.rs"]
mod contract;

use std::time::Duration;

use moim_shared::presence::memory::MemoryPresence;

const LONG: Duration = Duration::from_secs(3_600);
/// Long against a pause of this machine, short against patience.
const SHORT: Duration = Duration::from_millis(600);

macro_rules! memory_keeps {
    ($lease:expr => $($promise:ident),* $(,)?) => { $(
        #[tokio::test]
        async fn $promise() {
            contract::$promise(&MemoryPresence::new($lease)).await;
        }
    )* };
}

memory_keeps!(LONG =>
    who_arrived_is_there_until_it_left,
    saying_it_twice_is_harmless,
    a_user_may_have_several_sessions_on_several_nodes,
    users_do_not_see_each_others_sessions,
);

memory_keeps!(SHORT => a_node_that_is_silent_for_its_lease_takes_its_entries_with_it);
