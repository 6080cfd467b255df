//! What SQLite says differently where many processes take turns elsewhere: here is one writer.

/// The time now, in ms since 1970.
pub(super) const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Rows that nobody else is taking.
pub(super) const NOT_TAKEN: &str = "";

/// A row for each unread message behind the member's cursors, for the one of `pushes`; it ends where
/// enough are counted, whichever rooms they are in. A cross join is carried out in its order.
pub(super) const UNREAD_ANYWHERE: &str = "SELECT 1 FROM members AS mine \
     LEFT JOIN cursors AS place ON place.room = mine.room AND place.user_id = mine.user_id \
     CROSS JOIN messages ON messages.room = mine.room \
     AND (messages.epoch, messages.seq) > (coalesce(place.epoch, 0), coalesce(place.seq, 0)) \
     WHERE mine.user_id = pushes.user_id AND mine.banned = FALSE LIMIT $2";
