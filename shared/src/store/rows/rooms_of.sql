-- A page of a user's rooms: for each its last number, and what stands behind the user's cursor. Each
-- count ends after a number of rows, so a page costs no more than its length.
SELECT
    rooms.id AS room,
    rooms.name AS room_name,
    rooms.visibility AS visibility,
    rooms.direct AS direct,
    rooms.created_at AS created_at,
    members.name AS name,
    members.role AS role,
    members.joined_at AS joined_at,
    members.muted_until AS muted_until,
    coalesce(cursors.epoch, 0) AS read_epoch,
    coalesce(cursors.seq, 0) AS read_seq,
    (
        SELECT messages.epoch || '-' || messages.seq FROM messages
        WHERE messages.room = members.room
        ORDER BY messages.epoch DESC, messages.seq DESC LIMIT 1
    ) AS last_message,
    (
        SELECT marks.epoch || '-' || marks.seq FROM marks
        WHERE marks.room = members.room
        ORDER BY marks.epoch DESC, marks.seq DESC LIMIT 1
    ) AS last_mark,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM messages
            WHERE messages.room = members.room
            AND (messages.epoch, messages.seq)
                > (coalesce(cursors.epoch, 0), coalesce(cursors.seq, 0))
            LIMIT $1
        ) AS counted
    ) AS unread
FROM members
JOIN rooms ON rooms.id = members.room
LEFT JOIN cursors ON cursors.room = members.room AND cursors.user_id = members.user_id
WHERE members.user_id = $2 AND members.banned = FALSE AND members.room > $3
ORDER BY members.room
LIMIT $4
