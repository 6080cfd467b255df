//! The wall clock, in the one unit that Moim uses: ms since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in ms since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
