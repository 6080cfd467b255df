//! What Postgres says differently where many processes take turns.

/// How a transaction begins in which some of them each take rows that no other has.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The time now, in ms since 1970: one clock for all processes.
pub(super) const NOW: &str = "(extract(EPOCH FROM clock_timestamp()) * 1000)::BIGINT";

/// Rows that nobody else is taking.
pub(super) const NOT_TAKEN: &str = "FOR UPDATE SKIP LOCKED";

/// A row for each unread message behind the member's cursors, for the one of `pushes`; it ends where
/// enough are counted, whichever rooms they are in.
pub(super) const UNREAD_ANYWHERE: &str = "SELECT 1 FROM members AS mine \
     LEFT JOIN cursors AS place ON place.room = mine.room AND place.user_id = mine.user_id \
     CROSS JOIN LATERAL (SELECT 1 FROM messages WHERE messages.room = mine.room \
     AND (messages.epoch, messages.seq) > (coalesce(place.epoch, 0), coalesce(place.seq, 0)) \
     LIMIT $2) AS message WHERE mine.user_id = pushes.user_id AND NOT mine.banned LIMIT $2";
