//! P1, P2, P3: what was acknowledged is there after any end of the process, once, in its order.

use crate::load::{End, survives};
use crate::seed::{chance, seeds};

#[tokio::test]
async fn after_kills_amid_sends_everything_acknowledged_is_there_once_and_in_order() {
    for seed in seeds() {
        survives(chance(seed), End::Kill, 4, &[]).await;
    }
}

/// Rooms leave memory between the sends, and history reaches behind the hot log.
#[tokio::test]
async fn the_same_holds_with_a_tiny_hot_log() {
    let settings = [("MOIM_LIMITS__HOT_LOG_KEEP", "3"), ("MOIM_LIMITS__ROOM_IDLE", "100ms")];
    for seed in seeds() {
        survives(chance(seed), End::Kill, 3, &settings).await;
    }
}

#[tokio::test]
async fn sigterm_amid_sends_tells_all_to_come_back_exits_0_and_loses_nothing() {
    for seed in seeds() {
        survives(chance(seed), End::Terminate, 3, &[]).await;
    }
}
