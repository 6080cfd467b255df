-- How users stand in rooms. Each count ends after a number of rows.
SELECT
    given.user_id AS user_id,
    given.room AS room,
    members.name AS name,
    members.role AS role,
    members.source AS source,
    members.joined_at AS joined_at,
    members.muted_until AS muted_until,
    coalesce(cursors.epoch, 0) AS read_epoch,
    coalesce(cursors.seq, 0) AS read_seq,
    coalesce(own_changes.began_at, 0) AS began_at,
    {greatest}(
        coalesce(own_changes.changed_at, 0), coalesce(cursors.moved_at, 0),
        CASE WHEN members.room IS NULL THEN 0 ELSE coalesce(room_heads.stored_at, 0) END,
        CASE WHEN members.room IS NULL THEN 0 ELSE coalesce(rooms.changed_at, 0) END
    ) AS changed_at,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM messages
            WHERE messages.room = members.room
            AND (messages.epoch, messages.seq)
                > (coalesce(cursors.epoch, 0), coalesce(cursors.seq, 0))
            LIMIT $1
        ) AS counted
    ) AS unread
FROM {given}
LEFT JOIN members ON members.room = given.room AND members.user_id = given.user_id
    AND members.banned = FALSE
LEFT JOIN rooms ON rooms.id = given.room
LEFT JOIN own_changes ON own_changes.user_id = given.user_id AND own_changes.room = given.room
LEFT JOIN cursors ON cursors.room = given.room AND cursors.user_id = given.user_id
LEFT JOIN room_heads ON room_heads.room = given.room
